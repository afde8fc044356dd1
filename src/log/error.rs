//! What can go wrong with a log, by who must act.

use std::io;
use std::path::PathBuf;

/// Why a log or its directory could not be opened or worked on.
#[derive(Debug)]
pub enum LogError {
    /// Another process has the directory open for writing.
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process id that the holder wrote into the lock file, if it can be read.
        holder: Option<u32>,
    },
    /// There is no such directory, and a reader does not make one.
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or a segment was written by a newer version.
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The directory holds something else.
    Foreign {
        /// The file that shows it.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The operating system refused.
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl LogError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LogError {
        let path = path.into();
        move |error| LogError::Io { action, path, error }
    }
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogError::Locked { path, holder: Some(pid) } => {
                write!(f, "{}: in use by process {pid}", path.display())
            }
            LogError::Locked { path, holder: None } => {
                write!(f, "{}: in use by another process", path.display())
            }
            LogError::Missing { path } => write!(f, "{}: no such data directory", path.display()),
            LogError::Newer { path, found } => {
                write!(f, "{}: written by a newer version ({found})", path.display())
            }
            LogError::Foreign { path, reason } => write!(f, "{}: {reason}", path.display()),
            LogError::Io { action, path, error } => write!(f, "{action} {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LogError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a commit failed. Its rows are in doubt: they may or may not be found after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitFailure {
    /// The disk or the quota is full.
    NoSpace,
    /// The disk took only a part.
    Short,
    /// The disk refused to write or to sync.
    Io {
        /// The operating system's error number, where there is one.
        os_error: Option<i32>,
    },
    /// Another commit to the same segment failed meanwhile, and the segment ended.
    SegmentEnded,
}

impl From<&io::Error> for CommitFailure {
    fn from(error: &io::Error) -> CommitFailure {
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => CommitFailure::NoSpace,
            os_error => CommitFailure::Io { os_error },
        }
    }
}

impl std::fmt::Display for CommitFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CommitFailure::NoSpace => f.write_str("no space left on the disk"),
            CommitFailure::Short => f.write_str("the disk took only a part of the block: it may be full"),
            CommitFailure::Io { os_error: Some(number) } => io::Error::from_raw_os_error(*number).fmt(f),
            CommitFailure::Io { os_error: None } => f.write_str("the disk refused the block"),
            CommitFailure::SegmentEnded => f.write_str("another commit to the segment failed"),
        }
    }
}

impl std::error::Error for CommitFailure {}
