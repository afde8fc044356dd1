//! Numbers, times and names, as OpenTSDB reads them from text.

use super::fault::Fault;
use crate::model::FieldType;

/// A value: its type and word.
pub(super) fn parse_value(text: &[u8]) -> Result<(FieldType, u64), Fault> {
    let not_a_number = || Fault::NotANumber(lossy(text));
    if text.is_empty() {
        return Err(Fault::EmptyValue);
    }
    let looks_like_integer = !text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if looks_like_integer {
        let value = parse_integer(text).ok_or_else(not_a_number)?;
        return Ok((FieldType::I64, value as u64));
    }
    // The float's grammar is ours to check: the parser knows infinities by name.
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let plain = magnitude.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let value = Some(magnitude).filter(|m| plain && !m.starts_with(b"-") && !m.starts_with(b"+"));
    let value: f64 = value.and_then(|m| fast_float2::parse(m).ok()).ok_or_else(not_a_number)?;
    if value.is_infinite() {
        return Err(Fault::NotFinite);
    }
    Ok((FieldType::F64, if negative { -value } else { value }.to_bits()))
}

/// A timestamp: nanoseconds since the Unix epoch.
pub(super) fn parse_time(text: &[u8]) -> Result<i64, Fault> {
    let bad = || Fault::TimestampText(lossy(text));
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let timestamp = parse_integer(whole).ok_or_else(bad)?;
    if timestamp <= 0 {
        return Err(Fault::Timestamp);
    }
    // 1365465600.123 is the other spelling of 1365465600123: what lies behind ten digits is of a second's.
    let is_seconds = timestamp <= SECONDS_MAX || !fraction.is_empty() && whole.len() == 10;
    if !is_seconds && timestamp > MILLISECONDS_MAX {
        return Err(Fault::TimestampTooLarge(timestamp));
    }
    let unit_ns = if is_seconds { NS_PER_S } else { NS_PER_MS };
    // Fewer digits make a time before 2001: VictoriaMetrics takes it without its fraction, and so do its tests.
    let fraction_ns = if whole.len() < 10 { 0 } else { parse_fraction(fraction, unit_ns).ok_or_else(bad)? };
    let time_ns = timestamp.checked_mul(unit_ns).and_then(|ns| ns.checked_add(fraction_ns));
    time_ns.ok_or(Fault::TimestampTooLarge(timestamp))
}

/// The nanoseconds that digits behind the point of so many nanoseconds are; `None` if they are finer than that.
fn parse_fraction(digits: &[u8], unit_ns: i64) -> Option<i64> {
    let mut place_ns = unit_ns;
    let mut ns = 0;
    for digit in digits {
        if place_ns == 1 {
            return None;
        }
        place_ns /= 10;
        ns += i64::from(digit - b'0') * place_ns;
    }
    Some(ns)
}

/// An integer of 64 bits: an optional sign and digits.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    if digits.is_empty() {
        return None;
    }
    let negative = text[0] == b'-';
    digits.iter().try_fold(0i64, |value, byte| {
        let digit = i64::from(byte.checked_sub(b'0').filter(|&digit| digit < 10)?);
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    })
}

/// Checks the name of a metric or a tag, or a tag's value; `what` says which.
pub(super) fn check_name(what: &'static str, name: &[u8]) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::EmptyName(what));
    }
    let text = std::str::from_utf8(name).map_err(|_| Fault::NotUtf8)?;
    let legal =
        |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/') || c.is_alphabetic();
    match text.chars().find(|c| !legal(c)) {
        None => Ok(()),
        Some(illegal) => Err(Fault::IllegalName { what, name: text.into(), illegal }),
    }
}

pub(super) const METRIC: &str = "metric name";
pub(super) const TAG_NAME: &str = "tag name";
pub(super) const TAG_VALUE: &str = "tag value";

pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What has more than 32 bits is milliseconds.
const SECONDS_MAX: i64 = u32::MAX as i64;
const MILLISECONDS_MAX: i64 = 9_999_999_999_999;
const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_MS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_integers() {
        let float = |value: f64| Ok((FieldType::F64, value.to_bits()));
        assert_eq!(parse_value(b"42"), Ok((FieldType::I64, 42)));
        assert_eq!(parse_value(b"-9223372036854775808"), Ok((FieldType::I64, i64::MIN as u64)));
        assert_eq!(parse_value(b"+7"), Ok((FieldType::I64, 7)));
        assert_eq!(parse_value(b"42.0"), float(42.0));
        assert_eq!(parse_value(b"-1.5e-3"), float(-1.5e-3));
        assert_eq!(parse_value(b"1E3"), float(1000.0));
        assert_eq!(parse_value(b".5"), float(0.5));
        assert_eq!(parse_value(b"-0.0"), float(-0.0));
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for text in [
            "NaN",
            "nan",
            "Infinity",
            "-Inf",
            "inf",
            "1e",
            "--1.0",
            "+-1.0",
            "1.0.0",
            "9223372036854775808",
            "0x10",
            "e",
            "true",
            "1 ",
            "-",
            "1.5f",
            "infinite",
            "-+1.e",
        ] {
            assert!(matches!(parse_value(text.as_bytes()), Err(Fault::NotANumber(_))), "{text}");
        }
        assert_eq!(parse_value(b""), Err(Fault::EmptyValue));
        assert_eq!(parse_value(b"1.0e999"), Err(Fault::NotFinite));
    }

    #[test]
    fn timestamps_by_magnitude() {
        for (text, ns) in [
            ("1", 1_000_000_000),
            ("1346846400", 1_346_846_400_000_000_000),
            ("4294967295", 4_294_967_295_000_000_000),
            ("4294967296", 4_294_967_296_000_000),
            ("1346846400123", 1_346_846_400_123_000_000),
            ("1346846400.123", 1_346_846_400_123_000_000),
            ("789.4", 789_000_000_000),
            ("1346846400.", 1_346_846_400_000_000_000),
            ("1346846400.5", 1_346_846_400_500_000_000),
            ("1346846400.123456", 1_346_846_400_123_456_000),
            ("1346846400.000000001", 1_346_846_400_000_000_001),
            ("4294967296.25", 4_294_967_296_250_000_000),
            ("1346846400123.5", 1_346_846_400_123_500_000),
            ("1346846400123.000001", 1_346_846_400_123_000_001),
            ("9223372036854", 9_223_372_036_854_000_000),
        ] {
            assert_eq!(parse_time(text.as_bytes()), Ok(ns), "{text}");
        }
        for text in ["0", "-1", "-1346846400", "0.5"] {
            assert_eq!(parse_time(text.as_bytes()), Err(Fault::Timestamp), "{text}");
        }
        for text in [
            "",
            "x",
            "1.x",
            ".",
            "1e3",
            "99999999999999999999",
            "1346846400.0000000001",
            "1346846400123.0000001",
        ] {
            assert!(matches!(parse_time(text.as_bytes()), Err(Fault::TimestampText(_))), "{text}");
        }
        for text in
            ["10000000000000", "1346846400123000", "9223372036855", "9999999999.9", "9223372036854.999999"]
        {
            assert!(matches!(parse_time(text.as_bytes()), Err(Fault::TimestampTooLarge(_))), "{text}");
        }
    }

    #[test]
    fn names_are_letters_digits_and_four_signs() {
        for name in ["a", "sys.cpu-0_x/y", "7", "größe", "温度"] {
            assert_eq!(check_name(METRIC, name.as_bytes()), Ok(()));
        }
        for name in ["a b", "a:b", "a{b}", "a\u{b0}", "a=b"] {
            assert!(matches!(check_name(METRIC, name.as_bytes()), Err(Fault::IllegalName { .. })), "{name}");
        }
    }
}
