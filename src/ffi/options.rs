//! Options by key and value: the configuration file's keys, units and bounds.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{Failure, tdg_error};
use super::guard::{catch, guard_telling};
use super::log::Ear;
use super::status::{TDG_E_CONFIG, tdg_status};
use super::text::tdg_str;
use crate::engine::{self, WORKERS_MAX};
use crate::log::disk::Backend;
use crate::model::units::{Count, SIZE_BYTES_MAX, SPAN_MS_MAX, Share, Size, TimeSpan};

/// What an engine is told when it is opened. One set of options may open several engines.
///
/// Threads: one at a time.
#[derive(Debug)]
pub struct tdg_options {
    pub(super) engine: engine::Options,
    pub(super) patience: Duration,
    has_directory: bool,
    /// io_uring or nothing.
    uring_wanted: bool,
    /// Was said, and is to be below the interval.
    linger_given: bool,
    pub(super) ear: Option<Ear>,
}

/// Options with their defaults; the data directory is still to be named. NULL only if there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn tdg_options_new() -> *mut tdg_options {
    let made = catch(|| {
        Box::into_raw(Box::new(tdg_options {
            engine: engine::Options::new(PathBuf::new()),
            patience: PATIENCE_DEFAULT,
            has_directory: false,
            uring_wanted: false,
            linger_given: false,
            ear: None,
        }))
    });
    made.unwrap_or(std::ptr::null_mut())
}

/// Sets an option. Keys and values are those of the configuration file, sections and keys joined by a dot;
/// `writer.full_wait`, of calls that the file knows nothing of, is the one that is not in it:
///
/// | key | value | default |
/// |---|---|---|
/// | `data.directory` | a path; made if it is missing | none: it must be set |
/// | `data.retention` | how long rows are kept, as `15d`; `0` for ever | `15d` |
/// | `data.retention_size` | how many bytes are kept, as `10GiB`; `0` for any | `0` |
/// | `data.free_space_min` | the share of the file system that is kept free, at the cost of the oldest rows; `0` is none | `5%` |
/// | `data.cursor_size_max` | how many bytes are kept longer for cursors that have not passed them | `10GiB` |
/// | `data.commit_linger` | how long rows wait for company that somebody waits for | `2ms` |
/// | `data.commit_interval` | how long rows wait that nobody waits for | `200ms` |
/// | `data.commits_per_second_max` | a cap on commits; `0` is none | `0` |
/// | `data.disk` | `auto`, `io_uring` or `threads` | `auto` |
/// | `limits.series_max` | series at one time | `10000000` |
/// | `workers` | threads that encode and commit; several for writers that push without pause | `1` |
/// | `writer.full_wait` | how long a call may wait for room before it gives `TDG_E_FULL`; `0` not at all | `1s` |
///
/// A relative `data.directory` is looked for from where the process is when the engine opens, and stays there.
///
/// Where less than `data.free_space_min` is free the oldest rows go, also such as a cursor has not passed and
/// `data.cursor_size_max` would keep: they count as the cursor's losses.
///
/// Errors: `TDG_E_CONFIG` for a key that is not known or a value that is not understood; the message says which.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_options_set(
    options: *mut tdg_options,
    key: tdg_str,
    value: tdg_str,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, and the options this thread's.
    unsafe {
        guard_telling(None, error, || {
            let options = options.as_mut().ok_or_else(|| Failure::null("options"))?;
            options.set(key.text("the key")?, value.text("the value")?)
        })
    }
}

/// Frees options. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_options_free(options: *mut tdg_options) {
    if !options.is_null() {
        // SAFETY: it came from `tdg_options_new`, and is freed once.
        drop(unsafe { Box::from_raw(options) });
    }
}

impl tdg_options {
    fn set(&mut self, key: &str, text: &str) -> Result<(), Failure> {
        let value = Value { key, text };
        let engine = &mut self.engine;
        match key {
            "data.directory" if text.is_empty() || text.contains('\0') => {
                return Err(value.refuse("is no path"));
            }
            "data.directory" => {
                engine.directory = text.into();
                self.has_directory = true;
            }
            "data.retention" => {
                let age_ns = value.nanos(0, SPAN_MS_MAX)?;
                engine.retention.age_ns = Some(age_ns).filter(|ns| *ns > 0);
            }
            "data.retention_size" => {
                let bytes = value.parse::<Size>()?.bytes;
                debug_assert!(bytes <= SIZE_BYTES_MAX);
                engine.retention.bytes_max = Some(bytes).filter(|bytes| *bytes > 0);
            }
            "data.free_space_min" => {
                let share = value.parse::<Share>()?.basis_points;
                if share > FREE_SPACE_BASIS_POINTS_MAX || !share.is_multiple_of(100) {
                    return Err(value.refuse("must be a whole percentage, at most 90%"));
                }
                engine.retention.free_percent_min = (share / 100) as u8;
            }
            "data.cursor_size_max" => engine.retention.cursor_bytes_max = value.parse::<Size>()?.bytes,
            "data.commit_linger" => {
                engine.commit.linger_ns = value.nanos(0, COMMIT_INTERVAL_MS_MAX)?;
                self.linger_given = true;
            }
            "data.commit_interval" => engine.commit.interval_ns = value.nanos(1, COMMIT_INTERVAL_MS_MAX)?,
            "data.commits_per_second_max" => {
                engine.commits_per_second_max = value.count(0, COMMITS_PER_SECOND_MAX)? as u32;
            }
            "data.disk" => {
                engine.backend = match text {
                    "auto" => None,
                    "io_uring" => Some(Backend::Uring),
                    "threads" => Some(Backend::Threads),
                    _ => return Err(value.refuse("must be auto, io_uring or threads")),
                };
                self.uring_wanted = text == "io_uring";
            }
            "limits.series_max" => engine.series_max = value.count(1, SERIES_MAX)?,
            "workers" => engine.workers = value.count(1, u64::from(WORKERS_MAX))? as u32,
            "writer.full_wait" => self.patience = Duration::from_nanos(value.nanos(0, FULL_WAIT_MS_MAX)?),
            _ => return Err(Failure::new(TDG_E_CONFIG, format!("{key:?} is no option"))),
        }
        Ok(())
    }

    /// The engine's options, if they go together.
    pub(super) fn checked(&self) -> Result<engine::Options, Failure> {
        let refuse = |message: String| Err(Failure::new(TDG_E_CONFIG, message));
        if !self.has_directory {
            return refuse("data.directory is not set".into());
        }
        if self.uring_wanted
            && let Err(error) = Backend::Uring.check()
        {
            return refuse(format!("data.disk: io_uring is refused here: {error}"));
        }
        let mut options = self.engine.clone();
        let commit = &mut options.commit;
        if commit.linger_ns > commit.interval_ns {
            if self.linger_given {
                return refuse("data.commit_linger is over data.commit_interval".into());
            }
            commit.linger_ns = commit.interval_ns;
        }
        Ok(options)
    }
}

/// An option as it was given.
struct Value<'a> {
    key: &'a str,
    text: &'a str,
}

impl Value<'_> {
    fn refuse(&self, why: &str) -> Failure {
        Failure::new(TDG_E_CONFIG, format!("{}: {:?} {why}", self.key, self.text))
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self) -> Result<T, Failure> {
        self.text.parse().map_err(|why: T::Err| self.refuse(&format!("is {why}")))
    }

    fn nanos(&self, ms_min: u64, ms_max: u64) -> Result<u64, Failure> {
        let span = self.parse::<TimeSpan>()?;
        if (ms_min..=ms_max).contains(&span.ms) {
            return Ok(span.ms * NANOS_PER_MILLI);
        }
        let [least, most] = [ms_min, ms_max].map(|ms| TimeSpan { ms });
        Err(self.refuse(&format!("is not between {least} and {most}")))
    }

    fn count(&self, least: u64, most: u64) -> Result<u64, Failure> {
        match self.text.parse::<Count>() {
            Ok(Count { number }) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.refuse(&format!("is not a number from {least} to {most}"))),
        }
    }
}

const PATIENCE_DEFAULT: Duration = Duration::from_secs(1);
const NANOS_PER_MILLI: u64 = 1_000_000;

// As the configuration file has them.
const COMMIT_INTERVAL_MS_MAX: u64 = 60 * 1000;
const COMMITS_PER_SECOND_MAX: u64 = 1_000_000;
const FREE_SPACE_BASIS_POINTS_MAX: u32 = 9_000;
const SERIES_MAX: u64 = 4_000_000_000;
const FULL_WAIT_MS_MAX: u64 = 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Box<tdg_options> {
        // SAFETY: it was just made.
        unsafe { Box::from_raw(tdg_options_new()) }
    }

    #[test]
    fn the_files_keys_and_units_are_taken() {
        let mut options = options();
        for (key, value) in [
            ("data.directory", "/tmp/x"),
            ("data.retention", "1d12h"),
            ("data.retention_size", "1.5GiB"),
            ("data.cursor_size_max", "3GiB"),
            ("data.free_space_min", "10%"),
            ("data.commit_linger", "1ms"),
            ("data.commit_interval", "50ms"),
            ("data.commits_per_second_max", "100"),
            ("data.disk", "threads"),
            ("limits.series_max", "1_000_005"),
            ("workers", "2"),
            ("writer.full_wait", "0"),
        ] {
            options.set(key, value).unwrap();
        }
        let engine = options.checked().unwrap();
        assert_eq!(engine.directory, PathBuf::from("/tmp/x"));
        assert_eq!(engine.retention.age_ns, Some(36 * 3_600_000_000_000));
        assert_eq!(engine.retention.cursor_bytes_max, 3 << 30);
        assert_eq!((engine.retention.bytes_max, engine.retention.free_percent_min), (Some(3 << 29), 10));
        assert_eq!((engine.commit.linger_ns, engine.commit.interval_ns), (1_000_000, 50_000_000));
        assert_eq!((engine.commits_per_second_max, engine.backend), (100, Some(Backend::Threads)));
        assert_eq!((engine.series_max, engine.workers, options.patience), (1_000_005, 2, Duration::ZERO));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let mut options = options();
        for (key, value) in [
            ("data.dir", "x"),
            ("", ""),
            ("data.directory", ""),
            ("data.directory", "a\0b"),
            ("data.retention", "15"),
            ("data.retention_size", "1 GB"),
            ("data.free_space_min", "91%"),
            ("data.free_space_min", "2.5%"),
            ("data.commit_interval", "0"),
            ("data.commit_interval", "2m"),
            ("data.commits_per_second_max", "+1"),
            ("data.commits_per_second_max", "_"),
            ("data.disk", "floppy"),
            ("limits.series_max", "0"),
            ("workers", "0"),
            ("workers", "99999999999999999999"),
            ("writer.full_wait", "-1"),
        ] {
            let failure = options.set(key, value).unwrap_err();
            assert_eq!(failure.status, TDG_E_CONFIG, "{key} {value}");
            assert!(failure.to_string().contains(key), "{failure}");
        }
        assert!(options.checked().is_err(), "no directory");
        options.set("data.directory", "x").unwrap();
        options.set("data.commit_interval", "1ms").unwrap();
        assert_eq!(options.checked().unwrap().commit.linger_ns, 1_000_000, "the default follows");
        options.set("data.commit_linger", "2ms").unwrap();
        assert!(options.checked().is_err());
    }
}
