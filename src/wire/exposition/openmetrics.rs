//! Lines of OpenMetrics: one space between parts, no comments, times in seconds, exemplars, and `# EOF`.

use super::Syntax;
use super::cursor::{Cursor, Quoted, Span, Stop, in_name, starts_name};
use super::fault::Fault;
use super::line::{self, Content, Exemplar, Line, Metadata, Said, Sample, Tokens, in_label, starts_label};
use super::number;

use crate::model::MetricType;

/// Reads a line.
pub(super) fn read(mut cursor: Cursor<'_>, tokens: &mut Tokens) -> Result<Line, Stop> {
    match cursor.peek()? {
        b'#' => metadata(cursor),
        b'{' => sample(cursor, tokens),
        byte if starts_name(byte) => {
            tokens.name = cursor.run(in_name)?;
            sample(cursor, tokens)
        }
        _ => Err(cursor.fault(Fault::Start)),
    }
}

fn metadata(mut cursor: Cursor<'_>) -> Result<Line, Stop> {
    let start = cursor.text;
    if let Some(behind) = start.strip_prefix(b"# EOF") {
        let next = start.len() - behind.len() + usize::from(behind.first() == Some(&b'\n'));
        return Ok(Line { content: Content::Eof, next });
    }
    let Some(word) = start.first_chunk::<7>() else {
        return Err(if start.contains(&b'\n') { cursor.fault(Fault::Start) } else { Stop::Incomplete });
    };
    if !matches!(word, b"# HELP " | b"# TYPE " | b"# UNIT ") {
        return Err(cursor.fault(Fault::Start));
    }
    cursor.at = word.len();
    let name = line::metadata_name(&mut cursor)?;
    if !cursor.skip(b' ')? {
        return Err(cursor.fault(Fault::MetadataText));
    }
    let (rest, next) = cursor.rest()?;
    let text = Span::new(cursor.at, cursor.at + rest.len());
    let said = match word {
        b"# HELP " if std::str::from_utf8(rest).is_err() => return Err(cursor.fault(Fault::HelpNotUtf8)),
        b"# HELP " => Said::Help(text),
        b"# TYPE " => Said::Type(metric_type(rest).ok_or_else(|| cursor.fault(Fault::MetricType))?),
        _ => {
            let before = name.of(cursor.text).strip_suffix(rest);
            if !rest.is_empty() && !before.is_some_and(|before| before.ends_with(b"_")) {
                return Err(cursor.fault(Fault::UnitNotSuffix));
            }
            Said::Unit(text)
        }
    };
    Ok(Line { content: Content::Metadata(Metadata { name, said }), next })
}

fn metric_type(word: &[u8]) -> Option<MetricType> {
    Some(match word {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        _ => return None,
    })
}

fn sample(mut cursor: Cursor<'_>, tokens: &mut Tokens) -> Result<Line, Stop> {
    let named = cursor.at > 0;
    if cursor.skip(b'{')? {
        line::labels(&mut cursor, Syntax::OpenMetrics, named, tokens)?;
    }
    let key = Span::new(0, cursor.at);
    let token = part(&mut cursor, Fault::NoValue)?;
    let value_bits = number::parse_value(token.of(cursor.text))
        .ok_or(Stop::Fault(Fault::BadValue.at(token.start as usize)))?;
    let mut time_ms = None;
    if cursor.peek()? == b' ' && !at_exemplar(&cursor)? {
        time_ms = Some(time(&mut cursor, Fault::AfterTime, Fault::BadTime)?);
    }
    let mut exemplar = None;
    if cursor.peek()? == b' ' && at_exemplar(&cursor)? {
        exemplar = Some(self::exemplar(&mut cursor, tokens)?);
    }
    let next =
        cursor.end_of_line(if exemplar.is_some() { Fault::AfterExemplar } else { Fault::AfterTime })?;
    Ok(Line { content: Content::Sample(Sample { key, value_bits, time_ms, exemplar }), next })
}

/// A space and what follows it up to the next space or newline.
fn part(cursor: &mut Cursor<'_>, missing: Fault) -> Result<Span, Stop> {
    if !cursor.skip(b' ')? {
        return Err(cursor.fault(missing));
    }
    let token = cursor.run(|b| !matches!(b, b' ' | b'\n'))?;
    if token.start == token.end { Err(cursor.fault(missing)) } else { Ok(token) }
}

fn time(cursor: &mut Cursor<'_>, missing: Fault, bad: Fault) -> Result<i64, Stop> {
    let token = part(cursor, missing)?;
    number::parse_seconds(token.of(cursor.text)).ok_or(Stop::Fault(bad.at(token.start as usize)))
}

/// Whether an exemplar comes next.
fn at_exemplar(cursor: &Cursor<'_>) -> Result<bool, Stop> {
    let rest = &cursor.text[cursor.at..];
    match rest.get(..EXEMPLAR.len()) {
        Some(start) => Ok(start == EXEMPLAR),
        None if EXEMPLAR.starts_with(rest) => Err(Stop::Incomplete),
        None => Ok(false),
    }
}

/// The labels, the value and the time of an exemplar.
fn exemplar(cursor: &mut Cursor<'_>, tokens: &mut Tokens) -> Result<Exemplar, Stop> {
    let start = cursor.at;
    cursor.at += EXEMPLAR.len();
    let rules = Quoted { newlines: false, nuls: false };
    loop {
        let name = match cursor.peek()? {
            b'}' => break,
            b'"' => cursor.quoted(rules, Fault::LabelName)?,
            byte if starts_label(byte) => cursor.run(in_label)?,
            _ => return Err(cursor.fault(Fault::LabelName)),
        };
        if !cursor.skip(b'=')? {
            return Err(cursor.fault(Fault::LabelEquals));
        }
        let value = cursor.quoted(rules, Fault::LabelValue)?;
        for text in [name, value] {
            if std::str::from_utf8(text.of(cursor.text)).is_err() {
                return Err(Stop::Fault(Fault::NotUtf8.at(text.start as usize)));
            }
        }
        tokens.exemplar_labels.push((name, value));
        if !cursor.skip(b',')? && cursor.peek()? != b'}' {
            return Err(cursor.fault(Fault::LabelComma));
        }
    }
    cursor.at += 1;
    let token = part(cursor, Fault::ExemplarValue)?;
    let value_bits = number::parse_value(token.of(cursor.text))
        .ok_or(Stop::Fault(Fault::ExemplarValue.at(token.start as usize)))?;
    let mut time_ms = None;
    if cursor.peek()? == b' ' {
        time_ms = Some(time(cursor, Fault::AfterExemplar, Fault::ExemplarTime)?);
    }
    Ok(Exemplar { text: Span::new(start, cursor.at), value_bits, time_ms })
}

const EXEMPLAR: &[u8] = b" # {";
