//! Requests made up field by field, and bytes that are none.

use proptest::prelude::*;

use super::oracle::{self, Decoded};
use super::{Decoder, Message};
use crate::bytes::{write_varint, zigzag};
use crate::model::{METRIC_NAME, WriteResult};
use crate::wire::testing::{Rows, Value};
use crate::wire::{Decode, FedState};

/// A protobuf message being written.
#[derive(Clone, Default, Debug)]
struct Proto(Vec<u8>);

impl Proto {
    fn tag(&mut self, number: u64, wire: u64) {
        write_varint(&mut self.0, number << 3 | wire);
    }

    fn varint(mut self, number: u64, value: u64) -> Proto {
        self.tag(number, 0);
        write_varint(&mut self.0, value);
        self
    }

    fn fixed(mut self, number: u64, word: u64) -> Proto {
        self.tag(number, 1);
        self.0.extend_from_slice(&word.to_le_bytes());
        self
    }

    fn double(self, number: u64, value: f64) -> Proto {
        self.fixed(number, value.to_bits())
    }

    fn bytes(mut self, number: u64, bytes: impl AsRef<[u8]>) -> Proto {
        self.tag(number, 2);
        write_varint(&mut self.0, bytes.as_ref().len() as u64);
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    fn message(self, number: u64, message: Proto) -> Proto {
        self.bytes(number, message.0)
    }

    fn packed(self, number: u64, values: &[u64]) -> Proto {
        let mut packed = Vec::new();
        values.iter().for_each(|&value| write_varint(&mut packed, value));
        self.bytes(number, packed)
    }
}

fn label(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Proto {
    Proto::default().bytes(1, name).bytes(2, value)
}

fn sample(value: f64, time_ms: i64) -> Proto {
    Proto::default().double(1, value).varint(2, time_ms as u64)
}

/// A 1.0 series with these labels.
fn series_v1(labels: &[(&str, &str)]) -> Proto {
    labels.iter().fold(Proto::default(), |series, (name, value)| series.message(1, label(name, value)))
}

fn request_v1(series: impl IntoIterator<Item = Proto>) -> Vec<u8> {
    series.into_iter().fold(Proto::default(), |request, series| request.message(1, series)).0
}

/// A 2.0 request: its symbols, and its series.
fn request_v2(symbols: &[&str], series: impl IntoIterator<Item = Proto>) -> Vec<u8> {
    let request = symbols.iter().fold(Proto::default(), |request, symbol| request.bytes(4, symbol));
    series.into_iter().fold(request, |request, series| request.message(5, series)).0
}

/// What was decoded of a body that is a message.
fn decode(message: Message, body: &[u8]) -> (Rows, WriteResult) {
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let mut decoder = Decoder::new(message);
    decoder.check(body).unwrap();
    let fed = decoder.feed(body, true, &mut rows, &mut result);
    assert_eq!((fed.state, fed.consumed), (FedState::Done, body.len()));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    (rows, result)
}

fn errors(result: &WriteResult) -> Vec<(u64, &str)> {
    result.errors.iter().map(|e| (e.index, e.error.as_str())).collect()
}

const UP: [(&str, &str); 2] = [("__name__", "up"), ("job", "node")];

#[test]
fn samples_are_rows_with_every_bit_of_their_value() {
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let body = request_v1([
        series_v1(&UP).message(2, sample(1.5, 1_700_000_000_123)),
        series_v1(&UP).message(2, sample(stale, -1)).message(2, Proto::default()),
    ]);
    let (rows, result) = decode(Message::V1, &body);
    let values: Vec<_> = rows.rows.iter().map(|row| (row.time_ns, row.fields[0].1.clone())).collect();
    let expected = [
        (1_700_000_000_123_000_000, Value::F64(1.5f64.to_bits())),
        (-1_000_000, Value::F64(0x7ff0_0000_0000_0002)),
        (0, Value::F64(0)),
    ];
    assert_eq!(values, expected);
    assert_eq!(rows.rows[0].labels, UP.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!((result.samples, result.rejected), (3, 0));
}

#[test]
fn labels_may_lie_anywhere_in_a_series() {
    let together = series_v1(&UP).message(2, sample(1.0, 1));
    let apart = Proto::default()
        .message(1, label("job", "node"))
        .message(2, sample(2.0, 2))
        .message(1, label("__name__", "up"));
    let (rows, _) = decode(Message::V1, &request_v1([together, apart]));
    assert_eq!(rows.rows[0].labels, rows.rows[1].labels);
}

#[test]
fn a_bad_series_is_named_and_the_others_are_taken() {
    let good = series_v1(&UP).message(2, sample(1.0, 1));
    let bad =
        |labels: &[(&str, &str)]| series_v1(labels).message(2, sample(1.0, 1)).message(2, sample(1.0, 2));
    let not_text = Proto::default().message(1, label("__name__", b"up\xff")).message(2, sample(1.0, 1));
    let body = request_v1([
        bad(&[("job", "node")]),
        good.clone(),
        bad(&[("__name__", "")]),
        bad(&[("__name__", "up"), ("a", "1"), ("a", "1")]),
        not_text,
        bad(&[("__name__", "up"), ("", "1")]),
        good,
    ]);
    let (rows, result) = decode(Message::V1, &body);
    assert_eq!((rows.rows.len(), result.rejected), (2, 9));
    assert_eq!(
        errors(&result),
        [
            (1, "invalid metric name or labels, got {job=\"node\"}"),
            (3, "invalid metric name or labels, got {__name__=\"\"}"),
            (4, "invalid labels for series, labels {__name__=\"up\", a=\"1\", a=\"1\"}, duplicated label a"),
            (5, "invalid metric name or labels, got {__name__=\"up\u{fffd}\"}"),
            (6, "invalid metric name or labels, got {\"\"=\"1\", __name__=\"up\"}"),
        ]
    );
    assert_eq!(result.reasons, [("labels", 8), ("utf8", 1)]);
}

#[test]
fn a_label_without_a_value_is_none() {
    let series = series_v1(&[("__name__", "up"), ("empty", "")]).message(2, sample(1.0, 1));
    let (rows, _) = decode(Message::V1, &request_v1([series]));
    assert_eq!(rows.rows[0].labels, [("__name__".to_owned(), "up".to_owned())]);
}

#[test]
fn times_out_of_range_cost_the_row_alone() {
    let series = series_v1(&UP).message(2, sample(1.0, i64::MAX / 1_000_000 + 1)).message(2, sample(2.0, 2));
    let (rows, result) = decode(Message::V1, &request_v1([series]));
    assert_eq!((rows.rows.len(), result.rejected), (1, 1));
    assert_eq!(result.errors[0].reason, "timestamp");
}

const SYMBOLS: [&str; 8] = ["", "__name__", "up", "job", "node", "help!", "seconds", "trace_id"];

#[test]
fn references_mean_symbols_wherever_these_stand() {
    let first = Proto::default().packed(1, &[1, 2, 3, 4]).message(2, sample(1.0, 1));
    let unpacked = Proto::default().varint(1, 1).varint(1, 2).packed(1, &[3, 4]).message(2, sample(2.0, 2));
    let mut body = request_v2(&[], [first, unpacked]);
    body.extend(request_v2(&SYMBOLS, []));
    let (rows, result) = decode(Message::V2, &body);
    assert_eq!(result.rejected, 0);
    assert!(rows.rows.iter().all(|row| row.labels == UP.map(|(n, v)| (n.to_owned(), v.to_owned()))));
    assert_eq!(rows.rows.len(), 2);
}

#[test]
fn references_into_nowhere_are_named() {
    let with = |references: &[u64]| Proto::default().packed(1, references).message(2, sample(1.0, 1));
    let metadata = with(&[1, 2]).message(5, Proto::default().varint(1, 1).varint(4, 999));
    let exemplar = with(&[1, 2]).message(4, Proto::default().packed(1, &[7, 99]));
    let body = request_v2(&SYMBOLS, [with(&[1, 2, 3]), with(&[1, 99]), metadata, exemplar, with(&[1, 2])]);
    let (rows, result) = decode(Message::V2, &body);
    assert_eq!(
        errors(&result),
        [
            (1, "parsing labels for series [1 2 3]: invalid labelRefs length 3"),
            (
                2,
                "parsing labels for series [1 99]: labelRefs 1 (name) = 99 (value) outside of symbols table (size 8)"
            ),
            (3, "parsing metadata for series [1 2]: metadata unit_ref 999 outside of symbols table (size 8)"),
            (
                4,
                "parsing exemplar for series {__name__=\"up\"}: labelRefs 7 (name) = 99 (value) outside of symbols \
                 table (size 8)"
            ),
        ]
    );
    assert_eq!((rows.rows.len(), result.rejected), (2, 4));
}

#[test]
fn of_what_has_32_bits_protobuf_reads_no_more() {
    let high = |low: u64| 1 << 32 | low;
    let histogram = Proto::default().varint(14, high(3)).varint(15, 1);
    let series = Proto::default()
        .packed(1, &[1, high(2)])
        .message(2, sample(1.0, 1))
        .message(3, histogram)
        .message(5, Proto::default().varint(1, high(1)).varint(3, high(2)));
    let (rows, result) = decode(Message::V2, &request_v2(&SYMBOLS, [series]));
    assert_eq!((errors(&result), result.accepted), (vec![], 2));
    assert_eq!(rows.rows[0].labels, [("__name__".to_owned(), "up".to_owned())]);
    assert_eq!((rows.metadata[0].kind, &*rows.metadata[0].help), (crate::model::MetricType::Counter, "up"));
    let Value::Bytes(bytes) = &rows.rows[1].fields[0].1 else { panic!("{:?}", rows.rows[1]) };
    let read = crate::model::Histogram::read(bytes).unwrap();
    assert_eq!(read.reset, crate::model::ResetHint::Gauge);
}

#[test]
fn start_times_are_the_samples_own_or_the_series() {
    let series = Proto::default()
        .packed(1, &[1, 2])
        .message(2, sample(1.0, 10).varint(3, 5))
        .message(2, sample(2.0, 20))
        .varint(6, 7);
    let plain = Proto::default().packed(1, &[1, 2]).message(2, sample(3.0, 30));
    let (rows, _) = decode(Message::V2, &request_v2(&SYMBOLS, [series, plain]));
    let starts: Vec<_> = rows.rows.iter().map(|row| row.start_time_ns).collect();
    assert_eq!(starts, [Some(5_000_000), Some(7_000_000), None]);
}

#[test]
fn exemplars_alone_are_a_series_in_1_0_and_refused_but_kept_in_2_0() {
    let exemplar = Proto::default().message(1, label("trace_id", "abc")).double(2, 0.5).varint(3, 9);
    let (rows, result) = decode(Message::V1, &request_v1([series_v1(&UP).message(3, exemplar)]));
    assert_eq!((result.rejected, result.exemplars, rows.exemplars.len()), (0, 1, 1));
    assert_eq!(rows.exemplars[0].labels, [("trace_id".to_owned(), "abc".to_owned())]);
    assert_eq!((rows.exemplars[0].time_ns, rows.exemplars[0].value_bits), (9_000_000, 0.5f64.to_bits()));

    let exemplar = Proto::default().packed(1, &[7, 2]).double(2, 0.5);
    let series = Proto::default().packed(1, &[1, 2]).message(4, exemplar);
    let (rows, result) =
        decode(Message::V2, &request_v2(&SYMBOLS, [series, Proto::default().packed(1, &[1, 2])]));
    assert_eq!((result.rejected, result.exemplars, rows.exemplars.len(), rows.rows.len()), (2, 1, 1, 0));
    let expected = "TimeSeries must contain at least one sample or histogram for series {__name__=\"up\"}";
    assert_eq!(errors(&result), [(1, expected), (2, expected)]);
}

#[test]
fn metadata_is_handed_on_once_a_metric_in_a_request() {
    let said = Proto::default().varint(1, 1).varint(3, 5).varint(4, 6);
    let series = |references: &[u64]| Proto::default().packed(1, references).message(2, sample(1.0, 1));
    let body = request_v2(
        &SYMBOLS,
        [
            series(&[1, 2, 3, 4]).message(5, said.clone()),
            series(&[1, 2, 3, 5]).message(5, said.clone()),
            series(&[1, 4]).message(5, said),
            series(&[1, 2, 3, 6]).message(5, Proto::default()),
        ],
    );
    let (rows, _) = decode(Message::V2, &body);
    let seen: Vec<_> = rows.metadata.iter().map(|m| (&m.name[..], &m.unit[..], &m.help[..])).collect();
    assert_eq!(seen, [("up", "seconds", "help!"), ("node", "seconds", "help!")]);

    let metadata = Proto::default().varint(1, 5).bytes(2, "up").bytes(4, "help!").bytes(5, "seconds");
    let nameless = Proto::default().varint(1, 5);
    let (rows, result) = decode(Message::V1, &Proto::default().message(3, metadata).message(3, nameless).0);
    assert_eq!(rows.metadata[0].kind, crate::model::MetricType::Summary);
    assert_eq!((result.metadata, result.rejected), (1, 1));
}

fn span(offset: i64, len: u64) -> Proto {
    Proto::default().varint(1, zigzag(offset)).varint(2, len)
}

fn deltas(values: &[i64]) -> Vec<u64> {
    values.iter().copied().map(zigzag).collect()
}

#[test]
fn histograms_have_each_buckets_own_count() {
    let histogram = Proto::default()
        .varint(1, 9)
        .double(3, 18.4)
        .varint(4, zigzag(1))
        .double(5, 0.001)
        .varint(6, 1)
        .message(11, span(-2, 2))
        .message(11, span(3, 1))
        .packed(12, &deltas(&[2, 1, -2]))
        .message(8, span(0, 1))
        .packed(9, &deltas(&[2]))
        .varint(14, 2)
        .varint(15, 1_000)
        .varint(17, 500);
    let series = Proto::default().packed(1, &[1, 2]).message(3, histogram);
    let (rows, result) = decode(Message::V2, &request_v2(&SYMBOLS, [series]));
    assert_eq!(errors(&result), []);
    assert_eq!((result.accepted, result.histograms), (1, 1));
    let Value::Bytes(bytes) = &rows.rows[0].fields[0].1 else { panic!("no histogram") };
    let read = crate::model::Histogram::read(bytes).unwrap();
    let counts: Vec<_> = read.positive.counts().collect();
    assert_eq!(counts, [2, 3, 1].map(crate::model::Count::U64));
    assert_eq!((read.sum, read.schema, read.reset), (18.4, 1, crate::model::ResetHint::No));
    assert_eq!((rows.rows[0].time_ns, rows.rows[0].start_time_ns), (1_000_000_000, Some(500_000_000)));
}

#[test]
fn histograms_that_do_not_add_up_are_refused_in_prometheus_words() {
    let ints = |count: u64| Proto::default().varint(1, count).varint(15, 1);
    let floats = |count: f64| Proto::default().double(2, count).varint(15, 1);
    let custom = |h: Proto| h.varint(4, zigzag(-53));
    let cases = [
        (
            ints(3).message(11, span(0, 1)).packed(12, &deltas(&[2])),
            "2 observations found in buckets, but the Count",
        ),
        (ints(1).double(3, f64::NAN).varint(6, 2), "should be at least the number"),
        (
            ints(1).message(11, span(0, 2)).packed(12, &deltas(&[1])),
            "positive side: spans need 2 buckets, have 1",
        ),
        (
            ints(2).message(8, span(0, 1)).message(8, span(-1, 1)).packed(9, &deltas(&[1, 0])),
            "negative side: span number 2 with offset -1",
        ),
        (ints(0).message(11, span(0, 1)).packed(12, &deltas(&[-1])), "positive side: bucket number 1"),
        (
            ints(0).message(11, span(i64::from(i32::MIN), 0)),
            "positive side: span number 1 starts at bucket index -2147483648",
        ),
        (
            ints(2)
                .message(8, span(i64::from(i32::MAX), 1))
                .message(8, span(0, 1))
                .packed(9, &deltas(&[1, 0])),
            "negative side: span number 2 ends at bucket index 2147483648",
        ),
        (
            floats(2.0).message(11, span(5, 1)).message(11, span(i64::from(i32::MAX), 0)).double(13, 2.0),
            "positive side: span number 2 ends at bucket index 2147483652",
        ),
        (ints(0).varint(4, zigzag(53)), "invalid schema"),
        (ints(0).varint(4, zigzag(-5)), "invalid schema"),
        (ints(0).fixed(16, 1.0f64.to_bits()), "exponential schema must not have custom bounds"),
        (custom(ints(1).varint(6, 1)), "custom buckets: must have zero count of 0"),
        (custom(ints(0).double(5, 0.5)), "custom buckets: must have zero threshold of 0"),
        (custom(ints(0).message(8, span(0, 0))), "custom buckets: must not have negative spans"),
        (custom(ints(0).packed(9, &deltas(&[0]))), "custom buckets: must not have negative buckets"),
        (custom(ints(0).fixed(16, f64::NAN.to_bits())), "bounds must not be NaN"),
        (custom(ints(0).double(16, 2.0).double(16, 1.0)), "strictly increasing"),
        (custom(ints(0).double(16, f64::INFINITY)), "must be finite"),
        (custom(ints(1).message(11, span(1, 1)).packed(12, &deltas(&[1]))), "custom bounds are too few"),
        (floats(-1.0), "observation count is negative"),
        (floats(1.0).double(7, -1.0), "zero bucket"),
        (floats(1.0).message(11, span(0, 1)).double(13, -1.0), "positive side: bucket number 1"),
    ];
    for (histogram, expected) in cases {
        let body = request_v1([series_v1(&UP).message(4, histogram)]);
        let (_, result) = decode(Message::V1, &body);
        assert_eq!((result.accepted, result.rejected), (0, 1), "{expected}");
        assert!(result.errors[0].error.contains(expected), "{:?}: {expected}", result.errors);
    }
    for fine in [
        ints(0).double(3, f64::from_bits(0x7ff0_0000_0000_0002)),
        custom(ints(3).double(16, 1.0).message(11, span(0, 2)).packed(12, &deltas(&[1, 1]))),
        floats(2.5).message(11, span(0, 1)).double(13, 9.0).double(7, 0.5),
        ints(1).message(11, span(i64::from(i32::MAX), 1)).packed(12, &deltas(&[1])),
        ints(1).message(8, span(1 - (1 << 31), 1)).packed(9, &deltas(&[1])),
    ] {
        let (_, result) = decode(Message::V1, &request_v1([series_v1(&UP).message(4, fine)]));
        assert_eq!(errors(&result), []);
    }
}

#[test]
fn what_is_no_message_is_malformed_whole() {
    let good = request_v1([series_v1(&UP).message(2, sample(1.0, 1))]);
    for cut in 1..good.len() {
        assert!(Decoder::new(Message::V1).check(&good[..cut]).is_err(), "cut at {cut}");
    }
    for (message, body, expected) in [
        (Message::V1, Proto::default().varint(1, 1).0, "another wire type"),
        (Message::V1, request_v1([Proto::default().fixed(2, 1)]), "timeseries 1"),
        (
            Message::V1,
            request_v1([series_v1(&UP), Proto::default().message(2, Proto::default().varint(1, 1))]),
            "timeseries 2",
        ),
        (Message::V2, request_v2(&["a"], []), "first symbol"),
        (Message::V1, request_v2(&SYMBOLS, []), "the body is a io.prometheus.write.v2.Request"),
        (Message::V2, good, "the body is a prometheus.WriteRequest"),
    ] {
        let error = Decoder::new(message).check(&body).unwrap_err().error;
        assert!(error.contains(expected), "{error}: {expected}");
        // Unchecked, it is one row that is rejected.
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        let fed = Decoder::new(message).feed(&body, true, &mut rows, &mut result);
        assert_eq!((fed.state, rows.rows.len(), result.rejected), (FedState::Done, 0, 1));
    }
    for message in [Message::V1, Message::V2] {
        Decoder::new(message).check(b"").unwrap();
        // A field of the future, and nothing else.
        Decoder::new(message).check(&Proto::default().bytes(99, "x").0).unwrap();
    }
}

#[test]
fn what_has_no_end_is_refused_before_it_takes_memory() {
    let long = "x".repeat(40_000);
    let references: Vec<u64> = std::iter::repeat_n(2, 100_000).collect();
    let series = Proto::default().packed(1, &references).message(2, sample(1.0, 1));
    let body = request_v2(&["", "__name__", &long], [series]);
    let (_, result) = decode(Message::V2, &body);
    assert_eq!(result.errors[0].reason, "too_large");
    let histogram = Proto::default().packed(12, &vec![0; 2 << 20]);
    let (_, result) = decode(Message::V1, &request_v1([series_v1(&UP).message(4, histogram)]));
    assert_eq!(result.errors[0].reason, "histogram");
    let symbols = vec![""; super::symbols::SYMBOLS_MAX];
    Decoder::new(Message::V2).check(&request_v2(&symbols, [])).unwrap();
    let body = [request_v2(&symbols, []), request_v2(&[""], [])].concat();
    assert!(Decoder::new(Message::V2).check(&body).is_err());
    let long = "x".repeat(70_000);
    let series = series_v1(&[("__name__", "up"), ("a", &long)]).message(2, sample(1.0, 1));
    let (_, result) = decode(Message::V1, &request_v1([series]));
    assert_eq!(result.errors[0].reason, "too_large");
}

#[test]
fn the_limit_on_series_rejects_new_ones_alone() {
    let one = series_v1(&UP).message(2, sample(1.0, 1));
    let two = series_v1(&[("__name__", "down")]).message(2, sample(1.0, 1)).message(2, sample(1.0, 2));
    let body = request_v1([one.clone(), two, one]);
    let mut rows = Rows::default();
    rows.series_max = Some(1);
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(Message::V1);
    decoder.check(&body).unwrap();
    decoder.feed(&body, true, &mut rows, &mut result);
    assert_eq!((result.accepted, result.rejected, result.errors[0].reason), (2, 2, "series_limit"));
}

#[test]
fn keys_are_predicted_in_order_and_announced_out_of_order() {
    let v1 = |i: usize| series_v1(&[("__name__", "up"), ("job", &i.to_string())]).message(2, sample(1.0, 1));
    let said = Proto::default().varint(1, 1).varint(3, 0);
    let v2 = |i: usize| {
        Proto::default()
            .packed(1, &[1, 2, 3, 4 + i as u64])
            .message(2, sample(1.0, 1))
            .message(5, said.clone())
    };
    let numbers: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    let symbols: Vec<&str> =
        ["", "__name__", "up", "job"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    let in_order: Vec<usize> = (0..100).collect();
    let shuffled: Vec<usize> = (0..100).map(|i| i * 37 % 100).collect();
    for message in [Message::V1, Message::V2] {
        let body = |order: &[usize]| match message {
            Message::V1 => request_v1(order.iter().map(|&i| v1(i))),
            Message::V2 => request_v2(&symbols, order.iter().map(|&i| v2(i))),
        };
        let (mut rows, mut decoder) = (Rows::default(), Decoder::new(message));
        let mut take = |rows: &mut Rows, order: &[usize]| {
            let mut result = WriteResult::default();
            let before = (rows.confirmed, rows.announced);
            decoder.reset(message);
            decoder.feed(&body(order), true, rows, &mut result);
            assert_eq!((result.accepted, result.rejected), (100, 0));
            (rows.confirmed - before.0, rows.announced - before.1)
        };
        take(&mut rows, &in_order);
        let (confirmed, announced) = take(&mut rows, &in_order);
        assert!(
            confirmed >= 98 && announced < 100,
            "{message:?}: {confirmed} confirmed, {announced} announced"
        );
        let (confirmed, announced) = take(&mut rows, &shuffled);
        assert!(
            confirmed < 10 && announced > 80,
            "{message:?}: {confirmed} confirmed, {announced} announced"
        );
        let jobs: Vec<_> = rows.rows[200..].iter().map(|row| row.labels[1].1.clone()).collect();
        assert_eq!(jobs, shuffled.iter().map(usize::to_string).collect::<Vec<_>>());
    }
}

/// What the decoder makes of a body in all its ways, compared with the oracle's.
fn compare(message: Message, body: &[u8], rooms: &[usize]) -> Result<(), TestCaseError> {
    let mut decoder = Decoder::new(message);
    let expected = oracle::decode(message, body);
    let checked = decoder.check(body);
    prop_assert_eq!(checked.is_ok(), expected.is_some(), "{:?}", checked);
    let mut rows = Rows::default();
    let Some(expected) = expected else {
        // Unknown series, then predicted ones, then with little room.
        for room in [None, None, Some(rooms[0])] {
            rows.room = room;
            let mut result = WriteResult::default();
            decoder.reset(message);
            let fed = decoder.feed_unchecked(body, &mut rows, &mut result);
            // Of several faults it may be another that is named.
            prop_assert!(fed.is_err(), "room {:?}", room);
        }
        return Ok(());
    };
    // Each in both ways.
    for pass in 0..8 {
        let (pass, unchecked) = (pass / 2, pass % 2 == 1);
        rows.rows.clear();
        rows.exemplars.clear();
        rows.metadata.clear();
        rows.room = (pass >= 2).then_some(0);
        let mut result = WriteResult::default();
        decoder.reset(message);
        let mut first = unchecked;
        if !unchecked {
            decoder.check(body).unwrap();
        }
        let mut rooms = rooms.iter().copied().cycle();
        loop {
            let fed = if std::mem::take(&mut first) {
                let fed = decoder.feed_unchecked(body, &mut rows, &mut result);
                prop_assert!(fed.is_ok(), "{:?}", fed);
                fed.unwrap()
            } else {
                decoder.feed(body, true, &mut rows, &mut result)
            };
            if fed.state == FedState::Done {
                prop_assert_eq!(fed.consumed, body.len());
                break;
            }
            prop_assert_eq!((fed.state, fed.consumed), (FedState::Full, 0));
            rows.room = Some(rooms.next().unwrap_or(1));
        }
        prop_assert_eq!(&rows.rows, &expected.rows);
        prop_assert_eq!(&rows.exemplars, &expected.exemplars);
        prop_assert_eq!(Decoded::said(&rows.metadata), Decoded::said(&expected.metadata));
        prop_assert_eq!(result.rejected, expected.rejected);
        prop_assert_eq!(result.accepted, expected.rows.len() as u64);
        prop_assert_eq!(result.exemplars, expected.exemplars.len() as u64);
        let mut bad: Vec<u64> = result.errors.iter().map(|e| e.index).collect();
        prop_assert_eq!(bad.len(), expected.bad.len().min(crate::model::ERRORS_KEPT_MAX));
        if bad.len() < crate::model::ERRORS_KEPT_MAX {
            // Metadata of 1.0 stands anywhere among the series.
            let mut expected = expected.bad.clone();
            bad.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(bad, expected);
        }
    }
    Ok(())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-c]{1,3}".prop_map(String::into_bytes),
        3 => Just(METRIC_NAME.to_vec()),
        1 => Just(Vec::new()),
        1 => Just(b"\xff".to_vec()),
        1 => proptest::collection::vec(b'a'..=b'z', 20..200),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 1_600_000_000_000u64..1_900_000_000_000,
        1 => 0u64..300,
        1 => any::<u64>(),
    ]
}

fn sample_any(message: Message) -> impl Strategy<Value = Proto> {
    let start = proptest::option::weighted(if message == Message::V2 { 0.3 } else { 0.05 }, time());
    (any::<u64>(), time(), start, 0..10u8).prop_map(|(bits, time, start, way)| {
        let sample = match way {
            0 => Proto::default().varint(2, time).fixed(1, bits),
            1 => Proto::default().fixed(1, bits),
            2 => Proto::default().varint(2, time),
            _ => Proto::default().fixed(1, bits).varint(2, time),
        };
        start.into_iter().fold(sample, |sample, start| sample.varint(3, start))
    })
}

fn histogram_any() -> impl Strategy<Value = Proto> {
    let side = || proptest::collection::vec((-1i64..4, 0u64..4), 0..3);
    let numbers = || proptest::collection::vec(-1i64..5, 0..6);
    let bounds =
        proptest::collection::vec(prop_oneof![Just(f64::NAN), Just(1.0), Just(2.0), Just(3.0)], 0..3);
    let kinds = (
        any::<bool>(),
        prop_oneof![Just(0i64), Just(-53), -5i64..13, Just(52), Just(53)],
        0u64..5,
        any::<bool>(),
    );
    (side(), side(), numbers(), numbers(), bounds, kinds, time(), 0u8..3).prop_map(
        |(positive, negative, up, down, bounds, (floats, schema, reset, nan), time, fit)| {
            // Most of the time buckets are as many as the spans say, and add up.
            let wanted = |spans: &[(i64, u64)], given: Vec<i64>| -> Vec<i64> {
                let len: u64 = spans.iter().map(|(_, len)| len).sum();
                if fit == 0 {
                    given
                } else {
                    (0..len as usize).map(|i| given.get(i).map_or(1, |v| v.abs())).collect()
                }
            };
            let (up, down) = (wanted(&positive, up), wanted(&negative, down));
            let total = |deltas: &[i64]| {
                deltas
                    .iter()
                    .scan(0, |count, delta| {
                        *count += delta;
                        Some(*count)
                    })
                    .sum::<i64>()
            };
            let count = (total(&up) + total(&down)).max(0) as u64;
            let mut h = if floats {
                Proto::default().double(2, count as f64)
            } else {
                Proto::default().varint(1, count)
            };
            h = h.varint(4, zigzag(schema)).varint(14, reset).varint(15, time);
            h = if nan { h.double(3, f64::NAN) } else { h.double(3, 1.5) };
            for (number, spans) in [(11, positive), (8, negative)] {
                h = spans.into_iter().fold(h, |h, (offset, len)| h.message(number, span(offset, len)));
            }
            for (packed, single, values) in [(12, 13, up), (9, 10, down)] {
                h = if floats {
                    values.into_iter().fold(h, |h, value| h.double(single, value as f64))
                } else {
                    h.packed(packed, &deltas(&values))
                };
            }
            bounds.into_iter().fold(h, |h, bound| h.double(16, bound))
        },
    )
}

/// An item of a series: its field in each message.
fn item(message: Message) -> impl Strategy<Value = (u64, Proto)> {
    let v1 = message == Message::V1;
    let labels = proptest::collection::vec((text(), text()), 0..3);
    let references = proptest::collection::vec(0u64..14, 0..5);
    let exemplar =
        (labels, references, any::<u64>(), time()).prop_map(move |(labels, references, bits, time)| {
            let exemplar = Proto::default().fixed(2, bits).varint(3, time);
            if v1 {
                labels.into_iter().fold(exemplar, |exemplar, (n, v)| exemplar.message(1, label(n, v)))
            } else {
                exemplar.packed(1, &references)
            }
        });
    let metadata = (0u64..9, 0u64..14, 0u64..14)
        .prop_map(|(kind, help, unit)| Proto::default().varint(1, kind).varint(3, help).varint(4, unit));
    let other = if v1 { 99 } else { 5 };
    prop_oneof![
        6 => sample_any(message).prop_map(|sample| (2, sample)),
        2 => histogram_any().prop_map(move |histogram| (if v1 { 4 } else { 3 }, histogram)),
        1 => exemplar.prop_map(move |exemplar| (if v1 { 3 } else { 4 }, exemplar)),
        1 => metadata.prop_map(move |metadata| (other, metadata)),
    ]
}

fn series(message: Message) -> impl Strategy<Value = Proto> {
    let labels = proptest::collection::vec((text(), text()), 0..4);
    let references = proptest::collection::vec(0u64..14, 0..7);
    let items = proptest::collection::vec(item(message), 0..4);
    let usual = (0u8..4, 0u64..10, time());
    (labels, references, items, usual, 0..12u8, time()).prop_map(
        move |(labels, references, items, (which, value, at), way, created)| {
            let usual = Proto::default().fixed(1, value).varint(2, at);
            let name = format!("metric_{which}");
            // Half are what senders send; so that predictions come true, too.
            match (message, way) {
                (Message::V1, 0..6) => series_v1(&[("__name__", &name), ("job", "a")]).message(2, usual),
                (Message::V2, 0..6) => {
                    let said = Proto::default().varint(1, value % 3).varint(3, 4);
                    Proto::default()
                        .packed(1, &[1, 2 + u64::from(which), 6, 7])
                        .message(2, usual)
                        .message(5, said)
                }
                (Message::V1, _) => {
                    let late = if way == 6 { labels.len() / 2 } else { labels.len() };
                    let (early, late) = labels.split_at(late);
                    let add = |series: Proto, labels: &[(Vec<u8>, Vec<u8>)]| {
                        labels.iter().fold(series, |series, (n, v)| series.message(1, label(n, v)))
                    };
                    let named = add(series_v1(&[("__name__", &name)]), early);
                    add(
                        items.into_iter().fold(named, |series, (number, item)| series.message(number, item)),
                        late,
                    )
                }
                (Message::V2, _) => {
                    let mut series = Proto::default();
                    if way != 7 {
                        series = series.packed(1, &[1, 2 + u64::from(which)]);
                    }
                    series = references.iter().fold(series, |series, &reference| series.varint(1, reference));
                    series =
                        items.into_iter().fold(series, |series, (number, item)| series.message(number, item));
                    if way == 8 { series.varint(6, created) } else { series }
                }
            }
        },
    )
}

fn request(message: Message) -> BoxedStrategy<Vec<u8>> {
    let all = proptest::collection::vec(series(message), 0..40);
    let texts = proptest::collection::vec(text(), 6);
    let metadata = proptest::collection::vec((0u64..9, text(), text()), 0..2);
    (all, texts, metadata, any::<bool>())
        .prop_map(move |(all, texts, metadata, late)| {
            let numbers = if message == Message::V1 { 1 } else { 5 };
            let mut symbols = Proto::default();
            if message == Message::V2 {
                for text in ["", "__name__", "metric_0", "metric_1", "metric_2", "metric_3", "job", "a"] {
                    symbols = symbols.bytes(4, text);
                }
                symbols = texts.iter().fold(symbols, |symbols, text| symbols.bytes(4, text));
            } else {
                for (kind, name, help) in metadata {
                    symbols =
                        symbols.message(3, Proto::default().varint(1, kind).bytes(2, name).bytes(4, help));
                }
            }
            let series = all.into_iter().fold(Proto::default(), |request, one| request.message(numbers, one));
            let parts = if late { [series, symbols] } else { [symbols, series] };
            parts.map(|part| part.0).concat()
        })
        .boxed()
}

fn any_request() -> impl Strategy<Value = (Message, Vec<u8>)> {
    prop_oneof![Just(Message::V1), Just(Message::V2)]
        .prop_flat_map(|message| request(message).prop_map(move |body| (message, body)))
}

proptest! {
    #[test]
    fn rows_are_the_oracles_wherever_there_is_no_room(
        (message, body) in any_request(),
        rooms in proptest::collection::vec(1usize..9, 1..5),
    ) {
        compare(message, &body, &rooms)?;
    }

    #[test]
    fn requests_with_wrong_bytes_are_what_the_oracle_says(
        (message, mut body) in any_request(),
        wrong in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        if !body.is_empty() {
            let len = body.len();
            wrong.iter().for_each(|(at, byte)| body[at.index(len)] = *byte);
            let len = cut.map_or(len, |at| at.index(len));
            compare(message, &body[..len], &[2])?;
        }
    }

    #[test]
    fn any_bytes_end_in_rows_or_are_malformed(bytes: Vec<u8>, v2: bool) {
        compare(if v2 { Message::V2 } else { Message::V1 }, &bytes, &[1])?;
    }

    #[test]
    fn the_plain_sample_is_read_as_any(bits: u64, time in time(), more in 0u8..5) {
        let plain = Proto::default().message(2, Proto::default().fixed(1, bits).varint(2, time)).0;
        let read = super::rows::Sample::read_plain(&plain).unwrap();
        let whole = super::rows::Sample::read(Message::V2, &plain[2..]);
        prop_assert_eq!(read, whole);
        let mut other = plain.clone();
        match more {
            0 => other.push(0x12),
            1 => other.truncate(plain.len() - 1),
            2 => other[1] += 1,
            3 => other[2] = 0x11,
            _ => *other.last_mut().unwrap() |= 0x80,
        }
        prop_assert_eq!(super::rows::Sample::read_plain(&other), None);
    }
}
