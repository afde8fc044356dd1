//! A request body's content coding undone, piece by piece.
//!
//! **In**: pieces of a body as the framing hands them out. **Out**: decoded bytes in the room that the caller's `Vec`
//! has left; it is never grown here. **Invariant**: no byte over either limit is handed out, a body that is cut short
//! or followed by something else is an error and never a shorter body. It refuses to know HTTP and what the bytes
//! mean. Snappy is not undone as a stream: its bytes are handed on, and [`snappy`] undoes them when all are there.
//!
//! Decoders are expensive to make (up to [`Encoding::memory_bytes_max`]) and are lent from a [`DecoderPool`], one per
//! worker: after warm-up a request allocates nothing, but for snappy in frames.

mod decoder;
mod gzip;
mod inflate;
mod pool;
pub mod snappy;
#[cfg(test)]
mod tests;
mod zstd;

pub use decoder::{BodyError, ContentDecoder, Decoded};
pub use gzip::GZIP_HEADER_BYTES_MAX;
pub use pool::{DECODERS_IDLE_MAX, DecoderPool};
pub use zstd::ZSTD_WINDOW_LOG_MAX;

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// The bytes as they are.
    Identity,
    /// gzip (RFC 1952), also of several members.
    Gzip,
    /// zlib (RFC 1950); also raw deflate, which the name misled many into sending.
    Deflate,
    /// zstd (RFC 8878), also of several frames.
    Zstd,
    /// One snappy block. Of the protocols that have it only: [`Encoding::parse`] does not know it.
    Snappy,
    /// Snappy's frames, in which a block is cut into pieces. The same goes for it.
    SnappyFrames,
}

impl Encoding {
    /// Reads a `Content-Encoding` value. `None` for an unknown coding and for one applied after another: answer 415.
    pub fn parse(value: &[u8]) -> Option<Encoding> {
        let mut found = Encoding::Identity;
        for token in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
            let encoding = match () {
                () if token.is_empty() || is("identity") => continue,
                () if is("gzip") || is("x-gzip") => Encoding::Gzip,
                () if is("deflate") => Encoding::Deflate,
                () if is("zstd") => Encoding::Zstd,
                () => return None,
            };
            if found != Encoding::Identity {
                return None;
            }
            found = encoding;
        }
        Some(found)
    }

    /// Memory that a decoder can hold while a body is read: to be reserved before it is taken from the pool.
    pub fn memory_bytes_max(self) -> usize {
        match self {
            Encoding::Identity | Encoding::Snappy | Encoding::SnappyFrames => 0,
            Encoding::Gzip | Encoding::Deflate => inflate::INFLATE_MEMORY_BYTES_MAX,
            Encoding::Zstd => zstd::ZSTD_MEMORY_BYTES_MAX,
        }
    }
}
