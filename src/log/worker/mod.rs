//! A worker's log: takes encoded blocks, makes them durable in order, says when.
//!
//! In: blocks in aligned buffers, whose headers carry this log's epoch and next sequence. Out: completions, in the
//! order of the commits, each with its buffer. Kept: sequences rise by one and never come back; a completion without
//! failure means that the block and all before it in its segment are on stable storage; nothing is written behind a
//! failed commit in the same segment. Not known: rows, codecs, sockets, the clock.
//!
//! Files are prepared and closed in the background: see [`segments`]. A worker only ever writes blocks, one behind
//! the other.

mod segments;

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::bytes::AlignedBuf;
use crate::log::build::{Ending, Prepared, close};
use crate::log::disk::{COMMITS_IN_FLIGHT_MAX, Disk, Files, JOBS_MAX, Write, Written};
use crate::log::error::{CommitFailure, LogError};
use crate::log::live::LiveSlot;
use crate::log::random::Random;
use crate::log::recovery::{Recovery, recover};
use crate::log::segment::{SEGMENT_PAGE, SegmentName, Totals};
use crate::model::{BLOCK_ALIGN, BLOCK_BYTES_MAX, BlockHeader, LogId};

/// What a worker's log is told once.
#[derive(Debug)]
pub struct WorkerOptions {
    /// The log's identity.
    pub log: LogId,
    /// The worker's number.
    pub worker: u32,
    /// Bytes of the first segment; each further one has twice as many, up to `segment_bytes_max`.
    pub segment_bytes_min: u64,
    /// Bytes of a segment at which it is time for the next one.
    pub segment_bytes_max: u64,
    /// Randomness for epochs: fresh at each start.
    pub seed: u64,
    /// Where readers in other processes find the watermark.
    pub live: Option<LiveSlot>,
}

/// Bytes of a worker's first segment.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 20;

/// Bytes of a segment at which it is time for the next one.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;

/// Rotation waits until a segment's blocks take this many times the bytes of its dictionary, which each segment
/// repeats.
pub const DATA_TO_DICTIONARY_MIN: u64 = 8;

/// A commit that has come to an end.
#[derive(Debug)]
pub struct Completion {
    /// The block's sequence.
    pub sequence: u64,
    /// Whether it is durable. After a failure the segment has ended: see [`WorkerLog::try_reopen`].
    pub result: Result<(), CommitFailure>,
    /// Its buffer.
    pub buf: AlignedBuf,
    /// From [`commit`](WorkerLog::commit) to the [`poll`](WorkerLog::poll) that reported it.
    pub duration_ns: u64,
}

/// Why a commit was not started; the buffer comes back.
#[derive(Debug)]
pub enum Refused {
    /// [`COMMITS_IN_FLIGHT_MAX`] are under way.
    Busy(AlignedBuf),
    /// No segment is open: see [`WorkerLog::try_reopen`].
    Ended(AlignedBuf),
}

/// Makes a footer's payload from what its caller captured; runs on a background thread.
pub type Footer = Box<dyn FnOnce() -> Vec<u8> + Send>;

/// A worker's log.
#[derive(Debug)]
pub struct WorkerLog<D: Disk> {
    disk: D,
    options: WorkerOptions,
    state: State<FileOf<D>>,
    next: Next<FileOf<D>>,
    /// Segments that were cut and have no trailer, the disk having been full.
    unclosed: Vec<(FileOf<D>, Ending)>,
    in_flight: VecDeque<InFlight>,
    written: Vec<Written>,
    next_sequence: u64,
    durable_sequence: u64,
    last_stamp_ns: u64,
    last_number: u64,
    next_bytes: u64,
    random: Random,
    jobs: usize,
    reopen_wanted: bool,
    reports: Receiver<Report<FileOf<D>>>,
    report: SyncSender<Report<FileOf<D>>>,
    last_error: Option<String>,
}

type FileOf<D> = <<D as Disk>::Files as Files>::File;

#[derive(Debug)]
enum State<F> {
    Open(Active<F>),
    /// A commit failed, or there was no room for a first segment. `Some`: the segment is still to be cut.
    Ended(Option<Active<F>>),
    Reopening,
}

#[derive(Debug)]
struct Active<F> {
    segment: Prepared<F>,
    /// Where the next block goes.
    at: u64,
    /// Where the acknowledged blocks end.
    sound_end: u64,
    totals: Totals,
    /// At which length to ask for the next segment.
    prepare_at: u64,
}

#[derive(Debug)]
enum Next<F> {
    None,
    Preparing,
    Ready(Prepared<F>),
}

#[derive(Debug)]
struct InFlight {
    header: BlockHeader,
    end: u64,
    started_ns: u64,
    written: Option<Written>,
}

#[derive(Debug)]
enum Report<F> {
    Prepared(io::Result<Prepared<F>>),
    Closed(SegmentName, io::Result<()>),
    /// With the segments for whose trailers there was no room.
    Reopened(io::Result<Prepared<F>>, Vec<(F, Ending)>),
}

impl<D: Disk> WorkerLog<D> {
    /// Recovers a worker's segments and opens a new one.
    ///
    /// Blocks while it reads and writes. If there is no room for a segment, the log is open, but ended: see
    /// [`try_reopen`](WorkerLog::try_reopen).
    ///
    /// # Errors
    /// [`LogError`]; damage is none.
    pub fn open(disk: D, options: WorkerOptions) -> Result<(WorkerLog<D>, Recovery), LogError> {
        let told = options.live.as_ref().map_or(0, LiveSlot::told_before);
        let mut recovery = recover(disk.files(), options.log, options.worker, told)?;
        let (report, reports) = sync_channel(JOBS_MAX);
        let mut log = WorkerLog {
            disk,
            state: State::Ended(None),
            next: Next::None,
            unclosed: Vec::new(),
            in_flight: VecDeque::with_capacity(COMMITS_IN_FLIGHT_MAX),
            written: Vec::with_capacity(COMMITS_IN_FLIGHT_MAX),
            next_sequence: recovery.next_sequence,
            durable_sequence: recovery.durable_sequence,
            last_stamp_ns: recovery.last_stamp_ns,
            last_number: recovery.last_number,
            next_bytes: options.segment_bytes_min,
            random: Random::new(options.seed),
            jobs: 0,
            reopen_wanted: false,
            reports,
            report,
            last_error: None,
            options,
        };
        log.open_first(&recovery)?;
        if let State::Open(_) = log.state {
            // Only now: an unused segment may be all that remembers the sequence.
            recovery.remove_unused(log.disk.files()).map_err(LogError::io("remove", "unused segments"))?;
        } else {
            // What is durable can be read, and is told again to whoever starts next.
            log.publish();
        }
        Ok((log, recovery))
    }

    /// The epoch that the next block must carry; `None` while no segment is open.
    pub fn epoch(&self) -> Option<u64> {
        match &self.state {
            State::Open(active) => Some(active.segment.epoch),
            _ => None,
        }
    }

    /// The sequence that the next block must carry.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The highest sequence that is durable.
    pub fn durable_sequence(&self) -> u64 {
        self.durable_sequence
    }

    /// Commits under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What the disk is: see [`Disk::backend_name`].
    pub fn backend_name(&self) -> &'static str {
        self.disk.backend_name()
    }

    /// Readable when [`poll`](WorkerLog::poll) has something to do.
    pub fn notify(&self) -> Option<BorrowedFd<'_>> {
        self.disk.notify()
    }

    /// What last went wrong in the background, since last asked.
    pub fn take_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    /// The segment being written, and where its blocks end; `None` while no segment is open.
    pub fn segment(&self) -> Option<(SegmentName, u64)> {
        match &self.state {
            State::Open(active) => Some((active.segment.name, active.at)),
            _ => None,
        }
    }

    /// An arrival stamp: the time given, or one more than the last stamp, whichever is later.
    pub fn stamp(&mut self, wall_ns: i64) -> u64 {
        self.last_stamp_ns = u64::try_from(wall_ns).unwrap_or(0).max(self.last_stamp_ns + 1);
        self.last_stamp_ns
    }

    /// Starts making a block durable. Its outcome is told by [`poll`](WorkerLog::poll).
    ///
    /// # Errors
    /// [`Refused`], with the buffer.
    ///
    /// # Panics
    /// If the buffer is not one padded block of this log, with the epoch and the sequence that are due.
    pub fn commit(&mut self, block: AlignedBuf, now_ns: u64) -> Result<(), Refused> {
        if self.in_flight.len() == COMMITS_IN_FLIGHT_MAX {
            return Err(Refused::Busy(block));
        }
        let State::Open(active) = &mut self.state else {
            return Err(Refused::Ended(block));
        };
        let header = BlockHeader::decode(&block).expect("the caller encoded it");
        assert_eq!(block.len(), header.block_len(), "one padded block");
        assert!(block.len() <= BLOCK_BYTES_MAX);
        assert_eq!(header.log, self.options.log);
        assert_eq!(header.worker, self.options.worker);
        assert_eq!(header.epoch, active.segment.epoch, "encoded for another segment");
        assert_eq!(header.sequence, self.next_sequence, "sequences rise by one");
        assert!(header.durable_sequence <= self.durable_sequence, "not durable yet");

        let offset = active.at;
        active.at += block.len() as u64;
        let write = Write { token: header.sequence, file: active.segment.file.clone(), offset, buf: block };
        let wants_next = matches!(self.next, Next::None) && active.at >= active.prepare_at;
        self.next_sequence += 1;
        self.in_flight.push_back(InFlight { header, end: active.at, started_ns: now_ns, written: None });
        self.disk.submit(write);
        if wants_next {
            self.prepare_next();
        }
        Ok(())
    }

    /// Takes notice of what has finished: appends commits that came to an end to `out`, in order.
    pub fn poll(&mut self, now_ns: u64, out: &mut Vec<Completion>) {
        self.disk.finished(&mut self.written);
        if self.written.iter().any(|w| w.result.is_err()) {
            // All that are under way fail with it: a failed sync may have taken with it what they wrote, and their
            // own sync, coming later, would know nothing of that.
            self.fail();
        }
        for written in self.written.drain(..) {
            let place = self.in_flight.iter_mut().find(|f| f.header.sequence == written.token);
            place.expect("the disk reports what it was given, once").written = Some(written);
        }
        let durable_before = self.durable_sequence;
        while let Some(written) = self.in_flight.front_mut().and_then(|f| f.written.take()) {
            let done = self.in_flight.pop_front().expect("the front was there");
            let result = self.settle(&done, written.result);
            out.push(Completion {
                sequence: done.header.sequence,
                result,
                buf: written.buf,
                duration_ns: now_ns.saturating_sub(done.started_ns),
            });
        }
        if self.durable_sequence != durable_before {
            self.publish();
        }
        while let Ok(report) = self.reports.try_recv() {
            self.jobs -= 1;
            self.notice(report);
        }
        self.start_reopening();
    }

    /// Blocks until [`poll`](WorkerLog::poll) may have something to do. For closing down and for tests.
    pub fn wait(&mut self) {
        self.disk.wait();
    }

    fn settle(&mut self, done: &InFlight, result: Result<(), CommitFailure>) -> Result<(), CommitFailure> {
        let State::Open(active) = &mut self.state else {
            return result.and(Err(CommitFailure::SegmentEnded));
        };
        debug_assert!(result.is_ok(), "a failure has ended the segment");
        active.totals.add(&done.header);
        active.sound_end = done.end;
        self.durable_sequence = done.header.sequence;
        result
    }

    /// Ends the segment as a failed commit does, which makes its rows' numbers void: see
    /// [`try_reopen`](WorkerLog::try_reopen). To be called while no commit is under way.
    pub fn end_segment(&mut self) {
        debug_assert!(self.in_flight.is_empty(), "commits under way would fail with it");
        self.fail();
    }

    /// Ends the segment where its acknowledged blocks end.
    fn fail(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended(None)) {
            State::Open(active) => State::Ended(Some(active)),
            ended => ended,
        };
    }

    /// Waits for what is under way, seals the segment, and gives the disk back for a last look at its files.
    ///
    /// # Errors
    /// [`LogError::Io`] if the segment could not be sealed: the next start will close it.
    pub fn close(mut self, footer: Footer, out: &mut Vec<Completion>) -> Result<(), LogError> {
        while !self.in_flight.is_empty() || self.jobs > 0 {
            self.poll(0, out);
            if !self.in_flight.is_empty() || self.jobs > 0 {
                self.disk.wait();
            }
        }
        let State::Open(active) = std::mem::replace(&mut self.state, State::Ended(None)) else {
            return Ok(());
        };
        let name = active.segment.name.to_string();
        let (file, mut ending) = self.ending(active);
        ending.totals.last_stamp_ns = self.last_stamp_ns;
        let footer = if ending.totals.blocks == 0 { Vec::new() } else { footer() };
        close(&file, &ending, &footer).map_err(LogError::io("close", name))?;
        if let Next::Ready(unused) = std::mem::replace(&mut self.next, Next::None) {
            let files = self.disk.files();
            let removed = files.remove(&unused.name.to_string()).and_then(|()| files.sync_directory());
            removed.map_err(LogError::io("remove", unused.name.to_string()))?;
        }
        Ok(())
    }

    fn publish(&self) {
        if let Some(live) = &self.options.live {
            live.publish(self.epoch().unwrap_or(0), self.durable_sequence);
        }
    }
}

const _: () = assert!(SEGMENT_PAGE == BLOCK_ALIGN);
const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_MAX);
