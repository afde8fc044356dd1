//! Connections that are passed on to another worker: see [`gathering`](super::super::gathering).

use super::super::connection::Listed;
use super::super::gathering::{BUSY, Passing};
use super::super::server::Arrival;
use super::Worker;

impl Worker {
    /// After every wait: ends a window of the worker's time, and chooses who is to be passed on.
    pub(super) fn share_work(&mut self) {
        let now_ns = self.engine.monotonic_ns();
        let Some((began_ns, passing)) = self.meter.wakes(now_ns, self.number, self.shared.loads()) else {
            return;
        };
        if self.shared.draining() {
            return;
        }
        let is_active = |id: &usize| {
            self.connections[*id].as_ref().is_some_and(|connection| connection.received_since(began_ns))
        };
        let mut chosen: Vec<usize> = (0..self.connections.len()).filter(is_active).collect();
        let own = self.shared.load(self.number, now_ns);
        let (to, given) = match passing {
            Passing::All { to } => (to, own),
            Passing::Half { to } => {
                chosen.truncate(chosen.len() / 2);
                (to, BUSY / 2)
            }
        };
        if chosen.is_empty() {
            return;
        }
        self.shared.expect_load(to, now_ns, given);
        tracing::debug!(connections = chosen.len(), from = self.number, to, "connections are passed on");
        for id in chosen {
            let Some(connection) = &mut self.connections[id] else { continue };
            connection.leaving = Some(to);
            if connection.is_between_requests() {
                self.pass_on(id, to);
            }
        }
    }

    /// Passes a connection on that is between two requests; it stays if there is no room for it.
    pub(super) fn pass_on(&mut self, id: usize, to: usize) {
        let Some(mut connection) = self.connections[id].take() else { return };
        connection.leaving = None;
        if let Err(error) = self.poll.registry().deregister(connection.transport.socket()) {
            tracing::debug!(%error, "a connection could not be passed on");
            self.connections[id] = Some(connection);
            return;
        }
        // The lists are this worker's. Its number goes to another, who is in none.
        if connection.listed.waiting {
            self.waiting.retain(|&waiting| waiting != id);
        }
        connection.listed = Listed::default();
        self.open -= 1;
        self.vacant.push(id);
        if let Err(connection) = self.shared.pass_on(self.number, to, connection) {
            self.add(Arrival::PassedOn(connection));
        }
    }
}
