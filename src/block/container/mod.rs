//! A container: a directory and the frames that its entries point into.
//!
//! The dictionary section, the payload and the footer of a block are containers. The directory comes first, so that
//! a reader by ranged requests learns from it which frames it needs.

mod decode;
mod encode;

pub(super) use decode::Container;
pub(super) use encode::{ContainerWriter, Soft};

/// How a frame lies on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum FrameCodec {
    Stored = 0,
    Zstd = 1,
    /// Reserved: compressed with a dictionary that the segment defines.
    ZstdDictionary = 2,
}

/// Where a column's bytes start. Their length follows from the column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stream {
    pub(super) frame: u32,
    pub(super) offset: u32,
}

/// The kinds of entries. A reader that meets an unknown one skips it if [`OPTIONAL`] is set and else refuses.
pub(super) mod entry {
    /// In a payload: a table of rows.
    pub(in crate::block) const ROWS: u8 = 1;
    /// In a dictionary or footer.
    pub(in crate::block) const SYMBOLS: u8 = 16;
    /// In a dictionary or footer.
    pub(in crate::block) const SERIES: u8 = 17;
    /// In a footer.
    pub(in crate::block) const BLOCKS: u8 = 32;
    /// In a payload: a table of exemplars.
    pub(in crate::block) const EXEMPLARS: u8 = 0x82;
    /// In a payload: a table of metadata.
    pub(in crate::block) const METADATA: u8 = 0x83;
}

/// The bit of an entry's or section's kind that allows a reader to skip it.
pub(super) const OPTIONAL: u8 = 0x80;
