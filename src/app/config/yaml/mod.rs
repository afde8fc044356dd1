//! A YAML text as a tree in which every value is text and knows its place.
//!
//! Comes in: the text of a file. Goes out: a [`Node`], with aliases followed and merge keys resolved, or where the text
//! is no YAML. Keeps: numbers and truths stay as they were written, so that `1.10` is a version where one is expected;
//! a text of few letters can't become a tree of many. Knows nothing of keys and what they mean.

mod compose;

pub(super) use compose::compose;

/// A line and a column, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) content: Content,
}

/// What can be a value.
#[derive(Clone)]
pub(super) enum Content {
    /// Nothing, or `null`, `~`.
    Null,
    /// A scalar, as written.
    Text(String),
    /// A scalar that was quoted or tagged as text: no number, no truth.
    Quoted(String),
    /// A scalar that was tagged as binary and is no text.
    Bytes(Vec<u8>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order; a key may be there twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping, and where it stands.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) at: Mark,
    pub(super) name: Vec<u8>,
}

/// Where a text is no YAML, and why.
pub(super) struct Fault {
    pub(super) at: Mark,
    pub(super) message: String,
}

impl Node {
    /// Whether it says nothing.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }
}
