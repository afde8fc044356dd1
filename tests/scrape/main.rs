//! Scraping from outside: a server in this process, targets that are small servers of the test's own, and what
//! `log cat` prints afterwards.
//!
//! Tests wait for conditions, never for time to pass; the limits on waiting only end a test that has failed anyway.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod gateway;
mod proxy_double;
mod target;

mod access;
mod bodies;
mod hostile;
mod hostile_proxies;
mod proxies;
mod real;
mod reload;
mod staleness;
mod tls;
