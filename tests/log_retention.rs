//! Retention: what goes, in which order, what stays, and that sequences and readers survive it.

mod log_kit;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log_kit::{bytes_of, commit, open, rotate, spawn};
use tidegate::log::disk::simulated::{SimulatedDisk, SimulatedFiles};
use tidegate::log::disk::{
    Access, Backend, BlockFile, COMMITS_IN_FLIGHT_MAX, Files, Space, SystemDisk, SystemFiles,
};
use tidegate::log::{
    CursorStart, Cursors, Directory, Found, LogError, RESERVE_BYTES, ReadDirectory, Retention, SPARES_MAX,
    Survey, Sweeper, WorkerLog, WorkerOptions, recover_others, verify,
};
use tidegate::model::LogId;
use tidegate::reader::{Query, Reader, Rows};

const LOG: LogId = LogId(*b"retained-log-001");
const KEEP_ALL: Retention =
    Retention { age_ns: None, bytes_max: None, free_percent_min: 0, cursor_bytes_max: 0 };

fn options(worker: u32, seed: u64) -> WorkerOptions {
    WorkerOptions {
        log: LOG,
        worker,
        segment_bytes_min: 32 << 10,
        segment_bytes_max: 32 << 10,
        seed,
        live: None,
    }
}

fn simulated(files: &SimulatedFiles, worker: u32, seed: u64) -> WorkerLog<SimulatedDisk> {
    WorkerLog::open(SimulatedDisk::new(files.clone(), seed), options(worker, seed)).expect("a sound disk").0
}

/// Segments of two blocks each, one block of 12 KiB a nanosecond in `stamps`.
fn fill(files: &SimulatedFiles, worker: u32, stamps: std::ops::Range<i64>) {
    let mut log = simulated(files, worker, stamps.start as u64 + 77);
    for stamp in stamps {
        log.stamp(stamp * 100);
        commit(&mut log, LOG, worker, 8000);
        if stamp % 2 == 1 {
            rotate(&mut log, b"f");
        }
    }
    log.close(Box::new(Vec::new), &mut Vec::new()).expect("a sound disk");
}

fn sequences(files: &impl Files, worker: u32) -> Vec<u64> {
    let survey = Survey::take(files, LOG, Some(worker)).expect("sound");
    let (sequences, damages) = log_kit::read_all(files, LOG, &survey);
    assert_eq!(damages, []);
    sequences
}

#[test]
fn nothing_goes_without_a_reason() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..10);
    let swept = Sweeper::new(files.clone(), LOG).sweep(&KEEP_ALL, u64::MAX).unwrap();
    assert_eq!((swept.removed, swept.segments), (0, 6));
    assert_eq!(sequences(&files, 0), (1..=10).collect::<Vec<_>>());
}

#[test]
fn age_counts_from_arrival_and_by_whole_segments() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..10);
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let retention = Retention { age_ns: Some(1000), ..KEEP_ALL };
    // Blocks 1 and 2 came at 1 and 101, 3 and 4 at 201 and 301; a segment goes by its last one.
    assert_eq!(sweeper.sweep(&retention, 1101).unwrap().removed, 0);
    assert_eq!(sweeper.sweep(&retention, 1102).unwrap().removed, 1);
    assert_eq!(sequences(&files, 0), (3..=10).collect::<Vec<_>>());
    // Everything, though nobody writes any more; what is left remembers the sequence.
    sweeper.sweep(&retention, 1_000_000).unwrap();
    assert_eq!(sequences(&files, 0), [0_u64; 0]);
    // As after a segment that was being written: those that may have been under way are not used again.
    assert_eq!(simulated(&files, 0, 5).next_sequence(), 11 + COMMITS_IN_FLIGHT_MAX as u64);
}

#[test]
fn size_takes_the_oldest_of_all_workers_first() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 10..16);
    fill(&files, 1, 0..6);
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let before = sweeper.sweep(&KEEP_ALL, 0).unwrap();
    let one = (before.bytes / before.segments) + 1;
    let retention = Retention { bytes_max: Some(before.bytes - 2 * one), ..KEEP_ALL };
    let swept = sweeper.sweep(&retention, 0).unwrap();
    assert!(swept.bytes <= before.bytes - 2 * one);
    assert_eq!(sequences(&files, 0), (1..=6).collect::<Vec<_>>());
    assert_eq!(sequences(&files, 1), [5, 6]);
    assert_eq!(swept.spares, 0, "what goes for its size is not kept in secret");
}

#[test]
fn no_more_spares_are_kept_than_workers_need() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..20);
    fill(&files, 1, 0..20);
    let retention = Retention { age_ns: Some(0), ..KEEP_ALL };
    let swept = Sweeper::new(files.clone(), LOG).sweep(&retention, u64::MAX).unwrap();
    assert_eq!((swept.removed, swept.spares), (20, SPARES_MAX as u64));
    let spares = files.list().unwrap().iter().filter(|name| name.starts_with("spare-")).count();
    assert_eq!(spares, SPARES_MAX);
}

#[test]
fn where_removing_a_file_needs_room_the_reserve_gives_it() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..10);
    Sweeper::new(files.clone(), LOG).sweep(&KEEP_ALL, 0).unwrap();
    let reserve_bytes = |files: &SimulatedFiles| files.open("reserve", Access::Read)?.len();
    assert_eq!(reserve_bytes(&files).unwrap(), RESERVE_BYTES as u64);
    let remove = |files: &SimulatedFiles, name: &str| match files.open("reserve", Access::Read)?.len()? {
        0 => files.remove(name),
        _ => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
    };
    let locks_left = Arc::new(AtomicU64::new(u64::MAX));
    let full = Interrupted { files: files.clone(), listed: |_| (), remove, locks_left };
    let retention = Retention { bytes_max: Some(0), ..KEEP_ALL };
    let swept = Sweeper::new(full, LOG).sweep(&retention, 0).unwrap();
    assert_eq!((swept.removed, sequences(&files, 0)), (5, vec![]));
    assert_eq!(reserve_bytes(&files).unwrap(), RESERVE_BYTES as u64, "it is filled again");
}

#[test]
fn free_space_takes_spares_first_and_then_segments() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..20);
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let swept = sweeper.sweep(&Retention { age_ns: Some(100), ..KEEP_ALL }, 900).unwrap();
    assert_eq!((swept.removed, swept.spares), (4, SPARES_MAX as u64));
    let space = files.space().unwrap();
    let used = space.total_bytes - space.free_bytes;
    // Some room is wanted: the spares are enough.
    files.set_capacity(used);
    let retention = Retention { free_percent_min: 5, ..KEEP_ALL };
    let swept = sweeper.sweep(&retention, 0).unwrap();
    assert_eq!((swept.removed, swept.spares), (0, 2));
    // More room is wanted.
    let retention = Retention { free_percent_min: 12, ..KEEP_ALL };
    let swept = sweeper.sweep(&retention, 0).unwrap();
    assert!(swept.removed > 0 && swept.spares == 0);
    assert_eq!(swept.removed_for_space, swept.removed);
    assert!(swept.free_bytes * 100 >= used * 12);
    assert_eq!(sequences(&files, 0).last(), Some(&20), "the newest stay");
}

#[test]
fn the_newest_segment_goes_where_there_is_no_room_for_anything_else() {
    let files = SimulatedFiles::new(1);
    let mut log = simulated(&files, 0, 1);
    (0..9).for_each(|_| _ = commit(&mut log, LOG, 0, 8000));
    log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();
    let space = files.space().unwrap();
    files.set_capacity(space.total_bytes - space.free_bytes);
    let retention = Retention { free_percent_min: 50, ..KEEP_ALL };
    let swept = Sweeper::new(files.clone(), LOG).sweep(&retention, 0).unwrap();
    assert_eq!((swept.removed, swept.removed_for_space), (1, 1));
    assert!(files.space().unwrap().free_bytes >= swept.removed_bytes);
    assert_eq!(sequences(&files, 0), [0_u64; 0]);
    files.set_capacity(u64::MAX);
    let next_sequence = simulated(&files, 0, 5).next_sequence();
    assert_eq!(next_sequence, 10 + COMMITS_IN_FLIGHT_MAX as u64, "what is left remembers the sequence");
}

/// Files on which something happens: as soon as a sweep has listed them, or when it asks for a lock.
#[derive(Clone)]
struct Interrupted {
    files: SimulatedFiles,
    listed: fn(&SimulatedFiles),
    remove: fn(&SimulatedFiles, &str) -> io::Result<()>,
    /// How often a file can be locked before a reader has it.
    locks_left: Arc<AtomicU64>,
}

impl Files for Interrupted {
    type File = <SimulatedFiles as Files>::File;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.files.create(name)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Self::File> {
        self.files.open(name, access)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = self.files.list();
        (self.listed)(&self.files);
        names
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (self.remove)(&self.files, name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        self.files.space()
    }

    fn lock_exclusive(&self, name: &str) -> io::Result<Option<Self::File>> {
        let left = self.locks_left.load(Ordering::Relaxed);
        self.locks_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Ok(None) } else { self.files.lock_exclusive(name) }
    }

    fn open_shared(&self, name: &str) -> io::Result<Self::File> {
        self.files.open_shared(name)
    }
}

#[test]
fn a_segment_that_a_worker_begins_during_a_sweep_is_left_alone() {
    // What the sweep takes for the newest one is not it any more.
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..3);
    let listed = |files: &SimulatedFiles| {
        let mut log = simulated(files, 0, 9);
        assert_eq!(commit(&mut log, LOG, 0, 10).sequence, 4);
    };
    let locks_left = Arc::new(AtomicU64::new(u64::MAX));
    let interrupted =
        Interrupted { files: files.clone(), listed, remove: SimulatedFiles::remove, locks_left };
    let retention = Retention { age_ns: Some(0), ..KEEP_ALL };
    let swept = Sweeper::new(interrupted, LOG).sweep(&retention, u64::MAX).unwrap();
    assert_eq!((swept.removed, swept.removed_for_space), (2, 0));
    assert_eq!(sequences(&files, 0), [4]);
    assert_eq!(simulated(&files, 0, 5).durable_sequence(), 4);
}

#[test]
fn spares_are_used_again_and_hold_nothing_of_their_past() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..10);
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    sweeper.sweep(&Retention { age_ns: Some(1), ..KEEP_ALL }, 550).unwrap();
    let kept = sequences(&files, 0);
    let spares = |files: &SimulatedFiles| {
        files.list().unwrap().iter().filter(|name| name.starts_with("spare-")).count()
    };
    let before = spares(&files);
    assert!(before >= 2);
    let mut log = simulated(&files, 0, 8);
    let new = commit(&mut log, LOG, 0, 10).sequence;
    drop(log);
    assert!(spares(&files) < before);
    assert_eq!(sequences(&files, 0), kept.into_iter().chain([new]).collect::<Vec<_>>());
}

#[test]
fn a_segment_under_a_reader_is_unlinked_and_never_recycled() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
    for _ in 0..3 {
        for _ in 0..3 {
            commit(&mut log, LOG, 0, 90_000);
        }
        rotate(&mut log, b"f");
    }
    // Closing waits for the background, which seals.
    log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();

    let reading = ReadDirectory::open(data.path()).unwrap();
    let survey = reading.survey().unwrap();
    let mut reader = reading.open_segment(&survey.segments[1]).unwrap().expect("there");
    assert!(matches!(reader.read_next(), Some(Found::Block(_))));
    let mut sweeper = Sweeper::new(directory.files().clone(), LOG);
    let swept = sweeper.sweep(&Retention { age_ns: Some(0), ..KEEP_ALL }, u64::MAX).unwrap();
    assert_eq!((swept.removed, swept.spares), (3, 2), "of three, one is being read");
    let spares: Vec<String> =
        directory.files().list().unwrap().into_iter().filter(|n| n.starts_with("spare")).collect();
    assert!(!spares.iter().any(|n| n.contains("-0000000002")), "{spares:?}");

    // New segments take the spares; the reader goes on undisturbed.
    let (mut log, _) = open(&directory, Backend::Threads, 0, 2).unwrap();
    for _ in 0..3 {
        commit(&mut log, LOG, 0, 90_000);
    }
    let mut left = Vec::new();
    while let Some(Found::Block(block)) = reader.read_next() {
        if block.header.rows > 0 {
            let sequence = block.header.sequence;
            assert_eq!(block.payload, Some(&bytes_of(sequence ^ 0xff00, 90_000)[..]));
            left.push(sequence);
        }
    }
    assert_eq!(left, [5, 6]);
    assert!(reading.open_segment(&survey.segments[1]).unwrap().is_none(), "its name is gone");
}

#[test]
fn the_newest_segment_waits_for_its_reader_and_who_comes_late_finds_it_gone() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
    commit(&mut log, LOG, 0, 90_000);
    log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();

    let reading = ReadDirectory::open(data.path()).unwrap();
    let survey = reading.survey().unwrap();
    let reader = reading.open_segment(&survey.segments[0]).unwrap().expect("there");
    let mut sweeper = Sweeper::new(directory.files().clone(), LOG);
    let retention = Retention { age_ns: Some(0), ..KEEP_ALL };
    assert_eq!(sweeper.sweep(&retention, u64::MAX).unwrap().removed, 0);
    drop(reader);
    assert_eq!(sweeper.sweep(&retention, u64::MAX).unwrap().removed, 1);
    assert!(reading.open_segment(&survey.segments[0]).unwrap().is_none());
    let verified = verify(reading.files(), LOG, &survey, |_, _| {}, |_, _| {}).unwrap();
    assert_eq!((verified.segments, verified.damaged), (0, 0), "what retention takes is no damage");
}

#[test]
fn a_follower_that_has_read_a_segment_through_does_not_keep_a_full_disk_full() {
    let Some(mount) = log_kit::mount_tmpfs("size=400k") else { return };
    let directory = Directory::open(mount.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
    let mut follower = Reader::open(mount.path()).unwrap().rows(Query::default()).unwrap();
    // These blocks cannot be decoded, which is told elsewhere; they are read all the same.
    let read = |follower: &mut Rows| while follower.next_block(|_| Ok::<_, LogError>(())).unwrap() {};
    while commit(&mut log, LOG, 0, 60_000).result.is_ok() {
        assert!(follower.refresh().unwrap());
        read(&mut follower);
    }
    let reopen = |log: &mut WorkerLog<SystemDisk>| {
        log.try_reopen();
        while log.is_reopening() {
            log.wait();
            log.poll(0, &mut Vec::new());
        }
        log.epoch().is_some()
    };
    // What is left is filled, so that nothing but the one segment can make room.
    let mut ballast = std::fs::File::create(mount.path().join("ballast")).unwrap();
    while io::Write::write(&mut ballast, &[1; 4096]).is_ok() {}
    assert!(!reopen(&mut log), "no room");

    let mut sweeper = Sweeper::new(directory.files().clone(), LOG);
    let retention = Retention { free_percent_min: 20, ..KEEP_ALL };
    assert_eq!(
        sweeper.sweep(&retention, 0).unwrap().removed,
        0,
        "the follower does not know yet that it is closed"
    );
    assert!(follower.refresh().unwrap(), "a segment has ended");
    read(&mut follower);
    assert!(!follower.refresh().unwrap(), "and was let go");
    assert_eq!(sweeper.sweep(&retention, 0).unwrap().removed, 1);
    assert!(directory.files().space().unwrap().free_bytes > 80 << 10);
    std::fs::remove_file(mount.path().join("ballast")).unwrap();
    assert!(reopen(&mut log));
    let sequence = commit(&mut log, LOG, 0, 10).sequence;
    assert!(follower.refresh().unwrap());
    let mut passed = 0;
    while follower.next_block(|_| Ok::<_, LogError>(())).unwrap() {
        passed += 1;
    }
    assert_eq!((passed, sequence), (1, log.durable_sequence()), "it goes on with the next segment");
}

#[test]
fn a_segment_that_a_reader_keeps_costs_no_cursor_its_blocks() {
    for locks_left in 0..3 {
        let files = SimulatedFiles::new(1);
        fill(&files, 0, 0..1);
        let interrupted = Interrupted {
            files: files.clone(),
            listed: |_| (),
            remove: SimulatedFiles::remove,
            locks_left: Arc::new(locks_left.into()),
        };
        let cursors = Arc::new(Cursors::open(interrupted.clone(), LOG).unwrap());
        cursors.create("c", CursorStart::Oldest).unwrap();
        let mut sweeper = Sweeper::new(interrupted, LOG).minding(Arc::clone(&cursors));
        let retention = Retention { age_ns: Some(0), ..KEEP_ALL };
        let swept = sweeper.sweep(&retention, u64::MAX).unwrap();
        let lost = cursors.cursor("c").unwrap().lost;
        assert_eq!((swept.lost, lost.blocks), (lost, swept.removed), "{locks_left} locks");
        assert_eq!(sequences(&files, 0).len() as u64, 1 - swept.removed);
    }
}

#[test]
fn workers_that_are_no_more_are_closed_retained_and_not_forgotten() {
    let files = SimulatedFiles::new(4);
    for worker in 0..4 {
        let mut log = simulated(&files, worker, u64::from(worker));
        for _ in 0..9 {
            commit(&mut log, LOG, worker, 100);
        }
    }
    let done = recover_others(&files, LOG, |worker| worker < 2, |_| 0).unwrap();
    assert_eq!(done.iter().map(|(w, r)| (*w, r.closed)).collect::<Vec<_>>(), [(2, 1), (3, 1)]);
    assert_eq!(sequences(&files, 3), (1..=9).collect::<Vec<_>>());
    let retention = Retention { age_ns: Some(0), ..KEEP_ALL };
    Sweeper::new(files.clone(), LOG).sweep(&retention, u64::MAX).unwrap();
    assert_eq!(sequences(&files, 3), [0_u64; 0]);
    assert_eq!(sequences(&files, 1), (1..=9).collect::<Vec<_>>(), "open: its worker is to recover it");
    // Twice not closed: as it was left, and as retention leaves it.
    assert_eq!(simulated(&files, 3, 99).next_sequence(), 10 + 2 * COMMITS_IN_FLIGHT_MAX as u64);
}

#[test]
fn a_crash_at_any_operation_of_retention_keeps_order() {
    // What is not synced may be lost, kept or torn: each operation has several chances.
    const CHANCES: u64 = 6;
    // The newest segment has blocks, or none.
    for sent in [10, 11] {
        for cut_at in 1.. {
            // All of them are tried, also behind one that did not come to its end.
            let mut over = true;
            for chance in 0..CHANCES {
                over &= sweep_cut_short(sent, cut_at, chance);
            }
            if over {
                assert!(cut_at > 20);
                break;
            }
        }
    }
}

/// Cuts the power at an operation of two sweeps that take all, and looks what is left. Whether they came to their end.
fn sweep_cut_short(sent: i64, cut_at: u64, chance: u64) -> bool {
    let at = format!("{sent} blocks, operation {cut_at}, chance {chance}");
    let files = SimulatedFiles::new(cut_at << 8 | chance);
    let others = sent - 6;
    fill(&files, 0, 0..sent);
    fill(&files, 1, 0..others);
    files.cut_power_at(Some(files.operations() + cut_at));
    let retention = Retention { age_ns: Some(300), ..KEEP_ALL };
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let swept = sweeper.sweep(&retention, 1000).and_then(|_| sweeper.sweep(&retention, 5000));
    // The spares are used while the last sweep may not be durable yet.
    let written =
        swept.is_ok().then(|| WorkerLog::open(SimulatedDisk::new(files.clone(), 5), options(0, 5)).is_ok());
    let over = !files.is_off();
    files.power_on();
    let survey = Survey::take(&files, LOG, None).expect("a directory with power");
    assert_eq!(survey.foreign, []);
    let (found, damages) = log_kit::read_all(&files, LOG, &survey);
    assert_eq!(damages, [], "{at}, {written:?}");
    assert!(found.iter().all(|s| *s <= sent as u64));
    for (worker, sent) in [(0, sent), (1, others)] {
        assert!(simulated(&files, worker, 6).next_sequence() > sent as u64, "{at}, worker {worker}");
    }
    over
}

#[test]
fn a_recycled_file_does_not_speak_of_its_past_even_without_its_header() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 0..4);
    files.rename("w000-0000000001.seg", "spare-w000-0000000001.seg").unwrap();
    let mut log = simulated(&files, 0, 8);
    let (name, _) = log.segment().expect("open");
    let new = commit(&mut log, LOG, 0, 10).sequence;
    drop(log);
    // Its old trailer would still be at the end, were it not wiped.
    files.flip(&name.to_string(), 50, 1);
    assert_eq!(sequences(&files, 0), [3, 4, new]);
}

#[test]
fn a_file_is_not_overwritten_before_its_old_name_is_gone_for_good() {
    for cut_at in 1.. {
        let files = SimulatedFiles::new(cut_at);
        fill(&files, 0, 0..4);
        // A sweep that has not come to its end yet, and a worker that takes what it has put aside.
        files.rename("w000-0000000001.seg", "spare-w000-0000000001.seg").unwrap();
        files.cut_power_at(Some(files.operations() + cut_at));
        let opened = WorkerLog::open(SimulatedDisk::new(files.clone(), 5), options(0, 5)).is_ok();
        files.power_on();
        assert_eq!(Survey::take(&files, LOG, None).unwrap().foreign, [], "operation {cut_at}");
        let found = sequences(&files, 0);
        assert!(found == [1, 2, 3, 4] || found == [3, 4], "operation {cut_at}: {found:?}");
        if opened {
            return;
        }
    }
}

#[test]
fn a_full_file_system_refuses_commits_until_there_is_room() {
    // On a real one where that is possible, and on a simulated one everywhere.
    let files = SimulatedFiles::new(3);
    files.set_capacity(200 << 10);
    let disk = SimulatedDisk::new(files.clone(), 1);
    let log = WorkerLog::open(disk, options(0, 1)).unwrap().0;
    let grow = files.clone();
    fill_up_and_go_on(log, &files, move || grow.set_capacity(1 << 20));

    let Some(mount) = log_kit::mount_tmpfs("size=400k") else { return };
    let files = SystemFiles::new(mount.path());
    for backend in [Backend::Threads, Backend::probe()] {
        let disk = SystemDisk::open(files.clone(), backend, "test", &spawn).unwrap();
        let log = WorkerLog::open(disk, options(0, 1)).unwrap().0;
        fill_up_and_go_on(log, &files, || mount.remount("size=4m"));
        for name in files.list().unwrap() {
            files.remove(&name).unwrap();
        }
        mount.remount("size=400k");
    }
}

fn fill_up_and_go_on<D: tidegate::log::disk::Disk>(
    mut log: WorkerLog<D>,
    files: &impl Files,
    grow: impl Fn(),
) {
    use tidegate::log::CommitFailure;
    let mut durable = Vec::new();
    let failure = loop {
        let done = commit(&mut log, LOG, 0, 20_000);
        match done.result {
            Ok(()) => durable.push(done.sequence),
            Err(failure) => break failure,
        }
    };
    assert!(matches!(failure, CommitFailure::NoSpace | CommitFailure::Short), "{failure:?}");
    assert!(log.epoch().is_none());
    let mut out = Vec::new();
    let mut reopen = |log: &mut WorkerLog<D>| {
        log.try_reopen();
        while log.is_reopening() {
            log.wait();
            log.poll(0, &mut out);
        }
        log.epoch().is_some()
    };
    // Cutting the failed segment may have freed enough for a small one; then it fills up again.
    let mut rounds = 0;
    while reopen(&mut log) {
        rounds += 1;
        assert!(rounds < 50, "the disk must be full at some time");
        let done = commit(&mut log, LOG, 0, 20_000);
        if done.result.is_ok() {
            durable.push(done.sequence);
        }
        while log.epoch().is_some() {
            let done = commit(&mut log, LOG, 0, 20_000);
            if done.result.is_ok() {
                durable.push(done.sequence);
            }
        }
    }
    let error = log.take_error();
    assert!(error.as_deref().is_some_and(|e| e.contains("space")), "{error:?}");
    grow();
    assert!(reopen(&mut log));
    durable.push(commit(&mut log, LOG, 0, 20_000).sequence);
    drop(log);
    assert_eq!(sequences(files, 0), durable);
    // Else retention, which takes what is closed, could not have them until the next start.
    let segments = Survey::take(files, LOG, Some(0)).expect("a directory").segments;
    let open = segments.iter().filter(|segment| segment.totals.blocks > 0 && !segment.is_closed()).count();
    assert_eq!(open, 1, "only the one being written: {segments:#?}");
}

#[test]
fn a_segment_that_cannot_be_opened_for_a_moment_is_read_the_next_time() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
    commit(&mut log, LOG, 0, 10).result.unwrap();
    rotate(&mut log, &[]);
    commit(&mut log, LOG, 0, 10).result.unwrap();
    let reader = Reader::open(data.path()).unwrap();
    let mut rows = reader.rows(Query::default()).unwrap();
    let names: Vec<String> = reader.survey().unwrap().segments.iter().map(|s| s.name.to_string()).collect();
    let root = directory.files().root();
    let (second, aside) = (root.join(&names[1]), root.join("aside"));
    std::fs::rename(&second, &aside).unwrap();
    // Opening it fails otherwise than for want of it.
    std::os::unix::fs::symlink(&second, &second).unwrap();
    let mut blocks = 0;
    let failed = loop {
        match rows.next_block(|_| Ok::<_, LogError>(())) {
            Ok(true) => blocks += 1,
            Ok(false) => panic!("the second segment was passed over"),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, LogError::Io { .. }), "{failed}");
    std::fs::rename(&aside, &second).unwrap();
    while rows.next_block(|_| Ok::<_, LogError>(())).unwrap() {
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}
