//! Targets that come, change, go, and may come back.
//!
//! Comes in: what the control orders. Keeps: a scrape that is under way is not disturbed, also where its target is
//! gone, which waits for it for as long as the scrape may take; what is no more gets stale markers before it is
//! forgotten, and what is still there gets none.

use std::sync::Arc;

use mio::Token;

use super::super::control::{Order, Wanted};
use super::super::report::Told;
use super::super::schedule::Slots;
use super::super::status::TargetStatus;
use super::super::subject::{Absence, After, Moment, News, Scrape, Subject};
use super::super::targets::shard;
use super::{Ground, Rounds};

impl Rounds {
    pub(super) fn obey(&mut self, order: Order, ground: &mut Ground<'_>) {
        match order {
            Order::Take(..) if self.drains => {}
            Order::Take(wanted, status, instead) => {
                match self.by_key.remove(&instead).or_else(|| self.gone.remove(&instead)) {
                    Some(id) => self.replace(id, wanted, status, ground),
                    None => self.add(wanted, status, ground),
                }
                self.count_targets(ground);
            }
            Order::Drop(key) => {
                if let Some(id) = self.by_key.remove(&key) {
                    self.gone.insert(key, id);
                    self.leave(id, ground);
                }
                self.count_targets(ground);
            }
        }
    }

    fn count_targets(&self, ground: &mut Ground<'_>) {
        ground.engine.counters().scrape_targets.set(self.by_key.len() as u64);
    }

    fn add(&mut self, wanted: Wanted, status: Arc<TargetStatus>, ground: &Ground<'_>) {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.subjects.push(None);
            self.subjects.len() - 1
        });
        let slots = self.slots(&wanted, ground);
        self.agenda.add(slots.next_ns(), id);
        self.by_key.insert(wanted.target.key.clone(), id);
        let context = self.contexts();
        let token = Token(self.first_token + id);
        self.subjects[id] = Some(Box::new(Subject::new((wanted, status), token, context, slots)));
    }

    /// Has another target go on with a target's series, once its scrape is over.
    fn replace(&mut self, id: usize, wanted: Wanted, status: Arc<TargetStatus>, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        subject.keyed = Arc::clone(&wanted.target);
        self.by_key.insert(wanted.target.key.clone(), id);
        subject.after = match subject.after {
            After::End(_) => After::End(Some((wanted, status))),
            _ => After::Replace(wanted, status),
        };
        self.finishing.remove(&id);
        self.settle(id, ground);
    }

    /// Two contexts that no target has had.
    fn contexts(&mut self) -> u32 {
        let context = self.next_context;
        // Four thousand million of them: a new target every second for over sixty years.
        self.next_context = context.checked_add(2).expect("contexts outlast any process");
        context
    }

    fn slots(&self, wanted: &Wanted, ground: &Ground<'_>) -> Slots {
        let target = &wanted.target;
        let hash = shard::hash(&target.key) ^ self.shared.seed;
        let interval_ns = u64::try_from(target.interval.as_nanos()).unwrap_or(u64::MAX >> 2);
        Slots::new(hash, interval_ns, ground.engine.monotonic_ns(), ground.engine.wall_ns())
    }

    /// A target is gone: nobody asks it any more.
    fn leave(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        subject.after = match std::mem::replace(&mut subject.after, After::Leave) {
            After::Replace(_, status) => {
                // By its life the control knows that the target is kept here.
                subject.status = status;
                After::Leave
            }
            After::End(_) => After::End(None),
            After::Nothing | After::Leave => After::Leave,
        };
        if matches!(subject.scrape, Scrape::Asked(_)) {
            if self.finishing.len() < FINISHING_MAX {
                self.finishing.insert(id);
            } else {
                self.break_off(id);
            }
        }
        self.settle(id, ground);
    }

    /// Has a target's series ended, once its scrape is over.
    pub(super) fn end(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        subject.after = After::End(None);
        self.break_off(id);
        self.settle(id, ground);
    }

    /// Nobody wants the answer any more that is waited for.
    fn break_off(&mut self, id: usize) {
        let Some(subject) = &mut self.subjects[id] else { return };
        if let Scrape::Asked(_) = subject.scrape {
            subject.client.abort(&mut self.decoders);
            subject.scrape = Scrape::Idle;
        }
    }

    pub(super) fn drain(&mut self, ground: &mut Ground<'_>) {
        self.drains = true;
        for id in 0..self.subjects.len() {
            self.end(id, ground);
        }
    }

    /// A target's scrape may be over: does what was to be done then.
    pub(super) fn settle(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        if !matches!(subject.scrape, Scrape::Idle) {
            return;
        }
        let after = std::mem::replace(&mut subject.after, After::Nothing);
        if !matches!(after, After::Nothing) {
            self.finishing.remove(&id);
        }
        match after {
            After::Nothing => {}
            After::Replace(wanted, status) => {
                let (now, then) = (&subject.wanted.target, &wanted.target);
                let moved =
                    (now.interval, &now.key) != (then.interval, &then.key) || subject.absence.is_some();
                let context = subject.names_differently(then).then(|| self.contexts());
                let Some(subject) = &mut self.subjects[id] else { return };
                subject.become_other(wanted.clone(), status, context);
                if moved {
                    self.move_slots(id, &wanted, ground);
                } else {
                    // Its next slot may have passed while it was gone.
                    self.agenda.add(subject.slots.next_ns(), id);
                }
            }
            After::Leave if subject.has_series() => {
                let (now_ns, next_ns) = (ground.engine.monotonic_ns(), subject.slots.next_ns());
                let stamp_ns =
                    ground.engine.wall_ns().saturating_add_unsigned(next_ns.saturating_sub(now_ns));
                // As Prometheus waits: two scrapes are missed, and a little more time has passed.
                let interval_ns = subject.slots.interval_ns();
                let until_ns = next_ns.max(now_ns) + interval_ns + interval_ns / 10;
                subject.client.forget();
                subject.absence = Some(Absence { stamp_ns, until_ns });
                self.agenda.add(until_ns, id);
            }
            After::End(next) if subject.has_series() => {
                let now_ns = ground.engine.monotonic_ns();
                let wall_ns = ground.engine.wall_ns();
                let stamp_ns = subject.absence.map_or(wall_ns, |absence| absence.stamp_ns.min(wall_ns));
                // Not the time of rows that are there already.
                let stamp_ns = whole_ms(stamp_ns).max(subject.last_stamp_ns + NS_PER_MS);
                let moment = Moment { stamp_ns, began_ns: now_ns, deadline_ns: now_ns };
                subject.after = After::End(next);
                subject.scrape = Scrape::Arrived(moment, News::End, Told::default());
                self.arrived.push_back(id);
            }
            After::Leave | After::End(None) => {
                let key = &subject.keyed.key;
                self.by_key.remove(key);
                self.gone.remove(key);
                self.subjects[id] = None;
                self.vacant.push(id);
                self.count_targets(ground);
            }
            After::End(Some((wanted, status))) => {
                subject.after = After::Replace(wanted, status);
                self.settle(id, ground);
            }
        }
    }

    fn move_slots(&mut self, id: usize, wanted: &Wanted, ground: &Ground<'_>) {
        let slots = self.slots(wanted, ground);
        self.agenda.add(slots.next_ns(), id);
        if let Some(subject) = &mut self.subjects[id] {
            subject.slots = slots;
        }
    }
}

fn whole_ms(ns: i64) -> i64 {
    ns.div_euclid(NS_PER_MS) * NS_PER_MS
}

/// Scrapes whose targets are gone that are waited for at once. Each has a connection open for as long as its time limit
/// says, beside those of the targets that came: where more go at once, or reload follows reload, the rest are broken
/// off.
const FINISHING_MAX: usize = 1024;

const NS_PER_MS: i64 = 1_000_000;
