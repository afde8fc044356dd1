//! Numbers, with their text.

use super::super::decimal::{DIGITS_SAFE, TEN_TO, digits_in_word, load_word, number_in_word};
use super::super::float;

/// A number as it stands in the text: well-formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonNumber<'a> {
    text: &'a [u8],
    /// The digits without point and sign, where there are at most [`DIGITS_SAFE`].
    mantissa: u64,
    digits: u32,
    /// Digits behind the point.
    places: u32,
    exponent: bool,
}

impl<'a> JsonNumber<'a> {
    /// The number that `rest` starts with.
    #[inline]
    pub(super) fn read(rest: &'a [u8]) -> Option<JsonNumber<'a>> {
        let mut number = JsonNumber { text: rest, mantissa: 0, digits: 0, places: 0, exponent: false };
        let start = usize::from(rest.first() == Some(&b'-'));
        let mut at = number.read_digits(start);
        if at == start || rest[start] == b'0' && at > start + 1 {
            return None;
        }
        if rest.get(at) == Some(&b'.') {
            let end = number.read_digits(at + 1);
            number.places = (end - at - 1) as u32;
            if number.places == 0 {
                return None;
            }
            at = end;
        }
        if let Some(b'e' | b'E') = rest.get(at) {
            number.exponent = true;
            at += 1 + usize::from(matches!(rest.get(at + 1), Some(b'-' | b'+')));
            let digits = rest[at.min(rest.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            at += digits;
        }
        number.text = &rest[..at];
        Some(number)
    }

    /// Takes the digits at `at` into the mantissa; where they end.
    #[inline]
    fn read_digits(&mut self, at: usize) -> usize {
        // What overflows has too many digits, and is not asked for its mantissa.
        let mut mantissa = self.mantissa;
        let mut rest = &self.text[at..];
        while let Some(word) = load_word(rest, 0) {
            let count = digits_in_word(word);
            if count > 0 {
                mantissa = mantissa.wrapping_mul(TEN_TO[count]).wrapping_add(number_in_word(word, count));
                rest = &rest[count..];
            }
            if count < 8 {
                break;
            }
        }
        while let Some((byte @ b'0'..=b'9', behind)) = rest.split_first() {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            rest = behind;
        }
        let end = self.text.len() - rest.len();
        self.mantissa = mantissa;
        self.digits += (end - at) as u32;
        end
    }

    /// The text.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether it has neither point nor exponent.
    #[inline]
    pub fn is_integer(&self) -> bool {
        self.places == 0 && !self.exponent
    }

    /// The nearest double, with the sign of zero; infinite if it is too large.
    #[inline]
    pub fn f64(&self) -> f64 {
        let is_plain = self.digits <= DIGITS_SAFE as u32 && !self.exponent;
        let value =
            is_plain.then(|| float::of_decimal(self.mantissa, -(self.places as i32), self.is_negative()));
        value.flatten().unwrap_or_else(|| float::of_text(self.text))
    }

    /// The integer, if it is one of 64 bits with sign.
    #[inline]
    pub fn i64(&self) -> Option<i64> {
        let magnitude = self.magnitude()?;
        if self.is_negative() { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
    }

    /// The integer, if it is one of 64 bits without sign.
    #[inline]
    pub fn u64(&self) -> Option<u64> {
        if self.is_negative() { None } else { self.magnitude() }
    }

    #[inline]
    fn magnitude(&self) -> Option<u64> {
        if !self.is_integer() {
            return None;
        }
        if self.digits <= DIGITS_SAFE as u32 {
            return Some(self.mantissa);
        }
        let digits = &self.text[usize::from(self.is_negative())..];
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    #[inline]
    fn is_negative(&self) -> bool {
        self.text.first() == Some(&b'-')
    }
}
