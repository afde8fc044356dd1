//! Both messages read without any cleverness: every field into a list, every list into rows. What the decoder must
//! agree with.

use std::collections::{BTreeMap, HashMap};

use crate::bytes::{write_varint, zigzag};
use crate::model::MetricType;
use crate::wire::testing::{ExemplarSeen, MetadataSeen, Row, Value};

use super::Message;

/// What a body holds.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Decoded {
    pub(super) rows: Vec<Row>,
    pub(super) exemplars: Vec<ExemplarSeen>,
    pub(super) metadata: Vec<MetadataSeen>,
    pub(super) rejected: u64,
    /// The numbers of the series that something was rejected of.
    pub(super) bad: Vec<u64>,
}

#[derive(Clone, PartialEq, Debug)]
enum Field {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(Vec<u8>),
}

type Fields = Vec<(u64, Field)>;

/// Decodes a body; none if it is no message.
pub(super) fn decode(message: Message, body: &[u8]) -> Option<Decoded> {
    let outer = parse(body)?;
    let mut decoded = Decoded::default();
    match message {
        Message::V1 => {
            let series: Option<Vec<SeriesV1>> =
                all(&outer, 1)?.iter().map(|bytes| SeriesV1::read(bytes)).collect();
            let metadata: Option<Vec<Fields>> = all(&outer, 3)?.iter().map(|bytes| parse(bytes)).collect();
            let (series, metadata) = (series?, metadata?);
            if series.is_empty() && metadata.is_empty() && outer.iter().any(|(n, _)| *n == 4 || *n == 5) {
                return None;
            }
            for one in &metadata {
                last_varint(one, 1)?;
                [2, 4, 5].iter().try_for_each(|&number| all(one, number).map(drop))?;
            }
            series.iter().zip(1..).for_each(|(one, number)| one.take(number, &mut decoded));
            for (one, number) in metadata.iter().zip(1..) {
                let text = |number| String::from_utf8(last_bytes(one, number).unwrap());
                let (name, help, unit) = (text(2), text(4), text(5));
                match (name, help, unit) {
                    (Ok(name), Ok(help), Ok(unit)) if !name.is_empty() => {
                        let kind = metric_type(last_varint(one, 1)?);
                        decoded.metadata.push(MetadataSeen { name, kind, unit, help });
                    }
                    _ => decoded.reject(number, 1),
                }
            }
        }
        Message::V2 => {
            let symbols = all(&outer, 4)?;
            let series: Option<Vec<SeriesV2>> =
                all(&outer, 5)?.iter().map(|bytes| SeriesV2::read(bytes)).collect();
            let series = series?;
            if series.is_empty() && symbols.is_empty() && outer.iter().any(|(n, _)| *n == 1 || *n == 3) {
                return None;
            }
            if symbols.first().is_some_and(|first| !first.is_empty()) {
                return None;
            }
            series.iter().zip(1..).for_each(|(one, number)| one.take(number, &symbols, &mut decoded));
        }
    }
    Some(decoded)
}

impl Decoded {
    fn reject(&mut self, number: u64, rows: u64) {
        self.rejected += rows;
        self.bad.push(number);
    }

    /// Metadata by metric, what is said again left out.
    pub(super) fn said(metadata: &[MetadataSeen]) -> BTreeMap<String, Vec<MetadataSeen>> {
        let mut said: BTreeMap<String, Vec<MetadataSeen>> = BTreeMap::new();
        for one in metadata {
            let of_name = said.entry(one.name.clone()).or_default();
            if of_name.last() != Some(one) {
                of_name.push(one.clone());
            }
        }
        said
    }
}

/// A sample, histogram or exemplar, in the order of the wire.
enum Item {
    Sample(Fields),
    Histogram(Histogram),
    Exemplar(Fields),
}

struct SeriesV1 {
    labels: Vec<(Vec<u8>, Vec<u8>)>,
    items: Vec<Item>,
}

impl SeriesV1 {
    fn read(bytes: &[u8]) -> Option<SeriesV1> {
        let fields = parse(bytes)?;
        let labels = all(&fields, 1)?.iter().map(|bytes| label(bytes)).collect::<Option<_>>()?;
        let mut items = Vec::new();
        for (number, field) in &fields {
            match (number, field) {
                (2, Field::Bytes(bytes)) => items.push(Item::Sample(sample(bytes, false)?)),
                (3, Field::Bytes(bytes)) => {
                    let exemplar = parse(bytes)?;
                    all(&exemplar, 1)?.iter().try_for_each(|bytes| label(bytes).map(drop))?;
                    last_fixed(&exemplar, 2)?;
                    last_varint(&exemplar, 3)?;
                    items.push(Item::Exemplar(exemplar));
                }
                (4, Field::Bytes(bytes)) => items.push(Item::Histogram(Histogram::read(bytes, false)?)),
                (2..=4, _) => return None,
                _ => {}
            }
        }
        Some(SeriesV1 { labels, items })
    }

    fn take(&self, number: u64, decoded: &mut Decoded) {
        let rows = rows_of(&self.items);
        let Some(labels) = labels_of(&self.labels) else { return decoded.reject(number, rows.max(1)) };
        for item in &self.items {
            let exemplar_labels = |exemplar: &Fields| {
                let labels = all(exemplar, 1).unwrap();
                Some(labels.iter().map(|bytes| label(bytes).unwrap()).collect())
            };
            take_item(item, number, &labels, 0, exemplar_labels, decoded);
        }
    }
}

struct SeriesV2 {
    references: Vec<u64>,
    items: Vec<Item>,
    created_ms: i64,
    metadata: Option<[u64; 3]>,
}

impl SeriesV2 {
    fn read(bytes: &[u8]) -> Option<SeriesV2> {
        let fields = parse(bytes)?;
        let references = varints(&fields, 1)?;
        let created_ms = last_varint(&fields, 6)? as i64;
        let (mut items, mut metadata) = (Vec::new(), None);
        for (number, field) in &fields {
            match (number, field) {
                (2, Field::Bytes(bytes)) => items.push(Item::Sample(sample(bytes, true)?)),
                (3, Field::Bytes(bytes)) => items.push(Item::Histogram(Histogram::read(bytes, true)?)),
                (4, Field::Bytes(bytes)) => {
                    let exemplar = parse(bytes)?;
                    varints(&exemplar, 1)?;
                    last_fixed(&exemplar, 2)?;
                    last_varint(&exemplar, 3)?;
                    items.push(Item::Exemplar(exemplar));
                }
                (5, Field::Bytes(bytes)) => {
                    let said = parse(bytes)?;
                    let mut merged: [u64; 3] = metadata.unwrap_or_default();
                    for (slot, number) in [(0, 1), (1, 3), (2, 4)] {
                        let value = last_varint(&said, number)?;
                        if said.iter().any(|(n, _)| *n == number) {
                            merged[slot] = if slot == 0 { value } else { u64::from(value as u32) };
                        }
                    }
                    metadata = Some(merged);
                }
                (2..=5, _) => return None,
                _ => {}
            }
        }
        Some(SeriesV2 { references, items, created_ms, metadata })
    }

    fn take(&self, number: u64, symbols: &[Vec<u8>], decoded: &mut Decoded) {
        let rows = rows_of(&self.items);
        let Some(pairs) = resolve(&self.references, symbols) else {
            return decoded.reject(number, rows.max(1));
        };
        let text = |reference: u64| symbols.get(reference as u32 as usize);
        if let Some([_, help, unit]) = self.metadata
            && (text(help).is_none() || text(unit).is_none())
        {
            return decoded.reject(number, rows.max(1));
        }
        let Some(labels) = labels_of(&pairs) else { return decoded.reject(number, rows.max(1)) };
        for item in &self.items {
            let exemplar_labels = |exemplar: &Fields| resolve(&varints(exemplar, 1).unwrap(), symbols);
            take_item(item, number, &labels, self.created_ms, exemplar_labels, decoded);
        }
        // Exemplars alone are kept, but the series is refused.
        if rows == 0 {
            return decoded.reject(number, 1);
        }
        let name = pairs.iter().find(|(name, _)| name == b"__name__").expect("checked");
        if let Some([kind, help, unit]) = self.metadata {
            let text = |reference| String::from_utf8(text(reference).unwrap().clone()).unwrap_or_default();
            let (kind, help, unit) = (metric_type(kind), text(help), text(unit));
            if kind != MetricType::Unknown || !help.is_empty() || !unit.is_empty() {
                let name = String::from_utf8(name.1.clone()).unwrap();
                decoded.metadata.push(MetadataSeen { name, kind, unit, help });
            }
        }
    }
}

fn take_item(
    item: &Item,
    number: u64,
    labels: &[(String, String)],
    created_ms: i64,
    exemplar_labels: impl Fn(&Fields) -> Option<Vec<(Vec<u8>, Vec<u8>)>>,
    decoded: &mut Decoded,
) {
    let mut row = |time_ms: i64, start_ms: i64, value: Value| {
        let start_ms = if start_ms == 0 { created_ms } else { start_ms };
        let start = if start_ms == 0 { Some(None) } else { start_ms.checked_mul(1_000_000).map(Some) };
        match (time_ms.checked_mul(1_000_000), start) {
            (Some(time_ns), Some(start_time_ns)) => decoded.rows.push(Row {
                labels: labels.to_vec(),
                time_ns,
                start_time_ns,
                fields: vec![("value".to_owned(), value)],
            }),
            _ => decoded.reject(number, 1),
        }
    };
    match item {
        Item::Sample(sample) => {
            let start =
                sample.iter().rev().find(|(n, _)| *n == START).map_or(0, |(_, field)| number_of(field));
            let (bits, time) = (last_fixed(sample, 1).unwrap(), last_varint(sample, 2).unwrap());
            row(time as i64, start as i64, Value::F64(bits));
        }
        Item::Histogram(histogram) => match histogram.bytes() {
            Some(bytes) => row(histogram.time_ms, histogram.start_ms, Value::Bytes(bytes)),
            None => decoded.reject(number, 1),
        },
        Item::Exemplar(exemplar) => {
            let pairs = exemplar_labels(exemplar).and_then(|pairs| {
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
                pairs.into_iter().map(|(n, v)| Some((text(n)?, text(v)?))).collect::<Option<Vec<_>>>()
            });
            let time_ms = last_varint(exemplar, 3).unwrap() as i64;
            match (pairs, time_ms.checked_mul(1_000_000)) {
                (Some(own), Some(time_ns)) => decoded.exemplars.push(ExemplarSeen {
                    series: labels.to_vec(),
                    field: "value".to_owned(),
                    time_ns,
                    value_bits: last_fixed(exemplar, 2).unwrap(),
                    labels: own,
                }),
                _ => decoded.reject(number, 1),
            }
        }
    }
}

/// The number under which a sample's start time is kept, in messages that have it.
const START: u64 = u64::MAX;

fn sample(bytes: &[u8], has_start: bool) -> Option<Fields> {
    let mut fields = parse(bytes)?;
    last_fixed(&fields, 1)?;
    last_varint(&fields, 2)?;
    if has_start {
        let start = last_varint(&fields, 3)?;
        fields.push((START, Field::Varint(start)));
    }
    Some(fields)
}

fn rows_of(items: &[Item]) -> u64 {
    items.iter().filter(|item| !matches!(item, Item::Exemplar(_))).count() as u64
}

fn resolve(references: &[u64], symbols: &[Vec<u8>]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if !references.len().is_multiple_of(2) {
        return None;
    }
    let text = |reference: u64| symbols.get(reference as u32 as usize).cloned();
    references.chunks(2).map(|pair| Some((text(pair[0])?, text(pair[1])?))).collect()
}

/// Good labels, sorted, those without a value left out.
fn labels_of(pairs: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<(String, String)>> {
    let mut seen: HashMap<String, String> = HashMap::new();
    for (name, value) in pairs {
        let (name, value) = (String::from_utf8(name.clone()).ok()?, String::from_utf8(value.clone()).ok()?);
        if name.is_empty() || seen.insert(name, value).is_some() {
            return None;
        }
    }
    if seen.get("__name__").is_none_or(String::is_empty) {
        return None;
    }
    let mut labels: Vec<_> = seen.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    labels.sort();
    Some(labels)
}

fn label(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let fields = parse(bytes)?;
    Some((last_bytes(&fields, 1)?, last_bytes(&fields, 2)?))
}

fn metric_type(number: u64) -> MetricType {
    let types = [
        MetricType::Unknown,
        MetricType::Counter,
        MetricType::Gauge,
        MetricType::Histogram,
        MetricType::GaugeHistogram,
        MetricType::Summary,
        MetricType::Info,
        MetricType::StateSet,
    ];
    types.get(number as u32 as usize).copied().unwrap_or(MetricType::Unknown)
}

/// Spans, differences, counts.
type Side = (Vec<(i64, u64)>, Vec<i64>, Vec<u64>);

struct Histogram {
    floats: bool,
    count: u64,
    sum: u64,
    schema: i32,
    zero_threshold: u64,
    zero_count: u64,
    /// Spans and counts, as words: positive, then negative.
    sides: [Side; 2],
    reset: u8,
    bounds: Vec<u64>,
    time_ms: i64,
    start_ms: i64,
}

impl Histogram {
    fn read(bytes: &[u8], has_start: bool) -> Option<Histogram> {
        let fields = parse(bytes)?;
        let sint32 = |value: u64| {
            let value = value as u32;
            ((value >> 1) as i32) ^ -((value & 1) as i32)
        };
        let sint64 = |value: u64| ((value >> 1) as i64) ^ -((value & 1) as i64);
        for number in [1, 4, 6, 14, 15] {
            last_varint(&fields, number)?;
        }
        for number in [2, 3, 5, 7] {
            last_fixed(&fields, number)?;
        }
        let last = |a: u64, b: u64| fields.iter().rev().find(|(n, _)| *n == a || *n == b);
        let floats = last(1, 2).is_some_and(|(number, _)| *number == 2);
        let zero = last(6, 7).filter(|(number, _)| (*number == 7) == floats);
        let side = |spans, deltas, counts| {
            let spans = all(&fields, spans)?.into_iter().map(|bytes| {
                let span = parse(&bytes)?;
                Some((i64::from(sint32(last_varint(&span, 1)?)), u64::from(last_varint(&span, 2)? as u32)))
            });
            let deltas = varints(&fields, deltas)?.into_iter().map(sint64);
            Some((spans.collect::<Option<Vec<_>>>()?, deltas.collect(), fixeds(&fields, counts)?))
        };
        Some(Histogram {
            floats,
            count: last(1, 2).map_or(0, |(_, field)| number_of(field)),
            sum: last_fixed(&fields, 3)?,
            schema: sint32(last_varint(&fields, 4)?),
            zero_threshold: last_fixed(&fields, 5)?,
            zero_count: zero.map_or(0, |(_, field)| number_of(field)),
            sides: [side(11, 12, 13)?, side(8, 9, 10)?],
            reset: match last_varint(&fields, 14)? as u32 {
                known @ 1..=3 => known as u8,
                _ => 0,
            },
            bounds: fixeds(&fields, 16)?,
            time_ms: last_varint(&fields, 15)? as i64,
            start_ms: if has_start { last_varint(&fields, 17)? as i64 } else { 0 },
        })
    }

    /// The format's bytes; none if it does not add up.
    fn bytes(&self) -> Option<Vec<u8>> {
        let f = f64::from_bits;
        let custom = self.schema == -53;
        if !custom && !(-4..=52).contains(&self.schema) {
            return None;
        }
        let mut total = if self.floats { 0 } else { u128::from(self.zero_count) };
        let mut words = [Vec::new(), Vec::new()];
        for (side, words) in self.sides.iter().zip(&mut words) {
            let (spans, deltas, counts) = side;
            let mut last = 0i64;
            if self.floats {
                words.extend_from_slice(counts);
            } else {
                for delta in deltas {
                    last = last.wrapping_add(*delta);
                    words.push(last as u64);
                }
            }
            let is_negative = |&word: &u64| if self.floats { f(word) < 0.0 } else { (word as i64) < 0 };
            let spanned: u64 = spans.iter().map(|(_, len)| len).sum();
            let first_is_free = usize::from(!custom);
            // Indexes of exponential buckets have 32 bits, with a sign.
            let mut ends = spans.iter().scan(0, |end, (offset, len)| {
                *end += offset + *len as i64;
                Some(*end)
            });
            let far = !custom && ends.any(|end| end > 1 << 31);
            let lowest = spans.first().is_some_and(|(offset, _)| *offset == i64::from(i32::MIN));
            if spans.iter().skip(first_is_free).any(|(offset, _)| *offset < 0)
                || far
                || lowest
                || spanned != words.len() as u64
                || words.iter().any(is_negative)
            {
                return None;
            }
            total += words.iter().map(|&word| u128::from(word)).sum::<u128>();
        }
        if custom {
            let bounds: Vec<f64> = self.bounds.iter().copied().map(f).collect();
            let reach: i64 = self.sides[0].0.iter().map(|(offset, len)| offset + *len as i64).sum();
            let zero = if self.floats { f(self.zero_count) == 0.0 } else { self.zero_count == 0 };
            if bounds.iter().any(|b| b.is_nan())
                || bounds.windows(2).any(|w| w[1] <= w[0])
                || bounds.last() == Some(&f64::INFINITY)
                || (bounds.len() as i64) < reach - 1
                || !zero
                || f(self.zero_threshold) != 0.0
                || !self.sides[1].0.is_empty()
            {
                return None;
            }
        } else if !self.bounds.is_empty() {
            return None;
        }
        if self.floats {
            // A count that is no number is no fault.
            if f(self.count) < 0.0 || f(self.zero_count) < 0.0 {
                return None;
            }
        } else if total > u128::from(self.count) || !f(self.sum).is_nan() && total != u128::from(self.count) {
            return None;
        }
        let mut out = vec![u8::from(self.floats) | self.reset << 1];
        let number = |out: &mut Vec<u8>, word: u64| {
            if self.floats { out.extend(word.to_le_bytes()) } else { write_varint(out, word) }
        };
        write_varint(&mut out, zigzag(i64::from(self.schema.min(8))));
        out.extend(self.zero_threshold.to_le_bytes());
        out.extend(self.sum.to_le_bytes());
        number(&mut out, self.count);
        number(&mut out, self.zero_count);
        let kept = self.sides.iter().zip(words).map(|((spans, ..), words)| {
            if self.schema > 8 { self.widened(spans, &words) } else { (spans.clone(), words) }
        });
        for (spans, words) in kept {
            write_varint(&mut out, spans.len() as u64);
            for (offset, len) in spans {
                write_varint(&mut out, zigzag(offset));
                write_varint(&mut out, len);
            }
            words.iter().for_each(|&word| number(&mut out, word));
        }
        write_varint(&mut out, self.bounds.len() as u64);
        self.bounds.iter().for_each(|bits| out.extend(bits.to_le_bytes()));
        Some(out)
    }

    /// Spans and counts in schema 8: each bucket by its index to the one that holds it.
    fn widened(&self, spans: &[(i64, u64)], words: &[u64]) -> (Vec<(i64, u64)>, Vec<u64>) {
        let width = 1i128 << (self.schema - 8);
        let mut buckets = BTreeMap::new();
        let (mut index, mut words) = (0, words.iter());
        for (offset, len) in spans {
            index += offset;
            for &word in words.by_ref().take(*len as usize) {
                let wide = (i128::from(index) - 1).div_euclid(width) as i64 + 1;
                let sum = buckets.entry(wide).or_insert(None);
                *sum = Some(match *sum {
                    None => word,
                    Some(sum) if self.floats => (f64::from_bits(sum) + f64::from_bits(word)).to_bits(),
                    Some(sum) => sum + word,
                });
                index += 1;
            }
        }
        let (mut spans, mut end) = (Vec::new(), 0);
        for &wide in buckets.keys() {
            match spans.last_mut() {
                Some((_, len)) if wide == end => *len += 1,
                _ => spans.push((wide - end, 1)),
            }
            end = wide + 1;
        }
        (spans, buckets.into_values().flatten().collect())
    }
}

/// The fields of a message, groups left out.
fn parse(bytes: &[u8]) -> Option<Fields> {
    let mut at = 0;
    let fields = parse_until(bytes, &mut at, None, 0)?;
    (at == bytes.len()).then_some(fields)
}

fn parse_until(bytes: &[u8], at: &mut usize, group: Option<u64>, depth: u32) -> Option<Fields> {
    let mut fields = Vec::new();
    while *at < bytes.len() {
        let tag = varint(bytes, at)?;
        let number = tag >> 3;
        if number == 0 || number >= 1 << 29 {
            return None;
        }
        let field = match tag & 7 {
            0 => Field::Varint(varint(bytes, at)?),
            1 => {
                let word = bytes.get(*at..*at + 8)?;
                *at += 8;
                Field::Fixed64(u64::from_le_bytes(word.try_into().unwrap()))
            }
            2 => {
                let len = usize::try_from(varint(bytes, at)?).ok()?;
                let content = bytes.get(*at..at.checked_add(len)?)?;
                *at += len;
                Field::Bytes(content.to_vec())
            }
            3 if depth < 32 => {
                parse_until(bytes, at, Some(number), depth + 1)?;
                continue;
            }
            4 if group == Some(number) => return Some(fields),
            5 => {
                bytes.get(*at..*at + 4)?;
                *at += 4;
                Field::Fixed32
            }
            _ => return None,
        };
        fields.push((number, field));
    }
    group.is_none().then_some(fields)
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u128;
    for i in 0..10 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u128::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return u64::try_from(value).ok();
        }
    }
    None
}

fn number_of(field: &Field) -> u64 {
    match field {
        Field::Varint(word) | Field::Fixed64(word) => *word,
        Field::Fixed32 | Field::Bytes(_) => unreachable!("checked before"),
    }
}

fn of(fields: &Fields, number: u64) -> impl DoubleEndedIterator<Item = &Field> {
    fields.iter().filter(move |(n, _)| *n == number).map(|(_, field)| field)
}

fn all(fields: &Fields, number: u64) -> Option<Vec<Vec<u8>>> {
    let bytes = |field: &Field| if let Field::Bytes(bytes) = field { Some(bytes.clone()) } else { None };
    of(fields, number).map(bytes).collect()
}

fn last_bytes(fields: &Fields, number: u64) -> Option<Vec<u8>> {
    Some(all(fields, number)?.pop().unwrap_or_default())
}

/// The last value of a field, 0 if there is none; none if one is of another type.
fn last_varint(fields: &Fields, number: u64) -> Option<u64> {
    let varint = |field: &Field| if let Field::Varint(value) = field { Some(*value) } else { None };
    of(fields, number).map(varint).collect::<Option<Vec<u64>>>().map(|all| all.last().copied().unwrap_or(0))
}

fn last_fixed(fields: &Fields, number: u64) -> Option<u64> {
    let fixed = |field: &Field| if let Field::Fixed64(value) = field { Some(*value) } else { None };
    of(fields, number).map(fixed).collect::<Option<Vec<u64>>>().map(|all| all.last().copied().unwrap_or(0))
}

/// A repeated field, packed or not.
fn varints(fields: &Fields, number: u64) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    for field in of(fields, number) {
        match field {
            Field::Varint(value) => all.push(*value),
            Field::Bytes(bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    all.push(varint(bytes, &mut at)?);
                }
            }
            _ => return None,
        }
    }
    Some(all)
}

fn fixeds(fields: &Fields, number: u64) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    for field in of(fields, number) {
        match field {
            Field::Fixed64(value) => all.push(*value),
            Field::Bytes(bytes) if bytes.len().is_multiple_of(8) => {
                all.extend(bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())));
            }
            _ => return None,
        }
    }
    Some(all)
}
