//! Why bytes are not a block's content.

/// A part of a block cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes break a rule of the format. With a right checksum: written by a faulty writer.
    Damaged(&'static str),
    /// The bytes use a part of the format that this code does not read.
    Newer(&'static str),
    /// The bytes ask for more memory than a reader gives.
    TooLarge(&'static str),
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Damaged(what) => write!(f, "damaged: {what}"),
            DecodeError::Newer(what) => write!(f, "written by a newer version: {what}"),
            DecodeError::TooLarge(what) => write!(f, "over the format's bound: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}
