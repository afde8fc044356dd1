//! The fast way through a line's fields: the shape of the series' previous row, made ready for comparing.
//!
//! A plan says what the next line looks like if it has the same fields of the same types: for each field the text
//! before its value and how to read the value. Texts are compared a word at a time, values are read eight digits at
//! a time, and the newline is met rather than searched for. Whatever is not as expected ends the attempt; nothing is
//! pushed before the newline is reached, and the line then goes the plain way ([`super::fields`]).
//!
//! Reads are of many bytes: lines that end near the input's end go the plain way too.

use crate::bytes::decimal::{DIGITS_SAFE, TEN_TO, digits, digits_in_word, load_word, number_in_word};
use crate::bytes::float;
use crate::model::{FieldType, Intake, Shape, ShapeId, heap_word};

use super::number::parse_f64;
use super::scan::{BLOCK_BYTES, Scan};
use super::text::unescape_string;
use super::time::Clockwork;
use super::{Dialect, NAME_BYTES_MAX_V3};

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
    /// The type of all values, if they have one and every text is shorter than a block.
    only_kind: Option<FieldType>,
}

/// One field: the text before its value, with the suffix of the value before it.
#[derive(Clone, Copy, Debug)]
struct Step {
    text: [u8; BLOCK_BYTES],
    /// The length of the whole text.
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
    /// Forgets all plans if the intake's numbers have changed their meaning; says if so.
    pub(super) fn enter_epoch(&mut self, epoch: u64) -> bool {
        let changed = self.epoch != epoch;
        if changed {
            self.clear();
            self.epoch = epoch;
        }
        changed
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
            only_kind: None,
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
            let (near, far) = text.split_at(text.len().min(BLOCK_BYTES));
            let mut block = [0; BLOCK_BYTES];
            block[..near.len()].copy_from_slice(near);
            let long_start = self.long.len() as u32;
            self.long.extend_from_slice(far);
            self.steps.push(Step { text: block, len: text.len() as u32, long_start, kind: field.kind });
            suffix = match field.kind {
                FieldType::I64 => Some(b'i'),
                FieldType::U64 => Some(b'u'),
                FieldType::F64 | FieldType::Bool | FieldType::String => None,
                // Another protocol's shape.
                _ => return None,
            };
        }
        self.last_suffix = suffix;
        let first = shape.fields.first()?.kind;
        let short = self.steps.iter().all(|step| (step.len as usize) < BLOCK_BYTES);
        self.only_kind = (short && shape.fields.iter().all(|field| field.kind == first)).then_some(first);
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
        // Rows of one type have a loop of their own: it is the common case, and half the instructions.
        at = match self.only_kind {
            Some(FieldType::I64) => Uniform { plan: self, input, at, values, read: read_i64 }.run::<S>(),
            Some(FieldType::F64) => {
                let read = |near: &[u8; NEAR_BYTES], from, rest: &[u8]| read_f64(dialect, near, from, rest);
                Uniform { plan: self, input, at, values, read }.run::<S>()
            }
            _ => self.read_mixed::<S>(dialect, input, at, values, heap),
        }?;
        if let Some(suffix) = self.last_suffix {
            if *input.get(at)? != suffix {
                return None;
            }
            at += 1;
        }
        read_end(dialect, clockwork, input, at)
    }

    /// Reads the fields at `at`; the answer is where the last value ends.
    #[inline(always)]
    fn read_mixed<S: Scan>(
        &self,
        dialect: Dialect,
        input: &[u8],
        at: usize,
        values: &mut [u64],
        heap: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut rest = input.get(at..)?;
        for (step, value) in self.steps.iter().zip(values) {
            let len = step.len as usize;
            if !S::same_start(block(rest.first_chunk()?), &step.text, len.min(BLOCK_BYTES)) {
                return None;
            }
            if len > BLOCK_BYTES {
                let long = &self.long[step.long_start as usize..][..len - BLOCK_BYTES];
                if rest.get(BLOCK_BYTES..len)? != long {
                    return None;
                }
            }
            rest = rest.get(len..)?;
            let (word, end) = match step.kind {
                FieldType::F64 => read_f64(dialect, rest.first_chunk()?, 0, rest),
                FieldType::I64 => read_i64(rest.first_chunk()?, 0, rest),
                FieldType::U64 => digits(rest, 0),
                FieldType::Bool => read_bool(rest),
                _ => read_string::<S>(dialect, rest, heap),
            }?;
            *value = word;
            rest = rest.get(end..)?;
        }
        Some(input.len() - rest.len())
    }
}

/// Reading the fields of a row whose values are all of one type and whose texts are short.
struct Uniform<'a, R> {
    plan: &'a Plan,
    input: &'a [u8],
    at: usize,
    values: &'a mut [u64],
    read: R,
}

impl<R: Fn(&[u8; NEAR_BYTES], usize, &[u8]) -> Option<(u64, usize)>> Uniform<'_, R> {
    /// Where the last value ends.
    #[inline(always)]
    fn run<S: Scan>(self) -> Option<usize> {
        let mut rest = self.input.get(self.at..)?;
        for (step, value) in self.plan.steps.iter().zip(self.values) {
            let near: &[u8; NEAR_BYTES] = rest.first_chunk()?;
            // The remainder does nothing to a length below a block's; it spares the checks of `near`.
            let len = step.len as usize % BLOCK_BYTES;
            if !S::same_start(block(near), &step.text, len) {
                return None;
            }
            let (word, end) = (self.read)(near, len, rest)?;
            *value = word;
            rest = rest.get(end..)?;
        }
        Some(self.input.len() - rest.len())
    }
}

#[inline(always)]
fn block(near: &[u8; NEAR_BYTES]) -> &[u8; BLOCK_BYTES] {
    near.first_chunk().expect("a block is shorter")
}

/// The eight bytes at `from`, which is below a block's length.
#[inline(always)]
fn near_word(near: &[u8; NEAR_BYTES], from: usize) -> u64 {
    u64::from_le_bytes(*near[from..].first_chunk().expect("a block and a word are shorter"))
}

/// Reads an integer at `from`, up to its suffix, which the next text begins with: value and end. `rest` starts where
/// `near` does.
#[inline(always)]
fn read_i64(near: &[u8; NEAR_BYTES], from: usize, rest: &[u8]) -> Option<(u64, usize)> {
    let (word, negative) = take_minus(near_word(near, from));
    let from = from + negative as usize;
    let count = digits_in_word(word);
    let (magnitude, count) =
        if is_short(count) { (number_in_word(word, count), count) } else { long_digits(rest, from)? };
    // Two's complement, without a branch: signs are not predictable.
    Some(((magnitude ^ negative.wrapping_neg()).wrapping_add(negative), from + count))
}

/// A word without the minus it may begin with, and 1 if there was one. A zero byte comes in at the top.
#[inline(always)]
fn take_minus(word: u64) -> (u64, u64) {
    let negative = u64::from(word as u8 == b'-');
    (word >> (8 * negative), negative)
}

/// Whether a word's digits are some, and certainly all of the number's: the last byte may be missing.
#[inline(always)]
fn is_short(count: usize) -> bool {
    (1..7).contains(&count)
}

/// The digits of an integer that is not short. What may be out of range is left to the plain way.
#[inline(never)]
fn long_digits(rest: &[u8], from: usize) -> Option<(u64, usize)> {
    digits(rest, from).filter(|&(magnitude, _)| magnitude <= i64::MAX as u64)
}

/// Reads a float at `from`: its bits and end. `rest` starts where `near` does.
#[inline(always)]
fn read_f64(dialect: Dialect, near: &[u8; NEAR_BYTES], from: usize, rest: &[u8]) -> Option<(u64, usize)> {
    let (word, negative) = take_minus(near_word(near, from));
    let start = from + negative as usize;
    let whole_count = digits_in_word(word);
    if !is_short(whole_count) {
        return read_f64_plainly(dialect, rest, from);
    }
    let mut joined = word;
    if (word >> (8 * whole_count)) as u8 == b'.' {
        // Take the point out; a zero byte comes in at the top.
        let below = (1 << (8 * whole_count)) - 1;
        joined = word & below | (word >> 8) & !below;
    }
    let count = digits_in_word(joined);
    let places = count - whole_count;
    if count >= 6 || places == 0 {
        return read_f64_long(dialect, rest, from, start, whole_count);
    }
    if (joined >> (8 * count)) as u8 | 0x20 == b'e' {
        return read_f64_plainly(dialect, rest, from);
    }
    let bits = float::of_short(number_in_word(joined, count), places).to_bits();
    Some((bits | negative << 63, start + count + 1))
}

/// [`read_f64`] for what does not fit a word, and for whole numbers.
#[inline(always)]
fn read_f64_long(
    dialect: Dialect,
    rest: &[u8],
    from: usize,
    start: usize,
    whole_count: usize,
) -> Option<(u64, usize)> {
    let whole = number_in_word(load_word(rest, start)?, whole_count);
    let point = start + whole_count;
    let (mantissa, places, end) = if *rest.get(point)? == b'.' {
        let (fraction, places) = digits(rest, point + 1)?;
        if whole_count + places > DIGITS_SAFE {
            return read_f64_plainly(dialect, rest, from);
        }
        (whole * TEN_TO[places] + fraction, places, point + 1 + places)
    } else {
        (whole, 0, point)
    };
    if rest.get(end)? | 0x20 == b'e' {
        return read_f64_plainly(dialect, rest, from);
    }
    match float::of_decimal(mantissa, -(places as i32), start > from) {
        Some(float) => Some((float.to_bits(), end)),
        None => read_f64_plainly(dialect, rest, from),
    }
}

/// [`read_f64`] for long mantissas and exponents.
#[cold]
#[inline(never)]
fn read_f64_plainly(dialect: Dialect, rest: &[u8], from: usize) -> Option<(u64, usize)> {
    let text = &rest[from..];
    let len = text.iter().position(|&b| matches!(b, b',' | b' ' | b'\n' | b'\r'))?;
    Some((parse_f64(dialect, &text[..len]).ok()?.to_bits(), from + len))
}

#[inline(always)]
fn read_bool(rest: &[u8]) -> Option<(u64, usize)> {
    let word = load_word(rest, 0)?;
    let has = |text: &[u8]| {
        let mut wanted = [0; 8];
        wanted[..text.len()].copy_from_slice(text);
        (word ^ u64::from_le_bytes(wanted)) << (64 - 8 * text.len()) == 0
    };
    if has(b"true") || has(b"True") || has(b"TRUE") {
        Some((1, 4))
    } else if has(b"false") || has(b"False") || has(b"FALSE") {
        Some((0, 5))
    } else if has(b"t") || has(b"T") {
        Some((1, 1))
    } else if has(b"f") || has(b"F") {
        Some((0, 1))
    } else {
        None
    }
}

#[inline(always)]
fn read_string<S: Scan>(dialect: Dialect, rest: &[u8], heap: &mut Vec<u8>) -> Option<(u64, usize)> {
    if *rest.first()? != b'"' {
        return None;
    }
    let mut end = S::string_stop(rest, 1);
    let plain = rest.get(end) == Some(&b'"');
    while *rest.get(end)? == b'\\' {
        if end + 2 > rest.len() {
            return None;
        }
        end = S::string_stop(rest, end + 2);
    }
    let raw = &rest[1..end];
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
    Some((heap_word(start, len), end + 1))
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

/// Bytes looked at from a text's start: those of a block, and of a value behind it.
const NEAR_BYTES: usize = 64;

/// Plans kept at a time: a connection's measurements, as a rule.
const PLANS: usize = 16;

/// Fields of a plan at most, so that all plans stay below 4 MiB.
const PLAN_FIELDS_MAX: usize = 4096;
