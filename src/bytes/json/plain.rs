//! Numbers in their plainest form, read at once: digits, perhaps a point and more digits, and then what follows an
//! item of an array. Whatever else a number may be is read by [`Json::number`]; both read the same.

use super::Json;

impl Json<'_> {
    /// Goes over an integer of at most 15 digits without a sign, if `,` or `]` follows.
    #[inline]
    pub fn plain_integer(&mut self) -> Option<u64> {
        let text = self.rest().first_chunk::<16>()?;
        let (value, len) = digits(text)?;
        if !ends(text[len]) || !starts(text, len) {
            return None;
        }
        self.advance(len);
        Some(value)
    }

    /// Goes over a number of at most 15 digits without a sign and an exponent, if `,` or `]` follows.
    ///
    /// So few digits and such a power of ten are floats without rounding, so that their quotient is rounded once
    /// (W. D. Clinger, "How to read floating point numbers accurately", 1990).
    #[inline]
    pub fn plain_decimal(&mut self) -> Option<f64> {
        let rest = self.rest();
        let text = rest.first_chunk::<16>()?;
        let (whole, whole_len) = digits(text)?;
        if !starts(text, whole_len) {
            return None;
        }
        if ends(text[whole_len]) {
            self.advance(whole_len);
            return Some(whole as f64);
        }
        let behind = rest[whole_len..].strip_prefix(b".")?.first_chunk::<16>()?;
        let (part, part_len) = digits(behind)?;
        if part_len == 0 || whole_len + part_len > DIGITS_MAX || !ends(behind[part_len]) {
            return None;
        }
        self.advance(whole_len + 1 + part_len);
        let power = POWERS_OF_TEN[part_len];
        Some((whole * power + part) as f64 / power as f64)
    }
}

fn ends(byte: u8) -> bool {
    matches!(byte, b',' | b']')
}

/// Whether a number may start with so many digits: with a zero only if that is all.
fn starts(text: &[u8; 16], digits: usize) -> bool {
    digits == 1 || digits > 1 && text[0] != b'0'
}

/// The digits that `text` starts with, fewer than 16, and how many they are.
#[inline]
fn digits(text: &[u8; 16]) -> Option<(u64, usize)> {
    let [low, high] = [0, 8].map(|at| {
        let word: [u8; 8] = text[at..at + 8].try_into().expect("eight of sixteen bytes");
        u64::from_le_bytes(word) ^ ZEROS
    });
    let low_len = digits_len(low);
    if low_len < 8 {
        return Some((digits_value(low, low_len), low_len));
    }
    let high_len = digits_len(high);
    let value = digits_value(low, 8) * POWERS_OF_TEN[high_len] + digits_value(high, high_len);
    (high_len < 8).then_some((value, 8 + high_len))
}

/// How many bytes from the first on are below ten.
#[inline]
fn digits_len(word: u64) -> usize {
    let others = (((word & (EACH * 0x7f)) + EACH * (0x80 - 10)) | word) & (EACH * 0x80);
    others.trailing_zeros() as usize / 8
}

/// The number of the first `len` digits: eight digits, pairs of them, pairs of those.
#[inline]
fn digits_value(word: u64, len: usize) -> u64 {
    if len == 0 {
        return 0;
    }
    let word = word << (8 * (8 - len));
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

const EACH: u64 = 0x0101_0101_0101_0101;
const ZEROS: u64 = EACH * b'0' as u64;
const DIGITS_MAX: usize = 15;
const POWERS_OF_TEN: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both ways over the same text; the fast one may pass, and then has moved nowhere.
    fn compare(text: &str) -> (Option<u64>, Option<f64>) {
        let mut slow = Json::new(text.as_bytes(), 0);
        let number = slow.number();
        let (mut integer, mut decimal) = (Json::new(text.as_bytes(), 0), Json::new(text.as_bytes(), 0));
        let read = (integer.plain_integer(), decimal.plain_decimal());
        if let Some(integer) = read.0 {
            assert_eq!(number.unwrap().i64(), Some(integer as i64), "{text}");
        }
        if let Some(decimal) = read.1 {
            assert_eq!(number.unwrap().f64().to_bits(), decimal.to_bits(), "{text}");
        }
        assert_eq!(integer.at(), if read.0.is_some() { slow.at() } else { 0 }, "{text}");
        assert_eq!(decimal.at(), if read.1.is_some() { slow.at() } else { 0 }, "{text}");
        read
    }

    #[test]
    fn plain_numbers_are_read() {
        for (text, integer, decimal) in [
            ("0,              ", Some(0), Some(0.0)),
            ("7],             ", Some(7), Some(7.0)),
            ("58.27,                ", None, Some(58.27)),
            ("0.001,                ", None, Some(0.001)),
            ("12345678],      ", Some(12_345_678), Some(12_345_678.0)),
            ("1700000000000,1700000000001", Some(1_700_000_000_000), Some(1_700_000_000_000.0)),
            ("999999999999999,", Some(999_999_999_999_999), Some(999_999_999_999_999.0)),
            ("99999999.9999999,          ", None, Some(99_999_999.999_999_9)),
        ] {
            assert_eq!(compare(text), (integer, decimal), "{text}");
        }
        for text in [
            "01,             ",
            "00.5,                  ",
            "-1,             ",
            "1e5,             ",
            "1.5e5,              ",
            "1.,                ",
            ".5,                ",
            "1 ,             ",
            "1x              ",
            "1,",
            "1234567890123456,",
            "1234567890123.456,             ",
            ",               ",
            "               ]",
        ] {
            assert_eq!(compare(text), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_the_other_reader(
            text in "(0|[0-9]{1,17})(\\.[0-9]{0,17})?([eE][+-]?[0-9])?[,\\] x/:]", behind in "[0-9,. ]{16}",
        ) {
            compare(&(text + &behind));
        }

        #[test]
        fn any_bytes(bytes: [u8; 20]) {
            let mut json = Json::new(&bytes, 0);
            if json.plain_integer().is_some() {
                prop_assert!(bytes[..json.at()].iter().all(u8::is_ascii_digit));
            }
        }
    }
}
