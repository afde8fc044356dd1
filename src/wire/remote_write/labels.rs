//! A series' key and its labels.
//!
//! The key of a 1.0 series is its labels fields as received, tags and lengths included; that of a 2.0 series the
//! symbols that it refers to, each with its length before it. Equal bytes mean equal labels; two spellings of the
//! same labels are two keys of one series.

use std::fmt::Write as _;
use std::ops::Range;

use crate::bytes::{read_varint, write_varint};
use crate::model::{LabelsBuf, LabelsError, METRIC_NAME};

use super::LABELS_BYTES_MAX;
use super::message::{LABELS_TAG, Message, Part, bytes, fields};
use super::symbols::Symbols;

/// Why a series has no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyFault {
    /// An odd number of references.
    Odd(usize),
    /// A pair of references of which one leads out of the table.
    Reference { name: u64, value: u64, symbols: usize },
    /// A label without a name or a value that is missing altogether: no labels.
    TooLong,
}

/// Where a key lies.
#[derive(Clone, Debug)]
pub(super) enum KeyPlace {
    /// In the series, as it is.
    Received(Range<usize>),
    /// Put together.
    Built(Range<usize>),
}

/// Finds the key of a 1.0 series. Labels that do not lie side by side are put together in `built`.
#[inline]
pub(super) fn key_v1(series: &[u8], built: &mut Vec<u8>) -> Result<KeyPlace, KeyFault> {
    let end = labels_end(series);
    let is_label = |(number, _): &(u32, _)| Message::V1.part(*number) == Part::Labels;
    // A label with an odd tag, or one that comes late.
    if !fields(&series[end..]).any(|field| is_label(&field)) {
        return if end <= LABELS_BYTES_MAX { Ok(KeyPlace::Received(0..end)) } else { Err(KeyFault::TooLong) };
    }
    let start = built.len();
    for (_, value) in fields(series).filter(is_label) {
        let label = bytes(value);
        built.push(LABELS_TAG);
        write_varint(built, label.len() as u64);
        built.extend_from_slice(label);
        if built.len() - start > LABELS_BYTES_MAX {
            built.truncate(start);
            return Err(KeyFault::TooLong);
        }
    }
    Ok(KeyPlace::Built(start..built.len()))
}

/// Where the labels end that a 1.0 series starts with.
#[inline]
pub(super) fn labels_end(series: &[u8]) -> usize {
    let mut rest = series;
    loop {
        let next = match rest {
            [LABELS_TAG, len @ 0..0x80, behind @ ..] => behind.get(usize::from(*len)..),
            [LABELS_TAG, behind @ ..] => {
                let mut behind = behind;
                let len = read_varint(&mut behind).and_then(|len| usize::try_from(len).ok());
                len.and_then(|len| behind.get(len..))
            }
            _ => None,
        };
        match next {
            Some(behind) => rest = behind,
            None => return series.len() - rest.len(),
        }
    }
}

/// Puts together the key of a 2.0 series whose references are `references`.
#[inline]
pub(super) fn key_v2(
    body: &[u8],
    symbols: &Symbols,
    references: impl Iterator<Item = u64>,
    built: &mut Vec<u8>,
) -> Result<Range<usize>, KeyFault> {
    let start = built.len();
    let key = append_pairs(body, symbols, references, built);
    if key.is_err() {
        built.truncate(start);
    }
    key.map(|_| start..built.len())
}

/// Appends the symbols of `references`, each with its length before it; the answer is how many there were.
#[inline]
fn append_pairs(
    body: &[u8],
    symbols: &Symbols,
    mut references: impl Iterator<Item = u64>,
    out: &mut Vec<u8>,
) -> Result<usize, KeyFault> {
    let start = out.len();
    let mut pairs = 0;
    while let Some(name) = references.next() {
        let Some(value) = references.next() else { return Err(KeyFault::Odd(2 * pairs + 1)) };
        let (Some(name_at), Some(value_at)) = (symbols.sized(name), symbols.sized(value)) else {
            let [name, value] = [name, value].map(|reference| u64::from(reference as u32));
            return Err(KeyFault::Reference { name, value, symbols: symbols.len() });
        };
        append_short(body, name_at, out);
        append_short(body, value_at, out);
        if out.len() - start > LABELS_BYTES_MAX {
            return Err(KeyFault::TooLong);
        }
        pairs += 1;
    }
    Ok(pairs)
}

/// Appends `body[range]`, which is short as a rule: then it is cheaper to copy too much.
#[inline(always)]
pub(super) fn append_short(body: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    let len = range.len();
    match body[range.start..].first_chunk::<SHORT_BYTES>() {
        Some(block) if len <= SHORT_BYTES => {
            let end = out.len() + len;
            out.extend_from_slice(block);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&body[range]),
    }
}

const SHORT_BYTES: usize = 32;

/// The labels of an exemplar as an intake takes them: their number, then names and values, each with its length.
/// None for labels that are not UTF-8.
pub(super) fn exemplar_labels_v1<'a>(
    labels: impl Iterator<Item = &'a [u8]> + Clone,
    out: &mut Vec<u8>,
) -> Result<(), ExemplarFault> {
    write_varint(out, labels.clone().count() as u64);
    for label in labels {
        let (name, value) = pair_v1(label);
        for text in [name, value] {
            std::str::from_utf8(text).map_err(|_| ExemplarFault::Utf8)?;
            write_varint(out, text.len() as u64);
            out.extend_from_slice(text);
        }
        if out.len() > LABELS_BYTES_MAX {
            return Err(ExemplarFault::Labels(KeyFault::TooLong));
        }
    }
    Ok(())
}

/// See [`exemplar_labels_v1`].
pub(super) fn exemplar_labels_v2(
    body: &[u8],
    symbols: &Symbols,
    references: &[u64],
    out: &mut Vec<u8>,
) -> Result<(), ExemplarFault> {
    write_varint(out, references.len() as u64 / 2);
    let start = out.len();
    append_pairs(body, symbols, references.iter().copied(), out).map_err(ExemplarFault::Labels)?;
    let is_text = pairs_v2(&out[start..])
        .all(|(name, value)| std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok());
    if is_text { Ok(()) } else { Err(ExemplarFault::Utf8) }
}

/// What is wrong with the labels of an exemplar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExemplarFault {
    Labels(KeyFault),
    Utf8,
}

/// Name and value of a 1.0 label; the last one counts, as everywhere in protobuf.
fn pair_v1(label: &[u8]) -> (&[u8], &[u8]) {
    let (mut name, mut text) = (&[][..], &[][..]);
    for (number, value) in fields(label) {
        match number {
            1 => name = bytes(value),
            2 => text = bytes(value),
            _ => {}
        }
    }
    (name, text)
}

/// Names and values of a 2.0 key.
fn pairs_v2(key: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = key;
    std::iter::from_fn(move || {
        let mut sized = || {
            let len = usize::try_from(read_varint(&mut rest)?).ok()?;
            let (text, behind) = rest.split_at_checked(len)?;
            rest = behind;
            Some(text)
        };
        Some((sized()?, sized()?))
    })
}

/// Hands over the labels of a key, as they are.
fn each_label(message: Message, key: &[u8], mut take: impl FnMut(&[u8], &[u8])) {
    match message {
        Message::V1 => fields(key).for_each(|(_, value)| {
            let (name, value) = pair_v1(bytes(value));
            take(name, value);
        }),
        Message::V2 => pairs_v2(key).for_each(|(name, value)| take(name, value)),
    }
}

/// What is wrong with labels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LabelFault {
    /// No metric's name, a label without a name.
    Name,
    /// A name or a value is not UTF-8.
    Utf8,
    /// Two labels of this name.
    Duplicate(Vec<u8>),
}

/// The labels of a key, as Prometheus's receiver wants them: the metric's name is there and not empty, every label
/// has a name, no two the same, all is UTF-8. Labels with an empty value are none, and are left out.
pub(super) fn parse_labels(message: Message, key: &[u8], labels: &mut LabelsBuf) -> Result<(), LabelFault> {
    labels.clear();
    let (mut is_named, mut is_text, mut has_empty, mut has_nameless) = (false, true, false, false);
    each_label(message, key, |name, value| {
        is_named |= name == METRIC_NAME && !value.is_empty();
        has_nameless |= name.is_empty() || name == METRIC_NAME && value.is_empty();
        is_text &= std::str::from_utf8(name).is_ok() && std::str::from_utf8(value).is_ok();
        has_empty |= value.is_empty();
        labels.push(name, value);
    });
    if !is_text {
        return Err(LabelFault::Utf8);
    }
    if !is_named || has_nameless {
        return Err(LabelFault::Name);
    }
    labels.canonicalize().map_err(|LabelsError::Duplicate(name)| LabelFault::Duplicate(name))?;
    if has_empty {
        labels.clear();
        each_label(message, key, |name, value| {
            if !value.is_empty() {
                labels.push(name, value);
            }
        });
    }
    Ok(())
}

/// The labels of a key for a person, as Prometheus shows them.
pub(super) fn show_labels(message: Message, key: &[u8]) -> String {
    let mut labels = Vec::new();
    each_label(message, key, |name, value| {
        if labels.len() < SHOWN_MAX {
            labels.push((lossy(name), lossy(value)));
        }
    });
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    let mut shown = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        let written = if plain {
            write!(shown, "{comma}{name}={value:?}")
        } else {
            write!(shown, "{comma}{name:?}={value:?}")
        };
        written.expect("writing to a String does not fail");
    }
    shown.push('}');
    shown
}

/// The references of a 2.0 series for a person, as Prometheus shows them.
pub(super) fn show_references(series: &[u8]) -> String {
    let mut references = Vec::new();
    for (_, value) in fields(series).filter(|(number, _)| Message::V2.part(*number) == Part::Labels) {
        // The message was checked: there is no varint cut short.
        let _ = value.each_varint(|reference| {
            if references.len() < SHOWN_MAX {
                references.push((reference as u32).to_string());
            }
        });
    }
    format!("[{}]", references.join(" "))
}

/// The text of a name or value, as far as it is shown.
fn lossy(text: &[u8]) -> String {
    let shown = &text[..text.len().min(SHOWN_BYTES_MAX)];
    String::from_utf8_lossy(shown).into_owned()
}

/// Labels shown of a series that is not taken, and bytes of each name and value.
const SHOWN_MAX: usize = 32;
const SHOWN_BYTES_MAX: usize = 128;
