//! StatsD and DogStatsD: samples that are added up, events and service checks that are rows at once.
//!
//! Comes in: lines in pieces of any size. [`Decoder`] cuts and reads them into the [`Aggregates`] of a listener; these
//! write rows to an [`Intake`](crate::model::Intake): what was added up at each flush, and without waiting what has a
//! time of its own.
//!
//! The dialect is statsd_exporter's with all its tag styles: DogStatsD's `|#k:v`, InfluxDB's `name,k=v`, Librato's
//! `name#k=v`, SignalFx's `name[k=v]`; two styles in one line are refused. Names stay as they were sent. Names of tags
//! become Prometheus's (other characters are `_`); tags without a value are left out of metrics, and are `true` in
//! events and service checks, as in Telegraf. Timers (`ms`) become seconds.
//!
//! | type | row at each flush |
//! |---|---|
//! | `c` | `value`: the sum of the interval, each sample divided by its rate |
//! | `g` | `value`: the last value, changed by `+n` and `-n` since; also where nothing came in the interval |
//! | `ms`, `h`, `d` | `count`, `sum`, `min`, `max`, and the percentiles as `p50`, `p99`, ... |
//! | `s` | `value`: how many different ones there were in the interval |
//! | `c`, `g` with `\|T` | `value` at that time, at once |
//! | `_e` | `statsd_event`: `title`, `text`, `priority`, `alert_type`, ... at once |
//! | `_sc` | `statsd_service_check`: `status`, `status_text`, `message` at once |
//!
//! Invariants: what is held is bounded (series, values for percentiles, members of sets), whatever comes; a bad sample
//! costs no other; nothing is allocated per sample after the first of its series. What it refuses to know: sockets,
//! and the clock, which it is told.

mod aggregates;
mod decoder;
mod fault;
mod known;
mod notice;
mod observations;
mod packets;
mod sample;
mod tags;
#[cfg(test)]
mod tests;
mod waiting;

pub use aggregates::{Aggregates, Options, PERCENTILES_MAX};
pub use decoder::{Decoder, Feed};
pub use fault::Fault;
pub use notice::{Notice, NoticeValue};
pub use sample::{Kind, Parser, Repeat, Sample};
pub use tags::TagStyles;

/// Bytes of a line at most, its newline not counted.
pub const LINE_BYTES_MAX: usize = 64 << 10;
