//! Rows through parcels, compared with rows that nobody packed: whatever rotates on either side, and wherever a worker
//! has no room.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ingest::{
    FieldValue, IngestLimits, KeyHasher, NotPushed, Packer, Registry, SeriesBudget, SeriesHandle,
};
use crate::model::{BATCH_ROWS_MAX, Batch, Exemplar, FieldType, Intake, Metadata, MetricType, heap_place};

/// A row as its author thinks of it.
#[derive(Clone, PartialEq, Debug)]
struct Plain {
    host: u8,
    time_ns: i64,
    /// Nothing: a sample whose value is the time.
    fields: Vec<(usize, Kind, u8)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    F64,
    I64,
    Bool,
    String,
    Bytes,
}

#[derive(Clone, Debug)]
enum Step {
    Push(Plain),
    HandOver,
    /// The worker's batch becomes a block.
    EndBatch,
    /// So does it, and its segment ends.
    Rotate,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const TEXT: &str = "0123456789";

fn budget() -> SeriesBudget {
    SeriesBudget::new(1000)
}

fn ingest(budget: &SeriesBudget) -> Ingest {
    let limits = IngestLimits { series: budget.clone(), time_min_ns: i64::MIN, time_max_ns: i64::MAX };
    Ingest::new(KeyHasher::new(1), limits)
}

fn registry(budget: &SeriesBudget) -> Arc<Registry> {
    Arc::new(Registry::new(budget, 1))
}

fn register(registry: &Registry, labels: &[(&str, &str)]) -> SeriesHandle {
    let mut buf = LabelsBuf::default();
    labels.iter().for_each(|(name, value)| buf.push(name.as_bytes(), value.as_bytes()));
    registry.register(&mut buf).unwrap()
}

fn packer(budget: &SeriesBudget) -> Packer {
    Packer::new(registry(budget), KeyHasher::new(1), budget)
}

impl Plain {
    fn series(&self, registry: &Registry) -> SeriesHandle {
        let host = self.host.to_string();
        register(registry, &[("host", &host), ("__name__", ["x", "y"][self.host as usize % 2])])
    }

    fn push(&self, packer: &mut Packer, parcel: &mut Parcel) -> Result<(), NotPushed> {
        let series = self.series(packer.registry());
        let value = |&(name, kind, v): &(usize, Kind, u8)| {
            let text = &TEXT[..v as usize % TEXT.len()];
            let value = match kind {
                Kind::F64 => FieldValue::F64(f64::from(v)),
                Kind::I64 => FieldValue::I64(i64::from(v)),
                Kind::Bool => FieldValue::Bool(v % 2 == 0),
                Kind::String => FieldValue::String(text),
                Kind::Bytes => FieldValue::Bytes(text.as_bytes()),
            };
            (NAMES[name], value)
        };
        let fields: Vec<_> = self.fields.iter().map(value).collect();
        match fields.is_empty() {
            true => packer.push_value(parcel, series, self.time_ns, self.time_ns as f64),
            false => packer.push_fields(parcel, series, self.time_ns, &fields),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{} host={} {}", ["x", "y"][self.host as usize % 2], self.host, self.time_ns);
        if self.fields.is_empty() {
            text += &format!(" value=F64 {:x}", (self.time_ns as f64).to_bits());
        }
        for &(name, kind, v) in &self.fields {
            let string = &TEXT[..v as usize % TEXT.len()];
            text += &match kind {
                Kind::F64 => format!(" {}=F64 {:x}", NAMES[name], f64::from(v).to_bits()),
                Kind::I64 => format!(" {}=I64 {v:x}", NAMES[name]),
                Kind::Bool => format!(" {}=Bool {:x}", NAMES[name], u8::from(v % 2 == 0)),
                Kind::String | Kind::Bytes => format!(" {}={kind:?} {string}", NAMES[name]),
            };
        }
        text
    }
}

/// The rows of a worker's batch.
fn texts(ingest: &Ingest) -> Vec<String> {
    let (batch, dictionary): (&Batch, _) = (ingest.batch(), ingest.table().dictionary());
    let text = |id| String::from_utf8_lossy(dictionary.symbol(id)).into_owned();
    let row = |i| {
        let row = batch.row(i);
        let labels: Vec<_> = dictionary.series_labels(row.series).map(|(n, v)| (text(n), text(v))).collect();
        assert_eq!((&labels[0].0[..], &labels[1].0[..]), ("__name__", "host"));
        let mut out = format!("{} host={} {}", labels[0].1, labels[1].1, row.time_ns);
        for (field, &word) in ingest.shapes().shape(row.shape).fields.iter().zip(row.values) {
            let name = String::from_utf8_lossy(&field.name);
            let (start, len) = heap_place(word);
            out += &match field.kind {
                FieldType::String | FieldType::Bytes => {
                    let value = String::from_utf8_lossy(&batch.heap()[start..start + len]);
                    format!(" {name}={:?} {value}", field.kind)
                }
                kind => format!(" {name}={kind:?} {word:x}"),
            };
        }
        out
    };
    (0..batch.rows()).map(row).collect()
}

/// Takes a parcel in, in as many goes as it takes; gives the rows of blocks that were sealed on the way.
fn take_in(worker: &mut Ingest, guest: &mut Guest, parcel: &Parcel) -> Vec<String> {
    guest.learn(parcel);
    let (mut from, mut sealed) = (0, Vec::new());
    loop {
        let taken = worker.take_in(guest, parcel, from);
        assert_eq!(taken.refused, 0);
        from = taken.upto;
        if from == parcel.batch().rows() {
            return sealed;
        }
        sealed.extend(texts(worker));
        worker.end_batch();
    }
}

fn row() -> impl Strategy<Value = Plain> {
    let kind = prop_oneof![
        Just(Kind::F64),
        Just(Kind::I64),
        Just(Kind::Bool),
        Just(Kind::String),
        Just(Kind::Bytes)
    ];
    let fields = prop::collection::btree_map(0usize..3, (kind, any::<u8>()), 0..=3);
    (0u8..6, -1000i64..1000, fields).prop_map(|(host, time_ns, fields)| Plain {
        host,
        time_ns,
        fields: fields.into_iter().map(|(name, (kind, v))| (name, kind, v)).collect(),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => row().prop_map(Step::Push),
        2 => Just(Step::HandOver),
        1 => Just(Step::EndBatch),
        1 => Just(Step::Rotate),
    ]
}

proptest! {
    #[test]
    fn rows_that_went_in_parcels_are_the_rows_that_were_pushed(
        steps in prop::collection::vec((any::<bool>(), step()), 1..80),
    ) {
        let budget = budget();
        let mut worker = ingest(&budget);
        let registry = registry(&budget);
        worker.know(Arc::clone(&registry));
        let mut sides = [1, 2].map(|_| {
            let mut packer = Packer::new(Arc::clone(&registry), KeyHasher::new(1), &budget);
            let mut parcel = Parcel::default();
            packer.start(&mut parcel);
            (packer, parcel, Guest::default())
        });
        let (mut pushed, mut waiting, mut arrived) = (Vec::new(), [Vec::new(), Vec::new()], Vec::new());
        let ends = [(false, Step::HandOver), (true, Step::HandOver), (true, Step::EndBatch)];
        for (side, step) in steps.into_iter().chain(ends) {
            let (packer, parcel, guest) = &mut sides[usize::from(side)];
            match step {
                Step::Push(row) => {
                    row.push(packer, parcel).unwrap();
                    // As after each call of a writer.
                    packer.pack(parcel);
                    waiting[usize::from(side)].push(row.text());
                }
                Step::HandOver => {
                    pushed.append(&mut waiting[usize::from(side)]);
                    arrived.extend(take_in(&mut worker, guest, parcel));
                    packer.start(parcel);
                }
                Step::EndBatch | Step::Rotate => {
                    arrived.extend(texts(&worker));
                    worker.end_batch();
                    if let Step::Rotate = step {
                        // The packer's table may end at any time, too.
                        worker.rotate();
                        if parcel.batch().is_empty() {
                            packer.start_generation();
                            packer.start(parcel);
                        }
                    }
                }
            }
        }
        prop_assert_eq!(arrived, pushed);
        let registered = registry.series() as u64;
        prop_assert_eq!(budget.used.value(), registered, "a registered series has one place, and needs no other");
        drop(worker);
        prop_assert_eq!(budget.used.value(), registered);
    }
}

#[test]
fn a_parcel_that_a_batch_has_no_room_for_goes_into_several() {
    let budget = budget();
    let (mut worker, mut guest) = (ingest(&budget), Guest::default());
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    let (mut time_ns, mut sealed) = (0, Vec::new());
    while sealed.is_empty() {
        packer.start(&mut parcel);
        let row = |time_ns| Plain { host: 1, time_ns, fields: Vec::new() };
        while row(time_ns).push(&mut packer, &mut parcel) == Ok(()) {
            time_ns += 1;
        }
        assert!(parcel.is_full());
        packer.pack(&mut parcel);
        sealed = take_in(&mut worker, &mut guest, &parcel);
        // One row more, so that the batch's end falls into a parcel.
        if time_ns == crate::ingest::PARCEL_ROWS_MAX as i64 {
            let extra = Plain { host: 1, time_ns: -1, fields: Vec::new() };
            packer.start(&mut parcel);
            extra.push(&mut packer, &mut parcel).unwrap();
            packer.pack(&mut parcel);
            take_in(&mut worker, &mut guest, &parcel);
        }
    }
    assert_eq!(sealed.len(), BATCH_ROWS_MAX);
    assert_eq!(worker.batch().rows() as i64, time_ns + 1 - BATCH_ROWS_MAX as i64);
}

#[test]
fn start_times_go_in_parcels_and_need_no_name() {
    let budget = budget();
    let (mut worker, mut guest) = (ingest(&budget), Guest::default());
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    packer.start(&mut parcel);
    packer.fill(&mut parcel, LIBRARY, |intake| {
        let mut labels = LabelsBuf::default();
        labels.push(b"__name__", b"requests");
        labels.push(b"host", b"a");
        let series = intake.define(b"requests", &mut labels).unwrap();
        let value = FieldText { text: b"value", name: b"value", kind: FieldType::F64 };
        let start = FieldText { text: b"", name: b"", kind: FieldType::StartTime };
        let with = intake.define_shape(series, &[value, start]).unwrap();
        intake.push(series, with, 7, &[3, 5], &[]).unwrap();
        let without = intake.define_shape(series, &[value]).unwrap();
        intake.push(series, without, 8, &[4], &[]).unwrap();
    });
    packer.pack(&mut parcel);
    assert_eq!(take_in(&mut worker, &mut guest, &parcel), [""; 0]);
    let rows = ["requests host=a 7 value=F64 3 =StartTime 5", "requests host=a 8 value=F64 4"];
    assert_eq!(texts(&worker), rows);
    assert_eq!(worker.batch().samples(), 2);
    let symbols = worker.table().dictionary().mark().symbols;
    worker.seal().unwrap();
    let shapes = [0, 1].map(|row| worker.batch().head(row).1);
    assert_eq!(shapes.map(|id| worker.shapes().symbols(id).fields.len()), [1, 1]);
    assert_eq!(shapes.map(|id| worker.shapes().symbols(id).metric), [None, None], "rows of one value");
    assert_eq!(worker.table().dictionary().mark().symbols, symbols + 1, "value, and no empty name");
}

#[test]
fn side_records_go_in_parcels_with_what_they_are_of() {
    let budget = budget();
    let (mut worker, mut guest) = (ingest(&budget), Guest::default());
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    let metadata = Metadata { name: b"m", kind: MetricType::Gauge, unit: b"", help: b"Help." };
    for round in 0..3 {
        packer.start(&mut parcel);
        packer.fill(&mut parcel, LIBRARY, |intake| {
            for (key, time_ns) in [(&b"b"[..], 1), (b"a", 2)] {
                let mut labels = LabelsBuf::default();
                labels.push(b"host", key);
                let series = intake.find(key).unwrap_or_else(|| intake.define(key, &mut labels).unwrap());
                let exemplar = Exemplar { field: b"value", time_ns, value_bits: 5, labels: &[0] };
                intake.exemplar(series, &exemplar).unwrap();
            }
            intake.metadata(&metadata).unwrap();
        });
        packer.pack(&mut parcel);
        assert!(!parcel.batch().is_empty() && parcel.batch().rows() == 0);
        guest.learn(&parcel);
        // In two goes, as if the batch had been full.
        assert_eq!(worker.take_in(&mut guest, &parcel, 0), TakenIn { upto: 3, refused: 0 });
        assert_eq!(worker.take_in(&mut guest, &parcel, 3), TakenIn { upto: 3, refused: 0 });
        let batch = worker.batch();
        let host = |series| {
            let dictionary = worker.table().dictionary();
            let (_, value) = dictionary.series_labels(series).next().unwrap();
            (dictionary.symbol(value).to_vec(), batch.exemplars()[0].read(batch.heap()).value_bits)
        };
        let hosts: Vec<_> = batch.exemplars().iter().map(|e| host(e.series)).collect();
        assert_eq!(hosts, [(b"b".to_vec(), 5), (b"a".to_vec(), 5)]);
        let said: Vec<_> = batch.metadata().iter().map(|m| m.read(batch.heap())).collect();
        // The worker's segment has it in the first round, its next segment in the third.
        assert_eq!(said, [[metadata].as_slice(), &[], &[metadata]][round]);
        worker.end_batch();
        if round == 1 {
            worker.rotate();
        }
    }
}

#[test]
fn released_handles_and_rows_without_fields_are_refused() {
    let budget = budget();
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    let series = register(packer.registry(), &[("__name__", "m")]);
    packer.start(&mut parcel);
    assert_eq!(packer.push_fields(&mut parcel, series, 0, &[]), Err(NotPushed::Fields));
    let twice = [("a", FieldValue::Null), ("a", FieldValue::F64(1.0))];
    assert_eq!(packer.push_fields(&mut parcel, series, 0, &twice), Err(NotPushed::Fields));
    assert!(parcel.batch().is_empty());
    // A parcel without rows goes nowhere, and takes nothing along that later rows need.
    packer.start(&mut parcel);
    assert_eq!(packer.push_value(&mut parcel, series, 0, 0.0), Ok(()));
    let (mut worker, mut guest) = (ingest(&budget), Guest::default());
    assert_eq!(take_in(&mut worker, &mut guest, &parcel), [""; 0]);
    assert_eq!(worker.batch().rows(), 1);
    packer.registry().release(series);
    assert_eq!(packer.push_value(&mut parcel, series, 0, 0.0), Err(NotPushed::Unknown));
    assert_eq!(packer.push_fields(&mut parcel, series, 0, &twice[..1]), Err(NotPushed::Unknown));
    let again = register(packer.registry(), &[("__name__", "m")]);
    assert_eq!(packer.push_value(&mut parcel, again, 1, 0.0), Ok(()));
    assert_eq!(parcel.batch().head(0), parcel.batch().head(1), "the same series under another handle");
}

#[test]
fn a_table_of_released_series_is_let_go() {
    let budget = SeriesBudget::new(1 << 30);
    let (mut worker, mut guest) = (ingest(&budget), Guest::default());
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    let keeper = register(packer.registry(), &[("__name__", "x"), ("host", "k")]);
    let (mut generations, mut held_max) = (std::collections::BTreeSet::new(), 0);
    for round in 0..200 {
        packer.start(&mut parcel);
        generations.insert(parcel.generation);
        assert_eq!(packer.push_value(&mut parcel, keeper, round, 0.5), Ok(()));
        for i in 0..200 {
            let host = format!("{round} {i}");
            let series = register(packer.registry(), &[("__name__", "x"), ("host", &host)]);
            assert_eq!(packer.push_value(&mut parcel, series, round, 1.0), Ok(()));
            packer.registry().release(series);
        }
        held_max = packer.memory_bytes().max(held_max);
        packer.pack(&mut parcel);
        take_in(&mut worker, &mut guest, &parcel);
        assert_eq!(worker.batch().rows(), 201);
        assert_eq!(texts(&worker)[0], format!("x host=k {round} value=F64 {:x}", 0.5f64.to_bits()));
        worker.end_batch();
    }
    assert!(generations.len() > 5, "40,000 series came and went: {generations:?}");
    assert_eq!(packer.registry().series(), 1);
}

/// A series, a time and a value for each row.
fn column() -> impl Strategy<Value = Vec<(u8, i64, f64)>> {
    prop::collection::vec((0u8..6, any::<i64>(), any::<f64>()), 0..50)
}

proptest! {
    #[test]
    fn columns_are_the_rows_they_stand_for(
        calls in prop::collection::vec((any::<bool>(), column()), 1..20),
    ) {
        let budget = budget();
        let mut sides = [0, 1].map(|_| (packer(&budget), Parcel::default()));
        sides.iter_mut().for_each(|(packer, parcel)| packer.start(parcel));
        for (of_one_series, rows) in &calls {
            let (times, values): (Vec<_>, Vec<_>) = rows.iter().map(|&(_, time, value)| (time, value)).unzip();
            let mut hosts: Vec<u8> = rows.iter().map(|row| row.0).collect();
            let series = |packer: &Packer, host: &u8| {
                Plain { host: *host, time_ns: 0, fields: Vec::new() }.series(packer.registry())
            };
            let (packer, parcel) = &mut sides[0];
            let mut expected_times = times.clone();
            let taken = match of_one_series {
                true => {
                    let host = hosts.first().copied().unwrap_or(0);
                    hosts.fill(host);
                    let series = series(packer, &host);
                    packer.push_times(parcel, series, &times, &values)
                }
                false => {
                    let time = times.first().copied().unwrap_or(0);
                    expected_times.fill(time);
                    let series: Vec<_> = hosts.iter().map(|host| series(packer, host)).collect();
                    packer.push_series(parcel, &series, time, &values)
                }
            };
            prop_assert_eq!(taken, (rows.len(), Ok(())));
            let (packer, parcel) = &mut sides[1];
            for ((host, time), value) in hosts.iter().zip(expected_times).zip(values) {
                let series = series(packer, host);
                packer.push_value(parcel, series, time, value).unwrap();
            }
        }
        let rows = sides.map(|(mut packer, mut parcel)| {
            packer.pack(&mut parcel);
            let (mut worker, mut guest) = (ingest(&budget), Guest::default());
            take_in(&mut worker, &mut guest, &parcel);
            texts(&worker)
        });
        prop_assert_eq!(&rows[0], &rows[1]);
    }
}

#[test]
fn a_column_that_does_not_fit_is_taken_in_part() {
    let budget = budget();
    let mut packer = packer(&budget);
    let mut parcel = Parcel::default();
    packer.start(&mut parcel);
    let series = register(packer.registry(), &[("__name__", "x")]);
    let rows = crate::ingest::PARCEL_ROWS_MAX;
    let (times, values) = (vec![1; rows - 1], vec![0.5; rows - 1]);
    assert_eq!(packer.push_times(&mut parcel, series, &times, &values), (rows - 1, Ok(())));
    assert_eq!(packer.push_times(&mut parcel, series, &times, &values), (1, Err(NotPushed::Full)));
    assert_eq!(packer.push_series(&mut parcel, &[series], 1, &[1.0]), (0, Err(NotPushed::Full)));
    packer.start(&mut parcel);
    let unknown = SeriesHandle::from_bits(7);
    let pushed = packer.push_series(&mut parcel, &[series, unknown, series], 1, &[1.0; 3]);
    assert_eq!((pushed, parcel.batch().rows()), ((1, Err(NotPushed::Unknown)), 1));
}
