//! JSON text, read in place.
//!
//! [`Json`] is a place in a text that a decoder moves: it asks for what it expects next and gets numbers and strings
//! as slices of the text. There is no tree and no memory of its own, so a body costs what its decoder keeps of it;
//! numbers keep their text, so that integers of 64 bits and the sign of zero survive; and a decoder whose dialect says
//! more than JSON (bare `NaN`, bytes as lone surrogates) reads that itself where it may stand.
//!
//! Invariants: whatever is accepted is JSON by RFC 8259, but for what [`Json::skip`] says of non-numbers; nothing that
//! nests is read deeper than [`JSON_DEPTH_MAX`]. That the text is UTF-8 is for the caller to know.

mod cursor;
mod number;
mod plain;
mod string;

pub use cursor::{JSON_DEPTH_MAX, Json, JsonFault, strings_object_len};
pub use number::JsonNumber;
pub use string::{JsonString, LoneSurrogates};

#[cfg(test)]
mod tests;
