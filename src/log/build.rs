//! Segment files as a whole: preparing one before it is needed, and closing one when its worker is done with it.
//!
//! Both run as background jobs. A prepared file has its final name, its header, its directory entry and all its
//! blocks of storage on disk before a worker hears of it, so that a commit to it changes no metadata and needs one
//! write and one flush. Files that retention gave up are used again: their storage is there already.

use std::io;

use super::disk::{Access, BlockFile, Files};
use super::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName, Totals, Trailer};
use crate::bytes::AlignedBuf;
use crate::model::{BLOCK_BYTES_MAX, BlockHeader, BlockKind, HEADER_LEN, LogId, crc32c};

/// A segment ready for its first block.
#[derive(Debug)]
pub(super) struct Prepared<F> {
    pub(super) name: SegmentName,
    pub(super) epoch: u64,
    pub(super) file: F,
    pub(super) bytes: u64,
    pub(super) created_ns: u64,
}

/// Makes a segment of `bytes`, zero-written or recycled.
///
/// # Errors
/// The operating system's; nothing is left behind but, at worst, a file of a temporary name.
pub(super) fn prepare<S: Files>(
    files: &S,
    header: &SegmentHeader,
    bytes: u64,
) -> io::Result<Prepared<S::File>> {
    let temporary = temporary_name(header.name.worker);
    match files.remove(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = match claim_spare(files, &temporary)? {
        Some(file) => file,
        None => files.create(&temporary)?,
    };
    let filled = fill(&file, header, bytes);
    if filled.is_err() {
        // Gives the space back: what filled the disk must not stay.
        let _ = files.remove(&temporary);
    }
    let bytes = filled?;
    let name = header.name.to_string();
    files.rename(&temporary, &name)?;
    if let Err(error) = files.sync_directory() {
        // It will not be used, nor heard of before the next start.
        let _ = files.remove(&name);
        return Err(error);
    }
    Ok(Prepared { name: header.name, epoch: header.epoch, file, bytes, created_ns: header.created_ns })
}

/// Writes header and zeros, and gives the file's length.
fn fill<F: BlockFile>(file: &F, header: &SegmentHeader, bytes: u64) -> io::Result<u64> {
    let old = file.len()?.next_multiple_of(SEGMENT_PAGE as u64);
    let mut zeros = AlignedBuf::new();
    let missing = usize::try_from(bytes.saturating_sub(old)).unwrap_or(ZERO_BYTES);
    zeros.resize(missing.clamp(SEGMENT_PAGE, ZERO_BYTES));
    if old > 0 {
        // A recycled file ends in a trailer, which must not speak for the new segment.
        file.write_all_at(&zeros[..SEGMENT_PAGE], old - SEGMENT_PAGE as u64)?;
    }
    let mut at = old;
    while at < bytes {
        let n = (bytes - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..n as usize], at)?;
        at += n;
    }
    file.write_all_at(&header.encode(), 0)?;
    file.sync()?;
    Ok(at)
}

/// Takes a file that retention put aside, if there is one.
fn claim_spare<S: Files>(files: &S, temporary: &str) -> io::Result<Option<S::File>> {
    for name in files.list()? {
        if is_spare(&name) {
            match files.rename(&name, temporary) {
                Ok(()) => {
                    // Its old name must be gone for good before its old content is.
                    files.sync_directory()?;
                    return files.open(temporary, Access::Commit).map(Some);
                }
                // Another worker was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(None)
}

/// What is needed to close a segment.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) log: LogId,
    pub(super) name: SegmentName,
    pub(super) epoch: u64,
    /// Where its blocks end.
    pub(super) data_end: u64,
    /// Sequences below this are used up.
    pub(super) sequence_floor: u64,
    pub(super) totals: Totals,
}

/// Writes footer and trailer behind the blocks, and cuts the file there. An empty `footer` is none.
///
/// # Errors
/// The operating system's. The segment then stays open, to be closed by the next start.
pub(super) fn close<F: BlockFile>(file: &F, ending: &Ending, footer: &[u8]) -> io::Result<()> {
    let mut footer_len = 0;
    if !footer.is_empty() && footer.len() <= FOOTER_BYTES_MAX {
        let mut block = AlignedBuf::new();
        block.extend_from_slice(&footer_header(ending, footer).encode());
        block.extend_from_slice(footer);
        block.pad();
        file.write_all_at(&block, ending.data_end)?;
        // A trailer vouches for the footer, so it comes after it.
        file.sync()?;
        footer_len = block.len() as u64;
    }
    let trailer = Trailer {
        footer_offset: ending.data_end,
        footer_len,
        epoch: ending.epoch,
        sequence_floor: ending.sequence_floor,
        totals: ending.totals,
    };
    let mut page = AlignedBuf::new();
    trailer.encode(&mut page);
    let trailer_at = ending.data_end + footer_len;
    file.write_all_at(&page, trailer_at)?;
    // A trailer counts only at the end of the file.
    file.set_len(trailer_at + page.len() as u64)?;
    file.sync()
}

impl Ending {
    /// The end of a segment that never got a block.
    pub(super) fn of_nothing(header: &SegmentHeader) -> Ending {
        Ending {
            log: header.log,
            name: header.name,
            epoch: header.epoch,
            data_end: SEGMENT_PAGE as u64,
            sequence_floor: header.sequence_floor,
            totals: Totals::empty(header.sequence_floor, header.created_ns),
        }
    }
}

fn footer_header(ending: &Ending, footer: &[u8]) -> BlockHeader {
    let totals = &ending.totals;
    BlockHeader {
        kind: BlockKind::Footer,
        log: ending.log,
        worker: ending.name.worker,
        tenant: 0,
        epoch: ending.epoch,
        // A footer takes no number of its own: it repeats the last block's.
        sequence: totals.last_sequence,
        durable_sequence: totals.last_sequence,
        stamp_ns: totals.last_stamp_ns,
        time_min_ns: totals.time_min_ns,
        time_max_ns: totals.time_max_ns,
        rows: 0,
        samples: 0,
        dictionary_len: 0,
        payload_len: footer.len() as u32,
        dictionary_crc: crc32c(&[]),
        payload_crc: crc32c(footer),
    }
}

/// The name of a file that is being prepared.
pub(super) fn temporary_name(worker: u32) -> String {
    format!("w{worker:03}.tmp")
}

/// Whether a file is one that [`temporary_name`] names.
pub(super) fn is_temporary(name: &str, worker: u32) -> bool {
    name == temporary_name(worker)
}

/// The name of a segment's file when it waits to be used again.
pub(super) fn spare_name(name: SegmentName) -> String {
    format!("{SPARE_PREFIX}{name}")
}

/// Whether a file waits to be used again.
pub(super) fn is_spare(name: &str) -> bool {
    name.starts_with(SPARE_PREFIX)
}

/// The longest footer: a block is bounded.
pub const FOOTER_BYTES_MAX: usize = BLOCK_BYTES_MAX - HEADER_LEN;

const SPARE_PREFIX: &str = "spare-";
/// Zeros go to the disk in writes of this size: a commit that comes between two of them waits for one at most.
const ZERO_BYTES: usize = 256 << 10;
