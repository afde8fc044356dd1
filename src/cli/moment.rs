//! Times as the command line takes them: `2026-11-22T10:00:00Z`, `-1h`, `now`, `1795341600`.

use std::str::FromStr;

use crate::app::units::TimeSpan;

/// A time, or a distance back from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Nanoseconds since the Unix epoch.
    At(i64),
    /// So many nanoseconds before now.
    Ago(i64),
}

impl Moment {
    /// In nanoseconds since the Unix epoch, when it is `now_ns`.
    pub fn ns(self, now_ns: i64) -> i64 {
        match self {
            Moment::At(ns) => ns,
            Moment::Ago(ns) => now_ns.saturating_sub(ns),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        if text == "now" {
            return Ok(Moment::Ago(0));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return number(text).map(Moment::At);
        }
        if let Some(span) = text.strip_prefix('-') {
            let span: TimeSpan = span.parse().map_err(|error| format!("{error}"))?;
            // A span is at most what fits signed nanoseconds.
            return Ok(Moment::Ago(span.ms as i64 * 1_000_000));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| EXPECTED)?;
        i64::try_from(time.as_nanosecond()).map(Moment::At).map_err(|_| OUTSIDE.into())
    }
}

/// A number whose size tells its unit: today has 10 digits in seconds, 13, 16 and 19 in the smaller ones.
fn number(text: &str) -> Result<i64, String> {
    let number: i64 = text.parse().map_err(|_| OUTSIDE)?;
    let unit_ns = match number.unsigned_abs() {
        0..SECONDS_END => 1_000_000_000,
        SECONDS_END..MILLISECONDS_END => 1_000_000,
        MILLISECONDS_END..MICROSECONDS_END => 1_000,
        _ => 1,
    };
    number.checked_mul(unit_ns).ok_or_else(|| OUTSIDE.into())
}

/// As seconds the year 5138, as milliseconds 1973: each unit is clear for every time from 1973 on.
const SECONDS_END: u64 = 100_000_000_000;
const MILLISECONDS_END: u64 = SECONDS_END * 1000;
const MICROSECONDS_END: u64 = MILLISECONDS_END * 1000;

const EXPECTED: &str = "expected RFC 3339 with a zone, now, a duration such as -1h, or a number";
const OUTSIDE: &str = "outside the years 1677 to 2262";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_795_341_600_000_000_000;

    #[test]
    fn every_form_is_read() {
        for (text, ns) in [
            ("now", NOW_NS),
            ("-1h", NOW_NS - 3_600_000_000_000),
            ("-1d12h", NOW_NS - 36 * 3_600_000_000_000),
            ("2026-11-22T10:00:00Z", NOW_NS),
            ("2026-11-22T10:00:00.000000001Z", NOW_NS + 1),
            ("2026-11-22T12:00:00+02:00", NOW_NS),
            ("1969-12-31T23:59:59Z", -1_000_000_000),
            ("0", 0),
            ("-1", -1_000_000_000),
            ("1795341600", NOW_NS),
            ("1795341600000", NOW_NS),
            ("1795341600000000", NOW_NS),
            ("1795341600000000000", NOW_NS),
            ("-1795341600000", -NOW_NS),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().ns(NOW_NS), ns, "{text}");
        }
        assert_eq!(Moment::Ago(i64::MAX).ns(-5), i64::MIN, "never wraps");
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for (text, message) in [
            ("", EXPECTED),
            ("tomorrow", EXPECTED),
            ("2026-11-22", EXPECTED),
            ("2026-11-22T10:00:00", EXPECTED),
            ("1h", EXPECTED),
            ("1.5", EXPECTED),
            ("-", "not a duration such as 15d, 1h30m or 500ms"),
            ("-1x", "not a duration such as 15d, 1h30m or 500ms"),
            ("9223372036854775808", OUTSIDE),
            ("99999999999", OUTSIDE),
            ("2300-01-01T00:00:00Z", OUTSIDE),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap_err(), message, "{text}");
        }
    }
}
