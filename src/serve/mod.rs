//! serve

mod answer;

mod memory;
mod metrics;
