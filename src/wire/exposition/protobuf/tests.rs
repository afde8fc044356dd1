use proptest::prelude::*;

use super::super::GivenLabel;
use super::*;
use crate::bytes::write_varint;
use crate::model::{Histogram as Native, WriteResult};
use crate::wire::testing::{Rows, Value as Seen};
use crate::wire::{Decode, FedState};

pub(in super::super) fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, number << 3 | 2);
    write_varint(&mut out, value.len() as u64);
    out.extend_from_slice(value);
    out
}

pub(in super::super) fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

pub(in super::super) fn varint(number: u8, value: u64) -> Vec<u8> {
    let mut out = vec![number << 3];
    write_varint(&mut out, value);
    out
}

/// A family with its length before it. Each metric is a label's value and the message of its value, of this number.
pub(in super::super) fn family(name: &str, kind: u64, number: u64, metrics: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let metric = |(label, value): &(&str, Vec<u8>)| {
        let label = bytes(1, &[bytes(1, b"l"), bytes(2, label.as_bytes())].concat());
        bytes(4, &[label, bytes(number, value)].concat())
    };
    let metrics: Vec<u8> = metrics.iter().flat_map(metric).collect();
    let family = [bytes(1, name.as_bytes()), varint(3, kind), metrics].concat();
    let mut out = Vec::new();
    write_varint(&mut out, family.len() as u64);
    [out, family].concat()
}

/// A counter's, a gauge's or an untyped value.
pub(in super::super) fn value(value: f64) -> Vec<u8> {
    double(1, value)
}

/// A native histogram of schema 3 with these counts side by side from bucket 1 on.
fn native(schema: i64, counts: &[u64]) -> Vec<u8> {
    let mut deltas = Vec::new();
    let mut last = 0;
    for &count in counts {
        write_varint(&mut deltas, crate::bytes::zigzag(count as i64 - last));
        last = count as i64;
    }
    let span = [varint(1, 2), varint(2, counts.len() as u64)].concat();
    let schema = varint(5, crate::bytes::zigzag(schema));
    [varint(1, counts.iter().sum()), double(2, 1.5), schema, bytes(12, &span), bytes(13, &deltas)].concat()
}

fn take(body: &[u8], options: HistogramOptions) -> Result<Rows, String> {
    let mut decoder = ProtobufDecoder::new(options, 0, vec![GivenLabel::new(b"given", b"1")]);
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    decoder.check(body).map_err(|malformed| malformed.error)?;
    assert_eq!(decoder.feed(body, true, &mut rows, &mut result).state, FedState::Done);
    assert_eq!((result.accepted, result.rejected), (rows.rows.len() as u64, 0));
    Ok(rows)
}

/// Schema and the counts of the positive buckets of each native histogram.
fn natives(rows: &Rows) -> Vec<(i32, Vec<(i64, u64)>)> {
    let natives = rows.rows.iter().filter_map(|row| match &row.fields[0].1 {
        Seen::Bytes(bytes) => Some(Native::read(bytes).unwrap()),
        _ => None,
    });
    let shown = natives.map(|native| {
        let spans: Vec<_> = native.positive.spans().map(|span| (span.offset, span.len)).collect();
        let _ = native.positive.counts().count();
        (native.schema, spans)
    });
    shown.collect()
}

#[test]
fn a_native_histogram_is_made_as_coarse_as_it_must_be() {
    let body = family("h", 4, 7, &[("a", native(3, &[1, 0, 2, 3, 4]))]);
    let keep = HistogramOptions { classic_too: false, ..HistogramOptions::default() };
    // Bucket 2 is empty and none.
    assert_eq!(natives(&take(&body, keep).unwrap()), [(3, vec![(1, 1), (1, 3)])]);
    let few = HistogramOptions { buckets_max: 3, ..keep };
    assert_eq!(natives(&take(&body, few).unwrap()), [(2, vec![(1, 3)])]);
    let wide = HistogramOptions { bucket_factor_min: 2.0, ..keep };
    assert_eq!(natives(&take(&body, wide).unwrap()), [(0, vec![(1, 1)])]);
    let none = HistogramOptions { buckets_max: 1, ..keep };
    assert_eq!(natives(&take(&body, none).unwrap()), [(0, vec![(1, 1)])]);
    // Buckets that are too far apart stay two.
    let far = [varint(5, crate::bytes::zigzag(-4)), native(-4, &[1, 1])].concat();
    let error = take(&family("h", 4, 7, &[("a", far)]), none).unwrap_err();
    assert!(error.contains("bucket limit"), "{error}");
}

#[test]
fn a_converted_histogram_whose_count_is_less_than_its_buckets_is_refused() {
    let bucket = |upto: u64, bound: f64| bytes(3, &[varint(1, upto), double(2, bound)].concat());
    let body = |count: u64| {
        let message = [varint(1, count), double(2, 1.5), bucket(3, 0.5), bucket(10, 10.0)].concat();
        family("h", 4, 7, &[("x", message)])
    };
    let options =
        HistogramOptions { convert_classic: true, classic_too: false, ..HistogramOptions::default() };
    assert_eq!(natives(&take(&body(11), options).unwrap()), [(-53, vec![(0, 3)])]);
    for count in [1, 9] {
        let error = take(&body(count), options).unwrap_err();
        assert!(error.contains("native histogram: counts are not cumulative"), "{error}");
    }
}

#[test]
fn a_pushed_histogram_that_contradicts_itself_is_kept_as_it_is() {
    let wrong = [native(3, &[1, 2]), varint(1, 4)].concat();
    let rows = take(&family("h", 4, 7, &[("x", wrong)]), HistogramOptions::default()).unwrap();
    assert_eq!(natives(&rows).len(), 1);
}

#[test]
fn what_a_request_gives_stands_in_place_of_a_series_own() {
    let body = family("g", 1, 2, &[("x", value(2.0))]);
    let rows = take(&body, HistogramOptions::default()).unwrap();
    let labels: Vec<_> = rows.rows[0].labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(labels, ["__name__=g", "given=1", "l=x"]);
}

#[test]
fn what_is_no_family_says_which_and_why() {
    let good = family("g", 1, 2, &[("x", value(2.0))]);
    for (bad, expected) in [
        (&good[..good.len() - 1], "family 2: the message ends"),
        (&family("", 1, 2, &[("x", value(2.0))])[..], "family 2: the metric has no name"),
        (&family("g", 9, 2, &[("x", value(2.0))])[..], "family 2: unknown metric type 9"),
        (&family("g", 4, 7, &[("x", [native(3, &[1]), varint(13, 2)].concat())])[..], "spans"),
        (&family("g", 4, 7, &[("x", native(-5, &[1]))])[..], "schema"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "the message ends"),
    ] {
        let error = take(&[&good, bad].concat(), HistogramOptions::default()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn spans_of_no_bucket_only_move_the_next_one() {
    let zigzag = crate::bytes::zigzag;
    let read = |spans: &[(i64, u64)]| {
        let span =
            |&(offset, len): &(i64, u64)| bytes(12, &[varint(1, zigzag(offset)), varint(2, len)].concat());
        // Of counts 1, 2 and so on.
        let buckets = spans.iter().map(|span| span.1).sum::<u64>();
        let counts = bytes(13, &vec![zigzag(1) as u8; buckets as usize]);
        let message =
            [varint(1, buckets * (buckets + 1) / 2), spans.iter().flat_map(span).collect(), counts].concat();
        take(&family("h", 4, 7, &[("x", message)]), HistogramOptions::default()).map(|rows| natives(&rows))
    };
    assert_eq!(read(&[(2, 0), (-3, 1)]), Ok(vec![(0, vec![(-1, 1)])]));
    assert_eq!(read(&[(2, 1), (5, 0), (-3, 1)]), Ok(vec![(0, vec![(2, 1), (2, 1)])]));
    for spans in [&[(2, 1), (-1, 1)][..], &[(2, 1), (1, 0), (-2, 1)]] {
        assert!(read(spans).unwrap_err().contains("a span's offset is negative"));
    }
}

#[test]
fn an_exemplars_labels_may_be_any() {
    let label = |name: &str| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, b"1")].concat());
    let exemplar = |names: [&str; 2]| bytes(2, &[label(names[0]), label(names[1]), double(2, 7.0)].concat());
    for names in [["", "a"], ["a", "a"]] {
        let counter = [value(1.0), exemplar(names)].concat();
        let rows = take(&family("c", 0, 3, &[("x", counter)]), HistogramOptions::default()).unwrap();
        let kept: Vec<_> = rows.exemplars[0].labels.iter().map(|(name, _)| &**name).collect();
        assert_eq!((rows.rows.len(), kept), (1, names.to_vec()));
    }
    let nameless = bytes(4, &[label(""), bytes(2, &value(2.0))].concat());
    let family = [bytes(1, b"g"), varint(3, 1), nameless].concat();
    let error = take(&[vec![family.len() as u8], family].concat(), HistogramOptions::default());
    assert!(error.unwrap_err().contains("a label has no name"));
}

#[test]
fn a_unit_need_not_be_part_of_the_name() {
    for (name, unit) in [("g", "bytes"), ("bytes", "bytes"), ("g_bytes_total", "bytes"), ("g_bytes", "bytes")]
    {
        let metric = bytes(4, &bytes(2, &value(2.0)));
        let family = [bytes(1, name.as_bytes()), varint(3, 1), bytes(5, unit.as_bytes()), metric].concat();
        let body = [vec![family.len() as u8], family].concat();
        let rows = take(&body, HistogramOptions::default()).unwrap();
        assert_eq!((rows.rows.len(), &*rows.metadata[0].name, &*rows.metadata[0].unit), (1, name, unit));
    }
}

/// The start time of the only row, in milliseconds.
fn start_ms(body: &[u8]) -> Option<i64> {
    let rows = take(body, HistogramOptions::default()).unwrap();
    rows.rows[0].start_time_ns.map(|ns| ns / 1_000_000)
}

#[test]
fn a_start_time_that_says_nothing_is_none() {
    let stamp = |seconds: u64, nanos: u64| [varint(1, seconds), varint(2, nanos)].concat();
    for (start, expected) in [
        (Vec::new(), None),
        (stamp(0, 0), None),
        // Less than a millisecond of the epoch is the epoch.
        (stamp(0, 999_999), None),
        (stamp(0, 1_000_000), Some(1)),
        (stamp(5, 0), Some(5000)),
    ] {
        let counter = [value(1.0), bytes(3, &start)].concat();
        let summary = [varint(1, 1), bytes(4, &start)].concat();
        let histogram = [varint(1, 1), bytes(15, &start)].concat();
        assert_eq!(start_ms(&family("c", 0, 3, &[("x", counter)])), expected, "counter {start:?}");
        assert_eq!(start_ms(&family("s", 2, 4, &[("x", summary)])), expected, "summary {start:?}");
        assert_eq!(start_ms(&family("h", 4, 7, &[("x", histogram)])), expected, "histogram {start:?}");
    }
}

#[test]
fn a_message_in_parts_is_read_as_one() {
    let label = |name: &[u8]| bytes(1, &[bytes(1, name), bytes(2, b"1")].concat());
    // A family of one metric, whose value comes in these parts.
    let in_parts = |kind: u64, number: u64, parts: &[Vec<u8>]| {
        let metric: Vec<u8> = parts.iter().flat_map(|part| bytes(number, part)).collect();
        let family = [bytes(1, b"m"), varint(3, kind), bytes(4, &metric)].concat();
        let mut body = Vec::new();
        write_varint(&mut body, family.len() as u64);
        [body, family].concat()
    };
    let exemplar = [
        bytes(2, &[label(b"a"), double(2, 7.0), bytes(3, &varint(1, 9))].concat()),
        bytes(2, &[label(b"b"), bytes(3, &varint(2, 5_000_000))].concat()),
    ];
    let start = [bytes(3, &varint(1, 5)), bytes(3, &varint(2, 7_000_000))];
    let bucket = |exemplars: &[Vec<u8>]| {
        let exemplars: Vec<u8> =
            exemplars.iter().flat_map(|field| [&[3 << 3 | 2], &field[1..]].concat()).collect();
        bytes(3, &[varint(1, 2), double(2, 1.0), exemplars].concat())
    };
    let spans = native(3, &[1, 2]);
    let (count_to_schema, buckets) = spans.split_at(spans.len() - 10);
    assert_eq!(buckets[0], 12 << 3 | 2, "the first field of the second half");
    for (kind, number, parts) in [
        (
            0,
            3,
            vec![
                exemplar[0].clone(),
                [value(3.0), start[0].clone()].concat(),
                [&exemplar[1][..], &start[1]].concat(),
            ],
        ),
        (1, 2, vec![value(1.0), Vec::new(), value(2.0)]),
        (2, 4, vec![varint(1, 4), double(2, 1.5)]),
        (4, 7, vec![varint(1, 2), [double(2, 1.5), bucket(&exemplar)].concat()]),
        (4, 7, vec![count_to_schema.to_vec(), buckets.to_vec()]),
    ] {
        let whole = take(&in_parts(kind, number, &[parts.concat()]), HistogramOptions::default()).unwrap();
        let read = take(&in_parts(kind, number, &parts), HistogramOptions::default()).unwrap();
        assert_eq!(read.rows, whole.rows);
        assert_eq!(read.exemplars, whole.exemplars);
        for exemplar in &read.exemplars {
            let names: Vec<_> = exemplar.labels.iter().map(|(name, _)| &**name).collect();
            let bits = f64::to_bits(7.0);
            assert_eq!((names, exemplar.value_bits, exemplar.time_ns), (vec!["a", "b"], bits, 9_005_000_000));
        }
        match kind {
            0 => assert_eq!((read.rows[0].start_time_ns, read.exemplars.len()), (Some(5_007_000_000), 1)),
            1 => assert_eq!(read.rows[0].fields[0].1, Seen::F64(f64::to_bits(2.0))),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_families_or_a_fault(bytes: Vec<u8>, at in any::<prop::sample::Index>(), byte: u8) {
        let options = HistogramOptions { convert_classic: true, buckets_max: 2, ..HistogramOptions::default() };
        let _ = take_any(&bytes, options);
        let mut body = family("h", 4, 7, &[("a", native(3, &[1, 0, 2])), ("b", native(8, &[5]))]);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = take_any(&body, options);
    }

    #[test]
    fn rows_come_once_wherever_the_intake_is_full(room in 1usize..4) {
        let body = [
            family("h", 4, 7, &[("a", native(3, &[1, 2])), ("b", native(3, &[1]))]),
            family("c", 0, 3, &[("a", value(1.0)), ("b", value(2.0))]),
        ]
        .concat();
        let whole = take(&body, HistogramOptions::default()).unwrap();
        let given = vec![GivenLabel::new(b"given", b"1")];
        let mut decoder = ProtobufDecoder::new(HistogramOptions::default(), 0, given);
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        rows.room = Some(0);
        while decoder.feed(&body, true, &mut rows, &mut result).state == FedState::Full {
            rows.room = Some(room);
        }
        prop_assert_eq!(rows.rows, whole.rows);
        prop_assert_eq!(rows.metadata, whole.metadata);
    }
}

fn take_any(body: &[u8], options: HistogramOptions) -> Result<Rows, String> {
    let mut decoder = ProtobufDecoder::new(options, 0, Vec::new());
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    decoder.check(body).map_err(|malformed| malformed.error)?;
    assert_eq!(decoder.feed(body, true, &mut rows, &mut result).state, FedState::Done);
    Ok(rows)
}
