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
        let mut mantissa = self.mantissa;
        let mut end = at;
        while let Some(digit) =
            self.text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10)
        {
            // What overflows has too many digits, and is not asked for its mantissa.
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
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
