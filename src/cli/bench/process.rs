//! A server's process, from outside: its CPU time and memory, as Linux's /proc tells them.
//!
//! Comes in: a process id. Goes out: CPU seconds of all its threads, living and gone, and peak resident memory. Keeps:
//! a process that can't be looked at gives an error, never a zero.

use std::io;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pid: u32,
}

/// CPU time at the end of the wait for idleness.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) cpu_seconds: f64,
    /// Whether it became idle in the time given.
    pub(super) reached: bool,
}

impl Process {
    /// # Errors
    /// There is no such process, or no /proc.
    pub(super) fn new(pid: u32) -> io::Result<Process> {
        let process = Process { pid };
        process.cpu_ticks().map(|_| process)
    }

    pub(super) fn own() -> Process {
        Process { pid: std::process::id() }
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn cpu_seconds(self) -> io::Result<f64> {
        Ok(self.cpu_ticks()? as f64 / TICKS_PER_SECOND)
    }

    /// Waits for `settle`, then until the process has used no CPU for a second, a minute at most in all: work that was
    /// put off (flushing, merging) belongs to what caused it.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn wait_until_idle(self, settle: Duration) -> io::Result<Idle> {
        let clock = SystemClock::default();
        let (mut ticks, mut changed_ns) = (self.cpu_ticks()?, 0);
        loop {
            thread::sleep(POLL_INTERVAL);
            let (now_ns, now_ticks) = (clock.monotonic_ns(), self.cpu_ticks()?);
            if now_ticks != ticks {
                (ticks, changed_ns) = (now_ticks, now_ns);
            }
            let reached = now_ns - changed_ns >= IDLE_NS && u128::from(now_ns) >= settle.as_nanos();
            if reached || now_ns >= IDLE_WAIT_MAX_NS {
                return Ok(Idle { cpu_seconds: ticks as f64 / TICKS_PER_SECOND, reached });
            }
        }
    }

    /// Makes the peak start from what is resident now. Whether that was permitted.
    pub(super) fn reset_memory_peak(self) -> bool {
        std::fs::write(self.path("clear_refs"), "5").is_ok()
    }

    /// The most memory resident since the reset, or since the start.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn memory_peak_bytes(self) -> io::Result<u64> {
        let status = std::fs::read_to_string(self.path("status"))?;
        parse_memory_peak(&status).ok_or_else(|| malformed("status"))
    }

    fn cpu_ticks(self) -> io::Result<u64> {
        let stat = std::fs::read_to_string(self.path("stat"))?;
        parse_cpu_ticks(&stat).ok_or_else(|| malformed("stat"))
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid)
    }
}

/// Fields 14 and 15, utime and stime. The second field is a name in parentheses, which may hold anything.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_memory_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("/proc/PID/{file} is not as expected"))
}

/// What Linux shows to user space on x86-64 and aarch64, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const IDLE_NS: u64 = 1_000_000_000;
const IDLE_WAIT_MAX_NS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let stat = "12 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 4 0 99 1 1";
        assert_eq!(parse_cpu_ticks(stat), Some(300));
        assert_eq!(parse_cpu_ticks("12 (a) S 1"), None);
    }

    #[test]
    fn status_tells_the_peak() {
        assert_eq!(parse_memory_peak("VmPeak:\t 900 kB\nVmHWM:\t   64 kB\n"), Some(65_536));
        assert_eq!(parse_memory_peak("VmRSS: 1 kB"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_works_has_more_cpu_time() {
        let (own, before) = (Process::own(), Process::own().cpu_seconds().unwrap());
        let mut sum = 0u64;
        while own.cpu_seconds().unwrap() < before + 0.05 {
            sum = (0..100_000).fold(sum, |sum, i| std::hint::black_box(sum ^ i));
        }
        assert!(own.memory_peak_bytes().unwrap() > 1 << 20);
        assert!(Process::new(u32::MAX).is_err());
    }
}
