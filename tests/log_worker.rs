//! A worker's log on real files: commits, rotation, restarts, readers beside a writer.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod log_kit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use log_kit::{LOG, SEGMENT_BYTES, block, commit, open, read_directory, rotate, settle};
use tidegate::log::disk::{Backend, COMMITS_IN_FLIGHT_MAX};
use tidegate::log::{Directory, Found, LogError, ReadDirectory, Refused, SegmentState, verify};
use tidegate::model::LogId;

fn backends() -> Vec<Backend> {
    let mut all = vec![Backend::Threads];
    if Backend::probe() == Backend::Uring {
        all.push(Backend::Uring);
    } else {
        eprintln!("io_uring is refused here: only the thread backend is tested");
    }
    all
}

fn data() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk")
}

#[test]
fn commits_complete_in_order_and_are_read_back_after_a_restart() {
    for backend in backends() {
        let data = data();
        {
            let directory = Directory::open(data.path(), LOG).unwrap();
            let (mut log, recovery) = open(&directory, backend, 0, 1).unwrap();
            assert_eq!((recovery.next_sequence, recovery.segments), (1, 0));
            let mut seen = Vec::new();
            for i in 0..40 {
                let next = block(&mut log, LOG, 0, 1000 * i);
                match log.commit(next, 0) {
                    Ok(()) => {}
                    Err(Refused::Busy(buf)) => {
                        assert_eq!(log.in_flight(), COMMITS_IN_FLIGHT_MAX);
                        seen.extend(settle(&mut log));
                        log.commit(buf, 0).unwrap();
                    }
                    Err(Refused::Ended(_)) => panic!("nothing failed"),
                }
            }
            seen.extend(settle(&mut log));
            let sequences: Vec<u64> = seen.iter().map(|c| c.sequence).collect();
            assert_eq!(sequences, (1..=40).collect::<Vec<_>>());
            assert!(seen.iter().all(|c| c.result.is_ok()));
            assert_eq!(log.durable_sequence(), 40);
            log.close(Box::new(|| b"footer".to_vec()), &mut Vec::new()).unwrap();
        }
        let (sequences, damages) = read_directory(data.path());
        assert_eq!(sequences, (1..=40).collect::<Vec<_>>());
        assert_eq!(damages, []);

        let directory = Directory::open(data.path(), LOG).unwrap();
        let (log, recovery) = open(&directory, backend, 0, 2).unwrap();
        assert_eq!((recovery.next_sequence, log.next_sequence()), (41, 41));
        assert_eq!((recovery.segments, recovery.closed, recovery.torn), (1, 0, 0));
    }
}

#[test]
fn a_log_that_was_dropped_without_closing_keeps_what_was_durable() {
    for backend in backends() {
        let data = data();
        for start in 0..3u64 {
            let directory = Directory::open(data.path(), LOG).unwrap();
            let (mut log, recovery) = open(&directory, backend, 0, start).unwrap();
            assert_eq!(recovery.closed, u64::from(start > 0));
            for _ in 0..5 {
                assert!(commit(&mut log, LOG, 0, 5000).result.is_ok());
            }
        }
        let (sequences, damages) = read_directory(data.path());
        assert_eq!(sequences.len(), 15);
        assert!(sequences.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(damages, []);
    }
}

#[test]
fn a_last_block_that_was_told_durable_is_damage_and_no_torn_tail() {
    for cut in [false, true] {
        let data = data();
        {
            let directory = Directory::open(data.path(), LOG).unwrap();
            let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
            for _ in 0..3 {
                assert!(commit(&mut log, LOG, 0, 5000).result.is_ok());
            }
        }
        let path = data.path().join("log").join("w000-0000000001.seg");
        let mut bytes = std::fs::read(&path).unwrap();
        let third = 4096 + 2 * 8192;
        bytes[third + 5000] ^= 1;
        bytes.truncate(if cut { third } else { bytes.len() });
        std::fs::write(&path, bytes).unwrap();
        // No block behind it says that it was durable; the page does, which its writer has left.
        for start in 0..2 {
            let directory = Directory::open(data.path(), LOG).unwrap();
            let (log, recovery) = open(&directory, Backend::Threads, 0, 2).unwrap();
            let told = if start == 0 { (0, 1, 1) } else { (0, 0, 0) };
            assert_eq!((recovery.torn, recovery.damaged, recovery.damaged_blocks), told, "cut {cut}");
            assert!(log.next_sequence() > 3, "its number is not used again");
        }
        let (sequences, damages) = read_directory(data.path());
        assert_eq!(sequences, [1, 2]);
        assert_eq!(damages.len(), 1, "cut {cut}: {damages:?}");
        assert_eq!((damages[0].first_sequence, damages[0].last_sequence), (3, 3));
    }
}

#[test]
fn rotation_seals_the_old_segment_and_continues_the_sequence() {
    for backend in backends() {
        let data = data();
        let directory = Directory::open(data.path(), LOG).unwrap();
        let (mut log, _) = open(&directory, backend, 0, 9).unwrap();
        let first = log.epoch();
        while !log.wants_rotation(0) {
            commit(&mut log, LOG, 0, 30_000);
        }
        assert!(!log.wants_rotation(1 << 30), "the dictionary outweighs the data");
        rotate(&mut log, b"the dictionary");
        assert_ne!(log.epoch(), first);
        let last = commit(&mut log, LOG, 0, 10).sequence;
        log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();

        let survey = directory.survey().unwrap();
        let states: Vec<bool> =
            survey.segments.iter().map(|s| matches!(s.state, SegmentState::Sealed { .. })).collect();
        assert_eq!(states, [true, false], "the second was closed without a footer");
        assert_eq!(survey.segments[1].state, SegmentState::Closed);
        let (sequences, damages) = read_directory(data.path());
        assert_eq!((sequences, damages), ((1..=last).collect(), vec![]));
    }
}

#[test]
fn a_reader_beside_the_writer_sees_what_is_durable_and_nothing_else() {
    let data = data();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
    commit(&mut log, LOG, 0, 100);
    commit(&mut log, LOG, 0, 100);
    assert_eq!(read_directory(data.path()).0, [1, 2]);

    // In the file, perhaps even on the disk, but not acknowledged.
    let next = block(&mut log, LOG, 0, 100);
    log.commit(next, 0).unwrap();
    log.wait();
    assert_eq!(read_directory(data.path()), (vec![1, 2], vec![]));
    settle(&mut log);
    assert_eq!(read_directory(data.path()).0, [1, 2, 3]);
    drop(log);
    drop(directory);
    assert_eq!(ReadDirectory::open(data.path()).unwrap().watermarks().unwrap(), None, "no writer any more");
}

#[test]
fn a_second_writer_is_told_who_holds_the_directory() {
    let data = data();
    let _directory = Directory::open(data.path(), LOG).unwrap();
    match Directory::open(data.path(), LOG) {
        Err(LogError::Locked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_without_room_for_the_live_page_is_refused() {
    // The page is mapped: found out later, by a store, the lack of room would end the process.
    let Some(mount) = log_kit::mount_tmpfs("size=64k") else { return };
    drop(Directory::open(mount.path(), LOG).unwrap());
    std::fs::remove_file(mount.path().join("LIVE")).unwrap();
    assert!(std::fs::write(mount.path().join("ballast"), [1; 64 << 10]).is_err(), "now it is full");
    let refused = Directory::open(mount.path(), LOG).unwrap_err();
    assert!(matches!(refused, LogError::Io { action: "share", .. }), "{refused}");
    std::fs::remove_file(mount.path().join("ballast")).unwrap();
    let directory = Directory::open(mount.path(), LOG).unwrap();
    assert_eq!(directory.live(0).unwrap().told_before(), 0);
}

#[test]
fn what_was_told_durable_is_told_on_by_a_start_that_finds_no_room() {
    let Some(mount) = log_kit::mount_tmpfs("size=400k") else { return };
    {
        let directory = Directory::open(mount.path(), LOG).unwrap();
        let (mut log, _) = open(&directory, Backend::Threads, 0, 1).unwrap();
        (0..3).for_each(|_| assert!(commit(&mut log, LOG, 0, 5000).result.is_ok()));
    }
    assert!(std::fs::write(mount.path().join("ballast"), [1; 400 << 10]).is_err(), "now it is full");
    for seed in 2..4 {
        let directory = Directory::open(mount.path(), LOG).unwrap();
        assert_eq!(directory.live(0).unwrap().told_before(), 3);
        let (log, _) = open(&directory, Backend::Threads, 0, seed).unwrap();
        assert_eq!((log.epoch(), log.durable_sequence()), (None, 3));
    }
}

#[test]
fn a_reader_makes_no_directory() {
    let data = data();
    let missing = data.path().join("missing");
    assert!(matches!(ReadDirectory::open(&missing), Err(LogError::Missing { .. })));
    assert!(!missing.exists());
    assert!(matches!(ReadDirectory::open(data.path()), Err(LogError::Foreign { .. })));
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

/// The names in a directory, and what the files hold.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(&path).unwrap_or_default())
    };
    entries.map(read).collect()
}

#[test]
fn a_directory_that_is_refused_stays_as_it_is() {
    let refused = |before: &[(&str, &[u8])]| {
        let data = data();
        before.iter().for_each(|(name, bytes)| std::fs::write(data.path().join(name), bytes).unwrap());
        let found = contents(data.path());
        let error = Directory::open(data.path(), LOG).unwrap_err();
        assert_eq!(contents(data.path()), found, "{error}");
        error
    };
    let newer = format!("tidegate log\nversion 77\nlog {LOG}\n");
    for files in [
        &[("FORMAT", newer.as_bytes())][..],
        &[("FORMAT", newer.as_bytes()), ("LOCK", b"4711\n"), ("LIVE", b"alive")],
    ] {
        assert!(matches!(refused(files), LogError::Newer { found, .. } if found == "version 77"));
    }
    for files in [
        &[("FORMAT", &b"picture of a tide gate"[..]), ("LOCK", b"mine"), ("LIVE", b"alive")][..],
        &[("FORMAT", b"\x89PNG\r\n\x1a\n\xff")],
        // Without a format file, too: it is not the directory of a start that was killed.
        &[("LOCK", b"a lock of somebody else")],
        &[("LOCK", b"\xff\xfe")],
        &[("LIVE", b"alive")],
    ] {
        assert!(matches!(refused(files), LogError::Foreign { .. }));
    }
}

#[test]
fn a_directory_of_segments_that_is_none_is_named() {
    let data = data();
    let path = data.path().join("log");
    std::fs::write(&path, "").unwrap();
    let error = Directory::open(data.path(), LOG).unwrap_err().to_string();
    assert!(error.starts_with(&format!("list {}: ", path.display())), "{error}");
    assert_eq!(contents(data.path()).len(), 1, "nothing was made beside it");
}

#[test]
fn what_a_start_that_was_killed_left_behind_is_taken() {
    for left in [
        &[("LOCK", &b""[..])][..],
        &[("LOCK", b"4711\n"), ("LIVE", b""), ("FORMAT", b"")],
        &[("LOCK", b""), ("LIVE", &[0; 4096]), ("FORMAT.tmp", b"tidegate")],
    ] {
        let data = data();
        left.iter().for_each(|(name, bytes)| std::fs::write(data.path().join(name), bytes).unwrap());
        let directory = Directory::open(data.path(), LOG).unwrap();
        assert_eq!(directory.log(), LOG);
        let lock = std::fs::read_to_string(data.path().join("LOCK")).unwrap();
        assert_eq!(lock, format!("{}\n", std::process::id()));
    }
}

#[test]
fn a_new_directory_that_many_want_has_one_identity() {
    for _ in 0..20 {
        let data = data();
        let (path, together) = (data.path().join("new"), Barrier::new(4));
        let open = |id| {
            together.wait();
            loop {
                match Directory::open(&path, LogId([id; 16])) {
                    Err(LogError::Locked { .. }) => std::thread::yield_now(),
                    opened => break opened.unwrap().log(),
                }
            }
        };
        let logs: Vec<LogId> = std::thread::scope(|scope| {
            let open = &open;
            let all: Vec<_> = (1..=4).map(|id| scope.spawn(move || open(id))).collect();
            all.into_iter().map(|opened| opened.join().unwrap()).collect()
        });
        assert!(logs.iter().all(|log| *log == logs[0]), "{logs:?}");
    }
}

#[test]
fn a_lost_format_file_is_made_again_from_the_segments() {
    let data = data();
    {
        let directory = Directory::open(data.path(), LOG).unwrap();
        let (mut log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
        commit(&mut log, LOG, 0, 100);
    }
    std::fs::remove_file(data.path().join("FORMAT")).unwrap();
    assert_eq!(read_directory(data.path()).0, [1]);
    let directory = Directory::open(data.path(), tidegate::model::LogId([7; 16])).unwrap();
    assert_eq!(directory.log(), LOG);
}

#[test]
fn the_lock_lasts_as_long_as_a_worker_may_write() {
    let data = data();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
    drop(directory);
    assert!(matches!(Directory::open(data.path(), LOG), Err(LogError::Locked { .. })));
    drop(log);
    assert!(Directory::open(data.path(), LOG).is_ok());
}

#[test]
fn a_segment_that_is_outrun_grows_and_is_still_sound() {
    let data = data();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
    let mut last = 0;
    // Never rotated, though it is full: four times what was prepared.
    while log.segment().is_some_and(|(_, end)| end < 4 * SEGMENT_BYTES) {
        last = commit(&mut log, LOG, 0, 50_000).sequence;
    }
    assert_eq!(read_directory(data.path()), ((1..=last).collect(), vec![]));
    drop(log);
    assert_eq!(read_directory(data.path()), ((1..=last).collect(), vec![]));
}

#[test]
fn a_reader_follows_a_segment_that_is_being_written() {
    let data = data();
    let directory = Directory::open(data.path(), LOG).unwrap();
    let (mut log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
    commit(&mut log, LOG, 0, 100);
    let reading = ReadDirectory::open(data.path()).unwrap();
    let survey = reading.survey().unwrap();
    let mut reader = reading.open_segment(&survey.segments[0]).unwrap().expect("there");
    let mut seen = Vec::new();
    for _ in 0..30 {
        while let Some(found) = reader.read_next() {
            let Found::Block(found) = found else { panic!("{found:?}") };
            assert!(found.damage().is_none());
            seen.push(found.header.sequence);
        }
        assert_eq!(seen.last(), Some(&log.durable_sequence()));
        let next = block(&mut log, LOG, 0, 30_000);
        log.commit(next, 0).unwrap();
        assert!(reader.read_next().is_none(), "not durable yet");
        settle(&mut log);
        reader.extend(reading.watermarks().unwrap().expect("a writer")[0], 8 * SEGMENT_BYTES);
    }
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

#[test]
fn verify_counts_what_is_sound_and_names_what_is_not() {
    let data = data();
    {
        let directory = Directory::open(data.path(), LOG).unwrap();
        let (mut log, _) = open(&directory, Backend::Threads, 0, 9).unwrap();
        for _ in 0..10 {
            commit(&mut log, LOG, 0, 5000);
        }
        log.close(Box::new(|| vec![1; 100]), &mut Vec::new()).unwrap();
    }
    let path = data.path().join("log").join("w000-0000000001.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 3 * 8192 + 5000] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let reading = ReadDirectory::open(data.path()).unwrap();
    let mut named = Vec::new();
    let verified = verify(
        reading.files(),
        reading.log(),
        &reading.survey().unwrap(),
        |_, block| assert_eq!(block.header.rows, 7),
        |segment, damage| named.push(format!("{}: {damage}", segment.name)),
    )
    .unwrap();
    assert_eq!((verified.blocks, verified.rows, verified.damaged_blocks), (9, 63, 1));
    assert_eq!(named, ["w000-0000000001.seg: damaged payload at byte 28672, 8192 bytes, sequence 4"]);
}
