//! When targets are scraped: each at an offset of its own within its interval, so that their load is spread evenly.
//!
//! Comes in: a target's hash and the server's seed. Goes out: moments. The offset is the same after each start, as long
//! as the seed is. Offsets lie on a grid, so that a worker wakes once for the few targets that share one. A scrape's
//! rows have the time of its slot if it began within [`TOLERANCE_NS`] of it: then their times lie exactly one interval
//! apart, which costs next to nothing on disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The slots of one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    interval_ns: u64,
    /// The next one, by the monotonic clock.
    next_ns: u64,
    /// The next one, by the wall clock as it was when the slots were made.
    next_wall_ns: i64,
}

/// A slot that was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    /// The time of the rows, nanoseconds since the Unix epoch, whole milliseconds.
    pub(super) stamp_ns: i64,
    /// How late it was used.
    pub(super) delay_ns: u64,
    /// Slots that have passed unused since the last one.
    pub(super) missed: u64,
}

/// The distance of offsets: a twentieth of the interval, and this at most.
const GRID_NS_MAX: u64 = 50_000_000;
const GRID_PARTS: u64 = 20;

/// A scrape that begins later than this has its own time, as in Prometheus; for short intervals a hundredth of them.
const TOLERANCE_NS: u64 = 2_000_000;

const NS_PER_MS: i64 = 1_000_000;

impl Slots {
    /// Slots every `interval_ns` from the next moment on whose offset within the interval is the target's.
    pub(super) fn new(hash: u64, interval_ns: u64, now_ns: u64, wall_ns: i64) -> Slots {
        let interval_ns = interval_ns.max(1);
        let grid_ns = (interval_ns / GRID_PARTS).clamp(1, GRID_NS_MAX);
        let offset_ns = hash % interval_ns / grid_ns * grid_ns;
        let wall_offset_ns = (i128::from(wall_ns)).rem_euclid(i128::from(interval_ns)) as u64;
        let wait_ns = (offset_ns + interval_ns - wall_offset_ns) % interval_ns;
        Slots {
            interval_ns,
            next_ns: now_ns + wait_ns,
            next_wall_ns: wall_ns.saturating_add_unsigned(wait_ns),
        }
    }

    /// The next slot, by the monotonic clock.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Uses the slot that is due, and moves on to the next one.
    pub(super) fn take(&mut self, now_ns: u64, wall_ns: i64) -> Slot {
        let late_ns = now_ns.saturating_sub(self.next_ns);
        let missed = late_ns / self.interval_ns;
        let slot_ns = self.next_ns + missed * self.interval_ns;
        let slot_wall_ns = self.next_wall_ns.saturating_add_unsigned(missed * self.interval_ns);
        self.next_ns = slot_ns + self.interval_ns;
        self.next_wall_ns = slot_wall_ns.saturating_add_unsigned(self.interval_ns);
        // The wall clock may have been set since: then the slots' times mean nothing any more.
        let near = wall_ns.abs_diff(slot_wall_ns) <= TOLERANCE_NS.min(self.interval_ns / 100);
        let stamp_ns = if near { slot_wall_ns } else { wall_ns };
        Slot {
            stamp_ns: stamp_ns.div_euclid(NS_PER_MS) * NS_PER_MS,
            delay_ns: now_ns.saturating_sub(slot_ns),
            missed,
        }
    }

    /// How long a slot lasts.
    pub(super) fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// Lets pass what is due: the last scrape is still under way. How many slots that are.
    pub(super) fn skip(&mut self, now_ns: u64) -> u64 {
        let Some(late_ns) = now_ns.checked_sub(self.next_ns) else { return 0 };
        let missed = late_ns / self.interval_ns + 1;
        self.next_ns += missed * self.interval_ns;
        self.next_wall_ns = self.next_wall_ns.saturating_add_unsigned(missed * self.interval_ns);
        missed
    }
}

/// Who is to be looked at when. Who is named twice is looked at twice: looking is harmless.
#[derive(Default, Debug)]
pub(super) struct Agenda(BinaryHeap<Reverse<(u64, usize)>>);

impl Agenda {
    /// Names somebody for a moment.
    pub(super) fn add(&mut self, at_ns: u64, who: usize) {
        self.0.push(Reverse((at_ns, who)));
    }

    /// The next one that is due.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<usize> {
        let Reverse((at_ns, _)) = self.0.peek()?;
        if *at_ns > now_ns {
            return None;
        }
        self.0.pop().map(|Reverse((_, who))| who)
    }

    /// When the next one is due.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Reverse<(u64, usize)>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn slots_are_an_interval_apart_and_their_times_exact() {
        let wall = 1_700_000_000_123_456_789;
        let mut slots = Slots::new(7 * S + 75_000_000, 15 * S, 100, wall);
        let first = slots.next_ns();
        assert!(first < 100 + 15 * S);
        for n in 0..5u64 {
            let now = first + n * 15 * S + 1_900_000;
            let slot = slots.take(now, wall + (now - 100) as i64);
            assert_eq!((slot.delay_ns, slot.missed), (1_900_000, 0));
            assert_eq!(slot.stamp_ns.rem_euclid(15 * S as i64), 7 * S as i64 + 50_000_000);
        }
    }

    #[test]
    fn a_scrape_that_begins_late_has_its_own_time() {
        let mut slots = Slots::new(0, S, 0, 0);
        assert_eq!(slots.take(0, 0), Slot { stamp_ns: 0, delay_ns: 0, missed: 0 });
        let late = slots.take(S + 2_700_000, (S + 2_700_000) as i64);
        assert_eq!(late, Slot { stamp_ns: S as i64 + 2_000_000, delay_ns: 2_700_000, missed: 0 });
        // A hundredth of a short interval.
        let mut slots = Slots::new(0, 10_000_000, 0, 0);
        assert_eq!(slots.take(1_100_000, 1_100_000).stamp_ns, 1_000_000);
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let mut slots = Slots::new(0, S, 0, 50 * S as i64);
        slots.take(0, 50 * S as i64);
        for wall in [10 * S as i64, 90 * S as i64] {
            assert_eq!(slots.take(slots.next_ns(), wall).stamp_ns, wall);
        }
    }

    #[test]
    fn slots_that_pass_are_counted() {
        let mut slots = Slots::new(0, S, 0, 0);
        assert_eq!(
            slots.take(3 * S + 5, (3 * S + 5) as i64),
            Slot { stamp_ns: 3 * S as i64, delay_ns: 5, missed: 3 }
        );
        assert_eq!((slots.skip(3 * S + 6), slots.next_ns()), (0, 4 * S));
        assert_eq!((slots.skip(5 * S), slots.next_ns()), (2, 6 * S));
    }

    #[test]
    fn the_agenda_gives_who_is_due_in_order() {
        let mut agenda = Agenda::default();
        for (at, who) in [(5, 1), (3, 2), (9, 3), (3, 0)] {
            agenda.add(at, who);
        }
        let due: Vec<_> = std::iter::from_fn(|| agenda.due(5)).collect();
        assert_eq!((due, agenda.next_ns()), (vec![0, 2, 1], Some(9)));
    }

    proptest! {
        #[test]
        fn any_slot_is_within_an_interval_and_at_its_offset(
            hash: u64,
            interval in 1u64..1 << 50,
            wall in -1i64 << 60..1 << 60,
        ) {
            let slots = Slots::new(hash, interval, 1000, wall);
            let wait = slots.next_ns() - 1000;
            prop_assert!(wait < interval);
            let at = (i128::from(wall) + i128::from(wait)).rem_euclid(i128::from(interval));
            let offset = i128::from(hash % interval);
            let grid = i128::from((interval / 20).clamp(1, 50_000_000));
            prop_assert!(at % grid == 0 && (offset - grid + 1..=offset).contains(&at), "{} {}", at, offset);
        }
    }
}
