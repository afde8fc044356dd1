//! The walk over a body: family after family, metric after metric, sample after sample.
//!
//! A walk stops where its visitor will have no more, or where the work of a step is spent, and goes on there: nothing
//! is given out twice. Only the metric at hand is read again for that, which is why it has a bound.
//!
//! A metric's samples share its name and labels, and each is a series that spells them out: a few bytes a sample become
//! as many as the labels have. What all of them come to has a bound, too.

use std::ops::Range;

use crate::bytes::{ProtobufError, ProtobufFields, read_varint};
use crate::model::Metadata;

use super::super::LINE_BYTES_MAX;
use super::super::work::{LOOK_WORK, SAMPLE_WORK, Work};
use super::{FAMILY_METRIC, Fault, Head, HistogramOptions, Reader, Said, Sample, Value, metric};

/// How far a body is walked.
#[derive(Default, Debug)]
pub(in super::super) struct Walk {
    /// The next family, or the next field of the one at hand.
    at: usize,
    /// Families done with.
    families: u64,
    family: Option<Family>,
    /// So many samples of the metric at hand are given out.
    given: usize,
    /// Bytes of names and labels of the series so far.
    spelled_bytes: usize,
}

/// The family at hand; its texts are places in the body.
#[derive(Debug)]
struct Family {
    start: usize,
    end: usize,
    name: Range<usize>,
    help: Range<usize>,
    unit: Range<usize>,
    kind: u64,
    has_metric: bool,
    /// What it says of itself is known.
    is_known: bool,
    /// Its metadata is given out.
    is_told: bool,
}

/// Where in a body something is said.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Spot {
    /// Its family, from 1.
    pub(in super::super) family: u64,
    /// It is the first sample of its metric.
    pub(in super::super) is_first: bool,
}

/// Why a walk stopped.
#[derive(Debug)]
pub(in super::super) enum Halt<E> {
    /// The step's work is spent.
    Paused,
    /// The visitor's answer, or what is wrong with the body.
    By(E),
}

impl<E: From<Fault>> From<Fault> for Halt<E> {
    fn from(fault: Fault) -> Halt<E> {
        Halt::By(fault.into())
    }
}

impl<E: From<Fault>> From<ProtobufError> for Halt<E> {
    fn from(error: ProtobufError) -> Halt<E> {
        Halt::from(Fault::from(error))
    }
}

impl Walk {
    /// Goes on to the body's end, and hands over what it says. A family without metrics says nothing.
    ///
    /// # Errors
    /// [`Halt`]: what the visitor refused will be handed over again.
    pub(in super::super) fn go<E: From<Fault>>(
        &mut self,
        reader: &mut Reader,
        body: &[u8],
        options: &HistogramOptions,
        work: &mut Work,
        mut visit: impl FnMut(Said<'_>, Spot) -> Result<(), E>,
    ) -> Result<(), Halt<E>> {
        loop {
            let mut family = match self.family.take() {
                Some(family) => family,
                None if self.at == body.len() => return Ok(()),
                None if work.is_spent() => return Err(Halt::Paused),
                None => {
                    work.spend(LOOK_WORK);
                    self.enter(body)?
                }
            };
            let done = self.go_on(&mut family, reader, body, options, work, &mut visit);
            let end = family.end;
            self.family = Some(family);
            done?;
            self.leave(end);
        }
    }

    /// The family at hand, from 1.
    pub(in super::super) fn family_number(&self) -> u64 {
        self.families + 1
    }

    /// Leaves out what is left of the family at hand; of a body whose families cannot be told apart, its rest.
    pub(in super::super) fn skip_family(&mut self, body: &[u8]) {
        let end = self.family.as_ref().map_or(body.len(), |family| family.end);
        self.leave(end);
    }

    fn enter(&self, body: &[u8]) -> Result<Family, Fault> {
        let mut rest = &body[self.at..];
        let len = read_varint(&mut rest).ok_or(ProtobufError::Truncated)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= rest.len());
        let start = body.len() - rest.len();
        Ok(Family {
            start,
            end: start + len.ok_or(ProtobufError::Truncated)?,
            name: 0..0,
            help: 0..0,
            unit: 0..0,
            kind: 0,
            has_metric: false,
            is_known: false,
            is_told: false,
        })
    }

    fn leave(&mut self, end: usize) {
        (self.at, self.family, self.given) = (end, None, 0);
        self.families += 1;
    }

    fn go_on<E: From<Fault>>(
        &mut self,
        family: &mut Family,
        reader: &mut Reader,
        body: &[u8],
        options: &HistogramOptions,
        work: &mut Work,
        visit: &mut impl FnMut(Said<'_>, Spot) -> Result<(), E>,
    ) -> Result<(), Halt<E>> {
        if !family.is_known {
            self.at = self.at.max(family.start);
            self.look_over(family, body, work)?;
            (family.is_known, self.at) = (true, family.start);
        }
        if !family.has_metric {
            return Ok(());
        }
        let head = family.head(body);
        head.check()?;
        let kind = head.metric_type()?;
        if !family.is_told {
            let metadata = Metadata { name: head.name, kind, unit: head.unit, help: head.help };
            let spot = Spot { family: self.family_number(), is_first: false };
            visit(Said::Metadata(metadata), spot).map_err(Halt::By)?;
            work.spend(head.name.len() + head.help.len() + head.unit.len());
            family.is_told = true;
        }
        let mut labels = Vec::new();
        let mut fields = ProtobufFields::new(&body[self.at..family.end]);
        while let Some(field) = fields.next() {
            if work.is_spent() {
                return Err(Halt::Paused);
            }
            let (number, value) = field?;
            work.spend(LOOK_WORK);
            if number == FAMILY_METRIC {
                labels.clear();
                self.metric(&head, value.bytes()?, &mut labels, reader, options, work, visit)?;
            }
            (self.at, self.given) = (family.end - fields.rest().len(), 0);
        }
        Ok(())
    }

    /// Reads what the family says of itself, from the field at hand on: its parts come in any order.
    fn look_over<E: From<Fault>>(
        &mut self,
        family: &mut Family,
        body: &[u8],
        work: &mut Work,
    ) -> Result<(), Halt<E>> {
        let mut fields = ProtobufFields::new(&body[self.at..family.end]);
        while let Some(field) = fields.next() {
            if work.is_spent() {
                return Err(Halt::Paused);
            }
            let (number, value) = field?;
            work.spend(LOOK_WORK);
            self.at = family.end - fields.rest().len();
            let place = |bytes: &[u8]| self.at - bytes.len()..self.at;
            match number {
                1 => family.name = place(value.bytes()?),
                2 => family.help = place(value.string()?.as_bytes()),
                3 => family.kind = value.varint()?,
                FAMILY_METRIC => family.has_metric = true,
                5 => family.unit = place(value.string()?.as_bytes()),
                _ => {}
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, of which half is what is used again for each metric"
    )]
    fn metric<'a, E: From<Fault>>(
        &mut self,
        head: &Head<'a>,
        message: &'a [u8],
        labels: &mut Vec<&'a [u8]>,
        reader: &mut Reader,
        options: &HistogramOptions,
        work: &mut Work,
        visit: &mut impl FnMut(Said<'_>, Spot) -> Result<(), E>,
    ) -> Result<(), Halt<E>> {
        if message.len() > METRIC_BYTES_MAX {
            return Err(Fault::LongMetric.into());
        }
        if self.given == 0 {
            work.spend(message.len());
        }
        let metric = metric(message, head.kind, labels)?;
        let text_bytes = head.name.len() + labels.iter().map(|label| label.len()).sum::<usize>();
        if text_bytes > LINE_BYTES_MAX {
            return Err(Fault::LongSeries.into());
        }
        let series_bytes = text_bytes + labels.len() * LABEL_BYTES;
        let family = self.family_number();
        let Walk { given, spelled_bytes, .. } = self;
        let (mut nth, first) = (0, *given + 1);
        let mut give = |sample: &Sample<'_>| -> Result<(), Halt<E>> {
            nth += 1;
            if nth < first {
                return Ok(());
            }
            // One comes in any case: each step must come further than the one before.
            if nth > first && work.is_spent() {
                return Err(Halt::Paused);
            }
            if *spelled_bytes + series_bytes > SPELLED_BYTES_MAX {
                return Err(Fault::SpelledOut.into());
            }
            visit(Said::Sample(sample), Spot { family, is_first: nth == 1 }).map_err(Halt::By)?;
            let value_bytes = match sample.value {
                Value::Float(_) => 0,
                Value::Histogram(bytes) => bytes.len(),
            };
            work.spend(SAMPLE_WORK + series_bytes + value_bytes);
            *spelled_bytes += series_bytes;
            *given = nth;
            Ok(())
        };
        reader.metric(head, &metric, labels, options, &mut give)
    }
}

impl Family {
    fn head<'a>(&self, body: &'a [u8]) -> Head<'a> {
        let text = |place: &Range<usize>| &body[place.clone()];
        Head { name: text(&self.name), help: text(&self.help), unit: text(&self.unit), kind: self.kind }
    }
}

/// Bytes of a metric at most, as of a line: what comes again with each step that ends in it.
const METRIC_BYTES_MAX: usize = LINE_BYTES_MAX;

/// Bytes of names and labels that the series of a body come to at most, each spelled out: as many as a body in text may
/// have, half a million series of 512 bytes.
pub(super) const SPELLED_BYTES_MAX: usize = 256 << 20;

/// What a label costs besides its text.
const LABEL_BYTES: usize = 16;
