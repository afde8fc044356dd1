use proptest::prelude::*;

use super::*;
use crate::model::{
    CountKind, FieldType, HistogramBuf, MetricType, NAN_CANONICAL_BITS, NAN_STALE_BITS, NestedBuf, ResetHint,
    SIDE_TEXT_BYTES_MAX, WriteResult,
};
use crate::wire::testing::{Row, Rows, Value, decode_cut, decode_whole};

fn decode(body: &[u8]) -> (Rows, WriteResult) {
    decode_whole(&mut Decoder::new(), body, None)
}

fn fields(line: &str) -> Vec<(String, Value)> {
    let (rows, result) = decode(line.as_bytes());
    assert_eq!((rows.rows.len(), &result.errors[..]), (1, &[][..]), "{line}");
    rows.rows[0].fields.clone()
}

fn error(line: &str) -> String {
    let (rows, result) = decode(line.as_bytes());
    assert_eq!((rows.rows.len(), result.rejected), (0, 1), "{line}: {rows:?}");
    format!("{}: {}", result.errors[0].reason, result.errors[0].error)
}

/// A row with one field.
fn with_value(value: &str) -> String {
    format!(r#"{{"time":1,"labels":{{}},"fields":{{"v":{{{value}}}}}}}"#)
}

fn value(text: &str) -> Value {
    fields(&with_value(text)).remove(0).1
}

#[test]
fn every_type_is_read() {
    for (text, expected) in [
        (r#""f64":58.2"#, Value::F64(58.2f64.to_bits())),
        (r#""f64":5"#, Value::F64(5.0f64.to_bits())),
        (r#""f64":-0"#, Value::F64((-0.0f64).to_bits())),
        (r#""f64":-0.0"#, Value::F64((-0.0f64).to_bits())),
        (r#""f64":1e+300"#, Value::F64(1e300f64.to_bits())),
        (r#""f64":18446744073709551616"#, Value::F64((u64::MAX as f64).to_bits())),
        (r#""f64":5e-324"#, Value::F64(1)),
        (r#""f64":"+Inf""#, Value::F64(f64::INFINITY.to_bits())),
        (r#""f64":"-Inf""#, Value::F64(f64::NEG_INFINITY.to_bits())),
        (r#""f64":"NaN""#, Value::F64(NAN_CANONICAL_BITS)),
        (r#""f64":"stale""#, Value::F64(NAN_STALE_BITS)),
        (r#""f64":"NaN:fff8000000000000""#, Value::F64(0xfff8_0000_0000_0000)),
        (r#""i64":-9223372036854775808"#, Value::I64(i64::MIN)),
        (r#""u64":18446744073709551615"#, Value::U64(u64::MAX)),
        (r#""bool":true"#, Value::Bool(true)),
        (r#""bool":false"#, Value::Bool(false)),
        (r#""string":"a\"\u00e9\udcff\n""#, Value::Bytes(b"a\"\xc3\xa9\xff\n".to_vec())),
        (r#""bytes":"AP8BAg==""#, Value::Bytes(vec![0, 255, 1, 2])),
        (r#""null":null"#, Value::Null),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn values_that_their_type_does_not_have_are_refused() {
    for text in [
        r#""f64":1e999"#,
        r#""f64":"1.5""#,
        r#""f64":"NaN:0000000000000000""#,
        r#""f64":"NaN:fff""#,
        r#""f64":"nan""#,
        r#""i64":9223372036854775808"#,
        r#""i64":1.0"#,
        r#""i64":1e3"#,
        r#""u64":-1"#,
        r#""bytes":"AP8""#,
        r#""string":"\ud800""#,
        r#""nested":{"f64":"x"}"#,
    ] {
        assert!(error(&with_value(text)).starts_with("value: "), "{text}");
    }
    for text in
        [r#""f64":null"#, r#""i64":"1""#, r#""bool":1"#, r#""null":0"#, r#""string":5"#, r#""nested":{}"#]
    {
        assert!(error(&with_value(text)).starts_with("syntax: "), "{text}: {}", error(&with_value(text)));
    }
}

#[test]
fn a_field_of_two_types_is_two_columns() {
    let line = r#"{"time":1,"labels":{"__name__":"m"},"fields":{"a":{"f64":0.5,"i64":1},"b":{"bool":true}}}"#;
    let expected = [("a", Value::F64(0.5f64.to_bits())), ("a", Value::I64(1)), ("b", Value::Bool(true))]
        .map(|(n, v)| (n.into(), v));
    assert_eq!(fields(line), expected);
    assert_eq!(
        error(r#"{"time":1,"labels":{},"fields":{"a":{"i64":1},"b":{"i64":1},"a":{"i64":2}}}"#),
        "name: \"a\" is given twice"
    );
}

#[test]
fn lines_that_are_no_rows_are_named() {
    for (line, expected) in [
        ("{", "syntax: a string is expected at column 2"),
        ("nonsense", "syntax: an object is expected at column 1"),
        ("[]", "syntax: an object is expected at column 1"),
        ("{}", "name: \"time\" is missing"),
        (r#"{"time":1,"fields":{}}"#, "name: \"labels\" is missing"),
        (r#"{"time":1,"labels":{}}"#, "name: \"fields\" is missing"),
        (r#"{"time":1,"labels":{},"fields":{}}"#, "name: \"fields\" is missing"),
        (r#"{"time":1,"time":2,"labels":{},"fields":{}}"#, "name: \"time\" is given twice"),
        (r#"{"time":1.5,"labels":{},"fields":{}}"#, "value: an integer of 64 bits is expected at column 9"),
        (r#"{"time":1,"labels":{"a":1},"fields":{}}"#, "syntax: a string is expected at column 25"),
        (r#"{"time":1,"labels":{},"fields":{"v":{}}}"#, "name: field \"v\" has no value"),
        (r#"{"time":1,"labels":{},"fields":{"v":{"f32":1}}}"#, "name: unknown type \"f32\""),
        (r#"{"time":1,"labels":{},"fields":{"v":{"i64":1}},"x":1}"#, "name: unknown member \"x\""),
        (
            r#"{"time":1,"labels":{},"fields":{"v":{"i64":1}}} x"#,
            "syntax: nothing more is expected at column 49",
        ),
        (
            r#"{"tenant":7,"time":1,"labels":{},"fields":{"v":{"i64":1}}}"#,
            "tenant: tenant 7: only tenant 0 is there",
        ),
        (
            r#"{"time":1,"labels":{"a":"1","a":"2"},"fields":{"v":{"i64":1}}}"#,
            "labels: duplicate tag key \"a\"",
        ),
        (r#"{"metadata":{"type":"gauge"}}"#, "name: \"name\" is missing"),
        (r#"{"metadata":{"name":"a"},"time":1}"#, "name: \"time\" does not belong to such a line"),
        (
            r#"{"time":1,"start":1,"exemplar":{},"labels":{},"fields":{"v":{"f64":1}}}"#,
            "name: \"start\" does not belong to such a line",
        ),
        (
            r#"{"time":1,"exemplar":{},"labels":{},"fields":{"v":{"i64":1}}}"#,
            "name: \"fields\" does not belong to such a line",
        ),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
    let (rows, result) = decode(b"{\"time\":1,\"labels\":{\"a\":\"\xff\"},\"fields\":{\"v\":{\"i64\":1}}}");
    assert_eq!((rows.rows.len(), &*result.errors[0].error), (0, "invalid UTF-8 at column 26"));
}

#[test]
fn bad_lines_cost_no_others_and_have_their_numbers() {
    let good = with_value(r#""i64":1"#);
    let long = format!("{{\"time\":1,\"labels\":{{\"a\":\"{}\"}}}}", "x".repeat(LINE_BYTES_MAX));
    let body = format!("{good}\n\nbad\r\n{good}\r\n  \n{long}\n{good}\nbad");
    for pieces in [&[usize::MAX / 2][..], &[1000], &[LINE_BYTES_MAX / 3, 7]] {
        let (rows, result) = decode_cut(&mut Decoder::new(), body.as_bytes(), pieces, None);
        assert_eq!((rows.rows.len(), result.accepted, result.samples, result.rejected), (3, 3, 3, 3));
        let faults: Vec<_> = result.errors.iter().map(|e| (e.index, e.reason, e.original.len())).collect();
        assert_eq!(faults, [(3, "syntax", 4), (6, "too_large", 256), (8, "syntax", 3)]);
    }
}

#[test]
fn other_spellings_are_the_same_row() {
    let printed =
        r#"{"time":5,"start":3,"labels":{"__name__":"m","a":"b"},"fields":{"v":{"f64":1.5},"w":{"i64":2}}}"#;
    let spelled = concat!(
        r#" { "fields" : { "\u0076" : {"f64": 15e-1} , "w":{"i64":2}}, "labels":{"a" :"\u0062","__name__":"m"},"#,
        "\t\"tenant\":0, \"start\":3,\"time\": 5 }\r",
    );
    let body = [printed, spelled, printed, spelled, printed].join("\n");
    let (rows, result) = decode(body.as_bytes());
    assert_eq!((result.accepted, result.samples, result.rejected), (5, 10, 0));
    assert!(rows.rows.iter().all(|row| *row == rows.rows[0]), "{rows:?}");
    assert_eq!((rows.rows[0].time_ns, rows.rows[0].start_time_ns), (5, Some(3)));
}

#[test]
fn exemplars_and_metadata_are_taken_and_count_as_rows() {
    let body = concat!(
        r#"{"time":7,"exemplar":{"trace_id":"x\udcff","b":""},"labels":{"__name__":"m"},"fields":{"value":{"f64":0.5}}}"#,
        "\n",
        r#"{"metadata":{"help":"H\n","type":"gauge_histogram","name":"m","unit":"s"}}"#,
        "\n",
        r#"{"metadata":{"name":"n"}}"#,
    );
    let (rows, result) = decode(body.as_bytes());
    assert_eq!((result.accepted, result.samples, result.rejected), (3, 0, 0), "{:?}", result.errors);
    let exemplar = &rows.exemplars[0];
    assert_eq!((exemplar.time_ns, &*exemplar.field, exemplar.value_bits), (7, "value", 0.5f64.to_bits()));
    assert_eq!(exemplar.series, [("__name__".into(), "m".into())]);
    assert_eq!(exemplar.labels, [("trace_id".into(), "x\u{fffd}".into()), ("b".into(), String::new())]);
    let metadata = &rows.metadata[0];
    assert_eq!((&*metadata.name, metadata.kind), ("m", MetricType::GaugeHistogram));
    assert_eq!((&*metadata.unit, &*metadata.help), ("s", "H\n"));
    assert_eq!((&*rows.metadata[1].name, rows.metadata[1].kind), ("n", MetricType::Unknown));
}

#[test]
fn side_records_that_would_be_left_out_are_refused() {
    let long = "x".repeat(SIDE_TEXT_BYTES_MAX);
    let exemplar =
        format!(r#"{{"time":1,"exemplar":{{"a":"{long}"}},"labels":{{}},"fields":{{"v":{{"f64":1}}}}}}"#);
    for line in [exemplar, format!(r#"{{"metadata":{{"name":"a","help":"{long}"}}}}"#)] {
        let expected =
            format!("too_large: the text of an exemplar or of metadata is over {SIDE_TEXT_BYTES_MAX}");
        assert_eq!(error(&line), expected);
    }
}

const HISTOGRAM: &str = concat!(
    r#"{"counts":"u64","reset":"no","schema":3,"zero_threshold":1e-128,"sum":"stale","count":12,"zero_count":2,"#,
    r#""positive_spans":[[0,2],[1,1]],"positive":[5,3,2],"negative_spans":[[-2,1]],"negative":[1],"bounds":[],"#,
    r#""min":-1.5,"max":9.25}"#,
);

fn histogram() -> HistogramBuf {
    let mut buf = HistogramBuf { reset: ResetHint::No, schema: 3, ..HistogramBuf::default() };
    (buf.zero_threshold, buf.sum) = (1e-128, f64::from_bits(NAN_STALE_BITS));
    (buf.count, buf.zero_count, buf.min, buf.max) = (12, 2, Some(-1.5), Some(9.25));
    for (offset, counts) in [(0, &[5, 3][..]), (1, &[2])] {
        buf.positive.span(offset, counts.len() as u64);
        counts.iter().for_each(|&count| buf.positive.count(count));
    }
    buf.negative.span(-2, 1);
    buf.negative.count(1);
    buf
}

fn encoded(buf: &HistogramBuf) -> Value {
    let mut bytes = Vec::new();
    buf.encode(&mut bytes).unwrap();
    Value::Bytes(bytes)
}

#[test]
fn histograms_keep_their_buckets() {
    assert_eq!(value(&format!(r#""histogram":{HISTOGRAM}"#)), encoded(&histogram()));
    let floats = HISTOGRAM.replace("u64", "f64").replace("[5,3,2]", r#"[0.5,"NaN",2]"#);
    let mut expected = histogram();
    (expected.kind, expected.count, expected.zero_count) = (CountKind::F64, 12f64.to_bits(), 2f64.to_bits());
    expected.positive.clear();
    expected.positive.span(0, 2);
    expected.positive.span(1, 1);
    [0.5f64.to_bits(), NAN_CANONICAL_BITS, 2f64.to_bits()]
        .iter()
        .for_each(|&count| expected.positive.count(count));
    expected.negative.clear();
    expected.negative.span(-2, 1);
    expected.negative.count(1f64.to_bits());
    assert_eq!(value(&format!(r#""histogram":{floats}"#)), encoded(&expected));
    // `counts` may stand anywhere.
    let last = floats.replace(r#""counts":"f64","#, "").replace('}', r#","counts":"f64"}"#);
    assert_eq!(value(&format!(r#""histogram":{last}"#)), encoded(&expected));
}

#[test]
fn histograms_that_do_not_add_up_are_refused() {
    for (from, to, fault) in [
        ("\"u64\"", "\"i64\"", "value"),
        (r#""counts":"u64","#, "", "name"),
        ("\"no\"", "\"maybe\"", "value"),
        ("\"schema\":3", "\"schema\":9", "value"),
        ("\"schema\":3", "\"schema\":4294967299", "value"),
        ("[5,3,2]", "[5,3]", "value"),
        ("[5,3,2]", "[5,3,-2]", "value"),
        ("[[0,2],[1,1]]", "[[0,2],[1]]", "syntax"),
        ("[[0,2],[1,1]]", "[[0,2],[1,1,1]]", "syntax"),
        ("[[0,2],[1,1]]", "[[0,18446744073709551615],[1,4]]", "value"),
        (r#""bounds":[],"#, "", "name"),
        (r#""bounds":[]"#, r#""bounds":[],"bounds":[]"#, "name"),
        (r#""bounds":[]"#, r#""limits":[]"#, "name"),
    ] {
        let text = format!(r#""histogram":{}"#, HISTOGRAM.replace(from, to));
        assert!(error(&with_value(&text)).starts_with(fault), "{to}: {}", error(&with_value(&text)));
    }
}

#[test]
fn nested_values_carry_a_type_at_each_level() {
    let text = concat!(
        r#""nested":{"map":[["b",{"list":[{"i64":-3},{"u64":300},{"bool":true},{"null":null}]}],"#,
        r#"["a",{"string":"h\udcff"}],["a",{"f64":"NaN"}],["",{"bytes":"AP8="}],["m",{"map":[]}]]}"#,
    );
    let mut buf = NestedBuf::default();
    buf.begin_map().unwrap();
    buf.key(b"b");
    buf.begin_list().unwrap();
    buf.i64(-3);
    buf.u64(300);
    buf.bool(true);
    buf.null();
    buf.end();
    buf.key(b"a");
    buf.string(b"h\xff");
    buf.key(b"a");
    buf.f64(f64::from_bits(NAN_CANONICAL_BITS));
    buf.key(b"");
    buf.bytes(&[0, 255]);
    buf.key(b"m");
    buf.begin_map().unwrap();
    buf.end();
    buf.end();
    assert_eq!(value(text), Value::Bytes(buf.finish().to_vec()));

    let deep = |levels| {
        format!(r#""nested":{}{{"null":null}}{}"#, "{\"list\":[".repeat(levels), "]}".repeat(levels))
    };
    assert!(matches!(value(&deep(32)), Value::Bytes(_)));
    assert!(error(&with_value(&deep(33))).contains("too deep"));
    for bad in [
        r#"{"list":[1]}"#,
        r#"{"map":[["a"]]}"#,
        r#"{"map":[["a",{"i64":1},2]]}"#,
        r#"{"map":{}}"#,
        r#"{"i64":1,"u64":2}"#,
        r#"{"nested":{"i64":1}}"#,
        r#"{"histogram":{}}"#,
    ] {
        error(&with_value(&format!(r#""nested":{bad}"#)));
    }
}

#[test]
fn lines_as_printed_are_predicted() {
    let line = |series: usize, time: usize| {
        format!(
            r#"{{"time":{time},"labels":{{"a":"{series}"}},"fields":{{"v":{{"f64":{time}.5}},"w":{{"i64":1}}}}}}"#
        )
    };
    let body: Vec<String> = (0..90).map(|n| line(n % 3, n)).collect();
    let (rows, result) = decode(body.join("\n").as_bytes());
    assert_eq!((result.accepted, result.samples), (90, 180));
    assert!(rows.confirmed > 80, "{}", rows.confirmed);
    assert_eq!(rows.rows[89].fields[0].1, Value::F64(89.5f64.to_bits()));
}

#[test]
fn keys_of_lines_in_random_order_are_announced() {
    let line = |n: usize| {
        let series = n * n % 31;
        format!(r#"{{"time":{n},"labels":{{"a":"}}{series}\""}},"fields":{{"v":{{"i64":{n}}}}}}}"#)
    };
    let body: Vec<String> = (0..200).map(line).collect();
    for pieces in [&[usize::MAX / 2][..], &[100]] {
        let (rows, result) = decode_cut(&mut Decoder::new(), body.join("\n").as_bytes(), pieces, None);
        assert_eq!((result.accepted, result.rejected), (200, 0));
        assert!(rows.announced > 50, "{}", rows.announced);
        for (n, row) in rows.rows.iter().enumerate() {
            assert_eq!(row.labels, [("a".into(), format!("}}{}\"", n * n % 31))]);
            assert_eq!(row.fields, [("v".into(), Value::I64(n as i64))]);
        }
    }
}

/// A row, and the text that is printed for it.
#[derive(Clone, Debug)]
struct Sample {
    row: Row,
    line: String,
    /// The same row, not as it is printed.
    otherwise: String,
}

/// Naive: character by character.
fn string(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\udc{byte:02x}")));
    }
    out + "\""
}

fn float(bits: u64) -> String {
    let value = f64::from_bits(bits);
    match bits {
        NAN_CANONICAL_BITS => "\"NaN\"".into(),
        NAN_STALE_BITS => "\"stale\"".into(),
        _ if value.is_nan() => format!("\"NaN:{bits:016x}\""),
        _ if value.is_infinite() => if value > 0.0 { "\"+Inf\"" } else { "\"-Inf\"" }.into(),
        _ => format!("{value:?}"),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| -> String {
        let bits = (0..3).fold(0usize, |bits, i| bits << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        let digit =
            |i: usize| if i > chunk.len() { '=' } else { ALPHABET[bits >> (18 - 6 * i) & 63] as char };
        (0..4).map(digit).collect()
    };
    bytes.chunks(3).map(group).collect()
}

/// Values of every simple type, with their text.
fn values() -> impl Strategy<Value = (FieldType, Value, String)> {
    let bits = prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (-1000i32..1000).prop_map(|n| (f64::from(n) / 8.0).to_bits()),
        prop::sample::select(vec![
            NAN_CANONICAL_BITS,
            NAN_STALE_BITS,
            0,
            1 << 63,
            0x7ff0 << 48,
            0xfff0 << 48
        ]),
    ];
    let bytes =
        || prop_oneof![".{0,12}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..12)];
    prop_oneof![
        bits.prop_map(|bits| (FieldType::F64, Value::F64(bits), float(bits))),
        any::<i64>().prop_map(|v| (FieldType::I64, Value::I64(v), v.to_string())),
        any::<u64>().prop_map(|v| (FieldType::U64, Value::U64(v), v.to_string())),
        any::<bool>().prop_map(|v| (FieldType::Bool, Value::Bool(v), v.to_string())),
        bytes().prop_map(|v| (FieldType::String, Value::Bytes(v.clone()), string(&v))),
        bytes().prop_map(|v| (FieldType::Bytes, Value::Bytes(v.clone()), format!("\"{}\"", base64(&v)))),
        Just((FieldType::Null, Value::Null, "null".into())),
        any::<i32>().prop_map(|sum| {
            let text = HISTOGRAM.replace("\"stale\"", &format!("{sum}.0"));
            let buf = HistogramBuf { sum: sum.into(), ..histogram() };
            (FieldType::Histogram, encoded(&buf), text)
        }),
        any::<i64>().prop_map(|v| {
            let mut buf = NestedBuf::default();
            buf.i64(v);
            (FieldType::Nested, Value::Bytes(buf.finish().to_vec()), format!(r#"{{"i64":{v}}}"#))
        }),
    ]
}

fn samples() -> impl Strategy<Value = Sample> {
    let fields =
        prop::collection::vec((prop::sample::select(vec!["a", "value", "b\"\u{e9}"]), values()), 1..5);
    let labels = prop::sample::select(vec![
        vec![("__name__", "m")],
        vec![("__name__", "m"), ("a", "}\",\\\"fields\":{")],
        vec![("__name__", "m"), ("host", "x\u{7f}\t")],
    ]);
    (any::<i64>(), prop::option::of(any::<i64>()), labels, fields).prop_map(
        |(time_ns, start_ns, labels, mut fields)| {
            fields.sort_by(|a, b| (a.0, a.1.0).cmp(&(b.0, b.1.0)));
            fields.dedup_by(|a, b| (a.0, a.1.0) == (b.0, b.1.0));
            let pair = |(name, value): &(&str, &str)| {
                format!("{}:{}", string(name.as_bytes()), string(value.as_bytes()))
            };
            let label_texts: Vec<_> = labels.iter().map(pair).collect();
            let start = start_ns.map_or(String::new(), |start| format!(",\"start\":{start}"));
            let mut body = String::new();
            let mut previous = None;
            for (name, (kind, _, text)) in &fields {
                if previous == Some(name) {
                    body += ",";
                } else {
                    body += &format!(
                        "{}{}:{{",
                        if previous.is_some() { "}," } else { "" },
                        string(name.as_bytes())
                    );
                }
                body += &format!("\"{}\":{text}", value::name_of(*kind));
                previous = Some(name);
            }
            let line = format!(
                "{{\"time\":{time_ns}{start},\"labels\":{{{}}},\"fields\":{{{body}}}}}}}",
                label_texts.join(",")
            );
            let turned: Vec<_> = label_texts.iter().rev().cloned().collect();
            let otherwise = format!(
                "{{ \"fields\":{{{body}}} }},\"labels\": {{{}}} {start} ,\"time\":{time_ns}}}",
                turned.join(" , ")
            );
            let labels = labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            let fields = fields.into_iter().map(|(name, (_, value, _))| (name.to_owned(), value)).collect();
            Sample { row: Row { labels, time_ns, start_time_ns: start_ns, fields }, line, otherwise }
        },
    )
}

proptest! {
    /// A few samples again and again, so that their lines are met as expected, and as other than expected.
    #[test]
    fn rows_come_back_however_the_body_is_cut_and_whenever_the_intake_is_full(
        samples in prop::collection::vec(samples(), 1..4),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..24),
        pieces in prop::collection::vec(1usize..200, 1..4),
        room in 1usize..5,
    ) {
        let picked: Vec<_> = picks.iter().map(|(pick, plain)| (pick.get(&samples), *plain)).collect();
        let lines: Vec<_> = picked.iter().map(|(s, plain)| if *plain { &*s.line } else { &*s.otherwise }).collect();
        let expected: Vec<Row> = picked.iter().map(|(sample, _)| sample.row.clone()).collect();
        let body = lines.join("\n").into_bytes();
        for (pieces, room) in [(&[body.len()][..], None), (&pieces, None), (&pieces, Some(room))] {
            let (rows, result) = decode_cut(&mut Decoder::new(), &body, pieces, room);
            prop_assert_eq!(&result.errors, &[]);
            prop_assert_eq!(result.accepted, expected.len() as u64);
            prop_assert_eq!(result.samples, expected.iter().map(|row| row.fields.len() as u64).sum::<u64>());
            prop_assert_eq!(&rows.rows, &expected);
        }
    }

    /// What a line is judged to be does not depend on what came before it.
    #[test]
    fn damaged_lines_are_judged_alike_on_both_ways(
        sample in samples(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut damaged = sample.line.clone().into_bytes();
        let at = at.index(damaged.len());
        if cut {
            damaged.remove(at);
        } else {
            damaged[at] = byte;
        }
        prop_assume!(!damaged.contains(&b'\n'));
        let (alone, alone_result) = decode(&damaged);
        let before = format!("{0}\n{0}\n", sample.line).into_bytes();
        let (behind, behind_result) = decode(&[&before[..], &damaged].concat());
        prop_assert_eq!(&behind.rows[2..], &alone.rows[..]);
        let faults = |result: &WriteResult| result.errors.iter().map(|e| e.error.clone()).collect::<Vec<_>>();
        prop_assert_eq!(faults(&behind_result), faults(&alone_result));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body: Vec<u8>, pieces in prop::collection::vec(1usize..9, 1..4)) {
        decode_cut(&mut Decoder::new(), &body, &pieces, None);
        let body = [br#"{"time":1,"labels":{},"fields":{"v":{"#, &body[..]].concat();
        decode_cut(&mut Decoder::new(), &body, &pieces, Some(1));
    }
}
