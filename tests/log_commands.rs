//! `tidegate log`: what was pushed into an engine is what the commands show, whole, damaged or live.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidegate::log::{CursorStart, Directory};
use tidegate::model::{LogId, METRIC_NAME, WriteResult};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::testing::{Row, Rows, Value};
use tidegate::wire::{Decode, FedState};

mod command_kit;
use command_kit::{Field, Writer, blocks, cat, data, log, output};

/// The field `n` of each row.
fn numbers(lines: &[String]) -> Vec<i64> {
    let number = |line: &String| serde_json::from_str::<Json>(line).unwrap()["fields"]["n"]["i64"].as_i64();
    lines.iter().map(|line| number(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Rows 1 to 3, a block each, of three series; `sealed` or as a writer leaves them that was killed.
fn three_blocks(sealed: bool) -> TempDir {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    for n in 1..=3 {
        writer.lines(0, &format!("cpu,host=h{n} n={n}i {n}"));
    }
    if sealed {
        writer.close();
    }
    data
}

#[test]
fn every_type_comes_back_with_every_bit() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let fields = "usage=58.2,n=5i,u=18446744073709551615u,ok=t,msg=\"a \\\"b\\\" \u{e9}\n\"";
    writer.lines(0, &format!("cpu,region=e\\ u,host=a {fields} 1451606400000000000"));
    let labels: &[(&[u8], &[u8])] = &[(METRIC_NAME, b"x"), (b"raw", b"\xff")];
    let fields: &[(&[u8], Field)] = &[
        (b"stale", Field::F64(0x7ff0_0000_0000_0002)),
        (b"other", Field::F64(0xfff8_0000_0000_0001)),
        (b"zero", Field::F64(1 << 63)),
        (b"both", Field::I64(-1)),
        (b"both", Field::F64(1.5f64.to_bits())),
        (b"null", Field::Null),
        (b"bytes", Field::Bytes(&[0, 1, 255])),
        (b"nested", Field::Nested(&[16, 1, 7])),
    ];
    writer.row(0, labels, i64::MIN, fields);
    writer.close();
    assert_eq!(
        cat(data.path(), &[]),
        [
            concat!(
                r#"{"time":1451606400000000000,"labels":{"__name__":"cpu","host":"a","region":"e u"},"#,
                r#""fields":{"msg":{"string":"a \"b\" "#,
                "\u{e9}",
                r#"\n"},"n":{"i64":5},"ok":{"bool":true},"u":{"u64":18446744073709551615},"usage":{"f64":58.2}}}"#,
            ),
            concat!(
                r#"{"time":-9223372036854775808,"labels":{"__name__":"x","raw":"\udcff"},"#,
                r#""fields":{"both":{"f64":1.5,"i64":-1},"bytes":{"bytes":"AAH/"},"#,
                r#""nested":{"nested":{"list":[{"null":null}]}},"null":{"null":null},"#,
                r#""other":{"f64":"NaN:fff8000000000001"},"stale":{"f64":"stale"},"zero":{"f64":-0.0}}}"#,
            ),
        ]
    );
}

#[test]
fn rows_of_workers_and_segments_come_in_the_order_of_arrival() {
    let data = data();
    let mut n = 0;
    for sealed in [true, false, true] {
        let mut writer = Writer::open(data.path(), 2);
        for worker in [0, 1, 1, 0, 1] {
            n += 1;
            // Times run backwards: they do not matter.
            writer.lines(worker, &format!("cpu,host=h{} n={n}i {}", n % 3, 100 - n));
        }
        if sealed {
            writer.close();
        }
    }
    assert_eq!(numbers(&cat(data.path(), &[])), (1..=15).collect::<Vec<_>>());

    let (code, out, err) = output("ls", data.path(), &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["SEGMENT", "WORKER", "STATE", "BLOCKS", "ROWS", "FIRST", "LAST", "BYTES"]);
    assert_eq!(lines.len(), 7, "{out}");
    assert_eq!(lines[1][..5], ["w000-0000000001.seg", "0", "sealed", "2", "2"]);
    assert_eq!(lines[1][5..7], ["1970-01-01T00:00:00.000000096Z", "1970-01-01T00:00:00.000000099Z"]);
    assert_eq!(output("verify", data.path(), &[]).0, 0);
}

#[test]
fn many_rows_of_many_shapes_are_all_there() {
    let data = data();
    let mut body = String::new();
    for i in 0..30_000u64 {
        let host = i * 7919 % 500;
        match i % 4 {
            0 => body.push_str(&format!(
                "cpu,host=h{host},dc=d{} a={},b={i}i,c=\"s{host}\" {i}\n",
                host % 3,
                i as f64 / 8.0
            )),
            1 => body.push_str(&format!("cpu,host=h{host},dc=d{} b={i}u,ok=f {i}\n", host % 3)),
            2 => body.push_str(&format!("mem{},host=h{host} value={} {i}\n", host % 7, i * i)),
            _ => body.push_str(&format!("mem{} value=\"t{i}\" {i}\n", host % 7)),
        }
    }
    let mut writer = Writer::open(data.path(), 2);
    let (first, second) = body.split_at(body[..body.len() / 3].rfind('\n').unwrap() + 1);
    writer.lines(0, first);
    writer.lines(1, second);
    writer.close();

    let parse = |line: &String| serde_json::from_str::<Json>(line).unwrap();
    let mut read: Vec<String> = cat(data.path(), &[]).iter().map(|line| parse(line).to_string()).collect();
    let mut pushed: Vec<String> = oracle(&body).iter().map(|row| as_json(row).to_string()).collect();
    read.sort_unstable();
    pushed.sort_unstable();
    assert!(read == pushed, "{} rows of {}", read.len(), pushed.len());

    // As line protocol they are the same again.
    let (code, out, err) = output("cat", data.path(), &["--format", "influx"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut again: Vec<String> = oracle(&out).iter().map(|row| as_json(row).to_string()).collect();
    again.sort_unstable();
    assert!(again == pushed);

    let (code, out, _) = output("stats", data.path(), &[]);
    assert_eq!(code, 0);
    let figure = |key: &str| {
        let line = out.lines().find_map(|l| l.strip_prefix(&format!("{key}: ")));
        line.unwrap_or_else(|| panic!("{key} in {out}")).parse::<f64>().unwrap()
    };
    let mut series: Vec<String> =
        oracle(&body).iter().map(|row| as_json(row)["labels"].to_string()).collect();
    series.sort_unstable();
    series.dedup();
    assert_eq!((figure("rows"), figure("samples")), (30_000.0, 52_500.0));
    assert_eq!(figure("series"), series.len() as f64, "each once, whichever worker has it");
    assert_eq!(figure("segments"), 2.0);
    let bytes: u64 =
        fs::read_dir(data.path().join("log")).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(figure("bytes live"), bytes as f64, "closed segments have no bytes to spare");
    assert!(figure("bytes allocated") >= bytes as f64);
    assert!((figure("bytes a sample") - bytes as f64 / 52_500.0).abs() < 0.001);
}

/// What the decoder makes of lines, kept in memory.
fn oracle(lines: &str) -> Vec<Row> {
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(Dialect::V1, Precision::Nanos, 7);
    let fed = decoder.feed(lines.as_bytes(), true, &mut rows, &mut result);
    assert_eq!((fed.state, result.errors), (FedState::Done, vec![]));
    rows.rows
}

fn as_json(row: &Row) -> Json {
    let value = |value: &Value| match value {
        Value::F64(bits) => json!({ "f64": f64::from_bits(*bits) }),
        Value::I64(v) => json!({ "i64": v }),
        Value::U64(v) => json!({ "u64": v }),
        Value::Bool(v) => json!({ "bool": v }),
        Value::Bytes(v) => json!({ "string": std::str::from_utf8(v).unwrap() }),
        Value::Null => json!({ "null": null }),
    };
    let labels: serde_json::Map<_, _> = row.labels.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
    let fields: serde_json::Map<_, _> = row.fields.iter().map(|(n, v)| (n.clone(), value(v))).collect();
    json!({ "time": row.time_ns, "labels": labels, "fields": fields })
}

#[test]
fn selectors_and_times_choose_rows() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let line = |n: u32| {
        format!("cpu,host=h{} n={n}i {n}000000000\nmem,host=h{} n=1{n}i {n}000000000\n", n % 2, n % 3)
    };
    // Times of one block, and blocks of one time: rows are chosen in blocks, and blocks as a whole.
    writer.lines(0, &(0..5).map(line).collect::<String>());
    (5..10).for_each(|n| writer.lines(0, &line(n)));
    writer.close();
    let chosen = |arguments: &[&str]| {
        let mut numbers = numbers(&cat(data.path(), arguments));
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(chosen(&["--match", "cpu{host=\"h1\"}"]), [1, 3, 5, 7, 9]);
    assert_eq!(
        chosen(&["--match", "cpu{host=\"h1\"}", "--match", "{__name__=~\"me.\",host!~\"h[01]\"}"]),
        [1, 3, 5, 7, 9, 12, 15, 18]
    );
    assert_eq!(chosen(&["--match", "disk"]), [0; 0]);
    // The start counts, the end does not.
    assert_eq!(chosen(&["--match", "cpu", "--start", "3", "--end", "1970-01-01T00:00:06Z"]), [3, 4, 5]);
    assert_eq!(chosen(&["--match", "cpu", "--start", "1", "--end", "4"]), [1, 2, 3]);
    assert_eq!(chosen(&["--match", "cpu", "--end", "0"]), [0; 0]);
    assert_eq!(chosen(&["--match", "cpu", "--start", "-1h"]), [0; 0]);

    let (code, out, err) = output("cat", data.path(), &["--match", "cpu{"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err, "tidegate: --match: \"cpu{\": position 5: expected a label's name or \"}\"\n");
    assert_eq!(output("cat", data.path(), &["--start", "x"]).0, 2);
    assert_eq!(output("cat", data.path(), &["--follow", "--dedup", "exact"]).0, 2);
}

#[test]
fn rows_that_came_more_than_once_are_left_out_where_asked() {
    let data = data();
    let mut writer = Writer::open(data.path(), 2);
    let row = |n: u32, a: u32, time: u32| format!("cpu,host=a n={n}i,a={a} {time}");
    writer.lines(0, &format!("{}\n{}\n{}", row(1, 1, 5), row(1, 1, 5), row(2, 1, 6)));
    writer.lines(1, &row(1, 1, 5));
    writer.lines(1, &row(3, 1, 5));
    writer.close();
    let mut writer = Writer::open(data.path(), 2);
    writer.lines(1, &row(2, 1, 6));
    writer.lines(0, &row(1, 2, 5));
    // Other series, other times, other types are other rows.
    writer.lines(0, &format!("cpu,host=b n=1i,a=1 5\n{}\ncpu,host=a n=1i,a=1i 5", row(1, 1, 7)));
    writer.close();
    assert_eq!(cat(data.path(), &[]).len(), 10);
    let exact = cat(data.path(), &["--dedup", "exact"]);
    assert_eq!(numbers(&exact), [1, 2, 3, 1, 1, 1, 1]);
    let mut last = cat(data.path(), &["--dedup", "last"]);
    assert_eq!(numbers(&last[..1]), [2], "the second of time 6");
    last.sort_unstable();
    assert_eq!(
        last,
        [
            r#"{"time":5,"labels":{"__name__":"cpu","host":"a"},"fields":{"a":{"i64":1},"n":{"i64":1}}}"#,
            r#"{"time":5,"labels":{"__name__":"cpu","host":"b"},"fields":{"a":{"f64":1.0},"n":{"i64":1}}}"#,
            r#"{"time":6,"labels":{"__name__":"cpu","host":"a"},"fields":{"a":{"f64":1.0},"n":{"i64":2}}}"#,
            r#"{"time":7,"labels":{"__name__":"cpu","host":"a"},"fields":{"a":{"f64":1.0},"n":{"i64":1}}}"#,
        ]
    );
}

#[test]
fn rows_that_differ_in_anything_stay() {
    let row = |labels: &str, time: u32, rest: &str, fields: &str| {
        format!("{{\"time\":{time},\"labels\":{{{labels}}},{rest}\"fields\":{{{fields}}}}}\n")
    };
    let (labels, fields) = (r#""__name__":"m","a":"bc""#, r#""n":{"i64":5}"#);
    // The first two are one row; each of the others differs from it in one thing.
    let rows = [
        row(labels, 1, "", fields),
        row(labels, 1, "", fields),
        row(labels, 2, "", fields),
        row(labels, 1, "\"start\":0,", fields),
        row(labels, 1, "\"start\":1,", fields),
        row(labels, 1, "", r#""o":{"i64":5}"#),
        row(labels, 1, "", r#""n":{"i64":6}"#),
        row(labels, 1, "", r#""n":{"u64":5}"#),
        row(labels, 1, "", r#""n":{"f64":2.5e-323}"#),
        row(labels, 1, "", r#""n":{"null":null}"#),
        row(labels, 1, "", r#""n":{"string":"5"}"#),
        row(labels, 1, "", r#""n":{"i64":5},"o":{"i64":5}"#),
        row(r#""__name__":"m","ab":"c""#, 1, "", fields),
        row(r#""__name__":"m","a":"b","c":"d""#, 1, "", fields),
        row(r#""a":"bc""#, 1, "", fields),
    ];
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    rows.iter().for_each(|row| writer.ndjson(0, row));
    writer.close();
    let all = cat(data.path(), &[]);
    assert_eq!(all.len(), rows.len());
    assert_eq!(cat(data.path(), &["--dedup", "exact"]), [&all[..1], &all[2..]].concat());
    // Of rows with labels and time alike, whatever their fields and start, the last one.
    assert_eq!(cat(data.path(), &["--dedup", "last"]), [&all[2..3], &all[11..]].concat());
}

#[test]
fn what_line_protocol_has_no_form_for_is_counted() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let cpu: &[(&[u8], &[u8])] = &[(METRIC_NAME, b"a, =b\\c"), (b"k\\ey=", b"v\\,")];
    writer.row(
        0,
        cpu,
        1,
        &[(b"n", Field::I64(1)), (b"nan", Field::F64(f64::NAN.to_bits())), (b"null", Field::Null)],
    );
    writer.row(0, cpu, 2, &[(b"b", Field::Bytes(b"x"))]);
    writer.row(0, &[(METRIC_NAME, b"m"), (b"k", b"v\\")], 3, &[(b"n", Field::I64(1))]);
    writer.row(0, &[(METRIC_NAME, b"m"), (b"k", b"")], 4, &[(b"n", Field::I64(1))]);
    writer.row(0, &[(b"k", b"v")], 5, &[(b"n", Field::I64(1))]);
    writer.row(0, &[(METRIC_NAME, b"m"), (b"k", b"a\nb")], 6, &[(b"n", Field::I64(1))]);
    for time_ns in [i64::MIN, i64::MIN + 1, i64::MAX] {
        writer.row(0, &[(METRIC_NAME, b"m")], time_ns, &[(b"n", Field::I64(1))]);
    }
    writer.close();
    let (code, out, err) = output("cat", data.path(), &["--format", "influx"]);
    assert_eq!(out, "a\\,\\ =b\\c,k\\ey\\==v\\\\, n=1i 1\n");
    assert_eq!(
        (code, err.as_str()),
        (3, "tidegate: 8 rows and 2 values of others are left out: the format can't express them\n")
    );
    let labels: Vec<_> = oracle(&out)[0].labels.clone();
    assert_eq!(labels, [("__name__".into(), "a, =b\\c".into()), ("k\\ey=".into(), "v\\,".into())]);
    assert_eq!(cat(data.path(), &[]).len(), 9, "ndjson has a form for all");
}

#[test]
fn names_of_any_kind_come_back_from_line_protocol_or_are_counted() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let letters = ["\\", ",", "=", " ", "\"", "#", "a", "\t", "\n", "\r", "\0", "\u{e9}", "'"];
    // Pairs and triples of letters, spread over the places that a name can have; the plain rest of a name keeps
    // keys apart.
    let name =
        |n: usize| (0..1 + n % 3).map(|i| letters[n * 31 / (7 * i + 1) % letters.len()]).collect::<String>();
    let pushed: Vec<[String; 4]> =
        (0..2_000).map(|n| [name(n), name(n / 3) + "k", name(n / 7), name(n / 5)]).collect();
    for (n, [metric, key, value, field]) in pushed.iter().enumerate() {
        let labels: &[(&[u8], &[u8])] =
            &[(METRIC_NAME, metric.as_bytes()), (key.as_bytes(), value.as_bytes())];
        writer.row(0, labels, n as i64, &[(field.as_bytes(), Field::I64(n as i64))]);
    }
    writer.close();
    let (code, out, err) = output("cat", data.path(), &["--format", "influx"]);
    let rows = oracle(&out);
    let mut came = vec![false; pushed.len()];
    for row in &rows {
        let [metric, key, value, field] = &pushed[row.time_ns as usize];
        let mut labels = [("__name__".into(), metric.clone()), (key.clone(), value.clone())];
        labels.sort_unstable();
        assert_eq!(row.labels, labels);
        assert_eq!(row.fields, [(field.clone(), Value::I64(row.time_ns))]);
        came[row.time_ns as usize] = true;
    }
    for (names, came) in pushed.iter().zip(came) {
        let bad = |name: &String| name.ends_with('\\') || name.contains('\n');
        let skipped = |name: &String| name.starts_with(['\t', '\r', '\0']);
        let [metric, .., field] = names;
        let plain = field.replace("\\\\", "");
        let ambiguous = ["\\,", "\\=", "\\ "].iter().any(|escape| plain.contains(escape));
        let bad = names.iter().any(bad)
            || metric.starts_with('#')
            || skipped(metric)
            || skipped(field)
            || ambiguous;
        assert_eq!(came, !bad, "{names:?}");
    }
    let left_out = pushed.len() - rows.len();
    assert_eq!(
        (code, err),
        (
            3,
            format!(
                "tidegate: {left_out} rows and 0 values of others are left out: the format can't express them\n"
            )
        )
    );
}

#[test]
fn a_damaged_payload_costs_its_rows_and_is_named() {
    let data = three_blocks(true);
    let second = &blocks(data.path())[1];
    second.flip_payload(data.path());
    let (code, out, err) = output("cat", data.path(), &[]);
    assert_eq!((code, numbers(&out.lines().map(str::to_owned).collect::<Vec<_>>())), (1, vec![1, 3]));
    let damage = format!(
        "{}: damaged payload at byte {}, 4096 bytes, sequence 2, 1 rows",
        second.segment, second.offset
    );
    assert_eq!(err, format!("tidegate: {damage}\ntidegate: 1 damaged place: what was in it is left out\n"));
    let (code, out, err) = output("verify", data.path(), &[]);
    assert_eq!((code, err.as_str()), (1, "tidegate: 1 damaged place\n"));
    assert!(out.starts_with(&format!("{damage}\n1 segments, 3 blocks, 2 rows, ")), "{out}");
    assert!(out.ends_with(": 1 damaged place, 1 row lost\n"), "{out}");
}

#[test]
fn a_damaged_header_costs_its_block_and_the_footer_tells_how_much_that_is() {
    let data = three_blocks(true);
    blocks(data.path())[1].flip_header(data.path());
    let (code, out, _) = output("cat", data.path(), &[]);
    assert_eq!((code, numbers(&out.lines().map(str::to_owned).collect::<Vec<_>>())), (1, vec![1, 3]));
    let (code, out, _) = output("verify", data.path(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("damaged block header at byte 8192, 4096 bytes, sequence 2, 1 rows\n"), "{out}");
    assert!(out.ends_with(": 1 damaged place, 1 row lost\n"), "{out}");
}

#[test]
fn a_damaged_dictionary_costs_nothing_that_is_defined_elsewhere() {
    // In the footer of a sealed segment; in the later blocks of an open one, which repeat definitions.
    for sealed in [true, false] {
        let data = three_blocks(sealed);
        blocks(data.path())[0].flip_dictionary(data.path());
        let (code, out, err) = output("cat", data.path(), &[]);
        assert_eq!(numbers(&out.lines().map(str::to_owned).collect::<Vec<_>>()), [1, 2, 3], "{sealed} {err}");
        assert_eq!(code, 1);
        let (code, out, _) = output("verify", data.path(), &[]);
        assert_eq!(code, 1);
        assert!(out.contains("damaged dictionary section at byte 4096, 4096 bytes, sequence 1\n"), "{out}");
        assert!(out.ends_with(": 1 damaged place, 0 rows lost\n"), "{out}");
    }
}

#[test]
fn rows_whose_definition_is_lost_are_counted() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu,host=a n=1i 1\ncpu,host=b n=2i 1\ncpu,host=a n=3i 2");
    writer.lines(0, "cpu,host=a n=4i 4");
    drop(writer);
    let all = blocks(data.path());
    // The second block repeats the definitions: it must go, too. The third says that both are durable.
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu,host=c n=5i 5");
    writer.close();
    all[0].flip_dictionary(data.path());
    all[1].flip_dictionary(data.path());
    let (code, out, err) = output("cat", data.path(), &[]);
    assert_eq!((code, numbers(&out.lines().map(str::to_owned).collect::<Vec<_>>())), (1, vec![5]));
    assert!(err.contains("sequence 1: 3 rows of 2 series whose definition is lost\n"), "{err}");
    let (code, out, _) = output("verify", data.path(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("sequence 1: 3 rows of 2 series whose definition is lost\n"), "{out}");
    assert!(out.contains("sequence 2: 1 rows of 1 series whose definition is lost\n"), "{out}");
    assert!(out.ends_with(": 4 damaged places, 4 rows lost\n"), "{out}");
}

#[test]
fn a_torn_tail_is_no_damage() {
    let data = three_blocks(false);
    blocks(data.path())[2].flip_payload(data.path());
    // As after a power cut: nobody knows any more what was told durable last.
    fs::write(data.path().join("LIVE"), "").unwrap();
    assert_eq!(numbers(&cat(data.path(), &[])), [1, 2]);
    let (code, out, err) = output("verify", data.path(), &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("torn tail from byte 12288: never acknowledged"), "{out}");
    assert!(out.ends_with(": sound\n"), "{out}");
}

#[test]
fn acknowledged_rows_that_are_gone_are_damage_though_the_rest_looks_sound() {
    for (sealed, cut_at) in [(false, 12_288), (false, 12_388), (false, 4096), (true, 12_288), (true, 9000)] {
        let data = three_blocks(sealed);
        let path = data.path().join("log").join(&blocks(data.path())[2].segment);
        fs::File::options().write(true).open(path).unwrap().set_len(cut_at).unwrap();
        let (code, out, _) = output("verify", data.path(), &[]);
        assert_eq!(code, 1, "{sealed} {cut_at}: {out}");
        assert!(out.contains("sequence 3") || out.contains(" to 3"), "{out}");
        // Without the page that tells, a cut in the middle of a block is still seen.
        fs::write(data.path().join("LIVE"), "").unwrap();
        let (code, out, _) = output("verify", data.path(), &[]);
        assert_eq!((code, out.contains("torn tail")), (0, cut_at % 4096 != 0), "{sealed} {cut_at}: {out}");
    }
}

#[test]
fn a_worker_whose_segments_are_gone_is_damage() {
    let data = three_blocks(true);
    fs::remove_file(data.path().join("log").join(&blocks(data.path())[0].segment)).unwrap();
    let (code, out, _) = output("verify", data.path(), &[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("missing, sequences 1 to 3"), "{out}");
    for command in ["cat", "ls", "stats"] {
        let (code, _, err) = output(command, data.path(), &[]);
        assert_eq!(code, 1, "{command}: {err}");
        assert!(err.contains("missing, sequences 1 to 3"), "{command}: {err}");
    }
}

#[test]
fn a_segment_that_says_nothing_any_more_is_damage() {
    let data = three_blocks(true);
    let name = &blocks(data.path())[0].segment;
    fs::write(data.path().join("log").join(name), "").unwrap();
    for command in ["cat", "ls", "stats"] {
        let (code, _, err) = output(command, data.path(), &[]);
        assert_eq!(code, 1, "{command}: {err}");
        assert!(err.contains(&format!("{name}: nothing in it says")), "{command}: {err}");
    }
}

#[test]
fn a_live_directory_is_read_beside_its_writer() {
    let data = data();
    let mut writer = Writer::open(data.path(), 2);
    assert_eq!(cat(data.path(), &[]), [""; 0]);
    writer.lines(0, "cpu n=1i 1");
    writer.lines(1, "cpu n=2i 1");
    assert_eq!(numbers(&cat(data.path(), &[])), [1, 2]);
    writer.lines(0, "cpu n=3i 1");
    assert_eq!(numbers(&cat(data.path(), &[])), [1, 2, 3]);
    let (code, out, _) = output("verify", data.path(), &[]);
    assert_eq!(code, 0, "{out}");
    let (_, out, _) = output("stats", data.path(), &[]);
    assert!(out.starts_with("rows: 3\nsamples: 3\nseries: 1\nbytes live: 20480\n"), "{out}");
    assert!(out.contains("\nsegments: 2\n"), "prepared ones do not count: {out}");
    writer.close();
}

/// A `cat` that runs.
struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(data: &Path, arguments: &[&str]) -> Running {
        let mut child =
            log("cat", data, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn following_goes_on_over_segments_and_restarts() {
    let data = data();
    let mut writer = Writer::open(data.path(), 2);
    writer.lines(0, "cpu,host=a n=1i 1");
    let mut running = Running::start(data.path(), &["--follow", "--match", "{host=~\"a|b\"}"]);
    let mut next = || numbers(&[running.line()])[0];
    assert_eq!(next(), 1);
    writer.lines(0, "cpu,host=a n=2i 1\ncpu,host=c n=0i 1");
    assert_eq!(next(), 2);
    writer.lines(1, "cpu,host=b n=3i 1");
    assert_eq!(next(), 3);
    // Killed, with what it wrote last not yet printed, perhaps: the next start tells that it is durable.
    writer.lines(0, "cpu,host=b n=4i 1");
    drop(writer);
    let mut writer = Writer::open(data.path(), 2);
    assert_eq!(next(), 4);
    writer.lines(0, "cpu,host=b n=5i 1");
    assert_eq!(next(), 5);
    writer.close();
    let mut writer = Writer::open(data.path(), 3);
    writer.lines(2, "cpu,host=b n=6i 1");
    assert_eq!(next(), 6);
    writer.lines(0, "cpu,host=b n=7i 1");
    assert_eq!(next(), 7);
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_silently() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let lines: String = (0..50_000).map(|n| format!("cpu,host=h{} n={n}i {n}\n", n % 10)).collect();
    writer.lines(0, &lines);
    writer.close();
    let mut running = Running::start(data.path(), &[]);
    assert!(running.line().starts_with("{\"time\":"));
    let mut stderr = running.child.stderr.take().unwrap();
    drop(running.lines);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!((running.child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn following_ends_with_its_reader_though_no_row_comes() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu n=1i 1");
    let mut running = Running::start(data.path(), &["--follow"]);
    assert!(running.line().starts_with("{\"time\":"));
    drop(running.lines);
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_missing_directory_is_not_made() {
    let data = data();
    let missing = data.path().join("missing");
    for command in ["ls", "cat", "verify", "stats"] {
        let (code, out, err) = output(command, &missing, &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{command}");
        assert_eq!(err, format!("tidegate: {}: no such data directory\n", missing.display()));
    }
    assert!(!missing.exists());
    assert_eq!(output("cat", data.path(), &[]).0, 1, "a directory that is no data directory");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn ls_shows_cursors_and_how_far_they_are_behind() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu n=1i 1");
    writer.lines(0, "cpu n=2i 2\ncpu n=3i 3");
    writer.close();
    let (_, without, _) = output("ls", data.path(), &[]);
    assert!(!without.contains("CURSOR"), "{without}");
    let directory = Directory::open(data.path(), LogId::default()).unwrap();
    directory.cursors().create("slow", CursorStart::Oldest).unwrap();
    directory.cursors().commit("slow", &[(0, 1)].into_iter().collect()).unwrap();
    directory.cursors().create("done", CursorStart::Now).unwrap();
    // While somebody holds it, what its workers have not told durable is not shown: here there are none.
    drop(directory);
    let (code, out, _) = output("ls", data.path(), &[]);
    assert_eq!(code, 0);
    let cursors = out.strip_prefix(&without).unwrap_or_else(|| panic!("{out}"));
    let cells: Vec<Vec<&str>> =
        cursors.trim().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0][..3], ["CURSOR", "PASSED", "BLOCKS-BEHIND"]);
    assert_eq!(cells[1], ["done", "0:2", "0", "0", "0", "0", "0"]);
    assert_eq!(cells[2], ["slow", "0:1", "1", "2", "4096", "0", "0"]);
}
