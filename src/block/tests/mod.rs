//! Whole blocks: what goes in comes out.

#[allow(unreachable_pub, dead_code, reason = "integration tests and benches include it too")]
mod segment;

use proptest::prelude::*;

use super::{DecodeError, Encoder, Part, Table};
use crate::bytes::AlignedBuf;
use crate::model::{BATCH_ROWS_MAX, BLOCK_ALIGN, BlockHeader, HEADER_LEN, MetricType, crc32c};
use segment::{Known, Plain, PlainExemplar, PlainMetadata, PlainRow, Segment, read_block, read_side};

/// Rows by series, in order of arrival within each: the order that a block keeps.
fn by_series(mut rows: Vec<PlainRow>) -> Vec<PlainRow> {
    for row in &mut rows {
        row.fields.sort();
    }
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    rows
}

/// Rows of one series that are in one table keep their order; a series with rows of several shapes may be in
/// several tables, so only (series, field names) is compared in order.
fn by_series_and_fields(rows: Vec<PlainRow>) -> Vec<PlainRow> {
    let mut rows = by_series(rows);
    let names = |r: &PlainRow| r.fields.iter().map(|(n, v)| (n.clone(), v.kind())).collect::<Vec<_>>();
    let shape = |r: &PlainRow| (names(r), r.start_ns.is_some());
    rows.sort_by(|a, b| a.labels.cmp(&b.labels).then_with(|| shape(a).cmp(&shape(b))));
    rows
}

fn round_trip(blocks: &[Vec<PlainRow>]) {
    let mut segment = Segment::default();
    let mut encoder = Encoder::new();
    let mut out = AlignedBuf::new();
    for rows in blocks {
        rows.iter().for_each(|row| segment.push(row));
        segment.seal(&mut encoder, &mut out);
    }
    let mut known = Known::default();
    let mut at = 0;
    for rows in blocks {
        let (read, len) = read_block(&out[at..], &mut known).unwrap();
        let (read, written) = (by_series_and_fields(read), by_series_and_fields(rows.clone()));
        let differs = read.iter().zip(&written).position(|(r, w)| r != w);
        assert_eq!(differs.map(|i| (&read[i], &written[i])), None);
        assert_eq!(read.len(), written.len());
        at += len;
    }
    assert_eq!(at, out.len());
}

fn plain() -> impl Strategy<Value = Plain> {
    let bytes = || prop_oneof![Just(b"up".to_vec()), prop::collection::vec(any::<u8>(), 0..20)];
    prop_oneof![
        any::<u64>().prop_map(Plain::F64),
        (-100_000i64..100_000, 0u32..5).prop_map(|(d, e)| Plain::f64(d as f64 / 10f64.powi(e as i32))),
        prop_oneof![Just(-0.0), Just(f64::INFINITY), Just(f64::MIN_POSITIVE), Just(9e15)]
            .prop_map(Plain::f64),
        any::<i64>().prop_map(Plain::I64),
        (-5i64..5).prop_map(Plain::I64),
        any::<u64>().prop_map(Plain::U64),
        any::<bool>().prop_map(Plain::Bool),
        bytes().prop_map(Plain::String),
        bytes().prop_map(Plain::Bytes),
        Just(Plain::Null),
        bytes().prop_map(Plain::Nested),
        bytes().prop_map(Plain::Histogram),
    ]
}

fn row() -> impl Strategy<Value = PlainRow> {
    let labels = (0u8..3, 0u8..12, any::<bool>()).prop_map(|(metric, host, region)| {
        let mut labels = vec![(b"__name__".to_vec(), vec![b'm', b'0' + metric])];
        labels.push((b"host".to_vec(), vec![b'a' + host]));
        if region {
            labels.push((b"region".to_vec(), b"eu".to_vec()));
        }
        labels
    });
    let time = prop_oneof![any::<i64>(), (0i64..1000).prop_map(|t| t * 1_000_000_000)];
    let start = prop_oneof![3 => Just(None), 1 => any::<i64>().prop_map(Some), 1 => Just(Some(77))];
    let fields = prop::collection::btree_map((0u8..6).prop_map(|n| vec![b'f', b'0' + n]), plain(), 1..5);
    (labels, time, start, fields).prop_map(|(labels, time_ns, start_ns, fields)| PlainRow {
        labels,
        time_ns,
        start_ns,
        fields: fields.into_iter().collect(),
    })
}

/// What is said beside rows.
type Side = (Vec<PlainExemplar>, Vec<PlainMetadata>);

fn side() -> impl Strategy<Value = Side> {
    let text = || prop_oneof![Just(b"same".to_vec()), prop::collection::vec(any::<u8>(), 0..12)];
    let labels = || prop::collection::vec((text(), text()), 0..3);
    let series = (0u8..9).prop_map(|host| vec![(b"host".to_vec(), vec![b'a' + host])]);
    let exemplar = (series, text(), any::<i64>(), any::<u64>(), labels()).prop_map(
        |(series, field, time_ns, value_bits, labels)| PlainExemplar {
            series,
            field,
            time_ns,
            value_bits,
            labels,
        },
    );
    let kind = (0u64..8).prop_map(|number| MetricType::from_number(number).unwrap());
    let metadata = (text(), kind, text(), text()).prop_map(|(name, kind, unit, help)| PlainMetadata {
        name,
        kind,
        unit,
        help,
    });
    (prop::collection::vec(exemplar, 0..30), prop::collection::vec(metadata, 0..30))
}

fn push_side(segment: &mut Segment, (exemplars, metadata): &Side) {
    exemplars.iter().for_each(|exemplar| segment.push_exemplar(exemplar));
    metadata.iter().for_each(|metadata| segment.push_metadata(metadata));
}

proptest! {
    #[test]
    fn side_records_come_back_beside_rows_and_alone(
        blocks in prop::collection::vec((prop::collection::vec(row(), 0..20), side()), 1..4),
    ) {
        let (mut segment, mut encoder, mut known) = (Segment::default(), Encoder::new(), Known::default());
        for (rows, side) in blocks {
            rows.iter().for_each(|row| segment.push(row));
            push_side(&mut segment, &side);
            if segment.batch.is_empty() {
                continue;
            }
            let mut out = AlignedBuf::new();
            segment.seal(&mut encoder, &mut out);
            let (read, _) = read_block(&out, &mut known).unwrap();
            prop_assert_eq!(by_series_and_fields(read), by_series_and_fields(rows.clone()));
            let (exemplars, metadata) = read_side(&out, &known).unwrap();
            // By field, and in order of arrival within one.
            let by_field = |mut exemplars: Vec<PlainExemplar>| {
                exemplars.sort_by(|a, b| a.field.cmp(&b.field));
                exemplars
            };
            prop_assert_eq!(by_field(exemplars), by_field(side.0.clone()));
            prop_assert_eq!(metadata, side.1);
            let times = rows.iter().map(|row| row.time_ns).chain(side.0.iter().map(|e| e.time_ns));
            let header = BlockHeader::decode(&out).unwrap();
            prop_assert_eq!(header.rows as usize, rows.len());
            prop_assert_eq!(header.time_min_ns, times.clone().min().unwrap_or(i64::MAX));
            prop_assert_eq!(header.time_max_ns, times.max().unwrap_or(i64::MIN));
        }
    }

    #[test]
    fn rows_of_all_kinds_come_back(blocks in prop::collection::vec(prop::collection::vec(row(), 1..60), 1..4)) {
        round_trip(&blocks);
    }

    #[test]
    fn columns_of_many_rows_come_back(
        hosts in 1usize..300,
        rows in 1usize..2000,
        digits in 0i32..18,
        step in prop_oneof![Just(0i64), Just(10_000_000_000), 1i64..1000],
        odd in any::<u64>(),
    ) {
        let mut state = odd | 1;
        let mut random = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
        let block = (0..rows).map(|i| {
            let host = format!("h{}", random() as usize % hosts);
            let float = (random() % 1_000_000) as f64 / 10f64.powi(digits);
            let float = if random() % 50 == 0 { f64::from_bits(odd) } else { float };
            PlainRow::new(&[("__name__", "cpu"), ("host", &host)], i as i64 * step, &[
                ("f", Plain::f64(float)),
                ("i", Plain::I64((random() % 100) as i64)),
                ("s", Plain::String(format!("state {}", random() % 9).into())),
                ("t", Plain::Bool(random() % 3 == 0)),
                ("u", Plain::U64(odd.wrapping_mul(i as u64))),
            ])
        }).collect();
        round_trip(&[block]);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = super::decode_dictionary(&bytes).map(|d| d.for_each(|_| Ok::<_, DecodeError>(())));
        let _ = super::decode_footer(&bytes);
        let mut header = segment::example_header();
        header.rows = 3;
        header.samples = 3;
        let _ = super::decode_rows(&header, &bytes).map(|r| r.for_each_table(|_| Ok::<_, DecodeError>(())));
    }

    #[test]
    fn changed_blocks_never_panic(
        rows in prop::collection::vec(row(), 1..40),
        side in side(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut segment = Segment::default();
        rows.iter().for_each(|row| segment.push(row));
        push_side(&mut segment, &side);
        let mut out = AlignedBuf::new();
        segment.seal(&mut Encoder::new(), &mut out);
        let mut header = BlockHeader::decode(&out).unwrap();
        let content = header.content_len();
        for (at, byte) in changes {
            out[HEADER_LEN + at.index(content - HEADER_LEN)] = byte;
        }
        let payload = HEADER_LEN + header.dictionary_len as usize;
        header.dictionary_crc = crc32c(&out[HEADER_LEN..payload]);
        header.payload_crc = crc32c(&out[payload..content]);
        let _ = super::decode_dictionary(&out[HEADER_LEN..payload]).map(|d| d.for_each(|_| Ok::<_, DecodeError>(())));
        let rows = super::decode_rows(&header, &out[payload..content]);
        let Ok(rows) = rows else { return Ok(()) };
        let walk = |table: &Table<'_>| {
            let mut walk = table.rows();
            while let Some(row) = walk.next() {
                std::hint::black_box((row.values().count(), row.start_time_ns));
            }
            Ok::<_, DecodeError>(())
        };
        let _ = rows.for_each_table(walk);
        let _ = rows.for_each_part(|part| match part {
            Part::Rows(table) => walk(table),
            Part::Exemplars(exemplars) => {
                let labels = (0..exemplars.table.series.len()).map(|at| exemplars.labels(at).iter().count());
                std::hint::black_box(labels.sum::<usize>());
                walk(&exemplars.table)
            }
            Part::Metadata(table) => {
                let texts = (0..table.names.len()).map(|at| table.unit(at).len() + table.help(at).len());
                std::hint::black_box(texts.sum::<usize>());
                Ok(())
            }
        });
    }
}

#[test]
fn a_small_block_is_one_page() {
    let row = PlainRow::new(&[("__name__", "cpu"), ("host", "a")], 5, &[("v", Plain::I64(1))]);
    let mut segment = Segment::default();
    segment.push(&row);
    let mut out = AlignedBuf::new();
    let stats = segment.seal(&mut Encoder::new(), &mut out);
    assert_eq!((stats.block_len, out.len()), (BLOCK_ALIGN, BLOCK_ALIGN));
    assert_eq!(read_block(&out, &mut Known::default()).unwrap().0, [row]);
}

/// The arithmetic in `limits.rs` counts on this.
#[test]
fn descriptors_are_bounded() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let name = |i: usize| format!("{i}");
    let alone = |i: usize, random: &mut dyn FnMut() -> u64| {
        let fields = [(&*name(i), Plain::F64(random()))];
        PlainRow::new(&[("__name__", "m"), ("host", &name(i))], random() as i64, &fields)
    };
    let rows_of_one: Vec<_> = (0..20_000).map(|i| alone(i, &mut random)).collect();
    let names: Vec<String> = (0..30_000).map(name).collect();
    let wide = |random: &mut dyn FnMut() -> u64| {
        let fields: Vec<_> = names.iter().map(|n| (n.as_str(), Plain::I64(random() as i64))).collect();
        PlainRow::new(&[("__name__", "m"), ("host", &name(random() as usize))], random() as i64, &fields)
    };
    let one_wide = vec![wide(&mut random)];
    let two_wide = vec![wide(&mut random), wide(&mut random)];
    // Exemplars of a field each, as many as a batch takes.
    let exemplar = |i: usize| PlainExemplar {
        series: vec![(b"host".to_vec(), name(i).into_bytes())],
        field: name(i).into_bytes(),
        time_ns: i as i64 * 0x1234_5678_9abc,
        value_bits: (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        labels: Vec::new(),
    };
    let exemplars_of = |count| (0..BATCH_ROWS_MAX / 2).take(count).map(exemplar);
    for (rows, exemplars) in [(rows_of_one, 0), (one_wide, 0), (two_wide, 0), (Vec::new(), usize::MAX)] {
        let mut segment = Segment::default();
        rows.iter().for_each(|row| segment.push(row));
        exemplars_of(exemplars).for_each(|exemplar| segment.push_exemplar(&exemplar));
        let batch = segment.batch.bytes();
        let mut out = AlignedBuf::new();
        segment.seal(&mut Encoder::new(), &mut out);
        let header = BlockHeader::decode(&out).unwrap();
        let payload = HEADER_LEN + header.dictionary_len as usize;
        let directory = u32::from_le_bytes(out[payload + 4..payload + 8].try_into().unwrap()) as usize;
        assert!(directory <= super::limits::DIRECTORY_GROWTH * batch, "{directory} bytes for {batch}");
    }
}

#[test]
fn metrics_with_little_in_common_are_split_by_shape() {
    let row = |i: usize| {
        let names: Vec<String> = (0..3).map(|f| format!("f{i}_{f}")).collect();
        let fields: Vec<_> = names.iter().map(|n| (n.as_str(), Plain::I64(i as i64))).collect();
        PlainRow::new(&[("__name__", "m")], i as i64, &fields)
    };
    let rows: Vec<PlainRow> = (0..20).map(row).collect();
    let mut segment = Segment::default();
    rows.iter().for_each(|row| segment.push(row));
    let stats = segment.encode(&mut Encoder::new(), &mut AlignedBuf::new());
    assert_eq!(stats.tables, 20);
    round_trip(&[rows]);
}

#[test]
fn a_start_time_is_no_field_and_keeps_rows_in_their_table() {
    let row = |metric: &str, fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|&f| (f, Plain::f64(0.5))).collect();
        PlainRow::new(&[("__name__", metric)], 1, &fields)
    };
    let rows = [
        row("a", &["value"]),
        row("b", &["value"]).since(5),
        row("c", &["x", "y"]).since(i64::MAX),
        row("c", &["x", "y"]),
    ];
    let mut segment = Segment::default();
    rows.iter().for_each(|row| segment.push(row));
    let mut out = AlignedBuf::new();
    let stats = segment.encode(&mut Encoder::new(), &mut out);
    assert_eq!((stats.tables, BlockHeader::decode(&out).unwrap().samples), (2, 6));
    round_trip(&[rows.to_vec()]);
}

#[test]
fn single_values_share_a_table_across_names_and_wide_rows_one_by_name() {
    let row = |metric: &str, fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|&f| (f, Plain::f64(0.5))).collect();
        PlainRow::new(&[("__name__", metric)], 1, &fields)
    };
    let mut segment = Segment::default();
    for row in [row("a", &["value"]), row("b", &["value"]), row("c", &["x", "y"]), row("c", &["x", "y", "z"])]
    {
        segment.push(&row);
    }
    let stats = segment.encode(&mut Encoder::new(), &mut AlignedBuf::new());
    assert_eq!(stats.tables, 2);
}
