//! The format from outside: golden files, hand-encoded examples, and the reader in Python.
//!
//! The Python reader was written from `src/block/format.md` alone. What it prints is compared with what went into
//! the encoder, and with the files in `tests/golden/`:
//!
//! - `*.hex`, `*.ndjson`: blocks encoded by hand for the parts that nothing writes yet, and their rows.
//! - `v1-*.blocks`, `v1-*.ndjson`: blocks as version 1 wrote them first. They are never rewritten: the test writes
//!   one only where there is none, and only if `TIDEGATE_WRITE_GOLDEN` is set.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use tidegate::{block, bytes, model};

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests")]
#[path = "../src/block/tests/segment.rs"]
mod segment;

use block::{BlockEntry, DecodeError, Encoder, encode_footer};
use bytes::AlignedBuf;
use model::{
    BlockHeader, BlockKind, Buckets, Count, HEADER_LEN, Histogram, NestedPart, NestedReader, crc32c,
};
use segment::{
    Known, Plain, PlainExemplar, PlainMetadata, PlainRow, Segment, example_header, read_block, read_side,
};

#[test]
fn the_python_reader_reads_what_was_encoded_by_hand() {
    let mut seen = 0;
    for hex in golden_files("hex") {
        let expected = std::fs::read_to_string(hex.with_extension("ndjson")).unwrap();
        assert_eq!(python(&hex), lines(&expected), "{}", hex.display());
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn the_decoder_reads_what_was_encoded_by_hand() {
    let fields = |name: &str| {
        let text = std::fs::read_to_string(golden().join(name).with_extension("hex")).unwrap();
        let (rows, _) = read_block(&from_hex(&text), &mut Known::default())?;
        Ok::<_, DecodeError>(rows.into_iter().map(|mut r| r.fields.remove(0).1).collect::<Vec<_>>())
    };
    let starts = |name: &str| {
        let text = std::fs::read_to_string(golden().join(name).with_extension("hex")).unwrap();
        let (rows, _) = read_block(&from_hex(&text), &mut Known::default()).unwrap();
        rows.iter().map(|row| row.start_ns).collect::<Vec<_>>()
    };
    let bytes = |b: &[u8]| Plain::Bytes(b.to_vec());
    assert_eq!(fields("bytes").unwrap(), [bytes(&[0, 1, 255]), bytes(&[])]);
    assert_eq!(fields("tenant").unwrap(), [Plain::f64(58.27)]);
    assert_eq!(fields("start_time").unwrap(), [Plain::U64(7), Plain::U64(7)]);
    assert_eq!(starts("start_time"), [Some(1_699_996_400_000_000_000), None]);
    assert_eq!(fields("exemplar").unwrap(), [Plain::f64(3.0)], "side tables are no rows");
    assert_eq!(fields("metadata").unwrap(), []);
    for name in ["exemplar", "metadata"] {
        let block = from_hex(&std::fs::read_to_string(golden().join(name).with_extension("hex")).unwrap());
        let mut known = Known::default();
        let (rows, _) = read_block(&block, &mut known).unwrap();
        let (exemplars, metadata) = read_side(&block, &known).unwrap();
        let read = [as_json(&rows), side_json(&exemplars, &metadata)].concat();
        let expected = std::fs::read_to_string(golden().join(name).with_extension("ndjson")).unwrap();
        assert_eq!(read, lines(&expected), "{name}");
    }
    assert!(matches!(&fields("nested").unwrap()[..], [Plain::Nested(b)] if b[..2] == [17, 3]));
    assert!(matches!(&fields("histogram").unwrap()[..], [Plain::Histogram(_), Plain::Histogram(_)]));
    assert!(matches!(fields("zstd_dictionary"), Err(DecodeError::Newer(_))));
}

#[test]
fn blocks_of_version_1_stay_readable() {
    let mut known = 0;
    for (name, batches) in golden_batches() {
        let path = golden().join(format!("v1-{name}.blocks"));
        if !path.exists() && std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &encode(&batches).0[..]).unwrap();
            let text: String = python(&path).iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(path.with_extension("ndjson"), text).unwrap();
        }
        let blocks = std::fs::read(&path).unwrap();
        let (mut at, mut symbols) = (0, Known::default());
        for rows in &batches {
            let (read, len) = read_block(&blocks[at..], &mut symbols).unwrap();
            assert_eq!(as_json(&read), as_json(rows), "{name}");
            at += len;
        }
        assert_eq!(at, blocks.len());
        let expected = std::fs::read_to_string(path.with_extension("ndjson")).unwrap();
        assert_eq!(python(&path), lines(&expected), "{name}");
        known += 1;
    }
    assert_eq!(golden_files("blocks").count(), known, "a golden file that no test reads");
}

#[test]
fn the_python_reader_gives_the_rows_that_went_in() {
    let directory = tempfile::tempdir().unwrap();
    for (name, batches) in golden_batches()
        .into_iter()
        .chain([("unsorted", vec![unsorted(900), unsorted(40)]), ("starts", starts())])
    {
        let path = directory.path().join(name);
        let (blocks, _) = encode(&batches);
        std::fs::write(&path, &blocks[..]).unwrap();
        let rows: Vec<PlainRow> = batches.concat();
        assert_eq!(sorted(python(&path)), sorted(as_json(&rows)), "{name}");
    }
}

#[test]
fn the_python_reader_gives_the_side_records_that_went_in() {
    let pair = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    let exemplar = |i: i64| PlainExemplar {
        series: vec![pair("__name__", "requests".into()), pair("host", (i % 7).to_string())],
        field: [&b"value"[..], b"value", b"sum"][i as usize % 3].to_vec(),
        time_ns: 1_700_000_000_000_000_000 - i,
        value_bits: [(i as f64).to_bits(), 0x7ff0_0000_0000_0002][usize::from(i % 10 == 9)],
        labels: (0..i % 4).map(|l| pair(&format!("l{l}"), "x".repeat(i as usize))).collect(),
    };
    let metadata = |i: u64| PlainMetadata {
        name: format!("metric_{i}").into_bytes(),
        kind: model::MetricType::from_number(i % 8).unwrap(),
        unit: b"seconds".repeat(i as usize % 2),
        help: b"Help. ".repeat(i as usize % 5),
    };
    let rows = starts().concat();
    let (mut segment, mut encoder, mut out) = (Segment::default(), Encoder::new(), AlignedBuf::new());
    let mut expected = Vec::new();
    // Rows and all else; then no rows; then one thing alone.
    for (rows, exemplars, metas) in [(&rows[..], 0..90, 0..40), (&[], 90..100, 40..42), (&[], 0..0, 42..43)] {
        rows.iter().for_each(|row| segment.push(row));
        let exemplars: Vec<_> = exemplars.map(exemplar).collect();
        let metadata: Vec<_> = metas.map(metadata).collect();
        exemplars.iter().for_each(|exemplar| segment.push_exemplar(exemplar));
        metadata.iter().for_each(|metadata| segment.push_metadata(metadata));
        segment.seal(&mut encoder, &mut out);
        expected.extend(as_json(rows));
        expected.extend(side_json(&exemplars, &metadata));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("side");
    std::fs::write(&path, &out[..]).unwrap();
    assert_eq!(sorted(python(&path)), sorted(expected));
}

#[test]
fn the_python_reader_reads_a_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("log")).unwrap();
    let batches = &golden_batches()[0].1;
    let (blocks, segment) = encode(batches);
    let file = segment_file(&blocks, &segment);
    std::fs::write(directory.path().join("log/w000-0000000001.seg"), &file).unwrap();
    assert_eq!(sorted(python(directory.path())), sorted(as_json(&batches.concat())));
}

#[test]
fn the_python_reader_names_damage_and_reads_on() {
    let directory = tempfile::tempdir().unwrap();
    let batches = &golden_batches()[0].1;
    let (blocks, segment) = encode(batches);
    let mut file = segment_file(&blocks, &segment);
    let second = 4096 + BlockHeader::decode(&blocks).unwrap().block_len();
    let header = BlockHeader::decode(&file[second..]).unwrap();
    file[second + header.content_len() - 1] ^= 1;
    let path = directory.path().join("w000-0000000001.seg");
    std::fs::write(&path, &file).unwrap();
    let output = run_python(&path);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("at {second}: block 2")), "{said}");
    let rest = [&batches[..1], &batches[2..]].concat().concat();
    assert_eq!(sorted(lines(&String::from_utf8(output.stdout).unwrap())), sorted(as_json(&rest)));
}

/// Batches whose rows stay in order when they are encoded: sorted by series already, or few.
fn golden_batches() -> Vec<(&'static str, Vec<Vec<PlainRow>>)> {
    let time = |i: i64| 1_700_000_000_000_000_000 + i * 10_000_000_000;
    let host = |host: usize, i: i64, fields: &[(&str, Plain)]| {
        let name = format!("host_{host}");
        PlainRow::new(&[("__name__", "cpu"), ("hostname", &name), ("region", "eu")], time(i), fields)
    };
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let metrics = (0..3).map(|batch| {
        let row = |h: usize, i: i64, random: &mut dyn FnMut() -> u64| {
            let fields = [
                ("full", Plain::f64((random() >> 11) as f64 / 1e14)),
                ("percent", Plain::f64((random() % 10_000) as f64 / 100.0)),
                ("usage", Plain::I64((random() % 100) as i64)),
            ];
            host(h, batch * 15 + i, &fields)
        };
        (0..20).flat_map(|h| (0..15).map(move |i| (h, i))).map(|(h, i)| row(h, i, &mut random)).collect()
    });
    let odd =
        [0x7ff8_0000_0000_0001, 0x7ff0_0000_0000_0002, 0xfff8_0000_0000_0003, 1 << 63, 0x7ff0_0000_0000_0000];
    let floats = odd.iter().map(|&bits| host(0, 0, &[("v", Plain::F64(bits))]));
    let floats = floats.chain((0..40).map(|i| host(0, i, &[("v", Plain::f64(i as f64 / 8.0))])));
    let kinds = vec![
        host(1, 0, &[("b", Plain::Bool(true)), ("s", Plain::String("h\u{e9}".into()))]),
        host(1, 1, &[("b", Plain::Bool(false)), ("n", Plain::Null), ("y", Plain::Bytes(vec![0, 159, 146]))]),
        host(1, 2, &[("b", Plain::I64(i64::MIN)), ("b", Plain::U64(u64::MAX)), ("n", Plain::Null)]),
        host(1, 3, &[("d", Plain::Nested(vec![16, 2, 4, 1, 7])), ("n", Plain::Null)]),
    ];
    // Few rows of each of many hosts: columns by series, of all rows and of some.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 5) as i64
    };
    let mut by_series = Vec::new();
    for h in 0..250 {
        let (mut usage, mut cents, mut bytes) =
            ((h * 37 % 101) as i64, (h * 3571 % 9973) as i64, h as u64 * 0x1_2345 % 0xfff1);
        for i in 0..2 + (h % 3) as i64 {
            usage += step() - 2;
            cents += step() - 2;
            bytes += step() as u64;
            let percent =
                if (h, i) == (77, 1) { 0x7ff0_0000_0000_0002 } else { (cents as f64 / 100.0).to_bits() };
            let fields = [
                ("bytes", Plain::U64(bytes << 12)),
                ("percent", Plain::F64(percent)),
                ("usage", Plain::I64(usage)),
            ];
            let row = host(h, i, &fields[usize::from(step() == 0)..]);
            by_series.push(if h % 4 > 0 { row.since(time(i) - bytes as i64) } else { row });
        }
    }
    let single =
        |i: i64| PlainRow::new(&[("__name__", "up"), ("job", "a b")], time(i), &[("value", Plain::f64(1.0))]);
    vec![
        ("metrics", metrics.collect()),
        ("floats", vec![floats.collect()]),
        ("kinds", vec![kinds]),
        ("by-series", vec![by_series]),
        ("single", vec![(0..3).map(single).collect(), vec![single(3)]]),
    ]
}

/// Rows that are sorted when they are encoded, of so many shapes that tables are split and directories compressed.
fn unsorted(rows: usize) -> Vec<PlainRow> {
    let row = |i: usize| {
        let host = format!("host_{}", i * 7 % 31);
        let names: Vec<String> =
            (0..1 + i % 4).map(|f| format!("field_{}", (i + f) % (3 + i % 40))).collect();
        let mut fields: Vec<_> = names.iter().map(|n| (n.as_str(), Plain::f64((i as f64).sqrt()))).collect();
        fields.sort_by_key(|f| f.0);
        fields.dedup_by_key(|f| f.0);
        fields.push(("text", Plain::String(format!("state {}", i % 5).into())));
        let metric = ["cpu", "disk", "net"][i % 3];
        PlainRow::new(&[("__name__", metric), ("host", &host)], i as i64 * 999, &fields)
    };
    (0..rows).map(row).collect()
}

/// Rows with start times beside rows without, alone and in tables of several shapes; histograms and nested values as
/// decoders build them.
fn starts() -> Vec<Vec<PlainRow>> {
    let single = |i: i64, value: Plain| PlainRow::new(&[("__name__", "requests")], i, &[("value", value)]);
    let wide = |i: i64| {
        let fields = [("count", Plain::I64(i)), ("sum", Plain::f64(i as f64 / 4.0))];
        PlainRow::new(&[("__name__", "latency"), ("le", "1")], i, &fields[..1 + i as usize % 2])
    };
    let all = (0..50).map(|i| single(i, Plain::f64(1.5)).since(-i));
    let some = (0..50).map(|i| if i % 3 == 0 { wide(i).since(i64::MIN + i) } else { wide(i) });
    let values =
        (0..50).flat_map(|i| [single(i, Plain::Histogram(histogram(i))), single(i, nested(i)).since(9)]);
    vec![all.collect(), some.chain((0..9).map(|i| single(i, Plain::f64(2.0)))).collect(), values.collect()]
}

fn histogram(i: i64) -> Vec<u8> {
    let mut buf =
        model::HistogramBuf { schema: 3, sum: i as f64 / 8.0, count: i as u64, ..Default::default() };
    (0..i as i32 % 9).for_each(|b| buf.positive.bucket(b * b - 4, b as u64 + 1));
    if i % 2 == 0 {
        (buf.min, buf.reset) = (Some(-0.5), model::ResetHint::Gauge);
    } else {
        (buf.schema, buf.bounds) = (model::SCHEMA_CUSTOM, vec![0.25, i as f64]);
        buf.kind = model::CountKind::F64;
    }
    let mut out = Vec::new();
    buf.encode(&mut out).unwrap();
    out
}

fn nested(i: i64) -> Plain {
    let mut buf = model::NestedBuf::default();
    buf.begin_map().unwrap();
    buf.key(b"list");
    buf.begin_list().unwrap();
    (0..i * 5).for_each(|n| buf.i64(-n));
    buf.end();
    buf.key(b"s");
    buf.string(b"text");
    buf.end();
    Plain::Nested(buf.finish().to_vec())
}

/// The batches as blocks of one segment, and what its footer lists.
fn encode(batches: &[Vec<PlainRow>]) -> (AlignedBuf, (Segment, Vec<BlockEntry>)) {
    let (mut segment, mut encoder, mut out) = (Segment::default(), Encoder::new(), AlignedBuf::new());
    let mut entries = Vec::new();
    for (i, rows) in batches.iter().enumerate() {
        rows.iter().for_each(|row| segment.push(row));
        let sequence = i as u64 + 1;
        segment.header = Some(BlockHeader { sequence, durable_sequence: sequence - 1, ..example_header() });
        let start = out.len();
        segment.seal(&mut encoder, &mut out);
        let header = BlockHeader::decode(&out[start..]).unwrap();
        entries.push(BlockEntry {
            offset: 4096 + start as u64,
            len: header.block_len() as u64,
            sequence,
            stamp_ns: header.stamp_ns,
            rows: header.rows,
            samples: header.samples,
            time_min_ns: header.time_min_ns,
            time_max_ns: header.time_max_ns,
        });
    }
    (out, (segment, entries))
}

/// A sealed segment file, by the tables of format.md.
fn segment_file(blocks: &[u8], (segment, entries): &(Segment, Vec<BlockEntry>)) -> Vec<u8> {
    let example = example_header();
    let mut page = vec![0; 4096];
    page[..8].copy_from_slice(b"\x89TDGSEG\n");
    page[8] = 1;
    page[32..48].copy_from_slice(&example.log.0);
    page[48..56].copy_from_slice(&example.epoch.to_le_bytes());
    page[56] = 1;
    finish(&mut page);
    let mut file = page;
    file.extend_from_slice(blocks);

    let body = encode_footer(&segment.dictionary, entries);
    let offset = file.len() as u64;
    let payload_len = body.len() as u32;
    let (kind, payload_crc) = (BlockKind::Footer, crc32c(&body));
    let header =
        BlockHeader { kind, payload_len, payload_crc, sequence: entries.len() as u64, ..example.clone() };
    file.extend_from_slice(&header.encode());
    assert_eq!(header.encode().len(), HEADER_LEN);
    file.extend_from_slice(&body);
    file.resize(file.len().next_multiple_of(4096), 0);

    let mut page = vec![0; 4096];
    page[..8].copy_from_slice(b"\x89TDGEND\n");
    page[8..16].copy_from_slice(&offset.to_le_bytes());
    page[16..24].copy_from_slice(&(file.len() as u64 - offset).to_le_bytes());
    page[24..32].copy_from_slice(&example.epoch.to_le_bytes());
    finish(&mut page);
    file.extend_from_slice(&page);
    file
}

fn finish(page: &mut [u8]) {
    let crc = crc32c(&page[..4092]);
    page[4092..].copy_from_slice(&crc.to_le_bytes());
}

/// What the Python reader prints; it must find nothing wrong.
fn python(path: &Path) -> Vec<Json> {
    let output = run_python(path);
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    lines(&String::from_utf8(output.stdout).unwrap())
}

fn run_python(path: &Path) -> std::process::Output {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_reader.py");
    let output =
        Command::new("/usr/bin/python3").env("PYTHONDONTWRITEBYTECODE", "1").arg(reader).arg(path).output();
    let output = output.expect("python3 is needed to check the format");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("No module named"),
        "the format's reader needs python3-zstandard: see tests/packages.sh: {said}"
    );
    output
}

fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sorted(mut lines: Vec<Json>) -> Vec<String> {
    lines.sort_by_cached_key(Json::to_string);
    lines.iter().map(Json::to_string).collect()
}

/// Rows as `docs/ndjson.md` writes them.
fn as_json(rows: &[PlainRow]) -> Vec<Json> {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    let row = |row: &PlainRow| {
        let mut fields = json!({});
        for (name, value) in &row.fields {
            let (kind, value) = value_json(value);
            fields[text(name)][kind] = value;
        }
        let labels: serde_json::Map<_, _> =
            row.labels.iter().map(|(n, v)| (text(n), text(v).into())).collect();
        let mut line = json!({"time": row.time_ns, "labels": labels, "fields": fields});
        if let Some(start) = row.start_ns {
            line["start"] = json!(start);
        }
        line
    };
    rows.iter().map(row).collect()
}

/// Side records as `docs/ndjson.md` writes them.
fn side_json(exemplars: &[PlainExemplar], metadata: &[PlainMetadata]) -> Vec<Json> {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    let pairs = |pairs: &[(Vec<u8>, Vec<u8>)]| -> serde_json::Map<_, _> {
        pairs.iter().map(|(n, v)| (text(n), text(v).into())).collect()
    };
    let exemplar = |e: &PlainExemplar| {
        let mut fields = json!({});
        fields[text(&e.field)] = json!({"f64": float_json(e.value_bits)});
        let (labels, own) = (pairs(&e.series), pairs(&e.labels));
        json!({"time": e.time_ns, "labels": labels, "fields": fields, "exemplar": own})
    };
    let metadata = metadata.iter().map(|m| {
        let kind = match m.kind {
            model::MetricType::GaugeHistogram => "gauge_histogram".into(),
            model::MetricType::StateSet => "state_set".into(),
            kind => format!("{kind:?}").to_lowercase(),
        };
        let (name, unit, help) = (text(&m.name), text(&m.unit), text(&m.help));
        json!({"metadata": {"name": name, "type": kind, "unit": unit, "help": help}})
    });
    exemplars.iter().map(exemplar).chain(metadata).collect()
}

fn value_json(value: &Plain) -> (&'static str, Json) {
    match value {
        Plain::F64(bits) => ("f64", float_json(*bits)),
        Plain::I64(v) => ("i64", json!(v)),
        Plain::U64(v) => ("u64", json!(v)),
        Plain::Bool(v) => ("bool", json!(v)),
        Plain::String(b) => ("string", json!(std::str::from_utf8(b).unwrap())),
        Plain::Bytes(b) => {
            assert_eq!(b, &[0, 159, 146], "the one example, so that no base64 is needed here");
            ("bytes", json!("AJ+S"))
        }
        Plain::Null => ("null", Json::Null),
        Plain::Nested(b) => {
            let mut reader = NestedReader::new(b);
            let json = nested_json(&mut reader);
            assert!(reader.next().is_none());
            ("nested", json)
        }
        Plain::Histogram(b) => ("histogram", histogram_json(&Histogram::read(b).unwrap())),
    }
}

fn nested_json(reader: &mut NestedReader<'_>) -> Json {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    match reader.next().unwrap().unwrap() {
        NestedPart::F64(v) => json!({"f64": float_json(v.to_bits())}),
        NestedPart::I64(v) => json!({"i64": v}),
        NestedPart::U64(v) => json!({"u64": v}),
        NestedPart::Bool(v) => json!({"bool": v}),
        NestedPart::String(v) => json!({"string": text(v)}),
        NestedPart::Null => json!({"null": null}),
        NestedPart::List(count) => {
            json!({"list": (0..count).map(|_| nested_json(reader)).collect::<Vec<_>>()})
        }
        NestedPart::Map(count) => {
            let item = |_| match reader.next() {
                Some(Ok(NestedPart::Key(key))) => json!([text(key), nested_json(reader)]),
                part => panic!("a key: {part:?}"),
            };
            json!({"map": (0..count).map(item).collect::<Vec<_>>()})
        }
        part => panic!("not in these tests: {part:?}"),
    }
}

fn histogram_json(read: &Histogram<'_>) -> Json {
    let count = |count| match count {
        Count::U64(v) => json!(v),
        Count::F64(v) => float_json(v.to_bits()),
    };
    let float = |v: f64| float_json(v.to_bits());
    let spans = |b: Buckets<'_>| b.spans().map(|s| json!([s.offset, s.len])).collect::<Vec<_>>();
    let counts = |b: Buckets<'_>| b.counts().map(count).collect::<Vec<_>>();
    let mut json = json!({
        "counts": format!("{:?}", read.kind).to_lowercase(),
        "reset": format!("{:?}", read.reset).to_lowercase(),
        "schema": read.schema,
        "zero_threshold": float(read.zero_threshold),
        "sum": float(read.sum),
        "count": count(read.count),
        "zero_count": count(read.zero_count),
        "positive_spans": spans(read.positive),
        "positive": counts(read.positive),
        "negative_spans": spans(read.negative),
        "negative": counts(read.negative),
        "bounds": read.bounds().map(float).collect::<Vec<_>>(),
    });
    for (key, limit) in [("min", read.min), ("max", read.max)] {
        if let Some(limit) = limit {
            json[key] = float(limit);
        }
    }
    json
}

fn float_json(bits: u64) -> Json {
    match bits {
        0x7ff8_0000_0000_0001 => json!("NaN"),
        0x7ff0_0000_0000_0002 => json!("stale"),
        0x7ff0_0000_0000_0000 => json!("+Inf"),
        _ if f64::from_bits(bits).is_nan() => json!(format!("NaN:{bits:016x}")),
        _ => json!(f64::from_bits(bits)),
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden_files(extension: &'static str) -> impl Iterator<Item = PathBuf> {
    let files = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(move |path| path.extension().is_some_and(|e| e == extension))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
