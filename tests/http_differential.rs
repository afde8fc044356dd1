//! The HTTP parser against hyper's, on generated connections.
//!
//! hyper's HTTP/1 server runs over an in-memory stream and is polled by hand; ours is fed the same pieces. Both must
//! see the same requests (method, target, the headers that the server uses, body bytes), and take or refuse the same.
//! Where ours is stricter on purpose stands in [`STRICTER`], where it is laxer in [`LAXER`], each with its reason
//! and an example that is checked.

#![cfg(feature = "server")]

use hyper::body::{Body as _, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tidegate::http::{Body, HttpLimits, Parser, Refusal};

/// A refusal of ours that hyper does not share.
struct Difference {
    name: &'static str,
    why: &'static str,
    is: fn(Refusal) -> bool,
    example: &'static str,
}

const STRICTER: &[Difference] = &[
    Difference {
        name: "two lengths",
        why: "hyper lets Transfer-Encoding win; a proxy in front that lets Content-Length win sees other requests",
        is: |r| r == Refusal::TwoLengths,
        example: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    },
    Difference {
        name: "transfer codings",
        why: "hyper takes any list that ends in chunked and hands the body on still coded; nobody here would decode it",
        is: |r| r == Refusal::TransferCoding,
        example: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    },
    Difference {
        name: "chunked twice",
        why: "RFC 9112 forbids it, and readers disagree on how often to unwrap",
        is: |r| r == Refusal::TransferEncoding,
        example: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    },
    Difference {
        name: "host",
        why: "RFC 9112 has a server refuse HTTP/1.1 without Host, and two; hyper leaves it to the service",
        is: |r| r == Refusal::Host,
        example: "GET / HTTP/1.1\r\n\r\n",
    },
    Difference {
        name: "expectations",
        why: "an unknown expectation cannot be met; hyper ignores it",
        is: |r| r == Refusal::Expectation,
        example: "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
    },
    Difference {
        name: "repeated",
        why: "two credentials or types: which one counts would be our guess",
        is: |r| matches!(r, Refusal::Repeated(_)),
        example: "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
    },
    Difference {
        name: "content codings",
        why: "one coding is undone, so a second header would leave the body coded",
        is: |r| r == Refusal::ContentCodings,
        example: "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Encoding: zstd\r\n\r\n",
    },
    Difference {
        name: "connect",
        why: "this is no proxy; hyper offers the tunnel to its service",
        is: |r| r == Refusal::Connect,
        example: "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    },
    Difference {
        name: "target",
        why: "fragments, bytes above ASCII, other schemes, bare authorities and users in them name nothing here",
        is: |r| r == Refusal::Malformed("invalid request target"),
        example: "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    },
    Difference {
        name: "head size",
        why: "64 headers and 16 KiB, where hyper takes 100 and 400 KiB",
        is: |r| matches!(r, Refusal::HeadTooLarge | Refusal::TargetTooLong),
        example: FLOOD,
    },
    Difference {
        name: "blank lines",
        why: "hyper skips them for ever",
        is: |r| r == Refusal::Malformed("blank lines instead of a request"),
        example: "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    },
    Difference {
        name: "body size",
        why: "hyper leaves it to the service",
        is: |r| r == Refusal::BodyTooLarge,
        example: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
    },
    Difference {
        name: "chunk size digits",
        why: "hyper takes leading zeros without end",
        is: |r| r == Refusal::Chunk("a chunk size is too long"),
        example: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000\r\n\r\n",
    },
    Difference {
        name: "chunk extension text",
        why: "control characters in an extension (a CR among them) are a second line end to somebody",
        is: |r| r == Refusal::Chunk("a chunk extension holds a control character"),
        example: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;\x01\r\n\r\n",
    },
    Difference {
        name: "trailer lines",
        why: "hyper takes a bare LF there; this parser takes none anywhere in a body's framing",
        is: |r| {
            matches!(r, Refusal::Chunk("a trailer is not a header" | "a trailer holds a control character"))
        },
        example: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n",
    },
];

/// What hyper refuses and we take.
struct Laxity {
    name: &'static str,
    why: &'static str,
    is: fn(&Request) -> bool,
    example: &'static str,
}

const LAXER: &[Laxity] = &[Laxity {
    name: "unescaped targets",
    why: "Go's servers, our references, take any printable byte in a target; clients leave these unescaped",
    is: |request| {
        [&request.path, &request.query]
            .iter()
            .any(|s| s.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']))
    },
    example: "GET /`a` HTTP/1.1\r\nHost: a\r\n\r\n",
}];

/// hyper drops a whole `Connection` value that has a byte above ASCII in it. To us the tokens beside it count: a client
/// that wrote `close` there closes. So the two part ways after such a request, whose meaning is otherwise the same.
fn has_odd_connection_list(wire: &[u8]) -> bool {
    wire.split(|&b| b == b'\n')
        .any(|line| line.len() > 11 && line[..11].eq_ignore_ascii_case(b"connection:") && !line.is_ascii())
}

/// 80 headers: over our bound, under hyper's.
const FLOOD: &str = concat!(
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "A: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n",
    "A: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n",
    "A: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n",
    "A: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n",
    "\r\n"
);

/// A request as both describe it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<Vec<u8>>,
    body: Vec<u8>,
    whole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End<R> {
    Open,
    Closed,
    Refused(R),
}

fn ours(wire: &[u8], cuts: &[usize], limits: &HttpLimits) -> (Vec<Request>, End<Refusal>) {
    let mut parser = Parser::new();
    let mut requests: Vec<Request> = Vec::new();
    let mut start = 0;
    for end in pieces(wire, cuts) {
        loop {
            let input = &wire[start.min(end)..end];
            if parser.in_body() {
                let request = requests.last_mut().expect("a body follows a head");
                match parser.body(input, limits) {
                    Ok(Body::Data { consumed, data }) => {
                        request.body.extend_from_slice(&input[data]);
                        start += consumed;
                    }
                    Ok(Body::NeedMore { consumed }) => {
                        start += consumed;
                        break;
                    }
                    Ok(Body::End { consumed }) => {
                        request.whole = true;
                        start += consumed;
                    }
                    Err(refusal) => return (requests, End::Refused(refusal)),
                }
                continue;
            }
            match parser.head(input, limits) {
                Ok(Some(head)) => {
                    start += head.bytes;
                    let h = &head.headers;
                    let values = [
                        h.accept,
                        h.authorization,
                        h.connection,
                        h.content_encoding,
                        h.content_type,
                        h.expect,
                        h.user_agent,
                        h.host,
                    ];
                    requests.push(Request {
                        method: head.method.as_str().into(),
                        path: head.path.into(),
                        query: head.query.into(),
                        headers: values.iter().map(|v| v.to_vec()).collect(),
                        ..Request::default()
                    });
                }
                Ok(None) => break,
                Err(refusal) => return (requests, End::Refused(refusal)),
            }
        }
    }
    (requests, if parser.is_ended() { End::Closed } else { End::Open })
}

fn hypers(wire: &[u8], cuts: &[usize]) -> (Vec<Request>, End<()>) {
    let requests = Rc::new(RefCell::new(Vec::<Request>::new()));
    let body_failed = Rc::new(Cell::new(false));
    let progress = Rc::new(Cell::new(0usize));
    let stream = Stream { wire: wire.to_vec(), ends: pieces(wire, cuts), at: 0, progress: progress.clone() };
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (requests, body_failed, progress) = (requests.clone(), body_failed.clone(), progress.clone());
        async move {
            let (head, body) = request.into_parts();
            requests.borrow_mut().push(described(&head));
            let mut body = pin!(body);
            let failed = loop {
                let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
                progress.set(progress.get() + 1);
                match frame {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            let mut requests = requests.borrow_mut();
                            requests.last_mut().expect("pushed above").body.extend_from_slice(&data);
                        }
                    }
                    Some(Err(_)) => break true,
                    None => break false,
                }
            };
            requests.borrow_mut().last_mut().expect("pushed above").whole = !failed;
            body_failed.set(body_failed.get() | failed);
            Ok::<_, Infallible>(hyper::Response::new(String::new()))
        }
    });
    let end = {
        let mut connection = pin!(http1::Builder::new().half_close(true).serve_connection(stream, service));
        let mut cx = Context::from_waker(Waker::noop());
        let mut idle_polls = 0;
        loop {
            let before = progress.get();
            match connection.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(())) => break End::Closed,
                Poll::Ready(Err(_)) => break End::Refused(()),
                Poll::Pending => {}
            }
            idle_polls = if progress.get() == before { idle_polls + 1 } else { 0 };
            if idle_polls == IDLE_POLLS_MAX {
                break End::Open;
            }
        }
    };
    let end = if body_failed.get() { End::Refused(()) } else { end };
    let requests = requests.borrow().clone();
    (requests, end)
}

/// Polls without any progress after which hyper waits for input: each hop between its halves takes one.
const IDLE_POLLS_MAX: u32 = 6;

fn described(head: &hyper::http::request::Parts) -> Request {
    let all = |name: &str| head.headers.get_all(name).iter().map(|v| v.as_bytes().to_vec());
    let first = |name: &str| all(name).find(|v| !v.is_empty()).unwrap_or_default();
    let last = |name: &str| all(name).next_back().unwrap_or_default();
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str().as_bytes().to_vec(),
        None => last("host"),
    };
    Request {
        method: head.method.as_str().into(),
        path: head.uri.path().into(),
        query: head.uri.query().unwrap_or_default().into(),
        headers: vec![
            first("accept"),
            first("authorization"),
            last("connection"),
            first("content-encoding"),
            first("content-type"),
            last("expect"),
            first("user-agent"),
            host,
        ],
        ..Request::default()
    }
}

fn pieces(wire: &[u8], cuts: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().copied().filter(|&c| 0 < c && c < wire.len()).collect();
    ends.sort_unstable();
    ends.push(wire.len());
    ends
}

/// Gives the pieces one read each and then waits for ever; swallows what is written.
struct Stream {
    wire: Vec<u8>,
    ends: Vec<usize>,
    at: usize,
    progress: Rc<Cell<usize>>,
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(end) = self.ends.iter().copied().find(|&end| end > self.at) else { return Poll::Pending };
        let take = (end - self.at).min(buf.remaining());
        buf.put_slice(&self.wire[self.at..self.at + take]);
        self.at += take;
        self.progress.set(self.progress.get() + 1);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.progress.set(self.progress.get() + 1);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a comparison found.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    BothTake,
    BothRefuse,
    Stricter(&'static str),
    Laxer(&'static str),
}

/// Small enough that generated bodies can be over it.
const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 4096, body_bytes_max: 200_000, decoded_bytes_max: 200_000 };

fn compare(wire: &[u8], cuts: &[usize]) -> Result<Verdict, String> {
    let (our_requests, our_end) = ours(wire, cuts, &LIMITS);
    let (their_requests, their_end) = hypers(wire, cuts);
    let shown = || {
        format!(
            "{}\nours   {our_end:?} {our_requests:#?}\nhyper's {their_end:?} {their_requests:#?}",
            wire.escape_ascii()
        )
    };
    if our_requests == their_requests {
        match (our_end, their_end) {
            (End::Refused(_), End::Refused(())) => return Ok(Verdict::BothRefuse),
            (End::Open, End::Open) | (End::Closed, End::Closed) => return Ok(Verdict::BothTake),
            _ => {}
        }
    }
    let both = our_requests.len().min(their_requests.len());
    if has_odd_connection_list(wire) && our_requests[..both] == their_requests[..both] {
        return Ok(Verdict::Stricter("connection lists"));
    }
    if their_end == End::Refused(()) && our_requests.len() > their_requests.len() {
        let at = their_requests.len();
        let known = LAXER.iter().find(|l| (l.is)(&our_requests[at]));
        return match known {
            Some(known) if our_requests[..at] == their_requests => Ok(Verdict::Laxer(known.name)),
            _ => Err(format!("taken, where hyper refuses: {}", shown())),
        };
    }
    if let End::Refused(refusal) = our_end {
        let Some(known) = STRICTER.iter().find(|d| (d.is)(refusal)) else {
            return Err(format!("refused with {refusal:?} what hyper takes: {}", shown()));
        };
        // What came before the refused part must agree; of the request that was refused inside its body, the head
        // and the bytes that were handed out.
        for (at, (our, their)) in our_requests.iter().zip(&their_requests).enumerate() {
            let mut their = their.clone();
            if at + 1 == our_requests.len() && !our.whole && their.body.starts_with(&our.body) {
                their.body.clone_from(&our.body);
                their.whole = false;
            }
            if *our != their {
                return Err(format!("request {at} differs: {}", shown()));
            }
        }
        return Ok(Verdict::Stricter(known.name));
    }
    Err(format!("they disagree: {}", shown()))
}

#[test]
fn every_known_difference_shows() {
    for difference in STRICTER {
        let verdict = compare(difference.example.as_bytes(), &[]);
        assert_eq!(verdict, Ok(Verdict::Stricter(difference.name)), "{}", difference.why);
    }
    for laxity in LAXER {
        let verdict = compare(laxity.example.as_bytes(), &[]);
        assert_eq!(verdict, Ok(Verdict::Laxer(laxity.name)), "{}", laxity.why);
    }
}

#[test]
fn plain_requests_are_taken_by_both() {
    for wire in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /write?db=a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "GET http://h:1/p?q HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\nignored",
    ] {
        let bytewise: Vec<usize> = (0..wire.len()).collect();
        assert_eq!(compare(wire.as_bytes(), &[]), Ok(Verdict::BothTake), "{wire:?}");
        assert_eq!(compare(wire.as_bytes(), &bytewise), Ok(Verdict::BothTake), "{wire:?}");
    }
}

type Text = BoxedStrategy<String>;

fn pick(list: &'static [&'static str]) -> Text {
    prop::sample::select(list).prop_map(str::to_owned).boxed()
}

/// One of `good`; where there is noise, once in `one_in` of `bad`.
fn mostly(noise: bool, good: Text, one_in: u32, bad: &'static [&'static str]) -> Text {
    if noise { prop_oneof![one_in - 1 => good, 1 => pick(bad)].boxed() } else { good }
}

fn line_end(noise: bool) -> Text {
    mostly(noise, pick(&["\r\n"]), 30, &["\n", "\n", "\r", "\rX", "\r\r\n", "\n\r"])
}

fn request_line(noise: bool) -> Text {
    let method = mostly(
        noise,
        pick(&["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "M-SEARCH", "get"]),
        12,
        &["CONNECT", "!#$%&'*+-.^_`|~", "P(", "", "\u{e4}"],
    );
    let target = mostly(
        noise,
        pick(SOUND_TARGETS),
        5,
        &[
            "",
            "a",
            "?x",
            "/a#b",
            "/\u{e4}",
            "/\"{}|",
            "/<>",
            "/a\\b",
            "/^`",
            "/[x]",
            "/?\"{}|",
            "/?<>",
            "/?^`",
            "/?[x]\\",
            "/\x7f",
            "ftp://a/",
            "http:",
            "http://",
            "http:///x",
            "http://u:p@h/",
            "http://h:x/",
            "h:80",
            "h",
            "/ a",
            "/\t",
            "http://h:99999/",
            "http://h:/",
            "http://[::1/",
            "http://a_b/",
            "http://h%41/",
            "*",
        ],
    );
    let version = mostly(
        noise,
        pick(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]),
        15,
        &["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/1.", ""],
    );
    let gap = || mostly(noise, pick(&[" "]), 40, &["  ", "\t", ""]);
    (method, gap(), target, gap(), version, line_end(noise))
        .prop_map(|(m, a, t, b, v, e)| [m, a, t, b, v, e].concat())
        .boxed()
}

const SOUND_TARGETS: &[&str] = &[
    "/",
    "/write?db=a&precision=ns",
    "/a/b;c=d/",
    "/api/v2/write?x=%20+%00",
    "/?",
    "/?a?b",
    "//a//b",
    "http://h/",
    "https://h:80/x?y=z",
    "http://[::1]:9/",
    "HTTP://H",
    "http://h?x",
];

/// Headers that both take anywhere.
const SOUND: &[(&str, &[&str])] = &[
    ("Connection", &["keep-alive", "Keep-Alive, x", "upgrade", "", "close", ",close,"]),
    ("Content-Type", &["text/plain"]),
    ("Content-Encoding", &["gzip"]),
    ("Authorization", &["Basic YTpi"]),
    ("Expect", &["100-continue", "100-Continue"]),
    ("User-Agent", &["Telegraf/1.30", "curl/8 \u{e4}"]),
    ("Accept", &["*/*", "", "text/html;q=0.5, x"]),
    ("Upgrade", &["h2c", "websocket"]),
    ("TE", &["trailers"]),
    ("A!#$%&'*+.^`|~", &["1", "", "a b\tc", "\u{e4}\u{f6}"]),
];

/// Headers that change the framing, clash with others, or are none.
const NOISY: &[(&str, &[&str])] = &[
    ("Content-Length", &["5", "0", "7", "05", "+5", "5, 5", "", "x", "99999999999999999999", "300000"]),
    (
        "Transfer-Encoding",
        &["chunked", "CHUNKED", "gzip, chunked", "chunked, gzip", "identity", "", ",chunked"],
    ),
    ("Connection", &["close, keep-alive", "closed", "close\u{e4}, close"]),
    ("Expect", &["tea", ""]),
    ("Host", &["a", "", "b:1"]),
    ("Content-Encoding", &["identity", "zstd"]),
    ("Content-Type", &["application/json; charset=utf-8"]),
    ("Authorization", &["Token x"]),
    ("X", &["\0", "a\x01", "a\rb", "a\n b", "\x7f"]),
    ("", &["1"]),
    ("a b", &["1"]),
    ("\u{e4}", &["1"]),
    ("a(", &["1"]),
    ("a\0", &["1"]),
    (" a", &["1"]),
];

fn header(noise: bool) -> Text {
    let from = |table: &'static [(&'static str, &'static [&'static str])]| {
        prop::sample::select(table).prop_flat_map(|(name, values)| (Just(name), prop::sample::select(values)))
    };
    let known =
        if noise { prop_oneof![2 => from(SOUND), 1 => from(NOISY)].boxed() } else { from(SOUND).boxed() };
    let colon = mostly(noise, pick(&[": ", ": ", ":", ":\t", ":  \t "]), 30, &[" :", "", " ", "\t: "]);
    let trail = pick(&["", "", "", " ", "\t "]);
    (known, 0..3, colon, trail, line_end(noise))
        .prop_map(|((name, value), case, colon, trail, end)| {
            let name = match case {
                0 => name.to_owned(),
                1 => name.to_lowercase(),
                _ => name.to_uppercase(),
            };
            [name, colon, value.to_owned(), trail, end].concat()
        })
        .boxed()
}

fn chunked_body(noise: bool) -> Text {
    let size = mostly(
        noise,
        pick(&["5", "5", "05", "0005", "5 ", "5\t;a", "5;a=b", "5;a=\"b;c\"", "5;", "0000000000000005"]),
        15,
        &[
            "",
            "x",
            "5x",
            " 5",
            "+5",
            "0x5",
            "5;\n",
            "5;\r",
            "5 5",
            "4",
            "6",
            "ffffffffffffffff",
            "10000000000000000",
            "00000000000000005",
            "7fffffff",
            "5;\x01",
        ],
    );
    let chunk = (size, line_end(noise), pick(&["hello", "h\r\nlo", "\0\0\0\0\0"]), line_end(noise))
        .prop_map(|(size, e1, data, e2)| [size, e1, data, e2].concat());
    let last = mostly(noise, pick(&["0\r\n", "00\r\n", "0;x\r\n"]), 10, &["0\n", "0", "0\r"]);
    let trailer = mostly(
        noise,
        pick(&["A: b\r\n", "x:\r\n", "Content-Length: 5\r\n", "A: \u{e4} \r\n"]),
        8,
        &[
            "A: b\n",
            " a: b\r\n",
            "nocolon\r\n",
            ": x\r\n",
            "A : b\r\n",
            "A: \0\r\n",
            "A: b\rc\r\n",
            "a\n:\r\n",
        ],
    );
    let chunks = prop::collection::vec(chunk, 0..4);
    (chunks, last, prop::collection::vec(trailer, 0..3), line_end(noise))
        .prop_map(|(chunks, last, trailers, end)| [chunks.concat(), last, trailers.concat(), end].concat())
        .boxed()
}

/// One request. Without noise it is sound: a host, headers that do not clash, a body that fits its framing.
fn request(noise: bool) -> Text {
    let framed = prop_oneof![
        Just(("", String::new())),
        Just(("Content-Length: 5\r\n", "hello".to_owned())),
        Just(("content-length:5\r\nContent-Length: 05\r\n", "\r\n\r\n0".to_owned())),
        chunked_body(noise).prop_map(|body| ("Transfer-Encoding: Chunked\r\n", body)),
    ];
    let host = mostly(noise, pick(&["Host: a\r\n"]), 15, &["", "Host: a\r\nHost: b\r\n"]);
    let loose = mostly(noise, pick(&[""]), 10, &["hello", "hello!!", "\r\n", "0\r\n\r\n"]);
    let flood = if noise {
        prop_oneof![40 => 0usize..1, 1 => 50usize..70, 1 => 95usize..110].boxed()
    } else {
        (0usize..3).boxed()
    };
    let headers = prop::collection::vec(header(noise), 0..4);
    (request_line(noise), host, framed, headers, loose, flood, line_end(noise))
        .prop_map(move |(mut line, host, (mut framing, mut body), mut headers, loose, flood, end)| {
            if !noise {
                // Sound headers are sound once; and chunks need HTTP/1.1.
                headers.sort();
                headers.dedup_by_key(|h| h.split(':').next().unwrap_or_default().to_lowercase());
                headers.dedup_by(|a, b| a[..2].eq_ignore_ascii_case(&b[..2]));
                if framing.starts_with("T") {
                    line = line.replace("HTTP/1.0", "HTTP/1.1");
                }
            } else if !loose.is_empty() {
                (framing, body) = ("", loose);
            }
            [&line, &host, framing, &headers.concat(), &"A: 1\r\n".repeat(flood), &end, &body].concat()
        })
        .boxed()
}

fn wire() -> impl Strategy<Value = Vec<u8>> {
    let change =
        (any::<prop::sample::Index>(), prop::sample::select(b"\r\n :;,\0\x7f\xe40aA/#?=5".to_vec()), 0u8..3);
    let changes = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(change, 1..4)];
    let requests = any::<bool>().prop_flat_map(|noise| prop::collection::vec(request(noise), 1..4));
    (requests, changes).prop_map(|(requests, changes)| {
        let mut wire = requests.concat().into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(wire.len());
            match how {
                0 => wire[at] = byte,
                1 => wire.insert(at, byte),
                _ => drop(wire.remove(at)),
            }
            if wire.is_empty() {
                break;
            }
        }
        // Whatever was broken off is ended, so that neither side is still waiting to judge a line.
        wire.extend_from_slice(b"\r\n\r\n");
        wire
    })
}

#[test]
fn both_see_the_same_requests() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(6000);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (taken, refused, stricter, laxer) =
        (Cell::new(0u32), Cell::new(0u32), Cell::new(0u32), Cell::new(0u32));
    let result = runner.run(&(wire(), prop::collection::vec(0usize..400, 0..6)), |(wire, cuts)| {
        let count = match compare(&wire, &cuts).map_err(TestCaseError::fail)? {
            Verdict::BothTake => &taken,
            Verdict::BothRefuse => &refused,
            Verdict::Stricter(_) => &stricter,
            Verdict::Laxer(_) => &laxer,
        };
        count.set(count.get() + 1);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // A generator that only makes garbage, or only good requests, would prove nothing.
    let (taken, refused, stricter, laxer) = (taken.get(), refused.get(), stricter.get(), laxer.get());
    println!("both take {taken}, both refuse {refused}, stricter {stricter}, laxer {laxer}");
    assert!(
        taken > cases / 10 && refused > cases / 10 && stricter > cases / 50,
        "{taken} {refused} {stricter}"
    );
}
