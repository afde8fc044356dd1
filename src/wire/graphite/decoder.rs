//! The decoder: lines in, rows out, faults by line.

use crate::bytes::{Line, LineCutter};
use crate::model::{
    FieldText, FieldType, Full, Intake, LabelsBuf, METRIC_NAME, Refusal, Series, ShapeId, WriteResult,
};
use crate::wire::{Decode, Fed, FedState};

use super::LINE_BYTES_MAX;

/// A decoder of one stream at a time.
///
/// ```
/// use tidegate::model::WriteResult;
/// use tidegate::wire::{Decode, graphite, testing::Rows};
///
/// let (mut rows, mut result) = (Rows::default(), WriteResult::default());
/// let mut decoder = graphite::Decoder::new(1_700_000_000_000_000_000);
/// decoder.feed(b"servers.a.load;dc=eu 0.5 -1\n", true, &mut rows, &mut result);
/// assert_eq!(rows.rows[0].time_ns, 1_700_000_000_000_000_000);
/// assert_eq!(rows.rows[0].labels[0], ("__name__".to_owned(), "servers.a.load".to_owned()));
/// ```
#[derive(Debug)]
pub struct Decoder {
    now_ns: i64,
    cutter: LineCutter,
    labels: LabelsBuf,
    /// The shape of the last new series' rows, in this epoch of the intake.
    shape: ShapeId,
    epoch: u64,
    /// Up to here keys have been announced.
    announced: usize,
}

/// Why a line is not taken.
#[derive(Debug)]
enum Fault {
    Words(usize),
    Value,
    NotANumber,
    Time,
    TimeRange,
    NotUtf8,
    NoPath,
    TooLong,
    Refused(Refusal),
}

/// The words of a line.
struct Words<'a> {
    path: &'a [u8],
    value: &'a [u8],
    time: &'a [u8],
}

impl Decoder {
    /// A decoder for a new stream. `now_ns` is the time of rows that ask for it.
    pub fn new(now_ns: i64) -> Decoder {
        Decoder {
            now_ns,
            cutter: LineCutter::new(LINE_BYTES_MAX),
            labels: LabelsBuf::default(),
            shape: ShapeId::NONE,
            epoch: 0,
            announced: 0,
        }
    }

    /// Tells the time of arrival of what is fed next, in nanoseconds since the Unix epoch.
    pub fn set_now(&mut self, now_ns: i64) {
        self.now_ns = now_ns;
    }

    /// Takes the row of a line; a blank one has none.
    #[inline]
    fn take<I: Intake>(&mut self, line: &[u8], intake: &mut I) -> Result<Result<bool, Full>, Fault> {
        let Some(words) = split(line)? else { return Ok(Ok(false)) };
        let value: f64 = fast_float2::parse(words.value).map_err(|_| Fault::Value)?;
        if value.is_nan() {
            return Err(Fault::NotANumber);
        }
        let time_ns = self.time_ns(words.time)?;
        let predicted = intake.predicted();
        let known = if !predicted.is_empty() && predicted == words.path {
            Some(intake.confirm())
        } else {
            intake.find(words.path)
        };
        let series = match known {
            Some(series) => series,
            None => {
                parse_labels(words.path, &mut self.labels)?;
                intake.define(words.path, &mut self.labels).map_err(Fault::Refused)?
            }
        };
        // All rows of this format have the same field.
        let shape = match series.shape {
            ShapeId::NONE => self.shape_of(series, intake)?,
            shape => shape,
        };
        Ok(intake.push(series, shape, time_ns, &[value.to_bits()], &[]).map(|()| true))
    }

    /// The shape for a series that has no row yet.
    #[cold]
    fn shape_of<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Fault> {
        let adopted = match self.shape {
            ShapeId::NONE => None,
            like => intake.adopt_shape(series, like),
        };
        self.shape = match adopted {
            Some(shape) => shape,
            None => intake.define_shape(series, &[VALUE]).map_err(Fault::Refused)?,
        };
        Ok(self.shape)
    }

    /// The nanoseconds of a timestamp in seconds.
    #[inline]
    fn time_ns(&self, text: &[u8]) -> Result<i64, Fault> {
        let seconds = match digits(text) {
            Some(seconds) => seconds,
            None => {
                let seconds: f64 = fast_float2::parse(text).map_err(|_| Fault::Time)?;
                if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
                    return Err(Fault::TimeRange);
                }
                seconds.trunc() as i64
            }
        };
        if seconds == NOW { Ok(self.now_ns) } else { seconds.checked_mul(NS_PER_S).ok_or(Fault::TimeRange) }
    }

    #[cold]
    fn reject(&self, line: &[u8], fault: &Fault, result: &mut WriteResult) {
        result.reject(self.cutter.number(), fault.reason(), line, || fault.to_string());
    }

    /// Announces the keys of the next lines, unless some that were announced are still to come.
    fn announce<I: Intake>(&mut self, input: &[u8], at: usize, intake: &mut I) {
        if at < self.announced {
            return;
        }
        let mut from = at;
        for _ in 0..AHEAD_LINES {
            let Some(newline) = memchr::memchr(b'\n', &input[from..]) else { break };
            let line = input[from..from + newline].trim_ascii_start();
            let end = line.iter().position(|&b| is_space(b)).unwrap_or(0);
            if end > 0 {
                intake.announce(&line[..end]);
            }
            from += newline + 1;
        }
        self.announced = from;
    }
}

impl Decode for Decoder {
    fn rewind(&mut self) {
        self.cutter.reset();
    }

    /// Takes as many whole lines of `input` as it can. What was not consumed is never longer than [`LINE_BYTES_MAX`].
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        if self.epoch != intake.epoch() {
            self.epoch = intake.epoch();
            self.shape = ShapeId::NONE;
        }
        self.announced = 0;
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let line = self.cutter.cut(rest, last);
            match line {
                Line::Whole(text) => {
                    if intake.wants_announcements() {
                        self.announce(input, at, intake);
                    }
                    match self.take(text, intake) {
                        Ok(Ok(true)) => {
                            result.accepted += 1;
                            result.samples += 1;
                        }
                        Ok(Ok(false)) => {}
                        Ok(Err(Full)) => return Fed { consumed: at, state: FedState::Full },
                        Err(fault) => self.reject(text, &fault, result),
                    }
                }
                Line::TooLong(start) => self.reject(start, &Fault::TooLong, result),
                Line::Incomplete(0) => break,
                Line::Incomplete(_) => {}
            }
            at += self.cutter.pass(line, rest);
        }
        Fed { consumed: at, state: if last { FedState::Done } else { FedState::NeedMore } }
    }
}

/// The three words of a line, or none if it is blank.
#[inline]
fn split(line: &[u8]) -> Result<Option<Words<'_>>, Fault> {
    let mut words = line.split(|&b| is_space(b)).filter(|word| !word.is_empty());
    let Some(path) = words.next() else { return Ok(None) };
    let (value, time) = match (words.next(), words.next()) {
        (Some(value), Some(time)) => (value, time),
        (value, _) => return Err(Fault::Words(1 + usize::from(value.is_some()))),
    };
    match words.count() {
        0 => Ok(Some(Words { path, value, time })),
        more => Err(Fault::Words(3 + more)),
    }
}

/// The number that a few digits spell, an optional minus before them; none where the text is anything else.
#[inline]
fn digits(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > DIGITS_SAFE {
        return None;
    }
    let mut value = 0;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(if negative { -value } else { value })
}

/// The labels of a path with its tags.
fn parse_labels(path: &[u8], labels: &mut LabelsBuf) -> Result<(), Fault> {
    if std::str::from_utf8(path).is_err() {
        return Err(Fault::NotUtf8);
    }
    let mut segments = path.split(|&b| b == b';');
    let name = segments.next().filter(|name| !name.is_empty()).ok_or(Fault::NoPath)?;
    labels.clear();
    labels.push(METRIC_NAME, name);
    for (tag, value) in segments.filter_map(tag) {
        if tag == METRIC_NAME {
            // Refused as one name too many.
            labels.push(tag, value);
        } else {
            labels.set(tag, value);
        }
    }
    Ok(())
}

/// The name and value of a tag; none if it is to be left out.
fn tag(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', segment)?;
    let (name, value) = (&segment[..equals], &segment[equals + 1..]);
    let sound = !name.is_empty() && !name.iter().any(|b| matches!(b, b'!' | b'^'));
    (sound && !value.is_empty() && value[0] != b'~').then_some((name, value))
}

/// What separates words.
#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

impl Fault {
    fn reason(&self) -> &'static str {
        match self {
            Fault::Refused(refusal) => refusal.reason(),
            Fault::NotANumber => "nan",
            Fault::TimeRange => "timestamp",
            Fault::TooLong => "too_large",
            _ => "syntax",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Words(count) => write!(f, "expected metric, value and timestamp, found {count} words"),
            Fault::Value => f.write_str("the value is not a number"),
            Fault::NotANumber => f.write_str("the value is NaN, which carbon does not keep"),
            Fault::Time => f.write_str("the timestamp is not a number"),
            Fault::TimeRange => f.write_str("the timestamp is outside the range of nanoseconds in 64 bits"),
            Fault::NotUtf8 => f.write_str("the metric is not UTF-8"),
            Fault::NoPath => f.write_str("tags without a metric"),
            Fault::TooLong => write!(f, "the line is over {LINE_BYTES_MAX} bytes"),
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// The field of every row.
const VALUE: FieldText<'_> = FieldText { text: b"value", name: b"value", kind: FieldType::F64 };

/// The timestamp that stands for the time of arrival.
const NOW: i64 = -1;

const NS_PER_S: i64 = 1_000_000_000;

/// So many digits always fit.
const DIGITS_SAFE: usize = 18;

/// Lines whose keys are announced together.
const AHEAD_LINES: usize = 16;
