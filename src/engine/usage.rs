//! How much of the disk the log takes.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::log::{Directory, SegmentName};
use crate::telemetry::WorkerCounters;

/// Bytes of a log's files.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Segments up to the end of their blocks.
    pub live_bytes: u64,
    /// All files, preallocated and recycled ones too, as the file system counts them.
    pub allocated_bytes: u64,
}

impl Usage {
    /// Looks at the files. What cannot be looked at counts nothing: files come and go while this runs.
    pub(super) fn measure(directory: &Directory, workers: &[Arc<WorkerCounters>]) -> Usage {
        let mut usage = Usage::default();
        let Ok(entries) = std::fs::read_dir(directory.files().root()) else { return usage };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            usage.allocated_bytes += metadata.blocks() * STAT_BLOCK_BYTES;
            let Some(name) = entry.file_name().to_str().and_then(SegmentName::parse) else { continue };
            usage.live_bytes += match workers.get(name.worker as usize) {
                Some(w) if w.segment_number.value() == name.number => w.segment_bytes.value(),
                // Prepared for later.
                Some(w) if w.segment_number.value() < name.number => 0,
                _ => metadata.len(),
            };
        }
        usage
    }
}

/// The unit of `st_blocks`, whatever the file system's own.
const STAT_BLOCK_BYTES: u64 = 512;
