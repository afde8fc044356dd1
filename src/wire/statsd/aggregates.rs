//! What a listener's samples add up to, and the rows that come of it.

use hashbrown::{HashSet, HashTable};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::fault::Fault;
use super::known::{KnownLines, Meaning};
use super::notice::Notice;
use super::observations::Observations;
use super::sample::{Kind, Repeat, Sample};
use super::waiting::{Waiting, WaitingValue, decode_labels, encode_labels};
use crate::model::{FieldText, FieldType, Full, Intake, LabelsBuf, WriteResult, heap_word};

/// What a listener's aggregates are told once.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Series that may be held.
    pub series_max: usize,
    /// Percentiles of observations, from above 0 to 100, all different; [`PERCENTILES_MAX`] at most.
    pub percentiles: Vec<f64>,
    /// After so many flushes without a sample a gauge is forgotten; 0 never forgets one.
    pub gauge_flushes_max: u32,
    /// Of the hash; should be random where names come from strangers.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            series_max: 100_000,
            percentiles: vec![50.0, 90.0, 95.0, 99.0],
            gauge_flushes_max: 360,
            seed: 0,
        }
    }
}

/// The aggregates of one listener.
#[derive(Debug)]
pub struct Aggregates {
    options: Options,
    secrets: RapidSecrets,
    /// Names of the fields of observations, behind count, sum, min and max.
    percentile_names: Vec<String>,
    table: HashTable<u32>,
    entries: Vec<Entry>,
    /// Lines by the entries that they add to.
    known: KnownLines,
    waiting: Waiting,
    flushing: Option<Flushing>,
    /// Values kept for percentiles, of all series.
    kept_values: usize,
    /// Members of all sets.
    members: usize,
    key: Vec<u8>,
    labels: LabelsBuf,
}

#[derive(Debug)]
struct Entry {
    /// What is added up, as a byte, and the canonical labels.
    key: Box<[u8]>,
    state: State,
    touched: bool,
    /// Flushes since a sample came.
    idle: u32,
}

#[derive(Debug)]
enum State {
    Counter(f64),
    Gauge(f64),
    Observations(Box<Observations>),
    Set(HashSet<u64, std::hash::BuildHasherDefault<Identity>>),
}

/// A flush that is under way.
#[derive(Clone, Copy, Debug)]
struct Flushing {
    time_ns: i64,
    next: usize,
}

impl Aggregates {
    /// Aggregates of which nothing is held yet.
    ///
    /// # Panics
    /// There are more than [`PERCENTILES_MAX`] percentiles.
    pub fn new(options: Options) -> Aggregates {
        assert!(options.percentiles.len() <= PERCENTILES_MAX, "{} percentiles", options.percentiles.len());
        Aggregates {
            secrets: RapidSecrets::seed(options.seed),
            percentile_names: options.percentiles.iter().map(|p| format!("p{p}")).collect(),
            known: KnownLines::new(options.seed),
            options,
            table: HashTable::new(),
            entries: Vec::new(),
            waiting: Waiting::default(),
            flushing: None,
            kept_values: 0,
            members: 0,
            key: Vec::new(),
            labels: LabelsBuf::default(),
        }
    }

    /// Takes the sample of a line that differs from one that was remembered in its value only; `false`: the line is to
    /// be read.
    #[inline]
    pub(super) fn take_known(&mut self, line: &[u8]) -> bool {
        let Some((Meaning { entry, repeat }, text)) = self.known.find(line) else { return false };
        let Some((kind, value, weight)) = repeat.read(text) else { return false };
        self.add(entry as usize, kind, value, weight);
        true
    }

    /// Remembers a line of one sample, which went to this entry.
    pub(super) fn remember(&mut self, line: &[u8], entry: u32, repeat: Repeat) {
        self.known.remember(line, Meaning { entry, repeat });
    }

    /// Takes a sample. The number of what it was added to, if it was, holds until the next
    /// [`flush`](Aggregates::flush).
    ///
    /// # Errors
    /// There is no room for it.
    pub fn take(&mut self, sample: Sample<'_>) -> Result<Option<u32>, Fault> {
        let kind = match sample.kind {
            Kind::Counter => 0,
            Kind::Gauge | Kind::GaugeChange => 1,
            Kind::Observation => 2,
            Kind::Set => 3,
        };
        self.canonical_key(kind, sample.labels)?;
        if let Some(time_s) = sample.time_s {
            self.waiting.push_value(&self.key[1..], time_s.saturating_mul(NS_PER_S), sample.value);
            return Ok(None);
        }
        let entry = self.entry(kind)?;
        match &mut self.entries[entry].state {
            State::Set(members) => {
                let member = rapidhash_v3_seeded(sample.member, &self.secrets);
                if self.members >= MEMBERS_MAX && !members.contains(&member) {
                    return Err(Fault::MembersLimit { limit: MEMBERS_MAX });
                }
                self.members += usize::from(members.insert(member));
                self.entries[entry].touched = true;
            }
            _ => self.add(entry, sample.kind, sample.value, sample.weight),
        }
        Ok(Some(entry as u32))
    }

    /// Adds a value to an entry that is no set.
    #[inline]
    fn add(&mut self, entry: usize, kind: Kind, value: f64, weight: u64) {
        let crowded = self.kept_values > KEPT_VALUES_MAX;
        let entry = &mut self.entries[entry];
        entry.touched = true;
        match &mut entry.state {
            State::Counter(sum) => *sum += value,
            State::Gauge(gauge) if kind == Kind::GaugeChange => *gauge += value,
            State::Gauge(gauge) => *gauge = value,
            State::Observations(all) => {
                let before = all.kept();
                all.add(value, weight, if crowded { VALUES_CROWDED_MAX } else { VALUES_MAX });
                self.kept_values = self.kept_values + all.kept() - before;
            }
            State::Set(_) => debug_assert!(false, "a set has members, not values"),
        }
    }

    /// Takes an event or a service check. It has `now_ns` if it does not say when it was.
    ///
    /// # Errors
    /// Its labels have no canonical form.
    pub fn notice(&mut self, notice: Notice<'_>, now_ns: i64) -> Result<(), Fault> {
        self.canonical_key(0, notice.labels)?;
        let time_ns = notice.time_s.map_or(now_ns, |time_s| time_s.saturating_mul(NS_PER_S));
        self.waiting.push_notice(&self.key[1..], time_ns, &notice);
        Ok(())
    }

    /// Ends an interval at `time_ns`. [`write`](Aggregates::write) writes its rows.
    pub fn flush(&mut self, time_ns: i64) {
        // One that is still under way takes the samples since with it.
        self.flushing.get_or_insert(Flushing { time_ns, next: 0 });
    }

    /// Whether rows are to be written.
    pub fn has_rows(&self) -> bool {
        self.flushing.is_some() || !self.waiting.rows.is_empty()
    }

    /// Writes all rows that are to be written.
    ///
    /// # Errors
    /// [`Full`]: call again for the rest.
    pub fn write<I: Intake>(&mut self, intake: &mut I, result: &mut WriteResult) -> Result<(), Full> {
        while let Some(row) = self.waiting.rows.get(self.waiting.written) {
            decode_labels(self.waiting.labels(row), &mut self.labels);
            let mut out = RowOut::default();
            for &(name, value) in self.waiting.fields(row) {
                match value {
                    WaitingValue::Float(value) => out.float(name, value),
                    WaitingValue::Integer(value) => out.integer(name, value),
                    WaitingValue::Text(start, end) => out.text(name, self.waiting.text(start, end)),
                }
            }
            out.push(intake, self.waiting.labels(row), &mut self.labels, row.time_ns, result)?;
            self.waiting.written += 1;
        }
        self.waiting.clear();
        let Some(flushing) = self.flushing else { return Ok(()) };
        for next in flushing.next..self.entries.len() {
            if let Err(full) = self.write_entry(next, flushing.time_ns, intake, result) {
                self.flushing = Some(Flushing { next, ..flushing });
                return Err(full);
            }
        }
        self.flushing = None;
        self.forget_idle();
        Ok(())
    }

    /// Forgets lines, and nothing else: each is read whole then.
    #[cfg(test)]
    pub(super) fn forget_lines(&mut self) {
        self.known.clear();
    }

    /// Series held.
    pub fn series(&self) -> usize {
        self.entries.len()
    }

    /// Bytes held, about.
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() * (size_of::<Entry>() + KEY_BYTES_TYPICAL)
            + self.kept_values * size_of::<(f64, u64)>()
            + self.members * 2 * size_of::<u64>()
            + self.waiting.memory_bytes()
            + self.known.memory_bytes()
    }

    /// Writes what `key` is for these labels.
    fn canonical_key(&mut self, kind: u8, labels: &mut LabelsBuf) -> Result<(), Fault> {
        labels.canonicalize().map_err(|e| Fault::Refused(crate::model::Refusal::Labels(e)))?;
        self.key.clear();
        self.key.push(kind);
        encode_labels(labels, &mut self.key);
        Ok(())
    }

    /// The entry of `key`, a new one if need be.
    fn entry(&mut self, kind: u8) -> Result<usize, Fault> {
        let hash = rapidhash_v3_seeded(&self.key, &self.secrets);
        if let Some(&known) = self.table.find(hash, |&entry| *self.entries[entry as usize].key == *self.key) {
            return Ok(known as usize);
        }
        if self.entries.len() >= self.options.series_max {
            return Err(Fault::SeriesLimit { limit: self.options.series_max });
        }
        let state = match kind {
            0 => State::Counter(0.0),
            1 => State::Gauge(0.0),
            2 => State::Observations(Box::default()),
            _ => State::Set(HashSet::default()),
        };
        let entry = self.entries.len();
        self.entries.push(Entry { key: self.key.as_slice().into(), state, touched: false, idle: 0 });
        let (entries, secrets) = (&self.entries, &self.secrets);
        let rehash = |&entry: &u32| rapidhash_v3_seeded(&entries[entry as usize].key, secrets);
        self.table.insert_unique(hash, entry as u32, rehash);
        Ok(entry)
    }

    /// Writes an entry's row, if it has one, and begins its next interval.
    fn write_entry<I: Intake>(
        &mut self,
        number: usize,
        time_ns: i64,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let entry = &mut self.entries[number];
        if !entry.touched && !matches!(entry.state, State::Gauge(_)) {
            entry.idle += 1;
            return Ok(());
        }
        let mut out = RowOut::default();
        match &mut entry.state {
            State::Counter(value) | State::Gauge(value) => out.float("value", *value),
            State::Set(members) => out.float("value", members.len() as f64),
            State::Observations(all) => {
                all.sort();
                out.integer("count", i64::try_from(all.count).unwrap_or(i64::MAX));
                out.float("sum", all.sum);
                out.float("min", all.min);
                out.float("max", all.max);
                for (&percent, name) in self.options.percentiles.iter().zip(&self.percentile_names) {
                    out.float(name, all.percentile(percent));
                }
            }
        }
        decode_labels(&entry.key[1..], &mut self.labels);
        out.push(intake, &entry.key[1..], &mut self.labels, time_ns, result)?;
        match &mut entry.state {
            State::Counter(sum) => *sum = 0.0,
            State::Gauge(_) => {}
            State::Set(members) => {
                self.members -= members.len();
                *members = HashSet::default();
            }
            State::Observations(all) => {
                self.kept_values -= all.kept();
                all.clear();
            }
        }
        entry.idle = if entry.touched { 0 } else { entry.idle + 1 };
        entry.touched = false;
        Ok(())
    }

    /// Forgets series of which nothing has come for long.
    fn forget_idle(&mut self) {
        let before = self.entries.len();
        let gauges_max = match self.options.gauge_flushes_max {
            0 => u32::MAX,
            flushes => flushes,
        };
        self.entries.retain(|entry| match entry.state {
            State::Gauge(_) => entry.idle < gauges_max,
            _ => entry.idle < IDLE_FLUSHES_MAX,
        });
        if self.entries.len() == before {
            return;
        }
        // The numbers of entries are others now.
        self.known.clear();
        self.table.clear();
        let (entries, secrets) = (&self.entries, &self.secrets);
        let hash = |entry: u32| rapidhash_v3_seeded(&entries[entry as usize].key, secrets);
        for entry in 0..entries.len() as u32 {
            self.table.insert_unique(hash(entry), entry, |&entry| hash(entry));
        }
    }
}

/// A row being put together.
struct RowOut<'a> {
    fields: [FieldText<'a>; FIELDS_MAX],
    words: [u64; FIELDS_MAX],
    len: usize,
    heap: Vec<u8>,
}

impl Default for RowOut<'_> {
    fn default() -> Self {
        let none = FieldText { text: b"", name: b"", kind: FieldType::Null };
        RowOut { fields: [none; FIELDS_MAX], words: [0; FIELDS_MAX], len: 0, heap: Vec::new() }
    }
}

impl<'a> RowOut<'a> {
    fn float(&mut self, name: &'a str, value: f64) {
        self.field(name, FieldType::F64, value.to_bits());
    }

    fn integer(&mut self, name: &'a str, value: i64) {
        self.field(name, FieldType::I64, value as u64);
    }

    fn text(&mut self, name: &'a str, text: &[u8]) {
        self.field(name, FieldType::String, heap_word(self.heap.len(), text.len()));
        self.heap.extend_from_slice(text);
    }

    fn field(&mut self, name: &'a str, kind: FieldType, word: u64) {
        self.fields[self.len] = FieldText { text: name.as_bytes(), name: name.as_bytes(), kind };
        self.words[self.len] = word;
        self.len += 1;
    }

    fn push<I: Intake>(
        self,
        intake: &mut I,
        key: &[u8],
        labels: &mut LabelsBuf,
        time_ns: i64,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let known = intake.find(key);
        let series = known.map_or_else(|| intake.define(key, labels), Ok);
        let shaped =
            series.and_then(|series| Ok((series, intake.define_shape(series, &self.fields[..self.len])?)));
        match shaped {
            Ok((series, shape)) => {
                intake.push(series, shape, time_ns, &self.words[..self.len], &self.heap)?;
                result.accepted += 1;
                result.samples += self.len as u64;
            }
            // Of a row that is refused, its interval is lost.
            Err(refusal) => result.reject(0, refusal.reason(), b"", || refusal.to_string()),
        }
        Ok(())
    }
}

/// Hashes of members are their own hashes.
#[derive(Default, Debug)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0 << 8 | u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

const NS_PER_S: i64 = 1_000_000_000;

/// Percentiles at most.
pub const PERCENTILES_MAX: usize = 16;

/// Fields of a row at most: those of observations.
const FIELDS_MAX: usize = 4 + PERCENTILES_MAX;

/// Values that a series keeps for its percentiles, 16 KiB.
const VALUES_MAX: usize = 1024;

/// Values that all series together keep, 64 MiB, before each gets by with less.
const KEPT_VALUES_MAX: usize = 4 << 20;

/// What a series then gets by with.
const VALUES_CROWDED_MAX: usize = 64;

/// Members of all sets in one interval, 16 MiB.
const MEMBERS_MAX: usize = 1 << 20;

/// Flushes without a sample after which what is no gauge is forgotten.
const IDLE_FLUSHES_MAX: u32 = 3;

/// What a key takes, for the estimate of memory.
const KEY_BYTES_TYPICAL: usize = 128;
