//! Times, to the nanosecond.
//!
//! Dates are read here and not by jiff, which only the server has, and which takes more than RFC 3339 allows. It is the
//! oracle of a test.

/// Seconds since the Unix epoch, as a JSON number without an exponent: in nanoseconds. None if it is another text,
/// finer than that, or outside of what 64 bits hold.
pub(super) fn parse_seconds(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match memchr::memchr(b'.', magnitude) {
        Some(point) => (&magnitude[..point], &magnitude[point + 1..]),
        None => (magnitude, &b"0"[..]),
    };
    // The seconds of 64 bits of nanoseconds have ten digits.
    let ns = i128::from(parse_digits(whole, 10)?) * NS_PER_S + i128::from(parse_fraction(fraction)?);
    i64::try_from(if negative { -ns } else { ns }).ok()
}

/// A time as RFC 3339 has it: in nanoseconds since the Unix epoch. None if it is another text, finer than that, or
/// outside of what 64 bits hold. A leap second is the one behind it.
pub(super) fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_at_checked("2026-11-22T10:00:00".len())?;
    let [
        y0,
        y1,
        y2,
        y3,
        b'-',
        month0,
        month1,
        b'-',
        day0,
        day1,
        b'T' | b't',
        hour0,
        hour1,
        b':',
        minute0,
        minute1,
        b':',
        second0,
        second1,
    ] = *head
    else {
        return None;
    };
    let two = |tens, ones, max| parse_digits(&[tens, ones], 2).filter(|&number| number <= max);
    let year = parse_digits(&[y0, y1, y2, y3], 4)?;
    let (month, day) = (two(month0, month1, 12)?, two(day0, day1, 31)?);
    if month == 0 || day == 0 || day > days_of(year, month) {
        return None;
    }
    let clock_s =
        two(hour0, hour1, 23)? * 3600 + two(minute0, minute1, 59)? * 60 + two(second0, second1, 60)?;
    let (fraction_ns, zone) = match rest {
        [b'.', digits @ ..] => {
            let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
            (parse_fraction(&digits[..end])?, &digits[end..])
        }
        _ => (0, rest),
    };
    let offset_s = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), hour0, hour1, b':', minute0, minute1] => {
            let seconds = two(hour0, hour1, 23)? * 3600 + two(minute0, minute1, 59)? * 60;
            if sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days_from_epoch(year, month, day) * 86_400 + clock_s - offset_s;
    i64::try_from(i128::from(seconds) * NS_PER_S + i128::from(fraction_ns)).ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: whole years before it, counted from March, so that the leap
/// day is a year's last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, months_since_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Months from March on have 31, 30, 31, 30, 31 days, and again: 153 in five.
    year * 365 + leap_days + (153 * months_since_march + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number that digits spell, up to so many of them.
fn parse_digits(digits: &[u8], digits_max: usize) -> Option<i64> {
    let plain = (1..=digits_max).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// The nanoseconds that the digits behind a point are.
fn parse_fraction(digits: &[u8]) -> Option<i64> {
    let end = digits.iter().rposition(|&byte| byte != b'0').map_or(1, |last| last + 1);
    let digits = digits.get(..end)?;
    let ns = parse_digits(digits, NS_DIGITS)?;
    Some(ns * 10i64.pow((NS_DIGITS - digits.len()) as u32))
}

const NS_PER_S: i128 = 1_000_000_000;
const NS_DIGITS: usize = 9;

/// From the 1st of March of the year 0 to the 1st of January 1970.
const DAYS_TO_EPOCH: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_decimals() {
        for (text, ns) in [
            ("1280959128.123", 1_280_959_128_123_000_000),
            ("1280959128", 1_280_959_128_000_000_000),
            ("0.000", 0),
            ("-0.5", -500_000_000),
            ("1.000000001", 1_000_000_001),
            ("1.0000000010000", 1_000_000_001),
            ("9223372036.854775807", i64::MAX),
            ("-9223372036.854775808", i64::MIN),
        ] {
            assert_eq!(parse_seconds(text.as_bytes()), Some(ns), "{text}");
        }
        for text in [
            "",
            "-",
            "x",
            "1.",
            ".5",
            "1e9",
            "1.5e3",
            "1.0000000001",
            "9223372036.854775808",
            "10000000000",
            "--1",
            "1.2.3",
            "+1",
            "99999999999999999999999999",
        ] {
            assert_eq!(parse_seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_rfc_3339() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2015-11-23T13:16:46.125000000Z", 1_448_284_606_125_000_000),
            ("2015-11-23t13:16:46.125z", 1_448_284_606_125_000_000),
            ("2015-11-23T15:46:46.125+02:30", 1_448_284_606_125_000_000),
            ("2015-11-23T12:16:46-01:00", 1_448_284_606_000_000_000),
            ("2000-02-29T23:59:60Z", 951_868_800_000_000_000),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), Some(ns), "{text}");
        }
        for text in [
            "",
            "now",
            "2015-11-23",
            "2015-11-23T13:16:46",
            "2015-11-23 13:16:46Z",
            "2015-13-23T13:16:46Z",
            "2015-00-23T13:16:46Z",
            "2015-02-29T13:16:46Z",
            "1900-02-29T13:16:46Z",
            "2015-04-31T13:16:46Z",
            "2015-11-00T13:16:46Z",
            "2015-11-23T24:16:46Z",
            "2015-11-23T13:60:46Z",
            "2015-11-23T13:16:61Z",
            "2015-11-23T13:16:46.Z",
            "2015-11-23T13:16:46.5",
            "2015-11-23T13:16:46+1:00",
            "2015-11-23T13:16:46+24:00",
            "2015-11-23T13:16:46.0000000001Z",
            "2262-04-11T23:47:16.854775808Z",
            "2015-11-23T13:16:46ZZ",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn seconds_go_around(ns: i64) {
            let (sign, magnitude) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
            let text = format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000);
            prop_assert_eq!(parse_seconds(text.as_bytes()), Some(ns));
        }

        #[cfg(feature = "server")]
        #[test]
        fn dates_are_read_as_another_library_prints_them(ns: i64) {
            let text = jiff::Timestamp::from_nanosecond(ns.into()).unwrap().to_string();
            prop_assert_eq!(parse_rfc3339(text.as_bytes()), Some(ns), "{}", text);
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9.:TZ+-]{0,40}") {
            parse_rfc3339(text.as_bytes());
            parse_seconds(text.as_bytes());
        }
    }
}
