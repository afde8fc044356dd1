//! A place in a line, and the pieces of a line that both formats share.

use super::fault::{Fault, LineFault};

/// Why a line was not read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// The input ends before the line does.
    Incomplete,
    /// The line is bad.
    Fault(LineFault),
}

impl From<LineFault> for Stop {
    fn from(fault: LineFault) -> Stop {
        Stop::Fault(fault)
    }
}

/// A stretch of a line's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    pub(super) fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// Reads a line from its start.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// From the line's start as far as there are bytes; other lines may follow.
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Nothing comes behind `text`, and its end stands for a newline.
    pub(super) closed: bool,
}

impl<'a> Cursor<'a> {
    /// The next byte. At the end of everything a newline.
    #[inline]
    pub(super) fn peek(&self) -> Result<u8, Stop> {
        match self.text.get(self.at) {
            Some(&byte) => Ok(byte),
            None if self.closed && self.at == self.text.len() => Ok(b'\n'),
            None => Err(Stop::Incomplete),
        }
    }

    /// Steps over the next byte if it is this one.
    pub(super) fn skip(&mut self, byte: u8) -> Result<bool, Stop> {
        let is = self.peek()? == byte;
        self.at += usize::from(is);
        Ok(is)
    }

    /// Steps over blanks and tabs.
    pub(super) fn skip_blanks(&mut self) -> Result<(), Stop> {
        while let b' ' | b'\t' = self.peek()? {
            self.at += 1;
        }
        Ok(())
    }

    /// Steps over the bytes that `part` takes.
    pub(super) fn run(&mut self, part: impl Fn(u8) -> bool) -> Result<Span, Stop> {
        let start = self.at;
        while part(self.peek()?) {
            self.at += 1;
        }
        Ok(Span::new(start, self.at))
    }

    /// A newline, behind which the next line starts.
    pub(super) fn end_of_line(&mut self, fault: Fault) -> Result<usize, Stop> {
        if self.peek()? != b'\n' {
            return Err(self.fault(fault));
        }
        self.at += 1;
        Ok(self.at.min(self.text.len()))
    }

    /// The rest of the line without its newline, and where the next line starts.
    pub(super) fn rest(&self) -> Result<(&'a [u8], usize), Stop> {
        match memchr::memchr(b'\n', &self.text[self.at..]) {
            Some(len) => Ok((&self.text[self.at..self.at + len], self.at + len + 1)),
            None if self.closed => Ok((&self.text[self.at..], self.text.len())),
            None => Err(Stop::Incomplete),
        }
    }

    /// The inside of a quoted string, of which the first quote is the next byte.
    pub(super) fn quoted(&mut self, rules: Quoted, fault: Fault) -> Result<Span, Stop> {
        let bad = |at: usize| Stop::Fault(fault.clone().at(at));
        if self.peek()? != b'"' {
            return Err(bad(self.at));
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            let rest = &self.text[at.min(self.text.len())..];
            let Some(len) = memchr::memchr2(b'"', b'\\', rest) else {
                rules.check(rest).map_err(|i| bad(at + i))?;
                return Err(if self.closed { bad(self.at) } else { Stop::Incomplete });
            };
            rules.check(&rest[..len]).map_err(|i| bad(at + i))?;
            at += len;
            if self.text[at] == b'"' {
                self.at = at + 1;
                return Ok(Span::new(start, at));
            }
            // What follows a backslash is part of the string, unless the line ends there.
            match self.text.get(at + 1) {
                Some(b'\n') => return Err(bad(at + 1)),
                Some(&byte) => rules.check(&[byte]).map_err(|_| bad(at + 1))?,
                None if self.closed => return Err(bad(at)),
                None => return Err(Stop::Incomplete),
            }
            at += 2;
        }
    }

    /// This fault, here.
    pub(super) fn fault(&self, fault: Fault) -> Stop {
        Stop::Fault(fault.at(self.at))
    }
}

/// What may stand within quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) newlines: bool,
    pub(super) nuls: bool,
}

impl Quoted {
    /// The place of the first byte that may not stand there.
    fn check(self, text: &[u8]) -> Result<(), usize> {
        let newline = if self.newlines { None } else { memchr::memchr(b'\n', text) };
        let nul = if self.nuls { None } else { memchr::memchr(0, text) };
        match (newline, nul) {
            (None, None) => Ok(()),
            (Some(a), Some(b)) => Err(a.min(b)),
            (Some(a), None) | (None, Some(a)) => Err(a),
        }
    }
}

/// Whether a metric name can start with this byte.
#[inline]
pub(super) fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':')
}

/// Whether a metric name can go on with this byte.
#[inline]
pub(super) fn in_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit()
}
