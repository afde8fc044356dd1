//! The footer of a sealed segment: its whole dictionary, and where its blocks are.

use super::DecodeError;
use super::codec::integers;
use super::container::{Container, ContainerWriter, entry};
use super::dictionary::{self, DictionaryParts};
use super::limits::FRAMES_BYTES_MAX;
use crate::bytes::{AlignedBuf, write_varint};
use crate::model::{BLOCK_ALIGN, BLOCK_BYTES_MAX, Dictionary, DictionaryMark, HEADER_LEN};

/// A block of a segment, as its footer lists it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockEntry {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its bytes, padding included.
    pub len: u64,
    /// Its sequence.
    pub sequence: u64,
    /// Its stamp.
    pub stamp_ns: u64,
    /// Its rows.
    pub rows: u32,
    /// Its values.
    pub samples: u64,
    /// The least time of its rows.
    pub time_min_ns: i64,
    /// The greatest time of its rows.
    pub time_max_ns: i64,
}

/// A footer, read.
pub struct Footer<'a> {
    /// The segment's blocks, in the order of the file.
    pub blocks: Vec<BlockEntry>,
    /// The segment's dictionary; `None` if it was too large for a footer, and is to be gathered from the blocks.
    pub dictionary: Option<DictionaryParts<'a>>,
}

/// The body of a footer: the payload of a block of kind Footer.
///
/// The dictionary is left out if it would not fit a block. Not for a worker's own thread: it takes about as long as
/// defining the dictionary's series did.
pub fn encode_footer(dictionary: &Dictionary, blocks: &[BlockEntry]) -> AlignedBuf {
    let mut out = AlignedBuf::new();
    let mut container = ContainerWriter::new();
    let mut scratch = integers::Scratch::default();
    // What a dictionary weighs is known to within a factor of two; one near the bound is tried.
    if dictionary.content_bytes() < FRAMES_BYTES_MAX as u64 / 2 {
        let range = (DictionaryMark::default(), dictionary.mark());
        let mut words = dictionary::Scratch::default();
        dictionary::encode_range(dictionary, range, false, &mut words, &mut scratch, &mut container);
        encode_blocks(blocks, &mut scratch, &mut container, DICTIONARY_COMPLETE);
        container.finish(&mut out);
        if out.len() <= BLOCK_BYTES_MAX - HEADER_LEN - BLOCK_ALIGN {
            return out;
        }
        out.clear();
    }
    encode_blocks(blocks, &mut scratch, &mut container, 0);
    container.finish(&mut out);
    out
}

/// Reads the body of a footer whose checksum was right.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_footer(body: &[u8]) -> Result<Footer<'_>, DecodeError> {
    let parts = DictionaryParts::of(Container::open(body)?);
    let mut found = None;
    if let Some(container) = parts.container() {
        for entry in container.entries()?.iter().filter(|e| e.kind == entry::BLOCKS) {
            if found.is_some() {
                return Err(DecodeError::Damaged("two lists of blocks"));
            }
            found = Some(decode_blocks(container, entry.body)?);
        }
    }
    let (flags, blocks) = found.ok_or(DecodeError::Damaged("a footer without a list of blocks"))?;
    Ok(Footer { blocks, dictionary: (flags & DICTIONARY_COMPLETE != 0).then_some(parts) })
}

fn encode_blocks(
    blocks: &[BlockEntry],
    scratch: &mut integers::Scratch,
    container: &mut ContainerWriter,
    flags: u8,
) {
    let mut body = vec![flags];
    write_varint(&mut body, blocks.len() as u64);
    if !blocks.is_empty() {
        for field in 0..FIELDS {
            let mut words: Vec<u64> = blocks.iter().map(|b| b.to_words()[field]).collect();
            integers::encode(&mut words, scratch, container, &mut body);
        }
    }
    container.entry(entry::BLOCKS, &body);
}

fn decode_blocks(
    container: &Container<'_>,
    mut input: super::input::Input<'_>,
) -> Result<(u8, Vec<BlockEntry>), DecodeError> {
    let flags = input.u8()?;
    if flags & !DICTIONARY_COMPLETE != 0 {
        return Err(DecodeError::Newer("flags of a footer"));
    }
    let count = input.count(BLOCKS_MAX, "blocks of a segment")?;
    let mut blocks = vec![[0; FIELDS]; count];
    if count > 0 {
        let mut words = Vec::new();
        for field in 0..FIELDS {
            words.clear();
            integers::decode(count, None, container, &mut input, &mut words)?;
            for (block, &word) in blocks.iter_mut().zip(&words) {
                block[field] = word;
            }
        }
    }
    input.end()?;
    let blocks = blocks.into_iter().map(BlockEntry::from_words).collect::<Result<_, _>>()?;
    Ok((flags, blocks))
}

impl BlockEntry {
    fn to_words(self) -> [u64; FIELDS] {
        [
            self.offset,
            self.len,
            self.sequence,
            self.stamp_ns,
            u64::from(self.rows),
            self.samples,
            self.time_min_ns as u64,
            self.time_max_ns as u64,
        ]
    }

    fn from_words(words: [u64; FIELDS]) -> Result<BlockEntry, DecodeError> {
        let [offset, len, sequence, stamp_ns, rows, samples, time_min_ns, time_max_ns] = words;
        let rows = u32::try_from(rows).map_err(|_| DecodeError::Damaged("rows of a block"))?;
        let (time_min_ns, time_max_ns) = (time_min_ns as i64, time_max_ns as i64);
        Ok(BlockEntry { offset, len, sequence, stamp_ns, rows, samples, time_min_ns, time_max_ns })
    }
}

const FIELDS: usize = 8;

/// The footer has the segment's whole dictionary.
const DICTIONARY_COMPLETE: u8 = 1;

/// More blocks of 4 KiB than this would be a segment of 4 GiB.
const BLOCKS_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::DictionaryPart;
    use crate::model::{SymbolId, encode_series};

    fn entry(i: u64) -> BlockEntry {
        BlockEntry {
            offset: 4096 + i * 8192,
            len: 8192,
            sequence: 10 + i,
            stamp_ns: 1_700_000_000_000_000_000 + i * i,
            rows: 7 * i as u32,
            samples: 70 * i,
            time_min_ns: -5,
            time_max_ns: i64::MAX - i as i64,
        }
    }

    #[test]
    fn a_footer_gives_back_blocks_and_dictionary() {
        let mut dictionary = Dictionary::default();
        for text in ["host", "a", "b"] {
            dictionary.add_symbol(text.as_bytes()).unwrap();
        }
        let mut key = Vec::new();
        encode_series(&mut key, SymbolId(0), SymbolId(2));
        dictionary.add_series(&key).unwrap();
        let blocks: Vec<BlockEntry> = (0..100).map(entry).collect();
        let body = encode_footer(&dictionary, &blocks);
        let footer = decode_footer(&body).unwrap();
        assert_eq!(footer.blocks, blocks);
        let mut known = DictionaryMark::default();
        let count = |part: DictionaryPart<'_>| {
            match part {
                DictionaryPart::Symbols(part) => known.symbols += part.iter().count() as u32,
                DictionaryPart::Series(part) => {
                    let labels: Vec<_> = part.iter().map(|(_, labels)| labels.to_vec()).collect();
                    assert_eq!(labels, [[(SymbolId(0), SymbolId(2))]]);
                    known.series += 1;
                }
            }
            Ok::<_, DecodeError>(())
        };
        footer.dictionary.unwrap().for_each(count).unwrap();
        assert_eq!(known, dictionary.mark());
    }

    #[test]
    fn a_segment_without_blocks_has_a_footer() {
        let body = encode_footer(&Dictionary::default(), &[]);
        assert_eq!(decode_footer(&body).unwrap().blocks, []);
    }
}
