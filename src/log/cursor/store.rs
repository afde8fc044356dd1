//! The cursors of a log, in the process that writes it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::slot::{Decoded, POSITIONS_MAX, SLOT_BYTES, SLOTS, Slot};
use super::tally::Tally;
use super::{CURSORS_MAX, Positions, is_cursor_name};
use crate::log::disk::{Access, BlockFile, Files};
use crate::log::error::LogError;
use crate::log::live::Tide;
use crate::log::survey::{Segment, Survey};
use crate::model::LogId;
use crate::sync::Pulse;

/// The cursors of a log. Threads share it by reference.
///
/// Each change is one write and one sync of a file of 16 KiB; a thread that makes one waits for those of others.
#[derive(Debug)]
pub struct Cursors<S> {
    files: S,
    log: LogId,
    live: Option<Arc<Tide>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<String, Entry>,
    /// The directory is not ours any more.
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    /// As it is on disk, in slot `at`.
    slot: Slot,
    at: usize,
    claimed: bool,
}

/// A cursor as it is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// What it has passed.
    pub positions: Positions,
    /// What retention took before it was passed, ever.
    pub lost: Tally,
}

/// Where a new cursor begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorStart {
    /// Before all that the log holds.
    Oldest,
    /// Behind all that is durable now.
    Now,
}

/// What a cursor has lost to retention at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// The cursor's name.
    pub cursor: String,
    /// What it had before it.
    pub lost: Tally,
}

/// Why a cursor could not be made, moved or removed.
#[derive(Debug)]
pub enum CursorError {
    /// No cursor may have this name: see [`is_cursor_name`].
    Name(String),
    /// There is one of this name.
    Exists(String),
    /// There is none of this name.
    Missing(String),
    /// A reader has it.
    InUse(String),
    /// There are [`CURSORS_MAX`] already.
    TooMany,
    /// The position is ahead of what its reader was given.
    Ahead {
        /// The worker.
        worker: u32,
        /// The sequence.
        sequence: u64,
    },
    /// The engine is closed.
    Closed,
    /// The disk refused: the change is in doubt, and the cursor is where it was or where it was to be.
    Log(LogError),
}

impl<S: Files> Cursors<S> {
    /// The cursors in `files`, which no other process writes.
    ///
    /// A cursor whose file is damaged begins again before all that the log holds: its reader is given blocks again, and
    /// loses none.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Newer`].
    pub fn open(files: S, log: LogId) -> Result<Cursors<S>, LogError> {
        let entries = read_all(&files, log)?;
        Ok(Cursors { files, log, live: None, state: Mutex::new(State { entries, closed: false }) })
    }

    pub(in crate::log) fn watching(mut self, live: Arc<Tide>) -> Cursors<S> {
        self.live = Some(live);
        self
    }

    /// Makes a cursor. It is durable, and holds retention, when this returns.
    ///
    /// # Errors
    /// [`CursorError`].
    pub fn create(&self, name: &str, start: CursorStart) -> Result<Cursor, CursorError> {
        if !is_cursor_name(name) {
            return Err(CursorError::Name(name.to_owned()));
        }
        let mut state = self.open_state()?;
        if state.entries.contains_key(name) {
            return Err(CursorError::Exists(name.to_owned()));
        }
        if state.entries.len() >= CURSORS_MAX {
            return Err(CursorError::TooMany);
        }
        let positions = match start {
            CursorStart::Oldest => Positions::default(),
            CursorStart::Now => self.durable()?,
        };
        let slot = Slot { revision: 1, positions, ..Slot::default() };
        check_room(name, &slot)?;
        self.make(name, &slot).map_err(LogError::io("make", file_name(name)))?;
        let entry = Entry { slot, at: 0, claimed: false };
        let cursor = entry.cursor(name);
        state.entries.insert(name.to_owned(), entry);
        Ok(cursor)
    }

    /// Removes a cursor that no reader has: retention is held by it no longer.
    ///
    /// # Errors
    /// [`CursorError::Missing`], [`CursorError::InUse`], [`CursorError::Closed`], [`CursorError::Log`].
    pub fn delete(&self, name: &str) -> Result<(), CursorError> {
        let mut state = self.open_state()?;
        if state.entry(name)?.claimed {
            return Err(CursorError::InUse(name.to_owned()));
        }
        let path = file_name(name);
        let removed = match self.files.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => self.files.sync_directory(),
        };
        removed.map_err(LogError::io("remove", path))?;
        state.entries.remove(name);
        Ok(())
    }

    /// Moves a cursor behind all blocks of `positions`; where it is further already it stays. Durable when it returns.
    ///
    /// # Errors
    /// [`CursorError::Missing`], [`CursorError::Closed`], [`CursorError::Log`].
    pub fn commit(&self, name: &str, positions: &Positions) -> Result<(), CursorError> {
        let mut state = self.open_state()?;
        let entry = state.entry(name)?;
        let mut slot = entry.slot.clone();
        if !slot.positions.pass_all(positions) {
            return Ok(());
        }
        check_room(name, &slot)?;
        Ok(self.write(name, entry, slot)?)
    }

    /// A cursor as it is on disk.
    pub fn cursor(&self, name: &str) -> Option<Cursor> {
        self.state().entries.get(name).map(|entry| entry.cursor(name))
    }

    /// All cursors, by name.
    pub fn list(&self) -> Vec<Cursor> {
        self.state().entries.iter().map(|(name, entry)| entry.cursor(name)).collect()
    }

    /// What is durable and not passed by a cursor.
    ///
    /// # Errors
    /// [`CursorError::Missing`], [`CursorError::Log`].
    pub fn behind(&self, name: &str) -> Result<Tally, CursorError> {
        let cursor = self.cursor(name).ok_or_else(|| CursorError::Missing(name.to_owned()))?;
        Ok(Tally::ahead_of(&cursor.positions, &self.survey()?, &self.files, self.log)?)
    }

    /// Gives a cursor to one reader, which hands it back by [`release`](Cursors::release).
    ///
    /// # Errors
    /// [`CursorError::Missing`], [`CursorError::InUse`], [`CursorError::Closed`].
    pub fn claim(&self, name: &str) -> Result<Cursor, CursorError> {
        let mut state = self.open_state()?;
        let entry = state.entry(name)?;
        if std::mem::replace(&mut entry.claimed, true) {
            return Err(CursorError::InUse(name.to_owned()));
        }
        Ok(entry.cursor(name))
    }

    /// Takes a cursor back from its reader.
    pub fn release(&self, name: &str) {
        if let Some(entry) = self.state().entries.get_mut(name) {
            entry.claimed = false;
        }
    }

    /// The furthest that some cursor has passed, of each worker.
    pub(in crate::log) fn passed(&self) -> Positions {
        let mut passed = Positions::default();
        self.state().entries.values().for_each(|entry| _ = passed.pass_all(&entry.slot.positions));
        passed
    }

    /// Where they are.
    pub(in crate::log) fn files(&self) -> &S {
        &self.files
    }

    /// The log's identity.
    pub fn log(&self) -> LogId {
        self.log
    }

    /// Beats whenever something may have become durable; closed with the engine. `None` where nobody writes.
    pub fn moved(&self) -> Option<&Pulse> {
        self.live.as_ref().map(|live| live.moved())
    }

    /// The durable sequence of each worker that writes, and once they are done the one at which they ended; `None`
    /// where nobody does.
    pub fn watermarks(&self) -> Option<Vec<u64>> {
        self.live.as_ref().map(|live| live.watermarks())
    }

    /// Ends all changes: when this returns none is under way.
    pub(in crate::log) fn close(&self) {
        self.state().closed = true;
        if let Some(live) = &self.live {
            live.moved().close();
        }
    }

    /// Whether some cursor has not passed all blocks of a segment of `worker` that ends with this sequence.
    pub(in crate::log) fn hold(&self, worker: u32, last_sequence: u64) -> bool {
        self.state().entries.values().any(|entry| entry.slot.positions.passed(worker) < last_sequence)
    }

    /// Moves all cursors behind a segment, in `file`, that is about to go, and says what each loses by that. Should a
    /// crash come before the segment is gone, it costs nothing more the next time.
    pub(in crate::log) fn give_up(
        &self,
        segment: &Segment,
        file: &S::File,
    ) -> Result<Vec<GivenUp>, LogError> {
        let (worker, last_sequence) = (segment.name.worker, segment.totals.last_sequence);
        let mut given_up = Vec::new();
        for (name, entry) in &mut self.state().entries {
            let mut slot = entry.slot.clone();
            let passed = slot.positions.passed(worker);
            if !slot.positions.pass(worker, last_sequence) {
                continue;
            }
            let lost = Tally::in_file(segment, passed, file, self.log);
            slot.lost += lost;
            check_room(name, &slot)?;
            self.write(name, entry, slot)?;
            given_up.push(GivenUp { cursor: name.clone(), lost });
        }
        Ok(given_up)
    }

    /// What is durable now, of every worker.
    fn durable(&self) -> Result<Positions, LogError> {
        let watermarks = self.watermarks().unwrap_or_default();
        let mut positions: Positions = (0..).zip(watermarks).collect();
        for segment in Survey::take(&self.files, self.log, None)?.segments {
            let durable =
                if segment.is_closed() { segment.totals.last_sequence } else { segment.durable_sequence };
            positions.pass(segment.name.worker, durable);
        }
        Ok(positions)
    }

    /// What segments there are, and what of those that are being written is durable.
    fn survey(&self) -> Result<Survey, LogError> {
        let watermarks = self.watermarks();
        let mut survey = Survey::take(&self.files, self.log, None)?;
        for (worker, durable) in (0..).zip(watermarks.into_iter().flatten()) {
            survey.limit(worker, durable);
        }
        Ok(survey)
    }

    /// Makes a cursor's file: it has its name only when it is whole.
    fn make(&self, name: &str, slot: &Slot) -> io::Result<()> {
        match self.files.remove(TEMPORARY) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        self.files.create(TEMPORARY)?;
        // Created for commits, which take whole pages of aligned memory; this is none.
        let file = self.files.open(TEMPORARY, Access::Write)?;
        file.write_all_at(&slot.encode(self.log), 0)?;
        // Written through, so that later commits change no metadata and cannot lack space.
        file.write_all_at(&[0; SLOT_BYTES], SLOT_BYTES as u64)?;
        file.sync()?;
        self.files.rename(TEMPORARY, &file_name(name))?;
        self.files.sync_directory()
    }

    /// Writes over the older slot. If that fails the same slot is written next time: the sound one is never touched.
    fn write(&self, name: &str, entry: &mut Entry, mut slot: Slot) -> Result<(), LogError> {
        let at = (entry.at + 1) % SLOTS;
        slot.revision = entry.slot.revision + 1;
        let path = file_name(name);
        let write = || {
            let file = self.files.open(&path, Access::Write)?;
            file.write_all_at(&slot.encode(self.log), (at * SLOT_BYTES) as u64)?;
            file.sync()
        };
        write().map_err(LogError::io("write", &path))?;
        (entry.slot, entry.at) = (slot, at);
        Ok(())
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, CursorError> {
        let state = self.state();
        if state.closed { Err(CursorError::Closed) } else { Ok(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Entries change only when their write has succeeded, in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn entry(&mut self, name: &str) -> Result<&mut Entry, CursorError> {
        self.entries.get_mut(name).ok_or_else(|| CursorError::Missing(name.to_owned()))
    }
}

impl Entry {
    fn cursor(&self, name: &str) -> Cursor {
        Cursor { name: name.to_owned(), positions: self.slot.positions.clone(), lost: self.slot.lost }
    }
}

/// The cursors of a log that another process may be writing, by name.
pub(in crate::log) fn read_cursors<S: Files>(files: &S, log: LogId) -> Result<Vec<Cursor>, LogError> {
    let entries = read_all(files, log)?;
    Ok(entries.iter().map(|(name, entry)| entry.cursor(name)).collect())
}

fn read_all<S: Files>(files: &S, log: LogId) -> Result<BTreeMap<String, Entry>, LogError> {
    let names = files.list().map_err(LogError::io("list", files.place()))?;
    let mut entries = BTreeMap::new();
    for name in names.iter().filter_map(|n| n.strip_prefix(FILE_PREFIX)).filter(|n| is_cursor_name(n)) {
        if let Some(entry) = read(files, log, name)? {
            entries.insert(name.to_owned(), entry);
        }
    }
    Ok(entries)
}

fn read<S: Files>(files: &S, log: LogId, name: &str) -> Result<Option<Entry>, LogError> {
    let path = file_name(name);
    for _ in 0..READ_TRIES {
        let file = match files.open(&path, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LogError::io("open", path)(e)),
        };
        let mut best: Option<Entry> = None;
        for at in 0..SLOTS {
            let mut bytes = vec![0; SLOT_BYTES];
            // Unreadable bytes are as good as damaged ones.
            let read = file.read_full_at(&mut bytes, (at * SLOT_BYTES) as u64).unwrap_or(0);
            match Slot::decode(&bytes[..read], log) {
                Decoded::Sound(slot) if best.as_ref().is_none_or(|b| b.slot.revision < slot.revision) => {
                    best = Some(Entry { slot, at, claimed: false });
                }
                Decoded::Sound(_) | Decoded::Damaged => {}
                Decoded::Foreign => {
                    tracing::warn!(cursor = name, "of another log; it is left alone");
                    return Ok(None);
                }
                Decoded::Newer(version) => {
                    return Err(LogError::Newer { path: path.into(), found: format!("version {version}") });
                }
            }
        }
        if best.is_some() {
            return Ok(best);
        }
        // Both are being written at the very moments of our looking at them, or both are damaged.
    }
    tracing::error!(cursor = name, "damaged; it begins again at the oldest block");
    Ok(Some(Entry { slot: Slot::default(), at: 0, claimed: false }))
}

fn check_room(name: &str, slot: &Slot) -> Result<(), LogError> {
    if slot.positions.len() <= POSITIONS_MAX {
        return Ok(());
    }
    let reason = "more workers have written to the log than a cursor has room for";
    Err(LogError::Foreign { path: file_name(name).into(), reason })
}

fn file_name(cursor: &str) -> String {
    format!("{FILE_PREFIX}{cursor}")
}

impl From<LogError> for CursorError {
    fn from(error: LogError) -> CursorError {
        CursorError::Log(error)
    }
}

impl std::fmt::Display for CursorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CursorError::Name(name) => write!(
                f,
                "{name:?} cannot be a cursor's name: 1 to {} letters, digits, '_', '-' and '.'",
                super::CURSOR_NAME_BYTES_MAX
            ),
            CursorError::Exists(name) => write!(f, "there is a cursor {name:?} already"),
            CursorError::Missing(name) => write!(f, "there is no cursor {name:?}"),
            CursorError::InUse(name) => write!(f, "cursor {name:?} has a reader already"),
            CursorError::TooMany => write!(f, "there are {CURSORS_MAX} cursors already"),
            CursorError::Ahead { worker, sequence } => {
                write!(f, "block {sequence} of worker {worker} was not given out yet")
            }
            CursorError::Closed => f.write_str("the engine is closed"),
            CursorError::Log(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CursorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CursorError::Log(error) => Some(error),
            _ => None,
        }
    }
}

const FILE_PREFIX: &str = "cursor-";
const TEMPORARY: &str = "cursor.tmp";
/// How often a file is looked at whose slots are both unsound: its writer may be at work.
const READ_TRIES: usize = 3;
