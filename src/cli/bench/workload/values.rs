//! Random walks, one per series and field, and the three ways of writing their numbers.

use std::io::Write;

use crate::cli::bench::args::Values;
use crate::cli::bench::random::Random;

/// Walks with steps of N(0, 1), clamped to 0..100, from a uniform start.
pub(super) struct Walks {
    texts: Vec<Vec<u8>>,
    values: Values,
    at: Vec<f64>,
    random: Random,
}

impl Walks {
    pub(super) fn new(texts: Vec<Vec<u8>>, values: Values, series: u32, mut random: Random) -> Walks {
        let at = (0..series as usize * texts.len()).map(|_| random.unit() * 100.0).collect();
        Walks { texts, values, at, random }
    }

    pub(super) fn fields(&self) -> usize {
        self.texts.len()
    }

    /// Steps every walk of a series and writes its fields.
    pub(super) fn write(&mut self, series: u32, out: &mut Vec<u8>) {
        let first = series as usize * self.texts.len();
        let walks = &mut self.at[first..first + self.texts.len()];
        for (field, (text, value)) in self.texts.iter().zip(walks).enumerate() {
            *value = (*value + self.random.normal()).clamp(0.0, 100.0);
            if field > 0 {
                out.push(b',');
            }
            out.extend_from_slice(text);
            write_value(self.values, *value, out);
        }
    }
}

/// Writes a value in 0..=100.
fn write_value(values: Values, value: f64, out: &mut Vec<u8>) {
    let written = match values {
        Values::Int => write!(out, "{}i", value as i64),
        Values::Dec2 => {
            let hundredths = (value * 100.0).round() as i64;
            write!(out, "{}.{:02}", hundredths / 100, hundredths % 100)
        }
        // The shortest digits that read back as the same float: 17 or 16 of them for nearly all.
        Values::Full => write!(out, "{value}"),
    };
    written.expect("writing to a Vec does not fail");
}
