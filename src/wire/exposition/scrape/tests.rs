use std::sync::Arc;

use super::*;
use crate::model::{Count, Histogram, METRIC_NAME, NAN_STALE_BITS, Rewrite, Verdict, WriteResult};
use crate::wire::exposition::protobuf::tests::{bytes, double, family as proto_family, value, varint};
use crate::wire::testing::{Row, Rows, Value};

pub(super) const NOW_NS: i64 = 1_700_000_000_000_000_000;

pub(super) fn options() -> ScrapeOptions {
    ScrapeOptions {
        honor_timestamps: true,
        track_timestamps_staleness: false,
        keep_empty_labels: false,
        samples_max: 0,
        histograms: HistogramOptions::default(),
    }
}

/// A target and what scrapes it.
struct Target {
    scraper: Scraper,
    page: Page,
    rows: Rows,
    options: ScrapeOptions,
    syntax: Syntax,
    time_ns: i64,
    /// Samples that the last push refused for their time.
    far_off: u64,
}

impl Target {
    fn new(syntax: Syntax) -> Target {
        let (scraper, page, rows) = (Scraper::new(), Page::new(), Rows::default());
        Target { scraper, page, rows, options: options(), syntax, time_ns: NOW_NS, far_off: 0 }
    }

    fn read(&mut self, body: &str) -> Result<Counts, ScrapeFailure> {
        self.time_ns += 1_000_000_000;
        let format = Format::Lines(self.syntax);
        let Target { scraper, page, rows, options, time_ns, .. } = self;
        scraper.read(page, format, body.as_bytes(), *time_ns, options, rows)
    }

    fn push(&mut self) -> Vec<Row> {
        let mut result = WriteResult::default();
        self.rows.rows.clear();
        self.scraper.push(&mut self.page, &mut self.rows, &mut result).unwrap();
        let late = |reason: &&(&str, u64)| reason.0 == "timestamp";
        self.far_off = result.reasons.iter().find(late).map_or(0, |reason| reason.1);
        // Those that the rewrite drops count as taken.
        assert!(result.accepted >= self.rows.rows.len() as u64);
        std::mem::take(&mut self.rows.rows)
    }

    /// Scrapes a good body.
    fn scrape(&mut self, body: &str) -> (Counts, Vec<String>) {
        let counts = self.read(body).unwrap();
        (counts, self.push().iter().map(shown).collect())
    }

    fn end(&mut self) -> Vec<String> {
        self.end_rows().iter().map(shown).collect()
    }

    fn end_rows(&mut self) -> Vec<Row> {
        self.time_ns += 1_000_000_000;
        self.scraper.begin_end(self.time_ns, &self.options);
        while self.scraper.step(&mut self.page, &mut Vec::new(), &mut self.rows).unwrap().is_none() {}
        self.push()
    }
}

fn shown(row: &Row) -> String {
    let labels: Vec<String> = row.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let Value::F64(bits) = row.fields[0].1 else { panic!("{row:?}") };
    let value = if bits == NAN_STALE_BITS { "stale".to_owned() } else { f64::from_bits(bits).to_string() };
    format!("{} {value}", labels.join(",").replace("__name__=", ""))
}

fn counts(scraped: u64, kept: u64, added: u64) -> Counts {
    Counts { scraped, kept, added, ..Counts::default() }
}

#[test]
fn series_that_are_gone_are_stale_once() {
    let mut target = Target::new(Syntax::Text);
    assert_eq!(target.scrape("a 1\nb 2\n"), (counts(2, 2, 2), vec!["a 1".into(), "b 2".into()]));
    assert_eq!(target.scrape("a 1\nb 3\n"), (counts(2, 2, 0), vec!["a 1".into(), "b 3".into()]));
    assert_eq!(
        target.scrape("a 1\nc 3\n"),
        (counts(2, 2, 1), vec!["a 1".into(), "c 3".into(), "b stale".into()])
    );
    assert_eq!(target.end(), ["a stale", "c stale"]);
    assert_eq!(target.end(), [""; 0]);
    // What was there before a failure is not new.
    assert_eq!(target.scrape("c 3\na 1\n"), (counts(2, 2, 0), vec!["c 3".into(), "a 1".into()]));
    assert_eq!(target.scrape(""), (counts(0, 0, 0), vec!["c stale".into(), "a stale".into()]).sorted());
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for (Counts, Vec<String>) {
    fn sorted(mut self) -> Self {
        self.1.sort();
        self
    }
}

#[test]
fn a_broken_body_counts_for_nothing() {
    let mut target = Target::new(Syntax::Text);
    target.scrape("a 1\nb 2\n");
    let failure = target.read("a 1\nc 2\n\nx y\nd 1\n").unwrap_err();
    assert_eq!(failure.why.to_string(), "line 4: invalid value at column 3");
    assert_eq!(failure.counts, counts(2, 2, 1));
    assert_eq!(target.push(), []);
    assert_eq!(target.end(), ["a stale", "b stale"]);
    assert_eq!(target.scrape("a 1\nb 2\n").0, counts(2, 2, 0));

    let mut target = Target::new(Syntax::OpenMetrics);
    target.scrape("a 1\n# EOF\n");
    assert!(target.read("a 1\n").unwrap_err().why.to_string().contains("EOF"));
    assert!(target.read("a 1\n# EOF\na 1\n").unwrap_err().why.to_string().contains("after"));
    assert_eq!(target.scrape("a 1\n# EOF").1, ["a 1"]);
}

#[test]
fn of_the_lines_of_one_series_the_first_is_taken() {
    let mut target = Target::new(Syntax::Text);
    for _ in 0..2 {
        let (counts, rows) =
            target.scrape("a{x=\"1\"} 1\nb 2\na{x=\"1\"} 3\na{x=\"1\",} 4\na{x=\"1\"} 5 7\n");
        assert_eq!(rows, ["a,x=1 1", "b 2", "a,x=1 5"]);
        assert_eq!((counts.scraped, counts.kept, counts.twice), (5, 5, 2));
    }
    assert_eq!(
        target.scrape("a{x=\"1\",} 4\nb 1\n"),
        (counts(2, 2, 0), vec!["a,x=1 4".into(), "b 1".into()])
    );
    // The one with a time of its own was the only one.
    let mut target = Target::new(Syntax::Text);
    assert_eq!(target.scrape("a 1 5\na 2\n").1, ["a 1"]);
    // Another text of its series is taken, though.
    assert_eq!(target.scrape("a 1 5\na 2\na{} 3\n").1, ["a 1", "a 3"]);
}

#[test]
fn times_of_the_targets_own_are_taken_or_not_and_make_no_stale_markers() {
    let ahead = NOW_NS / 1_000_000 + 3_600_000;
    let body = format!("a 1 5\nb 2\nc 1 {ahead}\n");
    let mut target = Target::new(Syntax::Text);
    for _ in 0..2 {
        let counts = target.read(&body).unwrap();
        assert_eq!(counts.ahead, 1);
        let rows = target.push();
        assert_eq!(target.far_off, 1, "it is told what was not taken");
        assert_eq!(rows.iter().map(|row| row.time_ns).collect::<Vec<_>>(), [5_000_000, target.time_ns]);
    }
    assert_eq!(target.scrape("").1, ["b stale"]);
    target.options.track_timestamps_staleness = true;
    target.scrape("a 1 5\n");
    assert_eq!(target.scrape("").1, ["a stale"]);
    // A sample that is not taken does not keep its series.
    target.scrape("a 1 5\nb 1 5\n");
    assert_eq!(target.scrape(&format!("a 1 5\nb 2 {ahead}\n")).1, ["a 1", "b stale"]);
    assert_eq!(target.scrape(&format!("b 2 {ahead}\n")).1, ["a stale"]);
    target.options.honor_timestamps = false;
    target.read(&body).unwrap();
    let time_ns = target.time_ns;
    assert!(target.push().iter().all(|row| row.time_ns == time_ns));
    assert_eq!(target.scrape("").1.len(), 3);
}

#[test]
fn a_time_that_no_row_can_have_costs_its_sample_alone() {
    // Milliseconds where OpenMetrics has seconds, and the ends of what the formats can say.
    for (syntax, body) in [
        (Syntax::OpenMetrics, "a 1\nb 2 1700000000000\nc 3 # {} 1\n# EOF\n".to_owned()),
        (Syntax::OpenMetrics, "a 1\nb 2 -1700000000000 # {x=\"y\"} 1\nc 3\n# EOF\n".to_owned()),
        (Syntax::Text, format!("a 1\nb 2 {}\nc 3\n", i64::MAX)),
        (Syntax::Text, "a 1\nb{} 2\t9223372036855\nc 3\n".to_owned()),
    ] {
        let mut target = Target::new(syntax);
        for added in [2, 0] {
            let wanted = Counts { ahead: 1, ..counts(3, 3, added) };
            assert_eq!(target.scrape(&body), (wanted, vec!["a 1".into(), "c 3".into()]), "{body}");
        }
        assert!(target.rows.exemplars.iter().all(|exemplar| exemplar.series[0].1 == "c"), "{body}");
    }
    let timed = |ms: i64| bytes(4, &[bytes(2, &value(2.0)), varint(6, ms as u64)].concat());
    for ms in [i64::MAX, i64::MIN, 9_223_372_036_855] {
        let family = [bytes(1, b"g"), varint(3, 1), timed(5), timed(ms)].concat();
        let body = [vec![family.len() as u8], family].concat();
        let mut target = Target::new(Syntax::Text);
        let Target { scraper, page, rows, options, time_ns, .. } = &mut target;
        let counts = scraper.read(page, Format::Protobuf, &body, *time_ns, options, rows).unwrap();
        assert_eq!((counts.scraped, counts.ahead), (2, 1), "{ms}");
        let rows = target.push();
        assert_eq!(rows.iter().map(|row| row.time_ns).collect::<Vec<_>>(), [5_000_000], "{ms}");
    }
}

/// Drops series named `drop`, refuses those named `refuse`, leaves no label to those named `merge`.
#[derive(Debug)]
struct Rules;

impl Rewrite for Rules {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        match labels.value_of(METRIC_NAME) {
            Some(b"drop") => Verdict::Drop,
            Some(b"refuse") => Verdict::Refuse("no such series is wanted".into()),
            Some(b"merge") => {
                labels.retain(|name, _| name == METRIC_NAME);
                Verdict::Keep
            }
            _ => Verdict::Keep,
        }
    }
}

#[test]
fn what_the_rewrite_drops_is_counted_and_what_it_refuses_fails_the_scrape() {
    let mut target = Target::new(Syntax::Text);
    target.rows.rewrite = Some(Arc::new(Rules));
    for added in [1, 0] {
        assert_eq!(
            target.scrape("a 1\ndrop 2\ndrop{x=\"1\"} 3\n"),
            (counts(3, 1, added), vec!["a 1".into()])
        );
    }
    assert_eq!(target.scrape("drop 2\n").1, ["a stale"]);
    let failure = target.read("a 1\nrefuse{x=\"1\"} 2\nb 1\n").unwrap_err();
    assert_eq!(failure.why.to_string(), "no such series is wanted");
    assert_eq!(failure.counts.scraped, 2);
    assert_eq!(target.push(), []);
    target.options.histograms.convert_classic = true;
    target.options.histograms.classic_too = false;
    let histogram = "a 1\n# TYPE refuse histogram\nrefuse_bucket{le=\"1\"} 1\nrefuse_count 1\nb 1\n";
    assert_eq!(target.read(histogram).unwrap_err().counts.scraped, 2, "the histogram is one");
}

#[test]
fn over_the_sample_limit_nothing_is_taken() {
    let mut target = Target::new(Syntax::Text);
    target.rows.rewrite = Some(Arc::new(Rules));
    target.options.samples_max = 2;
    assert_eq!(target.scrape("a 1\ndrop 1\nb 1\na 3\n").1, ["a 1", "b 1"]);
    let failure = target.read("a 1\nb 1\nc 1\nd 1\n").unwrap_err();
    assert_eq!(failure, ScrapeFailure { why: Failure::SampleLimit(2), counts: counts(4, 4, 0) });
    assert_eq!(target.push(), []);
    assert_eq!(target.end(), ["a stale", "b stale"]);
    // What the rewrite makes one series of are as many samples as the target says.
    let merged = "merge{x=\"1\"} 1\nmerge{x=\"2\"} 2\n";
    for _ in 0..2 {
        assert_eq!(target.scrape(&format!("{merged}merge{{x=\"1\"}} 3\n")).1, ["merge 1"]);
        let failure = target.read(&format!("{merged}merge{{x=\"3\"}} 3\n")).unwrap_err();
        assert_eq!(failure, ScrapeFailure { why: Failure::SampleLimit(2), counts: failure.counts });
    }
}

#[test]
fn a_histogram_of_too_many_buckets_fails_a_body_that_is_read_to_its_end_unless_it_is_dropped() {
    let mut target = Target::new(Syntax::Text);
    target.rows.rewrite = Some(Arc::new(Rules));
    target.options.histograms = HistogramOptions {
        convert_classic: true,
        classic_too: false,
        buckets_max: 2,
        ..HistogramOptions::default()
    };
    let body = |name: &str, buckets: u32| {
        let bucket = |le: u32| format!("{name}_bucket{{le=\"{le}\"}} {le}\n");
        let buckets: String = (1..=buckets).map(bucket).collect();
        format!("a 1\n# TYPE {name} histogram\n{buckets}{name}_count 99\n# TYPE b gauge\nb 1\n")
    };
    for (name, buckets, kept) in [("drop", 9, 2), ("h", 1, 3)] {
        assert_eq!(target.read(&body(name, buckets)).unwrap().kept, kept, "{name}");
        target.push();
    }
    for markers in [3, 0] {
        let failure = target.read(&body("h", 9)).unwrap_err();
        assert_eq!(failure, ScrapeFailure { why: Failure::BucketLimit(2), counts: counts(3, 3, 0) });
        assert_eq!(target.end_rows().len(), markers);
    }
    target.options.samples_max = 1;
    let why = target.read(&body("h", 9)).unwrap_err().why;
    assert_eq!(why, Failure::SampleLimit(1), "of two limits it is this one");
}

#[test]
fn a_series_without_room_is_refused_alone_and_taken_when_there_is() {
    let mut target = Target::new(Syntax::Text);
    target.rows.series_max = Some(1);
    let counts = target.read("a 1\nb 2\nc 3\n").unwrap();
    assert_eq!((counts.refused, counts.kept), (2, 1));
    let mut result = WriteResult::default();
    target.scraper.push(&mut target.page, &mut target.rows, &mut result).unwrap();
    assert_eq!((result.accepted, result.rejected), (1, 2));
    target.rows.series_max = None;
    assert_eq!(target.scrape("a 1\nb 2\nc 3\n").1, ["a 1", "b 2", "c 3"]);
    assert_eq!(target.scrape("").1.len(), 3);
}

#[test]
fn metadata_is_told_when_it_is_new_and_once_in_each_epoch() {
    let mut target = Target::new(Syntax::Text);
    let told = |target: &mut Target, body: &str| -> Vec<String> {
        target.rows.metadata.clear();
        target.scrape(body);
        target.rows.metadata.iter().map(|m| format!("{} {:?} {}", m.name, m.kind, m.help)).collect()
    };
    let body = "# HELP a one\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n";
    assert_eq!(told(&mut target, body), ["a Counter one", "b Gauge "]);
    assert_eq!(told(&mut target, body), [""; 0]);
    assert_eq!(told(&mut target, &body.replace("one", "two")), ["a Counter two"]);
    target.rows.forget();
    assert_eq!(told(&mut target, &body.replace("one", "two")), ["a Counter two", "b Gauge "]);
    // The type decides about the labels behind it.
    assert_eq!(target.scrape("# TYPE h gauge\nh_bucket{le=\"1\"} 1\n").1[0], "h_bucket,le=1 1");
    let typed = target.scrape("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n").1;
    assert_eq!(typed, ["h_bucket,le=1.0 1", "h_bucket,le=1 stale"]);
}

#[test]
fn start_times_reach_the_rows_of_their_family_whatever_changed_and_are_rows_themselves() {
    let mut target = Target::new(Syntax::OpenMetrics);
    let family = |value: u32, created: &str| {
        format!(
            "# TYPE x gauge\nx 1\n# TYPE a counter\na_total{{b=\"1\"}} {value}\na_total{{b=\"2\"}} 3\n{created}# TYPE y gauge\ny 1\n# EOF\n"
        )
    };
    let mut starts = |body: &str| -> Vec<Option<i64>> {
        target.read(body).unwrap();
        target.push().iter().map(|row| row.start_time_ns.map(|ns| ns / 1_000_000_000)).collect()
    };
    assert_eq!(starts(&family(1, "")), [None; 4]);
    assert_eq!(starts(&family(1, "a_created{b=\"2\"} 7\n")), [None, None, Some(7), None, None]);
    assert_eq!(starts(&family(1, "a_created{b=\"2\"} 7\n")), [None, None, Some(7), None, None]);
    assert_eq!(starts(&family(2, "a_created{b=\"2\"} 8\n")), [None, None, Some(8), None, None]);
    assert_eq!(
        starts(&family(2, "a_created{b=\"1\"} 8\n")),
        [None, Some(8), None, None, None, None],
        "and a stale one"
    );
    assert_eq!(starts(&family(2, "")), [None; 5], "and a stale one");
}

#[test]
fn labels_without_a_value_reach_the_rewrite_where_that_is_wanted() {
    #[derive(Debug)]
    struct Sees;
    impl Rewrite for Sees {
        fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
            if labels.value_of(b"job") == Some(b"") { Verdict::Drop } else { Verdict::Keep }
        }
    }
    for (keep_empty_labels, kept) in [(false, 1), (true, 0)] {
        let mut target = Target::new(Syntax::Text);
        target.rows.rewrite = Some(Arc::new(Sees));
        target.options.keep_empty_labels = keep_empty_labels;
        assert_eq!(target.scrape("a{job=\"\"} 1\n").0.kept, kept);
        // A classic histogram that becomes a native one loses them.
        target.options.histograms.convert_classic = true;
        target.options.histograms.classic_too = false;
        let body = "# TYPE h histogram\nh_bucket{job=\"\",le=\"+Inf\"} 1\nh_count{job=\"\"} 1\n";
        assert_eq!(target.read(body).unwrap().kept, 1);
        target.push();
    }
}

/// Series, bounds and counts of the native histograms among rows.
fn natives(rows: &[Row]) -> Vec<String> {
    let natives = rows.iter().filter_map(|row| match &row.fields[0].1 {
        Value::Bytes(bytes) => Some((row, Histogram::read(bytes).unwrap())),
        _ => None,
    });
    let shown = natives.map(|(row, native)| {
        let labels: Vec<String> = row.labels.iter().map(|(_, value)| value.clone()).collect();
        let counts: Vec<Count> = native.positive.counts().collect();
        let spans: Vec<_> = native.positive.spans().map(|span| (span.offset, span.len)).collect();
        let bounds: Vec<f64> = native.bounds().collect();
        format!(
            "{labels:?} {bounds:?} {spans:?} {counts:?} {:?} {}",
            native.count,
            native.sum.to_bits() == NAN_STALE_BITS
        )
    });
    shown.collect()
}

#[test]
fn classic_histograms_become_native_ones() {
    let body = |count: u32| {
        format!(
            "# TYPE h histogram\nh_bucket{{l=\"1\",le=\"1\"}} 2\nh_bucket{{le=\"+Inf\",l=\"1\"}} {count}\nh_sum{{l=\"1\"}} 9\n\
             h_count{{l=\"1\"}} {count}\nh_count{{l=\"2\"}} 3\nh_sum{{l=\"2\"}} 1.5\nother 1\n# TYPE g gauge\ng_count 1\n"
        )
    };
    let mut target = Target::new(Syntax::Text);
    target.options.histograms.convert_classic = true;
    target.options.histograms.classic_too = false;
    for count in [5, 6] {
        let counts = target.read(&body(count)).unwrap();
        assert_eq!((counts.scraped, counts.kept, counts.added), (4, 4, if count == 5 { 4 } else { 0 }));
        let rows = target.push();
        assert_eq!(
            natives(&rows),
            [
                format!("[\"h\", \"1\"] [1.0] [(0, 2)] [U64(2), U64({})] U64({count}) false", count - 2),
                "[\"h\", \"2\"] [] [(0, 1)] [U64(3)] U64(3) false".to_owned(),
            ]
        );
        assert_eq!(rows.len(), 4);
        target.rows.forget();
    }
    // One that does not add up is left out, and what it was is gone.
    let counts = target.read(&body(6).replace("le=\"+Inf\",l=\"1\"} 6", "le=\"+Inf\",l=\"1\"} 1")).unwrap();
    assert_eq!(counts.kept, 3);
    assert!(natives(&target.push())[1].ends_with("true"), "a stale histogram");
    target.options.histograms.classic_too = true;
    let counts = target.read(&body(5)).unwrap();
    assert_eq!((counts.kept, target.push().len()), (10, 10));
}

#[test]
fn a_classic_histogram_whose_count_is_less_than_its_buckets_is_left_out_of_lines() {
    let mut target = Target::new(Syntax::Text);
    target.options.histograms.convert_classic = true;
    target.options.histograms.classic_too = false;
    let body =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 10\nh_sum 1.5\nh_count 1\nother 1\n";
    assert_eq!(target.read(body).unwrap().kept, 1);
    assert_eq!(natives(&target.push()), [""; 0]);
}

#[test]
fn protobuf_is_read_along_the_page_too() {
    let (mut scraper, mut page, mut rows) = (Scraper::new(), Page::new(), Rows::default());
    let mut scrape = |body: &[u8], forget: bool| -> (Counts, Vec<String>, usize) {
        if forget {
            rows.forget();
        }
        rows.metadata.clear();
        let counts = scraper.read(&mut page, Format::Protobuf, body, NOW_NS, &options(), &mut rows).unwrap();
        let mut result = WriteResult::default();
        scraper.push(&mut page, &mut rows, &mut result).unwrap();
        (counts, rows.rows.drain(..).map(|row| shown(&row)).collect(), rows.metadata.len())
    };
    let page = |a: f64, labels: &[&str]| {
        let metrics: Vec<(&str, Vec<u8>)> = labels.iter().map(|label| (*label, value(a))).collect();
        [proto_family("g", 1, 2, &metrics), proto_family("c", 0, 3, &[("x", value(1.0))])].concat()
    };
    assert_eq!(
        scrape(&page(1.0, &["x", "y"]), false),
        (counts(3, 3, 3), vec!["g,l=x 1".into(), "g,l=y 1".into(), "c,l=x 1".into()], 2)
    );
    assert_eq!(
        scrape(&page(2.0, &["z", "y", "y"]), false),
        (
            Counts { twice: 1, ..counts(4, 4, 1) },
            vec!["g,l=z 2".into(), "g,l=y 2".into(), "c,l=x 1".into(), "g,l=x stale".into()],
            0
        )
    );
    assert_eq!(
        scrape(&page(2.0, &["z"]), true),
        (counts(2, 2, 0), vec!["g,l=z 2".into(), "c,l=x 1".into(), "g,l=y stale".into()], 2)
    );
}

#[test]
fn a_scraped_histogram_that_contradicts_itself_fails_the_scrape_unless_rules_drop_it() {
    let (mut scraper, mut page) = (Scraper::new(), Page::new());
    let mut rows = Rows::default();
    rows.rewrite = Some(Arc::new(Rules));
    let span = bytes(12, &[varint(1, 0), varint(2, 2)].concat());
    // Buckets of 1 and 3, one observation around zero.
    let whole = |count: u64, sum: f64| {
        [varint(1, count), double(2, sum), varint(7, 1), span.clone(), bytes(13, &[2, 4])].concat()
    };
    let floats = |count: f64, zero: f64, last: f64| {
        let counts = [1.0f64, last].iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<u8>>();
        [double(4, count), double(2, 1.0), double(8, zero), span.clone(), bytes(14, &counts)].concat()
    };
    for (histogram, expected) in [
        (whole(5, 1.0), None),
        (whole(3, 1.0), Some("5 observations found in buckets, but the Count field is 3")),
        (whole(9, 1.0), Some("5 observations found in buckets, but the Count field is 9")),
        (whole(9, f64::NAN), None),
        (whole(3, f64::NAN), Some("should be at least")),
        (floats(7.5, 1.0, 3.0), None),
        (floats(-5.0, 1.0, 3.0), Some("histogram's observation count is negative")),
        (floats(5.0, -1.0, 3.0), Some("zero bucket: ")),
        (floats(5.0, 1.0, -3.0), Some("positive side: bucket number 2: ")),
    ] {
        for name in ["h", "drop"] {
            // The second time the page knows the series.
            for _ in 0..2 {
                let good = proto_family("a", 1, 2, &[("x", value(1.0))]);
                let body = [good, proto_family(name, 4, 7, &[("x", histogram.clone())])].concat();
                let read = scraper.read(&mut page, Format::Protobuf, &body, NOW_NS, &options(), &mut rows);
                match (read, expected.filter(|_| name != "drop")) {
                    (Ok(counts), None) => {
                        assert_eq!(counts.kept, 1 + u64::from(name != "drop"));
                        scraper.push(&mut page, &mut rows, &mut WriteResult::default()).unwrap();
                    }
                    (Err(failure), Some(expected)) => {
                        assert!(failure.why.to_string().contains(expected), "{}", failure.why);
                        assert_eq!(failure.counts.scraped, 2, "it counts as one that was read");
                    }
                    (read, _) => panic!("{expected:?}: {read:?}"),
                }
            }
        }
    }
}

#[test]
fn series_are_added_as_prometheus_counts_them() {
    let many = |count: usize| (0..count).map(|i| format!("a{{i=\"{i}\"}} {i}\n")).collect::<String>();
    let ahead = NOW_NS / 1_000_000 + 3_600_000;
    // Bodies, what a scrape of each adds, one after the other; at most ten samples.
    for (bodies, added) in [
        (vec![many(20)], vec![10, 0, 0]),
        (vec![many(8), many(20), many(20), many(8), many(20)], vec![8, 2, 0, 0, 2]),
        (vec!["a 1\nb x y\n".to_owned()], vec![1, 0, 0]),
        (vec!["a 1\nb 2\nc 3\n".to_owned(), "a 1\nb 2\nd 1\nx y\n".to_owned()], vec![3, 1, 0, 1, 0]),
        (vec![format!("a 1\nb 1 {ahead}\n"), format!("b 2 {ahead}\na 1\n")], vec![1, 0, 0]),
        (vec![format!("a 1\nb 1 {ahead}\n"), "a 1\nb 1 5\n".to_owned()], vec![1, 1]),
        // What was known before its time was too far ahead is known behind it.
        (
            vec!["a 1\nb 1\n".into(), format!("a 1\nb 1 {ahead}\n"), format!("a 2\nb 2 {ahead}\n")],
            vec![2, 0, 0, 0],
        ),
        (vec!["a 1\nb x y\n".into(), format!("b 1\na 1 {ahead}\n")], vec![1, 1, 0, 0]),
        (vec!["a 1\na 1\nb 1\na 2\nc 1 5\nc 1 6\n".to_owned()], vec![3, 0, 0]),
        (vec!["a{x=\"1\",x=\"2\"} 1\n".to_owned()], vec![0, 0]),
        // The rewrite makes one series of them.
        (vec!["merge{x=\"1\"} 1\nmerge{x=\"2\"} 2\nmerge{x=\"3\"} 1\n".to_owned()], vec![3, 0, 0]),
    ] {
        let mut target = Target::new(Syntax::Text);
        target.options.samples_max = 10;
        target.rows.rewrite = Some(Arc::new(Rules));
        for (i, wanted) in added.iter().enumerate() {
            let body = &bodies[i % bodies.len()];
            let got = target.read(body);
            let counts = got.as_ref().map_or_else(|failure| failure.counts, |counts| *counts);
            assert_eq!(counts.added, *wanted, "scrape {i} of {bodies:?}");
            // A failure is followed by its stale markers, whose steps know of no new series.
            if got.is_ok() { drop(target.push()) } else { drop(target.end()) }
        }
    }
}

#[test]
fn series_of_failed_bodies_are_forgotten_when_they_are_too_many() {
    let mut target = Target::new(Syntax::Text);
    let bad =
        |range: std::ops::Range<usize>| range.map(|i| format!("a{i} 1\n")).chain(["x y\n".into()]).collect();
    let mut added = |body: String| target.read(&body).unwrap_err().counts.added;
    assert_eq!(added(bad(0..600)), 600);
    assert_eq!(added(bad(300..700)), 100);
    assert_eq!(added(bad(0..300)), 0);
    assert_eq!(added(bad(1000..1700)), 700);
    assert_eq!(added(bad(1000..1700)), 0, "those of the last one are known");
    assert_eq!(added(bad(0..300)), 300);
    assert!(target.page.memory_bytes() < 8 << 10);
}

#[test]
fn a_line_with_a_label_twice_was_scraped() {
    let mut target = Target::new(Syntax::Text);
    let failure = target.read("b 1\na{x=\"1\",x=\"2\"} 1\nc 1\n").unwrap_err();
    assert_eq!((failure.counts.scraped, failure.counts.kept), (2, 1));
    assert!(failure.why.to_string().starts_with("line 2: "), "{failure:?}");
}

/// The exemplars that a scrape brings, as labels, value and time since the epoch in seconds, or since the scrape.
fn exemplars_of(target: &mut Target, body: &str) -> Vec<String> {
    target.rows.exemplars.clear();
    target.read(body).unwrap();
    target.push();
    let now_ns = target.time_ns;
    let shown = target.rows.exemplars.iter().map(|seen| {
        let labels: Vec<&str> = seen.labels.iter().map(|(_, value)| &**value).collect();
        let value = f64::from_bits(seen.value_bits);
        let time = if seen.time_ns == now_ns { -1 } else { seen.time_ns / 1_000_000_000 };
        format!("{} {value} {time}", labels.join(","))
    });
    shown.collect()
}

#[test]
fn an_exemplar_is_stored_once_until_its_series_has_another() {
    let mut target = Target::new(Syntax::OpenMetrics);
    let none = [""; 0];
    for timed in ["", " 9"] {
        let body = |value: u32, x: &str, y: &str| {
            format!("# TYPE a counter\na_total{{l=\"x\"}} {value}{x}\na_total{{l=\"y\"}} {value}{y}\n# EOF\n")
        };
        let seconds = if timed.is_empty() { -1 } else { 9 };
        let one = |id: &str| format!(" # {{id=\"{id}\"}} 1{timed}");
        let seen = |id: &str| format!("{id} 1 {seconds}");
        assert_eq!(exemplars_of(&mut target, &body(1, &one("a"), "")), [seen("a")]);
        assert_eq!(exemplars_of(&mut target, &body(2, &one("a"), "")), none);
        assert_eq!(exemplars_of(&mut target, &body(2, &one("a"), "")), none, "nothing moved");
        assert_eq!(
            exemplars_of(&mut target, &body(3, &one("a"), &one("a"))),
            [seen("a")],
            "of another series"
        );
        assert_eq!(exemplars_of(&mut target, &body(4, &one("b"), &one("a"))), [seen("b")]);
        let text = body(5, &one("b"), &one("a"));
        let [kind, x, y, eof] = text.split_inclusive('\n').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let turned = [kind, y, x, eof].concat();
        assert_eq!(exemplars_of(&mut target, &turned), none, "in another order");
        target.rows.forget();
        assert_eq!(exemplars_of(&mut target, &body(6, &one("b"), &one("a"))), none, "in another epoch");
        let created = "a_created{l=\"x\"} 3\n# EOF";
        for value in 7..9 {
            let with_start = body(value, &one("b"), &one("a")).replace("# EOF", created);
            assert_eq!(exemplars_of(&mut target, &with_start), none);
        }
        exemplars_of(&mut target, &body(9, "", ""));
    }
    // Another time or value is another exemplar; times of the row are no matter.
    let a = |time: &str, exemplar: &str| format!("a 1{time} # {{}} {exemplar}\n# EOF\n");
    assert_eq!(exemplars_of(&mut target, &a(" 1", "1 5")), [" 1 5"]);
    assert_eq!(exemplars_of(&mut target, &a(" 2", "1 5")), none);
    assert_eq!(exemplars_of(&mut target, &a(" 3", "1 6")), [" 1 6"]);
    assert_eq!(exemplars_of(&mut target, &a(" 4", "2 6")), [" 2 6"]);
    // What was too far ahead was not taken.
    assert_eq!(exemplars_of(&mut target, &a(" 5000000000", "3 6")), none);
    assert_eq!(exemplars_of(&mut target, &a(" 6", "3 6")), [" 3 6"]);
    // What looks like an exemplar in a label's value is none.
    assert_eq!(exemplars_of(&mut target, "b{l=\" # {} 1\"} 1\n# EOF\n"), none);
    assert_eq!(exemplars_of(&mut target, "b{l=\" # {} 1\"} 2 # {} 1\n# EOF\n"), [" 1 -1"]);
}

#[test]
fn exemplars_of_histograms_are_stored_once() {
    let body = |count: u32, ids: [&str; 2]| {
        let bucket = |le: &str, id: &str| format!("h_bucket{{le=\"{le}\"}} {count} # {{id=\"{id}\"}} 1 9\n");
        let buckets = [bucket("1.0", ids[0]), bucket("+Inf", ids[1])].concat();
        format!("# TYPE h histogram\n{buckets}h_count {count}\nh_sum 1\n# EOF\n")
    };
    for (converts, classic_too) in [(false, false), (true, false), (true, true)] {
        let mut target = Target::new(Syntax::OpenMetrics);
        target.options.histograms.convert_classic = converts;
        target.options.histograms.classic_too = classic_too;
        // Where both are stored, both have them.
        let times = 1 + usize::from(classic_too);
        let mut count = |body: String, id: &str| {
            let seen = exemplars_of(&mut target, &body);
            assert!(seen.iter().all(|seen| id.contains(&seen[..1])), "{seen:?}");
            seen.len() / times
        };
        let counts = [
            count(body(1, ["a", "b"]), "ab"),
            count(body(2, ["a", "b"]), ""),
            count(body(2, ["a", "b"]), ""),
            count(body(3, ["c", "b"]), "c"),
            count(body(4, ["c", "b"]), ""),
        ];
        assert_eq!(counts, [2, 0, 0, 1, 0], "converts: {converts}, classic too: {classic_too}");
    }
}

#[test]
fn exemplars_in_protobuf_are_stored_once() {
    let (mut scraper, mut page, mut rows) = (Scraper::new(), Page::new(), Rows::default());
    let counter = |value: f64, id: &str| -> Vec<u8> {
        let label = bytes(1, &[bytes(1, b"id"), bytes(2, id.as_bytes())].concat());
        let exemplar = bytes(2, &[label, double(2, 1.0)].concat());
        [double(1, value), if id.is_empty() { Vec::new() } else { exemplar }].concat()
    };
    let native = |count: u64, ids: &[&str]| -> Vec<u8> {
        let exemplars = ids.iter().flat_map(|id| {
            let label = bytes(1, &[bytes(1, b"id"), bytes(2, id.as_bytes())].concat());
            bytes(16, &[label, double(2, 1.0), bytes(3, &varint(1, 9))].concat())
        });
        let span = bytes(12, &[varint(1, 0), varint(2, 1)].concat());
        let head =
            [varint(1, count), double(2, 1.5), varint(5, 6), span, bytes(13, &varint(0, 2 * count)[1..])];
        [head.concat(), exemplars.collect()].concat()
    };
    let mut scrape = |value: f64, ids: [&str; 2], natives: &[&str]| -> Vec<String> {
        let body = [
            proto_family("c", 0, 3, &[("x", counter(value, ids[0])), ("y", counter(value, ids[1]))]),
            proto_family("h", 4, 7, &[("x", native(value as u64, natives))]),
            proto_family("z", 0, 3, &[("x", counter(value, ""))]),
        ];
        rows.exemplars.clear();
        let options = ScrapeOptions {
            histograms: HistogramOptions { native: true, ..options().histograms },
            ..options()
        };
        let counts =
            scraper.read(&mut page, Format::Protobuf, &body.concat(), NOW_NS, &options, &mut rows).unwrap();
        assert_eq!((counts.scraped, counts.kept), (4, 4));
        scraper.push(&mut page, &mut rows, &mut WriteResult::default()).unwrap();
        rows.exemplars.iter().map(|seen| seen.labels[0].1.clone()).collect()
    };
    let none = [""; 0];
    assert_eq!(scrape(1.0, ["a", ""], &["n", "o"]), ["a", "n", "o"]);
    assert_eq!(scrape(2.0, ["a", ""], &["n", "o"]), none);
    assert_eq!(scrape(2.0, ["a", "b"], &["n", "m", "o"]), ["b", "m"]);
    assert_eq!(scrape(3.0, ["c", "b"], &["m", "o", "p"]), ["c", "p"]);
    assert_eq!(scrape(4.0, ["", "b"], &["m", "o", "p"]), none);
    assert_eq!(scrape(4.0, ["", "b"], &[]), none);
}
