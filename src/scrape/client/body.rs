//! A body as it comes in: decoded, within its limits and the memory budget.
//!
//! Memory is reserved as bytes come, whatever a server says that it will send. Where there is none the body waits, and
//! whoever reads it pauses: nothing is lost, and the server notices by itself.

use crate::engine::{MemoryBudget, Reservation};
use crate::http::HttpLimits;
use crate::http::body::{BodyError, ContentDecoder, DecoderPool, Encoding};

use super::spares::Spares;
use super::{Bound, Failure};

/// Bytes of any body, whatever its job allows: the largest pages of large clusters, several times over.
pub(super) const BODY_BYTES_MAX: u64 = 256 << 20;

/// One body gets at most this part of the memory budget.
const BUDGET_PART: u64 = 4;

/// Room for a body of which nothing is known yet.
const ROOM_BYTES_MIN: usize = 16 << 10;

/// Bytes of a compressed body read at once: they may become a thousand times as many.
const CODED_READ_BYTES: usize = 16 << 10;

/// A body that is being received.
pub(super) struct Incoming {
    /// What came so far, decoded; of a body that comes as it is, the room for it, too.
    data: Vec<u8>,
    /// It comes as it is, and so many bytes of it have come.
    is_plain: bool,
    filled: usize,
    decoder: Option<ContentDecoder>,
    /// Compressed bytes for whose data there was no memory.
    held: Vec<u8>,
    reservation: Reservation,
    /// The data must stay shorter, and who says so.
    bytes_max: (u64, Bound),
}

/// What is known of a body before it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) encoding: Encoding,
    /// Bytes that will come, as its server says, where it does.
    pub(super) announced: Option<u64>,
    /// Bytes of the target's last body, decompressed.
    pub(super) like_last: usize,
    /// Bytes that are there already.
    pub(super) begun: usize,
}

/// Where memory comes from.
#[derive(Clone, Copy)]
pub(in crate::scrape) struct Purse<'a> {
    pub(in crate::scrape) budget: &'a MemoryBudget,
    /// What tables and batches hold.
    pub(in crate::scrape) held: u64,
}

impl Purse<'_> {
    /// What a body must stay below, and who says so; 0 of the job is any size.
    pub(super) fn bytes_max(&self, job_bytes_max: u64) -> (u64, Bound) {
        let part = (self.budget.max() / BUDGET_PART, Bound::Memory);
        let any = (BODY_BYTES_MAX, Bound::Any);
        let job = (if job_bytes_max == 0 { u64::MAX } else { job_bytes_max }, Bound::Job);
        // The first of equals: what a user has said is what a user is told.
        [job, any, part].into_iter().min_by_key(|(bytes, _)| *bytes).unwrap_or(any)
    }
}

impl Expected {
    /// Room to begin with. A server is believed as far as its last answer bears it out.
    fn room(&self) -> usize {
        let like_last = self.like_last + self.like_last / 16;
        let room = match self.announced.filter(|_| self.encoding == Encoding::Identity) {
            // With a byte more, which is not to come: see [`Incoming::place`].
            Some(bytes) => usize::try_from(bytes)
                .map_or(usize::MAX, |bytes| bytes.saturating_add(1))
                .min((2 * self.like_last).max(ROOM_BYTES_MIN)),
            // A little more, so that growing by a few lines does not mean to copy it all.
            None => like_last,
        };
        if self.encoding == Encoding::Identity { room.max(self.begun) } else { room }
    }
}

impl Incoming {
    /// A body that begins; `None` while there is no memory for it.
    ///
    /// # Errors
    /// There is no memory for a decoder.
    pub(super) fn new(
        expected: &Expected,
        bytes_max: (u64, Bound),
        (decoders, spares): (&mut DecoderPool, &mut Spares),
        purse: Purse<'_>,
    ) -> Result<Option<Incoming>, Failure> {
        let limits = HttpLimits {
            body_bytes_max: BODY_BYTES_MAX,
            decoded_bytes_max: u64::MAX,
            ..HttpLimits::default()
        };
        let coded = expected.encoding != Encoding::Identity;
        let held = if coded { CODED_READ_BYTES.max(expected.begun) } else { 0 };
        let room = expected.room().min(usize::try_from(bytes_max.0).unwrap_or(usize::MAX));
        let mut data = spares.take(room);
        let bytes = data.capacity() + held + expected.encoding.memory_bytes_max();
        let Some(reservation) = purse.budget.reserve(bytes as u64, purse.held) else {
            spares.put(data);
            return Ok(None);
        };
        let decoder = match expected.encoding {
            Encoding::Identity => None,
            coded => Some(decoders.take(coded, &limits).ok_or(Failure::NoMemory)?),
        };
        data.resize(if coded { 0 } else { room }, 0);
        let held = Vec::new();
        Ok(Some(Incoming { data, is_plain: !coded, filled: 0, decoder, held, reservation, bytes_max }))
    }

    /// Bytes so far, decoded.
    pub(super) fn len(&self) -> usize {
        if self.is_plain { self.filled } else { self.data.len() }
    }

    /// Whether it comes as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// How many bytes may be read and [taken](Incoming::take) next; 0 while there is no memory for any.
    pub(super) fn room(&mut self, purse: Purse<'_>) -> usize {
        if !self.make_room(1, purse) {
            0
        } else if self.is_plain {
            self.data.len() - self.filled
        } else {
            CODED_READ_BYTES
        }
    }

    /// Where the bytes of a body that comes as it is may be read to, to be [noted](Incoming::note) there: room for all
    /// that are left of it, if there is memory for so many, and for one more, by which what was not asked for shows.
    /// Empty while there is no memory for any.
    pub(super) fn place(&mut self, left: u64, purse: Purse<'_>) -> &mut [u8] {
        debug_assert!(self.is_plain);
        if !self.make_room(1, purse) {
            return &mut [];
        }
        let room = &mut self.data[self.filled..];
        let wanted = usize::try_from(left).map_or(usize::MAX, |left| left.saturating_add(1));
        let len = room.len().min(wanted);
        &mut room[..len]
    }

    /// So many bytes stand in the [place](Incoming::place) that was given, all of them the body's.
    pub(super) fn note(&mut self, bytes: usize) -> Result<(), Failure> {
        if self.filled as u64 + bytes as u64 >= self.bytes_max.0 {
            return Err(Failure::BodyTooLarge(self.bytes_max.1));
        }
        self.filled += bytes;
        Ok(())
    }

    /// Takes a piece as it came, no longer than there is [room](Incoming::room) or than was expected to have begun.
    pub(super) fn take(&mut self, piece: &[u8], purse: Purse<'_>) -> Result<(), Failure> {
        if self.decoder.is_some() {
            if self.holds() {
                self.held.extend_from_slice(piece);
                return Ok(());
            }
            let consumed = self.decode(piece, purse)?;
            self.held.extend_from_slice(&piece[consumed..]);
            return Ok(());
        }
        let begin = self.filled;
        self.note(piece.len())?;
        self.data[begin..self.filled].copy_from_slice(piece);
        Ok(())
    }

    /// Whether some of what was taken waits for memory.
    fn holds(&self) -> bool {
        !self.held.is_empty() || self.decoder.as_ref().is_some_and(ContentDecoder::holds_output)
    }

    /// Goes on with what waits; whether none is left.
    pub(super) fn catch_up(&mut self, purse: Purse<'_>) -> Result<bool, Failure> {
        if self.holds() {
            let mut held = std::mem::take(&mut self.held);
            let consumed = self.decode(&held, purse)?;
            held.drain(..consumed);
            self.held = held;
        }
        Ok(!self.holds())
    }

    /// Decodes as far as there is memory; how many bytes of the piece.
    fn decode(&mut self, piece: &[u8], purse: Purse<'_>) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some(mut decoder) = self.decoder.take() {
            if !self.make_room(1, purse) {
                self.decoder = Some(decoder);
                break;
            }
            let decoded = decoder.decode(&piece[at..], &mut self.data);
            self.decoder = Some(decoder);
            let decoded = decoded.map_err(broken)?;
            at += decoded.consumed;
            if self.data.len() as u64 >= self.bytes_max.0 {
                return Err(Failure::BodyTooLarge(self.bytes_max.1));
            }
            if at == piece.len() && !decoded.output_full {
                break;
            }
        }
        Ok(at)
    }

    /// Room for so many bytes more, if there is memory: the room doubles, which is paid for first.
    fn make_room(&mut self, bytes: usize, purse: Purse<'_>) -> bool {
        let (len, end) = (self.len(), if self.is_plain { self.data.len() } else { self.data.capacity() });
        if end - len >= bytes {
            return true;
        }
        let most = usize::try_from(self.bytes_max.0).unwrap_or(usize::MAX);
        let room = (end * 2).max(ROOM_BYTES_MIN).min(most).max(len + bytes);
        let more = room.saturating_sub(self.data.capacity());
        if !self.reservation.grow(more as u64, purse.held) {
            return false;
        }
        self.data.reserve_exact(room - self.data.len());
        if self.is_plain {
            self.data.resize(room, 0);
        }
        true
    }

    /// The framing has ended: gives the data.
    pub(super) fn finish(mut self, decoders: &mut DecoderPool) -> Result<(Vec<u8>, Reservation), Failure> {
        if let Some(decoder) = self.decoder.take() {
            let complete = decoder.finish();
            decoders.put(decoder);
            complete.map_err(broken)?;
        } else {
            self.data.truncate(self.filled);
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
        BodyError::EncodedTooLarge | BodyError::DecodedTooLarge => Failure::BodyTooLarge(Bound::Any),
        BodyError::Corrupt(why) => Failure::Answer(format!("the body is corrupt: {why}")),
        BodyError::WindowTooLarge => Failure::Answer("the body's zstd window is too large".to_owned()),
        BodyError::TrailingGarbage => {
            Failure::Answer("the body goes on after its compressed data".to_owned())
        }
        BodyError::Truncated => Failure::Answer("the body ends inside its compressed data".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const ANY: (u64, Bound) = (BODY_BYTES_MAX, Bound::Any);

    fn purse(budget: &MemoryBudget) -> Purse<'_> {
        Purse { budget, held: 0 }
    }

    fn expected(encoding: Encoding, announced: Option<u64>, like_last: usize) -> Expected {
        Expected { encoding, announced, like_last, begun: 0 }
    }

    #[test]
    fn a_server_is_believed_as_far_as_its_last_answer_bears_it_out() {
        let budget = MemoryBudget::new(1 << 30);
        let reserved = |announced, like_last| {
            let expected = expected(Encoding::Identity, announced, like_last);
            let incoming = Incoming::new(
                &expected,
                ANY,
                (&mut DecoderPool::new(), &mut Spares::default()),
                purse(&budget),
            )
            .unwrap();
            incoming.unwrap().reservation.bytes()
        };
        assert_eq!(reserved(Some(250 << 20), 0), ROOM_BYTES_MIN as u64 + 256);
        assert_eq!(reserved(Some(250 << 20), 100_000), 200_000 + 3125);
        assert_eq!(reserved(Some(1000), 100_000), 1001 + 15);
        assert_eq!(reserved(None, 100_000), 106_250 + 1660);
    }

    #[test]
    fn a_body_waits_for_memory_and_goes_on_where_it_was() {
        let budget = MemoryBudget::new(1 << 20);
        let purse = purse(&budget);
        let mut decoders = DecoderPool::new();
        let others = budget.reserve((1 << 20) - 20_000, 0).unwrap();
        let announced = expected(Encoding::Identity, Some(100_000), 20_000);
        assert!(
            Incoming::new(&announced, ANY, (&mut decoders, &mut Spares::default()), purse).unwrap().is_none(),
            "none for the start"
        );
        let announced = expected(Encoding::Identity, Some(100_000), 0);
        let mut incoming =
            Incoming::new(&announced, ANY, (&mut decoders, &mut Spares::default()), purse).unwrap().unwrap();
        let body: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let (mut at, mut others) = (0, Some(others));
        while at < body.len() {
            let room = incoming.room(purse).min(body.len() - at);
            if room == 0 {
                assert_eq!(at, ROOM_BYTES_MIN, "all that there was room for was read");
                others.take().expect("it waits only as long as others have the memory");
            }
            incoming.take(&body[at..at + room], purse).unwrap();
            at += room;
        }
        let (data, paid) = incoming.finish(&mut decoders).unwrap();
        assert!(data == body && paid.bytes() >= 100_000 && others.is_none());
    }

    #[test]
    fn compressed_bytes_are_held_until_there_is_memory_for_what_they_hold() {
        let body = vec![b'a'; 300_000];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&body).unwrap();
        let gzip = gzip.finish().unwrap();
        let budget = MemoryBudget::new(1 << 20);
        let purse = purse(&budget);
        let mut decoders = DecoderPool::new();
        let begins = expected(Encoding::Gzip, Some(gzip.len() as u64), 0);
        let mut incoming =
            Incoming::new(&begins, ANY, (&mut decoders, &mut Spares::default()), purse).unwrap().unwrap();
        let left = (1 << 20) - incoming.reservation.bytes();
        let others = budget.reserve(left - 100_000, 0).unwrap();
        assert!(gzip.len() <= incoming.room(purse));
        incoming.take(&gzip, purse).unwrap();
        assert!(!incoming.catch_up(purse).unwrap(), "{}", incoming.len());
        assert!(incoming.len() > 0 && incoming.len() < body.len());
        drop(others);
        assert!(incoming.catch_up(purse).unwrap());
        assert_eq!(incoming.finish(&mut decoders).unwrap().0, body);
    }

    #[test]
    fn a_body_over_a_bound_is_told_whose_it_is() {
        let budget = MemoryBudget::new(4 << 30);
        assert_eq!(purse(&budget).bytes_max(0), (BODY_BYTES_MAX, Bound::Any));
        assert_eq!(purse(&budget).bytes_max(1 << 40), (BODY_BYTES_MAX, Bound::Any));
        assert_eq!(purse(&budget).bytes_max(1 << 20), (1 << 20, Bound::Job));
        let budget = MemoryBudget::new(4 << 20);
        assert_eq!(purse(&budget).bytes_max(0), (1 << 20, Bound::Memory));
        assert_eq!(purse(&budget).bytes_max(1 << 20), (1 << 20, Bound::Job));
        let mut decoders = DecoderPool::new();
        let begins = expected(Encoding::Identity, None, 0);
        let bound = (10, Bound::Job);
        let mut incoming =
            Incoming::new(&begins, bound, (&mut decoders, &mut Spares::default()), purse(&budget))
                .unwrap()
                .unwrap();
        assert!(incoming.room(purse(&budget)) >= 9);
        incoming.take(b"012345678", purse(&budget)).unwrap();
        assert_eq!(incoming.take(b"9", purse(&budget)), Err(Failure::BodyTooLarge(Bound::Job)));
    }
}
