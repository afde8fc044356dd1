//! Retention: whole closed segments go, oldest first, by arrival, by total size, by free space.
//!
//! A sweep looks at the directory, not at the workers: whatever has a trailer is done with and may go, also what
//! workers of an earlier start left. A file that no reader has locked is put aside for the next segment, if few are;
//! its storage needs no zeros then.
//!
//! A sequence never comes back, and after a crash only the segments tell how far they have come. So of a segment with
//! the last word on that the first page stays when the rest goes, and says it, until a newer closed segment has said as
//! much in a way that no crash takes back: by its blocks, or by its header. Trailers may not be durable yet, and open
//! segments are the worker's, which may take them away again: neither counts. So a worker has few such pages.
//!
//! What a cursor has not passed stays although its age or its size would take it, up to a bound of its own; beyond
//! that, and where the file system is short of space, it goes all the same, oldest first, and the cursor counts it as
//! lost before the file is gone.

mod reserve;

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use super::build::{is_spare, spare_name};
use super::cursor::{Cursors, Tally};
use super::disk::{Access, BlockFile, Files, Space};
use super::error::LogError;
use super::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName};
use super::survey::{Inspected, Segment, inspect};
use crate::model::LogId;

pub use reserve::RESERVE_BYTES;

/// What may stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Rows stay this long after their arrival. `None`: for ever.
    pub age_ns: Option<u64>,
    /// Bytes that all segments may take. `None`: any.
    pub bytes_max: Option<u64>,
    /// Percent of the file system to be kept free. Space goes before everything else that is to stay.
    pub free_percent_min: u8,
    /// Bytes of segments that stay beyond `age_ns` and `bytes_max`, because a cursor has not passed them. They do not
    /// count for `bytes_max`.
    pub cursor_bytes_max: u64,
}

/// What a sweep found and did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Segments that stayed, be it with their first page alone.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Segments with rows that went.
    pub removed: u64,
    /// Bytes of their files.
    pub removed_bytes: u64,
    /// Of the segments that went, those that retention would have kept for longer, had the file system had more room.
    pub removed_for_space: u64,
    /// Of the segments that stayed, those that only cursors keep.
    pub held: u64,
    /// Bytes of their files.
    pub held_bytes: u64,
    /// What went before some cursor had passed it, over all cursors.
    pub lost: Tally,
    /// Files waiting to be used again.
    pub spares: u64,
    /// Room on the file system, at the end.
    pub free_bytes: u64,
}

/// Sweeps a directory, again and again; remembers what it has looked at.
#[derive(Debug)]
pub struct Sweeper<S> {
    files: S,
    log: LogId,
    cursors: Option<Arc<Cursors<S>>>,
    closed: BTreeMap<SegmentName, Closed>,
}

/// What is remembered of a segment that changes no more.
#[derive(Clone, Copy, Debug)]
struct Closed {
    bytes: u64,
    last_stamp_ns: u64,
    /// Sequences below this are used up.
    sequence_floor: u64,
    /// As much of that as no crash takes back.
    lasting_floor: u64,
    last_sequence: u64,
    /// None: it was never used, or its rows have gone.
    blocks: u64,
}

/// A closed segment, and whether it may go.
#[derive(Clone, Copy, Debug)]
struct Due {
    name: SegmentName,
    closed: Closed,
    held: Held,
    over_size: bool,
}

/// What keeps a segment while there is space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Held {
    /// Nothing: it goes.
    Not,
    /// Only cursors.
    ByCursors,
    /// It is not due.
    ByRetention,
}

/// Files kept for being used again, at most: each worker needs one at a time, and few rotate at once.
pub const SPARES_MAX: usize = 4;

impl<S: Files> Sweeper<S> {
    /// A sweeper of the segments of `log` in `files`.
    pub fn new(files: S, log: LogId) -> Sweeper<S> {
        Sweeper { files, log, cursors: None, closed: BTreeMap::new() }
    }

    /// Keeps what these cursors, of the same log, have not passed.
    pub fn minding(mut self, cursors: Arc<Cursors<S>>) -> Sweeper<S> {
        self.cursors = Some(cursors);
        self
    }

    /// Removes what may not stay.
    ///
    /// # Errors
    /// [`LogError`]; segments that could not be looked at stay.
    pub fn sweep(&mut self, retention: &Retention, now_ns: u64) -> Result<Swept, LogError> {
        let names = self.files.list().map_err(LogError::io("list", self.files.place()))?;
        let mut segments: Vec<SegmentName> = names.iter().filter_map(|n| SegmentName::parse(n)).collect();
        segments.sort_unstable();
        let mut spares: Vec<&String> = names.iter().filter(|n| is_spare(n)).collect();
        let mut swept = Swept { segments: segments.len() as u64, ..Swept::default() };
        self.closed.retain(|name, _| segments.binary_search(name).is_ok());
        swept.bytes = self.look_at(&segments)?;
        self.remove_empty(&mut swept)?;

        let space = self.files.space().map_err(LogError::io("measure", "log"))?;
        // Spares are free space that only we know of: they go before any segment does.
        let mut free_bytes = space.free_bytes;
        while short_of_space(retention, space, free_bytes)
            && let Some(spare) = spares.pop()
        {
            free_bytes += self.remove(spare)?;
        }
        let mut keep_spares = !short_of_space(retention, space, free_bytes);
        for due in self.due(retention, now_ns, swept.bytes) {
            let over_space = short_of_space(retention, space, free_bytes);
            if !over_space && due.held != Held::Not {
                let only_held = due.held == Held::ByCursors;
                swept.held += u64::from(only_held);
                swept.held_bytes += if only_held { due.closed.bytes } else { 0 };
                continue;
            }
            keep_spares &=
                !due.over_size && !over_space && spares.len() + (swept.spares as usize) < SPARES_MAX;
            free_bytes += self.let_go(&due, keep_spares, &mut swept)?;
        }
        self.files.sync_directory().map_err(LogError::io("sync", "log"))?;
        if !short_of_space(retention, space, free_bytes.saturating_sub(RESERVE_BYTES as u64)) {
            reserve::refill(&self.files);
        }
        swept.spares += spares.len() as u64;
        swept.free_bytes = free_bytes;
        Ok(swept)
    }

    /// Takes a segment away, as a spare if that is wanted, and gives the bytes that this frees.
    fn let_go(&mut self, due: &Due, as_spare: bool, swept: &mut Swept) -> Result<u64, LogError> {
        let &Due { name, closed, held, .. } = due;
        let path = name.to_string();
        let last_word = !self.is_said_again(name, closed.sequence_floor);
        // Written over or renamed while locked: a reader that gets its lock afterwards finds the rows or the name gone.
        let lock = if last_word || as_spare {
            self.files.lock_exclusive(&path).map_err(LogError::io("lock", &path))?
        } else {
            None
        };
        if last_word && lock.is_none() {
            // Somebody reads it. Whatever became of its name, its storage would not be free before the reader lets it
            // go, which it does when it is through. It stays for as long, and no cursor loses it.
            return Ok(0);
        }
        swept.lost += self.give_up(name, lock.as_ref())?;
        let (mut freed_bytes, mut left_bytes) = (0, 0);
        match lock {
            None => freed_bytes = self.remove(&path)?,
            Some(_lock) if last_word => {
                freed_bytes = self.hollow_out(&path, name, closed).map_err(LogError::io("cut", &path))?;
                left_bytes = SEGMENT_PAGE as u64;
            }
            Some(_lock) => {
                self.files.rename(&path, &spare_name(name)).map_err(LogError::io("put aside", &path))?;
                swept.spares += 1;
            }
        }
        if last_word {
            self.closed.insert(name, closed.hollow());
        } else {
            self.closed.remove(&name);
        }
        swept.bytes -= closed.bytes - left_bytes;
        swept.segments -= u64::from(!last_word);
        swept.removed += 1;
        swept.removed_bytes += closed.bytes - left_bytes;
        swept.removed_for_space += u64::from(held != Held::Not);
        Ok(freed_bytes)
    }

    /// All closed segments with blocks, oldest first, and why each is to go or to stay. `bytes` are those of all
    /// segments.
    fn due(&self, retention: &Retention, now_ns: u64, mut bytes: u64) -> Vec<Due> {
        let mut candidates: Vec<(SegmentName, Closed)> =
            self.closed.iter().map(|(&n, &c)| (n, c)).filter(|(_, c)| c.blocks > 0).collect();
        candidates.sort_by_key(|&(name, closed)| (closed.last_stamp_ns, name));
        let mut over = true;
        let mut due: Vec<Due> = candidates
            .into_iter()
            .map(|(name, closed)| {
                let expired =
                    retention.age_ns.is_some_and(|age| closed.last_stamp_ns < now_ns.saturating_sub(age));
                let over_size = retention.bytes_max.is_some_and(|max| bytes > max);
                over &= expired || over_size;
                if !over {
                    return Due { name, closed, held: Held::ByRetention, over_size: false };
                }
                bytes -= closed.bytes;
                let unpassed =
                    self.cursors.as_ref().is_some_and(|c| c.hold(name.worker, closed.last_sequence));
                let held = if unpassed { Held::ByCursors } else { Held::Not };
                Due { name, closed, held, over_size }
            })
            .collect();
        // Of what cursors hold the newest stays, as much of it as the bound has room for.
        let mut room = Some(retention.cursor_bytes_max);
        for due in due.iter_mut().rev().filter(|due| due.held == Held::ByCursors) {
            room = room.and_then(|room| room.checked_sub(due.closed.bytes));
            if room.is_none() {
                due.held = Held::Not;
            }
        }
        due
    }

    /// Takes away segments without a block, once they need not remember the sequence.
    fn remove_empty(&mut self, swept: &mut Swept) -> Result<(), LogError> {
        let empty: Vec<(SegmentName, Closed)> =
            self.closed.iter().map(|(&n, &c)| (n, c)).filter(|(_, c)| c.blocks == 0).collect();
        for (name, closed) in empty {
            if self.is_said_again(name, closed.sequence_floor) {
                self.remove(&name.to_string())?;
                self.closed.remove(&name);
                swept.segments -= 1;
                swept.bytes -= closed.bytes;
            }
        }
        Ok(())
    }

    /// Whether a newer segment of the same worker, which stays, says that the sequences below `floor` are used up.
    fn is_said_again(&self, name: SegmentName, floor: u64) -> bool {
        let last = SegmentName { number: u64::MAX, ..name };
        let mut newer = self.closed.range((Bound::Excluded(name), Bound::Included(last)));
        newer.any(|(_, closed)| closed.lasting_floor >= floor)
    }

    /// Lets the cursors that have not passed a segment count it as lost; what they count together. A file that is
    /// locked is read through its lock: nobody else may.
    fn give_up(&self, name: SegmentName, locked: Option<&S::File>) -> Result<Tally, LogError> {
        let mut lost = Tally::default();
        let Some(cursors) = &self.cursors else { return Ok(lost) };
        let Inspected::Ours(segment) = inspect(&self.files, self.log, name, false)? else { return Ok(lost) };
        let file = match locked {
            Some(file) => file.clone(),
            None => {
                let path = name.to_string();
                self.files.open(&path, Access::Read).map_err(LogError::io("open", path))?
            }
        };
        for given_up in cursors.give_up(&segment, &file)? {
            tracing::warn!(
                cursor = given_up.cursor,
                segment = %name,
                blocks = given_up.lost.blocks,
                rows = given_up.lost.rows,
                "removed before the cursor has passed it"
            );
            lost += given_up.lost;
        }
        Ok(lost)
    }

    /// Gets to know the segments that were closed since the last time; gives the bytes of all.
    fn look_at(&mut self, segments: &[SegmentName]) -> Result<u64, LogError> {
        let mut bytes = 0;
        for &name in segments {
            if let Some(closed) = self.closed.get(&name) {
                bytes += closed.bytes;
                continue;
            }
            let Inspected::Ours(segment) = inspect(&self.files, self.log, name, false)? else {
                continue;
            };
            bytes += segment.bytes;
            if segment.is_closed() {
                self.closed.insert(name, Closed::new(&segment));
            }
        }
        Ok(bytes)
    }

    /// Cuts a segment down to its header, which then remembers the worker's sequence, and gives the bytes that this
    /// frees. It is written over in place: a file of its own would need room that a full disk does not have.
    fn hollow_out(&self, path: &str, name: SegmentName, closed: Closed) -> io::Result<u64> {
        let file = self.files.open(path, Access::Write)?;
        let freed = file.allocated_bytes()?.saturating_sub(SEGMENT_PAGE as u64);
        let mut page = [0; SEGMENT_PAGE];
        file.read_full_at(&mut page, 0)?;
        let header = SegmentHeader {
            compatible: 0,
            log: self.log,
            name,
            // The trailer's, so that this goes on to speak for the segment until it is cut off.
            epoch: SegmentHeader::decode(&page).map_or(0, |header| header.epoch),
            created_ns: closed.last_stamp_ns,
            sequence_floor: closed.sequence_floor,
        };
        file.write_all_at(&header.encode(), 0)?;
        file.sync()?;
        file.set_len(SEGMENT_PAGE as u64)?;
        file.sync()?;
        Ok(freed)
    }

    /// Removes a file and gives the bytes that this frees.
    fn remove(&self, path: &str) -> Result<u64, LogError> {
        let freed = self.files.open(path, Access::Read).and_then(|f| f.allocated_bytes()).unwrap_or(0);
        match reserve::remove(&self.files, path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", path)(e)),
            _ => Ok(freed),
        }
    }
}

impl Closed {
    fn new(segment: &Segment) -> Closed {
        let totals = &segment.totals;
        // Acknowledged blocks and the header were synced before anything came behind them.
        let by_blocks = if totals.blocks > 0 { totals.last_sequence.saturating_add(1) } else { 1 };
        let by_header = segment.header.as_ref().map_or(1, |header| header.sequence_floor);
        Closed {
            bytes: segment.bytes,
            last_stamp_ns: totals.last_stamp_ns,
            sequence_floor: segment.sequence_floor.max(by_blocks),
            lasting_floor: by_header.max(by_blocks),
            last_sequence: totals.last_sequence,
            blocks: totals.blocks,
        }
    }

    /// What is left of it when [`Sweeper::hollow_out`] is done.
    fn hollow(self) -> Closed {
        Closed { bytes: SEGMENT_PAGE as u64, lasting_floor: self.sequence_floor, blocks: 0, ..self }
    }
}

fn short_of_space(retention: &Retention, space: Space, free_bytes: u64) -> bool {
    u128::from(free_bytes) * 100 < u128::from(space.total_bytes) * u128::from(retention.free_percent_min)
}
