//! What the tests of the engine share: workers on any disk, disks that can be held up, and rows back from any files.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate::block::{
    DecodeError, DictionaryPart, MetadataTable, Part, Table, Value, decode_dictionary, decode_rows,
};
use tidegate::clock::{Clock, SystemClock};
use tidegate::engine::{Arrivals, CommitPolicy, Event, Options, Worker, spawn};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::disk::{Backend, Disk, Files, Job, SystemDisk, Write, Written};
use tidegate::log::{Damage, Directory, Found, Recovery, SegmentReader, Survey, WorkerOptions};
use tidegate::model::{BlockKind, LogId, SymbolId, WriteResult};

pub(crate) const LOG: LogId = LogId(*b"tidegate-enginet");
pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;

/// Options under which nothing is committed but on demand, or when a batch is full.
pub(crate) fn options(directory: &Path) -> Options {
    Options { commit: CommitPolicy { linger_ns: 0, interval_ns: HOUR_NS }, ..Options::new(directory) }
}

pub(crate) fn log_options(segment_bytes: u64, seed: u64) -> WorkerOptions {
    WorkerOptions {
        log: LOG,
        worker: 0,
        segment_bytes_min: segment_bytes,
        segment_bytes_max: 2 * segment_bytes,
        seed,
        live: None,
    }
}

/// A worker on a disk, by the system's clock.
pub(crate) fn worker<D: Disk>(disk: D, segment_bytes: u64) -> Worker<D, SystemClock> {
    let (worker, recovery) = open(disk, SystemClock::default(), segment_bytes, 7).expect("a sound disk");
    assert_eq!(recovery.damaged, 0);
    worker
}

/// By how much `measure` grows in each of some rounds on the server's way: what `take` does with a body, a commit, and
/// waiting for it. And what became of all rows.
pub(crate) fn rounds<B>(
    rounds: usize,
    measure: impl Fn() -> usize,
    body: impl Fn(usize) -> B,
    mut take: impl FnMut(&B, &mut Worker, &mut Stream, &mut WriteResult),
) -> (Vec<usize>, WriteResult) {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = Directory::open(directory.path(), LOG).expect("an empty directory");
    let disk = SystemDisk::open(directory.files().clone(), Backend::Threads, "test", &spawn).expect("a disk");
    let mut worker = worker(disk, 64 << 20);
    let mut stream = Stream::new(ContextId(0));
    let (mut events, mut result) = (Vec::with_capacity(64), WriteResult::default());
    let mut counts = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let body = body(round);
        let before = measure();
        take(&body, &mut worker, &mut stream, &mut result);
        worker.wait();
        let sequence = worker.filling();
        while !events.contains(&Event::Durable { upto: sequence }) {
            worker.turn(Arrivals::None, &mut events);
            std::thread::yield_now();
        }
        events.clear();
        counts.push(measure() - before);
    }
    (counts, result)
}

pub(crate) fn open<D: Disk, C: Clock>(
    disk: D,
    clock: C,
    segment_bytes: u64,
    seed: u64,
) -> Result<(Worker<D, C>, Recovery), tidegate::log::LogError> {
    Worker::open_on(disk, clock, options(Path::new("unused")), log_options(segment_bytes, seed), seed)
}

/// What a log's files hold: rows, exemplars and metadata as text, with how often each was found; and what is damaged.
pub(crate) fn read_rows(files: &impl Files) -> (BTreeMap<String, u64>, Vec<Damage>) {
    let survey = Survey::take(files, LOG, None).expect("files that can be read");
    let (mut rows, mut damages) = (BTreeMap::new(), Vec::new());
    for segment in &survey.segments {
        let name = segment.name.to_string();
        let mut known = Known::default();
        // Twice: a definition may come after damage took the block that needs it first.
        for learning in [true, false] {
            let mut reader = SegmentReader::new(files.open_shared(&name).expect("there"), LOG, segment);
            while let Some(found) = reader.read_next() {
                let block = match found {
                    Found::Block(block) if block.header.kind == BlockKind::Rows => block,
                    Found::Block(_) => continue,
                    Found::Damage(damage) => {
                        damages.extend(learning.then_some(damage));
                        continue;
                    }
                };
                if learning {
                    damages.extend(block.damage());
                    block.dictionary.into_iter().for_each(|section| known.learn(section));
                } else if let Some(payload) = block.payload {
                    let decoded = decode_rows(block.header, payload).expect("its checksum was right");
                    let mut found = |text| *rows.entry(text).or_default() += 1;
                    decoded
                        .for_each_part(|part| {
                            match part {
                                Part::Rows(table) => known.rows(table, "", &mut found),
                                Part::Exemplars(e) => known.rows(&e.table, "exemplar ", &mut found),
                                Part::Metadata(table) => known.metadata(table, &mut found),
                            }
                            Ok::<_, DecodeError>(())
                        })
                        .expect("its checksum was right");
                }
            }
        }
    }
    (rows, damages)
}

/// The definitions of a segment.
#[derive(Default)]
struct Known {
    symbols: HashMap<u32, String>,
    series: HashMap<u32, Vec<(u32, u32)>>,
}

impl Known {
    fn learn(&mut self, section: &[u8]) {
        let parts = decode_dictionary(section).expect("its checksum was right");
        parts
            .for_each(|part| {
                match part {
                    DictionaryPart::Symbols(part) => {
                        let texts =
                            part.iter().map(|(id, text)| (id.0, String::from_utf8_lossy(text).into()));
                        self.symbols.extend(texts);
                    }
                    DictionaryPart::Series(part) => {
                        let series = part.iter().map(|(id, labels)| {
                            (id.0, labels.iter().map(|(name, value)| (name.0, value.0)).collect())
                        });
                        self.series.extend(series);
                    }
                }
                Ok::<_, DecodeError>(())
            })
            .expect("its checksum was right");
    }

    fn rows(&self, table: &Table<'_>, prefix: &str, found: &mut impl FnMut(String)) {
        let mut walk = table.rows();
        while let Some(row) = walk.next() {
            let fields = row.values().map(|(name, value)| (name, text_of(value)));
            found(format!("{prefix}{}", self.row(row.series.0, fields, row.time_ns)));
        }
    }

    fn metadata(&self, table: &MetadataTable<'_>, found: &mut impl FnMut(String)) {
        for (row, name) in table.names.iter().enumerate() {
            let help = String::from_utf8_lossy(table.help(row));
            found(format!("metadata {} {help}", self.symbols[&name.0]));
        }
    }

    fn row(&self, series: u32, fields: impl Iterator<Item = (SymbolId, String)>, time_ns: i64) -> String {
        let symbol = |id: u32| &self.symbols[&id][..];
        let labels = &self.series[&series];
        let labels: Vec<_> = labels.iter().map(|&(n, v)| format!("{}={}", symbol(n), symbol(v))).collect();
        let mut fields: Vec<_> = fields.map(|(name, value)| format!("{}={value}", symbol(name.0))).collect();
        fields.sort();
        format!("{} {} {time_ns}", labels.join(","), fields.join(","))
    }
}

/// A value as text, much as line protocol has it.
pub(crate) fn text_of(value: Value<'_>) -> String {
    match value {
        Value::F64(v) => format!("{v}"),
        Value::I64(v) => format!("{v}i"),
        Value::U64(v) => format!("{v}u"),
        Value::Bool(v) => format!("{v}"),
        Value::String(v) => format!("{:?}", String::from_utf8_lossy(v)),
        Value::Bytes(v) => format!("bytes {v:?}"),
        Value::Null => "null".into(),
        Value::Nested(v) | Value::Histogram(v) => format!("{v:?}"),
    }
}

/// What is done to a disk from outside.
#[derive(Default)]
pub(crate) struct Hands {
    /// Nothing finishes.
    pub(crate) held: AtomicBool,
    /// The next look at it panics.
    pub(crate) panics: AtomicBool,
}

/// A disk in somebody's hands.
pub(crate) struct HandledDisk<D> {
    pub(crate) disk: D,
    pub(crate) hands: Arc<Hands>,
}

impl<D: Disk> Disk for HandledDisk<D> {
    type Files = D::Files;

    fn files(&self) -> &D::Files {
        self.disk.files()
    }

    fn submit(&mut self, write: Write<<D::Files as Files>::File>) {
        self.disk.submit(write);
    }

    fn finished(&mut self, out: &mut Vec<Written>) {
        assert!(!self.hands.panics.load(Ordering::Relaxed), "asked to panic");
        if !self.hands.held.load(Ordering::Relaxed) {
            self.disk.finished(out);
        }
    }

    fn wait(&mut self) {
        self.disk.wait();
    }

    fn run(&mut self, job: Job) {
        self.disk.run(job);
    }

    fn notify(&self) -> Option<BorrowedFd<'_>> {
        self.disk.notify()
    }

    fn backend_name(&self) -> &'static str {
        self.disk.backend_name()
    }
}
