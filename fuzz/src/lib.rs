//! What is asked of each decoder about any bytes at all, by libFuzzer (`run.sh`, `cargo fuzz run`) and, on the
//! committed inputs, by the ordinary tests (`tests/fuzz_corpora.rs` includes this file).
//!
//! An input's first bytes say how the rest comes: in pieces of which lengths, with room for how many rows, in which of
//! a format's dialects. Everything asserted here must hold for every input: no panic, the same rows and the same
//! faults however the bytes are cut and wherever the intake was full, and counts that add up.

mod allocation;
mod block;
mod bodies;
mod coding;
mod formats;
mod http;
mod image;
mod recovery;
mod settings;
mod statsd;
mod way;

pub use block::block;
pub use coding::{coding, snappy};
pub use formats::{
    collectd, exposition, graphite, influx, ndjson, opentsdb, otlp_json, otlp_protobuf, push, remote_write,
    scrape, vm_import,
};
pub use http::http;
pub use recovery::recovery;
pub use settings::{config, relabel};
pub use statsd::statsd;

/// A target's name, which is its folder's in `corpus/`, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("block", block),
    ("coding", coding),
    ("collectd", collectd),
    ("config", config),
    ("exposition", exposition),
    ("graphite", graphite),
    ("http", http),
    ("influx", influx),
    ("ndjson", ndjson),
    ("opentsdb", opentsdb),
    ("otlp_json", otlp_json),
    ("otlp_protobuf", otlp_protobuf),
    ("push", push),
    ("recovery", recovery),
    ("relabel", relabel),
    ("remote_write", remote_write),
    ("scrape", scrape),
    ("snappy", snappy),
    ("statsd", statsd),
    ("vm_import", vm_import),
];
