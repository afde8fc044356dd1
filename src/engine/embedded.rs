//! An engine that runs in a host's process: threads for the workers, writers for the host's own threads.
//!
//! Kept: the data directory's lock is held until the last of the threads has ended, also when nobody waits for that; a
//! thread that panics takes no other one along, and its writers are told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::ingest::{Registry, SeriesBudget, SeriesHandle};
use crate::log::disk::{Disk, SystemFiles};
use crate::log::{Cursors, LogError};
use crate::model::{LabelsBuf, Refusal};
use crate::sync::ring;
use crate::telemetry::WorkerCounters;

use super::bell::Bell;
use super::host::Host;
use super::row_writer::{RowWriter, WriteError};
use super::seat::{LOADS_MAX, Seat, SeatState};
use super::{Engine, Options, Worker, random_u64, spawn, stock_slabs};

/// A running engine without sockets. Threads share it by reference, or in an [`Arc`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tidegate::engine::{Embedded, Options};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let engine = Embedded::open(Options::new(directory.path()))?;
/// let mut rows = engine.writer()?;
/// let load = engine.series(&[("__name__", "load"), ("host", "a")])?;
/// rows.push(load, 1_700_000_000_000_000_000, 0.5)?;
/// rows.flush()?.wait(Duration::from_secs(10))?;
/// engine.close(Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Embedded {
    seats: Vec<Arc<Seat>>,
    registry: Arc<Registry>,
    /// Threads that nobody has joined yet.
    threads: Mutex<Vec<Running>>,
    cursors: Option<Arc<Cursors<SystemFiles>>>,
}

#[derive(Debug)]
struct Running {
    seat: Arc<Seat>,
    thread: JoinHandle<()>,
    outcome: Arc<Mutex<Option<LogError>>>,
}

/// Why an engine did not close in order. What was told durable is so all the same.
#[derive(Debug)]
pub enum CloseError {
    /// It is not done yet. The threads go on, and end by themselves.
    TimedOut,
    /// A thread has panicked.
    Panicked,
    /// A segment could not be sealed; the next start will do it.
    Log(LogError),
    /// Rows that had been taken could not be committed while it closed, or were in the hands of a writer that
    /// panicked: each of them will be found, or not.
    InDoubt {
        /// How many.
        rows: u64,
    },
    /// It was closed before, by somebody who has been told how that ended.
    Closed,
}

/// How long dropping an engine waits for it to close.
const DROP_PATIENCE: Duration = Duration::from_secs(10);

impl Embedded {
    /// Opens a data directory and starts its workers.
    ///
    /// # Errors
    /// [`LogError`]: among others, another process has the directory open.
    pub fn open(options: Options) -> Result<Embedded, LogError> {
        let engine = Engine::open(options)?;
        let workers = (0..engine.options().workers).map(|n| engine.worker(n)).collect::<Result<_, _>>()?;
        let mut embedded = Embedded::start_keeping(workers, Some(&engine))?;
        embedded.cursors = Some(Arc::clone(engine.cursors()));
        Ok(embedded)
    }

    /// Starts workers that were opened one by one: on simulated disks, or with clocks of the caller's.
    ///
    /// # Errors
    /// [`LogError::Io`] if a thread cannot be started.
    pub fn start<D, C>(workers: Vec<Worker<D, C>>) -> Result<Embedded, LogError>
    where
        D: Disk + Send + 'static,
        C: Clock + Send + 'static,
    {
        Embedded::start_keeping(workers, None)
    }

    /// Makes a series known by its labels, in any order; `__name__` is the metric's or measurement's name, and a label
    /// whose value is empty is none. The handle
    /// is good for every writer of this engine, for as long as the engine lives: segments and tables come and go
    /// beneath it. The same labels give the same handle.
    ///
    /// # Errors
    /// [`WriteError::Refused`]: two labels of one name, or too many series.
    pub fn series(&self, labels: &[(&str, &str)]) -> Result<SeriesHandle, WriteError> {
        let registered = register(&self.registry, labels);
        if let Err(WriteError::Refused(Refusal::SeriesLimit { .. })) = registered {
            // They may sleep, and are to see to it that series that send no more make room.
            self.seats.iter().for_each(|seat| seat.bell.ring());
        }
        registered
    }

    /// Takes a registration back, when what the series is about has gone. When it was released as often as it was
    /// registered, writers forget the series, and refuse rows of it. `false` if the handle means no series.
    pub fn release(&self, series: SeriesHandle) -> bool {
        self.registry.release(series)
    }

    /// Series that are registered now.
    pub fn series_registered(&self) -> usize {
        self.registry.series()
    }

    /// A writer for one of the host's threads. It belongs to the worker that has the fewest.
    ///
    /// # Errors
    /// [`WriteError::Closed`], [`WriteError::Poisoned`].
    pub fn writer(&self) -> Result<RowWriter, WriteError> {
        let seat = self.seats.iter().min_by_key(|seat| seat.writers.value()).ok_or(WriteError::Closed)?;
        match seat.add_desk() {
            Some(desk) => Ok(RowWriter::new(Arc::clone(seat), desk)),
            None if seat.state() == SeatState::Poisoned => Err(WriteError::Poisoned),
            None => Err(WriteError::Closed),
        }
    }

    /// The cursors of those who read the log; `None` of an engine that was [started](Embedded::start) without a
    /// directory. `reader::CursorReader` reads from one of them.
    pub fn cursors(&self) -> Option<&Arc<Cursors<SystemFiles>>> {
        self.cursors.as_ref()
    }

    /// What the workers count.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<WorkerCounters>> {
        self.seats.iter().map(|seat| &seat.counters)
    }

    /// Takes what the writers have pushed, commits it, seals the segments, and ends the threads. Writers that are left
    /// are told that it is closed; a call of theirs that is under way is waited for. Dropping an engine does the same,
    /// with a timeout of ten seconds.
    ///
    /// # Errors
    /// [`CloseError`].
    pub fn close(&self, timeout: Duration) -> Result<(), CloseError> {
        self.seats.iter().for_each(|seat| seat.ask_to_close());
        let clock = SystemClock::default();
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        for seat in &self.seats {
            let left_ns = timeout_ns.saturating_sub(clock.monotonic_ns());
            if !seat.wait_for_end(Duration::from_nanos(left_ns)) {
                return Err(CloseError::TimedOut);
            }
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return Err(CloseError::Closed);
        }
        // They have said that they end, and do nothing after that.
        threads.into_iter().map(Running::join).fold(Ok(()), Result::and)
    }

    fn start_keeping<D, C>(workers: Vec<Worker<D, C>>, keep: Option<&Engine>) -> Result<Embedded, LogError>
    where
        D: Disk + Send + 'static,
        C: Clock + Send + 'static,
    {
        let failed = |error| LogError::Io { action: "start a thread of", path: "engine".into(), error };
        let budget =
            workers.first().map_or_else(|| SeriesBudget::new(0), |worker| worker.series_budget().clone());
        let registry = Arc::new(Registry::new(&budget, random_u64()));
        let mut embedded = Embedded {
            seats: Vec::new(),
            registry: Arc::clone(&registry),
            threads: Mutex::default(),
            cursors: None,
        };
        for (number, mut worker) in workers.into_iter().enumerate() {
            worker.know(Arc::clone(&registry));
            let (sender, receiver) = ring(LOADS_MAX);
            let seat = Arc::new(Seat::new(
                sender,
                Bell::new().map_err(failed)?,
                Arc::clone(worker.counters()),
                worker.hasher(),
                worker.series_budget().clone(),
                Arc::clone(&registry),
            ));
            let host = Host::new(worker, Arc::clone(&seat), receiver);
            let outcome = Arc::new(Mutex::new(None));
            let (own_seat, own_outcome, engine) = (Arc::clone(&seat), Arc::clone(&outcome), keep.cloned());
            let run = move || {
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    let _stock = stock_slabs(number);
                    host.run()
                }));
                let state = if ended.is_ok() { SeatState::Closed } else { SeatState::Poisoned };
                if let Ok(Err(error)) = ended {
                    *own_outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
                // The directory's lock goes before anybody learns that the thread has ended.
                drop(engine);
                own_seat.end(state);
            };
            let thread = spawn(&format!("worker-{number}"), Box::new(run)).map_err(failed)?;
            embedded.seats.push(Arc::clone(&seat));
            embedded.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(Running {
                seat,
                thread,
                outcome,
            });
        }
        Ok(embedded)
    }
}

impl Running {
    fn join(self) -> Result<(), CloseError> {
        let _ = self.thread.join();
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.seat.state() == SeatState::Poisoned {
            return Err(CloseError::Panicked);
        }
        match (self.seat.rows_lost.value(), outcome) {
            (0, None) => Ok(()),
            (0, Some(error)) => Err(CloseError::Log(error)),
            (rows, _) => Err(CloseError::InDoubt { rows }),
        }
    }
}

pub(super) fn register(registry: &Registry, labels: &[(&str, &str)]) -> Result<SeriesHandle, WriteError> {
    let mut buf = LabelsBuf::default();
    labels.iter().for_each(|(name, value)| buf.push(name.as_bytes(), value.as_bytes()));
    registry.register(&mut buf).map_err(WriteError::Refused)
}

impl Drop for Embedded {
    fn drop(&mut self) {
        match self.close(DROP_PATIENCE) {
            Ok(()) | Err(CloseError::Closed) => {}
            Err(error) => tracing::error!(%error, "the engine did not close in order"),
        }
    }
}

impl std::fmt::Display for CloseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CloseError::TimedOut => f.write_str("the engine is still closing"),
            CloseError::Panicked => f.write_str("the engine has panicked"),
            CloseError::Log(error) => error.fmt(f),
            CloseError::InDoubt { rows } => write!(f, "{rows} rows were not committed: they are in doubt"),
            CloseError::Closed => f.write_str("the engine was closed before"),
        }
    }
}

impl std::error::Error for CloseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CloseError::Log(error) => Some(error),
            _ => None,
        }
    }
}
