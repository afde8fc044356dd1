//! Damage costs what was damaged, and is named: every byte of a log is flipped, one at a time.

mod log_kit;

use log_kit::{block, commit, rotate, settle, spawn};
use tidegate::log::disk::simulated::{SimulatedDisk, SimulatedFiles};
use tidegate::log::disk::{Access, BlockFile, Files, ThreadDisk};
use tidegate::log::{
    Damage, DamagedPart, Found, SEGMENT_PAGE, SegmentReader, SegmentState, Survey, WorkerLog, WorkerOptions,
    verify,
};
use tidegate::model::{BLOCK_ALIGN, BlockHeader, HEADER_LEN, LogId};

const LOG: LogId = LogId(*b"log-with-damages");

fn options(seed: u64) -> WorkerOptions {
    WorkerOptions {
        log: LOG,
        worker: 0,
        segment_bytes_min: 64 << 10,
        segment_bytes_max: 64 << 10,
        seed,
        live: None,
    }
}

fn open(files: &SimulatedFiles, seed: u64) -> (WorkerLog<SimulatedDisk>, tidegate::log::Recovery) {
    WorkerLog::open(SimulatedDisk::new(files.clone(), seed), options(seed)).expect("damage is no error")
}

/// A sealed segment, with blocks 1 to 4, and an open one, with blocks 5 to 8.
fn example() -> SimulatedFiles {
    let files = SimulatedFiles::new(1);
    let (mut log, _) = open(&files, 1);
    for len in [10, 4000, 9000, 100] {
        commit(&mut log, LOG, 0, len);
    }
    rotate(&mut log, &[5; 6000]);
    for len in [10, 4000, 9000, 100] {
        commit(&mut log, LOG, 0, len);
    }
    // Let the background finish: the first segment is sealed, a third prepared.
    let mut out = Vec::new();
    for _ in 0..1000 {
        log.poll(0, &mut out);
    }
    drop(log);
    files
}

fn read(files: &SimulatedFiles) -> (Vec<u64>, Vec<Damage>) {
    let survey = Survey::take(files, LOG, None).expect("damage is no error");
    log_kit::read_all(files, LOG, &survey)
}

/// Where blocks are: file, offset, bytes that matter, sequence (0: the footer).
fn blocks(files: &SimulatedFiles) -> Vec<(String, u64, u64, u64)> {
    let mut found = Vec::new();
    for segment in Survey::take(files, LOG, None).expect("sound").segments {
        let name = segment.name.to_string();
        let file = files.open(&name, Access::Read).expect("there");
        for offset in (SEGMENT_PAGE as u64..segment.bytes).step_by(BLOCK_ALIGN) {
            let mut head = [0; HEADER_LEN];
            file.read_full_at(&mut head, offset).expect("readable");
            if let Ok(header) = BlockHeader::decode(&head) {
                let footer = header.kind == tidegate::model::BlockKind::Footer;
                let sequence = if footer { 0 } else { header.sequence };
                found.push((name.clone(), offset, header.content_len() as u64, sequence));
            }
        }
    }
    found
}

#[test]
fn a_flipped_byte_costs_no_more_than_its_block() {
    let files = example();
    let all: Vec<u64> = (1..=8).collect();
    assert_eq!(read(&files), (all.clone(), vec![]));
    let blocks = blocks(&files);
    assert_eq!(blocks.len(), 9);
    for (name, start, len, sequence) in &blocks {
        for at in 0..*len {
            let mask = 1 << (at % 8);
            files.flip(name, start + at, mask);
            let (found, damages) = read(&files);
            files.flip(name, start + at, mask);

            let left: Vec<u64> = all.iter().copied().filter(|s| s != sequence).collect();
            assert_eq!(found, left, "{name} byte {at} of block {sequence}");
            if *sequence == 8 {
                // The last block: nothing says that it was ever durable, so it is a torn tail.
                assert_eq!(damages, []);
                continue;
            }
            let [damage] = &damages[..] else { panic!("one damage, not {damages:?}") };
            assert_eq!(
                (damage.offset, damage.blocks()),
                (*start, u64::from(*sequence != 0)),
                "{name} {at}: {damage}"
            );
            if *sequence != 0 {
                assert_eq!((damage.first_sequence, damage.last_sequence), (*sequence, *sequence));
            } else {
                assert_eq!(damage.part, DamagedPart::Footer);
            }
        }
    }
}

#[test]
fn a_flipped_byte_never_stops_the_start_and_is_counted_once() {
    // Every byte of headers and trailer, some of the rest: a start writes, so each one needs a log of its own.
    let sound = example();
    let places: Vec<(String, u64, u64)> = blocks(&sound)
        .into_iter()
        .flat_map(|(name, start, len, sequence)| {
            (0..len).step_by(97).map(move |at| (name.clone(), start + at, sequence))
        })
        .collect();
    for (name, at, sequence) in places {
        let files = example();
        files.flip(&name, at, 0x40);
        let (mut log, recovery) = open(&files, 2);
        assert!(recovery.next_sequence > 8);
        // Sealed segments are read by `verify`; the open one is read at once.
        let expected = u64::from((5..8).contains(&sequence));
        assert_eq!((recovery.damaged, recovery.damaged_blocks), (expected, expected), "{name} {at}");
        // Without its header a last block leaves no trace at all.
        assert!(recovery.torn <= u64::from(sequence == 8));
        let added = commit(&mut log, LOG, 0, 10).sequence;
        let (found, damages) = read(&files);
        let mut left: Vec<u64> = (1..=8).filter(|s| *s != sequence).collect();
        left.push(added);
        assert_eq!(found, left);
        assert_eq!(damages.len(), usize::from(sequence != 8), "still named, in the same way");
    }
}

#[test]
fn a_flipped_byte_of_padding_costs_nothing_and_is_named() {
    let files = example();
    let named = || {
        let (survey, mut named) = (Survey::take(&files, LOG, None).unwrap(), Vec::new());
        verify(&files, LOG, &survey, |_, _| {}, |_, damage| named.push(damage.clone())).unwrap();
        named
    };
    assert_eq!(named(), []);
    for (name, start, len, _) in blocks(&files) {
        let behind = (start + len).next_multiple_of(BLOCK_ALIGN as u64);
        for at in [start + len, behind - 1] {
            files.flip(&name, at, 1);
            let (found, named) = (read(&files), named());
            files.flip(&name, at, 1);
            assert_eq!(found, ((1..=8).collect(), vec![]), "{name} {at}");
            let [damage] = &named[..] else { panic!("one damage, not {named:?}") };
            assert_eq!((damage.part, damage.offset, damage.blocks()), (DamagedPart::Padding, start + len, 0));
        }
    }
}

#[test]
fn a_damaged_segment_header_costs_no_block() {
    for at in (0..SEGMENT_PAGE as u64).step_by(61) {
        let files = example();
        for number in [1, 2] {
            files.flip(&format!("w000-{number:010}.seg"), at, 1);
        }
        let survey = Survey::take(&files, LOG, None).unwrap();
        assert_eq!(survey.segments.iter().filter(|s| s.header_damage().is_some()).count(), 2);
        assert_eq!(read(&files).0, (1..=8).collect::<Vec<_>>());
        let (log, recovery) = open(&files, 2);
        assert!(log.next_sequence() > 8);
        assert_eq!((recovery.damaged, recovery.foreign.len()), (0, 0));
        assert_eq!(read(&files).0, (1..=8).collect::<Vec<_>>());
    }
}

#[test]
fn a_damaged_trailer_is_made_good_by_the_next_start() {
    let files = example();
    let name = "w000-0000000001.seg";
    let len = files.open(name, Access::Read).unwrap().len().unwrap();
    files.flip(name, len - 100, 1);
    assert_eq!(read(&files).0, (1..=8).collect::<Vec<_>>());
    drop(open(&files, 2));
    let survey = Survey::take(&files, LOG, None).unwrap();
    assert!(matches!(survey.segments[0].state, SegmentState::Sealed { .. }), "the footer was still there");
    assert_eq!(read(&files), ((1..=8).collect(), vec![]));
}

#[test]
fn a_cut_off_segment_says_what_it_lost() {
    let files = example();
    let name = "w000-0000000001.seg";
    let file = files.open(name, Access::Write).unwrap();
    let trailer_at = file.len().unwrap() - SEGMENT_PAGE as u64;
    let mut trailer = vec![0; SEGMENT_PAGE];
    file.read_full_at(&mut trailer, trailer_at).unwrap();
    // Blocks 3 and 4 and the footer overwritten: the trailer, and what follows, still know of them.
    let third = blocks(&files)[2].1;
    let zeros = vec![0; usize::try_from(trailer_at - third).unwrap()];
    file.write_all_at(&zeros, third).unwrap();
    let (found, damages) = read(&files);
    assert_eq!(found, [1, 2, 5, 6, 7, 8]);
    assert_eq!(damages.len(), 1);
    assert_eq!(
        (damages[0].part, damages[0].first_sequence, damages[0].last_sequence),
        (DamagedPart::Tail, 3, 4)
    );
    // Without the trailer the next segment knows.
    file.write_all_at(&zeros[..SEGMENT_PAGE], trailer_at).unwrap();
    let (found, damages) = read(&files);
    assert_eq!(found, [1, 2, 5, 6, 7, 8]);
    assert_eq!(
        (damages[0].part, damages[0].first_sequence, damages[0].last_sequence),
        (DamagedPart::Tail, 3, 4)
    );
}

#[test]
fn a_segment_that_is_gone_from_the_middle_is_missed_and_the_oldest_are_not() {
    let files = SimulatedFiles::new(1);
    let (mut log, _) = open(&files, 1);
    for _ in 0..3 {
        for _ in 0..20 {
            commit(&mut log, LOG, 0, 100);
        }
        rotate(&mut log, b"footer");
    }
    commit(&mut log, LOG, 0, 100);
    drop(log);
    let missing = |files: &SimulatedFiles| Survey::take(files, LOG, None).unwrap().missing;
    assert_eq!(missing(&files), []);
    let middle = files.list().unwrap().into_iter().nth(1).unwrap();
    files.rename(&middle, "elsewhere").unwrap();
    let [one] = missing(&files)[..] else { panic!("{:?}", missing(&files)) };
    assert_eq!((one.first_sequence, one.last_sequence), (21, 40));
    files.rename("elsewhere", &middle).unwrap();
    assert_eq!(missing(&files), []);
    for oldest in files.list().unwrap().iter().take(2) {
        files.remove(oldest).unwrap();
        assert_eq!(missing(&files), [], "retention does that");
    }
}

#[test]
fn starts_that_wrote_nothing_leave_no_place_where_a_segment_is_missing() {
    let files = SimulatedFiles::new(1);
    for seed in 1..20 {
        let (mut log, _) = open(&files, seed);
        if seed % 6 == 1 {
            commit(&mut log, LOG, 0, 100);
        }
    }
    let survey = Survey::take(&files, LOG, None).unwrap();
    assert_eq!(survey.missing, []);
    assert!(survey.segments.windows(2).any(|s| s[0].totals.last_sequence + 20 < s[1].totals.first_sequence));
}

#[test]
fn random_bytes_are_read_without_a_panic() {
    let mut noise = 0x1234_5678_9abc_def1_u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    for round in 0..300 {
        let files = example();
        let name = format!("w000-{:010}.seg", next() % 2 + 1);
        let file = files.open(&name, Access::Write).unwrap();
        let len = file.len().unwrap();
        for _ in 0..=round % 7 {
            let at = next() % len;
            let junk: Vec<u8> = (0..next() % 6000).map(|_| next() as u8).collect();
            file.write_at(&junk, at).unwrap();
        }
        if next() % 3 == 0 {
            file.set_len(next() % len).unwrap();
        }
        let (found, _) = read(&files);
        assert!(found.iter().all(|s| (1..=8).contains(s)), "{found:?}");
        let (_, recovery) = open(&files, 3);
        assert!(recovery.next_sequence >= 1);
        assert!(read(&files).0.iter().all(|s| found.contains(s)), "a start loses nothing that was readable");
    }
}

#[test]
fn the_blocks_that_a_recycled_file_held_before_do_not_come_back() {
    let files = SimulatedFiles::new(5);
    let (mut log, _) = open(&files, 1);
    for _ in 0..10 {
        commit(&mut log, LOG, 0, 3000);
    }
    rotate(&mut log, b"f");
    commit(&mut log, LOG, 0, 10);
    rotate(&mut log, b"f");
    let last_old = commit(&mut log, LOG, 0, 10).sequence;
    log.close(Box::new(Vec::new), &mut Vec::new()).unwrap();
    // What retention does with a segment that nobody reads.
    files.rename("w000-0000000001.seg", "spare-w000-0000000001.seg").unwrap();
    files.sync_directory().unwrap();

    let (mut log, _) = open(&files, 2);
    assert!(!files.list().unwrap().iter().any(|n| n.starts_with("spare")), "the file is used again");
    let first_new = commit(&mut log, LOG, 0, 10).sequence;
    drop(log);
    let kept: Vec<u64> = (11..=last_old).chain([first_new]).collect();
    assert_eq!(read(&files), (kept.clone(), vec![]));
    let (_, recovery) = open(&files, 3);
    assert_eq!((recovery.torn, recovery.damaged), (0, 0));
    assert_eq!(read(&files), (kept, vec![]));
}

#[test]
fn completions_keep_their_order_whatever_the_disk_does() {
    for seed in 0..200 {
        let files = SimulatedFiles::new(seed);
        let (mut log, _) = open(&files, seed);
        for _ in 0..4 {
            let next = block(&mut log, LOG, 0, 100);
            log.commit(next, 0).unwrap();
        }
        let sequences: Vec<u64> = settle(&mut log).iter().map(|c| c.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4]);
    }
}

#[test]
fn stamps_rise_though_the_clock_steps_back() {
    let files = SimulatedFiles::new(1);
    let (mut log, _) = open(&files, 1);
    let stamps = [log.stamp(1_000), log.stamp(900), log.stamp(-5), log.stamp(2_000)];
    assert_eq!(stamps, [1_000, 1_001, 1_002, 2_000]);
    // A block takes the next stamp; the next start goes on from there, though its clock says less.
    commit(&mut log, LOG, 0, 10);
    drop(log);
    let (mut log, recovery) = open(&files, 2);
    assert_eq!(recovery.last_stamp_ns, 2_001);
    assert_eq!(log.stamp(7), 2_002);
}

#[test]
fn the_simulation_and_the_thread_backend_are_the_same_to_a_log() {
    let files = SimulatedFiles::new(9);
    let disk = ThreadDisk::open(files.clone(), "test", &spawn).unwrap();
    let (mut log, _) = WorkerLog::open(disk, options(1)).unwrap();
    for _ in 0..20 {
        commit(&mut log, LOG, 0, 3000);
    }
    rotate(&mut log, b"footer");
    commit(&mut log, LOG, 0, 3000);
    drop(log);
    assert_eq!(read(&files), ((1..=21).collect(), vec![]));
}

#[test]
fn a_follower_takes_up_what_was_half_written_when_it_came_by() {
    let files = example();
    // Block 6 is not there yet when 7 and 8 are: overlapping commits finish in any order.
    let name = "w000-0000000002.seg";
    let file = files.open(name, Access::Write).unwrap();
    let place = blocks(&files).into_iter().find(|(.., sequence)| *sequence == 6).unwrap();
    let mut whole = vec![0; 8192];
    file.read_full_at(&mut whole, place.1).unwrap();
    for missing in [0..4096, 4096..8192, 0..8192] {
        let mut part = whole.clone();
        part[missing].fill(0);
        file.write_all_at(&part, place.1).unwrap();
        let mut survey = Survey::take(&files, LOG, None).unwrap();
        survey.limit(0, 5);
        let segment = &survey.segments[1];
        let mut reader = SegmentReader::new(file.clone(), LOG, segment);
        let mut next = || match reader.read_next() {
            Some(Found::Block(block)) => Some(block.header.sequence),
            Some(Found::Damage(damage)) => panic!("{damage}"),
            None => None,
        };
        assert_eq!((next(), next(), next()), (Some(5), None, None));
        file.write_all_at(&whole, place.1).unwrap();
        reader.extend(8, segment.bytes);
        let mut seen = Vec::new();
        while let Some(Found::Block(block)) = reader.read_next() {
            seen.push(block.header.sequence);
        }
        assert_eq!(seen, [6, 7, 8]);
    }
}

#[test]
fn a_footer_and_single_blocks_are_read_without_what_lies_before_them() {
    let files = example();
    let survey = Survey::take(&files, LOG, None).unwrap();
    let file = files.open("w000-0000000001.seg", Access::Read).unwrap();
    let mut reader = SegmentReader::new(file, LOG, &survey.segments[0]);
    assert_eq!(reader.read_footer(), Some(&[5; 6000][..]));
    for (name, offset, _, sequence) in blocks(&files) {
        if name == "w000-0000000001.seg" && sequence != 0 {
            let block = reader.read_block(offset).expect("sound");
            assert_eq!((block.header.sequence, block.damage()), (sequence, None));
            assert!(reader.read_block(offset + 1).is_none());
        }
    }
    assert!(reader.read_block(u64::MAX).is_none());
    assert!(
        matches!(reader.read_next(), Some(Found::Block(b)) if b.header.sequence == 1),
        "still at its start"
    );
    let file = files.open("w000-0000000002.seg", Access::Read).unwrap();
    assert_eq!(SegmentReader::new(file, LOG, &survey.segments[1]).read_footer(), None);
}
