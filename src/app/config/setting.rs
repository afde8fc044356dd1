//! From text to values: each setting keeps its key and place until it is known to be sound.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, Place};
use crate::app::units::{Count, Share, Size, TimeSpan};
use crate::scrape::Redacted;

/// A setting as it was written: by the file, a flag or a variable. It may be a secret, and can't be printed.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) place: Place,
    /// It is text, whatever it looks like.
    pub(super) is_quoted: bool,
}

impl Setting {
    /// Refuses this setting. What the message quotes of it has no password: whatever was meant to stand here, it may be
    /// a URL.
    pub(super) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        let (mut message, shown) = (message.into(), Redacted(&self.text).to_string());
        if shown != self.text {
            let quoted = format!("{:?}", self.text);
            message = message.replace(&quoted, &format!("{shown:?}")).replace(&self.text, &shown);
        }
        ConfigError { place: self.place.clone(), key: self.key.clone(), message }
    }

    /// Reads the text as a `T`; what it isn't is said with the text.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, ConfigError> {
        self.text.parse().map_err(|error| self.refuse(format!("{:?}: {error}", self.text)))
    }

    /// `value`, where `shown` is within `range`; bounds are printed in the setting's own unit.
    fn bounded<U: PartialOrd + Display, T>(
        &self,
        value: T,
        shown: U,
        range: RangeInclusive<U>,
    ) -> Result<T, ConfigError> {
        if range.contains(&shown) {
            return Ok(value);
        }
        let (text, least, most) = (&self.text, range.start(), range.end());
        Err(self.refuse(format!("{text:?}: must be from {least} to {most}")))
    }

    /// A duration within bounds of milliseconds.
    pub(super) fn duration(&self, range_ms: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        let span: TimeSpan = self.parse()?;
        let (least, most) = range_ms.into_inner();
        self.bounded(Duration::from_millis(span.ms), span, TimeSpan { ms: least }..=TimeSpan { ms: most })
    }

    /// A size within bounds of bytes.
    pub(super) fn size(&self, range_bytes: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let size: Size = self.parse()?;
        let (least, most) = range_bytes.into_inner();
        self.bounded(size.bytes, size, Size { bytes: least }..=Size { bytes: most })
    }

    /// A percentage within bounds of basis points.
    pub(super) fn share(&self, range_basis_points: RangeInclusive<u32>) -> Result<Share, ConfigError> {
        let share: Share = self.parse()?;
        let (least, most) = range_basis_points.into_inner();
        self.bounded(share, share, Share { basis_points: least }..=Share { basis_points: most })
    }

    /// A whole number within bounds; `_` may group its digits.
    pub(super) fn count(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let count = self.parse::<Count>()?.number;
        self.bounded(count, count, range)
    }

    /// A truth, in YAML 1.1's words, as Prometheus reads them; nothing is none.
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match self.text.as_str() {
            _ if self.is_quoted => {
                Err(self.refuse(format!("{:?}: must be true or false, not in quotes", self.text)))
            }
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" | "" => {
                Ok(false)
            }
            _ => Err(self.refuse(format!("{:?}: must be true or false", self.text))),
        }
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == self.text) {
            return Ok(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = match near(&self.text, &names) {
            Some(name) => format!("{:?} is unknown, did you mean {name}?", self.text),
            None => format!("{:?} is unknown, expected {}", self.text, listed(&names)),
        };
        Err(self.refuse(message))
    }
}

/// A value of the file, or the default.
pub(super) fn read<T>(
    setting: &Option<Setting>,
    default: T,
    parse: impl FnOnce(&Setting) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    setting.as_ref().map_or(Ok(default), parse)
}

/// The known word that `word` is probably a misspelling of.
pub(super) fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|known| (strsim::damerau_levenshtein(word, known), *known));
    let (distance, nearest) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= DISTANCE_MAX && distance < nearest.len() / 2 + 1).then_some(nearest)
}

/// `a, b or c`.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// How many typing errors we forgive a key that we suggest.
const DISTANCE_MAX: usize = 3;
