//! Whether a processor has nothing to do, as the kernel counts it.

use std::sync::OnceLock;

use super::gathering::Gathering;

/// How long the processors that this process may use have been idle, when last asked.
#[derive(Default, Debug)]
pub(super) struct Processors {
    last: Option<(u64, u64)>,
}

impl Processors {
    /// Whether, since this was last asked, one or several of them had about a whole processor's time to spare.
    /// `false` if that is too long ago; `true` where nobody counts.
    pub(super) fn had_one_free(&mut self, now_ns: u64, rules: &Gathering) -> bool {
        let Some(idle) = idle_ticks() else { return true };
        let Some((then_ns, then)) = self.last.replace((now_ns, idle)) else { return false };
        let elapsed_ns = now_ns.saturating_sub(then_ns);
        if elapsed_ns == 0 || elapsed_ns > 2 * rules.window_ns {
            return false;
        }
        idle.saturating_sub(then) * NS_PER_TICK * 100 >= elapsed_ns * FREE_PERCENT
    }
}

/// The idle time of the processors that this process may use, all together.
fn idle_ticks() -> Option<u64> {
    static ALLOWED: OnceLock<Option<Vec<(u32, u32)>>> = OnceLock::new();
    let allowed =
        ALLOWED.get_or_init(|| allowed(&std::fs::read_to_string("/proc/self/status").ok()?)).as_ref()?;
    idle_of(&std::fs::read_to_string("/proc/stat").ok()?, allowed)
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

/// What `/proc/stat` says of the idle time, waiting for disks included, of these processors: see `proc_stat(5)`.
fn idle_of(stat: &str, allowed: &[(u32, u32)]) -> Option<u64> {
    let mut sum = None;
    for line in stat.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(number)) = words.next().and_then(|name| name.strip_prefix("cpu")).map(str::parse::<u32>)
        else {
            continue;
        };
        if allowed.iter().any(|&(first, last)| (first..=last).contains(&number)) {
            let idle: u64 = words.skip(3).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            sum = Some(sum.unwrap_or(0) + idle);
        }
    }
    sum
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
        assert_eq!(idle_of(stat, &[(0, 1)]), Some(130));
        assert_eq!(idle_of(stat, &[(1, 1), (2, 9)]), Some(1023));
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
        let before = idle_ticks().expect("Linux counts");
        assert!(idle_ticks().expect("Linux counts") >= before);
    }

    #[test]
    fn what_was_asked_long_ago_says_nothing() {
        let rules = Gathering::default();
        let mut processors = Processors { last: Some((0, 0)) };
        if idle_ticks().is_some() {
            assert!(!processors.had_one_free(3 * rules.window_ns, &rules), "an idle machine's whole uptime");
            assert!(!Processors::default().had_one_free(1, &rules));
        }
    }
}
