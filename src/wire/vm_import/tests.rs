use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{LabelsBuf, NAN_CANONICAL_BITS, Rewrite, Verdict, WriteResult};
use crate::wire::testing::{Row, Rows, Value, decode_cut, decode_whole};
use crate::wire::{Decode, FedState};

fn decoder() -> Decoder {
    Decoder::new(ExtraLabels::default())
}

fn decode(body: &str) -> (Rows, WriteResult) {
    decode_whole(&mut decoder(), body.as_bytes(), None)
}

fn row(labels: &[(&str, &str)], time_ns: i64, bits: u64) -> Row {
    Row {
        labels: labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        time_ns,
        start_time_ns: None,
        fields: vec![("value".into(), Value::F64(bits))],
    }
}

fn error(line: &str) -> String {
    let (rows, result) = decode(line);
    assert_eq!((rows.rows.len(), result.rejected), (0, 1), "{line}: {rows:?}");
    format!("{}: {}", result.errors[0].reason, result.errors[0].error)
}

#[test]
fn a_line_is_a_row_a_sample() {
    let body = concat!(
        r#"{"metric":{"__name__":"up","job":"n\u00e9"},"values":[1,-0.5,-0],"timestamps":[1549891472010,-2,3]}"#,
        "\r\n\n",
        r#" { "timestamps" : [ 7 ], "other":[{}], "values":[1e3], "metric": {"b":"2","a":"1"} } "#,
    );
    let (rows, result) = decode(body);
    let up = [("__name__", "up"), ("job", "n\u{e9}")];
    let expected = [
        row(&up, 1_549_891_472_010_000_000, 1f64.to_bits()),
        row(&up, -2_000_000, (-0.5f64).to_bits()),
        row(&up, 3_000_000, (-0.0f64).to_bits()),
        row(&[("a", "1"), ("b", "2")], 7_000_000, 1000f64.to_bits()),
    ];
    assert_eq!(rows.rows, expected);
    assert_eq!((result.accepted, result.samples, result.rejected), (4, 4, 0));
}

#[test]
fn what_is_no_number_may_be_bare_or_quoted() {
    let (inf, ninf) = (f64::INFINITY.to_bits(), f64::NEG_INFINITY.to_bits());
    for (word, bits) in [
        ("null", NAN_CANONICAL_BITS),
        ("NaN", NAN_CANONICAL_BITS),
        ("nan", NAN_CANONICAL_BITS),
        ("Inf", inf),
        ("+Inf", inf),
        ("-Inf", ninf),
        ("inf", inf),
        ("Infinity", inf),
        ("-infinity", ninf),
    ] {
        for word in [word.to_owned(), format!("\"{word}\"")] {
            let (rows, _) =
                decode(&format!(r#"{{"metric":{{"a":"b"}},"values":[ {word} ,2],"timestamps":[1,2]}}"#));
            assert_eq!(rows.rows[0], row(&[("a", "b")], 1_000_000, bits), "{word}");
        }
    }
}

#[test]
fn lines_that_are_none_are_named() {
    for (line, expected) in [
        ("foo", "syntax: an object is expected at column 1"),
        ("{}", "syntax: \"metric\" is missing"),
        (r#"{"metric":null,"values":[1],"timestamps":[1]}"#, "syntax: an object is expected at column 11"),
        (r#"{"metric":{},"values":[1],"timestamps":[1]}"#, "labels: \"metric\" has no labels"),
        (r#"{"metric":{"":"x","y":""},"values":[1],"timestamps":[1]}"#, "labels: \"metric\" has no labels"),
        (r#"{"metric":{"a":1},"values":[1],"timestamps":[1]}"#, "syntax: a string is expected at column 16"),
        (r#"{"metric":{"a":"b"},"timestamps":[1]}"#, "syntax: \"values\" is missing"),
        (r#"{"metric":{"a":"b"},"values":[],"timestamps":[]}"#, "syntax: \"values\" is missing"),
        (r#"{"metric":{"a":"b"},"values":[1]}"#, "syntax: \"timestamps\" is missing"),
        (r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1,2]}"#, "syntax: 1 values and 2 timestamps"),
        (
            r#"{"metric":{"a":"b"},"values":["x"],"timestamps":[1]}"#,
            "value: a number, null, NaN or Inf is expected at column 31",
        ),
        (
            r#"{"metric":{"a":"b"},"values":["1"],"timestamps":[1]}"#,
            "value: a number, null, NaN or Inf is expected at column 31",
        ),
        (
            r#"{"metric":{"a":"b"},"values":[1e999],"timestamps":[1]}"#,
            "value: a number that fits 64 bits is expected at column 31",
        ),
        (
            r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]}{}"#,
            "syntax: nothing more is expected at column 51",
        ),
        (
            r#"{"metric":{"a":"b"},"values":[1],"values":[1],"timestamps":[1]}"#,
            "syntax: \"values\" is given twice",
        ),
        (r#"{"metric":{"a":"b","a":"c"},"values":[1],"timestamps":[1]}"#, "labels: duplicate tag key \"a\""),
        (
            r#"{"metric":{"a":"\udc80"},"values":[1],"timestamps":[1]}"#,
            "utf8: a label has half a surrogate pair",
        ),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
    let not_an_integer = "timestamp: a timestamp is expected: milliseconds, an integer at column 48";
    let out_of_range = "timestamp: the timestamp is out of range: milliseconds from -9223372036854 to 9223372036854 at column 48";
    for (timestamp, expected) in [
        ("1.0", not_an_integer),
        ("\"1\"", not_an_integer),
        ("1e3", not_an_integer),
        ("null", not_an_integer),
        ("9223372036855", out_of_range),
        ("-9223372036855", out_of_range),
        ("99999999999999999999999", out_of_range),
    ] {
        let line = format!(r#"{{"metric":{{"a":"b"}},"values":[1],"timestamps":[{timestamp}]}}"#);
        assert_eq!(error(&line), expected, "{line}");
    }
}

#[test]
fn a_refused_line_counts_its_values() {
    for (line, rows) in [
        (r#"{"metric":{},"values":[1,2,3],"timestamps":[1,2,3]}"#, 3),
        (r#"{"metric":null,"values":[-1,nan,-Inf,"x",[4,5]],"timestamps":[1,2,3]}"#, 5),
        (r#"{"metric":{"a":"b"},"values":[1,foo,3],"timestamps":[1,2,3]}"#, 3),
        (r#"{"metric":{"a":"b"},"values":[1,2,3],"timestamps":[1,2.5,3]}"#, 3),
        (r#"{"timestamps":[1,true,3],"values":[1,2,3],"metric":{"a":"b"}}"#, 3),
        (r#"{"metric":{"a":"b"},"values":[1,2,3],"timestamps":[1]}"#, 3),
        (r#"{"metric":{"a":"b"},"values":[1,2,3],"timestamps":[1,2,3]}x"#, 3),
        (r#"{"metric":{"a":"b"},"values":[1,2,3],"timesta"#, 3),
        (r#"{"metric":{"a":"b"},"values":[1,2,"#, 1),
        (r#"{"metric":{"a":"b"},"values":[],"timestamps":[]}"#, 1),
        (r#"{"metric":{"a":"b"},"values":[1,2 3],"timestamps":[1,2,3]}"#, 2),
        ("[1,2,3]", 1),
        // Whatever is wrong, and wherever it stands.
        (r#"{"metric":{"a":1},"values":[1,2],"timestamps":[1,2]}"#, 2),
        (r#"{"metric":{"a":nan},"values":[1,2],"timestamps":[1,2]}"#, 2),
        (r#"{"metric":{"a":"b","a":"c"},"values":[1,2],"timestamps":[1,2]}"#, 2),
        (r#"{"metric":{"a":"b"},"values":[1,2],"timestamps":[1,foo]}"#, 2),
        (r#"{"metric":{"a":"b"},"timestamps":[1,foo],"values":[1,2]}"#, 2),
        (r#"{"timestamps":[1,],"values":["[,\"",{"a":[2,3]}],"metric":{"values":[1,2,3]}}"#, 2),
        (r#"{"metric":{"a":"b"},"values":[ ],"timestamps":[1,2]}"#, 1),
        (r#"{"metric":{"a":"b"},"values":[1,"2\"#, 1),
        (r#"{"metric":{"a":"b"}}}}]]],"values":[1,2]"#, 1),
    ] {
        let (_, result) = decode(&format!("{line}\n{line}"));
        assert_eq!((result.rejected, result.errors.len()), (2 * rows, 2), "{line}");
        assert_eq!(result.reasons, [(result.errors[0].reason, 2 * rows)], "{line}");
    }
}

/// Refuses series that have this label.
#[derive(Debug)]
struct Without(&'static str);

impl Rewrite for Without {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        if labels.iter().any(|(name, _)| name == self.0.as_bytes()) {
            Verdict::Refuse("no".into())
        } else {
            Verdict::Keep
        }
    }
}

#[test]
fn of_a_line_that_is_refused_half_taken_the_rest_counts() {
    let body = concat!(
        r#"{"metric":{"a":"b"},"values":[1,2,3],"timestamps":[1,2,3]}"#,
        "\n",
        r#"{"metric":{"c":"d"},"values":[4],"timestamps":[4]}"#,
    );
    let mut rows = Rows::default();
    rows.room = Some(1);
    let mut result = WriteResult::default();
    let mut decoder = decoder();
    let fed = decoder.feed(body.as_bytes(), true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state, result.accepted), (0, FedState::Full, 1));
    rows.forget();
    rows.room = None;
    rows.rewrite = Some(Arc::new(Without("a")));
    decoder.feed(body.as_bytes(), true, &mut rows, &mut result);
    assert_eq!((result.accepted, result.rejected), (2, 2), "{:?}", result.errors);
    assert_eq!(rows.rows[1], row(&[("c", "d")], 4_000_000, 4f64.to_bits()));
}

#[test]
fn keys_of_lines_in_random_order_are_announced() {
    let line = |n: usize| {
        format!(r#"{{"metric":{{"a":"}}{}"}},"values":[{n},0],"timestamps":[{n},-1]}}"#, n * n % 31)
    };
    let body: Vec<String> = (0..200).map(line).collect();
    let (rows, result) = decode(&body.join("\n"));
    assert_eq!((result.accepted, result.rejected), (400, 0));
    assert!(rows.announced > 50, "{}", rows.announced);
    for (n, row) in rows.rows.iter().step_by(2).enumerate() {
        let series = format!("}}{}", n * n % 31);
        assert_eq!(*row, self::row(&[("a", &series)], n as i64 * 1_000_000, (n as f64).to_bits()));
    }
}

#[test]
fn bad_lines_cost_no_others_and_have_their_numbers() {
    let good = r#"{"metric":{"a":"b"},"values":[1,2],"timestamps":[1,2]}"#;
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    let body = format!("{good}\nbad\n\n{good}\n{long}\n{good}\nbad");
    let (rows, result) = decode(&body);
    assert_eq!((rows.rows.len(), result.accepted, result.rejected), (6, 6, 3));
    assert_eq!(result.errors.iter().map(|e| e.index).collect::<Vec<_>>(), [2, 5, 7]);
}

#[test]
fn extra_labels_are_added_in_place_of_the_series_own() {
    let mut extra = ExtraLabels::default();
    for (name, value) in [("job", "x"), ("a", ""), ("job", "y"), ("dc", "z")] {
        extra.push(name.as_bytes(), value.as_bytes());
    }
    let line = r#"{"metric":{"__name__":"m","a":"1","job":"own"},"values":[1],"timestamps":[1]}"#;
    let body = format!("{line}\n{line}\n");
    let (rows, result) = decode_cut(&mut Decoder::new(extra.clone()), body.as_bytes(), &[body.len()], None);
    assert_eq!(result.accepted, 2, "{:?}", result.errors);
    let expected = row(&[("__name__", "m"), ("dc", "z"), ("job", "y")], 1_000_000, 1f64.to_bits());
    assert_eq!(rows.rows, [expected.clone(), expected]);
    let (rows, _) = decode_cut(
        &mut Decoder::new(extra.clone()),
        br#"{"metric":{},"values":[1],"timestamps":[1]}"#,
        &[99],
        None,
    );
    assert_eq!(rows.rows, []);
}

#[test]
fn the_same_line_with_other_extra_labels_is_another_series() {
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let line = r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]}"#;
    for round in 0..3 {
        for (name, value) in [("x", "1"), ("", ""), ("x", "2"), (",", "}")] {
            let mut extra = ExtraLabels::default();
            if !name.is_empty() {
                extra.push(name.as_bytes(), value.as_bytes());
            }
            Decoder::new(extra).feed(line.as_bytes(), true, &mut rows, &mut result);
            let labels = &rows.rows.last().unwrap().labels;
            let own = labels.iter().find(|(n, _)| n != "a").map(|(_, v)| v.as_str());
            assert_eq!(own, (!name.is_empty()).then_some(value), "round {round}");
        }
    }
}

/// Values and milliseconds.
fn samples() -> impl Strategy<Value = Vec<(f64, i64)>> {
    prop::collection::vec((any::<f64>(), -1_000_000i64..1 << 41), 1..6)
}

proptest! {
    #[test]
    fn rows_are_the_same_however_the_body_is_cut_and_whenever_the_intake_is_full(
        lines in prop::collection::vec((0usize..3, samples(), any::<bool>()), 1..12),
        pieces in prop::collection::vec(1usize..120, 1..4),
        room in 1usize..4,
        extra in any::<bool>(),
    ) {
        let mut extra_labels = ExtraLabels::default();
        if extra {
            extra_labels.push(b"x", b"y");
        }
        let mut expected = Vec::new();
        let mut body = Vec::new();
        for (series, samples, turned) in &lines {
            let name = format!("m{series}");
            let mut labels = vec![("__name__", &*name)];
            labels.extend(extra.then_some(("x", "y")));
            expected.extend(samples.iter().map(|(value, ms)| row(&labels, ms * 1_000_000, value.to_bits())));
            let values = format!("\"values\":{:?}", samples.iter().map(|s| s.0).collect::<Vec<_>>());
            let times = format!("\"timestamps\":{:?}", samples.iter().map(|s| s.1).collect::<Vec<_>>());
            let (first, second) = if *turned { (times, values) } else { (values, times) };
            body.extend(format!("{{\"metric\":{{\"__name__\":\"{name}\"}},{first},{second}}}\n").into_bytes());
        }
        for (pieces, room) in [(&[body.len()][..], None), (&pieces, None), (&pieces, Some(room))] {
            let (rows, result) = decode_cut(&mut Decoder::new(extra_labels.clone()), &body, pieces, room);
            prop_assert_eq!(&result.errors, &[]);
            prop_assert_eq!(&rows.rows, &expected);
            prop_assert_eq!((result.accepted, result.samples), (expected.len() as u64, expected.len() as u64));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body: Vec<u8>, pieces in prop::collection::vec(1usize..9, 1..4)) {
        let extra = ExtraLabels::default();
        decode_cut(&mut Decoder::new(extra.clone()), &body, &pieces, None);
        let body = [br#"{"metric":{"a":"b"},"values":["#, &body[..]].concat();
        decode_cut(&mut Decoder::new(extra.clone()), &body, &pieces, Some(1));
    }

    #[test]
    fn damaged_lines_are_judged_alike_wherever_they_stand(at: prop::sample::Index, byte: u8) {
        let line = br#"{"metric":{"__name__":"up","job":"n"},"values":[1,null,-2.5e3],"timestamps":[1,2,3],"x":[true]}"#;
        let mut damaged = line.to_vec();
        damaged[at.index(line.len())] = byte;
        prop_assume!(byte != b'\n');
        let extra = ExtraLabels::default();
        let (alone, alone_result) = decode_cut(&mut Decoder::new(extra.clone()), &damaged, &[damaged.len()], None);
        let body = [&line[..], b"\n", line, b"\n", &damaged].concat();
        let (behind, behind_result) = decode_cut(&mut Decoder::new(extra.clone()), &body, &[body.len()], None);
        prop_assert_eq!(&behind.rows[6..], &alone.rows[..]);
        prop_assert_eq!(behind_result.rejected, alone_result.rejected);
    }
}
