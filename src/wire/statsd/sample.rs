//! A line of metrics: `name:value|type`, and what may follow.

use std::num::IntErrorKind;

use super::fault::Fault;
use super::tags::{Labels, TagStyles, dog_tags, name_tags};
use crate::model::LabelsBuf;

/// What becomes of a sample's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Added.
    Counter,
    /// Put in the place of the one before.
    Gauge,
    /// Added to the gauge's value.
    GaugeChange,
    /// One of many, of which count, sum and percentiles are wanted.
    Observation,
    /// Counted once, however often it comes.
    Set,
}

/// A sample.
#[derive(Debug)]
pub struct Sample<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its value: of a timer in seconds, of a counter divided by its rate, of a set 0.
    pub value: f64,
    /// Of an observation, how many it stands for.
    pub weight: u64,
    /// Of a set, the member.
    pub member: &'a [u8],
    /// When it was, in seconds since the Unix epoch: then it is not added up.
    pub time_s: Option<i64>,
    /// How to read the same line with another value, where that can be said.
    pub repeat: Option<Repeat>,
    /// Name and tags, in no order.
    pub labels: &'a mut LabelsBuf,
}

/// What a line makes of whatever its value is, if that is an unsigned number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Repeat {
    kind: Kind,
    /// The value is divided by it: the rate of a counter, 1000 of a timer.
    divisor: f64,
    weight: u64,
}

impl Repeat {
    /// Kind, value and weight of a sample that has this text for its value; `None` if the line is to be read whole.
    pub(super) fn read(self, text: &[u8]) -> Option<(Kind, f64, u64)> {
        if matches!(text.first(), Some(b'+' | b'-')) {
            return None;
        }
        let value: f64 = fast_float2::parse(text).ok().filter(|value: &f64| value.is_finite())?;
        Some((self.kind, divided(value, self.divisor), self.weight))
    }
}

/// A value that no rate makes infinite.
fn divided(value: f64, divisor: f64) -> f64 {
    let divided = value / divisor;
    if divided.is_finite() { divided } else { value }
}

/// Reads lines. Keeps nothing from one to the next but memory.
#[derive(Default, Debug)]
pub struct Parser {
    styles: TagStyles,
    pub(super) labels: Labels,
}

impl Parser {
    /// A parser that reads these tags.
    pub fn new(styles: TagStyles) -> Parser {
        Parser { styles, labels: Labels::default() }
    }

    /// Reads a line of metrics that is not empty, and gives every sample of it, or why one is not taken.
    pub fn read(&mut self, line: &[u8], each: &mut dyn FnMut(Result<Sample<'_>, Fault>)) {
        let (name, rest) = match memchr::memchr(b':', line) {
            Some(colon) if colon > 0 => (&line[..colon], &line[colon + 1..]),
            _ => return each(Err(Fault::Malformed("expected name:value|type"))),
        };
        if std::str::from_utf8(line).is_err() {
            return each(Err(Fault::Malformed("the line is not UTF-8")));
        }
        let dog_tags = memchr::memmem::find(rest, b"|#").is_some();
        if let Err(fault) = self.read_name(name, dog_tags) {
            return each(Err(fault));
        }
        let Some(pipe) = memchr::memchr(b'|', rest) else {
            return each(Err(Fault::Malformed("expected |type behind the value")));
        };
        let (values, suffix) = (&rest[..pipe], &rest[pipe + 1..]);
        if memchr::memchr(b':', values).is_some() {
            let kind = suffix.split(|&b| b == b'|').next().unwrap_or_default();
            if !matches!(kind, b"ms" | b"h" | b"d") {
                return each(Err(Fault::Malformed("several values need type ms, h or d")));
            }
            for value in values.split(|&b| b == b':') {
                self.read_sample(value, suffix, each);
            }
        } else if dog_tags {
            self.read_sample(values, suffix, each);
        } else {
            let mut rest = rest;
            while let Some(sample) = next_sample(&mut rest) {
                match memchr::memchr(b'|', sample) {
                    Some(pipe) => self.read_sample(&sample[..pipe], &sample[pipe + 1..], each),
                    None => each(Err(Fault::Malformed("expected |type behind the value"))),
                }
            }
        }
    }

    /// Starts the labels.
    fn read_name(&mut self, name: &[u8], has_dog_tags: bool) -> Result<(), Fault> {
        let read = self.styles == TagStyles::All;
        let (front, back, tagged) = name_tags(name, |_, _| {});
        if tagged && has_dog_tags {
            return Err(Fault::MixedTags);
        }
        if !read {
            self.labels.start(name, b"");
            return Ok(());
        }
        if front.is_empty() && back.is_empty() {
            return Err(Fault::Malformed("tags without a name"));
        }
        self.labels.start(front, back);
        if tagged {
            let labels = &mut self.labels;
            name_tags(name, |name, value| labels.set_tag(name, value));
        }
        Ok(())
    }

    fn read_sample(&mut self, value: &[u8], suffix: &[u8], each: &mut dyn FnMut(Result<Sample<'_>, Fault>)) {
        match self.parse_sample(value, suffix) {
            Ok(parsed) => each(Ok(Sample {
                kind: parsed.kind,
                value: parsed.value,
                weight: parsed.weight,
                member: if parsed.kind == Kind::Set { value } else { b"" },
                time_s: parsed.time_s,
                repeat: parsed.repeat(),
                labels: &mut self.labels.buf,
            })),
            Err(fault) => each(Err(fault)),
        }
    }

    fn parse_sample(&mut self, text: &[u8], suffix: &[u8]) -> Result<Parsed, Fault> {
        let mut sections = suffix.split(|&b| b == b'|');
        let kind_text = sections.next().unwrap_or_default();
        let signed = matches!(text.first(), Some(b'+' | b'-'));
        let kind = match kind_text {
            b"c" => Kind::Counter,
            b"g" if signed => Kind::GaugeChange,
            b"g" => Kind::Gauge,
            b"ms" | b"h" | b"d" => Kind::Observation,
            b"s" => Kind::Set,
            _ => return Err(Fault::Malformed("the type is none of c, g, ms, h, d and s")),
        };
        let is_timer = kind_text == b"ms";
        match (kind, text.first()) {
            (_, None) => return Err(Fault::Malformed("no value")),
            (Kind::Observation | Kind::Set, Some(b'+')) => {
                return Err(Fault::Malformed("only counters and gauges take a plus sign"));
            }
            (_, Some(b'-')) if is_timer => return Err(Fault::Malformed("a timer below zero")),
            _ => {}
        }
        let mut parsed = Parsed { kind, value: 0.0, weight: 1, time_s: None, divisor: 1.0, rates: 0 };
        if kind != Kind::Set {
            let value: Result<f64, _> = fast_float2::parse(text);
            // One that is not finite would spoil the sum of its interval.
            let finite = value.ok().filter(|value| value.is_finite());
            parsed.value = finite.ok_or(Fault::Malformed("the value is not a number"))?;
        }
        if is_timer {
            parsed.divide(MS_PER_S);
        }
        for (count, section) in sections.enumerate() {
            if count == SECTIONS_MAX {
                return Err(Fault::Malformed("too many sections"));
            }
            self.read_section(section, &mut parsed)?;
        }
        Ok(parsed)
    }

    fn read_section(&mut self, section: &[u8], parsed: &mut Parsed) -> Result<(), Fault> {
        match section {
            [b'@', rate @ ..] => parsed.sample(rate),
            [b'#', tags @ ..] => {
                if self.styles == TagStyles::All {
                    dog_tags(tags, &mut self.labels);
                }
            }
            [b'c', b':', container @ ..] if !container.is_empty() => {
                self.labels.set_tag(b"container_id", container);
            }
            [b'T', time @ ..] if matches!(parsed.kind, Kind::Counter | Kind::Gauge) => {
                parsed.time_s = parse_time(time)?;
            }
            // Other kinds are added up whatever their time says.
            [b'T', ..] => {}
            [b'e', b':', ..] | [b'c', b'a', b'r', b'd', b':', ..] => {}
            _ => return Err(Fault::Malformed("a section that is neither rate, tags, container nor time")),
        }
        Ok(())
    }
}

/// The seconds of `|T`. What is no number is no time: the sample then has that of its flush.
fn parse_time(text: &[u8]) -> Result<Option<i64>, Fault> {
    let time = std::str::from_utf8(text).map_or(Ok(None), |text| match text.parse::<i64>() {
        Ok(time_s) => Ok(Some(time_s)),
        Err(e) if matches!(e.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow) => {
            Err(Fault::Time)
        }
        Err(_) => Ok(None),
    })?;
    match time {
        Some(time_s) if !(1..=TIME_S_MAX).contains(&time_s) => Err(Fault::Time),
        time => Ok(time),
    }
}

/// What a sample says beside its labels.
struct Parsed {
    kind: Kind,
    value: f64,
    weight: u64,
    time_s: Option<i64>,
    divisor: f64,
    rates: u32,
}

impl Parsed {
    fn divide(&mut self, divisor: f64) {
        self.divisor = divisor;
        self.value = divided(self.value, divisor);
    }

    /// A time and a set's member are not in the value; several rates are not in one divisor.
    fn repeat(&self) -> Option<Repeat> {
        let plain = matches!(self.kind, Kind::Counter | Kind::Gauge | Kind::Observation);
        let repeat = Repeat { kind: self.kind, divisor: self.divisor, weight: self.weight };
        (plain && self.time_s.is_none() && self.rates <= 1).then_some(repeat)
    }

    /// Takes the sampling rate into account. One that makes no sense is passed over.
    fn sample(&mut self, rate: &[u8]) {
        let rate = fast_float2::parse(rate).unwrap_or(1.0);
        if !(rate > 0.0 && rate <= 1.0) {
            return;
        }
        self.rates += 1;
        match self.kind {
            Kind::Counter => self.divide(rate),
            Kind::Observation => self.weight = (1.0 / rate) as u64,
            Kind::Gauge | Kind::GaugeChange | Kind::Set => {}
        }
    }
}

/// Takes the next sample off a line that may have several: `1|c:2|c`. A colon within a section that DogStatsD begins
/// with a word and a colon separates nothing.
fn next_sample<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let (mut pipes, mut section, mut extended) = (0, 0, false);
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            b'|' => (pipes, section, extended) = (pipes + 1, at + 1, false),
            b':' if pipes >= 2 && matches!(&rest[section..at], b"c" | b"e" | b"card") => extended = true,
            b':' if !extended => {
                let sample = &rest[..at];
                *rest = &rest[at + 1..];
                return Some(sample);
            }
            _ => {}
        }
    }
    Some(std::mem::take(rest))
}

/// Sections behind the type: rate, tags, container, time, external data, cardinality.
const SECTIONS_MAX: usize = 6;

const MS_PER_S: f64 = 1000.0;

/// The last second that nanoseconds in 64 bits reach.
pub(super) const TIME_S_MAX: i64 = i64::MAX / 1_000_000_000;
