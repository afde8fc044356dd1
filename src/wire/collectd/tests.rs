use proptest::prelude::*;

use super::*;
use crate::model::WriteResult;
use crate::wire::testing::{Row, Rows, Value};
use crate::wire::{Decode, FedState};

const NOW_NS: i64 = 42;

fn feed(decoder: &mut Decoder, body: &[u8], rows: &mut Rows) -> WriteResult {
    let room = rows.room;
    let mut result = WriteResult::default();
    decoder.check(body).unwrap();
    loop {
        let fed = decoder.feed(body, true, rows, &mut result);
        match fed.state {
            FedState::Full => {
                assert_eq!(fed.consumed, 0);
                rows.room = room;
            }
            state => {
                assert_eq!((state, fed.consumed), (FedState::Done, body.len()));
                return result;
            }
        }
    }
}

fn posted(body: impl AsRef<[u8]>, counters: Counters) -> (Vec<Row>, WriteResult) {
    let mut rows = Rows::default();
    let result = feed(&mut Decoder::new(counters, NOW_NS), body.as_ref(), &mut rows);
    (rows.rows, result)
}

#[track_caller]
fn taken(body: impl AsRef<[u8]>) -> Vec<Row> {
    let (rows, result) = posted(body, Counters::AsSent);
    assert_eq!((&result.errors[..], result.accepted), (&[][..], rows.len() as u64));
    rows
}

fn row(labels: &[(&str, &str)], time_ns: i64, fields: &[(&str, Value)]) -> Row {
    Row {
        labels: labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        time_ns,
        start_time_ns: None,
        fields: fields.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
    }
}

fn float(value: f64) -> Value {
    Value::F64(value.to_bits())
}

fn text(text: &str) -> Value {
    Value::Bytes(text.into())
}

/// A list with nothing in its arrays and these members behind them.
fn list(values: &str, types: &str, names: &str) -> String {
    format!(
        r#"{{"values":[{values}],"dstypes":[{types}],"dsnames":[{names}],"time":1280959128.123,"interval":10.000,"host":"h","plugin":"p","plugin_instance":"","type":"t","type_instance":""}}"#
    )
}

const LABELS: [(&str, &str); 3] = [("__name__", "p"), ("host", "h"), ("type", "t")];
const TIME_NS: i64 = 1_280_959_128_123_000_000;

/// The fields of the row of a list with one value.
#[track_caller]
fn value(kind: &str, number: &str, counters: Counters) -> Value {
    let (mut rows, result) = posted(list(number, &format!("\"{kind}\""), "\"value\""), counters);
    assert_eq!(result.errors, []);
    let (name, value) = rows.remove(0).fields.remove(0);
    assert_eq!(name, "value");
    value
}

#[test]
fn a_list_is_a_row_with_a_field_for_each_source() {
    let body = concat!(
        r#"[{"values":[18421,7],"dstypes":["derive","counter"],"dsnames":["rx","tx"],"time":1280959128.123,"#,
        r#""interval":10.000,"host":"leeloo.octo.it","plugin":"interface","plugin_instance":"eth0","#,
        r#""type":"if_octets","type_instance":"in","meta":{"network:received":true,"a":[1]}},"#,
        r#"{"values":[0.5],"dstypes":["gauge"],"dsnames":["value"],"time":1280959128.000,"#,
        r#""interval":10.000,"host":"h","plugin":"load","plugin_instance":"","type":"load","type_instance":""}]"#,
    );
    let labels = [
        ("__name__", "interface"),
        ("host", "leeloo.octo.it"),
        ("instance", "eth0"),
        ("type", "if_octets"),
        ("type_instance", "in"),
    ];
    let expected = [
        row(&labels, TIME_NS, &[("rx", Value::I64(18421)), ("tx", Value::U64(7))]),
        row(
            &[("__name__", "load"), ("host", "h"), ("type", "load")],
            1_280_959_128_000_000_000,
            &[("value", float(0.5))],
        ),
    ];
    assert_eq!(taken(body), expected);
    let (_, result) = posted(body, Counters::AsSent);
    assert_eq!((result.accepted, result.samples, result.rejected), (2, 3, 0));
    // Alone, spelled otherwise and in another order it is the same.
    let spelled = concat!(
        r#" { "plugin" : "loa\u0064" , "x":{"host":"y"}, "host":"i", "host":"h","time": 1280959128,"#,
        "\n",
        r#""dsnames":[ "value" ],"dstypes":["gauge"], "values":[ 5e-1 ],"type":"load","type_instance":null } "#,
    );
    assert_eq!(taken(spelled), expected[1..]);
    assert_eq!(taken(" [ ] "), []);
}

#[test]
fn values_keep_the_type_of_their_source() {
    use Counters::{AsSent, Rates};
    for (kind, number, expected) in [
        ("gauge", "1", float(1.0)),
        ("gauge", "-0", float(-0.0)),
        ("gauge", "1.5e+300", float(1.5e300)),
        ("gauge", "18446744073709551615", float(18_446_744_073_709_551_615.0)),
        ("derive", "-9223372036854775808", Value::I64(i64::MIN)),
        ("derive", "9223372036854775807", Value::I64(i64::MAX)),
        ("derive", "0", Value::I64(0)),
        ("derive", "-0", float(-0.0)),
        ("derive", "9223372036854775808", float(9_223_372_036_854_775_808.0)),
        ("derive", "0.25", float(0.25)),
        ("derive", "1e3", float(1000.0)),
        ("counter", "18446744073709551615", Value::U64(u64::MAX)),
        ("counter", "-1", float(-1.0)),
        ("counter", "-0", float(-0.0)),
        ("counter", "1.0", float(1.0)),
        ("absolute", "3", Value::U64(3)),
        ("absolute", "18446744073709551616", float(18_446_744_073_709_551_616.0)),
    ] {
        assert_eq!(value(kind, number, AsSent), expected, "{kind} {number}");
    }
    for kind in ["gauge", "derive", "counter", "absolute"] {
        assert_eq!(value(kind, "3", Rates), float(3.0), "{kind}");
        assert_eq!(value(kind, "-0", Rates), float(-0.0), "{kind}");
    }
}

#[test]
fn a_rate_among_integers_changes_its_row_only() {
    let body = format!(
        "[{},{},{}]",
        list("1", "\"derive\"", "\"v\""),
        list("1.5", "\"derive\"", "\"v\""),
        list("2", "\"derive\"", "\"v\"")
    );
    let values: Vec<Value> = taken(body).into_iter().map(|mut row| row.fields.remove(0).1).collect();
    assert_eq!(values, [Value::I64(1), float(1.5), Value::I64(2)]);
}

#[test]
fn null_is_left_out_beside_values_and_kept_alone() {
    let (types, names) = (r#""gauge","derive","gauge""#, r#""a","b","c""#);
    let body = format!(
        "[{},{},{},{}]",
        list("null,5,null", types, names),
        list(" null , null,null ", types, names),
        list("1,null,2", types, names),
        list("1,null,2", types, names),
    );
    let both = row(&LABELS, TIME_NS, &[("a", float(1.0)), ("c", float(2.0))]);
    let expected = [
        row(&LABELS, TIME_NS, &[("b", Value::I64(5))]),
        row(&LABELS, TIME_NS, &[("a", Value::Null), ("b", Value::Null), ("c", Value::Null)]),
        both.clone(),
        both,
    ];
    assert_eq!(taken(body), expected);
}

#[test]
fn times_are_decimals_and_the_servers_where_there_are_none() {
    let body = list("1", "\"gauge\"", "\"v\"");
    for (time, ns) in [
        (r#""time":1795341600.001,"#, 1_795_341_600_001_000_000),
        (r#""time":1795341600.999999999,"#, 1_795_341_600_999_999_999),
        (r#""time":0,"#, 0),
        (r#""time":null,"#, NOW_NS),
        ("", NOW_NS),
    ] {
        let rows = taken(body.replace(r#""time":1280959128.123,"#, time));
        assert_eq!(rows[0].time_ns, ns, "{time}");
    }
}

/// As format_json.c makes it of a notification with metadata.
const ALERT: &str = concat!(
    r#"[{"labels":{"alertname":"collectd_cpu","instance":"h","cpu":"0","type":"wait","empty":"","service":"collectd"},"#,
    r#""annotations":{"severity":"FAILURE","summary":"Host h, \"cpu\" is over 90.\n","CurrentValue":"9.5e+01","#,
    r#""Unknown":null},"startsAt":"2015-11-23T13:16:46.125000000Z"}]"#,
);

#[test]
fn an_alert_is_an_event_with_a_field_for_each_annotation() {
    let labels = [
        ("__name__", "collectd_cpu"),
        ("cpu", "0"),
        ("instance", "h"),
        ("service", "collectd"),
        ("type", "wait"),
    ];
    let fields = [
        ("severity", text("FAILURE")),
        ("summary", text("Host h, \"cpu\" is over 90.\n")),
        ("CurrentValue", text("9.5e+01")),
    ];
    assert_eq!(taken(ALERT), [row(&labels, 1_448_284_606_125_000_000, &fields)]);
    let without = ALERT.replace(r#","startsAt":"2015-11-23T13:16:46.125000000Z""#, "");
    assert_eq!(taken(without), [row(&labels, NOW_NS, &fields)]);
    // The words of one do not stand in the next one's.
    let both = format!("[{0},{0},{1}]", &ALERT[1..ALERT.len() - 1], list("1", "\"gauge\"", "\"v\""));
    let rows = taken(both);
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[2], row(&LABELS, TIME_NS, &[("v", float(1.0))]));
}

/// As collectd 5.12 makes it.
#[test]
fn a_severity_among_the_labels_is_a_field_too() {
    let as_label = ALERT
        .replace(r#""severity":"FAILURE","#, "")
        .replace(r#""service":"collectd""#, r#""severity":"FAILURE","service":"collectd""#);
    assert_eq!(taken(as_label), taken(ALERT));
    let both = ALERT.replace(r#""service":"collectd""#, r#""severity":"OKAY""#);
    let (_, result) = posted(both, Counters::AsSent);
    assert_eq!(result.errors[0].error, "two values are called \"severity\"");
}

#[test]
fn bad_elements_are_named_and_cost_no_others() {
    let good = list("1,2", r#""gauge","derive""#, r#""a","b""#);
    let alert = &ALERT[1..ALERT.len() - 1];
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let long_host = format!(r#""host":"{long}""#);
    let long_name = format!(r#"["a","{long}"]"#);
    let long_text = format!(r#""summary":"{long}""#);
    let long_label = format!(r#""cpu":"{long}""#);
    let many = |what: &str| format!("[{}]", vec![what; VALUES_MAX + 1].join(","));
    let numbered: Vec<String> = (0..=VALUES_MAX).map(|i| format!("\"{i}\"")).collect();
    let too_many = format!(
        r#"{{"values":{},"dstypes":{},"dsnames":[{}],"plugin":"p"}}"#,
        many("1"),
        many("\"gauge\""),
        numbered.join(",")
    );
    let cases: &[(&str, &str, &str, &str)] = &[
        (&good, r#""plugin":"p","#, "", "no plugin"),
        (&good, r#""plugin":"p""#, r#""plugin":"""#, "no plugin"),
        (&good, r#""plugin":"p""#, r#""plugin":null"#, "no plugin"),
        (&good, r#""plugin":"p""#, r#""plugin":7"#, "a string is expected"),
        (&good, r#""host":"h""#, r#""host":["h"]"#, "a string is expected"),
        (&good, r#""host":"h""#, r#""host":"\ud800""#, "a string has half a surrogate pair"),
        (&good, r#""host":"h""#, &long_host, "its texts are over 65536 bytes"),
        (&good, "[1,2]", "[1]", "2 dstypes for 1 values"),
        (&good, "[1,2]", "[1,2,3]", "2 dstypes for 3 values"),
        (&good, r#"["a","b"]"#, r#"["a"]"#, "1 dsnames for 2 values"),
        (&good, r#","dsnames":["a","b"]"#, "", "0 dsnames for 2 values"),
        (&good, r#""dstypes":["gauge","derive"]"#, r#""dstypes":null"#, "0 dstypes for 2 values"),
        (&good, r#""dstypes":["gauge","derive"]"#, r#""dstypes":{}"#, "an array is expected"),
        (&good, r#"["a","b"]"#, r#"["a","a"]"#, "two values are called \"a\""),
        (&good, r#"["a","b"]"#, r#"["a",1]"#, "a string is expected"),
        (&good, r#"["a","b"]"#, &long_name, "its texts are over 65536 bytes"),
        (&good, "\"derive\"", "\"DERIVE\"", "unknown type of a data source: \"DERIVE\""),
        (&good, "[1,2]", "[1,\"2\"]", "a value is a number or null"),
        (&good, "[1,2]", "[1,true]", "a value is a number or null"),
        (&good, "[1,2]", "[1,NaN]", "a value is a number or null"),
        (&good, "[1,2]", "[-Infinity,1]", "a value is a number or null"),
        (&good, "[1,2]", "[1,[2]]", "a value is a number or null"),
        (&good, "[1,2]", "[1e999,2]", "a value is out of a double's range"),
        (&good, "[1,2]", "1", "an array is expected"),
        (
            &good,
            r#""values":[1,2]"#,
            r#""values":null"#,
            "neither a value list (values) nor an alert (labels)",
        ),
        (&good, r#""time":1280959128.123"#, r#""time":"1""#, "a number is expected"),
        (&good, r#""time":1280959128.123"#, r#""time":1e9"#, "not a time: 1e9"),
        (&good, r#""time":1280959128.123"#, r#""time":1.0000000001"#, "not a time: 1.0000000001"),
        (&good, r#""time":1280959128.123"#, r#""time":9999999999"#, "not a time: 9999999999"),
        (&good, r#""interval""#, r#""labels":{},"x""#, "neither a value list (values) nor an alert (labels)"),
        (&too_many, "", "", "over 256 values"),
        (alert, "alertname", "alert", "no alertname"),
        (alert, r#""collectd_cpu""#, r#""""#, "no alertname"),
        (alert, r#""cpu":"0""#, r#""cpu":0"#, "a string is expected"),
        (alert, r#""cpu":"0""#, &long_label, "its texts are over 65536 bytes"),
        (alert, r#""severity":"FAILURE""#, r#""severity":{}"#, "a string is expected"),
        (alert, r#""severity":"FAILURE""#, &long_text, "its texts are over 65536 bytes"),
        (alert, r#""severity":"FAILURE""#, r#""summary":"x""#, "two values are called \"summary\""),
        (alert, "annotations", "x", "no values"),
        (alert, "2015-11-23T13", "2015-11-31T13", "not a time: 2015-11-31T13:16:46.125000000Z"),
        (alert, r#""cpu":"0""#, r#""__name__":"0""#, "duplicate tag key \"__name__\""),
        ("[]", "", "", "an object is expected"),
        ("null", "", "", "an object is expected"),
        ("{}", "", "", "neither a value list (values) nor an alert (labels)"),
    ];
    for (whole, from, to, error) in cases {
        assert!(from.is_empty() || whole.contains(from), "{from}");
        let bad = if from.is_empty() { (*whole).to_owned() } else { whole.replacen(from, to, 1) };
        let (rows, result) = posted(format!("[{good}, {bad} ,{good}]"), Counters::AsSent);
        assert_eq!((rows.len(), result.accepted, result.rejected), (2, 2, 1), "{error}");
        assert_eq!(rows[0], rows[1]);
        let fault = &result.errors[0];
        assert_eq!((fault.index, &*fault.error), (2, *error));
        assert!(bad.starts_with(&fault.original), "{}", fault.original);
    }
    let empty = list("", "", "");
    let (_, result) = posted(&empty, Counters::AsSent);
    assert_eq!(result.errors[0].error, "no values");
}

#[test]
fn bytes_that_are_no_text_cost_their_element_only() {
    let good = list("1", "\"gauge\"", "\"v\"");
    for at in [r#""h""#, r#""p""#, r#""t""#, r#""v""#] {
        let [before, behind] = [0, 1].map(|i| good.split(at).nth(i).unwrap().as_bytes());
        let bad = [before, b"\"\xff\"", behind].concat();
        let body = [b"[", &bad[..], b",", good.as_bytes(), b"]"].concat();
        let (rows, result) = posted(&body, Counters::AsSent);
        assert_eq!((rows.len(), result.errors[0].reason), (1, "utf8"), "{at}");
    }
    for text in ["FAILURE", "wait"] {
        let (before, behind) = ALERT.split_once(text).unwrap();
        let (rows, result) =
            posted([before.as_bytes(), b"\xc3", behind.as_bytes()].concat(), Counters::AsSent);
        assert_eq!((rows.len(), result.errors[0].reason), (0, "utf8"), "{text}");
    }
    // What is not kept may be anything.
    let body = [&good.as_bytes()[..good.len() - 1], b",\"meta\":{\"a\":\"\xff\"}}"].concat();
    assert_eq!(taken(body).len(), 1);
}

#[test]
fn what_is_no_json_is_refused_whole() {
    for (body, error) in [
        (&b""[..], "the body is empty"),
        (b" \n", "the body is empty"),
        (b"PUTVAL h/p/t interval=10.000 1280959128.123:1\r\n", "not JSON: write_http needs Format \"JSON\""),
        (b"null", "not JSON: write_http needs Format \"JSON\""),
        (b"[{}", "not JSON: ',' or the end is expected at byte 4"),
        (b"{} {}", "not JSON: nothing more is expected at byte 4"),
        (b"{\"a\":Nan}", "not JSON: a value is expected at byte 6"),
    ] {
        let checked = Decoder::new(Counters::AsSent, 0).check(body);
        assert_eq!(checked.map_err(|e| e.error), Err(error.to_owned()));
    }
}

#[test]
fn names_are_told_apart_wherever_they_end() {
    let list = |host: &str, plugin: &str, instance: &str| {
        format!(
            r#"{{"values":[1],"dstypes":["gauge"],"dsnames":["v"],"host":"{host}","plugin":"{plugin}","plugin_instance":"{instance}"}}"#
        )
    };
    let bodies = [
        list("a", "b", ""),
        list("", "b", "a"),
        list("", "ab", ""),
        list("a\\\"", "b", ""),
        list("a", "b", ""),
    ];
    let rows = taken(format!("[{}]", bodies.join(",")));
    let labels: Vec<&[(String, String)]> = rows.iter().map(|row| &row.labels[..]).collect();
    assert_eq!(labels[0], labels[4]);
    for (i, one) in labels[..4].iter().enumerate() {
        assert!(labels[..i].iter().all(|other| other != one), "{one:?}");
    }
    // Two names that run together are not one.
    let two = |names: &str| super::tests::list("1,2", r#""gauge","gauge""#, names);
    let rows = taken(format!("[{},{}]", two(r#""ab","c""#), two(r#""a","bc""#)));
    assert_eq!((&*rows[0].fields[0].0, &*rows[1].fields[0].0), ("ab", "a"));
}

/// A body as collectd makes it, and its rows.
fn lists() -> impl Strategy<Value = (String, Vec<Row>)> {
    let value = prop_oneof![
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| (
            "gauge",
            format!("{f:?}"),
            float(f)
        )),
        any::<i64>().prop_map(|i| ("derive", i.to_string(), Value::I64(i))),
        any::<u64>().prop_map(|u| ("counter", u.to_string(), Value::U64(u))),
        any::<u64>().prop_map(|u| ("absolute", u.to_string(), Value::U64(u))),
        Just(("gauge", "null".to_owned(), Value::Null)),
    ];
    let one = (prop::collection::vec(value, 1..4), 0usize..3, 0i64..4_000_000_000_000).prop_map(
        |(values, instance, time_ms)| {
            let join = |quote: &str, of: &mut dyn Iterator<Item = String>| {
                of.map(|text| format!("{quote}{text}{quote}")).collect::<Vec<_>>().join(",")
            };
            let body = format!(
                r#"{{"values":[{}],"dstypes":[{}],"dsnames":[{}],"time":{}.{:03},"interval":10.000,"host":"h","plugin":"p","plugin_instance":"i{instance}","type":"t","type_instance":""}}"#,
                join("", &mut values.iter().map(|(_, text, _)| text.clone())),
                join("\"", &mut values.iter().map(|(kind, _, _)| (*kind).to_owned())),
                join("\"", &mut (0..values.len()).map(|i| format!("d{i}"))),
                time_ms / 1000,
                time_ms % 1000,
            );
            let known = values.iter().any(|(_, _, value)| *value != Value::Null);
            let fields = values.iter().enumerate().map(|(i, (_, _, value))| (format!("d{i}"), value.clone()));
            let instance = format!("i{instance}");
            let labels = [("__name__", "p"), ("host", "h"), ("instance", &instance), ("type", "t")];
            let mut row = row(&labels, time_ms * 1_000_000, &[]);
            row.fields = fields.filter(|(_, value)| !known || *value != Value::Null).collect();
            (body, row)
        },
    );
    prop::collection::vec(one, 1..12).prop_map(|lists| {
        let (bodies, rows): (Vec<String>, Vec<Row>) = lists.into_iter().unzip();
        (format!("[{}]", bodies.join(",")), rows)
    })
}

proptest! {
    #[test]
    fn rows_are_the_same_whenever_the_intake_is_full((body, expected) in lists(), room in 1usize..4) {
        for room in [None, Some(room)] {
            let mut rows = Rows::default();
            rows.room = room;
            let result = feed(&mut Decoder::new(Counters::AsSent, NOW_NS), body.as_bytes(), &mut rows);
            prop_assert_eq!(&result.errors, &[]);
            prop_assert_eq!(&rows.rows, &expected);
        }
    }

    #[test]
    fn damaged_bodies_are_refused_or_every_element_is_accounted_for(
        (body, expected) in lists(), at: prop::sample::Index, byte: u8,
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if Decoder::new(Counters::AsSent, NOW_NS).check(&body).is_ok() {
            let (rows, result) = posted(&body, Counters::AsSent);
            prop_assert_eq!(result.accepted, rows.len() as u64);
            prop_assert!(result.accepted + result.rejected >= expected.len() as u64, "{:?}", result);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(body: Vec<u8>, values in "[\\[\\]{}:,\"0-9a-f.eE+ -]{0,40}") {
        let list = list(&values, "\"gauge\"", "\"v\"");
        for body in [&body[..], &[br#"[{"values":["#, &body[..]].concat(), list.as_bytes()] {
            let mut decoder = Decoder::new(Counters::AsSent, NOW_NS);
            let mut rows = Rows::default();
            rows.room = Some(1);
            if decoder.check(body).is_ok() {
                feed(&mut decoder, body, &mut rows);
            }
        }
    }
}
