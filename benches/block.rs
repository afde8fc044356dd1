//! What a sample costs in the block encoder and decoder, and what it weighs.
//!
//! `cargo bench --bench block [-- CLASS] [--encode-only] [--rows=N]`. Each class is encoded, decoded and
//! compared first, then timed: the median of
//! repetitions, in nanoseconds a sample for everything between batch and padded block, definitions aside. Classes:
//! tsbs-cpu rows (10 fields, 4,000 hosts, in rounds) with integers, two decimals and all digits; rows of one value
//! over 1 M series in order and at random; 200 fields; events with strings.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use tidegate::{block, bytes, model};

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests")]
#[path = "../src/block/tests/segment.rs"]
mod segment;

use block::{DecodeError, Encoder, Value, decode_rows};
use bytes::AlignedBuf;
use model::{BlockHeader, FieldType, HEADER_LEN, SeriesId, ShapeId, heap_place, heap_word};
use segment::Segment;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    println!(
        "{:<14} {:>7} {:>10} {:>10} {:>10} {:>9} {:>9}",
        "class", "rows", "encode ns", "ns a row", "decode ns", "B/sample", "raw B"
    );
    for class in CLASSES {
        if wanted.is_empty() || wanted.iter().any(|w| class.name.contains(w.as_str())) {
            run(class);
        }
    }
}

struct Class {
    name: &'static str,
    make: fn() -> Workload,
}

const CLASSES: &[Class] = &[
    Class { name: "tsbs-int", make: || Workload::tsbs(Numbers::Int) },
    Class { name: "tsbs-dec2", make: || Workload::tsbs(Numbers::Dec2) },
    Class { name: "tsbs-full", make: || Workload::tsbs(Numbers::Full) },
    Class { name: "single-seq", make: || Workload::single(false) },
    Class { name: "single-random", make: || Workload::single(true) },
    Class { name: "wide", make: Workload::wide },
    Class { name: "events", make: Workload::events },
];

#[derive(Clone, Copy)]
enum Numbers {
    Int,
    Dec2,
    Full,
}

/// Rows without end, of one shape.
struct Workload {
    segment: Segment,
    shape: ShapeId,
    series: Vec<SeriesId>,
    walks: Vec<f64>,
    fields: usize,
    numbers: Numbers,
    events: bool,
    next: usize,
    shuffle: bool,
    random: Random,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

impl Workload {
    fn new(
        metric: &str,
        tags: &[(&str, usize)],
        count: usize,
        fields: Vec<(Vec<u8>, FieldType)>,
    ) -> Workload {
        let mut segment = Segment::default();
        let mut random = Random(0x1234_5678_9abc_def1);
        let shape = segment.shape(metric.as_bytes(), &fields);
        let series = (0..count)
            .map(|i| {
                let mut labels = vec![(b"__name__".to_vec(), metric.as_bytes().to_vec())];
                for &(name, values) in tags {
                    let value = if values == 0 { i } else { random.next() as usize % values };
                    labels.push((name.into(), format!("{name}_{value}").into()));
                }
                segment.series(&labels)
            })
            .collect();
        let walks = (0..count * fields.len()).map(|_| random.uniform() * 100.0).collect();
        Workload {
            segment,
            shape,
            series,
            walks,
            fields: fields.len(),
            numbers: Numbers::Dec2,
            events: false,
            next: 0,
            shuffle: false,
            random,
        }
    }

    fn tsbs(numbers: Numbers) -> Workload {
        let kind = if matches!(numbers, Numbers::Int) { FieldType::I64 } else { FieldType::F64 };
        let names =
            ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
        let fields = names.iter().map(|n| (format!("usage_{n}").into(), kind)).collect();
        let tags = [
            ("arch", 2),
            ("datacenter", 30),
            ("hostname", 0),
            ("os", 3),
            ("rack", 100),
            ("region", 9),
            ("service", 20),
            ("service_environment", 3),
            ("service_version", 2),
            ("team", 4),
        ];
        Workload { numbers, ..Workload::new("cpu", &tags, 4000, fields) }
    }

    fn single(shuffle: bool) -> Workload {
        let tags = [("host", 10_000), ("instance", 0), ("job", 50)];
        let fields = vec![(b"value".to_vec(), FieldType::F64)];
        Workload { shuffle, ..Workload::new("requests", &tags, 1_000_000, fields) }
    }

    fn wide() -> Workload {
        let fields = (0..200).map(|i| (format!("field_{i}").into(), FieldType::F64)).collect();
        Workload::new("plc", &[("machine", 0), ("plant", 5)], 100, fields)
    }

    fn events() -> Workload {
        let fields = [
            ("level", FieldType::String),
            ("message", FieldType::String),
            ("ok", FieldType::Bool),
            ("took_ns", FieldType::I64),
        ];
        let fields = fields.iter().map(|(n, k)| (n.as_bytes().to_vec(), *k)).collect();
        Workload { events: true, ..Workload::new("log", &[("host", 0), ("app", 7)], 500, fields) }
    }

    fn fill(&mut self, rows: usize) {
        let mut values = Vec::new();
        let mut heap = Vec::new();
        self.segment.batch.clear();
        for _ in 0..rows {
            let count = self.series.len();
            let at = self.next % count;
            if at == 0 && self.shuffle {
                for i in (1..count).rev() {
                    self.series.swap(i, self.random.next() as usize % (i + 1));
                }
            }
            let time = 1_700_000_000_000_000_000 + (self.next / count) as i64 * 10_000_000_000;
            values.clear();
            heap.clear();
            if self.events {
                self.event(&mut values, &mut heap);
            } else {
                for f in 0..self.fields {
                    let step = self.random.normal();
                    let walk = &mut self.walks[at * self.fields + f];
                    *walk = (*walk + step).clamp(0.0, 100.0);
                    values.push(match self.numbers {
                        Numbers::Int => *walk as i64 as u64,
                        Numbers::Dec2 => ((*walk * 100.0).round() / 100.0).to_bits(),
                        Numbers::Full => walk.to_bits(),
                    });
                }
            }
            let series = self.series[at];
            let batch = &self.segment.batch;
            if batch.bytes() + (2 + values.len()) * 8 + heap.len() > model::BATCH_BYTES_MAX {
                break;
            }
            self.segment.push_words(series, self.shape, time, &values, &heap);
            self.next += 1;
        }
    }

    fn event(&mut self, values: &mut Vec<u64>, heap: &mut Vec<u8>) {
        let mut text = |s: &[u8]| {
            heap.extend_from_slice(s);
            heap_word(heap.len() - s.len(), s.len())
        };
        let random = self.random.next();
        let levels: [&[u8]; 4] = [b"debug", b"info", b"warn", b"error"];
        let took = random >> 40;
        values.push(text(levels[random as usize % 4]));
        let message = format!("GET /api/v1/items/{} took {took} ns for user {}", random % 5000, random % 333);
        values.push(text(message.as_bytes()));
        values.push(u64::from(!random.is_multiple_of(9)));
        values.push(took);
    }
}

fn run(class: &Class) {
    let mut workload = (class.make)();
    let mut encoder = Encoder::new();
    let mut out = AlignedBuf::new();
    define_all(&mut workload, &mut encoder, &mut out);
    let wanted = std::env::args().find_map(|a| a.strip_prefix("--rows=")?.parse::<usize>().ok());
    for rows in [5_000, 10_000, 15_000, 65_536].into_iter().filter(|&r| wanted.is_none_or(|w| w == r)) {
        workload.fill(rows);
        out.clear();
        let stats = workload.segment.encode(&mut encoder, &mut out);
        verify(&workload, &out);
        let encode = median(|| {
            out.clear();
            workload.segment.encode(&mut encoder, &mut out);
        });
        let decode = median(|| {
            if !std::env::args().any(|a| a == "--encode-only") {
                std::hint::black_box(decode_all(&out, |_, _, _| 0));
            }
        });
        let (rows, samples) = (workload.segment.batch.rows(), workload.segment.batch.samples() as f64);
        let ns = encode.as_nanos() as f64;
        println!(
            "{:<14} {:>7} {:>10.2} {:>10.1} {:>10.2} {:>9.3} {:>9.3}",
            class.name,
            rows,
            ns / samples,
            ns / rows as f64,
            decode.as_nanos() as f64 / samples,
            stats.payload_len as f64 / samples,
            stats.columns_len as f64 / samples,
        );
    }
}

/// Defines the workload's series, by blocks of a row each, and says what that costs.
fn define_all(workload: &mut Workload, encoder: &mut Encoder, out: &mut AlignedBuf) {
    let count = workload.dictionary_series();
    workload.fill(1);
    let start = cpu_time();
    let stats = workload.segment.seal(encoder, out);
    let ns = (cpu_time() - start).as_nanos() as f64;
    println!(
        "{:>30} series defined: {:.0} ns and {:.2} bytes each",
        count,
        ns / count as f64,
        stats.dictionary_len as f64 / count as f64
    );
}

impl Workload {
    fn dictionary_series(&self) -> u32 {
        self.segment.dictionary.mark().series
    }
}

fn median(mut f: impl FnMut()) -> Duration {
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || (start.elapsed() < Duration::from_millis(300) && times.len() < 201) {
        let start = cpu_time();
        f();
        times.push(cpu_time() - start);
    }
    times.sort();
    times[times.len() / 2]
}

/// Processor time of this thread: on a shared machine the clock on the wall measures the neighbours.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and the clock exists on every system that this builds on.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sums a hash of every value in the batch and in the block.
fn verify(workload: &Workload, out: &[u8]) {
    let batch = &workload.segment.batch;
    let mix = |series: u32, time: i64, value: u64| {
        (u64::from(series) ^ (time as u64).rotate_left(20) ^ value.rotate_left(40))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let mut written = 0u64;
    for i in 0..batch.rows() {
        let row = batch.row(i);
        for (f, &word) in row.values.iter().enumerate() {
            let text = workload.events && f < 2;
            let (start, len) = heap_place(word);
            let word = if text { hash(&batch.heap()[start..start + len]) } else { word };
            written = written.wrapping_add(mix(row.series.0, row.time_ns, word.wrapping_add(f as u64)));
        }
    }
    let read = decode_all(out, |row, f, value| {
        let word = match value {
            Value::F64(v) => v.to_bits(),
            Value::I64(v) => v as u64,
            Value::Bool(v) => u64::from(v),
            Value::String(s) => hash(s),
            _ => panic!("no such value was written"),
        };
        mix(row.0, row.1, word.wrapping_add(f as u64))
    });
    assert_eq!(read, written, "the block does not hold the batch");
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn decode_all(out: &[u8], mut each: impl FnMut((u32, i64), usize, Value<'_>) -> u64) -> u64 {
    let header = BlockHeader::decode(out).expect("just encoded");
    let payload = &out[HEADER_LEN + header.dictionary_len as usize..header.content_len()];
    let mut sum = 0u64;
    let rows = decode_rows(&header, payload).expect("just encoded");
    rows.for_each_table(|table| {
        let mut walk = table.rows();
        while let Some(row) = walk.next() {
            let head = (row.series.0, row.time_ns);
            for (f, (_, value)) in row.values().enumerate() {
                sum = sum.wrapping_add(each(head, f, value));
            }
        }
        Ok::<_, DecodeError>(())
    })
    .expect("just encoded");
    sum
}
