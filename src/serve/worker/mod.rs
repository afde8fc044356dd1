//! A worker's event loop: sockets and the engine's commits. What else connections wait for is looked at in [`waits`].
//!
//! One thread, one poll. Bytes are read into one buffer that all its connections share and are decoded there; the
//! engine gets its turn after every round of input, so that all requests of a round share a commit; then the answers
//! that have become due are written.

mod passing;
mod rhythm;
mod waits;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::engine::{self, Arrivals, Event};
use crate::ingest::Survey;
use crate::wire::influx::LINE_BYTES_MAX;

use super::companion::{COMPANION_TOKENS, COMPANION_TOKENS_END, Companion, Lent};
use super::connection::{Connection, ReadOutcome, Receiving};
use super::door::Verifier;
use super::gathering::Meter;
use super::lines::{self, Gate, Ground, Hall, LINE_TOKENS};
use super::live::Live;
use super::receive::Desk;
use super::server::{Arrival, Shared};
use super::timer::Timer;
use super::transport::Transport;
use crate::http::DateStamp;
use crate::http::body::DecoderPool;
use rhythm::Rhythm;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Reads a connection gets in a row before others have their turn.
const READS_IN_A_ROW_MAX: usize = 4;

/// Before the bytes read: room for the longest tail of a body, so that it lies in front of what follows it.
const HEADROOM: usize = LINE_BYTES_MAX + READ_BYTES;

/// For so long after an answer the next request of its connection is expected.
const EXPECT_NS: u64 = 2_000_000;

/// Connections that are remembered as answered.
const ANSWERED_MAX: usize = 64;

/// Deadlines nearer than this are left to the timer.
const POLL_COARSE_NS: u64 = 10_000_000;

/// How often time limits are looked at.
const TICK_NS: u64 = 250_000_000;

const NS_PER_S: i64 = 1_000_000_000;

const EVENTS_PER_POLL: usize = 256;
const WAKE: Token = Token(usize::MAX);
const DISK: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);
/// The first listener's token; the others' follow.
const LISTEN: usize = usize::MAX - 1024;

/// One worker of the server.
pub(super) struct Worker {
    number: usize,
    poll: Poll,
    shared: Arc<Shared>,
    live: Arc<Live>,
    live_version: u64,
    verifier: Arc<Verifier>,
    engine: engine::Worker,
    listeners: Vec<TcpListener>,
    /// Everything on sockets for lines.
    hall: Hall,
    companion: Option<Box<dyn Companion>>,
    /// Connections may wait in the backlog of which nothing will tell: a later tick looks again.
    accept_again: bool,
    /// Nothing can be accepted, and that was said.
    accept_fails: bool,
    /// There are as many connections as may be, and that was said.
    accept_full: bool,
    inbox: Receiver<Arrival>,
    connections: Vec<Option<Box<Connection>>>,
    vacant: Vec<usize>,
    open: usize,
    /// Connections that have more to read, or are to be gone on with.
    again: Vec<usize>,
    /// Connections with a write that waits for room.
    stalled: Vec<usize>,
    /// Connections with answers that wait for a commit.
    waiting: Vec<usize>,
    /// Connections with a request that waits to be let in.
    held: Vec<usize>,
    /// How many passwords had been compared when those were last looked at.
    compared: u64,
    /// Connections that wait for a reload.
    reloading: Vec<usize>,
    /// Connections that wait for a survey.
    surveying: Vec<usize>,
    survey: Option<(u64, Survey)>,
    survey_done: u64,
    buffer: Vec<u8>,
    decoders: DecoderPool,
    events: Vec<Event>,
    /// What connections held when last counted.
    connection_bytes: u64,
    /// The last round of relief that this worker has begun.
    relief_begun: u64,
    timer: Timer,
    meter: Meter,
    /// The `Date` of answers.
    date: DateStamp,
    /// Connections with answers that became due in this turn.
    answerable: Vec<usize>,
    /// Connections answered of late, and when: their next requests may be expected.
    answered: VecDeque<(usize, u64)>,
    rhythm: Rhythm,
    next_tick_ns: u64,
    /// While draining: when to stop whatever is under way.
    drained_by_ns: Option<u64>,
    /// The next poll does not wait.
    look_once_more: bool,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        poll: Poll,
        shared: Arc<Shared>,
        engine: engine::Worker,
        (mut listeners, inbox): (Vec<TcpListener>, Receiver<Arrival>),
        (gates, lines_arriving): (Vec<Option<Gate>>, Receiver<lines::Arrival>),
        verifier: Arc<Verifier>,
    ) -> io::Result<Worker> {
        if let Some(fd) = engine.notify() {
            poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), DISK, Interest::READABLE)?;
        }
        for (i, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(LISTEN + i), Interest::READABLE)?;
        }
        let timer = Timer::new(poll.registry(), TIMER)?;
        let meter = Meter::new(shared.options.gathering, engine.monotonic_ns());
        let hall = Hall::new(number, poll.registry().try_clone()?, gates, &shared, lines_arriving)?;
        let hook = shared.options.companion.as_ref();
        let companion = hook
            .map(|hook| (hook.0)(number, poll.registry().try_clone()?, Token(COMPANION_TOKENS)))
            .transpose()?;
        Ok(Worker {
            number,
            poll,
            live: shared.present.get(),
            live_version: 0,
            shared,
            verifier,
            engine,
            listeners,
            hall,
            companion,
            accept_again: false,
            accept_fails: false,
            accept_full: false,
            inbox,
            connections: Vec::new(),
            vacant: Vec::new(),
            open: 0,
            again: Vec::new(),
            stalled: Vec::new(),
            waiting: Vec::new(),
            held: Vec::new(),
            compared: 0,
            reloading: Vec::new(),
            surveying: Vec::new(),
            survey: None,
            survey_done: 0,
            buffer: vec![0; HEADROOM + READ_BYTES],
            decoders: DecoderPool::new(),
            events: Vec::new(),
            connection_bytes: 0,
            relief_begun: 0,
            timer,
            meter,
            date: DateStamp::default(),
            answerable: Vec::new(),
            answered: VecDeque::new(),
            rhythm: Rhythm::new(),
            next_tick_ns: 0,
            drained_by_ns: None,
            look_once_more: false,
        })
    }

    /// Serves until the server is drained, then commits the rest and seals the segment.
    pub(super) fn run(mut self) -> io::Result<()> {
        let _stock = engine::stock_slabs(self.number);
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut deadline = self.turn();
        while !self.finished() {
            self.go_around(&mut events, &mut deadline)?;
        }
        let mut last = Vec::new();
        self.engine.close(&mut last).map_err(|e| io::Error::other(e.to_string()))
    }

    /// Waits, for no longer than the engine's deadline, and does once whatever there is to do.
    fn go_around(&mut self, events: &mut Events, deadline: &mut Option<u64>) -> io::Result<()> {
        let timeout = self.timeout(*deadline);
        match self.poll.poll(events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        self.share_work();
        self.date.update(self.engine.wall_ns().div_euclid(NS_PER_S));
        if let Some(live) = self.shared.present.newer(&mut self.live_version) {
            self.live = live;
        }
        for event in &*events {
            match event.token() {
                WAKE => _ = self.take_inbox(),
                DISK | TIMER => {}
                Token(LISTEN..) => self.accept(),
                Token(COMPANION_TOKENS..COMPANION_TOKENS_END) => {
                    self.companion.iter_mut().for_each(|companion| companion.ready(event));
                }
                Token(LINE_TOKENS..) => self.hall.ready(event),
                Token(id) => {
                    if let Some(connection) = self.connections.get_mut(id).and_then(Option::as_mut) {
                        connection.readable |= event.is_readable() || event.is_read_closed();
                        list(&mut self.again, id, &mut connection.listed.again);
                    }
                }
            }
        }
        // Once each, whatever tells of them: who always has more to read gets no more turns than others.
        for id in std::mem::take(&mut self.again) {
            if let Some(connection) = &mut self.connections[id] {
                connection.listed.again = false;
            }
            self.serve(id);
        }
        self.look_at_held();
        self.answer_reloads();
        self.step_hall();
        self.step_companion();
        self.survey_step();
        self.relieve();
        *deadline = self.turn();
        self.tick();
        Ok(())
    }

    /// Whether the server drains and no worker has anything left to answer: until then all stay, for probes to be
    /// told so.
    fn finished(&mut self) -> bool {
        if !self.shared.draining() {
            return false;
        }
        let now_ns = self.engine.monotonic_ns();
        let Some(deadline_ns) = self.drained_by_ns else {
            // What had come by now is read before this worker says that it has nothing to do.
            self.drained_by_ns = Some(now_ns + self.shared.options.drain_ns_max);
            self.look_once_more = true;
            return false;
        };
        // What the others gave away before they were settled lies in the inboxes, and is this worker's now.
        let others_settled = self.shared.others_are_settled(self.number);
        self.look_once_more |= self.take_inbox();
        self.step_hall();
        let companion_settled = self.companion.as_ref().is_none_or(|companion| companion.is_settled());
        let settled = companion_settled
            && self.hall.is_settled()
            && self.connections.iter().flatten().all(|c| c.is_settled());
        self.shared.settle(self.number, settled);
        settled && others_settled || now_ns >= deadline_ns
    }

    /// Takes part in a round of relief, if there is one.
    fn relieve(&mut self) {
        let round = self.shared.relief_round();
        if self.relief_begun < round {
            self.relief_begun = round;
            self.engine.relieve();
        }
        if !self.engine.is_relieving() {
            self.shared.relieved(self.number, self.relief_begun);
        }
    }

    /// Whether there is something to look at now and then.
    fn ticks(&self) -> bool {
        let shown = self.engine.counters().connections.value();
        shown != self.connections_open()
            || self.open > 0
            || self.accept_again
            || self.hall.wants_tick()
            || self
                .companion
                .as_ref()
                .is_some_and(|companion| companion.is_full() || companion.due_ns().is_some())
            || self.shared.draining()
    }

    /// Connections of every kind.
    fn connections_open(&self) -> u64 {
        (self.open + self.hall.open()) as u64
    }

    /// Goes on with what comes as lines.
    fn step_hall(&mut self) {
        let Worker { hall, engine, shared, live, buffer, .. } = self;
        hall.step(&mut Ground { engine, shared, connections_max: live.connections_max, buffer });
    }

    /// Goes on with what runs beside the doors. Where memory is short, others are asked for theirs.
    fn step_companion(&mut self) {
        let Some(companion) = &mut self.companion else { return };
        let Worker { engine, shared, buffer, .. } = self;
        let draining = shared.draining();
        companion.step(&mut Lent { engine, budget: &shared.memory, buffer, draining });
        if companion.is_full() {
            let held = engine.memory_held_bytes();
            if shared.memory.exhausted(held) {
                shared.want_relief(held);
            }
        }
    }

    fn timeout(&mut self, deadline: Option<u64>) -> Option<Duration> {
        let now_ns = self.engine.monotonic_ns();
        self.meter.sleeps(now_ns, self.shared.own_load(self.number));
        let look_once_more = std::mem::take(&mut self.look_once_more);
        if look_once_more || !self.again.is_empty() || self.survey.is_some() || self.hall.wants_turn() {
            return Some(Duration::ZERO);
        }
        let tick = self.ticks().then_some(self.next_tick_ns);
        let companion = self.companion.as_ref().and_then(|companion| companion.due_ns());
        let fine = deadline.is_some_and(|due| due < now_ns + POLL_COARSE_NS);
        // A poll's own limit is rounded up to milliseconds.
        let timed = fine && deadline.is_some_and(|due| self.timer.set(due.saturating_sub(now_ns)));
        let due =
            [deadline.filter(|_| !timed), tick, self.hall.due_ns(), companion].into_iter().flatten().min()?;
        Some(Duration::from_nanos(due.saturating_sub(now_ns)))
    }

    /// Lets the engine commit and report, and passes the news on to the connections.
    fn turn(&mut self) -> Option<u64> {
        let deadline = self.turn_engine();
        let companion_full = self.companion.as_ref().is_some_and(|companion| companion.is_full());
        if self.stalled.is_empty() && !self.hall.is_full() && !companion_full {
            return deadline;
        }
        for id in std::mem::take(&mut self.stalled) {
            if let Some(connection) = &mut self.connections[id] {
                connection.listed.stalled = false;
            }
            self.serve(id);
        }
        self.step_hall();
        if companion_full {
            self.step_companion();
        }
        // What they filled may be due at once.
        self.turn_engine()
    }

    fn turn_engine(&mut self) -> Option<u64> {
        let mut events = std::mem::take(&mut self.events);
        // First who is answered: these are the senders whose next requests the commit may linger for.
        self.engine.notice(&mut events);
        self.tell(&mut events);
        let arrivals = self.arrivals();
        let deadline = self.engine.turn(arrivals, &mut events);
        self.tell(&mut events);
        self.events = events;
        // The answers are written while the disk is at work.
        for id in std::mem::take(&mut self.answerable) {
            self.flush(id);
        }
        deadline
    }

    /// Passes the engine's news on to the connections.
    fn tell(&mut self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            match event {
                Event::Durable { upto } => {
                    let now_ns = self.engine.monotonic_ns();
                    for id in std::mem::take(&mut self.waiting) {
                        let Some(connection) = &mut self.connections[id] else { continue };
                        connection.durable(upto);
                        if connection.waits_for_commit() {
                            self.waiting.push(id);
                        } else {
                            connection.listed.waiting = false;
                            connection.answered(now_ns);
                            if self.answered.len() == ANSWERED_MAX {
                                self.answered.pop_front();
                            }
                            self.answered.push_back((id, now_ns));
                            self.rhythm.beat(now_ns);
                        }
                        self.answerable.push(id);
                    }
                }
                Event::Failed { from, upto, failure } => {
                    for id in 0..self.connections.len() {
                        let Some(connection) = &mut self.connections[id] else { continue };
                        let answers = connection.failed(from, upto, failure);
                        self.engine.counters().requests_refused.add(answers);
                        self.serve(id);
                    }
                }
            }
        }
    }

    /// What is known of requests to come, for the engine to decide whether its commit lingers.
    fn arrivals(&mut self) -> Arrivals {
        let now_ns = self.engine.monotonic_ns();
        while self.answered.front().is_some_and(|(_, at_ns)| at_ns + EXPECT_NS < now_ns) {
            self.answered.pop_front();
        }
        let quick_ns = self.engine.commit_ns();
        let idle = if self.rhythm.is_likely_within(quick_ns) { Arrivals::Likely } else { Arrivals::None };
        let mut arrivals = Arrivals::None;
        for (id, _) in &self.answered {
            let Some(connection) = &self.connections[*id] else { continue };
            arrivals = arrivals.max(match connection.receiving {
                Receiving::Write(_) if connection.received_since(now_ns.saturating_sub(EXPECT_NS)) => {
                    Arrivals::Arriving
                }
                _ => match connection.expected_by_ns(quick_ns) {
                    Some(by_ns) if by_ns > now_ns => Arrivals::Expected { by_ns },
                    _ if connection.is_idle() => idle,
                    _ => Arrivals::None,
                },
            });
        }
        arrivals
    }

    fn accept(&mut self) {
        self.accept_again = false;
        for i in 0..self.listeners.len() {
            loop {
                let connections_max = self.live.connections_max;
                if !self.shared.has_room(connections_max) {
                    if !std::mem::replace(&mut self.accept_full, true) {
                        tracing::warn!(connections_max, "as many connections as may be: others wait");
                    }
                    self.accept_again = true;
                    break;
                }
                match self.listeners[i].accept() {
                    Ok((socket, _)) => {
                        self.accept_fails = false;
                        self.place(Arrival::New { socket, listener: i });
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        // Nobody waits.
                        self.accept_full = false;
                        break;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => {
                        // Out of descriptors or memory: the connection stays in the backlog.
                        if !std::mem::replace(&mut self.accept_fails, true) {
                            tracing::warn!(error = %e, "accept failed");
                        }
                        self.accept_again = true;
                        break;
                    }
                }
            }
        }
    }

    /// Adds what others have given; says whether there was any.
    fn take_inbox(&mut self) -> bool {
        let mut came = false;
        while let Ok(arrival) = self.inbox.try_recv() {
            self.add(arrival);
            came = true;
        }
        came
    }

    /// Adds a connection that was placed here.
    fn add(&mut self, arrival: Arrival) {
        let now_ns = self.engine.monotonic_ns();
        let mut connection = match arrival {
            Arrival::New { socket, listener } => {
                // Answers are small and complete: waiting to fill a segment only delays them.
                let _ = socket.set_nodelay(true);
                let Some(transport) = self.transport(socket, listener, now_ns) else {
                    self.shared.left(self.number);
                    return;
                };
                Box::new(Connection::new(transport, listener, now_ns))
            }
            Arrival::PassedOn(connection) => connection,
        };
        connection.arrive();
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(e) = self.poll.registry().register(connection.transport.socket(), Token(id), interest) {
            tracing::warn!(error = %e, "a connection could not be polled");
            self.vacant.push(id);
            self.shared.left(self.number);
            return;
        }
        if !self.ticks() {
            self.next_tick_ns = now_ns + TICK_NS;
        }
        self.open += 1;
        self.connections[id] = Some(connection);
        self.serve(id);
    }

    /// What is spoken with a connection that has arrived.
    fn transport(&self, socket: TcpStream, listener: usize, now_ns: u64) -> Option<Transport> {
        let Some(tls) = &self.live.doors[listener].tls else {
            return Some(Transport::Plain(socket));
        };
        let handshakes = &self.shared.handshakes[listener];
        let transport = Transport::tls(socket, tls.config(now_ns), handshakes);
        transport.inspect_err(|error| tracing::warn!(%error, "no TLS session")).ok()
    }

    fn remove(&mut self, id: usize) {
        if let Some(mut connection) = self.connections[id].take() {
            connection.transport.say_goodbye();
            if let Receiving::Write(request) | Receiving::Stalled(request) = connection.receiving {
                // Rows that were taken stay, and are counted.
                request.finish(&self.engine);
                request.recycle(&mut self.decoders);
            }
            // Its number goes to another, who is in no list.
            if connection.listed.waiting {
                self.waiting.retain(|&waiting| waiting != id);
            }
            if connection.listed.surveying {
                self.surveying.retain(|&surveying| surveying != id);
            }
            self.open -= 1;
            self.vacant.push(id);
            self.shared.left(self.number);
        }
    }

    /// Reads from a connection, takes what it sent, and writes what is due.
    fn serve(&mut self, id: usize) {
        let Some(mut connection) = self.connections.get_mut(id).and_then(Option::take) else { return };
        let open = self.advance(id, &mut connection);
        self.connections[id] = Some(connection);
        if open { self.flush(id) } else { self.remove(id) }
    }

    fn advance(&mut self, id: usize, connection: &mut Connection) -> bool {
        let mut desk = Desk {
            engine: &mut self.engine,
            decoders: &mut self.decoders,
            shared: &self.shared,
            live: &self.live,
            verifier: &self.verifier,
        };
        let mut filled = HEADROOM + connection.unread.len();
        if self.buffer.len() < filled + READ_BYTES {
            self.buffer.resize(filled + READ_BYTES, 0);
        }
        self.buffer[HEADROOM..filled].copy_from_slice(&connection.unread);
        connection.unread.clear();
        let mut reads_left = READS_IN_A_ROW_MAX;
        let mut start = HEADROOM;
        loop {
            desk.resume(connection);
            start = desk.take(connection, &mut self.buffer, start..filled);
            if connection.parser.is_ended()
                || !connection.wants_input()
                || !connection.readable
                || reads_left == 0
            {
                break;
            }
            self.buffer.copy_within(start..filled, HEADROOM);
            filled = HEADROOM + filled - start;
            start = HEADROOM;
            if self.buffer.len() < filled + READ_BYTES {
                self.buffer.resize(filled + READ_BYTES, 0);
            }
            let now_ns = desk.engine.monotonic_ns();
            match connection.read(&mut self.buffer[filled..filled + READ_BYTES], now_ns) {
                ReadOutcome::Bytes(n) => filled += n,
                ReadOutcome::WouldBlock | ReadOutcome::Closed => break,
                ReadOutcome::Failed => return false,
            }
            reads_left -= 1;
        }
        connection.unread.extend_from_slice(&self.buffer[start..filled]);
        if connection.unread.is_empty() {
            connection.unread = Vec::new();
        }
        if let Receiving::Stalled(request) = &connection.receiving {
            match request.stalled_since_ns() {
                Some(_) => list(&mut self.stalled, id, &mut connection.listed.stalled),
                // It goes on as soon as the others have had their turn.
                None => list(&mut self.again, id, &mut connection.listed.again),
            }
        } else if matches!(connection.receiving, Receiving::Held { .. }) {
            if !self.held.contains(&id) {
                self.held.push(id);
            }
        } else if connection.readable && connection.wants_input() && !connection.parser.is_ended() {
            list(&mut self.again, id, &mut connection.listed.again);
        }
        if connection.waits_for_survey() {
            list(&mut self.surveying, id, &mut connection.listed.surveying);
        }
        if connection.waits_for_reload() && !self.reloading.contains(&id) {
            self.reloading.push(id);
        }
        if connection.waits_for_commit() {
            list(&mut self.waiting, id, &mut connection.listed.waiting);
        }
        // A peer that closed its side in the middle of a request gets no answer to it; those that are due it may
        // still read.
        if connection.peer_closed && connection.parser.in_body() {
            desk.abandon(connection);
        }
        !connection.peer_closed || connection.busy()
    }

    fn flush(&mut self, id: usize) {
        let now_ns = self.engine.monotonic_ns();
        let Some(connection) = &mut self.connections[id] else { return };
        let was_full = !connection.wants_input();
        let alive = connection.flush(now_ns, &self.date);
        let done = connection.peer_closed && !connection.busy();
        if !alive || done || connection.wind_up(&mut self.buffer[HEADROOM..], now_ns) {
            return self.remove(id);
        }
        connection.keep_pace(now_ns);
        if let Some(leaving) = connection.leaving
            && connection.is_between_requests()
            && !self.shared.draining()
        {
            connection.leaving = None;
            if let Some(to) = leaving.to(now_ns) {
                return self.pass_on(id, to);
            }
        }
        if was_full && connection.wants_input() && (connection.readable || !connection.unread.is_empty()) {
            list(&mut self.again, id, &mut connection.listed.again);
        }
    }
}

/// Puts a connection in a list unless it is there already.
fn list(ids: &mut Vec<usize>, id: usize, listed: &mut bool) {
    if !std::mem::replace(listed, true) {
        ids.push(id);
    }
}

/// The token of a worker's waker.
pub(super) fn waker(poll: &Poll) -> io::Result<Waker> {
    Waker::new(poll.registry(), WAKE)
}
