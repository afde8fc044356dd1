//! How a protocol writes times: always in as many bytes, so that a body's times can be changed where they lie.

use crate::cli::bench::args::Protocol;

/// The form of a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stamp {
    /// Nanoseconds in 19 digits.
    Nanos,
    /// Milliseconds in 13 digits.
    Millis,
    /// Nanoseconds in 8 bytes, as Protocol Buffers have them.
    Fixed64,
}

impl Stamp {
    /// The form that times have in a protocol. Remote write's are never changed, StatsD has none.
    pub(super) fn of(protocol: Protocol) -> Stamp {
        match protocol {
            Protocol::Influx => Stamp::Nanos,
            Protocol::Otlp => Stamp::Fixed64,
            Protocol::RemoteWrite
            | Protocol::RemoteWrite2
            | Protocol::PromText
            | Protocol::Json
            | Protocol::Statsd => Stamp::Millis,
        }
    }

    /// Bytes of a time.
    pub(super) fn length(self) -> usize {
        match self {
            Stamp::Nanos => 19,
            Stamp::Millis => 13,
            Stamp::Fixed64 => 8,
        }
    }

    /// A time, and how many of the bytes it is.
    pub(super) fn bytes(self, time_ns: i64) -> ([u8; LENGTH_MAX], usize) {
        // 19 digits hold 2001-09-09 to 2262-04-11, the end of i64 nanoseconds; so do 13 of milliseconds.
        assert!(time_ns >= 1_000_000_000_000_000_000, "a time of less than 19 digits: {time_ns}");
        let mut bytes = [0; LENGTH_MAX];
        let length = self.length();
        match self {
            Stamp::Fixed64 => bytes[..length].copy_from_slice(&time_ns.to_le_bytes()),
            Stamp::Nanos => write_digits(time_ns as u64, &mut bytes[..length]),
            Stamp::Millis => write_digits((time_ns / NS_PER_MS) as u64, &mut bytes[..length]),
        }
        (bytes, length)
    }
}

/// The last digits of a number, as many as there is room for.
pub(super) fn write_digits(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The longest form.
const LENGTH_MAX: usize = 19;
const NS_PER_MS: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_itself_in_every_form() {
        for time_ns in [1_000_000_000_000_000_000, 1_700_000_000_123_456_789, i64::MAX] {
            let text = |stamp: Stamp| {
                let (bytes, length) = stamp.bytes(time_ns);
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            };
            assert_eq!(text(Stamp::Nanos), time_ns.to_string());
            assert_eq!(text(Stamp::Millis), (time_ns / 1_000_000).to_string());
            let (bytes, length) = Stamp::Fixed64.bytes(time_ns);
            assert_eq!(bytes[..length], time_ns.to_le_bytes());
        }
    }

    #[test]
    fn digits_are_the_number() {
        for number in [0, 7, 10, 1_234_567_890, 9_999_999_999] {
            let mut digits = [0; 10];
            write_digits(number, &mut digits);
            assert_eq!(digits, *format!("{number:010}").as_bytes());
        }
    }
}
