//! Why a request was not taken.

use super::response::Status;
use std::fmt;

/// A request that breaks the protocol or a limit. After it the connection's framing is unknown: answer and close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request line or a header is not HTTP.
    Malformed(&'static str),
    /// The head is over [`HttpLimits::head_bytes_max`](super::HttpLimits) or has too many headers.
    HeadTooLarge,
    /// The request line alone is over the head's limit.
    TargetTooLong,
    /// Not HTTP/1.0 or 1.1.
    Version,
    /// `CONNECT`.
    Connect,
    /// An HTTP/1.1 request with no `Host`, or any request with two or an impossible one.
    Host,
    /// A `Content-Length` that is no number, or two that differ.
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` together.
    TwoLengths,
    /// `Transfer-Encoding` in HTTP/1.0, or `chunked` twice.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// Two `Authorization` headers, or two `Content-Type`.
    Repeated(&'static str),
    /// Several content codings applied one after another.
    ContentCodings,
    /// The body is over [`HttpLimits::body_bytes_max`](super::HttpLimits).
    BodyTooLarge,
    /// The framing of a chunked body is broken.
    Chunk(&'static str),
    /// Chunk extensions or trailers are over their limits.
    ChunkOverhead,
    /// The connection has been given up before.
    Closed,
}

impl Refusal {
    /// The status that answers it.
    pub fn status(self) -> Status {
        match self {
            Refusal::Malformed(_)
            | Refusal::Host
            | Refusal::ContentLength
            | Refusal::TwoLengths
            | Refusal::TransferEncoding
            | Refusal::Repeated(_)
            | Refusal::Chunk(_)
            | Refusal::ChunkOverhead
            | Refusal::Closed => Status::BAD_REQUEST,
            Refusal::HeadTooLarge => Status::HEAD_TOO_LARGE,
            Refusal::TargetTooLong => Status::URI_TOO_LONG,
            Refusal::Version => Status::VERSION_NOT_SUPPORTED,
            Refusal::Connect | Refusal::TransferCoding => Status::NOT_IMPLEMENTED,
            Refusal::Expectation => Status::EXPECTATION_FAILED,
            Refusal::ContentCodings => Status::UNSUPPORTED_MEDIA_TYPE,
            Refusal::BodyTooLarge => Status::PAYLOAD_TOO_LARGE,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(why) => write!(f, "malformed request: {why}"),
            Refusal::HeadTooLarge => f.write_str("request headers are too large or too many"),
            Refusal::TargetTooLong => f.write_str("request target is too long"),
            Refusal::Version => f.write_str("only HTTP/1.0 and HTTP/1.1 are spoken here"),
            Refusal::Connect => f.write_str("this is not a proxy"),
            Refusal::Host => f.write_str("a request needs one valid Host header"),
            Refusal::ContentLength => f.write_str("Content-Length is not one number"),
            Refusal::TwoLengths => f.write_str("both Content-Length and Transfer-Encoding given"),
            Refusal::TransferEncoding => f.write_str("Transfer-Encoding is not allowed here or repeated"),
            Refusal::TransferCoding => f.write_str("the only transfer coding taken is chunked"),
            Refusal::Expectation => f.write_str("the only expectation met is 100-continue"),
            Refusal::Repeated(name) => write!(f, "header {name} is given twice"),
            Refusal::ContentCodings => f.write_str("only one content coding is taken"),
            Refusal::BodyTooLarge => f.write_str("request body is too large"),
            Refusal::Chunk(why) => write!(f, "malformed chunked body: {why}"),
            Refusal::ChunkOverhead => f.write_str("chunk extensions or trailers are too long"),
            Refusal::Closed => f.write_str("the connection is closing"),
        }
    }
}

impl std::error::Error for Refusal {}
