//! Decoding byte strings.

use super::super::super::DecodeError;
use super::super::super::container::{Container, Stream};
use super::super::super::input::Input;
use super::super::integers;
use super::DISTINCT_MAX;

/// Byte strings of a column. Equal strings may share their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::block) struct Strings<'c> {
    bytes: &'c [u8],
    ends: Vec<u32>,
    indices: Option<Vec<u64>>,
}

impl<'c> Strings<'c> {
    /// String `i`.
    pub(in crate::block) fn string(&self, i: usize) -> &'c [u8] {
        let at = self.indices.as_ref().map_or(i, |indices| indices[i] as usize);
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}

/// Reads the description of `count` strings with lengths and bytes.
pub(in crate::block) fn decode_plain<'c>(
    count: usize,
    container: &'c Container<'_>,
    input: &mut Input<'_>,
) -> Result<Strings<'c>, DecodeError> {
    let mut lengths = Vec::new();
    integers::decode(count, None, container, input, &mut lengths)?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0u32;
    for &len in &lengths {
        end = u32::try_from(len).ok().and_then(|len| end.checked_add(len)).ok_or(TOO_LONG)?;
        ends.push(end);
    }
    let bytes = match end {
        0 => &[],
        _ => container.stream(Stream::read(input)?, end as usize)?,
    };
    Ok(Strings { bytes, ends, indices: None })
}

/// Reads the description of `count` strings: with a dictionary if `dictionary`.
pub(in crate::block) fn decode<'c>(
    count: usize,
    dictionary: bool,
    container: &'c Container<'_>,
    input: &mut Input<'_>,
) -> Result<Strings<'c>, DecodeError> {
    if !dictionary {
        return decode_plain(count, container, input);
    }
    let distinct = input.count(DISTINCT_MAX, "strings in a column's dictionary")?;
    if distinct == 0 {
        return Err(DecodeError::Damaged("an empty dictionary of strings"));
    }
    let mut strings = decode_plain(distinct, container, input)?;
    let mut indices = Vec::new();
    integers::decode(count, None, container, input, &mut indices)?;
    if indices.iter().any(|&i| i >= distinct as u64) {
        return Err(DecodeError::Damaged("a string outside its column's dictionary"));
    }
    strings.indices = Some(indices);
    Ok(strings)
}

const TOO_LONG: DecodeError = DecodeError::Damaged("strings of over 4 GiB");
