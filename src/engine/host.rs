//! The thread of a worker that has no sockets: loads in from its writers, the worker's turn, word to the writers.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::log::LogError;
use crate::log::disk::Disk;
use crate::sync::{Receiver, Tray};
use crate::telemetry::Protocol;

use super::guests::Guests;
use super::policy::Arrivals;
use super::seat::{Load, Seat, SeatState};
use super::{Event, Worker};

/// Loads that are taken in before the worker has its turn.
const LOADS_IN_A_ROW_MAX: usize = 16;

/// Loads given back before one of those who wait for any is woken, while there are more to come: the worker sets the
/// pace then, and with each writer that runs beside it there is less of the processors left for it.
const RETURNED_TOGETHER: usize = 4;

/// A disk that cannot be polled is asked this often: simulated ones.
const DISK_PAUSE_NS: u64 = 1_000_000;

/// A load that was in its writer's hands when it was looked for is looked for again after this part of the interval...
const SWEEP_AGAIN_PART: u64 = 8;

/// ...and so soon if the engine closes.
const CLOSING_PAUSE_NS: u64 = 1_000_000;

/// Runs a worker for its writers.
pub(super) struct Host<D: Disk, C: Clock> {
    worker: Worker<D, C>,
    seat: Arc<Seat>,
    arriving: Receiver<Box<Load>>,
    guests: Guests,
    /// A load of which only the rows before this one are taken in.
    pending: Option<(Box<Load>, usize)>,
    /// Loads given back since all who wait for one were woken.
    returned: usize,
    /// When to look into the trays.
    sweep_ns: Option<u64>,
    /// Rows came out of the trays before it was time: what is in the batch at that time is to be committed then.
    swept_early: bool,
    /// Since it closes: the rows that were in doubt before.
    closing_from: Option<u64>,
    /// Rows rejected since then.
    refused_closing: u64,
    events: Vec<Event>,
}

impl<D: Disk, C: Clock> Host<D, C> {
    pub(super) fn new(worker: Worker<D, C>, seat: Arc<Seat>, arriving: Receiver<Box<Load>>) -> Host<D, C> {
        Host {
            worker,
            seat,
            arriving,
            guests: Guests::default(),
            pending: None,
            returned: 0,
            sweep_ns: None,
            swept_early: false,
            closing_from: None,
            refused_closing: 0,
            events: Vec::new(),
        }
    }

    /// Serves writers until it is asked to close; then takes what they have pushed, commits it and seals the segment.
    /// What it could not commit is counted in the seat's `rows_lost`.
    pub(super) fn run(mut self) -> Result<(), LogError> {
        loop {
            // Asked first: what was pushed before the wish to close is found after it.
            let closing = self.seat.state() != SeatState::Open;
            if closing {
                Tray::<Load>::await_begun();
                self.closing_from.get_or_insert(self.worker.counters().rows_in_doubt.value());
            }
            if self.seat.take_hurry() {
                // For rows that are in the batch by now. Those that are not are seen to be waited for when they come.
                self.worker.wait();
            }
            let mut sweep_ns = self.sweep(closing);
            let all_here = closing && self.have_all();
            if closing && !all_here {
                sweep_ns = Some(self.worker.monotonic_ns() + CLOSING_PAUSE_NS);
            }
            let more = self.receive();
            let was_open = self.worker.accepts().is_ok();
            let due_ns = self.worker.turn(Arrivals::None, &mut self.events);
            let told = self.tell();
            if all_here && !more && (self.pending.is_none() || self.worker.accepts().is_err()) {
                break;
            }
            let reopened = !was_open && self.worker.accepts().is_ok();
            if !more && !told && !reopened && !self.fetch_if_short() {
                let due_ns = [due_ns, sweep_ns].into_iter().flatten().min();
                self.sleep(due_ns);
            }
        }
        self.end()
    }

    /// Takes in what has arrived, as far as there is room. Whether there is more that can be taken at once.
    fn receive(&mut self) -> bool {
        for _ in 0..LOADS_IN_A_ROW_MAX {
            if !self.receive_one() {
                if std::mem::take(&mut self.returned) > 0 {
                    self.seat.tell_returned(true);
                }
                return false;
            }
        }
        true
    }

    /// Takes in a load. `false`: there is none, or no room for all of it.
    fn receive_one(&mut self) -> bool {
        if self.worker.accepts().is_err() {
            return false;
        }
        let Some((load, from)) = self.pending.take().or_else(|| Some((self.next()?, 0))) else {
            return false;
        };
        if let Some(from) = self.take_in(&load, from) {
            self.pending = Some((load, from));
            return false;
        }
        self.seat.give_back(load);
        self.returned += 1;
        if self.returned.is_multiple_of(RETURNED_TOGETHER) {
            self.seat.tell_returned(false);
        }
        true
    }

    fn next(&mut self) -> Option<Box<Load>> {
        loop {
            if let Some(load) = self.guests.next() {
                return Some(load);
            }
            let load = self.arriving.receive()?;
            self.guests.arrive(load, &self.seat);
        }
    }

    /// Takes in the rows of a load; gives the first item that found no room.
    fn take_in(&mut self, load: &Load, mut from: usize) -> Option<usize> {
        let items = load.parcel.items();
        let mut refused = 0;
        loop {
            let taken = self.worker.take_in(self.guests.guest(load), &load.parcel, from);
            if taken.upto as u64 > from as u64 + taken.refused {
                self.guests.note_rows(load, self.worker.filling());
            }
            refused += taken.refused;
            from = taken.upto;
            if taken.refused > 0 {
                self.worker.counters().count_rejected(Protocol::Library, "too_large", taken.refused);
            }
            if from == items {
                break;
            }
            if !self.worker.make_room() {
                return Some(from);
            }
        }
        self.refused_closing += if self.closing_from.is_some() { refused } else { 0 };
        if self.guests.is_waited_for(load) {
            self.worker.wait();
        }
        self.guests.note_end(load, self.worker.last_filled(), refused > 0);
        None
    }

    /// Whether all loads have come that were begun before the wish to close was seen; nothing is begun after that.
    fn have_all(&mut self) -> bool {
        while let Some(load) = self.arriving.receive() {
            self.guests.arrive(load, &self.seat);
        }
        !self.guests.expect_loads(&self.seat)
    }

    /// Looks into the trays if it is time; says when it will be.
    fn sweep(&mut self, now: bool) -> Option<u64> {
        if self.sweep_ns.is_none() && !self.seat.is_stirred() && !now {
            return None;
        }
        let now_ns = self.worker.monotonic_ns();
        let interval_ns = self.worker.commit_interval_ns();
        // Half of the interval for lying in the tray, which leaves half of it for the commit.
        let due_ns = *self.sweep_ns.get_or_insert(now_ns + interval_ns / 2);
        if now || due_ns <= now_ns {
            if std::mem::take(&mut self.swept_early) {
                self.worker.wait();
            }
            let again = self.guests.sweep(&self.seat, true);
            self.sweep_ns = again.then_some(now_ns + interval_ns / SWEEP_AGAIN_PART);
            self.worker.hold(self.guests.memory_bytes());
        }
        self.sweep_ns
    }

    /// Fetches what lies in the trays, if a writer has found no load and none is on its way back to it: not while some
    /// are here, or in the ring, since those taken from writers that are filling them would only have them wait, too.
    fn fetch_if_short(&mut self) -> bool {
        if self.pending.is_some() || self.worker.accepts().is_err() || !self.seat.take_short() {
            return false;
        }
        self.guests.sweep(&self.seat, false);
        self.swept_early = true;
        let now_ns = self.worker.monotonic_ns();
        self.sweep_ns.get_or_insert(now_ns + self.worker.commit_interval_ns() / 2);
        true
    }

    /// Passes the worker's events on. Whether there were any: they may have made room.
    fn tell(&mut self) -> bool {
        let told = !self.events.is_empty();
        self.events.drain(..).for_each(|event| self.guests.tell(&event));
        told
    }

    fn sleep(&self, due_ns: Option<u64>) {
        let disk = self.worker.notify();
        let pause_ns = disk.is_none().then(|| self.worker.monotonic_ns() + DISK_PAUSE_NS);
        let due_ns = [due_ns, pause_ns].into_iter().flatten().min();
        let timeout = due_ns.map(|due| Duration::from_nanos(due.saturating_sub(self.worker.monotonic_ns())));
        self.seat.bell.sleep(disk, timeout);
    }

    fn end(self) -> Result<(), LogError> {
        let Host { worker, seat, mut arriving, mut guests, pending, mut events, .. } = self;
        // The log has failed and is not open again, else there is none of these.
        let mut rest: u64 =
            pending.map_or(0, |(load, from)| load.parcel.batch().rows().saturating_sub(from) as u64);
        while let Some(load) = guests.next().or_else(|| arriving.receive()) {
            rest += load.parcel.batch().rows() as u64;
        }
        seat.counters.rows_discarded.add(rest);
        let counters = Arc::clone(worker.counters());
        let closed = worker.close(&mut events);
        events.iter().for_each(|event| guests.tell(event));
        let in_doubt = counters.rows_in_doubt.value() - self.closing_from.unwrap_or_default();
        seat.rows_lost.add(rest + in_doubt + self.refused_closing);
        closed
    }
}
