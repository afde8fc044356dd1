//! Scrapes: a whole body at a time, read against what its target said the last time.
//!
//! Comes in: a target's decompressed body, its [`Format`], the time of the scrape, and the target's [`Page`]. Goes out:
//! rows, exemplars, metadata, stale markers of the series that are gone, and the [`Counts`] that a scrape reports.
//!
//! Two steps, since a body that is broken somewhere or over a limit counts for nothing. [`Scraper::read`] reads it
//! whole into lines (which series, which value) and makes new series known; nothing is pushed. [`Scraper::push`] pushes
//! what was read as far as there is room; come again for the rest after the next commit. Where a target failed or went
//! away, [`Scraper::end`] stands in place of `read`: what is pushed then are stale markers of all that it said.
//!
//! What did not change is not read anew. The page keeps the last body and what its lines were; stretches that are equal
//! to it cost a comparison, lines that are equal up to their value cost reading the value. Only what is left is read
//! as the push decoder reads it. Two things are always read anew: families with `_created` lines, whose rows
//! depend on other lines, and lines that were refused.
//!
//! Invariants: the rows are those of a [`Decoder`](super::Decoder) given the same body, whatever the page; a series has
//! one row without a time of its own in a scrape, the first; a page is changed by a body that is taken, and by no
//! other. Nothing is allocated per row once page and scraper have grown.
//!
//! What it refuses to know: HTTP, the clock, targets and their labels (those are the business of the context's
//! [`Rewrite`](crate::model::Rewrite)).

mod compare;
mod convert;
mod lines;
mod page;
mod protobuf;
mod push;
mod settle;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::model::{Intake, LabelsBuf, MetricType, Refusal};

use super::Syntax;
use super::labels::Names;
use super::line::Tokens;
use super::metadata::Spoken;
use super::prefix::Prefix;
use super::protobuf::{HistogramOptions, Reader};
use super::starts::Starts;

use page::Line;
pub use page::Page;

/// The format of a scraped body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text or OpenMetrics.
    Lines(Syntax),
    /// Families, each with its length before it.
    Protobuf,
}

/// How a target's bodies are taken.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScrapeOptions {
    /// Times of the target's own are taken; else all rows have the time of the scrape.
    pub honor_timestamps: bool,
    /// Series with times of the target's own get stale markers, too.
    pub track_timestamps_staleness: bool,
    /// Labels without a value come before the context's rewrite, which must take them away: with them a target says
    /// that it does not want a label.
    pub keep_empty_labels: bool,
    /// Samples that a body may have, those not counted that the rewrite drops or that come twice; 0 is any number.
    pub samples_max: u64,
    /// What becomes of histograms.
    pub histograms: HistogramOptions,
}

/// What a scrape brought.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// `scrape_samples_scraped`: samples of the body, up to where it is broken.
    pub scraped: u64,
    /// `scrape_samples_post_metric_relabeling`: those of them that the rewrite left.
    pub kept: u64,
    /// `scrape_series_added`: series that the target's last good body did not have.
    pub added: u64,
    /// Samples that are not taken since their series came before in the same body.
    pub twice: u64,
    /// Samples that are not taken since their time is too far ahead.
    pub ahead: u64,
    /// Samples that are not taken since there is no room for their series.
    pub refused: u64,
}

/// A body of which nothing is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScrapeFailure {
    /// Why.
    pub why: Failure,
    /// What was read nevertheless: it is reported, though not kept.
    pub counts: Counts,
}

/// Why nothing of a body is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It is not of its format. What is wrong, and at which line.
    Malformed(String),
    /// The context's rewrite refuses a series.
    Unfit {
        /// Its reason.
        why: &'static str,
        /// The start of the series as the target names it.
        series: String,
    },
    /// It has more samples than it may have.
    SampleLimit(u64),
    /// It is longer than any body may be: see [`BODY_BYTES_MAX`].
    TooLong,
}

/// Bytes of a body at most: places in it are numbers of 32 bits. Configured limits are far below.
pub const BODY_BYTES_MAX: usize = u32::MAX as usize;

/// A sample this far ahead of its scrape is not taken, as in Prometheus.
pub const AHEAD_NS_MAX: i64 = 10 * 60 * 1_000_000_000;

/// Reads scrapes, one after the other, of any targets: a worker has one. Pages are the targets' own.
#[derive(Default, Debug)]
pub struct Scraper {
    /// The body being read, line by line.
    lines: Vec<Line>,
    /// What stands beside the lines, by rising number of the line.
    times: Vec<OwnTime>,
    starts_ns: Vec<(u32, i64)>,
    exemplars: Vec<HeldExemplar>,
    /// The text of a page that is no body.
    text: Vec<u8>,
    /// Native histograms.
    heap: Vec<u8>,
    families: Reader,
    /// The labels of the exemplars.
    exemplar_labels: Vec<u8>,
    /// Lines of series that are gone, and where in it the stale markers of all that is pushed next stand.
    gone: Page,
    /// The time of the scrape.
    time_ns: i64,
    /// What is pushed: lines of the page before this one are, and lines of `gone`.
    pushed: usize,
    pushed_gone: usize,
    /// The lines of the page that are to be pushed.
    to_push: usize,
    /// The row of the line at hand is taken, its exemplars are not all.
    row_taken: bool,
    /// Side records before these are taken.
    side: SideAt,
    /// Metadata of lines before this one was heard.
    heard: usize,
    spoken: Spoken,
    kind: MetricType,
    prefix: Prefix,
    starts: Starts,
    /// The first line of the family at hand.
    family_at: usize,
    /// The length of its name, once it was asked whether it has start times.
    family_len: usize,
    tokens: Tokens,
    names: Names,
    /// Labels without a value come before the rewrite.
    with_empty: bool,
    labels: LabelsBuf,
    key: Vec<u8>,
    scratch: Vec<u8>,
    /// What the last `TYPE` named, where classic histograms are converted.
    family: Vec<u8>,
    group: convert::Group,
    settling: settle::Settling,
}

/// A line's own time; none if the sample is too far ahead to be taken.
#[derive(Clone, Copy, Debug)]
struct OwnTime {
    line: u32,
    time_ns: Option<i64>,
}

/// An exemplar until its row is pushed.
#[derive(Clone, Debug)]
struct HeldExemplar {
    line: u32,
    time_ns: i64,
    value_bits: u64,
    labels: Range<usize>,
}

/// How far the side records of lines are taken.
#[derive(Clone, Copy, Default, Debug)]
struct SideAt {
    times: usize,
    starts: usize,
    exemplars: usize,
}

impl Scraper {
    /// A scraper.
    pub fn new() -> Scraper {
        Scraper::default()
    }

    /// Reads a target's body. Its rows are pushed by [`push`](Scraper::push), which must have come to its end before
    /// the next body is read.
    ///
    /// New series are made known to `intake`, whose context is the target's.
    ///
    /// # Errors
    /// [`ScrapeFailure`]: nothing of it is taken, the page is as it was, and [`push`](Scraper::push) has nothing to do.
    pub fn read<I: Intake>(
        &mut self,
        page: &mut Page,
        format: Format,
        body: &[u8],
        time_ns: i64,
        options: &ScrapeOptions,
        intake: &mut I,
    ) -> Result<Counts, ScrapeFailure> {
        self.begin(time_ns, options);
        if body.len() > BODY_BYTES_MAX {
            return Err(ScrapeFailure { why: Failure::TooLong, counts: Counts::default() });
        }
        self.renew(page, intake);
        let read = match format {
            Format::Lines(syntax) => self.read_lines(page, syntax, body, options, intake),
            Format::Protobuf => self.read_protobuf(page, body, options, intake),
        };
        let same = *read.as_ref().unwrap_or(&false);
        let counts = self.settle(page, same, options, intake);
        let taken = counts.kept - counts.twice;
        match read {
            Err(why) => return self.fail(why, counts),
            Ok(_) if options.samples_max > 0 && taken > options.samples_max => {
                return self.fail(Failure::SampleLimit(options.samples_max), counts);
            }
            Ok(_) => {}
        }
        let converts = options.histograms.convert_classic;
        if converts && format != Format::Protobuf {
            self.weave(body);
        }
        let text = if converts || format == Format::Protobuf { &self.text } else { body };
        page.replace(format, text, &self.lines, intake.epoch());
        self.to_push = page.lines.len();
        Ok(counts)
    }

    /// What the target said last is no more: its scrape failed, or it is gone. [`push`](Scraper::push) marks all of it
    /// as stale at this time, once.
    pub fn end<I: Intake>(&mut self, page: &mut Page, time_ns: i64, options: &ScrapeOptions, intake: &mut I) {
        self.begin(time_ns, options);
        self.renew(page, intake);
        self.settle_end(page, options, intake);
        page.live = false;
    }

    /// As [`end`](Scraper::end), for a target that goes on and whose lines are read in another way from now on: `now`,
    /// all of which was just pushed, is what it says, and only the series that are not in it are marked.
    pub fn end_but<I: Intake>(
        &mut self,
        page: &mut Page,
        now: &Page,
        time_ns: i64,
        options: &ScrapeOptions,
        intake: &mut I,
    ) {
        self.begin(time_ns, options);
        self.renew(page, intake);
        if now.live {
            debug_assert_eq!(now.epoch, intake.epoch());
            // A series that is there is not gone, whoever says its times.
            self.lines
                .extend(now.lines.iter().map(|line| Line { flags: line.flags & !Line::TIMED, ..*line }));
        }
        self.settle_end(page, options, intake);
        page.live = false;
    }

    fn begin(&mut self, time_ns: i64, options: &ScrapeOptions) {
        self.time_ns = time_ns;
        self.with_empty = options.keep_empty_labels;
        self.lines.clear();
        self.times.clear();
        self.starts_ns.clear();
        self.exemplars.clear();
        self.exemplar_labels.clear();
        self.text.clear();
        self.heap.clear();
        self.family.clear();
        self.group.clear();
        self.gone.clear();
        (self.pushed, self.pushed_gone, self.to_push, self.heard) = (0, 0, 0, 0);
        (self.family_at, self.family_len) = (0, 0);
        self.row_taken = false;
        self.side = SideAt::default();
        self.spoken.clear();
        self.starts.clear();
        self.set_kind(MetricType::Unknown);
    }

    fn fail(&mut self, why: Failure, counts: Counts) -> Result<Counts, ScrapeFailure> {
        self.gone.clear();
        Err(ScrapeFailure { why, counts })
    }

    /// A `TYPE` was read.
    fn set_kind(&mut self, kind: MetricType) {
        if kind != self.kind {
            self.kind = kind;
            self.prefix.set_kind(kind);
        }
    }
}

impl Failure {
    /// The series that `key` names is refused. One for which there is no room costs itself alone: no failure.
    fn of_refusal(refusal: &Refusal, key: &[u8]) -> Option<Failure> {
        let unfit = |why| {
            let shown = &key[..key.len().min(SHOWN_BYTES_MAX)];
            Failure::Unfit { why, series: String::from_utf8_lossy(shown).into_owned() }
        };
        match refusal {
            Refusal::Unfit(why) => Some(unfit(why)),
            Refusal::Labels(_) => Some(unfit("a label is given twice")),
            Refusal::SeriesLimit { .. } | Refusal::TooLarge { .. } => None,
        }
    }
}

/// Bytes of a series' name that a failure shows.
const SHOWN_BYTES_MAX: usize = 100;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Malformed(error) => f.write_str(error),
            Failure::Unfit { why, series } => write!(f, "{why} (series: {series})"),
            Failure::SampleLimit(limit) => write!(f, "sample limit exceeded: sample_limit is {limit}"),
            Failure::TooLong => f.write_str("the body is too long"),
        }
    }
}

impl std::error::Error for Failure {}
