//! What is said of a body that is no request: what is wrong, and where.

use super::{Encoding, Signal, decode};

fn json_error(body: &str) -> String {
    decode(Signal::Metrics, Encoding::Json, body.as_bytes()).unwrap_err().error
}

fn protobuf_error(body: &[u8]) -> String {
    decode(Signal::Metrics, Encoding::Protobuf, body).unwrap_err().error
}

#[test]
fn what_is_no_json_is_named_with_its_place() {
    for (body, error) in [
        ("", "not JSON: the body is empty"),
        (" \n", "not JSON: the body is empty"),
        ("{", "not JSON: a string is expected at byte 2"),
        ("{\"a\":1", "not JSON: ',' or the end is expected at byte 7"),
        ("{\"a\":x}", "not JSON: a value is expected at byte 6"),
        ("{}x", "not JSON: nothing more is expected at byte 3"),
    ] {
        assert_eq!(json_error(body), error, "{body}");
    }
    let error = decode(Signal::Metrics, Encoding::Json, b"{\"a\":\"\xff\"}").unwrap_err().error;
    assert_eq!(error, "not JSON: invalid UTF-8 at byte 7");
    // What only simd-json minds is in its words.
    assert!(json_error("{\"a\":NaN}").starts_with("not JSON: "));
}

#[test]
fn what_is_no_request_in_json_is_named_with_its_place() {
    let in_metric = |metric: &str| {
        format!(
            r#"{{"resourceMetrics":[{{}},{{"scopeMetrics":[{{"metrics":[{{"name":"a"}},null,{metric}]}}]}}]}}"#
        )
    };
    let place = "resourceMetrics[1].scopeMetrics[0].metrics[2]";
    for (metric, error) in [
        (r#"{"name":5}"#, format!("Metric.name: a string is expected at {place}")),
        (
            r#"{"gauge":{"dataPoints":[{},{"asInt":"x"}]}}"#,
            format!(
                "NumberDataPoint.asInt: an integer is expected, or one in a string at {place}.gauge.dataPoints[1]"
            ),
        ),
        (
            r#"{"gauge":{"dataPoints":[{"exemplars":[{"traceId":"5b8efff7"}]}]}}"#,
            format!(
                "Exemplar.traceId: an id is 32 hexadecimal digits of a trace, 16 of a span, or empty at \
                 {place}.gauge.dataPoints[0].exemplars[0]"
            ),
        ),
        ("7", format!("Metric: an object is expected at {place}")),
    ] {
        assert_eq!(json_error(&in_metric(metric)), format!("not a request: {error}"));
    }
    let whole = "not a request: ExportMetricsServiceRequest: an object is expected";
    assert_eq!(json_error("[]"), whole);
}

/// A field of bytes around others.
fn field(number: u8, items: &[&[u8]]) -> Vec<u8> {
    let items = items.concat();
    [&[number << 3 | 2, u8::try_from(items.len()).unwrap()], &items[..]].concat()
}

#[test]
fn what_is_no_request_in_protobuf_is_named_with_its_place() {
    let (good, bad) = (field(2, &[&field(1, &[b"a"])]), field(2, &[&field(1, &[b"\xff"])]));
    let scopes = field(2, &[&good, &good, &bad, &good]);
    let body = [field(1, &[]), field(9, &[]), field(1, &[&field(1, &[]), &scopes])].concat();
    let expected =
        "not a request: Metric.name: a string is not UTF-8 at resourceMetrics[1].scopeMetrics[0].metrics[2]";
    assert_eq!(protobuf_error(&body), expected);
    let log = |id: &[u8]| field(1, &[&field(2, &[&field(2, &[&field(10, &[id])])])]);
    let expected = "not a request: LogRecord.spanId: an id of 8 bytes is expected, or an empty one at \
                    resourceLogs[0].scopeLogs[0].logRecords[0]";
    let error = decode(Signal::Logs, Encoding::Protobuf, &log(b"1234567")).unwrap_err().error;
    assert_eq!(error, expected);
    for sound in [&b"12345678"[..], b""] {
        decode(Signal::Logs, Encoding::Protobuf, &log(sound)).unwrap();
    }
    let cut = field(1, &[&field(2, &[&[0x12, 9]])]);
    let expected =
        "not a request: ScopeMetrics: the message ends within a field at resourceMetrics[0].scopeMetrics[0]";
    assert_eq!(protobuf_error(&cut), expected);
}

#[test]
fn a_place_that_is_deep_is_said_as_far_as_it_helps() {
    let depth = 20;
    let open = r#"{"arrayValue":{"values":["#.repeat(depth);
    let value = format!("{open}{{\"intValue\":\"x\"}}{}", "]}}".repeat(depth));
    let body =
        format!(r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"k","value":{value}}}]}}}}]}}"#);
    let error = json_error(&body);
    assert!(error.ends_with(".arrayValue.values[0]..."), "{error}");
    assert_eq!(error.matches("values[0]").count(), 2, "{error}");
}
