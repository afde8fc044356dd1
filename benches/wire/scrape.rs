//! Scrapes of a page like node_exporter's, one after the other, into a worker's real tables.
//!
//! What a page costs depends on how much of it the target said the last time. The unflattering classes: all values
//! change, every line has moved to another place, nothing is known of the target's last page.

use std::hint::black_box;
use std::time::Instant;

use tidegate::ingest::{ContextId, Ingest, IngestLimits, KeyHasher, SeriesBudget, Stream};
use tidegate::model::WriteResult;
use tidegate::wire::exposition::{
    Decoder, Faults, Format, HistogramOptions, Options, Page, ScrapeOptions, Scraper, Syntax,
};
use tidegate::wire::testing::Rows;
use tidegate::wire::{Decode, FedState};

use super::Random;

/// Measures the classes whose names contain one of the words, or all.
pub(super) fn measure(runs: usize, wanted: &[String]) {
    let first = page(&|_| 0, false);
    let classes: [(&str, Vec<u8>, bool); 5] = [
        ("scrape unchanged", first.clone(), true),
        ("scrape 10 % changed", page(&|line| u64::from(line % 10 == 3), false), true),
        ("scrape all changed", page(&|_| 1, false), true),
        ("scrape all moved", page(&|_| 1, true), true),
        ("scrape nothing known", page(&|_| 1, false), false),
    ];
    for (name, second, keeps) in classes {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            verify(&first, &second);
            class(name, [&first, &second], keeps, runs);
        }
    }
}

fn class(name: &str, pages: [&[u8]; 2], keeps: bool, runs: usize) {
    let limits = IngestLimits { series: SeriesBudget::new(1 << 20), time_min_ns: 0, time_max_ns: i64::MAX };
    let mut ingest = Ingest::new(KeyHasher::new(1), limits);
    let mut stream = Stream::new(ContextId(1));
    let (mut scraper, mut page) = (Scraper::new(), Page::new());
    let mut pass = |body: &[u8], time_ns: i64| -> u64 {
        if !keeps {
            page = Page::new();
        }
        let mut result = WriteResult::default();
        let mut writer = ingest.writer(&mut stream);
        let format = Format::Lines(Syntax::Text);
        let read = scraper.read(&mut page, format, black_box(body), time_ns, &OPTIONS, &mut writer);
        read.expect("the page is good");
        scraper.push(&mut page, &mut writer, &mut result).expect("a batch has room for a page");
        ingest.end_batch();
        result.samples
    };
    let mut ns: Vec<f64> = Vec::with_capacity(runs);
    let mut samples = 0;
    for run in 0..2 + runs as i64 {
        let start = Instant::now();
        samples = pass(pages[(run % 2) as usize], run);
        // The first ones make the page known, and the scraper's memory.
        if run >= 2 {
            ns.push(start.elapsed().as_nanos() as f64);
        }
    }
    ns.sort_by(f64::total_cmp);
    let len = pages[1].len() as f64;
    println!(
        "{name:<34} {:>9.2} {:>9.1} {:>8.0} {:>7.2}   page {:.0} B/series",
        ns[0] / samples as f64,
        ns[0] / samples as f64,
        len / samples as f64,
        len / ns[0],
        page.memory_bytes() as f64 / samples as f64
    );
}

/// The rows are those of the decoder that knows no page.
fn verify(first: &[u8], second: &[u8]) {
    let (mut scraper, mut page, mut rows) = (Scraper::new(), Page::new(), Rows::default());
    for body in [first, second] {
        rows.rows.clear();
        let format = Format::Lines(Syntax::Text);
        scraper.read(&mut page, format, body, 0, &OPTIONS, &mut rows).expect("the page is good");
        scraper.push(&mut page, &mut rows, &mut WriteResult::default()).expect("there is no bound");
    }
    let options = Options {
        syntax: Syntax::Text,
        faults: Faults::Body,
        default_time_ns: 0,
        labels: Vec::new(),
        keep_created: false,
    };
    let (mut plain, mut expected) = (Decoder::new(options), Rows::default());
    let fed = plain.feed(second, true, &mut expected, &mut WriteResult::default());
    assert!(fed.state == FedState::Done && rows.rows == expected.rows, "not the rows of the page");
    assert_eq!(rows.rows.len(), FAMILIES * SERIES);
}

/// A page of 1,500 samples. `of` says which value of two a line has; `turned`: the last family comes first.
fn page(of: &dyn Fn(usize) -> u64, turned: bool) -> Vec<u8> {
    let mut text = String::new();
    let mut line = 0;
    let order: Vec<usize> = if turned { (0..FAMILIES).rev().collect() } else { (0..FAMILIES).collect() };
    for family in order {
        let name =
            format!("node_{}_{family}_seconds_total", ["cpu", "disk_io", "network_receive"][family % 3]);
        text += &format!("# HELP {name} Seconds that it took, by device and mode.\n# TYPE {name} counter\n");
        for series in 0..SERIES {
            let mut random = Random(1 + (family * SERIES + series) as u64 * 2 + of(line));
            let value = random.below(100_000_000) as f64 / 100.0;
            text +=
                &format!("{name}{{device=\"nvme{}n1\",mode=\"mode_{}\"}} {value}\n", series / 5, series % 5);
            line += 1;
        }
    }
    text.into_bytes()
}

const FAMILIES: usize = 150;
const SERIES: usize = 10;

const OPTIONS: ScrapeOptions = ScrapeOptions {
    honor_timestamps: true,
    track_timestamps_staleness: false,
    keep_empty_labels: false,
    samples_max: 0,
    histograms: HistogramOptions {
        native: true,
        classic_too: false,
        convert_classic: false,
        buckets_max: 0,
        bucket_factor_min: 0.0,
    },
};
