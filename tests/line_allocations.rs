//! After warm-up no line of Graphite and no sample of StatsD allocates, nor does a row of a flush.

use tidegate::engine::Worker;
use tidegate::ingest::Stream;
use tidegate::model::WriteResult;
use tidegate::wire::{Decode, FedState, graphite, statsd};

mod allocation_kit;
mod engine_kit;
use allocation_kit::own;

const ROWS: usize = 6_000;
const SERIES: usize = 50;
const ROUNDS: usize = 6;

/// Allocations of each round: what `take` does with a body, a commit, and waiting for it.
fn rounds(
    body: impl Fn(usize) -> String,
    take: impl FnMut(&String, &mut Worker, &mut Stream, &mut WriteResult),
) -> Vec<usize> {
    let (counts, result) = engine_kit::rounds(ROUNDS, own, body, take);
    assert_eq!(result.errors, []);
    assert!(result.accepted > 0);
    counts
}

#[track_caller]
fn assert_warm(counts: &[usize]) {
    assert!(counts[0] > 0, "what is cold does allocate");
    assert!(
        counts[3..].iter().all(|&n| n <= PER_COMMIT_MAX),
        "for {ROWS} lines and a commit each: {counts:?}"
    );
}

/// Allocations of a round, however many lines it has: a buffer of the commit may grow by what compresses worse.
const PER_COMMIT_MAX: usize = 4;

// One test, so that no other one's allocations are counted.
#[test]
fn warm_lines_allocate_nothing() {
    let mut decoder = graphite::Decoder::new(0);
    let lines = |round: usize| -> String {
        (0..ROWS).map(|i| format!("a.b.m{};dc=eu {}.25 {}\n", i % SERIES, i % 97, round * ROWS + i)).collect()
    };
    assert_warm(&rounds(lines, |body, worker, stream, result| {
        let fed = decoder.feed(body.as_bytes(), false, &mut worker.writer(stream), result);
        assert_eq!((fed.consumed, fed.state), (body.len(), FedState::NeedMore), "a batch holds it");
    }));

    let mut decoder = statsd::Decoder::default();
    let mut parser = statsd::Parser::default();
    let mut aggregates = statsd::Aggregates::new(statsd::Options::default());
    let samples = |round: usize| -> String {
        let sample = |i: usize| {
            let (series, value) = (i % SERIES, i % 97);
            match i % 4 {
                0 => format!("c{series}:{value}|c|@0.5|#dc:eu,a.b:c\n"),
                1 => format!("g{series},dc=eu:{value}|g\n"),
                2 => format!("h{series}:{value}:7|h|#dc:eu\n"),
                _ => format!("t{series}:{value}|c|#dc:eu|T{}\n", round * ROWS + i + 1),
            }
        };
        (0..ROWS).map(sample).collect()
    };
    let mut time_ns = 0;
    assert_warm(&rounds(samples, |body, worker, stream, result| {
        let mut to =
            statsd::Feed { parser: &mut parser, aggregates: &mut aggregates, sender: &"", now_ns: time_ns };
        assert_eq!(decoder.feed(body.as_bytes(), false, &mut to, result).consumed, body.len());
        time_ns += 10_000_000_000;
        aggregates.flush(time_ns);
        aggregates.write(&mut worker.writer(stream), result).expect("a batch holds it");
    }));
}
