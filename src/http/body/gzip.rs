//! gzip: members one after another, each a header, raw deflate, a checksum and a length.
//!
//! The wrapping is read here and not by the inflater: that one cannot begin a second member without being made anew,
//! and takes headers of any length.

use super::decoder::BodyError;
use super::inflate::inflate;
use crc_fast::{CrcAlgorithm, Digest};
use flate2::Decompress;

/// How long a member's header may be, with its file name and comment.
pub const GZIP_HEADER_BYTES_MAX: u16 = 4 * 1024;

/// A `Content-Encoding: gzip` body.
pub(super) struct Gzip {
    inflate: Decompress,
    digest: Digest,
    decoded_bytes: u32,
    state: GzipState,
    header_bytes: u16,
    flags: u8,
    /// Bytes of the extra field still to come.
    extra_left: u16,
    trailer: [u8; 8],
}

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GzipState {
    /// The fixed part of a header, so many bytes of it read.
    Fixed(u8),
    ExtraLength(u8),
    Extra,
    Name,
    Comment,
    HeaderCrc(u8),
    Data,
    Trailer(u8),
    /// Between members: the body may end.
    Complete,
}

impl Gzip {
    /// Builds upon an inflater in any state.
    pub(super) fn new(inflate: Decompress) -> Gzip {
        Gzip {
            inflate,
            digest: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            decoded_bytes: 0,
            state: GzipState::Fixed(0),
            header_bytes: 0,
            flags: 0,
            extra_left: 0,
            trailer: [0; 8],
        }
    }

    pub(super) fn restart(&mut self) {
        self.state = GzipState::Fixed(0);
        self.header_bytes = 0;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == GzipState::Complete
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut consumed = 0;
        while consumed < input.len() || self.state == GzipState::Data {
            match self.state {
                GzipState::Data => {
                    let before = out.len();
                    let fed = inflate(&mut self.inflate, &input[consumed..], out)?;
                    consumed += fed.consumed;
                    self.digest.update(&out[before..]);
                    // The format counts modulo 2^32.
                    self.decoded_bytes = self.decoded_bytes.wrapping_add((out.len() - before) as u32);
                    if !fed.ended {
                        return Ok(consumed);
                    }
                    self.state = GzipState::Trailer(0);
                }
                GzipState::Trailer(at) => {
                    self.trailer[usize::from(at)] = input[consumed];
                    consumed += 1;
                    self.state = if at < 7 { GzipState::Trailer(at + 1) } else { self.check_trailer()? };
                }
                _ => {
                    self.header_byte(input[consumed])?;
                    consumed += 1;
                }
            }
        }
        Ok(consumed)
    }

    fn check_trailer(&self) -> Result<GzipState, BodyError> {
        let [c0, c1, c2, c3, l0, l1, l2, l3] = self.trailer;
        if u64::from(u32::from_le_bytes([c0, c1, c2, c3])) != self.digest.finalize() {
            return Err(BodyError::Corrupt("gzip checksum does not match"));
        }
        if u32::from_le_bytes([l0, l1, l2, l3]) != self.decoded_bytes {
            return Err(BodyError::Corrupt("gzip length does not match"));
        }
        Ok(GzipState::Complete)
    }

    fn header_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        const BAD: BodyError = BodyError::Corrupt("invalid gzip header");
        self.header_bytes += 1;
        if self.header_bytes > GZIP_HEADER_BYTES_MAX {
            return Err(BodyError::Corrupt("gzip header is too long"));
        }
        self.state = match (self.state, byte) {
            (GzipState::Complete, 0x1f) => {
                self.header_bytes = 1;
                GzipState::Fixed(1)
            }
            (GzipState::Complete, _) => return Err(BodyError::TrailingGarbage),
            (GzipState::Fixed(0), 0x1f) => GzipState::Fixed(1),
            (GzipState::Fixed(1), 0x8b) => GzipState::Fixed(2),
            (GzipState::Fixed(2), METHOD_DEFLATE) => GzipState::Fixed(3),
            (GzipState::Fixed(3), flags) if flags & FLAGS_RESERVED == 0 => {
                self.flags = flags;
                GzipState::Fixed(4)
            }
            // Time, compressor's flags and system: of no use here.
            (GzipState::Fixed(at @ 4..=8), _) => GzipState::Fixed(at + 1),
            (GzipState::Fixed(9), _) => self.field_after(0),
            (GzipState::Fixed(_), _) => return Err(BAD),
            (GzipState::ExtraLength(0), low) => {
                self.extra_left = u16::from(low);
                GzipState::ExtraLength(1)
            }
            (GzipState::ExtraLength(_), high) => {
                self.extra_left |= u16::from(high) << 8;
                if self.extra_left == 0 { self.field_after(FLAG_EXTRA) } else { GzipState::Extra }
            }
            (GzipState::Extra, _) => {
                self.extra_left -= 1;
                if self.extra_left == 0 { self.field_after(FLAG_EXTRA) } else { GzipState::Extra }
            }
            (GzipState::Name, 0) => self.field_after(FLAG_NAME),
            (GzipState::Comment, 0) => self.field_after(FLAG_COMMENT),
            (text @ (GzipState::Name | GzipState::Comment), _) => text,
            // The header's own checksum guards nothing that is used.
            (GzipState::HeaderCrc(0), _) => GzipState::HeaderCrc(1),
            (GzipState::HeaderCrc(_), _) => self.field_after(FLAG_HEADER_CRC),
            (GzipState::Data | GzipState::Trailer(_), _) => unreachable!("decode handles data and trailer"),
        };
        Ok(())
    }

    /// The header's next optional field after `done`, or the data.
    fn field_after(&mut self, done: u8) -> GzipState {
        let fields = [
            (FLAG_EXTRA, GzipState::ExtraLength(0)),
            (FLAG_NAME, GzipState::Name),
            (FLAG_COMMENT, GzipState::Comment),
            (FLAG_HEADER_CRC, GzipState::HeaderCrc(0)),
        ];
        let mut start = 0;
        if done != 0 {
            start = fields.iter().position(|(flag, _)| *flag == done).map_or(fields.len(), |at| at + 1);
        }
        for (flag, state) in &fields[start..] {
            if self.flags & flag != 0 {
                return *state;
            }
        }
        self.inflate.reset(false);
        self.digest.reset();
        self.decoded_bytes = 0;
        GzipState::Data
    }
}

const METHOD_DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;
