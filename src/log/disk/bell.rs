//! A descriptor that becomes readable when somebody rings: background threads wake a worker's poll with it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The end that is polled.
#[derive(Debug)]
pub(super) struct Bell {
    read: File,
    rope: Rope,
}

/// The end that rings; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Rope(Arc<File>);

impl Bell {
    /// A bell of two connected sockets: works everywhere.
    pub(super) fn new() -> io::Result<Bell> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let rope = Rope(Arc::new(File::from(OwnedFd::from(write))));
        Ok(Bell { read: File::from(OwnedFd::from(read)), rope })
    }

    /// A bell of one non-blocking event descriptor, which the kernel can ring, too.
    #[cfg(target_os = "linux")]
    pub(super) fn from_event(event: OwnedFd) -> io::Result<Bell> {
        let rope = Rope(Arc::new(File::from(event.try_clone()?)));
        Ok(Bell { read: File::from(event), rope })
    }

    pub(super) fn rope(&self) -> Rope {
        self.rope.clone()
    }

    /// Makes the descriptor unreadable until the next ring.
    pub(super) fn hush(&self) {
        // A descriptor with more rings than fit here stays readable, which costs one idle wake-up.
        let mut sink = [0; 256];
        let _ = (&self.read).read(&mut sink);
    }

    /// Blocks until it is readable; may return early.
    pub(super) fn wait(&self) {
        crate::log::calls::wait_readable(self.read.as_fd());
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Rope {
    /// Rings. A full socket is readable already, so a refused write is as good.
    pub(super) fn ring(&self) {
        let _ = (&*self.0).write(&1u64.to_le_bytes());
    }
}
