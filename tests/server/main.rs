//! The server from outside: the built binary as a process, raw sockets, and what `log cat` prints afterwards.
//!
//! Nothing here knows how the server works inside; what is promised to clients is asked for as a client would. Tests
//! wait for conditions, never for time to pass; the limits on waiting only end a test that has failed anyway.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod client;
mod harness;
mod log;

mod corpora;
mod door;
mod drain;
mod exposition;
mod faults;
mod influx;
mod json;
mod kills;
mod limits;
mod lines;
mod otlp;
mod pages;
mod peers;
mod prometheus_yml;
mod pushgateway;
mod remote_write;
mod rows;
mod tls;
