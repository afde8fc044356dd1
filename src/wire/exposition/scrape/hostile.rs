//! Bodies that are made to cost more than they are long: what is counted is work, never time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::super::protobuf::tests::{bytes, double, varint};
use super::compare::COMPARED;
use super::*;
use crate::bytes::write_varint;
use crate::model::{
    Exemplar, FieldText, Full, Histogram, Metadata, NAN_STALE_BITS, Series, Shape, ShapeId, WriteResult,
};
use crate::wire::Decode;
use crate::wire::exposition::{Push, PushOptions};

/// Counts what it is asked for.
#[derive(Default)]
struct Tally {
    /// By a hash of the key: some tests have gigabytes of them.
    keys: HashMap<u64, u32>,
    hasher: RandomState,
    epoch: u64,
    /// How often keys were looked up, and how long they were together.
    lookups: usize,
    key_bytes: usize,
    /// Rows: the time, the first word, the heap.
    rows: Vec<(i64, u64, Vec<u8>)>,
    told: usize,
    no_shape: Option<Shape>,
}

impl Intake for Tally {
    fn epoch(&self) -> u64 {
        self.epoch + 1
    }

    fn predicted(&self) -> &[u8] {
        &[]
    }

    fn confirm(&mut self) -> Series {
        unreachable!("nothing is predicted")
    }

    fn announce(&mut self, _: &[u8]) {}

    fn wants_announcements(&self) -> bool {
        false
    }

    fn find(&mut self, key: &[u8]) -> Option<Series> {
        self.lookups += 1;
        self.key_bytes += key.len();
        self.keys.get(&self.hasher.hash_one(key)).map(|&key| Series { key, shape: ShapeId::NONE })
    }

    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        let number = self.keys.len() as u32;
        self.keys.insert(self.hasher.hash_one(key), number);
        Ok(Series { key: number, shape: ShapeId::NONE })
    }

    fn identity(&self, series: Series) -> Option<u32> {
        Some(series.key)
    }

    fn shape(&self, _: ShapeId) -> &Shape {
        self.no_shape.as_ref().expect("a scraper asks for no shape")
    }

    fn define_shape(&mut self, _: Series, _: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        Ok(ShapeId(0))
    }

    fn push(&mut self, _: Series, _: ShapeId, time_ns: i64, words: &[u64], heap: &[u8]) -> Result<(), Full> {
        self.rows.push((time_ns, words[0], heap.to_vec()));
        Ok(())
    }

    fn exemplar(&mut self, _: Series, _: &Exemplar<'_>) -> Result<(), Full> {
        Ok(())
    }

    fn metadata(&mut self, _: &Metadata<'_>) -> Result<(), Full> {
        self.told += 1;
        Ok(())
    }
}

/// A target that is scraped again and again.
#[derive(Default)]
struct Target {
    scraper: Scraper,
    page: Page,
    tally: Tally,
    time_ns: i64,
    options: ScrapeOptions,
    /// Lookups of the step that had most.
    lookups_a_step: usize,
    steps: usize,
}

impl Target {
    fn new() -> Target {
        let options = ScrapeOptions { honor_timestamps: true, ..ScrapeOptions::default() };
        Target { options, time_ns: NOW_NS, ..Target::default() }
    }

    /// Reads a body and pushes what it brought; how many bytes were found equal to the page.
    fn scrape(&mut self, format: Format, body: &[u8]) -> Result<usize, ScrapeFailure> {
        let before = COMPARED.get();
        self.time_ns += 1_000_000_000;
        self.scraper.begin(format, self.time_ns, &self.options);
        self.read(body)?;
        Ok(COMPARED.get() - before)
    }

    fn end(&mut self) {
        self.time_ns += 1_000_000_000;
        self.scraper.begin_end(self.time_ns, &self.options);
        self.read(b"").unwrap();
    }

    fn read(&mut self, body: &[u8]) -> Result<(), ScrapeFailure> {
        (self.steps, self.lookups_a_step) = (0, 0);
        let mut body = body.to_vec();
        loop {
            let lookups = self.tally.lookups;
            let read = self.scraper.step(&mut self.page, &mut body, &mut self.tally)?;
            self.steps += 1;
            self.lookups_a_step = self.lookups_a_step.max(self.tally.lookups - lookups);
            if read.is_some() {
                break;
            }
        }
        self.tally.rows.clear();
        let result = &mut WriteResult::default();
        while !self.scraper.push_step(&mut self.page, &mut self.tally, result).unwrap() {}
        Ok(())
    }
}

const NOW_NS: i64 = 1_700_000_000_000_000_000;
const TEXT: Format = Format::Lines(Syntax::Text);
const OPEN_METRICS: Format = Format::Lines(Syntax::OpenMetrics);

#[test]
fn lines_with_times_cost_a_comparison_and_their_times() {
    for (format, end) in [(TEXT, ""), (OPEN_METRICS, "# EOF\n")] {
        let lines = |time: usize| -> String {
            (0..4_000).map(|i| format!("a{{l=\"{i}\"}} {i} {}\n", time + i)).collect::<String>() + end
        };
        let mut target = Target::new();
        target.scrape(format, lines(1).as_bytes()).unwrap();
        target.tally.lookups = 0;
        for time in [1, 1, 2] {
            let body = lines(time);
            let equal = target.scrape(format, body.as_bytes()).unwrap();
            assert!(equal <= 2 * body.len(), "{equal} of {}", body.len());
            assert_eq!(target.tally.lookups, 0, "none is read anew");
            let unit_ns = if format == TEXT { 1_000_000 } else { 1_000_000_000 };
            let times: Vec<i64> = target.tally.rows.iter().map(|row| row.0).collect();
            assert_eq!(times, (0..4_000).map(|i| (time + i) as i64 * unit_ns).collect::<Vec<_>>());
        }
    }
}

#[test]
fn families_with_start_times_are_compared_once() {
    let family =
        |i: usize| format!("# TYPE c{i} counter\nc{i}_total{{a=\"b\"}} {i}\nc{i}_created{{a=\"b\"}} 17\n");
    let body = (0..2_000).map(family).collect::<String>() + "# EOF\n";
    let mut target = Target::new();
    for _ in 0..2 {
        let equal = target.scrape(OPEN_METRICS, body.as_bytes()).unwrap();
        assert!(equal <= 2 * body.len(), "{equal} of {}", body.len());
        assert_eq!(target.tally.rows.len(), 4_000);
    }
}

#[test]
fn lines_that_come_twice_are_known_whatever_their_times() {
    let timed = "a{x=\"1\"} 1 7\n".repeat(3_000);
    let body = timed + &"a{x=\"1\",} 2\n".repeat(3_000);
    let mut target = Target::new();
    target.scraper.begin(TEXT, 1, &target.options);
    let mut rows = crate::wire::testing::Rows::default();
    let mut body = body.into_bytes();
    let mut counts = None;
    while counts.is_none() {
        counts = target.scraper.step(&mut target.page, &mut body, &mut rows).unwrap();
    }
    assert_eq!(counts.unwrap().twice, 2_999);
}

/// A family of one histogram with a label of so many bytes and so many buckets.
fn histogram(label_bytes: usize, buckets: usize) -> Vec<u8> {
    let label = [bytes(1, b"l"), bytes(2, &vec![b'x'; label_bytes])].concat();
    let bucket = |i: usize| bytes(3, &[varint(1, i as u64), double(2, i as f64)].concat());
    let value: Vec<u8> = (0..buckets).flat_map(bucket).collect();
    let metric = [bytes(1, &label), bytes(7, &value)].concat();
    let family = [bytes(1, b"h"), varint(3, 4), bytes(4, &metric)].concat();
    let mut out = Vec::new();
    write_varint(&mut out, family.len() as u64);
    [out, family].concat()
}

#[test]
fn what_the_buckets_of_a_histogram_share_is_held_once() {
    let mut target = Target::new();
    let body = histogram(10_000, 500);
    for epoch in [0, 0, 1] {
        target.tally.epoch = epoch;
        let (lookups, renews) = (target.tally.lookups, usize::from(epoch > 0));
        target.scrape(Format::Protobuf, &body).unwrap();
        // Buckets up to the one of infinity, count and sum.
        assert_eq!(target.tally.rows.len(), 503);
        let first = usize::from(target.time_ns == NOW_NS + 1_000_000_000);
        assert_eq!(target.tally.lookups - lookups, 503 * (first + renews));
        assert!(target.page.memory_bytes() < body.len() + 503 * 40, "{}", target.page.memory_bytes());
    }
    let other = histogram(10_001, 2);
    target.scrape(Format::Protobuf, &other).unwrap();
    let stale = target.tally.rows.iter().filter(|row| row.1 == NAN_STALE_BITS).count();
    assert_eq!((target.tally.rows.len(), stale), (5 + 503, 503));
    assert_eq!(target.tally.keys.len(), 503 + 5, "stale markers are of the series that were there");
}

#[test]
fn series_that_spell_out_too_much_fail_their_body() {
    let fails = |body: &[u8]| {
        let mut target = Target::new();
        let failure = target.scrape(Format::Protobuf, body).unwrap_err();
        assert!(target.tally.key_bytes <= 256 << 20, "{}", target.tally.key_bytes);
        failure.why.to_string()
    };
    assert_eq!(
        fails(&histogram(1_000_000, 270)),
        "family 1: the names and labels of the series are longer than 268435456 bytes together"
    );
    assert!(fails(&histogram(1 << 20, 2)).starts_with("family 1: a metric is longer than 1048576"));
    let gauge = |name: &[u8]| {
        let label = bytes(1, &[bytes(1, b"l"), bytes(2, &[b'x'; 600_000])].concat());
        let family = [bytes(1, name), varint(3, 1), bytes(4, &[label, bytes(2, b"")].concat())].concat();
        let mut out = Vec::new();
        write_varint(&mut out, family.len() as u64);
        [out, family].concat()
    };
    assert!(fails(&gauge(&[b'n'; 600_000])).contains("the name and labels of a series"));
    let mut target = Target::new();
    target.scrape(Format::Protobuf, &gauge(b"n")).unwrap();
}

#[test]
fn a_series_has_not_labels_without_end() {
    let pairs = |count: usize| (0..count).map(|i| (format!("l{i}"), format!("{i}")));
    let text = |count: usize| {
        let labels: String = pairs(count).map(|(name, value)| format!("{name}=\"{value}\",")).collect();
        format!("a{{{labels}}} 1\n").into_bytes()
    };
    let family = |count: usize| {
        let label = |(name, value): (String, String)| {
            bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat())
        };
        let labels: Vec<u8> = pairs(count).flat_map(label).collect();
        let metric = [labels, bytes(2, &double(1, 1.0))].concat();
        let family = [bytes(1, b"a"), varint(3, 1), bytes(4, &metric)].concat();
        let mut out = Vec::new();
        write_varint(&mut out, family.len() as u64);
        [out, family].concat()
    };
    for (format, body) in
        [(TEXT, &text as &dyn Fn(usize) -> Vec<u8>), (Format::Protobuf, &family as &dyn Fn(usize) -> Vec<u8>)]
    {
        let mut target = Target::new();
        target.scrape(format, &body(LABELS_MAX)).unwrap();
        let why = target.scrape(format, &body(LABELS_MAX + 1)).unwrap_err().why.to_string();
        assert!(why.ends_with("number of labels: 1025, limit: 1024)"), "{why}");
    }
}

#[test]
fn a_push_that_spells_out_too_much_is_refused() {
    let options = PushOptions { format: Format::Protobuf, time_ns: 0, group: Vec::new() };
    let malformed = Push::new(options.clone()).check(&histogram(1_000_000, 70)).unwrap_err();
    assert_eq!(malformed.error, "family 1: a push has at most 64 MiB of labels");
    Push::new(options).check(&histogram(1_000_000, 7)).unwrap();
}

#[test]
fn buckets_in_falling_order_are_those_in_rising_order() {
    let body = |order: &mut dyn Iterator<Item = usize>| {
        let bucket = |i: usize| format!("h_bucket{{le=\"{i}\"}} {i}\n");
        let buckets: String = order.map(bucket).collect();
        format!("# TYPE h histogram\n{buckets}h_bucket{{le=\"+Inf\"}} 20000\nh_count 20000\nh_sum 1\n")
    };
    let natives = |body: &str| {
        let mut target = Target::new();
        target.options.histograms.convert_classic = true;
        target.options.histograms.classic_too = false;
        target.scrape(TEXT, body.as_bytes()).unwrap();
        assert_eq!(target.tally.rows.len(), 1);
        target.tally.rows.remove(0).2
    };
    let falling = natives(&body(&mut (0..20_000).rev()));
    assert_eq!(falling, natives(&body(&mut (0..20_000))));
    assert_eq!(Histogram::read(&falling).unwrap().bounds().count(), 20_000);
}

#[test]
fn a_large_body_is_read_in_steps_of_bounded_work() {
    // Two thousand lines, each of a new series that is asked for twice.
    const STEP_LOOKUPS_MAX: usize = 4_200;
    let text = |from: usize| (from..from + 20_000).map(|i| format!("a{{l=\"{i}\"}} 1\n")).collect::<String>();
    let families: Vec<u8> = (0..400).flat_map(|i| histogram(i, 50)).collect();
    for (format, bodies) in [
        (TEXT, [text(0).into_bytes(), text(10_000).into_bytes()]),
        (Format::Protobuf, [families[..families.len() / 2].to_vec(), families.clone()]),
    ] {
        let mut target = Target::new();
        for (i, body) in bodies.iter().enumerate() {
            if format == Format::Protobuf && i == 0 {
                continue;
            }
            target.scrape(format, body).unwrap();
            assert!(target.lookups_a_step <= STEP_LOOKUPS_MAX, "{}", target.lookups_a_step);
            assert!(target.steps >= 5, "{}", target.steps);
        }
        // The series are found again in steps, too.
        target.tally.epoch += 1;
        target.tally.keys.clear();
        target.scrape(format, &bodies[1]).unwrap();
        assert!(target.lookups_a_step <= STEP_LOOKUPS_MAX, "{}", target.lookups_a_step);
    }
}

#[test]
fn metadata_without_samples_is_read_and_told_in_steps() {
    let body: String = (0..60_000).map(|i| format!("# HELP a{i} some help\n")).collect();
    let mut target = Target::new();
    target.scrape(TEXT, body.as_bytes()).unwrap();
    assert_eq!(target.tally.told, 60_000);
    assert!(target.steps > 1);
    assert!(target.page.lines.len() as u64 >= body.len() as u64 / (65 << 10));
}

#[test]
fn a_page_that_is_not_live_holds_no_text() {
    let text: String = (0..10_000).map(|i| format!("a{{l=\"{i}\"}} 1\n")).collect();
    for (format, mut body) in [(TEXT, text.clone().into_bytes()), (Format::Protobuf, histogram(100_000, 20))]
    {
        let mut target = Target::new();
        target.scrape(format, &body).unwrap();
        let series = target.tally.rows.len();
        assert!(target.page.memory_bytes() > body.len());
        target.end();
        assert!(target.tally.rows.iter().all(|row| row.1 == NAN_STALE_BITS));
        assert_eq!(target.tally.rows.len(), series);
        assert!(target.page.memory_bytes() <= series * 40, "{}", target.page.memory_bytes());
        assert!(target.scraper.memory_bytes() <= 8 * KEPT_BYTES_MAX);
        // Their numbers are good yet, so that they are not new; in another epoch nothing is known of them.
        target.scraper.begin(format, 7, &target.options);
        let mut counts = None;
        while counts.is_none() {
            counts = target.scraper.step(&mut target.page, &mut body, &mut target.tally).unwrap();
        }
        assert_eq!(counts.unwrap().added, 0);
        target.end();
        target.tally.epoch += 1;
        target.end();
        assert!(target.page.memory_bytes() == 0);
    }
}
