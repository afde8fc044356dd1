//! Crashes of a simulated disk, at every operation, compared with a model: what was acknowledged is recovered, what is
//! recovered was sent, no sequence comes back, and nothing is called damaged that is not.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::bytes::AlignedBuf;
use tidegate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use tidegate::log::{
    Completion, Damage, Found, LogError, Recovery, Refused, SegmentReader, Survey, WorkerLog, WorkerOptions,
};
use tidegate::model::{BlockHeader, BlockKind, LogId, crc32c};

const LOG: LogId = LogId(*b"simulated-log-01");
const SEGMENT_BYTES: u64 = 24 << 10;
const ACTIONS_MAX: u64 = 40;

/// Workloads, each crashed at every operation it makes.
const WORKLOADS: u64 = 70;
/// What the plan asks for.
const CRASHES_MIN: u64 = 10_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % bound
    }
}

/// What was sent, what was acknowledged.
#[derive(Default)]
struct Model {
    sent: BTreeMap<u64, Vec<u8>>,
    acknowledged: BTreeSet<u64>,
    failed: u64,
    reopened: u64,
    rotated: u64,
}

/// What became wrong.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
enum Wrong {
    Lost(u64),
    NeverSent(u64),
    NotAsSent(u64),
    Damaged(Vec<Damage>),
    NotRecovered(Box<Recovery>),
    CameBack(u64),
}

fn open(files: &SimulatedFiles, seed: u64) -> Result<(WorkerLog<SimulatedDisk>, Recovery), LogError> {
    let options = WorkerOptions {
        log: LOG,
        worker: 3,
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: 2 * SEGMENT_BYTES,
        seed,
        live: None,
    };
    WorkerLog::open(SimulatedDisk::new(files.clone(), seed), options)
}

impl Model {
    fn block(
        &mut self,
        log: &mut WorkerLog<SimulatedDisk>,
        random: &mut Random,
    ) -> Result<AlignedBuf, Wrong> {
        let sequence = log.next_sequence();
        let payload: Vec<u8> = (0..random.below(9_000)).map(|i| (i ^ random.0) as u8).collect();
        if self.sent.insert(sequence, payload.clone()).is_some() {
            return Err(Wrong::CameBack(sequence));
        }
        let header = BlockHeader {
            kind: BlockKind::Rows,
            log: LOG,
            worker: 3,
            tenant: 0,
            epoch: log.epoch().expect("open"),
            sequence,
            durable_sequence: log.durable_sequence(),
            stamp_ns: log.stamp(random.below(1000) as i64),
            time_min_ns: 0,
            time_max_ns: 0,
            rows: 1,
            samples: 1,
            dictionary_len: 0,
            payload_len: payload.len() as u32,
            dictionary_crc: crc32c(&[]),
            payload_crc: crc32c(&payload),
        };
        let mut buf = AlignedBuf::new();
        buf.extend_from_slice(&header.encode());
        buf.extend_from_slice(&payload);
        buf.pad();
        Ok(buf)
    }

    fn note(&mut self, completions: &mut Vec<Completion>) {
        for completion in completions.drain(..) {
            match completion.result {
                Ok(()) => assert!(self.acknowledged.insert(completion.sequence)),
                Err(_) => self.failed += 1,
            }
        }
    }

    /// Writes until the power goes or there is nothing left to do.
    fn write(
        &mut self,
        log: &mut WorkerLog<SimulatedDisk>,
        files: &SimulatedFiles,
        random: &mut Random,
    ) -> Result<(), Wrong> {
        let mut completions = Vec::new();
        let mut ended = false;
        for _ in 0..ACTIONS_MAX {
            if files.is_off() {
                return Ok(());
            }
            self.reopened += u64::from(ended && log.epoch().is_some());
            ended = log.epoch().is_none();
            match random.below(10) {
                0 => log.wait(),
                1 if log.rotate(Box::new(|| vec![7; 5000])) => self.rotated += 1,
                2..6 if log.epoch().is_some() && log.in_flight() < 4 => {
                    let block = self.block(log, random)?;
                    match log.commit(block, 0) {
                        Ok(()) => {}
                        Err(Refused::Busy(_) | Refused::Ended(_)) => unreachable!("asked before"),
                    }
                }
                _ if log.epoch().is_none() && log.in_flight() == 0 => {
                    log.try_reopen();
                }
                _ => {}
            }
            log.poll(0, &mut completions);
            self.note(&mut completions);
        }
        Ok(())
    }

    /// Compares what a reader finds. `strict`: with no fault but power cuts there is no damage.
    fn check(&self, files: &SimulatedFiles, strict: bool) -> Result<(), Wrong> {
        let survey = Survey::take(files, LOG, None).expect("the power is on");
        let mut found = BTreeSet::new();
        let mut damages = Vec::new();
        for segment in &survey.segments {
            let file =
                tidegate::log::disk::Files::open_shared(files, &segment.name.to_string()).expect("there");
            let mut reader = SegmentReader::new(file, LOG, segment);
            while let Some(next) = reader.read_next() {
                match next {
                    Found::Damage(damage) => damages.push(damage),
                    Found::Block(block) => {
                        damages.extend(block.damage());
                        if block.header.kind == BlockKind::Footer {
                            continue;
                        }
                        let sequence = block.header.sequence;
                        let sent = self.sent.get(&sequence).ok_or(Wrong::NeverSent(sequence))?;
                        if block.payload.is_some_and(|p| p != sent) {
                            return Err(Wrong::NotAsSent(sequence));
                        }
                        if block.payload.is_some() {
                            found.insert(sequence);
                        }
                    }
                }
            }
        }
        if let Some(&lost) = self.acknowledged.difference(&found).next() {
            return Err(Wrong::Lost(lost));
        }
        if strict && !damages.is_empty() {
            return Err(Wrong::Damaged(damages));
        }
        Ok(())
    }
}

/// One life: write, lose power at `cut_at`, lose it again in the recovery, recover, write, close, read.
fn live(seed: u64, cut_at: Option<u64>, faults: Faults) -> Result<(Model, u64), Wrong> {
    let strict = faults.sync_fails + faults.write_fails + faults.write_is_short + faults.no_space == 0;
    let files = SimulatedFiles::new(seed ^ cut_at.unwrap_or(0) << 32);
    let mut random = Random(seed * 2 + 1);
    let mut model = Model::default();

    files.cut_power_at(cut_at);
    files.set_faults(faults);
    if let Ok((mut log, _)) = open(&files, seed) {
        model.write(&mut log, &files, &mut random)?;
    }
    let operations = files.operations();
    files.power_on();
    files.set_faults(Faults { sync_does_nothing: faults.sync_does_nothing, ..Faults::default() });
    model.check(&files, strict)?;

    // Again, somewhere in the recovery or soon after.
    files.cut_power_at(Some(files.operations() + 1 + random.below(30)));
    if let Ok((mut log, recovery)) = open(&files, seed ^ 0xabcd) {
        if strict && recovery.damaged > 0 {
            return Err(Wrong::NotRecovered(Box::new(recovery)));
        }
        model.write(&mut log, &files, &mut random)?;
    }
    files.power_on();
    model.check(&files, strict)?;

    let (mut log, recovery) = open(&files, seed ^ 0x1234).expect("the disk is sound now");
    if strict && recovery.damaged > 0 {
        return Err(Wrong::NotRecovered(Box::new(recovery)));
    }
    model.check(&files, strict)?;
    model.write(&mut log, &files, &mut random)?;
    let mut completions = Vec::new();
    log.close(Box::new(|| vec![1; 100]), &mut completions).expect("the disk is sound now");
    model.note(&mut completions);
    model.check(&files, strict)?;

    // A clean end leaves nothing to do, even if the power goes.
    files.power_on();
    let (_, recovery) = open(&files, seed ^ 0x5678).expect("the disk is sound now");
    assert_eq!((recovery.closed, recovery.torn), (0, 0));
    assert!(recovery.next_sequence > model.sent.keys().last().copied().unwrap_or(0));
    model.check(&files, strict)?;
    Ok((model, operations))
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let (mut crashes, mut acknowledged, mut rotated) = (0, 0, 0);
    let mut seed = 0;
    while seed < WORKLOADS || crashes < CRASHES_MIN {
        seed += 1;
        let (_, operations) =
            live(seed, None, Faults::default()).unwrap_or_else(|w| panic!("seed {seed}: {w:?}"));
        for cut_at in 1..=operations {
            let (model, _) = live(seed, Some(cut_at), Faults::default())
                .unwrap_or_else(|w| panic!("seed {seed}, operation {cut_at}: {w:?}"));
            acknowledged += model.acknowledged.len();
            rotated += model.rotated;
            // The second one of each life, in or after the recovery, is not counted.
            crashes += 1;
        }
    }
    println!("{seed} workloads, {crashes} crashes, {acknowledged} acknowledged blocks, {rotated} rotations");
    assert!(rotated > crashes / 10, "the workloads must reach the interesting places");
}

#[test]
fn failing_disks_lose_nothing_that_was_acknowledged() {
    let (mut failed, mut reopened) = (0, 0);
    for seed in 1..=1500 {
        let faults = match seed % 4 {
            0 => Faults { sync_fails: 12, ..Faults::default() },
            1 => Faults { write_fails: 12, ..Faults::default() },
            2 => Faults { write_is_short: 12, ..Faults::default() },
            _ => Faults {
                no_space: 6,
                sync_fails: 30,
                write_fails: 30,
                write_is_short: 30,
                ..Faults::default()
            },
        };
        let cut_at = (seed % 3 != 0).then_some(seed % 90 + 5);
        let (model, _) = live(seed, cut_at, faults).unwrap_or_else(|w| panic!("seed {seed}: {w:?}"));
        failed += model.failed;
        reopened += model.reopened;
    }
    println!("{failed} failed commits, {reopened} new segments after one");
    assert!(failed > 500 && reopened > 100, "the faults must be felt: {failed}, {reopened}");
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let lies = Faults { sync_does_nothing: true, ..Faults::default() };
    let caught = (1..=40)
        .filter(|&seed| {
            let outcome = std::panic::catch_unwind(|| live(seed, Some(seed % 60 + 30), lies).is_err());
            outcome.unwrap_or(true)
        })
        .count();
    assert!(caught > 20, "only {caught} of 40 runs noticed that nothing was synced");
}
