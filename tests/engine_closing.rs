//! Closing an engine under its writers: every row that was told taken is found, or closing says that some are not.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tidegate::engine::{CloseError, CommitPolicy, Embedded, Options, RowWriter, WriteError};
use tidegate::ingest::ContextId;
use tidegate::log::LogError;
use tidegate::model::{Intake, WriteResult};
use tidegate::reader::{Query, Reader};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, Fed};

const LONG: Duration = Duration::from_secs(60);

/// Writers in a crowd: more than there are cores, so that some are preempted in the middle of a call.
const CROWD: usize = 16;

fn open(directory: &Path) -> Embedded {
    let commit = CommitPolicy { linger_ns: 0, interval_ns: 3_600_000_000_000 };
    Embedded::open(Options { commit, ..Options::new(directory) }).unwrap()
}

fn rows_found(directory: &Path) -> u64 {
    let mut found = 0;
    let mut rows = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|_| {
        found += 1;
        Ok::<_, LogError>(())
    })
    .unwrap();
    found
}

fn discarded(engine: &Embedded) -> u64 {
    engine.counters().map(|counters| counters.rows_discarded.value()).sum()
}

/// Pushes until it is told that the engine is closed, in every way that there is; gives how many rows were taken.
fn push_until_closed(mut writer: RowWriter, number: usize, pushed: &AtomicU64) -> u64 {
    let own = number.to_string();
    let series = writer.series(&[("__name__", "crowd"), ("writer", &own)]).unwrap();
    let body = "line v=1 1\n".repeat(100);
    let mut taken = 0;
    for round in 0_i64.. {
        let (more, told) = match round % 500 {
            498 => {
                let written = writer.write_lines(body.as_bytes(), Dialect::V2, Precision::Nanos);
                (written.result.accepted, written.stopped.map_or(Ok(()), Err))
            }
            499 => {
                let (more, told) = writer.push_times(series, &[round; 3_000], &[0.5; 3_000]);
                (more as u64, told)
            }
            _ => {
                let told = writer.push(series, round, 0.5);
                (u64::from(told.is_ok()), told)
            }
        };
        taken += more;
        pushed.fetch_add(more, Ordering::Relaxed);
        match told {
            Ok(()) | Err(WriteError::Full) => {}
            Err(WriteError::Closed) => return taken,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

#[test]
fn closing_under_a_crowd_of_writers_loses_no_row_that_was_taken() {
    for round in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        let pushed = AtomicU64::new(0);
        let taken: u64 = thread::scope(|scope| {
            let crowd: Vec<_> = (0..CROWD)
                .map(|number| {
                    let (writer, pushed) = (engine.writer().unwrap(), &pushed);
                    scope.spawn(move || push_until_closed(writer, number, pushed))
                })
                .collect();
            while pushed.load(Ordering::Relaxed) < 20_000 {
                thread::yield_now();
            }
            engine.close(LONG).unwrap();
            crowd.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        assert_eq!((rows_found(directory.path()), discarded(&engine)), (taken, 0), "round {round}");
    }
}

/// Line protocol, by a decoder that does something before it takes the first line.
struct Before<F: FnMut()>(Decoder, F);

impl<F: FnMut()> Decode for Before<F> {
    fn rewind(&mut self) {
        self.0.rewind();
    }

    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        (self.1)();
        self.0.feed(input, last, intake, result)
    }
}

/// Says that a load is in its writer's hands, and goes on when it is told to.
fn paused() -> (impl FnMut(), Receiver<()>, Sender<()>) {
    let ((here, is_here), (go, may_go)) = (channel(), channel());
    let pause = move || {
        here.send(()).unwrap();
        may_go.recv().unwrap();
    };
    (pause, is_here, go)
}

#[test]
fn rows_in_their_writers_hands_are_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut writer = engine.writer().unwrap();
    let series = writer.series(&[("__name__", "before")]).unwrap();
    (0..100).for_each(|time| writer.push(series, time, 0.5).unwrap());
    let (pause, is_here, go) = paused();
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut decoder = Before(Decoder::new(Dialect::V2, Precision::Nanos, 0), pause);
            let written = writer.write_body(b"during v=1 1", &mut decoder, ContextId(3));
            (written.result.accepted, writer.push(series, 100, 0.5))
        });
        is_here.recv().unwrap();
        // As long as it likes: what it has cannot be given up.
        let closing = engine.close(Duration::from_millis(50));
        assert!(matches!(closing, Err(CloseError::TimedOut)), "{closing:?}");
        go.send(()).unwrap();
        engine.close(LONG).unwrap();
        assert_eq!(writing.join().unwrap(), (1, Err(WriteError::Closed)));
    });
    assert_eq!(rows_found(directory.path()), 101);
}

#[test]
fn rows_of_a_writer_that_goes_while_the_engine_closes_are_committed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let (mut holding, mut going) = (engine.writer().unwrap(), engine.writer().unwrap());
    let series = engine.series(&[("__name__", "going")]).unwrap();
    let (pause, is_here, go) = paused();
    let closing = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut decoder = Before(Decoder::new(Dialect::V2, Precision::Nanos, 0), pause);
            holding.write_body(b"held v=1 1", &mut decoder, ContextId(3))
        });
        is_here.recv().unwrap();
        scope.spawn(|| {
            engine.close(LONG).unwrap();
            closing.store(true, Ordering::Relaxed);
        });
        let mut taken = 0;
        while going.push(series, taken, 0.5).is_ok() {
            taken += 1;
        }
        drop(going);
        assert!(!closing.load(Ordering::Relaxed), "it waits for the other writer");
        go.send(()).unwrap();
        while !closing.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        assert_eq!((rows_found(directory.path()), discarded(&engine)), (taken as u64 + 1, 0));
    });
}

#[test]
fn rows_that_a_panic_took_along_are_told_and_keep_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let mut writer = engine.writer().unwrap();
    let series = engine.series(&[("__name__", "lost")]).unwrap();
    (0..7).for_each(|time| writer.push(series, time, 0.5).unwrap());
    let mut decoder = Before(Decoder::new(Dialect::V2, Precision::Nanos, 0), || panic!("on purpose"));
    let struck = catch_unwind(AssertUnwindSafe(|| writer.write_body(b"m v=1 1", &mut decoder, ContextId(3))));
    assert!(struck.is_err());
    // The writer is still there: nothing of it is waited for.
    let closed = engine.close(LONG);
    assert!(matches!(closed, Err(CloseError::InDoubt { rows: 7 })), "{closed:?}");
    assert_eq!(rows_found(directory.path()), 0);
    drop(writer);
}
