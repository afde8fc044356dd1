//! The one place that starts threads: named, with all signals blocked, so that a host's handlers run on its
//! own threads.

#![allow(unsafe_code)]

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread.
///
/// # Errors
/// The operating system's, when it refuses.
pub fn spawn(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Builder::new().name(format!("tdg-{name}")).spawn(move || {
        block_signals();
        run();
    })
}

fn block_signals() {
    // SAFETY: `set` is written by sigfillset before it is read; the call concerns this thread alone.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}
