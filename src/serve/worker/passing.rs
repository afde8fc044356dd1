//! Connections that are passed on to another worker: see [`gathering`](super::super::gathering).

use super::super::connection::Listed;
use super::super::gathering::{BUSY, Leaving, Passing};
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
        self.let_go(&chosen, to);
    }

    /// Passes these connections on, those within a request once they are through with it.
    fn let_go(&mut self, chosen: &[usize], to: usize) {
        let leaving = Leaving::new(to, self.engine.monotonic_ns());
        for &id in chosen {
            let Some(connection) = &mut self.connections[id] else { continue };
            connection.leaving = Some(leaving);
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
        match self.shared.hand_over(to, Arrival::PassedOn(connection)) {
            Ok(()) => self.shared.left(self.number),
            Err(kept) => self.add(kept),
        }
    }

    /// Finds a worker for a connection that was accepted here: the one that has time for it, else one that has room in
    /// its inbox, else this one.
    pub(super) fn place(&mut self, mut arrival: Arrival) {
        let own = self.number;
        let first = self.shared.place(self.engine.monotonic_ns());
        let others = (0..self.shared.workers()).filter(|&other| other != first && other != own);
        for to in std::iter::once(first).chain(others).take_while(|&to| to != own) {
            match self.shared.hand_over(to, arrival) {
                Ok(()) => return,
                Err(kept) => arrival = kept,
            }
        }
        self.shared.arrived(own);
        self.add(arrival);
    }
}

#[cfg(test)]
mod tests;
