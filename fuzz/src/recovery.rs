//! Recovery of a damaged data directory.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::log::disk::simulated::SimulatedFiles;
use tidegate::log::{Damage, Missing, Survey, verify};
use tidegate::model::BLOCK_ALIGN;

use super::image::{File, LOG, Place, commit, directory, image, open, places};

/// Changes of an image, at most; the rest of an input is left alone.
const CHANGES_MAX: usize = 16;

const SECTOR: usize = 512;

/// What was done to an image.
struct Damaged {
    files: Vec<File>,
    removed: Vec<bool>,
    /// Sound bytes stand where others belong, as a disk leaves them that writes to wrong places: a block may be found
    /// twice, and a footer in the middle ends a segment that has no trailer. The log opens all the same.
    misplaced: bool,
}

/// What a directory holds, by `verify`.
struct Held {
    sequences: BTreeSet<u64>,
    /// A sequence was found more than once.
    twice: bool,
    damages: Vec<Damage>,
    missing: Vec<Missing>,
    /// Files in which nothing says any more that they belong to the log.
    foreign: Vec<String>,
}

/// The input damages the files of a log: bytes change, sectors are lost or misplaced, files are cut or gone. Then the
/// log opens and takes rows, whatever it lost; every block that was not touched is still found, before and after; and
/// what is gone that was durable is named.
pub fn recovery(data: &[u8]) {
    let sound = image();
    let damaged = damage(sound, data);
    let files = directory(&damaged.files, &damaged.removed);
    let before = look(&files);
    if !damaged.misplaced {
        assert!(!before.twice, "a sequence is found twice");
        check(sound, &damaged, &before);
    }
    let (mut worker, recovery) = open(&files).expect("damage is no error");
    assert!(
        recovery.next_sequence > before.sequences.last().copied().unwrap_or_default(),
        "a number comes again"
    );
    let added = commit(&mut worker, 99);
    worker.close(&mut Vec::new()).expect("a disk without faults");
    let after = look(&files);
    assert!(after.sequences.contains(&added), "what was written after the recovery is found");
    let lost: Vec<_> = before.sequences.difference(&after.sequences).collect();
    assert!(damaged.misplaced || lost.is_empty(), "the recovery lost {lost:?}");
}

fn look(files: &SimulatedFiles) -> Held {
    let survey = Survey::take(files, LOG, None).expect("damage is no error");
    let (mut sequences, mut twice, mut damages) = (BTreeSet::new(), false, Vec::new());
    let verified = verify(
        files,
        LOG,
        &survey,
        |_, block| twice |= !sequences.insert(block.header.sequence),
        |_, damage| damages.push(damage.clone()),
    );
    let verified = verified.expect("damage is no error");
    assert_eq!((verified.blocks > sequences.len() as u64, verified.damaged), (twice, damages.len() as u64));
    let foreign = survey.foreign.iter().map(ToString::to_string).collect();
    Held { sequences, twice, damages, missing: survey.missing, foreign }
}

/// What was not touched is there, and what is gone is named.
fn check(sound: &[File], damaged: &Damaged, held: &Held) {
    let is_whole =
        |place: &Place| !damaged.removed[place.file] && place.bytes(&damaged.files) == place.bytes(sound);
    let blocks: BTreeMap<u64, Place> = places(sound)
        .into_iter()
        .filter(Place::is_rows)
        .map(|place| (place.header.sequence, place))
        .collect();
    // What the blocks that are left say to be durable. What says nothing of itself may be a torn tail.
    let durable = blocks.values().filter(|place| is_whole(place)).map(|p| p.header.durable_sequence).max();
    for (&sequence, place) in &blocks {
        if is_whole(place) {
            assert!(held.sequences.contains(&sequence), "block {sequence} was not touched, and is not found");
        } else {
            assert!(!held.sequences.contains(&sequence), "block {sequence} was damaged, and is called sound");
            let named = held.names(sequence) || held.foreign.contains(&sound[place.file].0);
            // Retention takes the oldest segments, and leaves no word of them.
            let oldest = damaged.removed[..=place.file].iter().all(|&removed| removed);
            // A start that finds the disk full cuts a file behind its last block: such an end says nothing.
            let len = damaged.files[place.file].1.len();
            let cut = len <= place.offset && len.is_multiple_of(BLOCK_ALIGN);
            assert!(
                named || oldest || cut || durable.is_none_or(|durable| sequence > durable),
                "block {sequence} is gone and nothing says so: {:?} {:?}",
                held.damages,
                held.missing
            );
        }
    }
}

impl Held {
    /// Whether the loss of a block is named.
    fn names(&self, sequence: u64) -> bool {
        let damages = self.damages.iter().map(|damage| (damage.first_sequence, damage.last_sequence));
        let missing = self.missing.iter().map(|missing| (missing.first_sequence, missing.last_sequence));
        damages.chain(missing).any(|(first, last)| (first..=last).contains(&sequence))
    }
}

/// Six bytes a change: what is done, to which file, where, and with what.
fn damage(sound: &[File], data: &[u8]) -> Damaged {
    let mut damaged = Damaged { files: sound.to_vec(), removed: vec![false; sound.len()], misplaced: false };
    for change in data.chunks_exact(6).take(CHANGES_MAX) {
        let &[what, file, low, high, with, more] = change else { continue };
        let file = usize::from(file) % sound.len();
        let bytes = &mut damaged.files[file].1;
        if bytes.is_empty() {
            continue;
        }
        let at = (usize::from(high) << 8 | usize::from(low)) % bytes.len();
        let sector = at / SECTOR * SECTOR..(at / SECTOR * SECTOR + SECTOR).min(bytes.len());
        match what % 8 {
            0 | 1 => bytes[at] ^= with,
            2 => bytes[at..].iter_mut().take(usize::from(more)).for_each(|byte| *byte = with),
            3 => bytes[sector].fill(0),
            4 => bytes[sector].fill(with),
            5 => bytes.truncate(if more & 1 == 0 { at } else { sector.start }),
            6 => damaged.removed[file] = more & 3 == 0,
            _ => {
                let from = usize::from(with) * SECTOR % sound[file].1.len();
                let moved = &sound[file].1[from..];
                let len = moved
                    .len()
                    .min(sector.len() * (1 + usize::from(more % 16)))
                    .min(bytes.len() - sector.start);
                bytes[sector.start..sector.start + len].copy_from_slice(&moved[..len]);
                damaged.misplaced = true;
            }
        }
    }
    damaged
}
