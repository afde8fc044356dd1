//! Memory that grows without moving, aligned buffers, varints, decimals, the fields of protobuf messages, JSON text,
//! lines.
//!
//! What a worker keeps per series lies in pages here: growing never copies what is there, so no row waits for it.

mod aligned;
mod arena;
pub mod decimal;
pub mod float;
pub mod json;
mod lines;
mod paged;
mod prefetch;
mod protobuf;
mod slab;
mod stock;
mod varint;

pub use aligned::AlignedBuf;
pub use arena::{ARENA_ENTRY_BYTES_MAX, Arena};
pub use lines::{Line, LineCutter, whole_lines};
pub use paged::PagedVec;
pub(crate) use prefetch::prefetch;
pub use protobuf::{ProtobufError, ProtobufFields, ProtobufValue};
pub use slab::{SLAB_BYTES, Slab};
pub use stock::SlabStock;
pub use varint::{read_varint, unzigzag, write_varint, zigzag};
