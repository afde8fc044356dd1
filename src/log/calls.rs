//! The system calls of the log that the standard library does not wrap: room on a file system, waiting for a
//! descriptor, a shared page.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::Space;

/// Room on the file system that holds `path`.
pub(super) fn space(path: &Path) -> io::Result<Space> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statvfs is plain numbers; all zeros is a value of it.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in NUL and lives through the call; `stat` is writable.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[allow(clippy::useless_conversion, reason = "the fields are narrower on some platforms")]
    let (unit, total, free) = (u64::from(stat.f_frsize), u64::from(stat.f_blocks), u64::from(stat.f_bavail));
    Ok(Space { total_bytes: total.saturating_mul(unit), free_bytes: free.saturating_mul(unit) })
}

/// Blocks until the descriptor is readable; may return early.
pub(super) fn wait_readable(fd: BorrowedFd<'_>) {
    let mut wanted = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, which lives through the call; the descriptor is borrowed for as long.
    unsafe { libc::poll(&raw mut wanted, 1, -1) };
}

/// The first page of a file as words that other processes see when they read the file.
///
/// Invariants: (1) `words` is the start of a live mapping of [`PAGE_BYTES`], readable and writable, unmapped by drop
/// alone; (2) it is only accessed through atomics.
#[derive(Debug)]
pub(super) struct SharedPage {
    words: NonNull<AtomicU64>,
}

// SAFETY: invariants 1 and 2: the mapping belongs to no thread, and atomics may be shared.
unsafe impl Send for SharedPage {}
// SAFETY: the same.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Maps the file's first page. The file must be a page long at least, and stay so: the caller holds the lock that
    /// keeps other writers out.
    pub(super) fn map(file: &File) -> io::Result<SharedPage> {
        if file.metadata()?.len() < PAGE_BYTES as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let raw = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(raw.cast::<AtomicU64>()) {
            Some(words) if raw != libc::MAP_FAILED => Ok(SharedPage { words }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Sets word `index`. Relaxed: a reader in another process reads the file, and takes any order.
    pub(super) fn store(&self, index: usize, value: u64) {
        assert!(index < PAGE_WORDS);
        // SAFETY: invariant 1; `index` is inside the page, and a page is aligned for words.
        let word = unsafe { self.words.add(index).as_ref() };
        word.store(value.to_le(), Ordering::Relaxed);
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: invariant 1: mapped with this length, unmapped once.
        unsafe { libc::munmap(self.words.as_ptr().cast(), PAGE_BYTES) };
    }
}

pub(super) const PAGE_BYTES: usize = 4096;
pub(super) const PAGE_WORDS: usize = PAGE_BYTES / 8;
