//! Time limits of a connection, without a clock: the event loop says what happened when, and is told until when to
//! wait.
//!
//! | phase | begins | limit |
//! |---|---|---|
//! | [`Idle`](Phase::Idle) | accepted, or the last answer sent and nothing unread | [`Timeouts::idle_ms`] from its beginning; close silently |
//! | [`Head`](Phase::Head) | first byte of a request | [`Timeouts::head_ms`] for the whole head, however it drips; 408, close |
//! | [`Body`](Phase::Body) | head parsed | [`Timeouts::stall_ms`] since the last byte, and on average [`Timeouts::body_rate_bytes_min`] a second after [`Timeouts::body_grace_ms`]; 408, close |
//! | [`Answering`](Phase::Answering) | answers owed, no request under way | none: the server works; the sending limit below |
//! | [`Lingering`](Phase::Lingering) | write side shut down | [`Timeouts::linger_ms`] in all and [`LINGER_BYTES_MAX`] bytes; close |
//!
//! In every phase, while an answer is being sent: [`Timeouts::stall_ms`] since the peer last took a byte of it; close.
//! While the server itself does not read (backpressure), the peer owes nothing but to take answers: tell
//! [`Pace::pause`] and [`Pace::resume`].

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

/// Bytes read and dropped from a connection that is being given up, so that the peer gets to read its answer: agents
/// send up to 10 MB, and many read nothing before they have sent all of it.
pub const LINGER_BYTES_MAX: u64 = 16 << 20;

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
    received_ns: u64,
    received_bytes: u64,
    /// When reading stopped; `NEVER` while it goes on.
    paused_ns: u64,
    /// When the peer last took a byte; `NEVER` while nothing is sent.
    taken_ns: u64,
    phase: Phase,
}

impl Pace {
    /// A connection accepted at `now_ns`.
    pub fn new(now_ns: u64) -> Pace {
        Pace {
            entered_ns: now_ns,
            received_ns: now_ns,
            received_bytes: 0,
            paused_ns: NEVER,
            taken_ns: NEVER,
            phase: Phase::Idle,
        }
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Begins `phase`, also if the one before was of the same kind: the next request's head, for one.
    pub fn enter(&mut self, phase: Phase, now_ns: u64) {
        let paused_ns = if self.paused_ns == NEVER { NEVER } else { now_ns };
        *self = Pace { phase, paused_ns, taken_ns: self.taken_ns, ..Pace::new(now_ns) };
    }

    /// Notes `bytes` read from the peer.
    pub fn received(&mut self, bytes: usize, now_ns: u64) {
        self.received_bytes += bytes as u64;
        self.received_ns = now_ns;
    }

    /// The server stops reading: from here the peer's time to send does not pass.
    pub fn pause(&mut self, now_ns: u64) {
        if self.paused_ns == NEVER {
            self.paused_ns = now_ns;
        }
    }

    /// The server reads on.
    pub fn resume(&mut self, now_ns: u64) {
        if self.paused_ns != NEVER {
            let lost_ns = now_ns.saturating_sub(self.paused_ns);
            self.entered_ns += lost_ns;
            self.received_ns += lost_ns;
            self.paused_ns = NEVER;
        }
    }

    /// Bytes of an answer wait for the peer to take them: the first were offered, or some were taken, at `now_ns`.
    pub fn sending(&mut self, now_ns: u64) {
        self.taken_ns = now_ns;
    }

    /// All that was to be sent is sent.
    pub fn sent(&mut self) {
        self.taken_ns = NEVER;
    }

    /// When to give the connection up if nothing happens before; `None` while the peer owes nothing.
    pub fn deadline_ns(&self, timeouts: &Timeouts) -> Option<u64> {
        let to_take_ns = (self.taken_ns != NEVER).then(|| after(self.taken_ns, timeouts.stall_ms));
        let to_send_ns = if self.paused_ns == NEVER { self.read_deadline_ns(timeouts) } else { None };
        to_take_ns.into_iter().chain(to_send_ns).min()
    }

    fn read_deadline_ns(&self, timeouts: &Timeouts) -> Option<u64> {
        match self.phase {
            Phase::Idle => Some(after(self.entered_ns, timeouts.idle_ms)),
            Phase::Head => Some(after(self.entered_ns, timeouts.head_ms)),
            Phase::Body => {
                let rate = u64::from(timeouts.body_rate_bytes_min.max(1));
                let earned_ms =
                    u32::try_from(self.received_bytes.saturating_mul(1000) / rate).unwrap_or(u32::MAX);
                let by_rate_ns = after(after(self.entered_ns, timeouts.body_grace_ms), earned_ms);
                Some(by_rate_ns.min(after(self.received_ns, timeouts.stall_ms)))
            }
            Phase::Answering => None,
            Phase::Lingering => Some(after(self.entered_ns, timeouts.linger_ms)),
        }
    }
}

fn after(start_ns: u64, ms: u32) -> u64 {
    start_ns.saturating_add(u64::from(ms) * NS_PER_MS)
}

const NEVER: u64 = u64::MAX;
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
            pace.received(1, second * S);
        }
        assert_eq!(pace.deadline_ns(&timeouts), Some(15 * S));

        pace.enter(Phase::Body, 15 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(25 * S));
        pace.received(2400, 16 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(35 * S), "2400 bytes buy ten seconds");
        pace.received(100 << 20, 17 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(47 * S), "a stall after a burst is a stall");
    }

    #[test]
    fn the_peer_owes_nothing_while_the_server_does_not_read() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(0);
        pace.enter(Phase::Body, 0);
        pace.pause(4 * S);
        assert_eq!(pace.deadline_ns(&timeouts), None);
        pace.resume(104 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(110 * S));
        pace.pause(105 * S);
        pace.enter(Phase::Head, 200 * S);
        pace.resume(300 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(310 * S));
    }

    #[test]
    fn a_peer_that_does_not_take_its_answer_is_given_up() {
        let timeouts = Timeouts::default();
        let mut pace = Pace::new(0);
        pace.enter(Phase::Answering, S);
        assert_eq!(pace.deadline_ns(&timeouts), None, "a slow commit is not the peer's fault");
        pace.sending(100 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(130 * S));
        pace.sending(110 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(140 * S));
        pace.enter(Phase::Head, 111 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(121 * S), "the next request's head is due earlier");
        pace.pause(112 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(140 * S), "not reading does not excuse not taking");
        pace.resume(112 * S);
        pace.sent();
        pace.enter(Phase::Idle, 120 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(240 * S));
        pace.enter(Phase::Lingering, 121 * S);
        pace.received(10, 122 * S);
        assert_eq!(pace.deadline_ns(&timeouts), Some(123 * S));
    }
}
