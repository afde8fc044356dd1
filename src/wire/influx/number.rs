//! Numbers from text: integers, and the grammar of floats. Values come out exactly as the standard library would parse
//! them.

use crate::bytes::float;

use super::Dialect;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
