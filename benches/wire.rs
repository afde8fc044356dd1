//! What decoding costs: nanoseconds a sample by class of input, the decoder alone.
//!
//! Each class is decoded once and its rows are compared with the values it was made of; then it is timed. The intake
//! is scripted: it knows the order of the keys beforehand, so that looking up series costs next to nothing, and it
//! copies rows into a batch. The unflattering classes stand beside the others: keys that are not predicted, series
//! that are new, small pieces, strings with escapes. What is checked whole first is timed with its check.
//!
//! `cargo bench --bench wire [-- CLASS... [runs=N]]`; under callgrind with `runs=1`, for instruction counts.

#![allow(missing_docs, reason = "a program")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use tidegate::model::{
    Batch, Exemplar, FieldText, Full, Intake, LabelsBuf, Metadata, Refusal, Series, Shape, ShapeField,
    ShapeId, WriteResult,
};
use tidegate::wire::influx::{self, Dialect, Precision};
use tidegate::wire::remote_write::{self, Message};
use tidegate::wire::{Decode, Fed, FedState};

#[path = "wire/remote_write.rs"]
mod remote_write_classes;

#[path = "wire/scrape.rs"]
mod scrape_classes;

fn main() {
    let (runs, wanted): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .partition(|arg| arg.starts_with("runs="));
    let runs = runs.first().map_or(RUNS, |arg| arg["runs=".len()..].parse().expect("runs=N"));
    println!("{:<34} {:>9} {:>9} {:>8} {:>7}", "class", "ns/sample", "ns/line", "B/line", "GB/s");
    for class in classes() {
        if wanted.is_empty() || wanted.iter().any(|w| class.name.contains(w.as_str())) {
            measure(&class, runs);
        }
    }
    scrape_classes::measure(runs, &wanted);
}

/// A body and how it is given to the decoder.
struct Class {
    name: &'static str,
    body: Vec<u8>,
    lines: usize,
    /// The values that it was made of, as the words of rows without strings.
    words: Vec<u64>,
    piece_bytes: usize,
    order: Order,
    format: Format,
}

#[derive(Clone, Copy)]
enum Format {
    Influx,
    RemoteWrite(Message),
}

/// A decoder of any format.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Decoder {
    Influx(influx::Decoder),
    RemoteWrite(remote_write::Decoder),
}

impl Decoder {
    fn new(format: Format) -> Decoder {
        match format {
            Format::Influx => Decoder::Influx(influx::Decoder::new(Dialect::V1, Precision::Nanos, 0)),
            Format::RemoteWrite(message) => Decoder::RemoteWrite(remote_write::Decoder::new(message)),
        }
    }

    /// The body begins.
    fn begin(&mut self, format: Format, body: &[u8]) {
        match (self, format) {
            (Decoder::RemoteWrite(decoder), Format::RemoteWrite(message)) => {
                decoder.reset(message);
                decoder.check(black_box(body)).expect("the body is a message");
            }
            (Decoder::Influx(decoder), _) => decoder.reset(Dialect::V1, Precision::Nanos, 0),
            _ => unreachable!("the decoder is of the class's format"),
        }
    }

    #[inline]
    fn feed(&mut self, input: &[u8], last: bool, script: &mut Script, result: &mut WriteResult) -> Fed {
        match self {
            Decoder::Influx(decoder) => decoder.feed(input, last, script, result),
            Decoder::RemoteWrite(decoder) => decoder.feed(input, last, script, result),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Every key is the predicted one.
    Predicted,
    /// No key is: keys are announced and found.
    Random,
    /// Every series is new.
    New,
}

fn measure(class: &Class, runs: usize) {
    let mut script = Script::default();
    let mut decoder = Decoder::new(class.format);
    let mut pass = |script: &mut Script| {
        let body = &class.body[..];
        decoder.begin(class.format, body);
        script.rewind();
        let mut result = WriteResult::default();
        let (mut at, mut end) = (0, 0);
        loop {
            end = body.len().min(end.max(at) + class.piece_bytes);
            let fed = decoder.feed(black_box(&body[at..end]), end == body.len(), script, &mut result);
            at += fed.consumed;
            match fed.state {
                FedState::Done => return result,
                FedState::Full => script.batch.clear(),
                FedState::NeedMore => {}
            }
        }
    };
    // The first pass defines the series; the second is looked at.
    pass(&mut script);
    script.learned = class.order != Order::New;
    script.predicts = class.order == Order::Predicted;
    script.kept = Some(Vec::new());
    if class.order == Order::New {
        script = Script { kept: Some(Vec::new()), ..Script::default() };
    }
    let result = pass(&mut script);
    assert_eq!((result.accepted, result.rejected), (class.lines as u64, 0), "{}", class.name);
    let kept = script.kept.take().expect("set above");
    if !class.words.is_empty() {
        assert!(kept == class.words, "{}: the values are not those that the body was made of", class.name);
    }
    let mut ns: Vec<f64> = (0..runs)
        .map(|_| {
            if class.order == Order::New {
                script = Script::default();
            }
            let start = Instant::now();
            black_box(pass(&mut script));
            start.elapsed().as_nanos() as f64
        })
        .collect();
    ns.sort_by(f64::total_cmp);
    // The best run: a shared machine adds to a run and never takes away.
    let best = ns[0];
    println!(
        "{:<34} {:>9.2} {:>9.1} {:>8.0} {:>7.2}",
        class.name,
        best / result.samples as f64,
        best / class.lines as f64,
        class.body.len() as f64 / class.lines as f64,
        class.body.len() as f64 / best,
    );
}

const RUNS: usize = 101;

/// An intake that knows what comes.
#[derive(Default)]
struct Script {
    keys: Vec<u8>,
    ends: Vec<usize>,
    shape_of: Vec<ShapeId>,
    numbers: HashMap<Vec<u8>, u32>,
    shapes: Vec<Shape>,
    order: Vec<u32>,
    at: usize,
    learned: bool,
    predicts: bool,
    batch: Batch,
    kept: Option<Vec<u64>>,
}

impl Script {
    fn rewind(&mut self) {
        self.at = 0;
        self.batch.clear();
        if !self.learned {
            self.order.clear();
        }
    }

    fn key(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.keys[start..self.ends[number]]
    }

    fn arrive(&mut self, number: u32) -> Series {
        self.at += 1;
        Series { key: number, shape: self.shape_of[number as usize] }
    }
}

impl Intake for Script {
    fn epoch(&self) -> u64 {
        1
    }

    #[inline]
    fn predicted(&self) -> &[u8] {
        match self.order.get(self.at) {
            Some(&number) if self.predicts => self.key(number as usize),
            _ => &[],
        }
    }

    #[inline]
    fn confirm(&mut self) -> Series {
        self.arrive(self.order[self.at])
    }

    #[inline]
    fn announce(&mut self, key: &[u8]) {
        black_box(key);
    }

    #[inline]
    fn wants_announcements(&self) -> bool {
        !self.predicts
    }

    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<Series> {
        if !self.learned {
            let number = *self.numbers.get(key)?;
            self.order.push(number);
            return Some(self.arrive(number));
        }
        let number = self.order[self.at];
        black_box(key);
        Some(self.arrive(number))
    }

    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        let number = self.ends.len() as u32;
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
        self.shape_of.push(ShapeId::NONE);
        self.numbers.insert(key.to_vec(), number);
        self.order.push(number);
        Ok(self.arrive(number))
    }

    #[inline]
    fn identity(&self, series: Series) -> Option<u32> {
        Some(series.key)
    }

    fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    fn define_shape(&mut self, series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        let same = |shape: &Shape| {
            shape.fields.len() == fields.len()
                && fields.iter().enumerate().all(|(i, f)| {
                    shape.field_text(i) == f.text
                        && shape.fields[i].kind == f.kind
                        && *shape.fields[i].name == *f.name
                })
        };
        let id = self.shapes.iter().position(same).unwrap_or_else(|| {
            let mut text = Vec::new();
            let made = fields.iter().map(|f| {
                text.extend_from_slice(f.text);
                ShapeField { name: f.name.into(), kind: f.kind, text_end: text.len() as u32 }
            });
            let fields_made = made.collect();
            self.shapes.push(Shape::new(text.into(), fields_made));
            self.shapes.len() - 1
        });
        self.shape_of[series.key as usize] = ShapeId(id as u32);
        Ok(ShapeId(id as u32))
    }

    #[inline]
    fn push(
        &mut self,
        series: Series,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full> {
        let series_id = tidegate::model::SeriesId(series.key);
        let pushed = self.batch.push(series_id, shape, &self.shapes[shape.0 as usize], time_ns, values, heap);
        if pushed.is_err() {
            // The row comes again: so must its key.
            self.at -= 1;
            return pushed;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(time_ns as u64);
            kept.extend_from_slice(values);
        }
        Ok(())
    }

    fn exemplar(&mut self, _: Series, _: &Exemplar<'_>) -> Result<(), Full> {
        Ok(())
    }

    fn metadata(&mut self, _: &Metadata<'_>) -> Result<(), Full> {
        Ok(())
    }
}

fn classes() -> Vec<Class> {
    let tsbs = |name, value: fn(&mut Random, &mut String) -> u64| Class { name, ..tsbs_cpu(value) };
    let int = |random: &mut Random, out: &mut String| {
        let value = random.below(101);
        write!(out, "{value}i").expect("strings take all");
        value
    };
    let mut classes = vec![
        tsbs("tsbs-cpu integers", int),
        tsbs("tsbs-cpu 2 decimals", |random, out| {
            let value = random.below(10_001) as f64 / 100.0;
            write!(out, "{value}").expect("strings take all");
            value.to_bits()
        }),
        tsbs("tsbs-cpu full floats", |random, out| {
            let value = random.next() as f64 / u64::MAX as f64 * 100.0;
            write!(out, "{value}").expect("strings take all");
            value.to_bits()
        }),
        Class { name: "tsbs-cpu integers, 16 KiB pieces", piece_bytes: 16 << 10, ..tsbs_cpu(int) },
        Class { name: "tsbs-cpu integers, not predicted", order: Order::Random, ..tsbs_cpu(int) },
        Class { name: "tsbs-cpu integers, new series", order: Order::New, ..tsbs_cpu(int) },
        single("single value", Order::Predicted),
        single("single value, not predicted", Order::Random),
        single("single value, new series", Order::New),
        wide(),
        strings("strings", false),
        strings("strings with escapes", true),
    ];
    classes.extend(remote_write_classes::classes());
    classes
}

fn tsbs_cpu(value: fn(&mut Random, &mut String) -> u64) -> Class {
    let mut random = Random(7);
    let (mut body, mut words) = (String::new(), Vec::new());
    let fields =
        ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
    let lines = 2 * HOSTS;
    for line in 0..lines {
        let host = line % HOSTS;
        let time_ns = 1_451_606_400_000_000_000 + (line / HOSTS * 10_000_000_000) as u64;
        write!(
            body,
            "cpu,hostname=host_{host},region=eu-central-1,datacenter=eu-central-1a,rack={},os=Ubuntu16.04LTS,arch=x86,\
             team=SF,service={},service_version=1,service_environment=production ",
            host % 100,
            host % 20,
        )
        .expect("strings take all");
        words.push(time_ns);
        for (i, field) in fields.iter().enumerate() {
            write!(body, "{}usage_{field}=", if i > 0 { "," } else { "" }).expect("strings take all");
            words.push(value(&mut random, &mut body));
        }
        writeln!(body, " {time_ns}").expect("strings take all");
    }
    Class {
        name: "",
        body: body.into_bytes(),
        lines,
        words,
        piece_bytes: PIECE_BYTES,
        order: Order::Predicted,
        format: Format::Influx,
    }
}

fn single(name: &'static str, order: Order) -> Class {
    let mut random = Random(8);
    let (mut body, mut words) = (String::new(), Vec::new());
    let lines = 50_000;
    for line in 0..lines {
        let value = random.below(100_000);
        let time_ns = 1_451_606_400_000_000_000 + line;
        writeln!(body, "http_requests,instance=10.0.{}.{} value={value}i {time_ns}", line / 250, line % 250)
            .expect("strings take all");
        words.extend([time_ns, value]);
    }
    Class {
        name,
        body: body.into_bytes(),
        lines: lines as usize,
        words,
        piece_bytes: PIECE_BYTES,
        order,
        format: Format::Influx,
    }
}

fn wide() -> Class {
    let mut random = Random(9);
    let (mut body, mut words) = (String::new(), Vec::new());
    let lines = 1_000;
    for line in 0..lines {
        write!(body, "plc,line={line} ").expect("strings take all");
        words.push(line);
        for field in 0..200 {
            let value = random.below(1 << (field % 40));
            write!(body, "{}sensor_{field}={value}i", if field > 0 { "," } else { "" })
                .expect("strings take all");
            words.push(value);
        }
        writeln!(body, " {line}").expect("strings take all");
    }
    Class {
        name: "wide (200 fields)",
        body: body.into_bytes(),
        lines: lines as usize,
        words,
        piece_bytes: PIECE_BYTES,
        order: Order::Predicted,
        format: Format::Influx,
    }
}

fn strings(name: &'static str, escapes: bool) -> Class {
    let mut body = String::new();
    let lines = 10_000;
    let quote = if escapes { "\\\"" } else { "'" };
    for line in 0..lines {
        writeln!(
            body,
            "log,app=shop,host=web{} level=\"info\",message=\"user {line} put {quote}a thing{quote} into the cart\",ms={}i {line}",
            line % 50,
            line % 977,
        )
        .expect("strings take all");
    }
    Class {
        name,
        body: body.into_bytes(),
        lines,
        words: Vec::new(),
        piece_bytes: PIECE_BYTES,
        order: Order::Predicted,
        format: Format::Influx,
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const HOSTS: usize = 4_000;
const PIECE_BYTES: usize = 256 << 10;
