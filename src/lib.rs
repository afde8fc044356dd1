//! tidegate: one door for metrics and events.
//!
//! Rows come in by push or pull, pass one core that shares nothing between threads, and are on disk, in columnar
//! blocks, before anybody is told that they were taken. This crate is that core: link it, open an engine on a
//! directory, write rows, wait until they are durable, read them back. The `server` feature (on by default) adds
//! the gateway: sockets, configuration and the command line of the `tidegate` binary.
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

#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod serve;
