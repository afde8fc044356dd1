//! A line member by member: what every line is judged by.
//!
//! Comes in: a line without its newline; goes out: what kind it is and all that it says, in [`LineBuf`]. The fast way
//! ([`super::expected`]) takes only lines that this room would take, with the same values.

use super::composite::{lossy, unknown_type};
use super::fault::Fault;
use super::value::{Values, name_of, signed, text, type_of, unsigned};
use crate::bytes::json::{Json, JsonString, LoneSurrogates};
use crate::bytes::write_varint;
use crate::model::{FieldText, FieldType, LabelsBuf, Metadata, MetricType};

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineKind {
    Row,
    Exemplar,
    Metadata,
}

/// All that one line says. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct LineBuf {
    pub(super) time_ns: i64,
    /// A word a field, and one for the start time.
    pub(super) values: Vec<u64>,
    /// What values on the heap are made of.
    pub(super) heap: Vec<u8>,
    /// Where the text of `labels` is in the line.
    pub(super) labels: std::ops::Range<usize>,
    /// An exemplar's own labels, as the intake takes them.
    pub(super) exemplar_labels: Vec<u8>,
    start_ns: Option<i64>,
    spans: Vec<Span>,
    /// Names and texts of fields; the texts of metadata.
    names: Vec<u8>,
    metadata: MetadataSpans,
    pairs: Vec<u8>,
    texts: Vec<FieldText<'static>>,
}

/// A field's places in `names`.
#[derive(Clone, Copy, Debug)]
struct Span {
    text_start: u32,
    name_start: u32,
    name_end: u32,
    kind: FieldType,
}

#[derive(Default, Debug)]
struct MetadataSpans {
    /// Where name, unit and help end in `names`, one behind the other.
    ends: [usize; 3],
    kind: Option<MetricType>,
}

impl LineBuf {
    /// Reads a line.
    pub(super) fn read(&mut self, line: &[u8], values: &mut Values) -> Result<LineKind, Fault> {
        if let Err(e) = std::str::from_utf8(line) {
            return Err(Fault::NotUtf8(e.valid_up_to()));
        }
        self.clear();
        let mut json = Json::new(line, 0);
        let mut seen = Seen::default();
        json.object(|json, name| {
            let member = Member::of(name)?;
            seen.add(member)?;
            match member {
                Member::Tenant => match unsigned(json)? {
                    0 => {}
                    tenant => return Err(Fault::Tenant(tenant)),
                },
                Member::Time => self.time_ns = signed(json)?,
                Member::Start => self.start_ns = Some(signed(json)?),
                Member::Labels => {
                    json.peek();
                    let start = json.at();
                    read_names(json)?;
                    self.labels = start..json.at();
                }
                Member::Fields => self.read_fields(json, values)?,
                Member::Exemplar => self.read_exemplar(json)?,
                Member::Metadata => self.read_metadata(json)?,
            }
            Ok::<(), Fault>(())
        })?;
        json.end()?;
        let kind = seen.kind()?;
        match kind {
            LineKind::Row => self.settle_row()?,
            LineKind::Exemplar => match &self.spans[..] {
                [Span { kind: FieldType::F64, .. }] => {}
                _ => return Err(Fault::Misplaced("fields")),
            },
            LineKind::Metadata => {}
        }
        Ok(kind)
    }

    /// Samples of the row.
    pub(super) fn samples(&self) -> u64 {
        self.spans.len() as u64 - u64::from(self.start_ns.is_some())
    }

    /// The field that an exemplar belongs to, and the bits of its value.
    pub(super) fn exemplar(&self) -> (&[u8], u64) {
        let span = &self.spans[0];
        (&self.names[span.name_start as usize..span.name_end as usize], self.values[0])
    }

    /// What a line of metadata says.
    pub(super) fn metadata(&self) -> Metadata<'_> {
        let [name, unit, help] = self.metadata.ends;
        Metadata {
            name: &self.names[..name],
            kind: self.metadata.kind.unwrap_or(MetricType::Unknown),
            unit: &self.names[name..unit],
            help: &self.names[unit..help],
        }
    }

    /// Calls `with` with the row's fields as a shape is defined, its values and its heap.
    pub(super) fn with_texts<R>(&mut self, with: impl FnOnce(&[FieldText<'_>], &[u64], &[u8]) -> R) -> R {
        let mut texts = FieldText::recycle(std::mem::take(&mut self.texts));
        texts.extend(self.spans.iter().enumerate().map(|(i, span)| {
            let text_end = self.spans.get(i + 1).map_or(self.names.len(), |next| next.name_start as usize);
            FieldText {
                text: &self.names[span.text_start as usize..text_end],
                name: &self.names[span.name_start as usize..span.name_end as usize],
                kind: span.kind,
            }
        }));
        let answer = with(&texts, &self.values, &self.heap);
        self.texts = FieldText::recycle(texts);
        answer
    }

    fn clear(&mut self) {
        self.values.clear();
        self.heap.clear();
        self.spans.clear();
        self.names.clear();
        self.start_ns = None;
        self.exemplar_labels.clear();
        self.metadata = MetadataSpans::default();
    }

    fn read_fields(&mut self, json: &mut Json<'_>, values: &mut Values) -> Result<(), Fault> {
        json.object(|json, name| {
            let mut first = true;
            json.object(|json, kind| {
                let kind = type_of(kind.raw()).ok_or_else(|| unknown_type(kind.raw()))?;
                self.add_field(name, kind, first)?;
                first = false;
                self.values.push(values.read(json, kind, &mut self.heap)?);
                Ok::<(), Fault>(())
            })?;
            if first { Err(Fault::NoValue(lossy(name.raw()))) } else { Ok(()) }
        })
    }

    /// Adds a field to the shape: its name, and the text that stands before its value in the printed form.
    fn add_field(&mut self, name: JsonString<'_>, kind: FieldType, first: bool) -> Result<(), Fault> {
        let name_start = self.names.len();
        name.append_to(LoneSurrogates::Bytes, &mut self.names).map_err(|_| surrogate(name))?;
        let text_start = self.names.len();
        if first {
            self.names.extend_from_slice(if self.spans.is_empty() { b"\"" } else { b"},\"" });
            self.names.extend_from_slice(name.raw());
            self.names.extend_from_slice(b"\":{\"");
        } else {
            self.names.extend_from_slice(b",\"");
        }
        self.names.extend_from_slice(name_of(kind).as_bytes());
        self.names.extend_from_slice(b"\":");
        self.spans.push(Span {
            text_start: text_start as u32,
            name_start: name_start as u32,
            name_end: text_start as u32,
            kind,
        });
        Ok(())
    }

    /// Appends the start time, and refuses a field that is given twice.
    fn settle_row(&mut self) -> Result<(), Fault> {
        if self.spans.is_empty() {
            return Err(Fault::Missing("fields"));
        }
        // Printed fields come sorted, by name and then by type: twins would be neighbours.
        let sorted = self.spans.is_sorted_by(|a, b| self.order(a) < self.order(b));
        if !sorted {
            let mut order: Vec<_> = self.spans.iter().map(|span| self.order(span)).collect();
            order.sort_unstable();
            if let Some(twins) = order.windows(2).find(|w| w[0] == w[1]) {
                return Err(Fault::Twice(lossy(twins[0].0)));
            }
        }
        if let Some(start_ns) = self.start_ns {
            let end = self.names.len() as u32;
            self.spans.push(Span {
                text_start: end,
                name_start: end,
                name_end: end,
                kind: FieldType::StartTime,
            });
            self.values.push(start_ns as u64);
        }
        Ok(())
    }

    fn order(&self, span: &Span) -> (&[u8], FieldType) {
        (&self.names[span.name_start as usize..span.name_end as usize], span.kind)
    }

    fn read_exemplar(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let mut count = 0;
        self.pairs.clear();
        let (pairs, scratch) = (&mut self.pairs, &mut self.exemplar_labels);
        json.object(|json, name| {
            count += 1;
            scratch.clear();
            name.append_to(LoneSurrogates::Bytes, scratch).map_err(|_| surrogate(name))?;
            write_sized(pairs, scratch);
            scratch.clear();
            text(json, scratch)?;
            write_sized(pairs, scratch);
            Ok::<(), Fault>(())
        })?;
        scratch.clear();
        write_varint(scratch, count);
        scratch.extend_from_slice(pairs);
        Ok(())
    }

    fn read_metadata(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        // Members may come in any order, the texts lie in one: the first walk remembers where they are.
        let mut found: [Option<Json<'_>>; 3] = [None; 3];
        json.object(|json, name| {
            let member = match name.raw() {
                b"name" => 0,
                b"unit" => 1,
                b"help" => 2,
                b"type" if self.metadata.kind.is_none() => {
                    self.metadata.kind = Some(metric_type(json)?);
                    return Ok(());
                }
                b"type" => return Err(Fault::Twice("type".into())),
                other => return Err(Fault::UnknownMember(lossy(other))),
            };
            if found[member].replace(*json).is_some() {
                return Err(Fault::Twice(lossy(name.raw())));
            }
            json.string()?;
            Ok(())
        })?;
        if found[0].is_none() {
            return Err(Fault::Missing("name"));
        }
        for (place, end) in found.iter_mut().zip(&mut self.metadata.ends) {
            if let Some(json) = place {
                text(json, &mut self.names)?;
            }
            *end = self.names.len();
        }
        Ok(())
    }
}

/// Fills `labels` with what the text of a line's `labels` spells.
pub(super) fn parse_labels(raw: &[u8], labels: &mut LabelsBuf, scratch: &mut Vec<u8>) -> Result<(), Fault> {
    labels.clear();
    Json::new(raw, 0).object(|json, name| {
        let value = json.string()?;
        scratch.clear();
        name.append_to(LoneSurrogates::Bytes, scratch).map_err(|_| surrogate(name))?;
        let name_len = scratch.len();
        value.append_to(LoneSurrogates::Bytes, scratch).map_err(|_| surrogate(value))?;
        labels.push(&scratch[..name_len], &scratch[name_len..]);
        Ok(())
    })
}

/// Goes over an object of strings.
fn read_names(json: &mut Json<'_>) -> Result<(), Fault> {
    json.object(|json, _| Ok(json.string().map(|_| ())?))
}

fn metric_type(json: &mut Json<'_>) -> Result<MetricType, Fault> {
    let fault = json.fault("a metric's type is expected");
    Ok(match json.string()?.raw() {
        b"unknown" => MetricType::Unknown,
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"summary" => MetricType::Summary,
        b"histogram" => MetricType::Histogram,
        b"gauge_histogram" => MetricType::GaugeHistogram,
        b"state_set" => MetricType::StateSet,
        b"info" => MetricType::Info,
        _ => return Err(Fault::Value(fault)),
    })
}

fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cold]
fn surrogate(string: JsonString<'_>) -> Fault {
    Fault::Surrogate(lossy(string.raw()))
}

/// The members of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Tenant,
    Time,
    Start,
    Labels,
    Fields,
    Exemplar,
    Metadata,
}

impl Member {
    fn of(name: JsonString<'_>) -> Result<Member, Fault> {
        let found = MEMBERS.iter().find(|member| member.name().as_bytes() == name.raw());
        found.copied().ok_or_else(|| Fault::UnknownMember(lossy(name.raw())))
    }

    fn name(self) -> &'static str {
        match self {
            Member::Tenant => "tenant",
            Member::Time => "time",
            Member::Start => "start",
            Member::Labels => "labels",
            Member::Fields => "fields",
            Member::Exemplar => "exemplar",
            Member::Metadata => "metadata",
        }
    }
}

const MEMBERS: [Member; 7] = [
    Member::Tenant,
    Member::Time,
    Member::Start,
    Member::Labels,
    Member::Fields,
    Member::Exemplar,
    Member::Metadata,
];

/// The members that a line has: a bit each.
#[derive(Clone, Copy, Default, Debug)]
struct Seen(u8);

impl Seen {
    fn add(&mut self, member: Member) -> Result<(), Fault> {
        if self.has(member) {
            return Err(Fault::Twice(member.name().into()));
        }
        self.0 |= 1 << member as u8;
        Ok(())
    }

    fn has(self, member: Member) -> bool {
        self.0 & 1 << member as u8 != 0
    }

    /// What the line is, if it has all that belongs to it and nothing else.
    fn kind(self) -> Result<LineKind, Fault> {
        use Member::{Exemplar, Fields, Labels, Metadata, Start, Time};
        let (kind, needed, misplaced): (_, &[Member], &[Member]) = if self.has(Metadata) {
            (LineKind::Metadata, &[], &[Time, Start, Labels, Fields, Exemplar])
        } else if self.has(Exemplar) {
            (LineKind::Exemplar, &[Time, Labels, Fields], &[Start])
        } else {
            (LineKind::Row, &[Time, Labels, Fields], &[])
        };
        if let Some(member) = needed.iter().find(|&&member| !self.has(member)) {
            return Err(Fault::Missing(member.name()));
        }
        match misplaced.iter().find(|&&member| self.has(member)) {
            Some(member) => Err(Fault::Misplaced(member.name())),
            None => Ok(kind),
        }
    }
}
