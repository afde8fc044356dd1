//! cli
pub mod bench;
pub mod progress;
