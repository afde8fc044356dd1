//! A data directory in memory: made once, damaged by each input.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

use tidegate::clock::Clock;
use tidegate::engine::{Arrivals, CommitPolicy, Event, Options, Worker};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::disk::simulated::{SimulatedDisk, SimulatedFiles};
use tidegate::log::disk::{Access, BlockFile, Files};
use tidegate::log::{LogError, Recovery, WorkerOptions};
use tidegate::model::{BLOCK_ALIGN, BlockHeader, BlockKind, HEADER_LEN, LogId, WriteResult};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, FedState};

pub(crate) const LOG: LogId = LogId(*b"tidegate-fuzzing");

/// Small, so that a handful of commits fills one.
const SEGMENT_BYTES: u64 = 24 << 10;

const COMMITS: u64 = 10;

/// A file's name and bytes.
pub(crate) type File = (String, Vec<u8>);

/// A block of the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Which of the files.
    pub(crate) file: usize,
    pub(crate) offset: usize,
    /// Its bytes, padding excluded.
    pub(crate) len: usize,
    pub(crate) header: BlockHeader,
}

#[derive(Clone)]
pub(crate) struct StoppedClock(Rc<Cell<u64>>);

impl Clock for StoppedClock {
    fn wall_ns(&self) -> i64 {
        1_700_000_000_000_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        // Steps on by itself, so that whatever is waited for by time comes.
        self.0.set(self.0.get() + 1_000_000);
        self.0.get()
    }
}

pub(crate) type SimulatedWorker = Worker<SimulatedDisk, StoppedClock>;

/// Opens a worker on a directory.
pub(crate) fn open(files: &SimulatedFiles) -> Result<(SimulatedWorker, Recovery), LogError> {
    let log = WorkerOptions {
        log: LOG,
        worker: 0,
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        seed: 7,
        live: None,
    };
    let commit = CommitPolicy { linger_ns: 0, interval_ns: u64::MAX / 4 };
    let options = Options { commit, ..Options::new(Path::new("unused")) };
    let disk = SimulatedDisk::new(files.clone(), 7);
    Worker::open_on(disk, StoppedClock(Rc::new(Cell::new(1))), options, log, 7)
}

/// Writes rows and waits until they are durable; gives the sequence of their block.
pub(crate) fn commit(worker: &mut SimulatedWorker, number: u64) -> u64 {
    // Turns that a commit on a disk without faults takes at most; far fewer, in fact.
    const TURNS_MAX: usize = 100_000;
    let row =
        |i| format!("cpu,host=h{},zone=z{number} n={i}i,v=0.{i},s=\"text {number}\" {number}{i}\n", i % 5);
    let body: String = (0..20 + 10 * number).map(row).collect();
    let (mut decoder, mut result) = (Decoder::new(Dialect::V1, Precision::Nanos, 0), WriteResult::default());
    let mut stream = Stream::new(ContextId(0));
    let fed = decoder.feed(body.as_bytes(), true, &mut worker.writer(&mut stream), &mut result);
    assert_eq!((fed.state, result.rejected), (FedState::Done, 0));
    let sequence = worker.last_filled();
    worker.wait();
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..TURNS_MAX {
        worker.turn(Arrivals::None, &mut events);
        if worker.durable() >= sequence {
            return sequence;
        }
    }
    panic!("block {sequence} is never durable: {events:?}");
}

/// The image: a sealed segment or two, and one that is open, as a power cut leaves them.
pub(crate) fn image() -> &'static [File] {
    static IMAGE: OnceLock<Vec<File>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let files = SimulatedFiles::new(1);
        let (mut worker, _) = open(&files).expect("an empty directory");
        (0..COMMITS).for_each(|number| _ = commit(&mut worker, number));
        drop(worker);
        let names = files.list().expect("the power is on");
        let read = |name: String| {
            let file = files.open(&name, Access::Read).expect("listed");
            let mut bytes = vec![0; file.len().expect("open") as usize];
            file.read_full_at(&mut bytes, 0).expect("open");
            (name, bytes)
        };
        let image: Vec<File> = names.into_iter().map(read).collect();
        assert!(image.len() >= 3 && places(&image).len() as u64 > COMMITS, "several segments, and footers");
        image
    })
}

/// The blocks of an image whose headers are sound.
pub(crate) fn places(image: &[File]) -> Vec<Place> {
    let mut places = Vec::new();
    for (file, (_, bytes)) in image.iter().enumerate() {
        let mut offset = 0;
        while let Some(rest) = bytes.get(offset..).filter(|rest| rest.len() >= HEADER_LEN) {
            let Ok(header) = BlockHeader::decode(rest) else {
                offset += BLOCK_ALIGN;
                continue;
            };
            let len = header.content_len();
            places.push(Place { file, offset, len, header: header.clone() });
            offset += header.block_len();
        }
    }
    places
}

impl Place {
    /// Whether it is a block of rows, not a footer.
    pub(crate) fn is_rows(&self) -> bool {
        self.header.kind == BlockKind::Rows
    }

    /// Its bytes in an image; none if they, or some of its padding, are gone.
    pub(crate) fn bytes<'a>(&self, image: &'a [File]) -> Option<&'a [u8]> {
        let padded = image[self.file].1.get(self.offset..self.offset + self.header.block_len())?;
        Some(&padded[..self.len])
    }
}

/// An image as a directory.
pub(crate) fn directory(image: &[File], removed: &[bool]) -> SimulatedFiles {
    let files = SimulatedFiles::new(1);
    for ((name, bytes), _) in image.iter().zip(removed).filter(|(_, removed)| !**removed) {
        let file = files.create(name).expect("a new directory");
        file.write_at(bytes, 0).expect("a disk without faults");
        file.sync().expect("a disk without faults");
    }
    files.sync_directory().expect("a disk without faults");
    files
}
