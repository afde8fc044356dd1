//! Word from many threads to one that something is to be looked at, and a level that only rises.

use super::primitive::{AtomicBool, AtomicU8, Ordering};

/// A flag that many raise and one takes down. No raise is lost: it is seen by a `take` that comes after it, together
/// with all that its thread, and every one that raised the flag before it, had done.
#[derive(Debug)]
pub struct Flag(AtomicBool);

/// A small number that only rises.
#[derive(Debug)]
pub struct Level(AtomicU8);

impl Flag {
    /// A flag that is down.
    pub fn new() -> Flag {
        Flag(AtomicBool::new(false))
    }

    /// Raises it. Whether it was down: then it is this thread's to ring the bell.
    pub fn raise(&self) -> bool {
        // Release pairs with the Acquire in `take`. A swap and not a store: it carries on what those released who
        // raised the flag before, and nobody has taken yet.
        !self.0.swap(true, Ordering::Release)
    }

    /// Whether it is up.
    pub fn is_raised(&self) -> bool {
        // Relaxed: who acts on it takes it first.
        self.0.load(Ordering::Relaxed)
    }

    /// Takes it down; whether it was up.
    pub fn take(&self) -> bool {
        // Acquire pairs with the Release in `raise`. The load alone, most of the time, keeps the line shared.
        self.is_raised() && self.0.swap(false, Ordering::Acquire)
    }
}

impl Default for Flag {
    fn default() -> Flag {
        Flag::new()
    }
}

impl Level {
    /// A level.
    pub fn new(level: u8) -> Level {
        Level(AtomicU8::new(level))
    }

    /// The level now: who sees it sees what was done before it was reached.
    #[inline]
    pub fn value(&self) -> u8 {
        // Acquire pairs with the Release in `rise`.
        self.0.load(Ordering::Acquire)
    }

    /// Rises to `level`, unless it is there or higher.
    pub fn rise(&self, level: u8) {
        // Release pairs with the Acquire in `value`.
        self.0.fetch_max(level, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::super::primitive::{Arc, AtomicU64, model, thread};
    use super::*;

    #[test]
    fn who_takes_a_flag_sees_what_all_did_who_had_raised_it() {
        model(|| {
            let flag = Arc::new(Flag::new());
            let done = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
            let threads = [0, 1].map(|i| {
                let (flag, done) = (flag.clone(), done.clone());
                thread::spawn(move || {
                    done[i].store(1, Ordering::Relaxed);
                    flag.raise()
                })
            });
            let mut first_seen = 0;
            let taken = flag.take();
            if taken {
                first_seen = done.iter().map(|d| d.load(Ordering::Relaxed)).sum();
                assert!(first_seen >= 1, "raised before anything was done");
            }
            let rung = threads.map(|t| u64::from(t.join().unwrap())).iter().sum::<u64>();
            // One that raised it while it was up relies on this: what it did was seen, or the flag is up again.
            assert!(flag.is_raised() || first_seen == 2, "a raise was lost");
            assert_eq!(rung, if taken && flag.is_raised() { 2 } else { 1 });
        });
    }

    #[test]
    fn a_level_never_falls_and_brings_what_was_done_before() {
        model(|| {
            let level = Arc::new(Level::new(0));
            let done = Arc::new(AtomicU64::new(0));
            let riser = {
                let (level, done) = (level.clone(), done.clone());
                thread::spawn(move || {
                    done.store(1, Ordering::Relaxed);
                    level.rise(2);
                })
            };
            level.rise(1);
            let seen = level.value();
            assert!(seen == 1 || seen == 2);
            assert!(seen == 1 || done.load(Ordering::Relaxed) == 1);
            riser.join().unwrap();
            assert_eq!(level.value(), 2);
        });
    }
}
