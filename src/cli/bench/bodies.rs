//! The request bodies, made before the clock starts.
//!
//! Comes in: lines, how many to a body, how many samples a run needs. Goes out: a cycle of bodies, and for any request
//! number the body, its place in the run and its times. Keeps: a cycle is whole rounds, so that sending it again with
//! later times gives each series ascending times; a body's bytes are a function of the request's number, whichever
//! server it goes to and whatever was sent before.
//!
//! Times are 19 digits at known positions: making a body later is one copy of 19 bytes a line. Compressed bodies, as
//! remote write's are, can't be changed and repeat the first cycle's times.

mod remote_write;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BenchError;
use super::args::{BenchArgs, Encoding};
use super::workload::{GENERATION_DIGITS, Lines};
use remote_write::Request;

/// A cycle of bodies.
pub(super) struct Bodies {
    bodies: Vec<Mutex<Body>>,
    /// Samples before each body in the cycle, and in the whole cycle at the end.
    samples_before: Vec<u64>,
    cycle_ns: i64,
    start_ns: i64,
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
    /// Where each line's time starts.
    times: Vec<u32>,
    /// Where each line's generation starts; empty but for churn.
    generations: Vec<u32>,
    /// Runs of lines that share a time.
    stretches: Vec<Stretch>,
}

/// Lines up to `lines_end` have the time `offset_ns` after the cycle's start.
struct Stretch {
    lines_end: usize,
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
        let mut lines = Lines::new(args.workload, args.values, args.order, series, args.seed);
        let mut cycle = Cycle::new(args, start_ns, lines.samples_per_line());
        let samples_wanted = args.samples.map_or(u64::MAX, std::num::NonZero::get);
        let bodies_wanted = BODIES_PER_CONNECTION * args.connections as usize;
        let mut rounds = 0;
        loop {
            let before = cycle.raw_bytes_with_open();
            for (place, one) in (0..).zip(lines.round()) {
                let spread_ns = if lines.spread_in_time() { place * ROUND_NS / i64::from(series) } else { 0 };
                cycle.write_line(&mut lines, one, rounds * ROUND_NS + spread_ns);
                if cycle.open_is_full() {
                    cycle.close_body()?;
                    built(cycle.raw_bytes as u64);
                    cycle.check_fits(series, place as u64, bytes_max)?;
                }
            }
            rounds += 1;
            let raw_bytes = cycle.raw_bytes_with_open();
            let round_bytes = raw_bytes - before;
            let is_enough = cycle.samples() >= samples_wanted && cycle.bodies.len() >= bodies_wanted;
            // Rounds differ in length by far less than a sixteenth.
            if is_enough || raw_bytes + round_bytes + round_bytes / 16 > bytes_max {
                break;
            }
        }
        if !cycle.open.times.is_empty() {
            cycle.close_body()?;
        }
        Ok(Bodies {
            bodies: cycle.bodies.into_iter().map(Mutex::new).collect(),
            samples_before: cycle.samples_before,
            cycle_ns: rounds * ROUND_NS,
            start_ns,
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
            body.set_times(self.start_ns + place.cycle as i64 * self.cycle_ns);
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

    fn set_times(&mut self, cycle_start_ns: i64) {
        let mut lines = self.times.iter();
        let mut line = 0;
        for stretch in &self.stretches {
            let digits = time_digits(cycle_start_ns + stretch.offset_ns);
            for start in lines.by_ref().take(stretch.lines_end - line) {
                let start = *start as usize;
                self.bytes[start..start + TIME_DIGITS].copy_from_slice(&digits);
            }
            line = stretch.lines_end;
        }
    }

    fn set_generation(&mut self, generation: u64) {
        if self.generations.is_empty() {
            return;
        }
        let digits: [u8; GENERATION_DIGITS] = decimal_digits(generation);
        for start in &self.generations {
            let start = *start as usize;
            self.bytes[start..start + GENERATION_DIGITS].copy_from_slice(&digits);
        }
    }

    fn empty() -> Body {
        Body { bytes: Vec::new(), times: Vec::new(), generations: Vec::new(), stretches: Vec::new() }
    }
}

/// A cycle while it is made.
struct Cycle {
    encoding: Encoding,
    /// The request being made, where lines are not sent as they are.
    request: Option<Request>,
    batch: usize,
    start_ns: i64,
    samples_per_line: u32,
    bodies: Vec<Body>,
    samples_before: Vec<u64>,
    open: Body,
    raw_bytes: usize,
    held_bytes: usize,
}

impl Cycle {
    fn new(args: &BenchArgs, start_ns: i64, samples_per_line: u32) -> Cycle {
        Cycle {
            encoding: args.encoding,
            request: args.protocol.is_remote_write().then(|| Request::new(args.protocol)),
            batch: args.batch() as usize,
            start_ns,
            samples_per_line,
            bodies: Vec::new(),
            samples_before: vec![0],
            open: Body::empty(),
            raw_bytes: 0,
            held_bytes: 0,
        }
    }

    fn samples(&self) -> u64 {
        self.samples_before[self.bodies.len()]
    }

    /// Bytes before compression, with the body that is being made.
    fn raw_bytes_with_open(&self) -> usize {
        self.raw_bytes + self.open_bytes()
    }

    fn open_bytes(&self) -> usize {
        self.request.as_ref().map_or(self.open.bytes.len(), Request::bytes)
    }

    fn open_is_full(&self) -> bool {
        self.open.times.len() == self.batch || self.open_bytes() >= BODY_BYTES_MAX
    }

    fn check_fits(&self, series: u32, series_made: u64, bytes_max: usize) -> Result<(), BenchError> {
        if self.held_bytes <= bytes_max {
            return Ok(());
        }
        let fit = series_made * bytes_max as u64 / self.held_bytes as u64;
        let is_plain = self.encoding == Encoding::Identity && self.request.is_none();
        let more = if is_plain { ", more with --encoding gzip or zstd" } else { "" };
        let mb = bytes_max >> 20;
        let text =
            format!("--series: a round of {series} does not fit into {mb} MB of bodies; {fit} do{more}");
        Err(BenchError::Usage(text))
    }

    fn write_line(&mut self, lines: &mut Lines, series: u32, offset_ns: i64) {
        let open = &mut self.open;
        let generation = lines.write(series, &mut open.bytes);
        if let Some(request) = &mut self.request {
            let line = std::str::from_utf8(&open.bytes).expect("lines are text");
            request.add(line, (self.start_ns + offset_ns) / NS_PER_MS);
            open.bytes.clear();
            open.times.push(0);
            return;
        }
        open.generations.extend(generation.map(|start| start as u32));
        open.times.push(open.bytes.len() as u32);
        open.bytes.extend_from_slice(&[b'0'; TIME_DIGITS]);
        open.bytes.push(b'\n');
        let lines_end = open.times.len();
        match open.stretches.last_mut() {
            Some(last) if last.offset_ns == offset_ns => last.lines_end = lines_end,
            _ => open.stretches.push(Stretch { lines_end, offset_ns }),
        }
    }

    fn close_body(&mut self) -> Result<(), BenchError> {
        // The next body will be as large: no growing by doubling, and nothing held beyond its length.
        let next = Body { bytes: Vec::with_capacity(self.open.bytes.len() + SLACK_BYTES), ..Body::empty() };
        let mut body = std::mem::replace(&mut self.open, next);
        self.samples_before.push(self.samples() + body.times.len() as u64 * u64::from(self.samples_per_line));
        self.raw_bytes += self.request.as_ref().map_or(body.bytes.len(), Request::bytes);
        if let Some(request) = &mut self.request {
            body = Body { bytes: request.finish().map_err(BenchError::Compress)?, ..Body::empty() };
        } else if self.encoding == Encoding::Identity {
            body.bytes.shrink_to_fit();
        } else {
            body.set_times(self.start_ns);
            let bytes = compress(self.encoding, &body.bytes).map_err(BenchError::Compress)?;
            body = Body { bytes, ..Body::empty() };
        }
        self.held_bytes += body.bytes.len();
        self.bodies.push(body);
        Ok(())
    }
}

fn compress(encoding: Encoding, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(bytes.to_vec()),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(bytes)?;
            gzip.finish()
        }
        Encoding::Zstd => zstd::bulk::compress(bytes, 1),
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

fn time_digits(time_ns: i64) -> [u8; TIME_DIGITS] {
    // 19 digits hold 2001-09-09 to 2262-04-11, the end of i64 nanoseconds.
    assert!(time_ns >= 1_000_000_000_000_000_000, "a time of less than 19 digits: {time_ns}");
    decimal_digits(time_ns as u64)
}

fn decimal_digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// All bodies together.
pub(super) const BODIES_BYTES_MAX: usize = 256 << 20;
/// A body; positions in it are u32, and no server takes more.
const BODY_BYTES_MAX: usize = 128 << 20;
/// Lines of a workload differ by a few bytes; this saves the last reallocation of a body.
const SLACK_BYTES: usize = 64 << 10;
/// So that a connection hardly ever waits for another to be done with a body.
const BODIES_PER_CONNECTION: usize = 4;
const REQUESTS_PER_GENERATION: u64 = 10;
const TIME_DIGITS: usize = 19;
const NS_PER_MS: i64 = 1_000_000;
/// Between two lines of a series.
const ROUND_NS: i64 = 10_000_000_000;

#[cfg(test)]
mod tests;
