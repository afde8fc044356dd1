use proptest::prelude::*;

use super::*;
use crate::model::WriteResult;
use crate::wire::Decode;
use crate::wire::testing::{Row, Rows, Value, decode_cut, decode_whole};

fn put(body: &[u8], room: Option<usize>) -> (Rows, WriteResult) {
    decode_whole(&mut Decoder::new(), body, room)
}

fn put_checked(body: &str) -> (Rows, WriteResult) {
    Decoder::new().check(body.as_bytes()).unwrap();
    put(body.as_bytes(), None)
}

fn lines(body: &[u8], pieces: &[usize], room: Option<usize>) -> (Rows, WriteResult) {
    decode_cut(&mut Lines::new(), body, pieces, room)
}

fn row(labels: &[(&str, &str)], time_ns: i64, value: Value) -> Row {
    Row {
        labels: labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        time_ns,
        start_time_ns: None,
        fields: vec![("value".into(), value)],
    }
}

fn float(value: f64) -> Value {
    Value::F64(value.to_bits())
}

#[test]
fn an_object_or_an_array_of_points() {
    let one =
        r#"{"metric":"sys.cpu.nice","timestamp":1346846400,"value":18,"tags":{"host":"web01","dc":"lga"}}"#;
    let labels = [("__name__", "sys.cpu.nice"), ("dc", "lga"), ("host", "web01")];
    let (rows, result) = put_checked(one);
    assert_eq!(rows.rows, [row(&labels, 1_346_846_400_000_000_000, Value::I64(18))]);
    assert_eq!((result.accepted, result.samples, result.rejected), (1, 1, 0));
    let other = concat!(
        r#" { "tags":{"host":"web01" , "dc":"lga"},"value":"18.5","timestamp":"1346846400123","#,
        r#""metric":"sys.cpu.nice","x":{}}"#,
    );
    let (rows, _) = put_checked(&format!("[{one},{other} ,\n{one}\n]\n"));
    let expected = [
        row(&labels, 1_346_846_400_000_000_000, Value::I64(18)),
        row(&labels, 1_346_846_400_123_000_000, float(18.5)),
        row(&labels, 1_346_846_400_000_000_000, Value::I64(18)),
    ];
    assert_eq!(rows.rows, expected);
}

#[test]
fn scalars_stand_for_each_other() {
    let (rows, result) = put_checked(
        r#"[{"metric":"1","timestamp":1346846400.123,"value":"-7","tags":{"cpu":7,"on":true,"a":"\u0062"}},
            {"metric":"m","timestamp":1.3468464e9,"value":1e3,"tags":{"a":"b","a":"b"}},
            {"metric":"m","timestamp":1.34684640025e9,"value":1,"tags":{"a":"b"}},
            {"metric":"m","timestamp":"1346846400.5","value":1,"tags":{"a":"b"}},
            {"metric":"x","metric":"m","timestamp":1,"value":1.0,"tags":{"a":"b"}}]"#,
    );
    let expected = [
        row(
            &[("__name__", "1"), ("a", "b"), ("cpu", "7"), ("on", "true")],
            1_346_846_400_123_000_000,
            Value::I64(-7),
        ),
        row(&[("__name__", "m"), ("a", "b")], 1_346_846_400_000_000_000, float(1000.0)),
        row(&[("__name__", "m"), ("a", "b")], 1_346_846_400_250_000_000, Value::I64(1)),
        row(&[("__name__", "m"), ("a", "b")], 1_346_846_400_500_000_000, Value::I64(1)),
        row(&[("__name__", "m"), ("a", "b")], 1_000_000_000, float(1.0)),
    ];
    assert_eq!((&rows.rows[..], &result.errors[..]), (&expected[..], &[][..]));
}

#[test]
fn bad_points_are_refused_in_opentsdbs_words_and_cost_no_others() {
    let good = r#"{"metric":"m","timestamp":1,"value":1,"tags":{"a":"b"}}"#;
    for (from, to, error) in [
        (r#""metric":"m","#, "", "Metric name was empty"),
        (r#""m""#, "null", "Metric name was empty"),
        (r#""m""#, r#""""#, "Metric name was empty"),
        (r#""m""#, r#""a b""#, "Invalid metric name (\"a b\"): illegal character:  "),
        (r#""m""#, "{}", "a string or a number is expected"),
        (r#""m""#, "1", "a metric's name is a string"),
        (r#""timestamp":1,"#, "", "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":null"#, "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":"""#, "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":0"#, "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":-1"#, "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":"now""#, "Invalid timestamp"),
        (r#""timestamp":1"#, r#""timestamp":[1]"#, "a string or a number is expected"),
        (r#""timestamp":1"#, r#""timestamp":13468464001234"#, "bad timestamp=13468464001234"),
        (r#""timestamp":1"#, r#""timestamp":1e99"#, "bad timestamp=9223372036854775807"),
        (r#""timestamp":1"#, r#""timestamp":1346846400.0000000001"#, "Invalid timestamp"),
        (r#""value":1,"#, "", "Empty value"),
        (r#""value":1"#, r#""value":null"#, "Empty value"),
        (r#""value":1"#, r#""value":"""#, "Empty value"),
        (r#""value":1"#, r#""value":NaN"#, "Unable to parse value to a number"),
        (r#""value":1"#, r#""value":"NaN""#, "Unable to parse value to a number"),
        (r#""value":1"#, r#""value":-Infinity"#, "Unable to parse value to a number"),
        (r#""value":1"#, r#""value":"Inf""#, "Unable to parse value to a number"),
        (r#""value":1"#, r#""value":true"#, "Unable to parse value to a number"),
        (r#""value":1"#, r#""value":1.0e999"#, "value is NaN or Infinite"),
        (r#","tags":{"a":"b"}"#, "", "Missing tags"),
        (r#"{"a":"b"}"#, "null", "Missing tags"),
        (r#"{"a":"b"}"#, "{ }", "Missing tags"),
        (r#"{"a":"b"}"#, r#""a""#, "an object is expected"),
        (r#"{"a":"b"}"#, r#"{"a":["b"]}"#, "a tag's value is a string"),
        (r#"{"a":"b"}"#, r#"{"a":""}"#, "Invalid tag value: empty string"),
        (r#"{"a":"b"}"#, r#"{"":"b"}"#, "Invalid tag name: empty string"),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "Invalid tag value: empty string"),
        (r#"{"a":"b"}"#, r#"{"a":"b","a":"c"}"#, "duplicate tag: a=c"),
        (r#"{"a":"b"}"#, r#"{"a":"b:c"}"#, "Invalid tag value (\"b:c\"): illegal character: :"),
    ] {
        let bad = good.replace(from, to);
        let (rows, result) = put_checked(&format!("[{good}, {bad} ,{good}]"));
        assert_eq!((rows.rows.len(), result.accepted, result.rejected), (2, 2, 1), "{bad}");
        let fault = &result.errors[0];
        assert_eq!((fault.index, &*fault.error, &*fault.original), (2, error, &*bad));
    }
    let (rows, result) = put_checked("[1,null,[],{}]");
    assert_eq!((rows.rows.len(), result.rejected), (0, 4));
}

#[test]
fn what_is_no_json_is_refused_whole() {
    for (body, error) in [
        (&b""[..], "Missing request content"),
        (b" \n", "Missing request content"),
        (b"put a 1 2", "The JSON must start as an object or an array"),
        (b"null", "The JSON must start as an object or an array"),
        (b"[ ]", "No datapoints found in content"),
        (b"[{}", "Unable to parse the given JSON: ',' or the end is expected at byte 4"),
        (b"{} {}", "Unable to parse the given JSON: nothing more is expected at byte 4"),
        (b"{\"a\":Nan}", "Unable to parse the given JSON: a value is expected at byte 6"),
        (b"{\"a\":\"\xff\"}", "Unable to parse the given JSON: invalid UTF-8 at byte 7"),
    ] {
        assert_eq!(Decoder::new().check(body).map_err(|e| e.error), Err(error.to_owned()));
    }
}

#[test]
fn put_lines() {
    let body = concat!(
        "put sys.cpu.user 1356998400 42.5 host=webserver01 cpu=0\r\n",
        "\n",
        "put  sys.cpu.user 1356998400123  -7 host=webserver01  cpu=0 \n",
        "put free 1356998400.250 1e3\n",
        "put sys.cpu.user 1 1 host=webserver01 cpu=0",
    );
    let labels = [("__name__", "sys.cpu.user"), ("cpu", "0"), ("host", "webserver01")];
    let expected = [
        row(&labels, 1_356_998_400_000_000_000, float(42.5)),
        row(&labels, 1_356_998_400_123_000_000, Value::I64(-7)),
        row(&[("__name__", "free")], 1_356_998_400_250_000_000, float(1000.0)),
        row(&labels, 1_000_000_000, Value::I64(1)),
    ];
    for (pieces, room) in [(&[999][..], None), (&[1], None), (&[7, 3], Some(1))] {
        let (rows, result) = lines(body.as_bytes(), pieces, room);
        assert_eq!((&rows.rows[..], result.accepted, result.rejected), (&expected[..], 4, 0));
    }
}

#[test]
fn bad_put_lines_are_answered_in_the_ports_words() {
    for (line, error) in [
        ("get a 1 1", "unknown command: get.  Try `help'."),
        ("put", "put: illegal argument: not enough arguments (need least 3, got 0)"),
        ("put a 1", "put: illegal argument: not enough arguments (need least 3, got 2)"),
        ("put a x 1 t=v", "put: invalid value: timestamp x"),
        ("put a 0 1 t=v", "put: illegal argument: invalid timestamp"),
        ("put a 1346846400.0123456789 1 t=v", "put: invalid value: timestamp 1346846400.0123456789"),
        ("put a 1 x t=v", "put: invalid value: x"),
        ("put a 1 NaN t=v", "put: invalid value: NaN"),
        ("put a 1 1 t=", "put: illegal argument: invalid tag: t="),
        ("put a 1 1 =v", "put: illegal argument: invalid tag: =v"),
        ("put a 1 1 t", "put: illegal argument: invalid tag: t"),
        ("put a 1 1 t=v=w", "put: illegal argument: invalid tag: t=v=w"),
        ("put a 1 1 t=v t=w", "put: illegal argument: duplicate tag: t=w"),
        ("put a{b} 1 1 t=v", "put: illegal argument: Invalid metric name (\"a{b}\"): illegal character: {"),
    ] {
        let (rows, result) =
            lines(format!("put a 1 1 t=v t=v\n{line}\nput b 1 1\n").as_bytes(), &[999], None);
        assert_eq!((rows.rows.len(), result.rejected), (2, 1), "{line}");
        let fault = &result.errors[0];
        assert_eq!((fault.index, &*fault.error, &*fault.original), (2, error, line));
    }
    let long = format!("put a 1 1 t={}\nput a 1 1\n", "x".repeat(LINE_BYTES_MAX));
    let (rows, result) = lines(long.as_bytes(), &[1000], None);
    assert_eq!((rows.rows.len(), result.errors[0].reason), (1, "too_large"));
}

#[test]
fn a_line_never_passes_for_an_element_that_is_known() {
    let element = r#"{"metric":"a","timestamp":1,"value":1,"tags":{"x":"y", "z":"w"}}"#;
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    Decoder::new().feed(element.as_bytes(), true, &mut rows, &mut result);
    Lines::new().feed(br#"put "a"{"x":"y", 1 1 "z":"w"}"#, true, &mut rows, &mut result);
    assert_eq!((result.accepted, result.rejected), (1, 1));
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::I64), any::<f64>().prop_map(float)]
}

proptest! {
    #[test]
    fn points_are_the_same_whenever_the_intake_is_full(
        points in prop::collection::vec((0usize..3, 1u32.., values(), any::<bool>()), 1..12),
        room in 1usize..4,
    ) {
        let mut expected = Vec::new();
        let mut elements = Vec::new();
        for (series, seconds, value, quoted) in &points {
            let tag = format!("t{series}");
            expected.push(row(&[("__name__", "m"), ("tag", &tag)], i64::from(*seconds) * 1_000_000_000, value.clone()));
            let text = match value {
                Value::I64(value) => value.to_string(),
                Value::F64(bits) => format!("{:?}", f64::from_bits(*bits)),
                _ => unreachable!(),
            };
            let quote = if *quoted { "\"" } else { "" };
            elements.push(format!(
                r#"{{"metric":"m","timestamp":{seconds},"value":{quote}{text}{quote},"tags":{{"tag":"{tag}"}}}}"#
            ));
        }
        let body = format!("[{}]", elements.join(","));
        for room in [None, Some(room)] {
            let (rows, result) = put(body.as_bytes(), room);
            prop_assert_eq!(&result.errors, &[]);
            prop_assert_eq!(&rows.rows, &expected);
        }
    }

    #[test]
    fn damaged_bodies_are_refused_or_every_element_is_accounted_for(at: prop::sample::Index, byte: u8) {
        let point = r#"{"metric":"m","timestamp":1,"value":1,"tags":{"a":"b"}}"#;
        let mut body = format!("[{point},{point}]").into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if Decoder::new().check(&body).is_ok() {
            let (_, result) = put(&body, Some(1));
            prop_assert!(result.accepted + result.rejected == 2, "{:?}", result);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body: Vec<u8>, pieces in prop::collection::vec(1usize..9, 1..4)) {
        lines(&body, &pieces, None);
        lines(&[b"put a 1 ", &body[..]].concat(), &pieces, Some(1));
        if Decoder::new().check(&body).is_ok() {
            put(&body, Some(1));
        }
        put(&[br#"[{"metric":"#, &body[..]].concat(), Some(1));
    }
}

#[test]
fn what_else_the_telnet_port_is_asked_is_no_row_and_is_answered() {
    let body =
        b"version\nput m 1 5 a=b\r\n help me\r\nstats\ndiediedie now\ndropcaches\nexit\nput m 2 6 a=b\n";
    let mut decoder = Lines::new();
    for pieces in [&[1000][..], &[3], &[8, 20, 30]] {
        decoder.rewind();
        let (rows, result) = decode_cut(&mut decoder, body, pieces, None);
        assert_eq!((rows.rows.len(), result.accepted, result.rejected), (2, 2, 0));
        assert!(decoder.is_over());
        let answers = String::from_utf8(decoder.answers()).unwrap();
        let version = concat!("tidegate ", env!("CARGO_PKG_VERSION"));
        let unknown = |command| format!("unknown command: {command}.  Try `help'.");
        let expected = [
            version.to_owned(),
            "available commands: put version help exit".to_owned(),
            unknown("stats"),
            unknown("diediedie"),
            unknown("dropcaches"),
        ];
        assert_eq!(answers.lines().collect::<Vec<_>>(), expected);
        assert!(decoder.answers().is_empty());
    }
    // What may have been meant as a row is one that is lost.
    let (_, result) = lines(b"get m\nPut m 1 5\nversions\nrollup 1d-sum m 1 5 a=b\n", &[1000], None);
    assert_eq!(result.rejected, 4);
    // Where nobody takes the answers they are not heaped up.
    let mut deaf = Lines::new();
    decode_whole(&mut deaf, &b"help\n".repeat(10_000), None);
    assert!(deaf.answers().len() < 5_000);
}
