//! Files of the operating system, and the choice between its two ways of committing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Access, BlockFile, Disk, Files, Job, Space, Spawn, ThreadDisk, Write, Written};
use crate::log::calls;

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct SystemFiles {
    root: Arc<Path>,
}

/// A file of the file system.
#[derive(Clone, Debug)]
pub struct SystemFile(pub(super) Arc<Opened>);

/// A file, and whether it is locked by it.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    /// The process that locked it.
    locked_by: Option<u32>,
}

impl SystemFile {
    fn new(file: File) -> SystemFile {
        SystemFile(Arc::new(Opened { file, locked_by: None }))
    }

    fn locked(file: File) -> SystemFile {
        SystemFile(Arc::new(Opened { file, locked_by: Some(std::process::id()) }))
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Opened {
    /// Unlocks by word: closing would leave the lock to every child that was forked meanwhile and has not called
    /// exec. A child that comes here itself must not take it from its parent.
    fn drop(&mut self) {
        if self.locked_by.is_some_and(|process| process == std::process::id()) {
            // Without success the descriptor's closing has to do.
            let _ = self.file.unlock();
        }
    }
}

impl SystemFiles {
    /// The directory `root`, which exists.
    pub fn new(root: impl Into<PathBuf>) -> SystemFiles {
        SystemFiles { root: Arc::from(root.into()) }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens for commits: past the page cache where the file system takes that, through it elsewhere.
    fn open_for_commits(&self, name: &str, create: bool) -> io::Result<SystemFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(create).mode(FILE_MODE);
        let path = self.root.join(name);
        #[cfg(target_os = "linux")]
        {
            match options.clone().custom_flags(libc::O_DIRECT).open(&path) {
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                    // The file may have been made before the flag was refused.
                    options.create_new(false).create(create);
                }
                opened => return opened.map(SystemFile::new),
            }
        }
        Ok(SystemFile::new(options.open(path)?))
    }
}

impl Files for SystemFiles {
    type File = SystemFile;

    fn create(&self, name: &str) -> io::Result<SystemFile> {
        self.open_for_commits(name, true)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<SystemFile> {
        if access == Access::Commit {
            return self.open_for_commits(name, false);
        }
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(self.root.join(name))?;
        Ok(SystemFile::new(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&*self.root)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn place(&self) -> &Path {
        self.root()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&*self.root)?.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        calls::space(&self.root)
    }

    fn lock_exclusive(&self, name: &str) -> io::Result<Option<SystemFile>> {
        let file = File::open(self.root.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(SystemFile::locked(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn open_shared(&self, name: &str) -> io::Result<SystemFile> {
        let path = self.root.join(name);
        let file = File::open(&path)?;
        let file = match file.try_lock_shared() {
            Ok(()) => SystemFile::locked(file),
            // Somebody is recycling it at this moment.
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::NotFound.into()),
            Err(TryLockError::Error(e)) => return Err(e),
        };
        // A recycler renames under its lock, so whoever has the lock and still finds the name is in time.
        if fs::metadata(&path)?.ino() != file.0.metadata()?.ino() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }
}

impl BlockFile for SystemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocated_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.blocks() * 512)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// How commits reach the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// A thread per worker that writes and syncs.
    Threads,
    /// The kernel's submission rings.
    Uring,
}

impl Backend {
    /// The best backend that this machine lets us use; says in the log why it is not the first choice. Ask once.
    pub fn probe() -> Backend {
        #[cfg(target_os = "linux")]
        match super::UringDisk::probe() {
            Ok(()) => return Backend::Uring,
            Err(error) => tracing::warn!(%error, "io_uring refused, committing with threads"),
        }
        Backend::Threads
    }

    /// Whether this machine lets us use it.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn check(self) -> io::Result<()> {
        match self {
            Backend::Threads => Ok(()),
            #[cfg(target_os = "linux")]
            Backend::Uring => super::UringDisk::probe(),
            #[cfg(not(target_os = "linux"))]
            Backend::Uring => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A worker's disk on the operating system's files.
#[derive(Debug)]
pub enum SystemDisk {
    /// A thread that writes and syncs.
    Threads(ThreadDisk<SystemFiles>),
    /// io_uring.
    #[cfg(target_os = "linux")]
    Uring(Box<super::UringDisk>),
}

impl SystemDisk {
    /// A disk on `files`. `name` tells its threads from those of others.
    ///
    /// # Errors
    /// The operating system's, when it refuses a thread or a descriptor. A ring that is refused is no error: the
    /// disk commits with threads then.
    pub fn open(
        files: SystemFiles,
        backend: Backend,
        name: &str,
        spawn: Spawn<'_>,
    ) -> io::Result<SystemDisk> {
        #[cfg(target_os = "linux")]
        if backend == Backend::Uring {
            match super::UringDisk::open(files.clone(), name, spawn) {
                Ok(disk) => return Ok(SystemDisk::Uring(Box::new(disk))),
                Err(error) => tracing::warn!(%error, "io_uring refused, committing with threads"),
            }
        }
        let _ = backend;
        Ok(SystemDisk::Threads(ThreadDisk::open(files, name, spawn)?))
    }
}

macro_rules! each {
    ($self:expr, $disk:ident => $body:expr) => {
        match $self {
            SystemDisk::Threads($disk) => $body,
            #[cfg(target_os = "linux")]
            SystemDisk::Uring($disk) => $body,
        }
    };
}

impl Disk for SystemDisk {
    type Files = SystemFiles;

    fn files(&self) -> &SystemFiles {
        each!(self, disk => disk.files())
    }

    fn submit(&mut self, write: Write<SystemFile>) {
        each!(self, disk => disk.submit(write));
    }

    fn finished(&mut self, out: &mut Vec<Written>) {
        each!(self, disk => disk.finished(out));
    }

    fn wait(&mut self) {
        each!(self, disk => disk.wait());
    }

    fn run(&mut self, job: Job) {
        each!(self, disk => disk.run(job));
    }

    fn notify(&self) -> Option<BorrowedFd<'_>> {
        each!(self, disk => disk.notify())
    }

    fn backend_name(&self) -> &'static str {
        each!(self, disk => disk.backend_name())
    }
}

const FILE_MODE: u32 = 0o640;
