//! Why a configuration was refused, and where that stands.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Where a setting was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the file as a whole.
    File(PathBuf),
    /// At a line and column of the file, both from 1.
    At(PathBuf, u64, u64),
    /// By a flag or a variable of the environment of this name.
    Name(&'static str),
    /// Nowhere: it is the default.
    Default,
}

/// A configuration that can't be used. Shown as `FILE:LINE:COLUMN: key: message`, or `--flag: message`, on one line:
/// what was quoted from the file can't bring control characters to a terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where it stands.
    pub place: Place,
    /// The key, from the top of the file with dots; empty where none is at fault.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "{}: ", path.display())?,
            Place::At(path, line, column) => write!(f, "{}:{line}:{column}: ", path.display())?,
            // The flag's name says which key is meant.
            Place::Name(name) => return write!(f, "{name}: {}", Tame(&self.message)),
            Place::Default => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", Tame(&self.key))?;
        }
        Tame(&self.message).fmt(f)
    }
}

/// Text without its control characters.
struct Tame<'a>(&'a str);

impl Display for Tame<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}

impl std::error::Error for ConfigError {}
