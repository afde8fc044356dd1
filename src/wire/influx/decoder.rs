//! The decoder: lines in, rows out, faults by line.
//!
//! A line goes the fast way if its key is the predicted one or is found, and its fields are those of the series'
//! previous row. Else it goes the plain way: its end is searched, then it is parsed byte by byte. Both give the same
//! rows. A row is pushed whole or not at all.

use crate::model::{Full, Intake, LabelsBuf, Refusal, Series, ShapeId, WriteResult};

use super::fault::{Fault, LineFault};
use super::fields::Fields;
use super::key::{NameScratch, key_end, parse_labels};
use super::line::LineSearch;
use super::plan::Plans;
use super::scan::{self, Scan};
use super::time::{Clockwork, Precision};
use super::{Dialect, KEY_BYTES_MAX_V1, LINE_BYTES_MAX};
use crate::wire::{Decode, Fed, FedState};

/// A decoder of one body at a time.
///
/// ```
/// use tidegate::wire::influx::{Decoder, Dialect, Precision};
/// let _decoder = Decoder::new(Dialect::V1, Precision::Nanos, 1_700_000_000_000_000_000);
/// ```
#[derive(Debug)]
pub struct Decoder {
    dialect: Dialect,
    clockwork: Clockwork,
    /// Lines done with.
    lines: u64,
    /// The search for the end of the line that the unconsumed input starts with, and how far it got.
    search: LineSearch,
    looked: usize,
    /// The line was too long: the rest of it is to be thrown away.
    skipping: bool,
    plans: Plans,
    fields: Fields,
    labels: LabelsBuf,
    names: NameScratch,
    ahead: Ahead,
    /// The shape of the last row taken: what a new series' row probably looks like.
    last_shape: ShapeId,
}

/// What became of a line.
enum LineEnd {
    /// The next line starts here.
    Next(usize),
    /// Its end is not in the input.
    Incomplete,
    TooLong,
    Full,
}

impl Decoder {
    /// A decoder for a body in `dialect`, whose timestamps count in `precision`.
    ///
    /// Lines without a timestamp get `default_time_ns`, truncated to the precision: the server's clock, read once
    /// for the request.
    pub fn new(dialect: Dialect, precision: Precision, default_time_ns: i64) -> Decoder {
        Decoder {
            dialect,
            clockwork: Clockwork::new(dialect, precision, default_time_ns),
            lines: 0,
            search: LineSearch::default(),
            looked: 0,
            skipping: false,
            plans: Plans::default(),
            fields: Fields::default(),
            labels: LabelsBuf::default(),
            names: NameScratch::default(),
            ahead: Ahead::default(),
            last_shape: ShapeId::NONE,
        }
    }

    /// Makes the decoder ready for another body, perhaps of another intake, and keeps its memory.
    pub fn reset(&mut self, dialect: Dialect, precision: Precision, default_time_ns: i64) {
        self.dialect = dialect;
        self.clockwork = Clockwork::new(dialect, precision, default_time_ns);
        self.rewind();
    }

    /// Tells the time of lines without a timestamp that are fed from now on, for streams that have no end.
    pub fn set_default_time(&mut self, default_time_ns: i64) {
        self.clockwork.set_default(default_time_ns);
    }

    /// [`feed`](Decode::feed) as on a processor without vector instructions.
    #[doc(hidden)]
    pub fn feed_scalar<I: Intake>(
        &mut self,
        input: &[u8],
        last: bool,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fed {
        if self.plans.enter_epoch(intake.epoch()) {
            self.last_shape = ShapeId::NONE;
        }
        self.ahead.clear();
        self.feed_with::<scan::scalar::Scalar, I>(input, last, intake, result)
    }

    #[inline(always)]
    fn feed_with<S: Scan, I: Intake>(
        &mut self,
        input: &[u8],
        last: bool,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fed {
        let mut at = if self.skipping { self.skip(input) } else { 0 };
        // Behind the last newline there is no whole line: its key is not asked for before the rest has come.
        let whole_end = if last { input.len() } else { self.last_newline(input, at) };
        while at < input.len() {
            if at >= whole_end && self.looked == 0 && input.len() - at <= LOOKED_BYTES_MAX {
                // A short piece of a line comes again: it is not worth a search.
                break;
            }
            let fast = at < whole_end && self.looked <= LOOKED_BYTES_MAX;
            let tried =
                if fast { self.take_fast::<S, I>(input, at, intake, result) } else { Fast::Unexpected(None) };
            let key = match tried {
                Fast::Row(next) => {
                    at = next;
                    continue;
                }
                Fast::Full => return Fed { consumed: at, state: FedState::Full },
                Fast::Unexpected(key) => key,
            };
            match self.take_plain::<S, I>(input, at, last, key, intake, result) {
                LineEnd::Next(next) => at = next,
                LineEnd::Full => return Fed { consumed: at, state: FedState::Full },
                LineEnd::Incomplete => return Fed { consumed: at, state: FedState::NeedMore },
                LineEnd::TooLong => {
                    at += self.looked;
                    self.skipping = true;
                    at += self.skip(&input[at..]);
                }
            }
        }
        Fed { consumed: at, state: if last { FedState::Done } else { FedState::NeedMore } }
    }

    /// Behind the last newline of the input that was not looked at before; `at` if there is none.
    fn last_newline(&self, input: &[u8], at: usize) -> usize {
        let from = (at + self.looked).min(input.len());
        memchr::memrchr(b'\n', &input[from..]).map_or(at, |i| from + i + 1)
    }

    /// Tries the line at `at` the fast way.
    #[inline(always)]
    fn take_fast<S: Scan, I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fast {
        let predicted = intake.predicted();
        let key_len = predicted.len();
        let rest = &input[at..];
        let (series, key_end) =
            if key_len > 0 && rest.get(key_len) == Some(&b' ') && rest[..key_len] == *predicted {
                (intake.confirm(), at + key_len)
            } else {
                if intake.wants_announcements() {
                    self.ahead.announce::<S, I>(self.dialect, input, at, intake);
                }
                let end = self.ahead.key_end(at).or_else(|| key_end::<S>(self.dialect, input, at));
                let Some(end) = end.filter(|&end| end > at && self.dialect.starts_key(input[at])) else {
                    return Fast::Unexpected(None);
                };
                match intake.find(&input[at..end]) {
                    Some(series) => (series, end),
                    None => return self.take_new::<S, I>(input, at, end, intake, result),
                }
            };
        let known = Fast::Unexpected(Some(FoundKey { series: Some(series), end: key_end }));
        let Some(plan) = self.plans.plan(series.shape, self.dialect, intake) else { return known };
        self.fields.heap.clear();
        self.fields.values.resize(plan.len(), 0);
        let (values, heap) = (&mut self.fields.values, &mut self.fields.heap);
        let Some(row) = plan.read::<S>(self.dialect, &self.clockwork, input, key_end + 1, values, heap)
        else {
            return known;
        };
        if row.next - at > LINE_BYTES_MAX + 1 {
            return known;
        }
        if intake.push(series, series.shape, row.time_ns, values, heap).is_err() {
            return Fast::Full;
        }
        (self.search, self.looked) = (LineSearch::default(), 0);
        self.lines += 1;
        self.last_shape = series.shape;
        result.accepted += 1;
        result.samples += values.len() as u64;
        Fast::Row(row.next)
    }

    /// Takes the line at `at`, whose key ends at `key_end` and is new, if its fields look like the last row's. Whatever
    /// is not as expected is left to the plain way, which knows the faults.
    #[inline(never)]
    fn take_new<S: Scan, I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        key_end: usize,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fast {
        let unexpected = Fast::Unexpected(Some(FoundKey { series: None, end: key_end }));
        let key = &input[at..key_end];
        if std::str::from_utf8(key).is_err() || (self.dialect == Dialect::V1 && key.len() > KEY_BYTES_MAX_V1)
        {
            return unexpected;
        }
        let Some(plan) = self.plans.plan(self.last_shape, self.dialect, intake) else { return unexpected };
        self.fields.heap.clear();
        self.fields.values.resize(plan.len(), 0);
        let (values, heap) = (&mut self.fields.values, &mut self.fields.heap);
        let row = plan.read::<S>(self.dialect, &self.clockwork, input, key_end + 1, values, heap);
        let Some(row) = row.filter(|row| row.next - at <= LINE_BYTES_MAX + 1) else { return unexpected };
        if parse_labels(self.dialect, key, &mut self.names, &mut self.labels).is_err()
            || self.check_reserved(0).is_err()
        {
            return unexpected;
        }
        let Ok(series) = intake.define(key, &mut self.labels) else { return unexpected };
        let known = Fast::Unexpected(Some(FoundKey { series: Some(series), end: key_end }));
        let Some(shape) = intake.adopt_shape(series, self.last_shape) else { return known };
        if intake.push(series, shape, row.time_ns, &self.fields.values, &self.fields.heap).is_err() {
            return Fast::Full;
        }
        (self.search, self.looked) = (LineSearch::default(), 0);
        self.lines += 1;
        result.accepted += 1;
        result.samples += self.fields.values.len() as u64;
        Fast::Row(row.next)
    }

    /// Takes the line at `at` byte by byte. `key` is what the fast way found out about its key.
    #[cold]
    #[inline(never)]
    fn take_plain<S: Scan, I: Intake>(
        &mut self,
        input: &[u8],
        at: usize,
        last: bool,
        key: Option<FoundKey>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> LineEnd {
        let rest = &input[at..];
        let Some(len) = self.line_len::<S>(rest, last) else {
            if self.looked <= LINE_BYTES_MAX {
                return LineEnd::Incomplete;
            }
            self.reject(result, &rest[..self.looked], &Fault::LineTooLong.at(0));
            return LineEnd::TooLong;
        };
        (self.search, self.looked) = (LineSearch::default(), 0);
        let whole = &rest[..len];
        let line = match whole {
            [line @ .., b'\r'] if self.dialect.takes_crlf() => line,
            _ => whole,
        };
        let indent = line.iter().take_while(|&&b| self.dialect.is_indent(b)).count();
        let fault = match &line[indent..] {
            [] => None,
            [b'#', comment @ ..] => {
                let bad = self.dialect == Dialect::V2 && comment.iter().any(|&b| super::key::is_control(b));
                bad.then(|| Fault::BadComment.at(indent))
            }
            _ => {
                let key = key.map(|key| FoundKey { end: key.end - at, ..key });
                match self.take_row(line, indent, key, intake, result) {
                    Ok(Ok(())) => None,
                    Ok(Err(Full)) => return LineEnd::Full,
                    Err(fault) => Some(fault),
                }
            }
        };
        let mut next = at + (len + 1).min(rest.len());
        if let Some(fault) = fault {
            let mut shown = line;
            if self.dialect == Dialect::V2 && fault.fault.ends_line() {
                // The second dialect gives up on a line at its first fault; quotes behind it mean nothing.
                let from = fault.at.min(line.len());
                if let Some(newline) = memchr::memchr(b'\n', &line[from..]) {
                    shown = &line[..from + newline];
                    next = at + from + newline + 1;
                }
            }
            self.reject(result, &shown[indent.min(shown.len())..], &fault);
        }
        self.lines += 1;
        LineEnd::Next(next)
    }

    /// The length of the line that `rest` starts with; none if its end is not there or it is too long.
    fn line_len<S: Scan>(&mut self, rest: &[u8], last: bool) -> Option<usize> {
        let bound = rest.len().min(LINE_BYTES_MAX + 1);
        if self.looked == 0 {
            // Without quotes and backslashes the first newline is the end.
            let newline = S::newline(&rest[..bound], 0);
            if newline < bound && S::string_stop(&rest[..newline], 0) == newline {
                return Some(newline);
            }
        }
        if let Some(end) = self.search.advance(self.dialect, &rest[self.looked..bound]) {
            return Some(self.looked + end);
        }
        self.looked = bound;
        (last && bound <= LINE_BYTES_MAX).then_some(bound)
    }

    /// Throws away the rest of a line that was too long; the answer is how much of `input` that was.
    #[cold]
    fn skip(&mut self, input: &[u8]) -> usize {
        match self.search.advance(self.dialect, input) {
            Some(end) => {
                (self.search, self.looked, self.skipping) = (LineSearch::default(), 0, false);
                self.lines += 1;
                end + 1
            }
            None => input.len(),
        }
    }

    /// Takes the row of a line that is neither blank nor comment.
    fn take_row<I: Intake>(
        &mut self,
        line: &[u8],
        indent: usize,
        found: Option<FoundKey>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Full>, LineFault> {
        let key_end = found.map_or_else(|| self.plain_key_end(line, indent), |found| found.end);
        let key = &line[indent..key_end];
        if self.dialect == Dialect::V1 && key.len() > KEY_BYTES_MAX_V1 {
            return Err(Fault::NameTooLong.at(indent));
        }
        let known = match found {
            Some(found) => found.series,
            None => intake.find(key),
        };
        if known.is_none() {
            parse_labels(self.dialect, key, &mut self.names, &mut self.labels)
                .map_err(|fault| fault.fault.at(fault.at + indent))?;
        }
        let time_ns = self.fields.parse(self.dialect, &self.clockwork, line, indent, key_end)?;
        if let Err(e) = std::str::from_utf8(line) {
            return Err(Fault::NotUtf8.at(e.valid_up_to()));
        }
        if known.is_none() {
            self.check_reserved(indent)?;
        }
        self.fields.settle_duplicates(self.dialect)?;
        let refused = |refusal: Refusal| Fault::Refused(refusal).at(indent);
        let series = match known {
            Some(series) => series,
            None => intake.define(key, &mut self.labels).map_err(refused)?,
        };
        let (pushed, (shape, samples)) = self.fields.with_texts(line, |texts, values, heap| {
            let shape: ShapeId = intake.define_shape(series, texts).map_err(refused)?;
            Ok((intake.push(series, shape, time_ns, values, heap), (shape, values.len() as u64)))
        })?;
        if pushed.is_ok() {
            self.last_shape = shape;
            result.accepted += 1;
            result.samples += samples;
        }
        Ok(pushed)
    }

    /// Refuses labels that have a reserved name. Not before the line is known to be well-formed: where a malformed
    /// line ends depends on its fault.
    fn check_reserved(&self, at: usize) -> Result<(), LineFault> {
        // The first label is the measurement's own.
        match self.labels.iter().skip(1).find(|(name, _)| self.dialect.reserves_tag(name)) {
            None => Ok(()),
            Some((name, _)) => Err(Fault::ReservedTag(String::from_utf8_lossy(name).into_owned()).at(at)),
        }
    }

    /// Where the key of a whole line ends: at its first unescaped space, or the line's end.
    fn plain_key_end(&self, line: &[u8], from: usize) -> usize {
        super::text::name_end(self.dialect.escapes_backslash(), line, from, |b| b == b' ')
    }

    fn reject(&self, result: &mut WriteResult, line: &[u8], fault: &LineFault) {
        result.reject(self.lines + 1, fault.fault.reason(), line, || fault.to_string());
    }
}

impl Decode for Decoder {
    fn rewind(&mut self) {
        self.lines = 0;
        self.search = LineSearch::default();
        self.looked = 0;
        self.skipping = false;
        self.last_shape = ShapeId::NONE;
        self.plans.clear();
    }

    /// Takes as many whole lines of `input` as it can.
    ///
    /// Faults are by line from 1: blank lines and comments count, a newline in a string does not. What was not
    /// consumed is never longer than [`LINE_BYTES_MAX`]. A body uses one intake until [`Decoder::reset`].
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        if self.plans.enter_epoch(intake.epoch()) {
            self.last_shape = ShapeId::NONE;
        }
        self.ahead.clear();
        scan::dispatch(Feeding { decoder: self, input, last, intake, result })
    }
}

/// What the fast way made of a line.
enum Fast {
    /// A row; the next line starts here.
    Row(usize),
    /// The intake has no room.
    Full,
    /// Not for the fast way.
    Unexpected(Option<FoundKey>),
}

/// A line's key that the intake was asked for.
#[derive(Clone, Copy)]
struct FoundKey {
    series: Option<Series>,
    /// Where it ends.
    end: usize,
}

/// A `feed` that waits for its [`Scan`].
struct Feeding<'a, I> {
    decoder: &'a mut Decoder,
    input: &'a [u8],
    last: bool,
    intake: &'a mut I,
    result: &'a mut WriteResult,
}

impl<I: Intake> scan::Job for Feeding<'_, I> {
    type Answer = Fed;

    #[inline(always)]
    fn run<S: Scan>(self) -> Fed {
        self.decoder.feed_with::<S, I>(self.input, self.last, self.intake, self.result)
    }
}

/// Key ends found ahead of the line being taken, for announcing: where lines start and where their keys end.
#[derive(Default, Debug)]
struct Ahead {
    found: [(usize, usize); AHEAD_LINES],
    next: usize,
    len: usize,
    /// Where the line behind the last found one starts.
    front: usize,
}

impl Ahead {
    fn clear(&mut self) {
        (self.next, self.len, self.front) = (0, 0, 0);
    }

    /// Announces the keys of the lines from `at` on, unless some that were announced are still to come.
    #[inline(always)]
    fn announce<S: Scan, I: Intake>(&mut self, dialect: Dialect, input: &[u8], at: usize, intake: &mut I) {
        while self.next < self.len && self.found[self.next].0 < at {
            self.next += 1;
        }
        if self.next < self.len {
            return;
        }
        (self.next, self.len) = (0, 0);
        let mut start = at.max(self.front);
        while self.len < AHEAD_LINES && start < input.len() {
            if let Some(end) = key_end::<S>(dialect, input, start)
                && end > start
                && dialect.starts_key(input[start])
            {
                intake.announce(&input[start..end]);
                self.found[self.len] = (start, end);
                self.len += 1;
            }
            start = S::newline(input, start) + 1;
        }
        self.front = start;
    }

    /// Where the key of the line at `at` ends, if that was found ahead.
    #[inline(always)]
    fn key_end(&mut self, at: usize) -> Option<usize> {
        let (start, end) = *self.found[..self.len].get(self.next)?;
        if start != at {
            return None;
        }
        self.next += 1;
        Some(end)
    }
}

/// A line that came in pieces is tried the fast way again up to this length; beyond it, it is looked at once only.
const LOOKED_BYTES_MAX: usize = 4096;

/// Lines whose keys are announced together: enough for a fetch from memory to pass while they are found.
const AHEAD_LINES: usize = 16;
