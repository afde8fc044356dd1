//! A worker's writers: their loads in order, and what became of them.
//!
//! In: loads, as they come out of the ring and the trays; the worker's events. Out: loads in each writer's order; each
//! writer's watermark. Kept: a load is told durable only if all blocks that hold rows of it are, and failed if one is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ingest::Guest;
use crate::sync::Tray;

use super::Event;
use super::seat::{Desk, Load, Seat};

/// The writers that a worker knows.
#[derive(Default)]
pub(super) struct Guests {
    all: HashMap<u32, Seated>,
    /// The highest number of a desk seen.
    met: u32,
    /// Loads whose turn it is.
    ready: VecDeque<Box<Load>>,
    /// The highest sequence told durable.
    durable: u64,
}

/// A writer.
struct Seated {
    desk: Arc<Desk>,
    guest: Guest,
    /// The load whose turn comes next.
    next: u64,
    /// One from the tray that overtook another one in the ring. While it is here the tray is left alone.
    early: Option<Box<Load>>,
    under_way: VecDeque<UnderWay>,
}

/// A load whose rows are in the worker's batch, or in blocks.
struct UnderWay {
    number: u64,
    /// The sequences of its rows' blocks: [`OPEN`] before the first row, and before the last.
    first: u64,
    last: u64,
    failed: bool,
}

const OPEN: u64 = u64::MAX;

impl Guests {
    /// Gets to know writers that are new.
    pub(super) fn meet(&mut self, seat: &Seat) {
        let desks = seat.desks();
        let new = desks.all.partition_point(|desk| desk.number <= self.met);
        for desk in &desks.all[new..] {
            self.met = desk.number;
            let seated = Seated {
                desk: Arc::clone(desk),
                guest: Guest::default(),
                next: 1,
                early: None,
                under_way: VecDeque::new(),
            };
            self.all.insert(desk.number, seated);
        }
    }

    /// Takes a load that came.
    pub(super) fn arrive(&mut self, load: Box<Load>, seat: &Seat) {
        if !self.all.contains_key(&load.writer) {
            self.meet(seat);
        }
        let seated = self.all.get_mut(&load.writer).expect("a writer is known until its last load has come");
        if load.number != seated.next {
            assert!(
                seated.early.is_none() && load.number > seated.next,
                "numbered without gaps, tray left alone"
            );
            seated.early = Some(load);
            return;
        }
        seated.next += 1;
        self.ready.push_back(load);
        if let Some(early) = seated.early.take_if(|early| early.number == seated.next) {
            seated.next += 1;
            self.ready.push_back(early);
        }
    }

    /// Whether a load that was begun has not come yet. For a worker that closes, after
    /// [`Tray::await_begun`](crate::sync::Tray::await_begun).
    pub(super) fn expect_loads(&mut self, seat: &Seat) -> bool {
        self.meet(seat);
        self.all.values().any(Seated::expects_load)
    }

    /// The next load to take in. Its writer's guest has learned it.
    pub(super) fn next(&mut self) -> Option<Box<Load>> {
        let load = self.ready.pop_front()?;
        let seated = self.seated(&load);
        seated.guest.learn(&load.parcel);
        seated.under_way.push_back(UnderWay { number: load.number, first: OPEN, last: OPEN, failed: false });
        Some(load)
    }

    /// The guest that a load is of.
    pub(super) fn guest(&mut self, load: &Load) -> &mut Guest {
        &mut self.seated(load).guest
    }

    /// Whether somebody waits for the load.
    pub(super) fn is_waited_for(&mut self, load: &Load) -> bool {
        // A flush that is not seen here is followed by a hurry.
        load.urgent || self.seated(load).desk.tray.is_flushed(load.number)
    }

    /// Rows of the load were taken into the block of this sequence.
    pub(super) fn note_rows(&mut self, load: &Load, sequence: u64) {
        if let Some(under_way) = self.seated(load).under_way.back_mut() {
            under_way.first = under_way.first.min(sequence);
        }
    }

    /// All rows of the load were taken, the last into the block of this sequence; or some were rejected.
    pub(super) fn note_end(&mut self, load: &Load, sequence: u64, rejected: bool) {
        let durable = self.durable;
        let seated = self.seated(load);
        if let Some(under_way) = seated.under_way.back_mut() {
            under_way.last = if under_way.first == OPEN { 0 } else { sequence };
            under_way.failed |= rejected;
        }
        seated.settle(durable);
    }

    /// Tells writers what became of their loads.
    pub(super) fn tell(&mut self, event: &Event) {
        match *event {
            Event::Durable { upto } => {
                self.durable = upto;
                self.all.values_mut().for_each(|seated| seated.settle(upto));
            }
            Event::Failed { from, upto, .. } => {
                for seated in self.all.values_mut() {
                    let lost = |u: &&mut UnderWay| u.first <= upto && u.last >= from;
                    seated.under_way.iter_mut().filter(lost).for_each(|u| u.failed = true);
                    // The highest of these sequences is used again: only what failed comes to an end here.
                    let mut told = false;
                    while let Some(u) = seated.under_way.pop_front_if(|u| u.failed && u.last <= upto) {
                        seated.desk.watermark.fail(u.number);
                        told = true;
                    }
                    if told {
                        seated.desk.tell_settled();
                    }
                }
            }
        }
    }

    /// Takes what lies in trays, to be committed at once if it has lain there for `long`. Whether something is to be
    /// looked for again soon.
    pub(super) fn sweep(&mut self, seat: &Seat, long: bool) -> bool {
        self.meet(seat);
        seat.calm();
        let (mut again, mut claimed, mut over) = (false, Vec::new(), Vec::new());
        for seated in self.all.values() {
            let desk = &*seated.desk;
            if let Some(last) = desk.tray.departed() {
                // While loads are ready one of them may be this writer's.
                match seated.is_over(last) && self.ready.is_empty() {
                    true => over.push(desk.number),
                    false => again = true,
                }
                continue;
            }
            if !desk.tray.has_begun(seated.next) {
                continue;
            }
            if seated.early.is_some() {
                desk.tray.wish();
                again = true;
                continue;
            }
            desk.tray.claim();
            claimed.push(Arc::clone(&seated.desk));
        }
        if !claimed.is_empty() {
            Tray::<Load>::await_claims();
        }
        for desk in claimed {
            match desk.tray.collect() {
                Some(mut load) => {
                    load.urgent = long;
                    self.arrive(load, seat);
                }
                None => again = true,
            }
        }
        if !over.is_empty() {
            over.iter().for_each(|number| drop(self.all.remove(number)));
            seat.desks().all.retain(|desk| !over.contains(&desk.number));
        }
        again
    }

    /// Bytes of memory held for writers.
    pub(super) fn memory_bytes(&self) -> usize {
        self.all.values().map(|seated| seated.guest.memory_bytes()).sum()
    }

    fn seated(&mut self, load: &Load) -> &mut Seated {
        self.all.get_mut(&load.writer).expect("a writer is known while a load of it is here")
    }
}

impl Seated {
    /// Tells of the loads that have come to an end, in their order.
    fn settle(&mut self, durable: u64) {
        let mut told = false;
        while let Some(u) = self.under_way.pop_front_if(|u| u.last <= durable) {
            match u.failed {
                true => self.desk.watermark.fail(u.number),
                false => self.desk.watermark.advance(u.number),
            }
            told = true;
        }
        if told {
            self.desk.tell_settled();
        }
    }

    fn expects_load(&self) -> bool {
        let tray = &self.desk.tray;
        let begun = tray.departed().map_or_else(|| tray.has_begun(self.next), |last| last >= self.next);
        begun || self.early.is_some()
    }

    /// Whether a writer that is gone, and whose last load was this, has nothing to come.
    fn is_over(&self, last: u64) -> bool {
        self.next > last && self.under_way.is_empty() && self.early.is_none()
    }
}
