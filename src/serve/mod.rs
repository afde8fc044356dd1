//! The gateway's door: HTTP in, rows into the engine, answers when they are durable.
//!
//! A worker thread (`worker`) owns its connections (`connection`) and an [`engine::Worker`](crate::engine::Worker).
//! Heads are routed and bodies taken at its desk (`receive`); a write's rows go straight from the read buffer into the
//! engine (`request`), and its answer is parked until their commit. What speaks HTTP ([`http`], [`body`]) does no I/O.
//! Lines that come on sockets of their own ([`lines`]) share the worker and its engine, and nothing else.

mod answer;
pub mod body;
mod connection;
mod format;
pub mod http;
pub mod lines;
mod memory;
mod metrics;
mod pages;
mod receive;
mod request;
mod routes;
mod server;
mod survey;
mod timer;
mod worker;

pub use server::{Control, ServeOptions, Server};
