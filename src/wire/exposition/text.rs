//! Lines of text 0.0.4: blanks and tabs nearly everywhere, comments, whole milliseconds.

use super::Syntax;
use super::cursor::{Cursor, Span, Stop, in_name, starts_name};
use super::fault::Fault;
use super::line::{self, Content, Line, Metadata, Said, Sample, Tokens};
use super::number;

use crate::model::MetricType;

/// Reads a line.
pub(super) fn read(mut cursor: Cursor<'_>, tokens: &mut Tokens) -> Result<Line, Stop> {
    cursor.skip_blanks()?;
    match cursor.peek()? {
        b'\n' => Ok(Line { content: Content::Nothing, next: cursor.end_of_line(Fault::Start)? }),
        b'#' => comment(cursor, metric_type),
        b'{' => sample(cursor, tokens),
        byte if starts_name(byte) => sample(cursor, tokens),
        _ => Err(cursor.fault(Fault::Start)),
    }
}

/// Reads a line that [`read`] refuses for its type, as the Pushgateway reads what scripts write by hand: a type has
/// letters of either case and any blanks before it, and one that is missing is not spoken of.
pub(super) fn read_free_type(mut cursor: Cursor<'_>) -> Result<Line, Stop> {
    cursor.skip_blanks()?;
    let mut is_missing = false;
    let line = comment(cursor, |word| {
        let blanks = word.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let word = &word[blanks..];
        is_missing = word.is_empty();
        if is_missing { Some(MetricType::Unknown) } else { metric_type(&word.to_ascii_lowercase()) }
    })?;
    Ok(if is_missing { Line { content: Content::Nothing, ..line } } else { line })
}

/// `HELP`, `TYPE`, or anything else, which is nothing.
fn comment(
    mut cursor: Cursor<'_>,
    metric_type: impl FnOnce(&[u8]) -> Option<MetricType>,
) -> Result<Line, Stop> {
    // The line's end must be there to know it for a comment at all.
    let (rest, next) = cursor.rest()?;
    let nothing = Line { content: Content::Nothing, next };
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let word_at = 1 + rest[1..].iter().take_while(|b| blank(b)).count();
    let word = &rest[word_at..];
    let is_help = word.starts_with(b"HELP");
    if word_at == 1 || !(is_help || word.starts_with(b"TYPE")) || !word.get(4).is_some_and(blank) {
        return Ok(nothing);
    }
    cursor.at += word_at + 4;
    cursor.skip_blanks()?;
    let name = line::metadata_name(&mut cursor)?;
    // Exactly one byte parts name and text, whichever it is, unless there is no text.
    let (rest, next) = cursor.rest()?;
    let end = cursor.at + rest.len();
    let start = if rest.iter().all(blank) { end } else { cursor.at + 1 };
    let text = Span::new(start, end);
    let said = if is_help {
        if std::str::from_utf8(text.of(cursor.text)).is_err() {
            return Err(Stop::Fault(Fault::HelpNotUtf8.at(start)));
        }
        Said::Help(text)
    } else {
        match metric_type(text.of(cursor.text)) {
            Some(kind) => Said::Type(kind),
            None => return Err(Stop::Fault(Fault::MetricType.at(start))),
        }
    };
    Ok(Line { content: Content::Metadata(Metadata { name, said }), next })
}

fn metric_type(word: &[u8]) -> Option<MetricType> {
    Some(match word {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        // Not the server's, but those of the Pushgateway and of client libraries.
        b"gaugehistogram" | b"gauge_histogram" => MetricType::GaugeHistogram,
        _ => return None,
    })
}

fn sample(mut cursor: Cursor<'_>, tokens: &mut Tokens) -> Result<Line, Stop> {
    let start = cursor.at;
    let mut key_end = start;
    let named = cursor.peek()? != b'{';
    if named {
        tokens.name = cursor.run(in_name)?;
        key_end = cursor.at;
        cursor.skip_blanks()?;
    }
    if cursor.skip(b'{')? {
        line::labels(&mut cursor, Syntax::Text, named, tokens)?;
        key_end = cursor.at;
        cursor.skip_blanks()?;
    }
    let token = cursor.run(|b| !matches!(b, b'{' | b' ' | b'\t' | b'\n'))?;
    if token.start == token.end {
        return Err(cursor.fault(Fault::NoValue));
    }
    let value_bits = number::parse_value(token.of(cursor.text))
        .ok_or(Stop::Fault(Fault::BadValue.at(token.start as usize)))?;
    cursor.skip_blanks()?;
    let digits = cursor.run(|b| b.is_ascii_digit())?;
    let mut time_ms = None;
    if digits.start < digits.end {
        let millis = number::parse_millis(digits.of(cursor.text));
        time_ms = Some(millis.ok_or(Stop::Fault(Fault::BadTime.at(digits.start as usize)))?);
        cursor.skip_blanks()?;
    }
    let next = cursor.end_of_line(Fault::AfterTime)?;
    let key = Span::new(start, key_end);
    let sample = Sample { key, value_bits, time_ms, exemplar: None };
    Ok(Line { content: Content::Sample(sample), next })
}
