//! One body's decoder: the coding's machine and the body's limits.

use super::gzip::Gzip;
use super::inflate::Deflate;
use super::zstd::Zstd;
use crate::http::{HttpLimits, Status};
use std::fmt;

/// Undoes one body's content coding. Lent by a [`DecoderPool`](super::DecoderPool).
pub struct ContentDecoder {
    pub(super) coding: Coding,
    encoded_left: u64,
    decoded_left: u64,
    /// The last call filled its room: the machine may hold output back, without input. Or there is a fault to tell.
    holds_output: bool,
    /// What ends the data that was handed out.
    fault: Option<BodyError>,
}

/// The machine of each coding, at its start or somewhere inside a body.
pub(super) enum Coding {
    Identity,
    Gzip(Box<Gzip>),
    Deflate(Box<Deflate>),
    Zstd(Box<Zstd>),
}

/// What one call did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// Bytes of input used. All of them, unless `output_full`.
    pub consumed: usize,
    /// Bytes appended.
    pub produced: usize,
    /// The room is used up, or a fault follows: take the output and call again with the rest of the input, even if
    /// that is empty.
    pub output_full: bool,
}

/// A body that cannot be decoded. The decoder is of no further use but to its pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// More bytes sent than [`HttpLimits::body_bytes_max`].
    EncodedTooLarge,
    /// More bytes decoded than [`HttpLimits::decoded_bytes_max`].
    DecodedTooLarge,
    /// A zstd frame wants a window over [`ZSTD_WINDOW_LOG_MAX`](super::ZSTD_WINDOW_LOG_MAX).
    WindowTooLarge,
    /// Not the coding it is said to be.
    Corrupt(&'static str),
    /// Bytes after the end of the coded data.
    TrailingGarbage,
    /// The body ended before its coding did.
    Truncated,
}

impl ContentDecoder {
    pub(super) fn new(coding: Coding, limits: &HttpLimits) -> ContentDecoder {
        ContentDecoder {
            coding,
            encoded_left: limits.body_bytes_max,
            decoded_left: limits.decoded_bytes_max,
            holds_output: false,
            fault: None,
        }
    }

    /// The body's bytes are its data: they need not be copied through here.
    pub fn is_identity(&self) -> bool {
        matches!(self.coding, Coding::Identity)
    }

    /// Decodes `input` into the room that `out` has left (its capacity over its length; give it some).
    ///
    /// # Errors
    ///
    /// `out` is as it was before the call: what precedes a fault is handed out by the call before, so that it is the
    /// same wherever the input is cut. (But for damage within a zstd frame: that machine keeps what it had decoded.)
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Decoded, BodyError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let before = out.len();
        let allowed =
            usize::try_from(self.encoded_left).map_or(input, |left| &input[..left.min(input.len())]);
        let room = usize::try_from(self.decoded_left).unwrap_or(usize::MAX);
        let stepped = self.step(allowed, out);
        self.holds_output = out.len() == out.capacity();
        let (consumed, fault) = match stepped {
            _ if out.len() - before > room => (input.len(), Some(BodyError::DecodedTooLarge)),
            Ok(consumed) if consumed < input.len() && consumed == allowed.len() && !self.holds_output => {
                (input.len(), Some(BodyError::EncodedTooLarge))
            }
            Ok(consumed) => (consumed, None),
            Err(fault) => (input.len(), Some(fault)),
        };
        out.truncate(before.saturating_add(room));
        let produced = out.len() - before;
        self.encoded_left = self.encoded_left.saturating_sub(consumed as u64);
        self.decoded_left -= produced as u64;
        self.fault = fault;
        if let Some(fault) = fault {
            self.holds_output = true;
            if produced == 0 {
                return Err(fault);
            }
        }
        Ok(Decoded { consumed, produced, output_full: self.holds_output })
    }

    /// Whether output is held back for which the last call had no room, or a fault: call [`ContentDecoder::decode`]
    /// again, even with no input.
    pub fn holds_output(&self) -> bool {
        self.holds_output
    }

    /// Says whether the body may end here. Call it when the framing has ended and the last
    /// [`ContentDecoder::decode`] left room.
    ///
    /// # Errors
    ///
    /// [`BodyError::Truncated`].
    pub fn finish(&self) -> Result<(), BodyError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let complete = !self.holds_output
            && match &self.coding {
                Coding::Identity => true,
                Coding::Gzip(gzip) => gzip.is_complete(),
                Coding::Deflate(deflate) => deflate.is_complete(),
                Coding::Zstd(zstd) => zstd.is_complete(),
            };
        if complete { Ok(()) } else { Err(BodyError::Truncated) }
    }

    /// Returns the bytes of input used. A machine with nothing to read and nothing held back is not called: to it
    /// that would look like a stream that makes no progress.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        if out.len() == out.capacity() || (input.is_empty() && !self.holds_output) {
            return Ok(0);
        }
        match &mut self.coding {
            Coding::Identity => {
                let take = input.len().min(out.capacity() - out.len());
                out.extend_from_slice(&input[..take]);
                Ok(take)
            }
            Coding::Gzip(gzip) => gzip.decode(input, out),
            Coding::Deflate(deflate) => deflate.decode(input, out),
            Coding::Zstd(zstd) => zstd.decode(input, out),
        }
    }
}

impl BodyError {
    /// The status that answers it.
    pub fn status(self) -> Status {
        match self {
            BodyError::EncodedTooLarge | BodyError::DecodedTooLarge | BodyError::WindowTooLarge => {
                Status::PAYLOAD_TOO_LARGE
            }
            BodyError::Corrupt(_) | BodyError::TrailingGarbage | BodyError::Truncated => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::EncodedTooLarge => f.write_str("request body is too large"),
            BodyError::DecodedTooLarge => f.write_str("request body is too large when decompressed"),
            BodyError::WindowTooLarge => f.write_str("zstd window of the request body is too large"),
            BodyError::Corrupt(why) => write!(f, "request body is corrupt: {why}"),
            BodyError::TrailingGarbage => f.write_str("request body goes on after its compressed data"),
            BodyError::Truncated => f.write_str("request body ends inside its compressed data"),
        }
    }
}

impl std::error::Error for BodyError {}
