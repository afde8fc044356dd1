//! After warm-up no row allocates: not on the server's way (decoder, worker, commit), not on the embedded writer's.

// Invariants of `Counting`: (1) it hands every call on to the system's allocator unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::engine::{Arrivals, Embedded, Event, FieldValue, LOADS_MAX, Options, spawn};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::Directory;
use tidegate::log::disk::{Backend, SystemDisk};
use tidegate::model::WriteResult;
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, FedState};

mod engine_kit;
use engine_kit::{LOG, options};

struct Counting;

/// Of all threads.
static ALL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALL.fetch_add(1, Ordering::Relaxed);
    // A thread that is ending has no counter any more; nothing is measured there.
    let _ = OWN.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: (1).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: (1).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: (1).
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: (1).
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONG: Duration = Duration::from_secs(60);
const ROWS: usize = 20_000;
const HOSTS: usize = 50;

/// A body of rows with ten fields of all kinds, times rising from round to round.
fn body(round: usize, out: &mut String) {
    out.clear();
    for i in 0..ROWS {
        let time = (round * ROWS + i) as i64 * 1_000_000;
        let (host, v) = (i % HOSTS, i % 100);
        writeln!(
            out,
            "cpu,host=host_{host},region=eu a={v}i,b=0.{v},c=t,d=\"state {}\",e={v}.5 {time}",
            v % 5
        )
        .expect("a String takes it");
    }
}

/// Allocations of the calling thread for each of some rounds on the server's way: decode, commit, wait.
fn server_rounds(rounds: usize) -> Vec<usize> {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = Directory::open(directory.path(), LOG).expect("an empty directory");
    let disk = SystemDisk::open(directory.files().clone(), Backend::Threads, "test", &spawn).expect("a disk");
    let mut worker = engine_kit::worker(disk, 64 << 20);
    let mut decoder = Decoder::new(Dialect::V1, Precision::Nanos, 0);
    let mut stream = Stream::new(ContextId(0));
    let (mut text, mut events, mut result) =
        (String::with_capacity(4 << 20), Vec::with_capacity(64), WriteResult::default());
    let mut counts = Vec::with_capacity(rounds);
    for round in 0..rounds {
        body(round, &mut text);
        let before = OWN.get();
        // The later half of the rounds are bodies of their own, whose decoder plans its shapes anew.
        let new_body = round >= rounds / 2;
        if new_body {
            decoder.reset(Dialect::V1, Precision::Nanos, 0);
        }
        // As sockets give it: in pieces that end anywhere.
        let mut at = 0;
        let mut end = 0;
        while at < text.len() {
            end = (end + 100_001).min(text.len());
            let last = new_body && end == text.len();
            let fed =
                decoder.feed(&text.as_bytes()[at..end], last, &mut worker.writer(&mut stream), &mut result);
            assert_ne!(fed.state, FedState::Full, "a batch holds it");
            at += fed.consumed;
        }
        worker.wait();
        let sequence = worker.filling();
        while !events.contains(&Event::Durable { upto: sequence }) {
            worker.turn(Arrivals::None, &mut events);
            std::thread::yield_now();
        }
        events.clear();
        counts.push(OWN.get() - before);
    }
    assert_eq!((result.accepted, result.rejected), ((rounds * ROWS) as u64, 0));
    counts
}

/// Allocations of each of some rounds on the embedded way: of the writer's thread, and of all threads. And how many
/// segments that took.
fn embedded_rounds(rounds: usize) -> (Vec<(usize, usize)>, usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Embedded::open(Options { backend: Some(Backend::Threads), ..options(directory.path()) })
        .expect("an empty one");
    let mut writer = engine.writer().expect("it is open");
    writer.set_patience(LONG);
    let series: Vec<_> = (0..HOSTS)
        .map(|host| writer.series(&[("__name__", "cpu"), ("host", &host.to_string())]).expect("room for it"))
        .collect();
    let mut text = String::with_capacity(4 << 20);
    let mut counts = Vec::with_capacity(rounds);
    for round in 0..rounds {
        body(round, &mut text);
        let before = (OWN.get(), ALL.load(Ordering::Relaxed));
        for i in 0..ROWS {
            let (series, time) = (series[i % HOSTS], (round * ROWS + i) as i64);
            writer.push(series, time, i as f64).expect("the engine keeps up");
            let fields = [("a", FieldValue::I64(i as i64)), ("b", FieldValue::String("text"))];
            writer.push_row(series, time, &fields).expect("the engine keeps up");
        }
        let written = writer.write_lines(text.as_bytes(), Dialect::V1, Precision::Nanos);
        assert_eq!((written.result.accepted, written.stopped), (ROWS as u64, None));
        writer.flush().expect("it is open").wait(LONG).expect("a sound disk");
        counts.push((OWN.get() - before.0, ALL.load(Ordering::Relaxed) - before.1));
    }
    let segments = std::fs::read_dir(directory.path().join("log")).expect("it is there").count();
    (counts, segments)
}

// One test, so that no other one's allocations are counted.
#[test]
fn warm_rows_allocate_nothing() {
    let server = server_rounds(8);
    println!("server: {server:?}");
    let (stream, bodies) = server.split_at(4);
    assert!(stream[0] > 0, "what is cold does allocate");
    assert_eq!(stream[2..], [0, 0], "for {ROWS} rows and a commit each");
    assert!(bodies.iter().all(|&n| n <= PER_BODY_MAX), "for {ROWS} rows and a commit each: {bodies:?}");

    let (embedded, segments) = embedded_rounds(40);
    println!("embedded: {embedded:?}, {segments} segments");
    let warm = &embedded[4..];
    // Each load grows once to its size, whenever its turn comes first: beside that there is nothing per row.
    let mut own: Vec<_> = warm.iter().map(|&(own, _)| own).collect();
    let growth = own.iter().map(|n| n.saturating_sub(PER_BODY_MAX)).sum::<usize>();
    own.sort_unstable();
    // Which loads come round is the threads' luck: a round in which none is new shows what rows cost by themselves.
    assert!(own[0] <= PER_BODY_MAX, "for {} rows: {embedded:?}", 3 * ROWS);
    assert!(growth <= LOADS_MAX * PER_LOAD_MAX, "for {} rows: {embedded:?}", warm.len() * 3 * ROWS);
    let mut others: Vec<_> = warm.iter().map(|&(own, all)| all - own).collect();
    others.sort_unstable();
    // Most rounds begin no segment: they show what rows and their commits cost.
    assert!(others[warm.len() / 2] <= OTHERS_MAX, "by the engine's threads: {embedded:?}");
    let sum: usize = others.iter().sum();
    let sum_max = warm.len() * OTHERS_MAX + segments * PER_SEGMENT_MAX;
    assert!(sum <= sum_max, "{sum} by the engine's threads, for {segments} segments: {embedded:?}");
}

/// Allocations of a body, however many rows it has: the decoder's plan for each of its shapes.
const PER_BODY_MAX: usize = 8;

/// Allocations by which a load grows to its size: three vectors that double.
const PER_LOAD_MAX: usize = 64;

/// Allocations of the engine's threads for the commits and loads of a round.
const OTHERS_MAX: usize = 4;

/// Allocations of the engine's threads for a segment, however many rows it has: preparing and closing it, a new table
/// that grows to the size of the old one.
const PER_SEGMENT_MAX: usize = 64;
