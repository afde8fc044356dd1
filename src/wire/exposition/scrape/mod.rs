//! Scrapes: a whole body at a time, read against what its target said the last time.
//!
//! Comes in: a target's decompressed body, its [`Format`], the time of the scrape, and the target's [`Page`]. Goes out:
//! rows, exemplars, metadata, stale markers of the series that are gone, and the [`Counts`] that a scrape reports.
//!
//! First read, then pushed, since a body that is broken somewhere or over a limit counts for nothing. Reading makes it
//! into lines (which series, which value) and makes new series known; nothing is pushed. Pushing goes as far as there
//! is room; come again for the rest after the next commit. Where a target failed or went away, an end stands in place
//! of a body: what is pushed then are stale markers of all that it said.
//!
//! Both go by steps of bounded work, so that a large body holds up nobody: [`Scraper::begin`] or
//! [`begin_end`](Scraper::begin_end), [`step`](Scraper::step) until it is read, [`push_step`](Scraper::push_step) until
//! it is pushed. The intake may enter another epoch between any two steps.
//!
//! What did not change is not read anew. The page keeps the last body and what its lines were; stretches that are equal
//! to it cost a comparison, lines that are equal up to their value cost reading the value. Only what is left is read
//! as the push decoder reads it. Two things are always read anew: families with `_created` lines, whose rows
//! depend on other lines, and lines that were refused.
//!
//! Invariants: the rows are those of a [`Decoder`](super::Decoder) given the same body, whatever the page; a series has
//! one row without a time of its own in a scrape, the first; an exemplar goes out when its series did not have it in
//! the page; what a page says is changed by a body that is taken, and by no other. Nothing is allocated per row once
//! page and scraper have grown. What is held of a body has bounds.
//!
//! What it refuses to know: HTTP, the clock, targets and their labels (those are the business of the context's
//! [`Rewrite`](crate::model::Rewrite)).

#[cfg(test)]
mod agreement;
mod compare;
mod convert;
mod exemplars;
#[cfg(test)]
mod hostile;
mod lines;
mod page;
mod protobuf;
mod push;
mod settle;
mod stages;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::model::{Intake, LabelsBuf, MetricType, Refusal, ValueRow};

use super::Syntax;
use super::labels::Names;
use super::line::Tokens;
use super::metadata::Spoken;
use super::prefix::Prefix;
use super::protobuf::{HistogramOptions, Reader, Walk};
use super::starts::Starts;
use super::work::Work;

use lines::Equal;
pub use page::Page;
use page::{Line, NO_KEY};
use stages::Stage;

/// The format of a scraped body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Text or OpenMetrics.
    Lines(Syntax),
    /// Families, each with its length before it.
    Protobuf,
}

/// How a target's bodies are taken.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct ScrapeOptions {
    /// Times of the target's own are taken; else all rows have the time of the scrape.
    pub honor_timestamps: bool,
    /// Series with times of the target's own get stale markers, too.
    pub track_timestamps_staleness: bool,
    /// Labels without a value come before the context's rewrite, which must take them away: with them a target says
    /// that it does not want a label.
    pub keep_empty_labels: bool,
    /// Samples that a body may have, those not counted that the rewrite drops, or whose text comes twice without a time
    /// of its own; 0 is any number.
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
    /// `scrape_series_added`: names and labels, as the target writes them, that neither its last good body had nor
    /// those that failed since; none of samples beyond the limit or too far ahead.
    pub added: u64,
    /// Samples that are not taken since their series came before in the same body.
    pub twice: u64,
    /// Samples that are not taken since their time is too far ahead, or outside of 64 bits of nanoseconds.
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
    /// A series can't be one, or the context's rewrite refuses it: why, and which.
    Unfit(String),
    /// It has more samples than it may have.
    SampleLimit(u64),
    /// A native histogram has more buckets than it may have, and they can't be merged further.
    BucketLimit(u64),
    /// It is longer than any body may be: see [`BODY_BYTES_MAX`].
    TooLong,
    /// It has more of something than any body may have.
    TooMany {
        /// Of what.
        what: &'static str,
        /// So many it may have.
        max: usize,
    },
}

/// Bytes of a body at most: places in what it becomes, which is twice as long at most, are numbers of 32 bits.
/// Configured limits are far below.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// Labels of a scraped series at most, whatever its job's limit is: what rules and a target's own labels cost is labels
/// times labels.
const LABELS_MAX: usize = 1024;

/// How often a body is begun anew since the intake entered another epoch, before it is read in one go.
const RESTARTS_MAX: u32 = 4;

/// Bytes that a piece of the scraper's memory may keep for the next body; what is larger is given back.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A sample this far ahead of its scrape is not taken, as in Prometheus.
pub const AHEAD_NS_MAX: i64 = 10 * 60 * 1_000_000_000;

/// Reads scrapes, one after the other, of any targets: a worker has one. Pages are the targets' own.
#[derive(Default, Debug)]
pub struct Scraper {
    stage: Stage,
    /// What a step does.
    step_work: Work,
    /// The format of the body; none where there is an end.
    format: Option<Format>,
    options: ScrapeOptions,
    progress: Progress,
    /// The intake's epoch that `lines` are of.
    epoch: u64,
    restarts: u32,
    /// The epoch for which a page is being renewed, and the line from which that goes on.
    renewed: (u64, usize),
    /// Why nothing of the body is taken.
    failure: Option<Failure>,
    added: u64,
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
    walk: Walk,
    /// The first line of the metric at hand.
    metric: u32,
    /// Of a metric of the page and one of the body, by their first lines: whether they share the same.
    like: ((u32, u32), bool),
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
    /// Rows on their way to the intake.
    rows: Vec<ValueRow>,
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

/// How far a body is read.
#[derive(Clone, Copy, Default, Debug)]
struct Progress {
    at: usize,
    /// The page's line that is expected next.
    next: usize,
    /// The series so far are the page's, in its order; once all is read: they are all of them.
    same: bool,
    /// `# EOF` was read.
    ended: bool,
    equal: Equal,
}

/// A line's own time; none if the sample is too far ahead to be taken, or no row can have its time.
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

    /// Begins with a target's body, of which [`step`](Scraper::step) makes lines. What was read before must have been
    /// [pushed](Scraper::push_step) to its end, or is forgotten.
    pub fn begin(&mut self, format: Format, time_ns: i64, options: &ScrapeOptions) {
        self.start(Some(format), time_ns, options);
    }

    /// What the target said last is no more: its scrape failed, or said nothing, or it is gone. What is pushed after
    /// the [steps](Scraper::step), whose body is empty, marks all of it as stale at this time, once.
    pub fn begin_end(&mut self, time_ns: i64, options: &ScrapeOptions) {
        self.start(None, time_ns, options);
    }

    /// Bytes of memory held: of the body that is read, most of all.
    pub fn memory_bytes(&self) -> usize {
        let texts = self.text.capacity() + self.heap.capacity() + self.exemplar_labels.capacity();
        texts
            + self.lines.capacity() * size_of::<Line>()
            + self.times.capacity() * size_of::<OwnTime>()
            + self.starts_ns.capacity() * size_of::<(u32, i64)>()
            + self.exemplars.capacity() * size_of::<HeldExemplar>()
            + self.gone.memory_bytes()
            + self.settling.memory_bytes()
    }

    fn start(&mut self, format: Option<Format>, time_ns: i64, options: &ScrapeOptions) {
        (self.format, self.time_ns, self.options) = (format, time_ns, *options);
        (self.restarts, self.renewed) = (0, (0, 0));
        self.clear();
    }

    /// Reads on, one step of bounded work. What the body brought once all of it is read; until then come again with
    /// the same page and body. Then `body` is memory that is free: the page has taken it up, and may have left its
    /// former one.
    ///
    /// New series are made known to `intake`, whose context is the target's.
    ///
    /// # Errors
    /// [`ScrapeFailure`]: nothing of it is taken, the page is as it was, and there is nothing to push.
    pub fn step<I: Intake>(
        &mut self,
        page: &mut Page,
        body: &mut Vec<u8>,
        intake: &mut I,
    ) -> Result<Option<Counts>, ScrapeFailure> {
        if body.len() > BODY_BYTES_MAX {
            return Err(ScrapeFailure { why: Failure::TooLong, counts: Counts::default() });
        }
        let numbers = !matches!(self.stage, Stage::Renew | Stage::Keep(..) | Stage::Done(_));
        if numbers && self.epoch != intake.epoch() {
            self.restarts += 1;
            self.clear();
        }
        let mut work = if self.restarts < RESTARTS_MAX { self.step_work } else { Work::whole() };
        loop {
            self.advance(page, body, intake, &mut work)?;
            match self.stage {
                Stage::Done(counts) => return Ok(Some(counts)),
                _ if work.is_spent() => return Ok(None),
                _ => {}
            }
        }
    }

    /// Reads a target's body in one go.
    ///
    /// # Errors
    /// As [`step`](Scraper::step).
    pub fn read<I: Intake>(
        &mut self,
        page: &mut Page,
        format: Format,
        body: &[u8],
        time_ns: i64,
        options: &ScrapeOptions,
        intake: &mut I,
    ) -> Result<Counts, ScrapeFailure> {
        self.begin(format, time_ns, options);
        let mut body = body.to_vec();
        loop {
            if let Some(counts) = self.step(page, &mut body, intake)? {
                return Ok(counts);
            }
        }
    }

    /// Begins anew with the body.
    fn clear(&mut self) {
        self.forget();
        (self.stage, self.failure, self.added) = (Stage::Renew, None, 0);
        self.progress = Progress { same: true, ..Progress::default() };
        self.walk = Walk::default();
        self.like = ((NO_KEY, NO_KEY), false);
        self.with_empty = self.options.keep_empty_labels;
        self.set_kind(MetricType::Unknown);
    }

    /// What the target said is no more, but the target goes on, and its lines are read in another way from now on. What
    /// is pushed after this marks those series of `page` as stale that are not in `now`, all of which was just pushed.
    ///
    /// In one go: a page comes to this once in a reload.
    pub fn end_but<I: Intake>(
        &mut self,
        page: &mut Page,
        now: &Page,
        time_ns: i64,
        options: &ScrapeOptions,
        intake: &mut I,
    ) {
        self.start(None, time_ns, options);
        self.renew(page, intake, &mut Work::whole());
        if now.live {
            debug_assert_eq!(now.epoch, intake.epoch());
            // A series that is there is not gone, whoever says its times.
            self.lines
                .extend(now.lines.iter().map(|line| Line { flags: line.flags & !Line::TIMED, ..*line }));
        }
        if page.live {
            self.find_gone(page);
        }
        self.lines.clear();
        page.die();
        self.stage = Stage::Done(Counts::default());
    }

    /// Forgets what was read and what of it was pushed, and lets go of memory that only a large body needs.
    fn forget(&mut self) {
        empty(&mut self.lines);
        empty(&mut self.times);
        empty(&mut self.starts_ns);
        empty(&mut self.exemplars);
        empty(&mut self.exemplar_labels);
        empty(&mut self.text);
        empty(&mut self.heap);
        self.family.clear();
        self.group.clear();
        self.gone.clear();
        empty(&mut self.gone.text);
        empty(&mut self.gone.lines);
        (self.pushed, self.pushed_gone, self.to_push, self.heard) = (0, 0, 0, 0);
        (self.family_at, self.family_len) = (0, 0);
        self.row_taken = false;
        self.side = SideAt::default();
        self.spoken.clear();
        self.starts.clear();
        self.settling.clear();
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
        match refusal {
            Refusal::Unfit(why) => Some(Failure::Unfit(why.to_string())),
            Refusal::Labels(_) => {
                let shown = String::from_utf8_lossy(&key[..key.len().min(SHOWN_BYTES_MAX)]);
                Some(Failure::Unfit(format!("a label is given twice (series: {shown})")))
            }
            Refusal::SeriesLimit { .. } | Refusal::TooLarge { .. } => None,
        }
    }

    /// A series of this metric has more than [`LABELS_MAX`] labels.
    fn labels(metric: &[u8], count: usize) -> Failure {
        let metric = String::from_utf8_lossy(&metric[..metric.len().min(SHOWN_BYTES_MAX)]);
        Failure::Unfit(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {LABELS_MAX})"
        ))
    }
}

/// Empties a piece of memory, and gives it back if it is a large one.
fn empty<T>(memory: &mut Vec<T>) {
    memory.clear();
    if memory.capacity() * size_of::<T>() > KEPT_BYTES_MAX {
        *memory = Vec::new();
    }
}

/// Bytes of a series' name that a failure shows.
const SHOWN_BYTES_MAX: usize = 100;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Malformed(error) | Failure::Unfit(error) => f.write_str(error),
            Failure::SampleLimit(limit) => write!(f, "sample limit exceeded: sample_limit is {limit}"),
            Failure::BucketLimit(limit) => {
                write!(f, "histogram bucket limit exceeded: native_histogram_bucket_limit is {limit}")
            }
            Failure::TooLong => f.write_str("the body is too long"),
            Failure::TooMany { what, max } => write!(f, "the body has more than {max} {what}"),
        }
    }
}

impl std::error::Error for Failure {}
