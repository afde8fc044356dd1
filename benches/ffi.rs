//! What a row costs through the C ABI: `cargo bench --features capi --bench ffi`.
//!
//! Each workload is pushed through the `extern "C"` functions until it is durable, read back and verified, then timed:
//! all threads' CPU from the first call to the last row's being durable, per sample; and apart from that what single
//! calls take of their caller's time. Two-decimal random walks; the disk is the temporary directory's. At the end the
//! size of the shared library that `make lib` has left. Beside another library's buffer: `benches/questdb`.

#![allow(unsafe_code)]
// Like tests.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::ptr::null_mut;
use std::time::Instant;

use tidegate::ffi::*;
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

const SERIES: usize = 1_000;
/// So many that what a new engine begins with, memory and files, does not count.
const SAMPLES: usize = 16_000_000;
const RUNS: usize = 5;
const START_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const LONG_NS: i64 = 60_000_000_000;

/// A step of a generator that needs no library.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Walks of two decimals, as rows: round by round, a sample of each series.
struct Walk {
    values: Vec<f64>,
    sum: f64,
}

impl Walk {
    fn new(samples: usize) -> Walk {
        let (mut state, mut now) = (7, vec![5_000i64; SERIES]);
        let values: Vec<f64> = (0..samples)
            .map(|i| {
                let at = &mut now[i % SERIES];
                *at += next(&mut state) as i64 % 101 - 50;
                *at as f64 / 100.0
            })
            .collect();
        Walk { sum: values.iter().sum(), values }
    }
}

fn text(text: &str) -> tdg_str {
    tdg_str { ptr: text.as_ptr().cast(), len: text.len() }
}

/// An engine of the ABI's.
struct Engine(*mut tdg_engine);

impl Engine {
    fn open(directory: &Path, workers: usize) -> Engine {
        let mut engine = null_mut();
        // SAFETY: every pointer is a local's.
        unsafe {
            let options = tdg_options_new();
            let path = directory.to_str().unwrap();
            assert_eq!(tdg_options_set(options, text("data.directory"), text(path), null_mut()), TDG_OK);
            assert_eq!(
                tdg_options_set(options, text("workers"), text(&workers.to_string()), null_mut()),
                TDG_OK
            );
            assert_eq!(tdg_options_set(options, text("writer.full_wait"), text("1m"), null_mut()), TDG_OK);
            assert_eq!(tdg_engine_open(options, &raw mut engine, null_mut()), TDG_OK);
            tdg_options_free(options);
        }
        Engine(engine)
    }

    fn series(&self) -> Vec<tdg_series> {
        (0..SERIES)
            .map(|i| {
                let host = i.to_string();
                let label = tdg_label { name: text("host"), value: text(&host) };
                let mut series = 0;
                // SAFETY: every pointer is a local's.
                let status = unsafe {
                    tdg_engine_series(self.0, text("walk"), &raw const label, 1, &raw mut series, null_mut())
                };
                assert_eq!(status, TDG_OK);
                series
            })
            .collect()
    }

    fn writer(&self) -> *mut tdg_writer {
        let mut writer = null_mut();
        // SAFETY: a local.
        assert_eq!(unsafe { tdg_writer_new(self.0, &raw mut writer, null_mut()) }, TDG_OK);
        writer
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: nobody calls on it any more.
        unsafe { tdg_engine_free(self.0) };
    }
}

fn make_durable(writer: *mut tdg_writer) {
    let mut token = 0;
    // SAFETY: a writer of this thread's, and a local.
    unsafe {
        assert_eq!(tdg_writer_flush(writer, &raw mut token), TDG_OK);
        assert_eq!(tdg_writer_wait(writer, token, LONG_NS), TDG_OK);
    }
}

/// CPU that this process has used, in seconds.
fn cpu_seconds() -> f64 {
    // SAFETY: written by the call before it is read.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn verify(directory: &Path, walk: &Walk, field: &[u8]) {
    let (mut rows, mut sum) = (0, 0.0);
    let mut found = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    found
        .for_each(|row| {
            for (name, value) in row.fields() {
                if let (true, tidegate::block::Value::F64(value)) = (name == field, value) {
                    rows += 1;
                    sum += value;
                }
            }
            Ok::<_, LogError>(())
        })
        .unwrap();
    assert_eq!(rows, walk.values.len());
    assert!((sum - walk.sum).abs() < 1e-6 * walk.sum.abs(), "{sum} {}", walk.sum);
}

/// Whether a workload is to run: all do, or those whose name has the text after `--`.
fn is_wanted(name: &str) -> bool {
    std::env::args().skip(1).all(|argument| argument.starts_with('-') || name.contains(&argument))
}

/// Runs a workload several times; tells the median of all threads' CPU per sample.
fn measure(name: &str, walk: &Walk, push: impl Fn(&Engine, &[tdg_series], &Walk)) {
    measure_with(1, name, walk, push);
}

/// The same with so many workers.
fn measure_with(workers: usize, name: &str, walk: &Walk, push: impl Fn(&Engine, &[tdg_series], &Walk)) {
    if !is_wanted(name) {
        return;
    }
    let mut runs: Vec<(f64, f64)> = (0..=RUNS)
        .map(|_| {
            let directory = tempfile::tempdir().unwrap();
            let engine = Engine::open(directory.path(), workers);
            let series = engine.series();
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            push(&engine, &series, walk);
            let spent = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
            drop(engine);
            verify(directory.path(), walk, b"value");
            spent
        })
        .skip(1)
        .collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let per = |seconds: f64| seconds * 1e9 / walk.values.len() as f64;
    let (cpu, wall) = runs[RUNS / 2];
    println!("{name:<44} {:>7.1} ns CPU a sample, {:>7.1} ns elapsed", per(cpu), per(wall));
}

fn time_of(sample: usize) -> i64 {
    START_NS + (sample / SERIES) as i64 * SECOND_NS
}

fn push_singles(
    writer: *mut tdg_writer,
    series: &[tdg_series],
    values: &[f64],
    order: impl Fn(usize) -> usize,
) {
    for (i, &value) in values.iter().enumerate() {
        // SAFETY: a writer of this thread's.
        let status = unsafe { tdg_writer_push(writer, series[order(i)], time_of(i), value) };
        assert_eq!(black_box(status), TDG_OK);
    }
}

fn in_order(walk: &Walk) {
    measure("single, series in order", walk, |engine, series, walk| {
        let writer = engine.writer();
        push_singles(writer, series, &walk.values, |i| i % SERIES);
        make_durable(writer);
        // SAFETY: it is this thread's, and used no more.
        unsafe { tdg_writer_free(writer) };
    });
}

fn at_random(walk: &Walk) {
    let mut state = 3;
    let order: Vec<usize> = (0..walk.values.len()).map(|_| next(&mut state) as usize % SERIES).collect();
    measure("single, series at random (values mixed up)", walk, |engine, series, walk| {
        let writer = engine.writer();
        push_singles(writer, series, &walk.values, |i| order[i]);
        make_durable(writer);
        // SAFETY: it is this thread's, and used no more.
        unsafe { tdg_writer_free(writer) };
    });
}

fn columns(walk: &Walk) {
    measure("column: 1,000 series at one time", walk, |engine, series, walk| {
        let writer = engine.writer();
        for (round, values) in walk.values.chunks(SERIES).enumerate() {
            let time_ns = time_of(round * SERIES);
            // SAFETY: slices of one length, and a writer of this thread's.
            let status = unsafe {
                tdg_writer_push_series(writer, series.as_ptr(), time_ns, values.as_ptr(), SERIES, null_mut())
            };
            assert_eq!(status, TDG_OK);
        }
        make_durable(writer);
        // SAFETY: it is this thread's, and used no more.
        unsafe { tdg_writer_free(writer) };
    });
    // The same walks, a series' thousand samples together.
    let rounds = 1_000;
    let mut turned = Walk { values: walk.values.clone(), sum: walk.sum };
    for (block, values) in walk.values.chunks_exact(SERIES * rounds).enumerate() {
        for (i, value) in values.iter().enumerate() {
            turned.values[block * SERIES * rounds + i % SERIES * rounds + i / SERIES] = *value;
        }
    }
    measure("column: one series at 1,000 times", &turned, |engine, series, walk| {
        let writer = engine.writer();
        for (i, values) in walk.values.chunks(rounds).enumerate() {
            let first = (i / SERIES * rounds) as i64;
            let times: Vec<i64> = (first..).take(rounds).map(|t| START_NS + t * SECOND_NS).collect();
            // SAFETY: slices of one length, and a writer of this thread's.
            let status = unsafe {
                let (times, values) = (times.as_ptr(), values.as_ptr());
                tdg_writer_push_times(writer, series[i % SERIES], times, values, rounds, null_mut())
            };
            assert_eq!(status, TDG_OK);
        }
        make_durable(writer);
        // SAFETY: it is this thread's, and used no more.
        unsafe { tdg_writer_free(writer) };
    });
}

/// The same samples from several threads, each with series of its own.
fn many_writers(walk: &Walk, writers: usize, workers: usize) {
    let parts: Vec<Range<usize>> =
        (0..writers).map(|w| SERIES * w / writers..SERIES * (w + 1) / writers).collect();
    let name = format!("single, {writers} writers, {workers} workers");
    // What a thread pushes lies side by side, as what it has measured itself would.
    let own = |part: &Range<usize>| -> Vec<f64> {
        walk.values.chunks_exact(SERIES).flat_map(|values| &values[part.clone()]).copied().collect()
    };
    let values: Vec<Vec<f64>> = parts.iter().map(own).collect();
    measure_with(workers, &name, walk, |engine, series, _| {
        std::thread::scope(|scope| {
            for (part, values) in parts.iter().zip(&values) {
                // A pointer is sent as a number; the thread makes a writer of its own.
                let engine = engine.0 as usize;
                scope.spawn(move || {
                    let engine = std::mem::ManuallyDrop::new(Engine(engine as *mut tdg_engine));
                    let writer = engine.writer();
                    for (round, values) in values.chunks_exact(part.len()).enumerate() {
                        let time_ns = time_of(round * SERIES);
                        for (&series, &value) in series[part.clone()].iter().zip(values) {
                            // SAFETY: a writer of this thread's.
                            let status = unsafe { tdg_writer_push(writer, series, time_ns, value) };
                            assert_eq!(black_box(status), TDG_OK);
                        }
                    }
                    make_durable(writer);
                    // SAFETY: it is this thread's, and used no more.
                    unsafe { tdg_writer_free(writer) };
                });
            }
        });
    });
}

fn wide_rows(walk: &Walk) {
    const FIELDS: usize = 10;
    let names: Vec<String> =
        (0..FIELDS).map(|i| if i == 0 { "value".into() } else { format!("field_{i}") }).collect();
    let name = "row of 10 floats, a sample";
    let rows = Walk::new(walk.values.len() / FIELDS);
    // Counted per row by `measure`, told per sample by its name.
    measure(&format!("{name} (ns a row)"), &rows, |engine, series, walk| {
        let writer = engine.writer();
        let field =
            |name: &String| tdg_field { name: text(name), value: tdg_value { f64: 0.0 }, kind: TDG_F64 };
        let mut fields: Vec<tdg_field> = names.iter().map(field).collect();
        for (i, &value) in walk.values.iter().enumerate() {
            fields.iter_mut().for_each(|field| field.value = tdg_value { f64: value });
            // SAFETY: a slice, and a writer of this thread's.
            let status = unsafe {
                tdg_writer_push_row(writer, series[i % SERIES], time_of(i), fields.as_ptr(), FIELDS)
            };
            assert_eq!(status, TDG_OK);
        }
        make_durable(writer);
        // SAFETY: it is this thread's, and used no more.
        unsafe { tdg_writer_free(writer) };
    });
}

/// Ticks of a clock that costs little, and how many a nanosecond has.
#[cfg(target_arch = "x86_64")]
fn ticks() -> u64 {
    // SAFETY: there on every x86-64.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// What single calls take of their caller's time: one in 16 is timed, so that the clock does not set the pace.
fn caller(walk: &Walk) {
    let name = "single, the caller's own time";
    if !is_wanted(name) {
        return;
    }
    let (began, wall) = (ticks(), Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), 1);
    let (series, writer) = (engine.series(), engine.writer());
    let mut clock: Vec<u64> = (0..10_000)
        .map(|_| {
            let t = ticks();
            ticks() - t
        })
        .collect();
    clock.sort_unstable();
    let own = clock[clock.len() / 2];
    let mut spent = Vec::with_capacity(walk.values.len() / 16 + 1);
    for (i, &value) in walk.values.iter().enumerate() {
        let start = if i % 16 == 0 { ticks() } else { 0 };
        // SAFETY: a writer of this thread's.
        let status = unsafe { tdg_writer_push(writer, series[i % SERIES], time_of(i), value) };
        if i % 16 == 0 {
            spent.push((ticks() - start).saturating_sub(own));
        }
        assert_eq!(black_box(status), TDG_OK);
    }
    make_durable(writer);
    let per_ns = (ticks() - began) as f64 / wall.elapsed().as_nanos() as f64;
    // SAFETY: it is this thread's, and used no more.
    unsafe { tdg_writer_free(writer) };
    drop(engine);
    verify(directory.path(), walk, b"value");
    spent.sort_unstable();
    let at = |share: f64| spent[((spent.len() - 1) as f64 * share) as usize] as f64 / per_ns;
    println!(
        "{name:<44} {:>7.1} ns median, {:.1} p99, {:.1} p99.9, {:.0} max",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Tells how large the shared library is as it is shipped, if it was built.
fn library_size() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/c/lib/libtidegate.so");
    match std::fs::metadata(library) {
        Ok(found) => println!("{:<44} {:>7.2} MB", "shared library, stripped", found.len() as f64 / 1e6),
        Err(_) => println!("shared library: not built; `make lib` does it"),
    }
}

fn main() {
    // What cargo and test runners pass.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let walk = Walk::new(SAMPLES);
    in_order(&walk);
    at_random(&walk);
    columns(&walk);
    wide_rows(&walk);
    for (writers, workers) in [(1, 1), (8, 1), (8, 2)] {
        many_writers(&walk, writers, workers);
    }
    caller(&walk);
    library_size();
}
