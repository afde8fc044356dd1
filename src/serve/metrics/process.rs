//! The `process_*` metrics, as every Prometheus client has them, read from `/proc`.

#![allow(unsafe_code)]

use std::fs;

use super::text::Text;

pub(super) fn render(text: &mut Text) {
    let mut one = |name, kind, help, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, kind, help);
            text.sample(&[], value);
        }
    };
    let stat = Stat::read();
    let stat = stat.as_ref();
    one(
        "process_cpu_seconds_total",
        "counter",
        "User and system CPU time spent in seconds.",
        stat.map(|s| s.cpu_seconds),
    );
    one(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory size in bytes.",
        stat.map(|s| s.resident_bytes),
    );
    one("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", stat.map(|s| s.virtual_bytes));
    one(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since the Unix epoch in seconds.",
        stat.and_then(|s| Some(boot_seconds()? + s.start_seconds)),
    );
    let open = fs::read_dir("/proc/self/fd").ok().map(|d| d.count().saturating_sub(1) as f64);
    one("process_open_fds", "gauge", "Number of open file descriptors.", open);
    one("process_max_fds", "gauge", "Maximum number of open file descriptors.", fds_max());
}

struct Stat {
    cpu_seconds: f64,
    start_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Stat {
    fn read() -> Option<Stat> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in parentheses may hold anything; the fields behind it count from 3 in proc(5).
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
        let ticks = sysconf(libc::_SC_CLK_TCK)?;
        Some(Stat {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            start_seconds: field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * sysconf(libc::_SC_PAGESIZE)?,
        })
    }
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|l| l.strip_prefix("btime "))?.trim().parse().ok()
}

fn fds_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

fn sysconf(name: libc::c_int) -> Option<f64> {
    // SAFETY: a query without pointers.
    let value = unsafe { libc::sysconf(name) };
    (value > 0).then_some(value as f64)
}
