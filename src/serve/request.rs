//! A write being received: body bytes in, rows into the engine, at last an answer that waits for their commit.
//!
//! Invariant: every row that was taken lies in a batch with a sequence from `first` on, so that the answer can wait for
//! all of them. Bytes are decoded where they were read; only what ends in the middle of a line is kept.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::{CommitFailure, MemoryBudget, Reservation, Worker};
use crate::http::body::{BodyError, ContentDecoder, DecoderPool, Encoding, snappy};
use crate::http::{AnswerTo, HttpLimits};
use crate::ingest::{ContextId, Stream};
use crate::model::{Rewrite, WriteResult};
use crate::wire::{Fed, FedState, Malformed};

use super::answer::Answer;
use super::door::Context;
use super::format::{Format, Opened, Reading, Rows};

/// Room that a decompressed piece gets at a time.
const DECODED_PIECE_BYTES: usize = 256 << 10;

/// Such pieces in a row before others have their turn: some hundred bytes can be very many lines.
const DECODED_PIECES_MAX: usize = 2;

/// A buffered body whose length is not known gets at least so much room at first; then it doubles.
const COLLECTED_BYTES_MIN: usize = 4096;

/// A write being received.
pub(super) struct WriteRequest {
    pub(super) format: Format,
    pub(super) to: AnswerTo,
    /// What its keys are read in, where the door has a say in it.
    context: Option<Arc<Context>>,
    content: ContentDecoder,
    rows: Rows,
    pub(super) result: WriteResult,
    /// Rows and values of the result that the engine was told of.
    counted: (u64, u64),
    /// The batch that was being filled when the request began.
    first: u64,
    /// It brought exemplars or metadata.
    has_side_records: bool,
    /// A commit failed that held, or may have held, rows of this request.
    pub(super) failed: Option<CommitFailure>,
    /// Decoded bytes that are not consumed: the start of a line, or what did not fit. A body that is buffered whole.
    tail: Vec<u8>,
    /// What is consumed of the tail all the same, while rows of it wait for room.
    tail_used: usize,
    /// Encoded bytes that are not decoded yet, after a batch was full or enough was decoded in a row.
    encoded: Vec<u8>,
    /// The body's framing has ended; what is left is in `tail` and `encoded`.
    ended: bool,
    whole: Option<Whole>,
    /// When the engine last had no room for a row of it, having had some before.
    stalled_since_ns: Option<u64>,
    /// What the decoder may hold.
    _decoder: Option<Reservation>,
}

/// A body that is buffered to be checked before its first row is taken.
struct Whole {
    /// Its rows are to be all good, too.
    all_or_nothing: bool,
    /// It is snappy.
    snappy: Option<Snappy>,
    reservations: Vec<Reservation>,
    /// It is decompressed, and what its check takes is reserved.
    prepared: bool,
    /// It is known to be of its format.
    checked: bool,
}

/// What it takes to undo snappy when all of it is there.
struct Snappy {
    /// It is not one block.
    frames: bool,
    limits: HttpLimits,
    /// Memory to undo it in.
    body: Vec<u8>,
}

/// What a request needs next.
#[derive(Debug)]
pub(super) enum Progress {
    /// More of the body.
    More,
    /// Room in the engine, or that others have had their turn; then call [`WriteRequest::resume`].
    Stalled,
    /// Nothing: it can be answered by [`WriteRequest::finish`].
    Complete,
}

/// Why a request was given up.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// The body cannot be decoded.
    Body(BodyError),
    /// The memory budget has no room.
    Memory,
    /// The engine had no room for too long.
    Overload,
    /// The body is not of its format.
    Malformed(Malformed),
    /// All or nothing was wanted and a row is bad.
    RefusedWhole,
}

/// What lies in the engine for a request that is complete: its answer waits for these sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl WriteRequest {
    /// `length` is that of the body as it is collected, where that is known before it came.
    #[expect(clippy::too_many_arguments, reason = "all it is made of, once")]
    pub(super) fn new(
        opened: Opened,
        context: Option<Arc<Context>>,
        length: Option<u64>,
        to: AnswerTo,
        decoders: &mut DecoderPool,
        limits: &HttpLimits,
        engine: &Worker,
        budget: &MemoryBudget,
    ) -> Result<WriteRequest, GivenUp> {
        let decoder = match opened.encoding.memory_bytes_max() {
            0 => None,
            bytes => Some(budget.reserve(bytes as u64, engine.memory_held_bytes()).ok_or(GivenUp::Memory)?),
        };
        let mut tail = Vec::new();
        let whole = if opened.reading == Reading::Streamed {
            None
        } else {
            let mut whole = Whole {
                all_or_nothing: opened.reading == Reading::AllOrNothing,
                snappy: matches!(opened.encoding, Encoding::Snappy | Encoding::SnappyFrames).then(|| {
                    Snappy {
                        frames: opened.encoding == Encoding::SnappyFrames,
                        limits: *limits,
                        body: decoders.take_body(),
                    }
                }),
                reservations: Vec::new(),
                prepared: false,
                checked: false,
            };
            if let Some(length) = length {
                // A body that is longer than the limit is refused by the framing. One byte more: a decoder that has
                // filled its room is taken to hold something back.
                whole.make_room(&mut tail, length.min(limits.body_bytes_max) + 1, engine, budget)?;
            }
            Some(whole)
        };
        Ok(WriteRequest {
            format: opened.format,
            to,
            context,
            content: decoders.take(opened.encoding, limits).ok_or(GivenUp::Memory)?,
            _decoder: decoder,
            rows: opened.rows,
            result: WriteResult::default(),
            counted: (0, 0),
            first: engine.filling(),
            has_side_records: false,
            failed: None,
            tail,
            tail_used: 0,
            encoded: Vec::new(),
            ended: false,
            whole,
            stalled_since_ns: None,
        })
    }

    /// The context of this request's keys.
    pub(super) fn context(&self) -> ContextId {
        self.context.as_ref().map_or(self.format.context(), |context| context.id)
    }

    /// Takes body bytes: `buffer[data]`. What precedes them in the buffer is free to be written over.
    pub(super) fn take(
        &mut self,
        buffer: &mut [u8],
        data: Range<usize>,
        engine: &mut Worker,
        stream: &mut Stream,
        budget: &MemoryBudget,
    ) -> Result<Progress, GivenUp> {
        if let Some(whole) = &mut self.whole {
            return collect(&mut self.content, &buffer[data], &mut self.tail, whole, engine, budget);
        }
        if !self.content.is_identity() {
            let encoded = std::mem::take(&mut self.encoded);
            debug_assert!(encoded.is_empty(), "a stalled request is resumed before it is given more");
            return self.decode(&buffer[data], engine, stream, budget);
        }
        if budget.exhausted(engine.memory_held_bytes()) {
            return Err(GivenUp::Memory);
        }
        // The encoded size is the decoded one here: the framing has checked it against the limit.
        let Some(start) = data.start.checked_sub(self.tail.len()) else {
            // A long line is put together in the tail, where its start need not be moved with each piece.
            self.tail.extend_from_slice(&buffer[data]);
            return self.feed_tail(engine, stream);
        };
        buffer[start..data.start].copy_from_slice(&self.tail);
        self.tail.clear();
        let consumed = self.feed(&buffer[start..data.end], false, engine, stream);
        self.tail.extend_from_slice(&buffer[start + consumed.bytes..data.end]);
        Ok(consumed.progress())
    }

    /// The body has ended.
    pub(super) fn end(
        &mut self,
        engine: &mut Worker,
        stream: &mut Stream,
        budget: &MemoryBudget,
    ) -> Result<Progress, GivenUp> {
        self.ended = true;
        self.resume(engine, stream, budget)
    }

    /// The body has ended while its rows wait for room: to be [resumed](WriteRequest::resume) all the same.
    pub(super) fn end_when_resumed(&mut self) {
        self.ended = true;
    }

    /// Goes on after a stall, or at the body's end.
    pub(super) fn resume(
        &mut self,
        engine: &mut Worker,
        stream: &mut Stream,
        budget: &MemoryBudget,
    ) -> Result<Progress, GivenUp> {
        // Of a body that was consumed to its last byte the decoder may still hold what did not fit.
        if !self.encoded.is_empty() || self.content.holds_output() && self.whole.is_none() {
            let encoded = std::mem::take(&mut self.encoded);
            if let Progress::Stalled = self.decode(&encoded, engine, stream, budget)? {
                return Ok(Progress::Stalled);
            }
        }
        if self.ended {
            self.content.finish().map_err(GivenUp::Body)?;
            self.prepare(engine, stream, budget)?;
        }
        if self.whole.is_some() && !self.ended {
            return Ok(Progress::More);
        }
        Ok(match self.feed_tail(engine, stream)? {
            Progress::More if self.ended => Progress::Complete,
            progress => progress,
        })
    }

    /// Takes what it can of what is kept.
    fn feed_tail(&mut self, engine: &mut Worker, stream: &mut Stream) -> Result<Progress, GivenUp> {
        let tail = std::mem::take(&mut self.tail);
        let consumed = match self.whole.as_mut().filter(|whole| !whole.checked) {
            Some(whole) => {
                whole.checked = true;
                self.feed_unchecked(&tail, engine, stream)?
            }
            None => self.feed(&tail[self.tail_used..], self.ended, engine, stream),
        };
        self.tail = tail;
        self.tail_used += consumed.bytes;
        if !consumed.full && self.whole.is_none() {
            self.tail.drain(..std::mem::take(&mut self.tail_used));
        }
        Ok(consumed.progress())
    }

    /// Counts the rows that were not taken, and says what the answer has to wait for; `None` if nothing was taken, or
    /// all of it is durable.
    pub(super) fn finish(&self, engine: &Worker) -> Option<Ticket> {
        let counters = engine.counters();
        let protocol = self.format.protocol();
        counters.rows_dropped.set(engine.rows_dropped());
        for &(reason, rows) in &self.result.reasons {
            counters.count_rejected(protocol, reason, rows);
        }
        let taken = self.result.accepted > 0 || self.has_side_records;
        let ticket = Ticket { first: self.first, last: engine.last_filled() };
        // Where rules dropped all rows there may be no batch to wait for; and what went with others' commits may be
        // durable by now: of that no event would come.
        let waits = ticket.last >= ticket.first && ticket.last > engine.durable();
        (taken && waits).then_some(ticket)
    }

    /// Gives back what others can use.
    pub(super) fn recycle(self, pool: &mut DecoderPool) {
        pool.put(self.content);
        if self.whole.is_some() {
            pool.put_body(self.tail);
        }
    }

    /// Since when the engine has had no room for the next row; `None` if it has, also where others have their turn.
    pub(super) fn stalled_since_ns(&self) -> Option<u64> {
        self.stalled_since_ns
    }

    /// Bytes kept that are not reserved.
    pub(super) fn memory_bytes(&self) -> usize {
        let tail = if self.whole.is_none() { self.tail.capacity() } else { 0 };
        tail + self.encoded.capacity() + self.rows.memory_bytes()
    }

    fn decode(
        &mut self,
        encoded: &[u8],
        engine: &mut Worker,
        stream: &mut Stream,
        budget: &MemoryBudget,
    ) -> Result<Progress, GivenUp> {
        debug_assert_eq!(self.tail_used, 0, "what was decoded is consumed before more is");
        let mut decoded = std::mem::take(&mut self.tail);
        let (mut at, mut pieces) = (0, 0);
        loop {
            // Between pieces: a small body may hold very many series.
            if budget.exhausted(engine.memory_held_bytes()) {
                return Err(GivenUp::Memory);
            }
            decoded.reserve(DECODED_PIECE_BYTES);
            let piece = self.content.decode(&encoded[at..], &mut decoded);
            // What precedes a fault is fed, also if it has waited for room until now.
            let consumed = self.feed(&decoded, false, engine, stream);
            decoded.drain(..consumed.bytes);
            at += piece.as_ref().map_or(0, |piece| piece.consumed);
            pieces += 1;
            let output_full = piece.as_ref().is_ok_and(|piece| piece.output_full);
            if consumed.full || output_full && pieces == DECODED_PIECES_MAX {
                self.tail = decoded;
                self.encoded = encoded[at..].to_vec();
                return Ok(Progress::Stalled);
            }
            piece.map_err(GivenUp::Body)?;
            if !output_full {
                debug_assert_eq!(at, encoded.len());
                self.tail = decoded;
                return Ok(Progress::More);
            }
        }
    }

    fn feed(&mut self, input: &[u8], last: bool, engine: &mut Worker, stream: &mut Stream) -> Consumed {
        let rehearsed = self.whole.as_ref().is_some_and(|whole| whole.all_or_nothing);
        let mut bytes = 0;
        loop {
            let side_records = stream.side_records();
            let rewrite = self.context.as_deref().map(|context| context as &dyn Rewrite);
            let mut writer = engine.writer(stream).rewriting(rewrite).rehearsed(rehearsed);
            let rows_before = self.result.accepted + self.result.rejected;
            let fed = self.rows.feed(&input[bytes..], last, &mut writer, &mut self.result);
            self.count_taken(engine);
            self.has_side_records |= stream.side_records() != side_records;
            bytes += fed.consumed;
            // A body that is fed whole is consumed at its end only: there it is rows that tell.
            if fed.consumed > 0 || self.result.accepted + self.result.rejected > rows_before {
                self.stalled_since_ns = None;
            }
            match fed.state {
                FedState::NeedMore | FedState::Done => return Consumed { bytes, full: false },
                FedState::Full if engine.make_room() => {}
                FedState::Full => {
                    self.stalled_since_ns.get_or_insert(engine.monotonic_ns());
                    return Consumed { bytes, full: true };
                }
            }
        }
    }

    /// Tells the engine of rows that it was given: before it seals their batch.
    fn count_taken(&mut self, engine: &mut Worker) {
        let taken = (self.result.accepted, self.result.samples);
        let before = std::mem::replace(&mut self.counted, taken);
        engine.count_rows(self.format.protocol(), taken.0 - before.0, taken.1 - before.1);
    }

    /// Feeds a body that is buffered whole and not known to be of its format. If it is not, nothing of it is taken.
    fn feed_unchecked(
        &mut self,
        body: &[u8],
        engine: &mut Worker,
        stream: &mut Stream,
    ) -> Result<Consumed, GivenUp> {
        let (mark, side_records) = (engine.mark(), stream.side_records());
        let rewrite = self.context.as_deref().map(|context| context as &dyn Rewrite);
        let mut writer = engine.writer(stream).rewriting(rewrite);
        match self.rows.feed_unchecked(body, &mut writer, &mut self.result) {
            Err(malformed) => {
                engine.take_back(mark);
                self.result = WriteResult::default();
                Err(GivenUp::Malformed(malformed))
            }
            Ok(Fed { state: FedState::Full, .. }) => {
                self.has_side_records = stream.side_records() != side_records;
                self.count_taken(engine);
                Ok(self.feed(body, true, engine, stream))
            }
            Ok(fed) => {
                self.has_side_records = stream.side_records() != side_records;
                self.count_taken(engine);
                Ok(Consumed { bytes: fed.consumed, full: false })
            }
        }
    }

    /// Makes a body that is buffered whole ready to be fed, and checks the rows of one of which all or nothing is to be
    /// taken.
    fn prepare(&mut self, engine: &Worker, stream: &Stream, budget: &MemoryBudget) -> Result<(), GivenUp> {
        let Some(whole) = self.whole.as_mut().filter(|w| !w.prepared) else { return Ok(()) };
        whole.prepared = true;
        if let Some(Snappy { frames, limits, body }) = whole.snappy.take() {
            let len = match frames {
                true => snappy::frames_decoded_len(&self.tail, &limits),
                false => snappy::decoded_len(&self.tail, &limits),
            };
            let len = len.map_err(GivenUp::Body)?;
            let encoded = std::mem::take(&mut whole.reservations);
            whole.reserve(len as u64, engine, budget)?;
            let decoded = match frames {
                true => snappy::decode_frames(&self.tail, len, body),
                false => snappy::decode(&self.tail, len, body),
            };
            self.tail = decoded.map_err(GivenUp::Body)?;
            drop(encoded);
        }
        let bytes = self.rows.check_bytes(&self.tail);
        if bytes > 0 {
            whole.reserve(bytes, engine, budget)?;
        }
        if !whole.all_or_nothing {
            return Ok(());
        }
        self.rows.check(&self.tail).map_err(GivenUp::Malformed)?;
        whole.checked = true;
        let mut result = WriteResult::default();
        let rewrite = self.context.as_deref().map(|context| context as &dyn Rewrite);
        self.rows.rehearse(&self.tail, &mut engine.rehearsal(stream, rewrite), &mut result);
        if result.rejected == 0 {
            return Ok(());
        }
        let good = std::mem::take(&mut result.accepted);
        result.count_rejected("whole_request", good);
        result.samples = 0;
        self.result = result;
        Err(GivenUp::RefusedWhole)
    }
}

/// How much of its input a feed has used.
struct Consumed {
    bytes: usize,
    full: bool,
}

impl Consumed {
    fn progress(&self) -> Progress {
        if self.full { Progress::Stalled } else { Progress::More }
    }
}

impl Whole {
    fn reserve(&mut self, bytes: u64, engine: &Worker, budget: &MemoryBudget) -> Result<(), GivenUp> {
        self.reservations.push(budget.reserve(bytes, engine.memory_held_bytes()).ok_or(GivenUp::Memory)?);
        Ok(())
    }

    /// Gives the body room for so many bytes in all, reserved before they are taken.
    fn make_room(
        &mut self,
        body: &mut Vec<u8>,
        bytes: u64,
        engine: &Worker,
        budget: &MemoryBudget,
    ) -> Result<(), GivenUp> {
        self.reserve(bytes - body.capacity() as u64, engine, budget)?;
        body.reserve_exact(usize::try_from(bytes).map_err(|_| GivenUp::Memory)? - body.len());
        Ok(())
    }
}

/// Appends the decoded bytes to a body that is buffered whole.
fn collect(
    content: &mut ContentDecoder,
    encoded: &[u8],
    body: &mut Vec<u8>,
    whole: &mut Whole,
    engine: &Worker,
    budget: &MemoryBudget,
) -> Result<Progress, GivenUp> {
    let mut at = 0;
    loop {
        if body.len() == body.capacity() {
            let room = encoded.len().clamp(COLLECTED_BYTES_MIN, DECODED_PIECE_BYTES);
            whole.make_room(body, (body.capacity() + body.capacity().max(room)) as u64, engine, budget)?;
        }
        let piece = content.decode(&encoded[at..], body).map_err(GivenUp::Body)?;
        at += piece.consumed;
        if !piece.output_full && at == encoded.len() {
            return Ok(Progress::More);
        }
    }
}

/// The answer to a request that was given up.
pub(super) fn given_up_answer(format: Format, why: &GivenUp, result: &WriteResult) -> Answer {
    // What is sent again counts no rows, unless it is known that there are none.
    let none = Some(result).filter(|result| result.accepted + result.rejected == 0);
    match why {
        // Rows that came before the fault are taken and stay: the counts say so.
        GivenUp::Body(e) => format.error_answer(e.status().0, &e.to_string(), Some(result)),
        GivenUp::Malformed(e) => format.error_answer(400, &e.error, Some(result)),
        GivenUp::Memory => {
            format.error_answer(503, "out of memory budget: try again later", none).retry_later()
        }
        GivenUp::Overload => {
            format.error_answer(503, "the disk does not keep up: try again later", none).retry_later()
        }
        GivenUp::RefusedWhole => format.refused_whole_answer(result),
    }
}
