//! The short ways into a batch leave behind what the long one does.

use proptest::prelude::*;

use super::*;
use crate::ingest::ContextId;
use crate::model::{FieldType, Intake, METRIC_NAME, Rewrite, Verdict};

/// Drops the series `b`.
#[derive(Debug)]
struct WithoutB;

impl Rewrite for WithoutB {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        if labels.iter().any(|(_, value)| value == b"b") { Verdict::Drop } else { Verdict::Keep }
    }
}

/// Times from -9 to 9 are as expected; a batch has room for some of the rows.
fn ingest(rows_max: usize) -> Ingest {
    let limits = IngestLimits { series: SeriesBudget::new(100), time_min_ns: -9, time_max_ns: 9 };
    let mut ingest = Ingest::new(KeyHasher::new(1), limits);
    ingest.swap_batch(&mut Batch::bounded(rows_max, 1 << 20));
    ingest
}

/// Rows of a series.
#[derive(Clone, Debug)]
struct Run {
    key: &'static [u8],
    kind: FieldType,
    times_ns: Vec<i64>,
    rotate: bool,
}

fn run() -> impl Strategy<Value = Run> {
    let keys = [&b"a"[..], b"b", b"c", b"d"];
    let kind = prop_oneof![5 => Just(FieldType::F64), 1 => Just(FieldType::I64)];
    let times_ns = proptest::collection::vec(-12i64..12, 1..6);
    (0usize..6, kind, times_ns, proptest::bool::weighted(0.05)).prop_map(
        move |(key, kind, times_ns, rotate)| {
            // In order more often than not, so that there is something to predict.
            Run { key: keys.get(key).copied().unwrap_or(b"a"), kind, times_ns, rotate }
        },
    )
}

/// Takes the rows of a run as far as there is room: how many.
fn take(writer: &mut Writer<'_>, run: &Run, last: &mut [ShapeId; 2], short: bool) -> usize {
    let words: Vec<u64> = run.times_ns.iter().map(|&time_ns| time_ns as u64 ^ 7).collect();
    let slot = usize::from(run.kind == FieldType::I64);
    if short && *run.key == *writer.predicted() {
        let pushed = writer.push_predicted(last[slot], run.times_ns[0], words[0]);
        if let Some(pushed) = pushed {
            // The further ones say nothing of what follows, whichever way they go.
            return usize::from(pushed.is_ok());
        }
    }
    let series = if *run.key == *writer.predicted() {
        writer.confirm()
    } else {
        writer.find(run.key).unwrap_or_else(|| {
            let mut labels = LabelsBuf::default();
            labels.push(METRIC_NAME, run.key);
            writer.define(run.key, &mut labels).unwrap()
        })
    };
    let field = FieldText { text: b"value", name: b"value", kind: run.kind };
    let shape = writer.define_shape(series, &[field]).unwrap();
    last[slot] = shape;
    if short {
        return writer.push_column(series, shape, &run.times_ns, &words);
    }
    let mut rows = run.times_ns.iter().zip(&words);
    rows.position(|(&time_ns, word)| writer.push(series, shape, time_ns, &[*word], &[]).is_err())
        .unwrap_or(run.times_ns.len())
}

#[test]
fn a_predicted_row_goes_the_short_way() {
    let mut ingest = ingest(9);
    let mut stream = Stream::new(ContextId::default());
    let mut last = [ShapeId::NONE; 2];
    let mut writer = ingest.writer(&mut stream);
    let row = |key| Run { key, kind: FieldType::F64, times_ns: vec![1], rotate: false };
    for key in [&b"a"[..], b"c", b"a"] {
        assert_eq!(take(&mut writer, &row(key), &mut last, false), 1);
    }
    assert_eq!(writer.predicted(), b"c");
    assert_eq!(writer.push_predicted(last[0], 2, 7), Some(Ok(())));
    assert_eq!(writer.predicted(), b"a");
    assert_eq!(ingest.batch().rows(), 4);
}

proptest! {
    #[test]
    fn the_short_ways_leave_what_the_long_one_leaves(
        runs in proptest::collection::vec(run(), 0..40), rows_max in 1usize..60, rewrites: bool,
    ) {
        let (mut short, mut long) = (ingest(rows_max), ingest(rows_max));
        let mut streams = [Stream::new(ContextId(0)), Stream::new(ContextId(0))];
        let mut shapes = [[ShapeId::NONE; 2]; 2];
        let rewrite = rewrites.then_some(&WithoutB as &dyn Rewrite);
        for mut run in runs {
            if run.rotate {
                for ingest in [&mut short, &mut long] {
                    ingest.seal().unwrap();
                    ingest.end_batch();
                    ingest.rotate();
                }
                shapes = [[ShapeId::NONE; 2]; 2];
            }
            let taken = take(&mut short.writer(&mut streams[0]).rewriting(rewrite), &run, &mut shapes[0], true);
            if taken == 1 {
                run.times_ns.truncate(1);
            }
            let same = take(&mut long.writer(&mut streams[1]).rewriting(rewrite), &run, &mut shapes[1], false);
            prop_assert_eq!(taken, same);
            let rows = |ingest: &Ingest| -> Vec<_> {
                let row = |i| {
                    let row = ingest.batch().row(i);
                    (row.series, row.shape, row.time_ns, row.values.to_vec())
                };
                (0..ingest.batch().rows()).map(row).collect()
            };
            prop_assert_eq!(rows(&short), rows(&long));
            prop_assert_eq!(short.batch().time_range(), long.batch().time_range());
            prop_assert_eq!(short.rows_far_off(), long.rows_far_off());
            prop_assert_eq!(short.rows_dropped(), long.rows_dropped());
            prop_assert_eq!(short.promote_rows_left, long.promote_rows_left);
            let state = |stream: &Stream| (stream.previous, stream.expected, stream.misses, stream.generation);
            prop_assert_eq!(state(&streams[0]), state(&streams[1]));
        }
    }
}
