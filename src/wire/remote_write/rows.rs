//! What a series holds, once the series is known: samples and histograms as rows, exemplars and metadata beside them.

use crate::bytes::ProtobufFields;
use crate::model::{
    Exemplar, FieldText, FieldType, Full, Intake, Metadata, MetricType, Refusal, Series, ShapeId,
    WriteResult, heap_word,
};

use super::fault::Site;
use super::histogram::HistogramReader;
use super::labels::{exemplar_labels_v1, exemplar_labels_v2};
use super::message::{Message, Part, bytes, fields};
use super::symbols::Symbols;
use super::{LABELS_BYTES_MAX, VALUE};

/// A series whose items are to be taken.
pub(super) struct Found<'a> {
    pub(super) site: Site<'a>,
    pub(super) body: &'a [u8],
    /// The series' message.
    pub(super) parts: &'a [u8],
    pub(super) series: Series,
    /// When its counters began to count, for samples that don't say it themselves; 0 if it does not say it either.
    pub(super) created_ms: i64,
}

/// A sample as it came.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Sample {
    pub(super) bits: u64,
    pub(super) time_ms: i64,
    pub(super) start_ms: i64,
}

/// Takes items; the memory that this needs.
#[derive(Default, Debug)]
pub(super) struct Items {
    shapes: Shapes,
    histograms: HistogramReader,
    heap: Vec<u8>,
    references: Vec<u64>,
}

impl Items {
    /// The intake's numbers are those of `epoch`.
    pub(super) fn enter_epoch(&mut self, epoch: u64) {
        if self.shapes.epoch != Some(epoch) {
            self.shapes = Shapes { epoch: Some(epoch), ..Shapes::default() };
        }
    }

    /// The intake is another one.
    pub(super) fn forget(&mut self) {
        self.shapes = Shapes::default();
    }

    /// Takes samples, histograms and exemplars, from the byte `done` of the series on, which goes with them.
    pub(super) fn take<I: Intake>(
        &mut self,
        found: &mut Found<'_>,
        symbols: &Symbols,
        done: &mut usize,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let parts = found.parts;
        let mut left = ProtobufFields::new(&parts[*done..]);
        while let Some(Ok((number, value))) = left.next() {
            match found.site.message.part(number) {
                Part::Sample => {
                    let sample = Sample::read(found.site.message, bytes(value));
                    self.take_sample(found, sample, intake, result)?;
                }
                Part::Histogram => self.take_histogram(found, bytes(value), intake, result)?,
                Part::Exemplar => self.take_exemplar(found, symbols, bytes(value), intake, result)?,
                Part::Labels | Part::Metadata | Part::Created | Part::Unknown => continue,
            }
            *done = parts.len() - left.rest().len();
        }
        Ok(())
    }

    /// Takes a sample without a start of the predicted series, if that has had the same shape as the series before, and
    /// the time is one that rows have. None: nothing was done.
    #[inline]
    pub(super) fn take_predicted<I: Intake>(
        &mut self,
        sample: Sample,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Option<Result<(), Full>> {
        let taken =
            intake.push_predicted(self.shapes.samples(), nanoseconds(sample.time_ms)?, sample.bits)?;
        if taken.is_ok() {
            result.accepted += 1;
            result.samples += 1;
        }
        Some(taken)
    }

    #[inline]
    pub(super) fn take_sample<I: Intake>(
        &mut self,
        found: &mut Found<'_>,
        sample: Sample,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let Some(times) = times(found, sample.time_ms, sample.start_ms, result) else { return Ok(()) };
        self.push(found, FieldType::F64, sample.bits, times, intake, result)
    }

    fn take_histogram<I: Intake>(
        &mut self,
        found: &mut Found<'_>,
        histogram: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let read = match self.histograms.read(found.site.message, histogram) {
            Ok(times) => times,
            Err(fault) => {
                found.site.reject_histogram(result, &fault);
                return Ok(());
            }
        };
        let Some(times) = times(found, read.time_ms, read.start_ms, result) else { return Ok(()) };
        self.heap.clear();
        self.histograms.encode(&mut self.heap);
        let accepted = result.accepted;
        self.push(found, FieldType::Histogram, heap_word(0, self.heap.len()), times, intake, result)?;
        result.histograms += result.accepted - accepted;
        Ok(())
    }

    /// Pushes a row, or rejects it.
    #[inline]
    fn push<I: Intake>(
        &mut self,
        found: &mut Found<'_>,
        kind: FieldType,
        word: u64,
        times: Times,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let shape = match self.shapes.of(found.series, kind, times.start_ns.is_some(), intake) {
            Ok(shape) => shape,
            Err(refusal) => {
                found.site.reject_refused(result, &refusal, 1);
                return Ok(());
            }
        };
        let values = [word, times.start_ns.unwrap_or_default() as u64];
        let values = &values[..1 + usize::from(times.start_ns.is_some())];
        let heap = if kind == FieldType::Histogram { &self.heap[..] } else { &[] };
        intake.push(found.series, shape, times.time_ns, values, heap)?;
        found.series.shape = shape;
        result.accepted += 1;
        result.samples += 1;
        Ok(())
    }

    fn take_exemplar<I: Intake>(
        &mut self,
        found: &mut Found<'_>,
        symbols: &Symbols,
        exemplar: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let (mut bits, mut time_ms) = (0, 0);
        self.references.clear();
        for (number, value) in fields(exemplar) {
            match number {
                1 if found.site.message == Message::V2 => {
                    let references = &mut self.references;
                    // The message was checked: there is no varint cut short.
                    let _ = value.each_varint(|reference| keep(references, reference));
                }
                2 => bits = value.fixed64().unwrap_or_default(),
                3 => time_ms = value.varint().unwrap_or_default() as i64,
                _ => {}
            }
        }
        self.heap.clear();
        let labels = match found.site.message {
            Message::V1 => {
                let labels =
                    fields(exemplar).filter(|(number, _)| *number == 1).map(|(_, value)| bytes(value));
                exemplar_labels_v1(labels, &mut self.heap)
            }
            Message::V2 => exemplar_labels_v2(found.body, symbols, &self.references, &mut self.heap),
        };
        if let Err(fault) = labels {
            found.site.reject_exemplar(result, fault);
            return Ok(());
        }
        let Some(time_ns) = nanoseconds(time_ms) else {
            found.site.reject_time(result, "exemplar's timestamp", time_ms);
            return Ok(());
        };
        let exemplar = Exemplar { field: VALUE, time_ns, value_bits: bits, labels: &self.heap };
        intake.exemplar(found.series, &exemplar)?;
        result.exemplars += 1;
        Ok(())
    }
}

impl Sample {
    /// Reads a sample that was checked.
    pub(super) fn read(message: Message, sample: &[u8]) -> Sample {
        let mut read = Sample::default();
        for (number, value) in fields(sample) {
            match number {
                1 => read.bits = value.fixed64().unwrap_or_default(),
                2 => read.time_ms = value.varint().unwrap_or_default() as i64,
                3 if message == Message::V2 => read.start_ms = value.varint().unwrap_or_default() as i64,
                _ => {}
            }
        }
        read
    }
}

/// A row's times.
#[derive(Clone, Copy, Debug)]
struct Times {
    time_ns: i64,
    start_ns: Option<i64>,
}

/// The times of a row in nanoseconds; none if one does not fit, and the row is rejected.
#[inline]
fn times(found: &Found<'_>, time_ms: i64, start_ms: i64, result: &mut WriteResult) -> Option<Times> {
    let Some(time_ns) = nanoseconds(time_ms) else {
        found.site.reject_time(result, "timestamp", time_ms);
        return None;
    };
    let start_ms = if start_ms == 0 { found.created_ms } else { start_ms };
    if start_ms == 0 {
        return Some(Times { time_ns, start_ns: None });
    }
    let start_ns = nanoseconds(start_ms);
    if start_ns.is_none() {
        found.site.reject_time(result, "start timestamp", start_ms);
    }
    start_ns.map(|start_ns| Times { time_ns, start_ns: Some(start_ns) })
}

#[inline]
fn nanoseconds(time_ms: i64) -> Option<i64> {
    time_ms.checked_mul(1_000_000)
}

/// Keeps a reference, unless there are too many for any labels: then the first that are too many will do.
#[inline]
pub(super) fn keep(references: &mut Vec<u64>, reference: u64) {
    if references.len() <= LABELS_BYTES_MAX {
        references.push(reference);
    }
}

/// The shapes of the rows taken last: of samples and of histograms, without and with a start time.
#[derive(Debug)]
struct Shapes {
    epoch: Option<u64>,
    last: [ShapeId; 4],
}

/// The place of samples without a start among them.
const SAMPLE: usize = 0;

impl Default for Shapes {
    fn default() -> Shapes {
        Shapes { epoch: None, last: [ShapeId::NONE; 4] }
    }
}

impl Shapes {
    /// The shape of the sample without a start that was taken last.
    #[inline]
    fn samples(&self) -> ShapeId {
        self.last[SAMPLE]
    }

    /// The shape of a row of `series`.
    #[inline]
    fn of<I: Intake>(
        &mut self,
        series: Series,
        kind: FieldType,
        has_start: bool,
        intake: &mut I,
    ) -> Result<ShapeId, Refusal> {
        let slot = usize::from(kind == FieldType::Histogram) * 2 + usize::from(has_start);
        if series.shape != ShapeId::NONE && series.shape == self.last[slot] {
            return Ok(series.shape);
        }
        let shape = of_other(series, self.last[slot], kind, has_start, intake)?;
        self.last[slot] = shape;
        Ok(shape)
    }
}

/// The shape of a row of `series` that is not the last one's, or not known to be.
#[inline(never)]
fn of_other<I: Intake>(
    series: Series,
    last: ShapeId,
    kind: FieldType,
    has_start: bool,
    intake: &mut I,
) -> Result<ShapeId, Refusal> {
    if series.shape != ShapeId::NONE {
        let fields = &intake.shape(series.shape).fields;
        let is_value = fields[0].kind == kind && *fields[0].name == *VALUE;
        let same = match &fields[..] {
            [_] => !has_start,
            [_, start] => has_start && start.kind == FieldType::StartTime,
            _ => false,
        };
        if is_value && same {
            return Ok(series.shape);
        }
    }
    if last != ShapeId::NONE
        && let Some(shape) = intake.adopt_shape(series, last)
    {
        return Ok(shape);
    }
    let fields = [
        FieldText { text: VALUE, name: VALUE, kind },
        FieldText { text: b"", name: b"", kind: FieldType::StartTime },
    ];
    intake.define_shape(series, &fields[..1 + usize::from(has_start)])
}

/// What a 2.0 series says of its metric.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct MetadataV2 {
    kind: u64,
    pub(super) help: u64,
    pub(super) unit: u64,
}

impl MetadataV2 {
    /// Reads a metadata message over what one before it said.
    pub(super) fn merge(&mut self, metadata: &[u8]) {
        for (number, value) in fields(metadata) {
            let word = value.varint().unwrap_or_default();
            match number {
                1 => self.kind = word,
                3 => self.help = u64::from(word as u32),
                4 => self.unit = u64::from(word as u32),
                _ => {}
            }
        }
    }

    /// Hands it on, unless it says nothing.
    pub(super) fn take<I: Intake>(
        &self,
        body: &[u8],
        symbols: &Symbols,
        name: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let text = |reference| symbols.text(body, reference).filter(|text| std::str::from_utf8(text).is_ok());
        let (help, unit) = (text(self.help).unwrap_or_default(), text(self.unit).unwrap_or_default());
        let kind = metric_type(self.kind);
        if kind == MetricType::Unknown && help.is_empty() && unit.is_empty() {
            return Ok(());
        }
        intake.metadata(&Metadata { name, kind, unit, help })?;
        result.metadata += 1;
        Ok(())
    }
}

/// Hands on a metadata message of 1.0, the `number`th.
pub(super) fn take_metadata_v1<I: Intake>(
    metadata: &[u8],
    number: u64,
    intake: &mut I,
    result: &mut WriteResult,
) -> Result<(), Full> {
    let (mut kind, mut name, mut help, mut unit) = (0, &[][..], &[][..], &[][..]);
    for (number, value) in fields(metadata) {
        match number {
            1 => kind = value.varint().unwrap_or_default(),
            2 => name = bytes(value),
            4 => help = bytes(value),
            5 => unit = bytes(value),
            _ => {}
        }
    }
    let is_text = [name, help, unit].iter().all(|text| std::str::from_utf8(text).is_ok());
    if name.is_empty() || !is_text {
        let what = if is_text { "has no metric name" } else { "is not UTF-8" };
        result.reject(number, "metadata", &[], || format!("metadata number {number} {what}"));
        return Ok(());
    }
    intake.metadata(&Metadata { name, kind: metric_type(kind), unit, help })?;
    result.metadata += 1;
    Ok(())
}

/// Both messages number them alike, by 32 bits. Unknown numbers are unknown types.
fn metric_type(number: u64) -> MetricType {
    match number as u32 {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
