//! One thread's engine: rows in, durable blocks out, and word of what became of them.
//!
//! It joins ingest, block and log, and keeps these promises: rows of one batch are in one block, with the sequence that
//! [`filling`](Worker::filling) said when they were pushed; [`Event::Durable`] is told only when that block and all
//! before it in its segment are on stable storage; after [`Event::Failed`] nothing more is heard of those sequences.
//!
//! It knows no sockets and starts no threads. Its owner calls [`turn`](Worker::turn) after every round of input and
//! whenever [`notify`](Worker::notify) is readable or the deadline that `turn` gave has come.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::block::{BlockEntry, Checkpoint, EncodeInput, Encoder, ShapeView, encode_footer};
use crate::bytes::AlignedBuf;
use crate::clock::{Clock, SystemClock};
use crate::ingest::{
    Guest, Ingest, IngestLimits, KeyHasher, Mark, Parcel, Registry, Rehearsal, SeriesBudget, Stream, Table,
    TakenIn, Writer,
};
use crate::log::disk::{Disk, SystemDisk};
use crate::log::{CommitFailure, Completion, Footer, LogError, Recovery, WorkerLog, WorkerOptions};
use crate::model::{BlockHeader, BlockKind, Rewrite, SIDE_TEXT_BYTES_MAX, ShapeId, SymbolId};
use crate::telemetry::{Protocol, WorkerCounters};

use super::far_off::{self, FarOff};
use super::pending::Pending;
use super::policy::{Arrivals, BatchState, Decision};
use super::trouble::Trouble;
use super::{Options, Shared};

/// What became of sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// All sequences up to this one that did not fail are durable.
    Durable {
        /// The highest.
        upto: u64,
    },
    /// These sequences, among them rows not yet sealed, are in doubt or lost.
    Failed {
        /// The lowest.
        from: u64,
        /// The highest.
        upto: u64,
        /// Why.
        failure: CommitFailure,
    },
}

/// Commits that are encoded ahead of the one being written, itself included.
const COMMITS_AHEAD_MAX: usize = 2;

/// How long to wait before a failed log is tried again.
const REOPEN_PAUSE_NS: u64 = 500_000_000;

/// A segment ends when its first row is older than this part of what retention allows, so that rows stay no longer than
/// that beyond it...
const AGE_PART: u64 = 8;

/// ...and not before this: each segment repeats the names of its series.
const AGE_NS_MIN: u64 = 5 * 60 * 1_000_000_000;

/// At the limit on series a segment ends at this age, and what was only in the one before loses its place: who has not
/// sent for so long makes room for others.
const CROWDED_AGE_NS: u64 = 5 * 60 * 1_000_000_000;

/// How long to wait for the next segment of one that is to end for its age.
const AGE_PAUSE_NS: u64 = 1_000_000_000;

/// Buffers kept for blocks to come; a larger one than this is given back to the allocator.
const SPARE_BUFFER_BYTES_MAX: usize = 4 << 20;

/// One thread's engine.
pub struct Worker<D: Disk = SystemDisk, C: Clock = SystemClock> {
    shared: Arc<Shared>,
    counters: Arc<WorkerCounters>,
    number: u32,
    clock: C,
    ingest: Ingest,
    encoder: Encoder,
    log: WorkerLog<D>,
    /// The table of a segment whose last block is on its way: the segment is sealed when that has arrived.
    rotating: Option<Arc<Table>>,
    /// The blocks of the segment, for its footer.
    blocks: Vec<BlockEntry>,
    checkpoint: Checkpoint,
    suspended: Option<Suspended>,
    pending: Pending,
    /// Memory is short: the segment is to be ended for it.
    relief_wanted: bool,
    first_row_ns: u64,
    waited_since_ns: Option<u64>,
    /// How long commits take of late.
    commit_ns: u64,
    far_off: FarOff,
    trouble: Trouble,
    /// The batch can be no block of this segment: both end as soon as nothing is under way.
    unsealable: bool,
    /// When the segment is to end for its age; `None` while it has no block, or may grow old.
    aged_at_ns: Option<u64>,
    /// When the present table began.
    table_since_ns: u64,
    /// How many series had been refused by then.
    refused_before: u64,
    /// Of the side records that were over the bound, how many were told.
    side_refused: u64,
    completions: Vec<Completion>,
    spare: Vec<AlignedBuf>,
    /// Bytes that are held for this worker beside its ingest.
    held_bytes: usize,
}

/// No segment is open; writes are refused until one is.
#[derive(Clone, Copy, Debug)]
struct Suspended {
    failure: CommitFailure,
    retry_ns: u64,
}

impl<D: Disk, C: Clock> Worker<D, C> {
    /// Opens a worker by itself, on any disk and with any clock: for simulations, and for what has no directory.
    ///
    /// `log` says which worker it is, and that number is below `options.workers`. Of `options` the directory and the
    /// backend are not looked at, and of the retention only the age. `seed` is the hash's, and should be random where
    /// keys come from strangers.
    ///
    /// # Errors
    /// [`LogError`]; damage is none, the [`Recovery`] tells of it.
    pub fn open_on(
        disk: D,
        clock: C,
        options: Options,
        log: WorkerOptions,
        seed: u64,
    ) -> Result<(Worker<D, C>, Recovery), LogError> {
        let (number, id) = (log.worker, log.log);
        let (log, recovery) = WorkerLog::open(disk, log)?;
        Ok((Worker::open(Shared::new(options, id, seed), number, log, clock), recovery))
    }

    pub(super) fn open(shared: Arc<Shared>, number: u32, log: WorkerLog<D>, clock: C) -> Worker<D, C> {
        let limits =
            IngestLimits { series: shared.series.clone(), time_min_ns: i64::MIN, time_max_ns: i64::MAX };
        let ingest = Ingest::new(shared.hasher.clone(), limits);
        let counters = Arc::clone(&shared.counters[number as usize]);
        let suspended =
            log.epoch().is_none().then_some(Suspended { failure: CommitFailure::NoSpace, retry_ns: 0 });
        let table_since_ns = clock.monotonic_ns();
        let mut worker = Worker {
            shared,
            counters,
            number,
            clock,
            ingest,
            encoder: Encoder::new(),
            log,
            rotating: None,
            blocks: Vec::new(),
            checkpoint: Checkpoint::default(),
            suspended,
            pending: Pending::default(),
            relief_wanted: false,
            first_row_ns: 0,
            waited_since_ns: None,
            commit_ns: 0,
            far_off: FarOff::default(),
            trouble: Trouble::default(),
            unsealable: false,
            aged_at_ns: None,
            table_since_ns,
            refused_before: 0,
            side_refused: 0,
            completions: Vec::new(),
            spare: Vec::new(),
            held_bytes: 0,
        };
        let (low_ns, high_ns) = far_off::bounds(worker.clock.wall_ns());
        worker.ingest.expect_times(low_ns, high_ns);
        worker.publish();
        worker
    }

    /// The intake of a stream of rows.
    #[inline]
    pub fn writer<'a>(&'a mut self, stream: &'a mut Stream) -> Writer<'a> {
        self.ingest.writer(stream)
    }

    /// Checks rows that are to be pushed by [`writer`](Worker::writer), all of them or none, and keeps none.
    pub fn rehearsal<'a>(&'a self, stream: &Stream, rewrite: Option<&'a dyn Rewrite>) -> Rehearsal<'a> {
        self.ingest.rehearsal(stream, rewrite)
    }

    /// What is in the batch being filled, for [`take_back`](Worker::take_back).
    pub fn mark(&self) -> Mark {
        self.ingest.mark()
    }

    /// Takes back what was pushed since `mark`, since when [`make_room`](Worker::make_room) and
    /// [`turn`](Worker::turn) were not called.
    pub fn take_back(&mut self, mark: Mark) {
        self.ingest.take_back(mark);
    }

    /// Takes in rows of a parcel that another thread has filled, as [`Ingest::take_in`] does. After a part of them
    /// [`make_room`](Worker::make_room).
    pub(super) fn take_in(&mut self, guest: &mut Guest, parcel: &Parcel, from: usize) -> TakenIn {
        let (rows, samples) = (self.ingest.batch().rows(), self.ingest.batch().samples());
        let taken = self.ingest.take_in(guest, parcel, from);
        let batch = self.ingest.batch();
        self.count_rows(Protocol::Library, (batch.rows() - rows) as u64, batch.samples() - samples);
        taken
    }

    /// So many rows and values of a protocol were pushed, or dropped by their context's rules, since which
    /// [`make_room`](Worker::make_room) and [`turn`](Worker::turn) were not called: they count as accepted once their
    /// block is durable.
    pub fn count_rows(&mut self, protocol: Protocol, rows: u64, samples: u64) {
        if rows == 0 {
            return;
        }
        self.pending.take(self.last_filled(), protocol, (rows, samples), &self.counters);
        // Where all were dropped there may be no commit to come.
        self.pending.durable(self.durable(), &self.counters);
    }

    /// The sequence of the block that rows pushed now will be in.
    pub fn filling(&self) -> u64 {
        self.log.next_sequence()
    }

    /// The sequence of the block that the last row pushed is in.
    pub fn last_filled(&self) -> u64 {
        self.filling() - u64::from(self.ingest.batch().is_empty())
    }

    /// The highest sequence that is durable.
    pub fn durable(&self) -> u64 {
        self.log.durable_sequence()
    }

    /// Somebody waits for the rows pushed so far.
    pub fn wait(&mut self) {
        if !self.ingest.batch().is_empty() {
            let now_ns = self.clock.monotonic_ns();
            self.waited_since_ns.get_or_insert(now_ns);
        }
    }

    /// After [`Full`](crate::model::Full): seals the batch if that is possible now. `false`: stop until an event.
    pub fn make_room(&mut self) -> bool {
        self.may_commit() && self.log.in_flight() < COMMITS_AHEAD_MAX && self.commit()
    }

    /// Whether rows are taken.
    ///
    /// # Errors
    /// Why not: the log has failed and is not open again.
    pub fn accepts(&self) -> Result<(), CommitFailure> {
        self.suspended.map_or(Ok(()), |s| Err(s.failure))
    }

    /// Takes notice of commits that ended, and starts none. Appends to `events`. For who answers waiters first and
    /// knows then whom to expect: [`turn`](Worker::turn) comes after.
    pub fn notice(&mut self, events: &mut Vec<Event>) {
        let now_ns = self.clock.monotonic_ns();
        self.reap(now_ns, events);
    }

    /// How long commits take of late.
    pub fn commit_ns(&self) -> u64 {
        self.commit_ns
    }

    /// Takes notice of commits that ended, and starts one if it is time. Appends to `events`; gives the
    /// monotonic time at which to call again at the latest.
    pub fn turn(&mut self, arrivals: Arrivals, events: &mut Vec<Event>) -> Option<u64> {
        let now_ns = self.clock.monotonic_ns();
        self.reap(now_ns, events);
        self.give_up_unsealable(now_ns, events);
        let reopen = self.reopen(now_ns, events);
        let aged = self.end_if_aged(now_ns);
        if self.relief_wanted && self.ingest.batch().is_empty() && self.may_commit() {
            self.relieve_if_ready();
        }
        self.finish_rotation();
        let due = self.commit_if_due(arrivals, now_ns);
        [reopen, aged, due].into_iter().flatten().min()
    }

    /// Readable when [`turn`](Worker::turn) has something to take notice of.
    pub fn notify(&self) -> Option<BorrowedFd<'_>> {
        self.log.notify()
    }

    /// Commits what there is, waits for it, and seals the segment. The events of the last commits go to `events`.
    ///
    /// # Errors
    /// If the segment could not be sealed: it is closed at the next start.
    pub fn close(mut self, events: &mut Vec<Event>) -> Result<(), LogError> {
        while !self.ingest.batch().is_empty() || self.log.in_flight() > 0 || self.rotating.is_some() {
            let now_ns = self.clock.monotonic_ns();
            self.reap(now_ns, events);
            self.give_up_unsealable(now_ns, events);
            self.finish_rotation();
            if self.suspended.is_some() {
                self.give_up_unwanted(events);
                break;
            }
            let waits = self.log.in_flight() > 0;
            if !self.ingest.batch().is_empty() && self.may_commit() && !waits {
                self.commit();
            } else if waits {
                self.log.wait();
            }
        }
        let table = self.ingest.rotate();
        let footer = footer(table, std::mem::take(&mut self.blocks));
        let mut completions = std::mem::take(&mut self.completions);
        self.log.close(footer, &mut completions)
    }

    /// What this worker counts.
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.counters
    }

    /// What all workers' tables, batches and the rest of ingest hold: of this one now, of the others at their last
    /// commit.
    pub fn memory_held_bytes(&self) -> u64 {
        let held = |c: &Arc<WorkerCounters>| {
            if Arc::ptr_eq(c, &self.counters) {
                self.ingest.memory_bytes() as u64
            } else {
                c.ingest_memory_bytes.value()
            }
        };
        self.shared.counters.iter().map(held).sum()
    }

    /// Memory is short: has the segment ended as soon as that is possible, whatever it costs on disk, so that its table
    /// is let go. Series that go on sending are defined anew.
    pub fn relieve(&mut self) {
        self.ingest.forget_previous();
        self.relief_wanted = self.ingest.table().has_keys();
        self.publish();
    }

    /// Whether what [`relieve`](Worker::relieve) asked for is still to come.
    pub fn is_relieving(&self) -> bool {
        self.relief_wanted || self.rotating.is_some()
    }

    /// The series table.
    pub fn table(&self) -> &Table {
        self.ingest.table()
    }

    /// How long a row that nobody waits for may lie.
    pub(super) fn commit_interval_ns(&self) -> u64 {
        self.shared.options.commit.interval_ns
    }

    /// The series that all workers together may have.
    pub(super) fn series_budget(&self) -> &SeriesBudget {
        &self.shared.series
    }

    /// Series of parcels may be registered ones.
    pub(super) fn know(&mut self, registry: Arc<Registry>) {
        self.ingest.know(registry);
    }

    /// Says how many bytes are held for this worker beside its ingest.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.held_bytes = bytes;
    }

    /// The hasher of keys.
    pub fn hasher(&self) -> KeyHasher {
        self.shared.hasher.clone()
    }

    /// Rows taken and dropped by their context's rules, ever.
    pub fn rows_dropped(&self) -> u64 {
        self.ingest.rows_dropped()
    }

    /// Nanoseconds since the Unix epoch.
    pub fn wall_ns(&self) -> i64 {
        self.clock.wall_ns()
    }

    /// Nanoseconds since some moment.
    pub fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    /// What the disk is.
    pub fn backend_name(&self) -> &'static str {
        self.log.backend_name()
    }

    fn may_commit(&self) -> bool {
        self.suspended.is_none() && self.rotating.is_none() && !self.unsealable
    }

    fn reap(&mut self, now_ns: u64, events: &mut Vec<Event>) {
        let mut completions = std::mem::take(&mut self.completions);
        self.log.poll(now_ns, &mut completions);
        let mut durable = None;
        for completion in completions.drain(..) {
            match completion.result {
                Ok(()) => {
                    self.pending.durable(completion.sequence, &self.counters);
                    self.counters.commits.add(1);
                    self.counters.committed_bytes.add(completion.buf.len() as u64);
                    self.counters.commit_duration.observe(completion.duration_ns);
                    self.commit_ns += completion.duration_ns / 8;
                    self.commit_ns -= self.commit_ns / 8;
                    durable = Some(completion.sequence);
                }
                Err(failure) => {
                    events.extend(durable.take().map(|upto| Event::Durable { upto }));
                    self.counters.commits_failed.add(1);
                    self.fail(completion.sequence, failure, now_ns, events);
                }
            }
            if self.spare.len() < COMMITS_AHEAD_MAX && completion.buf.capacity() <= SPARE_BUFFER_BYTES_MAX {
                self.spare.push(completion.buf);
            }
        }
        events.extend(durable.map(|upto| Event::Durable { upto }));
        self.completions = completions;
        if let Some(error) = self.log.take_error()
            && let Some(times) = self.trouble.notice(&error, now_ns)
        {
            tracing::error!(worker = self.number, error, times, "background work on the log failed");
        }
    }

    /// A batch whose names the segment's dictionary has no room for is lost, and the segment ends with it.
    fn give_up_unsealable(&mut self, now_ns: u64, events: &mut Vec<Event>) {
        if self.unsealable && self.log.in_flight() == 0 {
            self.unsealable = false;
            self.log.end_segment();
            self.fail(self.filling(), CommitFailure::SegmentEnded, now_ns, events);
        }
    }

    /// Rows pushed while no segment was open, against what [`accepts`](Worker::accepts) said: they have the old table's
    /// numbers.
    fn give_up_unwanted(&mut self, events: &mut Vec<Event>) {
        if let Some(Suspended { failure, .. }) = self.suspended
            && !self.ingest.batch().is_empty()
        {
            let sequence = self.filling();
            events.push(Event::Failed { from: sequence, upto: sequence, failure });
            self.give_up_batch();
        }
    }

    /// The segment has ended at this sequence: what is in flight behind it fails by itself, the batch is given up.
    fn fail(&mut self, from: u64, failure: CommitFailure, now_ns: u64, events: &mut Vec<Event>) {
        let upto = self.filling();
        events.push(Event::Failed { from, upto, failure });
        self.pending.failed(from, &self.counters);
        let block = self.blocks.iter().rev().find(|block| block.sequence == from);
        self.counters.rows_in_doubt.add(block.map_or(0, |block| block.rows.into()));
        self.give_up_batch();
        // The segment was not sealed in time: recovery, or the cut that follows, closes it.
        self.rotating = None;
        if self.suspended.is_none() {
            tracing::error!(worker = self.number, sequence = from, %failure, "commit failed; its rows are in doubt");
            self.suspended = Some(Suspended { failure, retry_ns: now_ns });
        }
    }

    fn give_up_batch(&mut self) {
        self.pending.failed(self.filling(), &self.counters);
        self.counters.rows_in_doubt.add(self.ingest.batch().rows() as u64);
        self.ingest.end_batch();
        self.first_row_ns = 0;
        self.waited_since_ns = None;
    }

    /// Tries to open a new segment after a failure.
    fn reopen(&mut self, now_ns: u64, events: &mut Vec<Event>) -> Option<u64> {
        let mut suspended = self.suspended?;
        if now_ns >= suspended.retry_ns && self.log.in_flight() == 0 {
            if self.log.try_reopen() {
                tracing::info!(worker = self.number, "the log is open again");
                self.give_up_unwanted(events);
                self.trouble.end();
                self.suspended = None;
                self.relief_wanted = false;
                self.blocks.clear();
                self.start_generation();
                return None;
            }
            suspended.retry_ns = now_ns + REOPEN_PAUSE_NS;
            self.suspended = Some(suspended);
        }
        Some(suspended.retry_ns)
    }

    fn finish_rotation(&mut self) {
        if self.log.in_flight() > 0 {
            return;
        }
        if let Some(table) = self.rotating.take() {
            let blocks = std::mem::take(&mut self.blocks);
            let rotated = self.log.rotate(footer(table, blocks));
            assert!(rotated, "no commit is under way, and a next segment was ready when rotation began");
            self.publish();
        }
    }

    fn commit_if_due(&mut self, arrivals: Arrivals, now_ns: u64) -> Option<u64> {
        if self.ingest.batch().is_empty() || !self.may_commit() {
            return None;
        }
        if self.first_row_ns == 0 {
            self.first_row_ns = now_ns;
        }
        if self.log.in_flight() > 0 {
            return None;
        }
        let state = BatchState {
            full: false,
            first_row_ns: self.first_row_ns,
            waited_since_ns: self.waited_since_ns,
            samples: self.ingest.batch().samples(),
            arrivals,
            commit_ns: self.commit_ns,
        };
        match self.shared.options.commit.decide(&state, now_ns) {
            Decision::At(due) => Some(due),
            Decision::Commit => match self.shared.rate.pass(now_ns) {
                Err(due) => Some(due),
                Ok(()) => {
                    self.commit();
                    None
                }
            },
        }
    }

    /// Encodes the batch and hands it to the log. `false` if the segment's numbers are used up.
    fn commit(&mut self) -> bool {
        let Some((from, to)) = self.ingest.seal() else {
            tracing::error!(worker = self.number, "the segment's dictionary is full: the batch is lost");
            self.unsealable = true;
            return false;
        };
        let Some(epoch) = self.log.epoch() else { return false };
        let wall_ns = self.clock.wall_ns();
        let (batch, shapes) = (self.ingest.batch(), self.ingest.shapes());
        let (dictionary, side) = (self.ingest.table().dictionary(), self.ingest.side_symbols());
        let (sequence, stamp_ns) = (self.log.next_sequence(), self.log.stamp(wall_ns));
        let view = |id: ShapeId| {
            let symbols = shapes.symbols(id);
            // A shape of one field has no metric name, and its symbol is not looked at.
            let metric = symbols.metric.unwrap_or(SymbolId(0));
            ShapeView { shape: shapes.shape(id), fields: &symbols.fields, metric }
        };
        let input = EncodeInput {
            batch,
            shapes: &view,
            exemplar_fields: &side.exemplar_fields,
            metadata_names: &side.metadata_names,
            dictionary,
            define: from..to,
            repeat: self.checkpoint.next_slice(dictionary, from, batch.rows()),
            header: BlockHeader {
                kind: BlockKind::Rows,
                log: self.shared.log_id,
                worker: self.number,
                tenant: 0,
                epoch,
                sequence,
                durable_sequence: self.log.durable_sequence(),
                stamp_ns,
                time_min_ns: 0,
                time_max_ns: 0,
                rows: 0,
                samples: 0,
                dictionary_len: 0,
                payload_len: 0,
                dictionary_crc: 0,
                payload_crc: 0,
            },
        };
        let now_ns = self.clock.monotonic_ns();
        let age_ns_max = self.shared.options.retention.age_ns.map(|age| (age / AGE_PART).max(AGE_NS_MIN));
        self.aged_at_ns = self.aged_at_ns.or_else(|| age_ns_max.map(|age| now_ns.saturating_add(age)));
        let mut buf = self.spare.pop().unwrap_or_default();
        buf.clear();
        let stats = self.encoder.encode(&input, &mut buf);
        if let Some((_, offset)) = self.log.segment() {
            let (time_min_ns, time_max_ns) = batch.time_range();
            self.blocks.push(BlockEntry {
                offset,
                len: stats.block_len as u64,
                sequence,
                stamp_ns,
                rows: batch.rows() as u32,
                samples: batch.samples(),
                time_min_ns,
                time_max_ns,
            });
        }
        let warned = &self.shared.far_off_warned;
        self.far_off.notice(&self.ingest, wall_ns, self.number, &self.counters, warned);
        self.tell_refused();
        self.ingest.end_batch();
        let (low_ns, high_ns) = far_off::bounds(wall_ns);
        self.ingest.expect_times(low_ns, high_ns);
        self.first_row_ns = 0;
        self.waited_since_ns = None;
        let started = self.log.commit(buf, now_ns);
        assert!(started.is_ok(), "a segment is open and fewer commits than the log's bound are under way");
        let dictionary_bytes = self.ingest.table().dictionary().content_bytes();
        if self.log.wants_rotation(dictionary_bytes) {
            let old = self.start_generation();
            self.rotating = Some(old);
        } else {
            // A table whose numbers are nearly used up goes, however little data its segment holds.
            self.relief_wanted |= self.ingest.table().fullest_bytes() > self.shared.options.table_bytes_max
                || self.ingest.shapes().is_running_out();
            if self.relief_wanted {
                self.relieve_if_ready();
            } else {
                self.end_if_aged(now_ns);
            }
        }
        self.publish();
        true
    }

    fn tell_refused(&mut self) {
        let refused = self.ingest.side_refused();
        let records = refused - std::mem::replace(&mut self.side_refused, refused);
        if records > 0 {
            tracing::warn!(
                worker = self.number,
                records,
                "exemplars or metadata of over {SIDE_TEXT_BYTES_MAX} bytes are left out"
            );
        }
    }

    /// Begins to end the segment for its table's memory; its last commit has been started.
    fn relieve_if_ready(&mut self) {
        if self.log.may_rotate() {
            let old = self.start_generation();
            self.rotating = Some(old);
            self.ingest.forget_previous();
            self.relief_wanted = false;
            self.publish();
        }
    }

    /// At the limit on series has those make room that send no more: after a while the table before is let go, and the
    /// present one's segment ends. Gives the time of that. A segment stays until it holds as much as its dictionary.
    fn crowded_at_ns(&mut self, now_ns: u64) -> Option<u64> {
        if self.shared.series.refused.value() == self.refused_before {
            return None;
        }
        let at_ns = self.table_since_ns.saturating_add(CROWDED_AGE_NS);
        if at_ns > now_ns {
            return Some(at_ns);
        }
        self.ingest.forget_previous();
        let (_, bytes) = self.log.segment()?;
        let is_worth_it = bytes >= self.ingest.table().dictionary().content_bytes();
        (is_worth_it && !self.blocks.is_empty()).then_some(at_ns)
    }

    /// Begins to end a segment whose first row is old: retention takes whole segments, and a slow one would keep its
    /// rows far longer than was asked for; and the same at the limit on series. Gives the time at which to look again.
    fn end_if_aged(&mut self, now_ns: u64) -> Option<u64> {
        let crowded_at_ns = self.crowded_at_ns(now_ns);
        let aged_at_ns = [self.aged_at_ns, crowded_at_ns].into_iter().flatten().min()?;
        if now_ns < aged_at_ns {
            return Some(aged_at_ns);
        }
        if !self.ingest.batch().is_empty() || !self.may_commit() {
            // The end of a commit is at hand, and comes by here.
            return None;
        }
        if self.log.may_rotate() {
            let old = self.start_generation();
            self.rotating = Some(old);
            return None;
        }
        self.aged_at_ns = Some(now_ns + AGE_PAUSE_NS);
        self.aged_at_ns
    }

    fn start_generation(&mut self) -> Arc<Table> {
        self.aged_at_ns = None;
        self.table_since_ns = self.clock.monotonic_ns();
        self.refused_before = self.shared.series.refused.value();
        self.checkpoint = Checkpoint::default();
        let old = self.ingest.rotate();
        self.counters.generation.set(u64::from(self.ingest.table().generation()));
        old
    }

    fn publish(&mut self) {
        self.counters.rows_dropped.set(self.ingest.rows_dropped());
        self.counters.series.set(self.ingest.table().series_count());
        self.counters.ingest_memory_bytes.set((self.ingest.memory_bytes() + self.held_bytes) as u64);
        let (number, bytes) = self.log.segment().map_or((0, 0), |(name, bytes)| (name.number, bytes));
        self.counters.segment_number.set(number);
        self.counters.segment_bytes.set(bytes);
    }
}

/// A segment's footer, made on a background thread from what is frozen.
fn footer(table: Arc<Table>, blocks: Vec<BlockEntry>) -> Footer {
    Box::new(move || encode_footer(table.dictionary(), &blocks).to_vec())
}

#[cfg(test)]
mod tests;
