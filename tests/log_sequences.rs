//! Sequences do not come back, whatever retention has taken, the disk has refused, and the power has cut short: a block
//! is named by (log, worker, sequence) for ever, and cursors count on it.

mod log_kit;

use log_kit::{block, commit, rotate};
use tidegate::log::disk::Files;
use tidegate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use tidegate::log::{
    CursorStart, Directory, LogError, Retention, Sweeper, WorkerLog, WorkerOptions, recover_others,
};
use tidegate::model::LogId;

const LOG: LogId = LogId(*b"sequences-rise-1");
const SEGMENT_BYTES: u64 = 32 << 10;
/// Takes all that may go. (A percent is kept free so that no reserve is tried for on a full disk, which takes time.)
const TAKE_ALL: Retention =
    Retention { age_ns: Some(0), bytes_max: None, free_percent_min: 1, cursor_bytes_max: 0 };

fn try_open(files: &SimulatedFiles, worker: u32, seed: u64) -> Result<WorkerLog<SimulatedDisk>, LogError> {
    let options = WorkerOptions {
        log: LOG,
        worker,
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        seed,
        live: None,
    };
    WorkerLog::open(SimulatedDisk::new(files.clone(), seed), options).map(|(log, _)| log)
}

fn open(files: &SimulatedFiles, worker: u32, seed: u64) -> WorkerLog<SimulatedDisk> {
    try_open(files, worker, seed).expect("a sound disk")
}

fn sweep(files: &SimulatedFiles) {
    Sweeper::new(files.clone(), LOG).sweep(&TAKE_ALL, u64::MAX).expect("a sound disk");
}

fn fill_disk(files: &SimulatedFiles) {
    let space = files.space().expect("the power is on");
    files.set_capacity(space.total_bytes - space.free_bytes);
}

/// A log with ten blocks whose next segment was prepared after the first: its header says nothing of the others.
fn with_an_early_successor(files: &SimulatedFiles) -> WorkerLog<SimulatedDisk> {
    let mut log = open(files, 0, 1);
    commit(&mut log, LOG, 0, 100);
    while !log.may_rotate() {
        log.wait();
        log.poll(0, &mut Vec::new());
    }
    (2..=10).for_each(|n| assert_eq!(commit(&mut log, LOG, 0, 100).sequence, n));
    log
}

fn run_jobs(log: &mut WorkerLog<SimulatedDisk>) {
    (0..20).for_each(|_| {
        log.wait();
        log.poll(0, &mut Vec::new());
    });
}

fn segments(files: &SimulatedFiles) -> Vec<String> {
    files.list().expect("the power is on").into_iter().filter(|name| name.ends_with(".seg")).collect()
}

#[test]
fn a_successor_without_a_block_does_not_speak_for_the_segment_before_it() {
    let files = SimulatedFiles::new(1);
    let mut log = with_an_early_successor(&files);
    rotate(&mut log, b"f");
    run_jobs(&mut log);
    sweep(&files);
    drop(log);
    files.power_on();
    assert!(open(&files, 0, 2).next_sequence() > 10);
}

#[test]
fn two_power_cuts_on_a_full_disk_with_retention_between_bring_no_sequence_back() {
    let files = SimulatedFiles::new(1);
    let mut log = with_an_early_successor(&files);
    rotate(&mut log, b"f");
    run_jobs(&mut log);
    drop(log);
    files.power_on();
    fill_disk(&files);
    let log = open(&files, 0, 2);
    assert_eq!(log.epoch(), None, "no room for a segment");
    assert!(log.next_sequence() > 10);
    drop(log);
    sweep(&files);
    files.power_on();
    assert!(open(&files, 0, 3).next_sequence() > 10);
}

#[test]
fn a_newer_segment_whose_header_is_lost_does_not_let_the_older_one_go() {
    let files = SimulatedFiles::new(1);
    let mut log = with_an_early_successor(&files);
    rotate(&mut log, b"f");
    run_jobs(&mut log);
    drop(log);
    files.flip("w000-0000000002.seg", 50, 1);
    sweep(&files);
    assert!(open(&files, 0, 3).next_sequence() > 10);
}

#[test]
fn a_worker_that_is_no_more_is_not_forgotten_on_a_full_disk() {
    let files = SimulatedFiles::new(1);
    let mut log = with_an_early_successor(&files);
    rotate(&mut log, b"f");
    run_jobs(&mut log);
    drop(log);
    fill_disk(&files);
    assert_eq!(open(&files, 0, 2).epoch(), None, "no room; its unused segment is cut to its header");
    for _ in 0..3 {
        fill_disk(&files);
        recover_others(&files, LOG, |_| false, |_| 0).expect("a full disk is no error");
        sweep(&files);
        files.power_on();
    }
    files.set_capacity(u64::MAX);
    assert!(open(&files, 0, 3).next_sequence() > 10);
}

#[test]
fn what_retention_leaves_of_segments_goes_once_a_newer_one_speaks() {
    let files = SimulatedFiles::new(1);
    let mut log = open(&files, 0, 1);
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let mut removed = 0;
    for n in 1..=30 {
        assert_eq!(commit(&mut log, LOG, 0, 100).sequence, n);
        rotate(&mut log, b"f");
        run_jobs(&mut log);
        removed += sweeper.sweep(&TAKE_ALL, u64::MAX).expect("a sound disk").removed;
        // The first page of the last closed one, the one that is written, and perhaps its successor.
        assert!(segments(&files).len() <= 3, "{:?}", segments(&files));
    }
    assert_eq!(removed, 30);
    // Segments that were ended before they had a block are no more than that.
    for _ in 0..30 {
        log.end_segment();
        while !log.try_reopen() {
            run_jobs(&mut log);
        }
        sweeper.sweep(&TAKE_ALL, u64::MAX).expect("a sound disk");
        assert!(segments(&files).len() <= 4, "{:?}", segments(&files));
    }
    drop(log);
    files.power_on();
    assert!(open(&files, 0, 2).next_sequence() > 30);
}

#[test]
fn a_start_on_a_full_disk_does_not_stumble_over_a_file_that_was_being_prepared() {
    let files = SimulatedFiles::new(1);
    drop(open(&files, 0, 1));
    files.create("w000.tmp").expect("there is room");
    fill_disk(&files);
    assert_eq!(open(&files, 0, 2).epoch(), None, "no room for a segment, and no error");
}

#[test]
fn a_sequence_that_a_cursor_has_passed_is_not_given_again_though_the_segments_are_gone() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    {
        let directory = Directory::open(data.path(), LOG).unwrap();
        let (mut log, _) = log_kit::open(&directory, tidegate::log::disk::Backend::Threads, 0, 1).unwrap();
        (1..=10).for_each(|_| _ = commit(&mut log, LOG, 0, 100));
        directory.cursors().create("ahead", CursorStart::Now).unwrap();
    }
    // The page, which is never synced, and the segments.
    std::fs::remove_file(data.path().join("LIVE")).unwrap();
    std::fs::remove_file(data.path().join("log/w000-0000000001.seg")).unwrap();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (log, _) = log_kit::open(&directory, tidegate::log::disk::Backend::Threads, 0, 2).unwrap();
    assert_eq!(log.next_sequence(), 11);
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % bound
    }
}

/// What a worker and the keeper may do in some moments; the highest sequence that was sent.
fn work(
    log: &mut WorkerLog<SimulatedDisk>,
    files: &SimulatedFiles,
    random: &mut Random,
    sent: &mut u64,
) -> u64 {
    let mut sweeper = Sweeper::new(files.clone(), LOG);
    let mut removed = 0;
    for _ in 0..40 {
        match random.below(9) {
            _ if files.is_off() => return removed,
            0..3 if log.epoch().is_some() && log.in_flight() < 4 => {
                let next = block(log, LOG, 0, random.below(9000) as usize);
                *sent = log.next_sequence();
                log.commit(next, 0).expect("asked before");
            }
            3 => _ = log.may_rotate(),
            4 => _ = log.rotate(Box::new(|| vec![7; 100])),
            5 if log.epoch().is_some() && log.in_flight() == 0 && random.below(3) == 0 => log.end_segment(),
            5 => _ = log.try_reopen(),
            6 => removed += sweeper.sweep(&TAKE_ALL, u64::MAX).map_or(0, |swept| swept.removed),
            7 if random.below(2) == 0 => fill_disk(files),
            7 => files.set_capacity(u64::MAX),
            _ => log.wait(),
        }
        log.poll(0, &mut Vec::new());
    }
    removed
}

#[test]
fn no_sequence_comes_back_whatever_fails_and_goes() {
    let (mut removed, mut lives) = (0, 0);
    for seed in 1..=150 {
        let files = SimulatedFiles::new(seed);
        let mut random = Random(seed * 2 + 1);
        let mut sent = 0;
        for life in 0..6 {
            let cut_at = files.operations() + 1 + random.below(120);
            files.cut_power_at((random.below(4) > 0).then_some(cut_at));
            if random.below(3) == 0 {
                files.set_faults(Faults {
                    sync_fails: 20,
                    write_fails: 40,
                    no_space: 10,
                    ..Faults::default()
                });
            }
            if random.below(5) == 0 {
                // A start without this worker.
                let done = recover_others(&files, LOG, |_| false, |_| 0);
                done.is_ok().then(|| Sweeper::new(files.clone(), LOG).sweep(&TAKE_ALL, u64::MAX));
            } else if let Ok(mut log) = try_open(&files, 0, seed ^ life) {
                lives += 1;
                assert!(
                    log.next_sequence() > sent,
                    "seed {seed}, life {life}: {} is back",
                    log.next_sequence()
                );
                removed += work(&mut log, &files, &mut random, &mut sent);
            }
            files.set_faults(Faults::default());
            if files.is_off() || random.below(2) == 0 {
                files.power_on();
            }
            files.cut_power_at(None);
            if random.below(2) == 0 {
                files.set_capacity(u64::MAX);
            }
        }
        files.set_capacity(u64::MAX);
        assert!(open(&files, 0, seed).next_sequence() > sent, "seed {seed}");
    }
    println!("{lives} lives, {removed} segments removed");
    assert!(removed > 100 && lives > 400, "{lives} lives, {removed} removed");
}
