//! The process around the engine: configuration, logging, signals, and the order in which they start and stop.
//!
//! Comes in: the parsed command line, the environment (handed in, never read behind a caller's back), one YAML file.
//! Goes out: a [`config::Config`] in which nothing is left to look up, log lines on stderr, an exit code. Keeps: a
//! wrong setting stops the start, with its place and its key, before anything is opened.

pub mod args;
pub mod config;
pub mod descriptors;
pub mod host;
pub mod logging;
pub mod requests;
pub mod scraping;
pub mod signals;

mod process;
mod sights;

pub use crate::model::units;
pub use process::{ServeError, serve};
pub use sights::Sights;
