//! Log lines on stderr: one event a line, as logfmt or JSON, with times in RFC 3339, UTC, to the millisecond.
//!
//! Comes in: events of `tracing` from every room. Goes out: `ts`, `level`, `target`, `msg`, then the event's own fields
//! in their order, in one write. Keeps: whatever a value holds, a line stays one line and reads back. Lost lines are
//! nobody's failure: when stderr is closed, work goes on.

mod json;
mod logfmt;

use std::ffi::OsString;
use std::fmt;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::args::LogArgs;
use super::config::{ConfigError, Environment, Place};
use crate::clock::{Clock, SystemClock};

/// The form of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// `ts=2026-11-22T10:00:00.123Z level=info target=tidegate::log msg="segment sealed" rows=10`
    Logfmt,
    /// The same as a JSON object.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Events less grave are passed over.
    pub level: Level,
    /// The form of a line.
    pub format: LogFormat,
}

impl LogOptions {
    /// From the flags, else from `TIDEGATE_LOG_LEVEL` and `TIDEGATE_LOG_FORMAT`, else info and logfmt.
    ///
    /// # Errors
    /// A word that is none of those known.
    pub fn resolve(flags: &LogArgs, environment: Environment<'_>) -> Result<LogOptions, ConfigError> {
        let level =
            chosen(&flags.log_level, "--log-level", environment("TIDEGATE_LOG_LEVEL"), "TIDEGATE_LOG_LEVEL");
        let format = chosen(
            &flags.log_format,
            "--log-format",
            environment("TIDEGATE_LOG_FORMAT"),
            "TIDEGATE_LOG_FORMAT",
        );
        Ok(LogOptions {
            level: one_of(&LEVELS, level)?.unwrap_or(Level::INFO),
            format: one_of(&FORMATS, format)?.unwrap_or(LogFormat::Logfmt),
        })
    }

    /// Sends the process's events to stderr from here on.
    ///
    /// # Errors
    /// They are sent somewhere already.
    pub fn start(self) -> Result<(), SetGlobalDefaultError> {
        tracing::subscriber::set_global_default(self.subscriber(SystemClock::default(), std::io::stderr))
    }

    fn subscriber<C, W>(self, clock: C, writer: W) -> impl Subscriber + Send + Sync
    where
        C: Clock + Send + Sync + 'static,
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::from_level(self.level))
            .log_internal_errors(false)
            .event_format(Lines { clock, format: self.format })
            .with_writer(writer)
            .finish()
    }
}

/// A setting's text and who made it: the flag, else the variable where that is set to something.
fn chosen(
    flag: &Option<String>,
    flag_name: &'static str,
    variable: Option<OsString>,
    variable_name: &'static str,
) -> Option<(String, &'static str)> {
    match flag {
        Some(text) => Some((text.clone(), flag_name)),
        None => {
            let text = variable?.to_string_lossy().into_owned();
            (!text.is_empty()).then_some((text, variable_name))
        }
    }
}

fn one_of<T: Copy>(
    choices: &[(&str, T)],
    chosen: Option<(String, &'static str)>,
) -> Result<Option<T>, ConfigError> {
    let Some((text, name)) = chosen else { return Ok(None) };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(Some(*value));
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let message = format!("{text:?} is unknown, expected one of {}", words.join(", "));
    Err(ConfigError { place: Place::Name(name), key: String::new(), message })
}

/// Formats events.
struct Lines<C> {
    clock: C,
    format: LogFormat,
}

impl<S, N, C> FormatEvent<S, N> for Lines<C>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    C: Clock,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_nanosecond(i128::from(self.clock.wall_ns()));
        // Nanoseconds in an i64 reach from 1677 to 2262, well within the calendar.
        let time = time.expect("an i64 of nanoseconds is a date");
        let mut line = String::with_capacity(LINE_BYTES_USUAL);
        match self.format {
            LogFormat::Logfmt => logfmt::write(&mut line, time, event),
            LogFormat::Json => json::write(&mut line, time, event),
        }
        out.write_str(&line)
    }
}

fn level_name(level: Level) -> &'static str {
    LEVELS.iter().find(|(_, known)| *known == level).map_or("info", |(name, _)| *name)
}

/// The message of an event is its field of this name.
const MESSAGE: &str = "message";

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

const FORMATS: [(&str, LogFormat); 2] = [("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)];

const LINE_BYTES_USUAL: usize = 256;

#[cfg(test)]
mod tests;
