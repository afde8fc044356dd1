//! Every case of the shared corpora that is about decoding, format by format.
//!
//! Cases that tidegate decides otherwise than their source stand in `corpora_exceptions.txt` with the reason; one that
//! stands there and comes out right is a failure too. Cases that are HTTP requests are tried on the server.

#![allow(clippy::unwrap_used, reason = "a case that is not as its suite's format says is a failure")]

#[cfg(feature = "server")]
#[path = "../discovery/dns_double.rs"]
mod dns_double;
mod kit;

#[cfg(feature = "server")]
mod discovery;
mod exposition;
mod exposition_protobuf;
mod graphite;
mod influx;
mod opentsdb;
mod otlp;
#[cfg(feature = "server")]
mod relabel;
mod remote_write;
#[cfg(feature = "server")]
mod scrape_config;
mod statsd;
mod vm_import;
