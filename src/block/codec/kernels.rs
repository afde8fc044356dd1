//! The loops that touch every value, each compiled for any machine, for AVX2, and for AVX-512, which has what AVX2
//! lacks for words: least and greatest, products, and conversions from and to floats.
//!
//! They are plain loops over slices, written so that the compiler vectorizes them; nothing here is intrinsics but
//! the prefetch.
//!
//! Invariant 1: a function compiled for AVX2 or AVX-512 is called only where the processor was seen to have it.

#![allow(unsafe_code)]

use crate::bytes::{unzigzag, zigzag};

/// Defines a function that runs its body compiled for the best instruction set at hand.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? => $body:ident) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $type),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                if is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: invariant 1; each of these includes AVX-512F.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: invariant 1.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

dispatch! {
    /// The least and greatest word, as signed numbers.
    pub(super) fn range(words: &[u64]) -> (i64, i64) => range_any
}

#[inline(always)]
fn range_any(words: &[u64]) -> (i64, i64) {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for &w in words {
        min = min.min(w as i64);
        max = max.max(w as i64);
    }
    (min, max)
}

dispatch! {
    /// Differences of neighbours, one fewer than words; their least and greatest.
    pub(super) fn deltas(words: &[u64], out: &mut [u64]) -> (i64, i64) => deltas_any
}

#[inline(always)]
fn deltas_any(words: &[u64], out: &mut [u64]) -> (i64, i64) {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    let (before, after) = (&words[..words.len() - 1], &words[1..]);
    for ((o, &a), &b) in out[..before.len()].iter_mut().zip(before).zip(after) {
        let delta = b.wrapping_sub(a);
        min = min.min(delta as i64);
        max = max.max(delta as i64);
        *o = delta;
    }
    (min, max)
}

dispatch! {
    /// Differences of neighbours within runs; how many. `out` has room for a word each, and [`STEPS_AT_ONCE`] more.
    pub(super) fn steps(words: &[u64], starts: &[u32], out: &mut [u64]) -> usize => steps_any
}

#[inline(always)]
fn steps_any(words: &[u64], starts: &[u32], out: &mut [u64]) -> usize {
    let ends = starts[1..].iter().copied().chain(std::iter::once(words.len() as u32));
    let mut at = 0;
    for (&start, end) in starts.iter().zip(ends) {
        let mut start = start as usize;
        let next = at + end as usize - start - 1;
        // Most runs are short. What is written past a run's end is written over by the next one.
        while let Some(w) = words[start..].first_chunk::<{ STEPS_AT_ONCE + 1 }>() {
            for (i, o) in out[at..at + STEPS_AT_ONCE].iter_mut().enumerate() {
                *o = w[i + 1].wrapping_sub(w[i]);
            }
            start += STEPS_AT_ONCE;
            at += STEPS_AT_ONCE;
            if at >= next {
                break;
            }
        }
        while at < next {
            out[at] = words[start + 1].wrapping_sub(words[start]);
            start += 1;
            at += 1;
        }
        at = next;
    }
    at
}

/// Exact division by a constant: a shift, and a multiplication by the inverse of its odd part modulo 2^64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    origin: u64,
    shift: u32,
    inverse: u64,
    quotient_max: u64,
}

impl Divisor {
    /// Divides differences from `origin` by `scale`, at least 1.
    pub(super) fn new(origin: u64, scale: u64) -> Divisor {
        let shift = scale.trailing_zeros();
        let odd = scale >> shift;
        // Newton: an odd number is its own inverse modulo 8; each step doubles the bits.
        let mut inverse = odd;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Divisor { origin, shift, inverse, quotient_max: i64::MAX as u64 / odd }
    }
}

dispatch! {
    /// Whether the divisor divides every word without remainder.
    pub(super) fn divides(words: &[u64], by: Divisor) -> bool => divides_any
}

#[inline(always)]
fn divides_any(words: &[u64], by: Divisor) -> bool {
    let (mut low, mut outside) = (0u64, 0u64);
    for &w in words {
        let x = w.wrapping_sub(by.origin);
        low |= x;
        let q = (((x as i64) >> by.shift) as u64).wrapping_mul(by.inverse);
        // In range only if the multiplication undid one: q * odd is then the number itself.
        outside |= u64::from(q.wrapping_add(by.quotient_max) > 2 * by.quotient_max);
    }
    outside == 0 && low & ((1u64 << by.shift) - 1) == 0
}

dispatch! {
    /// Divides every word; exact where [`divides`] says so.
    pub(super) fn divide(words: &mut [u64], by: Divisor) => divide_any
}

#[inline(always)]
fn divide_any(words: &mut [u64], by: Divisor) {
    for w in words {
        let x = w.wrapping_sub(by.origin);
        *w = (((x as i64) >> by.shift) as u64).wrapping_mul(by.inverse);
    }
}

/// How signed words become small unsigned ones.
#[derive(Clone, Copy, Debug)]
pub(super) enum Small {
    /// By zigzag.
    Zigzag,
    /// By their distance from the least one.
    From(u64),
}

impl Small {
    #[inline(always)]
    pub(super) fn of(self, word: u64) -> u64 {
        match self {
            Small::Zigzag => zigzag(word as i64),
            Small::From(base) => word.wrapping_sub(base),
        }
    }
}

dispatch! {
    /// Writes the bytes of the words, made small, from bit `shift` on as planes: all words' first such byte, then all
    /// their second.
    pub(super) fn planes(words: &[u64], small: Small, shift: u32, out: &mut [u8]) => planes_any
}

#[inline(always)]
fn planes_any(words: &[u64], small: Small, shift: u32, out: &mut [u8]) {
    let mut shift = shift;
    for plane in out.chunks_exact_mut(words.len()) {
        let bytes = plane.iter_mut().zip(words);
        // One loop for each, so that neither decides anything inside.
        match small {
            Small::Zigzag => bytes.for_each(|(o, &w)| *o = (Small::Zigzag.of(w) >> shift) as u8),
            Small::From(base) => bytes.for_each(|(o, &w)| *o = (w.wrapping_sub(base) >> shift) as u8),
        }
        shift += 8;
    }
}

dispatch! {
    /// Undoes [`planes`]: adds the bytes to the words.
    pub(super) fn unplanes(bytes: &[u8], shift: u32, words: &mut [u64]) => unplanes_any
}

#[inline(always)]
fn unplanes_any(bytes: &[u8], shift: u32, words: &mut [u64]) {
    let mut shift = shift;
    for plane in bytes.chunks_exact(words.len()) {
        for (&b, w) in plane.iter().zip(words.iter_mut()) {
            *w |= u64::from(b) << shift;
        }
        shift += 8;
    }
}

dispatch! {
    /// Finds integers `d` with `d / scale` equal to each float, bit for bit; counts the floats that have none.
    pub(super) fn decimals(floats: &[u64], scale: f64, out: &mut [u64]) -> usize => decimals_any
}

#[inline(always)]
fn decimals_any(floats: &[u64], scale: f64, out: &mut [u64]) -> usize {
    let mut misses = 0u64;
    for (o, &bits) in out.iter_mut().zip(floats) {
        let (d, exact) = decimal(bits, scale);
        misses += u64::from(!exact);
        *o = d as u64;
    }
    misses as usize
}

/// The nearest integer to a float times `scale`, and whether dividing it gives back the float, bit for bit.
///
/// Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits, if the sum stays between 2^52 and 2^53. What
/// is too large for that, or not finite, gives a number of over 52 bits.
#[inline(always)]
pub(super) fn decimal(bits: u64, scale: f64) -> (i64, bool) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = f64::from_bits(bits) * scale + ROUND;
    let d = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let back = ((shifted - ROUND) / scale).to_bits();
    let wide = d.wrapping_add(1 << 51) >> 52;
    (d as i64, (back ^ bits) | wide == 0)
}

/// Undoes [`deltas`] in place, from `start`, after making the words signed.
pub(super) fn sum(words: &mut [u64], start: u64, base: u64, zigzagged: bool) {
    let mut value = start;
    for w in words {
        let delta = if zigzagged { unzigzag(*w) as u64 } else { w.wrapping_add(base) };
        value = value.wrapping_add(delta);
        *w = value;
    }
}

/// Undoes [`steps`] in place, after making them signed: they are the last of `words`. Each run starts with its first.
pub(super) fn sum_runs(words: &mut [u64], starts: &[u32], firsts: &[u64], base: u64, zigzagged: bool) {
    let ends = starts[1..].iter().copied().chain(std::iter::once(words.len() as u32));
    // As many as runs that are still to come lie between what is written and what is read.
    let mut from = starts.len();
    for ((&start, end), &first) in starts.iter().zip(ends).zip(firsts) {
        let mut value = first;
        words[start as usize] = value;
        for to in start as usize + 1..end as usize {
            let step = words[from];
            from += 1;
            let delta = if zigzagged { unzigzag(step) as u64 } else { step.wrapping_add(base) };
            value = value.wrapping_add(delta);
            words[to] = value;
        }
    }
}

/// Writes the low `width` bits of each word, made small, one behind the other, least bit first. `out` has 8 bytes to
/// spare.
pub(super) fn pack(words: &[u64], small: Small, width: u32, out: &mut [u8]) {
    if width.is_multiple_of(8) {
        let step = width as usize / 8;
        let mut at = 0;
        for &w in words {
            // Scribbles over the place of the next word, which is written after.
            out[at..at + 8].copy_from_slice(&small.of(w).to_le_bytes());
            at += step;
        }
        return;
    }
    let mask = (1u64 << width) - 1;
    let (mut at, mut bits, mut filled) = (0, 0u128, 0);
    for &w in words {
        bits |= u128::from(small.of(w) & mask) << filled;
        filled += width;
        if filled >= 64 {
            out[at..at + 8].copy_from_slice(&(bits as u64).to_le_bytes());
            at += 8;
            bits >>= 64;
            filled -= 64;
        }
    }
    out[at..at + 8].copy_from_slice(&(bits as u64).to_le_bytes());
}

/// Undoes [`pack`].
pub(super) fn unpack(bytes: &[u8], width: u32, words: &mut [u64]) {
    let mask = u64::MAX >> (64 - width);
    for (i, w) in words.iter_mut().enumerate() {
        let bit = i * width as usize;
        let from = &bytes[bit / 8..];
        let window = from.first_chunk().copied().unwrap_or_else(|| {
            let mut window = [0; WINDOW];
            window[..from.len()].copy_from_slice(from);
            window
        });
        *w = (u128::from_le_bytes(window) >> (bit % 8)) as u64 & mask;
    }
}

/// Asks for the memory of `items[index]`, and of what lies `also` items further, if it is there.
#[inline(always)]
pub(in crate::block) fn prefetch<T>(items: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = items.as_ptr().wrapping_add(index);
        // SAFETY: a prefetch never faults and changes nothing but the cache; every x86-64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, index);
}

/// Differences within a run that are taken together.
pub(super) const STEPS_AT_ONCE: usize = 4;

/// 64 bits that start within a byte touch nine; a load takes sixteen.
const WINDOW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words() -> impl Strategy<Value = Vec<u64>> {
        (0u32..64, prop::collection::vec(any::<u64>(), 1..200))
            .prop_map(|(shift, words)| words.into_iter().map(|w| (w as i64 >> shift) as u64).collect())
    }

    proptest! {
        #[test]
        fn dispatched_loops_do_what_plain_ones_do(words in words(), base: u64, scale in 1.0..1e9f64) {
            prop_assert_eq!(range(&words), range_any(&words));
            let (mut a, mut b) = (vec![0; words.len()], vec![0; words.len()]);
            prop_assert_eq!(decimals(&words, scale, &mut a), decimals_any(&words, scale, &mut b));
            prop_assert_eq!(&a, &b);
            prop_assert_eq!(deltas(&words, &mut a), deltas_any(&words, &mut b));
            prop_assert_eq!(&a, &b);
            let starts: Vec<u32> = (0..words.len() as u32).filter(|&i| i == 0 || words[i as usize] % 3 == 0).collect();
            let naive = |i: usize| words[i].wrapping_sub(words[i - 1]);
            let naive: Vec<u64> = (0..words.len()).filter(|&i| !starts.contains(&(i as u32))).map(naive).collect();
            for steps in [steps, steps_any] {
                let mut out = vec![0; words.len() + STEPS_AT_ONCE];
                let count = steps(&words, &starts, &mut out);
                prop_assert_eq!(&out[..count], &naive);
                out.splice(..0, starts.iter().map(|_| 0));
                out.truncate(words.len());
                let firsts: Vec<u64> = starts.iter().map(|&start| words[start as usize]).collect();
                sum_runs(&mut out, &starts, &firsts, 0, false);
                prop_assert_eq!(&out, &words);
            }
            for small in [Small::Zigzag, Small::From(base)] {
                let (mut a, mut b) = (vec![0; words.len() * 2], vec![0; words.len() * 2]);
                planes(&words, small, 5, &mut a);
                planes_any(&words, small, 5, &mut b);
                prop_assert_eq!(a, b);
            }
        }

        #[test]
        fn planes_and_packed_bits_are_where_the_format_says(words in words(), width in 1u32..=64) {
            let mut packed = vec![0; (words.len() * width as usize).div_ceil(8) + 8];
            pack(&words, Small::From(0), width, &mut packed);
            for (i, w) in words.iter().enumerate() {
                for b in 0..width {
                    let bit = i * width as usize + b as usize;
                    prop_assert_eq!(packed[bit / 8] >> (bit % 8) & 1, (w >> b) as u8 & 1);
                }
            }
            let mut back = vec![0; words.len()];
            unpack(&packed[..packed.len() - 8], width, &mut back);
            let kept: Vec<u64> = words.iter().map(|w| w & u64::MAX >> (64 - width)).collect();
            prop_assert_eq!(&back, &kept);

            let mut bytes = vec![0; words.len() * 8];
            planes(&words, Small::From(0), 0, &mut bytes);
            for (i, w) in words.iter().enumerate() {
                for p in 0..8 {
                    prop_assert_eq!(bytes[p * words.len() + i], (w >> (8 * p)) as u8);
                }
            }
            let mut back = vec![0; words.len()];
            unplanes(&bytes, 0, &mut back);
            prop_assert_eq!(back, words);
        }

        #[test]
        fn division_is_exact_or_refused(words in words(), origin: u64, scale in 1u64..=i64::MAX as u64) {
            let by = Divisor::new(origin, scale);
            let exact = |w: &u64| w.wrapping_sub(origin) as i64 % scale as i64 == 0;
            prop_assert_eq!(divides(&words, by), words.iter().all(exact));
            let multiples: Vec<u64> = words.iter().map(|w| {
                origin.wrapping_add((*w as i64 / scale as i64).wrapping_mul(scale as i64) as u64)
            }).collect();
            prop_assert!(divides(&multiples, by));
            let mut quotients = multiples.clone();
            divide(&mut quotients, by);
            let expected: Vec<u64> = words.iter().map(|w| (*w as i64 / scale as i64) as u64).collect();
            prop_assert_eq!(quotients, expected);
        }
    }
}
