//! The door for lines: Graphite, StatsD, Influx line protocol and OpenTSDB's puts on sockets of their own, streams and
//! datagrams.
//!
//! Comes in: what a [`LineListener`] is told. Goes out: rows into the worker's engine, counts of what was not taken;
//! nobody is answered, but by OpenTSDB's listener. A worker's `Hall` has its listeners (`gate`), the connections
//! that were placed with it (`connection`), and one buffer for the datagrams of all its sockets (`datagrams`);
//! bytes are decoded where they were read (`feed`).
//!
//! Invariants: what was read is decoded to the end before more is read, so that a full engine stops the reading and TCP
//! does the rest, and datagrams are dropped by the kernel, which counts them; StatsD's sums have one owner, the worker
//! of the listener; at a drain what the kernel holds is read, and the sums are written.

mod connection;
mod datagrams;
mod feed;
mod gate;
mod hall;
mod options;
mod report;
mod socket;

pub(super) use connection::Arrival;
pub(super) use gate::Gate;
pub(super) use hall::{CONNECTIONS as LINE_TOKENS, Ground, Hall};
pub use options::{Endpoint, LineListener, LineProtocol, StatsdOptions};
pub(super) use report::DatagramCounts;
