//! A body in protobuf, read along the page: sample by sample, its key compared with the one that was here last time.

use crate::bytes::{read_varint, write_varint};
use crate::model::{Full, Intake, METRIC_NAME, Metadata, MetricType, Series, heap_word};

use super::super::protobuf::{
    Fault, Said, Sample, Value, key_labels, next_family, write_exemplar, write_key,
};
use super::page::{Line, NO_KEY, Page};
use super::settle::Trail;
use super::{AHEAD_NS_MAX, Failure, Format, HeldExemplar, OwnTime, ScrapeOptions, Scraper};

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
    /// Reads a body; whether its series are those of the page, in the same order.
    pub(super) fn read_protobuf<I: Intake>(
        &mut self,
        page: &Page,
        body: &[u8],
        options: &ScrapeOptions,
        intake: &mut I,
    ) -> Result<bool, Failure> {
        let nothing = Page::default();
        let is_old = page.format == Format::Protobuf;
        let mut trail = Trail::new(if is_old { page } else { &nothing });
        trail.same = is_old;
        let mut families = std::mem::take(&mut self.families);
        let (mut at, mut count) = (0, 1);
        let read = loop {
            let (family, next) = match next_family(body, at) {
                Ok(Some(family)) => family,
                Ok(None) => break Ok(()),
                Err(fault) => break Err(Stop::Fault(fault)),
            };
            let read = families.read(family, &options.histograms, |said| match said {
                Said::Metadata(metadata) => {
                    self.hold_metadata(&metadata, &mut trail);
                    Ok(())
                }
                Said::Sample(sample) => self.hold_sample(sample, options, &mut trail, intake),
            });
            if let Err(stop) = read {
                break Err(stop);
            }
            (at, count) = (next, count + 1);
        };
        self.families = families;
        match read {
            Ok(()) => Ok(trail.ends_same()),
            Err(Stop::Failure(failure)) => Err(failure),
            Err(Stop::Fault(fault)) => Err(Failure::Malformed(format!("family {count}: {fault}"))),
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
        self.hold(start, NO_KEY, 0, u64::from(!is_known));
    }

    fn hold(&mut self, start: usize, key: u32, flags: u16, value_bits: u64) {
        let (start, key_len, kind) = (start as u32, 0, MetricType::Unknown);
        self.lines.push(Line { start, key_len, key, kind, flags, value_bits });
    }

    fn hold_sample<I: Intake>(
        &mut self,
        sample: &Sample<'_>,
        options: &ScrapeOptions,
        trail: &mut Trail<'_>,
        intake: &mut I,
    ) -> Result<(), Stop> {
        write_key(sample, &[], &mut self.key);
        let start = self.text.len();
        self.text.extend_from_slice(&self.key);
        let mut flags = Line::SAMPLE | Line::KEYED;
        let line = self.lines.len() as u32;
        let mut time_ns = self.time_ns;
        if let Some(ms) = sample.time_ms.filter(|_| options.honor_timestamps) {
            let own = ms.checked_mul(NANOS_PER_MILLI).ok_or(Fault::Time)?;
            let taken = own <= self.time_ns.saturating_add(AHEAD_NS_MAX);
            self.times.push(OwnTime { line, time_ns: taken.then_some(own) });
            flags |= Line::TIMED;
            time_ns = own;
        }
        if let Some(start_ns) = sample.start_ms.and_then(|ms| ms.checked_mul(NANOS_PER_MILLI)) {
            self.starts_ns.push((line, start_ns));
        }
        let value_bits = match sample.value {
            Value::Float(bits) => bits,
            Value::Histogram(bytes) => {
                flags |= Line::NATIVE;
                let place = heap_word(self.heap.len(), bytes.len());
                self.heap.extend_from_slice(bytes);
                place
            }
        };
        for exemplar in sample.exemplars {
            let begin = self.exemplar_labels.len();
            let (value_bits, at_ms) = write_exemplar(exemplar, &mut self.exemplar_labels)?;
            let labels = begin..self.exemplar_labels.len();
            let time_ns = at_ms.map_or(Some(time_ns), |ms| ms.checked_mul(NANOS_PER_MILLI));
            self.exemplars.extend(time_ns.map(|time_ns| HeldExemplar { line, time_ns, value_bits, labels }));
        }
        let old = trail.old.lines.get(trail.next);
        let is_known = old.is_some_and(|old| old.has(Line::SAMPLE) && old.key != NO_KEY)
            && trail.old.bytes(trail.next) == &*self.key;
        let key = match (old, is_known) {
            (Some(old), true) => {
                flags |= old.flags & Line::DROPPED;
                old.key
            }
            _ => match self.find_or_define(intake) {
                Ok(Some(series)) => {
                    if intake.identity(series).is_none() {
                        flags |= Line::DROPPED;
                    }
                    series.key
                }
                Ok(None) => NO_KEY,
                Err(failure) => {
                    // It counts as one that was read.
                    self.hold(start, NO_KEY, flags, value_bits);
                    return Err(Stop::Failure(failure));
                }
            },
        };
        flags |= trail.follow(key, flags, &mut self.settling);
        self.hold(start, key, flags, value_bits);
        Ok(())
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
