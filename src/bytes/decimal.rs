//! Decimal digits, eight at a time.
//!
//! Eight bytes are looked at as one word: where its digits end is found with an addition and a mask, the bytes behind
//! them are shifted out, and three multiplications make the number.

/// The next eight bytes, if there are so many.
#[inline(always)]
pub fn load_word(input: &[u8], at: usize) -> Option<u64> {
    let chunk = input.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// How many of a word's first bytes are digits.
#[inline(always)]
pub fn digits_in_word(word: u64) -> usize {
    let folded = word ^ ZEROS;
    // A digit is 0..=9 now: adding 0x76 leaves its top bit clear. Other bytes may carry, but only upwards, past the
    // first byte that is no digit.
    let others = (folded.wrapping_add(0x7676_7676_7676_7676) | folded) & 0x8080_8080_8080_8080;
    (others.trailing_zeros() >> 3) as usize
}

/// The number that the first `count` bytes of a word spell; they are digits and `count` is 1..=8.
#[inline(always)]
pub fn number_in_word(word: u64, count: usize) -> u64 {
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
pub fn digits(input: &[u8], at: usize) -> Option<(u64, usize)> {
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
fn more_digits(input: &[u8], at: usize, first: u64) -> Option<(u64, usize)> {
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

/// Digits that always fit a `u64`.
pub const DIGITS_SAFE: usize = 19;

/// Powers of ten that fit a `u64`.
pub const TEN_TO: [u64; 20] = {
    let mut table = [1; 20];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Powers of ten that are doubles. A mantissa below 2^53 times or by one of them is rounded once, correctly (Clinger,
/// "How to Read Floating Point Numbers Accurately", 1990).
pub const EXACT_TEN_TO: [f64; 23] = {
    let mut table = [1.0; 23];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10.0;
        i += 1;
    }
    table
};

const ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
