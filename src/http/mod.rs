//! HTTP/1.1 for a server, and what of it a client needs, too: without I/O.
//!
//! **In**: the unconsumed bytes of a connection's read buffer, shown again and longer until they are consumed.
//! **Out**: a [`Head`] that borrows them, ranges of body data in them, a [`Refusal`] with the status that answers
//! it; and, through [`Response`], answers appended to the caller's `Vec`.
//!
//! ```text
//! loop {
//!     parser.head(input)?   -> None: read more       Some(head): consume head.bytes, route, check, reserve memory
//!     parser.body(input)?   -> Data: consume, use input[data]   NeedMore: consume, read more   End: consume, answer
//! }
//! ```
//!
//! Invariants: a request has one meaning or none. What two servers could read differently (two lengths, a length and
//! a coding, folded lines, two hosts) is refused, so no request can be smuggled past a proxy in front. Results do not
//! depend on where reads split the input. Every call consumes, answers or asks for more; nothing here allocates.
//!
//! It refuses to know: sockets, clocks, routes, content encodings (see [`body`]).
//!
//! **After a refusal** the connection's framing is lost: the parser takes nothing more. Send the answer with
//! `Connection: close`, shut the write side down, and linger: read and drop up to [`LINGER_BYTES_MAX`] bytes for
//! [`Timeouts::linger_ms`] or until the peer closes. Closing at once with unread input makes the kernel send a reset
//! that can destroy the answer before the client has read it. The same holds for an answer sent before the end of
//! its request's body when [`Parser::close`] was called instead of reading on.

pub mod body;
mod framing;
mod head;
mod limits;
mod parser;
mod phase;
mod query;
mod refusal;
mod response;
#[cfg(test)]
mod tests;

pub use framing::{Body, CHUNK_EXTENSION_BYTES_MAX, Chunks, Framing, TRAILER_BYTES_MAX};
pub use head::{BodyLength, HEADERS_MAX, Head, Headers, LEADING_BLANK_BYTES_MAX, Method, Version};
pub use limits::{HEAD_BYTES_MAX, HttpLimits};
pub use parser::Parser;
pub use phase::{LINGER_BYTES_MAX, Pace, Phase, Timeouts};
pub use query::{QUERY_PAIRS_MAX, Query, QueryError, decode_segment};
pub use refusal::Refusal;
pub use response::{AnswerTo, CONTINUE, DateStamp, Response, Status};
