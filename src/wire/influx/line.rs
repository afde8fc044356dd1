//! Where a line ends.
//!
//! A newline inside a quoted string belongs to the line, so the end depends on all that stands before it. The search
//! goes on where it stopped when more bytes come: each byte is looked at once, however small the pieces.
//!
//! The search decides only which bytes are the line; whether they are well-formed is for the parser, and the two
//! agree on every well-formed line. A malformed line may end later than the parser's fault: v1 and v3 have it so; in
//! v2 the line then ends at the first newline behind the fault.

use super::Dialect;

/// A search for the end of one line.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct LineSearch {
    place: Place,
    escaped: bool,
    /// Whether the byte before is a backslash, escaped or not.
    after_backslash: bool,
    equals: u32,
    commas: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Place {
    #[default]
    Start,
    Comment,
    /// Measurement and tags.
    Key,
    /// v1 and v3: from the first space on, outside of strings.
    Fields,
    String,
    // v2 opens a string only where a value starts.
    FieldStart,
    FieldKey,
    Value,
    Bare,
    AfterString,
    Rest,
}

impl LineSearch {
    /// Where in `bytes`, which follow those given before, the newline is that ends the line.
    pub(super) fn advance(&mut self, dialect: Dialect, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&byte| self.step(dialect, byte))
    }

    /// Looks at the next byte; true if it is the newline that ends the line.
    #[inline]
    fn step(&mut self, dialect: Dialect, byte: u8) -> bool {
        if self.place == Place::Start {
            if dialect.is_indent(byte) {
                return false;
            }
            self.place = if byte == b'#' { Place::Comment } else { Place::Key };
        }
        if self.place == Place::Comment {
            return byte == b'\n';
        }
        if dialect == Dialect::V2 { self.step_strict(byte) } else { self.step_counting(dialect, byte) }
    }

    /// v1 and v3: a quote opens a string where more equals signs than commas were seen since the first space.
    #[inline]
    fn step_counting(&mut self, dialect: Dialect, byte: u8) -> bool {
        let escaped = std::mem::replace(&mut self.escaped, false);
        let after_backslash = std::mem::replace(&mut self.after_backslash, byte == b'\\');
        if self.place == Place::Key && byte == b' ' {
            let in_name = if dialect.escapes_backslash() { escaped } else { after_backslash };
            if !in_name {
                self.place = Place::Fields;
            }
            return false;
        }
        if escaped {
            return false;
        }
        match (byte, self.place) {
            (b'\\', _) => self.escaped = true,
            (b'\n', Place::Key | Place::Fields) => return true,
            (b'=', Place::Fields) => self.equals += 1,
            (b',', Place::Fields) => self.commas += 1,
            (b'"', Place::Fields) if self.equals > self.commas => self.place = Place::String,
            (b'"', Place::String) => self.place = Place::Fields,
            _ => {}
        }
        false
    }

    /// v2: the grammar itself, as far as it decides where strings are.
    #[inline]
    fn step_strict(&mut self, byte: u8) -> bool {
        let after_backslash = std::mem::replace(&mut self.after_backslash, byte == b'\\');
        if self.place == Place::String {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.place = Place::AfterString;
            }
            return false;
        }
        if byte == b'\n' {
            return true;
        }
        self.place = match (self.place, byte) {
            (Place::Key, b' ') if !after_backslash => Place::FieldStart,
            (Place::FieldStart, b' ') => Place::FieldStart,
            (Place::FieldStart, b'=' | b',') => Place::Rest,
            (Place::FieldKey, b'=') if !after_backslash => Place::Value,
            (Place::FieldKey, b' ' | b',') if !after_backslash => Place::Rest,
            (Place::FieldStart | Place::FieldKey, _) => Place::FieldKey,
            (Place::Value, b'"') => Place::String,
            (Place::Value | Place::Bare | Place::AfterString, b',') => Place::FieldStart,
            (Place::Value | Place::Bare | Place::AfterString, b' ') => Place::Rest,
            (Place::Value | Place::Bare, _) => Place::Bare,
            (Place::AfterString, _) => Place::Rest,
            (place, _) => place,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(dialect: Dialect, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while let Some(end) = LineSearch::default().advance(dialect, &text.as_bytes()[at..]) {
            ends.push(at + end);
            at += end + 1;
        }
        ends
    }

    #[test]
    fn a_newline_in_a_string_is_part_of_the_line() {
        for dialect in [Dialect::V1, Dialect::V2, Dialect::V3] {
            assert_eq!(ends(dialect, "m f=\"a\nb\"\nnext\n"), [9, 14]);
            assert_eq!(ends(dialect, "m f=1,g=\"a\nb\\\"\n\"\n"), [16]);
            assert_eq!(ends(dialect, "m,t=\"a f=1\nm\n"), [10, 12]);
            assert_eq!(ends(dialect, "m f=\\\"a\nb\"\n"), [7, 10]);
            assert_eq!(ends(dialect, "# m f=\"\nb\n"), [7, 9]);
        }
    }

    #[test]
    fn a_backslash_joins_lines_except_in_v2() {
        assert_eq!(ends(Dialect::V1, "m\\\nx f=1\n"), [8]);
        assert_eq!(ends(Dialect::V2, "m\\\nx f=1\n"), [2, 8]);
        assert_eq!(ends(Dialect::V3, "m\\\\\nx f=1\n"), [3, 9]);
    }
}
