//! tidegate: one door for metrics and events.
//!
//! Rows come in by push or pull, pass one core that shares nothing between threads, and are on disk, in columnar
//! blocks, before anybody is told that they were taken. This crate is that core: link it, open an engine on a
//! directory, write rows, wait until they are durable, read them back. The `server` feature (on by default) adds
//! the gateway: sockets, configuration and the command line of the `tidegate` binary.
//!
//! # As a library
//!
//! | to | use |
//! |---|---|
//! | run the engine in a process of your own | [`engine::Embedded`] |
//! | write rows from a thread, or bodies of line protocol | [`engine::RowWriter`], one for each thread |
//! | know when rows are on stable storage | [`engine::Token`] |
//! | read rows, from any process | [`reader::Reader`] |
//! | drive a worker by an event loop of your own, as the server does | [`engine::Engine`], [`engine::Worker`] |
//!
//! ```
//! use std::time::Duration;
//! use tidegate::engine::{Embedded, FieldValue, Options};
//! use tidegate::log::LogError;
//! use tidegate::reader::{Query, Reader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let engine = Embedded::open(Options::new(directory))?;
//! let mut rows = engine.writer()?;
//! let disk = rows.series(&[("__name__", "disk"), ("path", "/")])?;
//! let fields = [("used", FieldValue::U64(4096)), ("state", FieldValue::String("ok"))];
//! rows.push_row(disk, 1_700_000_000_000_000_000, &fields)?;
//! rows.flush()?.wait(Duration::from_secs(10))?;
//!
//! let mut found = 0;
//! Reader::open(directory)?.rows(Query::default())?.for_each(|row| {
//!     assert_eq!(row.labels.value(b"path"), Some(&b"/"[..]));
//!     found += 1;
//!     Ok::<_, LogError>(())
//! })?;
//! assert_eq!(found, 1);
//! engine.close(Duration::from_secs(10))?;
//! # Ok(())
//! # }
//! ```
//!
//! What a wait, and the lack of one, means:
//!
//! | | the row is |
//! |---|---|
//! | `push` gave `Ok` | in the engine's memory; on disk within the commit interval, if the disk is sound |
//! | `push` gave an error | not taken |
//! | [`Token::wait`](engine::Token::wait) gave `Ok` | on stable storage, and found after any crash |
//! | it gave [`NotDurable::InDoubt`](engine::NotDurable::InDoubt) or `Closed` | in doubt: found later, or not |
//! | the writer was dropped before a flush or the interval | discarded, and counted |
//! | the engine was closed or dropped | committed first, if it had been pushed before and the disk is sound |
//!
//! The rooms and who may import whom are drawn in ARCHITECTURE.md and held by `tests/floors.rs`.

pub mod block;
pub mod bytes;
pub mod clock;
pub mod engine;
pub mod ingest;
pub mod log;
pub mod model;
pub mod reader;
pub mod sync;
pub mod telemetry;
pub mod wire;

#[cfg(feature = "capi")]
pub mod ffi;

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod relabel;
#[cfg(feature = "server")]
pub mod scrape;
#[cfg(feature = "server")]
pub mod serve;
