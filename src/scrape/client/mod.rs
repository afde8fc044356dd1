//! One GET at a time of one target: names, proxies, TLS, redirects, a body within its limits. Driven by a poll.
//!
//! Comes in: what to [`Ask`], where, and word of what the poll said. Goes out: the [`Answer`] of a 200, or the
//! [`Failure`]. Keeps: no call waits; a server gets so many reads before others have their turn; not a byte of a body
//! is kept that was not paid for, and where there is no memory nothing is read until there is some. It refuses to know
//! what the body means, and when it was to be there: who drives it looks at the clock and [aborts](Client::abort).

mod body;
mod connect;
mod exchange;
mod proxy;
mod request;
mod resolver;
mod response;
mod socks;
mod spares;
mod speech;
mod tokens;
mod transport;
mod tunnel;
mod url;

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use mio::{Registry, Token};

use crate::engine::Reservation;
use crate::http::body::DecoderPool;
use crate::scrape::tls::TlsConfigs;

use body::BODY_BYTES_MAX;
use exchange::{Exchange, Link, Progress};

pub(super) use body::Purse;
pub(super) use exchange::REQUESTS_MAX;
pub use proxy::ProxyEnvironment;
pub(super) use proxy::{Proxy, ProxyKind, proxy_for, unescaped};
pub(super) use request::{AGENT, Ask};
pub(super) use resolver::Resolver;
pub(super) use spares::Spares;
pub(super) use speech::{PIECE_BYTES_MAX, Speech};
pub(super) use tokens::Tokens;
pub(super) use url::{Origin, Url};

/// What all clients of a worker share.
pub(super) struct Means<'a> {
    pub(super) registry: &'a Registry,
    pub(super) resolver: &'a Arc<Resolver>,
    pub(super) tokens: &'a Tokens,
    pub(super) tls: &'a mut TlsConfigs,
    pub(super) proxies: &'a ProxyEnvironment,
    pub(super) decoders: &'a mut DecoderPool,
    /// Where bodies get their memory.
    pub(super) spares: &'a mut Spares,
    /// Room to read into; its bytes mean nothing.
    pub(super) buffer: &'a mut [u8],
    pub(super) purse: Purse<'a>,
    pub(super) now_ns: u64,
}

/// A body that came whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// What pays for it.
    pub(super) paid: Reservation,
}

/// Why there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// It reached a bound on its size.
    BodyTooLarge(Bound),
    /// The memory budget had no room for it in all that time.
    NoMemory,
    /// Nothing came, or not whole.
    Transport(String),
    /// What came is not what was asked for.
    Answer(String),
}

/// Whose bound on a body's size it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bound {
    /// The job's.
    Job,
    /// That of all bodies.
    Any,
    /// A part of the memory budget.
    Memory,
}

/// What became of a step.
#[derive(Debug)]
pub(super) enum Step {
    /// The poll will tell when to go on; or the resolver.
    Waits {
        /// Go on then at the latest.
        until_ns: Option<u64>,
    },
    /// There is no memory to go on with: try again later.
    NoMemory,
    /// There is more to do at once: others first.
    Again,
    /// It is over.
    Ended(Result<Answer, Failure>),
}

/// The client of one target.
pub(super) struct Client {
    token: Token,
    /// The connection, between two exchanges.
    link: Option<Link>,
    exchange: Option<Box<Exchange>>,
}

impl Client {
    /// A client whose sockets have this token.
    pub(super) fn new(token: Token) -> Client {
        Client { token, link: None, exchange: None }
    }

    /// Begins to get `url`.
    pub(super) fn begin(&mut self, url: Url, deadline_ns: u64, ask: &Ask<'_>, means: &mut Means<'_>) -> Step {
        let link = self.link.take();
        self.exchange = Some(Box::new(Exchange::new(url, self.token, link, deadline_ns, means)));
        self.advance(ask, means)
    }

    /// Whether an exchange is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// Whether it waits for the resolver, or for a token.
    pub(super) fn is_finding(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_finding())
    }

    /// Goes on as far as that is possible now.
    pub(super) fn advance(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Step {
        let Some(exchange) = &mut self.exchange else { return Step::Waits { until_ns: None } };
        let ended = match exchange.advance(ask, means) {
            Ok(Progress::Waits { until_ns }) => return Step::Waits { until_ns },
            Ok(Progress::NoMemory) => return Step::NoMemory,
            Ok(Progress::Again) => return Step::Again,
            Ok(Progress::Done(answer)) => Ok(answer),
            Err(failure) => Err(failure),
        };
        if let Some(exchange) = self.exchange.take() {
            self.link = exchange.end(means.decoders);
        }
        Step::Ended(ended)
    }

    /// The poll spoke of a connection on which nothing is asked: it has ended, or its server speaks out of turn.
    pub(super) fn look_at_idle(&mut self, means: &mut Means<'_>) {
        if self.link.as_mut().is_some_and(|link| !link.is_sound(means.buffer)) {
            self.link = None;
        }
    }

    /// The server is to be spoken to in another way from now on: on another connection.
    pub(super) fn forget(&mut self) {
        self.link = None;
    }

    /// Gives up what is under way, and its connection.
    pub(super) fn abort(&mut self, decoders: &mut DecoderPool) {
        if let Some(exchange) = self.exchange.take() {
            exchange.give_up(decoders);
        }
    }

    /// Whether it waits for memory.
    pub(super) fn is_short(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_short())
    }

    /// What an exchange that is under way waits for, in words.
    pub(super) fn waits_for(&self) -> &'static str {
        self.exchange.as_ref().map_or("", |exchange| exchange.waits_for())
    }

    /// Bytes held beside bodies, which are paid for.
    pub(super) fn memory_bytes(&self) -> usize {
        self.link.as_ref().map_or(0, Link::memory_bytes)
            + self.exchange.as_ref().map_or(0, |exchange| exchange.memory_bytes())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Failure::BodyTooLarge(Bound::Job) => f.write_str("body size limit exceeded"),
            Failure::BodyTooLarge(Bound::Any) => {
                write!(f, "the body is longer than {} MiB, which none may be", BODY_BYTES_MAX >> 20)
            }
            Failure::BodyTooLarge(Bound::Memory) => {
                f.write_str("the body is longer than its part of limits.memory")
            }
            Failure::NoMemory => f.write_str("no memory for the body: limits.memory is reached"),
            Failure::Transport(why) | Failure::Answer(why) => f.write_str(why),
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Transport(why)
    }
}
