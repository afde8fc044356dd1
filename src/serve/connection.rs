//! A connection: its socket, what it is receiving, and its answers in the order of their requests.
//!
//! While idle it owns no buffer. Bytes are read into the worker's buffer and used there; what is left of a turn
//! (half a head, requests behind a full queue of answers) is kept in `unread` until the next.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::engine::CommitFailure;
use crate::ingest::{ContextId, Stream};

use super::answer::Answer;
use super::door::Passage;
use super::format::Format;
use super::gathering::Leaving;
use super::request::{Ticket, WriteRequest};
use super::transport::Transport;
use crate::http::{AnswerTo, CONTINUE, DateStamp, LINGER_BYTES_MAX, Pace, Parser, Phase, Response, Status};

/// Answers a connection may have waiting; past it nothing more is read from it.
pub(super) const PARKED_MAX: usize = 32;

/// Bytes of answers made ready to be sent at one time; an answer may reach over it. The others stay parked, so that a
/// peer which takes none is soon read from no more.
const OUT_BYTES_MAX: usize = 64 << 10;

/// A peer that takes longer to send again is as slow as any.
const RETURN_NS_MAX: u64 = 10_000_000;

/// What a peer may be late without being given up.
const RETURN_SLACK_NS: u64 = 100_000;

/// One connection.
pub(super) struct Connection {
    pub(super) transport: Transport,
    /// The listener that it came to.
    pub(super) listener: usize,
    pub(super) passage: Passage,
    pub(super) parser: Parser,
    pub(super) pace: Pace,
    pub(super) stream: Stream,
    /// Bytes read and not used yet.
    pub(super) unread: Vec<u8>,
    pub(super) receiving: Receiving,
    pub(super) parked: VecDeque<Parked>,
    out: Vec<u8>,
    sent: usize,
    /// The lists of its worker's that it is in.
    pub(super) listed: Listed,
    /// A `100 Continue` is due to what is being received, once the answers before it are written.
    pub(super) continue_owed: bool,
    /// The socket may have more to read.
    pub(super) readable: bool,
    /// The peer has closed its side.
    pub(super) peer_closed: bool,
    /// It is to be passed on, once it is between two requests.
    pub(super) leaving: Option<Leaving>,
    lingered_bytes: u64,
    last_read_ns: u64,
    /// When an answer was due that waited for a commit, until its peer has sent something again.
    answered_ns: Option<u64>,
    /// How long its peer takes of late to send something again.
    return_ns: u64,
}

/// In which lists of its worker's a connection is, for it to be there once without a search.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Listed {
    pub(super) waiting: bool,
    pub(super) surveying: bool,
    pub(super) again: bool,
    pub(super) stalled: bool,
}

/// What the current request's body is for.
pub(super) enum Receiving {
    /// Nothing: between requests.
    Nothing,
    /// Not known yet: whether the request with this head may come in is being looked at.
    Held { head: Vec<u8> },
    /// Rows.
    Write(Box<WriteRequest>),
    /// A write that waits for room in the engine.
    Stalled(Box<WriteRequest>),
    /// The form of a `/query`.
    Form { to: AnswerTo, query: String, body: Vec<u8> },
    /// A body that nobody needs: its answer is parked already.
    Discard,
}

/// An answer in its place.
pub(super) enum Parked {
    /// It can be sent.
    Ready { to: AnswerTo, answer: Box<Answer> },
    /// It waits for its rows to be durable.
    Commit {
        to: AnswerTo,
        format: Format,
        ticket: Ticket,
        failed: Option<CommitFailure>,
        /// What it says if the commit succeeds.
        answer: Box<Answer>,
    },
    /// It waits for all workers to have counted their series, and shows so many of each kind.
    Survey { to: AnswerTo, round: u64, limit: usize },
    /// It waits for the configuration to be loaded again.
    Reload { to: AnswerTo, round: u64 },
}

/// What became of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadOutcome {
    Bytes(usize),
    WouldBlock,
    Closed,
    Failed,
}

impl Connection {
    pub(super) fn new(transport: Transport, listener: usize, now_ns: u64) -> Connection {
        Connection {
            transport,
            listener,
            passage: Passage::default(),
            parser: Parser::new(),
            pace: Pace::new(now_ns),
            stream: Stream::new(ContextId::default()),
            unread: Vec::new(),
            receiving: Receiving::Nothing,
            parked: VecDeque::new(),
            out: Vec::new(),
            sent: 0,
            listed: Listed::default(),
            continue_owed: false,
            readable: true,
            peer_closed: false,
            leaving: None,
            lingered_bytes: 0,
            last_read_ns: now_ns,
            answered_ns: None,
            return_ns: 0,
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, into: &mut [u8], now_ns: u64) -> ReadOutcome {
        match self.transport.read(into) {
            Ok(0) => {
                self.peer_closed = true;
                self.readable = false;
                ReadOutcome::Closed
            }
            Ok(n) => {
                self.pace.received(n, now_ns);
                self.last_read_ns = now_ns;
                if let Some(answered_ns) = self.answered_ns.take() {
                    let took_ns = now_ns.saturating_sub(answered_ns).min(RETURN_NS_MAX);
                    self.return_ns = self.return_ns - self.return_ns / 4 + took_ns / 4;
                }
                ReadOutcome::Bytes(n)
            }
            // There may be more: it stays readable, for the next turn.
            Err(e) if e.kind() == ErrorKind::Interrupted => ReadOutcome::WouldBlock,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                ReadOutcome::WouldBlock
            }
            Err(_) => ReadOutcome::Failed,
        }
    }

    /// What waited for a commit can be answered now.
    pub(super) fn answered(&mut self, now_ns: u64) {
        self.answered_ns = Some(now_ns);
    }

    /// When its peer should have sent its next request, if it was answered and is known to send again within
    /// `quick_ns`.
    pub(super) fn expected_by_ns(&self, quick_ns: u64) -> Option<u64> {
        let quick = self.return_ns <= quick_ns && matches!(self.receiving, Receiving::Nothing);
        self.answered_ns.filter(|_| quick).map(|at_ns| at_ns + 2 * self.return_ns + RETURN_SLACK_NS)
    }

    /// Whether it was answered and has sent nothing since.
    pub(super) fn is_idle(&self) -> bool {
        self.answered_ns.is_some()
    }

    /// Parks an answer that is known.
    pub(super) fn answer(&mut self, to: AnswerTo, answer: Answer) {
        self.parked.push_back(Parked::Ready { to, answer: Box::new(answer) });
    }

    /// Commits up to this sequence are durable: answers that waited for them can go.
    pub(super) fn durable(&mut self, upto: u64) {
        for parked in &mut self.parked {
            let Parked::Commit { to, format, ticket, failed, answer } = parked else { continue };
            if ticket.last > upto {
                continue;
            }
            let answer = match failed {
                None => std::mem::replace(answer, Box::new(Answer::empty(204))),
                Some(failure) => Box::new(failed_answer(*format, failure)),
            };
            *parked = Parked::Ready { to: *to, answer };
        }
    }

    /// A commit of these sequences failed. Says how many answers that makes failures.
    pub(super) fn failed(&mut self, from: u64, upto: u64, failure: CommitFailure) -> u64 {
        let mut answers = 0;
        for parked in &mut self.parked {
            if let Parked::Commit { ticket, failed, .. } = parked
                && ticket.first <= upto
                && ticket.last >= from
            {
                answers += u64::from(failed.is_none());
                *failed = Some(failure);
            }
        }
        if let Receiving::Write(request) | Receiving::Stalled(request) = &mut self.receiving {
            // Also one that has no row in it yet: until the log is open again there is no place for any.
            request.failed = Some(failure);
        }
        self.durable(upto);
        answers
    }

    /// Writes the answers that are ready and next in order. `false`: the connection is broken.
    pub(super) fn flush(&mut self, now_ns: u64, date: &DateStamp) -> bool {
        loop {
            let nothing_before = self.out.is_empty();
            while self.out.len() < OUT_BYTES_MAX
                && let Some(Parked::Ready { .. }) = self.parked.front()
                && let Some(Parked::Ready { to, answer }) = self.parked.pop_front()
            {
                write_answer(&mut self.out, to, date, &answer);
            }
            if self.continue_owed && self.parked.is_empty() {
                self.continue_owed = false;
                self.out.extend_from_slice(CONTINUE);
            }
            if self.out.is_empty() {
                // What TLS has to say of itself.
                return match self.transport.flush() {
                    Err(e) => e.kind() == ErrorKind::WouldBlock,
                    Ok(()) => true,
                };
            }
            if nothing_before {
                self.pace.sending(now_ns);
            }
            while self.sent < self.out.len() {
                match self.transport.write(&self.out[self.sent..]) {
                    Ok(0) => return false,
                    Ok(n) => {
                        self.sent += n;
                        self.pace.sending(now_ns);
                    }
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
            match self.transport.flush() {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
            self.out = Vec::new();
            self.sent = 0;
            self.pace.sent();
        }
    }

    /// Bytes of answers wait for the peer.
    pub(super) fn sending(&self) -> bool {
        // What was written may still be held by the transport.
        !self.out.is_empty()
    }

    /// Whether a request is being received or an answer is due.
    pub(super) fn busy(&self) -> bool {
        !matches!(self.receiving, Receiving::Nothing) || !self.parked.is_empty() || self.sending()
    }

    /// Whether the server may end without this peer being wronged: it has its answers, and they are not torn away.
    pub(super) fn is_settled(&self) -> bool {
        !self.busy() && self.pace.phase() != Phase::Lingering
    }

    /// Whether nothing of it is under way, here or at its worker: it may go to another one.
    pub(super) fn is_between_requests(&self) -> bool {
        self.is_settled()
            && self.unread.is_empty()
            && !self.peer_closed
            && !self.continue_owed
            && !self.parser.is_ended()
            && self.parser.phase(&[]) == Phase::Idle
            && !self.transport.is_shaking_hands()
    }

    /// Comes to another worker, whose series have other numbers, and whose poll has told of nothing yet.
    pub(super) fn arrive(&mut self) {
        self.readable = true;
        self.stream = Stream::new(ContextId::default());
        self.listed = Listed::default();
        self.leaving = None;
    }

    /// Whether bytes came after that time.
    pub(super) fn received_since(&self, ns: u64) -> bool {
        self.last_read_ns > ns
    }

    /// Whether an answer waits for a commit.
    pub(super) fn waits_for_commit(&self) -> bool {
        self.parked.iter().any(|p| matches!(p, Parked::Commit { .. }))
    }

    /// Whether an answer waits for a survey.
    pub(super) fn waits_for_survey(&self) -> bool {
        self.parked.iter().any(|p| matches!(p, Parked::Survey { .. }))
    }

    /// Answers those who wait for a reload, as far as `outcome` knows how theirs went. Says whether some still wait.
    pub(super) fn reloaded(&mut self, outcome: impl Fn(u64) -> Option<Result<(), String>>) -> bool {
        let mut waits = false;
        for parked in &mut self.parked {
            let Parked::Reload { to, round } = parked else { continue };
            let answer = match outcome(*round) {
                Some(Ok(())) => Answer::empty(200),
                Some(Err(why)) => Answer::text(500, format!("failed to reload config: {why}\n")),
                None => {
                    waits = true;
                    continue;
                }
            };
            *parked = Parked::Ready { to: *to, answer: Box::new(answer) };
        }
        waits
    }

    /// Whether an answer waits for a reload.
    pub(super) fn waits_for_reload(&self) -> bool {
        self.parked.iter().any(|p| matches!(p, Parked::Reload { .. }))
    }

    /// Whether reading may go on.
    pub(super) fn wants_input(&self) -> bool {
        !matches!(self.receiving, Receiving::Stalled(_) | Receiving::Held { .. })
            && self.parked.len() < PARKED_MAX
    }

    /// All is answered and sent, and nothing more will come: the write side is shut down and the rest dropped. `true`
    /// when the connection can be closed.
    pub(super) fn wind_up(&mut self, scratch: &mut [u8], now_ns: u64) -> bool {
        if !self.parser.is_ended() || self.busy() {
            return false;
        }
        if self.pace.phase() != Phase::Lingering {
            self.pace.enter(Phase::Lingering, now_ns);
            if self.transport.shut_down().is_err() {
                return true;
            }
        }
        loop {
            match self.read(scratch, now_ns) {
                ReadOutcome::Bytes(n) => {
                    self.lingered_bytes += n as u64;
                    if self.lingered_bytes > LINGER_BYTES_MAX {
                        return true;
                    }
                }
                ReadOutcome::WouldBlock => return false,
                ReadOutcome::Closed | ReadOutcome::Failed => return true,
            }
        }
    }

    /// Tells the time limits what the peer owes now.
    pub(super) fn keep_pace(&mut self, now_ns: u64) {
        if self.pace.phase() == Phase::Lingering {
            return;
        }
        let phase = match &self.receiving {
            // From the first moment on: who is asked for TLS speaks first.
            _ if self.transport.is_shaking_hands() => Phase::Head,
            Receiving::Nothing if self.parser.in_body() => Phase::Body,
            Receiving::Nothing if self.busy() && self.unread.is_empty() => Phase::Answering,
            Receiving::Nothing => self.parser.phase(&self.unread),
            _ => Phase::Body,
        };
        // A body after a body is begun where its head is read.
        if self.pace.phase() != phase {
            self.pace.enter(phase, now_ns);
        }
        if self.wants_input() { self.pace.resume(now_ns) } else { self.pace.pause(now_ns) }
    }

    /// Bytes of buffers held.
    pub(super) fn memory_bytes(&self) -> usize {
        let receiving = match &self.receiving {
            Receiving::Write(request) | Receiving::Stalled(request) => request.memory_bytes(),
            Receiving::Form { body, .. } => body.capacity(),
            Receiving::Held { head } => head.capacity(),
            Receiving::Nothing | Receiving::Discard => 0,
        };
        let parked: usize = self.parked.iter().map(Parked::memory_bytes).sum();
        let buffers = self.unread.capacity() + self.out.capacity() + self.transport.memory_bytes();
        size_of::<Connection>() + buffers + receiving + parked
    }
}

impl Parked {
    fn memory_bytes(&self) -> usize {
        let kept = match self {
            Parked::Ready { answer, .. } | Parked::Commit { answer, .. } => {
                size_of::<Answer>() + answer.body.capacity()
            }
            Parked::Survey { .. } | Parked::Reload { .. } => 0,
        };
        size_of::<Parked>() + kept
    }
}

/// The answer to a write whose commit failed: in doubt, to be sent again.
pub(super) fn failed_answer(format: Format, failure: &CommitFailure) -> Answer {
    format.error_answer(503, &failure.to_string(), None).retry_later()
}

fn write_answer(out: &mut Vec<u8>, to: AnswerTo, date: &DateStamp, answer: &Answer) {
    let mut response = Response::new(out, to, Status(answer.status)).date(date);
    for (name, value) in &answer.headers {
        response = response.header(name, value.as_bytes());
    }
    if answer.content_type.is_empty() {
        response.empty();
    } else {
        response.body(answer.content_type, &answer.body);
    }
}
