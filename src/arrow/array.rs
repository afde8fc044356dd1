//! Arrays: columns in Arrow's layout, owned, and the builders that fill them.
//!
//! Builders take values in order and know nothing of rows without one until somebody says how many there were
//! ([`pad`](Words::pad)): a column that a batch does not use costs nothing while it is built, and shares one stretch of
//! zeros with all others of its kind when it is done.

use super::buffer::{Buffer, Bytes};

/// A column in Arrow's layout.
#[derive(Clone)]
pub(super) struct Array {
    pub(super) len: usize,
    pub(super) nulls: usize,
    /// As the type's layout orders them; `None` is a validity map that is not needed.
    pub(super) buffers: Vec<Option<Bytes>>,
    pub(super) children: Vec<Array>,
    pub(super) dictionary: Option<Box<Array>>,
}

impl Array {
    /// A column without nulls.
    pub(super) fn full(len: usize, buffers: Vec<Bytes>) -> Array {
        let buffers = std::iter::once(None).chain(buffers.into_iter().map(Some)).collect();
        Array { len, nulls: 0, buffers, children: Vec::new(), dictionary: None }
    }

    /// Numbers without nulls that stand for entries of a dictionary.
    pub(super) fn indices(len: usize, indices: Bytes, dictionary: Array) -> Array {
        Array { dictionary: Some(Box::new(dictionary)), ..Array::full(len, vec![indices]) }
    }

    /// As [`indices`](Array::indices); what is below 0 is null.
    pub(super) fn indices_or_null(indices: &[i32], dictionary: Array) -> Array {
        let (mut sound, mut validity) = (Buffer::new(), Validity::new());
        sound.extend(indices.iter().map(|&index| index.max(0)));
        indices.iter().for_each(|&index| validity.fill(1, index >= 0));
        let array = Array::with_validity(indices.len(), validity, vec![sound.freeze()]);
        Array { dictionary: Some(Box::new(dictionary)), ..array }
    }

    /// Columns of equal length side by side.
    pub(super) fn rows(len: usize, children: Vec<Array>) -> Array {
        Array { children, ..Array::full(len, Vec::new()) }
    }

    /// Nothing but nulls: `wide` buffers of zeros behind the validity map.
    fn nulls(len: usize, wide: usize, zeros: &Bytes) -> Array {
        let buffers = vec![Some(zeros.clone()); wide + 1];
        Array { len, nulls: len, buffers, children: Vec::new(), dictionary: None }
    }

    fn with_validity(len: usize, validity: Validity, values: Vec<Bytes>) -> Array {
        let nulls = validity.nulls;
        let buffers = std::iter::once(validity.freeze()).chain(values.into_iter().map(Some)).collect();
        Array { nulls, buffers, ..Array::full(len, Vec::new()) }
    }
}

/// Zeros that are enough for any column of `len` nulls.
pub(super) fn zeros_for(len: usize) -> Bytes {
    Bytes::zeros((len + 1) * 8)
}

/// Bits, the lowest of a byte first.
pub(super) struct Bits {
    bytes: Buffer<u8>,
    len: usize,
}

impl Bits {
    fn new() -> Bits {
        Bits { bytes: Buffer::new(), len: 0 }
    }

    fn push(&mut self, bit: bool) {
        self.fill(1, bit);
    }

    /// Appends `count` times the same.
    fn fill(&mut self, count: usize, bit: bool) {
        let end = self.len + count;
        let whole = self.len.next_multiple_of(8).min(end);
        for at in self.len..whole {
            self.push_one(at, bit);
        }
        let bytes = (end - whole) / 8;
        self.bytes.fill(bytes, if bit { 0xff } else { 0 });
        for at in whole + bytes * 8..end {
            self.push_one(at, bit);
        }
        self.len = end;
    }

    #[inline]
    fn push_one(&mut self, at: usize, bit: bool) {
        if at.is_multiple_of(8) {
            self.bytes.push(u8::from(bit));
        } else if bit {
            self.bytes.set(at / 8, self.bytes[at / 8] | 1 << (at % 8));
        }
    }
}

/// Which of a column's rows have a value.
struct Validity {
    bits: Bits,
    nulls: usize,
}

impl Validity {
    fn new() -> Validity {
        Validity { bits: Bits::new(), nulls: 0 }
    }

    fn fill(&mut self, count: usize, valid: bool) {
        if count == 0 {
            return;
        }
        if valid && self.nulls == 0 {
            // Not written down before it must be.
            self.bits.len += count;
            return;
        }
        if self.nulls == 0 {
            let before = std::mem::take(&mut self.bits.len);
            self.bits.fill(before, true);
        }
        self.nulls += if valid { 0 } else { count };
        self.bits.fill(count, valid);
    }

    fn freeze(self) -> Option<Bytes> {
        (self.nulls > 0).then(|| self.bits.bytes.freeze())
    }
}

/// Numbers of 64 bits, or the bits of floats.
pub(super) struct Words {
    values: Buffer<u64>,
    validity: Validity,
}

impl Words {
    pub(super) fn new() -> Words {
        Words { values: Buffer::new(), validity: Validity::new() }
    }

    /// Makes the column `len` rows long with nulls.
    pub(super) fn pad(&mut self, len: usize) {
        let count = len - self.values.len();
        self.values.fill(count, 0);
        self.validity.fill(count, false);
    }

    pub(super) fn extend(&mut self, values: impl ExactSizeIterator<Item = u64>) {
        self.validity.fill(values.len(), true);
        self.values.extend(values);
    }

    pub(super) fn extend_from_slice(&mut self, values: &[u64]) {
        self.validity.fill(values.len(), true);
        self.values.extend_from_slice(values);
    }

    pub(super) fn finish(mut self, len: usize, zeros: &Bytes) -> Array {
        if self.values.is_empty() {
            return Array::nulls(len, 1, zeros);
        }
        self.pad(len);
        Array::with_validity(len, self.validity, vec![self.values.freeze()])
    }
}

/// Truth values.
pub(super) struct Bools {
    values: Bits,
    validity: Validity,
}

impl Bools {
    pub(super) fn new() -> Bools {
        Bools { values: Bits::new(), validity: Validity::new() }
    }

    pub(super) fn pad(&mut self, len: usize) {
        let count = len - self.values.len;
        self.values.fill(count, false);
        self.validity.fill(count, false);
    }

    pub(super) fn push(&mut self, value: bool) {
        self.values.push(value);
        self.validity.fill(1, true);
    }

    pub(super) fn finish(mut self, len: usize, zeros: &Bytes) -> Array {
        if self.values.len == 0 {
            return Array::nulls(len, 1, zeros);
        }
        self.pad(len);
        Array::with_validity(len, self.validity, vec![self.values.bytes.freeze()])
    }
}

/// Texts, or any bytes.
pub(super) struct Texts {
    /// Where each starts, and where the last ends.
    offsets: Buffer<i32>,
    bytes: Buffer<u8>,
    validity: Validity,
}

/// More bytes in one column than its offsets can count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

impl Texts {
    pub(super) fn new() -> Texts {
        let mut offsets = Buffer::new();
        offsets.push(0);
        Texts { offsets, bytes: Buffer::new(), validity: Validity::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn pad(&mut self, len: usize) {
        let count = len - self.len();
        self.offsets.fill(count, self.end());
        self.validity.fill(count, false);
    }

    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), TooLong> {
        if text.len() > TEXT_BYTES_MAX - self.bytes.len() {
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.end());
        self.validity.fill(1, true);
        Ok(())
    }

    pub(super) fn finish(mut self, len: usize, zeros: &Bytes) -> Array {
        if self.len() == 0 {
            return Array::nulls(len, 2, zeros);
        }
        self.pad(len);
        Array::with_validity(len, self.validity, vec![self.offsets.freeze(), self.bytes.freeze()])
    }

    /// All texts, none of them null.
    pub(super) fn finish_full(self) -> Array {
        Array::full(self.len(), vec![self.offsets.freeze(), self.bytes.freeze()])
    }

    fn end(&self) -> i32 {
        // Bounded by TEXT_BYTES_MAX.
        self.bytes.len() as i32
    }
}

/// Bytes of text in a column of one batch.
const TEXT_BYTES_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_valid(array: &Array, row: usize) -> bool {
        array.buffers[0].as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 != 0)
    }

    proptest! {
        /// Naive: a vector of options.
        #[test]
        fn columns_hold_what_was_pushed(parts in prop::collection::vec((0usize..40, any::<bool>()), 0..20)) {
            let (mut words, mut bools, mut texts) = (Words::new(), Bools::new(), Texts::new());
            let mut expected = Vec::new();
            for (count, valid) in parts {
                for _ in 0..count {
                    expected.push(valid.then_some(expected.len() as u64 * 0x0101));
                }
                if valid {
                    let start = expected.len() - count;
                    words.pad(start);
                    words.extend(expected[start..].iter().map(|v| v.unwrap()));
                    bools.pad(start);
                    texts.pad(start);
                    for value in &expected[start..] {
                        bools.push(value.unwrap() % 3 == 0);
                        texts.push(value.unwrap().to_string().as_bytes()).unwrap();
                    }
                }
            }
            let (len, zeros) = (expected.len(), zeros_for(expected.len()));
            let nulls = expected.iter().filter(|v| v.is_none()).count();
            let columns = [words.finish(len, &zeros), bools.finish(len, &zeros), texts.finish(len, &zeros)];
            for array in &columns {
                prop_assert_eq!((array.len, array.nulls), (len, nulls));
                prop_assert!(array.buffers[0].is_none() || nulls > 0 || len == 0);
                for (row, value) in expected.iter().enumerate() {
                    prop_assert_eq!(is_valid(array, row), value.is_some());
                }
            }
            let [words, bools, texts] = columns;
            let part = |array: &Array, buffer: usize| array.buffers[buffer].clone().unwrap();
            let word = |bytes: &[u8], at: usize, wide: usize| {
                bytes[at * wide..][..wide].iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b))
            };
            for (row, value) in expected.iter().enumerate() {
                let Some(value) = value else { continue };
                prop_assert_eq!(word(&part(&words, 1), row, 8), *value);
                prop_assert_eq!(part(&bools, 1)[row / 8] >> (row % 8) & 1 != 0, value % 3 == 0);
                let ends = part(&texts, 1);
                let (start, end) = (word(&ends, row, 4) as usize, word(&ends, row + 1, 4) as usize);
                let text = value.to_string();
                prop_assert_eq!(&part(&texts, 2)[start..end], text.as_bytes());
            }
        }
    }
}
