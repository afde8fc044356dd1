//! Graphite's plaintext protocol.
