//! The simulated directory: names, inodes, faults, and the power switch.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::{Access, Files, Space};
use super::file::{Content, Luck, SimulatedFile};
use crate::log::random::Random;

/// How often operations fail, besides power cuts: once in so many; 0 is never.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// A write fails with EIO.
    pub write_fails: u64,
    /// A write takes only a part.
    pub write_is_short: u64,
    /// A sync fails with EIO.
    pub sync_fails: u64,
    /// Anything that may take space fails with ENOSPC.
    pub no_space: u64,
    /// A lie: syncs say that they did, and did not. For tests that must fail.
    pub sync_does_nothing: bool,
}

/// A directory in memory. Clones are the same directory.
#[derive(Clone, Debug)]
pub struct SimulatedFiles(Arc<Mutex<World>>);

#[derive(Debug)]
struct World {
    random: Random,
    inodes: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that were not synced, in order.
    pending: Vec<NameChange>,
    faults: Faults,
    capacity_bytes: u64,
    operations: u64,
    cut_at: Option<u64>,
    off: bool,
    power_cuts: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

/// What counts as a moment at which the power may go.
pub(super) enum Operation<'a> {
    Write(&'a [u8], usize),
    SetLen(usize),
    Sync,
    Create(&'a str),
    Rename(&'a str, &'a str),
    Remove(&'a str),
    SyncDirectory,
}

impl SimulatedFiles {
    /// An empty directory; `seed` decides about everything random.
    pub fn new(seed: u64) -> SimulatedFiles {
        SimulatedFiles(Arc::new(Mutex::new(World {
            random: Random::new(seed),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            faults: Faults::default(),
            capacity_bytes: u64::MAX,
            operations: 0,
            cut_at: None,
            off: false,
            power_cuts: 0,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test survives a panic in here")
    }

    /// Sets how often operations fail from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Sets how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.world().capacity_bytes = bytes;
    }

    /// Operations that changed or synced something, so far.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Lets the power go at the operation of this number (the first is 1); `None` never.
    pub fn cut_power_at(&self, operation: Option<u64>) {
        self.world().cut_at = operation;
    }

    /// Whether the power is off: everything fails until [`power_on`](SimulatedFiles::power_on).
    pub fn is_off(&self) -> bool {
        self.world().off
    }

    /// Cuts the power, if it is not off, and turns it on again: what was not synced is kept, lost or torn. Files that
    /// were open are of no use any more.
    pub fn power_on(&self) {
        let world = &mut *self.world();
        let luck = match world.random.below(4) {
            0 => Luck::Keep,
            1 => Luck::Lose,
            _ => Luck::Random,
        };
        let mut names = std::mem::take(&mut world.durable_names);
        for change in world.pending.drain(..) {
            let kept = match luck {
                Luck::Keep => true,
                Luck::Lose => false,
                Luck::Random => world.random.one_in(2),
            };
            if kept {
                change.apply(&mut names);
            }
        }
        for inode in 0..world.inodes.len() {
            if names.values().any(|&i| i == inode) {
                world.inodes[inode].power_cut(&mut world.random, luck);
            } else {
                world.inodes[inode] = Content::default();
            }
        }
        world.names = names.clone();
        world.durable_names = names;
        world.cut_at = None;
        world.off = false;
        world.power_cuts += 1;
    }

    /// Changes a byte of a file, on the platter too, as decay does.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        let world = &mut *self.world();
        world.inodes[world.names[name]].flip(offset as usize, mask);
    }

    pub(super) fn content<R>(&self, file: &SimulatedFile, f: impl FnOnce(&Content) -> R) -> io::Result<R> {
        let world = self.world();
        if world.off || world.power_cuts != file.power_cuts {
            return Err(power_is_off());
        }
        Ok(f(&world.inodes[file.inode]))
    }

    pub(super) fn read(&self, file: &SimulatedFile, buf: &mut [u8], offset: usize) -> io::Result<usize> {
        self.content(file, |content| {
            let rest = content.current.get(offset..).unwrap_or_default();
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            n
        })
    }

    pub(super) fn operate(
        &self,
        file: Option<&SimulatedFile>,
        operation: Operation<'_>,
    ) -> io::Result<usize> {
        let world = &mut *self.world();
        if world.off || file.is_some_and(|f| f.power_cuts != world.power_cuts) {
            return Err(power_is_off());
        }
        world.operations += 1;
        let inode = file.map_or(0, |f| f.inode);
        if world.cut_at == Some(world.operations) {
            world.off = true;
            // It may have been done, or not, before the lights went out; what is unsynced is settled later.
            if world.random.one_in(2) {
                let _ = world.perform(inode, operation);
            }
            return Err(power_is_off());
        }
        world.perform(inode, operation)
    }

    fn file(&self, inode: usize) -> SimulatedFile {
        SimulatedFile { files: self.clone(), inode, power_cuts: self.world().power_cuts }
    }

    fn look_up(&self, name: &str) -> io::Result<usize> {
        let world = self.world();
        if world.off {
            return Err(power_is_off());
        }
        world.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl World {
    fn perform(&mut self, inode: usize, operation: Operation<'_>) -> io::Result<usize> {
        match operation {
            Operation::Write(buf, offset) => self.write(inode, buf, offset),
            Operation::SetLen(len) => {
                let old = self.inodes[inode].current.len();
                self.check_space(len.saturating_sub(old))?;
                self.inodes[inode].set_len(len);
                Ok(0)
            }
            Operation::Sync if self.faults.sync_does_nothing => Ok(0),
            Operation::Sync if self.random.one_in(self.faults.sync_fails) => {
                self.inodes[inode].fail_sync(&mut self.random);
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            Operation::Sync => {
                self.inodes[inode].sync();
                Ok(0)
            }
            Operation::Create(name) => {
                if self.names.contains_key(name) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.check_space(1)?;
                self.inodes.push(Content::default());
                self.change(NameChange::Add(name.to_owned(), self.inodes.len() - 1));
                Ok(self.inodes.len() - 1)
            }
            Operation::Rename(from, to) => {
                let inode = *self.names.get(from).ok_or(io::ErrorKind::NotFound)?;
                self.change(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
                Ok(0)
            }
            Operation::Remove(name) => {
                if !self.names.contains_key(name) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                self.change(NameChange::Remove(name.to_owned()));
                Ok(0)
            }
            Operation::SyncDirectory if self.random.one_in(self.faults.sync_fails) => {
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            Operation::SyncDirectory => {
                self.pending.clear();
                self.durable_names = self.names.clone();
                Ok(0)
            }
        }
    }

    fn write(&mut self, inode: usize, buf: &[u8], offset: usize) -> io::Result<usize> {
        let old = self.inodes[inode].current.len();
        self.check_space((offset + buf.len()).saturating_sub(old))?;
        if self.random.one_in(self.faults.write_fails) {
            // Some of it may be there all the same.
            let part = self.random.below(buf.len() as u64 + 1) as usize;
            self.inodes[inode].write(&buf[..part], offset);
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let taken = if self.random.one_in(self.faults.write_is_short) {
            self.random.below(buf.len() as u64) as usize
        } else {
            buf.len()
        };
        self.inodes[inode].write(&buf[..taken], offset);
        Ok(taken)
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].current.len() as u64).sum()
    }

    fn check_space(&mut self, more_bytes: usize) -> io::Result<()> {
        let full = more_bytes > 0
            && (self.random.one_in(self.faults.no_space)
                || (self.capacity_bytes != u64::MAX
                    && self.used_bytes() + more_bytes as u64 > self.capacity_bytes));
        if full { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Add(name, inode) => {
                names.insert(name, inode);
            }
            NameChange::Remove(name) => {
                names.remove(&name);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

impl Files for SimulatedFiles {
    type File = SimulatedFile;

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        self.operate(None, Operation::Create(name)).map(|inode| self.file(inode))
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<SimulatedFile> {
        self.look_up(name).map(|inode| self.file(inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let world = self.world();
        if world.off { Err(power_is_off()) } else { Ok(world.names.keys().cloned().collect()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(None, Operation::Rename(from, to)).map(drop)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(None, Operation::Remove(name)).map(drop)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate(None, Operation::SyncDirectory).map(drop)
    }

    fn space(&self) -> io::Result<Space> {
        let world = self.world();
        let total_bytes = world.capacity_bytes;
        Ok(Space { total_bytes, free_bytes: total_bytes.saturating_sub(world.used_bytes()) })
    }

    fn lock_exclusive(&self, name: &str) -> io::Result<Option<SimulatedFile>> {
        self.open(name, Access::Read).map(Some)
    }

    fn open_shared(&self, name: &str) -> io::Result<SimulatedFile> {
        self.open(name, Access::Read)
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}
