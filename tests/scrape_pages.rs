//! Scrapes into a worker's real tables: what a segment's end does to a page, and what a series costs in memory.

#![allow(clippy::unwrap_used, reason = "a test")]

use tidegate::ingest::{ContextId, Ingest, IngestLimits, KeyHasher, SeriesBudget, Stream};
use tidegate::model::{NAN_STALE_BITS, WriteResult};
use tidegate::wire::exposition::{Format, HistogramOptions, Page, ScrapeOptions, Scraper, Syntax};

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

fn ingest() -> Ingest {
    let limits = IngestLimits { series: SeriesBudget::new(1 << 20), time_min_ns: 0, time_max_ns: i64::MAX };
    Ingest::new(KeyHasher::new(1), limits)
}

/// Series (by their labels) and values of the batch's rows, which is emptied.
fn rows(ingest: &mut Ingest) -> Vec<(String, u64)> {
    let batch = ingest.batch();
    let row = |row: usize| {
        let found = batch.row(row);
        let dictionary = ingest.table().dictionary();
        let text = |symbol| String::from_utf8(dictionary.symbol(symbol).to_vec()).unwrap();
        let labels = dictionary.series_labels(found.series);
        let labels: Vec<String> =
            labels.map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
        (labels.join(","), found.values[0])
    };
    let rows = (0..batch.rows()).map(row).collect();
    ingest.end_batch();
    rows
}

#[test]
fn a_page_outlives_segments_whenever_they_end() {
    let (mut ingest, mut stream) = (ingest(), Stream::new(ContextId(1)));
    let (mut scraper, mut page) = (Scraper::new(), Page::new());
    let format = Format::Lines(Syntax::Text);
    let bodies = ["a 1\nb{x=\"1\"} 2\nc 3\n", "a 1\nb{x=\"1\"} 3\n", "a 1\nb{x=\"1\"} 3\nc 1\n"];
    let expected = |labels: &str, value: f64| (labels.to_owned(), value.to_bits());
    for rotate_between in [false, true] {
        for (i, body) in bodies.iter().enumerate() {
            let mut writer = ingest.writer(&mut stream);
            scraper.read(&mut page, format, body.as_bytes(), i as i64, &OPTIONS, &mut writer).unwrap();
            if rotate_between {
                ingest.rotate();
                // Nobody is promoted any more: all is defined anew.
                ingest.forget_previous();
            }
            let mut result = WriteResult::default();
            scraper.push(&mut page, &mut ingest.writer(&mut stream), &mut result).unwrap();
            let found = rows(&mut ingest);
            assert_eq!(result.accepted, found.len() as u64);
            assert_eq!(found[0], expected("__name__=a", 1.0));
            assert_eq!(found[1], expected("__name__=b,x=1", if i == 0 { 2.0 } else { 3.0 }));
            assert_eq!(found[2].0, "__name__=c");
            assert_eq!(found[2].1 == NAN_STALE_BITS, i == 1, "{found:?}");
            assert_eq!(found.len(), 3);
            ingest.rotate();
        }
    }
}

#[test]
fn a_scraped_series_takes_less_than_500_bytes() {
    const TARGETS: u64 = 40;
    let mut ingest = ingest();
    let mut scraper = Scraper::new();
    let (mut page_bytes, mut series) = (0, 0);
    for target in 0..TARGETS {
        let body: String = (0..1_500)
            .map(|i| {
                let (name, cpu, mode) = (i / 40, i / 8 % 5, i % 8);
                // What makes them other series is part of the line, where in a scrape it is the target's.
                format!("node_cpu_{name}_seconds_total{{cpu=\"{cpu}\",host=\"{target}\",mode=\"mode_{mode}\"}} {i}.25\n")
            })
            .collect();
        let mut stream = Stream::new(ContextId(target as u32));
        let mut page = Page::new();
        let mut writer = ingest.writer(&mut stream);
        let format = Format::Lines(Syntax::Text);
        let counts = scraper.read(&mut page, format, body.as_bytes(), 1, &OPTIONS, &mut writer).unwrap();
        scraper.push(&mut page, &mut writer, &mut WriteResult::default()).unwrap();
        ingest.end_batch();
        page_bytes += page.memory_bytes() as u64;
        series += counts.added;
    }
    let bytes = (page_bytes + ingest.memory_bytes() as u64) / series;
    println!("{bytes} bytes a series, of which {} are pages", page_bytes / series);
    assert!(bytes < 500, "{bytes} bytes a series");
}
