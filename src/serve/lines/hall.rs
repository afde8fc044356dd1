//! A worker's part of the door for lines: listeners, connections, and whose turn it is.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::Receiver;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use crate::engine::Worker;
use crate::model::WriteResult;

use super::super::server::Shared;
use super::connection::{Arrival, LineConnection, LineRead};
use super::datagrams::Batch;
use super::feed::Sender;
use super::gate::Gate;
use super::options::LineProtocol;
use super::report::Report;

/// The first token of connections for lines; above them are their listeners.
pub(in crate::serve) const CONNECTIONS: usize = 1 << 40;
const GATES: usize = 1 << 41;

/// What is asked of a connection's socket: answers, where there are any, are sent when it takes them.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// How long a connection may stand still within a line.
const UNFINISHED_NS_MAX: u64 = 300_000_000_000;

/// Reads a connection, and batches a socket, gets in a row before others have their turn.
const IN_A_ROW_MAX: usize = 4;

/// What a worker has for lines.
pub(in crate::serve) struct Hall {
    number: usize,
    registry: Registry,
    /// By the listener's number; those of other workers are not here.
    gates: Vec<Option<Gate>>,
    reports: Vec<Report>,
    inbox: Receiver<Arrival>,
    connections: Vec<Option<Box<LineConnection>>>,
    vacant: Vec<usize>,
    open: usize,
    /// Connections to be gone on with.
    again: VecDeque<usize>,
    batch: Batch,
    /// The listener that the batch in hand is of.
    batch_gate: usize,
    /// The engine had no room, or is not to be asked: nothing is read until it has.
    full: bool,
    /// Connections wait for others to leave.
    accept_later: bool,
    result: WriteResult,
    drain: Drain,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drain {
    No,
    /// What the kernel holds is read.
    Reading,
    /// The sums are written.
    Flushing,
    Done,
}

/// What the worker lends.
pub(in crate::serve) struct Ground<'a> {
    pub(in crate::serve) engine: &'a mut Worker,
    pub(in crate::serve) shared: &'a Shared,
    /// Connections that there may be over all workers.
    pub(in crate::serve) connections_max: usize,
    /// Room to read into; its bytes mean nothing.
    pub(in crate::serve) buffer: &'a mut Vec<u8>,
}

impl Hall {
    pub(in crate::serve) fn new(
        number: usize,
        registry: Registry,
        mut gates: Vec<Option<Gate>>,
        shared: &Shared,
        inbox: Receiver<Arrival>,
    ) -> io::Result<Hall> {
        for (i, gate) in gates.iter_mut().enumerate() {
            if let Some(gate) = gate {
                gate.register(&registry, Token(GATES + i))?;
            }
        }
        let listeners = &shared.options.lines;
        let named = listeners.iter().zip(&shared.line_addresses);
        Ok(Hall {
            number,
            registry,
            gates,
            reports: named.map(|(l, at)| Report::new(at.to_string(), l.protocol.label())).collect(),
            inbox,
            connections: Vec::new(),
            vacant: Vec::new(),
            open: 0,
            again: VecDeque::new(),
            batch: Batch::default(),
            batch_gate: 0,
            full: false,
            accept_later: false,
            result: WriteResult::default(),
            drain: Drain::No,
        })
    }

    /// Notes what a poll said of one of its tokens.
    pub(in crate::serve) fn ready(&mut self, event: &Event) {
        let Token(token) = event.token();
        if let Some(gate) = token.checked_sub(GATES) {
            if let Some(Some(gate)) = self.gates.get_mut(gate) {
                gate.readable = true;
            }
        } else if let Some(Some(connection)) = self.connections.get_mut(token - CONNECTIONS) {
            connection.readable |= event.is_readable() || event.is_read_closed();
            self.queue(token - CONNECTIONS);
        }
    }

    /// Does what is to be done: writes what was added up, goes on with what is in hand, accepts and reads.
    pub(in crate::serve) fn step(&mut self, ground: &mut Ground<'_>) {
        if self.gates.is_empty() {
            return;
        }
        while let Ok(arrival) = self.inbox.try_recv() {
            self.add(arrival, ground);
        }
        self.full = false;
        self.flush_sums(ground);
        self.accept(ground);
        if ground.shared.draining() && self.drain == Drain::No {
            self.begin_drain();
        }
        self.use_batch(ground);
        self.read_datagrams(ground);
        for _ in 0..self.again.len() {
            if self.full {
                break;
            }
            let Some(id) = self.again.pop_front() else { break };
            self.serve(id, ground);
        }
        self.go_on_draining(ground);
    }

    /// Whether there is something to do at once.
    pub(in crate::serve) fn wants_turn(&self) -> bool {
        let readable = self.gates.iter().flatten().any(|gate| gate.readable && gate.datagrams().is_some());
        !self.full && (readable || !self.again.is_empty())
    }

    /// Whether there is something to look at now and then.
    pub(in crate::serve) fn wants_tick(&self) -> bool {
        let unsure = self.gates.iter().flatten().any(|gate| gate.unsure);
        unsure || self.full || self.accept_later || self.open > 0
    }

    /// Whether it waits for room in the engine.
    pub(in crate::serve) fn is_full(&self) -> bool {
        self.full
    }

    /// When the next sums are due, if there are any to come.
    pub(in crate::serve) fn due_ns(&self) -> Option<u64> {
        self.gates.iter().flatten().filter_map(|gate| Some(gate.sums.as_ref()?.next_flush_ns)).min()
    }

    /// Looks at connections that are silent, and at what the kernel dropped.
    pub(in crate::serve) fn tick(&mut self, ground: &mut Ground<'_>) {
        for gate in self.gates.iter_mut().flatten().filter(|gate| gate.unsure) {
            gate.count_dropped();
        }
        let now_ns = ground.engine.monotonic_ns();
        for id in 0..self.connections.len() {
            let Some(connection) = &self.connections[id] else { continue };
            let silent_ns = now_ns.saturating_sub(connection.last_read_ns);
            let idle_ns_max = ground.shared.options.lines[connection.listener].idle_ns_max;
            let idle = idle_ns_max > 0 && silent_ns >= idle_ns_max;
            // Half a line, or half a handshake, holds memory, and no sender pauses there.
            let unfinished = !connection.tail.is_empty() || connection.is_shaking_hands();
            let stuck = unfinished && silent_ns >= UNFINISHED_NS_MAX;
            if !connection.queued && (idle || stuck) {
                self.remove(id, ground);
            }
        }
    }

    /// Connections of this worker.
    pub(in crate::serve) fn open(&self) -> usize {
        self.open
    }

    /// Bytes held.
    pub(in crate::serve) fn memory_bytes(&self) -> u64 {
        let connections: usize = self.connections.iter().flatten().map(|c| c.memory_bytes()).sum();
        let sums = self.gates.iter().flatten().filter_map(|gate| gate.sums.as_ref());
        let sums: usize = sums.map(|sums| sums.aggregates.memory_bytes()).sum();
        (connections + sums + self.batch.memory_bytes()) as u64
    }

    /// While draining: whether all that had come is in the engine.
    pub(in crate::serve) fn is_settled(&self) -> bool {
        self.gates.is_empty() || self.drain == Drain::Done
    }

    /// Whether rows may be pushed at present.
    fn may_push(ground: &Ground<'_>) -> bool {
        let held = ground.engine.memory_held_bytes();
        if ground.shared.memory.exhausted(held) {
            ground.shared.want_relief(held);
            return false;
        }
        ground.engine.accepts().is_ok()
    }

    /// Ends intervals that are over, and writes what is to be written.
    fn flush_sums(&mut self, ground: &mut Ground<'_>) {
        if !Hall::may_push(ground) {
            self.full = true;
        }
        let now_ns = ground.engine.monotonic_ns();
        for i in 0..self.gates.len() {
            let Some(sums) = self.gates[i].as_mut().and_then(|gate| gate.sums.as_mut()) else { continue };
            sums.flush_if_due(now_ns, || ground.engine.wall_ns());
            if !self.full && sums.aggregates.has_rows() {
                self.full = !sums.write(ground.engine, &mut self.result);
                self.reports[i].count(&mut self.result, ground.engine.counters(), now_ns);
            }
        }
    }

    fn accept(&mut self, ground: &mut Ground<'_>) {
        self.accept_later = false;
        if self.drain != Drain::No {
            return;
        }
        let now_ns = ground.engine.monotonic_ns();
        for i in 0..self.gates.len() {
            while let Some(gate) = &mut self.gates[i]
                && gate.readable
                && gate.datagrams().is_none()
            {
                if !ground.shared.has_room(ground.connections_max) {
                    self.accept_later = true;
                    break;
                }
                let (socket, sender) = match gate.accept(now_ns) {
                    Ok(accepted) => accepted,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => {
                        gate.readable = e.kind() != io::ErrorKind::WouldBlock;
                        if gate.readable {
                            // Out of descriptors or memory: the connection stays in the backlog.
                            if !std::mem::replace(&mut gate.accept_fails, true) {
                                tracing::warn!(listener = %gate.endpoint, error = %e, "accept failed");
                            }
                            self.accept_later = true;
                        }
                        break;
                    }
                };
                gate.accept_fails = false;
                let arrival = Arrival { socket, listener: i, sender };
                // What is added up has one owner.
                let to = match &gate.sums {
                    Some(_) => self.number,
                    None => ground.shared.place_lines(),
                };
                let kept = match to {
                    to if to == self.number => Err(arrival),
                    to => ground.shared.hand_over_lines(to, arrival),
                };
                if let Err(arrival) = kept {
                    ground.shared.arrived(self.number);
                    self.add(arrival, ground);
                }
            }
        }
    }

    /// Adds a connection that was placed here.
    fn add(&mut self, arrival: Arrival, ground: &mut Ground<'_>) {
        let protocol: &LineProtocol = &ground.shared.options.lines[arrival.listener].protocol;
        let now_ns = ground.engine.monotonic_ns();
        let context = ground.shared.line_contexts[arrival.listener].as_ref();
        let mut connection = Box::new(LineConnection::new(arrival, protocol, context, now_ns));
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let token = Token(CONNECTIONS + id);
        if let Err(e) = self.registry.register(&mut connection.socket, token, INTEREST) {
            tracing::warn!(error = %e, "a connection could not be polled");
            self.vacant.push(id);
            ground.shared.left(self.number);
            return;
        }
        self.open += 1;
        self.connections[id] = Some(connection);
        self.queue(id);
        if self.drain != Drain::No {
            self.drain = Drain::Reading;
        }
    }

    fn queue(&mut self, id: usize) {
        if let Some(connection) = &mut self.connections[id]
            && !connection.queued
        {
            connection.queued = true;
            self.again.push_back(id);
        }
    }

    fn remove(&mut self, id: usize, ground: &Ground<'_>) {
        if self.connections[id].take().is_some() {
            self.open -= 1;
            self.vacant.push(id);
            ground.shared.left(self.number);
        }
    }

    /// Reads from a connection and takes what it sent.
    fn serve(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(mut connection) = self.connections[id].take() else { return };
        connection.queued = false;
        self.advance(&mut connection, ground);
        connection.answer(&self.result);
        connection.send();
        let now_ns = ground.engine.monotonic_ns();
        self.reports[connection.listener].count(&mut self.result, ground.engine.counters(), now_ns);
        let drained = self.drain != Drain::No && (!connection.readable || connection.drain_bytes_left == 0);
        let done = !connection.unfed && (connection.ended || drained);
        let goes_on = connection.unfed || connection.readable;
        self.connections[id] = Some(connection);
        if done {
            self.remove(id, ground);
        } else if goes_on {
            self.queue(id);
        }
    }

    fn advance(&mut self, connection: &mut LineConnection, ground: &mut Ground<'_>) {
        let mut filled = connection.tail.len();
        if ground.buffer.len() < filled + READ_BYTES {
            ground.buffer.resize(filled + READ_BYTES, 0);
        }
        ground.buffer[..filled].copy_from_slice(&connection.tail);
        connection.tail.clear();
        let mut reads_left = IN_A_ROW_MAX;
        loop {
            if !connection.unfed {
                if reads_left == 0 || !connection.readable {
                    break;
                }
                reads_left -= 1;
                if ground.buffer.len() < filled + READ_BYTES {
                    ground.buffer.resize(filled + READ_BYTES, 0);
                }
                let now_ns = ground.engine.monotonic_ns();
                match connection.read(&mut ground.buffer[filled..filled + READ_BYTES], now_ns) {
                    LineRead::Bytes(n) => {
                        filled += n;
                        if self.drain != Drain::No {
                            connection.drain_bytes_left = connection.drain_bytes_left.saturating_sub(n);
                        }
                    }
                    LineRead::Nothing => break,
                    LineRead::Ended => {}
                }
            }
            // The last line of a connection that has ended needs no newline.
            let used = connection.decoder.feed(
                &ground.buffer[..filled],
                connection.ended,
                self.gates[connection.listener].as_mut().and_then(|gate| gate.sums.as_mut()),
                connection.sender,
                ground.engine,
                &mut connection.lane,
                &mut self.result,
            );
            ground.buffer.copy_within(used.bytes..filled, 0);
            filled -= used.bytes;
            connection.unfed = used.full && filled > 0;
            // Its client has asked for that, or connects again, and is understood again.
            connection.ended |= connection.decoder.is_over();
            self.full |= used.full || !Hall::may_push(ground);
            if self.full || connection.ended {
                break;
            }
        }
        connection.tail.extend_from_slice(&ground.buffer[..filled]);
        if connection.tail.is_empty() {
            connection.tail = Vec::new();
        }
    }

    fn read_datagrams(&mut self, ground: &mut Ground<'_>) {
        for i in 0..self.gates.len() {
            for _ in 0..IN_A_ROW_MAX {
                let Some(gate) = &mut self.gates[i] else { break };
                if self.full || !gate.readable || gate.datagrams().is_none() {
                    break;
                }
                if self.drain != Drain::No {
                    gate.drain_batches_left = gate.drain_batches_left.saturating_sub(1);
                    if gate.drain_batches_left == 0 {
                        gate.readable = false;
                        break;
                    }
                }
                if !gate.receive(&mut self.batch) {
                    break;
                }
                self.batch_gate = i;
                self.use_batch(ground);
            }
        }
    }

    /// Takes the rows of the batch in hand.
    fn use_batch(&mut self, ground: &mut Ground<'_>) {
        let Some(gate) = &mut self.gates[self.batch_gate] else { return };
        while !self.full
            && let Some(next) = self.batch.next()
        {
            // Of one whose end is missing the last line is not whole.
            let whole = if next.cut_short {
                memchr::memrchr(b'\n', next.bytes).map_or(0, |newline| newline + 1)
            } else {
                next.bytes.len()
            };
            let used = gate.decoder.feed(
                &next.bytes[..whole],
                true,
                gate.sums.as_mut(),
                Sender(next.sender),
                ground.engine,
                &mut gate.lane,
                &mut self.result,
            );
            if used.bytes < whole {
                self.batch.advance(used.bytes);
            } else {
                if next.cut_short {
                    let rest = &next.bytes[whole..];
                    self.result.reject(0, "too_large", rest, || "the datagram is too large".to_owned());
                }
                self.batch.pass();
            }
            self.full = used.full;
        }
        let now_ns = ground.engine.monotonic_ns();
        self.reports[self.batch_gate].count(&mut self.result, ground.engine.counters(), now_ns);
        self.full |= !Hall::may_push(ground);
    }

    /// What the kernel holds is read, whatever the poll has said of it.
    fn begin_drain(&mut self) {
        self.drain = Drain::Reading;
        for gate in self.gates.iter_mut().flatten() {
            gate.readable = gate.datagrams().is_some();
        }
        for id in 0..self.connections.len() {
            if let Some(connection) = &mut self.connections[id] {
                connection.readable = true;
                self.queue(id);
            }
        }
    }

    fn go_on_draining(&mut self, ground: &mut Ground<'_>) {
        let quiet = self.open == 0
            && self.batch.next().is_none()
            && self.gates.iter().flatten().all(|gate| !gate.readable || gate.datagrams().is_none());
        if self.drain == Drain::Reading && quiet {
            for gate in self.gates.iter_mut().flatten() {
                gate.count_dropped();
                if let Some(sums) = &mut gate.sums {
                    sums.aggregates.flush(ground.engine.wall_ns());
                }
            }
            self.drain = Drain::Flushing;
        }
        if self.drain == Drain::Flushing {
            self.flush_sums(ground);
            let rows = |gate: &Gate| gate.sums.as_ref().is_some_and(|sums| sums.aggregates.has_rows());
            if !self.gates.iter().flatten().any(rows) {
                self.drain = Drain::Done;
            }
        }
    }
}
