//! A push to a group of series, as the Pushgateway takes it: the whole body or nothing.
//!
//! Three steps. [`check`](Decode::check) reads the body and finds which series it pushes. Whoever knows what the
//! group had before then says by [`settle`](Push::settle) which rows come with it: stale markers of series that the
//! push ends, the group's own push times. [`feed`](Decode::feed) pushes the body's rows and then those.

use std::collections::BTreeMap;

use crate::bytes::{read_varint, write_varint};
use crate::model::{Full, Intake, LabelsBuf, MetricType, Refusal, WriteResult};

use super::decoder::{Decoder, read_whole};
use super::fault::Fault;
use super::labels::{Names, append_unescaped};
use super::line::{self, Content, Metadata, Said, Tokens};
use super::prefix::key_by_labels;
use super::protobuf::{self, HistogramOptions, ProtobufDecoder};
use super::series::RowShapes;
use super::{Faults, Format, GivenLabel, Options, Syntax, sort_given};
use crate::wire::{Decode, Fed, FedState, Malformed};

/// What a push is.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// The format of its body.
    pub format: Format,
    /// The time of all its rows.
    pub time_ns: i64,
    /// The labels of the group, in place of the series' own of these names. No name comes twice.
    pub group: Vec<GivenLabel>,
}

/// A series of a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SeriesKey {
    /// Its labels but those of its group, sorted by name: `(length varint, name, length varint, value)*`.
    pub labels: Box<[u8]>,
    /// The metric that it is part of: of a histogram's buckets the histogram.
    pub family: Box<[u8]>,
}

/// A row that comes with a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowBeside {
    /// The labels of its series but those of its group, as [`SeriesKey`] has them.
    pub labels: Box<[u8]>,
    /// The bits of its value.
    pub value_bits: u64,
}

/// The decoder of a push's body.
#[derive(Debug)]
enum Rows {
    Lines(Box<Decoder>),
    Families(Box<ProtobufDecoder>),
}

/// The decoder of a push.
#[derive(Debug)]
pub struct Push {
    options: PushOptions,
    rows: Rows,
    series: Vec<SeriesKey>,
    /// The group's labels as [`SeriesKey`] has them.
    group: Box<[u8]>,
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
    pub fn new(mut options: PushOptions) -> Push {
        sort_given(&mut options.group);
        let (time_ns, group) = (options.time_ns, options.group.clone());
        let rows = match options.format {
            Format::Lines(syntax) => {
                let (faults, default_time_ns, labels) = (Faults::Body, time_ns, group);
                let options = Options { syntax, faults, default_time_ns, labels, keep_created: false };
                Rows::Lines(Box::new(Decoder::with_reader(options, line::read_pushed)))
            }
            Format::Protobuf => {
                let histograms = HistogramOptions::default();
                Rows::Families(Box::new(ProtobufDecoder::new(histograms, time_ns, group)))
            }
        };
        let mut labels = LabelsBuf::default();
        for label in options.group.iter().filter(|label| !label.value.is_empty()) {
            labels.push(&label.name, &label.value);
        }
        Push {
            group: encode(&mut labels),
            options,
            rows,
            series: Vec::new(),
            refusal: None,
            samples: 0,
            beside: Vec::new(),
            body_done: false,
            beside_done: 0,
            key: Vec::new(),
            labels,
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

    /// Gathers the series of lines; at which line each stands.
    fn check_lines(&mut self, syntax: Syntax, body: &[u8]) -> Result<Vec<u64>, Malformed> {
        let mut pushed = Pushed { kind: MetricType::Unknown, families: BTreeMap::new() };
        let (mut tokens, mut names, mut own) = (Tokens::default(), Names::default(), Names::default());
        let given = self.taken_away();
        let mut labels = LabelsBuf::default();
        let mut lines: Vec<u64> = Vec::new();
        let (group_bytes, mut line, mut text_bytes) = (self.group.len(), 0, 0);
        if syntax == Syntax::Text && !body.is_empty() && !body.ends_with(b"\n") {
            // It may have been cut within a number.
            return Err(Malformed { error: Fault::NoNewline.to_string() });
        }
        read_whole(line::read_pushed, syntax, body, &mut tokens, &mut names, |text, read, tokens| {
            line += 1;
            match &read.content {
                Content::Metadata(metadata) => pushed.hear(text, metadata)?,
                Content::Sample(sample) => {
                    if self.series.len() == SERIES_MAX {
                        return Err(Fault::TooManySeries.at(0));
                    }
                    if sample.time_ms.is_some() && self.refusal.is_none() {
                        self.refusal = Some((line, Fault::HasTime));
                    }
                    own.series(text, tokens, pushed.kind, &given, &mut labels);
                    let family = pushed.family(text, tokens);
                    let key = SeriesKey { labels: encode(&mut labels), family };
                    text_bytes += key.text_bytes() + group_bytes;
                    if text_bytes > TEXT_BYTES_MAX {
                        return Err(Fault::TooMuchText.at(0));
                    }
                    self.series.push(key);
                    lines.push(line);
                }
                Content::Nothing | Content::Eof => {}
            }
            Ok(())
        })?;
        Ok(lines)
    }

    /// Gathers the series of families; which one each is of.
    fn check_families(&mut self, body: &[u8]) -> Result<Vec<u64>, Malformed> {
        let (given, group_bytes) = (self.taken_away(), self.group.len());
        let Rows::Families(families) = &mut self.rows else { return Ok(Vec::new()) };
        families.check(body)?;
        let (mut scratch, mut labels) = (Vec::new(), LabelsBuf::default());
        let (mut numbers, mut text_bytes) = (Vec::new(), 0);
        let (series, refusal) = (&mut self.series, &mut self.refusal);
        families.walk(body, |said, spot| {
            let protobuf::Said::Sample(sample) = said else { return Ok(()) };
            if series.len() == SERIES_MAX {
                return Err(protobuf::Fault::TooManySeries);
            }
            if sample.time_ms.is_some() && refusal.is_none() {
                *refusal = Some((spot.family, Fault::HasTime));
            }
            protobuf::fill_labels(sample, &given, &mut scratch, &mut labels)?;
            labels.canonicalize().map_err(|_| protobuf::Fault::Label)?;
            let key = SeriesKey { labels: encode(&mut labels), family: sample.family.into() };
            text_bytes += key.text_bytes() + group_bytes;
            if text_bytes > TEXT_BYTES_MAX {
                return Err(protobuf::Fault::TooMuchText);
            }
            series.push(key);
            numbers.push(spot.family);
            Ok(())
        })?;
        Ok(numbers)
    }

    /// The group's labels take the place of others: given without values, they take them away.
    fn taken_away(&self) -> Vec<GivenLabel> {
        self.options.group.iter().map(|label| GivenLabel::new(&label.name, b"")).collect()
    }

    /// The first series that one before it equals.
    fn first_twice(&self) -> Option<usize> {
        let labels = |i: &usize| &*self.series[*i].labels;
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        // Equal ones keep their order.
        order.sort_by(|a, b| labels(a).cmp(labels(b)));
        order.windows(2).filter(|pair| labels(&pair[0]) == labels(&pair[1])).map(|pair| pair[1]).min()
    }

    fn push_beside<I: Intake>(&mut self, row: usize, intake: &mut I) -> Result<Result<(), Full>, Refusal> {
        let row = &self.beside[row];
        let key = key_by_labels(&[&self.group, &row.labels], &mut self.key);
        let series = match intake.find(key) {
            Some(series) => series,
            None => {
                self.labels.clear();
                for mut rest in [&*self.group, &*row.labels] {
                    while !rest.is_empty() {
                        let name = sized(&mut rest);
                        self.labels.push(name, sized(&mut rest));
                    }
                }
                intake.define(key, &mut self.labels)?
            }
        };
        let shape = self.shapes.plain(series, intake)?;
        Ok(intake.push(series, shape, self.options.time_ns, &[row.value_bits], &[]))
    }

    /// Says which rows come with the body's.
    pub fn settle(&mut self, beside: Vec<RowBeside>) {
        self.beside = beside;
    }

    /// As [`Decode::rehearse`], with these rows beside the body's. A push that is refused has no others. Only the
    /// body's rows are counted: if one row has no room, all of them are rejected.
    pub fn rehearse_with<I: Intake>(
        &mut self,
        beside: Vec<RowBeside>,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) {
        let refusal = self.refusal.take();
        self.body_done = refusal.is_some();
        self.settle(beside);
        let mut tried = WriteResult::default();
        self.rehearse(body, intake, &mut tried);
        self.settle(Vec::new());
        self.refusal = refusal;
        let Some(mut first) = tried.errors.into_iter().next() else { return };
        // One of the rows beside has no place in the body: it is as if the body had ended with it.
        first.index = if first.index == 0 { self.samples.max(1) } else { first.index };
        result.count_rejected(first.reason, self.samples.max(1));
        result.errors.push(first);
    }
}

impl Decode for Push {
    /// Checks the body, also for what the Pushgateway finds inconsistent: such a body is well-formed, and refused by
    /// [`feed`](Decode::feed).
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        self.refusal = None;
        self.series.clear();
        let lines = match self.options.format {
            Format::Lines(syntax) => self.check_lines(syntax, body)?,
            Format::Protobuf => self.check_families(body)?,
        };
        self.samples = lines.len() as u64;
        if self.refusal.is_none() {
            self.refusal = self.first_twice().map(|i| (lines[i], Fault::PushedTwice));
        }
        if self.refusal.is_some() {
            self.series.clear();
        }
        Ok(())
    }

    fn rewind(&mut self) {
        match &mut self.rows {
            Rows::Lines(rows) => rows.rewind(),
            Rows::Families(rows) => rows.rewind(),
        }
        self.shapes.clear();
        self.body_done = false;
        self.beside_done = 0;
    }

    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        let full = Fed { consumed: 0, state: FedState::Full };
        if self.refusal.is_none() && !self.body_done {
            let fed = match &mut self.rows {
                Rows::Lines(rows) => rows.feed(input, last, intake, result),
                Rows::Families(rows) => rows.feed(input, last, intake, result),
            };
            if fed.state != FedState::Done {
                return fed;
            }
            self.body_done = true;
        }
        self.shapes.enter_epoch(intake.epoch());
        while self.beside_done < self.beside.len() {
            match self.push_beside(self.beside_done, intake) {
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
            // One line is at fault, and all go with it.
            result.reject(line, fault.reason(), b"", || fault.to_string());
            result.count_rejected(fault.reason(), self.samples.saturating_sub(1));
        }
        Fed { consumed: input.len(), state: FedState::Done }
    }
}

/// What a push was found to hold so far.
struct Pushed {
    /// What the last `TYPE` said.
    kind: MetricType,
    families: BTreeMap<Vec<u8>, Family>,
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
        if self.families.len() >= 2 * SERIES_MAX {
            return Err(Fault::TooManySeries.at(0));
        }
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

impl SeriesKey {
    fn text_bytes(&self) -> usize {
        self.labels.len() + self.family.len()
    }
}

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

/// Series of a push at most. What is kept of them while they are checked is then 30 MB besides their text, and
/// whoever pushes more has other protocols.
const SERIES_MAX: usize = 1 << 17;

/// Bytes of the labels and names of a push's series at most, each spelled out: as much as is kept of all groups.
const TEXT_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;

    fn push(group: &[(&str, &str)]) -> Push {
        let group = group.iter().map(|(n, v)| GivenLabel::new(n.as_bytes(), v.as_bytes())).collect();
        Push::new(PushOptions { format: Format::Lines(Syntax::Text), time_ns: 7, group })
    }

    #[test]
    fn series_are_told_apart_by_their_labels_within_the_group() {
        let mut push = push(&[("job", "j"), ("instance", "")]);
        push.check(b"a{x=\"1\",job=\"k\"} 1\na{instance=\"i\"} 2\n").unwrap();
        let names: Vec<String> =
            push.series().iter().map(|s| String::from_utf8_lossy(&s.labels).into_owned()).collect();
        assert_eq!(names, ["\u{8}__name__\u{1}a\u{1}x\u{1}1", "\u{8}__name__\u{1}a"]);
        push.check(b"a 1\nb 1\na{job=\"k\"} 2\n").unwrap();
        assert!(push.is_refused() && push.series().is_empty());
        assert_eq!(push.refusal, Some((3, Fault::PushedTwice)));
    }

    #[test]
    fn types_are_read_as_the_pushgateway_reads_them() {
        let mut push = push(&[]);
        for (body, expected) in [
            ("# TYPE a Gauge\na 1\n", MetricType::Gauge),
            ("# TYPE a \t SUMMARY\na 1\n", MetricType::Summary),
            ("# TYPE a COUNTER\na 1\n", MetricType::Counter),
            ("# TYPE a\n# TYPE a \t\n# TYPE a Counter\na 1\n", MetricType::Counter),
        ] {
            push.check(body.as_bytes()).unwrap();
            assert!(!push.is_refused(), "{body}");
            let (mut rows, mut result) = (testing::Rows::default(), WriteResult::default());
            push.rewind();
            assert_eq!(push.feed(body.as_bytes(), true, &mut rows, &mut result).state, FedState::Done);
            assert_eq!((rows.rows.len(), result.rejected), (1, 0), "{body}");
            assert_eq!(rows.metadata[0].kind, expected, "{body}");
        }
        assert!(push.check(b"# TYPE a Gaugo\n").is_err());
        // A bucket's bound is one where the type is a histogram's, however that is written.
        push.check(b"# TYPE h HISTOGRAM\nh_bucket{le=\"1\"} 1\n").unwrap();
        assert!(push.series()[0].labels.ends_with(b"\x031.0"));
        assert_eq!(&*push.series()[0].family, b"h");
    }

    #[test]
    fn rows_beside_have_the_groups_labels_and_come_once_wherever_the_intake_is_full() {
        let mut push = push(&[("job", "j")]);
        push.check(b"# HELP a x\na 1\nb 2\n").unwrap();
        let labels = push.series()[0].labels.clone();
        push.settle(vec![RowBeside { labels, value_bits: 5 }]);
        let mut rows = testing::Rows::default();
        rows.room = Some(0);
        let mut result = WriteResult::default();
        let body = b"# HELP a x\na 1\nb 2\n";
        while push.feed(body, true, &mut rows, &mut result) == (Fed { consumed: 0, state: FedState::Full }) {
            rows.room = Some(1);
        }
        assert_eq!((rows.rows.len(), result.accepted, rows.metadata.len()), (3, 3, 1));
        assert_eq!(rows.rows[0].labels, rows.rows[2].labels);
        assert_eq!(rows.rows[0].labels[1], ("job".to_owned(), "j".to_owned()));
    }

    #[test]
    fn a_push_of_too_many_series_is_refused() {
        let body: String = (0..=SERIES_MAX).map(|i| format!("a{i} 1\n")).collect();
        assert!(push(&[]).check(body.as_bytes()).unwrap_err().error.contains("131072"));
        let body: String = (0..=2 * SERIES_MAX).map(|i| format!("# HELP a{i} x\n")).collect();
        assert!(push(&[]).check(body.as_bytes()).unwrap_err().error.contains("131072"));
    }
}
