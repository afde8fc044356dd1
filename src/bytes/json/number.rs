//! Numbers, with their text.

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
        while let Some((chunk, behind)) = rest.split_first_chunk()
            && let Some(eight) = eight_digits(*chunk)
        {
            mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
            rest = behind;
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
        // A mantissa below 2^53 and a small power of ten are both doubles, and one division rounds correctly (Clinger).
        if self.digits > DIGITS_SAFE || self.mantissa >= 1 << 53 || self.places > 22 || self.exponent {
            return self.f64_slowly();
        }
        let magnitude = self.mantissa as f64 / EXACT_TEN_TO[self.places as usize];
        if self.is_negative() { -magnitude } else { magnitude }
    }

    #[cold]
    fn f64_slowly(&self) -> f64 {
        fast_float2::parse(self.text).expect("JSON's numbers are a subset of fast-float2's")
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
        if self.digits <= DIGITS_SAFE {
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

/// The number that eight digits spell: all at once, by pairs, fours and eights.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(text) ^ 0x3030_3030_3030_3030;
    // A digit is 0..=9 now: its upper half is empty, also after adding 6.
    let others = (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0;
    if others != 0 {
        return None;
    }
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff)
}

/// Digits that always fit a `u64`.
const DIGITS_SAFE: u32 = 19;

const EXACT_TEN_TO: [f64; 23] = {
    let mut table = [1.0; 23];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10.0;
        i += 1;
    }
    table
};
