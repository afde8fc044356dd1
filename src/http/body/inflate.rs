//! Deflate: zlib, or raw where the first two bytes are no zlib header; and the machine that gzip shares.

use super::decoder::BodyError;
use flate2::{Decompress, FlushDecompress, Status};

/// State and window of an inflater, generously (measured: 47 KiB).
pub(super) const INFLATE_MEMORY_BYTES_MAX: usize = 64 * 1024;

/// A `Content-Encoding: deflate` body.
pub(super) struct Deflate {
    inflate: Decompress,
    state: DeflateState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DeflateState {
    /// Nothing is known yet.
    Start,
    /// The first byte, held back until the second tells zlib from raw.
    First(u8),
    Data,
    Done,
}

impl Deflate {
    /// Builds upon an inflater in any state.
    pub(super) fn new(inflate: Decompress) -> Deflate {
        Deflate { inflate, state: DeflateState::Start }
    }

    pub(super) fn restart(&mut self) {
        self.state = DeflateState::Start;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == DeflateState::Done
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut consumed = 0;
        while consumed < input.len() || self.state == DeflateState::Data {
            match self.state {
                DeflateState::Start => {
                    self.state = DeflateState::First(input[consumed]);
                    consumed += 1;
                }
                DeflateState::First(first) => {
                    self.inflate.reset(is_zlib_header(first, input[consumed]));
                    // One byte starts no block that could produce output, and is always taken.
                    let fed = inflate(&mut self.inflate, &[first], out)?;
                    assert_eq!(fed.consumed, 1, "an inflater takes its first byte");
                    self.state = DeflateState::Data;
                }
                DeflateState::Data => {
                    let fed = inflate(&mut self.inflate, &input[consumed..], out)?;
                    consumed += fed.consumed;
                    if !fed.ended {
                        return Ok(consumed);
                    }
                    self.state = DeflateState::Done;
                }
                DeflateState::Done => return Err(BodyError::TrailingGarbage),
            }
        }
        Ok(consumed)
    }
}

/// Method 8, a window of at most 32 KiB, and the header's checksum. A raw stream cannot look like it: its first bits
/// would be a stored block whose padding is not zero.
fn is_zlib_header(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0
}

pub(super) struct Inflated {
    pub(super) consumed: usize,
    pub(super) ended: bool,
}

/// Runs the inflater until the input or the room is used up, or the stream ends.
pub(super) fn inflate(
    state: &mut Decompress,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<Inflated, BodyError> {
    let start = state.total_in();
    let mut consumed = 0;
    loop {
        let (in_before, out_before) = (consumed, out.len());
        let status = state
            .decompress_vec(&input[consumed..], out, FlushDecompress::None)
            .map_err(|_| BodyError::Corrupt("invalid deflate data"))?;
        consumed = usize::try_from(state.total_in() - start).unwrap_or(input.len());
        let stuck = consumed == in_before && out.len() == out_before;
        if status == Status::StreamEnd || stuck || consumed == input.len() || out.len() == out.capacity() {
            return Ok(Inflated { consumed, ended: status == Status::StreamEnd });
        }
    }
}
