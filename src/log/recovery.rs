//! Bringing a worker's segments into order before it writes again.
//!
//! Sealed and closed segments are taken at their trailer's word: `verify` reads them through, a start does not. Open
//! ones are read: the torn tail is cut, damage stays where it is and is counted, and a trailer is written, so that
//! the segment is closed from now on. An open segment without a block was prepared and never used, and goes.
//!
//! Cutting comes before anything new is written. A crash at any point leaves what the next recovery understands.

use std::io;

use super::build::{Ending, close, is_temporary};
use super::disk::{Access, BlockFile, COMMITS_IN_FLIGHT_MAX, Files};
use super::error::{CommitFailure, LogError};
use super::reader::{Damage, DamagedPart, Found, SegmentReader};
use super::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName, Totals};
use super::survey::{Missing, Segment, SegmentState, Survey};
use crate::model::{BlockKind, LogId};

/// What a recovery found and did.
#[derive(Clone, Default, Debug)]
pub struct Recovery {
    /// The first sequence that no block ever had.
    pub next_sequence: u64,
    /// The highest sequence that is known to be durable.
    pub durable_sequence: u64,
    /// The highest arrival stamp.
    pub last_stamp_ns: u64,
    /// Segments kept.
    pub segments: u64,
    /// Segments that had not been closed, and are now.
    pub closed: u64,
    /// Torn tails cut.
    pub torn: u64,
    /// Damaged places found in segments that had not been closed.
    pub damaged: u64,
    /// Blocks that they cost, in part or as a whole, and those of segments that are gone.
    pub damaged_blocks: u64,
    /// The first [`DAMAGES_KEPT_MAX`] damaged places.
    pub damages: Vec<(SegmentName, Damage)>,
    /// Files with a segment's name that are not of this log; left alone.
    pub foreign: Vec<SegmentName>,
    /// Places where segments are gone. Once the worker has written again only those between two segments can be told
    /// from what retention took.
    pub missing: Vec<Missing>,
    /// The highest number of a segment, used or not.
    pub(super) last_number: u64,
    /// Files that may go once the worker has its next segment.
    pub(super) unused: Vec<String>,
}

/// How many damaged places a report describes; further ones are only counted.
pub const DAMAGES_KEPT_MAX: usize = 16;

/// Recovers the segments of a worker that will write again: see [`WorkerLog::open`](super::WorkerLog::open). `told`:
/// the last writer told that its blocks were durable up to there, so that these are no torn tail whatever they look
/// like.
///
/// # Errors
/// As [`Survey::take`]; also if the disk refuses to cut a torn tail.
pub(super) fn recover<S: Files>(files: &S, log: LogId, worker: u32, told: u64) -> Result<Recovery, LogError> {
    let mut survey = Survey::take(files, log, Some(worker))?;
    if told > 0 {
        survey.expect_durable(worker, told);
    }
    let mut recovery = Recovery { next_sequence: told + 1, ..Recovery::default() };
    recovery.damaged_blocks = survey.missing.iter().map(Missing::blocks).sum();
    (recovery.foreign, recovery.missing) = (survey.foreign, survey.missing);
    recovery.unused.extend(files.list().map_err(LogError::io("list", files.place()))?);
    recovery.unused.retain(|name| is_temporary(name, worker));
    for name in &recovery.foreign {
        recovery.last_number = recovery.last_number.max(name.number);
    }
    for segment in &survey.segments {
        recovery.last_number = recovery.last_number.max(segment.name.number);
        recovery.next_sequence = recovery.next_sequence.max(segment.sequence_floor);
        recovery.last_stamp_ns = recovery.last_stamp_ns.max(segment.totals.last_stamp_ns);
    }
    if survey.segments.iter().any(|s| !s.is_closed()) {
        // Commits under way when the machine stopped may have left no trace; their numbers are not used again.
        recovery.next_sequence += COMMITS_IN_FLIGHT_MAX as u64;
    }
    for segment in &survey.segments {
        if segment.is_closed() {
            recovery.durable_sequence = recovery.durable_sequence.max(segment.totals.last_sequence);
            recovery.segments += 1;
        } else {
            recovery.close(files, log, segment)?;
        }
    }
    Ok(recovery)
}

/// Recovers the segments of workers that do not write any more, `writes` telling who does: there were more of them at
/// an earlier start. `told` gives the sequence up to which the last writer told that a worker's log was durable. Gives
/// what became of each.
///
/// # Errors
/// As [`WorkerLog::open`](super::WorkerLog::open).
pub fn recover_others<S: Files>(
    files: &S,
    log: LogId,
    writes: impl Fn(u32) -> bool,
    told: impl Fn(u32) -> u64,
) -> Result<Vec<(u32, Recovery)>, LogError> {
    let names = files.list().map_err(LogError::io("list", files.place()))?;
    let mut workers: Vec<u32> =
        names.iter().filter_map(|n| SegmentName::parse(n)).map(|n| n.worker).collect();
    workers.sort_unstable();
    workers.dedup();
    let mut done = Vec::new();
    for worker in workers.into_iter().filter(|&w| !writes(w)) {
        let mut recovery = recover(files, log, worker, told(worker))?;
        if let Some(telling) = most_telling(files, &recovery.unused) {
            // It may be all that remembers the sequence: it stays, without the storage that it was given.
            let path = telling.name.to_string();
            keep_empty(files, &path, &telling, &recovery).map_err(LogError::io("close", &path))?;
            recovery.unused.retain(|name| *name != path);
        }
        recovery.remove_unused(files).map_err(LogError::io("remove", "unused segments"))?;
        done.push((worker, recovery));
    }
    Ok(done)
}

/// Of unused segments, the header of the one that says most of the sequence. Those that have lost theirs say nothing.
fn most_telling<S: Files>(files: &S, unused: &[String]) -> Option<SegmentHeader> {
    let header = |path: &String| {
        SegmentName::parse(path)?;
        let mut page = [0; SEGMENT_PAGE];
        files.open(path, Access::Read).and_then(|file| file.read_full_at(&mut page, 0)).ok()?;
        SegmentHeader::decode(&page).ok()
    };
    unused.iter().filter_map(header).max_by_key(|header| (header.sequence_floor, header.name))
}

/// Closes an unused segment with all that is known of the sequence. On a full disk it goes on to say what it said, and
/// the others what they did.
fn keep_empty<S: Files>(
    files: &S,
    path: &str,
    header: &SegmentHeader,
    recovery: &Recovery,
) -> io::Result<()> {
    let file = files.open(path, Access::Write)?;
    let floor = recovery.next_sequence;
    end(&file, &Ending::of_nothing(&SegmentHeader { sequence_floor: floor, ..header.clone() }), &[])?;
    Ok(())
}

impl Recovery {
    fn close<S: Files>(&mut self, files: &S, log: LogId, segment: &Segment) -> Result<(), LogError> {
        let path = segment.name.to_string();
        let file = files.open(&path, Access::Write).map_err(LogError::io("open", &path))?;
        let found = read_through(file.clone(), log, segment);
        self.torn += u64::from(found.torn);
        self.damaged += found.damaged;
        self.damaged_blocks += found.damaged_blocks;
        let room = DAMAGES_KEPT_MAX - self.damages.len();
        self.damages.extend(found.damages.into_iter().take(room).map(|d| (segment.name, d)));
        if found.totals.blocks == 0 && found.damaged == 0 {
            self.unused.push(path);
            return Ok(());
        }
        let Some(epoch) = segment.epoch else {
            // Neither header nor block says whose it is: left for a person to look at.
            return Ok(());
        };
        self.durable_sequence = self.durable_sequence.max(found.totals.last_sequence);
        let ending = Ending {
            log,
            name: segment.name,
            epoch,
            data_end: found.data_end,
            sequence_floor: self.next_sequence,
            totals: found.totals,
        };
        end(&file, &ending, &found.footer).map_err(LogError::io("close", path))?;
        self.segments += 1;
        self.closed += 1;
        Ok(())
    }

    /// Gives back the storage of unused segments, and leaves their headers, which remember the sequence.
    pub(super) fn shrink_unused<S: Files>(&self, files: &S) -> io::Result<()> {
        for name in &self.unused {
            let file = match files.open(name, Access::Write) {
                Ok(file) => file,
                // A file under a temporary name has gone with the attempt to make a new one.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if file.len()? > SEGMENT_PAGE as u64 {
                file.set_len(SEGMENT_PAGE as u64)?;
                file.sync()?;
            }
        }
        Ok(())
    }

    /// Makes way: what a worker's unfinished files took is free again.
    pub(super) fn remove_unused<S: Files>(&mut self, files: &S) -> io::Result<()> {
        for name in self.unused.drain(..) {
            match files.remove(&name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        files.sync_directory()
    }
}

/// How a segment was ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// With a trailer.
    Closed,
    /// Behind its last block; the disk had no room for a trailer.
    Cut,
}

/// Closes a segment; on a full disk at least cuts it.
pub(super) fn end<F: BlockFile>(file: &F, ending: &Ending, footer: &[u8]) -> io::Result<Ended> {
    match close(file, ending, footer) {
        Err(e) if CommitFailure::from(&e) == CommitFailure::NoSpace => {
            file.set_len(ending.data_end)?;
            file.sync()?;
            Ok(Ended::Cut)
        }
        closed => closed.map(|()| Ended::Closed),
    }
}

struct ReadThrough {
    totals: Totals,
    data_end: u64,
    footer: Vec<u8>,
    torn: bool,
    damaged: u64,
    damaged_blocks: u64,
    damages: Vec<Damage>,
}

impl ReadThrough {
    fn note(&mut self, damage: Damage) {
        self.damaged += 1;
        self.damaged_blocks += damage.blocks();
        if self.damages.len() < DAMAGES_KEPT_MAX {
            self.damages.push(damage);
        }
    }
}

fn read_through<F: BlockFile>(file: F, log: LogId, segment: &Segment) -> ReadThrough {
    debug_assert_eq!(segment.state, SegmentState::Open);
    let stamp_ns = segment.header.as_ref().map_or(0, |h| h.created_ns);
    let mut out = ReadThrough {
        totals: Totals::empty(segment.expected_first.max(1), stamp_ns),
        data_end: SEGMENT_PAGE as u64,
        footer: Vec::new(),
        torn: false,
        damaged: 0,
        damaged_blocks: 0,
        damages: Vec::new(),
    };
    let mut reader = SegmentReader::new(file, log, segment);
    while let Some(found) = reader.read_next() {
        match found {
            Found::Block(block) if block.header.kind == BlockKind::Footer => {
                // Its writer was closing the segment: finish that.
                out.footer = block.payload.map(<[u8]>::to_vec).unwrap_or_default();
                break;
            }
            Found::Block(block) => {
                out.totals.add(block.header);
                out.data_end = block.offset + block.header.block_len() as u64;
                if let Some(damage) = block.damage() {
                    out.note(damage);
                }
            }
            Found::Damage(damage) if damage.part == DamagedPart::Footer => {}
            Found::Damage(damage) => {
                out.totals.last_sequence = out.totals.last_sequence.max(damage.last_sequence);
                out.data_end = damage.offset + damage.len;
                out.note(damage);
            }
        }
    }
    out.torn = reader.torn_at().is_some();
    out
}
