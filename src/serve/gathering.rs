//! How many workers do the work: as few as can do it.
//!
//! The more rows a commit has, the less of its cost falls on each of them, and a series that comes to two workers is
//! defined and held twice. So new connections go to the lowest worker that has time for them. A worker that is busy
//! all the time passes half of its active connections on if a processor has nothing to do; one that has little to do
//! passes its active ones down to a lower worker that has time for them.
//!
//! What is here decides; moving is the worker's business. A worker is busy while it is not waiting in its poll.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::processors::Processors;

/// When connections are passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gathering {
    /// How long a worker is watched before it decides anew, in nanoseconds.
    pub window_ns: u64,
    /// In thousandths of a window: a worker that is busy for so long passes connections on.
    pub spread_permille: u32,
    /// Who takes them in was busy for no longer than that.
    pub room_permille: u32,
    /// A lower worker takes in a higher one's connections if both together are busy for no longer than that.
    pub gather_permille: u32,
    /// For so many windows there must have been time for that.
    pub gather_windows: u32,
    /// Connections are only passed on if a processor has nothing to do.
    pub asks_for_processor: bool,
}

impl Default for Gathering {
    fn default() -> Gathering {
        Gathering {
            window_ns: 100_000_000,
            spread_permille: 950,
            room_permille: 450,
            gather_permille: 600,
            gather_windows: 5,
            asks_for_processor: true,
        }
    }
}

/// How busy a worker was in its last window, as the others see it: when that ended, in milliseconds, above
/// [`PERMILLE_BITS`] bits of thousandths. One of whose window nothing was heard for long sleeps, or never comes to
/// its poll.
#[derive(Default, Debug)]
pub(super) struct Load {
    window: AtomicU64,
    awake: AtomicBool,
}

const PERMILLE_BITS: u32 = 16;

/// Windows after which what a worker said is no longer true.
const STALE_WINDOWS: u64 = 3;

impl Load {
    fn publish(&self, now_ns: u64, permille: u32) {
        let word = (now_ns / NS_PER_MS) << PERMILLE_BITS | u64::from(permille);
        self.window.store(word, Ordering::Relaxed);
    }

    /// In thousandths.
    pub(super) fn permille(&self, now_ns: u64, rules: &Gathering) -> u32 {
        let word = self.window.load(Ordering::Relaxed);
        let age_ns = now_ns.saturating_sub((word >> PERMILLE_BITS) * NS_PER_MS);
        if age_ns > STALE_WINDOWS * rules.window_ns + NS_PER_MS {
            return if self.awake.load(Ordering::Relaxed) { BUSY } else { 0 };
        }
        (word & ((1 << PERMILLE_BITS) - 1)) as u32
    }

    /// Somebody gives it work: until its next window ends, it is known to be so much busier.
    pub(super) fn expect(&self, now_ns: u64, rules: &Gathering, permille: u32) {
        // Two at once: one is not seen for a window.
        let expected = self.permille(now_ns, rules) + permille;
        self.publish(now_ns, expected.min(BUSY));
    }
}

/// What a worker passes on, and to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passing {
    /// Half of what is active.
    Half { to: usize },
    /// All that is active.
    All { to: usize },
}

/// Where a connection goes once it is between two requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    to: usize,
    decided_ns: u64,
}

impl Leaving {
    pub(super) fn new(to: usize, now_ns: u64) -> Leaving {
        Leaving { to, decided_ns: now_ns }
    }

    /// The worker that it goes to, unless that was decided so long ago that it may be as busy by now.
    pub(super) fn to(self, now_ns: u64) -> Option<usize> {
        (now_ns.saturating_sub(self.decided_ns) <= LEAVING_NS_MAX).then_some(self.to)
    }
}

/// A request that takes longer keeps its connection where it is.
const LEAVING_NS_MAX: u64 = 500_000_000;

/// A worker's own view of its time.
#[derive(Debug)]
pub(super) struct Meter {
    rules: Gathering,
    began_ns: u64,
    asleep_ns: u64,
    slept_ns: u64,
    /// Windows in a row in which a lower worker had time for all that is done here.
    spare_windows: u32,
    processors: Processors,
}

impl Meter {
    pub(super) fn new(rules: Gathering, now_ns: u64) -> Meter {
        Meter {
            rules,
            began_ns: now_ns,
            asleep_ns: now_ns,
            slept_ns: 0,
            spare_windows: 0,
            processors: Processors::default(),
        }
    }

    /// The worker is going to wait in its poll.
    pub(super) fn sleeps(&mut self, now_ns: u64, own: &Load) {
        self.asleep_ns = now_ns;
        own.awake.store(false, Ordering::Relaxed);
    }

    /// It has waited. If that ends a window: when that began, and what is passed on.
    pub(super) fn wakes<'a>(
        &mut self,
        now_ns: u64,
        number: usize,
        loads: impl ExactSizeIterator<Item = &'a Load> + Clone,
    ) -> Option<(u64, Passing)> {
        let slept_ns = now_ns.saturating_sub(self.asleep_ns);
        self.slept_ns += slept_ns;
        let own = loads.clone().nth(number)?;
        let window_ns = now_ns.saturating_sub(self.began_ns);
        if window_ns < self.rules.window_ns || loads.len() < 2 {
            own.awake.store(true, Ordering::Relaxed);
            return None;
        }
        // What others expect of who has slept is not to be said away.
        let expected = if slept_ns < self.rules.window_ns { 0 } else { own.permille(now_ns, &self.rules) };
        let busy = window_ns.saturating_sub(self.slept_ns) * u64::from(BUSY) / window_ns;
        let began_ns = std::mem::replace(&mut self.began_ns, now_ns);
        self.slept_ns = 0;
        own.publish(now_ns, expected.max(busy as u32));
        own.awake.store(true, Ordering::Relaxed);
        let rules = self.rules;
        let loads = loads.map(|load| load.permille(now_ns, &rules));
        let passing = self.decide(now_ns, number, busy as u32, loads)?;
        Some((began_ns, passing))
    }

    fn decide(
        &mut self,
        now_ns: u64,
        number: usize,
        busy: u32,
        loads: impl Iterator<Item = u32>,
    ) -> Option<Passing> {
        let Gathering { spread_permille, room_permille, gather_permille, .. } = self.rules;
        let mut others = loads.enumerate().filter(|&(other, _)| other != number);
        if busy >= spread_permille {
            self.spare_windows = 0;
            let (to, _) = others.find(|&(_, load)| load <= room_permille)?;
            let may = !self.rules.asks_for_processor || self.processors.had_one_free(now_ns, &self.rules);
            return may.then_some(Passing::Half { to });
        }
        let mut lower = others.take_while(|&(other, _)| other < number);
        let spare = lower.find(|&(_, load)| load + busy <= gather_permille);
        let Some((to, _)) = spare else {
            self.spare_windows = 0;
            return None;
        };
        self.spare_windows += 1;
        if self.spare_windows < self.rules.gather_windows {
            return None;
        }
        self.spare_windows = 0;
        Some(Passing::All { to })
    }
}

/// The worker that a new connection goes to: the lowest that has time, else the one with the most.
pub(super) fn place(loads: impl Iterator<Item = u32> + Clone, rules: &Gathering) -> usize {
    let has_time = |load: &u32| *load <= rules.gather_permille;
    loads
        .clone()
        .position(|load| has_time(&load))
        .or_else(|| loads.enumerate().min_by_key(|&(_, load)| load).map(|(number, _)| number))
        .unwrap_or(0)
}

/// A worker that never waits.
pub(super) const BUSY: u32 = 1000;

const NS_PER_MS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Gathering = Gathering {
        window_ns: 100 * NS_PER_MS,
        spread_permille: 900,
        room_permille: 450,
        gather_permille: 600,
        gather_windows: 2,
        asks_for_processor: false,
    };

    fn loads(permille: &[u32]) -> Vec<Load> {
        let loads: Vec<Load> = permille.iter().map(|_| Load::default()).collect();
        loads.iter().zip(permille).for_each(|(load, &permille)| load.publish(0, permille));
        loads
    }

    /// What worker `number` does after a window of which it was busy for so many thousandths.
    fn window(meter: &mut Meter, number: usize, busy: u64, loads: &[Load]) -> Option<Passing> {
        let began_ns = meter.began_ns;
        meter.sleeps(began_ns + busy * RULES.window_ns / 1000, &loads[number]);
        meter.wakes(began_ns + RULES.window_ns, number, loads.iter()).map(|(_, passing)| passing)
    }

    #[test]
    fn who_is_busy_all_the_time_passes_half_on_to_the_lowest_that_has_time() {
        let loads = loads(&[950, 700, 300, 0]);
        let mut meter = Meter::new(RULES, 0);
        assert_eq!(window(&mut meter, 0, 950, &loads), Some(Passing::Half { to: 2 }));
        assert_eq!(loads[0].permille(RULES.window_ns, &RULES), 950);
    }

    #[test]
    fn nobody_passes_on_what_it_can_do_nor_to_who_is_busy_itself() {
        assert_eq!(window(&mut Meter::new(RULES, 0), 0, 890, &loads(&[0, 0])), None);
        assert_eq!(window(&mut Meter::new(RULES, 0), 0, 1000, &loads(&[0, 500])), None);
        assert_eq!(window(&mut Meter::new(RULES, 0), 0, 1000, &loads(&[0])), None, "a worker alone");
    }

    #[test]
    fn who_has_little_to_do_passes_it_down_after_some_windows() {
        let loads = loads(&[500, 200, 200]);
        let mut meter = Meter::new(RULES, 0);
        assert_eq!(window(&mut meter, 2, 300, &loads), None, "not at once");
        assert_eq!(
            window(&mut meter, 2, 300, &loads),
            Some(Passing::All { to: 1 }),
            "500 + 300 is too much for 0"
        );
        assert_eq!(window(&mut meter, 2, 300, &loads), None, "counted anew");
        assert_eq!(window(&mut meter, 2, 700, &loads), None);
        assert_eq!(window(&mut meter, 2, 300, &loads), None, "not in a row");
        let mut lowest = Meter::new(RULES, 0);
        assert_eq!([0; 3].map(|_| window(&mut lowest, 0, 100, &loads)), [None; 3], "never up");
    }

    #[test]
    fn a_worker_that_was_not_heard_of_sleeps_and_one_that_was_given_work_does_not() {
        let loads = loads(&[800, 0]);
        assert_eq!(loads[0].permille(300 * NS_PER_MS, &RULES), 800);
        assert_eq!(loads[0].permille(302 * NS_PER_MS, &RULES), 0);
        loads[1].expect(5 * NS_PER_MS, &RULES, 450);
        loads[1].expect(5 * NS_PER_MS, &RULES, 100);
        assert_eq!(loads[1].permille(5 * NS_PER_MS, &RULES), 550);
        // It wakes for it, and has slept until then.
        let mut meter = Meter::new(RULES, 0);
        meter.sleeps(0, &loads[1]);
        assert_eq!(meter.wakes(200 * NS_PER_MS, 1, loads.iter()), None);
        assert_eq!(loads[1].permille(201 * NS_PER_MS, &RULES), 550);
    }

    #[test]
    fn a_worker_that_never_comes_to_its_poll_is_busy() {
        let loads = loads(&[0, 0]);
        let mut meter = Meter::new(RULES, 0);
        meter.sleeps(0, &loads[0]);
        meter.wakes(1, 0, loads.iter());
        assert_eq!(loads[0].permille(500 * NS_PER_MS, &RULES), BUSY);
        meter.sleeps(501 * NS_PER_MS, &loads[0]);
        assert_eq!(loads[0].permille(1000 * NS_PER_MS, &RULES), 0);
    }

    #[test]
    fn who_was_to_leave_long_ago_stays() {
        let leaving = Leaving::new(1, 7);
        assert_eq!(leaving.to(7 + LEAVING_NS_MAX), Some(1));
        assert_eq!(leaving.to(8 + LEAVING_NS_MAX), None);
    }

    #[test]
    fn a_connection_goes_to_the_lowest_worker_that_has_time() {
        assert_eq!(place([700, 600, 0].into_iter(), &RULES), 1);
        assert_eq!(place([990, 900, 950].into_iter(), &RULES), 1);
    }
}
