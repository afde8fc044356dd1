use super::tests::{ingest, push};
use super::*;
use crate::ingest::ContextId;
use crate::model::{Intake, MetricType};

const EXEMPLAR: Exemplar<'static> =
    Exemplar { field: b"value", time_ns: 9, value_bits: 4, labels: &[1, 1, b'a', 1, b'b'] };

fn counter<'a>(name: &'a str, help: &'a str) -> Metadata<'a> {
    Metadata { name: name.as_bytes(), kind: MetricType::Counter, unit: b"", help: help.as_bytes() }
}

fn said(ingest: &Ingest) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let read = |m: &crate::model::MetadataRef| m.read(ingest.batch().heap());
    ingest.batch().metadata().iter().map(|m| (text(read(m).name), text(read(m).help))).collect()
}

#[test]
fn what_was_said_of_a_metric_is_said_again_when_it_changes_and_in_each_generation() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let mut say = |ingest: &mut Ingest, name, help| {
        ingest.writer(&mut stream).metadata(&counter(name, help)).unwrap();
    };
    for (name, help) in [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("a", "2"), ("a", "1")] {
        say(&mut ingest, name, help);
    }
    let pair = |name: &str, help: &str| (name.to_owned(), help.to_owned());
    assert_eq!(said(&ingest), [pair("a", "1"), pair("b", "1"), pair("a", "2"), pair("a", "1")]);
    ingest.seal().unwrap();
    let names = ingest.side_symbols().metadata_names.clone();
    assert_eq!((names[0], names.len()), (names[3], 4));
    assert_eq!(ingest.table().dictionary().symbol(names[1]), b"b");
    ingest.end_batch();
    say(&mut ingest, "b", "1");
    assert!(ingest.batch().is_empty(), "another batch of the same segment");
    ingest.rotate();
    say(&mut ingest, "b", "1");
    assert_eq!(said(&ingest), [pair("b", "1")]);
    assert_eq!(stream.side_records(), 8, "known or not, somebody waits for it");
}

#[test]
fn each_part_of_what_is_said_counts() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let base = counter("a", "h");
    for metadata in
        [base, Metadata { kind: MetricType::Gauge, ..base }, Metadata { unit: b"s", ..base }, base]
    {
        ingest.writer(&mut stream).metadata(&metadata).unwrap();
    }
    assert_eq!(ingest.batch().metadata().len(), 4);
}

#[test]
fn when_much_was_said_all_is_said_again() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let help = "x".repeat(100 << 10);
    let mut taken = 0;
    for round in 0..2 {
        for n in 0..120 {
            let name = format!("metric_{n}");
            if ingest.writer(&mut stream).metadata(&counter(&name, &help)) == Err(Full) {
                ingest.end_batch();
                ingest.writer(&mut stream).metadata(&counter(&name, &help)).unwrap();
            }
            taken += usize::from(said(&ingest).last().is_some_and(|last| last.0 == name));
        }
        assert!(ingest.memory_bytes() < 40 << 20, "round {round}");
    }
    assert_eq!(taken, 240, "12 MB are more than is remembered");
}

#[test]
fn exemplars_are_of_their_series_and_field() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    push(&mut writer, "a", 0).unwrap();
    push(&mut writer, "b", 0).unwrap();
    for (key, field) in [("b", &b"value"[..]), ("a", b"value"), ("b", b"other")] {
        let series = writer.find(key.as_bytes()).unwrap();
        writer.exemplar(series, &Exemplar { field, ..EXEMPLAR }).unwrap();
    }
    ingest.seal().unwrap();
    let series: Vec<_> = ingest.batch().exemplars().iter().map(|e| e.series.0).collect();
    assert_eq!(series, [1, 0, 1]);
    let symbols = &ingest.side_symbols().exemplar_fields;
    let text = |i: usize| ingest.table().dictionary().symbol(symbols[i]);
    assert_eq!([text(0), text(1), text(2)], [&b"value"[..], b"value", b"other"]);
    assert_eq!(symbols[0], ingest.shapes().symbols(ingest.batch().head(0).1).fields[0], "the row's field");
}

#[test]
fn a_batch_without_room_takes_no_side_record_and_too_long_ones_are_counted() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    push(&mut writer, "a", 0).unwrap();
    let series = writer.find(b"a").unwrap();
    let long = vec![0; SIDE_TEXT_BYTES_MAX];
    assert_eq!(writer.exemplar(series, &Exemplar { labels: &long, ..EXEMPLAR }), Ok(()));
    assert_eq!(writer.metadata(&Metadata { help: &long, ..counter("a", "") }), Ok(()));
    let mut taken = 0;
    while writer.exemplar(series, &EXEMPLAR) == Ok(()) {
        taken += 1;
    }
    assert_eq!(taken, BATCH_ROWS_MAX / 2);
    assert_eq!(ingest.side_refused(), 2);
    assert!(ingest.batch().metadata().is_empty());
    let mut writer = ingest.writer(&mut stream);
    let name = |n: usize| format!("{n:060000}");
    let full = (0..).find(|&n| writer.metadata(&counter(&name(n), "")) == Err(Full)).unwrap();
    assert!(full < 120, "names are definitions, too: {full}");
    assert_eq!(stream.side_records(), (2 + taken + full) as u64);
}
