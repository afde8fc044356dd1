//! Imports of JSON: tidegate's own lines, VictoriaMetrics' lines, OpenTSDB's points.

use serde_json::{Value as Json, json};

use super::client::{chunked, post, request};
use super::harness::Server;
use super::log::{cat, cat_text, verify};

const NDJSON: &str = "/api/v1/import/ndjson";

/// A line of every kind of value that is hard to keep, as they are printed.
const PRINTED: &str = concat!(
    r#"{"time":1451606400000000000,"labels":{"__name__":"cpu","hostname":"host_0"},"fields":{"n":{"i64":5},"usage":{"f64":58.2}}}"#,
    "\n",
    r#"{"time":-9223372036854775807,"labels":{"__name__":"m"},"fields":{"v":{"f64":-0.0}}}"#,
    "\n",
    r#"{"time":1,"labels":{"__name__":"m"},"fields":{"v":{"f64":5e-324}}}"#,
    "\n",
    r#"{"time":1,"labels":{"__name__":"m"},"fields":{"v":{"f64":"+Inf"}}}"#,
    "\n",
    r#"{"time":2,"labels":{"__name__":"m"},"fields":{"v":{"f64":"NaN"}}}"#,
    "\n",
    r#"{"time":3,"labels":{"__name__":"m"},"fields":{"v":{"f64":"stale"}}}"#,
    "\n",
    r#"{"time":4,"labels":{"__name__":"m"},"fields":{"v":{"f64":"NaN:fff8000000000123"}}}"#,
    "\n",
    r#"{"time":5,"labels":{"__name__":"m"},"fields":{"v":{"f64":0.5,"i64":-9223372036854775808,"string":"x"}}}"#,
    "\n",
    r#"{"time":6,"labels":{"__name__":"m"},"fields":{"u":{"u64":18446744073709551615},"v":{"bool":true}}}"#,
    "\n",
    r#"{"time":7,"labels":{"__name__":"m"},"fields":{"b":{"bytes":"AAH/"},"n":{"null":null},"s":{"string":"a\"\\\n\t\u0000\udcffé"}}}"#,
    "\n",
    r#"{"time":8,"start":3,"labels":{"__name__":"m"},"fields":{"v":{"f64":1.5}}}"#,
    "\n",
    r#"{"time":9,"labels":{},"fields":{"":{"i64":1}}}"#,
    "\n",
    r#"{"time":10,"labels":{"":"","__name__":"a\udc80","b}\",":"{"},"fields":{"f\udc81\"":{"i64":1}}}"#,
    "\n",
    r#"{"time":11,"labels":{"__name__":"h"},"fields":{"value":{"histogram":{"counts":"u64","reset":"unknown","schema":3,"zero_threshold":1e-128,"sum":18.4,"count":12,"zero_count":2,"positive_spans":[[0,2],[1,1]],"positive":[5,3,2],"negative_spans":[],"negative":[],"bounds":[]}}}}"#,
    "\n",
    r#"{"time":12,"start":-1,"labels":{"__name__":"h"},"fields":{"value":{"histogram":{"counts":"f64","reset":"gauge","schema":-53,"zero_threshold":0.0,"sum":"stale","count":0.5,"zero_count":0.0,"positive_spans":[[-1,1]],"positive":["NaN"],"negative_spans":[],"negative":[],"bounds":[0.25,1.0],"min":-1.0,"max":"+Inf"}}}}"#,
    "\n",
    r#"{"time":13,"labels":{"__name__":"l"},"fields":{"body":{"nested":{"map":[["k",{"list":[{"i64":-1},{"u64":1},{"f64":0.5},{"null":null}]}],["k",{"bytes":"AA=="}],["s",{"string":"\udcfe"}],["t",{"bool":false}],["m",{"map":[]}]]}}}}"#,
    "\n",
);

/// Lines in an order that does not depend on how their block was sorted.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_was_printed_is_imported_and_printed_again() {
    let mut server = Server::start();
    let reply = server.ask(&post(NDJSON, PRINTED));
    assert_eq!((reply.expect(204).body.len(), reply.header("content-length")), (0, None));
    assert_eq!(sorted(&cat_text(&server.data)), sorted(PRINTED));
    // What is spelled otherwise is printed the same way.
    let spelled = PRINTED.replace("\":", "\" : ").replace("é", "\\u00e9").replace('\n', "\r\n");
    server.ask(&post(NDJSON, spelled.replace("1451606400000000000", "1451606400000000001"))).expect(204);
    let twice = PRINTED.to_owned() + &PRINTED.replace("1451606400000000000", "1451606400000000001");
    assert_eq!(sorted(&cat_text(&server.data)), sorted(&twice));
    server.stop();
    verify(&server.data);
}

#[test]
fn exemplars_and_metadata_go_around_too() {
    let printed = concat!(
        r#"{"time":5,"labels":{"__name__":"m","a":"b"},"fields":{"value":{"f64":1.0}}}"#,
        "\n",
        r#"{"time":7,"labels":{"__name__":"m","a":"b"},"fields":{"value":{"f64":"NaN"}},"exemplar":{"trace_id":"x\udcff","b":""}}"#,
        "\n",
        r#"{"time":8,"labels":{"__name__":"n"},"fields":{"sum":{"f64":0.5}},"exemplar":{}}"#,
        "\n",
        r#"{"metadata":{"name":"m","type":"gauge_histogram","unit":"s","help":"Two\nlines."}}"#,
        "\n",
        r#"{"metadata":{"name":"n","type":"unknown","unit":"","help":""}}"#,
        "\n",
    );
    let first = Server::start();
    first.ask(&post(NDJSON, printed)).expect(204);
    let once = cat_text(&first.data);
    assert_eq!(sorted(&once), sorted(printed));
    // Without a row beside them they are durable as well.
    let second = Server::start();
    let alone: String = once.lines().skip(1).map(|line| format!("{line}\n")).collect();
    second.ask(&post(NDJSON, &alone)).expect(204);
    assert_eq!(sorted(&cat_text(&second.data)), sorted(&alone));
}

/// Small numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A field's value of any type.
fn random_value(dice: &mut Dice) -> Json {
    let number = dice.roll(1 << 31) as i64;
    let base64 = ["", "AA==", "AAH/", "/////w=="][dice.roll(4) as usize];
    match dice.roll(8) {
        0 => json!({"f64": number as f64 / 1024.0}),
        1 => json!({"i64": number * -number}),
        2 => json!({"u64": number}),
        3 => json!({"bool": number % 2 == 0}),
        4 => json!({"string": format!("{number}\n\u{e9}\u{1f30a}\"{}", number % 7)}),
        5 => json!({"bytes": base64}),
        6 => {
            json!({"nested": {"map": [[format!("k{number}"), {"list": [random_value(&mut Dice(1)), {"i64": number}]}]]}})
        }
        _ => json!({"f64": number as f64, "string": "both"}),
    }
}

#[test]
fn random_rows_go_around_twice_unchanged() {
    let mut dice = Dice(7);
    let rows: Vec<Json> = (0..3000)
        .map(|time| {
            let labels = json!({"__name__": format!("m{}", dice.roll(5)), "l": dice.roll(40).to_string()});
            let fields: serde_json::Map<_, _> =
                (0..=dice.roll(4)).map(|_| (format!("f{}", dice.roll(6)), random_value(&mut dice))).collect();
            match dice.roll(4) {
                0 => json!({"time": time, "start": time - 5, "labels": labels, "fields": fields}),
                _ => json!({"time": time, "labels": labels, "fields": fields}),
            }
        })
        .collect();
    let first = Server::start();
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    first.ask(&post(NDJSON, body)).expect(204);
    let printed = cat_text(&first.data);
    let mut found: Vec<Json> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    found.sort_by_key(|row| row["time"].as_i64());
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(found, row);
    }
    assert_eq!(found.len(), rows.len());

    let second = Server::start();
    second.ask(&chunked(NDJSON, &[], printed.as_bytes(), &[4096, 77, 1])).expect(204);
    assert_eq!(sorted(&cat_text(&second.data)), sorted(&printed));
}

#[test]
fn bad_lines_are_named_by_number_and_the_others_taken() {
    let server = Server::start();
    let good = r#"{"time":1,"labels":{"__name__":"m"},"fields":{"v":{"i64":1}}}"#;
    let tenant = good.replace("{\"time\"", "{\"tenant\":3,\"time\"");
    let body = server.ask(&post(NDJSON, format!("{good}\n\n{tenant}\n{good}\nx"))).expect(400).json();
    let expected = json!({"error": "2 of 4 rows were not taken: line 3: tenant 3: only tenant 0 is there",
        "accepted": 2, "rejected": 2, "errors": [
            {"index": 3, "error": "tenant 3: only tenant 0 is there"},
            {"index": 5, "error": "an object is expected at column 1"}]});
    assert_eq!(body, expected);
    assert_eq!(cat(&server.data).len(), 2);
    server.ask(&post(NDJSON, "")).expect(204);
    assert_eq!(server.ask(&request("GET", NDJSON, &[], b"")).expect(405).header("allow"), Some("POST"));
    let metric = |name: &str| server.metric(&format!("tidegate_rows_{name}"));
    assert_eq!(metric("accepted_total{protocol=\"ndjson\"}"), 2.0);
    assert_eq!(metric("rejected_total{protocol=\"ndjson\",reason=\"tenant\"}"), 1.0);
}

#[test]
fn names_that_are_too_long_cost_their_line_only() {
    let server = Server::start();
    let long = "x".repeat(300_000);
    let good = r#"{"time":1,"labels":{"__name__":"m"},"fields":{"v":{"i64":1}}}"#;
    for (from, error) in
        [("\"v\"", "a field's name is over 262144"), ("\"__name__\"", "the series"), ("\"m\"", "the series")]
    {
        let bad = good.replace(from, &format!("\"{long}\""));
        let reply = server.ask(&post(NDJSON, format!("{good}\n{bad}\n{good}"))).expect(400).json();
        assert_eq!((&reply["accepted"], &reply["errors"][0]["index"]), (&json!(2), &json!(2)));
        assert!(reply["errors"][0]["error"].as_str().unwrap().starts_with(error), "{reply}");
    }
    assert_eq!(cat(&server.data).len(), 6);
}

#[test]
fn victoriametrics_lines_become_rows() {
    let server = Server::start();
    let line = r#"{"metric":{"__name__":"up","job":"a"},"values":[1,null,-Infinity],"timestamps":[1700000000001,2,3]}"#;
    server.ask(&post("/api/v1/import", line)).expect(204);
    let row = |time: i64, job: &str, value: Json| {
        let labels = json!({"__name__": "up", "job": job});
        json!({"time": time, "labels": labels, "fields": {"value": {"f64": value}}})
    };
    let mut expected = vec![
        row(2_000_000, "a", json!("NaN")),
        row(3_000_000, "a", json!("-Inf")),
        row(1_700_000_000_001_000_000, "a", json!(1.0)),
    ];
    let rows = || {
        let mut rows = cat(&server.data);
        rows.sort_by_key(|row| (row["labels"]["job"].to_string(), row["time"].as_i64()));
        rows
    };
    assert_eq!(rows(), expected);

    let body = format!("{line}\nfoo\n");
    let reply = server.ask(&post("/prometheus/api/v1/import?extra_label=job=b", body)).expect(400).json();
    let named = json!([{"index": 2, "error": "an object is expected at column 1"}]);
    assert_eq!((&reply["accepted"], &reply["rejected"], &reply["errors"]), (&json!(3), &json!(1), &named));
    expected.extend([
        row(2_000_000, "b", json!("NaN")),
        row(3_000_000, "b", json!("-Inf")),
        row(1_700_000_000_001_000_000, "b", json!(1.0)),
    ]);
    assert_eq!(rows(), expected);
    server.ask(&post("/api/v1/import", "\n")).expect(204);
    let reply = server.ask(&post("/api/v1/import?extra_label=job", line)).expect(400).json();
    let error = "extra_label is name=value, not \"job\"";
    assert_eq!(reply, json!({"error": error, "accepted": 0, "rejected": 0, "errors": []}));
}

#[test]
fn opentsdb_points_become_rows() {
    let server = Server::start();
    let point = json!({"metric": "sys.cpu", "timestamp": 1346846400, "value": 18, "tags": {"host": "a"}});
    let bad = json!({"metric": "sys.cpu", "timestamp": 1346846400, "value": "NaN", "tags": {"host": "a"}});
    assert_eq!(server.ask(&post("/api/put", point.to_string())).expect(204).body.len(), 0);
    let reply = server.ask(&post("/opentsdb/api/put?summary", json!([point]).to_string())).expect(200).json();
    assert_eq!(reply, json!({"success": 1, "failed": 0}));

    let both = json!([point, bad]).to_string();
    let error = "Unable to parse value to a number";
    let reply = server.ask(&post("/api/put", &both)).expect(400).json();
    assert_eq!(reply["error"]["message"], "One or more data points had errors");
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(reply["errors"], json!([{"index": 2, "error": error}]));
    let reply = server.ask(&post("/api/put?details", &both)).expect(400).json();
    assert_eq!((&reply["success"], &reply["failed"]), (&json!(1), &json!(1)));
    assert_eq!(reply["errors"], json!([{"index": 2, "datapoint": bad, "error": error}]));
    // Shown as it was sent, also where that is more than 64 bits.
    for value in ["1e400", "18446744073709551616", "-0.50E+999"] {
        let bad = format!(r#"{{"value":{value}, "metric":"m","timestamp":1,"tags":{{"b":"1","a":"2"}}}}"#);
        let reply = server.ask(&post("/api/put?details", &bad));
        assert!(reply.expect(400).text().contains(&format!("\"datapoint\":{bad},")), "{}", reply.text());
    }

    // What is no JSON takes nothing, whatever stands before the fault.
    let cut = format!("[{point},{point}");
    let reply = server.ask(&chunked("/api/put", &[], cut.as_bytes(), &[9])).expect(400).json();
    assert_eq!(reply["error"]["code"], 400);
    assert!(
        reply["error"]["message"].as_str().unwrap().starts_with("Unable to parse the given JSON"),
        "{reply}"
    );
    server.ask(&post("/api/put", "")).expect(400);

    let labels = json!({"__name__": "sys.cpu", "host": "a"});
    let row =
        json!({"time": 1_346_846_400_000_000_000i64, "labels": labels, "fields": {"value": {"i64": 18}}});
    assert_eq!(cat(&server.data), vec![row; 4]);
}

#[test]
fn collectds_value_lists_and_alerts_become_rows() {
    let server = Server::start();
    let list = |values: Json, time: f64| {
        json!({"values": values, "dstypes": ["derive", "gauge"], "dsnames": ["rx", "tx"], "time": time,
            "interval": 10.0, "host": "h", "plugin": "net", "plugin_instance": "eth0", "type": "octets",
            "type_instance": ""})
    };
    let alert = json!({"labels": {"alertname": "collectd_net", "instance": "h", "net": "eth0"},
        "annotations": {"severity": "OKAY", "summary": "fine"}, "startsAt": "2023-11-14T22:13:20.5Z"});
    let good =
        json!([list(json!([5, 0.5]), 1.125), list(json!([null, 1]), 2.0), list(json!([null, null]), 3.0)]);
    // collectd logs every other status.
    assert_eq!(server.ask(&post("/collectd", good.to_string())).expect(200).body.len(), 0);
    server.ask(&post("/collectd", json!([alert]).to_string())).expect(200);
    server
        .ask(&post("/collectd?store_rates=true", json!([list(json!([7, 2]), 4.0)]).to_string()))
        .expect(200);

    let bad = json!([list(json!([1]), 5.0), list(json!([6, 0]), 6.0), {"message": "a notification"}]);
    let reply = server.ask(&chunked("/collectd", &[], bad.to_string().as_bytes(), &[7])).expect(400).json();
    let named = json!([{"index": 1, "error": "2 dstypes for 1 values"},
        {"index": 3, "error": "neither a value list (values) nor an alert (labels)"}]);
    let error = "2 of 3 rows were not taken: element 1: 2 dstypes for 1 values";
    assert_eq!(reply, json!({"error": error, "accepted": 1, "rejected": 2, "errors": named}));
    // What is no JSON takes nothing, whatever stands before the fault.
    let cut = good.to_string().replace(']', "");
    let reply = server.ask(&post("/collectd", cut)).expect(400).json();
    assert!(reply["error"].as_str().unwrap().starts_with("not JSON: "), "{reply}");
    server.ask(&post("/collectd", "PUTVAL h/p/t interval=10.000 1:1\r\n")).expect(400);
    server.ask(&post("/collectd?store_rates=2", "[]")).expect(400);
    assert_eq!(server.ask(&request("GET", "/collectd", &[], b"")).expect(405).header("allow"), Some("POST"));

    let row = |time: i64, fields: Json| {
        let labels = json!({"__name__": "net", "host": "h", "instance": "eth0", "type": "octets"});
        json!({"time": time * 125_000_000, "labels": labels, "fields": fields})
    };
    let event = json!({"time": 1_700_000_000_500_000_000i64,
        "labels": {"__name__": "collectd_net", "instance": "h", "net": "eth0"},
        "fields": {"severity": {"string": "OKAY"}, "summary": {"string": "fine"}}});
    let expected = [
        row(9, json!({"rx": {"i64": 5}, "tx": {"f64": 0.5}})),
        row(16, json!({"tx": {"f64": 1.0}})),
        row(24, json!({"rx": {"null": null}, "tx": {"null": null}})),
        row(32, json!({"rx": {"f64": 7.0}, "tx": {"f64": 2.0}})),
        row(48, json!({"rx": {"i64": 6}, "tx": {"f64": 0.0}})),
        event,
    ];
    let mut rows = cat(&server.data);
    rows.sort_by_key(|row| row["time"].as_i64());
    assert_eq!(rows, expected);
    let metric = |name: &str| server.metric(&format!("tidegate_{name}"));
    assert_eq!(metric("rows_accepted_total{protocol=\"collectd\"}"), 6.0);
    assert_eq!(metric("rows_rejected_total{protocol=\"collectd\",reason=\"syntax\"}"), 2.0);
}

#[test]
fn bodies_of_more_rows_than_a_batch_holds() {
    const ROWS: usize = 70_000;
    let server = Server::start();
    // In random order: keys are announced.
    let own: String = (0..ROWS)
        .map(|n| {
            let labels = format!(r#"{{"__name__":"own","l":"{}"}}"#, n * 7919 % 10_007 % 997);
            format!("{{\"time\":{n},\"labels\":{labels},\"fields\":{{\"value\":{{\"i64\":{n}}}}}}}\n")
        })
        .collect();
    let vm: String = (0..ROWS / 1000)
        .map(|line| {
            let numbers: Vec<usize> = (line * 1000..(line + 1) * 1000).collect();
            format!(
                "{{\"metric\":{{\"__name__\":\"vm\"}},\"values\":{numbers:?},\"timestamps\":{numbers:?}}}\n"
            )
        })
        .collect();
    let points: Vec<String> = (1..=ROWS)
        .map(|n| {
            format!(
                "{{\"metric\":\"tsdb\",\"timestamp\":{n},\"value\":{n},\"tags\":{{\"l\":\"{}\"}}}}",
                n % 100
            )
        })
        .collect();
    server.ask(&post(NDJSON, own)).expect(204);
    let zstd = zstd::encode_all(vm.as_bytes(), 3).unwrap();
    server.ask(&request("POST", "/api/v1/import", &[("Content-Encoding", "zstd")], &zstd)).expect(204);
    let reply = server.ask(&post("/api/put?details", format!("[{}]", points.join(",")))).expect(200).json();
    assert_eq!(reply["success"], json!(ROWS));
    let mut sums = std::collections::BTreeMap::new();
    for row in cat(&server.data) {
        let value =
            row["fields"]["value"]["i64"].as_f64().or(row["fields"]["value"]["f64"].as_f64()).unwrap();
        let (count, sum) =
            sums.entry(row["labels"]["__name__"].as_str().unwrap().to_owned()).or_insert((0, 0.0));
        *count += 1;
        *sum += value;
    }
    let below = (ROWS * (ROWS - 1) / 2) as f64;
    let expected = [("own", (ROWS, below)), ("tsdb", (ROWS, below + ROWS as f64)), ("vm", (ROWS, below))];
    assert_eq!(sums.into_iter().collect::<Vec<_>>(), expected.map(|(name, sum)| (name.to_owned(), sum)));
}

/// VictoriaMetrics exports all that it has of a series as one line.
#[test]
fn a_line_with_more_samples_than_a_batch_holds_is_taken_whole() {
    const SAMPLES: usize = 200_000;
    let server = Server::start();
    let values: Vec<String> = (0..SAMPLES).map(|n| format!("{n}.5")).collect();
    let times: Vec<String> = (0..SAMPLES).map(|n| (1_700_000_000_000 + n as u64).to_string()).collect();
    let line = |job: &str| {
        let (values, times) = (values.join(","), times.join(","));
        format!("{{\"metric\":{{\"job\":\"{job}\"}},\"values\":[{values}],\"timestamps\":[{times}]}}\n")
    };
    let plain = line("plain");
    assert!(plain.len() > 3 << 20, "{} bytes", plain.len());
    server.ask(&post("/api/v1/import", plain)).expect(204);
    let zstd = zstd::encode_all(line("zstd").as_bytes(), 1).unwrap();
    server.ask(&request("POST", "/api/v1/import", &[("Content-Encoding", "zstd")], &zstd)).expect(204);
    let mut found = std::collections::BTreeMap::new();
    for line in cat_text(&server.data).lines() {
        let job = if line.contains("\"plain\"") { "plain" } else { "zstd" };
        *found.entry(job).or_insert(0) += 1;
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [("plain", SAMPLES), ("zstd", SAMPLES)]);
}
