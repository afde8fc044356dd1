//! The embedded engine under what goes wrong: disks that are slow, that fail, that panic; and segments that end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate::clock::SystemClock;
use tidegate::engine::{
    CloseError, Embedded, LOADS_MAX, NotDurable, Options, RowWriter, Worker, WriteError, spawn,
};
use tidegate::ingest::PARCEL_ROWS_MAX;
use tidegate::log::disk::ThreadDisk;
use tidegate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use tidegate::model::BATCH_ROWS_MAX;

mod engine_kit;
use engine_kit::{HandledDisk, Hands, log_options, options, read_rows, worker};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
const SEGMENT_BYTES: u64 = 1 << 20;

/// The row that [`push`] pushes, as it is read back.
fn row(host: u64, time: i64) -> String {
    format!("__name__=load,host=h{host} value={} {time}", time as f64 * 0.5)
}

fn push(writer: &mut RowWriter, host: u64, time: i64) -> Result<(), WriteError> {
    let series = writer.series(&[("__name__", "load"), ("host", &format!("h{host}"))])?;
    writer.push(series, time, time as f64 * 0.5)
}

fn once(rows: impl IntoIterator<Item = String>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|row| (row, 1)).collect()
}

#[test]
fn a_disk_that_stands_still_makes_writers_wait_and_loses_nothing() {
    let files = SimulatedFiles::new(1);
    let hands = Arc::new(Hands::default());
    let disk = HandledDisk { disk: SimulatedDisk::new(files.clone(), 1), hands: Arc::clone(&hands) };
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let mut writer = engine.writer().unwrap();
    hands.held.store(true, Ordering::Relaxed);
    writer.set_patience(SHORT);
    let mut pushed = 0;
    let full = loop {
        match push(&mut writer, pushed % 3, pushed as i64) {
            Ok(()) => pushed += 1,
            Err(why) => break why,
        }
    };
    assert_eq!(full, WriteError::Full);
    // Two blocks on their way to the disk, a full batch, and the loads.
    let room = 3 * BATCH_ROWS_MAX + LOADS_MAX * PARCEL_ROWS_MAX;
    assert!((2 * BATCH_ROWS_MAX..=room).contains(&(pushed as usize)), "{pushed} of {room}");
    let body = writer.write_lines(
        b"m v=1 1",
        tidegate::wire::influx::Dialect::V1,
        tidegate::wire::influx::Precision::Nanos,
    );
    assert_eq!((body.stopped, body.consumed), (Some(WriteError::Full), 0));
    let token = writer.flush().unwrap();
    assert!(!token.is_durable());
    assert_eq!(token.wait(SHORT), Err(NotDurable::TimedOut));

    hands.held.store(false, Ordering::Relaxed);
    writer.set_patience(LONG);
    push(&mut writer, pushed % 3, pushed as i64).unwrap();
    assert_eq!(token.wait(LONG), Ok(()));
    writer.flush().unwrap().wait(LONG).unwrap();
    engine.close(LONG).unwrap();
    assert!(read_rows(&files).0 == once((0..=pushed).map(|i| row(i % 3, i as i64))));
}

#[test]
fn a_load_that_finds_room_for_a_part_of_its_rows_is_taken_in_once() {
    // No batch is full where a load ends.
    const LOAD_ROWS: i64 = 1000;
    const _: () = assert!(!BATCH_ROWS_MAX.is_multiple_of(LOAD_ROWS as usize));
    let files = SimulatedFiles::new(4);
    let hands = Arc::new(Hands::default());
    let disk = HandledDisk { disk: SimulatedDisk::new(files.clone(), 4), hands: Arc::clone(&hands) };
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let mut writer = engine.writer().unwrap();
    hands.held.store(true, Ordering::Relaxed);
    // Longer than a worker may have to wait for a processor.
    writer.set_patience(Duration::from_secs(2));
    let mut pushed = 0;
    while push(&mut writer, 0, pushed).is_ok() {
        pushed += 1;
        if pushed % LOAD_ROWS == 0 {
            drop(writer.flush().unwrap());
        }
    }
    let in_loads = (LOADS_MAX as i64 - 1) * LOAD_ROWS;
    assert!(pushed > BATCH_ROWS_MAX as i64 + in_loads, "only {pushed}: no batch was full");
    hands.held.store(false, Ordering::Relaxed);
    engine.close(LONG).unwrap();
    assert!(read_rows(&files).0 == once((0..pushed).map(|time| row(0, time))));
}

#[test]
fn a_failed_commit_is_told_as_in_doubt_and_later_ones_succeed() {
    let files = SimulatedFiles::new(2);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let mut writers = [engine.writer().unwrap(), engine.writer().unwrap()];
    let mut durable = Vec::new();
    for round in 0..3 {
        for (n, writer) in writers.iter_mut().enumerate() {
            push(writer, n as u64, round * 2).unwrap();
            writer.flush().unwrap().wait(LONG).unwrap();
            durable.push(row(n as u64, round * 2));
        }
        files.set_faults(Faults { sync_fails: 1, ..Faults::default() });
        let tokens = [0, 1].map(|n| {
            push(&mut writers[n], n as u64, round * 2 + 1).unwrap();
            writers[n].flush().unwrap()
        });
        // One is there: the other one's load may wait until the log is open again.
        let outcomes = tokens.each_ref().map(|token| token.wait(SHORT));
        assert!(outcomes.contains(&Err(NotDurable::InDoubt)), "{outcomes:?}");
        files.set_faults(Faults::default());
        for (n, token) in tokens.iter().enumerate() {
            match token.wait(LONG) {
                Ok(()) => durable.push(row(n as u64, round * 2 + 1)),
                Err(why) => assert_eq!(why, NotDurable::InDoubt),
            }
        }
    }
    engine.close(LONG).unwrap();
    let (found, _) = read_rows(&files);
    assert!(durable.iter().all(|row| found.get(row) == Some(&1)), "{found:?}");
    assert!(found.values().all(|&n| n == 1));
}

#[test]
fn rows_of_the_batch_that_was_being_filled_when_a_commit_failed_are_in_doubt_as_well() {
    let files = SimulatedFiles::new(5);
    let hands = Arc::new(Hands::default());
    let disk = HandledDisk { disk: SimulatedDisk::new(files.clone(), 5), hands: Arc::clone(&hands) };
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let counters = engine.counters().next().cloned().unwrap();
    hands.held.store(true, Ordering::Relaxed);
    files.set_faults(Faults { sync_fails: 1, ..Faults::default() });
    let mut writers: Vec<_> = (0..3).map(|_| engine.writer().unwrap()).collect();
    let mut tokens = Vec::new();
    for (n, writer) in (0..).zip(&mut writers) {
        push(writer, n, 0).unwrap();
        tokens.push(writer.flush().unwrap());
        // Two blocks are on their way to the disk at most: the last row finds none.
        let deadline = Instant::now() + LONG;
        while counters.rows_pending.value() <= n {
            assert!(Instant::now() < deadline, "row {n} was not taken in");
            std::thread::yield_now();
        }
    }
    hands.held.store(false, Ordering::Relaxed);
    let outcomes: Vec<_> = tokens.iter().map(|token| token.wait(LONG)).collect();
    assert_eq!(outcomes, [Err(NotDurable::InDoubt); 3]);
    files.set_faults(Faults::default());
    push(&mut writers[0], 0, 1).unwrap();
    writers[0].flush().unwrap().wait(LONG).unwrap();
    engine.close(LONG).unwrap();
    assert_eq!(read_rows(&files).0.get(&row(0, 1)), Some(&1));
}

#[test]
fn a_log_that_stays_broken_does_not_keep_the_engine_from_closing() {
    let files = SimulatedFiles::new(3);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let counters: Vec<_> = engine.counters().cloned().collect();
    let mut writer = engine.writer().unwrap();
    files.set_faults(Faults { sync_fails: 1, no_space: 1, ..Faults::default() });
    push(&mut writer, 0, 0).unwrap();
    assert_eq!(writer.flush().unwrap().wait(LONG), Err(NotDurable::InDoubt));
    push(&mut writer, 0, 1).unwrap();
    let token = writer.flush().unwrap();
    // Of the first row its writer was told.
    let closed = engine.close(LONG);
    assert!(matches!(closed, Err(CloseError::InDoubt { rows: 1 })), "{closed:?}");
    assert_eq!(token.wait(LONG), Err(NotDurable::Closed));
    assert_eq!(counters[0].rows_discarded.value(), 1);
}

#[test]
fn rows_whose_commit_fails_as_the_engine_closes_are_what_closing_tells() {
    let files = SimulatedFiles::new(6);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let mut writer = engine.writer().unwrap();
    files.set_faults(Faults { sync_fails: 1, ..Faults::default() });
    push(&mut writer, 0, 0).unwrap();
    assert_eq!(writer.flush().unwrap().wait(LONG), Err(NotDurable::InDoubt));
    files.set_faults(Faults::default());
    (1..4).for_each(|time| push(&mut writer, 0, time).unwrap());
    writer.flush().unwrap().wait(LONG).unwrap();
    files.set_faults(Faults { sync_fails: 1, no_space: 1, ..Faults::default() });
    (4..9).for_each(|time| push(&mut writer, 0, time).unwrap());
    let closed = engine.close(LONG);
    assert!(matches!(closed, Err(CloseError::InDoubt { rows: 5 })), "{closed:?}");
    assert_eq!(read_rows(&files).0.range(row(0, 1)..=row(0, 3)).count(), 3, "what was told durable is there");
}

#[test]
fn a_panic_poisons_the_engine_and_is_told_to_everybody() {
    let files = SimulatedFiles::new(4);
    let hands = Arc::new(Hands::default());
    let disk = HandledDisk { disk: SimulatedDisk::new(files.clone(), 1), hands: Arc::clone(&hands) };
    let engine = Embedded::start(vec![worker(disk, SEGMENT_BYTES)]).unwrap();
    let mut writer = engine.writer().unwrap();
    push(&mut writer, 0, 0).unwrap();
    writer.flush().unwrap().wait(LONG).unwrap();
    hands.panics.store(true, Ordering::Relaxed);
    push(&mut writer, 0, 1).unwrap();
    // Ends whoever was first: the writer, or the thread.
    match writer.flush() {
        Ok(token) => assert_eq!(token.wait(LONG), Err(NotDurable::Closed)),
        Err(why) => assert_eq!(why, WriteError::Poisoned),
    }
    while push(&mut writer, 0, 2) != Err(WriteError::Poisoned) {
        std::thread::yield_now();
    }
    assert!(matches!(engine.close(LONG), Err(CloseError::Panicked)));
    assert_eq!(read_rows(&files).0, once([row(0, 0)]), "what was durable stays so");
}

#[test]
fn segments_end_under_the_writers_and_series_go_on() {
    let files = SimulatedFiles::new(5);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let engine = Embedded::start(vec![worker(disk, 64 << 10)]).unwrap();
    let mut writers = [engine.writer().unwrap(), engine.writer().unwrap()];
    let mut time = 0;
    let mut segments = std::collections::BTreeSet::new();
    let mut pushed = Vec::new();
    while segments.len() < 6 {
        // Some series in every round, some now and then, of both writers.
        for (n, writer) in writers.iter_mut().enumerate() {
            for i in 0..200 {
                let host = if i < 20 { i } else { 20 + (time as u64 * 7) % 50 } + n as u64 * 10;
                push(writer, host, time).unwrap();
                pushed.push(row(host, time));
                time += 1;
            }
            writer.flush().unwrap().wait(LONG).unwrap();
        }
        segments.extend(engine.counters().map(|c| c.segment_number.value()));
    }
    engine.close(LONG).unwrap();
    assert!(read_rows(&files).0 == once(pushed));
}

#[test]
fn a_table_that_is_nearly_full_ends_its_segment() {
    let files = SimulatedFiles::new(11);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let options = Options { table_bytes_max: 64 << 10, ..options(Path::new("unused")) };
    let log = log_options(SEGMENT_BYTES, 7);
    let (worker, _) = Worker::open_on(disk, SystemClock::default(), options, log, 7).unwrap();
    let engine = Embedded::start(vec![worker]).unwrap();
    let mut writer = engine.writer().unwrap();
    let mut segments = std::collections::BTreeSet::new();
    let mut pushed = Vec::new();
    while segments.len() < 3 {
        for _ in 0..500 {
            let time = pushed.len() as i64;
            push(&mut writer, time as u64, time).unwrap();
            pushed.push(row(time as u64, time));
        }
        writer.flush().unwrap().wait(LONG).unwrap();
        segments.extend(engine.counters().map(|c| c.segment_number.value()));
        assert!(pushed.len() < 20_000, "so much data that a segment ends by itself");
    }
    engine.close(LONG).unwrap();
    assert!(read_rows(&files).0 == once(pushed));
}
