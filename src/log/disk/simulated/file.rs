//! A file's content: what is there, what is on the platter, and what a power cut makes of the difference.

use std::collections::BTreeMap;
use std::io;

use super::super::BlockFile;
use super::world::{Operation, SimulatedFiles};
use crate::log::random::Random;

/// Bytes that a disk writes as one, if it writes them.
pub(super) const SECTOR: usize = 512;

/// A file's bytes.
#[derive(Clone, Default, Debug)]
pub(super) struct Content {
    /// As a reader finds it.
    pub(super) current: Vec<u8>,
    /// As it was synced.
    durable: Vec<u8>,
    /// What has been written to each sector since, in order.
    versions: BTreeMap<usize, Vec<[u8; SECTOR]>>,
    /// The lengths that the file has had since.
    lens: Vec<usize>,
}

impl Content {
    pub(super) fn write(&mut self, buf: &[u8], offset: usize) {
        let end = offset + buf.len();
        if end > self.current.len() {
            self.set_len(end);
        }
        self.current[offset..end].copy_from_slice(buf);
        if buf.is_empty() {
            return;
        }
        for sector in offset / SECTOR..=(end - 1) / SECTOR {
            let version = sector_of(&self.current, sector);
            self.versions.entry(sector).or_default().push(version);
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.current.resize(len, 0);
        self.lens.push(len);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for &sector in self.versions.keys() {
            copy_sector(&mut self.durable, sector, &sector_of(&self.current, sector));
        }
        self.versions.clear();
        self.lens.clear();
    }

    /// A sync that fails: some of it reached the disk, and the rest is forgotten, as kernels do. No later sync brings
    /// it there; readers may see it as long as the machine runs.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        let after = self.after_power_cut(random, Luck::Random);
        self.durable = after;
        self.versions.clear();
        self.lens.clear();
    }

    /// What is there after a power cut.
    pub(super) fn power_cut(&mut self, random: &mut Random, luck: Luck) {
        let after = self.after_power_cut(random, luck);
        *self = Content { current: after.clone(), durable: after, ..Content::default() };
    }

    fn after_power_cut(&self, random: &mut Random, luck: Luck) -> Vec<u8> {
        let mut after = self.durable.clone();
        let len = match luck {
            Luck::Keep => self.current.len(),
            Luck::Lose => self.durable.len(),
            Luck::Random => match random.below(self.lens.len() as u64 + 1) as usize {
                0 => self.durable.len(),
                i => self.lens[i - 1],
            },
        };
        // Content goes in at full length and is cut at the end: a sector may have been written before the length.
        after.resize(after.len().max(self.current.len()), 0);
        for (&sector, versions) in &self.versions {
            let kept = match luck {
                Luck::Keep => versions.len(),
                Luck::Lose => 0,
                Luck::Random => random.below(versions.len() as u64 + 1) as usize,
            };
            if kept > 0 {
                let mut version = versions[kept - 1];
                if luck == Luck::Random && random.one_in(8) {
                    let torn_at = random.below(SECTOR as u64) as usize;
                    version[torn_at..].copy_from_slice(&sector_of(&after, sector)[torn_at..]);
                }
                copy_sector(&mut after, sector, &version);
            }
        }
        after.resize(len, 0);
        after
    }

    /// Changes a byte on the platter, as decay does.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        self.current[offset] ^= mask;
        self.durable[offset] ^= mask;
    }
}

/// How a power cut treats what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Luck {
    Keep,
    Lose,
    Random,
}

fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut out = [0; SECTOR];
    let from = (sector * SECTOR).min(bytes.len());
    let to = (from + SECTOR).min(bytes.len());
    out[..to - from].copy_from_slice(&bytes[from..to]);
    out
}

fn copy_sector(bytes: &mut [u8], sector: usize, content: &[u8; SECTOR]) {
    let from = (sector * SECTOR).min(bytes.len());
    let to = (from + SECTOR).min(bytes.len());
    bytes[from..to].copy_from_slice(&content[..to - from]);
}

/// An open simulated file.
#[derive(Clone, Debug)]
pub struct SimulatedFile {
    pub(super) files: SimulatedFiles,
    pub(super) inode: usize,
    /// Files are lost with the power.
    pub(super) power_cuts: u64,
}

impl BlockFile for SimulatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.files.read(self, buf, offset as usize)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.files.operate(Some(self), Operation::Write(buf, offset as usize))
    }

    fn len(&self) -> io::Result<u64> {
        self.files.content(self, |content| content.current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.files.operate(Some(self), Operation::SetLen(len as usize)).map(drop)
    }

    fn allocated_bytes(&self) -> io::Result<u64> {
        self.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.files.operate(Some(self), Operation::Sync).map(drop)
    }
}
