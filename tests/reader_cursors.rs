//! Readers on cursors: every block at least once and in order, from where the cursor was committed, killed or not.
//!
//! The process that is killed is this test binary, started again to play a part.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod log_kit;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::engine::{CommitPolicy, Embedded, Options, RowWriter};
use tidegate::log::disk::{Backend, Files, SystemDisk, SystemFiles};
use tidegate::log::{
    CursorError, CursorStart, Cursors, Directory, LogError, Positions, Retention, Sweeper, Tally, WorkerLog,
};
use tidegate::reader::{Block, BlockId, CursorReader, Query, Reader, Rows};

const LONG: Duration = Duration::from_secs(60);
const PART: &str = "TIDEGATE_TEST_PART";

fn data() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Commits on demand only.
fn open(directory: &Path, workers: u32) -> Embedded {
    let commit = CommitPolicy { linger_ns: 0, interval_ns: 3_600_000_000_000 };
    Embedded::open(Options { workers, commit, ..Options::new(directory) }).unwrap()
}

fn cursors(engine: &Embedded) -> &Arc<Cursors<SystemFiles>> {
    engine.cursors().expect("opened on a directory")
}

/// Makes rows of these numbers durable, in one block.
fn write(rows: &mut RowWriter, numbers: impl IntoIterator<Item = i64>) {
    let series = rows.series(&[("__name__", "n"), ("host", "a")]).unwrap();
    for n in numbers {
        rows.push(series, n, n as f64).unwrap();
    }
    rows.flush().unwrap().wait(LONG).unwrap();
}

/// The numbers of a block's rows, which are their times.
fn numbers(block: &mut Block<'_>) -> (BlockId, Vec<i64>) {
    let mut numbers = Vec::new();
    block
        .for_each_table(|table| {
            assert_eq!(table.first_row as usize, numbers.len());
            numbers.extend_from_slice(table.times());
            Ok::<_, ()>(())
        })
        .unwrap();
    assert_eq!(numbers.len(), block.rows() as usize);
    (block.id(), numbers)
}

#[test]
fn blocks_come_in_order_and_again_until_they_are_committed() {
    let data = data();
    let engine = open(data.path(), 1);
    cursors(&engine).create("c", CursorStart::Oldest).unwrap();
    let mut rows = engine.writer().unwrap();
    (0..5).for_each(|n| write(&mut rows, [10 * n, 10 * n + 1]));
    for _ in 0..2 {
        let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
        for n in 0..5 {
            let (id, found) = reader.next(LONG, numbers).unwrap().unwrap();
            assert_eq!(found, [10 * n, 10 * n + 1]);
            assert_eq!(
                (id.worker, id.sequence, id.log),
                (0, n as u64 + 1, Reader::open(data.path()).unwrap().log())
            );
        }
        assert_eq!(reader.next(Duration::ZERO, numbers).unwrap(), None);
        assert_eq!(reader.behind().unwrap().rows, 10);
    }
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let (id, _) = reader.next(LONG, numbers).unwrap().unwrap();
    reader.next(LONG, numbers).unwrap().unwrap();
    // The first of two that were given.
    reader.commit_block(id).unwrap();
    let ahead = BlockId { sequence: 3, ..id };
    assert!(matches!(reader.commit_block(ahead), Err(CursorError::Ahead { worker: 0, sequence: 3 })));
    assert!(matches!(CursorReader::open(cursors(&engine), "c"), Err(CursorError::InUse(_))));
    drop(reader);
    // Over a restart, and over a segment that was sealed meanwhile.
    engine.close(LONG).unwrap();
    let engine = open(data.path(), 1);
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let (id, found) = reader.next(LONG, numbers).unwrap().unwrap();
    assert_eq!((id.sequence, found), (2, vec![10, 11]));
    write(&mut engine.writer().unwrap(), [77]);
    let rest: Vec<_> = std::iter::from_fn(|| reader.next(Duration::ZERO, numbers).unwrap()).collect();
    assert_eq!(rest.iter().map(|(_, n)| n[0]).collect::<Vec<_>>(), [20, 30, 40, 77]);
    reader.commit(&reader.position()).unwrap();
    assert_eq!((reader.behind().unwrap(), reader.lost()), (Tally::default(), Tally::default()));
    assert_eq!(Reader::open(data.path()).unwrap().cursors().unwrap()[0].positions, reader.position());
}

#[test]
fn who_waits_is_given_what_comes_from_any_worker() {
    let data = data();
    let engine = open(data.path(), 3);
    cursors(&engine).create("c", CursorStart::Now).unwrap();
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let mut found = BTreeSet::new();
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let mut rows = engine.writer().unwrap();
            scope.spawn(move || (0..50).for_each(|n| write(&mut rows, [worker * 1000 + n])));
        }
        let mut last = [0; 3];
        while found.len() < 150 {
            let (id, numbers) = reader.next(LONG, numbers).unwrap().expect("more is to come");
            assert!(id.sequence > last[id.worker as usize], "each worker's in order");
            last[id.worker as usize] = id.sequence;
            numbers.into_iter().for_each(|n| assert!(found.insert(n), "{n} was given twice"));
        }
    });
    assert_eq!(found.len(), 150);
}

#[test]
fn a_new_cursor_begins_now_or_before_everything() {
    let data = data();
    let engine = open(data.path(), 1);
    let mut rows = engine.writer().unwrap();
    write(&mut rows, [1]);
    cursors(&engine).create("old", CursorStart::Oldest).unwrap();
    cursors(&engine).create("new", CursorStart::Now).unwrap();
    write(&mut rows, [2]);
    let first = |name| {
        let mut reader = CursorReader::open(cursors(&engine), name).unwrap();
        reader.next(LONG, numbers).unwrap().unwrap().1
    };
    assert_eq!((first("old"), first("new")), (vec![1], vec![2]));
}

#[test]
fn closing_the_engine_wakes_who_waits_and_ends_the_cursor() {
    let data = data();
    let engine = open(data.path(), 1);
    cursors(&engine).create("c", CursorStart::Now).unwrap();
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let waiting = std::thread::spawn(move || (reader.next(LONG, numbers).map(|b| b.is_some()), reader));
    engine.close(LONG).unwrap();
    let (outcome, reader) = waiting.join().unwrap();
    assert!(matches!(outcome, Err(CursorError::Closed)));
    // Its handle keeps nobody out, and moves nothing any more.
    let engine = open(data.path(), 1);
    let positions: Positions = reader.position();
    assert!(matches!(reader.commit(&positions), Err(CursorError::Closed)));
    assert!(CursorReader::open(cursors(&engine), "c").is_ok());
}

#[test]
fn what_closing_commits_is_given_before_the_cursor_ends() {
    let data = data();
    let engine = open(data.path(), 2);
    cursors(&engine).create("c", CursorStart::Oldest).unwrap();
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let mut writers = [engine.writer().unwrap(), engine.writer().unwrap()];
    write(&mut writers[0], [1]);
    // Pushed and not flushed: it is the closing that commits these.
    for (rows, n) in writers.iter_mut().zip([2, 3]) {
        let series = rows.series(&[("__name__", "n"), ("host", "a")]).unwrap();
        rows.push(series, n, n as f64).unwrap();
    }
    engine.close(LONG).unwrap();
    // And what the next engine writes is none of this reader's.
    let next = open(data.path(), 2);
    write(&mut next.writer().unwrap(), [4]);
    let mut found = Vec::new();
    let ended = loop {
        match reader.next(LONG, numbers) {
            Ok(block) => found.extend(block.expect("it was closed, and nothing is waited for").1),
            Err(error) => break error,
        }
    };
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3]);
    assert!(matches!(ended, CursorError::Closed), "{ended}");
    assert!(matches!(reader.next(LONG, numbers), Err(CursorError::Closed)), "and stays so");
    assert!(matches!(reader.commit(&reader.position()), Err(CursorError::Closed)));
    // It was not committed, so it is given again.
    let mut again = CursorReader::open(cursors(&next), "c").unwrap();
    let mut all: Vec<i64> = Vec::new();
    while let Some((_, numbers)) = again.next(Duration::ZERO, numbers).unwrap() {
        all.extend(numbers);
    }
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
}

#[test]
fn fewer_workers_hide_nothing_of_those_that_there_were() {
    let data = data();
    let engine = open(data.path(), 3);
    cursors(&engine).create("c", CursorStart::Oldest).unwrap();
    let mut writers: Vec<_> = (0..3).map(|_| engine.writer().unwrap()).collect();
    writers.iter_mut().zip(1..).for_each(|(rows, n)| write(rows, [n]));
    engine.close(LONG).unwrap();
    let engine = open(data.path(), 1);
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    assert_eq!(reader.behind().unwrap().rows, 3);
    let mut found: Vec<i64> = Vec::new();
    while let Some((_, numbers)) = reader.next(Duration::ZERO, numbers).unwrap() {
        found.extend(numbers);
    }
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3]);
}

#[test]
fn who_waits_while_the_engine_closes_is_given_what_the_closing_commits() {
    let data = data();
    let engine = open(data.path(), 1);
    cursors(&engine).create("c", CursorStart::Oldest).unwrap();
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    let waiting = std::thread::spawn(move || {
        let first = reader.next(LONG, numbers).map(|block| block.map(|(_, numbers)| numbers));
        (first, reader.next(LONG, numbers).map(|block| block.is_some()))
    });
    let mut rows = engine.writer().unwrap();
    let series = rows.series(&[("__name__", "n"), ("host", "a")]).unwrap();
    rows.push(series, 7, 7.0).unwrap();
    engine.close(LONG).unwrap();
    let (first, then) = waiting.join().unwrap();
    assert_eq!(first.unwrap(), Some(vec![7]));
    assert!(matches!(then, Err(CursorError::Closed)));
}

#[test]
fn blocks_of_a_directory_have_the_rows_that_its_rows_are() {
    let data = data();
    let engine = open(data.path(), 2);
    for writer in 0..4 {
        let mut rows = engine.writer().unwrap();
        (0..20).for_each(|n| write(&mut rows, (0..n).map(|i| writer * 10_000 + n * 100 + i)));
    }
    engine.close(LONG).unwrap();
    let reader = Reader::open(data.path()).unwrap();
    let filtered = || Query { start_ns: Some(500), end_ns: Some(30_000), ..Query::default() };
    for query in [Query::default, filtered] {
        let mut expected = Vec::new();
        let mut rows = reader.rows(query()).unwrap();
        rows.for_each(|row| {
            expected.push((row.arrival.sequence, row.arrival.position, row.time_ns));
            Ok::<_, LogError>(())
        })
        .unwrap();
        let (mut found, mut blocks) = (Vec::new(), reader.blocks(query()).unwrap());
        let mut one = |block: &mut Block<'_>| {
            let sequence = block.id().sequence;
            block.for_each_table(|table| {
                let all: Vec<u32> = (0..table.rows() as u32).collect();
                for &row in table.wanted.unwrap_or(&all) {
                    found.push((sequence, table.first_row + row, table.times()[row as usize]));
                }
                Ok::<_, ()>(())
            })
        };
        while blocks.next_block(&mut one).unwrap().is_some() {}
        assert_eq!(found, expected);
        assert!(expected.len() > 100);
    }
}

/// A directory whose first worker has one closed segment, of the first block, and is writing the next one, which
/// begins with the second block.
fn two_segments(data: &Path) -> (Directory, WorkerLog<SystemDisk>) {
    let directory = Directory::open(data, log_kit::LOG).unwrap();
    let (mut log, _) = log_kit::open(&directory, Backend::Threads, 0, 1).unwrap();
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    close_segment(&directory, &mut log);
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    (directory, log)
}

/// Goes on to the next segment, once the one being written has its trailer.
fn close_segment(directory: &Directory, log: &mut WorkerLog<SystemDisk>) {
    let closed = || directory.survey().unwrap().segments.iter().filter(|s| s.is_closed()).count();
    let before = closed();
    log_kit::rotate(log, b"f");
    let from = Instant::now();
    while closed() == before {
        assert!(from.elapsed() < LONG, "the trailer was not written");
        log.wait();
        log.poll(0, &mut Vec::new());
    }
}

/// The sequences of the first worker's blocks that a reader is given now.
fn sequences(reader: &mut CursorReader) -> Vec<u64> {
    let one = |block: &mut Block<'_>| (block.id().worker, block.id().sequence);
    let all = std::iter::from_fn(|| reader.next(Duration::ZERO, one).unwrap());
    all.filter(|&(worker, _)| worker == 0).map(|(_, sequence)| sequence).collect()
}

/// Whether a follower finds that there may be more, and how many blocks there are, of all workers.
fn follow(rows: &mut Rows) -> (bool, usize) {
    let more = rows.refresh().unwrap();
    // These blocks cannot be decoded, which is told elsewhere; they are read all the same.
    let blocks = std::iter::from_fn(|| rows.next_block(|_| Ok::<_, LogError>(())).unwrap().then_some(()));
    (more, blocks.count())
}

const KEEP_NONE: Retention =
    Retention { age_ns: Some(0), bytes_max: None, free_percent_min: 0, cursor_bytes_max: 0 };

#[test]
fn a_segment_that_is_written_and_has_lost_its_name_is_read_on() {
    let data = data();
    let (directory, mut log) = two_segments(data.path());
    let (mut other, _) = log_kit::open(&directory, Backend::Threads, 1, 2).unwrap();
    directory.cursors().create("c", CursorStart::Oldest).unwrap();
    let mut reader = CursorReader::open(directory.cursors(), "c").unwrap();
    let mut rows = Reader::open(data.path()).unwrap().rows(Query::default()).unwrap();
    assert_eq!((sequences(&mut reader), follow(&mut rows)), (vec![1, 2], (true, 2)));

    let (name, _) = log.segment().unwrap();
    let (name, aside) = (directory.files().root().join(name.to_string()), data.path().join("aside"));
    std::fs::rename(&name, &aside).unwrap();
    // Another worker's first block has both look again, and find the segment gone.
    log_kit::commit(&mut other, log_kit::LOG, 1, 100);
    assert_eq!((sequences(&mut reader), follow(&mut rows)), (vec![], (true, 1)));
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    assert_eq!(sequences(&mut reader), [3], "by the watermark alone");
    std::fs::rename(&aside, &name).unwrap();
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    close_segment(&directory, &mut log);
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    assert_eq!((sequences(&mut reader), follow(&mut rows)), (vec![4, 5], (true, 3)));
    assert_eq!(reader.lost(), Tally::default());
}

#[test]
fn a_closed_segment_that_goes_before_it_was_read_is_let_go_and_its_blocks_are_given_or_counted() {
    let data = data();
    let (directory, mut log) = two_segments(data.path());
    let cursors = directory.cursors();
    cursors.create("c", CursorStart::Oldest).unwrap();
    let mut reader = CursorReader::open(cursors, "c").unwrap();
    let mut rows = Reader::open(data.path()).unwrap().rows(Query::default()).unwrap();
    assert_eq!((sequences(&mut reader), follow(&mut rows)), (vec![1, 2], (true, 2)));
    reader.commit(&reader.position()).unwrap();

    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    let (second, _) = log.segment().unwrap();
    close_segment(&directory, &mut log);
    log.stamp(1_000_000);
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    close_segment(&directory, &mut log);
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    // Block 3 was not read, and its segment is too old; that of block 4, closed as well, is not.
    let mut sweeper =
        Sweeper::new(directory.files().clone(), log_kit::LOG).minding(Arc::clone(directory.cursors()));
    let swept = sweeper.sweep(&KEEP_NONE, 1_000_000).unwrap();
    assert!(!directory.files().list().unwrap().contains(&second.to_string()), "{swept:?}");
    // Who has it open reads as far as is known to be durable, and then lets it go for the next one.
    let lost = reader.lost();
    assert_eq!((sequences(&mut reader), lost.blocks), (vec![3, 4, 5], 1), "{swept:?}");
    // Who asks nobody for the watermark has no more of it, and goes on as well.
    assert_eq!((follow(&mut rows), follow(&mut rows)), ((true, 2), (false, 0)));
}

#[test]
fn a_closed_segment_that_goes_with_all_others_is_let_go_by_who_follows() {
    let data = data();
    let (directory, mut log) = two_segments(data.path());
    let mut rows = Reader::open(data.path()).unwrap().rows(Query::default()).unwrap();
    assert_eq!(follow(&mut rows), (true, 2));
    close_segment(&directory, &mut log);
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    close_segment(&directory, &mut log);
    let mut sweeper = Sweeper::new(directory.files().clone(), log_kit::LOG);
    assert_eq!(sweeper.sweep(&KEEP_NONE, u64::MAX).unwrap().removed, 3);
    // Its storage is free now, and nothing has it look again and again.
    assert_eq!((follow(&mut rows), follow(&mut rows)), ((true, 0), (false, 0)));
    log_kit::commit(&mut log, log_kit::LOG, 0, 100);
    assert_eq!(follow(&mut rows), (true, 1));
}

/// Writes and reads until it is killed, and says what it did before it does the next thing.
#[test]
fn a_part_played_for_another_test() {
    let Ok(data) = std::env::var(PART) else { return };
    let engine = Embedded::open(Options { workers: 2, ..Options::new(&data) }).unwrap();
    _ = cursors(&engine).create("c", CursorStart::Oldest);
    let mut rows = engine.writer().unwrap();
    let from = std::process::id() as i64 * 1_000_000;
    std::thread::spawn(move || {
        for n in from.. {
            write(&mut rows, [n]);
            println!("durable {n}");
        }
    });
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    loop {
        let (id, numbers) = reader.next(LONG, numbers).unwrap().unwrap();
        println!("given {} {} {numbers:?}", id.worker, id.sequence);
        if id.sequence % 3 == 0 {
            reader.commit(&reader.position()).unwrap();
            let positions: Vec<_> = reader.position().iter().map(|(w, s)| format!("{w} {s}")).collect();
            println!("committed {}", positions.join(" "));
        }
    }
}

#[test]
fn killed_readers_go_on_behind_their_commit_and_miss_nothing() {
    let data = data();
    let (mut durable, mut given) = (BTreeSet::new(), BTreeSet::new());
    let mut committed = Positions::default();
    for lines in [5_usize, 200, 333, 40, 700, 90, 511, 64] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "a_part_played_for_another_test"])
            .env(PART, data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut seen = 0;
        let mut line = String::new();
        let mut take = |line: &str| {
            // The harness has begun the first line.
            let line = line.rsplit(" ... ").next().unwrap_or(line);
            let words: Vec<&str> = line.trim_end().split(' ').collect();
            let number = |word: &str| word.trim_matches(&['[', ']', ','][..]).parse::<i64>().unwrap();
            match words[0] {
                "durable" => _ = durable.insert(number(words[1])),
                "given" => {
                    let (worker, sequence) = (number(words[1]) as u32, number(words[2]) as u64);
                    assert!(sequence > committed.passed(worker), "given again after a commit: {line}");
                    given.extend(words[3..].iter().map(|word| number(word)));
                }
                "committed" => {
                    for pair in words[1..].chunks(2) {
                        committed.pass(number(pair[0]) as u32, number(pair[1]) as u64);
                    }
                }
                _ => return false,
            }
            true
        };
        while seen < lines {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended by itself");
            seen += usize::from(take(&line));
        }
        child.kill().unwrap();
        // What it had said before it was killed counts, too; its last line may be cut short.
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        rest.split_inclusive('\n').filter(|line| line.ends_with('\n')).for_each(|line| _ = take(line));
        child.wait().unwrap();
    }
    let engine = open(data.path(), 2);
    let cursor = cursors(&engine).cursor("c").unwrap();
    assert!(committed.iter().all(|(worker, sequence)| cursor.positions.passed(worker) >= sequence));
    assert_eq!(cursor.lost, Tally::default());
    let mut reader = CursorReader::open(cursors(&engine), "c").unwrap();
    while let Some((_, numbers)) = reader.next(Duration::ZERO, numbers).unwrap() {
        given.extend(numbers);
    }
    let missed: Vec<_> = durable.difference(&given).collect();
    assert!(missed.is_empty(), "durable and never given: {missed:?}");
    assert!(durable.len() > 100 && !committed.is_empty());
    std::io::stdout().flush().unwrap();
}
