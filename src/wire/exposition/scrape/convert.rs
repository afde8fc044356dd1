//! Classic histograms in lines become native ones with custom buckets.
//!
//! Lines of one histogram are those of its `TYPE` whose labels but `le` are the same, one after the other: when others
//! come, the histogram is one more line, and what stands for its text is its key. Whether the classic lines stay is an
//! option. One that does not add up is left out, as by Prometheus. A body that is converted is always read anew.

use crate::model::{Intake, METRIC_NAME, MetricType, heap_word};

use super::super::line::{self, Content, Sample};
use super::super::number;
use super::super::protobuf::{Classic, key_of_histogram};
use super::super::starts::Start;
use super::lines::Reading;
use super::page::{Line, NO_KEY, NO_SERIES};
use super::{Failure, HeldExemplar, Scraper};

/// The histogram whose lines are being read.
#[derive(Default, Debug)]
pub(super) struct Group {
    classic: Classic,
    /// Its key; empty if there is none.
    key: Vec<u8>,
    /// The key of the line at hand.
    next: Vec<u8>,
    time_ms: Option<i64>,
    start_ns: Option<i64>,
    exemplars: Vec<HeldExemplar>,
    /// The keys of the histograms so far.
    keys: Vec<u8>,
    /// Of labels, while a key is made.
    scratch: Vec<u8>,
}

/// Which line of a histogram.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl Group {
    pub(super) fn clear(&mut self) {
        self.key.clear();
        self.keys.clear();
    }
}

impl Scraper {
    /// Takes the line at hand if it is of a classic histogram and does not stay.
    pub(super) fn gather<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        text: &[u8],
        sample: &Sample,
        len: usize,
        start: Start,
        intake: &mut I,
    ) -> Result<bool, Failure> {
        let Some(part) = self.part(text) else {
            self.close_group(reading, intake)?;
            return Ok(false);
        };
        if self.group.next != self.group.key {
            self.close_group(reading, intake)?;
            let group = &mut self.group;
            std::mem::swap(&mut group.key, &mut group.next);
            group.classic.clear();
            group.exemplars.clear();
            group.time_ms = sample.time_ms.filter(|_| reading.options.honor_timestamps);
            group.start_ns = match start {
                Start::At(ns) => Some(ns),
                _ => None,
            };
        }
        let value = f64::from_bits(sample.value_bits);
        match part {
            Part::Bucket(bound) => self.group.classic.bucket(bound, value),
            Part::Count => self.group.classic.count(value),
            Part::Sum => self.group.classic.sum(value),
        }
        if let Some(exemplar) = &sample.exemplar
            && !reading.trail.next_had(sample.key.of(text), exemplar.text.of(text))
        {
            let held = self.new_exemplar(text, exemplar, 0, None);
            self.group.exemplars.extend(held);
        }
        if reading.options.histograms.classic_too {
            return Ok(false);
        }
        self.pass_line(reading, len);
        Ok(true)
    }

    /// Adds a line that is no row.
    pub(super) fn pass_line(&mut self, reading: &mut Reading<'_>, len: usize) {
        let (start, kind) = (reading.at as u32, self.kind);
        let (key, series, flags) = (NO_KEY, NO_SERIES, Line::ANEW);
        self.lines.push(Line { start, key_len: 0, key, series, kind, flags, value_bits: 0 });
        let was_one = |line: &Line| line.has(Line::ANEW) && !line.has(Line::SAMPLE);
        let trail = &mut reading.trail;
        trail.next += usize::from(trail.old.lines.get(trail.next).is_some_and(was_one));
        reading.at += len;
    }

    /// Which line of a classic histogram this is; the histogram's key is made.
    fn part(&mut self, text: &[u8]) -> Option<Part> {
        if self.kind != MetricType::Histogram {
            return None;
        }
        // As in Prometheus labels without a value are none of the histogram, whatever its classic lines have.
        self.names.scraped(text, &self.tokens, self.kind, false, &mut self.labels);
        let name = self.labels.value_of(METRIC_NAME)?;
        let (base, part) = if let Some(base) = name.strip_suffix(b"_bucket") {
            let bound = f64::from_bits(number::parse_value(self.labels.value_of(b"le")?)?);
            (base, Part::Bucket(bound))
        } else if let Some(base) = name.strip_suffix(b"_count") {
            (base, Part::Count)
        } else {
            (name.strip_suffix(b"_sum")?, Part::Sum)
        };
        if base != &*self.family || matches!(part, Part::Bucket(bound) if bound.is_nan()) {
            return None;
        }
        let base = base.to_vec();
        self.labels.canonicalize().ok()?;
        let labels = self.labels.iter().filter(|(name, _)| *name != METRIC_NAME && *name != b"le");
        key_of_histogram(&base, labels, &mut self.group.scratch, &mut self.group.next);
        Some(part)
    }

    /// The histogram's lines are all read: it is the next line.
    pub(super) fn close_group<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        intake: &mut I,
    ) -> Result<(), Failure> {
        if self.group.key.is_empty() {
            return Ok(());
        }
        let begin = self.heap.len();
        let converted = self.group.classic.convert(false, &mut self.heap);
        self.key.clear();
        self.key.append(&mut self.group.key);
        if converted.is_err() {
            return Ok(());
        }
        let value_bits = heap_word(begin, self.heap.len() - begin);
        let mut flags = Line::SAMPLE | Line::NATIVE | Line::KEYED;
        let buckets_max = reading.options.histograms.buckets_max;
        flags |= if buckets_max > 0 && self.group.classic.buckets() > buckets_max { Line::OVER } else { 0 };
        let series = match self.find_or_define(intake) {
            Ok(series) => series,
            Err(failure) => {
                // It counts as one that was read.
                self.push_sample(reading, (0, flags), None, value_bits, 0, intake);
                return Err(failure);
            }
        };
        let line = self.lines.len() as u32;
        flags |= self.group.time_ms.map_or(0, |ms| self.hold_time(ms));
        self.starts_ns.extend(self.group.start_ns.map(|ns| (line, ns)));
        self.exemplars.extend(self.group.exemplars.drain(..).map(|held| HeldExemplar { line, ..held }));
        self.group.keys.extend_from_slice(&self.key);
        self.push_sample(reading, (self.key.len(), flags), series, value_bits, 0, intake);
        Ok(())
    }

    /// Fills `text` with the page of a body that was converted: its lines, and the keys of its histograms.
    pub(super) fn weave(&mut self, body: &[u8]) {
        let mut keys = &self.group.keys[..];
        for i in 0..self.lines.len() {
            let end = self.lines.get(i + 1).map_or(body.len(), |next| next.start as usize);
            let line = &mut self.lines[i];
            let place = line.start as usize..end;
            line.start = self.text.len() as u32;
            if line.has(Line::KEYED) {
                let (key, rest) = keys.split_at(line.key_len as usize);
                self.text.extend_from_slice(key);
                keys = rest;
            } else {
                self.text.extend_from_slice(&body[place]);
            }
        }
    }

    /// What the last `TYPE` in a stretch of metadata names.
    pub(super) fn hear_family(&mut self, reading: &Reading<'_>, text: &[u8]) {
        let mut rest = text;
        let mut tokens = std::mem::take(&mut self.settling.tokens);
        while !rest.is_empty()
            && let Ok(line) = line::read(reading.syntax, rest, true, &mut tokens)
        {
            if let Content::Metadata(metadata) = line.content
                && let line::Said::Type(_) = metadata.said
            {
                self.family.clear();
                super::super::labels::append_unescaped(metadata.name.of(rest), true, &mut self.family);
            }
            rest = &rest[line.next..];
        }
        self.settling.tokens = tokens;
    }
}
