//! Where writers' threads and a worker's thread meet: the ring, the pool, and a desk for each writer.
//!
//! ```text
//!            pool ---- empty load ----> writer ---- full or flushed ----> ring ----> worker
//!             ^                          |  ^                                          |
//!             |                    between calls                                       |
//!             |                          v  |                                          |
//!             |                          tray ------ idle for too long --------------->|
//!             +------------------------------------------------------------------------+
//! ```
//!
//! Invariants: there are [`LOADS_MAX`] loads, each in one place at a time; the ring has room for all of them; loads of
//! one writer are numbered from 1 without gaps, and the writer's watermark settles them in that order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::ingest::{KeyHasher, Parcel, Registry, SeriesBudget};
use crate::sync::{Flag, Level, Pool, Sender, SharedCount, Tray, Watermark};
use crate::telemetry::WorkerCounters;

use super::bell::Bell;
use super::signal::Signal;

/// Loads that go round between the writers of one worker and the worker: the bound on rows that are not in its batch
/// yet. With [`PARCEL_BYTES_MAX`](crate::ingest::PARCEL_BYTES_MAX) of rows in each that is 32 MiB; a load has room for
/// one row, however long it is, so rows of [`ROW_BYTES_MAX`](crate::ingest::ROW_BYTES_MAX) can make it eight times
/// that. The ring needs a power of two.
pub const LOADS_MAX: usize = 64;

/// Who waits for a load has the worker look into the trays again after this: loads may have been in writers' hands.
const ASK_AGAIN_NS: u64 = 10_000_000;

/// A parcel on its way.
#[derive(Default, Debug)]
pub(super) struct Load {
    pub(super) parcel: Parcel,
    /// The writer's number.
    pub(super) writer: u32,
    /// Its number among the writer's loads.
    pub(super) number: u64,
    /// It has waited long enough, and is to be committed at once.
    pub(super) urgent: bool,
}

/// A worker, as its writers see it.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) ring: Sender<Box<Load>>,
    pool: Pool<Load>,
    pub(super) bell: Bell,
    /// A load was put into a tray since the worker last looked into all of them.
    stirred: Flag,
    /// Somebody waits for rows that were handed over before.
    hurry: Flag,
    /// A writer found no load: those in the trays of the others are to be fetched.
    short: Flag,
    state: Level,
    /// Settles 1 when the thread has ended.
    end: Watermark,
    desks: Mutex<Desks>,
    /// Rows that were taken and are lost, without anybody's having freed their writer: who closes is to know.
    pub(super) rows_lost: SharedCount,
    /// How many writers there are now, to spread them.
    pub(super) writers: SharedCount,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) hasher: KeyHasher,
    pub(super) series: SeriesBudget,
    pub(super) registry: Arc<Registry>,
}

/// A writer, as its worker sees it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) number: u32,
    /// The writer's load between two of its calls.
    pub(super) tray: Tray<Load>,
    /// The writer's loads, as they come to an end.
    pub(super) watermark: Watermark,
    /// Rung when loads have come to an end, if the host asked for it and the writer is there. Rung under the lock:
    /// a signal that was taken out is the writer's alone.
    signal: Mutex<Option<Arc<Signal>>>,
}

#[derive(Default, Debug)]
pub(super) struct Desks {
    /// In the order of their numbers.
    pub(super) all: Vec<Arc<Desk>>,
    made: u32,
    closed: bool,
}

/// How a seat is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum SeatState {
    Open = 0,
    Closing = 1,
    Closed = 2,
    Poisoned = 3,
}

impl Desk {
    pub(super) fn new(number: u32) -> Desk {
        Desk { number, tray: Tray::new(), watermark: Watermark::new(0), signal: Mutex::default() }
    }

    /// Has a signal rung from now on; `None` ends that, and nobody holds the one before when this returns. The host,
    /// who looks at the tokens after this, sees what was settled before the lock, or the worker sees the signal.
    pub(super) fn set_signal(&self, signal: Option<Arc<Signal>>) {
        *self.signal() = signal;
    }

    /// Loads have come to an end. For the worker's thread, after it settled them.
    pub(super) fn tell_settled(&self) {
        if let Some(signal) = &*self.signal() {
            signal.ring();
        }
    }

    fn signal(&self) -> MutexGuard<'_, Option<Arc<Signal>>> {
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn new(
        ring: Sender<Box<Load>>,
        bell: Bell,
        counters: Arc<WorkerCounters>,
        hasher: KeyHasher,
        series: SeriesBudget,
        registry: Arc<Registry>,
    ) -> Seat {
        let pool = Pool::new(LOADS_MAX);
        for _ in 0..LOADS_MAX {
            assert!(pool.give(Box::default()).is_ok(), "as many places as loads");
        }
        Seat {
            ring,
            pool,
            bell,
            stirred: Flag::new(),
            hurry: Flag::new(),
            short: Flag::new(),
            state: Level::new(SeatState::Open as u8),
            end: Watermark::new(0),
            desks: Mutex::default(),
            rows_lost: SharedCount::default(),
            writers: SharedCount::default(),
            counters,
            hasher,
            series,
            registry,
        }
    }

    pub(super) fn state(&self) -> SeatState {
        match self.state.value() {
            0 => SeatState::Open,
            1 => SeatState::Closing,
            2 => SeatState::Closed,
            _ => SeatState::Poisoned,
        }
    }

    fn set_state(&self, state: SeatState) {
        self.state.rise(state as u8);
    }

    /// A desk for a new writer; `None` if the worker has ended, or is about to.
    pub(super) fn add_desk(&self) -> Option<Arc<Desk>> {
        let mut desks = self.desks();
        if desks.closed || self.state() != SeatState::Open {
            return None;
        }
        desks.made += 1;
        let desk = Arc::new(Desk::new(desks.made));
        desks.all.push(Arc::clone(&desk));
        self.writers.add(1);
        Some(desk)
    }

    /// The desks. Taken when writers come and go, never on the way of rows.
    pub(super) fn desks(&self) -> MutexGuard<'_, Desks> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty load; waits for one for at most `patience`. `None`: there is none.
    pub(super) fn take_load(&self, patience: Duration) -> Option<Box<Load>> {
        if let Some(load) = self.pool.take() {
            return Some(load);
        }
        self.ask_for_loads();
        if patience.is_zero() {
            return None;
        }
        let clock = SystemClock::default();
        let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let left_ns = patience_ns.checked_sub(clock.monotonic_ns()).filter(|&left| left > 0)?;
            if let Some(load) = self.pool.wait(Duration::from_nanos(left_ns.min(ASK_AGAIN_NS))) {
                return Some(load);
            }
            if self.state() != SeatState::Open {
                return None;
            }
            self.ask_for_loads();
        }
    }

    /// Has the worker fetch what lies in trays: it may be a row or two in each.
    fn ask_for_loads(&self) {
        if self.short.raise() {
            self.bell.ring();
        }
    }

    /// Whether a writer found no load since this was last asked.
    pub(super) fn take_short(&self) -> bool {
        self.short.take()
    }

    /// Gives a load back. Who waits for one is [told](Seat::tell_returned) apart from this.
    pub(super) fn give_back(&self, mut load: Box<Load>) {
        self.series.give_back(load.parcel.take_claims());
        load.parcel.clear();
        // A full pool would mean more loads than were made; then this one goes.
        let _ = self.pool.give(load);
    }

    /// Wakes one who waits for a load, since some were given back; all of them if the worker has nothing else to do.
    pub(super) fn tell_returned(&self, idle: bool) {
        if idle {
            self.pool.wake_all();
        } else {
            self.pool.wake_one();
        }
    }

    /// Says that there is something to find in the trays, by and by.
    pub(super) fn stir(&self) {
        if self.stirred.raise() {
            self.bell.ring();
        }
    }

    pub(super) fn is_stirred(&self) -> bool {
        self.stirred.is_raised()
    }

    /// The worker looks into all trays now: what was put before a stir that this has seen is found.
    pub(super) fn calm(&self) {
        self.stirred.take();
    }

    /// Somebody waits for what was handed over.
    pub(super) fn hurry(&self) {
        if self.hurry.raise() {
            self.bell.ring();
        }
    }

    /// Whether somebody has begun to wait since this was last asked.
    pub(super) fn take_hurry(&self) -> bool {
        self.hurry.take()
    }

    /// Asks the worker to take what there is, commit it and end.
    pub(super) fn ask_to_close(&self) {
        self.set_state(SeatState::Closing);
        self.bell.ring();
    }

    /// Whether the thread has ended, after at most `timeout`.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        self.end.wait(1, timeout).is_some()
    }

    /// The worker's thread ends: nothing comes to an end any more. For that thread.
    pub(super) fn end(&self, state: SeatState) {
        self.set_state(state);
        {
            let mut desks = self.desks();
            desks.closed = true;
            desks.all.iter().for_each(|desk| {
                desk.watermark.close();
                desk.tell_settled();
            });
            desks.all.clear();
        }
        self.pool.close();
        self.end.close();
    }
}
