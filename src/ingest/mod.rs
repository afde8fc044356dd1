//! Ingest: raw keys and rows in, a filled [`Batch`](crate::model::Batch) and a growing
//! [`Dictionary`](crate::model::Dictionary) out.
//!
//! The room where a row finds its series. Invariants: a key is found by comparing its bytes, never by hash alone; equal
//! keys of one context are one series, and so are different spellings of the same labels; a row is in the batch whole
//! or not at all; after warm-up a row of a known series and shape allocates nothing.
//!
//! It knows no wire format, no file and no clock.
//!
//! Finding a series is the hot spot of the whole way of the data, so it goes by a ladder ([`Writer`]): the key that
//! followed the stream's previous key last time (one comparison, no hash); if predictions fail, keys announced ahead,
//! whose memory is fetched in parallel; then a plain probe; then the previous generation; then the decoder is asked to
//! parse the labels.

mod acquaintance;
mod announced;
mod budget;
mod columns;
mod guest;
mod hash;
mod index;
mod keys;
mod packer;
mod parcel;
mod registry;
mod rehearsal;
mod said;
mod shapes;
mod stream;
mod survey;
mod table;
mod writer;

pub use budget::SeriesBudget;
pub use columns::{Column, Values};
pub use guest::{Guest, TakenIn};
pub use hash::KeyHasher;
pub use packer::{FieldValue, NotPushed, Packer, ROW_BYTES_MAX};
pub use parcel::{PARCEL_BYTES_MAX, PARCEL_ROWS_MAX, Parcel};
pub use registry::{Registry, SeriesHandle};
pub use rehearsal::Rehearsal;
pub use shapes::{ShapeSymbols, Shapes};
pub use stream::{ContextId, Stream};
pub use survey::{Survey, SurveyCounts};
pub use table::Table;
pub use writer::{Ingest, IngestLimits, Mark, SideSymbols, Writer};
