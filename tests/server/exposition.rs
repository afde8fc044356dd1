//! Exposition text pushed to `/api/v1/import/prometheus`.

use serde_json::{Value as Json, json};

use super::client::{chunked, head, post, request};
use super::harness::Server;
use super::log::cat;

const IMPORT: &str = "/api/v1/import/prometheus";

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A row as `name{labels} value`.
pub(crate) fn shown(row: &Json) -> String {
    let labels = row["labels"].as_object().unwrap();
    let others = labels.iter().filter(|(name, _)| *name != "__name__");
    let others: Vec<String> = others.map(|(n, v)| format!("{n}={}", v.as_str().unwrap())).collect();
    let value = match &row["fields"]["value"]["f64"] {
        Json::String(word) => word.clone(),
        number => number.to_string(),
    };
    format!("{}{{{}}} {value}", labels["__name__"].as_str().unwrap(), others.join(","))
}

/// All rows of samples: not what is said beside them.
pub(crate) fn samples(server: &Server) -> Vec<Json> {
    cat(&server.data)
        .into_iter()
        .filter(|row| row.get("fields").is_some() && row.get("exemplar").is_none())
        .collect()
}

fn all(server: &Server) -> Vec<String> {
    samples(server).iter().map(shown).collect()
}

fn times(server: &Server) -> Vec<i64> {
    samples(server).iter().map(|row| row["time"].as_i64().unwrap()).collect()
}

#[test]
fn lines_that_are_all_good_are_204_and_durable() {
    let server = Server::start();
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 1700000000000\nup{job=\"a\"} NaN 1700000000000\n";
    for path in [IMPORT, "/prometheus/api/v1/import/prometheus"] {
        let reply = server.ask(&post(path, body));
        assert_eq!(reply.expect(204).body.len(), 0);
    }
    let once = ["h_bucket{le=1.0} 1.0", "up{job=a} NaN"];
    assert_eq!(all(&server), [once, once].concat());
    assert_eq!(times(&server), [1_700_000_000_000_000_000; 4]);
    assert_eq!(server.metric("tidegate_rows_accepted_total{protocol=\"exposition\"}"), 4.0);
    server.ask(&post(IMPORT, "")).expect(204);
    server.ask(&head("GET", IMPORT, &[])).expect(405);
}

#[test]
fn bad_lines_are_named_and_good_ones_taken() {
    let server = Server::start();
    let body = "a 1\nb{ 2\n\nc 3\nd 0x10\ne{x=\"1\",x=\"2\"} 5";
    for bytes in [post(IMPORT, body), chunked(IMPORT, &[], body.as_bytes(), &[1, 5, 3])] {
        let found = server.ask(&bytes).expect(400).json();
        assert_eq!((&found["accepted"], &found["rejected"]), (&json!(2), &json!(3)), "{found}");
        let lines: Vec<u64> =
            found["errors"].as_array().unwrap().iter().map(|e| e["index"].as_u64().unwrap()).collect();
        assert_eq!(lines, [2, 5, 6]);
        assert!(found["error"].as_str().unwrap().contains("line 2"), "{found}");
    }
    assert_eq!(all(&server), ["a{} 1.0", "c{} 3.0", "a{} 1.0", "c{} 3.0"]);
    assert_eq!(server.metric("tidegate_rows_rejected_total{protocol=\"exposition\",reason=\"labels\"}"), 2.0);
}

#[test]
fn the_query_gives_labels_and_a_time() {
    let server = Server::start();
    let path = format!("{IMPORT}?extra_label=job=a%20b&extra_label=x=y&timestamp=1700000000123");
    server.ask(&post(&path, "m{x=\"own\",z=\"1\"} 1\nm 2 1600000000000\n")).expect(204);
    assert_eq!(all(&server), ["m{job=a b,x=y,z=1} 1.0", "m{job=a b,x=y} 2.0"]);
    assert_eq!(times(&server), [1_700_000_000_123_000_000, 1_600_000_000_000_000_000]);
    // The same lines without: other series, on the same connection too.
    let mut client = server.client();
    for path in [IMPORT, &path, IMPORT] {
        client.ask(&post(path, "m{x=\"own\",z=\"1\"} 1\n")).expect(204);
    }
    assert_eq!(all(&server)[2..], ["m{x=own,z=1} 1.0", "m{job=a b,x=y,z=1} 1.0", "m{x=own,z=1} 1.0"]);
    for bad in ["?extra_label=x", "?timestamp=1.5", "?timestamp=%zz"] {
        let found = server.ask(&post(&format!("{IMPORT}{bad}"), "m 1\n")).expect(400).json();
        assert!(found["error"].is_string(), "{found}");
    }
}

#[test]
fn a_content_type_decides_about_openmetrics() {
    let server = Server::start();
    let ask = |content_type: &str, body: &str| {
        server.ask(&request("POST", IMPORT, &[("Content-Type", content_type)], body.as_bytes()))
    };
    ask(OPENMETRICS, "# TYPE a counter\na_total 1 1700000000.5\n# EOF\n").expect(204);
    assert_eq!(times(&server), [1_700_000_000_500_000_000]);
    // Cut short: what came is taken, and the answer says that it is not all.
    let found = ask(OPENMETRICS, "a 1 1700000000.5\n").expect(400).json();
    assert_eq!((&found["accepted"], &found["rejected"]), (&json!(1), &json!(1)), "{found}");
    assert!(found["error"].as_str().unwrap().contains("# EOF"), "{found}");
    for text in ["text/plain", "text/plain; version=0.0.4", "", "application/x-www-form-urlencoded"] {
        ask(text, "a 1 1700000000500\n").expect(204);
    }
    ask("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", "")
        .expect(415);
    ask("application/vnd.google.protobuf; proto=another.Message", "").expect(415);
    assert_eq!(times(&server), [1_700_000_000_500_000_000; 6]);
}

#[test]
fn openmetrics_keeps_start_times_exemplars_and_metadata() {
    let server = Server::start();
    let body = "# TYPE a counter\n# HELP a Help.\na_total 1 1700000000 # {id=\"x\"} 0.5\na_created 1600000000\n# EOF\n";
    server.ask(&request("POST", IMPORT, &[("Content-Type", OPENMETRICS)], body.as_bytes())).expect(204);
    let lines = cat(&server.data);
    let row = lines.iter().find(|line| line.get("start").is_some()).unwrap();
    assert_eq!(
        (shown(row), &row["start"]),
        ("a_total{} 1.0".to_owned(), &json!(1_600_000_000_000_000_000i64))
    );
    let exemplar = lines.iter().find(|line| line.get("exemplar").is_some()).unwrap();
    assert_eq!((&exemplar["exemplar"], shown(exemplar)), (&json!({"id": "x"}), "a_total{} 0.5".to_owned()));
    let said = lines.iter().find_map(|line| line.get("metadata")).unwrap();
    assert_eq!(*said, json!({"name": "a", "type": "counter", "unit": "", "help": "Help."}));
    assert_eq!(samples(&server).len(), 1);
}

/// The content type of the protobuf format.
pub(super) const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A field that is bytes: text, or a message.
fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// A family of one metric, with its length before it: type and value's field are numbers.
fn family(name: &str, kind: u8, labels: &[(&str, &str)], value: (u8, &[u8])) -> Vec<u8> {
    let label = |(name, value): &(&str, &str)| {
        bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat())
    };
    let labels: Vec<u8> = labels.iter().flat_map(label).collect();
    let metric = [labels, bytes(value.0, value.1)].concat();
    let family =
        [bytes(1, name.as_bytes()), bytes(2, b"Help."), vec![3 << 3, kind], bytes(4, &metric)].concat();
    [&[u8::try_from(family.len()).unwrap()], &*family].concat()
}

/// A gauge.
pub(super) fn gauge(name: &str, labels: &[(&str, &str)], value: f64) -> Vec<u8> {
    family(name, 1, labels, (2, &double(1, value)))
}

#[test]
fn protobuf_is_taken_whole_or_not_at_all() {
    let server = Server::start();
    let ask =
        |path: &str, body: &[u8]| server.ask(&request("POST", path, &[("Content-Type", PROTOBUF)], body));
    // Three observations: schema 3, buckets 1 and 2 hold 1 and 2 of them.
    let native = [
        &[1 << 3, 3][..],
        &double(2, 4.5),
        &[5 << 3, 6],
        &bytes(12, &[1 << 3, 2, 2 << 3, 2]),
        &bytes(13, &[2, 2]),
    ];
    let body =
        [gauge("g", &[("x", "own"), ("y", "z")], 1.5), family("h", 4, &[], (7, &native.concat()))].concat();
    ask(&format!("{IMPORT}?extra_label=x=given&timestamp=1700000000123"), &body).expect(204);
    let lines = cat(&server.data);
    let rows: Vec<&Json> = lines.iter().filter(|line| line.get("fields").is_some()).collect();
    assert_eq!(shown(rows[0]), "g{x=given,y=z} 1.5");
    assert_eq!(rows[1]["labels"], json!({"__name__": "h", "x": "given"}));
    let histogram = &rows[1]["fields"]["value"]["histogram"];
    assert_eq!((&histogram["schema"], &histogram["sum"]), (&json!(3), &json!(4.5)), "{histogram}");
    let said: Vec<&Json> = lines.iter().filter_map(|line| line.get("metadata")).collect();
    assert_eq!(*said[1], json!({"name": "h", "type": "histogram", "unit": "", "help": "Help."}));

    let found = ask(IMPORT, &body[..body.len() - 1]).expect(400).json();
    assert!(found["error"].as_str().unwrap().contains("the message ends within a field"), "{found}");
    assert_eq!(cat(&server.data).len(), lines.len());
}
