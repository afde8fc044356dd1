//! Exemplars, metadata and start times, from an engine to `tidegate log`: beside rows, alone, damaged, live.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::FileExt;
use std::path::Path;

use tidegate::engine::{Arrivals, Event};
use tidegate::log::{Found, ReadDirectory};
use tidegate::model::{
    Exemplar, FieldText, FieldType, HEADER_LEN, HistogramBuf, Intake, LabelsBuf, METRIC_NAME, Metadata,
    MetricType, NestedBuf, heap_word,
};

mod command_kit;
use command_kit::{Writer, cat, data, output, settle};

/// Gives an exemplar of the series `metric{host="..."}`, and commits nothing.
fn exemplar(writer: &mut Writer, metric: &str, host: &str, time_ns: i64, trace: &str) {
    let mut labels = vec![1, 8];
    labels.extend_from_slice(b"trace_id");
    labels.push(trace.len() as u8);
    labels.extend_from_slice(trace.as_bytes());
    let (worker, stream) = &mut writer.workers[0];
    let mut intake = worker.writer(stream);
    let key = format!("{metric} {host}");
    let mut buf = LabelsBuf::default();
    buf.push(METRIC_NAME, metric.as_bytes());
    buf.push(b"host", host.as_bytes());
    let found = intake.find(key.as_bytes());
    let series = found.unwrap_or_else(|| intake.define(key.as_bytes(), &mut buf).unwrap());
    let exemplar = Exemplar { field: b"value", time_ns, value_bits: 0.5f64.to_bits(), labels: &labels };
    intake.exemplar(series, &exemplar).unwrap();
}

/// Says something of a metric, and commits nothing.
fn say(writer: &mut Writer, name: &str, kind: MetricType, help: &str) {
    let (worker, stream) = &mut writer.workers[0];
    let metadata = Metadata { name: name.as_bytes(), kind, unit: b"", help: help.as_bytes() };
    worker.writer(stream).metadata(&metadata).unwrap();
}

fn commit(writer: &mut Writer) {
    settle(&mut writer.workers[0].0);
}

fn exemplar_line(metric: &str, host: &str, time: i64, trace: &str) -> String {
    format!(
        r#"{{"time":{time},"labels":{{"__name__":"{metric}","host":"{host}"}},"fields":{{"value":{{"f64":0.5}}}},"exemplar":{{"trace_id":"{trace}"}}}}"#
    )
}

fn metadata_line(name: &str, kind: &str, help: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","type":"{kind}","unit":"","help":"{help}"}}}}"#)
}

fn row_line(host: &str, n: i64, time: i64) -> String {
    format!(
        r#"{{"time":{time},"labels":{{"__name__":"cpu","host":"{host}"}},"fields":{{"n":{{"i64":{n}}}}}}}"#
    )
}

#[test]
fn side_records_come_in_order_of_arrival_behind_their_rows() {
    for closed in [true, false] {
        let data = data();
        let mut writer = Writer::open(data.path(), 1);
        exemplar(&mut writer, "cpu", "a", 5, "one");
        say(&mut writer, "cpu", MetricType::Gauge, "Said \\\"so\\\".");
        writer.lines(0, "cpu,host=a n=1i 7");
        // A block of nothing else, then what was said before, then a change.
        exemplar(&mut writer, "cpu", "b", 6, "two");
        commit(&mut writer);
        say(&mut writer, "cpu", MetricType::Gauge, "Said \\\"so\\\".");
        assert_eq!(writer.workers[0].0.last_filled(), 2, "nothing new");
        say(&mut writer, "cpu", MetricType::Counter, "");
        commit(&mut writer);
        writer.lines(0, "cpu,host=a n=2i 8");
        let expected = [
            row_line("a", 1, 7),
            exemplar_line("cpu", "a", 5, "one"),
            metadata_line("cpu", "gauge", r#"Said \\\"so\\\"."#),
            exemplar_line("cpu", "b", 6, "two"),
            metadata_line("cpu", "counter", ""),
            row_line("a", 2, 8),
        ];
        assert_eq!(cat(data.path(), &[]), expected, "while it is written");
        match closed {
            true => writer.close(),
            false => drop(writer),
        }
        if !closed {
            // The last block is known to be durable only once another one says so.
            let mut writer = Writer::open(data.path(), 1);
            say(&mut writer, "cpu", MetricType::Counter, "");
            commit(&mut writer);
            writer.close();
            let again = [&expected[..], &[metadata_line("cpu", "counter", "")]].concat();
            assert_eq!(cat(data.path(), &[]), again, "said again in the next segment");
        } else {
            assert_eq!(cat(data.path(), &[]), expected);
        }
        let (code, out, err) = output("verify", data.path(), &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains(" 2 rows, ") && out.ends_with(": sound\n"), "{out}");
        let (_, stats, _) = output("stats", data.path(), &[]);
        assert!(stats.contains("rows: 2\nsamples: 2\nseries: 2\n"), "{stats}");
    }
}

#[test]
fn selectors_and_times_choose_side_records() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    for (n, name) in ["cpu", "mem", "disk"].into_iter().enumerate() {
        say(&mut writer, name, MetricType::Gauge, "");
        exemplar(&mut writer, name, "a", 1_000_000_000 * n as i64, "x");
        // Far from the times of the rows: a block may be looked at for its exemplars alone.
        writer.lines(0, &format!("{name},host=a n={n}i 90000000000"));
    }
    writer.close();
    let chosen = |arguments: &[&str]| {
        let lines = cat(data.path(), arguments);
        let kind = |line: &String| match line {
            line if line.starts_with("{\"metadata\"") => 'm',
            line if line.contains("\"exemplar\"") => 'e',
            _ => 'r',
        };
        lines.iter().map(kind).collect::<String>()
    };
    assert_eq!(chosen(&[]), "remremrem");
    assert_eq!(chosen(&["--match", "cpu"]), "rem");
    assert_eq!(chosen(&["--match", "{__name__=~\"cpu|mem\",host=\"b\"}"]), "mm", "metadata has no host");
    assert_eq!(
        chosen(&["--match", "{host=\"a\"}", "--match", "{__name__!=\"mem\",host=\"b\"}"]),
        "remremrem"
    );
    assert_eq!(chosen(&["--match", "{__name__!=\"mem\",host=\"b\"}"]), "mm");
    assert_eq!(chosen(&["--start", "1", "--end", "3"]), "ee");
    assert_eq!(chosen(&["--start", "1", "--end", "3", "--match", "mem"]), "e");
    assert_eq!(chosen(&["--start", "60"]), "rrr");
    assert_eq!(chosen(&["--end", "1"]), "e");
    assert_eq!(chosen(&["--dedup", "exact"]), "remremrem");
    let (code, out, err) = output("cat", data.path(), &["--format", "influx"]);
    assert_eq!((code, out.lines().count()), (3, 3));
    assert_eq!(
        err,
        "tidegate: 0 rows and 0 values of others, 6 exemplars and metadata are left out: the format can't express them\n"
    );
}

#[test]
fn a_directory_of_side_records_alone_is_sound() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    say(&mut writer, "cpu", MetricType::StateSet, "States.");
    let (worker, _) = &mut writer.workers[0];
    assert_eq!(worker.last_filled(), worker.filling(), "somebody can wait for it");
    commit(&mut writer);
    exemplar(&mut writer, "cpu", "a", -3, "x");
    writer.close();
    assert_eq!(
        cat(data.path(), &[]),
        [metadata_line("cpu", "state_set", "States."), exemplar_line("cpu", "a", -3, "x")]
    );
    assert_eq!(cat(data.path(), &["--start", "-1h"]), [""; 0]);
    let (code, out, _) = output("verify", data.path(), &[]);
    assert_eq!(code, 0);
    assert!(out.contains(" 2 blocks, 0 rows, "), "{out}");
    for command in ["stats", "ls"] {
        assert_eq!(output(command, data.path(), &[]).0, 0);
    }
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu,host=a n=1i 1");
    writer.close();
    assert_eq!(cat(data.path(), &[]).len(), 3);
}

#[test]
fn what_was_said_and_not_committed_is_heard_again_and_needs_no_rows_to_go() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    // Given, and given up with the segment: who says it again is heard.
    say(&mut writer, "cpu", MetricType::Gauge, "");
    drop(writer);
    assert_eq!(cat(data.path(), &[]), [""; 0]);
    let mut writer = Writer::open(data.path(), 1);
    say(&mut writer, "cpu", MetricType::Gauge, "");
    let (worker, _) = &mut writer.workers[0];
    // Nobody waits: it goes within the interval, as rows do.
    let mut events = Vec::new();
    let due = worker.turn(Arrivals::None, &mut events);
    assert!(due.is_some(), "{events:?}");
    worker.wait();
    while events.is_empty() {
        worker.turn(Arrivals::None, &mut events);
        std::thread::yield_now();
    }
    assert!(matches!(events[..], [Event::Durable { upto: 1.. }]), "{events:?}");
    assert_eq!(cat(data.path(), &[]).len(), 1);
}

/// Flips a byte of each block's dictionary section, or of its payload.
fn flip(data: &Path, block: usize, dictionary: bool) {
    let directory = ReadDirectory::open(data).unwrap();
    let survey = directory.survey().unwrap();
    let segment = &survey.segments[0];
    let mut reader = directory.open_segment(segment).unwrap().unwrap();
    for _ in 0..block {
        reader.read_next();
    }
    let Some(Found::Block(found)) = reader.read_next() else { panic!("a block") };
    let into = if dictionary { 9 } else { found.header.dictionary_len as u64 + 9 };
    let at = found.offset + HEADER_LEN as u64 + into;
    let path = data.join("log").join(segment.name.to_string());
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

#[test]
fn damage_costs_the_side_records_that_were_damaged() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    for n in 0..3 {
        exemplar(&mut writer, "cpu", "a", n, &n.to_string());
        say(&mut writer, &format!("m{n}"), MetricType::Info, "");
        commit(&mut writer);
    }
    writer.close();
    flip(data.path(), 1, false);
    let (code, out, err) = output("cat", data.path(), &[]);
    assert_eq!((code, out.lines().count()), (1, 4), "{err}");
    assert!(err.contains("damaged payload") && err.contains("sequence 2"), "{err}");
    assert_eq!(output("verify", data.path(), &[]).0, 1);
}

#[test]
fn side_records_whose_names_are_lost_are_counted() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    exemplar(&mut writer, "cpu", "a", 1, "x");
    say(&mut writer, "cpu", MetricType::Gauge, "");
    say(&mut writer, "mem", MetricType::Gauge, "");
    commit(&mut writer);
    drop(writer);
    // The next start's segment says that it is durable, and has nothing of it.
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu,host=b n=1i 1");
    writer.close();
    flip(data.path(), 0, true);
    for command in ["cat", "verify"] {
        let (code, out, err) = output(command, data.path(), &[]);
        assert_eq!(code, 1);
        let lost = "sequence 1: 3 exemplars or metadata whose definition is lost\n";
        assert!([&out, &err].iter().any(|text| text.contains(lost)), "{out} {err}");
    }
}

#[test]
fn start_times_histograms_and_nested_values_are_printed() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let (worker, stream) = &mut writer.workers[0];
    let mut intake = worker.writer(stream);
    let mut labels = LabelsBuf::default();
    labels.push(METRIC_NAME, b"took");
    let series = intake.define(b"took", &mut labels).unwrap();
    let mut heap = Vec::new();
    let mut histogram = HistogramBuf { schema: -1, sum: 2.5, count: 3, ..HistogramBuf::default() };
    histogram.positive.bucket(2, 3);
    histogram.encode(&mut heap).unwrap();
    let mut nested = NestedBuf::default();
    nested.begin_list().unwrap();
    nested.bool(true);
    nested.end();
    let histogram_len = heap.len();
    heap.extend_from_slice(nested.finish());
    let field = |name: &'static [u8], kind| FieldText { text: name, name, kind };
    let fields = [
        field(b"value", FieldType::Histogram),
        field(b"more", FieldType::Nested),
        field(b"", FieldType::StartTime),
    ];
    let words =
        [heap_word(0, histogram_len), heap_word(histogram_len, heap.len() - histogram_len), -9i64 as u64];
    let shape = intake.define_shape(series, &fields).unwrap();
    intake.push(series, shape, 5, &words, &heap).unwrap();
    let shape = intake.define_shape(series, &[field(b"n", FieldType::U64)]).unwrap();
    intake.push(series, shape, 6, &[7], &[]).unwrap();
    commit(&mut writer);
    writer.close();
    assert_eq!(
        cat(data.path(), &[]),
        [
            r#"{"time":5,"start":-9,"labels":{"__name__":"took"},"fields":{"more":{"nested":{"list":[{"bool":true}]}},"value":{"histogram":{"counts":"u64","reset":"unknown","schema":-1,"zero_threshold":0.0,"sum":2.5,"count":3,"zero_count":0,"positive_spans":[[2,1]],"positive":[3],"negative_spans":[],"negative":[],"bounds":[]}}}}"#,
            r#"{"time":6,"labels":{"__name__":"took"},"fields":{"n":{"u64":7}}}"#,
        ]
    );
    let (_, stats, _) = output("stats", data.path(), &[]);
    assert!(stats.contains("rows: 2\nsamples: 3\n"), "a start time is no sample: {stats}");
    let (code, _, err) = output("cat", data.path(), &["--format", "influx"]);
    assert_eq!(code, 3);
    assert!(err.starts_with("tidegate: 1 rows and 0 values of others"), "{err}");
    assert_eq!(cat(data.path(), &["--dedup", "exact"]).len(), 2);
}
