//! A sample through our C ABI, beside one in the buffer of QuestDB's client:
//! `cargo run --release --locked --manifest-path benches/questdb/Cargo.toml`.
//!
//! The same two-decimal walk of 1,000 series goes through both, turn by turn in one run. QuestDB's rows are written to
//! its buffer as line protocol, with floats as text (version 1) or as eight bytes (version 2), and thrown away: nothing
//! is sent. Ours are pushed by their handles until they are compressed, synced and told durable; of that the caller's
//! own thread is told apart. What each has taken is verified before it counts.

#![allow(unsafe_code)]
// Like tests.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::ptr::null_mut;

use questdb::ingress::{Buffer, ProtocolVersion, TimestampNanos};
use tidegate::ffi::*;
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

const SERIES: usize = 1_000;
const SAMPLES: usize = 2_000_000;
const RUNS: usize = 5;
/// Rows that a buffer holds before it would be sent.
const FLUSH_ROWS: usize = 10_000;
const START_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const LONG_NS: i64 = 60_000_000_000;

/// Walks of two decimals, round by round, a sample of each series.
fn walk() -> Vec<f64> {
    let (mut state, mut now) = (7u64, vec![5_000i64; SERIES]);
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % 101 - 50
    };
    (0..SAMPLES)
        .map(|i| {
            now[i % SERIES] += step();
            now[i % SERIES] as f64 / 100.0
        })
        .collect()
}

fn time_of(sample: usize) -> i64 {
    START_NS + (sample / SERIES) as i64 * SECOND_NS
}

/// CPU in seconds of `who`: the process's, or its calling thread's.
fn cpu_seconds(who: libc::c_int) -> f64 {
    // SAFETY: a struct of numbers, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(who, &raw mut usage), 0);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The CPU of a buffer's filling, in seconds.
fn questdb(version: ProtocolVersion, hosts: &[String], values: &[f64]) -> f64 {
    let mut buffer = Buffer::new(version);
    let mut fill = |values: &[f64], first: usize| {
        buffer.clear();
        for (i, &value) in values.iter().enumerate() {
            let row = buffer.table("walk").unwrap().symbol("host", &*hosts[(first + i) % SERIES]).unwrap();
            row.column_f64("value", value).unwrap().at(TimestampNanos::new(time_of(first + i))).unwrap();
        }
        buffer.row_count()
    };
    assert_eq!(fill(&values[..SERIES], 0), SERIES);
    let cpu = cpu_seconds(libc::RUSAGE_THREAD);
    let rows: usize = values.chunks(FLUSH_ROWS).enumerate().map(|(n, part)| fill(part, n * FLUSH_ROWS)).sum();
    let spent = cpu_seconds(libc::RUSAGE_THREAD) - cpu;
    assert_eq!(rows, values.len());
    spent
}

fn text(text: &str) -> tdg_str {
    tdg_str { ptr: text.as_ptr().cast(), len: text.len() }
}

/// The CPU of all threads until a walk is durable, and of the one that pushes, in seconds.
fn tidegate(directory: &Path, hosts: &[String], values: &[f64]) -> (f64, f64) {
    let (mut engine, mut writer, mut token) = (null_mut(), null_mut(), 0);
    // SAFETY: every pointer is a local's, and every handle this thread's, used until it is freed.
    unsafe {
        let options = tdg_options_new();
        let path = directory.to_str().unwrap();
        assert_eq!(tdg_options_set(options, text("data.directory"), text(path), null_mut()), TDG_OK);
        assert_eq!(tdg_options_set(options, text("writer.full_wait"), text("1m"), null_mut()), TDG_OK);
        assert_eq!(tdg_engine_open(options, &raw mut engine, null_mut()), TDG_OK);
        tdg_options_free(options);
        assert_eq!(tdg_writer_new(engine, &raw mut writer, null_mut()), TDG_OK);
        let series: Vec<tdg_series> = hosts
            .iter()
            .map(|host| {
                let label = tdg_label { name: text("host"), value: text(host) };
                let mut series = 0;
                let place = &raw mut series;
                assert_eq!(
                    tdg_engine_series(engine, text("walk"), &raw const label, 1, place, null_mut()),
                    TDG_OK
                );
                series
            })
            .collect();
        let (all, own) = (cpu_seconds(libc::RUSAGE_SELF), cpu_seconds(libc::RUSAGE_THREAD));
        for (i, &value) in values.iter().enumerate() {
            assert_eq!(tdg_writer_push(writer, series[i % SERIES], time_of(i), value), TDG_OK);
        }
        assert_eq!(tdg_writer_flush(writer, &raw mut token), TDG_OK);
        assert_eq!(tdg_writer_wait(writer, token, LONG_NS), TDG_OK);
        let spent = (cpu_seconds(libc::RUSAGE_SELF) - all, cpu_seconds(libc::RUSAGE_THREAD) - own);
        tdg_writer_free(writer);
        tdg_engine_free(engine);
        spent
    }
}

fn verify(directory: &Path, values: &[f64]) {
    let (mut rows, mut sum) = (0, 0.0);
    let mut found = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    found
        .for_each(|row| {
            for (_, value) in row.fields() {
                if let tidegate::block::Value::F64(value) = value {
                    rows += 1;
                    sum += value;
                }
            }
            Ok::<_, LogError>(())
        })
        .unwrap();
    let expected: f64 = values.iter().sum();
    assert_eq!(rows, values.len());
    assert!((sum - expected).abs() < 1e-6 * expected.abs(), "{sum} {expected}");
}

fn main() {
    let (values, hosts) = (walk(), (0..SERIES).map(|i| i.to_string()).collect::<Vec<_>>());
    let names = [
        "QuestDB's buffer, version 1: rows as text",
        "QuestDB's buffer, version 2: rows with binary floats",
        "tidegate, the caller's thread until durable",
        "tidegate, all threads until durable",
    ];
    let mut runs = vec![Vec::new(); names.len()];
    // One round more, which warms up.
    for round in 0..=RUNS {
        let directory = tempfile::tempdir().unwrap();
        let (all, own) = tidegate(directory.path(), &hosts, &values);
        verify(directory.path(), &values);
        let buffers =
            [ProtocolVersion::V1, ProtocolVersion::V2].map(|version| questdb(version, &hosts, &values));
        if round > 0 {
            for (spent, run) in [buffers[0], buffers[1], own, all].into_iter().zip(&mut runs) {
                run.push(spent * 1e9 / SAMPLES as f64);
            }
        }
    }
    for (name, run) in names.iter().zip(&mut runs) {
        run.sort_by(f64::total_cmp);
        println!("{name:<54} {:>7.1} ns CPU a sample", run[RUNS / 2]);
    }
}
