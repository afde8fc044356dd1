//! The bounds of format 1, and why a block never outgrows them.
//!
//! Writers keep them by construction, readers refuse what breaks them; `format.md` lists them.

use crate::model::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, BLOCK_ALIGN, BLOCK_BYTES_MAX, HEADER_LEN};

/// Rows in a block.
pub(super) const ROWS_MAX: usize = 1 << 20;

/// Values in a block.
pub(super) const SAMPLES_MAX: usize = 8 << 20;

/// Fields of a row, and columns of a table. Whoever takes rows refuses longer ones.
pub const FIELDS_MAX: usize = 1 << 18;

/// Entries in a directory: a table for each row of a batch, and as many again.
pub(super) const ENTRIES_MAX: usize = 1 << 17;

/// Frames of a container.
pub(super) const FRAMES_MAX: usize = 1 << 16;

/// Bytes of a directory, decompressed.
pub(super) const DIRECTORY_BYTES_MAX: usize = 32 << 20;

/// Bytes of a frame, decompressed.
pub(super) const FRAME_BYTES_MAX: usize = 32 << 20;

/// Bytes of all frames of one container, decompressed: what a decoder holds of a payload at most, beside one table.
pub(super) const FRAMES_BYTES_MAX: usize = 256 << 20;

/// Symbols or series in one entry of a dictionary; a writer splits longer ranges.
pub(super) const PART_ITEMS_MAX: usize = 1 << 16;

/// Labels of all series in one entry of a dictionary.
pub(super) const PART_LABELS_MAX: usize = 1 << 20;

/// Bytes of text in one entry of a dictionary, after which a writer starts the next.
pub(super) const PART_TEXT_BYTES: usize = 4 << 20;

/// Bytes of text and keys that one block may define: growth of [`Dictionary::content_bytes`] since the last block.
/// Whoever fills batches seals before it is passed; one definition may reach over it.
///
/// [`Dictionary::content_bytes`]: crate::model::Dictionary::content_bytes
pub const DEFINE_BYTES_MAX: u64 = 8 << 20;

/// Bytes of text and keys that a block repeats of older definitions.
pub(super) const REPEAT_BYTES_MAX: u64 = 1 << 20;

// Why a block fits. Every descriptor in a directory belongs to at least one value or to one of a table's two fixed
// columns, and a row costs 16 bytes of the batch, a value 8: see `descriptors_are_bounded` in `tests.rs` for the
// measured worst case, below four bytes of directory for each byte of batch. A column's data are no longer than
// its words. Definitions: an item's text or key, and at most 10 bytes of lengths and numbers beside each label's two.
pub(super) const DIRECTORY_GROWTH: usize = 4;
const DEFINITION_GROWTH: usize = 2;
const ZSTD_OVERHEAD: usize = 1 << 20;
const LONGEST: usize = HEADER_LEN
    + BATCH_BYTES_MAX * (DIRECTORY_GROWTH + 1)
    + (DEFINE_BYTES_MAX + REPEAT_BYTES_MAX) as usize * DEFINITION_GROWTH
    + ZSTD_OVERHEAD
    + BLOCK_ALIGN;
const _: () = assert!(LONGEST <= BLOCK_BYTES_MAX);
// A table for each row, one for each exemplar, one of metadata.
const _: () = assert!(BATCH_ROWS_MAX + BATCH_ROWS_MAX / 2 < ENTRIES_MAX);
const _: () = assert!(BATCH_BYTES_MAX * DIRECTORY_GROWTH <= DIRECTORY_BYTES_MAX);
const _: () = assert!(FRAMES_BYTES_MAX < u32::MAX as usize);
