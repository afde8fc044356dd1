use super::*;
use crate::ingest::ContextId;
use crate::model::{FieldType, Intake, METRIC_NAME, Series, ValueRow, Verdict};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) fn ingest(series_max: u64) -> Ingest {
    let series = SeriesBudget::new(series_max);
    Ingest::new(KeyHasher::new(1), IngestLimits { series, time_min_ns: i64::MIN, time_max_ns: i64::MAX })
}

fn labels(name: &str) -> LabelsBuf {
    let mut labels = LabelsBuf::default();
    labels.push(METRIC_NAME, name.as_bytes());
    labels
}

const VALUE: [FieldText<'static>; 1] = [FieldText { text: b"value=", name: b"value", kind: FieldType::F64 }];

/// Pushes a row by the ladder; says whether it was predicted.
pub(super) fn push(writer: &mut Writer<'_>, name: &str, time_ns: i64) -> Result<bool, Refusal> {
    let predicted = !name.is_empty() && writer.predicted() == name.as_bytes();
    let series = if predicted {
        writer.confirm()
    } else {
        match writer.find(name.as_bytes()) {
            Some(series) => series,
            None => writer.define(name.as_bytes(), &mut labels(name))?,
        }
    };
    let shape =
        if series.shape == ShapeId::NONE { writer.define_shape(series, &VALUE)? } else { series.shape };
    writer.push(series, shape, time_ns, &[1.5f64.to_bits()], &[]).unwrap();
    Ok(predicted)
}

#[test]
fn a_stream_that_repeats_itself_is_predicted() {
    let mut ingest = ingest(100);
    let mut stream = Stream::new(ContextId(0));
    let names = ["a", "b", "c", "d"];
    for round in 0..3 {
        let mut writer = ingest.writer(&mut stream);
        let hits: Vec<_> = names.iter().map(|n| push(&mut writer, n, round).unwrap()).collect();
        let expected = match round {
            0 => [false; 4],
            // What follows the last of a round is only known after the first of the next.
            1 => [false, true, true, true],
            _ => [true; 4],
        };
        assert_eq!(hits, expected, "round {round}");
    }
    assert_eq!(ingest.batch().rows(), 12);
    let series: Vec<_> = (0..12).map(|i| ingest.batch().row(i).series.0).collect();
    assert_eq!(series, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn several_rows_of_a_line_say_nothing_of_the_next_line() {
    let mut ingest = ingest(100);
    let mut stream = Stream::new(ContextId(0));
    for round in 0..3 {
        let mut writer = ingest.writer(&mut stream);
        for name in ["a", "b"] {
            let predicted = push(&mut writer, name, round).unwrap();
            assert_eq!(predicted, round == 2 || (round == 1 && name == "b"), "{name} in round {round}");
            let series = Series { key: writer.stream.previous, shape: ShapeId::NONE };
            let shape = writer.ingest.table.key(series.key).shape;
            for time_ns in 0..50 {
                writer.push(series, shape, time_ns, &[0], &[]).unwrap();
            }
        }
        assert!(!writer.stream.unpredictable(), "round {round}");
    }
}

#[test]
fn over_the_limit_new_series_are_refused_and_known_ones_go_on() {
    let mut ingest = ingest(2);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    assert!(push(&mut writer, "a", 0).is_ok());
    assert!(push(&mut writer, "b", 0).is_ok());
    assert_eq!(push(&mut writer, "c", 0), Err(Refusal::SeriesLimit { limit: 2 }));
    assert!(push(&mut writer, "a", 1).is_ok());
    assert_eq!(ingest.batch().rows(), 3);
}

#[test]
fn over_the_limit_a_known_series_goes_on_under_another_key() {
    let mut ingest = ingest(1);
    let mut stream = Stream::new(ContextId(0));
    let mut two = labels("cpu");
    two.push(b"a", b"1");
    two.push(b"b", b"2");
    let first = ingest.writer(&mut stream).define(b"cpu,a=1,b=2", &mut two).unwrap();
    let mut turned = LabelsBuf::default();
    for (name, value) in [(&b"b"[..], &b"2"[..]), (METRIC_NAME, b"cpu"), (b"a", b"1")] {
        turned.push(name, value);
    }
    let first = ingest.table.key(first.key).series;
    // Its tags in another order; the same bytes in another dialect.
    for (key, context) in [(&b"cpu,b=2,a=1"[..], 0), (b"cpu,a=1,b=2", 1)] {
        let mut stream = Stream::new(ContextId(context));
        let series = ingest.writer(&mut stream).define(key, &mut turned).unwrap();
        assert_eq!(ingest.table.key(series.key).series, first);
    }
    let refused = ingest.writer(&mut stream).define(b"mem", &mut labels("mem"));
    assert_eq!(refused, Err(Refusal::SeriesLimit { limit: 1 }));
    assert_eq!(ingest.table().series_count(), 1);
    // After a rotation, too, and before the table is let go in which it was.
    ingest.rotate();
    assert_eq!(push(&mut ingest.writer(&mut stream), "mem", 1), Err(Refusal::SeriesLimit { limit: 1 }));
    ingest.writer(&mut stream).define(b"cpu, b=2,a=1", &mut turned).unwrap();
    assert_eq!(push(&mut ingest.writer(&mut stream), "disk", 1), Err(Refusal::SeriesLimit { limit: 1 }));
}

#[test]
fn after_a_rotation_who_still_sends_keeps_its_place_and_who_does_not_makes_room() {
    let mut ingest = ingest(2);
    let mut stream = Stream::new(ContextId(0));
    let epoch = ingest.writer(&mut stream).epoch();
    push(&mut ingest.writer(&mut stream), "a", 0).unwrap();
    push(&mut ingest.writer(&mut stream), "b", 0).unwrap();
    ingest.seal().unwrap();
    ingest.end_batch();
    let old = ingest.rotate();
    assert_eq!((old.series_count(), ingest.limits.series.used.value()), (2, 2));
    let mut writer = ingest.writer(&mut stream);
    assert_ne!(writer.epoch(), epoch);
    assert!(writer.predicted().is_empty());
    let promoted = writer.find(b"b").expect("promoted without being parsed");
    writer.push(promoted, promoted.shape, 1, &[0], &[]).unwrap();
    assert_eq!(push(&mut writer, "c", 1), Err(Refusal::SeriesLimit { limit: 2 }), "a may come again");
    // A known series of the old generation is promoted even over the limit: existing series go on.
    ingest.limits.series.max.set(1);
    push(&mut ingest.writer(&mut stream), "a", 1).unwrap();
    assert_eq!((ingest.table().series_count(), ingest.limits.series.used.value()), (2, 2));
    ingest.limits.series.max.set(2);
    ingest.seal().unwrap();
    ingest.end_batch();
    // Of two in the table before one comes again before it is let go.
    ingest.rotate();
    push(&mut ingest.writer(&mut stream), "a", 2).unwrap();
    ingest.forget_previous();
    assert_eq!(ingest.limits.series.used.value(), 1);
    push(&mut ingest.writer(&mut stream), "c", 2).unwrap();
    assert_eq!(push(&mut ingest.writer(&mut stream), "b", 2), Err(Refusal::SeriesLimit { limit: 2 }));
    let used = ingest.limits.series.used.clone();
    drop(ingest);
    assert_eq!(used.value(), 0, "all places are given back");
}

#[test]
fn numbers_of_shapes_that_come_again_are_remembered_by_nobody() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(0));
    let epoch = ingest.writer(&mut stream).epoch();
    push(&mut ingest.writer(&mut stream), "a", 0).unwrap();
    assert!(ingest.seal().is_some());
    ingest.end_batch();
    assert!(!ingest.shapes().is_running_out());
    ingest.shapes = Shapes::new(KeyHasher::new(1));
    ingest.shapes.skip_to(u32::MAX / 2 + 1);
    assert!(ingest.shapes().is_running_out());
    assert_eq!(ingest.writer(&mut stream).find(b"a").unwrap().shape, ShapeId::NONE);
    ingest.rotate();
    assert!(!ingest.shapes().is_running_out());
    let mut writer = ingest.writer(&mut stream);
    assert_ne!(writer.epoch(), epoch);
    assert_eq!(writer.find(b"a"), None, "a promoted key would bring its number along");
    push(&mut writer, "b", 0).unwrap();
    // A number that is not given yet means nothing either.
    assert!(ingest.shapes().knows(ShapeId(0)) && !ingest.shapes().knows(ShapeId(1)));
    assert!(!ingest.shapes().knows(ShapeId::NONE));
}

#[test]
fn announced_keys_are_found_and_forgotten_ones_too() {
    let mut ingest = ingest(1000);
    let mut stream = Stream::new(ContextId(0));
    let names: Vec<String> = (0..100).map(|i| format!("metric_{i}")).collect();
    let mut writer = ingest.writer(&mut stream);
    names.iter().for_each(|n| assert!(push(&mut writer, n, 0).is_ok()));
    let order: Vec<&String> = (0..100).map(|i| &names[i * 37 % 100]).collect();
    for window in order.chunks(40) {
        // 40 is more than are remembered.
        window.iter().for_each(|n| writer.announce(n.as_bytes()));
        for (i, name) in window.iter().enumerate() {
            if i == 5 {
                // One that was not announced in between: the rest is forgotten, and still found.
                assert!(writer.find(b"metric_0").is_some());
            }
            let series = writer.find(name.as_bytes()).expect("known");
            assert_eq!(writer.ingest.table.key(series.key).bytes, name.as_bytes());
        }
    }
}

#[test]
fn an_announcement_of_bytes_that_changed_since_does_no_harm() {
    let mut ingest = ingest(1000);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    push(&mut writer, "aaaa", 0).unwrap();
    push(&mut writer, "bbbb", 0).unwrap();
    let mut buffer = *b"aaaa";
    writer.announce(&buffer);
    buffer.copy_from_slice(b"bbbb");
    // The stale hash may hide the key; defining it again must find the one that is there.
    let series = match writer.find(&buffer) {
        Some(series) => series,
        None => writer.define(&buffer, &mut labels("bbbb")).unwrap(),
    };
    assert_eq!(writer.ingest.table.key(series.key).bytes, b"bbbb");
    assert_eq!(ingest.table().series_count(), 2);
}

#[test]
fn an_unpredictable_stream_wants_announcements_and_a_regular_one_does_not() {
    let mut ingest = ingest(1000);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    let mut x = 1usize;
    for _ in 0..500 {
        x = (x * 75 + 74) % 65_537;
        push(&mut writer, &format!("m{}", x % 300), 0).unwrap();
    }
    assert!(writer.wants_announcements());
    for i in 0..2000 {
        push(&mut writer, &format!("m{}", i % 100), 0).unwrap();
    }
    assert!(!writer.wants_announcements());
}

#[test]
fn rows_of_unlikely_times_are_counted_and_taken() {
    let mut ingest = ingest(10);
    ingest.expect_times(10, 20);
    let mut stream = Stream::new(ContextId(0));
    let mut writer = ingest.writer(&mut stream);
    for time in [9, 10, 20, 21] {
        push(&mut writer, "a", time).unwrap();
    }
    assert_eq!((ingest.rows_far_off(), ingest.batch().rows()), (2, 4));
}

/// Drops what starts with `d` and gives the rest a label.
#[derive(Default, Debug)]
struct Rules(AtomicUsize);

impl Rewrite for Rules {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        labels.set(b"job", b"x");
        let dropped = labels.value_of(METRIC_NAME).is_some_and(|name| name.starts_with(b"d"));
        if dropped { Verdict::Drop } else { Verdict::Keep }
    }
}

#[test]
fn rules_are_asked_once_for_a_key_and_dropped_rows_are_taken_and_go_nowhere() {
    let mut ingest = ingest(2);
    let mut stream = Stream::new(ContextId(0));
    let rules = Rules::default();
    for round in 0..3 {
        let mut writer = ingest.writer(&mut stream).rewriting(Some(&rules));
        let hits: Vec<_> = ["a", "d1", "d2", "b"].map(|n| push(&mut writer, n, round).unwrap()).into();
        assert_eq!(hits[1..], [round > 0; 3], "round {round}: dropped series are predicted, too");
    }
    assert_eq!(rules.0.load(Ordering::Relaxed), 4);
    // The limit of two series is not touched by what is dropped.
    assert_eq!((ingest.batch().rows(), ingest.rows_dropped(), ingest.table().series_count()), (6, 6, 2));
    let dictionary = ingest.table().dictionary();
    let labels: Vec<_> = dictionary.series_labels(SeriesId(1)).map(|(_, v)| dictionary.symbol(v)).collect();
    assert_eq!(labels, [&b"b"[..], b"x"]);
    assert!(ingest.seal().is_some());
}

#[test]
fn what_was_dropped_is_still_dropped_after_a_rotation_without_asking_again() {
    let mut ingest = ingest(10);
    let mut stream = Stream::new(ContextId(3));
    let rules = Rules::default();
    push(&mut ingest.writer(&mut stream).rewriting(Some(&rules)), "d", 1).unwrap();
    assert!(ingest.table().has_keys() && ingest.table().series_count() == 0);
    ingest.rotate();
    push(&mut ingest.writer(&mut stream).rewriting(Some(&rules)), "d", 2).unwrap();
    assert_eq!((rules.0.load(Ordering::Relaxed), ingest.rows_dropped(), ingest.batch().rows()), (1, 2, 0));
    // Another context asks its own rules, or has none.
    push(&mut ingest.writer(&mut Stream::new(ContextId(4))), "d", 3).unwrap();
    assert_eq!((rules.0.load(Ordering::Relaxed), ingest.batch().rows()), (1, 1));
}

#[test]
fn values_of_known_series_are_the_rows_pushed_one_by_one() {
    let taken = |at_once: bool| {
        let series = SeriesBudget::new(100);
        let mut ingest =
            Ingest::new(KeyHasher::new(1), IngestLimits { series, time_min_ns: 2, time_max_ns: 9 });
        let mut stream = Stream::new(ContextId(0));
        ["a", "b", "c"].iter().for_each(|name| _ = push(&mut ingest.writer(&mut stream), name, 3).unwrap());
        ingest.end_batch();
        ingest.rotate();
        let mut writer = ingest.writer(&mut stream);
        let rows = ["c", "a", "b", "a"].map(|name| {
            let series = writer.find(name.as_bytes()).unwrap();
            let identity = writer.identity(series).unwrap();
            ValueRow { key: series.key, identity, value_bits: u64::from(name.as_bytes()[0]) }
        });
        let found = writer.find(b"a").unwrap();
        let shape = writer.define_shape(found, &VALUE).unwrap();
        for time_ns in [1, 2, 9, 10] {
            let taken = match at_once {
                true => writer.push_values(shape, time_ns, &rows),
                false => rows.iter().fold(0, |taken, row| {
                    let series = Series { key: row.key, shape };
                    writer.push(series, shape, time_ns, &[row.value_bits], &[]).unwrap();
                    taken + 1
                }),
            };
            assert_eq!(taken, rows.len());
        }
        assert!(ingest.seal().is_some(), "the shape is known to be used");
        let fields = ingest.shapes().symbols(shape).fields.len();
        let batch = ingest.batch();
        let row = |i| {
            let row = batch.row(i);
            (row.series, row.shape, row.time_ns, row.values.to_vec())
        };
        let rows: Vec<_> = (0..batch.rows()).map(row).collect();
        (rows, ingest.rows_far_off(), ingest.promote_rows_left, fields)
    };
    let (at_once, singly) = (taken(true), taken(false));
    assert_eq!(at_once, singly);
    assert_eq!((singly.0.len(), singly.1, singly.3), (16, 8, 1));
}

#[test]
fn a_batch_that_defines_enough_takes_no_values() {
    let mut ingest = ingest(100);
    let mut stream = Stream::new(ContextId(0));
    push(&mut ingest.writer(&mut stream), "a", 1).unwrap();
    ingest.define_bytes = DEFINE_BYTES_MAX + 1;
    let mut writer = ingest.writer(&mut stream);
    let series = writer.find(b"a").unwrap();
    let row = ValueRow { key: series.key, identity: writer.identity(series).unwrap(), value_bits: 1 };
    assert_eq!(writer.push_values(series.shape, 2, &[row]), 0);
    ingest.end_batch();
    assert_eq!(ingest.writer(&mut stream).push_values(series.shape, 2, &[row]), 1);
}
