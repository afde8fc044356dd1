//! A target as its worker keeps it: its connection, its slots, its series, and how far its scrape has come.

use std::sync::Arc;

use mio::Token;

use crate::engine::{Reservation, Worker};
use crate::ingest::{ContextId, Stream};
use crate::model::{Full, Rewrite, WriteResult};
use crate::telemetry::Protocol;
use crate::wire::exposition::{
    Counts, Format, HistogramOptions, Page, ScrapeOptions as ReadOptions, Scraper,
};

use super::client::{Ask, Client, Failure, Origin, Url};
use super::control::Wanted;
use super::job::{BodyLimits, Histograms, Job};
use super::labels::TargetLabels;
use super::negotiate;
use super::redacted::Redacted;
use super::report::{Report, ReportLabels, Told};
use super::schedule::Slots;
use super::status::TargetStatus;
use super::target::Target;

/// A target of a worker.
pub(super) struct Subject {
    pub(super) wanted: Wanted,
    pub(super) status: Arc<TargetStatus>,
    /// By whose key it is found: the one to come, where another takes its place.
    pub(super) keyed: Arc<Target>,
    pub(super) slots: Slots,
    pub(super) client: Client,
    pub(super) series: TargetSeries,
    /// Those before a reload, until a scrape tells which of them are still there.
    pub(super) before: Option<Box<FormerSeries>>,
    pub(super) report: ReportSeries,
    pub(super) scrape: Scrape,
    pub(super) after: After,
    pub(super) absence: Option<Absence>,
    /// It is to be gone on with, and that is noted.
    pub(super) queued: bool,
    /// It waits for memory, and that is noted.
    pub(super) is_short: bool,
    /// Bytes of its last body: the next one will be about as long.
    pub(super) body_bytes: usize,
    /// The time of its last rows.
    pub(super) last_stamp_ns: i64,
    /// The value of `Accept`.
    accept: Arc<str>,
}

/// What a target's rows are.
pub(super) struct TargetSeries {
    /// What it said last.
    pub(super) page: Page,
    pub(super) stream: Stream,
    pub(super) labels: Arc<dyn Rewrite>,
}

/// What a target's rows were when they were read in another way.
pub(super) struct FormerSeries {
    pub(super) series: TargetSeries,
    pub(super) options: ReadOptions,
}

/// What the rows are that scrapes say of themselves.
pub(super) struct ReportSeries {
    pub(super) stream: Stream,
    pub(super) labels: ReportLabels,
    /// How many series the last report had, which are to be told stale when it ends.
    pub(super) told: usize,
}

/// A target is gone, and may come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    /// The time of the stale markers: that of the first scrape that it missed.
    pub(super) stamp_ns: i64,
    /// When it was gone for too long, by the monotonic clock.
    pub(super) until_ns: u64,
}

/// How far a scrape has come.
pub(super) enum Scrape {
    /// None is under way.
    Idle,
    /// The target was asked.
    Asked(Moment),
    /// Something is to be made rows of.
    Arrived(Moment, News, Told),
    /// It is being read, then its rows are being pushed; then those of the report.
    Taking(Taking),
}

/// What a scrape came to.
pub(super) enum News {
    Body(Arrival),
    /// The target says nothing, whatever format it calls that.
    Nothing,
    /// Why there is none.
    Failure(String),
    /// There are no more scrapes.
    End,
}

/// What came is being read, and then rows are being pushed.
pub(super) struct Taking {
    pub(super) moment: Moment,
    /// Until it is read. The body and what pays for it go then: the page has what it needs of it.
    pub(super) arrival: Option<Arrival>,
    pub(super) told: Told,
    /// Why the scrape failed; `None` also where there was none.
    pub(super) failure: Option<String>,
    pub(super) ends: bool,
    pub(super) stage: Stage,
}

/// What is being done with what came.
pub(super) enum Stage {
    /// It is read.
    Read,
    /// The target's rows are pushed.
    Rows,
    /// The stale markers of those before a reload are.
    Former,
    /// The report's are; from which on they are not pushed.
    Report(Report, usize),
}

/// When a scrape began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The time of its rows.
    pub(super) stamp_ns: i64,
    /// By the monotonic clock.
    pub(super) began_ns: u64,
    pub(super) deadline_ns: u64,
}

/// A body to be read.
pub(super) struct Arrival {
    pub(super) body: Vec<u8>,
    pub(super) format: Format,
    /// What pays for it, until both go.
    pub(super) _paid: Reservation,
}

/// What becomes of a target when its scrape is over.
pub(super) enum After {
    /// It goes on.
    Nothing,
    /// Another one of the same series takes its place.
    Replace(Wanted, Arc<TargetStatus>),
    /// It is gone: its series are no more unless it comes back.
    Leave,
    /// Its series are no more, and then neither is it; or the other one takes its place.
    End(Option<(Wanted, Arc<TargetStatus>)>),
}

impl Taking {
    /// What came is to be read.
    pub(super) fn new(moment: Moment, news: News, mut told: Told) -> Taking {
        told.up = matches!(news, News::Body(_) | News::Nothing);
        let ends = matches!(news, News::End);
        let (arrival, failure) = match news {
            News::Body(arrival) => (Some(arrival), None),
            News::Failure(why) => (None, Some(why)),
            News::Nothing | News::End => (None, None),
        };
        Taking { moment, arrival, told, failure, ends, stage: Stage::Read }
    }

    /// Notes what the body brought.
    pub(super) fn count(&mut self, counts: &Counts) {
        (self.told.scraped, self.told.kept, self.told.added) = (counts.scraped, counts.kept, counts.added);
    }

    /// It is read to its end. Gives the memory of its body.
    pub(super) fn end_reading(&mut self, counts: &Counts) -> Vec<u8> {
        self.stage = Stage::Rows;
        let Some(arrival) = self.arrival.take() else { return Vec::new() };
        self.count(counts);
        arrival.body
    }

    /// Nothing of the body is taken.
    pub(super) fn fail(&mut self, why: String) {
        (self.arrival, self.failure, self.told.up) = (None, Some(why), false);
    }

    /// On to the report, the last of which had so many values.
    pub(super) fn report(&self, target: &Target, told_before: usize) -> Stage {
        let report = match self.ends {
            true => Report::stale(told_before),
            false => Report::new(target, &self.told, told_before),
        };
        Stage::Report(report, 0)
    }
}

impl From<Histograms> for HistogramOptions {
    fn from(job: Histograms) -> HistogramOptions {
        let Histograms { native, classic_too, convert_classic, buckets_max, bucket_factor_min } = job;
        HistogramOptions { native, classic_too, convert_classic, buckets_max, bucket_factor_min }
    }
}

impl TargetSeries {
    /// The series of a target nothing is known of.
    fn new(target: &Arc<Target>, stream: Stream) -> TargetSeries {
        TargetSeries { page: Page::new(), stream, labels: Arc::new(TargetLabels::new(target)) }
    }

    /// Pushes a step of what was read of it, and makes room where that is possible; whether all is pushed.
    ///
    /// # Errors
    /// [`Full`]: come again after the next commit.
    pub(super) fn push_step(
        &mut self,
        reader: &mut Scraper,
        engine: &mut Worker,
        result: &mut WriteResult,
    ) -> Result<bool, Full> {
        loop {
            let mut intake = engine.writer(&mut self.stream).rewriting(Some(&*self.labels));
            let pushed = reader.push_step(&mut self.page, &mut intake, result);
            count_taken(result, engine);
            match pushed {
                Err(Full) if engine.make_room() => {}
                pushed => return pushed,
            }
        }
    }
}

impl FormerSeries {
    /// Has those marked as stale that are not in `now`, which was just pushed: [`TargetSeries::push_step`] does it.
    pub(super) fn end_but(&mut self, now: &Page, stamp_ns: i64, reader: &mut Scraper, engine: &mut Worker) {
        let TargetSeries { page, stream, labels } = &mut self.series;
        let mut intake = engine.writer(stream).rewriting(Some(&**labels));
        reader.end_but(page, now, stamp_ns, &self.options, &mut intake);
    }
}

/// Tells the engine of rows that it was given: before it seals their batch.
pub(super) fn count_taken(result: &mut WriteResult, engine: &mut Worker) {
    let (rows, samples) = (&mut result.accepted, &mut result.samples);
    engine.count_rows(Protocol::Scrape, std::mem::take(rows), std::mem::take(samples));
}

/// How bodies of a job's targets are read.
pub(super) fn read_options(job: &Job) -> ReadOptions {
    ReadOptions {
        honor_timestamps: job.honor_timestamps,
        track_timestamps_staleness: job.track_timestamps_staleness,
        keep_empty_labels: job.honor_labels,
        samples_max: job.limits.samples_max,
        histograms: job.histograms.into(),
    }
}

/// With it a target's label names the socket that it is reached by, in place of its address.
const UNIX_SOCKET: &str = "__unix_socket__";

/// A stream of a target in a context of its own.
fn stream(context: u32) -> Stream {
    Stream::of_dialect(ContextId(ContextId::TARGETS), ContextId(context))
}

impl Subject {
    /// A target nothing is known of. `context` and the one after it are its own.
    pub(super) fn new(
        (wanted, status): (Wanted, Arc<TargetStatus>),
        token: Token,
        context: u32,
        slots: Slots,
    ) -> Subject {
        Subject {
            series: TargetSeries::new(&wanted.target, stream(context)),
            before: None,
            report: ReportSeries {
                stream: stream(context + 1),
                labels: ReportLabels(Arc::clone(&wanted.target)),
                told: 0,
            },
            accept: negotiate::accept(&wanted.target.job).into(),
            keyed: Arc::clone(&wanted.target),
            wanted,
            status,
            slots,
            client: Client::new(token),
            scrape: Scrape::Idle,
            after: After::Nothing,
            absence: None,
            queued: false,
            is_short: false,
            body_bytes: 0,
            last_stamp_ns: i64::MIN,
        }
    }

    /// Takes up another version of the target, of the same labels. `context` is its own if it
    /// [`names_differently`](Subject::names_differently).
    pub(super) fn become_other(&mut self, wanted: Wanted, status: Arc<TargetStatus>, context: Option<u32>) {
        let (now, then) = (Arc::clone(&self.target().job), &wanted.target.job);
        if now.client != then.client {
            self.client.forget();
        }
        if context.is_some() || now.honor_timestamps != then.honor_timestamps {
            let options = read_options(&now);
            let next = TargetSeries::new(&wanted.target, context.map_or(self.series.stream, stream));
            let series = std::mem::replace(&mut self.series, next);
            if series.page.is_live() {
                self.before = Some(Box::new(FormerSeries { series, options }));
            }
        } else {
            self.series.labels = Arc::new(TargetLabels::new(&wanted.target));
        }
        self.report.labels = ReportLabels(Arc::clone(&wanted.target));
        self.accept = negotiate::accept(&wanted.target.job).into();
        self.wanted = wanted;
        self.status = status;
        self.absence = None;
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.wanted.target
    }

    /// Whether `next` makes other series of the same lines.
    pub(super) fn names_differently(&self, next: &Target) -> bool {
        let (now, then) = (&*self.target().job, &*next.job);
        let limits = |job: &Job| {
            let BodyLimits { labels_max, label_name_bytes_max, label_value_bytes_max, .. } = job.limits;
            (labels_max, label_name_bytes_max, label_value_bytes_max)
        };
        (now.honor_labels, now.names, limits(now)) != (then.honor_labels, then.names, limits(then))
            || now.metric_relabel != then.metric_relabel
            || now.histograms != then.histograms
    }

    /// Whether there is anything that is to be told stale when the target is gone.
    pub(super) fn has_series(&self) -> bool {
        self.report.told > 0 || self.series.page.is_live() || self.before.is_some()
    }

    /// Where its body is.
    pub(super) fn url(&self) -> Result<Url, String> {
        let target = self.target();
        if target.key.labels.iter().any(|(name, value)| name == UNIX_SOCKET && !value.is_empty()) {
            return Err(format!("{UNIX_SOCKET} is not built into tidegate"));
        }
        let origin = Origin::parse(target.scheme, &target.address);
        let origin = origin
            .ok_or_else(|| format!("{:?} is no host and port", Redacted(&target.address).to_string()))?;
        Ok(Url { origin, path: target.path.clone() })
    }

    /// Bytes held, those of a body that is under way left out: they are paid for.
    pub(super) fn memory_bytes(&self) -> usize {
        let former = self.before.as_ref();
        let former = former.map_or(0, |b| size_of::<FormerSeries>() + b.series.page.memory_bytes());
        size_of::<Subject>() + self.series.page.memory_bytes() + former + self.client.memory_bytes()
    }

    /// The client, and what it asks for.
    pub(super) fn asking(&mut self) -> (&mut Client, Ask<'_>) {
        let target = &*self.wanted.target;
        let ask = Ask {
            client: &target.job.client,
            accept: &self.accept,
            compression: target.job.compression,
            timeout_seconds: target.timeout.as_secs_f64(),
            body_bytes_max: target.job.limits.body_bytes_max,
            body_bytes_expected: self.body_bytes,
        };
        (&mut self.client, ask)
    }

    /// Why a scrape failed, as Prometheus puts it.
    pub(super) fn describe(&self, failure: &Failure) -> String {
        match failure {
            Failure::Transport(why) => {
                format!("Get {:?}: {why}", Redacted(&self.target().key.url).to_string())
            }
            failure => failure.to_string(),
        }
    }
}
