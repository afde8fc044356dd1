//! A body that comes in pieces, cut at its newlines.

/// Cuts lines off a body and counts them. A line that is longer than the bound is reported once, and the rest of it is
/// thrown away as it comes; other lines are whole or come again with more behind them. No byte is searched twice.
#[derive(Debug)]
pub struct LineCutter {
    bytes_max: usize,
    /// Lines done with.
    done: u64,
    /// Bytes at the start of the input that are known to hold no newline.
    looked: usize,
    /// The line was too long: the rest of it is to be thrown away.
    skipping: bool,
}

/// What an input starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// A line without its newline. [`LineCutter::pass`] it when it is done with.
    Whole(&'a [u8]),
    /// The start of a line that is too long. [`LineCutter::pass`] it, too.
    TooLong(&'a [u8]),
    /// No whole line: more is needed. So many bytes of the input are of no use to anyone.
    Incomplete(usize),
}

/// The lines of `input` that have their newline, without it: for who looks ahead of the line that is taken.
pub fn whole_lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', input).map(move |end| {
        let line = &input[start..end];
        start = end + 1;
        line
    })
}

impl LineCutter {
    /// For lines of up to so many bytes.
    pub fn new(bytes_max: usize) -> LineCutter {
        LineCutter { bytes_max, done: 0, looked: 0, skipping: false }
    }

    /// Starts on another body.
    pub fn reset(&mut self) {
        *self = LineCutter::new(self.bytes_max);
    }

    /// The number of the line to come, from 1.
    pub fn number(&self) -> u64 {
        self.done + 1
    }

    /// What `input` starts with; `last` says that nothing follows it.
    #[inline]
    pub fn cut<'a>(&mut self, input: &'a [u8], last: bool) -> Line<'a> {
        if self.skipping {
            return Line::Incomplete(self.skip(input));
        }
        let bound = input.len().min(self.bytes_max + 1);
        let from = self.looked.min(bound);
        match memchr::memchr(b'\n', &input[from..bound]) {
            Some(i) => Line::Whole(&input[..from + i]),
            None if bound > self.bytes_max => Line::TooLong(&input[..self.bytes_max]),
            None if last && !input.is_empty() => Line::Whole(input),
            None => {
                self.looked = input.len();
                Line::Incomplete(0)
            }
        }
    }

    /// The line that was cut last is done with: how many bytes of the input that is.
    #[inline]
    pub fn pass(&mut self, line: Line<'_>, input: &[u8]) -> usize {
        self.looked = 0;
        match line {
            Line::Whole(line) => {
                self.done += 1;
                input.len().min(line.len() + 1)
            }
            Line::TooLong(start) => {
                self.skipping = true;
                start.len() + self.skip(&input[start.len()..])
            }
            Line::Incomplete(bytes) => bytes,
        }
    }

    /// Throws away the rest of a line: how many bytes of `input` that is.
    #[cold]
    fn skip(&mut self, input: &[u8]) -> usize {
        match memchr::memchr(b'\n', input) {
            Some(end) => {
                self.skipping = false;
                self.done += 1;
                end + 1
            }
            None => input.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of a body that comes in pieces, with their numbers; `None` for one that is too long.
    fn lines(body: &[u8], pieces: &[usize], bytes_max: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut cutter = LineCutter::new(bytes_max);
        let mut found = Vec::new();
        let mut pieces = pieces.iter().cycle();
        let (mut start, mut end) = (0, 0);
        loop {
            end = body.len().min(end + pieces.next().unwrap());
            let last = end == body.len();
            loop {
                let input = &body[start..end];
                let line = cutter.cut(input, last);
                match line {
                    Line::Whole(text) => found.push((cutter.number(), Some(text.to_vec()))),
                    Line::TooLong(_) => found.push((cutter.number(), None)),
                    Line::Incomplete(0) => break,
                    Line::Incomplete(_) => {}
                }
                start += cutter.pass(line, input);
            }
            assert!(end - start <= bytes_max);
            if last {
                assert_eq!(start, end);
                return found;
            }
        }
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        let some = |number, text: &str| (number, Some(text.as_bytes().to_vec()));
        assert_eq!(lines(b"a\n\nbc", &[1], 9), [some(1, "a"), some(2, ""), some(3, "bc")]);
        assert_eq!(lines(b"a\n", &[9], 9), [some(1, "a")]);
        assert_eq!(lines(b"", &[9], 9), []);
    }

    #[test]
    fn whole_lines_have_their_newline() {
        assert_eq!(whole_lines(b"a\n\nbc\nd").collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
        assert_eq!(whole_lines(b"a").count(), 0);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_body_is_cut(
            body in "[ab\n]{0,60}", pieces in prop::collection::vec(1usize..9, 1..6), bytes_max in 1usize..8,
        ) {
            let mut expected: Vec<&str> = body.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            let expected: Vec<_> = (1u64..)
                .zip(expected)
                .map(|(number, line)| (number, (line.len() <= bytes_max).then(|| line.as_bytes().to_vec())))
                .collect();
            prop_assert_eq!(lines(body.as_bytes(), &pieces, bytes_max), expected);
        }
    }
}
