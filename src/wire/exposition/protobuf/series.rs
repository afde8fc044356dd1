//! Keys and labels of a protobuf sample's series.
//!
//! ```text
//! key = 0x10 + role, labels given by the request, (bound of a bucket or quantile, 8 bytes), name, each label's message
//! ```
//!
//! No name starts with the first byte, no prefix of a line is one, and everything has its length before it: a key is
//! of one series, and says all of it.

use crate::bytes::{ProtobufFields, read_varint, write_varint};
use crate::model::{LabelsBuf, METRIC_NAME};

use super::super::number::append_canonical;
use super::super::{GivenLabel, is_given};
use super::{Fault, Role, Sample, Timestamp};

/// The first byte of keys, to which the role is added.
const KEY: u8 = 0x10;

/// Fills `key` with the sample's. `given`: the request's labels as [`given_bytes`](super::decoder) has them.
pub(in super::super) fn write_key(sample: &Sample<'_>, given: &[u8], key: &mut Vec<u8>) {
    key.clear();
    write_own(sample, given, key);
    write_shared(sample, key);
}

/// Appends what of a sample's key is its own.
pub(in super::super) fn write_own(sample: &Sample<'_>, given: &[u8], key: &mut Vec<u8>) {
    key.push(KEY + sample.role as u8);
    write_sized(key, given);
    if matches!(sample.role, Role::Bucket | Role::Quantile) {
        key.extend_from_slice(&sample.bound.to_le_bytes());
    }
}

/// Appends the rest of the key, which all samples of the metric share.
pub(in super::super) fn write_shared(sample: &Sample<'_>, key: &mut Vec<u8>) {
    write_sized(key, sample.family);
    sample.labels.iter().for_each(|label| write_sized(key, label));
}

/// A key without labels given by a request: what is its own, and what is shared.
pub(in super::super) fn split_key(key: &[u8]) -> (&[u8], &[u8]) {
    let has_bound = key.first().is_some_and(|&byte| is_bounded(byte.wrapping_sub(KEY)));
    key.split_at(key.len().min(if has_bound { 10 } else { 2 }))
}

fn is_bounded(role: u8) -> bool {
    role == Role::Bucket as u8 || role == Role::Quantile as u8
}

/// Fills `key` with that of a native histogram of this name and these labels.
pub(in super::super) fn key_of_histogram<'a>(
    name: &[u8],
    labels: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    scratch: &mut Vec<u8>,
    key: &mut Vec<u8>,
) {
    key.clear();
    key.push(KEY + Role::Native as u8);
    write_sized(key, &[]);
    write_sized(key, name);
    for (name, value) in labels {
        scratch.clear();
        for (number, part) in [(1, name), (2, value)] {
            scratch.push(number << 3 | 2);
            write_sized(scratch, part);
        }
        write_sized(key, scratch);
    }
}

fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn read_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(rest)?).ok()?;
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(bytes)
}

/// Fills `labels` with those that a key says. A label without a value is none, unless `with_empty`.
///
/// # Errors
/// A name or value is not UTF-8, or a label has no name. What is no key has no labels.
pub(in super::super) fn key_labels(
    key: &[u8],
    with_empty: bool,
    scratch: &mut Vec<u8>,
    labels: &mut LabelsBuf,
) -> Result<(), Fault> {
    labels.clear();
    let Some((role, mut rest)) = key.split_first() else { return Ok(()) };
    let _given = read_sized(&mut rest);
    let role = role.wrapping_sub(KEY);
    let mut bound = 0.0;
    if is_bounded(role) {
        let Some((bytes, behind)) = rest.split_first_chunk::<8>() else { return Ok(()) };
        bound = f64::from_le_bytes(*bytes);
        rest = behind;
    }
    let Some(family) = read_sized(&mut rest) else { return Ok(()) };
    let parts = std::iter::from_fn(|| if rest.is_empty() { None } else { read_sized(&mut rest) });
    fill(role, bound, family, parts, &[], with_empty, scratch, labels)
}

/// Fills `labels` with those of a sample, and `given` in place of its own of these names.
///
/// # Errors
/// As [`key_labels`].
pub(in super::super) fn fill_labels(
    sample: &Sample<'_>,
    given: &[GivenLabel],
    scratch: &mut Vec<u8>,
    labels: &mut LabelsBuf,
) -> Result<(), Fault> {
    labels.clear();
    let parts = sample.labels.iter().copied();
    fill(sample.role as u8, sample.bound, sample.family, parts, given, false, scratch, labels)
}

#[expect(clippy::too_many_arguments, reason = "the parts of a series, from a key or a sample")]
fn fill<'a>(
    role: u8,
    bound: f64,
    family: &[u8],
    parts: impl Iterator<Item = &'a [u8]>,
    given: &[GivenLabel],
    with_empty: bool,
    scratch: &mut Vec<u8>,
    labels: &mut LabelsBuf,
) -> Result<(), Fault> {
    let is_given = |name: &[u8]| is_given(given, name);
    if !is_given(METRIC_NAME) {
        let suffix: &[u8] = match role {
            r if r == Role::Count as u8 => b"_count",
            r if r == Role::Sum as u8 => b"_sum",
            r if r == Role::Bucket as u8 => b"_bucket",
            _ => b"",
        };
        scratch.clear();
        scratch.extend_from_slice(family);
        scratch.extend_from_slice(suffix);
        labels.push(METRIC_NAME, scratch);
    }
    for part in parts {
        let (name, value) = pair(part)?;
        if name.is_empty() {
            return Err(Fault::Label);
        }
        if !is_given(name) && (with_empty || !value.is_empty()) {
            labels.push(name, value);
        }
    }
    let bound_name: &[u8] = match role {
        r if r == Role::Bucket as u8 => b"le",
        r if r == Role::Quantile as u8 => b"quantile",
        _ => b"",
    };
    if !bound_name.is_empty() && !is_given(bound_name) {
        scratch.clear();
        append_canonical(bound.to_string().as_bytes(), scratch);
        labels.push(bound_name, scratch);
    }
    given
        .iter()
        .filter(|label| !label.value.is_empty())
        .for_each(|label| labels.push(&label.name, &label.value));
    Ok(())
}

/// Name and value of a `LabelPair`.
fn pair(message: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (mut name, mut value) = ("", "");
    for field in ProtobufFields::new(message) {
        match field? {
            (1, field) => name = field.string()?,
            (2, field) => value = field.string()?,
            _ => {}
        }
    }
    Ok((name.as_bytes(), value.as_bytes()))
}

/// Appends the labels of an exemplar as [`Exemplar`](crate::model::Exemplar) has them; its value and its time.
///
/// # Errors
/// It is no exemplar; something may be appended nevertheless.
pub(in super::super) fn write_exemplar(
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(u64, Option<i64>), Fault> {
    let (mut value_bits, mut at, mut count) = (0, None::<Timestamp>, 0);
    for field in ProtobufFields::new(message) {
        match field? {
            (1, _) => count += 1,
            (2, value) => value_bits = value.fixed64()?,
            (3, value) => at.get_or_insert_default().merge(value.bytes()?)?,
            _ => {}
        }
    }
    write_varint(out, count);
    for field in ProtobufFields::new(message) {
        if let (1, label) = field? {
            let (name, value) = pair(label.bytes()?)?;
            write_sized(out, name);
            write_sized(out, value);
        }
    }
    Ok((value_bits, at.map(Timestamp::ms)))
}
