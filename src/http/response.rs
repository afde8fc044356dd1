//! Answers: appended to a connection's write buffer, whole.
//!
//! Every answer has a known length, so none is chunked. Header values can carry text that came from outside (an error
//! that quotes the input): control characters in them become spaces, so nobody adds a header or an answer by quoting.

use super::head::{Head, Method, Version};
use std::io::Write as _;

/// What an answer has to know of its request; parked answers keep it after the head is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerTo {
    /// It was `HEAD`: the length is said, the body is not sent.
    pub head_only: bool,
    /// The connection stays. Clear it to close after this answer.
    pub keep_alive: bool,
    /// The client speaks HTTP/1.0, and has to be told that the connection stays.
    pub http_10: bool,
}

impl AnswerTo {
    /// A request that was refused before it was understood: the connection closes.
    pub const REFUSED: AnswerTo = AnswerTo { head_only: false, keep_alive: false, http_10: false };
}

impl From<&Head<'_>> for AnswerTo {
    fn from(head: &Head<'_>) -> AnswerTo {
        AnswerTo {
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive,
            http_10: head.version == Version::Http10,
        }
    }
}

/// The interim answer that lets a client send its body. To be sent once, if [`Head::expect_continue`], the request is
/// welcome so far, and no byte of the body is there yet.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A status code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Status(pub u16);

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal),+ $(,)?) => {
        impl Status {
            $(#[doc = concat!(stringify!($code), " ", $reason)] pub const $name: Status = Status($code);)+

            /// The words after the code; empty for a code not listed here.
            pub fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)+
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    OK = 200 "OK",
    ACCEPTED = 202 "Accepted",
    NO_CONTENT = 204 "No Content",
    NOT_MODIFIED = 304 "Not Modified",
    BAD_REQUEST = 400 "Bad Request",
    UNAUTHORIZED = 401 "Unauthorized",
    FORBIDDEN = 403 "Forbidden",
    NOT_FOUND = 404 "Not Found",
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed",
    REQUEST_TIMEOUT = 408 "Request Timeout",
    PAYLOAD_TOO_LARGE = 413 "Content Too Large",
    URI_TOO_LONG = 414 "URI Too Long",
    UNSUPPORTED_MEDIA_TYPE = 415 "Unsupported Media Type",
    EXPECTATION_FAILED = 417 "Expectation Failed",
    UNPROCESSABLE = 422 "Unprocessable Content",
    TOO_MANY_REQUESTS = 429 "Too Many Requests",
    HEAD_TOO_LARGE = 431 "Request Header Fields Too Large",
    INTERNAL = 500 "Internal Server Error",
    NOT_IMPLEMENTED = 501 "Not Implemented",
    UNAVAILABLE = 503 "Service Unavailable",
    VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported",
}

impl Status {
    /// An answer of this status has neither body nor length.
    pub fn is_bodyless(self) -> bool {
        self.0 < 200 || self.0 == 204 || self.0 == 304
    }
}

/// An answer being written. One of [`empty`](Response::empty), [`body`](Response::body), [`json`](Response::json)
/// ends it; the head goes to the buffer line by line before that.
///
/// ```
/// use tidegate::http::{AnswerTo, Response, Status};
///
/// let mut out = Vec::new();
/// let to = AnswerTo { head_only: false, keep_alive: true, http_10: false };
/// Response::new(&mut out, to, Status::UNAVAILABLE).retry_after_s(1).json(br#"{"error":"disk full"}"#);
/// assert_eq!(
///     out,
///     b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
///       Content-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"error\":\"disk full\"}"
/// );
/// ```
#[must_use = "an answer is written when it is ended"]
pub struct Response<'v> {
    out: &'v mut Vec<u8>,
    to: AnswerTo,
    status: Status,
}

impl<'v> Response<'v> {
    /// Starts an answer at the end of `out`.
    pub fn new(out: &'v mut Vec<u8>, to: AnswerTo, status: Status) -> Response<'v> {
        let response = Response { out, to, status };
        write!(response.out, "HTTP/1.1 {} {}\r\n", status.0, status.reason())
            .expect("a Vec takes every write");
        if !to.keep_alive {
            response.header("Connection", b"close")
        } else if to.http_10 {
            response.header("Connection", b"keep-alive")
        } else {
            response
        }
    }

    /// Adds a header. `name` is ours and taken as it is; control characters in `value` become spaces.
    pub fn header(self, name: &str, value: &[u8]) -> Self {
        debug_assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "a header's name: {name:?}"
        );
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend(value.iter().map(|&b| if b.is_ascii_control() { b' ' } else { b }));
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Tells the client when to try again.
    pub fn retry_after_s(self, seconds: u32) -> Self {
        write!(self.out, "Retry-After: {seconds}\r\n").expect("a Vec takes every write");
        self
    }

    /// Adds the date, if one has been set.
    pub fn date(self, date: &DateStamp) -> Self {
        if date.text.is_empty() { self } else { self.header("Date", date.text.as_bytes()) }
    }

    /// Ends the answer with no body.
    pub fn empty(self) {
        self.end(b"");
    }

    /// Ends the answer with a body of a type.
    pub fn body(self, content_type: &str, body: &[u8]) {
        self.header("Content-Type", content_type.as_bytes()).end(body);
    }

    /// Ends the answer with JSON.
    pub fn json(self, body: &[u8]) {
        self.body("application/json", body);
    }

    fn end(self, body: &[u8]) {
        if self.status.is_bodyless() {
            assert!(body.is_empty(), "an answer of status {} has no body", self.status.0);
        } else {
            write!(self.out, "Content-Length: {}\r\n", body.len()).expect("a Vec takes every write");
        }
        self.out.extend_from_slice(b"\r\n");
        if !self.to.head_only {
            self.out.extend_from_slice(body);
        }
    }
}

/// The `Date` header's text, made anew once a second.
#[derive(Clone, Default, Debug)]
pub struct DateStamp {
    second: Option<i64>,
    text: String,
}

impl DateStamp {
    /// Moves the date to the wall clock's `unix_s`. A second out of the calendar's range keeps the old one.
    pub fn update(&mut self, unix_s: i64) {
        if self.second == Some(unix_s) {
            return;
        }
        let Ok(timestamp) = jiff::Timestamp::from_second(unix_s) else { return };
        self.text.clear();
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        if printer.print_timestamp_rfc9110(&timestamp, &mut self.text).is_ok() {
            self.second = Some(unix_s);
        }
    }
}
