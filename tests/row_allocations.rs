//! After warm-up no row allocates: not on the server's way (decoder, worker, commit), not on the embedded writer's.

use std::fmt::Write;
use std::time::Duration;

use tidegate::engine::{self, Embedded, FieldValue, LOADS_MAX};
use tidegate::log::disk::Backend;
use tidegate::wire::exposition::{self, Faults, Options, Syntax};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::otlp::{self, Encoding, Signal};
use tidegate::wire::{Decode, FedState};

mod allocation_kit;
mod engine_kit;
use allocation_kit::{all, own};
use engine_kit::options;

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

/// The same as exposition text: families of a counter, a histogram and a gauge, with and without times.
fn exposition_body(round: usize, out: &mut String) {
    out.clear();
    let lines = ROWS / 4;
    for i in 0..lines {
        let (host, time) = (i % HOSTS, (round * lines + i) as i64);
        if i % 500 == 0 {
            out.push_str("# HELP cpu What is used.\n# TYPE cpu histogram\n");
        }
        writeln!(
            out,
            "cpu_total{{host=\"host_{host}\"}} {i}\ncpu{{host=\"host_{host}\",le=\"1\"}} 0.{i} {time}"
        )
        .expect("a String takes it");
        writeln!(out, "up {host}e-3\n  down {{ host = \"a\\\\{host}\" , }}\t{i} ")
            .expect("a String takes it");
    }
}

/// Allocations of the calling thread for each of some rounds on the server's way: decode, commit, wait.
fn server_rounds<D: Decode>(
    rounds: usize,
    mut decoder: D,
    body: impl Fn(usize, &mut String),
    mut reset: impl FnMut(&mut D),
) -> Vec<usize> {
    let body = |round| {
        let mut text = String::new();
        body(round, &mut text);
        // The later half of the rounds are bodies of their own, whose decoder plans its shapes anew.
        (text, round >= rounds / 2)
    };
    let (counts, result) = engine_kit::rounds(rounds, own, body, |(text, is_new), worker, stream, result| {
        if *is_new {
            reset(&mut decoder);
        }
        // As sockets give it: in pieces that end anywhere.
        let (mut at, mut end) = (0, 0);
        while at < text.len() {
            end = (end + 100_001).min(text.len());
            let last = *is_new && end == text.len();
            let fed = decoder.feed(&text.as_bytes()[at..end], last, &mut worker.writer(stream), result);
            assert_ne!(fed.state, FedState::Full, "a batch holds it");
            at += fed.consumed;
        }
    });
    assert_eq!((result.accepted, result.rejected), ((rounds * ROWS) as u64, 0));
    counts
}

/// A length before bytes, and a field's number before that.
fn sized(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    tidegate::bytes::write_varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// An OTLP request of numbers and histograms.
fn otlp_body(round: usize, encoding: Encoding) -> Vec<u8> {
    let mut json = [String::new(), String::new()];
    let mut protobuf = [Vec::new(), Vec::new()];
    for i in 0..ROWS {
        let (time, host) = ((round * ROWS + i) as u64 + 1, format!("host_{}", i % HOSTS));
        let attribute = [sized(1, b"host"), sized(2, &sized(1, host.as_bytes()))].concat();
        let times = [&[0x19][..], &time.to_le_bytes()].concat();
        let attributes_json = format!("[{{\"key\":\"host\",\"value\":{{\"stringValue\":\"{host}\"}}}}]");
        let head = format!(",{{\"timeUnixNano\":\"{time}\",\"attributes\":{attributes_json}");
        let (kind, point) = if i % 4 == 0 {
            json[1] += &format!("{head},\"bucketCounts\":[\"{i}\",2],\"explicitBounds\":[0.5]}}");
            let counts = [(i as u64).to_le_bytes(), 2u64.to_le_bytes()].concat();
            let bounds = 0.5f64.to_bits().to_le_bytes();
            (1, [sized(6, &counts), sized(7, &bounds), sized(9, &attribute)].concat())
        } else {
            json[0] += &format!("{head},\"asDouble\":{i}.5}}");
            let value = (i as f64 + 0.5).to_bits().to_le_bytes();
            (0, [&[0x21][..], &value, &sized(7, &attribute)].concat())
        };
        protobuf[kind].extend(sized(1, &[times, point].concat()));
    }
    let points = json.each_ref().map(|points| points.trim_start_matches(','));
    let metric = |kind, name: &[u8], data| sized(2, &[sized(1, name), sized(kind, data)].concat());
    match encoding {
        Encoding::Json => format!(
            "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"cpu\",\"gauge\":{{\"dataPoints\":[{}]}}}},\
            {{\"name\":\"lag\",\"histogram\":{{\"aggregationTemporality\":2,\"dataPoints\":[{}]}}}}]}}]}}]}}",
            points[0], points[1]
        )
        .into_bytes(),
        Encoding::Protobuf => {
            let histograms = [&protobuf[1][..], &[0x10, 2]].concat();
            sized(1, &sized(2, &[metric(5, b"cpu", &protobuf[0]), metric(9, b"lag", &histograms)].concat()))
        }
    }
}

/// Allocations of each of some OTLP requests: check, decode, commit, wait.
fn otlp_rounds(rounds: usize, encoding: Encoding) -> Vec<usize> {
    let mut decoder = otlp::Decoder::new(Signal::Metrics, encoding, 0);
    let body = |round| otlp_body(round, encoding);
    let (counts, result) = engine_kit::rounds(rounds, own, body, |body, worker, stream, result| {
        decoder.reset(Signal::Metrics, encoding, 0);
        decoder.check(body).expect("a request");
        let fed = decoder.feed(body, true, &mut worker.writer(stream), result);
        assert_eq!(fed.state, FedState::Done, "a batch holds it");
    });
    assert_eq!((result.accepted, result.rejected), ((rounds * ROWS) as u64, 0), "{:?}", result.errors);
    counts
}

/// Allocations of each of some rounds on the embedded way: of the writer's thread, and of all threads. And how many
/// segments that took.
fn embedded_rounds(rounds: usize) -> (Vec<(usize, usize)>, usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let engine =
        Embedded::open(engine::Options { backend: Some(Backend::Threads), ..options(directory.path()) })
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
        let before = (own(), all());
        for i in 0..ROWS {
            let (series, time) = (series[i % HOSTS], (round * ROWS + i) as i64);
            writer.push(series, time, i as f64).expect("the engine keeps up");
            let fields = [("a", FieldValue::I64(i as i64)), ("b", FieldValue::String("text"))];
            writer.push_row(series, time, &fields).expect("the engine keeps up");
        }
        let written = writer.write_lines(text.as_bytes(), Dialect::V1, Precision::Nanos);
        assert_eq!((written.result.accepted, written.stopped), (ROWS as u64, None));
        writer.flush().expect("it is open").wait(LONG).expect("a sound disk");
        counts.push((own() - before.0, all() - before.1));
    }
    let segments = std::fs::read_dir(directory.path().join("log")).expect("it is there").count();
    (counts, segments)
}

// One test, so that no other one's allocations are counted.
#[test]
fn warm_rows_allocate_nothing() {
    let lines = Decoder::new(Dialect::V1, Precision::Nanos, 0);
    let influx = server_rounds(8, lines, body, |decoder| decoder.reset(Dialect::V1, Precision::Nanos, 0));
    let (syntax, faults) = (Syntax::Text, Faults::Line);
    let text = exposition::Decoder::new(Options {
        syntax,
        faults,
        default_time_ns: 0,
        labels: Vec::new(),
        keep_created: false,
    });
    let text = server_rounds(8, text, exposition_body, |decoder| decoder.reset(0));
    for server in [influx, text] {
        println!("server: {server:?}");
        let (stream, bodies) = server.split_at(4);
        assert!(stream[0] > 0, "what is cold does allocate");
        assert_eq!(stream[2..], [0, 0], "for {ROWS} rows and a commit each");
        assert!(bodies.iter().all(|&n| n <= PER_BODY_MAX), "for {ROWS} rows and a commit each: {bodies:?}");
    }

    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let otlp = otlp_rounds(6, encoding);
        println!("{encoding:?}: {otlp:?}");
        assert!(otlp[0] > 0, "what is cold does allocate");
        assert!(otlp[3..].iter().all(|&n| n <= PER_BODY_MAX), "for {ROWS} rows and a commit each: {otlp:?}");
    }

    let (embedded, segments) = embedded_rounds(40);
    println!("embedded: {embedded:?}, {segments} segments");
    let warm = &embedded[4..];
    // Each load grows once to its size, whenever its turn comes first: beside that there is nothing per row.
    let mut writers: Vec<_> = warm.iter().map(|&(own, _)| own).collect();
    let growth = writers.iter().map(|n| n.saturating_sub(PER_BODY_MAX)).sum::<usize>();
    writers.sort_unstable();
    // Which loads come round is the threads' luck: a round in which none is new shows what rows cost by themselves.
    assert!(writers[0] <= PER_BODY_MAX, "for {} rows: {embedded:?}", 3 * ROWS);
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
