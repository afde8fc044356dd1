//! After warm-up no row of a JSON import allocates: neither lines as they are printed, nor others, nor points.

use tidegate::wire::{Decode, FedState, collectd, ndjson, opentsdb, vm_import};

mod allocation_kit;
mod engine_kit;
use allocation_kit::own;

const ROWS: usize = 6_000;
const HOSTS: usize = 50;
const ROUNDS: usize = 6;

const HISTOGRAM: &str = concat!(
    r#"{"counts":"u64","reset":"no","schema":3,"zero_threshold":1e-128,"sum":18.4,"count":12,"zero_count":2,"#,
    r#""positive_spans":[[0,2],[1,1]],"positive":[5,3,2],"negative_spans":[],"negative":[],"bounds":[]}"#,
);

/// Allocations of each round: decode a body, commit it, wait.
fn rounds<D: Decode>(decoder: &mut D, element: impl Fn(usize) -> String, ends: [&str; 3]) -> Vec<usize> {
    let body = |round: usize| {
        let elements: Vec<String> = (0..ROWS).map(|row| element(round * ROWS + row)).collect();
        format!("{}{}{}", ends[0], elements.join(ends[1]), ends[2])
    };
    let (counts, result) = engine_kit::rounds(ROUNDS, own, body, |body, worker, stream, result| {
        decoder.rewind();
        decoder.check(body.as_bytes()).expect("a sound body");
        let fed = decoder.feed(body.as_bytes(), true, &mut worker.writer(stream), result);
        assert_eq!(fed.state, FedState::Done, "a batch holds it");
    });
    assert_eq!((result.accepted, &result.errors[..]), ((ROUNDS * ROWS) as u64, &[][..]));
    counts
}

#[track_caller]
fn assert_warm(counts: &[usize]) {
    assert!(counts[0] > 0, "what is cold does allocate");
    assert!(
        counts[3..].iter().all(|&n| n <= PER_COMMIT_MAX),
        "for {ROWS} rows and a commit each: {counts:?}"
    );
}

/// Allocations of a round, however many rows it has: a buffer of the commit may grow by what compresses worse.
const PER_COMMIT_MAX: usize = 4;

// One test, so that no other one's allocations are counted.
#[test]
fn warm_rows_allocate_nothing() {
    let printed = |row: usize| {
        format!(
            concat!(
                "{{\"time\":{},\"start\":7,\"labels\":{{\"__name__\":\"cpu\",\"host\":\"{}\"}},\"fields\":{{",
                "\"a\":{{\"f64\":{}.5}},\"b\":{{\"i64\":{}}},\"c\":{{\"string\":\"state\\n\"}},\"d\":{{\"bytes\":\"AAH/\"}},",
                "\"h\":{{\"histogram\":{}}},\"n\":{{\"nested\":{{\"map\":[[\"k\",{{\"list\":[{{\"i64\":1}}]}}]]}}}}}}}}",
            ),
            row,
            row % HOSTS,
            row % 97,
            row % 13,
            HISTOGRAM
        )
    };
    let lines = ["", "\n", "\n"];
    assert_warm(&rounds(&mut ndjson::Decoder::new(), printed, lines));
    let spelled = |row: usize| printed(row).replace("\":", "\": ");
    assert_warm(&rounds(&mut ndjson::Decoder::new(), spelled, lines));

    let vm = |row: usize| {
        let (host, value) = (row % HOSTS, row % 97);
        format!("{{\"metric\":{{\"host\":\"{host}\"}},\"values\":[{value}.25],\"timestamps\":[{row}]}}")
    };
    assert_warm(&rounds(&mut vm_import::Decoder::new(vm_import::ExtraLabels::default()), vm, lines));
    let mut extra = vm_import::ExtraLabels::default();
    extra.push(b"job", b"x");
    assert_warm(&rounds(&mut vm_import::Decoder::new(extra), vm, lines));

    let point = |row: usize| {
        let (host, value, time) = (row % HOSTS, row % 97, row + 1);
        format!(
            "{{\"metric\":\"m\",\"timestamp\":{time},\"value\":\"{value}\",\"tags\":{{\"host\":\"{host}\"}}}}"
        )
    };
    assert_warm(&rounds(&mut opentsdb::Decoder::new(), point, ["[", ",", "]"]));
    let list = |row: usize| {
        let (host, value) = (row % HOSTS, row % 97);
        // Shapes come and go: a value that is not known, and rates among integers.
        let (rx, tx) = (
            if row.is_multiple_of(3) { "null" } else { "5" },
            if row.is_multiple_of(5) { "2.5" } else { "7" },
        );
        format!(
            concat!(
                "{{\"values\":[{},{},{}],\"dstypes\":[\"derive\",\"counter\",\"gauge\"],",
                "\"dsnames\":[\"rx\",\"t\\u0078\",\"value\"],\"time\":{}.250,\"interval\":10.000,\"host\":\"{}\",",
                "\"plugin\":\"cpu\",\"plugin_instance\":\"0\",\"type\":\"cpu\",\"type_instance\":\"\"}}",
            ),
            rx, tx, value, row, host
        )
    };
    let mut decoder = collectd::Decoder::new(collectd::Counters::AsSent, 0);
    assert_warm(&rounds(&mut decoder, list, ["[", ",", "]"]));
    let alert = |row: usize| {
        format!(
            concat!(
                "{{\"labels\":{{\"alertname\":\"collectd_cpu\",\"instance\":\"{}\"}},\"annotations\":",
                "{{\"severity\":\"OKAY\",\"summary\":\"is {}\\n\"}},\"startsAt\":\"2026-11-22T10:00:00.125Z\"}}",
            ),
            row % HOSTS,
            row % 97
        )
    };
    assert_warm(&rounds(&mut decoder, alert, ["[", ",", "]"]));

    let put = |row: usize| format!("put m {} {}.5 host={}", row + 1, row % 97, row % HOSTS);
    assert_warm(&rounds(&mut opentsdb::Lines::new(), put, lines));
}
