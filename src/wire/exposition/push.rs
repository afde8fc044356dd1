//! A push to a group of series, as the Pushgateway takes it: the whole body or nothing.
//!
//! Three steps. [`check`](Decode::check) reads the body and finds which series it pushes. Whoever knows what the group
//! had before then says by [`settle`](Push::settle) which rows come with it: stale markers of series that the push ends,
//! the group's own push times. [`feed`](Decode::feed) pushes the body's rows and then those.

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::{read_varint, write_varint};
use crate::model::{Full, Intake, LabelsBuf, MetricType, WriteResult};

use super::decoder::{Decoder, read_whole};
use super::fault::Fault;
use super::labels::{Names, append_unescaped};
use super::line::{Content, Metadata, Said, Tokens};
use super::prefix::key_by_labels;
use super::series::RowShapes;
use super::{Faults, Options, Syntax};
use crate::wire::{Decode, Fed, FedState, Malformed};

/// What a push is.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// The format of its body.
    pub syntax: Syntax,
    /// The time of all its rows.
    pub time_ns: i64,
    /// The labels of the group, in place of the series' own of these names. No name comes twice.
    pub group: Vec<(Box<[u8]>, Box<[u8]>)>,
}

/// A series of a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SeriesKey {
    /// Its labels, sorted by name: `(length varint, name, length varint, value)*`.
    pub labels: Box<[u8]>,
    /// The metric that it is part of: of a histogram's buckets the histogram.
    pub family: Box<[u8]>,
}

/// A row that comes with a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowBeside {
    /// The labels of its series as [`SeriesKey`] has them.
    pub labels: Box<[u8]>,
    /// The bits of its value.
    pub value_bits: u64,
}

/// The decoder of a push.
#[derive(Debug)]
pub struct Push {
    options: PushOptions,
    rows: Decoder,
    series: Vec<SeriesKey>,
    /// Why nothing of a well-formed body is taken, and at which line.
    refusal: Option<(u64, Fault)>,
    samples: u64,
    beside: Vec<RowBeside>,
    /// The body's rows are taken.
    body_done: bool,
    /// So many of the rows beside are taken.
    beside_done: usize,
    key: Vec<u8>,
    labels: LabelsBuf,
    shapes: RowShapes,
}

impl Push {
    /// A decoder for a push.
    pub fn new(options: PushOptions) -> Push {
        let rows = Decoder::new(Options {
            syntax: options.syntax,
            faults: Faults::Body,
            default_time_ns: options.time_ns,
            labels: options.group.clone(),
        });
        Push {
            options,
            rows,
            series: Vec::new(),
            refusal: None,
            samples: 0,
            beside: Vec::new(),
            body_done: false,
            beside_done: 0,
            key: Vec::new(),
            labels: LabelsBuf::default(),
            shapes: RowShapes::default(),
        }
    }

    /// The series of a checked body; none if it is refused.
    pub fn series(&self) -> &[SeriesKey] {
        &self.series
    }

    /// Whether the checked body is well-formed and nothing of it is taken nevertheless.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// The time of the push.
    pub fn time_ns(&self) -> i64 {
        self.options.time_ns
    }

    /// The series of the group that has this name and no labels but the group's.
    pub fn own_series(&self, name: &[u8]) -> SeriesKey {
        let mut labels = LabelsBuf::default();
        labels.push(crate::model::METRIC_NAME, name);
        for (name, value) in self.options.group.iter().filter(|(_, value)| !value.is_empty()) {
            labels.push(name, value);
        }
        SeriesKey { labels: encode(&mut labels), family: name.into() }
    }

    /// Says which rows come with the body's.
    pub fn settle(&mut self, beside: Vec<RowBeside>) {
        self.beside = beside;
    }
}

impl Decode for Push {
    /// Checks the body, also for what the Pushgateway finds inconsistent: such a body is well-formed, and refused by
    /// [`feed`](Decode::feed).
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut pushed =
            Pushed { kind: MetricType::Unknown, families: BTreeMap::new(), seen: BTreeSet::new() };
        let (mut tokens, mut names, mut own) = (Tokens::default(), Names::default(), Names::default());
        let mut labels = LabelsBuf::default();
        let mut line = 0;
        (self.samples, self.refusal) = (0, None);
        self.series.clear();
        if self.options.syntax == Syntax::Text && !body.is_empty() && !body.ends_with(b"\n") {
            // It may have been cut within a number.
            return Err(Malformed { error: Fault::NoNewline.to_string() });
        }
        read_whole(self.options.syntax, body, &mut tokens, &mut names, |text, read, tokens| {
            line += 1;
            match &read.content {
                Content::Metadata(metadata) => pushed.hear(text, metadata)?,
                Content::Sample(sample) => {
                    self.samples += 1;
                    own.series(text, tokens, pushed.kind, &self.options.group, &mut labels);
                    let family = pushed.family(text, tokens);
                    let labels = encode(&mut labels);
                    let fault = match sample.time_ms {
                        Some(_) => Some(Fault::HasTime),
                        None if !pushed.seen.insert(labels.clone()) => Some(Fault::PushedTwice),
                        None => None,
                    };
                    match fault {
                        Some(fault) if self.refusal.is_none() => self.refusal = Some((line, fault)),
                        _ => self.series.push(SeriesKey { labels, family }),
                    }
                }
                Content::Nothing | Content::Eof => {}
            }
            Ok(())
        })?;
        if self.refusal.is_some() {
            self.series.clear();
        }
        Ok(())
    }

    fn rewind(&mut self) {
        self.rows.rewind();
        self.shapes.clear();
        self.body_done = false;
        self.beside_done = 0;
    }

    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        let full = Fed { consumed: 0, state: FedState::Full };
        if self.refusal.is_none() && !self.body_done {
            let fed = self.rows.feed(input, last, intake, result);
            if fed.state != FedState::Done {
                return fed;
            }
            self.body_done = true;
        }
        self.shapes.enter_epoch(intake.epoch());
        while let Some(row) = self.beside.get(self.beside_done) {
            match push_beside(
                row,
                self.options.time_ns,
                &mut self.key,
                &mut self.labels,
                &mut self.shapes,
                intake,
            ) {
                Ok(Ok(())) => {
                    result.accepted += 1;
                    result.samples += 1;
                }
                Ok(Err(Full)) => return full,
                // The table of series is full: the rows of the body are what counts.
                Err(refusal) => {
                    let fault = Fault::Refused(refusal);
                    result.reject(0, fault.reason(), b"", || fault.to_string());
                }
            }
            self.beside_done += 1;
        }
        if let Some((line, fault)) = self.refusal.take() {
            for _ in 0..self.samples.max(1) {
                result.reject(line, fault.reason(), b"", || fault.to_string());
            }
        }
        Fed { consumed: input.len(), state: FedState::Done }
    }
}

fn push_beside<I: Intake>(
    row: &RowBeside,
    time_ns: i64,
    key: &mut Vec<u8>,
    labels: &mut LabelsBuf,
    shapes: &mut RowShapes,
    intake: &mut I,
) -> Result<Result<(), Full>, crate::model::Refusal> {
    let key = key_by_labels(&row.labels, key);
    let series = match intake.find(key) {
        Some(series) => series,
        None => {
            labels.clear();
            let mut rest = &*row.labels;
            while !rest.is_empty() {
                let name = sized(&mut rest);
                labels.push(name, sized(&mut rest));
            }
            intake.define(key, labels)?
        }
    };
    let shape = shapes.plain(series, intake)?;
    Ok(intake.push(series, shape, time_ns, &[row.value_bits], &[]))
}

/// What a push was found to hold so far.
struct Pushed {
    /// What the last `TYPE` said.
    kind: MetricType,
    families: BTreeMap<Vec<u8>, Family>,
    seen: BTreeSet<Box<[u8]>>,
}

#[derive(Default)]
struct Family {
    kind: Option<MetricType>,
    has_help: bool,
    has_rows: bool,
}

impl Pushed {
    fn hear(&mut self, text: &[u8], metadata: &Metadata) -> Result<(), super::fault::LineFault> {
        let mut name = Vec::new();
        append_unescaped(metadata.name.of(text), true, &mut name);
        let family = self.families.entry(name).or_default();
        match metadata.said {
            Said::Help(_) if std::mem::replace(&mut family.has_help, true) => {
                return Err(Fault::SecondHelp.at(0));
            }
            Said::Type(_) if family.has_rows || family.kind.is_some() => return Err(Fault::SecondType.at(0)),
            Said::Type(kind) => {
                family.kind = Some(kind);
                self.kind = kind;
            }
            _ => {}
        }
        Ok(())
    }

    /// The metric that a row is part of.
    fn family(&mut self, text: &[u8], tokens: &Tokens) -> Box<[u8]> {
        let mut name = Vec::new();
        append_unescaped(tokens.name.of(text), true, &mut name);
        let whole = SUFFIXES.iter().find_map(|(suffix, kinds)| {
            let whole = name.strip_suffix(*suffix)?;
            let kind = self.families.get(whole)?.kind?;
            kinds.contains(&kind).then_some(whole)
        });
        let name = if self.families.get(&name).is_some_and(|f| f.kind.is_some()) {
            &name
        } else {
            whole.unwrap_or(&name)
        };
        self.families.entry(name.to_vec()).or_default().has_rows = true;
        name.into()
    }
}

/// What a metric's name is followed by in the names of its series, and of which types it is.
const SUFFIXES: [(&[u8], &[MetricType]); 8] = {
    use MetricType::{Counter, GaugeHistogram, Histogram, Info, Summary};
    [
        (b"_bucket", &[Histogram, GaugeHistogram]),
        (b"_count", &[Histogram, GaugeHistogram, Summary]),
        (b"_sum", &[Histogram, GaugeHistogram, Summary]),
        (b"_gcount", &[GaugeHistogram]),
        (b"_gsum", &[GaugeHistogram]),
        (b"_created", &[Counter, Histogram, Summary]),
        (b"_total", &[Counter]),
        (b"_info", &[Info]),
    ]
};

/// Labels as [`SeriesKey`] has them. No two have one name.
fn encode(labels: &mut LabelsBuf) -> Box<[u8]> {
    labels.canonicalize().expect("the names of a series' labels have been checked");
    let mut out = Vec::new();
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        write_varint(&mut out, part.len() as u64);
        out.extend_from_slice(part);
    }
    out.into()
}

fn sized<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let len = read_varint(rest).expect("labels are encoded here") as usize;
    let (part, behind) = rest.split_at(len);
    *rest = behind;
    part
}
