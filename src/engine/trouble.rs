//! What goes wrong again and again: told when it is new, then once a minute with how often it was so.

/// What was told last.
#[derive(Default, Debug)]
pub(super) struct Trouble {
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    error: String,
    told_ns: u64,
    untold: u64,
}

/// The same is not told again before this.
const PAUSE_NS: u64 = 60_000_000_000;

impl Trouble {
    /// Notes an error. If it is to be told, gives how often it came since it was told last, this time included.
    pub(super) fn notice(&mut self, error: &str, now_ns: u64) -> Option<u64> {
        let times = match &mut self.told {
            Some(told) if told.error == error => {
                told.untold += 1;
                if now_ns < told.told_ns + PAUSE_NS {
                    return None;
                }
                told.untold
            }
            _ => 1,
        };
        self.told = Some(Told { error: error.to_owned(), told_ns: now_ns, untold: 0 });
        Some(times)
    }

    /// It is over: the next one is news.
    pub(super) fn end(&mut self) {
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_stays_full_is_told_once_a_minute_and_not_twice_a_second() {
        let mut trouble = Trouble::default();
        let told = |trouble: &mut Trouble, error| {
            let halves = (0..300).map(|n| n * 500_000_000);
            halves.filter_map(|now_ns| trouble.notice(error, now_ns)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut trouble, "full"), [1, 120, 120]);
        assert_eq!(trouble.notice("broken", 150_000_000_000), Some(1));
        assert_eq!(trouble.notice("full", 150_500_000_000), Some(1));
        assert_eq!(trouble.notice("full", 151_000_000_000), None);
        trouble.end();
        assert_eq!(trouble.notice("full", 151_500_000_000), Some(1));
    }
}
