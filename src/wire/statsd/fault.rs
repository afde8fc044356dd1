//! Why a line or a sample is not taken.

use std::fmt::{self, Display, Formatter};

use super::sample::TIME_S_MAX;
use crate::model::Refusal;

/// Why a line or a sample is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Not `name:value|type`.
    Malformed(&'static str),
    /// A time before 1970, or one that 64 bits of nanoseconds don't reach.
    Time,
    /// Tags of two styles.
    MixedTags,
    /// The listener's aggregates are full.
    SeriesLimit {
        /// How many there may be.
        limit: usize,
    },
    /// The listener's sets are full.
    MembersLimit {
        /// How many members they may have.
        limit: usize,
    },
    /// Longer than a line may be.
    TooLong,
    /// What should be a packet's length is none.
    OutOfStep,
    /// The intake will not have it.
    Refused(Refusal),
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Fault::Malformed(_) | Fault::MixedTags | Fault::OutOfStep => "syntax",
            Fault::Time => "timestamp",
            Fault::SeriesLimit { .. } => "series_limit",
            Fault::MembersLimit { .. } | Fault::TooLong => "too_large",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(what) => f.write_str(what),
            Fault::Time => write!(f, "the time is out of range: seconds from 1 to {TIME_S_MAX}"),
            Fault::MixedTags => f.write_str("tags of two styles in one line"),
            Fault::SeriesLimit { limit } => {
                write!(f, "series limit reached: the listener's series_max is {limit}")
            }
            Fault::MembersLimit { limit } => {
                write!(f, "the sets of this interval have {limit} members already")
            }
            Fault::TooLong => write!(f, "the line is over {} bytes", super::LINE_BYTES_MAX),
            Fault::OutOfStep => {
                write!(f, "no length of a packet of up to {} bytes", super::packets::PACKET_BYTES_MAX)
            }
            Fault::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}
