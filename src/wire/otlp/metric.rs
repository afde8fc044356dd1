//! What a metric says of all its points.

use crate::bytes::{ProtobufError, ProtobufFields};
use crate::model::{Metadata, MetricType};

use super::decoder::Fault;
use super::schema::{METRIC, Message, TEMPORALITY_CUMULATIVE, TEMPORALITY_DELTA, data, metric};

/// A metric without its points.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetricHead<'b> {
    pub(super) name: &'b [u8],
    pub(super) unit: &'b [u8],
    description: &'b [u8],
    pub(super) kind: MetricKind,
    pub(super) temporality: u64,
    pub(super) is_monotonic: bool,
}

/// What kind of points a metric has. The numbers are its fields' numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum MetricKind {
    Gauge = metric::GAUGE as u8,
    Sum = metric::SUM as u8,
    Histogram = metric::HISTOGRAM as u8,
    ExponentialHistogram = metric::EXPONENTIAL_HISTOGRAM as u8,
    Summary = metric::SUMMARY as u8,
}

impl<'b> MetricHead<'b> {
    /// Reads a metric; `None` if it has no points of a kind that we know.
    ///
    /// Of several kinds, which no sender has, the last one counts.
    pub(super) fn read(message: &'b [u8]) -> Result<Option<MetricHead<'b>>, ProtobufError> {
        let (mut name, mut unit, mut description, mut kind) = (&[][..], &[][..], &[][..], None);
        for field in ProtobufFields::new(message) {
            match field? {
                (metric::NAME, value) => name = value.bytes()?,
                (metric::UNIT, value) => unit = value.bytes()?,
                (metric::DESCRIPTION, value) => description = value.bytes()?,
                (number, _) => kind = MetricKind::from_number(number).or(kind),
            }
        }
        let Some(kind) = kind else { return Ok(None) };
        let (mut temporality, mut is_monotonic) = (0, false);
        if !kind.has_temporality() {
            return Ok(Some(MetricHead { name, unit, description, kind, temporality, is_monotonic }));
        }
        let datas = ProtobufFields::new(message).flatten().filter(|(number, _)| *number == kind as u32);
        for field in datas.flat_map(|(_, value)| value.message()).flatten() {
            match field? {
                (data::TEMPORALITY, value) => temporality = value.varint()?,
                (data::MONOTONIC, value) if kind == MetricKind::Sum => is_monotonic = value.varint()? != 0,
                _ => {}
            }
        }
        Ok(Some(MetricHead { name, unit, description, kind, temporality, is_monotonic }))
    }

    /// Whether its points can be taken.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.name.is_empty() {
            return Err(Fault::NoName);
        }
        if self.kind.has_temporality() && self.temporality_name().is_none() {
            return Err(Fault::Temporality);
        }
        Ok(())
    }

    pub(super) fn temporality_name(&self) -> Option<&'static [u8]> {
        match self.temporality {
            TEMPORALITY_DELTA => Some(b"delta"),
            TEMPORALITY_CUMULATIVE => Some(b"cumulative"),
            _ => None,
        }
    }

    pub(super) fn monotonic_name(&self) -> Option<&'static [u8]> {
        (self.kind == MetricKind::Sum).then_some(if self.is_monotonic { b"true" } else { b"false" })
    }

    pub(super) fn metadata(&self) -> Metadata<'b> {
        let kind = match self.kind {
            MetricKind::Sum if self.is_monotonic => MetricType::Counter,
            MetricKind::Gauge | MetricKind::Sum => MetricType::Gauge,
            MetricKind::Histogram | MetricKind::ExponentialHistogram => MetricType::Histogram,
            MetricKind::Summary => MetricType::Summary,
        };
        Metadata { name: self.name, kind, unit: self.unit, help: self.description }
    }
}

impl MetricKind {
    fn from_number(number: u32) -> Option<MetricKind> {
        Some(match number {
            metric::GAUGE => MetricKind::Gauge,
            metric::SUM => MetricKind::Sum,
            metric::HISTOGRAM => MetricKind::Histogram,
            metric::EXPONENTIAL_HISTOGRAM => MetricKind::ExponentialHistogram,
            metric::SUMMARY => MetricKind::Summary,
            _ => return None,
        })
    }

    pub(super) fn has_temporality(self) -> bool {
        matches!(self, MetricKind::Sum | MetricKind::Histogram | MetricKind::ExponentialHistogram)
    }

    /// What holds its points.
    pub(super) fn data(self) -> &'static Message {
        METRIC.inner(self as u32)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, MetricKind::Gauge | MetricKind::Sum)
    }

    pub(super) fn name(self) -> &'static [u8] {
        match self {
            MetricKind::Gauge => b"gauge",
            MetricKind::Sum => b"sum",
            MetricKind::Histogram => b"histogram",
            MetricKind::ExponentialHistogram => b"exponential_histogram",
            MetricKind::Summary => b"summary",
        }
    }
}
