//! A connection's reading side: which of head and body comes next.

use super::framing::Framing;
use super::{Body, Head, HttpLimits, Phase, Refusal, head};

/// The state of one connection's requests. It owns no buffer: idle connections cost what this struct does.
#[derive(Clone, Debug)]
pub struct Parser {
    state: State,
    keep_alive: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// Between requests or inside a head, of which this many bytes were seen and found unfinished.
    Head { seen_bytes: u32 },
    /// Inside a body.
    Body(Framing),
    /// The last request is complete.
    Ended,
    /// A request was refused.
    Refused,
}

// 10,000 idle connections: 480 KB of parsers.
const _: () = assert!(size_of::<Parser>() <= 48);

impl Default for Parser {
    fn default() -> Parser {
        Parser::new()
    }
}

impl Parser {
    /// For a new connection.
    pub fn new() -> Parser {
        Parser { state: State::Head { seen_bytes: 0 }, keep_alive: true }
    }

    /// Looks for a request head at the start of `input`, which holds every byte not yet consumed. `None`: read more
    /// (or, if [`Parser::is_ended`], read no more). After a head, [`Parser::body`] is to be called until it says
    /// [`Body::End`], also where there is no body.
    ///
    /// # Errors
    ///
    /// The request is to be answered with [`Refusal::status`] and the connection given up.
    ///
    /// # Panics
    ///
    /// If the last request's body was not read to its end.
    pub fn head<'a>(&mut self, input: &'a [u8], limits: &HttpLimits) -> Result<Option<Head<'a>>, Refusal> {
        let seen_bytes = match &self.state {
            State::Head { seen_bytes } => *seen_bytes as usize,
            State::Ended => return Ok(None),
            State::Refused => return Err(Refusal::Closed),
            State::Body(_) => panic!("a body is read to its end before the next head"),
        };
        if input.is_empty() {
            return Ok(None);
        }
        // A head that drips in is parsed again only when a line of it has ended, so a peer that sends single bytes
        // costs a parse per line (of which HEADERS_MAX bounds the number) and not a parse per byte.
        let fresh = &input[seen_bytes.min(input.len())..];
        let worth_parsing = seen_bytes == 0
            || input.len() > limits.head_bytes_max as usize
            || memchr::memchr(b'\n', fresh).is_some();
        if !worth_parsing {
            self.state = State::Head { seen_bytes: clamped(input.len()) };
            return Ok(None);
        }
        match head::parse(input, limits) {
            Ok(Some(head)) => {
                self.keep_alive = head.keep_alive;
                self.state = State::Body(Framing::new(head.length));
                Ok(Some(head))
            }
            Ok(None) => {
                self.state = State::Head { seen_bytes: clamped(input.len()) };
                Ok(None)
            }
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }

    /// Finds the next piece of the current request's body at the start of `input`. A body whose announced length is
    /// over the limit is refused on the first call, even with no input: call it once before a `100 Continue` is sent
    /// or memory is reserved.
    ///
    /// # Errors
    ///
    /// As for [`Parser::head`]. Data handed out before stays valid.
    ///
    /// # Panics
    ///
    /// If no body is being read.
    pub fn body(&mut self, input: &[u8], limits: &HttpLimits) -> Result<Body, Refusal> {
        let framing = match &mut self.state {
            State::Body(framing) => framing,
            State::Refused => return Err(Refusal::Closed),
            State::Head { .. } | State::Ended => panic!("a body follows a head"),
        };
        match framing.read(input, limits) {
            Ok(Body::End { consumed }) => {
                self.state = if self.keep_alive { State::Head { seen_bytes: 0 } } else { State::Ended };
                Ok(Body::End { consumed })
            }
            Ok(body) => Ok(body),
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }

    /// Gives the connection up after the answer that is due, whatever the client wanted: while draining, or when an
    /// answer goes out before the body was read (always do so if its `100 Continue` was never sent: whether the body
    /// follows cannot be known).
    pub fn close(&mut self) {
        if !matches!(self.state, State::Refused) {
            self.state = State::Ended;
        }
        self.keep_alive = false;
    }

    /// Takes no request after the current one, whatever the client wanted: while draining.
    pub fn make_last(&mut self) {
        if matches!(self.state, State::Head { .. }) {
            self.state = State::Ended;
        }
        self.keep_alive = false;
    }

    /// No further request is taken from this connection: it closes when its answers are sent.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended | State::Refused)
    }

    /// Whether the current request's body is still being read.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// Body bytes still to come, where the head said so. Reading a small rest away and keeping the connection is
    /// cheaper for both sides than [`Parser::close`].
    pub fn body_left_bytes(&self) -> Option<u64> {
        match &self.state {
            State::Body(framing) => framing.left_bytes(),
            _ => None,
        }
    }

    /// What the peer owes the connection, for its time limits, with `unconsumed` in the read buffer. It is
    /// [`Phase::Idle`] also while answers are owed and no next request has begun: that is for who keeps them to know.
    pub fn phase(&self, unconsumed: &[u8]) -> Phase {
        match &self.state {
            // Old clients send a line end after a body: that begins no request.
            State::Head { .. } if unconsumed.iter().all(|&b| b == b'\r' || b == b'\n') => Phase::Idle,
            State::Head { .. } => Phase::Head,
            State::Body(_) => Phase::Body,
            State::Ended | State::Refused => Phase::Answering,
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.state = State::Refused;
        self.keep_alive = false;
        refusal
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
