//! Power cuts on a real file system: ext4 in a file, shut down without its journal under a log that is writing.
//!
//! Runs as root where loop devices can be mounted, and says so where not.

#![allow(unsafe_code, reason = "the shutdown is one ioctl, which no library wraps")]

mod log_kit;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use log_kit::{LOG, block, open, read_directory, run, settle};
use tidegate::log::Directory;
use tidegate::log::disk::Backend;

const ROUNDS: u64 = 6;

/// `FS_IOC_SHUTDOWN` with the flag that leaves the journal unwritten.
fn shut_down(mount: &Path) -> bool {
    const FS_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
    let no_log_flush = 2_u32;
    let Ok(directory) = File::open(mount) else { return false };
    // SAFETY: the descriptor is open, and the argument a readable u32, as this ioctl wants it.
    unsafe { libc::ioctl(directory.as_raw_fd(), FS_IOC_SHUTDOWN as _, &raw const no_log_flush) == 0 }
}

struct LoopMount {
    image: std::path::PathBuf,
    mount: std::path::PathBuf,
}

impl LoopMount {
    fn mount(&self) -> bool {
        let (image, mount) = (self.image.display().to_string(), self.mount.display().to_string());
        run("mount", &["-o", "loop", &image, &mount])
    }

    fn unmount(&self) -> bool {
        run("umount", &[&self.mount.display().to_string()])
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        run("umount", &["-l", &self.mount.display().to_string()]);
    }
}

fn loop_mount(directory: &Path) -> Option<LoopMount> {
    let made = LoopMount { image: directory.join("ext4"), mount: directory.join("mount") };
    std::fs::create_dir(&made.mount).expect("a directory");
    File::create(&made.image).and_then(|f| f.set_len(64 << 20)).expect("a file");
    if !run("mkfs.ext4", &["-q", "-F", &made.image.display().to_string()]) {
        println!("mkfs.ext4 does not work here: power cuts are not tested");
        return None;
    }
    if !made.mount() {
        println!("no loop device can be mounted here (not root?): power cuts are not tested");
        return None;
    }
    Some(made)
}

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let Some(disk) = loop_mount(directory.path()) else { return };
    let data = disk.mount.join("data");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let backend = if round % 2 == 0 { Backend::Threads } else { Backend::probe() };
        {
            let directory = Directory::open(&data, LOG).expect("a sound directory");
            let (mut log, recovery) = open(&directory, backend, 0, round).expect("a sound log");
            assert_eq!(recovery.damaged, 0);
            let mut completions = Vec::new();
            for i in 0..40 {
                while log.in_flight() > 2 {
                    log.wait();
                    log.poll(0, &mut completions);
                }
                let next = block(&mut log, LOG, 0, 500 * (i % 50));
                log.commit(next, 0).expect("it is not busy");
                log.poll(0, &mut completions);
                if log.wants_rotation(0) && log.in_flight() == 0 {
                    log.rotate(Box::new(|| vec![3; 3000]));
                }
            }
            // With commits under way, and a segment perhaps half sealed.
            if !shut_down(&disk.mount) {
                println!("this kernel cannot shut a file system down: power cuts are not tested");
                return;
            }
            completions.extend(settle(&mut log));
            acknowledged.extend(completions.iter().filter(|c| c.result.is_ok()).map(|c| c.sequence));
            assert!(completions.len() == 40 && acknowledged.len() >= 30);
        }
        assert!(disk.unmount(), "everything is closed");
        assert!(disk.mount(), "the journal is replayed");
        let (found, damages) = read_directory(&data);
        assert_eq!(damages, []);
        let lost: Vec<_> = acknowledged.iter().filter(|s| !found.contains(s)).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
    }
    println!("{} acknowledged blocks survived {ROUNDS} power cuts", acknowledged.len());
}
