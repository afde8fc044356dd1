//! The decoder: a checked message in, rows out.

use std::ops::Range;

use crate::bytes::ProtobufFields;
use crate::model::{Full, Intake, LabelsBuf, Series, WriteResult};
use crate::wire::{Decode, Fed, FedState, Malformed};

use super::ahead::Ahead;
use super::check::{
    Depth, behind_series, check_body, check_metadata_v1, check_metadata_v2, check_series, in_metadata,
    in_series,
};
use super::fault::Site;
use super::labels::{LabelFault, parse_labels};
use super::message::{Message, Outer, Part, SYMBOL_TAG, bytes, fields};
use super::plain::{PlainSeries, packed};
use super::rows::{Found, Items, MetadataV2, Sample, take_metadata_v1};
use super::spelling::Spelling;
use super::symbols::{Symbols, length_start};

/// A decoder of one body at a time, which is there whole.
///
/// ```
/// use tidegate::wire::remote_write::{Decoder, Message};
/// use tidegate::wire::{Decode, FedState, testing::Rows};
/// // One series {__name__="up"} with the sample 1 at 2 ms.
/// let body = b"\x0a\x1d\x0a\x0e\x0a\x08__name__\x12\x02up\x12\x0b\x09\0\0\0\0\0\0\xf0\x3f\x10\x02";
/// let mut decoder = Decoder::new(Message::V1);
/// decoder.check(body).unwrap();
/// let (mut rows, mut result) = (Rows::default(), Default::default());
/// assert_eq!(decoder.feed(body, true, &mut rows, &mut result).state, FedState::Done);
/// assert_eq!(rows.rows[0].time_ns, 2_000_000);
/// ```
#[derive(Debug)]
pub struct Decoder {
    message: Message,
    /// The body was checked, and its symbols are found.
    checked: bool,
    place: Place,
    symbols: Symbols,
    spelling: Spelling,
    ahead: Ahead,
    items: Items,
    labels: LabelsBuf,
}

/// Why a body is not taken to its end.
#[derive(Debug)]
enum Stop {
    /// The intake has no room.
    Full,
    /// It turns out to be no message.
    Malformed(Malformed),
}

/// How far a body is taken.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    /// Bytes of the body that are done with: whole fields of it.
    at: usize,
    /// Series and metadata messages among them.
    series: u64,
    metadata: u64,
    /// Bytes of the series behind them that are done with: items of it.
    item: usize,
}

/// What a 2.0 series holds, apart from rows and their labels.
#[derive(Default, Debug)]
struct Survey {
    /// Samples and histograms.
    rows: u64,
    has_exemplars: bool,
    created_ms: i64,
    metadata: MetadataV2,
    /// The last metadata message from its length on, if there is one.
    metadata_at: Option<Range<usize>>,
    metadata_count: u32,
    /// The reference of the metric's name.
    name: Option<u64>,
}

impl Decoder {
    /// A decoder for bodies that are this message.
    pub fn new(message: Message) -> Decoder {
        Decoder {
            message,
            checked: false,
            place: Place::default(),
            symbols: Symbols::default(),
            spelling: Spelling::default(),
            ahead: Ahead::default(),
            items: Items::default(),
            labels: LabelsBuf::default(),
        }
    }

    /// Makes the decoder ready for another body, perhaps of another intake, and keeps its memory.
    pub fn reset(&mut self, message: Message) {
        self.message = message;
        self.checked = false;
        self.place = Place::default();
        self.symbols.clear();
        self.spelling.forget();
        self.items.forget();
    }

    fn take_all<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Stop> {
        let mut left = ProtobufFields::new(&body[self.place.at..]);
        loop {
            if let Some(parts) = left.short_bytes(self.message.series_tag()) {
                let end = body.len() - left.rest().len();
                let at = end - parts.len();
                match self.take_predicted(body, (at, parts), intake, result) {
                    Some(taken) => taken?,
                    None => self.take_series(body, (at, parts), intake, result)?,
                }
                self.pass_series(end);
                continue;
            }
            if self.message == Message::V2 && left.short_bytes(SYMBOL_TAG).is_some() {
                self.place.at = body.len() - left.rest().len();
                continue;
            }
            let Some(field) = left.next() else { break };
            let (number, value) = field.map_err(|e| behind_series(self.place.series, e))?;
            let end = body.len() - left.rest().len();
            match self.message.outer(number) {
                Outer::Series => {
                    let parts = value.bytes().map_err(|e| in_series(self.place.series + 1, e))?;
                    self.take_series(body, (end - parts.len(), parts), intake, result)?;
                    self.pass_series(end);
                }
                Outer::Metadata => {
                    let metadata = value.bytes().map_err(in_metadata)?;
                    if !self.checked {
                        check_metadata_v1(metadata).map_err(in_metadata)?;
                    }
                    take_metadata_v1(metadata, self.place.metadata + 1, intake, result)?;
                    self.place.metadata += 1;
                }
                Outer::Symbol | Outer::Foreign | Outer::Unknown => {}
            }
            self.place.at = end;
        }
        Ok(())
    }

    /// The series that ends at `end` is done with.
    #[inline]
    fn pass_series(&mut self, end: usize) {
        self.place = Place { at: end, series: self.place.series + 1, item: 0, ..self.place };
    }

    /// Takes a series that is as everybody writes it, of the key that was expected: labels, a sample, and what its
    /// metric is. None for others, of which nothing was done. It needs no check: it is what was checked when that key
    /// was new.
    #[inline(always)]
    fn take_predicted<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Option<Result<(), Full>> {
        let predicted = intake.predicted();
        if predicted.is_empty() {
            return None;
        }
        let sample = match self.message {
            // What follows the key is nothing but a sample: no more labels.
            Message::V1 => Sample::read_plain(parts.strip_prefix(predicted)?)?,
            Message::V2 => {
                let plain = PlainSeries::read(parts)?;
                if !self.spelling.spells(body, &self.symbols, plain.references, predicted) {
                    return None;
                }
                if !self.has_said(body, at, &plain)? {
                    match self.say(body, (at, parts), &plain, intake, result)? {
                        Ok(()) => {}
                        full => return Some(full),
                    }
                }
                plain.sample
            }
        };
        self.items.take_predicted(sample, intake, result)
    }

    /// Takes a series whose key was not predicted, or that is not plain.
    #[inline(never)]
    fn take_series<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Stop> {
        if let Some(taken) = self.take_plain(body, (at, parts), intake, result) {
            return taken;
        }
        if !self.checked {
            check_series(self.message, parts).map_err(|e| in_series(self.place.series + 1, e))?;
        }
        match self.message {
            Message::V1 => self.take_v1(body, (at, parts), intake, result)?,
            Message::V2 => self.take_v2(body, (at, parts), intake, result)?,
        }
        Ok(())
    }

    /// Whether what a 2.0 series says of its metric was handed on before. None if it does not start with its name.
    #[inline(always)]
    fn has_said(&self, body: &[u8], at: usize, plain: &PlainSeries<'_>) -> Option<bool> {
        if plain.metadata.is_empty() {
            return Some(true);
        }
        let mut references = packed(plain.references);
        let (label, name) = (references.next()?, references.next()?);
        let metadata = at + plain.metadata.start..at + plain.metadata.end;
        Some(self.symbols.is_metric_name(body, label) && self.symbols.has_metadata(body, name, &metadata))
    }

    /// Hands on what a plain 2.0 series of a known key says of its metric. None, with nothing done, if it says it
    /// wrongly, or if its sample was taken before there was no room for that.
    #[inline(never)]
    fn say<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        plain: &PlainSeries<'_>,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Option<Result<(), Full>> {
        // Behind its length, which is one byte.
        let message = &parts[plain.metadata.start + 1..plain.metadata.end];
        check_metadata_v2(message).ok()?;
        let mut metadata = MetadataV2::default();
        metadata.merge(message);
        if metadata.help.max(metadata.unit) >= self.symbols.len() as u64 {
            return None;
        }
        let mut references = packed(plain.references);
        let (label, name) = (references.next()?, references.next()?);
        if !self.symbols.is_metric_name(body, label) || self.place.item > 0 {
            return None;
        }
        let name_text = self.symbols.text(body, name)?;
        if let Err(full) = metadata.take(body, &self.symbols, name_text, intake, result) {
            return Some(Err(full));
        }
        self.symbols.note_metadata(name, &(at + plain.metadata.start..at + plain.metadata.end));
        Some(Ok(()))
    }

    /// Takes a series that is plain, but whose key was not predicted, or whose rows had another shape. None for others.
    /// Only one whose key is new is checked.
    #[inline]
    fn take_plain<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Option<Result<(), Stop>> {
        let sample = match self.message {
            Message::V1 => None,
            Message::V2 => {
                let plain = PlainSeries::read(parts)?;
                if !self.has_said(body, at, &plain)? || !plain.has_whole_references() {
                    return None;
                }
                Some(plain.sample)
            }
        };
        let key = self.ahead.key(self.message, body, (at, parts), &self.symbols, intake).ok()?;
        let sample = match sample {
            Some(sample) => sample,
            // Labels that lie side by side are a key as received, which starts where the series does.
            None if key.as_ptr() == parts.as_ptr() => Sample::read_plain(&parts[key.len()..])?,
            None => return None,
        };
        let site = Site { message: self.message, number: self.place.series + 1, key };
        if key.is_empty() {
            return None;
        }
        let series = match known(&site, intake) {
            Some(series) => series,
            None => {
                if !self.checked
                    && let Err(error) = check_series(self.message, parts)
                {
                    return Some(Err(Stop::Malformed(in_series(site.number, error))));
                }
                let Some(series) = define(&site, parts, &mut self.labels, intake, result) else {
                    return Some(Ok(()));
                };
                series
            }
        };
        let mut found = Found { site, body, parts, series, created_ms: 0 };
        Some(self.items.take_sample(&mut found, sample, intake, result).map_err(Stop::from))
    }

    /// Takes a 1.0 series that holds more than a sample.
    fn take_v1<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let key = self.ahead.key(self.message, body, (at, parts), &self.symbols, intake);
        let site =
            Site { message: self.message, number: self.place.series + 1, key: key.unwrap_or_default() };
        if let Err(fault) = key {
            site.reject_key(result, parts, fault, rows_for_rejection(self.message, parts));
            return Ok(());
        }
        let left = &parts[self.place.item..];
        let Some(series) = find(&site, left, &mut self.labels, intake, result) else { return Ok(()) };
        let mut found = Found { site, body, parts, series, created_ms: 0 };
        self.items.take(&mut found, &self.symbols, &mut self.place.item, intake, result)
    }

    fn take_v2<I: Intake>(
        &mut self,
        body: &[u8],
        (at, parts): (usize, &[u8]),
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let survey = Survey::of(body, (at, parts), &self.symbols);
        let key = self.ahead.key(self.message, body, (at, parts), &self.symbols, intake);
        let site =
            Site { message: self.message, number: self.place.series + 1, key: key.unwrap_or_default() };
        let rows = survey.rows.max(1);
        if let Err(fault) = key {
            site.reject_key(result, parts, fault, rows);
            return Ok(());
        }
        let MetadataV2 { unit, help, .. } = survey.metadata;
        for (field, reference) in [("unit_ref", unit), ("help_ref", help)] {
            if reference >= self.symbols.len() as u64 && survey.metadata_at.is_some() {
                let reference = (field, reference, self.symbols.len());
                site.reject_metadata(result, parts, reference, rows);
                return Ok(());
            }
        }
        if survey.rows == 0 && !survey.has_exemplars {
            // No series is made for it.
            match parse_labels(site.message, site.key, &mut self.labels) {
                Ok(()) => site.reject_empty(result),
                Err(fault) => site.reject_labels(result, &fault, 1),
            }
            return Ok(());
        }
        let left = &parts[self.place.item..];
        let Some(series) = find(&site, left, &mut self.labels, intake, result) else { return Ok(()) };
        let mut found = Found { site, body, parts, series, created_ms: survey.created_ms };
        self.items.take(&mut found, &self.symbols, &mut self.place.item, intake, result)?;
        if survey.rows == 0 {
            // Prometheus sends every exemplar in a series of its own, and its receiver refuses what its sender sends,
            // as the specification has it. The answer is the same here, but the exemplars are kept.
            found.site.reject_empty(result);
            return Ok(());
        }
        let (Some(message), Some(name)) = (survey.metadata_at, survey.name) else { return Ok(()) };
        // Every series of a metric says the same.
        if survey.metadata_count == 1 && self.symbols.has_metadata(body, name, &message) {
            return Ok(());
        }
        let name_text = self.symbols.text(body, name).unwrap_or_default();
        survey.metadata.take(body, &self.symbols, name_text, intake, result)?;
        self.symbols.note_metadata(name, &message);
        Ok(())
    }
}

impl Decode for Decoder {
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        self.spelling.forget();
        check_body(self.message, body, Depth::Whole, &mut self.symbols)?;
        self.checked = true;
        Ok(())
    }

    fn rewind(&mut self) {
        self.place = Place::default();
        self.items.forget();
        self.symbols.forget_metadata();
    }

    /// Takes rows of a body that is there whole: before that, nothing. A body that was not checked is checked first,
    /// and one that is no message is rejected as one row.
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        if !last {
            return Fed { consumed: 0, state: FedState::NeedMore };
        }
        let done = Fed { consumed: input.len(), state: FedState::Done };
        if !self.checked
            && let Err(malformed) = self.check(input)
        {
            result.reject(1, "syntax", &[], || malformed.error);
            return done;
        }
        self.items.enter_epoch(intake.epoch());
        self.ahead.clear();
        match self.take_all(input, intake, result) {
            Ok(()) => done,
            Err(Stop::Full) => Fed { consumed: 0, state: FedState::Full },
            Err(Stop::Malformed(malformed)) => unreachable!("the body was checked: {malformed}"),
        }
    }

    /// Checks what is not known already series by series, each before it is taken; where the intake is full the rest.
    fn feed_unchecked<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Fed, Malformed> {
        if self.message == Message::V2 || u32::try_from(body.len()).is_err() {
            // Symbols may come behind the series that refer to them.
            self.spelling.forget();
            check_body(self.message, body, Depth::Outer, &mut self.symbols)?;
        }
        self.items.enter_epoch(intake.epoch());
        self.ahead.clear();
        match self.take_all(body, intake, result) {
            Ok(()) => {
                if self.place.series + self.place.metadata == 0 {
                    self.check(body)?;
                }
                Ok(Fed { consumed: body.len(), state: FedState::Done })
            }
            Err(Stop::Full) => {
                self.check(body)?;
                Ok(Fed { consumed: 0, state: FedState::Full })
            }
            Err(Stop::Malformed(malformed)) => Err(malformed),
        }
    }
}

impl From<Full> for Stop {
    fn from(_: Full) -> Stop {
        Stop::Full
    }
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Stop {
        Stop::Malformed(malformed)
    }
}

/// The series of a key: as predicted, known, or new. None if it is rejected, with the rows in what is left of it.
#[inline]
fn find<I: Intake>(
    site: &Site<'_>,
    left: &[u8],
    labels: &mut LabelsBuf,
    intake: &mut I,
    result: &mut WriteResult,
) -> Option<Series> {
    if site.key.is_empty() {
        site.reject_labels(result, &LabelFault::Name, rows_for_rejection(site.message, left));
        return None;
    }
    known(site, intake).or_else(|| define(site, left, labels, intake, result))
}

/// The series of a key that is not empty: as predicted, or known.
#[inline]
fn known<I: Intake>(site: &Site<'_>, intake: &mut I) -> Option<Series> {
    if *site.key == *intake.predicted() { Some(intake.confirm()) } else { intake.find(site.key) }
}

#[cold]
fn define<I: Intake>(
    site: &Site<'_>,
    left: &[u8],
    labels: &mut LabelsBuf,
    intake: &mut I,
    result: &mut WriteResult,
) -> Option<Series> {
    if let Err(fault) = parse_labels(site.message, site.key, labels) {
        site.reject_labels(result, &fault, rows_for_rejection(site.message, left));
        return None;
    }
    match intake.define(site.key, labels) {
        Ok(series) => Some(series),
        Err(refusal) => {
            site.reject_refused(result, &refusal, rows_for_rejection(site.message, left));
            None
        }
    }
}

/// How many rows go with a series that is rejected: one at least, since the series is named.
fn rows_for_rejection(message: Message, parts: &[u8]) -> u64 {
    let is_row = |(number, _): &(u32, _)| matches!(message.part(*number), Part::Sample | Part::Histogram);
    (fields(parts).filter(is_row).count() as u64).max(1)
}

impl Survey {
    #[inline]
    fn of(body: &[u8], (at, parts): (usize, &[u8]), symbols: &Symbols) -> Survey {
        let mut survey = Survey::default();
        let mut left = ProtobufFields::new(parts);
        while let Some(Ok((number, value))) = left.next() {
            match Message::V2.part(number) {
                Part::Sample | Part::Histogram => survey.rows += 1,
                Part::Created => survey.created_ms = value.varint().unwrap_or_default() as i64,
                Part::Metadata => {
                    let message = bytes(value);
                    survey.metadata.merge(message);
                    survey.metadata_count += 1;
                    let end = at + parts.len() - left.rest().len();
                    survey.metadata_at = Some(length_start(body, end - message.len())..end);
                }
                Part::Exemplar => survey.has_exemplars = true,
                Part::Labels | Part::Unknown => {}
            }
        }
        if survey.metadata_at.is_some() {
            survey.name = metric_name(body, parts, symbols);
        }
        survey
    }
}

/// The reference of the metric's name.
fn metric_name(body: &[u8], parts: &[u8], symbols: &Symbols) -> Option<u64> {
    let (mut name, mut at_value, mut is_name) = (None, false, false);
    for (number, value) in fields(parts) {
        if Message::V2.part(number) == Part::Labels {
            // The message was checked: there is no varint cut short.
            let _ = value.each_varint(|reference| {
                if !at_value {
                    is_name = name.is_none() && symbols.is_metric_name(body, reference);
                } else if is_name {
                    name = Some(reference);
                }
                at_value = !at_value;
            });
        }
    }
    name
}
