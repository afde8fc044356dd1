//! A body in protobuf, read along the page: sample by sample, its key compared with the one that was here last time.

use crate::bytes::{read_varint, write_varint};
use crate::model::{Full, Intake, METRIC_NAME, Metadata, MetricType, Series, heap_word};

use super::super::protobuf::{
    Fault, Halt, Said, Sample, Value, key_labels, split_key, write_exemplar, write_own, write_shared,
};
use super::super::work::Work;
use super::exemplars::pass_equal;
use super::page::{Line, NO_KEY, NO_SERIES, Page, spelled};
use super::settle::Trail;
use super::{Failure, Format, HeldExemplar, LABELS_MAX, Scraper};

/// Why a family is not read to its end.
enum Stop {
    Fault(Fault),
    Failure(Failure),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl Scraper {
    /// Reads a body as far as the step's work goes; whether it has come to the end.
    pub(super) fn read_protobuf<I: Intake>(
        &mut self,
        page: &Page,
        body: &[u8],
        intake: &mut I,
        work: &mut Work,
    ) -> Result<bool, Failure> {
        let nothing = Page::default();
        let is_old = page.live && page.format == Format::Protobuf;
        let (next, same) = (self.progress.next, self.progress.same && is_old);
        let mut trail = Trail { old: if is_old { page } else { &nothing }, next, same };
        let mut reader = std::mem::take(&mut self.families);
        let mut walk = std::mem::take(&mut self.walk);
        let histograms = self.options.histograms;
        let read = walk.go(&mut reader, body, &histograms, work, |said, spot| match said {
            Said::Metadata(metadata) => {
                self.hold_metadata(&metadata, &mut trail);
                self.check_bounds().map_err(Stop::Failure)
            }
            Said::Sample(sample) => {
                self.hold_sample(sample, spot.is_first, &mut trail, intake)?;
                self.check_bounds().map_err(Stop::Failure)
            }
        });
        let family = walk.family_number();
        (self.families, self.walk) = (reader, walk);
        if read.is_ok() {
            trail.same = trail.ends_same();
        }
        (self.progress.next, self.progress.same) = (trail.next, trail.same);
        match read {
            Ok(()) => Ok(true),
            Err(Halt::Paused) => Ok(false),
            Err(Halt::By(Stop::Failure(failure))) => Err(failure),
            Err(Halt::By(Stop::Fault(fault))) => Err(Failure::Malformed(format!("family {family}: {fault}"))),
        }
    }

    fn hold_metadata(&mut self, metadata: &Metadata<'_>, trail: &mut Trail<'_>) {
        let start = self.text.len();
        self.text.push(metadata.kind as u8);
        for part in [metadata.name, metadata.unit] {
            write_varint(&mut self.text, part.len() as u64);
            self.text.extend_from_slice(part);
        }
        self.text.extend_from_slice(metadata.help);
        let is_known = trail.old.lines.get(trail.next).is_some_and(Line::is_header)
            && trail.old.bytes(trail.next) == &self.text[start..];
        trail.pass_header();
        self.hold(start, (NO_KEY, NO_SERIES), 0, u64::from(!is_known));
    }

    fn hold(&mut self, start: usize, (key, series): (u32, u32), flags: u16, value_bits: u64) {
        let (start, key_len, kind) = (start as u32, self.metric, MetricType::Unknown);
        self.lines.push(Line { start, key_len, key, series, kind, flags, value_bits });
    }

    fn hold_sample<I: Intake>(
        &mut self,
        sample: &Sample<'_>,
        is_first: bool,
        trail: &mut Trail<'_>,
        intake: &mut I,
    ) -> Result<(), Stop> {
        if sample.labels.len() > LABELS_MAX {
            return Err(Stop::Failure(Failure::labels(sample.family, sample.labels.len())));
        }
        let mut flags = Line::SAMPLE | Line::KEYED;
        let line = self.lines.len() as u32;
        let start = self.text.len();
        write_own(sample, &[], &mut self.text);
        if is_first {
            write_shared(sample, &mut self.text);
            self.metric = line;
        }
        let mut time_ns = self.time_ns;
        if let Some(ms) = sample.time_ms.filter(|_| self.options.honor_timestamps) {
            flags |= self.hold_time(ms);
            time_ns = ms.saturating_mul(NANOS_PER_MILLI);
        }
        if let Some(start_ns) = sample.start_ms.and_then(|ms| ms.checked_mul(NANOS_PER_MILLI)) {
            self.starts_ns.push((line, start_ns));
        }
        let value_bits = match sample.value {
            Value::Float(bits) => bits,
            Value::Histogram(bytes) => {
                flags |= Line::NATIVE | if sample.findings.is_over { Line::OVER } else { 0 };
                let place = heap_word(self.heap.len(), bytes.len());
                self.heap.extend_from_slice(bytes);
                place
            }
        };
        let (key, series) = match self.as_before(start, trail) {
            Some(old) => {
                flags |= old.flags & Line::DROPPED;
                (old.key, old.series)
            }
            None => {
                self.key.clear();
                write_own(sample, &[], &mut self.key);
                write_shared(sample, &mut self.key);
                match self.find_or_define(intake) {
                    Ok(Some(found)) => {
                        let series = spelled(found.key, intake);
                        if series == NO_SERIES {
                            flags |= Line::DROPPED;
                        }
                        (found.key, series)
                    }
                    Ok(None) => (NO_KEY, NO_SERIES),
                    Err(failure) => {
                        // It counts as one that was read.
                        self.hold(start, (NO_KEY, NO_SERIES), flags, value_bits);
                        return Err(Stop::Failure(failure));
                    }
                }
            }
        };
        flags |= trail.follow(key, flags, &mut self.settling);
        self.hold(start, (key, series), flags, value_bits);
        if let Some(error) = sample.findings.contradiction.filter(|_| flags & Line::DROPPED == 0) {
            return Err(Stop::Fault(Fault::Counts(error)));
        }
        let before = trail.pass_exemplars(key);
        Ok(self.hold_exemplars(sample.exemplars, before, line, time_ns)?)
    }

    /// Takes up the exemplars of the sample that was read last, and notes those that its series had not `before`.
    fn hold_exemplars(
        &mut self,
        exemplars: &[&[u8]],
        mut before: &[u8],
        line: u32,
        time_ns: i64,
    ) -> Result<(), Fault> {
        if exemplars.is_empty() {
            return Ok(());
        }
        let start = self.text.len();
        for exemplar in exemplars {
            write_varint(&mut self.text, exemplar.len() as u64);
            self.text.extend_from_slice(exemplar);
            if pass_equal(&mut before, exemplar) {
                continue;
            }
            let begin = self.exemplar_labels.len();
            let (value_bits, at_ms) = write_exemplar(exemplar, &mut self.exemplar_labels)?;
            let labels = begin..self.exemplar_labels.len();
            let time_ns = at_ms.map_or(Some(time_ns), |ms| ms.checked_mul(NANOS_PER_MILLI));
            self.exemplars.extend(time_ns.map(|time_ns| HeldExemplar { line, time_ns, value_bits, labels }));
        }
        self.hold(start, (NO_KEY, NO_SERIES), Line::EXEMPLARS, 0);
        Ok(())
    }

    /// The page's line that is next, if its key is that of the sample whose own part of it stands in the text from
    /// `start` on. What metrics share is compared once for each.
    fn as_before(&mut self, start: usize, trail: &Trail<'_>) -> Option<Line> {
        let old = trail.old.lines.get(trail.next).copied()?;
        if !old.has(Line::SAMPLE) || old.key == NO_KEY {
            return None;
        }
        let own = |text| split_key(text).0;
        if own(trail.old.bytes(trail.next)) != own(&self.text[start..]) {
            return None;
        }
        let pair = (old.key_len, self.metric);
        if self.like.0 != pair {
            let first = self.metric as usize;
            let end = self.lines.get(first + 1).map_or(start, |next| next.start as usize);
            let key = match self.lines.get(first) {
                Some(line) => &self.text[line.start as usize..end],
                None => &self.text[start..],
            };
            let shared = |text| split_key(text).1;
            self.like = (pair, shared(trail.old.bytes(old.key_len as usize)) == shared(key));
        }
        self.like.1.then_some(old)
    }

    /// The series of the key at hand; none if there is no room for it.
    pub(super) fn find_or_define<I: Intake>(&mut self, intake: &mut I) -> Result<Option<Series>, Failure> {
        if let Some(series) = intake.find(&self.key) {
            return Ok(Some(series));
        }
        let labels = key_labels(&self.key, self.with_empty, &mut self.scratch, &mut self.labels);
        labels.map_err(|fault| Failure::Malformed(fault.to_string()))?;
        let name = self.labels.value_of(METRIC_NAME).unwrap_or_default().to_vec();
        match intake.define(&self.key, &mut self.labels) {
            Ok(series) => Ok(Some(series)),
            Err(refusal) => match Failure::of_refusal(&refusal, &name) {
                Some(failure) => Err(failure),
                None => Ok(None),
            },
        }
    }

    /// The intake's number for a key that was taken before.
    pub(super) fn find_keyed<I: Intake>(&mut self, key: &[u8], intake: &mut I) -> Option<u32> {
        if let Some(series) = intake.find(key) {
            return Some(series.key);
        }
        key_labels(key, self.with_empty, &mut self.scratch, &mut self.labels).ok()?;
        intake.define(key, &mut self.labels).ok().map(|series| series.key)
    }
}

/// Tells the intake what a line without a sample says.
pub(super) fn tell_metadata<I: Intake>(line: &[u8], intake: &mut I) -> Result<(), Full> {
    let Some((&kind, mut rest)) = line.split_first() else { return Ok(()) };
    let mut part = || -> Option<&[u8]> {
        let len = read_varint(&mut rest)? as usize;
        let (part, behind) = rest.split_at_checked(len)?;
        rest = behind;
        Some(part)
    };
    let (Some(name), Some(unit)) = (part(), part()) else { return Ok(()) };
    let kind = MetricType::from_number(u64::from(kind)).unwrap_or_default();
    intake.metadata(&Metadata { name, kind, unit, help: rest })
}

const NANOS_PER_MILLI: i64 = 1_000_000;
