//! The key of a 2.0 series, made of the key of the series before it: neighbours share most of their references, and
//! equal references of one request mean the same text.
//!
//! Comes in: a series' references as they lie packed on the wire, and the key that is expected. Goes out: whether it is
//! theirs. Kept: the key is the one that [`key_v2`](super::labels::key_v2) puts together, whatever was spelled before.
//! Only what differs from the references before is looked up and copied; where references come or go, what follows them
//! is moved. The key is compared before it is changed: what has just been written is read back slowly.

use std::ops::Range;

use crate::bytes::read_varint;

use super::LABELS_BYTES_MAX;
use super::labels::append_short;
use super::symbols::Symbols;

/// Bytes of references at most; 64 labels of the first 128 symbols. Longer ones are put together elsewhere.
pub(super) const REFERENCES_BYTES_MAX: usize = 127;

/// The key spelled last, and the references that spell it.
#[derive(Debug)]
pub(super) struct Spelling {
    references: [u8; REFERENCES_BYTES_MAX],
    len: usize,
    key: Vec<u8>,
    /// Where in the key the symbol starts whose reference starts at this byte; behind the last one the key's end.
    starts: [u32; REFERENCES_BYTES_MAX + 1],
    /// The symbols that are put in place of others, if they are several.
    several: Vec<u8>,
}

impl Default for Spelling {
    fn default() -> Spelling {
        Spelling {
            references: [0; REFERENCES_BYTES_MAX],
            len: 0,
            key: Vec::new(),
            starts: [0; REFERENCES_BYTES_MAX + 1],
            several: Vec::new(),
        }
    }
}

impl Spelling {
    /// The symbols are those of another request.
    pub(super) fn forget(&mut self) {
        self.len = 0;
        self.starts[0] = 0;
        self.key.clear();
    }

    /// Whether a series with these references has this key. No if they are cut, too many, or lead out of the table, or
    /// if their key would be too long. How many they are is not looked at: a key has names and values in turn.
    #[inline]
    pub(super) fn spells(&mut self, body: &[u8], symbols: &Symbols, references: &[u8], key: &[u8]) -> bool {
        let (front, back) = alike(&self.references[..self.len], references);
        if front == references.len() && front == self.len {
            return self.key == key;
        }
        let spells = self.change(body, symbols, references, front..references.len() - back, key);
        if spells.is_none() {
            self.forget();
        }
        spells == Some(true)
    }

    /// Takes over references that are those before but for `changed`, where both have whole ones. Whether the key has
    /// become this one, or none if there is no key.
    #[inline]
    fn change(
        &mut self,
        body: &[u8],
        symbols: &Symbols,
        references: &[u8],
        changed: Range<usize>,
        key: &[u8],
    ) -> Option<bool> {
        let back = references.len() - changed.end;
        let old_end = self.len - back;
        if references.len() > REFERENCES_BYTES_MAX {
            return None;
        }
        let (from, to) = (self.starts[changed.start] as usize, self.starts[old_end] as usize);
        if changed.end != old_end {
            self.starts.copy_within(old_end..=self.len, changed.end);
        }
        let mut rest = &references[changed.clone()];
        let text = match one_reference(rest) {
            Some(one) => {
                self.starts[changed.start] = from as u32;
                &body[symbols.sized(one)?]
            }
            None => {
                self.several.clear();
                while !rest.is_empty() {
                    self.starts[changed.end - rest.len()] = (from + self.several.len()) as u32;
                    let symbol = symbols.sized(reference(&mut rest)?)?;
                    if self.several.len() + symbol.len() > LABELS_BYTES_MAX {
                        return None;
                    }
                    append_short(body, symbol, &mut self.several);
                }
                &self.several[..]
            }
        };
        let end = from + text.len();
        let len = self.key.len() - to + end;
        if len > LABELS_BYTES_MAX {
            return None;
        }
        let spells = key.len() == len
            && key[..from] == self.key[..from]
            && key[end..] == self.key[to..]
            && key[from..end] == *text;
        if end != to {
            let tail = to..self.key.len();
            self.key.resize(len.max(tail.end), 0);
            self.key.copy_within(tail, end);
            self.key.truncate(len);
            let moved = (end as u32).wrapping_sub(to as u32);
            for start in &mut self.starts[changed.end..=references.len()] {
                *start = start.wrapping_add(moved);
            }
        }
        copy_few(text, &mut self.key[from..end]);
        let behind = if changed.end == old_end { changed.end } else { references.len() };
        copy_few(&references[changed.start..behind], &mut self.references[changed.start..behind]);
        self.len = references.len();
        Some(spells)
    }
}

/// Copies all of a text over one of the same length: a short one as a rule, for which a call is dear.
#[inline(always)]
fn copy_few(from: &[u8], to: &mut [u8]) {
    match from.len() {
        1 => to[0] = from[0],
        4..=7 => copy_ends::<4>(from, to),
        8..=16 => copy_ends::<8>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// Copies a text that is between `N` and twice `N` bytes long.
#[inline(always)]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    let ends = (from.first_chunk::<N>(), from.last_chunk::<N>());
    if let (Some(first), Some(last)) = ends {
        to[..N].copy_from_slice(first);
        let start = to.len() - N;
        to[start..].copy_from_slice(last);
    }
}

/// The reference that is all there is, if it is just one, of one byte or two.
#[inline(always)]
fn one_reference(references: &[u8]) -> Option<u64> {
    match *references {
        [one @ 0..0x80] => Some(u64::from(one)),
        [one @ 0x80..=0xff, two @ 0..0x80] => Some(u64::from(one & 0x7f) | u64::from(two) << 7),
        _ => None,
    }
}

/// The reference that `rest` starts with, a short one as a rule. None if it is cut or longer than 64 bits.
#[inline]
fn reference(rest: &mut &[u8]) -> Option<u64> {
    match **rest {
        [one @ 0..0x80, ..] => {
            *rest = &rest[1..];
            Some(u64::from(one))
        }
        [one, two @ 0..0x80, ..] => {
            *rest = &rest[2..];
            Some(u64::from(one & 0x7f) | u64::from(two) << 7)
        }
        _ => read_varint(rest),
    }
}

/// How many bytes of whole references both start with, and how many more both end with.
#[inline(always)]
fn alike(a: &[u8], b: &[u8]) -> (usize, usize) {
    if a.len() == b.len()
        && a.len() <= 16
        && let (Some(a_first), Some(a_last)) = (a.first_chunk(), a.last_chunk())
        && let (Some(b_first), Some(b_last)) = (b.first_chunk(), b.last_chunk())
    {
        let first = u64::from_le_bytes(*a_first) ^ u64::from_le_bytes(*b_first);
        let last = u64::from_le_bytes(*a_last) ^ u64::from_le_bytes(*b_last);
        let len = a.len();
        if first | last == 0 {
            return (len, 0);
        }
        let byte = |bits: u32| bits as usize / 8;
        let mut front =
            if first != 0 { byte(first.trailing_zeros()) } else { len - 8 + byte(last.trailing_zeros()) };
        let mut end =
            if last != 0 { len - byte(last.leading_zeros()) } else { 8 - byte(first.leading_zeros()) };
        while front > 0 && a[front - 1] >= 0x80 {
            front -= 1;
        }
        while end < len && (a[end - 1] | b[end - 1]) >= 0x80 {
            end += 1;
        }
        return (front, len - end);
    }
    let front = alike_in_front(a, b);
    (front, alike_behind(a, b, front))
}

/// How many bytes of whole references both start with.
fn alike_in_front(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let mut alike = first_difference(&a[..len], &b[..len]);
    while alike > 0 && a[alike - 1] >= 0x80 {
        alike -= 1;
    }
    alike
}

/// Where two texts of one length differ first; their length if they do not.
fn first_difference(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while let (Some(x), Some(y)) = (a[at..].first_chunk::<8>(), b[at..].first_chunk::<8>()) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return at + differ.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    // The last word again: what is before is alike.
    if let (Some(x), Some(y)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        return a.len() - 8 + differ.trailing_zeros() as usize / 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes of whole references both end with, behind the `front` bytes of whole ones that both start with.
fn alike_behind(a: &[u8], b: &[u8], front: usize) -> usize {
    let max = a.len().min(b.len()) - front;
    let mut alike = 0;
    while alike < max {
        let (left_a, left_b) = (&a[..a.len() - alike], &b[..b.len() - alike]);
        if let (Some(x), Some(y)) = (left_a.last_chunk::<8>(), left_b.last_chunk::<8>()) {
            let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
            alike += differ.leading_zeros() as usize / 8;
            if differ != 0 {
                break;
            }
        } else {
            let pairs = left_a.iter().rev().zip(left_b.iter().rev());
            alike += pairs.take_while(|(a, b)| a == b).count();
            break;
        }
    }
    alike = alike.min(max);
    let begins = |of: &[u8], alike: usize| of.len() == front + alike || of[of.len() - alike - 1] < 0x80;
    while alike > 0 && !(begins(a, alike) && begins(b, alike)) {
        alike -= 1;
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::write_varint;
    use crate::wire::remote_write::labels::key_v2;
    use crate::wire::remote_write::plain::packed;
    use proptest::prelude::*;

    /// A body of these symbols.
    fn table(texts: &[Vec<u8>]) -> (Vec<u8>, Symbols) {
        let (mut body, mut symbols) = (vec![0], Symbols::default());
        for text in texts {
            body.push(4 << 3 | 2);
            let start = body.len();
            write_varint(&mut body, text.len() as u64);
            body.extend_from_slice(text);
            symbols.push(&body, start..body.len(), body.len() - text.len()).unwrap();
        }
        (body, symbols)
    }

    fn write(references: &[u64]) -> Vec<u8> {
        let mut packed = Vec::new();
        references.iter().for_each(|&reference| write_varint(&mut packed, reference));
        packed
    }

    /// What the key is, put together by itself.
    fn expected(body: &[u8], symbols: &Symbols, references: &[u64]) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        let mut even = references.to_vec();
        if even.len() % 2 == 1 {
            // Symbol 0 is the empty one here: a length and nothing else.
            even.push(0);
        }
        key_v2(body, symbols, even.iter().copied(), &mut key).ok()?;
        key.truncate(key.len() - (even.len() - references.len()));
        Some(key)
    }

    /// References, and how many bytes too few of them are sent.
    fn series() -> impl Strategy<Value = (Vec<u64>, usize)> {
        let reference = prop_oneof![6 => 0u64..8, 4 => 120u64..140, 1 => 16_380u64..16_390, 1 => 399u64..402];
        (proptest::collection::vec(reference, 0..12), prop_oneof![9 => Just(0usize), 1 => Just(1usize)])
    }

    proptest! {
        #[test]
        fn keys_are_those_put_together_by_themselves(
            all in proptest::collection::vec(series(), 1..20),
            edits in proptest::collection::vec((0usize..12, 0u64..140, 0u8..3), 20),
            lens in proptest::collection::vec(0usize..40, 400),
            flip: usize,
        ) {
            let text = |(i, len): (usize, &usize)| vec![b'a' + (i % 26) as u8; if i == 0 { 0 } else { *len }];
            let (body, symbols) = table(&lens.iter().enumerate().map(text).collect::<Vec<_>>());
            let mut spelling = Spelling::default();
            for ((references, cut), (at, to, kind)) in all.into_iter().zip(edits) {
                // Neighbours: the same series with a reference changed, taken away, or added.
                let mut near = references.clone();
                let at = at.min(near.len());
                match kind {
                    0 if at < near.len() => near[at] = to,
                    1 if at < near.len() => _ = near.remove(at),
                    _ => near.insert(at, to),
                }
                for references in [&references, &near] {
                    let mut packed = write(references);
                    packed.truncate(packed.len() - cut.min(packed.len()));
                    let is_cut = packed.last().is_some_and(|&byte| byte >= 0x80);
                    let whole: Vec<u64> = read(&packed);
                    let expected = expected(&body, &symbols, &whole).filter(|_| !is_cut);
                    // Keys that are expected, but are not the one: of the series before, and with a byte that differs.
                    let mut wrong = expected.clone().unwrap_or_default();
                    match wrong.len() {
                        0 => wrong.push(0),
                        len => wrong[flip % len] ^= 1,
                    }
                    let first = if flip % 2 == 0 { expected.as_deref().unwrap_or(&wrong) } else { &wrong };
                    let mut spells = |key: &[u8]| spelling.spells(&body, &symbols, &packed, key);
                    prop_assert_eq!(spells(first), expected.as_deref() == Some(first));
                    prop_assert_eq!(spells(&wrong), false);
                    prop_assert_eq!(expected.as_deref().map(&mut spells), expected.as_ref().map(|_| true));
                    prop_assert_eq!(&spelling.key, &expected.unwrap_or_default());
                }
            }
        }
    }

    /// The whole references of these.
    fn read(references: &[u8]) -> Vec<u64> {
        packed(references).collect()
    }

    #[test]
    fn what_is_too_long_is_not_spelled() {
        let (body, symbols) = table(&[vec![b'x'; LABELS_BYTES_MAX / 2 - 8], vec![b'y'; LABELS_BYTES_MAX]]);
        let mut spelling = Spelling::default();
        let mut len = |references: &[u8]| {
            let expected = expected(&body, &symbols, &read(references)).unwrap_or_default();
            spelling.spells(&body, &symbols, references, &expected).then_some(expected.len())
        };
        assert_eq!(len(&[0, 0]), Some(LABELS_BYTES_MAX - 10));
        assert_eq!(len(&[0, 0, 0]), None);
        assert_eq!(len(&[0, 0]), Some(LABELS_BYTES_MAX - 10));
        assert_eq!(len(&[0, 1]), None);
        assert_eq!(len(&[2]), None);
        assert_eq!(len(&[0; REFERENCES_BYTES_MAX + 1]), None);
        assert_eq!(len(&[]), Some(0));
        let overlong = [&[0x80; 10][..], &[0]].concat();
        assert_eq!(len(&overlong), None);
    }
}
