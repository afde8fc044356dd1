//! The request bodies, made before the clock starts.
//!
//! Comes in: lines, how many to a body, how many samples a run needs. Goes out: a cycle of bodies, and for any request
//! number the body, its place in the run and its times. Keeps: a cycle is whole rounds, so that sending it again with
//! later times gives each series ascending times; a body's bytes are a function of the request's number, whichever
//! server it goes to and whatever was sent before.
//!
//! Times have a fixed width and known positions: making a body later is one copy of some bytes a sample. Compressed
//! bodies, as remote write's are, can't be changed and repeat the first cycle's times.

mod cycle;
mod otlp;
mod remote_write;
mod sample;
mod stamp;
mod text;

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BenchError;
use super::args::{BenchArgs, Encoding, Protocol};
use super::workload::{GENERATION_DIGITS, Lines};
use cycle::Cycle;
use stamp::{Stamp, write_digits};

/// A cycle of bodies.
pub(super) struct Bodies {
    bodies: Vec<Mutex<Body>>,
    /// Samples before each body in the cycle, and in the whole cycle at the end.
    samples_before: Vec<u64>,
    cycle_ns: i64,
    start_ns: i64,
    stamp: Stamp,
    /// Whether bodies are as they are sent, times and all.
    fixed: bool,
    series: u32,
    samples_per_line: u32,
}

/// Where a request stands among all requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    cycle: u64,
    body: usize,
    pub(super) request: u64,
    /// Samples in all requests before this one.
    pub(super) samples_before: u64,
    pub(super) samples: u64,
}

/// One request's body.
pub(super) struct Body {
    bytes: Vec<u8>,
    /// Where each time starts; empty where there are none.
    times: Vec<u32>,
    /// Where each line's generation starts; empty but for churn.
    generations: Vec<u32>,
    /// Runs of equal times.
    stretches: Vec<Stretch>,
}

/// Times up to number `times_end` lie `offset_ns` after the cycle's start.
struct Stretch {
    times_end: usize,
    offset_ns: i64,
}

impl Bodies {
    /// Makes the bodies for `args`. Times start at `start_ns`; `built` is told the bytes made so far.
    ///
    /// # Errors
    /// [`BenchError::Usage`]: a round of all series does not fit.
    pub(super) fn build(
        args: &BenchArgs,
        start_ns: i64,
        bytes_max: usize,
        mut built: impl FnMut(u64),
    ) -> Result<Bodies, BenchError> {
        let series = args.series();
        let mut lines = Lines::new(args.workload(), args.values, args.order, series, args.seed);
        let mut cycle = Cycle::new(args, start_ns, lines.samples_per_line());
        let samples_wanted = args.samples.map_or(u64::MAX, std::num::NonZero::get);
        let bodies_wanted = BODIES_PER_CONNECTION * args.connections as usize;
        let points = i64::from(args.points());
        let mut rounds = 0;
        loop {
            let before = cycle.raw_bytes_with_open();
            for (place, one) in (0..).zip(lines.round()) {
                let spread_ns = if lines.spread_in_time() { place * ROUND_NS / i64::from(series) } else { 0 };
                let offset_ns = rounds * ROUND_NS + spread_ns;
                cycle.write(&mut lines, one, (0..points).map(|point| offset_ns + point * ROUND_NS));
                if cycle.open_is_full() {
                    cycle.close_body()?;
                    built(cycle.raw_bytes as u64);
                    cycle.check_fits(series, place as u64, bytes_max)?;
                }
            }
            rounds += points;
            let raw_bytes = cycle.raw_bytes_with_open();
            let round_bytes = raw_bytes - before;
            let is_enough = cycle.samples() >= samples_wanted && cycle.bodies.len() >= bodies_wanted;
            // Rounds differ in length by far less than a sixteenth.
            if is_enough || raw_bytes + round_bytes + round_bytes / 16 > bytes_max {
                break;
            }
        }
        // Datagrams are counted by the server, not what is in them: all have to hold as many.
        if !cycle.open_is_empty() && (args.protocol != Protocol::Statsd || cycle.bodies.is_empty()) {
            cycle.close_body()?;
        }
        Ok(Bodies {
            bodies: cycle.bodies.into_iter().map(Mutex::new).collect(),
            samples_before: cycle.samples_before,
            cycle_ns: rounds * ROUND_NS,
            start_ns,
            stamp: Stamp::of(args.protocol),
            fixed: args.encoding != Encoding::Identity || args.protocol.is_remote_write(),
            series,
            samples_per_line: lines.samples_per_line(),
        })
    }

    /// Where request number `request` stands.
    pub(super) fn place(&self, request: u64) -> Place {
        let count = self.bodies.len() as u64;
        let (cycle, body) = (request / count, (request % count) as usize);
        let cycle_samples = self.samples_before[self.bodies.len()];
        let samples = self.samples_before[body + 1] - self.samples_before[body];
        Place {
            cycle,
            body,
            request,
            samples_before: cycle * cycle_samples + self.samples_before[body],
            samples,
        }
    }

    /// The body of a request, with its times. Nobody else has it until the guard is dropped.
    pub(super) fn body(&self, place: Place) -> MutexGuard<'_, Body> {
        // A poisoned lock is another connection's panic, which ends the process anyway.
        let mut body = self.bodies[place.body].lock().unwrap_or_else(PoisonError::into_inner);
        if !self.fixed {
            body.set_times(self.stamp, self.start_ns + place.cycle as i64 * self.cycle_ns);
            body.set_generation(generation(place.request));
        }
        body
    }

    /// Whether the requests before `request_next` have sent some times twice.
    pub(super) fn has_repeated_times(&self, request_next: u64) -> bool {
        self.fixed && request_next > self.bodies.len() as u64
    }

    pub(super) fn series(&self) -> u32 {
        self.series
    }

    pub(super) fn samples_per_line(&self) -> u32 {
        self.samples_per_line
    }
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn set_times(&mut self, stamp: Stamp, cycle_start_ns: i64) {
        let mut times = self.times.iter();
        let mut done = 0;
        for stretch in &self.stretches {
            let (bytes, length) = stamp.bytes(cycle_start_ns + stretch.offset_ns);
            for start in times.by_ref().take(stretch.times_end - done) {
                let start = *start as usize;
                self.bytes[start..start + length].copy_from_slice(&bytes[..length]);
            }
            done = stretch.times_end;
        }
    }

    fn set_generation(&mut self, generation: u64) {
        if self.generations.is_empty() {
            return;
        }
        let mut digits = [0; GENERATION_DIGITS];
        write_digits(generation, &mut digits);
        for start in &self.generations {
            let start = *start as usize;
            self.bytes[start..start + GENERATION_DIGITS].copy_from_slice(&digits);
        }
    }

    fn empty() -> Body {
        Body { bytes: Vec::new(), times: Vec::new(), generations: Vec::new(), stretches: Vec::new() }
    }
}

/// The generation of a request's series: every tenth request has one of its own, the others have 0.
fn generation(request: u64) -> u64 {
    if request % REQUESTS_PER_GENERATION == REQUESTS_PER_GENERATION - 1 {
        request / REQUESTS_PER_GENERATION + 1
    } else {
        0
    }
}

/// All bodies together.
pub(super) const BODIES_BYTES_MAX: usize = 256 << 20;
/// So that a connection hardly ever waits for another to be done with a body.
const BODIES_PER_CONNECTION: usize = 4;
const REQUESTS_PER_GENERATION: u64 = 10;
/// Between two lines of a series.
const ROUND_NS: i64 = 10_000_000_000;

#[cfg(test)]
mod tests;
