//! The fast way through a line's fields: the shape of the series' previous row, made ready for comparing.
//!
//! A plan says what the next line looks like if it has the same fields of the same types: for each field the text
//! before its value and how to read the value. Texts are compared a word at a time, values are read eight digits at
//! a time, and the newline is met rather than searched for. Whatever is not as expected ends the attempt; nothing is
//! pushed before the newline is reached, and the line then goes the plain way ([`super::fields`]).
//!
//! Every read is of eight bytes or more: lines that end near the input's end go the plain way too.

use crate::model::{FieldType, Intake, Shape, ShapeId, heap_word};

use super::number::{
    DIGITS_SAFE, TEN_TO, digits, digits_in_word, load_word, more_digits, number_in_word, parse_f64,
};
use super::scan::Scan;
use super::text::unescape_string;
use super::time::Clockwork;
use super::{Dialect, NAME_BYTES_MAX_V3, float};

/// Plans kept, by shape number.
#[derive(Default, Debug)]
pub(super) struct Plans {
    plans: Vec<Plan>,
    epoch: u64,
}

/// A shape, ready for comparing.
#[derive(Debug)]
pub(super) struct Plan {
    shape: ShapeId,
    steps: Vec<Step>,
    /// The wire's text of long steps.
    long: Vec<u8>,
    /// The byte between the last value and the line's end or its time: the suffix of integers.
    last_suffix: Option<u8>,
}

/// One field: the text before its value, with the suffix of the value before it.
#[derive(Clone, Copy, Debug)]
struct Step {
    text: [u64; STEP_WORDS],
    mask: [u64; STEP_WORDS],
    len: u32,
    /// Where the bytes that `text` has no room for start in [`Plan::long`].
    long_start: u32,
    kind: FieldType,
}

/// Where a line ended and what its time is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowEnd {
    /// Behind the newline.
    pub(super) next: usize,
    pub(super) time_ns: i64,
}

impl Plans {
    /// Forgets all plans if the intake's numbers have changed their meaning.
    pub(super) fn enter_epoch(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.clear();
            self.epoch = epoch;
        }
    }

    /// Forgets all plans, keeps their memory.
    pub(super) fn clear(&mut self) {
        for plan in &mut self.plans {
            plan.shape = ShapeId::NONE;
        }
    }

    /// The plan of a shape.
    #[inline(always)]
    pub(super) fn plan<I: Intake>(&mut self, id: ShapeId, dialect: Dialect, intake: &I) -> Option<&Plan> {
        let slot = id.0 as usize % PLANS;
        if self.plans.get(slot).is_none_or(|plan| plan.shape != id) {
            self.make(id, dialect, intake)?;
        }
        self.plans.get(slot)
    }

    #[cold]
    fn make<I: Intake>(&mut self, id: ShapeId, dialect: Dialect, intake: &I) -> Option<()> {
        if id == ShapeId::NONE {
            return None;
        }
        self.plans.resize_with(PLANS, || Plan {
            shape: ShapeId::NONE,
            steps: Vec::new(),
            long: Vec::new(),
            last_suffix: None,
        });
        let shape = intake.shape(id);
        if shape.fields.is_empty() || shape.fields.len() > PLAN_FIELDS_MAX {
            return None;
        }
        self.plans[id.0 as usize % PLANS].fill(id, dialect, shape)
    }
}

impl Plan {
    fn fill(&mut self, id: ShapeId, dialect: Dialect, shape: &Shape) -> Option<()> {
        self.shape = ShapeId::NONE;
        self.steps.clear();
        self.long.clear();
        let mut suffix = None;
        for (i, field) in shape.fields.iter().enumerate() {
            let wire = shape.field_text(i);
            // v3 takes commas in field keys, and then has its own idea of where strings and lines end.
            if dialect == Dialect::V3 && wire[usize::from(i > 0)..].contains(&b',') {
                return None;
            }
            let text: Vec<u8> = suffix.into_iter().chain(wire.iter().copied()).collect();
            let mut step = Step {
                text: [0; STEP_WORDS],
                mask: [0; STEP_WORDS],
                len: text.len() as u32,
                long_start: self.long.len() as u32,
                kind: field.kind,
            };
            for (at, &byte) in text.iter().take(STEP_BYTES).enumerate() {
                step.text[at / 8] |= u64::from(byte) << (8 * (at % 8));
                step.mask[at / 8] |= 0xff << (8 * (at % 8));
            }
            self.long.extend_from_slice(text.get(STEP_BYTES..).unwrap_or_default());
            self.steps.push(step);
            suffix = match field.kind {
                FieldType::I64 => Some(b'i'),
                FieldType::U64 => Some(b'u'),
                FieldType::F64 | FieldType::Bool | FieldType::String => None,
                // Another protocol's shape.
                _ => return None,
            };
        }
        self.last_suffix = suffix;
        self.shape = id;
        Some(())
    }

    /// Fields in a row of this shape.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Reads the fields at `at`, just behind the key's space, into `values` (which has [`len`](Plan::len) words) and
    /// `heap`. None if the line is not as planned, or not whole; `values` and `heap` are then of no use.
    #[inline(always)]
    pub(super) fn read<S: Scan>(
        &self,
        dialect: Dialect,
        clockwork: &Clockwork,
        input: &[u8],
        mut at: usize,
        values: &mut [u64],
        heap: &mut Vec<u8>,
    ) -> Option<RowEnd> {
        for (i, (step, value)) in self.steps.iter().zip(values.iter_mut()).enumerate() {
            at = self.match_text(step, i, input, at)?;
            at = match step.kind {
                FieldType::I64 => read_i64(input, at, value)?,
                FieldType::F64 => read_f64(dialect, input, at, value)?,
                FieldType::U64 => read_u64(input, at, value)?,
                FieldType::Bool => read_bool(input, at, value)?,
                _ => read_string::<S>(dialect, input, at, value, heap)?,
            };
        }
        if let Some(suffix) = self.last_suffix {
            if *input.get(at)? != suffix {
                return None;
            }
            at += 1;
        }
        read_end(dialect, clockwork, input, at)
    }

    /// Where the value behind the step's text starts.
    #[inline(always)]
    fn match_text(&self, step: &Step, i: usize, input: &[u8], at: usize) -> Option<usize> {
        let near: &[u8; STEP_BYTES] = input.get(at..)?.first_chunk()?;
        let word =
            |w: usize| u64::from_le_bytes(*near[8 * w..].first_chunk().expect("STEP_BYTES is whole words"));
        let mut different = 0;
        for w in 0..STEP_WORDS {
            different |= (word(w) ^ step.text[w]) & step.mask[w];
        }
        if different != 0 {
            return None;
        }
        let len = step.len as usize;
        if len > STEP_BYTES {
            let long_end = self.steps.get(i + 1).map_or(self.long.len(), |next| next.long_start as usize);
            let long = &self.long[step.long_start as usize..long_end];
            if input.get(at + STEP_BYTES..at + len)? != long {
                return None;
            }
        }
        Some(at + len)
    }
}

/// Reads digits up to the suffix, which the next text begins with.
#[inline(always)]
fn read_i64(input: &[u8], at: usize, value: &mut u64) -> Option<usize> {
    let negative = *input.get(at)? == b'-';
    let at = at + usize::from(negative);
    let (magnitude, count) = digits(input, at)?;
    let limit = i64::MAX as u64 + u64::from(negative);
    if magnitude > limit {
        return None;
    }
    *value = if negative { magnitude.wrapping_neg() } else { magnitude };
    Some(at + count)
}

#[inline(always)]
fn read_u64(input: &[u8], at: usize, value: &mut u64) -> Option<usize> {
    let (magnitude, count) = digits(input, at)?;
    *value = magnitude;
    Some(at + count)
}

#[inline(always)]
fn read_f64(dialect: Dialect, input: &[u8], at: usize, value: &mut u64) -> Option<usize> {
    let start = at;
    let negative = *input.get(at)? == b'-';
    let at = at + usize::from(negative);
    let word = load_word(input, at)?;
    let whole_count = digits_in_word(word);
    if whole_count == 0 {
        return None;
    }
    let whole = number_in_word(word, whole_count);
    if whole_count == 8 {
        return read_f64_plainly(dialect, input, start, value);
    }
    let (mantissa, fraction_count) = if (word >> (8 * whole_count)) as u8 == b'.' {
        let from = at + whole_count + 1;
        let word = load_word(input, from)?;
        let count = digits_in_word(word);
        if count == 0 {
            return None;
        }
        let first = number_in_word(word, count);
        let (fraction, count) = if count < 8 { (first, count) } else { more_digits(input, from, first)? };
        if whole_count + count > DIGITS_SAFE {
            return read_f64_plainly(dialect, input, start, value);
        }
        (whole * TEN_TO[count] + fraction, count)
    } else {
        (whole, 0)
    };
    let end = at + whole_count + fraction_count + usize::from(fraction_count > 0);
    if input.get(end)? | 0x20 == b'e' {
        return read_f64_plainly(dialect, input, start, value);
    }
    let Some(float) = float::of_decimal(mantissa, -(fraction_count as i32), negative) else {
        return read_f64_plainly(dialect, input, start, value);
    };
    *value = float.to_bits();
    Some(end)
}

/// [`read_f64`] for long mantissas and exponents.
#[cold]
#[inline(never)]
fn read_f64_plainly(dialect: Dialect, input: &[u8], at: usize, value: &mut u64) -> Option<usize> {
    let rest = &input[at..];
    let len = rest.iter().position(|&b| matches!(b, b',' | b' ' | b'\n' | b'\r'))?;
    *value = parse_f64(dialect, &rest[..len]).ok()?.to_bits();
    Some(at + len)
}

#[inline(always)]
fn read_bool(input: &[u8], at: usize, value: &mut u64) -> Option<usize> {
    let word = load_word(input, at)?;
    let has = |text: &[u8]| {
        let mut wanted = [0; 8];
        wanted[..text.len()].copy_from_slice(text);
        (word ^ u64::from_le_bytes(wanted)) << (64 - 8 * text.len()) == 0
    };
    let (truth, len) = if has(b"true") || has(b"True") || has(b"TRUE") {
        (1, 4)
    } else if has(b"false") || has(b"False") || has(b"FALSE") {
        (0, 5)
    } else if has(b"t") || has(b"T") {
        (1, 1)
    } else if has(b"f") || has(b"F") {
        (0, 1)
    } else {
        return None;
    };
    *value = truth;
    Some(at + len)
}

#[inline(always)]
fn read_string<S: Scan>(
    dialect: Dialect,
    input: &[u8],
    at: usize,
    value: &mut u64,
    heap: &mut Vec<u8>,
) -> Option<usize> {
    if *input.get(at)? != b'"' {
        return None;
    }
    let from = at + 1;
    let mut end = S::string_stop(input, from);
    let plain = input.get(end) == Some(&b'"');
    while *input.get(end)? == b'\\' {
        if end + 2 > input.len() {
            return None;
        }
        end = S::string_stop(input, end + 2);
    }
    let raw = &input[from..end];
    std::str::from_utf8(raw).ok()?;
    let start = heap.len();
    if plain {
        heap.extend_from_slice(raw);
    } else {
        unescape_string(dialect, raw, heap);
    }
    let len = heap.len() - start;
    if dialect == Dialect::V3 && len > NAME_BYTES_MAX_V3 {
        return None;
    }
    *value = heap_word(start, len);
    Some(end + 1)
}

/// Reads what follows the last value: a time or none, and the newline.
#[inline(always)]
fn read_end(dialect: Dialect, clockwork: &Clockwork, input: &[u8], at: usize) -> Option<RowEnd> {
    let mut time_ns = clockwork.default_ns;
    let mut at = at;
    if *input.get(at)? == b' ' {
        let negative = *input.get(at + 1)? == b'-';
        at += 1 + usize::from(negative);
        let (magnitude, count) = digits(input, at)?;
        let ticks = i64::try_from(magnitude).ok()?;
        time_ns = clockwork.nanoseconds(if negative { -ticks } else { ticks })?;
        at += count;
    }
    if dialect.takes_crlf() && *input.get(at)? == b'\r' {
        at += 1;
    }
    (*input.get(at)? == b'\n').then_some(RowEnd { next: at + 1, time_ns })
}

/// Plans kept at a time: a connection's measurements, as a rule.
const PLANS: usize = 16;

/// Fields of a plan at most, so that all plans stay below 4 MiB.
const PLAN_FIELDS_MAX: usize = 4096;

const STEP_WORDS: usize = 3;
const STEP_BYTES: usize = 8 * STEP_WORDS;
