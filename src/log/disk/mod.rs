//! The seam to storage: what a log asks of a disk, and nothing of what it writes there.
//!
//! [`Files`] and [`BlockFile`] are one flat directory of files with blocking calls, for opening, reading and background
//! work. [`Disk`] is what a worker owns: it makes commits (a write and a sync) in the background and reports them; it
//! runs background jobs. What an implementation promises: a commit reported as done is on stable storage; the others
//! may be there, in part or not at all; a sync that failed is never tried again.
//!
//! Three disks: [`ThreadDisk`] (a thread that writes and syncs), `UringDisk` (Linux, io_uring) and
//! [`simulated::SimulatedDisk`] (memory, a seed, and everything that can go wrong).

mod bell;
pub mod simulated;
mod system;
mod threads;
#[cfg(target_os = "linux")]
mod uring;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::error::CommitFailure;
use crate::bytes::AlignedBuf;

pub use system::{Backend, SystemDisk, SystemFile, SystemFiles};
pub use threads::ThreadDisk;
#[cfg(target_os = "linux")]
pub use uring::UringDisk;

/// Commits that a worker may have under way: one being written, and some behind it for who likes to overlap them.
pub const COMMITS_IN_FLIGHT_MAX: usize = 4;

/// Background jobs that may wait: a worker prepares one segment, seals one, and closes one that failed.
pub const JOBS_MAX: usize = 8;

/// A piece of background work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Starts a named thread: whoever embeds the log decides about names, priorities and signal masks.
pub type Spawn<'a> = &'a dyn Fn(&str, Job) -> io::Result<std::thread::JoinHandle<()>>;

/// How a file is to be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and changing.
    Write,
    /// Commits: lengths, offsets and memory are multiples of 4 KiB, so that the page cache can be passed by.
    Commit,
}

/// Room on the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that may still be used.
    pub free_bytes: u64,
}

/// A directory of files.
pub trait Files: Clone + Send + 'static {
    /// An open file.
    type File: BlockFile;

    /// Makes a new file and opens it for commits.
    ///
    /// # Errors
    /// The operating system's; `AlreadyExists` if there is one of this name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, name: &str, access: Access) -> io::Result<Self::File>;

    /// The names in the directory, in no order.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Where the directory is, to be named where it fails.
    fn place(&self) -> &Path {
        Path::new("log")
    }

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file's name away.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_directory(&self) -> io::Result<()>;

    /// Room on the file system.
    ///
    /// # Errors
    /// The operating system's.
    fn space(&self) -> io::Result<Space>;

    /// Locks a file against recycling for as long as the file handle given back lives; `None` if readers have it.
    ///
    /// # Errors
    /// The operating system's.
    fn lock_exclusive(&self, name: &str) -> io::Result<Option<Self::File>>;

    /// Opens a file for reading and keeps it from being recycled for as long as the handle lives.
    ///
    /// # Errors
    /// The operating system's; `NotFound` if the file lost its name meanwhile.
    fn open_shared(&self, name: &str) -> io::Result<Self::File>;
}

/// An open file; clones are the same open file.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file's length can fail; whether it is 0 is no question here"
)]
pub trait BlockFile: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Reads at an offset; fewer bytes than asked for at the end of the file.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset and says how much was taken.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// The file's length.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file or extends it with zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Bytes of storage that the file takes.
    ///
    /// # Errors
    /// The operating system's.
    fn allocated_bytes(&self) -> io::Result<u64>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// The operating system's; what was unsynced is then in doubt for ever, whatever a second call says.
    fn sync(&self) -> io::Result<()>;

    /// Reads until `buf` is full or the file ends, and says how much there was.
    ///
    /// # Errors
    /// The operating system's.
    fn read_full_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// Writes everything, going on where a write was short: for content that is synced later, and not for commits.
    ///
    /// # Errors
    /// The operating system's.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.write_at(&buf[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// A block to be made durable: one write of the whole buffer, then one sync.
#[derive(Debug)]
pub struct Write<F> {
    /// The caller's name for it.
    pub token: u64,
    /// Where to: opened for commits.
    pub file: F,
    /// At which offset, a multiple of 4 KiB.
    pub offset: u64,
    /// What: a multiple of 4 KiB.
    pub buf: AlignedBuf,
}

/// What became of a [`Write`].
#[derive(Debug)]
pub struct Written {
    /// The caller's name for it.
    pub token: u64,
    /// Whether it is durable.
    pub result: Result<(), CommitFailure>,
    /// The buffer, back.
    pub buf: AlignedBuf,
}

/// A worker's disk.
pub trait Disk {
    /// The files it writes.
    type Files: Files;

    /// Its directory.
    fn files(&self) -> &Self::Files;

    /// Starts a commit. The caller has at most [`COMMITS_IN_FLIGHT_MAX`] under way.
    fn submit(&mut self, write: Write<<Self::Files as Files>::File>);

    /// Moves what has finished to `out`, in any order, without waiting.
    fn finished(&mut self, out: &mut Vec<Written>);

    /// Blocks until a commit or a job may have finished. For closing down and for tests.
    fn wait(&mut self);

    /// Runs a job in the background, in the order given. The caller has at most [`JOBS_MAX`] waiting.
    fn run(&mut self, job: Job);

    /// Readable when commits or jobs have finished since [`finished`](Disk::finished) was last called; for a poll.
    fn notify(&self) -> Option<BorrowedFd<'_>>;

    /// What it is, for the log and the metrics: `threads`, `io_uring`, `simulated`.
    fn backend_name(&self) -> &'static str;
}
