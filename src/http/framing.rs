//! The body's framing: where in the caller's buffer the data lies, and where the body ends.
//!
//! Chunked framing is read by a machine of a few bytes, so that a connection in the middle of a body needs no buffer
//! for half a chunk size. Line ends inside it are CRLF and nothing else: a lone LF taken here and not by a proxy in
//! front is how requests are smuggled.

use super::{BodyLength, HttpLimits, Refusal};
use std::ops::Range;

/// Bytes of chunk extensions a body may carry, all chunks together. Nobody sends any; each costs a byte for nothing.
pub const CHUNK_EXTENSION_BYTES_MAX: u16 = 16 * 1024;

/// Bytes of trailers a body may carry; they are checked and dropped.
pub const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// What a piece of input holds. `consumed` counts from the start of the input shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Body bytes at `data`, never empty; then consume and ask again.
    Data {
        /// Bytes to consume once the data is used.
        consumed: usize,
        /// Where the data lies in the input.
        data: Range<usize>,
    },
    /// The input is used up and the body goes on.
    NeedMore {
        /// Bytes to consume: all of them.
        consumed: usize,
    },
    /// The body is over; what follows is the next request.
    End {
        /// Bytes to consume first.
        consumed: usize,
    },
}

/// How far a body has been read.
#[derive(Clone, Debug)]
pub enum Framing {
    /// So many bytes are still to come.
    Bytes {
        /// How many.
        left: u64,
    },
    /// The body comes in chunks.
    Chunked(Chunks),
}

/// How far a chunked body has been read.
#[derive(Clone, Debug)]
pub struct Chunks {
    step: Step,
    size_digits: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
    /// Of the current chunk, still to come; its size while the size is read.
    left: u64,
    /// Data announced so far, all chunks together.
    total: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Size,
    AfterSize,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Framing {
    /// At the start of a body.
    pub fn new(length: BodyLength) -> Framing {
        match length {
            BodyLength::Bytes(left) => Framing::Bytes { left },
            BodyLength::Chunked => Framing::Chunked(Chunks {
                step: Step::Size,
                size_digits: 0,
                extension_bytes: 0,
                trailer_bytes: 0,
                left: 0,
                total: 0,
            }),
        }
    }

    /// Bytes of the body still to come, where its head or chunk said so.
    pub fn left_bytes(&self) -> Option<u64> {
        match self {
            Framing::Bytes { left } => Some(*left),
            Framing::Chunked(_) => None,
        }
    }

    /// Says what a piece of the body holds.
    ///
    /// # Errors
    /// [`Refusal`]: the body is too large, or its framing is broken.
    pub fn read(&mut self, input: &[u8], limits: &HttpLimits) -> Result<Body, Refusal> {
        match self {
            Framing::Bytes { left } => {
                // Said before the first byte is taken, and even if none is shown: nothing has been reserved yet.
                if *left > limits.body_bytes_max {
                    return Err(Refusal::BodyTooLarge);
                }
                if *left == 0 {
                    return Ok(Body::End { consumed: 0 });
                }
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                if take == 0 {
                    return Ok(Body::NeedMore { consumed: 0 });
                }
                *left -= take as u64;
                Ok(Body::Data { consumed: take, data: 0..take })
            }
            Framing::Chunked(chunks) => chunks.read(input, limits),
        }
    }
}

impl Chunks {
    fn read(&mut self, input: &[u8], limits: &HttpLimits) -> Result<Body, Refusal> {
        let mut at = 0;
        while at < input.len() && self.step != Step::End {
            if self.step == Step::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                self.left -= take as u64;
                if self.left == 0 {
                    self.step = Step::DataCr;
                }
                return Ok(Body::Data { consumed: at + take, data: at..at + take });
            }
            self.step = self.next(input[at], limits)?;
            at += 1;
        }
        if self.step == Step::End {
            Ok(Body::End { consumed: at })
        } else {
            Ok(Body::NeedMore { consumed: at })
        }
    }

    /// Takes one byte of framing.
    fn next(&mut self, byte: u8, limits: &HttpLimits) -> Result<Step, Refusal> {
        match (self.step, byte) {
            (Step::Size, _) if byte.is_ascii_hexdigit() => {
                self.size_digit(byte)?;
                Ok(Step::Size)
            }
            (Step::Size, _) if self.size_digits == 0 => Err(Refusal::Chunk("a chunk size is missing")),
            (Step::Size | Step::AfterSize | Step::Extension, b'\r') => Ok(Step::SizeLf),
            (Step::Size | Step::AfterSize, b' ' | b'\t') => {
                self.extension_byte()?;
                Ok(Step::AfterSize)
            }
            (Step::Size | Step::AfterSize, b';') => {
                self.extension_byte()?;
                Ok(Step::Extension)
            }
            (Step::Size | Step::AfterSize, _) => Err(Refusal::Chunk("a chunk size is not a number")),
            (Step::Extension, _) if is_field_byte(byte) => {
                self.extension_byte()?;
                Ok(Step::Extension)
            }
            (Step::Extension, _) => Err(Refusal::Chunk("a chunk extension holds a control character")),
            (Step::SizeLf, b'\n') => self.size_done(limits),
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => Ok(Step::Size),
            (Step::DataCr | Step::DataLf, _) => Err(Refusal::Chunk("a chunk is longer than its size")),
            (Step::TrailerStart, b'\r') => Ok(Step::EndLf),
            (Step::TrailerStart | Step::TrailerName, _) if is_token_byte(byte) => {
                self.trailer_byte()?;
                Ok(Step::TrailerName)
            }
            (Step::TrailerName, b':') => {
                self.trailer_byte()?;
                Ok(Step::TrailerValue)
            }
            (Step::TrailerStart | Step::TrailerName, _) => Err(Refusal::Chunk("a trailer is not a header")),
            (Step::TrailerValue, b'\r') => Ok(Step::TrailerLf),
            (Step::TrailerValue, _) if is_field_byte(byte) => {
                self.trailer_byte()?;
                Ok(Step::TrailerValue)
            }
            (Step::TrailerValue, _) => Err(Refusal::Chunk("a trailer holds a control character")),
            (Step::TrailerLf, b'\n') => Ok(Step::TrailerStart),
            (Step::EndLf, b'\n') => Ok(Step::End),
            (Step::SizeLf | Step::TrailerLf | Step::EndLf, _) => Err(Refusal::Chunk("CR without LF")),
            (Step::Data | Step::End, _) => unreachable!("data and end are handled by read"),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.size_digits == SIZE_DIGITS_MAX {
            return Err(Refusal::Chunk("a chunk size is too long"));
        }
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        self.left = self.left << 4 | u64::from(digit);
        self.size_digits += 1;
        Ok(())
    }

    /// The size line is over.
    fn size_done(&mut self, limits: &HttpLimits) -> Result<Step, Refusal> {
        self.size_digits = 0;
        if self.left == 0 {
            return Ok(Step::TrailerStart);
        }
        self.total = self.total.saturating_add(self.left);
        if self.total > limits.body_bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(Step::Data)
    }

    fn extension_byte(&mut self) -> Result<(), Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX { Err(Refusal::ChunkOverhead) } else { Ok(()) }
    }

    fn trailer_byte(&mut self) -> Result<(), Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX { Err(Refusal::ChunkOverhead) } else { Ok(()) }
    }
}

/// What a header's value may hold: text, spaces, tabs, bytes above ASCII.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// What a header's name may hold.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// All of a u64, so the size cannot overflow.
const SIZE_DIGITS_MAX: u8 = 16;
