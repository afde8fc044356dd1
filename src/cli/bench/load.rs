//! One run: requests to one server over several connections.
//!
//! Comes in: bodies, a server, a limit, a rate. Goes out: how many samples were taken and refused, the statuses, the
//! latencies. Keeps: requests are sent in the order of their numbers, each by the first connection that is free; at a
//! fixed rate a request's latency counts from the moment it was due, so that a server that stalls is charged for
//! everything it held up. Refuses to know: which server it is.
//!
//! A thread a connection, blocking, when each request follows an answer: a request costs a write, a read and a wake-up,
//! and readiness calls would come on top of them. At a fixed rate, where every request is also waited for, one thread
//! drives all connections (`paced`): threads that sleep and wake would take the processor from the server they measure.

mod paced;

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::bodies::{Bodies, Place};
use super::histogram::Histogram;
use super::http::{Answer, Connection, Server};
use crate::bytes::{ProtobufFields, ProtobufValue};
use crate::cli::progress::Progress;
use crate::clock::{Clock, SystemClock};

/// What a run is to do.
pub(super) struct Load<'a> {
    pub(super) bodies: &'a Bodies,
    pub(super) way: Way<'a>,
    pub(super) connections: u32,
    pub(super) limit: Limit,
    /// Samples a second.
    pub(super) rate: Option<u64>,
}

/// How bodies get to the server.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    Http {
        server: &'a Server,
        /// Path and query of the write.
        path: &'a str,
        /// The headers that say what a body is.
        headers: &'a str,
    },
    /// Each body as a datagram to this address. What is sent counts as accepted: nobody answers.
    Datagrams(SocketAddr),
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Samples(u64),
    Duration(Duration),
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) elapsed_ns: u64,
    pub(super) samples_accepted: u64,
    pub(super) samples_rejected: u64,
    pub(super) statuses: BTreeMap<u16, u64>,
    /// The first answer that was no success.
    pub(super) first_refusal: Option<String>,
    pub(super) latency_ns: Histogram,
    /// The number behind the last request sent.
    pub(super) request_next: u64,
}

impl Outcome {
    /// Of what was sent as datagrams, only so many samples arrived.
    pub(super) fn lose_all_but(&mut self, samples_arrived: u64) {
        let (sent, arrived) = (self.samples_accepted, samples_arrived.min(self.samples_accepted));
        (self.samples_accepted, self.samples_rejected) = (arrived, sent - arrived);
        self.first_refusal =
            (arrived < sent).then(|| format!("{} of {sent} samples were lost on the way", sent - arrived));
    }
}

impl Load<'_> {
    /// Sends requests from number `first` on until the limit.
    ///
    /// # Errors
    /// The server can't be reached or stopped answering.
    pub(super) fn run(&self, first: u64, progress: &Progress) -> io::Result<Outcome> {
        let outcome = match (self.way, self.rate) {
            (Way::Http { server, path, headers }, Some(_)) => {
                paced::drive(self, first, server, &server.post_head(path, headers), progress)?
            }
            _ => self.run_threads(first, progress)?,
        };
        // At a fixed rate the last request has its time as well: else more would seem to be sent than was offered.
        let samples = outcome.samples_accepted + outcome.samples_rejected;
        let offered_ns =
            self.rate.map_or(0, |rate| (u128::from(samples) * NS_PER_S / u128::from(rate)) as u64);
        Ok(Outcome {
            elapsed_ns: outcome.end_ns.max(offered_ns),
            samples_accepted: outcome.samples_accepted,
            samples_rejected: outcome.samples_rejected,
            statuses: outcome.statuses,
            first_refusal: outcome.first_refusal,
            latency_ns: outcome.latency_ns,
            request_next: outcome.request_next.max(first),
        })
    }

    /// A thread a connection.
    fn run_threads(&self, first: u64, progress: &Progress) -> io::Result<Tally> {
        let lines: Vec<Line> =
            (0..self.connections).map(|_| Line::open(self.way)).collect::<Result<_, _>>()?;
        if self.rate.is_some() {
            sharpen_sleep();
        }
        let shared = Shared::begin(self, first);
        let tallies: Vec<io::Result<Tally>> = thread::scope(|scope| {
            let spawn = |line| scope.spawn(|| shared.drive(line));
            let threads: Vec<_> = lines.into_iter().map(spawn).collect();
            while progress.is_shown() && threads.iter().any(|thread| !thread.is_finished()) {
                // Relaxed: a number to look at.
                progress.done(shared.samples_done.load(Ordering::Relaxed));
                thread::sleep(PROGRESS_INTERVAL);
            }
            let join = |thread: thread::ScopedJoinHandle<'_, io::Result<Tally>>| match thread.join() {
                Ok(tally) => tally,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            threads.into_iter().map(join).collect()
        });
        let mut all = Tally::new();
        for tally in tallies {
            all.add(tally?);
        }
        Ok(all)
    }
}

/// A sleep may end 50 us late, for the sake of batteries; at a fixed rate the server would be charged with that.
/// Threads inherit the setting from the one that starts them. Where it can't be had, the 50 us remain.
fn sharpen_sleep() {
    // Not an error anywhere: a matter of precision on Linux, absent elsewhere.
    drop(std::fs::write("/proc/self/timerslack_ns", "1"));
}

/// What the connections of a run share.
struct Shared<'a> {
    load: &'a Load<'a>,
    /// Zero at the start of the run.
    clock: SystemClock,
    next: AtomicU64,
    samples_first: u64,
    samples_done: AtomicU64,
}

impl Shared<'_> {
    /// Starts the clock: the run's connections are open.
    fn begin<'l>(load: &'l Load<'l>, first: u64) -> Shared<'l> {
        Shared {
            load,
            clock: SystemClock::default(),
            next: AtomicU64::new(first),
            samples_first: load.bodies.place(first).samples_before,
            samples_done: AtomicU64::new(0),
        }
    }

    /// Sends requests over one connection until the limit.
    fn drive(&self, mut line: Line) -> io::Result<Tally> {
        let mut tally = Tally::new();
        loop {
            let place = self.take();
            let Some(due_ns) = self.due(place) else { return Ok(tally) };
            if let Some(due_ns) = due_ns {
                self.wait_until(due_ns);
            }
            let body = self.load.bodies.body(place);
            let start_ns = due_ns.unwrap_or_else(|| self.clock.monotonic_ns());
            let answer = line.send(body.bytes())?;
            drop(body);
            self.count(&mut tally, answer.as_ref(), place, start_ns);
        }
    }

    /// The next request's place.
    fn take(&self) -> Place {
        // Relaxed: only the number matters, bodies have locks of their own.
        self.load.bodies.place(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a request that ends now.
    fn count(&self, tally: &mut Tally, answer: Option<&Answer>, place: Place, start_ns: u64) {
        let end_ns = self.clock.monotonic_ns();
        tally.latency_ns.record(end_ns.saturating_sub(start_ns));
        tally.end_ns = end_ns;
        tally.request_next = tally.request_next.max(place.request + 1);
        tally.count(answer, place, self.load.bodies.samples_per_line());
        self.samples_done.fetch_add(place.samples, Ordering::Relaxed);
    }

    /// Nothing if the run ends before this request; else when it is due, if there is a rate.
    fn due(&self, place: Place) -> Option<Option<u64>> {
        let samples = place.samples_before - self.samples_first;
        let due_ns = self.load.rate.map(|rate| (u128::from(samples) * NS_PER_S / u128::from(rate)) as u64);
        let goes_on = match self.load.limit {
            Limit::Samples(limit) => samples < limit,
            Limit::Duration(limit) => {
                u128::from(due_ns.unwrap_or_else(|| self.clock.monotonic_ns())) < limit.as_nanos()
                    && u128::from(self.clock.monotonic_ns()) < limit.as_nanos()
            }
        };
        goes_on.then_some(due_ns)
    }

    fn wait_until(&self, due_ns: u64) {
        let ahead_ns = due_ns.saturating_sub(self.clock.monotonic_ns());
        if ahead_ns > 0 {
            thread::sleep(Duration::from_nanos(ahead_ns));
        }
    }
}

/// A way to the server, for one thread.
enum Line {
    /// With the head of a request up to the body's length, and how long it is.
    Http(Connection, Vec<u8>, usize),
    Datagrams(UdpSocket),
}

impl Line {
    fn open(way: Way<'_>) -> io::Result<Line> {
        Ok(match way {
            Way::Http { server, path, headers } => {
                let mut connection = Connection::new(server.clone());
                connection.open()?;
                let head = server.post_head(path, headers);
                let length = head.len();
                Line::Http(connection, head, length)
            }
            Way::Datagrams(address) => {
                let any = match address {
                    SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Line::Datagrams(socket)
            }
        })
    }

    /// Sends a body. A connection that the server drops costs the request, which is counted as status 0; only when
    /// there is no new connection, or no answer in time, the run is over. Nothing is answered to a datagram.
    fn send(&mut self, body: &[u8]) -> io::Result<Option<Answer>> {
        let (connection, head) = match self {
            Line::Datagrams(socket) => return socket.send(body).map(|_| None),
            Line::Http(connection, head, fixed) => {
                head.truncate(*fixed);
                write!(head, "{}\r\n\r\n", body.len())?;
                (connection, head)
            }
        };
        match connection.exchange(head, body) {
            Err(e) if is_dropped(e.kind()) => {
                connection.open()?;
                Ok(Some(dropped(&e)))
            }
            other => other.map(Some),
        }
    }
}

/// What one connection counted.
struct Tally {
    end_ns: u64,
    request_next: u64,
    samples_accepted: u64,
    samples_rejected: u64,
    statuses: BTreeMap<u16, u64>,
    first_refusal: Option<String>,
    latency_ns: Histogram,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            end_ns: 0,
            request_next: 0,
            samples_accepted: 0,
            samples_rejected: 0,
            statuses: BTreeMap::new(),
            first_refusal: None,
            latency_ns: Histogram::new(),
        }
    }

    fn count(&mut self, answer: Option<&Answer>, place: Place, samples_per_line: u32) {
        let Some(answer) = answer else {
            self.samples_accepted += place.samples;
            return;
        };
        *self.statuses.entry(answer.status).or_insert(0) += 1;
        let rejected = if answer.body.is_empty() && answer.status / 100 == 2 {
            0
        } else {
            samples_rejected(answer, place.samples, samples_per_line)
        };
        self.samples_rejected += rejected;
        self.samples_accepted += place.samples - rejected;
        if rejected > 0 && self.first_refusal.is_none() {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.trim().chars().take(REFUSAL_CHARS_MAX).collect();
            self.first_refusal = Some(format!("{} {text}", answer.status));
        }
    }

    fn add(&mut self, other: Tally) {
        self.end_ns = self.end_ns.max(other.end_ns);
        self.request_next = self.request_next.max(other.request_next);
        self.samples_accepted += other.samples_accepted;
        self.samples_rejected += other.samples_rejected;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_insert(0) += count;
        }
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
        self.latency_ns.add(&other.latency_ns);
    }
}

/// What stands for the answer where the connection was lost: status 0.
fn dropped(e: &io::Error) -> Answer {
    Answer { body: e.to_string().into_bytes(), ..Answer::default() }
}

fn is_dropped(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Samples that a server says it did not take: the rows it counts, else everything unless it says success.
fn samples_rejected(answer: &Answer, samples: u64, samples_per_line: u32) -> u64 {
    let told = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
    let rows = told.and_then(|body| body.get("rejected")?.as_u64());
    match rows.or_else(|| otlp_rejected(&answer.body)) {
        Some(rows) => rows.saturating_mul(u64::from(samples_per_line)).min(samples),
        None if answer.status / 100 == 2 => 0,
        None => samples,
    }
}

/// The points that OTLP's answer says were rejected: `partial_success.rejected_data_points`.
fn otlp_rejected(body: &[u8]) -> Option<u64> {
    let first = |message| match ProtobufFields::new(message).next()?.ok()? {
        (1, value) => Some(value),
        _ => None,
    };
    match first(body)? {
        ProtobufValue::Bytes(partial) => match first(partial)? {
            ProtobufValue::Varint(points) => Some(points),
            _ => None,
        },
        _ => None,
    }
}

const NS_PER_S: u128 = 1_000_000_000;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
const REFUSAL_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests;
