//! The decoder of pushed bodies: all of a body or nothing.

use crate::bytes::write_varint;
use crate::model::{Exemplar, Full, Intake, LabelsBuf, Refusal, WriteResult, heap_word};
use crate::wire::{Decode, Fed, FedState, Malformed};

use super::super::GivenLabel;
use super::super::series::{RowShapes, VALUE};
use super::super::work::Work;
use super::{Fault, Halt, HistogramOptions, Reader, Said, Sample, Spot, Value, Walk};
use super::{fill_labels, write_exemplar, write_key};

/// A decoder of one body in the protobuf format.
#[derive(Debug)]
pub struct ProtobufDecoder {
    options: HistogramOptions,
    default_time_ns: i64,
    labels: Vec<GivenLabel>,
    /// `labels` as keys have them.
    given: Vec<u8>,
    reader: Reader,
    taker: Taker,
    /// How far the body is taken.
    walk: Walk,
}

/// Takes samples one after the other.
#[derive(Default, Debug)]
struct Taker {
    key: Vec<u8>,
    scratch: Vec<u8>,
    labels: LabelsBuf,
    shapes: RowShapes,
    /// The row that is next is taken, and so many of its exemplars.
    row_taken: bool,
    exemplars_taken: usize,
}

/// Why a family is not read to its end.
enum Stop {
    Fault(Fault),
    Full,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl ProtobufDecoder {
    /// A decoder for a body, whose samples without a time get this one, and all of whose series get these labels in
    /// place of their own of these names.
    pub fn new(
        options: HistogramOptions,
        default_time_ns: i64,
        mut labels: Vec<GivenLabel>,
    ) -> ProtobufDecoder {
        super::super::sort_given(&mut labels);
        let mut given = Vec::new();
        for part in labels.iter().flat_map(|label| [&label.name, &label.value]) {
            write_varint(&mut given, part.len() as u64);
            given.extend_from_slice(part);
        }
        ProtobufDecoder {
            options,
            default_time_ns,
            labels,
            given,
            reader: Reader::default(),
            taker: Taker::default(),
            walk: Walk::default(),
        }
    }

    /// Calls `visit` with all that a body says.
    pub(in super::super) fn walk(
        &mut self,
        body: &[u8],
        visit: impl FnMut(Said<'_>, Spot) -> Result<(), Fault>,
    ) -> Result<(), Malformed> {
        let mut walk = Walk::default();
        match walk.go(&mut self.reader, body, &self.options, &mut Work::whole(), visit) {
            Err(Halt::By(fault)) => {
                Err(Malformed { error: format!("family {}: {fault}", walk.family_number()) })
            }
            Ok(()) | Err(Halt::Paused) => Ok(()),
        }
    }
}

impl Decode for ProtobufDecoder {
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let (mut scratch, mut labels) = (Vec::new(), LabelsBuf::default());
        let buckets_max = self.options.buckets_max;
        self.walk(body, |said, _| {
            if let Said::Sample(sample) = said {
                if sample.findings.is_over {
                    return Err(Fault::BucketLimit(buckets_max));
                }
                fill_labels(sample, &[], &mut scratch, &mut labels)?;
                for exemplar in sample.exemplars {
                    scratch.clear();
                    write_exemplar(exemplar, &mut scratch)?;
                }
            }
            Ok(())
        })
    }

    fn rewind(&mut self) {
        self.walk = Walk::default();
        self.taker.shapes.clear();
        (self.taker.row_taken, self.taker.exemplars_taken) = (false, 0);
    }

    /// Faults are by family from 1.
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        if !last {
            return Fed { consumed: 0, state: FedState::NeedMore };
        }
        self.taker.shapes.enter_epoch(intake.epoch());
        let (taker, given, labels) = (&mut self.taker, &self.given, &self.labels);
        let time_ns = self.default_time_ns;
        loop {
            let read =
                self.walk.go(&mut self.reader, input, &self.options, &mut Work::whole(), |said, spot| {
                    match said {
                        Said::Metadata(metadata) => {
                            // Nobody can be told of what is no text; it was checked.
                            intake.metadata(&metadata).map_err(|Full| Stop::Full)
                        }
                        Said::Sample(sample) => {
                            let taken = taker.take(sample, given, labels, time_ns, intake, result)?;
                            if let Err(refusal) = taken {
                                let name = sample.family;
                                result.reject(spot.family, refusal.reason(), name, || refusal.to_string());
                            }
                            Ok(())
                        }
                    }
                });
            match read {
                Ok(()) => return Fed { consumed: input.len(), state: FedState::Done },
                Err(Halt::By(Stop::Full) | Halt::Paused) => {
                    return Fed { consumed: 0, state: FedState::Full };
                }
                Err(Halt::By(Stop::Fault(fault))) => {
                    result.reject(self.walk.family_number(), "syntax", b"", || fault.to_string());
                    self.walk.skip_family(input);
                }
            }
        }
    }
}

impl Taker {
    fn take<I: Intake>(
        &mut self,
        sample: &Sample<'_>,
        given: &[u8],
        labels: &[GivenLabel],
        default_time_ns: i64,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Refusal>, Stop> {
        write_key(sample, given, &mut self.key);
        let known =
            if intake.predicted() == self.key { Some(intake.confirm()) } else { intake.find(&self.key) };
        let series = match known {
            Some(series) => series,
            None => {
                fill_labels(sample, labels, &mut self.scratch, &mut self.labels)?;
                match intake.define(&self.key, &mut self.labels) {
                    Ok(series) => series,
                    Err(refusal) => return Ok(Err(refusal)),
                }
            }
        };
        let time_ns = sample.time_ms.map_or(Some(default_time_ns), |ms| ms.checked_mul(NANOS_PER_MILLI));
        let Some(time_ns) = time_ns else {
            return Ok(Err(Refusal::TooLarge { what: "the timestamp", max: i64::MAX as u64 }));
        };
        let start_ns = sample.start_ms.and_then(|ms| ms.checked_mul(NANOS_PER_MILLI));
        if !self.row_taken {
            let (word, heap) = match sample.value {
                Value::Float(bits) => (bits, &[][..]),
                Value::Histogram(bytes) => (heap_word(0, bytes.len()), bytes),
            };
            let is_native = matches!(sample.value, Value::Histogram(_));
            let shape = match self.shapes.of(is_native, start_ns.is_some(), series, intake) {
                Ok(shape) => shape,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let words = [word, start_ns.unwrap_or_default() as u64];
            let words = &words[..1 + usize::from(start_ns.is_some())];
            intake.push(series, shape, time_ns, words, heap).map_err(|Full| Stop::Full)?;
            result.accepted += 1;
            result.samples += 1;
            result.histograms += u64::from(is_native);
            self.row_taken = true;
        }
        for exemplar in &sample.exemplars[self.exemplars_taken..] {
            self.scratch.clear();
            let (value_bits, at_ms) = write_exemplar(exemplar, &mut self.scratch)?;
            // One out of range is left out.
            if let Some(time_ns) = at_ms.map_or(Some(time_ns), |ms| ms.checked_mul(NANOS_PER_MILLI)) {
                let exemplar = Exemplar { field: VALUE, time_ns, value_bits, labels: &self.scratch };
                intake.exemplar(series, &exemplar).map_err(|Full| Stop::Full)?;
            }
            self.exemplars_taken += 1;
        }
        (self.row_taken, self.exemplars_taken) = (false, 0);
        Ok(Ok(()))
    }
}

const NANOS_PER_MILLI: i64 = 1_000_000;
