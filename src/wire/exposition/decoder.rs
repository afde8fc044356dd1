//! The decoder: lines in, rows out, faults by line or for the whole body.
//!
//! A row goes the fast way if its name and labels are the predicted ones or are found as they stand, and its value and
//! time are written in the plainest way: no label is looked at. Else it goes the plain way: [`line::read`] says what
//! the line is. Both give the same rows. A row is pushed whole or not at all.

use crate::model::{Exemplar, Full, Intake, LabelsBuf, MetricType, WriteResult};

use super::cursor::{Stop, in_name, starts_name};
use super::fault::{Fault, LineFault};
use super::labels::Names;
use super::line::{self, Content, Line, LineReader, Metadata, Said, Sample, Tokens};
use super::metadata::Spoken;
use super::number::{self, RowEnd};
use super::prefix::Prefix;
use super::series::{RowShapes, VALUE};
use super::starts::{Start, Starts};
use super::work::Work;
use super::{Faults, LINE_BYTES_MAX, Options, Syntax};
use crate::wire::{Decode, Fed, FedState, Malformed};

/// A decoder of one body.
///
/// ```
/// use tidegate::wire::exposition::{Decoder, Faults, Options, Syntax};
/// let (syntax, faults) = (Syntax::Text, Faults::Body);
/// let (default_time_ns, labels) = (1_700_000_000_000_000_000, vec![]);
/// let options = Options { syntax, faults, default_time_ns, labels, keep_created: false };
/// let _decoder = Decoder::new(options);
/// ```
#[derive(Debug)]
pub struct Decoder {
    options: Options,
    read: LineReader,
    prefix: Prefix,
    /// What the last `TYPE` said.
    kind: MetricType,
    /// The length of the name that was spoken of last.
    family_len: usize,
    spoken: Spoken,
    starts: Starts,
    tokens: Tokens,
    names: Names,
    labels: LabelsBuf,
    key: Vec<u8>,
    exemplar_labels: Vec<u8>,
    shapes: RowShapes,
    /// Lines done with.
    lines: u64,
    /// How much of the unconsumed input was found to be no whole line.
    looked: usize,
    /// The line was too long: the rest of it is to be thrown away.
    skipping: bool,
    /// `# EOF` was read.
    ended: bool,
    /// How much of a body that is there whole is done with.
    at: usize,
    /// The row of the line at hand is taken, its exemplar is not.
    row_taken: bool,
    /// Keys of lines before this one have been announced.
    announced: usize,
}

/// What became of a line.
enum LineEnd {
    /// The next line starts here.
    Next(usize),
    /// Its end is not in the input.
    Incomplete,
    Full,
}

/// What the fast way made of a line.
enum Fast {
    /// A row; the next line starts here.
    Row(usize),
    Full,
    /// Not for the fast way. With the length of the key that the intake does not know, if it was asked.
    Unexpected(Option<usize>),
}

impl Decoder {
    /// A decoder for a body.
    pub fn new(mut options: Options) -> Decoder {
        super::sort_given(&mut options.labels);
        Decoder {
            prefix: Prefix::new(&options.labels),
            options,
            read: line::read,
            kind: MetricType::Unknown,
            family_len: 0,
            spoken: Spoken::default(),
            starts: Starts::default(),
            tokens: Tokens::default(),
            names: Names::default(),
            labels: LabelsBuf::default(),
            key: Vec::new(),
            exemplar_labels: Vec::new(),
            shapes: RowShapes::default(),
            lines: 0,
            looked: 0,
            skipping: false,
            ended: false,
            at: 0,
            row_taken: false,
            announced: 0,
        }
    }

    /// A decoder for a body whose lines are read so.
    pub(super) fn with_reader(options: Options, read: LineReader) -> Decoder {
        Decoder { read, ..Decoder::new(options) }
    }

    /// Makes the decoder ready for another body of the same format and labels, perhaps of another intake, and keeps
    /// its memory.
    pub fn reset(&mut self, default_time_ns: i64) {
        self.options.default_time_ns = default_time_ns;
        self.rewind();
    }

    /// Whether the body must be there whole before any of it is fed: what a line means may depend on later ones.
    pub fn wants_whole(&self) -> bool {
        self.options.faults == Faults::Body || self.options.syntax == Syntax::OpenMetrics
    }

    fn take_lines<I: Intake>(
        &mut self,
        input: &[u8],
        from: usize,
        last: bool,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fed {
        let mut at = from;
        if self.skipping {
            at += self.skip(&input[at..]);
        }
        while at < input.len() {
            let missed = match self.take_fast(input, at, intake, result) {
                Fast::Row(next) => {
                    at = next;
                    continue;
                }
                Fast::Full => return Fed { consumed: at, state: FedState::Full },
                Fast::Unexpected(missed) => missed,
            };
            match self.take_plain(input, at, last, missed, intake, result) {
                LineEnd::Next(next) => at = next,
                LineEnd::Full => return Fed { consumed: at, state: FedState::Full },
                LineEnd::Incomplete => return Fed { consumed: at, state: FedState::NeedMore },
            }
        }
        if !last {
            return Fed { consumed: at, state: FedState::NeedMore };
        }
        if self.options.syntax == Syntax::OpenMetrics && !self.ended {
            self.ended = true;
            self.reject(result, b"", &Fault::NoEof.at(0));
        }
        match self.spoken.tell(intake) {
            Ok(()) => Fed { consumed: at, state: FedState::Done },
            Err(Full) => Fed { consumed: at, state: FedState::Full },
        }
    }

    /// Tries the line at `at` the fast way.
    #[inline]
    fn take_fast<I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fast {
        if !starts_name(input[at]) && input[at] != b'{' || self.row_taken || self.ended {
            return Fast::Unexpected(None);
        }
        // A row comes, or what was to be one: what was said of its metric is said.
        if self.spoken.tell(intake).is_err() {
            return Fast::Full;
        }
        if self.options.syntax == Syntax::OpenMetrics {
            self.starts.survey(input, at, self.family_len, self.kind, &mut Work::whole());
            if self.starts.are_known() {
                return Fast::Unexpected(None);
            }
        }
        let rest = &input[at..];
        let predicted = self.prefix.strip(intake.predicted());
        let predicted = predicted.filter(|raw| rest.get(raw.len()) == Some(&b' ') && rest.starts_with(raw));
        let known_len = predicted.map(<[u8]>::len);
        let Some(key_len) = known_len.or_else(|| key_len(rest)) else { return Fast::Unexpected(None) };
        if rest.get(key_len) != Some(&b' ') {
            return Fast::Unexpected(None);
        }
        let Some(end) = number::row_end(rest, key_len + 1, self.options.syntax) else {
            return Fast::Unexpected(None);
        };
        let Some(time_ns) = self.time_ns(end) else { return Fast::Unexpected(None) };
        if end.next > LINE_BYTES_MAX {
            return Fast::Unexpected(None);
        }
        let series = if known_len.is_some() {
            intake.confirm()
        } else {
            if intake.wants_announcements() {
                self.announce(input, at, intake);
            }
            match intake.find(self.prefix.key(&rest[..key_len], &mut self.key)) {
                Some(series) => series,
                None => return Fast::Unexpected(Some(key_len)),
            }
        };
        let Ok(shape) = self.shapes.plain(series, intake) else { return Fast::Unexpected(None) };
        if intake.push(series, shape, time_ns, &[end.value_bits], &[]).is_err() {
            return Fast::Full;
        }
        self.looked = 0;
        self.lines += 1;
        result.accepted += 1;
        result.samples += 1;
        Fast::Row(at + end.next)
    }

    #[inline]
    fn time_ns(&self, end: RowEnd) -> Option<i64> {
        match end.time_ms {
            None => Some(self.options.default_time_ns),
            Some(ms) => ms.checked_mul(NANOS_PER_MILLI),
        }
    }

    /// Announces the keys of the lines from `at` on, unless some that were announced are still to come.
    fn announce<I: Intake>(&mut self, input: &[u8], at: usize, intake: &mut I) {
        if at < self.announced {
            return;
        }
        let mut start = at;
        for _ in 0..AHEAD_LINES {
            // Behind a line of metadata the same bytes may be another key.
            let Some(len) = key_len(&input[start..]) else { break };
            intake.announce(self.prefix.key(&input[start..start + len], &mut self.key));
            let Some(newline) = memchr::memchr(b'\n', &input[start + len..]) else { break };
            start += len + newline + 1;
        }
        self.announced = start;
    }

    /// Takes the line at `at` the plain way. `missed` is the length of a key that the intake does not know.
    #[inline(never)]
    fn take_plain<I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        last: bool,
        missed: Option<usize>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> LineEnd {
        let rest = &input[at..];
        if !last
            && rest.len() <= LINE_BYTES_MAX
            && self.looked > LOOKED_BYTES_MIN
            && rest.len() < 2 * self.looked
        {
            // A long piece of a line comes again: looking at it each time would cost its square.
            return LineEnd::Incomplete;
        }
        let window = &rest[..rest.len().min(LINE_BYTES_MAX + 1)];
        let closed = last && window.len() == rest.len();
        let read = match self.ended {
            true => Err(Stop::Fault(Fault::AfterEof.at(0))),
            false => (self.read)(self.options.syntax, window, closed, &mut self.tokens),
        };
        let read = self.read_crlf(&read, window, closed).unwrap_or(read);
        let fault = match read {
            Ok(line) => match self.take_line(input, at, window, &line, missed, intake, result) {
                Ok(Ok(())) => {
                    self.lines += newlines(&window[..line.next]);
                    self.looked = 0;
                    return LineEnd::Next(at + line.next);
                }
                Ok(Err(Full)) => return LineEnd::Full,
                Err(fault) if fault.fault.is_of_row() => {
                    self.reject(result, &window[..line.next], &fault);
                    self.lines += newlines(&window[..line.next]);
                    self.looked = 0;
                    return LineEnd::Next(at + line.next);
                }
                Err(fault) => fault,
            },
            Err(Stop::Fault(fault)) => fault,
            Err(Stop::Incomplete) if window.len() > LINE_BYTES_MAX => Fault::TooLong.at(0),
            Err(Stop::Incomplete) => {
                self.looked = rest.len();
                return LineEnd::Incomplete;
            }
        };
        // A bad line ends where lines end, whatever its quotes say.
        let (shown, next) = match memchr::memchr(b'\n', window) {
            Some(newline) => (&window[..newline], at + newline + 1),
            None if closed => (window, input.len()),
            None if window.len() > LINE_BYTES_MAX => {
                self.reject(result, window, &Fault::TooLong.at(0));
                self.skipping = true;
                return LineEnd::Next(at + window.len() + self.skip(&rest[window.len()..]));
            }
            None => {
                self.looked = rest.len();
                return LineEnd::Incomplete;
            }
        };
        self.reject(result, shown, &fault);
        // Said once is enough.
        self.ended |= fault.fault == Fault::NoEof;
        self.lines += 1;
        self.looked = 0;
        LineEnd::Next(next)
    }

    /// What a line says that ends with CRLF, which ends a line of text where each is taken by itself, as
    /// VictoriaMetrics has it. `read` is what it says with the carriage return in it.
    fn read_crlf(
        &mut self,
        read: &Result<Line, Stop>,
        window: &[u8],
        closed: bool,
    ) -> Option<Result<Line, Stop>> {
        if self.options.syntax != Syntax::Text || self.options.faults != Faults::Line {
            return None;
        }
        let next = match read {
            Ok(line) => line.next,
            // Newlines before the fault are in quotes.
            Err(Stop::Fault(fault)) => match memchr::memchr(b'\n', &window[fault.at.min(window.len())..]) {
                Some(newline) => fault.at + newline + 1,
                None if closed => window.len(),
                None => return None,
            },
            Err(Stop::Incomplete) => return None,
        };
        let line = &window[..next];
        let text = line.strip_suffix(b"\n").unwrap_or(line).strip_suffix(b"\r")?;
        let read = line::read(Syntax::Text, text, true, &mut self.tokens);
        Some(read.map(|line| Line { next, ..line }))
    }

    /// Throws away the rest of a line that was too long; the answer is how much of `input` that was.
    #[cold]
    fn skip(&mut self, input: &[u8]) -> usize {
        self.looked = 0;
        match memchr::memchr(b'\n', input) {
            Some(newline) => {
                self.skipping = false;
                self.lines += 1;
                newline + 1
            }
            None => input.len(),
        }
    }

    /// Takes what a line says. `input[at..]` starts with it, and so does `text`.
    #[expect(clippy::too_many_arguments, reason = "one call, of which half is where the line stands")]
    fn take_line<I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        text: &[u8],
        line: &Line,
        missed: Option<usize>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Full>, LineFault> {
        match &line.content {
            Content::Nothing => {}
            Content::Eof => self.ended = true,
            Content::Metadata(metadata) => return Ok(self.take_metadata(text, metadata, intake)),
            Content::Sample(sample) => {
                // It may start with a blank, and then this is the first look at it.
                if self.spoken.tell(intake).is_err() {
                    return Ok(Err(Full));
                }
                if self.options.syntax == Syntax::OpenMetrics {
                    self.starts.survey(input, at, self.family_len, self.kind, &mut Work::whole());
                }
                return self.take_sample(text, sample, missed, intake, result);
            }
        }
        Ok(Ok(()))
    }

    fn take_metadata<I: Intake>(
        &mut self,
        text: &[u8],
        metadata: &Metadata,
        intake: &mut I,
    ) -> Result<(), Full> {
        if self.spoken.is_untold() && self.spoken.differs(text, metadata) {
            self.spoken.tell(intake)?;
        }
        self.spoken.hear(self.options.syntax, text, metadata);
        if let Said::Type(kind) = metadata.said {
            self.kind = kind;
            self.prefix.set_kind(kind);
        }
        self.family_len = metadata.name.of(text).len();
        self.starts.begin_family();
        Ok(())
    }

    fn take_sample<I: Intake>(
        &mut self,
        text: &[u8],
        sample: &Sample,
        missed: Option<usize>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Full>, LineFault> {
        let start = match self.starts.are_known() {
            true => self.starts.of_row(text, &self.tokens, self.family_len, self.kind),
            false => Start::None,
        };
        if start == Start::IsOne && !self.options.keep_created {
            return Ok(Ok(()));
        }
        let time_ns = match sample.time_ms {
            None => self.options.default_time_ns,
            Some(ms) => ms.checked_mul(NANOS_PER_MILLI).ok_or_else(|| Fault::TimeOutOfRange.at(0))?,
        };
        let refused = |refusal| Fault::Refused(refusal).at(0);
        let raw = sample.key.of(text);
        let of_lines = memchr::memchr(b'\n', raw).is_some();
        let key = match of_lines {
            true => self.prefix.key_of_lines(raw, &mut self.key),
            false => self.prefix.key(raw, &mut self.key),
        };
        let was_asked = missed == Some(raw.len()) && sample.key.start == 0 && !of_lines;
        let known = if was_asked { None } else { intake.find(key) };
        let series = match known {
            Some(series) => series,
            None => {
                line::check_names(text, &self.tokens, &mut self.names)?;
                let given = &self.options.labels;
                self.names.series(text, &self.tokens, self.kind, given, &mut self.labels);
                intake.define(key, &mut self.labels).map_err(refused)?
            }
        };
        if !self.row_taken {
            let pushed = match start {
                Start::At(start_ns) => {
                    let shape = self.shapes.started(series, intake).map_err(refused)?;
                    intake.push(series, shape, time_ns, &[sample.value_bits, start_ns as u64], &[])
                }
                _ => {
                    let shape = self.shapes.plain(series, intake).map_err(refused)?;
                    intake.push(series, shape, time_ns, &[sample.value_bits], &[])
                }
            };
            if pushed.is_err() {
                return Ok(Err(Full));
            }
            result.accepted += 1;
            result.samples += 1;
        }
        if let Some(exemplar) = &sample.exemplar {
            self.exemplar_labels.clear();
            self.names.exemplar(text, &self.tokens.exemplar_labels, &mut self.exemplar_labels);
            // As in the server: an exemplar without a time has that of its row. One out of range is left out.
            let time_ns = exemplar.time_ms.map_or(Some(time_ns), |ms| ms.checked_mul(NANOS_PER_MILLI));
            if let Some(time_ns) = time_ns {
                let value_bits = exemplar.value_bits;
                let exemplar = Exemplar { field: VALUE, time_ns, value_bits, labels: &self.exemplar_labels };
                if intake.exemplar(series, &exemplar).is_err() {
                    self.row_taken = true;
                    return Ok(Err(Full));
                }
            }
        }
        self.row_taken = false;
        Ok(Ok(()))
    }

    fn reject(&self, result: &mut WriteResult, line: &[u8], fault: &LineFault) {
        result.reject(self.lines + 1, fault.fault.reason(), line, || fault.to_string());
    }
}

impl Decode for Decoder {
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        if self.options.faults == Faults::Line {
            return Ok(());
        }
        let (read, syntax) = (self.read, self.options.syntax);
        read_whole(read, syntax, body, &mut self.tokens, &mut self.names, |_, _, _| Ok(()))
    }

    fn rewind(&mut self) {
        self.kind = MetricType::Unknown;
        self.prefix.set_kind(MetricType::Unknown);
        self.family_len = 0;
        self.spoken.clear();
        self.starts.clear();
        self.shapes.clear();
        (self.lines, self.looked, self.at, self.announced) = (0, 0, 0, 0);
        (self.skipping, self.ended, self.row_taken) = (false, false, false);
    }

    /// Faults are by line from 1: blank lines, comments and metadata count, and so do newlines in quotes. What was not
    /// consumed is never longer than [`LINE_BYTES_MAX`], unless the decoder [wants](Decoder::wants_whole) its body
    /// whole.
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        self.shapes.enter_epoch(intake.epoch());
        self.announced = 0;
        if !self.wants_whole() {
            return self.take_lines(input, 0, last, intake, result);
        }
        if !last {
            return Fed { consumed: 0, state: FedState::NeedMore };
        }
        let fed = self.take_lines(input, self.at, true, intake, result);
        self.at = fed.consumed;
        Fed { consumed: if fed.state == FedState::Done { input.len() } else { 0 }, state: fed.state }
    }
}

/// Reads a body that a bad line costs, and calls `visit` with every line and what it says.
pub(super) fn read_whole(
    read: LineReader,
    syntax: Syntax,
    body: &[u8],
    tokens: &mut Tokens,
    names: &mut Names,
    mut visit: impl FnMut(&[u8], &Line, &Tokens) -> Result<(), LineFault>,
) -> Result<(), Malformed> {
    let mut at = 0;
    let mut lines = 0;
    let mut ended = false;
    while at < body.len() {
        let rest = &body[at..];
        let text = &rest[..rest.len().min(LINE_BYTES_MAX + 1)];
        let read = match read(syntax, text, text.len() == rest.len(), tokens) {
            _ if ended => Err(Fault::AfterEof.at(0)),
            Ok(line) => match line.content {
                Content::Sample(_) => line::check_names(text, tokens, names).map(|()| line),
                _ => Ok(line),
            },
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Incomplete) => Err(Fault::TooLong.at(0)),
        };
        let line = read
            .and_then(|line| visit(text, &line, tokens).map(|()| line))
            .map_err(|fault| Malformed { error: format!("line {}: {fault}", lines + 1) })?;
        ended = line.content == Content::Eof;
        lines += newlines(&text[..line.next]);
        at += line.next;
    }
    if syntax == Syntax::OpenMetrics && !ended {
        return Err(Malformed { error: Fault::NoEof.to_string() });
    }
    Ok(())
}

/// The length of the name and labels that a line starts with, as far as that is plain to see.
#[inline]
pub(super) fn key_len(line: &[u8]) -> Option<usize> {
    let first = *line.first()?;
    if !starts_name(first) && first != b'{' {
        return None;
    }
    let mut at = line.iter().position(|&b| !in_name(b))?;
    if line[at] != b'{' {
        return Some(at);
    }
    let bound = line.len().min(LINE_BYTES_MAX);
    let mut quoted = false;
    loop {
        at += 1;
        let rest = line.get(at..bound)?;
        if quoted {
            at += memchr::memchr2(b'"', b'\\', rest)?;
            if line[at] == b'"' {
                quoted = false;
            } else {
                at += 1;
            }
        } else {
            at += memchr::memchr3(b'"', b'}', b'\n', rest)?;
            match line[at] {
                b'"' => quoted = true,
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Lines whose keys are announced together.
const AHEAD_LINES: usize = 16;

/// A piece of a line that is longer is not looked at again before it has doubled.
const LOOKED_BYTES_MIN: usize = 4096;
