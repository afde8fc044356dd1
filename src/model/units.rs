//! Durations, sizes and shares, written as Prometheus writes them.
//!
//! Comes in: text of the configuration file, of a flag or of a variable. Goes out: milliseconds, bytes, hundredths of
//! a percent, and back to text. Keeps: what is printed reads back as the same value. Refuses: signs, spaces, units in
//! the wrong order or written twice, whatever a u64 of the unit can't hold. Knows nothing of keys or places.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A length of time in whole milliseconds: `1d12h`, `500ms`, `0`.
///
/// ```
/// use tidegate::model::units::TimeSpan;
///
/// let span: TimeSpan = "36h".parse()?;
/// assert_eq!(span.to_string(), "1d12h");
/// # Ok::<(), tidegate::model::units::UnitError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimeSpan {
    /// The length in milliseconds, at most [`SPAN_MS_MAX`].
    pub ms: u64,
}

/// A number of bytes: `512MB`, `4GiB`, `1.5GB`, `0`. Units count in steps of 1024, with or without the `i`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size {
    /// The size in bytes, at most [`SIZE_BYTES_MAX`].
    pub bytes: u64,
}

/// A part of a whole: `25%`, `2.5%`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Share {
    /// Hundredths of a percent, 0 to 10,000.
    pub basis_points: u32,
}

/// A whole number: `1000000`, `1_000_000`. One of more digits than a u64 has is the greatest that it has: above every
/// bound.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Count {
    /// The number.
    pub number: u64,
}

/// What is wrong with such a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnitError {
    /// Not of the form of a duration.
    Duration,
    /// Not of the form of a size.
    Size,
    /// Not of the form of a percentage.
    Share,
    /// Not of the form of a whole number.
    Count,
    /// Of the right form, but more than can be kept.
    TooLarge,
}

impl Share {
    /// This part of `whole`, rounded down.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.basis_points) / u128::from(BASIS_POINTS_WHOLE);
        u64::try_from(part).expect("a share is at most the whole")
    }
}

impl FromStr for Count {
    type Err = UnitError;

    /// Digits, which `_` may group.
    fn from_str(text: &str) -> Result<Count, UnitError> {
        let digits = text.replace('_', "");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UnitError::Count);
        }
        Ok(Count { number: digits.parse().unwrap_or(u64::MAX) })
    }
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    /// Each unit at most once, greatest first. A lone `0` needs no unit.
    fn from_str(text: &str) -> Result<TimeSpan, UnitError> {
        if text == "0" {
            return Ok(TimeSpan { ms: 0 });
        }
        if text.is_empty() {
            return Err(UnitError::Duration);
        }
        let mut rest = text;
        let mut units = SPAN_UNITS.iter();
        let mut total_ms = 0_u64;
        while !rest.is_empty() {
            let (digits, after) = rest.split_at(digits_len(rest));
            let (name, after) = after.split_at(name_len(after));
            // Searching on from the unit before keeps them in order and each to one use.
            let unit = units.find(|unit| unit.name == name).ok_or(UnitError::Duration)?;
            let count = number(digits, UnitError::Duration)?;
            let ms = count.checked_mul(unit.ms).ok_or(UnitError::TooLarge)?;
            total_ms = total_ms.checked_add(ms).ok_or(UnitError::TooLarge)?;
            rest = after;
        }
        if total_ms > SPAN_MS_MAX { Err(UnitError::TooLarge) } else { Ok(TimeSpan { ms: total_ms }) }
    }
}

impl Display for TimeSpan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        let mut left_ms = self.ms;
        for unit in SPAN_UNITS {
            // Years and weeks only when they come out even: nobody reads 400d as 1y5w.
            let fits = left_ms >= unit.ms && (!unit.whole_only || left_ms.is_multiple_of(unit.ms));
            if fits {
                write!(f, "{}{}", left_ms / unit.ms, unit.name)?;
                left_ms %= unit.ms;
            }
        }
        Ok(())
    }
}

impl FromStr for Size {
    type Err = UnitError;

    /// One or more numbers, each with a unit and perhaps a fraction. A lone `0` needs no unit.
    fn from_str(text: &str) -> Result<Size, UnitError> {
        if text == "0" {
            return Ok(Size { bytes: 0 });
        }
        if text.is_empty() {
            return Err(UnitError::Size);
        }
        let mut rest = text;
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (whole, after) = rest.split_at(digits_len(rest));
            let (fraction, after) = match after.strip_prefix('.') {
                Some(after) => after.split_at(digits_len(after)),
                None => ("", after),
            };
            let (name, after) = after.split_at(name_len(after));
            let steps = SIZE_UNITS.iter().position(|unit| {
                name == format!("{unit}B") || !unit.is_empty() && name == format!("{unit}iB")
            });
            let shift = 10 * steps.ok_or(UnitError::Size)? as u32;
            let bytes = scaled(whole, fraction, shift)?;
            total = total.checked_add(bytes).ok_or(UnitError::TooLarge)?;
            rest = after;
        }
        if total > SIZE_BYTES_MAX { Err(UnitError::TooLarge) } else { Ok(Size { bytes: total }) }
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return f.write_str("0B");
        }
        let mut left = self.bytes;
        for (steps, unit) in SIZE_UNITS.iter().enumerate().rev() {
            let count = left >> (10 * steps);
            if count > 0 {
                write!(f, "{count}{unit}{}", if steps == 0 { "B" } else { "iB" })?;
                left -= count << (10 * steps);
            }
        }
        Ok(())
    }
}

impl FromStr for Share {
    type Err = UnitError;

    /// A number of percent with at most two decimals, and the sign, which 0 needs not.
    fn from_str(text: &str) -> Result<Share, UnitError> {
        if text == "0" {
            return Ok(Share { basis_points: 0 });
        }
        let number_text = text.strip_suffix('%').ok_or(UnitError::Share)?;
        let (whole, fraction) = match number_text.split_once('.') {
            Some((_, "")) => return Err(UnitError::Share),
            Some(parts) => parts,
            None => (number_text, ""),
        };
        if fraction.len() > 2 {
            return Err(UnitError::Share);
        }
        let percent = number(whole, UnitError::Share)?;
        let hundredths = match fraction {
            "" => 0,
            _ => number(fraction, UnitError::Share)? * if fraction.len() == 1 { 10 } else { 1 },
        };
        let total = percent.checked_mul(100).and_then(|n| n.checked_add(hundredths));
        match total.and_then(|n| u32::try_from(n).ok()) {
            Some(basis_points) if basis_points <= BASIS_POINTS_WHOLE => Ok(Share { basis_points }),
            _ => Err(UnitError::TooLarge),
        }
    }
}

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (percent, hundredths) = (self.basis_points / 100, self.basis_points % 100);
        match hundredths {
            0 => write!(f, "{percent}%"),
            n if n % 10 == 0 => write!(f, "{percent}.{}%", n / 10),
            n => write!(f, "{percent}.{n:02}%"),
        }
    }
}

impl Display for UnitError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitError::Duration => "not a duration such as 15d, 1h30m or 500ms",
            UnitError::Size => "not a size such as 512MB, 4GiB or 0",
            UnitError::Share => "not a percentage such as 25%, 2.5% or 0",
            UnitError::Count => "not a whole number",
            UnitError::TooLarge => "too large",
        })
    }
}

impl std::error::Error for UnitError {}

/// A count of `whole.fraction` times 2^shift, rounded down.
fn scaled(whole: &str, fraction: &str, shift: u32) -> Result<u64, UnitError> {
    if whole.is_empty() && fraction.is_empty() || fraction.len() > FRACTION_DIGITS_MAX {
        return Err(UnitError::Size);
    }
    let count = if whole.is_empty() { 0 } else { number(whole, UnitError::Size)? };
    let part = if fraction.is_empty() { 0 } else { number(fraction, UnitError::Size)? };
    // A u64 shifted by at most 60 and nine decimals below it both fit a u128.
    let part = (u128::from(part) << shift) / 10_u128.pow(fraction.len() as u32);
    u64::try_from((u128::from(count) << shift) + part).map_err(|_| UnitError::TooLarge)
}

fn number(digits: &str, malformed: UnitError) -> Result<u64, UnitError> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(malformed);
    }
    digits.parse().map_err(|_| UnitError::TooLarge)
}

fn digits_len(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn name_len(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_alphabetic).count()
}

struct SpanUnit {
    name: &'static str,
    ms: u64,
    whole_only: bool,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Greatest first, as they are written. A year is 365 days.
const SPAN_UNITS: [SpanUnit; 7] = [
    SpanUnit { name: "y", ms: 365 * DAY_MS, whole_only: true },
    SpanUnit { name: "w", ms: 7 * DAY_MS, whole_only: true },
    SpanUnit { name: "d", ms: DAY_MS, whole_only: false },
    SpanUnit { name: "h", ms: 60 * 60 * 1000, whole_only: false },
    SpanUnit { name: "m", ms: 60 * 1000, whole_only: false },
    SpanUnit { name: "s", ms: 1000, whole_only: false },
    SpanUnit { name: "ms", ms: 1, whole_only: false },
];

/// Each is 1024 times the one before.
const SIZE_UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

/// The longest duration: what fits signed nanoseconds, 292 years.
pub const SPAN_MS_MAX: u64 = i64::MAX as u64 / 1_000_000;

/// The greatest size, 1 EiB: no file system holds more, and sums of two fit a file offset.
pub const SIZE_BYTES_MAX: u64 = 1 << 60;

const BASIS_POINTS_WHOLE: u32 = 10_000;
const FRACTION_DIGITS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_prometheus_reads_them() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("0w", 0),
            ("324ms", 324),
            ("3s", 3_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("4d", 4 * DAY_MS),
            ("4d1h", 4 * DAY_MS + 3_600_000),
            ("14d", 14 * DAY_MS),
            ("3w", 21 * DAY_MS),
            ("3w2d1h", 23 * DAY_MS + 3_600_000),
            ("10y", 3_650 * DAY_MS),
            ("1d12h", 36 * 3_600_000),
            ("0d5m", 300_000),
        ] {
            assert_eq!(text.parse(), Ok(TimeSpan { ms }), "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused() {
        for text in
            ["", "1", "1y1m1d", "-1w", "1.5d", "d", "1s1s", "1m1h", " 1s", "1s ", "1S", "00", "1h-5m", "+1s"]
        {
            assert_eq!(text.parse::<TimeSpan>(), Err(UnitError::Duration), "{text}");
        }
        for text in ["293y", "99999999999999999999s", "200y200w99999999999d", "18446744073709551615ms"] {
            assert_eq!(text.parse::<TimeSpan>(), Err(UnitError::TooLarge), "{text}");
        }
    }

    #[test]
    fn durations_print_as_prometheus_prints_them() {
        for (ms, text) in [
            (0, "0s"),
            (36 * 3_600_000, "1d12h"),
            (21 * DAY_MS, "3w"),
            (23 * DAY_MS, "23d"),
            (365 * DAY_MS, "1y"),
            (366 * DAY_MS, "366d"),
            (90_500, "1m30s500ms"),
        ] {
            assert_eq!(TimeSpan { ms }.to_string(), text);
        }
    }

    #[test]
    fn sizes_count_in_steps_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("0B", 0),
            ("7B", 7),
            ("1KB", 1 << 10),
            ("1KiB", 1 << 10),
            ("512MB", 512 << 20),
            ("4GiB", 4 << 30),
            ("1.5GB", 3 << 29),
            (".5KB", 512),
            ("1.KB", 1024),
            ("1GB512MB", 3 << 29),
            ("1MiB1KB1B", (1 << 20) + 1025),
            ("1EB", 1 << 60),
        ] {
            assert_eq!(text.parse(), Ok(Size { bytes }), "{text}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        for text in
            ["", "1", "MB", "1mb", "1K", "1 MB", "-1MB", "1..5MB", ".MB", "1iB", "1e3MB", "0x1MB", "1MB2"]
        {
            assert_eq!(text.parse::<Size>(), Err(UnitError::Size), "{text}");
        }
        for text in ["1EB1B", "2EB", "16EB", "99999999999999999999B", "1EB1EB"] {
            assert_eq!(text.parse::<Size>(), Err(UnitError::TooLarge), "{text}");
        }
    }

    #[test]
    fn shares_take_two_decimals() {
        for (text, basis_points) in [("0%", 0), ("25%", 2_500), ("2.5%", 250), ("0.05%", 5), ("100%", 10_000)]
        {
            assert_eq!(text.parse(), Ok(Share { basis_points }), "{text}");
            assert_eq!(Share { basis_points }.to_string(), text);
        }
        assert_eq!("0".parse(), Ok(Share { basis_points: 0 }));
        for text in ["", "%", "25", "00", "-0", "-1%", "1.%", "1.234%", "1 %", "+5%", ".5%", "1.+5%"] {
            assert_eq!(text.parse::<Share>(), Err(UnitError::Share), "{text}");
        }
        for text in ["100.01%", "101%", "99999999999999999999%", "184467440737095517%"] {
            assert_eq!(text.parse::<Share>(), Err(UnitError::TooLarge), "{text}");
        }
        assert_eq!(Share { basis_points: 2_500 }.of(1023), 255);
        assert_eq!(Share { basis_points: 10_000 }.of(u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            ms in 0..=SPAN_MS_MAX, bytes in 0..=SIZE_BYTES_MAX, basis_points in 0..=BASIS_POINTS_WHOLE,
        ) {
            prop_assert_eq!(TimeSpan { ms }.to_string().parse(), Ok(TimeSpan { ms }));
            prop_assert_eq!(Size { bytes }.to_string().parse(), Ok(Size { bytes }));
            prop_assert_eq!(Share { basis_points }.to_string().parse(), Ok(Share { basis_points }));
        }

        /// Round numbers are what people write: they must print as few units, and read back.
        #[test]
        fn multiples_of_one_unit_read_back(count in 1_u64..1000, unit in 0..7_usize) {
            let ms = count * SPAN_UNITS[unit].ms;
            if ms <= SPAN_MS_MAX {
                prop_assert_eq!(format!("{count}{}", SPAN_UNITS[unit].name).parse(), Ok(TimeSpan { ms }));
                prop_assert_eq!(TimeSpan { ms }.to_string().parse(), Ok(TimeSpan { ms }));
            }
        }

        #[test]
        fn any_text_is_answered(text in "[0-9yYwdhmsKMGEiB.% +-]{0,12}") {
            let _ = text.parse::<TimeSpan>();
            let _ = text.parse::<Size>();
            let _ = text.parse::<Share>();
        }
    }
}
