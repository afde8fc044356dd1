//! Time limits of a connection, without a clock: the event loop says what happened when, and is told until when to
//! wait.
//!
//! | phase | begins | limit |
//! |---|---|---|
//! | [`Idle`](Phase::Idle) | accepted, or the last answer sent and nothing unread | [`Timeouts::idle_ms`] from its beginning; close silently |
//! | [`Head`](Phase::Head) | first byte of a request | [`Timeouts::head_ms`] for the whole head, however it drips; 408, close |
//! | [`Body`](Phase::Body) | head parsed | [`Timeouts::stall_ms`] since the last byte, and on average [`Timeouts::body_rate_bytes_min`] a second after [`Timeouts::body_grace_ms`]; 408, close |
//! | [`Answering`](Phase::Answering) | request complete | none while the server works; [`Timeouts::stall_ms`] since the peer last took a byte of what is being sent; close |
//! | [`Lingering`](Phase::Lingering) | write side shut down | [`Timeouts::linger_ms`] in all and [`LINGER_BYTES_MAX`] bytes; close |
//!
//! While the server itself does not read (backpressure), the peer owes nothing: tell [`Pace::pause`] and
//! [`Pace::resume`]. A connection with answers parked and a next request under way is judged by what it reads.

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The server's answer, or the peer to take it.
    Answering,
    /// The peer to close, after an answer that ended the connection.
    Lingering,
}

/// Bytes read and dropped from a connection that is being given up, so that the peer gets to read its answer.
pub const LINGER_BYTES_MAX: u64 = 1 << 20;

/// How long each phase may last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Between requests.
    pub idle_ms: u32,
    /// From a head's first byte to its last.
    pub head_ms: u32,
    /// Without a byte in a body or of an answer taken.
    pub stall_ms: u32,
    /// Into a body before its rate is judged.
    pub body_grace_ms: u32,
    /// A body's average rate a second after the grace.
    pub body_rate_bytes_min: u32,
    /// After the write side was shut down.
    pub linger_ms: u32,
}

impl Default for Timeouts {
    /// Idle outlasts the 60 s and 90 s that agents' pools keep connections, so that they close first and never write
    /// into a closing connection. 240 bytes a second is below any modem and ends a drip of 64 MiB within days, not
    /// years; the stall limit does the rest.
    fn default() -> Timeouts {
        Timeouts {
            idle_ms: 120_000,
            head_ms: 10_000,
            stall_ms: 30_000,
            body_grace_ms: 10_000,
            body_rate_bytes_min: 240,
            linger_ms: 2_000,
        }
    }
}

/// How a connection keeps to its limits. Times are any monotonic nanoseconds.
#[derive(Clone, Debug)]
pub struct Pace {
    entered_ns: u64,
    moved_ns: u64,
    moved_bytes: u64,
    /// When reading stopped; `u64::MAX` while it goes on.
    paused_ns: u64,
    phase: Phase,
}

impl Pace {
    /// A connection accepted at `now_ns`.
    pub fn new(now_ns: u64) -> Pace {
        Pace {
            entered_ns: now_ns,
            moved_ns: now_ns,
            moved_bytes: 0,
            paused_ns: NOT_PAUSED,
            phase: Phase::Idle,
        }
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Starts `phase` unless it is the current one. A new request's head or body after another's is a new phase of
    /// the same kind: pass through [`Phase::Answering`].
    pub fn enter(&mut self, phase: Phase, now_ns: u64) {
        if self.phase != phase {
            *self = Pace { paused_ns: self.paused_ns, phase, ..Pace::new(now_ns) };
            if self.paused_ns != NOT_PAUSED {
                self.paused_ns = now_ns;
            }
        }
    }

    /// Notes `bytes` read from the peer, or taken by it.
    pub fn moved(&mut self, bytes: usize, now_ns: u64) {
        self.moved_bytes += bytes as u64;
        self.moved_ns = now_ns;
    }

    /// The server stops reading: from here the peer's time does not pass.
    pub fn pause(&mut self, now_ns: u64) {
        if self.paused_ns == NOT_PAUSED {
            self.paused_ns = now_ns;
        }
    }

    /// The server reads on.
    pub fn resume(&mut self, now_ns: u64) {
        if self.paused_ns != NOT_PAUSED {
            let lost_ns = now_ns.saturating_sub(self.paused_ns);
            self.entered_ns += lost_ns;
            self.moved_ns += lost_ns;
            self.paused_ns = NOT_PAUSED;
        }
    }

    /// When to give the connection up if nothing moves before; `None` while the peer owes nothing. `sending`: bytes
    /// of an answer wait for the peer to take them.
    pub fn deadline_ns(&self, timeouts: &Timeouts, sending: bool) -> Option<u64> {
        if self.paused_ns != NOT_PAUSED && !sending {
            return None;
        }
        let after = |start_ns: u64, ms: u32| start_ns.saturating_add(u64::from(ms) * NS_PER_MS);
        match self.phase {
            Phase::Idle => Some(after(self.entered_ns, timeouts.idle_ms)),
            Phase::Head => Some(after(self.entered_ns, timeouts.head_ms)),
            Phase::Body => {
                let rate = u64::from(timeouts.body_rate_bytes_min.max(1));
                let earned_ms =
                    u32::try_from(self.moved_bytes.saturating_mul(1000) / rate).unwrap_or(u32::MAX);
                let by_rate = after(after(self.entered_ns, timeouts.body_grace_ms), earned_ms);
                Some(by_rate.min(after(self.moved_ns, timeouts.stall_ms)))
            }
            Phase::Answering => sending.then(|| after(self.moved_ns, timeouts.stall_ms)),
            Phase::Lingering => Some(after(self.entered_ns, timeouts.linger_ms)),
        }
    }
}

const NOT_PAUSED: u64 = u64::MAX;
const NS_PER_MS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_dripping_head_gains_no_time_and_a_dripping_body_little() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(0);
        pace.enter(Phase::Head, 5 * S);
        for second in 5..15 {
            pace.moved(1, second * S);
        }
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(15 * S));

        pace.enter(Phase::Body, 15 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(25 * S));
        pace.moved(2400, 16 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(35 * S), "2400 bytes buy ten seconds");
        pace.moved(100 << 20, 17 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(47 * S), "a stall after a burst is a stall");
    }

    #[test]
    fn the_peer_owes_nothing_while_the_server_does_not_read() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(0);
        pace.enter(Phase::Body, 0);
        pace.pause(4 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), None);
        pace.resume(104 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(110 * S));
    }

    #[test]
    fn answering_is_limited_only_while_the_peer_does_not_take_it() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(0);
        pace.enter(Phase::Answering, S);
        assert_eq!(pace.deadline_ns(&timeouts, false), None);
        pace.moved(10, 3 * S);
        assert_eq!(pace.deadline_ns(&timeouts, true), Some(33 * S));
        pace.enter(Phase::Idle, 4 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(124 * S));
        pace.enter(Phase::Lingering, 5 * S);
        pace.moved(10, 6 * S);
        assert_eq!(pace.deadline_ns(&timeouts, false), Some(7 * S));
    }
}
