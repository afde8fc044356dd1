//! The log: segments of blocks on a disk, group commit, recovery, retention, and the cursors of those who read it.
//!
//! In: encoded blocks ([`WorkerLog::commit`]), opaque but for their header. Out: the news that they are durable, and
//! later the blocks again ([`SegmentReader`]). Each worker has segments, files and a disk of its own, and shares
//! nothing with others on the way of a row.
//!
//! What it promises: a block reported as durable is found again after any crash; what was being written when the
//! machine stopped is found whole or not at all; damage costs what was damaged, never the start; a sequence never
//! comes back. The simulated disk in [`disk::simulated`] is there to break these promises, and the tests try.
//!
//! What it refuses to know: rows, codecs, sockets, and the time, which callers pass in.

mod build;
mod calls;
mod cursor;
mod directory;
pub mod disk;
mod error;
mod live;
mod random;
mod reader;
mod recovery;
mod retention;
mod segment;
mod survey;
mod verify;
mod walk;
mod worker;

pub use build::FOOTER_BYTES_MAX;
pub use cursor::{
    CURSOR_NAME_BYTES_MAX, CURSORS_MAX, Cursor, CursorError, CursorStart, Cursors, GivenUp, Positions, Tally,
    is_cursor_name,
};
pub use directory::{Directory, ReadDirectory};
pub use error::{CommitFailure, LogError};
pub use live::{LIVE_WORKERS_MAX, LiveSlot};
pub use reader::{Block, Damage, DamagedPart, Found, SegmentReader};
pub use recovery::{DAMAGES_KEPT_MAX, Recovery, recover_others};
pub use retention::{RESERVE_BYTES, Retention, SPARES_MAX, Sweeper, Swept};
pub use segment::{PageError, SEGMENT_PAGE, SegmentHeader, SegmentName, Totals, Trailer};
pub use survey::{Missing, Segment, SegmentState, Survey};
pub use verify::{Verified, verify};
pub use worker::{
    Completion, DATA_TO_DICTIONARY_MIN, Footer, Refused, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, WorkerLog,
    WorkerOptions,
};
