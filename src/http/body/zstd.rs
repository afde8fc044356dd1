//! zstd: frames one after another, skippable ones among them.

use super::decoder::BodyError;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// The largest window taken, as a power of two: the 8 MiB that RFC 9659 has every sender keep to.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The window twice rounded up (zstd keeps a block of 128 KiB and some slack beside it), and the tables.
pub(super) const ZSTD_MEMORY_BYTES_MAX: usize = (1 << ZSTD_WINDOW_LOG_MAX) + (1 << 20);

/// A `Content-Encoding: zstd` body.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// At least one frame is over and no other has begun.
    complete: bool,
}

impl Zstd {
    /// `None` if there is no memory for it.
    pub(super) fn new() -> Option<Zstd> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).ok()?;
        Some(Zstd { context, complete: false })
    }

    pub(super) fn restart(&mut self) {
        self.complete = false;
        // Resetting a session, parameters kept, has no way to fail; were there one, the next decode would say so.
        let _ = self.context.reset(ResetDirective::SessionOnly);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What the context holds, its window included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.context.sizeof()
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        // A finished frame holds nothing back, and a call without input would already begin the next one.
        if self.complete && input.is_empty() {
            return Ok(0);
        }
        let mut source = InBuffer::around(input);
        loop {
            let (in_before, out_before) = (source.pos(), out.len());
            let mut room = OutBuffer::around_pos(out, out_before);
            let result = self.context.decompress_stream(&mut room, &mut source);
            let hint = result.map_err(|code| explain(code, self.complete))?;
            self.complete = hint == 0;
            let moved = source.pos() > in_before || out.len() > out_before;
            if !moved || source.pos() == input.len() || out.len() == out.capacity() {
                return Ok(source.pos());
            }
        }
    }
}

/// zstd's error code, which its bindings hand on as a negated size.
fn explain(code: usize, after_frame: bool) -> BodyError {
    match code.wrapping_neg() {
        FRAME_WINDOW_TOO_LARGE => BodyError::WindowTooLarge,
        PREFIX_UNKNOWN if after_frame => BodyError::TrailingGarbage,
        _ => BodyError::Corrupt(get_error_name(code)),
    }
}

// Of `ZSTD_ErrorCode`, whose numbers below 100 are stable since zstd 1.3.1.
const PREFIX_UNKNOWN: usize = 10;
const FRAME_WINDOW_TOO_LARGE: usize = 16;
