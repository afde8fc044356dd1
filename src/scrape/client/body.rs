//! A body as it comes in: decoded, within its limits and the memory budget.

use crate::engine::{MemoryBudget, Reservation};
use crate::http::HttpLimits;
use crate::http::body::{BodyError, ContentDecoder, DecoderPool, Encoding};

use super::Failure;

/// Bytes of any body, whatever its job allows: the largest pages of large clusters, several times over.
pub(in crate::scrape) const BODY_BYTES_MAX: u64 = 256 << 20;

/// Room for a body whose length is not known.
const ROOM_BYTES_MIN: usize = 16 << 10;

/// A body that is being received.
pub(super) struct Incoming {
    data: Vec<u8>,
    decoder: Option<ContentDecoder>,
    reservation: Reservation,
    /// The data must stay shorter.
    bytes_max: u64,
}

/// Where memory comes from.
#[derive(Clone, Copy)]
pub(in crate::scrape) struct Purse<'a> {
    pub(in crate::scrape) budget: &'a MemoryBudget,
    /// What tables and batches hold.
    pub(in crate::scrape) held: u64,
}

impl Incoming {
    /// A body of this coding; `expected` is how long it may become.
    pub(super) fn new(
        encoding: Encoding,
        expected: usize,
        bytes_max: u64,
        decoders: &mut DecoderPool,
        purse: Purse<'_>,
    ) -> Result<Incoming, Failure> {
        let bytes_max = if bytes_max == 0 { BODY_BYTES_MAX } else { bytes_max.min(BODY_BYTES_MAX) };
        let limits = HttpLimits {
            body_bytes_max: BODY_BYTES_MAX,
            decoded_bytes_max: u64::MAX,
            ..HttpLimits::default()
        };
        let room = (expected as u64).min(bytes_max) as usize;
        let bytes = room + encoding.memory_bytes_max();
        let reservation = purse.budget.reserve(bytes as u64, purse.held).ok_or(Failure::NoMemory)?;
        let decoder = match encoding {
            Encoding::Identity | Encoding::Snappy => None,
            coded => Some(decoders.take(coded, &limits).ok_or(Failure::NoMemory)?),
        };
        Ok(Incoming { data: Vec::with_capacity(room), decoder, reservation, bytes_max })
    }

    /// Whether what comes is to be decoded.
    pub(super) fn is_coded(&self) -> bool {
        self.decoder.is_some()
    }

    /// Bytes so far, decoded.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Takes a piece as it came.
    pub(super) fn take(&mut self, piece: &[u8], purse: Purse<'_>) -> Result<(), Failure> {
        let Some(mut decoder) = self.decoder.take() else {
            if self.data.len() as u64 + piece.len() as u64 >= self.bytes_max {
                return Err(Failure::BodyTooLarge);
            }
            self.make_room(piece.len(), purse)?;
            self.data.extend_from_slice(piece);
            return Ok(());
        };
        let decoded = self.decode(&mut decoder, piece, purse);
        self.decoder = Some(decoder);
        decoded
    }

    fn decode(
        &mut self,
        decoder: &mut ContentDecoder,
        piece: &[u8],
        purse: Purse<'_>,
    ) -> Result<(), Failure> {
        let mut rest = piece;
        loop {
            self.make_room(1, purse)?;
            let decoded = decoder.decode(rest, &mut self.data).map_err(broken)?;
            rest = &rest[decoded.consumed..];
            if self.data.len() as u64 >= self.bytes_max {
                return Err(Failure::BodyTooLarge);
            }
            if rest.is_empty() && !decoded.output_full {
                return Ok(());
            }
        }
    }

    /// Room for so many bytes more: the room doubles, which is paid for first.
    fn make_room(&mut self, bytes: usize, purse: Purse<'_>) -> Result<(), Failure> {
        let spare = self.data.capacity() - self.data.len();
        if spare >= bytes {
            return Ok(());
        }
        let room = (self.data.capacity() * 2).max(self.data.len() + bytes).max(ROOM_BYTES_MIN);
        let more = room - self.data.capacity();
        if !self.reservation.grow(more as u64, purse.held) {
            return Err(Failure::NoMemory);
        }
        self.data.reserve_exact(room - self.data.len());
        Ok(())
    }

    /// The framing has ended: gives the data.
    pub(super) fn finish(mut self, decoders: &mut DecoderPool) -> Result<(Vec<u8>, Reservation), Failure> {
        if let Some(decoder) = self.decoder.take() {
            let complete = decoder.finish();
            decoders.put(decoder);
            complete.map_err(broken)?;
        }
        Ok((self.data, self.reservation))
    }

    /// Nothing comes of it.
    pub(super) fn give_up(self, decoders: &mut DecoderPool) {
        self.decoder.into_iter().for_each(|decoder| decoders.put(decoder));
    }
}

fn broken(error: BodyError) -> Failure {
    match error {
        BodyError::EncodedTooLarge | BodyError::DecodedTooLarge => Failure::BodyTooLarge,
        BodyError::Corrupt(why) => Failure::Answer(format!("the body is corrupt: {why}")),
        BodyError::WindowTooLarge => Failure::Answer("the body's zstd window is too large".to_owned()),
        BodyError::TrailingGarbage => {
            Failure::Answer("the body goes on after its compressed data".to_owned())
        }
        BodyError::Truncated => Failure::Answer("the body ends inside its compressed data".to_owned()),
    }
}
