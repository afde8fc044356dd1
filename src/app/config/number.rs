//! Numbers as Prometheus's reader of YAML has them: those of YAML 1.1, where `010` is eight, and what Go adds to them.
//!
//! Comes in: a setting. Goes out: the number. What is quoted is text, and no number.

use std::ops::RangeInclusive;

use super::error::ConfigError;
use super::setting::Setting;

/// A whole number within bounds; a fraction is cut off.
///
/// # Errors
/// It is no number, or beyond its bounds.
pub(super) fn whole<T>(setting: &Setting, range: RangeInclusive<i128>) -> Result<T, ConfigError>
where
    T: TryFrom<i128>,
{
    let text = &setting.text;
    let number = match read(setting) {
        Some(Number::Whole(number)) => number,
        // As `as` has it, what is too great is the greatest, and that is beyond every bound.
        Some(Number::Real(number)) if !number.is_nan() => number as i128,
        _ => return Err(setting.refuse(format!("{text:?}: not a whole number"))),
    };
    let (least, most) = (range.start(), range.end());
    let within = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
    within.ok_or_else(|| setting.refuse(format!("{text:?}: must be from {least} to {most}")))
}

/// Any number, the infinite ones and NaN among them.
///
/// # Errors
/// It is none.
pub(super) fn real(setting: &Setting) -> Result<f64, ConfigError> {
    match read(setting) {
        Some(Number::Whole(number)) => Ok(number as f64),
        Some(Number::Real(number)) => Ok(number),
        None => Err(setting.refuse(format!("{:?}: not a number", setting.text))),
    }
}

#[derive(PartialEq, Debug)]
enum Number {
    Whole(i128),
    Real(f64),
}

fn read(setting: &Setting) -> Option<Number> {
    if setting.is_quoted { None } else { number(&setting.text) }
}

fn number(text: &str) -> Option<Number> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Number::Real(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Number::Real(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Number::Real(f64::NEG_INFINITY)),
        _ => {}
    }
    match text.bytes().next()? {
        b'.' => decimal(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let text = text.replace('_', "");
            integer(&text).map(Number::Whole).or_else(|| decimal(&text))
        }
        _ => None,
    }
}

/// A number without a fraction: decimal, or as its prefix says.
fn integer(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // A sign here would be a second one.
    let number = i128::from(u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?);
    Some(if is_negative { -number } else { number }).filter(|number| *number >= i128::from(i64::MIN))
}

/// Digits with a point among them and a power of ten behind them, as long as they are finite.
fn decimal(text: &str) -> Option<Number> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|number| is_plain && number.is_finite());
    number.map(Number::Real)
}

/// The bounds of Go's types.
pub(super) const UNSIGNED: RangeInclusive<i128> = 0..=u64::MAX as i128;
pub(super) const SIGNED: RangeInclusive<i128> = i64::MIN as i128..=i64::MAX as i128;

#[cfg(test)]
mod tests {
    use super::{Number, number};

    #[test]
    fn numbers_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("+3", 3),
            ("-5", -5),
            ("010", 8),
            ("-010", -8),
            ("0o17", 15),
            ("0x1F", 31),
            ("-0X10", -16),
            ("0b11", 3),
            ("1_000", 1000),
            ("1__0_", 10),
            ("18446744073709551615", u64::MAX.into()),
            ("-9223372036854775808", i64::MIN.into()),
        ] {
            assert_eq!(number(text), Some(Number::Whole(expected)), "{text}");
        }
        for (text, expected) in [
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1e3", 1e3),
            ("12e-1", 1.2),
            ("1_0.5", 10.5),
            ("08", 8.0),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-.Inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(Number::Real(expected)), "{text}");
        }
        for text in [
            "",
            "a",
            "_1",
            "+",
            "-",
            ".",
            "0x",
            "0xg",
            "0o8",
            "0b12",
            "1e",
            "1e400",
            "inf",
            "nan",
            "-inf",
            "1:30",
            "2001-01-01",
            ".1_0",
            "+-1",
            "++1",
            "0x+1",
            "1.2.3",
            "0x1p3",
            "1 ",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
