//! Walking over the blocks of one segment file: headers only, trusting no length, in bounded memory.
//!
//! A block counts if its header's checksum is right and names this log, worker and epoch: what the file held before
//! it was recycled does not. Where no such header is, the walk goes on at the next 4 KiB boundary that has one and
//! says which bytes it passed over. What that means (a torn tail, damage, or the unused rest of a file) is for those to
//! say who know what must be there.

use super::disk::BlockFile;
use super::segment::SEGMENT_PAGE;
use crate::bytes::AlignedBuf;
use crate::model::{BLOCK_ALIGN, BlockHeader, HeaderError, LogId};

/// Whose blocks a walk looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) log: LogId,
    pub(super) worker: u32,
    /// `None` while unknown, with the segment's header lost: the first block found tells.
    pub(super) epoch: Option<u64>,
}

/// What a walk came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// A block's header; the block fits into the file. Its content is not checked.
    Block { offset: u64, header: BlockHeader },
    /// Bytes without a block, with a block behind them.
    Gap { offset: u64, len: u64 },
    /// No block from here to the end, `len` bytes on; 0 if the last block ends there. The walk is over, for now.
    End { offset: u64, len: u64 },
}

/// A walk.
#[derive(Debug)]
pub(super) struct Walk<F> {
    file: F,
    pub(super) owner: Owner,
    at: u64,
    end: u64,
    window: AlignedBuf,
    window_at: u64,
}

impl<F: BlockFile> Walk<F> {
    /// A walk over the blocks of `file` that lie below `end`.
    pub(super) fn new(file: F, owner: Owner, end: u64) -> Walk<F> {
        Walk { file, owner, at: SEGMENT_PAGE as u64, end, window: AlignedBuf::new(), window_at: 0 }
    }

    /// The header of a block of ours at `offset`, if there is one. Does not move the walk.
    pub(super) fn block_at(&mut self, offset: u64) -> Option<BlockHeader> {
        self.window.clear();
        self.header_at(offset, BLOCK_ALIGN)
    }

    /// Whether the file ends inside of what starts at `offset`: of a block of ours, or of 4 KiB.
    pub(super) fn is_cut_at(&mut self, offset: u64) -> bool {
        self.window.clear();
        let end = std::mem::replace(&mut self.end, u64::MAX);
        let cut = self.header_at(offset, BLOCK_ALIGN).is_some();
        self.end = end;
        cut || !end.is_multiple_of(BLOCK_ALIGN as u64)
    }

    /// Goes back to where there was no block.
    pub(super) fn rewind(&mut self, offset: u64) {
        self.at = offset;
    }

    /// Says that the file has grown.
    pub(super) fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The next step. Unreadable bytes are as good as none: a bad disk costs what lies on it.
    pub(super) fn step(&mut self) -> Step {
        self.window.clear();
        if let Some(header) = self.header_at(self.at, BLOCK_ALIGN) {
            return self.take(header);
        }
        let start = self.at;
        let mut at = start + BLOCK_ALIGN as u64;
        while at < self.end {
            if let Some(header) = self.header_at(at, SCAN_BYTES) {
                debug_assert_eq!(Some(header.epoch), self.owner.epoch);
                self.at = at;
                return Step::Gap { offset: start, len: at - start };
            }
            at += BLOCK_ALIGN as u64;
        }
        Step::End { offset: start, len: self.end.saturating_sub(start) }
    }

    fn take(&mut self, header: BlockHeader) -> Step {
        let offset = self.at;
        self.at += header.block_len() as u64;
        Step::Block { offset, header }
    }

    /// The header at `at`, if a block of ours starts there and fits. Reads `ahead` bytes at once when it must read.
    fn header_at(&mut self, at: u64, ahead: usize) -> Option<BlockHeader> {
        if at >= self.end {
            return None;
        }
        let header = match BlockHeader::decode(self.page(at, ahead)?) {
            Ok(header) => header,
            Err(HeaderError::Damaged | HeaderError::Newer { .. }) => return None,
        };
        let ours = header.log == self.owner.log
            && header.worker == self.owner.worker
            && self.owner.epoch.is_none_or(|epoch| epoch == header.epoch)
            && header.sequence != 0
            && header.block_len() as u64 <= self.end - at;
        if ours {
            self.owner.epoch = Some(header.epoch);
        }
        ours.then_some(header)
    }

    /// The 4 KiB at `at`; `None` if they cannot be read.
    fn page(&mut self, at: u64, ahead: usize) -> Option<&[u8]> {
        let window_end = self.window_at + self.window.len() as u64;
        if at < self.window_at || at + BLOCK_ALIGN as u64 > window_end {
            self.window_at = at;
            let want = ahead.min(usize::try_from(self.end - at).unwrap_or(ahead));
            self.window.resize(want);
            let read = match self.file.read_full_at(&mut self.window, at) {
                Ok(n) => n,
                Err(_) if want > BLOCK_ALIGN => {
                    // Find out which of these pages it is.
                    self.window.resize(BLOCK_ALIGN);
                    self.file.read_full_at(&mut self.window, at).unwrap_or(0)
                }
                Err(_) => 0,
            };
            self.window.resize(read);
        }
        let from = usize::try_from(at - self.window_at).ok()?;
        self.window.get(from..from + BLOCK_ALIGN)
    }
}

const SCAN_BYTES: usize = 256 << 10;
