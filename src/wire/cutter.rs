//! Cutting a stream into lines, for formats in which a newline is always the end of one.

/// Cuts input into lines. Holds no bytes: a line whose end is not there yet comes again with more behind it.
#[derive(Clone, Debug)]
pub struct LineCutter {
    line_bytes_max: usize,
    /// The line was too long, and its end has not come yet.
    skipping: bool,
}

/// What the front of some input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut<'a> {
    /// A whole line without its newline. `used` bytes are it and the newline.
    Line {
        /// The line.
        line: &'a [u8],
        /// Bytes to go on behind.
        used: usize,
    },
    /// A line that is longer than lines may be, or the start of one: the rest of it is passed over.
    TooLong {
        /// What there is of it.
        line: &'a [u8],
        /// Bytes to go on behind.
        used: usize,
    },
    /// The rest of a line that was too long.
    Rest {
        /// Bytes to go on behind.
        used: usize,
    },
    /// The start of a line. Never longer than a line may be.
    Incomplete,
}

impl LineCutter {
    /// Cuts lines of so many bytes at most, their newlines not counted.
    pub fn new(line_bytes_max: usize) -> LineCutter {
        LineCutter { line_bytes_max, skipping: false }
    }

    /// Forgets what was cut.
    pub fn rewind(&mut self) {
        self.skipping = false;
    }

    /// Looks at the front of `input`, which is not empty. `last`: no more comes behind it.
    #[inline]
    pub fn cut<'a>(&mut self, input: &'a [u8], last: bool) -> Cut<'a> {
        let newline = memchr::memchr(b'\n', input);
        let (len, used) = newline.map_or((input.len(), input.len()), |at| (at, at + 1));
        if self.skipping {
            self.skipping = newline.is_none() && !last;
            return Cut::Rest { used };
        }
        let line = &input[..len];
        if len > self.line_bytes_max {
            self.skipping = newline.is_none() && !last;
            return Cut::TooLong { line, used };
        }
        if newline.is_none() && !last { Cut::Incomplete } else { Cut::Line { line, used } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut cutter = LineCutter::new(4);
        let (mut found, mut kept) = (Vec::new(), Vec::new());
        for (i, piece) in pieces.iter().enumerate() {
            kept.extend_from_slice(piece);
            let mut at = 0;
            while at < kept.len() {
                match cutter.cut(&kept[at..], i + 1 == pieces.len()) {
                    Cut::Line { line, used } => {
                        found.push(String::from_utf8_lossy(line).into_owned());
                        at += used;
                    }
                    Cut::TooLong { used, .. } => {
                        found.push("too long".to_owned());
                        at += used;
                    }
                    Cut::Rest { used } => at += used,
                    Cut::Incomplete => break,
                }
            }
            kept.drain(..at);
        }
        assert!(kept.is_empty());
        found
    }

    #[test]
    fn lines_are_the_same_wherever_the_input_is_cut() {
        let input = b"a\n\nabcd\nabcde\nlonger than that\nb\nc";
        let expected = ["a", "", "abcd", "too long", "too long", "b", "c"];
        for cut in 0..=input.len() {
            for next in cut..=input.len() {
                assert_eq!(lines(&[&input[..cut], &input[cut..next], &input[next..]]), expected);
            }
        }
    }

    #[test]
    fn the_last_line_may_be_too_long_and_the_next_input_starts_anew() {
        let mut cutter = LineCutter::new(4);
        assert_eq!(cutter.cut(b"abcdef", false), Cut::TooLong { line: b"abcdef", used: 6 });
        assert_eq!(cutter.cut(b"ghi", true), Cut::Rest { used: 3 });
        assert_eq!(cutter.cut(b"a", true), Cut::Line { line: b"a", used: 1 });
    }
}
