//! What an engine counts.

use super::engine::tdg_engine;
use super::guard::guard;
use super::status::{TDG_E_INPUT, TDG_E_NULL, TDG_OK, tdg_status};
use crate::sync::SharedCount;
use crate::telemetry::WorkerCounters;

/// Counts since the engine was opened, over all its threads. Later versions add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct tdg_stats {
    /// Rows that were pushed and are on stable storage.
    pub rows_accepted: u64,
    /// Values in these rows.
    pub samples_accepted: u64,
    /// Rows of bodies that were rejected, and rows that found no room in the series table.
    pub rows_rejected: u64,
    /// Rows that went with a writer that was freed before they were flushed.
    pub rows_discarded: u64,
    /// Rows whose commit failed: each is on disk, or not.
    pub rows_in_doubt: u64,
    /// Rows more than a day ahead of the clock or ten years behind it. They were taken.
    pub rows_far_off: u64,
    /// Series in the tables, those counted that no handle is registered of.
    pub series: u64,
    /// Series that are registered.
    pub series_registered: u64,
    /// Blocks made durable.
    pub commits: u64,
    /// Commits that failed.
    pub commits_failed: u64,
    /// Bytes of blocks written, padding included.
    pub committed_bytes: u64,
    /// Bytes of memory that tables and batches hold, as of each thread's last commit.
    pub memory_bytes: u64,
}

/// Writes what the engine counts to `stats`, of which the caller says the size: `sizeof(tdg_stats)`. A smaller
/// struct, of an older header, gets the fields that it has. May be called at any time, after closing, too.
///
/// Errors: `TDG_E_INPUT` if the size is that of no `tdg_stats`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_stats(
    engine: *const tdg_engine,
    stats: *mut tdg_stats,
    stats_size: usize,
) -> tdg_status {
    // SAFETY: NULL, or a live engine.
    let Some(engine) = (unsafe { engine.as_ref() }) else { return TDG_E_NULL };
    guard(&engine.health, || {
        if stats.is_null() {
            return TDG_E_NULL;
        }
        if stats_size == 0 || stats_size > SIZE_MAX || !stats_size.is_multiple_of(size_of::<u64>()) {
            return TDG_E_INPUT;
        }
        let mut now = tdg_stats {
            series_registered: engine.embedded.series_registered() as u64,
            ..tdg_stats::default()
        };
        engine.embedded.counters().for_each(|counters| now.add(counters));
        let known = stats_size.min(size_of::<tdg_stats>());
        // SAFETY: the caller's struct has so many bytes, of which those are written that both know; the rest is made 0.
        unsafe {
            stats.cast::<u8>().write_bytes(0, stats_size);
            std::ptr::copy_nonoverlapping((&raw const now).cast::<u8>(), stats.cast::<u8>(), known);
        }
        TDG_OK
    })
}

/// No header ever has one as large.
const SIZE_MAX: usize = 4096;

impl tdg_stats {
    fn add(&mut self, counters: &WorkerCounters) {
        let sum = |counts: &[SharedCount]| counts.iter().map(SharedCount::value).sum::<u64>();
        self.rows_accepted += sum(&counters.rows_accepted);
        self.samples_accepted += sum(&counters.samples_accepted);
        self.rows_rejected += counters.rejected().values().sum::<u64>();
        self.rows_discarded += counters.rows_discarded.value();
        self.rows_in_doubt += counters.rows_in_doubt.value();
        self.rows_far_off += counters.rows_far_off.value();
        self.series += counters.series.value();
        self.commits += counters.commits.value();
        self.commits_failed += counters.commits_failed.value();
        self.committed_bytes += counters.committed_bytes.value();
        self.memory_bytes += counters.ingest_memory_bytes.value();
    }
}
