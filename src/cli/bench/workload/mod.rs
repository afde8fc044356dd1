//! What the lines of a workload look like, without their times.
//!
//! Comes in: a workload, a number of series and a seed. Goes out: line after line, in the order asked for. Keeps: the
//! same seed gives the same lines on every machine, a series has the same tags in every line, and every line of a
//! workload has the same number of fields. Refuses to know: times, requests, sockets.

mod events;
mod keys;
mod values;

use crate::cli::bench::args::{Order, Values, Workload};
use crate::cli::bench::random::Random;
use values::Walks;

/// Writes the lines of a workload, round by round: in a round each series has one line.
pub(super) struct Lines {
    workload: Workload,
    order: Option<Random>,
    series: Vec<u32>,
    fields: Fields,
}

enum Fields {
    Walks(Walks),
    Events(Random),
}

impl Lines {
    pub(super) fn new(workload: Workload, values: Values, order: Order, series: u32, seed: u64) -> Lines {
        let random = Random::new(seed, VALUES_STREAM);
        let fields = match workload {
            Workload::Events => Fields::Events(random),
            _ => Fields::Walks(Walks::new(keys::field_texts(workload), values, series, random)),
        };
        let order = (order == Order::Random).then(|| Random::new(seed, ORDER_STREAM));
        Lines { workload, order, series: (0..series).collect(), fields }
    }

    /// Fields, hence samples, in every line.
    pub(super) fn samples_per_line(&self) -> u32 {
        match &self.fields {
            Fields::Walks(walks) => walks.fields() as u32,
            Fields::Events(_) => events::FIELDS,
        }
    }

    /// Begins a round: the series in the order of their lines.
    pub(super) fn round(&mut self) -> Vec<u32> {
        if let Some(random) = &mut self.order {
            random.shuffle(&mut self.series);
        }
        self.series.clone()
    }

    /// Whether the lines of a round lie apart in time; else they share the round's.
    pub(super) fn spread_in_time(&self) -> bool {
        matches!(self.fields, Fields::Events(_))
    }

    /// Writes a line up to and with the space before its time. Returns where the digits of its generation are, if
    /// the workload has generations.
    pub(super) fn write(&mut self, series: u32, out: &mut Vec<u8>) -> Option<usize> {
        let generation = keys::write_key(self.workload, series, out);
        out.push(b' ');
        match &mut self.fields {
            Fields::Walks(walks) => walks.write(series, out),
            Fields::Events(random) => events::write_fields(random, out),
        }
        out.push(b' ');
        generation
    }
}

/// Digits of a generation, the tag by which the churn workload makes new series of old ones.
pub(super) const GENERATION_DIGITS: usize = keys::GENERATION_DIGITS;

/// Series of a workload when the user names no number.
pub(super) fn series_default(workload: Workload) -> u32 {
    match workload {
        Workload::TsbsCpu | Workload::Churn => 4_000,
        Workload::Prom => 40_000,
        Workload::Single => 1_000_000,
        Workload::Wide | Workload::Events => 1_000,
    }
}

/// So many that their values fit into memory; whether a round of their lines does shows when it is made.
pub(super) fn series_max(workload: Workload) -> u32 {
    VALUES_MAX / keys::field_texts(workload).len().max(1) as u32
}

/// Values that walk, 8 bytes each.
const VALUES_MAX: u32 = 64 << 20;
const VALUES_STREAM: u64 = 1;
const ORDER_STREAM: u64 = 2;

#[cfg(test)]
mod tests;
