//! Cursors: what was committed is found after any crash, what they have not passed stays, and what goes all the same is
//! counted.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod log_kit;

use std::collections::BTreeMap;
use std::sync::Arc;

use log_kit::{commit, rotate};
use tidegate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use tidegate::log::disk::{Access, BlockFile, Files};
use tidegate::log::{
    CURSORS_MAX, CursorError, CursorStart, Cursors, Directory, Positions, ReadDirectory, Retention, Survey,
    Sweeper, Tally, WorkerLog, WorkerOptions,
};
use tidegate::model::LogId;

const LOG: LogId = LogId(*b"cursors-of-a-log");

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % bound
    }
}

/// What may be on the disk of a cursor: what was last acknowledged, or what was tried since.
#[derive(Clone, Default, Debug)]
struct Expected {
    /// `None`: not there.
    possible: Vec<Option<Positions>>,
}

type Model = BTreeMap<&'static str, Expected>;

const NAMES: [&str; 3] = ["a", "to-parquet", "x.y_z"];

/// Makes, moves and removes cursors until the power goes; what became of each is noted in `model`.
fn work(cursors: &Cursors<SimulatedFiles>, files: &SimulatedFiles, random: &mut Random, model: &mut Model) {
    for _ in 0..25 {
        if files.is_off() {
            return;
        }
        let name = NAMES[random.below(3) as usize];
        let before = cursors.cursor(name).map(|cursor| cursor.positions);
        let (tried, done) = match random.below(8) {
            0 => (None, cursors.delete(name).is_ok()),
            1 | 2 => (Some(Positions::default()), cursors.create(name, CursorStart::Oldest).is_ok()),
            _ => {
                let mut positions = before.clone().unwrap_or_default();
                positions.pass(random.below(5) as u32, random.below(1000));
                let done = cursors.commit(name, &positions).is_ok();
                (Some(positions), done)
            }
        };
        let applies = before.is_some() != (tried == Some(Positions::default()) && before.is_none());
        let expected = model.entry(name).or_insert_with(|| Expected { possible: vec![None] });
        match done {
            // Nothing new, and nothing was written: what an earlier failure left in doubt still is.
            true if before.is_some() && tried == before => {}
            true => expected.possible = vec![tried],
            // Refused without a look at the disk, or in doubt.
            false if applies || before.is_none() => expected.possible.push(tried),
            false => {}
        }
    }
}

/// One life: work, lose the power at `cut_at`, look, work again, lose it again, look.
fn live(seed: u64, cut_at: Option<u64>, faults: Faults) -> Result<u64, String> {
    let files = SimulatedFiles::new(seed ^ cut_at.unwrap_or(0) << 32);
    let (mut random, mut model) = (Random(seed * 2 + 1), Model::new());
    files.set_faults(faults);
    files.cut_power_at(cut_at);
    let mut operations = 0;
    for _ in 0..2 {
        if let Ok(cursors) = Cursors::open(files.clone(), LOG) {
            work(&cursors, &files, &mut random, &mut model);
        }
        operations = operations.max(files.operations());
        files.power_on();
        let cursors = Cursors::open(files.clone(), LOG).map_err(|e| e.to_string())?;
        for (name, expected) in &mut model {
            let found = cursors.cursor(name).map(|cursor| cursor.positions);
            if !expected.possible.contains(&found) {
                return Err(format!("cursor {name} is {found:?}, and could be {:?}", expected.possible));
            }
            expected.possible = vec![found];
        }
    }
    Ok(operations)
}

#[test]
fn a_crash_at_any_operation_leaves_each_cursor_where_it_was_committed() {
    let mut crashes = 0;
    for seed in 1..=16 {
        let operations = live(seed, None, Faults::default()).unwrap_or_else(|w| panic!("seed {seed}: {w}"));
        for cut_at in 1..=operations {
            live(seed, Some(cut_at), Faults::default())
                .unwrap_or_else(|w| panic!("seed {seed}, operation {cut_at}: {w}"));
            crashes += 1;
        }
    }
    assert!(crashes > 700, "only {crashes} crashes");
}

#[test]
fn failing_disks_lose_no_commit_that_was_acknowledged() {
    for seed in 1..=1_000 {
        let faults = match seed % 3 {
            0 => Faults { sync_fails: 6, ..Faults::default() },
            1 => Faults { write_fails: 6, write_is_short: 6, ..Faults::default() },
            _ => Faults { no_space: 6, sync_fails: 12, write_fails: 12, ..Faults::default() },
        };
        live(seed, (seed % 4 != 0).then_some(seed % 50 + 3), faults)
            .unwrap_or_else(|w| panic!("seed {seed}: {w}"));
    }
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let lies = Faults { sync_does_nothing: true, ..Faults::default() };
    let caught = (1..=40).filter(|&seed| live(seed, Some(seed % 40 + 10), lies).is_err()).count();
    assert!(caught > 10, "only {caught} of 40 runs noticed that nothing was synced");
}

#[test]
fn a_damaged_cursor_begins_again_and_a_damaged_slot_costs_the_last_commit_alone() {
    let files = SimulatedFiles::new(3);
    let cursors = Cursors::open(files.clone(), LOG).unwrap();
    cursors.create("c", CursorStart::Oldest).unwrap();
    let at = |sequence| -> Positions { [(0, sequence)].into_iter().collect() };
    cursors.commit("c", &at(10)).unwrap();
    cursors.commit("c", &at(20)).unwrap();
    let found = || Cursors::open(files.clone(), LOG).unwrap().cursor("c").unwrap().positions;
    assert_eq!(found(), at(20));
    // Made in the first slot, then moved in the second, then in the first again.
    files.flip("cursor-c", 70, 1);
    assert_eq!(found(), at(10));
    files.flip("cursor-c", 8192 + 70, 1);
    assert_eq!(found(), Positions::default());
    // It can be used on, in whichever slot.
    let cursors = Cursors::open(files.clone(), LOG).unwrap();
    cursors.commit("c", &at(30)).unwrap();
    assert_eq!(found(), at(30));
}

#[test]
fn a_commit_that_failed_moves_nothing_and_the_next_one_spares_the_slot_that_is_sound() {
    let at = |sequence| -> Positions { [(0, sequence)].into_iter().collect() };
    for (seed, cut_at) in (1..=10).flat_map(|seed| (1..=3).map(move |cut_at| (seed, cut_at))) {
        let files = SimulatedFiles::new(seed);
        let cursors = Cursors::open(files.clone(), LOG).unwrap();
        cursors.create("c", CursorStart::Oldest).unwrap();
        cursors.commit("c", &at(10)).unwrap();
        files.set_faults(Faults { write_fails: 1, ..Faults::default() });
        assert!(matches!(cursors.commit("c", &at(20)), Err(CursorError::Log(_))));
        assert_eq!(cursors.cursor("c").unwrap().positions, at(10));
        files.set_faults(Faults::default());
        files.cut_power_at(Some(files.operations() + cut_at));
        _ = cursors.commit("c", &at(30));
        files.power_on();
        let found = Cursors::open(files, LOG).unwrap().cursor("c").unwrap().positions;
        assert!([at(10), at(20), at(30)].contains(&found), "seed {seed}, {cut_at}: {found:?}");
    }
}

#[test]
fn misuse_has_an_answer() {
    let files = SimulatedFiles::new(3);
    let cursors = Cursors::open(files.clone(), LOG).unwrap();
    assert!(matches!(cursors.create("a/b", CursorStart::Oldest), Err(CursorError::Name(_))));
    assert!(matches!(cursors.commit("c", &Positions::default()), Err(CursorError::Missing(_))));
    assert!(matches!(cursors.delete("c"), Err(CursorError::Missing(_))));
    cursors.create("c", CursorStart::Oldest).unwrap();
    assert!(matches!(cursors.create("c", CursorStart::Oldest), Err(CursorError::Exists(_))));
    cursors.claim("c").unwrap();
    assert!(matches!(cursors.claim("c"), Err(CursorError::InUse(_))));
    assert!(matches!(cursors.delete("c"), Err(CursorError::InUse(_))));
    cursors.release("c");
    cursors.delete("c").unwrap();
    assert_eq!(files.list().unwrap(), [""; 0]);
    let (one, two): (Positions, Positions) = ([(1, 5)].into_iter().collect(), [(1, 4)].into_iter().collect());
    cursors.create("c", CursorStart::Oldest).unwrap();
    cursors.commit("c", &one).unwrap();
    let operations = files.operations();
    cursors.commit("c", &two).unwrap();
    assert_eq!(files.operations(), operations, "what is passed already costs no write");
    assert_eq!(cursors.cursor("c").unwrap().positions, one);
    for number in 1..CURSORS_MAX {
        cursors.create(&format!("c{number}"), CursorStart::Oldest).unwrap();
    }
    assert!(matches!(cursors.create("over", CursorStart::Oldest), Err(CursorError::TooMany)));
    // Another log's are none of ours.
    assert_eq!(Cursors::open(files, LogId::default()).unwrap().list(), []);
}

/// Segments of two blocks each, of 7 rows; a segment for each two of `blocks`.
fn fill(files: &SimulatedFiles, worker: u32, blocks: u64) {
    let options = WorkerOptions {
        log: LOG,
        worker,
        segment_bytes_min: 32 << 10,
        segment_bytes_max: 32 << 10,
        seed: u64::from(worker) + 5,
        live: None,
    };
    let disk = SimulatedDisk::new(files.clone(), u64::from(worker) + 9);
    let (mut log, _) = WorkerLog::open(disk, options).unwrap();
    for block in 1..=blocks {
        log.stamp(block as i64 * 100);
        commit(&mut log, LOG, worker, 8000);
        if block % 2 == 0 {
            rotate(&mut log, b"f");
        }
    }
    log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();
}

fn sequences(files: &SimulatedFiles, worker: u32) -> Vec<u64> {
    let survey = Survey::take(files, LOG, Some(worker)).unwrap();
    assert_eq!(survey.missing, []);
    log_kit::read_all(files, LOG, &survey).0
}

const KEEP_NONE: Retention =
    Retention { age_ns: Some(0), bytes_max: None, free_percent_min: 0, cursor_bytes_max: u64::MAX };

fn sweeper(files: &SimulatedFiles) -> (Arc<Cursors<SimulatedFiles>>, Sweeper<SimulatedFiles>) {
    let cursors = Arc::new(Cursors::open(files.clone(), LOG).unwrap());
    let sweeper = Sweeper::new(files.clone(), LOG).minding(Arc::clone(&cursors));
    (cursors, sweeper)
}

#[test]
fn what_a_cursor_has_not_passed_stays() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 10);
    fill(&files, 1, 6);
    let (cursors, mut sweeper) = sweeper(&files);
    cursors.create("slow", CursorStart::Oldest).unwrap();
    cursors.create("fast", CursorStart::Oldest).unwrap();
    cursors.commit("fast", &[(0, 10), (1, 6)].into_iter().collect()).unwrap();
    // In the middle of a segment: the whole of it stays.
    cursors.commit("slow", &[(0, 5), (1, 6)].into_iter().collect()).unwrap();
    let swept = sweeper.sweep(&KEEP_NONE, u64::MAX).unwrap();
    assert_eq!(sequences(&files, 0), [5, 6, 7, 8, 9, 10]);
    assert_eq!(sequences(&files, 1), [0_u64; 0]);
    assert_eq!((swept.held, swept.lost), (3, Tally::default()));
    assert_eq!(cursors.behind("slow").unwrap().blocks, 5);
    assert_eq!(cursors.behind("slow").unwrap().rows, 35);
    assert_eq!(cursors.behind("fast").unwrap(), Tally::default());
    // Passed, or gone, it holds nothing.
    cursors.commit("slow", &[(0, 8)].into_iter().collect()).unwrap();
    sweeper.sweep(&KEEP_NONE, u64::MAX).unwrap();
    assert_eq!(sequences(&files, 0), [9, 10]);
    cursors.delete("slow").unwrap();
    sweeper.sweep(&KEEP_NONE, u64::MAX).unwrap();
    assert_eq!(sequences(&files, 0), [0_u64; 0]);
}

#[test]
fn past_its_bound_the_oldest_goes_and_is_counted_once() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 10);
    let (cursors, mut sweeper) = sweeper(&files);
    cursors.create("slow", CursorStart::Oldest).unwrap();
    cursors.create("fast", CursorStart::Oldest).unwrap();
    cursors.commit("slow", &[(0, 1)].into_iter().collect()).unwrap();
    cursors.commit("fast", &[(0, 3)].into_iter().collect()).unwrap();
    let bytes = Survey::take(&files, LOG, None).unwrap().segments[4].bytes;
    // Room for three of five segments, and a bit.
    let retention = Retention { cursor_bytes_max: 3 * bytes + bytes / 2, ..KEEP_NONE };
    let swept = sweeper.sweep(&retention, u64::MAX).unwrap();
    assert_eq!(sequences(&files, 0), [5, 6, 7, 8, 9, 10]);
    assert_eq!((swept.held, swept.removed), (3, 2));
    let lost = |name| cursors.cursor(name).unwrap().lost;
    assert_eq!((lost("slow").blocks, lost("slow").rows), (3, 21));
    assert_eq!((lost("fast").blocks, lost("fast").rows), (1, 7));
    assert_eq!(swept.lost.rows, 28);
    assert_eq!(cursors.cursor("slow").unwrap().positions.passed(0), 4);
    // Nothing more is lost by looking again, nor by a restart.
    sweeper.sweep(&retention, u64::MAX).unwrap();
    let again = Cursors::open(files.clone(), LOG).unwrap();
    assert_eq!(again.cursor("slow"), cursors.cursor("slow"));
    assert_eq!(sequences(&files, 0), [5, 6, 7, 8, 9, 10]);
}

#[test]
fn space_goes_before_cursors() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 20);
    let (cursors, mut sweeper) = sweeper(&files);
    cursors.create("slow", CursorStart::Oldest).unwrap();
    let space = files.space().unwrap();
    files.set_capacity(space.total_bytes - space.free_bytes);
    let retention = Retention { age_ns: None, free_percent_min: 20, ..KEEP_NONE };
    let swept = sweeper.sweep(&retention, 0).unwrap();
    assert!(swept.removed > 0 && swept.lost.blocks == swept.removed * 2, "{swept:?}");
    assert_eq!(cursors.cursor("slow").unwrap().lost, swept.lost);
    assert_eq!(sequences(&files, 0).last(), Some(&20));
}

#[test]
fn a_crash_while_a_cursor_is_given_up_counts_nothing_twice() {
    for cut_at in 1..60 {
        let files = SimulatedFiles::new(cut_at);
        fill(&files, 0, 10);
        Cursors::open(files.clone(), LOG).unwrap().create("slow", CursorStart::Oldest).unwrap();
        files.cut_power_at(Some(files.operations() + cut_at));
        let retention = Retention { cursor_bytes_max: 0, ..KEEP_NONE };
        let (_, mut first) = sweeper(&files);
        _ = first.sweep(&retention, u64::MAX);
        files.power_on();
        let (cursors, mut second) = sweeper(&files);
        second.sweep(&retention, u64::MAX).unwrap();
        assert_eq!(sequences(&files, 0), [0_u64; 0]);
        let lost = cursors.cursor("slow").unwrap().lost;
        assert_eq!((lost.blocks, lost.rows), (10, 70), "cut at {cut_at}");
    }
}

#[test]
fn a_new_cursor_begins_where_it_is_told() {
    let files = SimulatedFiles::new(1);
    fill(&files, 0, 10);
    fill(&files, 2, 3);
    let cursors = Cursors::open(files, LOG).unwrap();
    assert_eq!(cursors.create("all", CursorStart::Oldest).unwrap().positions, Positions::default());
    let now: Positions = [(0, 10), (2, 3)].into_iter().collect();
    assert_eq!(cursors.create("new", CursorStart::Now).unwrap().positions, now);
    assert_eq!(cursors.behind("new").unwrap(), Tally::default());
    assert_eq!(cursors.behind("all").unwrap().blocks, 13);
}

#[test]
fn a_new_cursor_is_where_it_was_made_or_is_not_there_whenever_the_power_goes() {
    // Some seeds lose all that was not synced, others none of it.
    for seed in 1..=20 {
        for cut_at in 1.. {
            let files = SimulatedFiles::new(seed);
            fill(&files, 0, 3);
            let now: Positions = [(0, 3)].into_iter().collect();
            let cursors = Cursors::open(files.clone(), LOG).unwrap();
            files.cut_power_at(Some(files.operations() + cut_at));
            let made = cursors.create("new", CursorStart::Now).is_ok();
            let over = !files.is_off();
            files.power_on();
            let found = Cursors::open(files, LOG).unwrap().cursor("new").map(|cursor| cursor.positions);
            let expected = [Some(now), None];
            assert!(expected[..2 - usize::from(made)].contains(&found), "{seed}, {cut_at}: {found:?}");
            if over {
                break;
            }
        }
    }
}

#[test]
fn on_real_files_they_are_seen_by_readers_and_end_with_the_writer() {
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let cursors = Arc::clone(directory.cursors());
    // What a crash has left of one that was being made is in nobody's way.
    directory.files().create("cursor.tmp").unwrap();
    let cursor = cursors.create("c", CursorStart::Now).unwrap();
    let positions: Positions = [(0, 7)].into_iter().collect();
    cursors.commit("c", &positions).unwrap();
    let reading = ReadDirectory::open(data.path()).unwrap();
    assert_eq!(reading.cursors().unwrap()[0].positions, positions);
    assert_eq!(directory.survey().unwrap().foreign, []);
    let file = directory.files().open("cursor-c", Access::Read).unwrap();
    assert_eq!(file.len().unwrap(), 16384);
    drop(directory);
    assert!(matches!(cursors.commit("c", &[(0, 8)].into_iter().collect()), Err(CursorError::Closed)));
    assert!(matches!(cursors.create("d", CursorStart::Now), Err(CursorError::Closed)));
    let directory = Directory::open(data.path(), LOG).expect("a cursor's handle keeps no lock");
    assert_eq!(directory.cursors().list(), [tidegate::log::Cursor { positions, ..cursor }]);
}
