//! What the tests of the log share: small blocks, a log on real files, and reading everything back.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;

use tidegate::bytes::AlignedBuf;
use tidegate::log::disk::{Backend, Disk, Files, Job, SystemDisk};
use tidegate::log::{
    Completion, Damage, Directory, Found, LogError, ReadDirectory, Recovery, SegmentReader, Survey,
    WorkerLog, WorkerOptions,
};
use tidegate::model::{BlockHeader, BlockKind, LogId, crc32c};

pub(crate) const LOG: LogId = LogId(*b"tidegate-log-kit");
pub(crate) const SEGMENT_BYTES: u64 = 256 << 10;

pub(crate) fn spawn(name: &str, work: Job) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// A block with this sequence whose bytes follow from it, as `log` wants it next.
pub(crate) fn block<D: Disk>(
    log: &mut WorkerLog<D>,
    id: LogId,
    worker: u32,
    payload_len: usize,
) -> AlignedBuf {
    let sequence = log.next_sequence();
    let dictionary = bytes_of(sequence, 100);
    let payload = bytes_of(sequence ^ 0xff00, payload_len);
    let header = BlockHeader {
        kind: BlockKind::Rows,
        log: id,
        worker,
        tenant: 0,
        epoch: log.epoch().expect("a segment is open"),
        sequence,
        durable_sequence: log.durable_sequence(),
        stamp_ns: log.stamp(0),
        time_min_ns: 0,
        time_max_ns: 0,
        rows: 7,
        samples: 70,
        dictionary_len: dictionary.len() as u32,
        payload_len: payload.len() as u32,
        dictionary_crc: crc32c(&dictionary),
        payload_crc: crc32c(&payload),
    };
    let mut buf = AlignedBuf::new();
    buf.extend_from_slice(&header.encode());
    buf.extend_from_slice(&dictionary);
    buf.extend_from_slice(&payload);
    buf.pad();
    buf
}

pub(crate) fn bytes_of(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i * 0x1234_567f) >> 24) as u8)
        .collect()
}

pub(crate) fn options(directory: &Directory, worker: u32, seed: u64) -> WorkerOptions {
    WorkerOptions {
        log: directory.log(),
        worker,
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: 2 * SEGMENT_BYTES,
        seed,
        live: directory.live(worker),
    }
}

pub(crate) fn open(
    directory: &Directory,
    backend: Backend,
    worker: u32,
    seed: u64,
) -> Result<(WorkerLog<SystemDisk>, Recovery), LogError> {
    let disk = SystemDisk::open(directory.files().clone(), backend, "test", &spawn).expect("a disk");
    WorkerLog::open(disk, options(directory, worker, seed))
}

/// Commits one block and waits for its completion.
pub(crate) fn commit<D: Disk>(
    log: &mut WorkerLog<D>,
    id: LogId,
    worker: u32,
    payload_len: usize,
) -> Completion {
    let block = block(log, id, worker, payload_len);
    log.commit(block, 0).expect("nothing is in flight");
    settle(log).pop().expect("one completion")
}

/// Waits until nothing is in flight.
pub(crate) fn settle<D: Disk>(log: &mut WorkerLog<D>) -> Vec<Completion> {
    let mut out = Vec::new();
    log.poll(0, &mut out);
    while log.in_flight() > 0 {
        log.wait();
        log.poll(0, &mut out);
    }
    out
}

/// Rotates as soon as the next segment is ready.
pub(crate) fn rotate<D: Disk>(log: &mut WorkerLog<D>, footer: &[u8]) {
    while !log.rotate(Box::new({
        let footer = footer.to_vec();
        move || footer
    })) {
        log.wait();
        let mut out = Vec::new();
        log.poll(0, &mut out);
        assert!(out.is_empty());
    }
}

/// Everything in a survey's segments: sequences of sound blocks, and damage.
pub(crate) fn read_all<S: Files>(files: &S, id: LogId, survey: &Survey) -> (Vec<u64>, Vec<Damage>) {
    let mut sequences = Vec::new();
    let mut damages = Vec::new();
    for segment in &survey.segments {
        let file = files.open_shared(&segment.name.to_string()).expect("the segment is there");
        let mut reader = SegmentReader::new(file, id, segment);
        while let Some(found) = reader.read_next() {
            match found {
                Found::Block(block) => {
                    damages.extend(block.damage());
                    if block.header.kind == BlockKind::Rows && block.damage().is_none() {
                        let sequence = block.header.sequence;
                        assert_eq!(block.dictionary, Some(&bytes_of(sequence, 100)[..]));
                        let payload = block.payload.expect("no damage");
                        assert_eq!(payload, bytes_of(sequence ^ 0xff00, payload.len()));
                        sequences.push(sequence);
                    }
                }
                Found::Damage(damage) => damages.push(damage),
            }
        }
    }
    (sequences, damages)
}

/// Reads a directory as another process would.
pub(crate) fn read_directory(path: &Path) -> (Vec<u64>, Vec<Damage>) {
    let directory = ReadDirectory::open(path).expect("a data directory");
    let survey = directory.survey().expect("a survey");
    read_all(directory.files(), directory.log(), &survey)
}

/// A file system of its own, where this process may mount one.
#[derive(Debug)]
pub(crate) struct Mount(tempfile::TempDir);

impl Mount {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, options: &str) {
        let done = run("mount", &["-o", &format!("remount,{options}"), &self.0.path().display().to_string()]);
        assert!(done, "a mount of ours can be changed");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &["-l", &self.0.path().display().to_string()]);
    }
}

/// A tmpfs; `None`, with the reason printed, where that is not possible.
pub(crate) fn mount_tmpfs(options: &str) -> Option<Mount> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = directory.path().display().to_string();
    if run("mount", &["-t", "tmpfs", "-o", options, "tidegate-test", &path]) {
        return Some(Mount(directory));
    }
    println!("no tmpfs can be mounted here (not root?): this part is skipped");
    None
}

/// Whether a command ran and succeeded.
pub(crate) fn run(command: &str, arguments: &[&str]) -> bool {
    match std::process::Command::new(command).args(arguments).output() {
        Ok(output) => output.status.success(),
        Err(_) => false,
    }
}
