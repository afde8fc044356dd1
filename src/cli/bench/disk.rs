//! The disk under a data directory: what it costs to sync, and how much the directory holds.
//!
//! Comes in: a directory. Goes out: the median time of a write with fdatasync, bytes allocated and bytes long, the file
//! system's name. Keeps: nothing is left behind in the directory, and nothing in it is touched.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::clock::{Clock, SystemClock};

/// What a directory holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Size {
    /// Bytes that the file system has set aside for it.
    pub(super) allocated: u64,
    /// Bytes that its files are long.
    pub(super) length: u64,
}

/// Adds up all files under a directory. Those that go away meanwhile don't count.
///
/// # Errors
/// The directory itself can't be read.
pub(super) fn directory_size(root: &Path) -> io::Result<Size> {
    let mut size = Size::default();
    let mut open: Vec<PathBuf> = Vec::new();
    let mut entries = std::fs::read_dir(root)?;
    // Files with several names (snapshots are made of hard links) count once.
    let mut seen = std::collections::HashSet::new();
    loop {
        for entry in entries.by_ref().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.is_file()
                && (metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())))
            {
                size.allocated += metadata.blocks() * STAT_BLOCK_BYTES;
                size.length += metadata.len();
            }
        }
        loop {
            let Some(next) = open.pop() else { return Ok(size) };
            if let Ok(next) = std::fs::read_dir(next) {
                entries = next;
                break;
            }
        }
    }
}

/// The median time of writing 64 KiB and syncing its data. The file is as long as it gets before the first one, so that
/// no new blocks are set aside: the least that a server with the same promise can pay.
///
/// # Errors
/// The directory can't be written.
pub(super) fn sync_probe_ns(directory: &Path) -> io::Result<u64> {
    let clock = SystemClock::default();
    let file = scratch_file(directory)?;
    let block = vec![0xa5; PROBE_BYTES];
    for place in 0..PROBE_BLOCKS {
        file.write_all_at(&block, place * PROBE_BYTES as u64)?;
    }
    file.sync_all()?;
    let mut times_ns = Vec::with_capacity(PROBES);
    while times_ns.len() < PROBES && (clock.monotonic_ns() < PROBE_TIME_MAX_NS || times_ns.len() < PROBES_MIN)
    {
        let place = times_ns.len() as u64 % PROBE_BLOCKS;
        let start_ns = clock.monotonic_ns();
        file.write_all_at(&block, place * PROBE_BYTES as u64)?;
        file.sync_data()?;
        times_ns.push(clock.monotonic_ns() - start_ns);
    }
    times_ns.sort_unstable();
    Ok(times_ns[times_ns.len() / 2])
}

/// A file without a name where the system has such, so that a server never sees it.
fn scratch_file(directory: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let unnamed = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(directory);
        if let Ok(file) = unnamed {
            return Ok(file);
        }
    }
    let path = directory.join(format!(".tidegate-bench-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// The type of the file system that a path is on, as the mount table names it.
pub(super) fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    file_system_in(&mounts, &path)
}

/// The longest mount point that is a prefix; of equal ones the last, which hides the others.
fn file_system_in(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((mount, source)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (mount.split(' ').nth(4), source.split(' ').next()) else { continue };
        // The table writes space, tab, newline and backslash in octal.
        let point =
            point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
        if path.starts_with(&point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Whatever the file system's block is, stat counts in these.
const STAT_BLOCK_BYTES: u64 = 512;
const PROBE_BYTES: usize = 64 << 10;
const PROBE_BLOCKS: u64 = 64;
const PROBES: usize = 101;
const PROBES_MIN: usize = 9;
const PROBE_TIME_MAX_NS: u64 = 2_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_sum_of_its_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("one"), vec![1; 10_000]).unwrap();
        std::fs::write(root.path().join("a/b/two"), vec![1; 500]).unwrap();
        std::fs::hard_link(root.path().join("one"), root.path().join("a/again")).unwrap();
        let sparse = File::create(root.path().join("a/sparse")).unwrap();
        sparse.set_len(1 << 20).unwrap();
        for name in ["one", "a/b/two"] {
            File::open(root.path().join(name)).unwrap().sync_all().unwrap();
        }
        let size = directory_size(root.path()).unwrap();
        assert_eq!(size.length, 10_500 + (1 << 20));
        assert!((10_500..1 << 20).contains(&size.allocated), "{size:?}");
        assert!(directory_size(&root.path().join("none")).is_err());
    }

    #[test]
    fn the_probe_takes_time_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert!(sync_probe_ns(root.path()).unwrap() > 0);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_deepest_mount_names_the_file_system() {
        let mounts = "1 0 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
            2 1 0:5 / /data rw - xfs /dev/b rw\n\
            3 1 0:6 / /data\\040two rw - btrfs /dev/c rw\n\
            4 1 0:7 / /data rw - tmpfs none rw\n";
        for (path, kind) in
            [("/", "ext4"), ("/database", "ext4"), ("/data/x", "tmpfs"), ("/data two/x", "btrfs")]
        {
            assert_eq!(file_system_in(mounts, Path::new(path)).as_deref(), Some(kind), "{path}");
        }
    }
}
