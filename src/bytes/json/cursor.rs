//! The place in a text, and what is around values: spaces, objects, arrays.

use super::{JsonNumber, JsonString};

/// How deep objects and arrays nest in what is skipped.
pub const JSON_DEPTH_MAX: u32 = 128;

/// A place in a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    text: &'a [u8],
    at: usize,
}

/// Text that is not as JSON, or its reader, has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonFault {
    /// The byte, from 0.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl<'a> Json<'a> {
    /// The place `at` bytes behind the start of `text`.
    #[inline]
    pub fn new(text: &'a [u8], at: usize) -> Json<'a> {
        Json { text, at }
    }

    /// The place, in bytes from the start of the text.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Moves so many bytes on, which the caller has looked at.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        debug_assert!(self.at <= self.text.len());
    }

    /// The text from here on.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// The next byte that is not a space.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at).copied() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                next => return next,
            }
        }
    }

    /// Goes over the next byte that is not a space, if it is this one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Goes over this text, if it is next: `null`, `true`.
    #[inline]
    pub fn take_word(&mut self, word: &[u8]) -> bool {
        self.peek();
        let is = self.rest().starts_with(word);
        if is {
            self.at += word.len();
        }
        is
    }

    /// Says that what is next is wrong.
    pub fn fault(&self, what: &'static str) -> JsonFault {
        JsonFault { at: self.at, what }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// [`JsonFault`], as all that reads here.
    #[inline]
    pub fn string(&mut self) -> Result<JsonString<'a>, JsonFault> {
        if !self.take(b'"') {
            return Err(self.fault("a string is expected"));
        }
        let (string, len) = JsonString::read(self.rest())
            .map_err(|fault| JsonFault { at: fault.at + self.at, what: fault.what })?;
        self.at += len;
        Ok(string)
    }

    /// Reads a number.
    #[inline]
    pub fn number(&mut self) -> Result<JsonNumber<'a>, JsonFault> {
        self.peek();
        let number = JsonNumber::read(self.rest()).ok_or_else(|| self.fault("a number is expected"))?;
        self.at += number.text().len();
        Ok(number)
    }

    /// Reads an object: `member` is called with each name, and reads the value.
    #[inline]
    pub fn object<E: From<JsonFault>>(
        &mut self,
        mut member: impl FnMut(&mut Json<'a>, JsonString<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.take(b'{') {
            return Err(self.fault("an object is expected").into());
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.fault("':' is expected").into());
            }
            member(self, name)?;
            if !self.take(b',') {
                break;
            }
        }
        if self.take(b'}') { Ok(()) } else { Err(self.fault("',' or '}' is expected").into()) }
    }

    /// Reads an array: `item` reads each value.
    #[inline]
    pub fn array<E: From<JsonFault>>(
        &mut self,
        mut item: impl FnMut(&mut Json<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.take(b'[') {
            return Err(self.fault("an array is expected").into());
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                break;
            }
        }
        if self.take(b']') { Ok(()) } else { Err(self.fault("',' or ']' is expected").into()) }
    }

    /// Goes over a value of any kind: its text.
    ///
    /// Takes bare `NaN`, `Infinity` and `-Infinity` for numbers, as the readers of those do whose formats are read
    /// leniently; a decoder that will not have them does not skip values.
    pub fn skip(&mut self) -> Result<&'a [u8], JsonFault> {
        self.peek();
        let start = self.at;
        // A bit for each level, the innermost lowest: whether it is an object.
        let mut levels = 0u128;
        let mut depth = 0;
        loop {
            if self.skip_start(&mut levels, &mut depth)? {
                // A value has ended, and perhaps those that it is in.
                loop {
                    if depth == 0 {
                        return Ok(&self.text[start..self.at]);
                    }
                    if self.take(b',') {
                        break;
                    }
                    if !self.take(if levels & 1 == 1 { b'}' } else { b']' }) {
                        return Err(self.fault("',' or the end is expected"));
                    }
                    depth -= 1;
                    levels >>= 1;
                }
            }
            if levels & 1 == 1 {
                self.string()?;
                if !self.take(b':') {
                    return Err(self.fault("':' is expected"));
                }
            }
        }
    }

    /// Goes over a scalar or an empty object or array, or into one that is not empty: whether the value has ended.
    fn skip_start(&mut self, levels: &mut u128, depth: &mut u32) -> Result<bool, JsonFault> {
        let Some(open @ (b'{' | b'[')) = self.peek() else {
            return self.skip_scalar().map(|()| true);
        };
        if *depth == JSON_DEPTH_MAX {
            return Err(self.fault("too deep"));
        }
        self.at += 1;
        if self.take(if open == b'{' { b'}' } else { b']' }) {
            return Ok(true);
        }
        *depth += 1;
        *levels = *levels << 1 | u128::from(open == b'{');
        Ok(false)
    }

    fn skip_scalar(&mut self) -> Result<(), JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b't' | b'f' | b'n' | b'N' | b'I') => {
                let words: [&[u8]; 5] = [b"true", b"false", b"null", b"NaN", b"Infinity"];
                if words.iter().any(|word| self.take_word(word)) {
                    Ok(())
                } else {
                    Err(self.fault("a value is expected"))
                }
            }
            Some(b'-') if self.take_word(b"-Infinity") => Ok(()),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ => Err(self.fault("a value is expected")),
        }
    }

    /// The end of the text, but for spaces.
    pub fn end(&mut self) -> Result<(), JsonFault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("nothing more is expected")),
        }
    }
}

/// The length of the object that `text` starts with, if its values are strings: for who looks ahead, and checks later.
#[inline]
pub fn strings_object_len(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'}', text.get(at..)?)?;
        if text[at] == b'}' {
            return Some(at + 1);
        }
        at += 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', text.get(at..)?)? + 1;
            if text[at - 1] == b'"' {
                break;
            }
            at += 1;
        }
    }
}

impl std::fmt::Display for JsonFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at column {}", self.what, self.at + 1)
    }
}

impl std::error::Error for JsonFault {}
