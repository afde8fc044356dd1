//! The decoder: lines in, rows out, faults by line.

use crate::bytes::json::{Json, LoneSurrogates, strings_object_len};
use crate::bytes::{Line, LineCutter, whole_lines, write_varint};
use crate::model::{FieldText, FieldType, Full, Intake, LabelsBuf, Series, ShapeId, WriteResult};

use super::LINE_BYTES_MAX;
use super::fault::Fault;
use super::line::{Metric, Samples, count_values};
use crate::wire::{Decode, Fed, FedState};

/// A decoder of one body at a time.
///
/// ```
/// use tidegate::wire::vm_import::{Decoder, ExtraLabels};
/// let _decoder = Decoder::new(ExtraLabels::default());
/// ```
#[derive(Debug)]
pub struct Decoder {
    cutter: LineCutter,
    extra: ExtraLabels,
    samples: Samples,
    /// The present line, if the intake was full before its end: what was read of it is in `samples`.
    unfinished: Option<Metric>,
    /// Rows of it that the intake has taken.
    taken: usize,
    /// Where in the input the first line is whose key was not announced.
    announced: usize,
    key: Vec<u8>,
    labels: LabelsBuf,
    scratch: Vec<u8>,
}

/// Labels that a request adds to every series, in place of those that have the same names.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ExtraLabels {
    labels: Vec<(Vec<u8>, Vec<u8>)>,
    /// The labels as the end of a key: within a context the same line means other series with other labels.
    suffix: Vec<u8>,
}

impl ExtraLabels {
    /// Adds a label; of two of one name the later one counts, and one without a value takes away the series' own.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.labels.retain(|(known, _)| known != name);
        self.labels.push((name.into(), value.into()));
        self.suffix.clear();
        for part in self.labels.iter().flat_map(|(name, value)| [name, value]) {
            write_varint(&mut self.suffix, part.len() as u64);
            self.suffix.extend_from_slice(part);
        }
        // No key without a suffix ends like this.
        self.suffix.push(0);
    }
}

impl Decoder {
    /// A decoder for a request that adds these labels.
    pub fn new(extra: ExtraLabels) -> Decoder {
        Decoder {
            cutter: LineCutter::new(LINE_BYTES_MAX),
            extra,
            samples: Samples::default(),
            unfinished: None,
            taken: 0,
            announced: 0,
            key: Vec::new(),
            labels: LabelsBuf::default(),
            scratch: Vec::new(),
        }
    }

    /// Bytes that it holds for a line, which may be several times the line's.
    pub fn memory_bytes(&self) -> usize {
        self.samples.memory_bytes()
    }

    /// Takes the rows of a line, after those that were taken before.
    fn take<I: Intake>(
        &mut self,
        line: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Full>, Fault> {
        // Only a key without a suffix is all text of a line.
        let predicted = match intake.predicted() {
            key @ [.., b'}'] if self.extra.suffix.is_empty() => key,
            _ => &[],
        };
        let metric = match self.unfinished.take() {
            // The line is the same, the intake's prediction may not be.
            Some(metric) => Metric { expected: false, ..metric },
            None => self.samples.read(line, predicted)?,
        };
        let series = if metric.expected { intake.confirm() } else { self.series(line, metric, intake)? };
        let shape = match series.shape {
            ShapeId::NONE => intake.define_shape(series, &[VALUE]).map_err(Fault::Refused)?,
            known => known,
        };
        let (times_ns, values) = (&self.samples.times_ns[self.taken..], &self.samples.values[self.taken..]);
        let taken = intake.push_column(series, shape, times_ns, values);
        result.accepted += taken as u64;
        result.samples += taken as u64;
        if taken < times_ns.len() {
            self.taken += taken;
            self.unfinished = Some(metric);
            return Ok(Err(Full));
        }
        self.taken = 0;
        self.samples.shrink();
        Ok(Ok(()))
    }

    /// The series of a line whose labels are not the predicted ones.
    fn series<I: Intake>(&mut self, line: &[u8], metric: Metric, intake: &mut I) -> Result<Series, Fault> {
        let raw = &line[metric.start..metric.end];
        let key = if self.extra.suffix.is_empty() {
            raw
        } else {
            self.key.clear();
            self.key.extend_from_slice(raw);
            self.key.extend_from_slice(&self.extra.suffix);
            &self.key
        };
        if let Some(series) = intake.find(key) {
            return Ok(series);
        }
        if let Err(e) = std::str::from_utf8(raw) {
            return Err(Fault::NotUtf8(metric.start + e.valid_up_to()));
        }
        parse_labels(raw, &self.extra, &mut self.labels, &mut self.scratch)?;
        intake.define(key, &mut self.labels).map_err(Fault::Refused)
    }

    /// Announces the keys of the lines from `at` on, as they are exported, unless some that were announced are still to
    /// come.
    fn announce<I: Intake>(&mut self, input: &[u8], at: usize, intake: &mut I) {
        // With extra labels a key is made when it is asked for.
        if at < self.announced || !self.extra.suffix.is_empty() {
            return;
        }
        self.announced = at;
        for line in whole_lines(&input[at..]).take(AHEAD_LINES) {
            if let Some(rest) = line.strip_prefix(b"{\"metric\":")
                && let Some(len) = strings_object_len(rest)
            {
                intake.announce(&rest[..len]);
            }
            self.announced += line.len() + 1;
        }
    }

    /// Refuses the rows of a line that were not taken: as many as it has values, and one if that can't be said.
    #[cold]
    fn reject(&mut self, line: &[u8], fault: &Fault, result: &mut WriteResult) {
        // Of a line that is too long only a start is there, and how much of it depends on how the body was cut.
        let values = if matches!(fault, Fault::TooLong) { 1 } else { count_values(line) };
        let rows = values.saturating_sub(std::mem::take(&mut self.taken)).max(1);
        result.reject(self.cutter.number(), fault.reason(), line, || fault.to_string());
        result.count_rejected(fault.reason(), rows as u64 - 1);
    }
}

/// Fills `labels` with those of a line and of its request.
fn parse_labels(
    raw: &[u8],
    extra: &ExtraLabels,
    labels: &mut LabelsBuf,
    scratch: &mut Vec<u8>,
) -> Result<(), Fault> {
    labels.clear();
    let mut own = 0;
    Json::new(raw, 0).object(|json, name| {
        let value = json.string()?;
        scratch.clear();
        name.append_to(LoneSurrogates::Refused, scratch).map_err(|_| Fault::Surrogate)?;
        let name_len = scratch.len();
        value.append_to(LoneSurrogates::Refused, scratch).map_err(|_| Fault::Surrogate)?;
        let (name, value) = scratch.split_at(name_len);
        if !name.is_empty() && !value.is_empty() {
            own += 1;
            if !extra.labels.iter().any(|(extra, _)| extra == name) {
                labels.push(name, value);
            }
        }
        Ok::<(), Fault>(())
    })?;
    extra
        .labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .for_each(|(name, value)| labels.push(name, value));
    if own == 0 || labels.is_empty() { Err(Fault::NoLabels) } else { Ok(()) }
}

impl Decode for Decoder {
    fn rewind(&mut self) {
        self.cutter.reset();
        (self.unfinished, self.taken) = (None, 0);
    }

    /// Takes as many whole lines of `input` as it can. Faults are by line from 1; blank lines count. What was not
    /// consumed is never longer than [`LINE_BYTES_MAX`].
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        self.announced = 0;
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let line = self.cutter.cut(rest, last);
            if intake.wants_announcements() {
                self.announce(input, at, intake);
            }
            match line {
                Line::Whole(text) if text.trim_ascii().is_empty() => {}
                Line::Whole(text) => match self.take(text, intake, result) {
                    Ok(Ok(())) => {}
                    Ok(Err(Full)) => return Fed { consumed: at, state: FedState::Full },
                    Err(fault) => self.reject(text, &fault, result),
                },
                Line::TooLong(start) => self.reject(start, &Fault::TooLong, result),
                Line::Incomplete(0) => break,
                Line::Incomplete(_) => {}
            }
            at += self.cutter.pass(line, rest);
        }
        Fed { consumed: at, state: if last { FedState::Done } else { FedState::NeedMore } }
    }
}

/// Lines whose keys are announced together: enough for a fetch from memory to pass while they are found.
const AHEAD_LINES: usize = 16;

/// The only field.
const VALUE: FieldText<'static> = FieldText { text: b"value", name: b"value", kind: FieldType::F64 };
