use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::ingest::ContextId;
use crate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use crate::log::{Retention, Survey};
use crate::model::{FieldText, FieldType, Intake, LabelsBuf, LogId, METRIC_NAME, Refusal};

const LOG: LogId = LogId(*b"tidegate-workert");
const HOUR_NS: u64 = 3_600_000_000_000;

/// Stands still until it is moved.
#[derive(Clone, Default)]
struct HandClock(Rc<Cell<u64>>);

impl Clock for HandClock {
    fn wall_ns(&self) -> i64 {
        1_790_000_000_000_000_000 + self.0.get() as i64
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}

type TestedWorker = Worker<SimulatedDisk, HandClock>;

fn open(files: &SimulatedFiles, clock: &HandClock, age_ns: Option<u64>) -> TestedWorker {
    let retention = Retention { age_ns, bytes_max: None, free_percent_min: 0, cursor_bytes_max: 0 };
    open_with(files, clock, Options { retention, ..Options::new("unused") })
}

fn open_with(files: &SimulatedFiles, clock: &HandClock, options: Options) -> TestedWorker {
    let segment_bytes = 1 << 20;
    let log = WorkerOptions {
        log: LOG,
        worker: 0,
        segment_bytes_min: segment_bytes,
        segment_bytes_max: segment_bytes,
        seed: 1,
        live: None,
    };
    let disk = SimulatedDisk::new(files.clone(), 1);
    Worker::open_on(disk, clock.clone(), options, log, 1).expect("a sound disk").0
}

fn push(worker: &mut TestedWorker, time_ns: i64) {
    push_to(worker, "cpu", time_ns).expect("room for it");
}

fn push_to(worker: &mut TestedWorker, name: &str, time_ns: i64) -> Result<(), Refusal> {
    let mut stream = Stream::new(ContextId(0));
    let mut writer = worker.writer(&mut stream);
    let mut labels = LabelsBuf::default();
    labels.push(METRIC_NAME, name.as_bytes());
    let series = match writer.find(name.as_bytes()) {
        Some(series) => series,
        None => writer.define(name.as_bytes(), &mut labels)?,
    };
    let field = FieldText { text: b"v=", name: b"v", kind: FieldType::F64 };
    let shape = writer.define_shape(series, &[field]).expect("one field");
    writer.push(series, shape, time_ns, &[0], &[]).expect("room for it");
    Ok(())
}

/// Turns until something was told.
fn until_told(worker: &mut TestedWorker) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..1000 {
        worker.turn(Arrivals::None, &mut events);
        if !events.is_empty() {
            return events;
        }
    }
    panic!("nothing was told");
}

fn commit(worker: &mut TestedWorker, time_ns: i64) -> u64 {
    push(worker, time_ns);
    worker.wait();
    let upto = worker.filling();
    assert_eq!(until_told(worker), [Event::Durable { upto }]);
    upto
}

#[test]
fn a_batch_that_cannot_be_sealed_fails_and_the_next_one_is_taken() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open(&files, &clock, None);
    commit(&mut worker, 1);
    push(&mut worker, 2);
    worker.wait();
    worker.ingest.is_full = true;
    let lost = worker.filling();
    let failure = CommitFailure::SegmentEnded;
    assert_eq!(until_told(&mut worker), [Event::Failed { from: lost, upto: lost, failure }]);
    worker.ingest.is_full = false;
    for _ in 0..1000 {
        clock.0.set(clock.0.get() + REOPEN_PAUSE_NS);
        worker.turn(Arrivals::None, &mut Vec::new());
    }
    assert_eq!(worker.accepts(), Ok(()));
    commit(&mut worker, 3);
    worker.close(&mut Vec::new()).expect("a sound disk");
    let rows: Vec<u64> =
        Survey::take(&files, LOG, None).unwrap().segments.iter().map(|s| s.totals.rows).collect();
    assert_eq!(rows, [1, 1], "a generation of its own has a segment of its own");
}

#[test]
fn rows_count_as_accepted_once_they_are_durable_and_not_if_their_commit_fails() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open(&files, &clock, None);
    let counters = Arc::clone(worker.counters());
    let told = || {
        let accepted = |protocol| counters.rows_accepted[protocol as usize].value();
        [
            accepted(Protocol::Influx),
            accepted(Protocol::Statsd),
            counters.rows_pending.value(),
            counters.rows_in_doubt.value(),
        ]
    };
    let take = |worker: &mut TestedWorker, protocol, rows: u64| {
        (0..rows as i64).for_each(|n| push(worker, n));
        worker.count_rows(protocol, rows, rows);
        worker.wait();
    };
    take(&mut worker, Protocol::Influx, 3);
    take(&mut worker, Protocol::Statsd, 2);
    assert_eq!(told(), [0, 0, 5, 0]);
    assert_eq!(until_told(&mut worker), [Event::Durable { upto: 1 }]);
    assert_eq!(told(), [3, 2, 0, 0]);

    // One whose sync fails, and one that was being filled.
    files.set_faults(Faults { sync_fails: 1, ..Faults::default() });
    take(&mut worker, Protocol::Influx, 7);
    assert!(worker.make_room());
    take(&mut worker, Protocol::Statsd, 4);
    assert!(matches!(until_told(&mut worker)[..], [Event::Failed { from: 2, upto: 3, .. }]));
    assert_eq!(told(), [3, 2, 0, 11]);
    files.set_faults(Faults::default());
    while worker.accepts().is_err() {
        clock.0.set(clock.0.get() + REOPEN_PAUSE_NS);
        worker.turn(Arrivals::None, &mut Vec::new());
    }
    // Of rows that their rules dropped there is no block: they are done with.
    worker.count_rows(Protocol::Influx, 1, 0);
    take(&mut worker, Protocol::Influx, 9);
    assert!(matches!(until_told(&mut worker)[..], [Event::Durable { .. }]));
    assert_eq!(told(), [13, 2, 0, 11]);
}

#[test]
fn closing_with_a_batch_that_cannot_be_sealed_comes_to_an_end() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open(&files, &clock, None);
    push(&mut worker, 1);
    worker.ingest.is_full = true;
    let mut events = Vec::new();
    worker.close(&mut events).expect("a sound disk");
    assert!(matches!(events[..], [Event::Failed { .. }]), "{events:?}");
}

#[test]
fn at_the_limit_series_that_send_no_more_make_room_after_a_while_and_others_go_on() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open_with(&files, &clock, Options { series_max: 2, ..Options::new("unused") });
    push_to(&mut worker, "gone", 0).unwrap();
    commit(&mut worker, 0);
    let refused = Err(Refusal::SeriesLimit { limit: 2 });
    assert_eq!(push_to(&mut worker, "new", 1), refused);
    let mut taken_after_s = None;
    for second in 1..1200 {
        clock.0.set(second * 1_000_000_000);
        worker.turn(Arrivals::None, &mut Vec::new());
        commit(&mut worker, second as i64);
        match push_to(&mut worker, "new", second as i64) {
            Ok(()) => taken_after_s = taken_after_s.or(Some(second)),
            other => assert_eq!((other, taken_after_s), (refused.clone(), None)),
        }
    }
    let ages = CROWDED_AGE_NS / 1_000_000_000..=2 * CROWDED_AGE_NS / 1_000_000_000 + 5;
    assert!(taken_after_s.is_some_and(|s| ages.contains(&s)), "{taken_after_s:?}");
    assert_eq!(push_to(&mut worker, "gone", 2), refused, "its place is taken");
    worker.close(&mut Vec::new()).expect("a sound disk");
}

#[test]
fn where_all_series_have_gone_the_first_one_refused_makes_room_for_itself() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open_with(&files, &clock, Options { series_max: 1, ..Options::new("unused") });
    commit(&mut worker, 0);
    let mut due_ns = None;
    for step in 0..100 {
        clock.0.set(clock.0.get().max(due_ns.unwrap_or(0)) + step);
        if push_to(&mut worker, "new", 1).is_ok() {
            return worker.close(&mut Vec::new()).expect("a sound disk");
        }
        due_ns = worker.turn(Arrivals::None, &mut Vec::new());
    }
    panic!("no room, and next {due_ns:?}");
}

#[test]
fn a_slow_segment_ends_when_its_first_row_is_old() {
    let (files, clock) = (SimulatedFiles::new(1), HandClock::default());
    let mut worker = open(&files, &clock, Some(8 * HOUR_NS));
    let number = |worker: &TestedWorker| worker.counters.segment_number.value();
    let mut segments = Vec::new();
    for quarter in 0..20 {
        clock.0.set(quarter * HOUR_NS / 4);
        commit(&mut worker, quarter as i64);
        segments.push(number(&worker));
    }
    segments.dedup();
    assert!((4..=6).contains(&segments.len()), "about one an hour for five hours: {segments:?}");
    // With nothing written, it ends all the same, and an empty one never does.
    let mut events = Vec::new();
    let due_ns = worker.turn(Arrivals::None, &mut events).expect("its age is waited for");
    for step in 0..100 {
        clock.0.set(due_ns + step * AGE_PAUSE_NS);
        worker.turn(Arrivals::None, &mut events);
    }
    assert!(number(&worker) > *segments.last().unwrap());
    assert_eq!((worker.turn(Arrivals::None, &mut events), events), (None, vec![]));
}
