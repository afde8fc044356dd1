//! Requests at a fixed rate: one thread, all connections, none of which blocks.
//!
//! Comes in: when each request is due. Goes out: how long each took from then on. Keeps: a request that is due goes out
//! at once over the connection that has been free for longest, and waits for one while all are busy; the thread sleeps
//! otherwise. Refuses to know: what requests are about.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::{Load, Place, Shared, Tally, dropped, is_dropped};
use crate::cli::bench::http::{
    ANSWER_TIMEOUT, Answer, Server, no_answer, parse_answer, read_some, unanswered,
};
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::serve::Timer;

/// Sends requests until the limit. `head` is a request's up to the body's length.
///
/// # Errors
/// As [`Load::run`](super::Load::run).
pub(super) fn drive(
    load: &Load<'_>,
    first: u64,
    server: &Server,
    head: &[u8],
    progress: &Progress,
) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let count = load.connections as usize;
    let timer = Timer::new(poll.registry(), Token(count))?;
    let open = |token| Lane::open(server, poll.registry(), Token(token));
    let mut lanes: Vec<Lane> = (0..count).map(open).collect::<Result<_, _>>()?;
    let mut free: VecDeque<usize> = (0..count).collect();
    let mut tally = Tally::new();
    let mut events = Events::with_capacity(count + 1);
    let shared = &Shared::begin(load, first);
    let mut next = due(shared);
    // When something was last sent or answered.
    let mut moved_ns = 0;
    loop {
        let now_ns = shared.clock.monotonic_ns();
        let mut timeout = Some(ANSWER_TIMEOUT.saturating_sub(Duration::from_nanos(now_ns - moved_ns)));
        while let (Some((place, due_ns)), Some(&lane)) = (next, free.front()) {
            let ahead_ns = due_ns.saturating_sub(shared.clock.monotonic_ns());
            if ahead_ns > 0 {
                timeout = if timer.set(ahead_ns) { None } else { Some(Duration::from_nanos(ahead_ns)) };
                break;
            }
            free.pop_front();
            lanes[lane].start(head, shared.load.bodies.body(place).bytes(), place, due_ns)?;
            (moved_ns, timeout) = (now_ns, Some(ANSWER_TIMEOUT));
            next = due(shared);
        }
        if next.is_none() && free.len() == count {
            return Ok(tally);
        }
        match poll.poll(&mut events, timeout) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            _ if events.is_empty() && timeout == Some(Duration::ZERO) => return Err(no_answer()),
            _ => {}
        }
        for event in &events {
            let Some(lane) = lanes.get_mut(event.token().0) else { continue };
            let Some((place, due_ns)) = lane.request else {
                if lane.is_closed() {
                    lane.reopen(server, poll.registry(), event.token())?;
                }
                continue;
            };
            let answer = match lane.advance() {
                Ok(None) => continue,
                Ok(Some((answer, true))) => answer,
                Ok(Some((answer, false))) => {
                    lane.reopen(server, poll.registry(), event.token())?;
                    answer
                }
                Err(e) if is_dropped(e.kind()) => {
                    lane.reopen(server, poll.registry(), event.token())?;
                    dropped(&e)
                }
                Err(e) => return Err(e),
            };
            lane.request = None;
            shared.count(&mut tally, Some(&answer), place, due_ns);
            moved_ns = tally.end_ns;
            free.push_back(event.token().0);
        }
        if progress.is_shown() {
            progress.done(shared.samples_done.load(Ordering::Relaxed));
        }
    }
}

/// The next request and when it is due; nothing at the end of the run.
fn due(shared: &Shared<'_>) -> Option<(Place, u64)> {
    let place = shared.take();
    Some((place, shared.due(place)?.unwrap_or(0)))
}

/// A connection and the request on it.
struct Lane {
    stream: TcpStream,
    /// The request, head and body, and how much of it was sent.
    out: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// What is under way, and when it was due.
    request: Option<(Place, u64)>,
}

impl Lane {
    fn open(server: &Server, registry: &Registry, token: Token) -> io::Result<Lane> {
        let stream = connect(server, registry, token)?;
        Ok(Lane { stream, out: Vec::new(), sent: 0, received: Vec::new(), request: None })
    }

    fn reopen(&mut self, server: &Server, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream = connect(server, registry, token)?;
        Ok(())
    }

    /// Whether the server left, between requests.
    fn is_closed(&mut self) -> bool {
        match read_some(&mut self.stream, &mut self.received) {
            Ok(bytes) => bytes == 0,
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Begins a request; the poll tells when there is more to do for it.
    fn start(&mut self, head: &[u8], body: &[u8], place: Place, due_ns: u64) -> io::Result<()> {
        self.out.clear();
        self.out.extend_from_slice(head);
        write!(self.out, "{}\r\n\r\n", body.len())?;
        self.out.extend_from_slice(body);
        (self.sent, self.request) = (0, Some((place, due_ns)));
        self.received.clear();
        self.send();
        Ok(())
    }

    /// Sends what the socket takes. A server that refuses a body may answer and close before it has read it all: what
    /// can't be sent is let go, and reading tells what came of it.
    fn send(&mut self) {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.sent = self.out.len(),
            }
        }
    }

    /// Sends and reads what can be; the answer and whether the connection can go on, once it is there.
    fn advance(&mut self) -> io::Result<Option<(Answer, bool)>> {
        self.send();
        loop {
            let ended = match read_some(&mut self.stream, &mut self.received) {
                Ok(bytes) => bytes == 0,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            };
            match parse_answer(&self.received, ended)? {
                // An answer before all was sent: the rest would be taken for the next request.
                Some((answer, goes_on)) => return Ok(Some((answer, goes_on && self.sent == self.out.len()))),
                None if ended => return Err(unanswered()),
                None => {}
            }
        }
    }
}

fn connect(server: &Server, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let stream = server.connect()?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}
