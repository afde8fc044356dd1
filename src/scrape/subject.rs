//! A target as its worker keeps it: its connection, its slots, its series, and how far its scrape has come.

use std::sync::Arc;

use mio::Token;

use crate::engine::Reservation;
use crate::ingest::{ContextId, Stream};
use crate::model::Rewrite;
use crate::wire::exposition::{Counts, Format, HistogramOptions, Page};

use super::client::{Ask, Client, Failure, Origin, Url};
use super::control::Wanted;
use super::job::{BodyLimits, Histograms, Job};
use super::labels::TargetLabels;
use super::negotiate;
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
    pub(super) scrape: Scrape,
    pub(super) after: After,
    /// It is to be gone on with, and that is noted.
    pub(super) queued: bool,
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
    pub(super) report_stream: Stream,
    pub(super) report_labels: ReportLabels,
    /// It has been reported on, and is to be told stale when it ends.
    pub(super) reported: bool,
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
    /// It is not read to its end.
    pub(super) reads: bool,
    pub(super) told: Told,
    /// Why the scrape failed; `None` also where there was none.
    pub(super) failure: Option<String>,
    pub(super) ends: bool,
    /// Once the others are pushed: from which on its rows are not.
    pub(super) report: Option<(Report, usize)>,
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
    /// Another one of the same key takes its place.
    Replace(Wanted, Arc<TargetStatus>),
    /// Its series are no more, and then neither is it; or the other one takes its place.
    End(Option<(Wanted, Arc<TargetStatus>)>),
}

impl Taking {
    /// What came is to be read.
    pub(super) fn new(moment: Moment, news: News, mut told: Told) -> Taking {
        told.up = matches!(news, News::Body(_));
        let ends = matches!(news, News::End);
        let (arrival, failure) = match news {
            News::Body(arrival) => (Some(arrival), None),
            News::Failure(why) => (None, Some(why)),
            News::End => (None, None),
        };
        Taking { moment, arrival, reads: true, told, failure, ends, report: None }
    }

    /// Notes what the body brought.
    pub(super) fn count(&mut self, counts: &Counts) {
        (self.told.scraped, self.told.kept, self.told.added) = (counts.scraped, counts.kept, counts.added);
    }

    /// Nothing of the body is taken.
    pub(super) fn fail(&mut self, why: String) {
        (self.arrival, self.failure, self.told.up) = (None, Some(why), false);
    }
}

impl From<Histograms> for HistogramOptions {
    fn from(job: Histograms) -> HistogramOptions {
        let Histograms { native, classic_too, convert_classic, buckets_max, bucket_factor_min } = job;
        HistogramOptions { native, classic_too, convert_classic, buckets_max, bucket_factor_min }
    }
}

impl TargetSeries {
    /// The series of a target nothing is known of. `context` and the one after it are its own.
    pub(super) fn new(target: &Arc<Target>, context: u32) -> TargetSeries {
        let stream = |n| Stream::of_dialect(ContextId(ContextId::TARGETS), ContextId(context + n));
        TargetSeries {
            page: Page::new(),
            stream: stream(0),
            labels: Arc::new(TargetLabels::new(target)),
            report_stream: stream(1),
            report_labels: ReportLabels(Arc::clone(target)),
            reported: false,
        }
    }
}

impl Subject {
    pub(super) fn new(
        (wanted, status): (Wanted, Arc<TargetStatus>),
        token: Token,
        context: u32,
        slots: Slots,
    ) -> Subject {
        Subject {
            series: TargetSeries::new(&wanted.target, context),
            accept: negotiate::accept(&wanted.target.job).into(),
            keyed: Arc::clone(&wanted.target),
            wanted,
            status,
            slots,
            client: Client::new(token),
            scrape: Scrape::Idle,
            after: After::Nothing,
            queued: false,
            body_bytes: 0,
            last_stamp_ns: i64::MIN,
        }
    }

    /// Takes up another version of the same target whose series are the same.
    pub(super) fn become_other(&mut self, wanted: Wanted, status: Arc<TargetStatus>) {
        if self.target().job.client != wanted.target.job.client {
            self.client.forget();
        }
        self.accept = negotiate::accept(&wanted.target.job).into();
        self.wanted = wanted;
        self.status = status;
    }

    pub(super) fn target(&self) -> &Arc<Target> {
        &self.wanted.target
    }

    /// Whether `next` gives series their labels in another way: then those of now are others' than those to come.
    pub(super) fn names_differently(&self, next: &Target) -> bool {
        let (now, then) = (&*self.target().job, &*next.job);
        let limits = |job: &Job| {
            let BodyLimits { labels_max, label_name_bytes_max, label_value_bytes_max, .. } = job.limits;
            (labels_max, label_name_bytes_max, label_value_bytes_max)
        };
        (now.honor_labels, now.names, limits(now)) != (then.honor_labels, then.names, limits(then))
            || now.metric_relabel != then.metric_relabel
            || now.histograms != then.histograms
            || now.extra_metrics != then.extra_metrics
    }

    /// Where its body is.
    pub(super) fn url(&self) -> Result<Url, String> {
        let target = self.target();
        let origin = Origin::parse(target.scheme, &target.address);
        let origin = origin.ok_or_else(|| format!("{:?} is no host and port", target.address))?;
        Ok(Url { origin, path: target.path.clone(), user: None })
    }

    /// Bytes held, those of a body that is under way left out: they are paid for.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Subject>() + self.series.page.memory_bytes() + self.client.memory_bytes()
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
            Failure::Transport(why) => format!("Get {:?}: {why}", self.target().key.url),
            failure => failure.to_string(),
        }
    }
}
