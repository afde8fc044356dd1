//! The way through a proxy, on a worker's poll.
//!
//! Comes in: a connection to the proxy. Goes out: the same, once what is written to it goes to the server, or to the
//! proxy in the server's place. Keeps: nothing of what the server says is read. A proxy may say its words a byte at a
//! time; each turn hears a bounded number of them.

use std::io::{self, ErrorKind, Read, Write};

use crate::scrape::job::ClientOptions;

use super::Failure;
use super::connect::spoken;
use super::proxy::{Proxy, ProxyKind};
use super::speech::{PIECE_BYTES_MAX, Speech};
use super::transport::Transport;
use super::url::Origin;

/// Pieces heard in a row before others have their turn: of a head, which is read byte by byte, a usual one whole.
const PIECES_IN_A_ROW_MAX: usize = 2 << 10;

/// A way that is being opened.
pub(super) struct Tunnel {
    transport: Transport,
    speech: Speech,
    /// To be said, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Whose words failures are about.
    whose: String,
}

/// What became of a step.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Opening {
    Waits,
    /// There is more to hear at once: others first.
    Again,
    Open,
}

impl Tunnel {
    /// Begins to open the way to a server, on a connection to the proxy.
    ///
    /// # Errors
    /// The proxy cannot be asked for that.
    pub(super) fn new(
        transport: Transport,
        proxy: &Proxy,
        to: &Origin,
        client: &ClientOptions,
    ) -> Result<Tunnel, Failure> {
        let mut out = Vec::new();
        let whose = match proxy.kind {
            ProxyKind::Socks => format!("socks connect tcp {}->{}: ", proxy.with_port(), to.with_port()),
            ProxyKind::Http | ProxyKind::Https => "proxy: ".to_owned(),
        };
        let speech = Speech::new(client, proxy, to, &mut out).map_err(|why| format!("{whose}{why}"))?;
        Ok(Tunnel { transport, speech, out, sent: 0, whose })
    }

    /// Goes on as far as that is possible now.
    pub(super) fn step(&mut self) -> Result<Opening, Failure> {
        match self.transport.shake_hands() {
            Ok(()) => {}
            Err(error) => return self.paused(&error, "proxyconnect tcp: "),
        }
        for _ in 0..PIECES_IN_A_ROW_MAX {
            match self.say() {
                Ok(()) => {}
                Err(error) => return self.paused(&error, &self.whose),
            }
            let wants = self.speech.wants();
            if wants == 0 {
                return Ok(Opening::Open);
            }
            let mut piece = [0; PIECE_BYTES_MAX];
            let n = match self.transport.read(&mut piece[..wants]) {
                Ok(0) => return Err(Failure::Transport(format!("{}EOF", self.whose))),
                Ok(n) => n,
                Err(error) => return self.paused(&error, &self.whose),
            };
            let heard = self.speech.hear(&piece[..n], &mut self.out);
            heard.map_err(|why| format!("{}{why}", self.whose))?;
        }
        Ok(Opening::Again)
    }

    /// Others have had their turn.
    pub(super) fn begin_turn(&mut self) {
        self.transport.begin_turn();
    }

    /// The connection, once the way is open.
    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.out.capacity() + self.speech.memory_bytes() + self.transport.memory_bytes()
    }

    /// Says what is to be said.
    fn say(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            self.sent += self.transport.write(&self.out[self.sent..])?;
        }
        self.transport.flush()
    }

    /// What an error means that ended a step.
    fn paused(&self, error: &io::Error, whose: &str) -> Result<Opening, Failure> {
        match error.kind() {
            ErrorKind::WouldBlock => Ok(Opening::Waits),
            ErrorKind::Interrupted => Ok(Opening::Again),
            _ => Err(Failure::Transport(format!("{whose}{}", spoken(error)))),
        }
    }
}
