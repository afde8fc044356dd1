//! Values and times: Go's `ParseFloat` without hexadecimal and underscores, as the Prometheus server calls it.

use crate::bytes::decimal::{DIGITS_SAFE, TEN_TO, digits};
use crate::bytes::float;
use crate::model::NAN_CANONICAL_BITS;

use super::Syntax;

/// The bits of the value that a whole token spells; none if it is no number, or one that no double is near to.
pub(super) fn parse_value(token: &[u8]) -> Option<u64> {
    if is_decimal(token) {
        // Go's grammar, which was just checked, is a subset of the crate's.
        let value: f64 = fast_float2::parse(token).ok()?;
        return value.is_finite().then_some(value.to_bits());
    }
    let (negative, word) = match token {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, token),
    };
    if word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity") {
        let value = if negative { f64::NEG_INFINITY } else { f64::INFINITY };
        return Some(value.to_bits());
    }
    // A NaN has no sign.
    token.eq_ignore_ascii_case(b"nan").then_some(NAN_CANONICAL_BITS)
}

/// Digits with at most one point in or at them, a sign before, an exponent behind.
fn is_decimal(token: &[u8]) -> bool {
    let digits = |from: usize| token[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(matches!(token.first(), Some(b'-' | b'+')));
    let whole = digits(at);
    at += whole;
    let mut fraction = 0;
    if token.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return false;
    }
    if let Some(b'e' | b'E') = token.get(at) {
        at += 1 + usize::from(matches!(token.get(at + 1), Some(b'-' | b'+')));
        let exponent = digits(at);
        if exponent == 0 {
            return false;
        }
        at += exponent;
    }
    at == token.len()
}

/// A time in milliseconds as text 0.0.4 has it: digits.
pub(super) fn parse_millis(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |value, &digit| {
        debug_assert!(digit.is_ascii_digit());
        value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })
}

/// A time in seconds as OpenMetrics has it, in milliseconds: what is finer is cut off.
pub(super) fn parse_seconds(token: &[u8]) -> Option<i64> {
    let seconds = f64::from_bits(parse_value(token)?);
    seconds.is_finite().then_some((seconds * 1000.0) as i64)
}

/// What the end of a line says, read the fast way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RowEnd {
    pub(super) value_bits: u64,
    pub(super) time_ms: Option<i64>,
    /// Where the next line starts.
    pub(super) next: usize,
}

/// The value at `at`, a time if there is one, and the newline. None for whatever is not written in the plainest way, or
/// not there whole.
#[inline]
pub(super) fn row_end(input: &[u8], at: usize, syntax: Syntax) -> Option<RowEnd> {
    let (value_bits, end) = value(input, at)?;
    match input.get(end)? {
        b'\n' => Some(RowEnd { value_bits, time_ms: None, next: end + 1 }),
        b' ' if syntax == Syntax::OpenMetrics => {
            let rest = &input[end + 1..];
            let len = rest[..rest.len().min(SECONDS_BYTES_MAX)].iter().position(|&b| b == b'\n')?;
            let time_ms = parse_seconds(&rest[..len])?;
            Some(RowEnd { value_bits, time_ms: Some(time_ms), next: end + 1 + len + 1 })
        }
        b' ' => {
            let digits = &input[end + 1..];
            let count = digits.iter().take(MILLIS_DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
            if count == 0 || digits.get(count) != Some(&b'\n') {
                return None;
            }
            let time_ms = digits[..count].iter().fold(0, |ms, &d| ms * 10 + i64::from(d - b'0'));
            Some(RowEnd { value_bits, time_ms: Some(time_ms), next: end + 1 + count + 1 })
        }
        _ => None,
    }
}

/// The bits of the value at `at`, and where it ends: at a blank or a newline that is there.
#[inline]
fn value(input: &[u8], at: usize) -> Option<(u64, usize)> {
    let rest = &input[at..];
    match short_value(rest) {
        Some((value, len)) => Some((value.to_bits(), at + len)),
        None => long_value(rest, at),
    }
}

/// The value that `rest` starts with, and its length: a decimal of few digits, as `%g` writes most.
#[inline(always)]
fn short_value(rest: &[u8]) -> Option<(f64, usize)> {
    let negative = rest.first()? == &b'-';
    let start = usize::from(negative);
    let (mut mantissa, whole) = digits(rest, start)?;
    let mut end = start + whole;
    let mut exponent = 0;
    if *rest.get(end)? == b'.' {
        let (fraction, places) = digits(rest, end + 1)?;
        if whole + places > DIGITS_SAFE {
            return None;
        }
        mantissa = mantissa * TEN_TO[places] + fraction;
        exponent = -(places as i32);
        end += 1 + places;
    }
    if *rest.get(end)? == b'e' {
        let (power, len) = short_exponent(&rest[end + 1..])?;
        exponent += power;
        end += 1 + len;
    }
    if !matches!(rest.get(end)?, b' ' | b'\n') {
        return None;
    }
    Some((float::of_decimal(mantissa, exponent, negative)?, end))
}

/// A sign and two digits, as `%g` writes exponents.
#[inline(always)]
fn short_exponent(rest: &[u8]) -> Option<(i32, usize)> {
    let &[sign @ (b'+' | b'-'), tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = rest.first_chunk()? else {
        return None;
    };
    let power = i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
    Some((if sign == b'-' { -power } else { power }, 3))
}

#[cold]
fn long_value(rest: &[u8], at: usize) -> Option<(u64, usize)> {
    let bound = rest.len().min(VALUE_BYTES_MAX);
    let len = rest[..bound].iter().position(|b| matches!(b, b' ' | b'\n' | b'\t' | b'{'))?;
    Some((parse_value(&rest[..len])?, at + len))
}

/// Appends the value of an `le` or `quantile` label as OpenMetrics writes it: as Go's shortest `%g`, with `.0`
/// behind a number that has neither point nor exponent. A value that is no number stays.
pub(super) fn append_canonical(value: &[u8], out: &mut Vec<u8>) {
    let Some(bits) = parse_value(value) else {
        out.extend_from_slice(value);
        return;
    };
    let value = f64::from_bits(bits);
    if !value.is_finite() {
        let word: &[u8] = match value {
            f64::INFINITY => b"+Inf",
            f64::NEG_INFINITY => b"-Inf",
            _ => b"NaN",
        };
        out.extend_from_slice(word);
        return;
    }
    if value == 0.0 {
        // Without the sign of a negative zero: as the server writes it.
        out.extend_from_slice(b"0.0");
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().expect("an exponent is an integer");
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    // Of the first digit that is no zero.
    let exponent = exponent + whole.len() as i32 - 1 - (digits.len() - significant.len()) as i32;
    let significant = significant.trim_end_matches('0').as_bytes();
    if value < 0.0 {
        out.push(b'-');
    }
    if !(LEAST_PLAIN..GREATEST_PLAIN).contains(&exponent) {
        out.push(significant[0]);
        if significant.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&significant[1..]);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend((exponent + 1..0).map(|_| b'0'));
        out.extend_from_slice(significant);
    } else {
        let whole = exponent as usize + 1;
        out.extend((0..whole).map(|i| significant.get(i).copied().unwrap_or(b'0')));
        out.push(b'.');
        out.extend_from_slice(significant.get(whole..).filter(|rest| !rest.is_empty()).unwrap_or(b"0"));
    }
}

/// Digits of a time that cannot overflow.
const MILLIS_DIGITS_MAX: usize = 18;

/// Longer times in seconds are left to the plain way.
const SECONDS_BYTES_MAX: usize = 32;

/// Longer values go the plain way.
const VALUE_BYTES_MAX: usize = 64;

/// Decimal exponents of numbers that Go's shortest `%g` writes without one.
const LEAST_PLAIN: i32 = -4;
const GREATEST_PLAIN: i32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(value: &str) -> String {
        let mut out = Vec::new();
        append_canonical(value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_of_labels_are_written_as_the_server_writes_them() {
        for (value, expected) in [
            ("1", "1.0"),
            ("0", "0.0"),
            ("-0", "0.0"),
            ("-1", "-1.0"),
            ("0.5", "0.5"),
            ("100000", "100000.0"),
            ("1000000", "1e+06"),
            ("1234567", "1.234567e+06"),
            ("1e21", "1e+21"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("1e+05", "100000.0"),
            ("172.8", "172.8"),
            ("10.5", "10.5"),
            ("-12345", "-12345.0"),
            ("999999.5", "999999.5"),
            ("1e-4", "0.0001"),
            ("5e-324", "5e-324"),
            // Halfway between two of the shortest spellings the even one is Go's.
            ("20.0012359619140625", "20.001235961914062"),
            ("2.98023223876953125e-8", "2.9802322387695312e-08"),
            ("-7.450580596923828125e-9", "-7.450580596923828e-09"),
            ("+inf", "+Inf"),
            ("Infinity", "+Inf"),
            ("-INF", "-Inf"),
            ("nan", "NaN"),
            ("bla", "bla"),
            ("1e999", "1e999"),
            ("", ""),
        ] {
            assert_eq!(canonical(value), expected, "{value}");
        }
    }

    #[test]
    fn values_are_gos_without_hexadecimal_and_underscores() {
        for (token, value) in [("1", 1.0), ("+.5e-2", 0.005), ("5.", 5.0), ("1E3", 1000.0), ("1e-999", 0.0)] {
            assert_eq!(parse_value(token.as_bytes()), Some(f64::to_bits(value)), "{token}");
        }
        for (token, bits) in [
            ("nan", NAN_CANONICAL_BITS),
            ("NaN", NAN_CANONICAL_BITS),
            ("-iNf", f64::NEG_INFINITY.to_bits()),
            ("+Infinity", f64::INFINITY.to_bits()),
            ("-0", (-0.0f64).to_bits()),
        ] {
            assert_eq!(parse_value(token.as_bytes()), Some(bits), "{token}");
        }
        for token in [
            "", "-", ".", "1e", "1e+", "e5", "+nan", "-nan", "infinit", "1_0", "0x1", "0x1p-3", "1.1.1",
            "1e999", "1\r",
        ] {
            assert_eq!(parse_value(token.as_bytes()), None, "{token}");
        }
    }

    #[test]
    fn what_is_not_written_plainly_is_left_to_the_plain_way() {
        let end = |text: &str| row_end(text.as_bytes(), 0, Syntax::Text);
        assert_eq!(
            end("1.5 12\nx"),
            Some(RowEnd { value_bits: 1.5f64.to_bits(), time_ms: Some(12), next: 7 })
        );
        for text in [
            "1",
            "1 ",
            "1 2",
            "1\t2\n",
            "1  2\n",
            "1 2 \n",
            "1 -2\n",
            "1 2.0\n",
            "1 1234567890123456789\n",
            "x\n",
            "\n",
        ] {
            assert_eq!(end(text), None, "{text:?}");
        }
        let end = |text: &str| row_end(text.as_bytes(), 0, Syntax::OpenMetrics);
        let row = |time_ms, next| Some(RowEnd { value_bits: 1.5f64.to_bits(), time_ms, next });
        assert_eq!(end("1.5 12\nx"), row(Some(12_000), 7));
        assert_eq!(end("1.5 -0.25\n"), row(Some(-250), 10));
        assert_eq!(end("1.5\n"), row(None, 4));
        for text in ["1.5 \n", "1.5 1 \n", "1.5 # {} 1\n", "1.5 1 # {} 1\n", "1.5 NaN\n", "1.5 1"] {
            assert_eq!(end(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_way_reads_what_the_plain_way_reads(
            value in prop_oneof![
                any::<f64>().prop_map(|v| v.to_string()),
                any::<f64>().prop_map(|v| format!("{v:e}")),
                any::<i64>().prop_map(|v| v.to_string()),
                "-?[0-9]{0,18}\\.?[0-9]{0,18}",
                "[-+0-9.eE_xinfNaI]{0,12}",
            ],
            time in proptest::option::of(0i64..1_000_000_000_000_000_000),
        ) {
            let text = match time {
                Some(time) => format!("{value} {time}\n"),
                None => format!("{value}\n"),
            };
            // Longer ones are left to the plain way.
            prop_assume!(value.len() < VALUE_BYTES_MAX);
            let expected = parse_value(value.as_bytes());
            let got = row_end(text.as_bytes(), 0, Syntax::Text);
            let got = got.map(|end| (end.value_bits, end.time_ms, end.next));
            prop_assert_eq!(got, expected.map(|v| (v, time, text.len())));
        }

        #[test]
        fn canonical_floats_are_the_same_floats(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let once = canonical(&value.to_string());
            prop_assert_eq!(once.parse::<f64>().unwrap(), value);
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
