//! Reads fields off the front of bytes that nobody vouches for.

use super::DecodeError;
use crate::bytes::{read_varint, unzigzag};

/// The rest of a directory or of one of its entries.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.0.split_first().ok_or(CUT)?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn u32_fixed(&mut self) -> Result<u32, DecodeError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*first))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        read_varint(&mut self.0).ok_or(CUT)
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.u64().map(unzigzag)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.u64()?).map_err(|_| DecodeError::Damaged("a number over 32 bits"))
    }

    /// A count that must not pass `max`.
    pub(super) fn count(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let count = self.u64()?;
        if count > max as u64 { Err(DecodeError::TooLarge(what)) } else { Ok(count as usize) }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (first, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok(first)
    }

    /// A stretch with its length before it.
    pub(super) fn sized(&mut self) -> Result<Input<'a>, DecodeError> {
        let len = self.u32()? as usize;
        self.bytes(len).map(Input)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Damaged("bytes behind the end of an entry")) }
    }
}

const CUT: DecodeError = DecodeError::Damaged("a directory is cut short");
