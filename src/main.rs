//! The `tidegate` binary: the allocator, and the command line.

use std::env;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc is told before the first allocation: give pages back a second after they were freed, on a thread of
/// its own, so that a burst is not kept as resident memory and no worker pays for the system calls. Pages go back at
/// once (`muzzy`): those only marked for the kernel to take would still count as ours.
// SAFETY: jemalloc declares this symbol as `const char *` and reads it as a C string; a reference to an array is that
// pointer, and the array ends in NUL. Nothing else defines a symbol of this name.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 60] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    tidegate::cli::run(env::args_os(), &|name| env::var_os(name))
}
