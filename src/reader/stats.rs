//! Counting what a directory holds: by trailers and headers, and by the definitions of series.

use std::hash::RandomState;

use hashbrown::HashSet;

use super::dedup::{Hash, RowHasher};
use super::stream::Open;
use crate::log::disk::{Access, BlockFile, Files};
use crate::log::{Found, LogError, ReadDirectory, Survey};
use crate::model::BlockKind;

/// What a directory holds. What damage took is counted as far as trailers and headers still tell of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Segments that have blocks.
    pub segments: u64,
    /// Blocks of rows.
    pub blocks: u64,
    /// Rows.
    pub rows: u64,
    /// Values, over all rows.
    pub samples: u64,
    /// Series, each counted once over all segments and workers.
    pub series: u64,
    /// The least time of a row, nanoseconds since the Unix epoch; `None` without rows.
    pub time_min_ns: Option<i64>,
    /// The greatest time of a row.
    pub time_max_ns: Option<i64>,
    /// Bytes of segments up to the end of their last block, footers and trailers included.
    pub bytes_live: u64,
    /// Bytes of storage that the log's files take, those prepared or kept to be used again included.
    pub bytes_allocated: u64,
}

pub(super) fn stats(directory: &ReadDirectory, survey: &Survey) -> Result<Stats, LogError> {
    let mut stats = Stats {
        segments: 0,
        blocks: 0,
        rows: 0,
        samples: 0,
        series: 0,
        time_min_ns: None,
        time_max_ns: None,
        bytes_live: 0,
        bytes_allocated: allocated_bytes(directory)?,
    };
    let mut hasher = RowHasher::new();
    let mut series: HashSet<Hash, RandomState> = HashSet::default();
    for segment in &survey.segments {
        let Some(mut open) = Open::new(directory, segment.clone())? else { continue };
        let bytes = if segment.is_closed() {
            let totals = &segment.totals;
            stats.add(totals.blocks, totals.rows, totals.samples, (totals.time_min_ns, totals.time_max_ns));
            segment.bytes
        } else {
            match stats.add_blocks(&mut open) {
                Some(end) => end,
                // Prepared and not used yet.
                None => continue,
            }
        };
        stats.segments += 1;
        stats.bytes_live += bytes;
        if !open.complete {
            open.learn_blocks(directory);
        }
        for id in open.definitions.series() {
            series.extend(open.definitions.labels(id).map(|labels| hasher.series(labels)));
        }
    }
    stats.series = series.len() as u64;
    Ok(stats)
}

impl Stats {
    fn add(&mut self, blocks: u64, rows: u64, samples: u64, times: (i64, i64)) {
        self.blocks += blocks;
        self.rows += rows;
        self.samples = self.samples.saturating_add(samples);
        if rows > 0 {
            self.time_min_ns = Some(self.time_min_ns.map_or(times.0, |t| t.min(times.0)));
            self.time_max_ns = Some(self.time_max_ns.map_or(times.1, |t| t.max(times.1)));
        }
    }

    /// Counts the blocks of a segment that is open: those up to the watermark. Gives where they end, if there are any.
    fn add_blocks(&mut self, open: &mut Open) -> Option<u64> {
        let mut end = None;
        while let Some(found) = open.reader.read_next() {
            let Found::Block(block) = found else { continue };
            let header = block.header;
            end = Some(block.offset + header.block_len() as u64);
            if header.kind != BlockKind::Footer {
                let times = (header.time_min_ns, header.time_max_ns);
                self.add(1, u64::from(header.rows), header.samples, times);
            }
        }
        end
    }
}

fn allocated_bytes(directory: &ReadDirectory) -> Result<u64, LogError> {
    let files = directory.files();
    let failed = |error| LogError::Io { action: "list", path: files.root().to_owned(), error };
    let mut bytes = 0;
    for name in files.list().map_err(failed)? {
        // A file may be gone by now.
        if let Ok(file) = files.open(&name, Access::Read) {
            bytes += file.allocated_bytes().unwrap_or(0);
        }
    }
    Ok(bytes)
}
