//! Whether a processor has nothing to do that this process may use, as the kernel counts it.
//!
//! Where a container's quota allows fewer processors than there are, idle ones say nothing: there one is free if the
//! process has left so much of its quota unused.

use std::sync::OnceLock;
use std::thread::available_parallelism;

use super::gathering::Gathering;

/// What there was to spare of them when last asked.
#[derive(Default, Debug)]
pub(super) struct Processors {
    last: Option<(u64, Spare)>,
}

/// Counts, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spare {
    /// For how long the processors have been idle, all together.
    Idle(u64),
    /// What this process has used of a quota of so many processors.
    Used { ticks: u64, processors: u64 },
}

impl Processors {
    /// Whether, since this was last asked, one or several of them had about a whole processor's time to spare.
    /// `false` if that is too long ago; `true` where nobody counts.
    pub(super) fn had_one_free(&mut self, now_ns: u64, rules: &Gathering) -> bool {
        let Some(now) = Spare::count() else { return true };
        let Some((then_ns, then)) = self.last.replace((now_ns, now)) else { return false };
        let elapsed_ns = now_ns.saturating_sub(then_ns);
        if elapsed_ns == 0 || elapsed_ns > 2 * rules.window_ns {
            return false;
        }
        now.since(then, elapsed_ns) * 100 >= elapsed_ns * FREE_PERCENT
    }
}

impl Spare {
    fn count() -> Option<Spare> {
        static QUOTA: OnceLock<Option<u64>> = OnceLock::new();
        let quota = QUOTA.get_or_init(|| {
            let (there_are, _) = idle()?;
            let processors = available_parallelism().ok()?.get() as u64;
            (processors < there_are).then_some(processors)
        });
        match *quota {
            Some(processors) => {
                let ticks = used_of(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
                Some(Spare::Used { ticks, processors })
            }
            None => idle().map(|(_, ticks)| Spare::Idle(ticks)),
        }
    }

    /// Processor time that there was to spare, in nanoseconds.
    fn since(self, then: Spare, elapsed_ns: u64) -> u64 {
        match (self, then) {
            (Spare::Idle(now), Spare::Idle(then)) => now.saturating_sub(then) * NS_PER_TICK,
            (Spare::Used { ticks: now, processors }, Spare::Used { ticks: then, .. }) => {
                (processors * elapsed_ns).saturating_sub(now.saturating_sub(then) * NS_PER_TICK)
            }
            _ => 0,
        }
    }
}

/// How many processors there are that this process may use, by their numbers, and how long they have been idle, all
/// together, in ticks.
fn idle() -> Option<(u64, u64)> {
    static ALLOWED: OnceLock<Option<Vec<(u32, u32)>>> = OnceLock::new();
    let allowed =
        ALLOWED.get_or_init(|| allowed(&std::fs::read_to_string("/proc/self/status").ok()?)).as_ref()?;
    idle_of(&std::fs::read_to_string("/proc/stat").ok()?, allowed)
}

/// User and system time in a process's statistics, in ticks: see `proc_pid_stat(5)`.
fn used_of(stat: &str) -> Option<u64> {
    // The name in parentheses may hold anything; behind it come the fields from the third on.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(14 - 3).map(|ticks| ticks.parse::<u64>().ok());
    Some(times.next()?? + times.next()??)
}

/// The ranges in the line `Cpus_allowed_list` of a process's status: see `proc_pid_status(5)`.
fn allowed(status: &str) -> Option<Vec<(u32, u32)>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let range = |text: &str| match text.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => text.parse().ok().map(|one| (one, one)),
    };
    list.trim().split(',').map(range).collect()
}

/// What `/proc/stat` says of these processors: how many there are, and their idle time, waiting for disks included: see
/// `proc_stat(5)`.
fn idle_of(stat: &str, allowed: &[(u32, u32)]) -> Option<(u64, u64)> {
    let (mut processors, mut sum) = (0, 0);
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(number)) = words.next().and_then(|name| name.strip_prefix("cpu")).map(str::parse::<u32>)
        else {
            continue;
        };
        if allowed.iter().any(|&(first, last)| (first..=last).contains(&number)) {
            let idle: u64 = words.skip(3).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            processors += 1;
            sum += idle;
        }
    }
    (processors > 0).then_some((processors, sum))
}

/// Of a processor, what must have been idle for it to be free: others look in now and then.
const FREE_PERCENT: u64 = 80;

/// `USER_HZ` is 100 on every architecture that we know.
const NS_PER_TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processors_that_may_be_used_count() {
        let stat = "cpu  9 9 9 999 9 0 0 0 0 0\ncpu0 1 0 1 100 7 0 0 0 0 0\ncpu1 1 0 1 20 3 0 0 0 0 0\n\
                    cpu2 1 0 1 1000 0 0 0 0 0 0\nintr 1 2 3\n";
        assert_eq!(idle_of(stat, &[(0, 1)]), Some((2, 130)));
        assert_eq!(idle_of(stat, &[(1, 1), (2, 9)]), Some((2, 1023)));
        assert_eq!(idle_of(stat, &[(7, 7)]), None);
        assert_eq!(idle_of("", &[(0, 1)]), None);
    }

    #[test]
    fn lists_of_processors_are_read() {
        let status =
            |list: &str| format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems:\t1\n");
        assert_eq!(allowed(&status("0-1")), Some(vec![(0, 1)]));
        assert_eq!(allowed(&status("3,5-7,12")), Some(vec![(3, 3), (5, 7), (12, 12)]));
        assert_eq!(allowed("Name:\tx\n"), None);
        assert_eq!(allowed(&status("x")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_says_how_idle_it_is() {
        assert!(Spare::count().is_some() && idle().is_some());
        let used = || used_of(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let (before, from) = (used(), std::time::Instant::now());
        while used() == before {
            assert!(from.elapsed() < std::time::Duration::from_secs(60), "work that is not counted");
        }
    }

    #[test]
    fn a_process_that_uses_its_quota_up_has_no_processor_free() {
        let used = |ticks| Spare::Used { ticks, processors: 2 };
        let (before, elapsed_ns) = (used(500), 10 * NS_PER_TICK);
        assert_eq!(used(500).since(before, elapsed_ns), 20 * NS_PER_TICK);
        assert_eq!(
            used(511).since(before, elapsed_ns),
            9 * NS_PER_TICK,
            "one worker at it, and a little more"
        );
        assert_eq!(used(525).since(before, elapsed_ns), 0, "throttled");
        assert_eq!(Spare::Idle(19).since(Spare::Idle(11), elapsed_ns), 8 * NS_PER_TICK);
    }

    #[test]
    fn what_a_process_has_used_is_read() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 340 56 78 9 20 0 3 0 100 1 1\n";
        assert_eq!(used_of(stat), Some(396));
        assert_eq!(used_of("7 (a) S 1 2"), None);
    }

    #[test]
    fn what_was_asked_long_ago_says_nothing() {
        let rules = Gathering::default();
        let mut processors = Processors { last: Some((0, Spare::Idle(0))) };
        if Spare::count().is_some() {
            assert!(!processors.had_one_free(3 * rules.window_ns, &rules), "an idle machine's whole uptime");
            assert!(!Processors::default().had_one_free(1, &rules));
        }
    }
}
