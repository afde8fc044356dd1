//! Retention: whole closed segments go, oldest first, by arrival, by total size, by free space.
//!
//! A sweep looks at the directory, not at the workers: whatever has a trailer is done with and may go, also what
//! workers of an earlier start left. Where a worker's newest segment goes, its first page stays: it remembers the
//! sequence. (Of a worker that writes, the newest is closed only after a failure, until it has another.)
//! A file that no reader has locked is put aside for the next segment, if few are; its storage needs no zeros then.
//!
//! What a cursor has not passed stays although its age or its size would take it, up to a bound of its own; beyond
//! that, and where the file system is short of space, it goes all the same, oldest first, and the cursor counts it as
//! lost before the file is gone.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::build::{is_spare, spare_name};
use super::cursor::{Cursors, Tally};
use super::disk::{Access, BlockFile, Files, Space};
use super::error::{CommitFailure, LogError};
use super::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName};
use super::survey::{Inspected, inspect};
use crate::model::LogId;

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
    /// Segments that stayed.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Segments that went.
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

#[derive(Clone, Copy, Debug)]
struct Closed {
    bytes: u64,
    last_stamp_ns: u64,
    sequence_floor: u64,
    last_sequence: u64,
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

/// Bytes kept back so that there is room to remove files on a full file system that writes before it frees.
pub const RESERVE_BYTES: usize = 1 << 20;

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
        let names = self.files.list().map_err(LogError::io("list", "log"))?;
        let mut segments: Vec<SegmentName> = names.iter().filter_map(|n| SegmentName::parse(n)).collect();
        segments.sort_unstable();
        let mut spares: Vec<&String> = names.iter().filter(|n| is_spare(n)).collect();
        let mut swept = Swept { segments: segments.len() as u64, ..Swept::default() };
        self.closed.retain(|name, _| segments.binary_search(name).is_ok());
        swept.bytes = self.look_at(&segments)?;

        let space = self.files.space().map_err(LogError::io("measure", "log"))?;
        // Spares are free space that only we know of: they go before any segment does.
        let mut free_bytes = space.free_bytes;
        while short_of_space(retention, space, free_bytes)
            && let Some(spare) = spares.pop()
        {
            free_bytes += self.remove(spare)?;
        }
        let mut keep_spares = !short_of_space(retention, space, free_bytes);
        for Due { name, closed, held, over_size } in self.due(retention, now_ns, swept.bytes) {
            let over_space = short_of_space(retention, space, free_bytes);
            if !over_space && held != Held::Not {
                let only_held = held == Held::ByCursors;
                swept.held += u64::from(only_held);
                swept.held_bytes += if only_held { closed.bytes } else { 0 };
                continue;
            }
            let newest = is_newest(&segments, name);
            keep_spares &= !over_size && !over_space && spares.len() + (swept.spares as usize) < SPARES_MAX;
            let path = name.to_string();
            let lock = || self.files.lock_exclusive(&path).map_err(LogError::io("lock", &path));
            if newest && lock()?.is_none() {
                // Somebody reads it. It stays for as long.
                continue;
            }
            // Reads the segment, and so goes before the lock.
            swept.lost += self.give_up(name)?;
            let mut left_bytes = 0;
            // Written over or renamed while locked: a reader that gets its lock afterwards finds the rows or the name
            // gone.
            match if newest || keep_spares { lock()? } else { None } {
                None if newest => continue,
                None => free_bytes += self.remove(&path)?,
                Some(_lock) if newest => {
                    free_bytes += self.hollow_out(&path, name, closed).map_err(LogError::io("cut", &path))?;
                    left_bytes = SEGMENT_PAGE as u64;
                }
                Some(_lock) => {
                    self.files.rename(&path, &spare_name(name)).map_err(LogError::io("put aside", &path))?;
                    swept.spares += 1;
                }
            }
            self.closed.remove(&name);
            swept.bytes -= closed.bytes - left_bytes;
            swept.segments -= u64::from(!newest);
            swept.removed += 1;
            swept.removed_bytes += closed.bytes - left_bytes;
            swept.removed_for_space += u64::from(held != Held::Not);
        }
        self.files.sync_directory().map_err(LogError::io("sync", "log"))?;
        self.refill_reserve(retention, space, free_bytes);
        swept.spares += spares.len() as u64;
        swept.free_bytes = free_bytes;
        Ok(swept)
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

    /// Lets the cursors that have not passed a segment count it as lost; what they count together.
    fn give_up(&self, name: SegmentName) -> Result<Tally, LogError> {
        let mut lost = Tally::default();
        let Some(cursors) = &self.cursors else { return Ok(lost) };
        let Inspected::Ours(segment) = inspect(&self.files, self.log, name, false)? else { return Ok(lost) };
        for given_up in cursors.give_up(&segment)? {
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
                let closed = Closed {
                    bytes: segment.bytes,
                    last_stamp_ns: segment.totals.last_stamp_ns,
                    sequence_floor: segment.sequence_floor,
                    last_sequence: segment.totals.last_sequence,
                    blocks: segment.totals.blocks,
                };
                self.closed.insert(name, closed);
            }
        }
        Ok(bytes)
    }

    /// Cuts a segment down to its header, which then remembers the worker's sequence, and gives the bytes that this
    /// frees. It is written over in place: a file of its own would need room that a full disk does not have, and a name
    /// that the worker may be giving to its next segment at this moment.
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
        let removed = match self.files.remove(path) {
            Err(e) if CommitFailure::from(&e) == CommitFailure::NoSpace => {
                // What the reserve is for.
                self.empty_reserve().and_then(|()| self.files.remove(path))
            }
            removed => removed,
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", path)(e)),
            _ => Ok(freed),
        }
    }

    fn empty_reserve(&self) -> io::Result<()> {
        let reserve = self.files.open(RESERVE, Access::Write)?;
        reserve.set_len(0)?;
        reserve.sync()
    }

    /// Takes the reserve again once there is room. It is a comfort: failing to get it is no error.
    fn refill_reserve(&self, retention: &Retention, space: Space, free_bytes: u64) {
        if short_of_space(retention, space, free_bytes.saturating_sub(RESERVE_BYTES as u64)) {
            return;
        }
        let reserve = match self.files.open(RESERVE, Access::Write) {
            Ok(reserve) => reserve,
            Err(_) => {
                match self.files.create(RESERVE).and_then(|_| self.files.open(RESERVE, Access::Write)) {
                    Ok(reserve) => reserve,
                    Err(_) => return,
                }
            }
        };
        if reserve.len().is_ok_and(|len| len < RESERVE_BYTES as u64) {
            // Not zeros: a file system that compresses would store nothing.
            let mut noise = 0x2545_f491_4f6c_dd1d_u64;
            let bytes: Vec<u8> = (0..RESERVE_BYTES / 8)
                .flat_map(|_| {
                    noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    noise.to_le_bytes()
                })
                .collect();
            if reserve.write_all_at(&bytes, 0).and_then(|()| reserve.sync()).is_err() {
                let _ = reserve.set_len(0);
            }
        }
    }
}

fn is_newest(sorted: &[SegmentName], name: SegmentName) -> bool {
    let next = sorted.partition_point(|&s| s <= name);
    sorted.get(next).is_none_or(|s| s.worker != name.worker)
}

fn short_of_space(retention: &Retention, space: Space, free_bytes: u64) -> bool {
    u128::from(free_bytes) * 100 < u128::from(space.total_bytes) * u128::from(retention.free_percent_min)
}

const RESERVE: &str = "reserve";
