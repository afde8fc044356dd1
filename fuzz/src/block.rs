//! Blocks, as bytes whose checksums were right.

use tidegate::block::{
    DecodeError, DictionaryPart, DictionaryParts, Part, Table, decode_dictionary, decode_footer, decode_rows,
};
use tidegate::model::{BlockHeader, BlockKind, HEADER_LEN, crc32c};

use super::allocation::peak_bytes;

/// What `format.md` and [`decode_rows`] allow a decoder to hold: the directory and its lists, the frames, a table's
/// rows, values and columns; doubled, since lists that grow are copied.
const HELD_BYTES_MAX: u64 =
    2 * ((32 << 20) + (12 << 20) + (256 << 20) + 32 * ((1 << 20) + (8 << 20)) + 256 * (1 << 18));

/// Rows of a table that are looked at; a few bytes may claim a million.
const ROWS_WALKED_MAX: usize = 4096;

/// The blocks of an input, one behind the other as in a segment: each is decoded or refused within the bounds, and
/// what is decoded can be walked. Headers get the checksum that they need.
pub fn block(data: &[u8]) {
    let held = peak_bytes(|| {
        let mut rest = data;
        while let Some(len) = one(rest) {
            rest = rest.get(len..).unwrap_or_default();
        }
    });
    assert!(held <= HELD_BYTES_MAX, "{held} bytes were held");
}

/// Reads a block; gives its length, padding included, if it has a header.
fn one(data: &[u8]) -> Option<usize> {
    let mut head: [u8; HEADER_LEN] = data.get(..HEADER_LEN)?.try_into().ok()?;
    let crc = crc32c(&head[..HEADER_LEN - 4]);
    head[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
    let header = BlockHeader::decode(&head).ok()?;
    assert_eq!(BlockHeader::decode(&header.encode()).as_ref(), Ok(&header), "a header survives");
    let body = &data[HEADER_LEN..];
    let (dictionary, body) = body.split_at(body.len().min(header.dictionary_len as usize));
    let payload = &body[..body.len().min(header.payload_len as usize)];
    let _ = decode_dictionary(dictionary).and_then(|parts| definitions(&parts));
    let _ = match header.kind {
        BlockKind::Footer => footer(payload),
        BlockKind::Rows | BlockKind::Merged => rows(&header, payload),
    };
    Some(header.block_len())
}

fn definitions(parts: &DictionaryParts<'_>) -> Result<(), DecodeError> {
    parts.for_each(|part| {
        match part {
            DictionaryPart::Symbols(part) => part.iter().for_each(|(_, text)| touch(text)),
            DictionaryPart::Series(part) => {
                part.iter().for_each(|(_, labels)| assert!(labels.iter().all(|(name, _)| name.0 < u32::MAX)));
            }
        }
        Ok(())
    })
}

fn footer(payload: &[u8]) -> Result<(), DecodeError> {
    let footer = decode_footer(payload)?;
    footer.dictionary.as_ref().map_or(Ok(()), definitions)
}

fn rows(header: &BlockHeader, payload: &[u8]) -> Result<(), DecodeError> {
    let block = decode_rows(header, payload)?;
    let (mut rows, mut samples) = (0, 0);
    block.for_each_table(|table| {
        rows += table.series.len() as u64;
        samples += table.columns.iter().map(|column| column.len() as u64).sum::<u64>();
        walk(table);
        Ok::<_, DecodeError>(())
    })?;
    assert_eq!((rows, samples), (u64::from(header.rows), header.samples), "tables add up to the header");
    block.for_each_part(|part| {
        match part {
            Part::Rows(_) => {}
            Part::Exemplars(exemplars) => {
                walk(&exemplars.table);
                for row in 0..exemplars.table.series.len().min(ROWS_WALKED_MAX) {
                    exemplars.labels(row).iter().for_each(|(name, value)| touch(&[name, value].concat()));
                }
            }
            Part::Metadata(table) => {
                assert_eq!(table.names.len(), table.kinds.len());
                for row in 0..table.names.len().min(ROWS_WALKED_MAX) {
                    touch(table.unit(row));
                    touch(table.help(row));
                }
            }
        }
        Ok(())
    })
}

fn walk(table: &Table<'_>) {
    assert_eq!(table.series.len(), table.times.len());
    let mut rows = table.rows();
    for _ in 0..ROWS_WALKED_MAX {
        let Some(row) = rows.next() else { break };
        row.values().for_each(|(_, value)| touch(format!("{value:?}").as_bytes()));
    }
}

/// Reads all of it: a slice that reached outside would be found out.
fn touch(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().fold(0u8, |sum, &b| sum.wrapping_add(b)));
}
