//! Timestamps: their unit, their range, the time of a line that has none.

use super::Dialect;

/// The unit of a body's timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// By magnitude, each line on its own: below 5e9 seconds, 5e12 milliseconds, 5e15 microseconds, else nanoseconds.
    Auto,
}

impl Precision {
    /// The precision that a dialect's `precision` parameter names; an empty one is the dialect's default.
    ///
    /// Takes what the dialect's reference takes, and `u` and `us` everywhere.
    pub fn parse(dialect: Dialect, text: &str) -> Option<Precision> {
        let short = match text {
            "n" | "ns" => Precision::Nanos,
            "u" | "us" | "µs" => Precision::Micros,
            "ms" => Precision::Millis,
            "s" => Precision::Seconds,
            "m" if dialect == Dialect::V1 => Precision::Minutes,
            "h" if dialect == Dialect::V1 => Precision::Hours,
            "" if dialect == Dialect::V3 => Precision::Auto,
            "" => Precision::Nanos,
            "auto" if dialect == Dialect::V3 => Precision::Auto,
            "nanosecond" if dialect == Dialect::V3 => Precision::Nanos,
            "microsecond" if dialect == Dialect::V3 => Precision::Micros,
            "millisecond" if dialect == Dialect::V3 => Precision::Millis,
            "second" if dialect == Dialect::V3 => Precision::Seconds,
            _ => return None,
        };
        Some(short)
    }

    /// Nanoseconds in one unit; of [`Precision::Auto`] one.
    pub fn unit_ns(self) -> i64 {
        match self {
            Precision::Nanos | Precision::Auto => 1,
            Precision::Micros => 1_000,
            Precision::Millis => 1_000_000,
            Precision::Seconds => 1_000_000_000,
            Precision::Minutes => 60_000_000_000,
            Precision::Hours => 3_600_000_000_000,
        }
    }
}

/// A precision made ready for many lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clockwork {
    unit_ns: i64,
    auto: bool,
    /// The time of lines that have none.
    pub(super) default_ns: i64,
    least_ns: i64,
    greatest_ns: i64,
}

impl Clockwork {
    pub(super) fn new(dialect: Dialect, precision: Precision, default_ns: i64) -> Clockwork {
        let unit_ns = precision.unit_ns();
        // InfluxDB 1 and 2 keep the ends of the range for themselves.
        let (least_ns, greatest_ns) = match dialect {
            Dialect::V1 => (i64::MIN + 2, i64::MAX - 1),
            Dialect::V2 | Dialect::V3 => (i64::MIN, i64::MAX),
        };
        Clockwork {
            unit_ns,
            auto: precision == Precision::Auto,
            default_ns: truncated(default_ns, unit_ns),
            least_ns,
            greatest_ns,
        }
    }

    /// Lines without a time have this one from now on.
    pub(super) fn set_default(&mut self, default_ns: i64) {
        self.default_ns = truncated(default_ns, self.unit_ns);
    }

    /// The nanoseconds of a timestamp; `None` outside the range.
    #[inline(always)]
    pub(super) fn nanoseconds(&self, ticks: i64) -> Option<i64> {
        let unit_ns = if self.auto { unit_of_magnitude_ns(ticks) } else { self.unit_ns };
        let ns = ticks.checked_mul(unit_ns)?;
        (self.least_ns <= ns && ns <= self.greatest_ns).then_some(ns)
    }
}

fn truncated(ns: i64, unit_ns: i64) -> i64 {
    ns.div_euclid(unit_ns).saturating_mul(unit_ns)
}

fn unit_of_magnitude_ns(ticks: i64) -> i64 {
    match ticks.unsigned_abs() {
        0..5_000_000_000 => 1_000_000_000,
        5_000_000_000..5_000_000_000_000 => 1_000_000,
        5_000_000_000_000..5_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_precisions_by_dialect() {
        for dialect in [Dialect::V1, Dialect::V2, Dialect::V3] {
            assert_eq!(Precision::parse(dialect, "us"), Some(Precision::Micros));
            assert_eq!(Precision::parse(dialect, "u"), Some(Precision::Micros));
            assert_eq!(Precision::parse(dialect, "fortnight"), None);
        }
        assert_eq!(Precision::parse(Dialect::V1, "h"), Some(Precision::Hours));
        assert_eq!(Precision::parse(Dialect::V2, "h"), None);
        assert_eq!(Precision::parse(Dialect::V1, ""), Some(Precision::Nanos));
        assert_eq!(Precision::parse(Dialect::V3, ""), Some(Precision::Auto));
        assert_eq!(Precision::parse(Dialect::V3, "second"), Some(Precision::Seconds));
        assert_eq!(Precision::parse(Dialect::V1, "second"), None);
    }

    #[test]
    fn times_outside_the_range_are_refused_never_wrapped() {
        let hours = Clockwork::new(Dialect::V1, Precision::Hours, 0);
        assert_eq!(hours.nanoseconds(262_980), Some(946_728_000_000_000_000));
        assert_eq!(hours.nanoseconds(i64::MAX / 2), None);
        let nanos = Clockwork::new(Dialect::V1, Precision::Nanos, 0);
        assert_eq!(nanos.nanoseconds(i64::MAX - 1), Some(i64::MAX - 1));
        assert_eq!(nanos.nanoseconds(i64::MAX), None);
        assert_eq!(nanos.nanoseconds(i64::MIN + 1), None);
        assert_eq!(nanos.nanoseconds(i64::MIN + 2), Some(i64::MIN + 2));
    }

    #[test]
    fn the_default_time_is_truncated_towards_the_past() {
        let default = |precision, ns| Clockwork::new(Dialect::V1, precision, ns).default_ns;
        assert_eq!(default(Precision::Seconds, 1_999_999_999), 1_000_000_000);
        assert_eq!(default(Precision::Seconds, -1), -1_000_000_000);
        assert_eq!(default(Precision::Nanos, 1_999_999_999), 1_999_999_999);
        assert_eq!(default(Precision::Hours, i64::MIN), i64::MIN);
    }

    #[test]
    fn magnitude_picks_the_unit() {
        let auto = Clockwork::new(Dialect::V3, Precision::Auto, 7);
        assert_eq!(auto.nanoseconds(1_700_000_000), Some(1_700_000_000_000_000_000));
        assert_eq!(auto.nanoseconds(1_700_000_000_000), Some(1_700_000_000_000_000_000));
        assert_eq!(auto.nanoseconds(1_700_000_000_000_000), Some(1_700_000_000_000_000_000));
        assert_eq!(auto.nanoseconds(1_700_000_000_000_000_000), Some(1_700_000_000_000_000_000));
        assert_eq!(auto.nanoseconds(-5), Some(-5_000_000_000));
        assert_eq!(auto.default_ns, 7);
    }
}
