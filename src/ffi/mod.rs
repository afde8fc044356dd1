//! The C ABI: what `include/tidegate.h` declares.
//!
//! In: pointers and numbers that nobody vouches for. Out: statuses. Each file is a noun of the header and holds its
//! calls; they check what they were given, make Rust of it and pass it to [`engine`](crate::engine),
//! [`reader`](crate::reader) and [`arrow`](crate::arrow), which know nothing of C calls. Kept: no panic leaves a call
//! (`guard`), and the handle that it struck refuses all further ones; NULL with length 0 is an empty slice; out
//! parameters are written on success alone, where a call does not say otherwise; a hot call allocates nothing. The
//! header is made from these files by `tests/c_header.rs`, doc comments included: what stands there is written for
//! whoever reads the header.

#![allow(unsafe_code)]
#![allow(non_camel_case_types, reason = "the names are C's")]
// The contract of every call stands in its doc, in the header's words: pointers are valid, as C means it.
#![allow(clippy::missing_safety_doc)]

mod body;
mod cursor;
mod engine;
mod error;
mod fork;
mod guard;
mod log;
mod options;
mod reader;
mod row;
mod series;
mod stats;
mod status;
#[cfg(feature = "capi-testing")]
mod testing;
mod text;
mod token;
mod version;
mod writer;

pub use body::*;
pub use cursor::*;
pub use engine::*;
pub use error::*;
pub use log::*;
pub use options::*;
pub use reader::*;
pub use row::*;
pub use series::*;
pub use stats::*;
pub use status::*;
#[cfg(feature = "capi-testing")]
pub use testing::*;
pub use text::*;
pub use token::*;
pub use version::*;
pub use writer::*;
