//! What a line is, in either format.

use super::Syntax;
use super::cursor::{Cursor, Quoted, Span, Stop};
use super::fault::{Fault, LineFault};
use super::{openmetrics, text};

use crate::model::MetricType;

/// A line that was understood.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Line {
    pub(super) content: Content,
    /// Where the next line starts.
    pub(super) next: usize,
}

/// What a line says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Content {
    /// Blank, or a comment.
    Nothing,
    Metadata(Metadata),
    Sample(Sample),
    /// `# EOF`.
    Eof,
}

/// `HELP`, `TYPE` or `UNIT`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Metadata {
    /// As written, without quotes.
    pub(super) name: Span,
    pub(super) said: Said,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Said {
    /// Text with escapes.
    Help(Span),
    Type(MetricType),
    Unit(Span),
}

/// A sample; its labels lie in [`Tokens`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sample {
    /// Name and labels as received.
    pub(super) key: Span,
    pub(super) value_bits: u64,
    /// Milliseconds, where the line says so.
    pub(super) time_ms: Option<i64>,
    pub(super) exemplar: Option<Exemplar>,
}

/// An exemplar; its labels lie in [`Tokens`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Exemplar {
    /// All of it as received.
    pub(super) text: Span,
    pub(super) value_bits: u64,
    pub(super) time_ms: Option<i64>,
}

/// The names and labels of one line, as written, without quotes. Used again for every line.
#[derive(Default, Debug)]
pub(super) struct Tokens {
    pub(super) name: Span,
    pub(super) labels: Vec<(Span, Span)>,
    pub(super) exemplar_labels: Vec<(Span, Span)>,
}

/// Reads the line that `input` starts with; `last` says that nothing comes behind `input`.
///
/// Says nothing yet of what only a look at all the labels together shows.
pub(super) fn read(syntax: Syntax, input: &[u8], last: bool, tokens: &mut Tokens) -> Result<Line, Stop> {
    tokens.name = Span::default();
    tokens.labels.clear();
    tokens.exemplar_labels.clear();
    match syntax {
        // Behind the last byte of a text a newline is thought.
        Syntax::Text => text::read(Cursor { text: input, at: 0, closed: last }, tokens),
        Syntax::OpenMetrics => {
            match openmetrics::read(Cursor { text: input, at: 0, closed: false }, tokens) {
                Err(Stop::Incomplete) if last => Err(Stop::Fault(Fault::NoEof.at(0))),
                read => read,
            }
        }
    }
}

/// How a line is read: by [`read`], or by [`read_pushed`].
pub(super) type LineReader = fn(Syntax, &[u8], bool, &mut Tokens) -> Result<Line, Stop>;

/// Reads a line as [`read`] does, but for types that the Pushgateway understands.
pub(super) fn read_pushed(
    syntax: Syntax,
    input: &[u8],
    last: bool,
    tokens: &mut Tokens,
) -> Result<Line, Stop> {
    match read(syntax, input, last, tokens) {
        Err(Stop::Fault(LineFault { fault: Fault::MetricType, .. })) if syntax == Syntax::Text => {
            text::read_free_type(Cursor { text: input, at: 0, closed: last })
        }
        read => read,
    }
}

/// Reads labels up to the closing brace; the opening one is behind the cursor. `named` says that the metric's name
/// stands before them; else it is one of them, in quotes.
pub(super) fn labels(
    cursor: &mut Cursor<'_>,
    syntax: Syntax,
    mut named: bool,
    tokens: &mut Tokens,
) -> Result<(), Stop> {
    let free = syntax == Syntax::Text;
    let blanks = |cursor: &mut Cursor<'_>| if free { cursor.skip_blanks() } else { Ok(()) };
    let names = Quoted { newlines: true, nuls: false };
    let values = Quoted { newlines: free, nuls: true };
    loop {
        blanks(cursor)?;
        let start = cursor.at;
        let (name, quoted) = match cursor.peek()? {
            b'}' => break,
            b'"' => (cursor.quoted(names, Fault::LabelName)?, true),
            byte if starts_label(byte) => (cursor.run(in_label)?, false),
            _ => return Err(cursor.fault(Fault::LabelName)),
        };
        blanks(cursor)?;
        let next = cursor.peek()?;
        if quoted && matches!(next, b',' | b'}') {
            if named {
                return Err(Stop::Fault(Fault::NameTwice.at(start)));
            }
            tokens.name = name;
            named = true;
            cursor.at += usize::from(next == b',');
            continue;
        }
        if !cursor.skip(b'=')? {
            return Err(cursor.fault(Fault::LabelEquals));
        }
        blanks(cursor)?;
        let value = cursor.quoted(values, Fault::LabelValue)?;
        if std::str::from_utf8(value.of(cursor.text)).is_err() {
            return Err(Stop::Fault(Fault::NotUtf8.at(value.start as usize)));
        }
        tokens.labels.push((name, value));
        blanks(cursor)?;
        // A comma may be missing in text.
        if !cursor.skip(b',')? && !free && cursor.peek()? != b'}' {
            return Err(cursor.fault(Fault::LabelComma));
        }
    }
    cursor.at += 1;
    if named { Ok(()) } else { Err(Stop::Fault(Fault::NoName.at(0))) }
}

/// Whether a label's name can start with this byte.
pub(super) fn starts_label(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a label's name can go on with this byte.
pub(super) fn in_label(byte: u8) -> bool {
    starts_label(byte) || byte.is_ascii_digit()
}

/// The name of a metric in a metadata line, in quotes or bare.
pub(super) fn metadata_name(cursor: &mut Cursor<'_>) -> Result<Span, Stop> {
    match cursor.peek()? {
        b'"' => cursor.quoted(Quoted { newlines: true, nuls: false }, Fault::MetadataName),
        byte if super::cursor::starts_name(byte) => cursor.run(super::cursor::in_name),
        _ => Err(cursor.fault(Fault::MetadataName)),
    }
}

/// What a sample's names are worth, once they are all known: UTF-8, none empty, none twice.
pub(super) fn check_names(
    text: &[u8],
    tokens: &Tokens,
    names: &mut super::labels::Names,
) -> Result<(), LineFault> {
    let name = tokens.name.of(text);
    if name.is_empty() {
        return Err(Fault::NoName.at(0));
    }
    if std::str::from_utf8(name).is_err() {
        return Err(Fault::NotUtf8.at(tokens.name.start as usize));
    }
    for (name, _) in &tokens.labels {
        let at = name.start as usize;
        if name.start == name.end {
            return Err(Fault::EmptyLabelName.at(at));
        }
        if std::str::from_utf8(name.of(text)).is_err() {
            return Err(Fault::NotUtf8.at(at));
        }
    }
    names.check_unique(text, &tokens.labels)
}
