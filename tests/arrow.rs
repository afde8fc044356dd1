//! Blocks as Arrow: the rows that the reader gives, value by value, whatever they are; and who owns what.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

mod arrow_kit;
mod command_kit;

use std::collections::BTreeMap;
use std::ffi::CStr;

use arrow_kit::{Cell, Row};
use command_kit::{Writer, blocks, data};
use proptest::prelude::*;
use tidegate::arrow::{self, ArrowArray, ArrowArrayStream, ArrowSchema, Batch};
use tidegate::block::Value;
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// What a row must be in Arrow: each of its values, by its place in the log.
fn expected(reader: &Reader, query: Query) -> BTreeMap<(u64, u64, Vec<u8>, u8), Row> {
    let mut values = BTreeMap::new();
    reader
        .rows(query)
        .unwrap()
        .for_each(|row| {
            let word = |v: i64| Cell::Word(v as u64);
            let text = |v: &[u8]| Cell::Bytes(v.to_vec());
            let name = row.labels.value(b"__name__").map_or(Cell::Null, text);
            let others = row.labels.iter().filter(|(label, _)| *label != b"__name__");
            let labels = Cell::Map(others.map(|(label, value)| (text(label), text(value))).collect());
            for (field, value) in row.fields() {
                let (kind, column, cell) = match value {
                    Value::F64(v) => ("f64", "f64", Cell::Word(v.to_bits())),
                    Value::I64(v) => ("i64", "i64", word(v)),
                    Value::U64(v) => ("u64", "u64", Cell::Word(v)),
                    Value::Bool(v) => ("bool", "bool", Cell::Bool(v)),
                    Value::String(v) if std::str::from_utf8(v).is_ok() => ("string", "string", text(v)),
                    Value::String(v) => ("string", "bytes", text(v)),
                    Value::Bytes(v) => ("bytes", "bytes", text(v)),
                    Value::Null => ("null", "", Cell::Null),
                    // Compared as text, with `log cat`, by tests/arrow_reader.py.
                    Value::Nested(_) => ("nested", "", Cell::Null),
                    Value::Histogram(_) => ("histogram", "", Cell::Null),
                };
                let at = |wanted: &str| if column == wanted { cell.clone() } else { Cell::Null };
                let cells = vec![
                    ("time", word(row.time_ns)),
                    ("start", row.start_time_ns().map_or(Cell::Null, word)),
                    ("name", name.clone()),
                    ("labels", labels.clone()),
                    ("field", text(field)),
                    ("type", text(kind.as_bytes())),
                    ("f64", at("f64")),
                    ("i64", at("i64")),
                    ("u64", at("u64")),
                    ("bool", at("bool")),
                    ("string", at("string")),
                    ("bytes", at("bytes")),
                    ("json", Cell::Null),
                    ("tenant", Cell::Word(row.tenant.into())),
                    ("arrival", Cell::Word(row.arrival.stamp_ns)),
                    ("worker", Cell::Word(row.arrival.worker.into())),
                    ("sequence", Cell::Word(row.arrival.sequence)),
                    ("row", Cell::Word(row.arrival.position.into())),
                ];
                let key =
                    (row.arrival.sequence, row.arrival.position.into(), field.to_vec(), kind.as_bytes()[0]);
                let cells = cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect();
                assert_eq!(values.insert(key, cells), None);
            }
            Ok::<_, LogError>(())
        })
        .unwrap();
    values
}

/// The same of what Arrow has. JSON is only looked at for being there.
fn found(rows: Vec<Row>) -> BTreeMap<(u64, u64, Vec<u8>, u8), Row> {
    let mut values = BTreeMap::new();
    for mut row in rows {
        let cell = |name: &str| row.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let (Cell::Word(sequence), Cell::Word(position)) = (cell("sequence"), cell("row")) else { panic!() };
        let (Cell::Bytes(field), Cell::Bytes(kind)) = (cell("field"), cell("type")) else { panic!() };
        let composite = kind == b"nested" || kind == b"histogram";
        let json = row.iter_mut().find(|(name, _)| name == "json").unwrap();
        assert_eq!(json.1 != Cell::Null, composite);
        json.1 = Cell::Null;
        assert_eq!(values.insert((sequence, position, field, kind[0]), row), None);
    }
    values
}

fn values() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        any::<u64>(),
        prop::sample::select(vec![0x7ff8_0000_0000_0001, 0x7ff0_0000_0000_0002, 0xfff8 << 48, 1 << 63]),
    ];
    let float = bits.prop_map(|bits| match f64::from_bits(bits) {
        v if v.is_finite() => format!("{{\"f64\":{v:?}}}"),
        v if v.is_nan() => match bits {
            0x7ff8_0000_0000_0001 => "{\"f64\":\"NaN\"}".to_owned(),
            0x7ff0_0000_0000_0002 => "{\"f64\":\"stale\"}".to_owned(),
            _ => format!("{{\"f64\":\"NaN:{bits:016x}\"}}"),
        },
        v => format!("{{\"f64\":\"{}Inf\"}}", if v > 0.0 { "+" } else { "-" }),
    });
    let histogram = r#"{"histogram":{"counts":"u64","reset":"unknown","schema":3,"zero_threshold":1e-128,"sum":18.4,"count":12,"zero_count":2,"positive_spans":[[0,2],[1,1]],"positive":[5,3,2],"negative_spans":[],"negative":[],"bounds":[]}}"#;
    prop_oneof![
        4 => float,
        2 => any::<i64>().prop_map(|v| format!("{{\"i64\":{v}}}")),
        2 => any::<u64>().prop_map(|v| format!("{{\"u64\":{v}}}")),
        1 => any::<bool>().prop_map(|v| format!("{{\"bool\":{v}}}")),
        2 => "[a-z\u{e4}\u{1f600} ]{0,8}".prop_map(|v| format!("{{\"string\":\"{v}\"}}")),
        1 => Just(r#"{"string":"a\udcffb"}"#.to_owned()),
        1 => Just(r#"{"bytes":"AAH/"}"#.to_owned()),
        1 => Just(r#"{"null":null}"#.to_owned()),
        1 => Just(r#"{"nested":{"list":[{"i64":1},{"map":[["k",{"string":"v"}]]}]}}"#.to_owned()),
        1 => Just(histogram.to_owned()),
        1 => (any::<i64>(), any::<bool>()).prop_map(|(i, b)| format!("{{\"i64\":{i},\"bool\":{b}}}")),
    ]
}

fn lines() -> impl Strategy<Value = String> {
    let fields = prop::collection::btree_map("[a-d]", values(), 1..4);
    let start = prop::option::weighted(0.3, any::<i64>());
    let name = prop::option::weighted(0.9, 0..3);
    (any::<i64>(), start, name, 0..4, fields).prop_map(|(time, start, name, host, fields)| {
        let start = start.map_or(String::new(), |start| format!("\"start\":{start},"));
        let name = name.map_or(String::new(), |name| format!("\"__name__\":\"m{name}\","));
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let fields = fields.join(",");
        format!(
            "{{\"time\":{time},{start}\"labels\":{{{name}\"host\":\"h{host}\"}},\"fields\":{{{fields}}}}}\n"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_rows_are_the_same_as_arrow(
        blocks in prop::collection::vec(prop::collection::vec(lines(), 1..40), 1..5),
        start_ns: i64,
    ) {
        let data = data();
        let mut writer = Writer::open(data.path(), 1);
        blocks.iter().for_each(|lines| writer.ndjson(0, &lines.concat()));
        writer.close();
        let reader = Reader::open(data.path()).unwrap();
        let host = |labels: tidegate::reader::Labels<'_>| labels.value(b"host") != Some(b"h1");
        let some = || Query { series: Some(std::sync::Arc::new(host)), start_ns: Some(start_ns), ..Query::default() };
        for query in [&Query::default as &dyn Fn() -> Query, &some] {
            let stream = arrow::stream(reader.blocks(query()).unwrap(), reader.log());
            prop_assert_eq!(found(arrow_kit::read(stream)), expected(&reader, query()));
        }
    }
}

fn one_batch() -> (ArrowSchema, ArrowArray) {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu,host=a n=1i,v=2.5 7\ncpu,host=b n=2i,v=3.5,s=\"x\" 8\nmem free=1 9");
    writer.close();
    let reader = Reader::open(data.path()).unwrap();
    let batch = reader.blocks(Query::default()).unwrap().next_block(Batch::of).unwrap().unwrap().unwrap();
    assert_eq!((batch.values(), batch.id().sequence), (6, 1));
    (arrow::schema(reader.log()), batch.into_array())
}

#[test]
fn a_batch_outlives_reader_and_directory() {
    let (schema, array) = one_batch();
    let rows = arrow_kit::rows(&schema, &array);
    assert_eq!(rows.len(), 6);
    let cell = |row: &Row, name: &str| row.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let text = |text: &str| Cell::Bytes(text.as_bytes().to_vec());
    let free = rows.iter().find(|row| cell(row, "field") == text("free")).unwrap();
    assert_eq!(cell(free, "labels"), Cell::Map(Vec::new()));
    assert_eq!(cell(free, "name"), text("mem"));
}

/// Moves a struct as C does: by its bytes, and the source is marked as released.
unsafe fn move_out(array: *mut ArrowArray) -> ArrowArray {
    // SAFETY: the caller's struct is not released.
    unsafe {
        let moved = array.read();
        (*array).release = None;
        moved
    }
}

#[test]
fn children_and_dictionaries_that_are_moved_out_live_on() {
    let (schema, mut array) = one_batch();
    // SAFETY: a producer's lists have `n_children` entries, and children may be moved.
    let (mut labels, schema_of_labels) = unsafe {
        let labels = move_out(*array.children.add(3));
        array.release.unwrap()(&raw mut array);
        assert!(array.release.is_none());
        (labels, &**schema.children.add(3))
    };
    assert!(labels.null_count == 0 && labels.length == 6 && !labels.dictionary.is_null());
    // SAFETY: the same of the dictionary, which then outlives its array.
    let dictionary = unsafe {
        let dictionary = move_out(labels.dictionary);
        labels.release.unwrap()(&raw mut labels);
        dictionary
    };
    assert_eq!(dictionary.length, 3, "three sets of labels");
    assert!(!schema_of_labels.dictionary.is_null());
}

#[test]
fn a_stream_of_one_batch_ends_behind_it_and_says_so_again() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    writer.lines(0, "cpu n=1i 7");
    writer.close();
    let reader = Reader::open(data.path()).unwrap();
    let batch = reader.blocks(Query::default()).unwrap().next_block(Batch::of).unwrap().unwrap().unwrap();
    let mut stream: ArrowArrayStream = batch.into_stream();
    let mut next = || {
        let mut array = ArrowArray::released();
        // SAFETY: a stream that is not released; what was in `array` needs no release.
        assert_eq!(unsafe { stream.get_next.unwrap()(&raw mut stream, &raw mut array) }, 0);
        array.release.is_some()
    };
    assert_eq!([next(), next(), next()], [true, false, false]);
}

#[test]
fn an_empty_directory_is_an_empty_stream() {
    let data = data();
    Writer::open(data.path(), 1).close();
    let reader = Reader::open(data.path()).unwrap();
    assert_eq!(
        arrow_kit::read(arrow::stream(reader.blocks(Query::default()).unwrap(), reader.log())),
        [] as [Row; 0]
    );
}

/// What a stream's next call gives: the rows of a batch, none at the end, or what it says of its failure.
fn next(stream: &mut ArrowArrayStream) -> Result<Option<i64>, (i32, String)> {
    let mut array = ArrowArray::released();
    // SAFETY: a stream that is not released; what was in `array` needs no release, and what it says is read at once.
    unsafe {
        match stream.get_next.unwrap()(stream, &raw mut array) {
            0 => Ok(array.release.is_some().then(|| {
                array.release.unwrap()(&raw mut array);
                array.length
            })),
            code => {
                let message = CStr::from_ptr(stream.get_last_error.unwrap()(stream));
                Err((code, message.to_str().unwrap().to_owned()))
            }
        }
    }
}

#[test]
fn a_stream_of_a_damaged_directory_gives_what_is_sound_and_fails_once() {
    let data = data();
    let mut writer = Writer::open(data.path(), 1);
    let written = ["cpu n=1i 7", "cpu n=2i 8\ncpu n=3i 9", "cpu n=4i 10"];
    written.iter().for_each(|lines| writer.lines(0, lines));
    writer.close();
    blocks(data.path())[1].flip_payload(data.path());
    let reader = Reader::open(data.path()).unwrap();
    let mut stream = arrow::stream(reader.blocks(Query::default()).unwrap(), reader.log());
    assert_eq!([next(&mut stream), next(&mut stream)], [Ok(Some(1)), Ok(Some(1))]);
    let (code, message) = next(&mut stream).unwrap_err();
    assert_eq!(code, 5, "EIO");
    assert!(message.contains("1 damaged place, known to have had 2 rows"), "{message}");
    assert_eq!([next(&mut stream), next(&mut stream)], [Ok(None), Ok(None)]);
}
