//! Wire formats: bytes in, rows out.
//!
//! A decoder reads bytes and pushes rows into an [`Intake`](crate::model::Intake). It does no I/O, reads no clock,
//! takes no lock, and keeps no bytes: what it could not use yet stays with the caller and comes again with more.

pub mod influx;
#[doc(hidden)]
pub mod testing;
