//! Discovery against real servers on loopback: files, HTTP, DNS, and an API server that lists and watches as
//! Kubernetes's does.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "server")]

mod api_server;
mod dns_double;
mod harness;
mod http_double;

mod dns;
mod file;
mod http;
mod kubernetes;
mod pages;
mod reload;
mod tls;
mod troubles;
