//! The Prometheus exposition formats: text 0.0.4 and OpenMetrics, as the Prometheus server takes them.
//!
//! Comes in: what a target exposes or a client pushes, and [`Options`]: which [`Syntax`], what a bad line costs, which
//! labels every series gets. Goes out: rows of one field `value`, the metric's name in the label `__name__`; exemplars;
//! metadata from `HELP`, `TYPE` and `UNIT`.
//!
//! The grammar is the server's, lenient where the server is lenient: refusing an exposition that Prometheus takes
//! would lose data. As there, the values of `le` and `quantile` are written as OpenMetrics writes floats while the
//! last `TYPE` said histogram or summary, times are whole milliseconds, every NaN is the ordinary one, and
//! labels without a value are no labels. Of text whose lines are taken each by itself they may end with CRLF, too, as
//! VictoriaMetrics has it.
//!
//! `_created` lines of OpenMetrics counters, summaries and histograms are the start time of the rows of the same labels
//! in their family, wherever in it they stand. What is pushed has no rows of them; one that belongs to no row stays a
//! row of its own. Of what is scraped all are rows as well, as Prometheus stores them.
//!
//! Invariants: a line becomes a whole row or none; the same bytes give the same rows and the same faults wherever
//! they are cut; nothing is allocated per row after the first rows of a kind.
//!
//! What it refuses to know: HTTP, the clock, what becomes of rows.

mod cursor;
mod decoder;
mod fault;
mod labels;
mod line;
mod metadata;
mod number;
mod openmetrics;
#[cfg(test)]
mod oracle;
mod prefix;
mod protobuf;
mod push;
mod scrape;
mod series;
mod starts;
#[cfg(test)]
mod tests;
mod text;
mod work;

pub use decoder::Decoder;
pub use protobuf::{HistogramOptions, ProtobufDecoder};
pub use push::{Push, PushOptions, RowBeside, SeriesKey};
pub use scrape::{
    AHEAD_NS_MAX, BODY_BYTES_MAX, Counts, Failure, Format, Page, ScrapeFailure, ScrapeOptions, Scraper,
};

/// Bytes of a line at most, its newline not counted. Longer lines are rejected and never buffered whole.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Which of the formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syntax {
    /// Text 0.0.4, and 1.0.0, which is the same with quoted names.
    Text,
    /// OpenMetrics 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// What a line costs that cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    /// The whole body: a scrape that is broken somewhere may be broken anywhere.
    Body,
    /// Itself.
    Line,
}

/// A label that a series gets in place of its own of this name. Without a value it takes that one away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenLabel {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
}

impl GivenLabel {
    /// A label.
    pub fn new(name: &[u8], value: &[u8]) -> GivenLabel {
        GivenLabel { name: name.into(), value: value.into() }
    }
}

/// Brings given labels into the order in which [`is_given`] looks for them.
fn sort_given(labels: &mut [GivenLabel]) {
    labels.sort_by(|a, b| a.name.cmp(&b.name));
}

/// Whether a label of this name is among sorted ones.
fn is_given(labels: &[GivenLabel], name: &[u8]) -> bool {
    labels.binary_search_by(|label| (*label.name).cmp(name)).is_ok()
}

/// How a body is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its format.
    pub syntax: Syntax,
    /// What a bad line costs.
    pub faults: Faults,
    /// The time of lines that have none.
    pub default_time_ns: i64,
    /// Labels that every series gets, in place of its own of these names. No name comes twice.
    pub labels: Vec<GivenLabel>,
    /// Whether a `_created` line that is the start time of others is a row as well.
    pub keep_created: bool,
}
