//! The data directory: whose it is, who writes to it, and where its segments are.
//!
//! ```text
//! DATA/FORMAT   text: what this is, its version, the log's identity
//! DATA/LOCK     locked by the process that writes; its process id
//! DATA/LIVE     how far each worker is durable, while there is a writer
//! DATA/log/     the segments, and the cursors of those who read them
//! ```
//!
//! A writer makes what is missing; a reader makes nothing and takes no lock that could keep a writer out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::calls::PAGE_BYTES;
use super::cursor::{Cursor, Cursors, Positions, read_cursors};
use super::disk::{Files, SystemFile, SystemFiles};
use super::error::LogError;
use super::live::{LivePage, LiveSlot, read_watermarks};
use super::reader::SegmentReader;
use super::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName};
use super::survey::{Segment, Survey};
use crate::model::{FORMAT_VERSION, LogId};

/// A data directory, open for writing. Its lock lasts until it and all [`LiveSlot`]s of it are dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    log: LogId,
    files: SystemFiles,
    live: LivePage,
    cursors: Arc<Cursors<SystemFiles>>,
}

impl Directory {
    /// Opens the directory for writing and makes it if it is missing; `new_log` is then its identity.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process writes to it, [`LogError::Newer`], [`LogError::Foreign`],
    /// [`LogError::Io`].
    pub fn open(path: &Path, new_log: LogId) -> Result<Directory, LogError> {
        let path = &absolute(path)?;
        make_directory(path)?;
        let files = SystemFiles::new(path.join(SEGMENTS));
        // Looked at before anything is written, and again when it is locked: meanwhile another may have made it.
        recognize(path, &files)?;
        let lock = lock(path)?;
        let known = recognize(path, &files)?;
        make_directory(files.root())?;
        let log = match known {
            Known::Named(log) => log,
            Known::BySegments(log) => write_format(path, log)?,
            Known::New => write_format(path, new_log)?,
        };
        sign(&lock, path);
        let cursors = Cursors::open(files.clone(), log)?;
        // A crash of the machine may have taken the page, or the segments: what is passed is not to come again.
        let passed = cursors.passed();
        let live = share(path, lock, &passed).map_err(LogError::io("share", path.join(LIVE)))?;
        let cursors = Arc::new(cursors.watching(Arc::clone(live.tide())));
        Ok(Directory { path: path.to_owned(), log, files, live, cursors })
    }

    /// Where it is: absolute, so that it stays there whatever the process's working directory becomes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log's identity.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The directory of segments.
    pub fn files(&self) -> &SystemFiles {
        &self.files
    }

    /// Where a worker tells readers how far it is durable; `None` past
    /// [`LIVE_WORKERS_MAX`](super::LIVE_WORKERS_MAX).
    pub fn live(&self, worker: u32) -> Option<LiveSlot> {
        self.live.slot(worker)
    }

    /// The cursors. They answer [`CursorError::Closed`](super::CursorError::Closed) once the directory is dropped.
    pub fn cursors(&self) -> &Arc<Cursors<SystemFiles>> {
        &self.cursors
    }

    /// What segments there are.
    ///
    /// # Errors
    /// As [`Survey::take`].
    pub fn survey(&self) -> Result<Survey, LogError> {
        Survey::take(&self.files, self.log, None)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Before the lock goes: nobody may write to a directory that another process has.
        self.cursors.close();
    }
}

/// The durable sequence of each worker, as its page tells.
enum Watermarks {
    /// There is no page.
    None,
    /// Of a process that is writing.
    Present(Vec<u64>),
    /// Of the last one that was.
    Left(Vec<u64>),
}

/// A data directory, open for reading. Somebody else may be writing to it.
#[derive(Debug)]
pub struct ReadDirectory {
    path: PathBuf,
    log: LogId,
    files: SystemFiles,
}

impl ReadDirectory {
    /// Opens the directory for reading.
    ///
    /// # Errors
    /// [`LogError::Missing`], [`LogError::Newer`], [`LogError::Foreign`], [`LogError::Io`].
    pub fn open(path: &Path) -> Result<ReadDirectory, LogError> {
        if !path.is_dir() {
            return Err(LogError::Missing { path: path.to_owned() });
        }
        let path = &absolute(path)?;
        let files = SystemFiles::new(path.join(SEGMENTS));
        let named = read_format(path)?;
        let log = named.map_or_else(|| identify(&files), |log| Ok(Some(log)))?.ok_or_else(|| {
            LogError::Foreign { path: path.to_owned(), reason: "not a tidegate data directory" }
        })?;
        Ok(ReadDirectory { path: path.to_owned(), log, files })
    }

    /// The log's identity.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The directory of segments.
    pub fn files(&self) -> &SystemFiles {
        &self.files
    }

    /// The cursors as they are on disk, by name.
    ///
    /// # Errors
    /// [`LogError::Io`], [`LogError::Newer`].
    pub fn cursors(&self) -> Result<Vec<Cursor>, LogError> {
        read_cursors(&self.files, self.log)
    }

    /// What segments there are; where a process is writing, what of them is durable.
    ///
    /// # Errors
    /// As [`Survey::take`].
    pub fn survey(&self) -> Result<Survey, LogError> {
        // The watermarks come first: whatever they cover is found by looking afterwards.
        let watermarks = self.look_at_watermarks()?;
        let mut survey = Survey::take(&self.files, self.log, None)?;
        match watermarks {
            Watermarks::None => {}
            Watermarks::Present(watermarks) => {
                let workers: Vec<u32> = survey.workers().collect();
                for worker in workers {
                    survey.limit(worker, watermarks.get(worker as usize).copied().unwrap_or(0));
                }
            }
            // They were told after what they cover was durable, so whatever of them has reached the disk is true. A
            // writer that has come meanwhile may have begun to remove what is old.
            Watermarks::Left(watermarks) => {
                if let Watermarks::Left(_) = self.look_at_watermarks()? {
                    let told = (0..).zip(watermarks).filter(|&(_, durable)| durable > 0);
                    told.for_each(|(worker, durable)| survey.expect_durable(worker, durable));
                }
            }
        }
        Ok(survey)
    }

    /// The durable sequence of each worker, if a process is writing.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn watermarks(&self) -> Result<Option<Vec<u64>>, LogError> {
        match self.look_at_watermarks()? {
            Watermarks::Present(watermarks) => Ok(Some(watermarks)),
            Watermarks::Left(_) | Watermarks::None => Ok(None),
        }
    }

    fn look_at_watermarks(&self) -> Result<Watermarks, LogError> {
        let path = self.path.join(LIVE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Watermarks::None),
            Err(e) => return Err(LogError::io("open", path)(e)),
        };
        match file.try_lock_shared() {
            // Held for a moment: a writer that starts just now waits for it, and not for a child of ours that has the
            // descriptor, too. A page that is cut short says nothing.
            Ok(()) => {
                let left = read_watermarks(&file);
                let _ = file.unlock();
                Ok(left.map_or(Watermarks::None, Watermarks::Left))
            }
            Err(TryLockError::WouldBlock) => {
                read_watermarks(&file).map(Watermarks::Present).map_err(LogError::io("read", path))
            }
            Err(TryLockError::Error(e)) => Err(LogError::io("look at the lock of", path)(e)),
        }
    }

    /// Opens a segment for reading; it is not recycled while the reader lives. `None` if it is gone meanwhile.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn open_segment(&self, segment: &Segment) -> Result<Option<SegmentReader<SystemFile>>, LogError> {
        let path = segment.name.to_string();
        match self.files.open_shared(&path) {
            Ok(file) if !segment.is_in(&file) => Ok(None),
            Ok(file) => Ok(Some(SegmentReader::new(file, self.log, segment))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(LogError::io("open", path)(e)),
        }
    }
}

impl Cursors<SystemFiles> {
    /// The directory of the log, for reading.
    pub fn directory(&self) -> ReadDirectory {
        let files = self.files().clone();
        let path = files.root().parent().expect("the segments lie in a directory of the data directory");
        ReadDirectory { path: path.to_owned(), log: self.log(), files }
    }
}

/// The path as it is meant now: a host may change its working directory later. Symbolic links stay as they are.
fn absolute(path: &Path) -> Result<PathBuf, LogError> {
    std::path::absolute(path).map_err(LogError::io("find", path))
}

fn make_directory(path: &Path) -> Result<(), LogError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LogError::io("make", path)(e));
        }
        _ => {}
    }
    sync_directory(parent).map_err(LogError::io("sync", parent))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What a directory is to one that wants to write to it.
enum Known {
    /// Ours, by its format file.
    Named(LogId),
    /// Ours: it lost its format file, and has segments.
    BySegments(LogId),
    /// There is nothing of ours in it, and nothing in the way.
    New,
}

/// Recognizes a directory, and writes nothing to it.
fn recognize(data: &Path, files: &SystemFiles) -> Result<Known, LogError> {
    if let Some(log) = read_format(data)? {
        return Ok(Known::Named(log));
    }
    if let Some(log) = identify(files)? {
        return Ok(Known::BySegments(log));
    }
    // Other programs have files by these names, too. Ours are there before the format file if a start was killed.
    let lock = data.join(LOCK);
    match read_text(&lock) {
        Ok(text) if text.is_empty() || is_signature(&text) => {}
        Ok(_) => return Err(LogError::Foreign { path: lock, reason: "not the lock file of a tidegate" }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(LogError::io("read", lock)(e)),
    }
    let live = data.join(LIVE);
    match fs::metadata(&live) {
        Ok(page) if page.is_file() && [0, PAGE_BYTES as u64].contains(&page.len()) => {}
        Ok(_) => return Err(LogError::Foreign { path: live, reason: "not the page of a tidegate" }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(LogError::io("look at", live)(e)),
    }
    Ok(Known::New)
}

/// Locks the directory. The lock file's bytes stay as they are: the directory may turn out to be another's.
fn lock(data: &Path) -> Result<File, LogError> {
    let path = data.join(LOCK);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(LogError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(TEXT_BYTES_MAX).read_to_string(&mut text);
            Err(LogError::Locked { path: data.to_owned(), holder: text.trim().parse().ok() })
        }
        Err(TryLockError::Error(e)) => Err(LogError::io("lock", path)(e)),
    }
}

/// Whether [`sign`] may have written this.
fn is_signature(text: &str) -> bool {
    text.trim_end().parse::<u32>().is_ok()
}

/// Writes into the lock file who holds it.
fn sign(mut lock: &File, data: &Path) {
    let written =
        lock.set_len(0).and_then(|()| lock.write_all(format!("{}\n", std::process::id()).as_bytes()));
    // On a full disk the lock holds all the same; only the process id is missing.
    if let Err(error) = written {
        tracing::warn!(path = %data.join(LOCK).display(), %error, "the process id could not be written");
    }
}

fn share(data: &Path, lock: File, passed: &Positions) -> io::Result<LivePage> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(data.join(LIVE))?;
    LivePage::create(file, lock, passed.iter())
}

fn read_format(data: &Path) -> Result<Option<LogId>, LogError> {
    let path = data.join(FORMAT);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LogError::io("read", path)(e)),
    };
    if text.is_empty() {
        return Ok(None);
    }
    parse_format(&text)
        .map_err(|problem| match problem {
            FormatProblem::Newer(found) => LogError::Newer { path, found },
            FormatProblem::Foreign(reason) => LogError::Foreign { path, reason },
        })
        .map(Some)
}

#[derive(PartialEq, Eq, Debug)]
enum FormatProblem {
    Newer(String),
    Foreign(&'static str),
}

/// The start of a small file's text; what is no UTF-8 in it is replaced.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_format(text: &str) -> Result<LogId, FormatProblem> {
    let mut lines = text.lines();
    if lines.next() != Some(FORMAT_NAME) {
        return Err(FormatProblem::Foreign("not the format file of a tidegate data directory"));
    }
    let version = lines.next().and_then(|l| l.strip_prefix("version ")).unwrap_or("");
    match version.parse::<u16>() {
        Ok(FORMAT_VERSION) => {}
        Ok(v) if v > FORMAT_VERSION => return Err(FormatProblem::Newer(format!("version {v}"))),
        _ => return Err(FormatProblem::Foreign("no version that was ever written")),
    }
    let hex = lines.next().and_then(|l| l.strip_prefix("log ")).unwrap_or("");
    let mut log = LogId::default();
    if hex.len() != 2 * log.0.len() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(FormatProblem::Foreign("the log's identity is not 32 hexadecimal digits"));
    }
    let number = u128::from_str_radix(hex, 16)
        .map_err(|_| FormatProblem::Foreign("the log's identity is not 32 hexadecimal digits"))?;
    // The text has the first byte first.
    for (i, byte) in log.0.iter_mut().enumerate() {
        *byte = (number >> (120 - 8 * i)) as u8;
    }
    Ok(log)
}

fn format_text(log: LogId) -> String {
    format!("{FORMAT_NAME}\nversion {FORMAT_VERSION}\nlog {log}\n")
}

/// Makes the directory ours.
fn write_format(data: &Path, log: LogId) -> Result<LogId, LogError> {
    let (path, temporary) = (data.join(FORMAT), data.join(FORMAT_TEMPORARY));
    let write = || -> io::Result<LogId> {
        let mut file = File::create(&temporary)?;
        file.write_all(format_text(log).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_directory(data)?;
        Ok(log)
    };
    write().map_err(LogError::io("write", &path))
}

/// The log that the segments in a directory belong to.
fn identify(files: &SystemFiles) -> Result<Option<LogId>, LogError> {
    let names = match files.list() {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(LogError::io("list", files.root())(e)),
    };
    for name in names.iter().filter(|n| SegmentName::parse(n).is_some()) {
        let mut page = [0; SEGMENT_PAGE];
        let read = File::open(files.root().join(name)).and_then(|mut f| f.read_exact(&mut page));
        if let (Ok(()), Ok(header)) = (read, SegmentHeader::decode(&page)) {
            return Ok(Some(header.log));
        }
    }
    Ok(None)
}

const SEGMENTS: &str = "log";
const LOCK: &str = "LOCK";
const LIVE: &str = "LIVE";
const FORMAT: &str = "FORMAT";
const FORMAT_TEMPORARY: &str = "FORMAT.tmp";
const FORMAT_NAME: &str = "tidegate log";
/// More than FORMAT and LOCK ever hold.
const TEXT_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_file_round_trips_and_a_newer_one_is_refused() {
        let log = LogId(*b"\x00\x01\xfftidegate-log\x80");
        assert_eq!(parse_format(&format_text(log)), Ok(log));
        let newer = format_text(log).replace("version 1", "version 2");
        assert_eq!(parse_format(&newer), Err(FormatProblem::Newer("version 2".into())));
        for bad in [
            "",
            "tidegate log",
            "tidegate log\nversion 0\n",
            "x\nversion 1\n",
            "tidegate log\nversion 1\nlog zz",
        ] {
            assert!(matches!(parse_format(bad), Err(FormatProblem::Foreign(_))), "{bad:?}");
        }
    }
}
