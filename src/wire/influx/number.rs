//! Numbers from text: digits eight at a time, integers, and the grammar of floats.
//!
//! Eight bytes are looked at as one word: where its digits end is found with an addition and a mask, the bytes
//! behind them are shifted out, and three multiplications make the number. Values come out exactly as the standard
//! library would parse them.

use super::{Dialect, float};

/// Digits that always fit a `u64`.
pub(super) const DIGITS_SAFE: usize = 19;

/// The next eight bytes, if there are so many.
#[inline(always)]
pub(super) fn load_word(input: &[u8], at: usize) -> Option<u64> {
    let chunk = input.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// How many of a word's first bytes are digits.
#[inline(always)]
pub(super) fn digits_in_word(word: u64) -> usize {
    let folded = word ^ ZEROS;
    // A digit is 0..=9 now: adding 0x76 leaves its top bit clear. Other bytes may carry, but only upwards, past the
    // first byte that is no digit.
    let others = (folded.wrapping_add(0x7676_7676_7676_7676) | folded) & 0x8080_8080_8080_8080;
    (others.trailing_zeros() >> 3) as usize
}

/// The number that the first `count` bytes of a word spell; they are digits and `count` is 1..=8.
#[inline(always)]
pub(super) fn number_in_word(word: u64, count: usize) -> u64 {
    debug_assert!(0 < count && count <= 8);
    // Leading zeros take the place of the bytes shifted out.
    let digits = (word ^ ZEROS) << (64 - 8 * count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    even.wrapping_add(odd) >> 32
}

/// The number and count of up to [`DIGITS_SAFE`] digits at `at`; none where there are no digits, more than that, or
/// the input's end is near.
#[inline(always)]
pub(super) fn digits(input: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = load_word(input, at)?;
    let count = digits_in_word(word);
    if count == 0 {
        return None;
    }
    let value = number_in_word(word, count);
    if count < 8 { Some((value, count)) } else { more_digits(input, at, value) }
}

/// [`digits`], after the first eight.
#[inline(always)]
pub(super) fn more_digits(input: &[u8], at: usize, first: u64) -> Option<(u64, usize)> {
    let word = load_word(input, at + 8)?;
    let count = digits_in_word(word);
    if count == 0 {
        return Some((first, 8));
    }
    let value = first * TEN_TO[count] + number_in_word(word, count);
    if count < 8 {
        return Some((value, 8 + count));
    }
    let word = load_word(input, at + 16)?;
    let count = digits_in_word(word);
    if count == 0 {
        return Some((value, 16));
    }
    if count > DIGITS_SAFE - 16 {
        return None;
    }
    Some((value * TEN_TO[count] + number_in_word(word, count), 16 + count))
}

/// Why text is no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberFault {
    Syntax,
    Range,
}

/// A signed integer: an optional minus and digits.
pub(super) fn parse_i64(text: &[u8]) -> Result<i64, NumberFault> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = parse_u64(digits)?;
    if negative {
        0i64.checked_sub_unsigned(magnitude).ok_or(NumberFault::Range)
    } else {
        i64::try_from(magnitude).map_err(|_| NumberFault::Range)
    }
}

/// An unsigned integer: digits.
pub(super) fn parse_u64(text: &[u8]) -> Result<u64, NumberFault> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(NumberFault::Syntax);
    }
    let mut value = 0u64;
    for &byte in text {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(byte - b'0')))
            .ok_or(NumberFault::Range)?;
    }
    Ok(value)
}

/// A float by the dialect's grammar, all of `text`.
pub(super) fn parse_f64(dialect: Dialect, text: &[u8]) -> Result<f64, NumberFault> {
    let digits_at = |at: usize| text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits_at(at);
    at += whole;
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        fraction = digits_at(at + 1);
        at += 1 + fraction;
        if dialect == Dialect::V3 && (whole == 0 || fraction == 0) {
            return Err(NumberFault::Syntax);
        }
    }
    if whole + fraction == 0 {
        return Err(NumberFault::Syntax);
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let exponent = digits_at(at);
        if exponent == 0 {
            return Err(NumberFault::Syntax);
        }
        at += exponent;
    }
    if at != text.len() {
        return Err(NumberFault::Syntax);
    }
    let value = float::of_text(text);
    if value.is_infinite() && dialect != Dialect::V3 {
        return Err(NumberFault::Range);
    }
    Ok(value)
}

/// Powers of ten that fit a `u64`.
pub(super) const TEN_TO: [u64; 20] = {
    let mut table = [1; 20];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

const ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_at_their_bounds() {
        assert_eq!(parse_i64(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_i64(b"0009223372036854775807"), Ok(i64::MAX));
        assert_eq!(parse_i64(b"9223372036854775808"), Err(NumberFault::Range));
        assert_eq!(parse_i64(b"-9223372036854775809"), Err(NumberFault::Range));
        assert_eq!(parse_u64(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), Err(NumberFault::Range));
        for bad in [&b""[..], b"-", b"--1", b"+1", b"1_0", b"1 "] {
            assert_eq!(parse_i64(bad), Err(NumberFault::Syntax));
        }
    }

    #[test]
    fn floats_by_dialect() {
        for text in
            [&b"."[..], b"-", b"-.", b"", b"1.1.1", b"1e", b"1e+", b"e5", b".e5", b"0x1p3", b"1_0", b"nan"]
        {
            for dialect in [Dialect::V1, Dialect::V2, Dialect::V3] {
                assert_eq!(parse_f64(dialect, text), Err(NumberFault::Syntax));
            }
        }
        for text in [&b".5"[..], b"5.", b"-.5", b"5.e1"] {
            assert!(parse_f64(Dialect::V1, text).is_ok());
            assert_eq!(parse_f64(Dialect::V3, text), Err(NumberFault::Syntax));
        }
        assert_eq!(parse_f64(Dialect::V1, b"1e999"), Err(NumberFault::Range));
        assert_eq!(parse_f64(Dialect::V3, b"-1e999"), Ok(f64::NEG_INFINITY));
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_standard_library(
            value in any::<u64>(), shift in 0u32..64, zeros in 0usize..4, behind in "[^0-9].{0,20}",
        ) {
            let number = format!("{}{}", "0".repeat(zeros), value >> shift);
            let text = format!("{number}{behind}{}", "x".repeat(24));
            let expected = (number.len() <= DIGITS_SAFE).then(|| (value >> shift, number.len()));
            prop_assert_eq!(digits(text.as_bytes(), 0), expected);
        }

        #[test]
        fn words_of_any_bytes_end_where_their_digits_end(bytes in any::<[u8; 8]>()) {
            let expected = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            prop_assert_eq!(digits_in_word(u64::from_le_bytes(bytes)), expected);
        }
    }
}
