//! What the tests of `tidegate log` share: an engine driven by the test's thread, and the binary.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use tidegate::engine::{Engine, Event, Options, Worker};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::{Found, LogError, ReadDirectory, Retention};
use tidegate::model::{FieldText, FieldType, HEADER_LEN, Intake, LabelsBuf, WriteResult, heap_word};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, FedState, ndjson};

/// An engine of so many workers on a directory, all driven by the test's thread.
pub(crate) struct Writer {
    _engine: Engine,
    pub(crate) workers: Vec<(Worker, Stream)>,
}

impl Writer {
    pub(crate) fn open(path: &Path, workers: u32) -> Writer {
        // A child that another test is starting holds what it was born with, this directory's lock among it, until it
        // becomes its program.
        let engine = loop {
            match Engine::open(Options { workers, retention: KEEP_ALL, ..Options::new(path) }) {
                Err(LogError::Locked { .. }) => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        let worker = |number| (engine.worker(number).unwrap(), Stream::new(ContextId(0)));
        Writer { workers: (0..workers).map(worker).collect(), _engine: engine }
    }

    /// Commits lines as one block, or a few if they are many.
    pub(crate) fn lines(&mut self, worker: usize, lines: &str) {
        let (worker, stream) = &mut self.workers[worker];
        let mut decoder = Decoder::new(Dialect::V1, Precision::Nanos, 7);
        let mut result = WriteResult::default();
        let mut rest = lines.as_bytes();
        loop {
            let fed = decoder.feed(rest, true, &mut worker.writer(stream), &mut result);
            rest = &rest[fed.consumed..];
            match fed.state {
                FedState::Full => settle(worker),
                FedState::Done => break,
                FedState::NeedMore => panic!("all is there"),
            }
        }
        assert_eq!(result.errors, []);
        settle(worker);
    }

    /// Commits lines of ndjson as one block.
    pub(crate) fn ndjson(&mut self, worker: usize, lines: &str) {
        let (worker, stream) = &mut self.workers[worker];
        let (mut decoder, mut result) = (ndjson::Decoder::new(), WriteResult::default());
        let fed = decoder.feed(lines.as_bytes(), true, &mut worker.writer(stream), &mut result);
        assert!(fed.state == FedState::Done && result.errors.is_empty(), "{:?}", result.errors);
        settle(worker);
    }

    /// Commits one row with values that line protocol has no form for.
    pub(crate) fn row(
        &mut self,
        worker: usize,
        labels: &[(&[u8], &[u8])],
        time_ns: i64,
        fields: &[(&[u8], Field)],
    ) {
        let (worker, stream) = &mut self.workers[worker];
        let mut buf = LabelsBuf::default();
        labels.iter().for_each(|(name, value)| buf.push(name, value));
        let key = format!("{labels:?}");
        let mut writer = worker.writer(stream);
        let found = writer.find(key.as_bytes());
        let series = found.unwrap_or_else(|| writer.define(key.as_bytes(), &mut buf).unwrap());
        let (mut heap, mut values, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for (name, field) in fields {
            texts.push(FieldText { text: name, name, kind: field.kind() });
            values.push(match field {
                Field::F64(bits) => *bits,
                Field::I64(value) => *value as u64,
                Field::Null => 0,
                Field::Bytes(bytes) | Field::Nested(bytes) => {
                    heap.extend_from_slice(bytes);
                    heap_word(heap.len() - bytes.len(), bytes.len())
                }
            });
        }
        let shape = writer.define_shape(series, &texts).unwrap();
        writer.push(series, shape, time_ns, &values, &heap).unwrap();
        settle(worker);
    }

    pub(crate) fn close(self) {
        for (worker, _) in self.workers {
            worker.close(&mut Vec::new()).unwrap();
        }
    }
}

/// Else a machine that is short of room loses rows, of which a test would say that they are missing.
const KEEP_ALL: Retention =
    Retention { age_ns: None, bytes_max: None, free_percent_min: 0, cursor_bytes_max: 0 };

pub(crate) enum Field {
    F64(u64),
    I64(i64),
    Null,
    Bytes(&'static [u8]),
    Nested(&'static [u8]),
}

impl Field {
    fn kind(&self) -> FieldType {
        match self {
            Field::F64(_) => FieldType::F64,
            Field::I64(_) => FieldType::I64,
            Field::Null => FieldType::Null,
            Field::Bytes(_) => FieldType::Bytes,
            Field::Nested(_) => FieldType::Nested,
        }
    }
}

/// Turns until all that was pushed is durable.
pub(crate) fn settle(worker: &mut Worker) {
    let last = worker.last_filled();
    worker.wait();
    let mut events = Vec::new();
    loop {
        worker.turn(tidegate::engine::Arrivals::None, &mut events);
        for event in events.drain(..) {
            match event {
                Event::Durable { upto } if upto >= last => return,
                Event::Durable { .. } => {}
                Event::Failed { failure, .. } => panic!("{failure}"),
            }
        }
        std::thread::yield_now();
    }
}

pub(crate) fn data() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub(crate) fn log(command: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut tidegate = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    tidegate.env_clear().args(["log", command, "--data"]).arg(data).args(arguments);
    tidegate
}

pub(crate) fn output(command: &str, data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = log(command, data, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What `cat` prints, where nothing is wrong.
pub(crate) fn cat(data: &Path, arguments: &[&str]) -> Vec<String> {
    let (code, out, err) = output("cat", data, arguments);
    assert_eq!((code, err.as_str()), (0, ""));
    out.lines().map(str::to_owned).collect()
}

/// A block in its file.
pub(crate) struct Block {
    pub(crate) segment: String,
    pub(crate) offset: u64,
    dictionary_len: u64,
}

/// The blocks of a directory that hold rows.
pub(crate) fn blocks(data: &Path) -> Vec<Block> {
    let directory = ReadDirectory::open(data).unwrap();
    let mut blocks = Vec::new();
    for segment in &directory.survey().unwrap().segments {
        let mut reader = directory.open_segment(segment).unwrap().unwrap();
        while let Some(found) = reader.read_next() {
            let Found::Block(block) = found else { panic!("{found:?}") };
            if block.header.rows > 0 {
                let dictionary_len = u64::from(block.header.dictionary_len);
                blocks.push(Block {
                    segment: segment.name.to_string(),
                    offset: block.offset,
                    dictionary_len,
                });
            }
        }
    }
    blocks
}

impl Block {
    fn flip(&self, data: &Path, at: u64) {
        let path = data.join("log").join(&self.segment);
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.offset + at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], self.offset + at).unwrap();
    }

    pub(crate) fn flip_header(&self, data: &Path) {
        self.flip(data, 20);
    }

    pub(crate) fn flip_dictionary(&self, data: &Path) {
        self.flip(data, HEADER_LEN as u64 + 9);
    }

    pub(crate) fn flip_payload(&self, data: &Path) {
        self.flip(data, HEADER_LEN as u64 + self.dictionary_len + 9);
    }
}
