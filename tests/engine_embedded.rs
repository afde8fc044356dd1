//! The embedded engine: many threads write, every row is found again once, and tokens tell the truth.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate::block::Value;
use tidegate::engine::{
    Column, CommitPolicy, Embedded, FieldValue, LOADS_MAX, NotDurable, Options, RowWriter, Values, WriteError,
};
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};
use tidegate::sync::SharedCount;
use tidegate::wire::influx::{Dialect, Precision};

#[path = "../examples/embed.rs"]
#[allow(unreachable_pub, reason = "an example is a program of its own")]
mod embed;

const LONG: Duration = Duration::from_secs(60);
const HOUR_NS: u64 = 3_600_000_000_000;

/// Options for tests: nothing is committed but on demand, unless they say otherwise.
fn options(directory: &Path) -> Options {
    Options { commit: CommitPolicy { linger_ns: 0, interval_ns: HOUR_NS }, ..Options::new(directory) }
}

/// Every row as text, with how often it was found.
fn rows(directory: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut rows = Reader::open(directory).unwrap().rows(Query::default()).unwrap();
    rows.for_each(|row| {
        let labels: Vec<_> = row.labels.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
        let fields: Vec<_> = row.fields().map(|(n, v)| format!("{}={}", text(n), value(v))).collect();
        *found.entry(format!("{} {} {}", labels.join(","), fields.join(","), row.time_ns)).or_default() += 1;
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(rows.losses(), 0);
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn value(value: Value<'_>) -> String {
    match value {
        Value::F64(v) => format!("{v}"),
        Value::I64(v) => format!("{v}i"),
        Value::U64(v) => format!("{v}u"),
        Value::Bool(v) => format!("{v}"),
        Value::String(v) => format!("{:?}", text(v)),
        Value::Bytes(v) => format!("bytes {v:?}"),
        Value::Null => "null".into(),
        Value::Nested(v) | Value::Histogram(v) => format!("{v:?}"),
    }
}

/// Pushes `count` samples with times from `start` on, and gives what a reader should show of them.
fn push(writer: &mut RowWriter, host: &str, start: i64, count: i64) -> Vec<String> {
    let series = writer.series(&[("host", host), ("__name__", "load")]).unwrap();
    (start..start + count)
        .map(|time| {
            writer.push(series, time, time as f64 * 0.5).unwrap();
            format!("__name__=load,host={host} value={} {time}", time as f64 * 0.5)
        })
        .collect()
}

fn once(rows: impl IntoIterator<Item = String>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|row| (row, 1)).collect()
}

fn discarded(engine: &Embedded) -> u64 {
    engine.counters().map(|c| c.rows_discarded.value()).sum()
}

#[test]
fn the_example_reads_back_what_it_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let (count, sum) = embed::run(directory.path()).unwrap();
    assert_eq!((count, sum), (2_000, 2.0 * (0..500).map(|i| f64::from(i) / 10.0).sum::<f64>()));
}

#[test]
fn rows_of_many_threads_are_found_once_each() {
    let directory = tempfile::tempdir().unwrap();
    // Twelve writers a worker, and rows enough for each load to go round several times.
    let engine = Embedded::open(Options { workers: 2, ..options(directory.path()) }).unwrap();
    let pushed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..24)
            .map(|n| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut writer = engine.writer().unwrap();
                    writer.set_patience(LONG);
                    let mut pushed = Vec::new();
                    for round in 0..3 {
                        // The same series from several threads, and one of the thread's own.
                        pushed.extend(push(
                            &mut writer,
                            &format!("h{}", n % 5),
                            (n * 10 + round) * 100_000,
                            9_000,
                        ));
                        pushed.extend(push(&mut writer, &format!("own{n}"), round * 1_000, 7));
                        writer.flush().unwrap().wait(LONG).unwrap();
                    }
                    pushed
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(pushed.len(), 24 * 3 * 9_007);
    let expected = once(pushed);
    assert!(rows(directory.path()) == expected, "while the engine runs");
    let accepted: u64 = engine.counters().flat_map(|c| c.rows_accepted.iter().map(SharedCount::value)).sum();
    assert_eq!(accepted, expected.len() as u64);
    engine.close(LONG).unwrap();
    assert!(rows(directory.path()) == expected, "after it was closed");
    // A second engine on the directory goes on where the first one ended.
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let more = push(&mut writer, "h0", -10, 10);
    writer.flush().unwrap().wait(LONG).unwrap();
    assert!(rows(directory.path()) == expected.into_iter().chain(once(more)).collect());
}

#[test]
fn fields_of_every_type_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let a = writer.series(&[("__name__", "m"), ("k", "a")]).unwrap();
    let b = writer.series(&[("__name__", "m"), ("k", "b")]).unwrap();
    assert_eq!(writer.series(&[("k", "a"), ("__name__", "m")]), Ok(a), "the same labels, the same series");
    assert!(matches!(writer.series(&[("k", "a"), ("k", "b")]), Err(WriteError::Refused(_))));
    let mut expected = Vec::new();
    for i in 0..100u64 {
        let string = format!("text {i}");
        let fields = [
            ("b", FieldValue::Bool(i % 2 == 0)),
            ("f", FieldValue::F64(i as f64 / 4.0)),
            ("i", FieldValue::I64(-(i as i64))),
            ("n", FieldValue::Null),
            ("s", FieldValue::String(&string)),
            ("u", FieldValue::U64(i)),
            ("y", FieldValue::Bytes(&string.as_bytes()[..i as usize % 5])),
        ];
        // Two series of one shape in turn, and rows that leave something out.
        let fields = &fields[..7 - i as usize % 3];
        let (series, k) = if i % 2 == 0 { (a, "a") } else { (b, "b") };
        writer.push_row(series, i as i64, fields).unwrap();
        let all = [
            format!("b={},f={},i={}i,n=null,s={string:?}", i % 2 == 0, i as f64 / 4.0, -(i as i64)),
            format!("u={i}u"),
            format!("y=bytes {:?}", &string.as_bytes()[..i as usize % 5]),
        ];
        expected.push(format!("__name__=m,k={k} {} {i}", all[..3 - i as usize % 3].join(",")));
    }
    assert_eq!(writer.push_row(a, 0, &[]), Err(WriteError::Fields));
    let twice = [("x", FieldValue::Null), ("x", FieldValue::Bool(true))];
    assert_eq!(writer.push_row(a, 0, &twice), Err(WriteError::Fields));
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Embedded::open(options(elsewhere.path())).unwrap();
    other.series(&[("__name__", "m")]).unwrap();
    assert_eq!(other.writer().unwrap().push(a, 0, 1.0), Err(WriteError::UnknownSeries), "another engine's");
    writer.flush().unwrap().wait(LONG).unwrap();
    assert_eq!(rows(directory.path()), once(expected));
}

#[test]
fn handles_are_good_for_all_writers_and_survive_segments() {
    let directory = tempfile::tempdir().unwrap();
    // A table so small that each commit ends its segment, and with it all that the worker knew of series.
    let small = Options { table_bytes_max: 1, ..options(directory.path()) };
    let engine = Embedded::open(small).unwrap();
    let generations = || engine.counters().map(|c| c.generation.value()).sum::<u64>();
    let mut writers = [0, 1].map(|_| engine.writer().unwrap());
    let series = ["a", "b"].map(|host| engine.series(&[("__name__", "load"), ("host", host)]).unwrap());
    let (mut expected, mut time) = (Vec::new(), 0);
    while generations() < 10 {
        let writer = &mut writers[time as usize % 2];
        for (series, host) in series.iter().zip(["a", "b"]) {
            writer.push(*series, time, 0.5).unwrap();
            expected.push(format!("__name__=load,host={host} value=0.5 {time}"));
        }
        writer.flush().unwrap().wait(LONG).unwrap();
        time += 1;
    }
    // What its subject has gone with, no writer takes any more, whether it had met it or not.
    assert!(engine.release(series[0]) && !engine.release(series[0]));
    for mut writer in writers.into_iter().chain([engine.writer().unwrap()]) {
        assert_eq!(writer.push(series[0], time, 0.5), Err(WriteError::UnknownSeries));
        assert_eq!(writer.push(series[1], time, 0.5), Ok(()));
        expected.push(format!("__name__=load,host=b value=0.5 {time}"));
        time += 1;
        writer.flush().unwrap().wait(LONG).unwrap();
    }
    assert_eq!((engine.series_registered(), rows(directory.path())), (1, once(expected)));
}

#[test]
fn columns_go_through_many_loads_whole() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    writer.set_patience(LONG);
    let series = engine.series(&[("__name__", "wide")]).unwrap();
    let times: Vec<i64> = (0..30_000).collect();
    let floats: Vec<f64> = times.iter().map(|t| *t as f64 / 2.0).collect();
    let owned: Vec<String> = times.iter().map(|t| format!("t{t}")).collect();
    let texts: Vec<&str> = owned.iter().map(String::as_str).collect();
    let truths: Vec<u8> = times.iter().map(|t| (t % 3) as u8).collect();
    let columns = [
        Column { name: "f", values: Values::F64(&floats) },
        Column { name: "s", values: Values::String(&texts) },
        Column { name: "b", values: Values::Bool(&truths) },
    ];
    assert_eq!(writer.push_columns(series, &times, &columns), (times.len(), Ok(())));
    let row = |t: &i64| format!("__name__=wide b={},f={},s=\"t{t}\" {t}", t % 3 != 0, *t as f64 / 2.0);
    let mut expected: Vec<String> = times.iter().map(row).collect();
    let one = engine.series(&[("__name__", "one")]).unwrap();
    assert_eq!(writer.push_times(one, &times, &floats), (times.len(), Ok(())));
    expected.extend(times.iter().map(|t| format!("__name__=one value={} {t}", *t as f64 / 2.0)));
    assert_eq!(writer.push_columns(series, &times, &[]), (0, Err(WriteError::Fields)));
    writer.flush().unwrap().wait(LONG).unwrap();
    assert!(rows(directory.path()) == once(expected));
}

#[test]
fn a_flush_without_rows_is_the_flush_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let tokens = writer.tokens();
    let none = writer.flush().unwrap();
    assert!(none.is_durable() && tokens.token(none.number()).is_some());
    push(&mut writer, "a", 0, 5);
    let first = writer.flush().unwrap();
    let again = writer.flush().unwrap();
    assert_eq!(first.number(), again.number());
    tokens.token(first.number()).unwrap().wait(LONG).unwrap();
    push(&mut writer, "a", 5, 5);
    assert!(writer.flush().unwrap().number() > first.number());
}

#[test]
fn line_protocol_is_taken_and_its_bad_lines_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let mut body = String::new();
    let mut expected = Vec::new();
    for i in 0..20_000 {
        body.push_str(&format!("cpu,host=h{} v={i}i,s=\"t{i}\" {i}\n", i % 7));
        expected.push(format!("__name__=cpu,host=h{} s=\"t{i}\",v={i}i {i}", i % 7));
    }
    body.push_str("bad\n");
    let written = writer.write_lines(body.as_bytes(), Dialect::V2, Precision::Nanos);
    assert_eq!((written.result.accepted, written.result.rejected), (20_000, 1));
    assert_eq!((written.result.errors[0].index, written.consumed), (20_001, body.len()));
    assert_eq!(written.stopped, None);
    // The same series by its labels is the same series.
    let series = writer.series(&[("__name__", "cpu"), ("host", "h0")]).unwrap();
    writer.push_row(series, -1, &[("v", FieldValue::I64(1)), ("s", FieldValue::String("t"))]).unwrap();
    expected.push("__name__=cpu,host=h0 s=\"t\",v=1i -1".into());
    writer.flush().unwrap().wait(LONG).unwrap();
    assert_eq!(engine.counters().map(|c| c.series.value()).sum::<u64>(), 7);
    assert!(rows(directory.path()) == once(expected));
}

#[test]
fn rows_of_an_idle_writer_become_durable_without_a_call() {
    let directory = tempfile::tempdir().unwrap();
    let commit = CommitPolicy { linger_ns: 0, interval_ns: 20_000_000 };
    let engine = Embedded::open(Options { commit, ..options(directory.path()) }).unwrap();
    let mut writers: Vec<_> = (0..3).map(|_| engine.writer().unwrap()).collect();
    for round in 0..3 {
        for (n, writer) in writers.iter_mut().enumerate() {
            push(writer, &format!("h{n}"), round, 1);
        }
        let deadline = std::time::Instant::now() + LONG;
        while rows(directory.path()).len() < 3 * (round as usize + 1) {
            assert!(std::time::Instant::now() < deadline, "round {round}");
            std::thread::yield_now();
        }
    }
    drop(writers);
    assert_eq!(discarded(&engine), 0, "nothing was left to be discarded");
}

#[test]
fn nothing_is_committed_before_it_is_time() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let token = writer.flush().unwrap();
    assert!(token.is_durable(), "of nothing, all is durable");
    let mut expected = push(&mut writer, "a", 0, 5);
    assert_eq!(rows(directory.path()).len(), 0);
    let token = writer.flush().unwrap();
    expected.extend(push(&mut writer, "a", 5, 3));
    drop(writer);
    // A token outlives its writer.
    token.wait(LONG).unwrap();
    assert!(token.is_durable());
    assert_eq!(rows(directory.path()), once(expected[..5].to_vec()));
    assert_eq!(discarded(&engine), 3, "rows that were not flushed are discarded, and counted");
}

#[test]
fn closing_takes_what_was_pushed_and_refuses_what_comes_later() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    let expected = push(&mut writer, "a", 0, 5);
    engine.close(LONG).unwrap();
    assert_eq!(rows(directory.path()), once(expected));
    let series = writer.series(&[("__name__", "load")]).unwrap();
    assert_eq!(writer.push(series, 0, 0.0), Err(WriteError::Closed));
    assert!(matches!(writer.flush(), Err(WriteError::Closed)));
    let written = writer.write_lines(b"m v=1", Dialect::V1, Precision::Nanos);
    assert_eq!((written.stopped, written.consumed), (Some(WriteError::Closed), 0));
    // The directory is free for the next one.
    Embedded::open(options(directory.path())).unwrap();
}

#[test]
fn a_limit_on_series_refuses_new_ones_and_lets_known_ones_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(Options { series_max: 3, ..options(directory.path()) }).unwrap();
    let mut writer = engine.writer().unwrap();
    let mut expected = Vec::new();
    for n in 0..3 {
        expected.extend(push(&mut writer, &format!("h{n}"), 0, 1));
        writer.flush().unwrap().wait(LONG).unwrap();
    }
    let one_more = writer.series(&[("__name__", "one_more")]);
    let refused = |error: &WriteError| matches!(error, WriteError::Refused(_));
    assert!(one_more.and_then(|series| writer.push(series, 0, 0.0)).is_err_and(|error| refused(&error)));
    expected.extend(push(&mut writer, "h0", 1, 1));
    writer.flush().unwrap().wait(LONG).unwrap();
    assert_eq!(rows(directory.path()), once(expected));
}

#[test]
fn registered_series_keep_their_place_whatever_comes_in_bodies() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(Options { series_max: 6, ..options(directory.path()) }).unwrap();
    let mut writers = [engine.writer().unwrap(), engine.writer().unwrap()];
    let registered = ["a", "b", "c", "d"].map(|host| engine.series(&[("host", host)]).unwrap());
    // At the same moment, for all that the writers know: neither has come to the worker.
    let accepted = |writer: &mut RowWriter, metric| {
        let body: String = (0..4).map(|n| format!("{metric},x={n} v=1 1\n")).collect();
        writer.write_lines(body.as_bytes(), Dialect::V1, Precision::Nanos).result.accepted
    };
    assert_eq!(accepted(&mut writers[0], "m") + accepted(&mut writers[1], "n"), 2, "so many places are left");
    for (time, writer) in (1..).zip(&mut writers) {
        registered.iter().for_each(|&series| writer.push(series, time, 0.5).unwrap());
        writer.flush().unwrap().wait(LONG).unwrap();
    }
    assert_eq!(accepted(&mut writers[0], "m"), 2, "known ones go on");
    assert!(engine.series(&[("host", "e")]).is_err());
    // What was released stays in the table for now; only one that has no rows gives its place back.
    engine.release(registered[0]);
    assert!(engine.series(&[("host", "e")]).is_err());
    writers[0].flush().unwrap().wait(LONG).unwrap();
    let bodies = 2 * 2;
    assert_eq!(rows(directory.path()).values().sum::<u64>(), bodies + 2 * registered.len() as u64);
}

#[test]
fn a_series_that_never_had_rows_gives_its_place_back() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(Options { series_max: 2, ..options(directory.path()) }).unwrap();
    let a = engine.series(&[("host", "a")]).unwrap();
    engine.series(&[("host", "b")]).unwrap();
    assert!(engine.series(&[("host", "c")]).is_err());
    engine.release(a);
    let c = engine.series(&[("host", "c")]).unwrap();
    let mut writer = engine.writer().unwrap();
    writer.push(c, 1, 0.5).unwrap();
    writer.flush().unwrap().wait(LONG).unwrap();
    assert_eq!(rows(directory.path()).len(), 1);
}

#[test]
fn writers_with_a_row_each_do_not_fill_the_engine() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let series = engine.series(&[("__name__", "idle")]).unwrap();
    let mut writers: Vec<_> = (0..3 * LOADS_MAX).map(|_| engine.writer().unwrap()).collect();
    for (time, writer) in (0..).zip(&mut writers) {
        writer.push(series, time, 0.5).unwrap();
    }
    // Fetched for their room, not to be committed: nobody waits for them.
    let commits: u64 = engine.counters().map(|counters| counters.commits.value()).sum();
    assert_eq!(commits, 0);
    engine.close(LONG).unwrap();
    assert_eq!(rows(directory.path()).len(), writers.len());
}

#[test]
fn waiting_ends_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Embedded::open(options(directory.path())).unwrap();
    let mut writer = engine.writer().unwrap();
    push(&mut writer, "a", 0, 5);
    let token = writer.flush().unwrap();
    // Whichever is first: the commit or the time.
    let outcome = token.wait(Duration::ZERO);
    assert!(matches!(outcome, Ok(()) | Err(NotDurable::TimedOut)), "{outcome:?}");
    token.wait(LONG).unwrap();
}
