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
