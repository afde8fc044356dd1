//! One GET, wherever it leads: a machine that goes on when its socket does.
//!
//! ```text
//! Finding -> Connecting -> (Tunnel) -> Sending -> Head -> Room -> Body -> done
//!    ^                                              |
//!    +------------------ redirect ------------------+
//! ```

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::Token;

use crate::http::body::{DecoderPool, Encoding};
use crate::http::{Body, Framing, HttpLimits, Refusal};
use crate::scrape::job::Scheme;
use crate::scrape::tls::{self, FileStamps, server_name};

use super::body::{BODY_BYTES_MAX, Expected, Incoming};
use super::connect::{Connecting, spoken};
use super::proxy::{Proxy, ProxyKind, proxy_for};
use super::request::{Addressed, Ask};
use super::resolver::Lookup;
use super::response::{HEAD_BYTES_MAX, Head};
use super::tokens::TokenLookup;
use super::transport::Transport;
use super::tunnel::{Opening, Tunnel};
use super::url::{Origin, Url};
use super::{Answer, Bound, Failure, Means};

/// Requests that one becomes at most, where it is led on: as with Go's clients.
pub(in crate::scrape) const REQUESTS_MAX: u32 = 10;

/// Bytes of a head that are read at once: few, since what follows is to be read to where it stays.
const HEAD_READ_BYTES: usize = 2 << 10;

/// Reads a server gets in a row before others have their turn.
const READS_IN_A_ROW_MAX: usize = 8;

/// After so many at once others have their turn.
const DECODED_BYTES_AT_ONCE: usize = 1 << 20;

/// A connection, and to whom.
pub(super) struct Link {
    transport: Transport,
    origin: Origin,
    proxy: Option<Proxy>,
    /// Of the files that its TLS was made of.
    files: FileStamps,
}

/// A GET under way.
pub(super) struct Exchange {
    token: Token,
    deadline_ns: u64,
    url: Url,
    /// The server that credentials are meant for.
    first: Origin,
    redirects: u32,
    proxy: Option<Proxy>,
    /// The files of TLS before they are read, if they will be.
    files: FileStamps,
    /// The token that was fetched by OAuth 2.
    bearer: Option<String>,
    stage: Stage,
    link: Option<Link>,
    /// The link has served before: its server may have closed it.
    reused: bool,
    /// Some of the answer has come.
    answered: bool,
    /// To be sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// The part of a head that has come.
    head: Vec<u8>,
    content_type: String,
    keep_alive: bool,
    /// It waits for memory.
    is_short: bool,
}

enum Stage {
    /// The way is not known yet; addresses were asked for at this time.
    Finding {
        asked_ns: u64,
    },
    Connecting(Connecting),
    /// The proxy is reached, and is to lead to the server.
    Tunnel(Box<Tunnel>),
    Sending,
    Head,
    /// The head has come; there is to be memory for the body.
    Room(Box<Head>),
    Body {
        framing: Option<Framing>,
        incoming: Box<Incoming>,
        /// All of it was read.
        ended: bool,
    },
    Over,
}

/// What became of a step.
pub(super) enum Progress {
    Waits { until_ns: Option<u64> },
    NoMemory,
    Again,
    Done(Answer),
}

/// A step within a stage.
enum Turn {
    /// The stage has changed.
    Next,
    Stay(Progress),
}

const WAITS: Turn = Turn::Stay(Progress::Waits { until_ns: None });

const NO_MEMORY: Turn = Turn::Stay(Progress::NoMemory);

impl Exchange {
    pub(super) fn new(
        url: Url,
        token: Token,
        link: Option<Link>,
        deadline_ns: u64,
        means: &Means<'_>,
    ) -> Exchange {
        Exchange {
            token,
            deadline_ns,
            first: url.origin.clone(),
            url,
            redirects: 0,
            proxy: None,
            files: FileStamps::default(),
            bearer: None,
            stage: Stage::Finding { asked_ns: means.resolver.now_ns() },
            link,
            reused: false,
            answered: false,
            out: Vec::new(),
            sent: 0,
            head: Vec::new(),
            content_type: String::new(),
            keep_alive: false,
            is_short: false,
        }
    }

    pub(super) fn advance(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Progress, Failure> {
        let mut reads_left = READS_IN_A_ROW_MAX;
        if let Some(link) = &mut self.link {
            link.transport.begin_turn();
        }
        if let Stage::Tunnel(tunnel) = &mut self.stage {
            tunnel.begin_turn();
        }
        loop {
            let turn = match &mut self.stage {
                Stage::Finding { .. } => self.find(ask, means),
                Stage::Connecting(_) => self.connect(ask, means),
                Stage::Tunnel(_) => self.open_tunnel(ask, means),
                Stage::Sending => self.send(means),
                Stage::Head => self.read_head(ask, means, &mut reads_left),
                Stage::Room(_) => self.begin_body(ask, means),
                Stage::Body { .. } => self.read_body(means, &mut reads_left),
                Stage::Over => Ok(WAITS),
            };
            match turn {
                Ok(Turn::Next) => {}
                Ok(Turn::Stay(progress)) => {
                    self.is_short = matches!(progress, Progress::NoMemory);
                    return Ok(progress);
                }
                // Its server had closed it before it was asked.
                Err(_) if self.reused && !self.answered => {
                    self.start_over(means);
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The connection, if another exchange may use it.
    pub(super) fn end(self, decoders: &mut DecoderPool) -> Option<Link> {
        let Exchange { stage, link, keep_alive, .. } = self;
        match stage {
            Stage::Over => link.filter(|_| keep_alive),
            Stage::Body { incoming, .. } => {
                incoming.give_up(decoders);
                None
            }
            _ => None,
        }
    }

    pub(super) fn give_up(self, decoders: &mut DecoderPool) {
        self.end(decoders);
    }

    pub(super) fn is_finding(&self) -> bool {
        matches!(self.stage, Stage::Finding { .. })
    }

    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    pub(super) fn waits_for(&self) -> &'static str {
        match self.stage {
            Stage::Finding { .. } => "looking up its name, or fetching a token for it",
            Stage::Connecting(_) => "connecting",
            Stage::Tunnel(_) => "waiting for its proxy",
            Stage::Sending => "sending the request",
            Stage::Head => "awaiting headers",
            Stage::Room(_) | Stage::Body { .. } | Stage::Over => "reading body",
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let texts = self.out.capacity() + self.head.capacity() + self.url.path.len();
        let tunnel = match &self.stage {
            Stage::Tunnel(tunnel) => tunnel.memory_bytes(),
            _ => 0,
        };
        size_of::<Exchange>() + texts + tunnel + self.link.as_ref().map_or(0, Link::memory_bytes)
    }

    /// Finds the way to the server: the connection there is, or addresses.
    fn find(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let Stage::Finding { asked_ns } = self.stage else { return Ok(Turn::Next) };
        if let Some(oauth2) = ask.client.oauth2.as_ref().filter(|_| self.is_trusted()) {
            self.bearer = match means.tokens.find(oauth2) {
                TokenLookup::Known(token) => Some(token),
                TokenLookup::Pending => return Ok(WAITS),
                TokenLookup::Failed(why) => return Err(Failure::Transport(why.to_string())),
            };
        }
        self.proxy = proxy_for(&ask.client.proxy, means.proxies, &self.url.origin)?;
        let proxy = self.proxy.as_ref();
        // Whom to trust, and who we are, is asked anew each time: a connection that was made of other files may be one
        // that these would not have led to.
        let is_encrypted = |proxy: &Proxy| proxy.kind == ProxyKind::Https;
        self.files = match self.url.origin.scheme == Scheme::Https || proxy.is_some_and(is_encrypted) {
            true => FileStamps::of(&ask.client.tls),
            false => FileStamps::default(),
        };
        let (origin, files) = (&self.url.origin, self.files);
        let is_fit =
            |link: &mut Link| link.origin == *origin && link.proxy.as_ref() == proxy && link.files == files;
        if let Some(link) = self.link.take_if(is_fit) {
            return self.begin_to_send(link, true, ask).map(|()| Turn::Next);
        }
        self.link = None;
        let (host, port) = self.first_hop();
        let addresses = match means.resolver.find(host, asked_ns) {
            Lookup::Known(addresses) => addresses,
            Lookup::Pending => return Ok(WAITS),
            Lookup::Failed(why) => return Err(self.unreachable(&why)),
        };
        self.stage = Stage::Connecting(Connecting::new(&addresses, port));
        Ok(Turn::Next)
    }

    /// Connects to the first address that answers.
    fn connect(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let Stage::Connecting(connecting) = &mut self.stage else { return Ok(Turn::Next) };
        let Some(socket) = connecting.step(self.token, self.deadline_ns, means)? else {
            let more = !connecting.rest.is_empty();
            let until_ns = more.then_some(connecting.until_ns);
            if connecting.socket.is_some() {
                return Ok(Turn::Stay(Progress::Waits { until_ns }));
            }
            let failure = std::mem::take(&mut connecting.failure);
            means.resolver.distrust(self.first_hop().0);
            return Err(self.unreachable(&failure));
        };
        // Requests are small and complete: waiting to fill a segment only delays them.
        let _ = socket.set_nodelay(true);
        let transport = Transport::plain(socket);
        let Some(proxy) = &self.proxy else { return self.speak(transport, ask, means) };
        let transport = match proxy.kind {
            ProxyKind::Https => encrypted(transport, proxy.name(), ask, means)?,
            ProxyKind::Http | ProxyKind::Socks => transport,
        };
        let tunnel = Tunnel::new(transport, proxy, &self.url.origin, ask.client)?;
        self.stage = Stage::Tunnel(Box::new(tunnel));
        Ok(Turn::Next)
    }

    /// Has the proxy lead to the server.
    fn open_tunnel(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let Stage::Tunnel(tunnel) = &mut self.stage else { return Ok(Turn::Next) };
        match tunnel.step()? {
            Opening::Waits => return Ok(WAITS),
            Opening::Again => return Ok(Turn::Stay(Progress::Again)),
            Opening::Open => {}
        }
        let Stage::Tunnel(tunnel) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(Turn::Next);
        };
        self.speak(tunnel.into_transport(), ask, means)
    }

    /// The server is reached: speaks with it.
    fn speak(&mut self, transport: Transport, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let origin = self.url.origin.clone();
        let transport = match origin.scheme {
            Scheme::Http => transport,
            Scheme::Https => encrypted(transport, origin.name(), ask, means)?,
        };
        self.begin_to_send(
            Link { transport, origin, proxy: self.proxy.clone(), files: self.files },
            false,
            ask,
        )?;
        Ok(Turn::Next)
    }

    /// The host and port that are connected to: the proxy's, or the server's.
    fn first_hop(&self) -> (&str, u16) {
        let origin = &self.url.origin;
        self.proxy.as_ref().map_or((&origin.host, origin.port), |proxy| (&proxy.host, proxy.port))
    }

    /// The first hop is not reached; of a proxy it is said that it is one.
    fn unreachable(&self, why: &str) -> Failure {
        let whose = if self.proxy.is_some() { "proxyconnect tcp: " } else { "" };
        Failure::Transport(format!("{whose}{why}"))
    }

    /// Whether credentials are meant for the server that is asked.
    fn is_trusted(&self) -> bool {
        self.first.trusts(&self.url.origin)
    }

    fn begin_to_send(&mut self, link: Link, reused: bool, ask: &Ask<'_>) -> Result<(), Failure> {
        let scheme = self.url.origin.scheme;
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.forwards(scheme));
        let trusted = self.is_trusted();
        self.out.clear();
        self.sent = 0;
        self.head.clear();
        let token = self.bearer.as_deref();
        ask.write(Addressed { url: &self.url, proxy, trusted, token }, &mut self.out)?;
        self.link = Some(link);
        self.reused = reused;
        self.answered = false;
        self.stage = Stage::Sending;
        Ok(())
    }

    fn send(&mut self, means: &Means<'_>) -> Result<Turn, Failure> {
        let Some(link) = &mut self.link else { return Err(lost()) };
        let begins = self.sent == 0;
        while self.sent < self.out.len() {
            match link.transport.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Turn::Stay(Progress::Again)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let told = link.transport.expect_room(self.token, means.registry);
                    return told.map(|()| WAITS).map_err(|e| failed("write", &e));
                }
                Err(e) => return Err(failed("write", &e)),
            }
        }
        match link.transport.flush() {
            Ok(()) => {
                self.stage = Stage::Head;
                // It was just asked: to look for an answer already would be in vain.
                let is_told = link.transport.expect_answer(self.token, means.registry);
                Ok(if is_told && begins { WAITS } else { Turn::Next })
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(WAITS),
            Err(e) => Err(failed("write", &e)),
        }
    }

    fn read_head(
        &mut self,
        ask: &Ask<'_>,
        means: &mut Means<'_>,
        reads_left: &mut usize,
    ) -> Result<Turn, Failure> {
        let Some(link) = &mut self.link else { return Err(lost()) };
        let room = means.buffer.len().min(HEAD_READ_BYTES);
        let n = match read(&mut link.transport, &mut means.buffer[..room], reads_left)? {
            Read::Bytes(0) => return Err(Failure::Transport("EOF".to_owned())),
            Read::Bytes(n) => n,
            Read::Stay(turn) => return Ok(turn),
        };
        self.answered = true;
        let piece = &means.buffer[..n];
        self.head.extend_from_slice(piece);
        if !piece.contains(&b'\n') && self.head.len() < HEAD_BYTES_MAX {
            // A head that drips is not read anew for each drop.
            return Ok(Turn::Next);
        }
        loop {
            let Some(head) = Head::parse(&self.head)? else { return Ok(Turn::Next) };
            if head.is_interim() {
                self.head.drain(..head.bytes);
                continue;
            }
            return self.take_head(head, ask, means);
        }
    }

    fn take_head(&mut self, mut head: Head, ask: &Ask<'_>, means: &Means<'_>) -> Result<Turn, Failure> {
        if ask.client.follow_redirects
            && let Some(location) = head.redirects_to()
        {
            return self.follow(location, means);
        }
        if head.status != 200 {
            return Err(Failure::Answer(format!("server returned HTTP status {}", head.status_text)));
        }
        // What is not known here, or no coding of answers, is taken as it is.
        let encoding =
            head.encoding.filter(|coding| !matches!(coding, Encoding::Snappy | Encoding::SnappyFrames));
        head.encoding = Some(encoding.unwrap_or(Encoding::Identity));
        let (bytes_max, bound) = means.purse.bytes_max(ask.body_bytes_max);
        let announced = head.framing.as_ref().and_then(Framing::left_bytes);
        if head.encoding == Some(Encoding::Identity) && announced.is_some_and(|bytes| bytes >= bytes_max) {
            return Err(Failure::BodyTooLarge(bound));
        }
        self.stage = Stage::Room(Box::new(head));
        Ok(Turn::Next)
    }

    /// Begins to read the body once there is memory for its first bytes.
    fn begin_body(&mut self, ask: &Ask<'_>, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let Stage::Room(head) = &mut self.stage else { return Ok(Turn::Next) };
        let expected = Expected {
            encoding: head.encoding.unwrap_or(Encoding::Identity),
            announced: head.framing.as_ref().and_then(Framing::left_bytes),
            like_last: ask.body_bytes_expected,
            begun: self.head.len() - head.bytes,
        };
        let bytes_max = means.purse.bytes_max(ask.body_bytes_max);
        let incoming = Incoming::new(&expected, bytes_max, (means.decoders, means.spares), means.purse)?;
        let Some(mut incoming) = incoming.map(Box::new) else { return Ok(NO_MEMORY) };
        self.content_type = std::mem::take(&mut head.content_type);
        self.keep_alive = head.keep_alive;
        let mut framing = head.framing.take();
        let begun = std::mem::take(&mut self.head).split_off(head.bytes);
        let taken = take(&mut framing, &mut incoming, &begun, means, &mut self.keep_alive);
        self.stage = Stage::Body { framing, incoming, ended: *taken.as_ref().unwrap_or(&false) };
        taken.map(|_| Turn::Next)
    }

    fn follow(&mut self, location: &str, means: &Means<'_>) -> Result<Turn, Failure> {
        if self.redirects + 1 == REQUESTS_MAX {
            return Err(Failure::Transport(format!("stopped after {REQUESTS_MAX} redirects")));
        }
        self.redirects += 1;
        self.url = self.url.join(location)?;
        // What of the answer follows its head is not read: another connection is cheaper than any length of it.
        self.start_over(means);
        Ok(Turn::Next)
    }

    /// Begins again, on another connection.
    fn start_over(&mut self, means: &Means<'_>) {
        self.link = None;
        self.reused = false;
        self.stage = Stage::Finding { asked_ns: means.resolver.now_ns() };
    }

    fn read_body(&mut self, means: &mut Means<'_>, reads_left: &mut usize) -> Result<Turn, Failure> {
        let Some(link) = &mut self.link else { return Err(lost()) };
        let Stage::Body { framing, incoming, ended } = &mut self.stage else { return Ok(Turn::Next) };
        let before = incoming.len();
        if !incoming.catch_up(means.purse)? {
            return Ok(NO_MEMORY);
        }
        if *ended {
            return self.finish(means);
        }
        let left = framing.as_ref().and_then(Framing::left_bytes).filter(|_| incoming.is_plain());
        let place = match left {
            Some(left) => incoming.place(left, means.purse),
            None => {
                let room = incoming.room(means.purse).min(means.buffer.len());
                &mut means.buffer[..room]
            }
        };
        if place.is_empty() {
            return Ok(NO_MEMORY);
        }
        let room = place.len().min(DECODED_BYTES_AT_ONCE);
        let n = match read(&mut link.transport, &mut place[..room], reads_left)? {
            Read::Bytes(n) => n,
            Read::Stay(turn) => return Ok(turn),
        };
        if n == 0 {
            // Where nothing says how long the body is, it ends here; over TLS a goodbye has come before.
            return if framing.is_none() {
                self.finish(means)
            } else {
                Err(Failure::Transport("unexpected EOF".to_owned()))
            };
        }
        if let Some(left) = left {
            let of_body = left.min(n as u64);
            incoming.note(of_body as usize)?;
            *framing = Some(Framing::Bytes { left: left - of_body });
            *ended = of_body == left;
            // What follows was not asked for: who knows what it is.
            self.keep_alive &= of_body == n as u64;
            return Ok(Turn::Next);
        }
        let buffer = std::mem::take(&mut means.buffer);
        let taken = take(framing, incoming, &buffer[..n], means, &mut self.keep_alive);
        means.buffer = buffer;
        *ended = taken?;
        let grown = incoming.len() - before;
        Ok(if grown > DECODED_BYTES_AT_ONCE { Turn::Stay(Progress::Again) } else { Turn::Next })
    }

    fn finish(&mut self, means: &mut Means<'_>) -> Result<Turn, Failure> {
        let Stage::Body { incoming, .. } = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Ok(Turn::Next);
        };
        let (body, paid) = incoming.finish(means.decoders)?;
        let content_type = std::mem::take(&mut self.content_type);
        Ok(Turn::Stay(Progress::Done(Answer { content_type, body, paid })))
    }
}

impl Link {
    /// Whether a connection on which nothing is asked may still be used.
    pub(super) fn is_sound(&mut self, buffer: &mut [u8]) -> bool {
        // Over TLS there may be a ticket for a later session, which is no data.
        let read = self.transport.read(buffer);
        read.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Link>() + self.origin.host.len() + self.transport.memory_bytes()
    }
}

/// Speaks TLS to the server of this name from here on.
fn encrypted(
    below: Transport,
    name: &str,
    ask: &Ask<'_>,
    means: &mut Means<'_>,
) -> Result<Transport, Failure> {
    let options = &ask.client.tls;
    let name = server_name(options, name)?;
    let config = means.tls.get(options)?;
    Transport::tls(below, config, name).map_err(|error| Failure::Transport(tls::spoken(&error)))
}

enum Read {
    Bytes(usize),
    Stay(Turn),
}

fn read(transport: &mut Transport, into: &mut [u8], reads_left: &mut usize) -> Result<Read, Failure> {
    if *reads_left == 0 {
        return Ok(Read::Stay(Turn::Stay(Progress::Again)));
    }
    *reads_left -= 1;
    loop {
        match transport.read(into) {
            Ok(n) => return Ok(Read::Bytes(n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Read::Stay(WAITS)),
            Err(e) if e.kind() == ErrorKind::Interrupted && transport.is_plain() => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                return Ok(Read::Stay(Turn::Stay(Progress::Again)));
            }
            Err(e) => return Err(failed("read", &e)),
        }
    }
}

/// Takes what a piece of input holds of the body; whether the body is over.
fn take(
    framing: &mut Option<Framing>,
    incoming: &mut Incoming,
    input: &[u8],
    means: &Means<'_>,
    keep_alive: &mut bool,
) -> Result<bool, Failure> {
    let Some(framing) = framing else { return incoming.take(input, means.purse).map(|()| false) };
    let limits = HttpLimits { body_bytes_max: BODY_BYTES_MAX, ..HttpLimits::default() };
    let mut rest = input;
    loop {
        let body = framing.read(rest, &limits).map_err(|refusal| match refusal {
            Refusal::BodyTooLarge => Failure::BodyTooLarge(Bound::Any),
            refusal => Failure::Transport(format!("malformed HTTP response: {refusal}")),
        })?;
        match body {
            Body::Data { consumed, data } => {
                incoming.take(&rest[data], means.purse)?;
                rest = &rest[consumed..];
            }
            Body::NeedMore { .. } => return Ok(false),
            Body::End { consumed } => {
                // What follows was not asked for: who knows what it is.
                *keep_alive &= consumed == rest.len();
                return Ok(true);
            }
        }
    }
}

fn failed(action: &str, error: &io::Error) -> Failure {
    Failure::Transport(format!("{action}: {}", spoken(error)))
}

fn lost() -> Failure {
    Failure::Transport("the connection was lost".to_owned())
}
