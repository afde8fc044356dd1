//! `LIVE`: one page that a writing process shares with readers, so that they know how far each worker's log is durable.
//!
//! Two words a worker: the epoch of its open segment, and its durable sequence. The page is memory of the writer,
//! never synced; it means something only while the directory's lock is held. Readers in other processes read the
//! file. Both words only matter one by one: a reader compares sequences, which rise over all epochs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::calls::{PAGE_BYTES, PAGE_WORDS, SharedPage};
use crate::sync::Pulse;

/// Workers that the page has room for; the first two words are kept free.
pub const LIVE_WORKERS_MAX: u32 = (PAGE_WORDS as u32 - 2) / 2;

/// The page, in the process that writes. It holds the directory's locks: they last as long as any worker may write.
#[derive(Clone, Debug)]
pub(super) struct LivePage(Arc<Held>);

#[derive(Debug)]
struct Held {
    page: SharedPage,
    tide: Arc<Tide>,
    /// What the last writer's page told.
    left: Vec<u64>,
    /// On the page, and on the directory.
    locks: [File; 2],
    /// Who took them.
    process: u32,
}

impl Drop for Held {
    /// Unlocks by word. Closing would leave the locks to every child that is between its fork and its exec at this
    /// moment, and has these descriptors as well: who opens the directory next, perhaps in this process, would be told
    /// that it is in use. (A child of a writer that is killed can still do that, for as long as it has not called
    /// exec.) A child that comes here itself must not take the locks from its parent.
    fn drop(&mut self) {
        if std::process::id() == self.process {
            // Without success the descriptors' closing has to do.
            self.locks.iter().for_each(|file| _ = file.unlock());
        }
    }
}

/// The watermarks once more, for readers in this process. Not the page itself: a mapping keeps its file's lock, and
/// these outlive the writer.
#[derive(Debug)]
pub(super) struct Tide {
    durable: [AtomicU64; LIVE_WORKERS_MAX as usize],
    moved: Pulse,
}

impl LivePage {
    /// Maps the page of `file`, all zeros, and locks it, which tells readers that it is alive. `lock` is the lock that
    /// keeps other writers out. What the page told before is kept aside: all that it covers was durable.
    ///
    /// `passed` are positions that cursors are at, by worker: all up to there was durable, too.
    pub(super) fn create(
        file: File,
        lock: File,
        passed: impl Iterator<Item = (u32, u64)>,
    ) -> io::Result<LivePage> {
        // A page that is cut short says nothing.
        let mut left = read_watermarks(&file).unwrap_or_default();
        left.resize(LIVE_WORKERS_MAX as usize, 0);
        for (worker, sequence) in passed {
            if let Some(durable) = left.get_mut(worker as usize) {
                *durable = sequence.max(*durable);
            }
        }
        file.set_len(PAGE_BYTES as u64)?;
        // Written, not left a hole: where a full disk has no room for it, this is told of here, and a store into the
        // mapping would be killed for it.
        file.write_all_at(&[0; PAGE_BYTES], 0)?;
        let page = SharedPage::map(&file)?;
        file.lock()?;
        let tide = Arc::new(Tide {
            durable: [const { AtomicU64::new(0) }; LIVE_WORKERS_MAX as usize],
            moved: Pulse::default(),
        });
        let process = std::process::id();
        Ok(LivePage(Arc::new(Held { page, tide, left, locks: [file, lock], process })))
    }

    /// What readers in this process look at.
    pub(super) fn tide(&self) -> &Arc<Tide> {
        &self.0.tide
    }

    /// A worker's place.
    pub(super) fn slot(&self, worker: u32) -> Option<LiveSlot> {
        (worker < LIVE_WORKERS_MAX).then(|| LiveSlot { page: self.clone(), worker })
    }
}

/// A worker's place in the page.
#[derive(Clone, Debug)]
pub struct LiveSlot {
    page: LivePage,
    worker: u32,
}

impl LiveSlot {
    /// The sequence up to which the worker's log was durable, by what the last writer told and by what cursors have
    /// passed; 0 if nothing is known of it.
    pub fn told_before(&self) -> u64 {
        self.page.0.left.get(self.worker as usize).copied().unwrap_or(0)
    }

    pub(super) fn publish(&self, epoch: u64, durable_sequence: u64) {
        let at = 2 + 2 * self.worker as usize;
        self.page.0.page.store(at, epoch);
        self.page.0.page.store(at + 1, durable_sequence);
        let tide = &self.page.0.tide;
        // Relaxed: the beat behind it hands it over.
        tide.durable[self.worker as usize].store(durable_sequence, Ordering::Relaxed);
        tide.moved.beat();
    }
}

impl Tide {
    /// The durable sequence of each worker; 0 for workers that there are not.
    pub(super) fn watermarks(&self) -> Vec<u64> {
        // Relaxed: who has seen the beat sees at least what came before it.
        self.durable.iter().map(|durable| durable.load(Ordering::Relaxed)).collect()
    }

    /// Beats whenever a watermark may have moved; closed when none will any more.
    pub(super) fn moved(&self) -> &Pulse {
        &self.moved
    }
}

/// The durable sequence of each worker, read from the page's file; 0 for workers that there are not.
pub(super) fn read_watermarks(file: &File) -> io::Result<Vec<u64>> {
    let mut page = [0u8; PAGE_BYTES];
    file.read_exact_at(&mut page, 0)?;
    let words = page.chunks_exact(8).map(|w| {
        let mut word = [0; 8];
        word.copy_from_slice(w);
        u64::from_le_bytes(word)
    });
    Ok(words.skip(3).step_by(2).collect())
}
