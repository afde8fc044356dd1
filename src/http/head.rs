//! The request head: request line and headers into what the server needs, borrowed from the read buffer.
//!
//! httparse finds the pieces; what they mean together (how long the body is, whether the connection stays) is decided
//! here, once, so that nobody later reads a header again and decides otherwise.

use super::{HttpLimits, Refusal};
use httparse::Status as Parsed;
use std::mem::MaybeUninit;

/// How many headers a request may have. Agents send under 15; proxies add a few.
pub const HEADERS_MAX: usize = 64;

/// How many bytes of blank lines may stand before a request line: old clients send one after a body.
pub const LEADING_BLANK_BYTES_MAX: usize = 16;

/// A request's method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method<'a> {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other token, as sent; methods are case-sensitive.
    Other(&'a str),
}

/// The protocol's version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the end of a request's body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// So many bytes; 0 where the head names no body.
    Bytes(u64),
    /// Chunks until an empty one.
    Chunked,
}

/// A request head. Slices point into the buffer that was parsed.
#[derive(Clone)]
pub struct Head<'a> {
    /// Bytes of the buffer to consume before the body.
    pub bytes: usize,
    /// The method.
    pub method: Method<'a>,
    /// The path as sent, percent-encoding kept; `*` for `OPTIONS *`.
    pub path: &'a str,
    /// What follows the first `?`, empty if nothing does. See [`Query`](super::Query).
    pub query: &'a str,
    /// The version.
    pub version: Version,
    /// The client means to send another request after this one.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body (which is not empty).
    pub expect_continue: bool,
    /// How the body ends.
    pub length: BodyLength,
    /// The headers the server uses.
    pub headers: Headers<'a>,
}

/// Header values that the server uses, without surrounding whitespace; empty if not sent. All others are dropped.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `Accept` (the first, where there are several)
    pub accept: &'a [u8],
    /// `Authorization`; never two
    pub authorization: &'a [u8],
    /// `Connection` (the last); what it says is in [`Head::keep_alive`]
    pub connection: &'a [u8],
    /// `Content-Encoding`; never two
    pub content_encoding: &'a [u8],
    /// `Content-Type`; never two
    pub content_type: &'a [u8],
    /// `Expect`; what it says is in [`Head::expect_continue`]
    pub expect: &'a [u8],
    /// `Host`, or the authority of an absolute target, which outranks it
    pub host: &'a [u8],
    /// `User-Agent` (the first)
    pub user_agent: &'a [u8],
    /// `X-Scope-OrgID`; never two
    pub scope_org_id: &'a [u8],
}

impl<'a> Method<'a> {
    fn new(text: &'a str) -> Method<'a> {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            other => Method::Other(other),
        }
    }

    /// The method as sent.
    pub fn as_str(&self) -> &'a str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other(other) => other,
        }
    }
}

impl BodyLength {
    /// Whether the head promises a body.
    pub fn is_empty(self) -> bool {
        self == BodyLength::Bytes(0)
    }
}

/// Parses the head at the start of `input`; `None` if it is not all there.
pub(super) fn parse<'a>(input: &'a [u8], limits: &HttpLimits) -> Result<Option<Head<'a>>, Refusal> {
    let blank = input.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
    if blank > LEADING_BLANK_BYTES_MAX {
        return Err(Refusal::Malformed("blank lines instead of a request"));
    }
    let bytes_max = limits.head_bytes_max as usize;
    let mut slots = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut slots) {
        Ok(Parsed::Complete(bytes)) if bytes <= bytes_max => interpret(&request, bytes).map(Some),
        Ok(Parsed::Partial) if input.len() <= bytes_max => Ok(None),
        Ok(_) if request.version.is_none() || request.path.is_some_and(|p| p.len() > bytes_max) => {
            Err(Refusal::TargetTooLong)
        }
        Ok(_) => Err(Refusal::HeadTooLarge),
        Err(error) => Err(malformed(error)),
    }
}

fn malformed(error: httparse::Error) -> Refusal {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Refusal::HeadTooLarge,
        Error::Version => Refusal::Version,
        Error::HeaderName => Refusal::Malformed("invalid header name"),
        Error::HeaderValue => Refusal::Malformed("invalid header value"),
        Error::NewLine => Refusal::Malformed("invalid line end"),
        Error::Token | Error::Status => Refusal::Malformed("invalid request line"),
    }
}

fn interpret<'a>(request: &httparse::Request<'_, 'a>, bytes: usize) -> Result<Head<'a>, Refusal> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed("invalid request line"));
    };
    let method = Method::new(method);
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let target = Target::parse(method, target)?;

    let mut fields = Fields::default();
    for header in request.headers.iter() {
        fields.take(header.name, header.value)?;
    }
    let length = fields.length(version)?;
    if version == Version::Http11 && fields.host_lines == 0 {
        return Err(Refusal::Host);
    }
    let mut headers = fields.headers;
    if let Some(authority) = target.authority {
        headers.host = authority.as_bytes();
    }
    let keep_alive = !fields.close && (version == Version::Http11 || fields.keep_alive);
    // An HTTP/1.0 client does not know the 100 that it would be sent.
    let expect_continue = fields.expect_continue && version == Version::Http11 && !length.is_empty();
    Ok(Head {
        bytes,
        method,
        path: target.path,
        query: target.query,
        version,
        keep_alive,
        expect_continue,
        length,
        headers,
    })
}

struct Target<'a> {
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(method: Method<'_>, text: &'a str) -> Result<Target<'a>, Refusal> {
        const BAD: Refusal = Refusal::Malformed("invalid request target");
        if method == Method::Other("CONNECT") {
            return Err(Refusal::Connect);
        }
        if text == "*" && method == Method::Options {
            return Ok(Target { authority: None, path: "*", query: "" });
        }
        // A fragment never travels; a byte above ASCII, or one that a URI has to escape, reads differently elsewhere.
        if !text.bytes().all(is_target_byte) {
            return Err(BAD);
        }
        if text.starts_with('/') {
            let (path, query) = text.split_once('?').unwrap_or((text, ""));
            return Ok(Target { authority: None, path, query });
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Err(BAD) };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(BAD);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if !is_authority(authority) {
            return Err(BAD);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Target { authority: Some(authority), path, query })
    }
}

/// Printable ASCII. Clients send quotes and braces unescaped in queries and nobody misreads those.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// A host, with brackets if it is an IPv6 address, and perhaps a port. No user: that is a password in a log.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if port.is_empty() || port.starts_with(':') => {
                (host, &port[port.len().min(1)..])
            }
            _ => return false,
        },
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let bracketed = text.starts_with('[');
    !host.is_empty()
        && host.bytes().all(|b| match b {
            b':' => bracketed,
            _ => b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b),
        })
        && port.len() <= 5
        && port.bytes().all(|b| b.is_ascii_digit())
}

/// A superset of what hosts and ports are made of, as Go's servers take it: names with underscores are in daily use.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte)
}

/// What has been gathered from the headers so far.
#[derive(Default)]
struct Fields<'a> {
    headers: Headers<'a>,
    /// The length said, if any; `Some(None)` if it is no number or not one.
    content_length: Option<Option<u64>>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
    host_lines: u32,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let headers = &mut self.headers;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By length first: most headers are dropped on one comparison of integers.
        match name.len() {
            4 if is("host") => {
                self.host_lines += 1;
                if self.host_lines > 1 || !value.iter().all(|&b| is_host_byte(b)) {
                    return Err(Refusal::Host);
                }
                headers.host = value;
            }
            6 if is("accept") => first(&mut headers.accept, value),
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                self.expect_continue = true;
                headers.expect = value;
            }
            10 if is("connection") => {
                for token in tokens(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
                headers.connection = value;
            }
            10 if is("user-agent") => first(&mut headers.user_agent, value),
            12 if is("content-type") => {
                once(&mut headers.content_type, value, Refusal::Repeated("Content-Type"))?;
            }
            13 if is("authorization") => {
                once(&mut headers.authorization, value, Refusal::Repeated("Authorization"))?;
            }
            13 if is("x-scope-orgid") => {
                once(&mut headers.scope_org_id, value, Refusal::Repeated("X-Scope-OrgID"))?;
            }
            14 if is("content-length") => {
                let length = decimal(value);
                self.content_length = match self.content_length {
                    Some(before) if before != length => Some(None),
                    _ => Some(length),
                };
            }
            16 if is("content-encoding") => {
                // The same one twice is no repetition: it is applied twice.
                if !headers.content_encoding.is_empty() {
                    return Err(Refusal::ContentCodings);
                }
                headers.content_encoding = value;
            }
            17 if is("transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::TransferCoding);
                }
                if self.chunked {
                    return Err(Refusal::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&self, version: Version) -> Result<BodyLength, Refusal> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::TwoLengths),
            (true, None) if version == Version::Http10 => Err(Refusal::TransferEncoding),
            (true, None) => Ok(BodyLength::Chunked),
            (false, Some(None)) => Err(Refusal::ContentLength),
            (false, length) => Ok(BodyLength::Bytes(length.flatten().unwrap_or(0))),
        }
    }
}

fn first<'a>(slot: &mut &'a [u8], value: &'a [u8]) {
    if slot.is_empty() {
        *slot = value;
    }
}

/// Takes a value that may stand only once; the same value again is no contradiction.
fn once<'a>(slot: &mut &'a [u8], value: &'a [u8], refusal: Refusal) -> Result<(), Refusal> {
    if !slot.is_empty() && *slot != value {
        return Err(refusal);
    }
    *slot = value;
    Ok(())
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else: no sign, no list, no overflow.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}
