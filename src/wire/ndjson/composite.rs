//! Values of several parts: nested values and native histograms.

use super::fault::Fault;
use super::value::{bytes, float_bits, null, signed, text, truth, type_of, unsigned};
use crate::bytes::json::Json;
use crate::model::{BucketsBuf, CountKind, FieldType, HistogramBuf, NestedBuf, ResetHint};

/// The room that such values are built in.
#[derive(Default, Debug)]
pub(super) struct Composite {
    histogram: HistogramBuf,
    nested: NestedBuf,
    scratch: Vec<u8>,
    bytes: Vec<u8>,
}

impl Composite {
    /// Reads a nested value and appends its encoding.
    pub(super) fn nested(&mut self, json: &mut Json<'_>, heap: &mut Vec<u8>) -> Result<(), Fault> {
        self.nested.clear();
        self.nested_value(json)?;
        heap.extend_from_slice(self.nested.finish());
        Ok(())
    }

    /// The builder bounds the depth, and with it the stack.
    fn nested_value(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let fault = json.fault("one type and its value are expected");
        let mut values = 0;
        json.object(|json, name| {
            values += 1;
            if values > 1 {
                return Err(Fault::Json(fault));
            }
            match name.raw() {
                b"list" => {
                    self.nested.begin_list().map_err(|_| too_deep(json))?;
                    json.array(|json| self.nested_value(json))?;
                    self.nested.end();
                    Ok(())
                }
                b"map" => {
                    self.nested.begin_map().map_err(|_| too_deep(json))?;
                    json.array(|json| self.map_item(json))?;
                    self.nested.end();
                    Ok(())
                }
                name => self.scalar(json, name),
            }
        })?;
        if values == 1 { Ok(()) } else { Err(Fault::Json(fault)) }
    }

    /// `["key", value]`
    fn map_item(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let fault = json.fault("a key and its value are expected");
        let mut parts = 0;
        json.array(|json| {
            parts += 1;
            match parts {
                1 => {
                    self.bytes.clear();
                    text(json, &mut self.bytes)?;
                    self.nested.key(&self.bytes);
                    Ok(())
                }
                2 => self.nested_value(json),
                _ => Err(Fault::Json(fault)),
            }
        })?;
        if parts == 2 { Ok(()) } else { Err(Fault::Json(fault)) }
    }

    fn scalar(&mut self, json: &mut Json<'_>, name: &[u8]) -> Result<(), Fault> {
        let kind = type_of(name).ok_or_else(|| unknown_type(name))?;
        self.bytes.clear();
        match kind {
            FieldType::F64 => self.nested.f64(f64::from_bits(float_bits(json)?)),
            FieldType::I64 => self.nested.i64(signed(json)?),
            FieldType::U64 => self.nested.u64(unsigned(json)?),
            FieldType::Bool => self.nested.bool(truth(json)?),
            FieldType::Null => {
                null(json)?;
                self.nested.null();
            }
            FieldType::String => {
                text(json, &mut self.bytes)?;
                self.nested.string(&self.bytes);
            }
            FieldType::Bytes => {
                bytes(json, &mut self.scratch, &mut self.bytes)?;
                self.nested.bytes(&self.bytes);
            }
            _ => return Err(unknown_type(name)),
        }
        Ok(())
    }

    /// Reads a histogram and appends its encoding.
    pub(super) fn histogram(&mut self, json: &mut Json<'_>, heap: &mut Vec<u8>) -> Result<(), Fault> {
        let buf = &mut self.histogram;
        buf.clear();
        // What the counts are must be known before they are read. It is printed first, so this ends at once.
        buf.kind = count_kind(*json)?;
        let mut seen = 0u32;
        json.object(|json, name| {
            let number = MEMBERS.iter().position(|member| member.as_bytes() == name.raw());
            let number = number.ok_or_else(|| Fault::UnknownMember(lossy(name.raw())))?;
            if seen & 1 << number != 0 {
                return Err(Fault::Twice(MEMBERS[number].into()));
            }
            seen |= 1 << number;
            histogram_member(buf, json, MEMBERS[number])
        })?;
        match (0..MEMBERS_NEEDED).find(|number| seen & 1 << number == 0) {
            Some(missing) => Err(Fault::Missing(MEMBERS[missing])),
            None => buf.encode(heap).map_err(Fault::Histogram),
        }
    }
}

/// The members of a histogram in their order; all but the last two are always there.
const MEMBERS: [&str; 14] = [
    "counts",
    "reset",
    "schema",
    "zero_threshold",
    "sum",
    "count",
    "zero_count",
    "positive_spans",
    "positive",
    "negative_spans",
    "negative",
    "bounds",
    "min",
    "max",
];
const MEMBERS_NEEDED: usize = MEMBERS.len() - 2;

fn histogram_member(buf: &mut HistogramBuf, json: &mut Json<'_>, name: &str) -> Result<(), Fault> {
    let float = |json: &mut Json<'_>| float_bits(json).map(f64::from_bits);
    let kind = buf.kind;
    match name {
        "counts" => json.skip().map(|_| ())?,
        "reset" => buf.reset = reset(json)?,
        "schema" => {
            let fault = json.fault("a schema is expected");
            buf.schema = i32::try_from(signed(json)?).map_err(|_| Fault::Value(fault))?;
        }
        "zero_threshold" => buf.zero_threshold = float(json)?,
        "sum" => buf.sum = float(json)?,
        "count" => buf.count = count(json, kind)?,
        "zero_count" => buf.zero_count = count(json, kind)?,
        "positive_spans" => json.array(|json| span(json, &mut buf.positive))?,
        "positive" => json.array(|json| count(json, kind).map(|word| buf.positive.count(word)))?,
        "negative_spans" => json.array(|json| span(json, &mut buf.negative))?,
        "negative" => json.array(|json| count(json, kind).map(|word| buf.negative.count(word)))?,
        "bounds" => json.array(|json| float(json).map(|bound| buf.bounds.push(bound)))?,
        "min" => buf.min = Some(float(json)?),
        _ => buf.max = Some(float(json)?),
    }
    Ok(())
}

/// What the counts are of the histogram that is next.
fn count_kind(mut json: Json<'_>) -> Result<CountKind, Fault> {
    let mut kind = None;
    let walked: Result<(), Fault> = json.object(|json, name| {
        if name.raw() != b"counts" {
            return json.skip().map(|_| ()).map_err(Fault::Json);
        }
        let fault = json.fault("\"u64\" or \"f64\" is expected");
        kind = Some(match json.string()?.raw() {
            b"u64" => CountKind::U64,
            b"f64" => CountKind::F64,
            _ => return Err(Fault::Value(fault)),
        });
        // Any error ends the walk.
        Err(Fault::Json(fault))
    });
    match kind {
        Some(kind) => Ok(kind),
        None => walked.and(Err(Fault::Missing("counts"))),
    }
}

fn count(json: &mut Json<'_>, kind: CountKind) -> Result<u64, Fault> {
    match kind {
        CountKind::U64 => unsigned(json),
        CountKind::F64 => float_bits(json),
    }
}

/// `[offset, length]`
fn span(json: &mut Json<'_>, buckets: &mut BucketsBuf) -> Result<(), Fault> {
    let fault = json.fault("an offset and a length are expected");
    let (mut parts, mut offset, mut len) = (0, 0, 0);
    json.array(|json| {
        parts += 1;
        match parts {
            1 => offset = signed(json)?,
            2 => len = unsigned(json)?,
            _ => return Err(Fault::Json(fault)),
        }
        Ok(())
    })?;
    if parts != 2 {
        return Err(Fault::Json(fault));
    }
    buckets.span(offset, len);
    Ok(())
}

fn reset(json: &mut Json<'_>) -> Result<ResetHint, Fault> {
    let fault = json.fault("\"unknown\", \"yes\", \"no\" or \"gauge\" is expected");
    Ok(match json.string()?.raw() {
        b"unknown" => ResetHint::Unknown,
        b"yes" => ResetHint::Yes,
        b"no" => ResetHint::No,
        b"gauge" => ResetHint::Gauge,
        _ => return Err(Fault::Value(fault)),
    })
}

#[cold]
fn too_deep(json: &Json<'_>) -> Fault {
    Fault::Value(json.fault("lists and maps nest too deep"))
}

#[cold]
pub(super) fn unknown_type(name: &[u8]) -> Fault {
    Fault::UnknownType(lossy(name))
}

#[cold]
pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
