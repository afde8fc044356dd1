//! Strings: where they end, and what they spell.

use super::JsonFault;

/// A string as it stands between its quotes. Its escapes are well-formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonString<'a> {
    raw: &'a [u8],
    plain: bool,
}

/// What `\ud800` to `\udfff` mean that are not half of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoneSurrogates {
    /// Nothing: the string is refused.
    Refused,
    /// `\udc80` to `\udcff` are the bytes 0x80 to 0xff, which belong to no character; others are refused.
    Bytes,
}

impl<'a> JsonString<'a> {
    /// Reads a string whose inside `rest` starts with: the string, and the length with the closing quote.
    #[inline]
    pub(super) fn read(rest: &'a [u8]) -> Result<(JsonString<'a>, usize), JsonFault> {
        let mut plain = true;
        let mut at = 0;
        loop {
            at = stop(rest, at);
            match rest.get(at) {
                Some(b'"') => return Ok((JsonString { raw: &rest[..at], plain }, at + 1)),
                Some(b'\\') => {
                    plain = false;
                    at += escape_len(&rest[at..]).ok_or(JsonFault { at, what: "invalid escape" })?;
                }
                Some(_) => return Err(JsonFault { at, what: "control character in a string" }),
                None => return Err(JsonFault { at, what: "string without closing quote" }),
            }
        }
    }

    /// What stands between the quotes.
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// What the string spells, if it has no escapes.
    #[inline]
    pub fn plain(&self) -> Option<&'a [u8]> {
        self.plain.then_some(self.raw)
    }

    /// What the string spells: itself, or `scratch` filled with it.
    ///
    /// # Errors
    /// A lone surrogate that means nothing.
    #[inline]
    pub fn spelled<'s>(
        &self,
        lone: LoneSurrogates,
        scratch: &'s mut Vec<u8>,
    ) -> Result<&'s [u8], &'static str>
    where
        'a: 's,
    {
        if self.plain {
            return Ok(self.raw);
        }
        scratch.clear();
        self.append_to(lone, scratch)?;
        Ok(scratch)
    }

    /// Appends what the string spells.
    ///
    /// # Errors
    /// A lone surrogate that means nothing; a part was appended.
    #[inline]
    pub fn append_to(&self, lone: LoneSurrogates, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.plain {
            out.extend_from_slice(self.raw);
            return Ok(());
        }
        unescape(self.raw, lone, out)
    }
}

/// Where in `text`, from `at` on, the first byte is that a string does not simply contain.
#[inline]
fn stop(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Each mask is exact up to its lowest set bit, and the lowest one is all that counts.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let special =
            (zero(word ^ QUOTES) | zero(word ^ BACKSLASHES) | word.wrapping_sub(SPACES) & !word) & TOPS;
        if special != 0 {
            return at + (special.trailing_zeros() >> 3) as usize;
        }
        at += 8;
    }
    let is_special = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
    text[at..].iter().position(is_special).map_or(text.len(), |i| at + i)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x80 * ONES;
const QUOTES: u64 = b'"' as u64 * ONES;
const BACKSLASHES: u64 = b'\\' as u64 * ONES;
const SPACES: u64 = b' ' as u64 * ONES;

/// The length of the escape that `text` starts with.
fn escape_len(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => text.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Appends what a string with well-formed escapes spells.
#[cold]
fn unescape(raw: &[u8], lone: LoneSurrogates, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let spelled = match rest[1] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                rest = unescape_unicode(rest, lone, out)?;
                continue;
            }
            itself => itself,
        };
        out.push(spelled);
        rest = &rest[2..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Appends what the `\u` escape spells that `text` starts with, or the pair of them; the answer is what follows.
fn unescape_unicode<'a>(
    text: &'a [u8],
    lone: LoneSurrogates,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], &'static str> {
    let unit = hex4(text);
    let low = match &text[6..] {
        rest @ [b'\\', b'u', ..] => Some(hex4(rest)),
        _ => None,
    };
    let (code, len) = match (unit, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12)
        }
        _ => (unit, 6),
    };
    match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None if lone == LoneSurrogates::Bytes && (0xdc80..=0xdcff).contains(&code) => out.push(code as u8),
        None => return Err("a lone surrogate"),
    }
    Ok(&text[len..])
}

/// The four digits of a well-formed `\u` escape.
fn hex4(escape: &[u8]) -> u32 {
    escape[2..6].iter().fold(0, |code, &digit| code << 4 | (digit as char).to_digit(16).unwrap_or(0))
}
