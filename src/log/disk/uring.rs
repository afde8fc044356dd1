//! Commits through io_uring: the worker hands the kernel a write and a sync and goes on; no thread wakes for it.
//!
//! A commit is a write with a sync linked to it: the kernel starts the sync when the whole write has succeeded, and
//! cancels it otherwise, also after a short write. The other way, one write that is synced as part of itself
//! (`RWF_DSYNC`), finishes in a kernel work queue that has to wait for a processor: on a machine under load its
//! median for 64 KiB was 0.7 to 5 ms in five rounds of six, where the linked pair took 0.2 ms, as a thread does.
//! Jobs have a thread, as elsewhere. Refused rings (seccomp in containers, `kernel.io_uring_disabled`) are found by
//! [`UringDisk::probe`].

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use io_uring::squeue::Flags;
use io_uring::{IoUring, Probe, opcode, types};

use super::bell::Bell;
use super::threads::Jobs;
use super::{COMMITS_IN_FLIGHT_MAX, Disk, Job, Spawn, SystemFile, SystemFiles, Write, Written};
use crate::log::error::CommitFailure;

/// A worker's disk that commits through io_uring.
///
/// Invariants: (1) a slot is filled from before its entries are pushed until both their completions have been taken,
/// and the buffer and the file in it neither move their memory nor close meanwhile; (2) slots are only emptied by
/// completions, also on drop.
pub struct UringDisk {
    files: SystemFiles,
    ring: IoUring,
    slots: [Option<Commit>; COMMITS_IN_FLIGHT_MAX],
    jobs: Jobs,
    bell: Bell,
}

struct Commit {
    write: Write<SystemFile>,
    /// What the kernel said about the write, and about the sync.
    written: Option<i32>,
    synced: Option<i32>,
}

impl UringDisk {
    /// Whether the kernel lets us have a ring that can do what is needed.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn probe() -> io::Result<()> {
        new_ring().map(drop)
    }

    /// Makes the ring and starts the thread for jobs.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(files: SystemFiles, name: &str, spawn: Spawn<'_>) -> io::Result<UringDisk> {
        let ring = new_ring()?;
        // SAFETY: a new descriptor, owned by nobody else.
        let event = unsafe {
            let raw = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        let bell = Bell::from_event(event)?;
        let jobs = Jobs::start(name, bell.rope(), spawn)?;
        Ok(UringDisk { files, ring, slots: [const { None }; COMMITS_IN_FLIGHT_MAX], jobs, bell })
    }

    fn in_flight(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// Tells the kernel of pushed entries. What it cannot take now it is told of again at the next call.
    fn enter(&mut self) {
        if let Err(error) = self.ring.submit() {
            tracing::debug!(%error, "io_uring could not take a commit yet");
            self.bell.rope().ring();
        }
    }

    fn take_completions(&mut self, out: &mut Vec<Written>) {
        for entry in self.ring.completion() {
            let place = usize::try_from(entry.user_data() / 2).ok().and_then(|slot| self.slots.get_mut(slot));
            let place = place.expect("the kernel gives back our numbers");
            let commit = place.as_mut().expect("a slot is filled until both completions are there");
            match entry.user_data() % 2 {
                WRITE => commit.written = Some(entry.result()),
                _ => commit.synced = Some(entry.result()),
            }
            if let (Some(written), Some(synced)) = (commit.written, commit.synced)
                && let Some(Commit { write, .. }) = place.take()
            {
                let result = outcome(written, synced, write.buf.len());
                out.push(Written { token: write.token, result, buf: write.buf });
            }
        }
    }
}

fn outcome(written: i32, synced: i32, len: usize) -> Result<(), CommitFailure> {
    match (written, synced) {
        (n, 0) if usize::try_from(n) == Ok(len) => Ok(()),
        (n, _) if n < 0 => Err(CommitFailure::from(&io::Error::from_raw_os_error(-n))),
        (n, _) if usize::try_from(n) != Ok(len) => Err(CommitFailure::Short),
        (_, e) => Err(CommitFailure::from(&io::Error::from_raw_os_error(-e))),
    }
}

fn new_ring() -> io::Result<IoUring> {
    let ring = IoUring::new(2 * COMMITS_IN_FLIGHT_MAX as u32)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let able = probe.is_supported(opcode::Write::CODE) && probe.is_supported(opcode::Fsync::CODE);
    if able { Ok(ring) } else { Err(io::ErrorKind::Unsupported.into()) }
}

impl Disk for UringDisk {
    type Files = SystemFiles;

    fn files(&self) -> &SystemFiles {
        &self.files
    }

    fn submit(&mut self, write: Write<SystemFile>) {
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.expect("there are as many slots as a worker may have commits under way");
        let len = u32::try_from(write.buf.len()).expect("a block is bounded well below 4 GiB");
        let file = types::Fd(write.file.0.as_raw_fd());
        let entries = [
            opcode::Write::new(file, write.buf.as_ptr(), len)
                .offset(write.offset)
                .build()
                .flags(Flags::IO_LINK)
                .user_data(2 * slot as u64 + WRITE),
            opcode::Fsync::new(file)
                .flags(types::FsyncFlags::DATASYNC)
                .build()
                .user_data(2 * slot as u64 + SYNC),
        ];
        self.slots[slot] = Some(Commit { write, written: None, synced: None });
        // SAFETY: invariant 1: moving a buffer's owner into the slot does not move its memory; the slot keeps it and
        // the file until both completions.
        let pushed = unsafe { self.ring.submission().push_multiple(&entries) };
        pushed.expect("the ring has two entries for each slot");
        self.enter();
    }

    fn finished(&mut self, out: &mut Vec<Written>) {
        self.bell.hush();
        if !self.ring.submission().is_empty() {
            self.enter();
        }
        self.take_completions(out);
    }

    fn wait(&mut self) {
        self.bell.wait();
    }

    fn run(&mut self, job: Job) {
        self.jobs.run(job);
    }

    fn notify(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }

    fn backend_name(&self) -> &'static str {
        "io_uring"
    }
}

impl Drop for UringDisk {
    fn drop(&mut self) {
        let mut sink = Vec::new();
        while self.in_flight() {
            // Invariant 2: the kernel still writes from these buffers. A wait that is interrupted is repeated.
            let _ = self.ring.submit_and_wait(1);
            self.take_completions(&mut sink);
        }
    }
}

impl std::fmt::Debug for UringDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UringDisk").field("files", &self.files).field("in_flight", &self.in_flight()).finish()
    }
}

const WRITE: u64 = 0;
const SYNC: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_write_and_its_sync_are_a_commit() {
        let io = |error| Err(CommitFailure::Io { os_error: Some(error) });
        assert_eq!(outcome(8192, 0, 8192), Ok(()));
        assert_eq!(outcome(4096, -libc::ECANCELED, 8192), Err(CommitFailure::Short));
        assert_eq!(outcome(4096, 0, 8192), Err(CommitFailure::Short));
        assert_eq!(outcome(-libc::EIO, -libc::ECANCELED, 8192), io(libc::EIO));
        assert_eq!(outcome(-libc::ENOSPC, -libc::ECANCELED, 8192), Err(CommitFailure::NoSpace));
        assert_eq!(outcome(8192, -libc::EIO, 8192), io(libc::EIO));
    }
}
