//! One block from one batch.

use std::ops::Range;

use super::container::ContainerWriter;
use super::dictionary;
use super::table::{self, Plan};
use crate::bytes::AlignedBuf;
use crate::model::{
    BLOCK_ALIGN, BLOCK_BYTES_MAX, Batch, BlockHeader, Dictionary, DictionaryMark, HEADER_LEN, Shape, ShapeId,
    SymbolId, crc32c,
};

/// Encodes batches. One for each worker: its buffers grow to what the largest batch needs, and stay.
pub struct Encoder {
    container: ContainerWriter,
    plan: Plan,
    dictionary: dictionary::Scratch,
    table: table::Scratch,
}

/// What becomes a block.
pub struct EncodeInput<'a> {
    /// The rows and side records; at least one.
    pub batch: &'a Batch,
    /// What the shapes of its rows are in the segment that the block is for.
    pub shapes: &'a dyn Fn(ShapeId) -> ShapeView<'a>,
    /// The symbol of each exemplar's field.
    pub exemplar_fields: &'a [SymbolId],
    /// The symbol of each metadata's metric.
    pub metadata_names: &'a [SymbolId],
    /// The segment's dictionary.
    pub dictionary: &'a Dictionary,
    /// What this block defines: all that no earlier block of the segment did, up to what its rows need. At most
    /// [`DEFINE_BYTES_MAX`](super::DEFINE_BYTES_MAX) of content, one definition over.
    pub define: Range<DictionaryMark>,
    /// What it repeats: see [`Checkpoint`](super::Checkpoint).
    pub repeat: Range<DictionaryMark>,
    /// The header. Rows, samples, times, lengths and checksums are filled in.
    pub header: BlockHeader,
}

/// A shape as a segment knows it.
#[derive(Clone, Copy, Debug)]
pub struct ShapeView<'a> {
    /// Names and types.
    pub shape: &'a Shape,
    /// The symbols of the names, in the same order; a start time has none.
    pub fields: &'a [SymbolId],
    /// The symbol of the metric's name. Of no meaning for shapes of one value.
    pub metric: SymbolId,
}

/// What an encoding came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EncodeStats {
    /// Bytes of the block, padding included.
    pub block_len: usize,
    /// Bytes of its dictionary section.
    pub dictionary_len: usize,
    /// Bytes of its payload.
    pub payload_len: usize,
    /// Bytes of its columns after encoding, before compression.
    pub columns_len: usize,
    /// Tables of rows.
    pub tables: usize,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Encoder {
    /// An encoder, its buffers empty.
    ///
    /// # Panics
    /// If there is no memory for a zstd context.
    pub fn new() -> Encoder {
        Encoder {
            container: ContainerWriter::new(),
            plan: Plan::default(),
            dictionary: dictionary::Scratch::default(),
            table: table::Scratch::default(),
        }
    }

    /// Appends a block to `out`, padded. `out` is empty or ends on a 4 KiB boundary.
    ///
    /// # Panics
    /// If the batch is empty, `out` is not aligned, or the block would be over 64 MiB: that takes definitions far
    /// over [`DEFINE_BYTES_MAX`](super::DEFINE_BYTES_MAX), or one row of over 32 MiB.
    pub fn encode(&mut self, input: &EncodeInput<'_>, out: &mut AlignedBuf) -> EncodeStats {
        assert!(!input.batch.is_empty(), "an empty batch makes no block");
        assert!(out.len().is_multiple_of(BLOCK_ALIGN), "blocks start on 4 KiB boundaries");
        let start = out.len();
        out.resize(start + HEADER_LEN);

        let Encoder { container, plan, dictionary, table } = self;
        let mut define = |range: &Range<DictionaryMark>, repeated, container: &mut ContainerWriter| {
            let range = (range.start, range.end);
            let integers = &mut table.integers;
            dictionary::encode_range(input.dictionary, range, repeated, dictionary, integers, container);
        };
        define(&input.define, false, container);
        define(&input.repeat, true, container);
        let dictionary_len = if container.is_empty() { 0 } else { container.finish(out) };

        let tables = match input.batch.narrow() {
            Some(rows) => {
                table.encode_narrow(input, rows, container);
                1
            }
            None => {
                plan.assign(input);
                (0..plan.tables()).for_each(|index| table.encode(input, plan, index, container));
                plan.tables()
            }
        };
        table.encode_side(input, container);
        let columns_len = container.raw_bytes();
        let payload_len = container.finish(out);
        let dictionary_at = start + HEADER_LEN;
        let payload_at = dictionary_at + dictionary_len;
        let (time_min_ns, time_max_ns) = input.batch.time_range();
        let header = BlockHeader {
            rows: input.batch.rows() as u32,
            samples: input.batch.samples(),
            time_min_ns,
            time_max_ns,
            dictionary_len: dictionary_len as u32,
            payload_len: payload_len as u32,
            dictionary_crc: crc32c(&out[dictionary_at..payload_at]),
            payload_crc: crc32c(&out[payload_at..]),
            ..input.header.clone()
        };
        out[start..dictionary_at].copy_from_slice(&header.encode());
        out.pad();
        let block_len = out.len() - start;
        assert!(
            block_len <= BLOCK_BYTES_MAX,
            "a block of {block_len} bytes: its definitions are over bounds"
        );
        EncodeStats { block_len, dictionary_len, payload_len, columns_len, tables }
    }
}
