//! The engine: ingest, block and log joined into workers on one data directory.
//!
//! This is the library without a socket. [`Engine::open`] takes the directory; each [`Worker`] is one thread's. What a
//! worker is given is durable when it says so, and not before.
//!
//! Programs that have rows in threads of their own start an [`Embedded`] engine, which runs the workers, and give each
//! of these threads a [`RowWriter`]. `examples/embed.rs` is one to copy.

mod bell;
mod embedded;
mod far_off;
mod guests;
mod host;
mod keeper;
mod memory;
mod pending;
mod policy;
mod random;
mod rate;
mod row_writer;
mod seat;
mod signal;
mod threads;
mod token;
mod trouble;
mod usage;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::SystemClock;
use crate::ingest::{KeyHasher, SeriesBudget};
use crate::log::disk::{Backend, SystemDisk, SystemFiles};
use crate::log::{
    Cursors, Directory, LIVE_WORKERS_MAX, LogError, Recovery, Retention, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, Sweeper, WorkerLog, WorkerOptions, recover_others,
};
use crate::model::{BLOCK_ALIGN, LogId};
use crate::telemetry::WorkerCounters;

use keeper::Keeper;
use rate::CommitRate;

pub use crate::ingest::{Column, FieldValue, SeriesHandle, Values};
pub use crate::log::CommitFailure;
pub use embedded::{CloseError, Embedded};
pub use memory::{MemoryBudget, Reservation};
pub use policy::{Arrivals, CommitPolicy};
pub use random::random_u64;
pub use row_writer::{BodyWritten, RowWriter, WriteError};
pub use seat::LOADS_MAX;
pub use threads::{spawn, stock_slabs, telling};
pub use token::{NotDurable, Token, Tokens};
pub use usage::Usage;
pub use worker::{Event, Worker};

/// Worker threads that an engine has at most.
pub const WORKERS_MAX: u32 = LIVE_WORKERS_MAX;

/// Bytes that cursors hold back from retention, if nothing else is said.
pub const CURSOR_BYTES_MAX: u64 = 10 << 30;

/// What an engine is told once.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: u32,
    /// How commits reach the disk; `None` takes the best that works here.
    pub backend: Option<Backend>,
    /// When to commit.
    pub commit: CommitPolicy,
    /// A cap on commits over all workers, for disks that count operations; 0 is no cap.
    pub commits_per_second_max: u32,
    /// Series that all workers together may have; rows of further ones are rejected. Each worker has a table of its
    /// own: a series that comes to two of them counts twice, and at the limit one of them may refuse what another
    /// knows; an [`Embedded`] engine's writers know what they have pushed themselves.
    pub series_max: u64,
    /// What may stay.
    pub retention: Retention,
    /// Bytes of keys, or of names and values, after which a worker ends its segment and begins with an empty table. At
    /// most 3.5 GiB: their numbers have 32 bits.
    pub table_bytes_max: u64,
}

impl Options {
    /// The defaults for a directory: one worker, commits within 200 ms, ten million series, rows kept for 15 days and
    /// while 5 % of the file system are free, 10 GiB more of them for cursors that have not passed them.
    pub fn new(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            workers: 1,
            backend: None,
            commit: CommitPolicy { linger_ns: 2_000_000, interval_ns: 200_000_000 },
            commits_per_second_max: 0,
            series_max: 10_000_000,
            retention: Retention {
                age_ns: Some(15 * 86_400 * 1_000_000_000),
                bytes_max: None,
                free_percent_min: 5,
                cursor_bytes_max: CURSOR_BYTES_MAX,
            },
            table_bytes_max: 7 << 29,
        }
    }
}

/// An open data directory and what its workers share. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    // Ends before the directory is let go: it removes files there.
    _keeper: Arc<Keeper>,
    directory: Arc<Directory>,
    backend: Backend,
    /// One for all workers: they tell each other times.
    clock: SystemClock,
    recovered: Arc<Mutex<Vec<Recovery>>>,
}

/// What workers share: nothing that a row needs.
pub(crate) struct Shared {
    options: Options,
    log_id: LogId,
    hasher: KeyHasher,
    series: SeriesBudget,
    rate: CommitRate,
    /// Somebody was told of rows with unlikely times: once is enough.
    far_off_warned: AtomicU8,
    counters: Vec<Arc<WorkerCounters>>,
}

impl Shared {
    fn new(options: Options, log_id: LogId, seed: u64) -> Arc<Shared> {
        Arc::new(Shared {
            log_id,
            hasher: KeyHasher::new(seed),
            series: SeriesBudget::new(options.series_max),
            rate: CommitRate::new(options.commits_per_second_max),
            far_off_warned: AtomicU8::new(0),
            counters: (0..options.workers).map(|_| Arc::default()).collect(),
            options,
        })
    }
}

impl Engine {
    /// Opens a data directory for writing.
    ///
    /// # Errors
    /// [`LogError`]: among others, another process has it open.
    pub fn open(options: Options) -> Result<Engine, LogError> {
        assert!((1..=WORKERS_MAX).contains(&options.workers), "between 1 and {WORKERS_MAX} workers");
        let mut id = LogId::default();
        id.0[..8].copy_from_slice(&random_u64().to_le_bytes());
        id.0[8..].copy_from_slice(&random_u64().to_le_bytes());
        let directory = Directory::open(&options.directory, id)?;
        let backend = options.backend.unwrap_or_else(Backend::probe);
        let workers = options.workers;
        let told = |worker| directory.live(worker).map_or(0, |live| live.told_before());
        let others = recover_others(directory.files(), directory.log(), |worker| worker < workers, told)?;
        others.iter().for_each(|(worker, recovery)| report(*worker, recovery));
        let recovered = others.into_iter().map(|(_, recovery)| recovery).collect();
        let sweeper =
            Sweeper::new(directory.files().clone(), directory.log()).minding(Arc::clone(directory.cursors()));
        let keeper = Keeper::start(sweeper, options.retention)?;
        let shared = Shared::new(options, directory.log(), random_u64());
        Ok(Engine {
            shared,
            directory: Arc::new(directory),
            backend,
            clock: SystemClock::default(),
            recovered: Arc::new(Mutex::new(recovered)),
            _keeper: Arc::new(keeper),
        })
    }

    /// Opens worker `number`: recovers its segments and starts a new one. Once per number.
    ///
    /// # Errors
    /// [`LogError`]; damage is none, it is counted.
    pub fn worker(&self, number: u32) -> Result<Worker, LogError> {
        let path = self.directory.path();
        let disk =
            SystemDisk::open(self.directory.files().clone(), self.backend, &format!("disk-{number}"), &spawn)
                .map_err(|error| LogError::Io {
                    action: "start the disk of",
                    path: path.to_owned(),
                    error,
                })?;
        let (log, recovery) = WorkerLog::open(disk, self.worker_options(number))?;
        report(number, &recovery);
        self.recovered.lock().unwrap_or_else(PoisonError::into_inner).push(recovery);
        Ok(Worker::open(Arc::clone(&self.shared), number, log, self.clock))
    }

    /// What the workers count.
    pub fn counters(&self) -> &[Arc<WorkerCounters>] {
        &self.shared.counters
    }

    /// What the engine was told when it was opened.
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Changes `series_max` while the engine is open.
    pub fn set_series_max(&self, series_max: u64) {
        self.shared.series.max.set(series_max);
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory's files.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The cursors of those who read the log.
    pub fn cursors(&self) -> &Arc<Cursors<SystemFiles>> {
        self.directory.cursors()
    }

    /// Blocks found damaged when the workers were opened.
    pub fn blocks_damaged(&self) -> u64 {
        let recovered = self.recovered.lock().unwrap_or_else(PoisonError::into_inner);
        recovered.iter().map(|r| r.damaged_blocks).sum()
    }

    /// Bytes of the log.
    pub fn usage(&self) -> Usage {
        Usage::measure(&self.directory, &self.shared.counters)
    }

    fn worker_options(&self, number: u32) -> WorkerOptions {
        WorkerOptions {
            log: self.directory.log(),
            worker: number,
            segment_bytes_min: SEGMENT_BYTES_MIN,
            segment_bytes_max: segment_bytes_max(
                self.shared.options.retention.bytes_max,
                self.shared.options.workers,
            ),
            seed: random_u64(),
            live: self.directory.live(number),
        }
    }
}

/// Retention takes whole segments: where it is to keep few bytes, segments are small.
fn segment_bytes_max(retained_bytes_max: Option<u64>, workers: u32) -> u64 {
    let share = retained_bytes_max.map_or(u64::MAX, |bytes| bytes / (SIZE_PART * u64::from(workers)));
    let pages = share.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX) / BLOCK_ALIGN as u64;
    pages * BLOCK_ALIGN as u64
}

/// A segment takes at most this part of its worker's share of the bytes that are kept: the one being written and the
/// prepared one come on top of them.
const SIZE_PART: u64 = 8;

fn report(worker: u32, recovery: &Recovery) {
    if recovery.torn > 0 {
        tracing::info!(worker, torn = recovery.torn, "cut torn tails; nothing in them had been acknowledged");
    }
    for (segment, damage) in &recovery.damages {
        tracing::error!(worker, %segment, %damage, "damaged; the rest of the log is used");
    }
    for segment in &recovery.foreign {
        tracing::error!(worker, %segment, "nothing in it says that it belongs to this log; it is left alone");
    }
    for missing in &recovery.missing {
        tracing::error!(worker, %missing, "segments are gone; the rest of the log is used");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_small_where_little_is_kept() {
        assert_eq!(segment_bytes_max(None, 4), SEGMENT_BYTES_MAX);
        assert_eq!(segment_bytes_max(Some(1 << 40), 4), SEGMENT_BYTES_MAX);
        assert_eq!(segment_bytes_max(Some(1 << 30), 4), 32 << 20);
        assert_eq!(segment_bytes_max(Some(1_000_000_000), 3), 41_664_512, "whole pages");
        assert_eq!(segment_bytes_max(Some(30 << 20), 4), SEGMENT_BYTES_MIN);
    }
}
