//! The decoder: lines in, rows out, faults by line.

use crate::bytes::json::strings_object_len;
use crate::bytes::{Line, LineCutter, whole_lines};
use crate::model::{
    Exemplar, Full, Intake, LabelsBuf, Refusal, SIDE_TEXT_BYTES_MAX, Series, ShapeId, WriteResult,
};

use super::LINE_BYTES_MAX;
use super::expected::{Head, read_values};
use super::fault::Fault;
use super::line::{LineBuf, LineKind, parse_labels};
use super::value::Values;
use crate::wire::{Decode, Fed, FedState};

/// A decoder of one body at a time.
///
/// ```
/// use tidegate::wire::ndjson::Decoder;
/// let _decoder = Decoder::new();
/// ```
#[derive(Debug)]
pub struct Decoder {
    cutter: LineCutter,
    line: LineBuf,
    values: Values,
    labels: LabelsBuf,
    scratch: Vec<u8>,
    /// Where in the input the first line is whose key was not announced.
    announced: usize,
}

/// What the fast way found out about a line's series.
enum Known {
    /// The intake was not asked.
    Unasked,
    /// The intake's answer.
    Asked(Option<Series>),
}

impl Decoder {
    /// A decoder.
    pub fn new() -> Decoder {
        Decoder {
            cutter: LineCutter::new(LINE_BYTES_MAX),
            line: LineBuf::default(),
            values: Values::default(),
            labels: LabelsBuf::default(),
            scratch: Vec::new(),
            announced: 0,
        }
    }

    /// Takes a line. Blank ones are no rows and no faults.
    fn take<I: Intake>(&mut self, line: &[u8], intake: &mut I, result: &mut WriteResult) -> Result<(), Full> {
        let known = match self.take_expected(line, intake) {
            Ok(pushed) => {
                result.samples += pushed?;
                result.accepted += 1;
                return Ok(());
            }
            Err(known) => known,
        };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match self.take_plainly(line, known, intake, result) {
            Ok(pushed) => pushed,
            Err(fault) => {
                self.reject(line, &fault, result);
                Ok(())
            }
        }
    }

    /// Takes a line of the printed form whose series and fields are known: its samples. Else says what is known of the
    /// series.
    #[inline]
    fn take_expected<I: Intake>(&mut self, line: &[u8], intake: &mut I) -> Result<Result<u64, Full>, Known> {
        let head = Head::read(line).ok_or(Known::Unasked)?;
        let rest = &line[head.labels..];
        let predicted = intake.predicted();
        let (series, key_len) = if !predicted.is_empty() && rest.starts_with(predicted) {
            let len = predicted.len();
            (intake.confirm(), len)
        } else {
            let len = strings_object_len(rest).ok_or(Known::Unasked)?;
            (intake.find(&rest[..len]).ok_or(Known::Asked(None))?, len)
        };
        let known = Known::Asked(Some(series));
        if series.shape == ShapeId::NONE {
            return Err(known);
        }
        let room = (&mut self.values, &mut self.line.values, &mut self.line.heap);
        let place = head.labels + key_len;
        read_values(intake.shape(series.shape), line, &head, place, room).ok_or(known)?;
        let (values, heap) = (&self.line.values, &self.line.heap);
        let samples = values.len() as u64 - u64::from(head.start_ns.is_some());
        Ok(intake.push(series, series.shape, head.time_ns, values, heap).map(|()| samples))
    }

    /// Takes a line member by member.
    #[cold]
    #[inline(never)]
    fn take_plainly<I: Intake>(
        &mut self,
        line: &[u8],
        known: Known,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Result<(), Full>, Fault> {
        let kind = self.line.read(line, &mut self.values)?;
        if kind == LineKind::Metadata {
            let metadata = self.line.metadata();
            check_side_text(metadata.text_bytes())?;
            let taken = intake.metadata(&metadata);
            result.accepted += u64::from(taken.is_ok());
            return Ok(taken);
        }
        let key = &line[self.line.labels.clone()];
        let found = match known {
            Known::Asked(answer) => answer,
            Known::Unasked => intake.find(key),
        };
        let series = match found {
            Some(series) => series,
            None => {
                parse_labels(key, &mut self.labels, &mut self.scratch)?;
                intake.define(key, &mut self.labels).map_err(Fault::Refused)?
            }
        };
        let (taken, samples) = if kind == LineKind::Exemplar {
            let (field, value_bits) = self.line.exemplar();
            let labels = &self.line.exemplar_labels;
            let exemplar = Exemplar { field, time_ns: self.line.time_ns, value_bits, labels };
            check_side_text(exemplar.text_bytes())?;
            (intake.exemplar(series, &exemplar), 0)
        } else {
            let (time_ns, samples) = (self.line.time_ns, self.line.samples());
            let pushed = self.line.with_texts(|texts, values, heap| {
                let shape = intake.define_shape(series, texts).map_err(Fault::Refused)?;
                Ok::<_, Fault>(intake.push(series, shape, time_ns, values, heap))
            })?;
            (pushed, samples)
        };
        if taken.is_ok() {
            result.accepted += 1;
            result.samples += samples;
        }
        Ok(taken)
    }

    /// Announces the keys of the lines from `at` on, unless some that were announced are still to come.
    fn announce<I: Intake>(&mut self, input: &[u8], at: usize, intake: &mut I) {
        if at < self.announced {
            return;
        }
        self.announced = at;
        for line in whole_lines(&input[at..]).take(AHEAD_LINES) {
            if let Some(head) = Head::read(line)
                && let Some(len) = strings_object_len(&line[head.labels..])
            {
                intake.announce(&line[head.labels..][..len]);
            }
            self.announced += line.len() + 1;
        }
    }

    #[cold]
    fn reject(&self, line: &[u8], fault: &Fault, result: &mut WriteResult) {
        result.reject(self.cutter.number(), fault.reason(), line, || fault.to_string());
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decode for Decoder {
    fn rewind(&mut self) {
        self.cutter.reset();
    }

    /// Takes as many whole lines of `input` as it can. Faults are by line from 1; blank lines count. What was not
    /// consumed is never longer than [`LINE_BYTES_MAX`].
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
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
                    if self.take(text, intake, result).is_err() {
                        return Fed { consumed: at, state: FedState::Full };
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

/// Refuses what the intake would leave out without a word to its sender.
fn check_side_text(bytes: usize) -> Result<(), Fault> {
    if bytes <= SIDE_TEXT_BYTES_MAX {
        return Ok(());
    }
    let (what, max) = ("the text of an exemplar or of metadata", SIDE_TEXT_BYTES_MAX as u64);
    Err(Fault::Refused(Refusal::TooLarge { what, max }))
}

/// Lines whose keys are announced together: enough for a fetch from memory to pass while they are found.
const AHEAD_LINES: usize = 16;
