//! What connections wait for besides their sockets and commits: time limits, logins, reloads, surveys.

use crate::ingest::Survey;

use super::super::connection::{Connection, Parked, Receiving};
use super::super::lines::Ground;
use super::super::pages;
use super::super::receive::Desk;
use super::super::survey::TOP_PER_WORKER;
use super::{TICK_NS, Worker};
use crate::http::{Phase, Timeouts};

/// How long a write waits for room in the engine before it is refused.
const STALL_NS_MAX: u64 = 1_000_000_000;

impl Worker {
    /// Looks at the time limits, and at what is only worth counting now and then.
    pub(super) fn tick(&mut self) {
        let now_ns = self.engine.monotonic_ns();
        if now_ns < self.next_tick_ns || !self.ticks() {
            return;
        }
        self.next_tick_ns = now_ns + TICK_NS;
        let Worker { hall, engine, shared, live, buffer, .. } = self;
        hall.tick(&mut Ground { engine, shared, connections_max: live.connections_max, buffer });
        let companion_bytes = self.companion.as_ref().map_or(0, |companion| companion.memory_bytes());
        let mut bytes = self.hall.memory_bytes() + companion_bytes;
        for id in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[id] else { continue };
            bytes += connection.memory_bytes() as u64;
            if Overdue::find(connection, &self.live.timeouts, now_ns).is_some() {
                // Was it this process that stood still? What lies in the socket came in time.
                connection.readable = true;
                self.serve(id);
            }
            let Some(connection) = &mut self.connections[id] else { continue };
            let mut desk = Desk {
                engine: &mut self.engine,
                decoders: &mut self.decoders,
                shared: &self.shared,
                live: &self.live,
                verifier: &self.verifier,
            };
            match Overdue::find(connection, &self.live.timeouts, now_ns) {
                None => {}
                Some(Overdue::Room) => {
                    desk.give_up_stalled(connection);
                    self.serve(id);
                }
                Some(Overdue::Request) => {
                    desk.time_out(connection);
                    self.serve(id);
                }
                Some(Overdue::Silence) => self.remove(id),
            }
        }
        self.shared.memory.recount(self.connection_bytes, bytes);
        self.connection_bytes = bytes;
        self.engine.counters().connection_memory_bytes.set(bytes);
        self.engine.counters().connections.set(self.connections_open());
        self.accept();
    }

    /// Looks again at requests that wait to be let in, if there is news for any of them.
    pub(super) fn look_at_held(&mut self) {
        let compared = self.verifier.compared();
        if compared == self.compared {
            return;
        }
        self.compared = compared;
        for id in std::mem::take(&mut self.held) {
            self.serve(id);
        }
    }

    /// Answers those who wait for a reload that is done.
    pub(super) fn answer_reloads(&mut self) {
        for id in std::mem::take(&mut self.reloading) {
            let Some(connection) = &mut self.connections[id] else { continue };
            if connection.reloaded(|round| self.shared.reloads.outcome(round)) {
                self.reloading.push(id);
            }
            self.flush(id);
        }
    }

    /// Goes on with a survey if one is wanted.
    pub(super) fn survey_step(&mut self) {
        let wanted = self.shared.surveys.wanted();
        if self.survey.is_none() && wanted > self.survey_done {
            self.survey = Some((wanted, Survey::new(self.engine.table())));
        }
        if let Some((round, survey)) = &mut self.survey
            && let Some(counts) = survey.step(self.engine.table(), TOP_PER_WORKER)
        {
            let round = *round;
            self.survey = None;
            self.survey_done = round;
            if self.shared.surveys.hand_in(round, counts) {
                self.shared.wake_all();
            }
        }
        if self.surveying.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.surveying) {
            let Some(connection) = &mut self.connections[id] else { continue };
            for parked in &mut connection.parked {
                if let Parked::Survey { to, round, limit } = parked
                    && let Some(counts) = self.shared.surveys.result(*round)
                {
                    let answer = Box::new(pages::status_tsdb(&counts, *limit));
                    *parked = Parked::Ready { to: *to, answer };
                }
            }
            connection.listed.surveying = connection.waits_for_survey();
            if connection.listed.surveying {
                self.surveying.push(id);
            }
            self.flush(id);
        }
    }
}
/// What a connection has waited for too long.
enum Overdue {
    /// Room in the engine for its rows.
    Room,
    /// The rest of a request: the peer can be told so.
    Request,
    /// Anything else of the peer, which would not hear.
    Silence,
}

impl Overdue {
    fn find(connection: &Connection, timeouts: &Timeouts, now_ns: u64) -> Option<Overdue> {
        if let Receiving::Stalled(request) = &connection.receiving
            && request.stalled_since_ns().is_some_and(|since| now_ns >= since + STALL_NS_MAX)
        {
            return Some(Overdue::Room);
        }
        let due_ns = connection.pace.deadline_ns(timeouts)?;
        let hears = !connection.sending() && !connection.transport.is_shaking_hands();
        match connection.pace.phase() {
            _ if due_ns > now_ns => None,
            Phase::Head | Phase::Body if hears => Some(Overdue::Request),
            _ => Some(Overdue::Silence),
        }
    }
}
