//! Lines that were read before: of a line that differs from one of these in its value only, the value is all that is
//! read.
//!
//! A line of one sample is a name, a value, and what is behind it: type, rate, tags. Name and rest say which series it
//! adds to, and how. A sender repeats itself, so each line also knows which one followed it the last time; where
//! that holds nothing is hashed. Keeps: lines are compared by their bytes, whole; what is held is bounded, and
//! forgotten all at once when it is full.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::sample::Repeat;

/// Lines by what they say beside their value.
#[derive(Debug)]
pub(super) struct KnownLines {
    secrets: RapidSecrets,
    table: HashTable<u32>,
    lines: Vec<KnownLine>,
    /// Names and rests.
    bytes: Vec<u8>,
    /// The line that came last.
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct KnownLine {
    start: u32,
    name_end: u32,
    end: u32,
    /// The line that followed it.
    next: u32,
    meaning: Meaning,
}

/// What such a line does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    /// The number of the entry that it adds to.
    pub(super) entry: u32,
    pub(super) repeat: Repeat,
}

/// A line in its parts.
#[derive(Clone, Copy)]
struct Parts<'a> {
    name: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(line: &'a [u8]) -> Option<Parts<'a>> {
        let colon = memchr::memchr(b':', line)?;
        Parts::behind(line, colon)
    }

    /// The parts of a line whose name ends here.
    fn behind(line: &'a [u8], colon: usize) -> Option<Parts<'a>> {
        let value_start = colon + 1;
        let pipe = value_start + memchr::memchr(b'|', line.get(value_start..)?)?;
        Some(Parts { name: &line[..colon], value: &line[value_start..pipe], rest: &line[pipe..] })
    }
}

impl KnownLines {
    pub(super) fn new(seed: u64) -> KnownLines {
        KnownLines {
            secrets: RapidSecrets::seed(seed),
            table: HashTable::new(),
            lines: Vec::new(),
            bytes: Vec::new(),
            last: None,
        }
    }

    /// What a line does, and its value, if it is known.
    pub(super) fn find<'l>(&mut self, line: &'l [u8]) -> Option<(Meaning, &'l [u8])> {
        let predicted = self.last.map(|last| self.lines[last as usize].next);
        if let Some(next) = predicted
            && let Some(value) = self.value_of(next, line)
        {
            self.last = Some(next);
            return Some((self.lines[next as usize].meaning, value));
        }
        let parts = Parts::of(line)?;
        let found = *self.table.find(self.hash(&parts), |&known| self.is(known, &parts))?;
        self.follow(found);
        Some((self.lines[found as usize].meaning, parts.value))
    }

    /// Remembers a line that was read. It may be known, if its value is one that has to be read.
    pub(super) fn remember(&mut self, line: &[u8], meaning: Meaning) {
        let Some(parts) = Parts::of(line) else { return };
        let hash = self.hash(&parts);
        if self.table.find(hash, |&known| self.is(known, &parts)).is_some() {
            return;
        }
        if self.lines.len() >= LINES_MAX || self.bytes.len() + line.len() > BYTES_MAX {
            self.clear();
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(parts.name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(parts.rest);
        let number = self.lines.len() as u32;
        self.lines.push(KnownLine {
            start: start as u32,
            name_end: name_end as u32,
            end: self.bytes.len() as u32,
            next: number,
            meaning,
        });
        let (lines, bytes, secrets) = (&self.lines, &self.bytes, &self.secrets);
        self.table.insert_unique(hash, number, |&known| {
            let KnownLine { start, name_end, end, .. } = lines[known as usize];
            let (start, name_end, end) = (start as usize, name_end as usize, end as usize);
            hash_of(&bytes[start..name_end], &bytes[name_end..end], secrets)
        });
        self.follow(number);
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.lines.clear();
        self.bytes.clear();
        self.last = None;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.lines.capacity() * size_of::<KnownLine>()
            + self.table.capacity() * (size_of::<u32>() + 1)
    }

    /// The line that came last is followed by this one.
    fn follow(&mut self, line: u32) {
        if let Some(last) = self.last {
            self.lines[last as usize].next = line;
        }
        self.last = Some(line);
    }

    /// The value of a line, if it is this one but for its value.
    #[inline]
    fn value_of<'l>(&self, known: u32, line: &'l [u8]) -> Option<&'l [u8]> {
        let KnownLine { start, name_end, end, .. } = self.lines[known as usize];
        let name = &self.bytes[start as usize..name_end as usize];
        if !line.starts_with(name) || line.get(name.len()) != Some(&b':') {
            return None;
        }
        let parts = Parts::behind(line, name.len())?;
        (*parts.rest == self.bytes[name_end as usize..end as usize]).then_some(parts.value)
    }

    fn is(&self, known: u32, parts: &Parts<'_>) -> bool {
        let KnownLine { start, name_end, end, .. } = self.lines[known as usize];
        self.bytes[start as usize..name_end as usize] == *parts.name
            && self.bytes[name_end as usize..end as usize] == *parts.rest
    }

    fn hash(&self, parts: &Parts<'_>) -> u64 {
        hash_of(parts.name, parts.rest, &self.secrets)
    }
}

fn hash_of(name: &[u8], rest: &[u8], secrets: &RapidSecrets) -> u64 {
    rapidhash_v3_seeded(name, secrets).rotate_left(32) ^ rapidhash_v3_seeded(rest, secrets)
}

/// Lines that are remembered at most.
const LINES_MAX: usize = 1 << 18;

/// Bytes of them, 64 MiB.
const BYTES_MAX: usize = 64 << 20;
