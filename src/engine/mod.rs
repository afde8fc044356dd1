//! engine

mod policy;
mod rate;
