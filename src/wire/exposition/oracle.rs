//! The formats read slowly: the server's lexers as tables of tokens, its parsers as they are written, one token at
//! a time.
//!
//! Nothing of the fast reader is used here, and no state is kept between samples but what the server keeps.

use std::collections::BTreeMap;

use super::Syntax;

/// What a body says, in order.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Type,
    Other,
    Sample(Sample),
}

/// A sample.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) time_ms: Option<i64>,
    pub(super) exemplar: Option<Exemplar>,
}

/// Labels, value, time.
pub(super) type Exemplar = (Labels, f64, Option<i64>);

pub(super) type Labels = Vec<(String, String)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Init,
    Comment,
    Meta1,
    Meta2,
    Labels,
    LValue,
    Value,
    Timestamp,
    Exemplar,
    EValue,
    ETimestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Eof,
    Linebreak,
    Whitespace,
    Help,
    Type,
    Unit,
    EofWord,
    Text,
    Comment,
    MName,
    QString,
    BraceOpen,
    BraceClose,
    LName,
    LValue,
    Equal,
    Comma,
    Value,
    Timestamp,
}

struct Lexer<'a> {
    b: &'a [u8],
    start: usize,
    i: usize,
    state: State,
}

type Rule = (Token, State);

impl Lexer<'_> {
    fn buf(&self) -> &[u8] {
        &self.b[self.start..self.i]
    }

    /// Each rule's length at the cursor; the longest wins, of equals the first.
    fn lex(&mut self, syntax: Syntax) -> Result<Token, ()> {
        if self.i >= self.b.len() {
            return Ok(Token::Eof);
        }
        self.start = self.i;
        let rest = &self.b[self.i..];
        let rules = if syntax == Syntax::Text { self.text_rules(rest) } else { self.openmetrics_rules(rest) };
        let mut best: Option<(usize, Rule)> = None;
        for (len, rule) in rules {
            if let Some(len) = len
                && best.is_none_or(|(longest, _)| len > longest)
            {
                best = Some((len, rule));
            }
        }
        match best {
            Some((len, (token, state))) => {
                self.i += len;
                self.state = state;
                if syntax == Syntax::Text && token == Token::Comment {
                    return Ok(self.consume_comment());
                }
                Ok(token)
            }
            None if syntax == Syntax::Text && self.state == State::Comment => Ok(self.consume_comment()),
            None => Err(()),
        }
    }

    fn consume_comment(&mut self) -> Token {
        while self.b[self.i] != b'\n' {
            self.i += 1;
        }
        self.state = State::Init;
        Token::Comment
    }

    fn text_rules(&self, rest: &[u8]) -> Vec<(Option<usize>, Rule)> {
        use State::*;
        let blank = |b: u8| b == b' ' || b == b'\t';
        let mut rules = vec![(many1(rest, blank), (Token::Whitespace, self.state))];
        match self.state {
            Init => rules.extend([
                (word(rest, b"\n"), (Token::Linebreak, Init)),
                (after(rest, b"#", |r| many1(r, blank)), (Token::Comment, Comment)),
                (word(rest, b"#"), (Token::Comment, Init)),
                (name(rest, true), (Token::MName, Value)),
                (word(rest, b"{"), (Token::BraceOpen, Labels)),
            ]),
            Comment => rules.extend([
                (after(rest, b"HELP", |r| many1(r, blank)), (Token::Help, Meta1)),
                (after(rest, b"TYPE", |r| many1(r, blank)), (Token::Type, Meta1)),
            ]),
            Meta1 => rules.extend([
                (quoted(rest, true), (Token::MName, Meta2)),
                (name(rest, true), (Token::MName, Meta2)),
            ]),
            Meta2 => rules.push((Some(count(rest, |b| b != b'\n')), (Token::Text, Init))),
            Labels => rules.extend(label_rules(rest, true)),
            LValue => rules.push((quoted(rest, true), (Token::LValue, Labels))),
            Value => rules.extend([
                (word(rest, b"{"), (Token::BraceOpen, Labels)),
                (many1(rest, |b| !matches!(b, b'{' | b' ' | b'\t' | b'\n')), (Token::Value, Timestamp)),
            ]),
            Timestamp => rules.extend([
                (many1(rest, |b| b.is_ascii_digit()), (Token::Timestamp, Timestamp)),
                (word(rest, b"\n"), (Token::Linebreak, Init)),
            ]),
            _ => unreachable!("text has no exemplars"),
        }
        // A comment's text is consumed by its own loop, from where its first token ends.
        if self.state == Init {
            for (_, (token, state)) in &mut rules {
                if *token == Token::Comment && *state == Comment {
                    *token = Token::Whitespace;
                }
            }
        }
        rules
    }

    fn openmetrics_rules(&self, rest: &[u8]) -> Vec<(Option<usize>, Rule)> {
        use State::*;
        let part = |r: &[u8]| many1(r, |b| b != b' ' && b != b'\n');
        match self.state {
            Init => vec![
                (word(rest, b"# "), (Token::Whitespace, Comment)),
                (name(rest, true), (Token::MName, Value)),
                (word(rest, b"{"), (Token::BraceOpen, Labels)),
            ],
            Comment => vec![
                (word(rest, b"HELP "), (Token::Help, Meta1)),
                (word(rest, b"TYPE "), (Token::Type, Meta1)),
                (word(rest, b"UNIT "), (Token::Unit, Meta1)),
                (word(rest, b"EOF"), (Token::EofWord, Init)),
                (word(rest, b"EOF\n"), (Token::EofWord, Init)),
            ],
            Meta1 => {
                vec![(quoted(rest, true), (Token::MName, Meta2)), (name(rest, true), (Token::MName, Meta2))]
            }
            Meta2 => {
                let len = 1 + count(rest.get(1..).unwrap_or_default(), |b| b != b'\n');
                let whole = rest[0] == b' ' && rest.get(len) == Some(&b'\n');
                vec![(whole.then_some(len + 1), (Token::Text, Init))]
            }
            Labels => label_rules(rest, true).into(),
            LValue => vec![(quoted(rest, false), (Token::LValue, Labels))],
            Value => vec![
                (word(rest, b"{"), (Token::BraceOpen, Labels)),
                (after(rest, b" ", part), (Token::Value, Timestamp)),
            ],
            Timestamp => vec![
                (after(rest, b" ", part), (Token::Timestamp, Timestamp)),
                (word(rest, b"\n"), (Token::Linebreak, Init)),
                (word(rest, b" # {"), (Token::Comment, Exemplar)),
            ],
            Exemplar => vec![
                (name(rest, false), (Token::LName, Exemplar)),
                (quoted(rest, false), (Token::QString, Exemplar)),
                (word(rest, b"}"), (Token::BraceClose, EValue)),
                (word(rest, b"="), (Token::Equal, EValue)),
                (word(rest, b","), (Token::Comma, Exemplar)),
            ],
            EValue => vec![
                (quoted(rest, false), (Token::LValue, Exemplar)),
                (after(rest, b" ", part), (Token::Value, ETimestamp)),
            ],
            ETimestamp => vec![
                (after(rest, b" ", part), (Token::Timestamp, ETimestamp)),
                (word(rest, b"\n"), (Token::Linebreak, Init)),
            ],
        }
    }
}

fn label_rules(rest: &[u8], newlines: bool) -> [(Option<usize>, Rule); 5] {
    use State::*;
    [
        (name(rest, false), (Token::LName, Labels)),
        (quoted(rest, newlines), (Token::QString, Labels)),
        (word(rest, b"}"), (Token::BraceClose, Value)),
        (word(rest, b"="), (Token::Equal, LValue)),
        (word(rest, b","), (Token::Comma, Labels)),
    ]
}

fn count(rest: &[u8], part: impl Fn(u8) -> bool) -> usize {
    rest.iter().take_while(|&&b| part(b)).count()
}

fn many1(rest: &[u8], part: impl Fn(u8) -> bool) -> Option<usize> {
    Some(count(rest, part)).filter(|&len| len > 0)
}

fn word(rest: &[u8], word: &[u8]) -> Option<usize> {
    rest.starts_with(word).then_some(word.len())
}

fn after(rest: &[u8], first: &[u8], then: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    Some(first.len() + then(rest.strip_prefix(first)?)?)
}

fn name(rest: &[u8], colons: bool) -> Option<usize> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_' || colons && b == b':';
    letter(*rest.first()?).then(|| count(rest, |b| letter(b) || b.is_ascii_digit()))
}

fn quoted(rest: &[u8], newlines: bool) -> Option<usize> {
    let mut i = 1;
    if rest.first() != Some(&b'"') {
        return None;
    }
    loop {
        match *rest.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' if *rest.get(i + 1)? == b'\n' => return None,
            b'\\' => i += 2,
            b'\n' if !newlines => return None,
            _ => i += 1,
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    syntax: Syntax,
    kind: Vec<u8>,
}

/// What the server makes of a body; none if it takes nothing of it.
pub(super) fn read(syntax: Syntax, body: &[u8]) -> Option<Vec<Said>> {
    let mut text = body.to_vec();
    if syntax == Syntax::Text {
        text.push(b'\n');
    }
    let lexer = Lexer { b: &text, start: 0, i: 0, state: State::Init };
    let mut parser = Parser { lexer, syntax, kind: Vec::new() };
    let mut said = Vec::new();
    while let Some(one) = parser.next().ok()? {
        said.push(one);
    }
    Some(said)
}

type Pair = (Vec<u8>, Vec<u8>);

impl Parser<'_> {
    fn token(&mut self) -> Result<Token, ()> {
        loop {
            match self.lexer.lex(self.syntax)? {
                Token::Whitespace => {}
                token => return Ok(token),
            }
        }
    }

    fn expect(&mut self, token: Token) -> Result<(), ()> {
        if self.token()? == token { Ok(()) } else { Err(()) }
    }

    fn next(&mut self) -> Result<Option<Said>, ()> {
        loop {
            match self.token()? {
                Token::Eof if self.syntax == Syntax::Text => return Ok(None),
                Token::EofWord => return self.expect(Token::Eof).map(|()| None),
                Token::Linebreak => {}
                token @ (Token::Help | Token::Type | Token::Unit) => return self.metadata(token).map(Some),
                Token::Comment => {
                    self.expect(Token::Linebreak)?;
                    return Ok(Some(Said::Other));
                }
                Token::BraceOpen => {
                    let (name, labels) = self.labels(None)?;
                    let token = self.token()?;
                    return self.sample(name.ok_or(())?, labels, token).map(Some);
                }
                Token::MName => {
                    let name = self.lexer.buf().to_vec();
                    let mut token = self.token()?;
                    let mut labels = Vec::new();
                    if token == Token::BraceOpen {
                        labels = self.labels(Some(name.clone()))?.1;
                        token = self.token()?;
                    }
                    return self.sample(name, labels, token).map(Some);
                }
                _ => return Err(()),
            }
        }
    }

    fn metadata(&mut self, token: Token) -> Result<Said, ()> {
        self.expect(Token::MName)?;
        let name = bare(self.lexer.buf()).to_vec();
        self.expect(Token::Text)?;
        let text = self.lexer.buf();
        let text = match self.syntax {
            Syntax::Text => text.get(1..).unwrap_or_default().to_vec(),
            Syntax::OpenMetrics => text[1..text.len() - 1].to_vec(),
        };
        match token {
            Token::Type => {
                let known: &[&[u8]] = match self.syntax {
                    Syntax::Text => &[b"counter", b"gauge", b"histogram", b"summary", b"untyped"],
                    Syntax::OpenMetrics => &[
                        b"counter",
                        b"gauge",
                        b"histogram",
                        b"gaugehistogram",
                        b"summary",
                        b"info",
                        b"stateset",
                        b"unknown",
                    ],
                };
                if !known.contains(&&*text) {
                    return Err(());
                }
                self.kind = text;
            }
            Token::Help if std::str::from_utf8(&text).is_err() => return Err(()),
            Token::Unit if !text.is_empty() => {
                let suffix = [b"_", &*text].concat();
                if !name.ends_with(&suffix) {
                    return Err(());
                }
            }
            _ => {}
        }
        if self.syntax == Syntax::Text {
            self.expect(Token::Linebreak)?;
        }
        Ok(if token == Token::Type { Said::Type } else { Said::Other })
    }

    fn labels(&mut self, mut name: Option<Vec<u8>>) -> Result<(Option<Vec<u8>>, Vec<Pair>), ()> {
        let mut labels = Vec::new();
        let mut token = self.token()?;
        loop {
            let text = self.lexer.buf().to_vec();
            let is_quoted = match token {
                Token::BraceClose => return Ok((name, labels)),
                Token::LName => false,
                Token::QString => true,
                _ => return Err(()),
            };
            token = self.token()?;
            if is_quoted && matches!(token, Token::Comma | Token::BraceClose) {
                if name.is_some() {
                    return Err(());
                }
                name = Some(bare(&text).to_vec());
                if token == Token::BraceClose {
                    return Ok((name, labels));
                }
                token = self.token()?;
                continue;
            }
            if token != Token::Equal {
                return Err(());
            }
            self.expect(Token::LValue)?;
            let value = self.lexer.buf().to_vec();
            if std::str::from_utf8(&value).is_err() {
                return Err(());
            }
            labels.push((bare(&text).to_vec(), bare(&value).to_vec()));
            token = self.token()?;
            if token == Token::Comma {
                token = self.token()?;
            } else if self.syntax == Syntax::OpenMetrics && token != Token::BraceClose {
                return Err(());
            }
        }
    }

    fn sample(&mut self, name: Vec<u8>, pairs: Vec<Pair>, token: Token) -> Result<Said, ()> {
        let value = self.value(token)?;
        let (mut time_ms, mut exemplar) = (None, None);
        let mut token = self.token()?;
        if token == Token::Timestamp {
            time_ms = Some(self.time()?);
            token = self.token()?;
        }
        if token == Token::Comment {
            exemplar = Some(self.exemplar()?);
        } else if token != Token::Linebreak {
            return Err(());
        }
        let mut labels = BTreeMap::new();
        labels.insert("__name__".to_owned(), plain(&name)?);
        for (name, value) in pairs {
            let (name, mut value) = (plain(&name)?, plain(&value)?);
            let bound = (&*self.kind, &*name);
            if matches!(bound, (b"histogram", "le") | (b"summary", "quantile"))
                && let Some(number) = float(value.as_bytes())
            {
                value = canonical(number);
            }
            if name.is_empty() || labels.insert(name, value).is_some() {
                return Err(());
            }
        }
        if labels["__name__"].is_empty() {
            return Err(());
        }
        labels.retain(|_, value| !value.is_empty());
        Ok(Said::Sample(Sample { labels: labels.into_iter().collect(), value, time_ms, exemplar }))
    }

    fn exemplar(&mut self) -> Result<Exemplar, ()> {
        // A name that is set is one too many: an exemplar has none.
        let (_, pairs) = self.labels(Some(Vec::new()))?;
        let token = self.token()?;
        let value = self.value(token)?;
        let mut time_ms = None;
        let mut token = self.token()?;
        if token == Token::Timestamp {
            time_ms = Some(self.time()?);
            token = self.token()?;
        }
        if token != Token::Linebreak {
            return Err(());
        }
        let labels = pairs
            .into_iter()
            .map(|(name, value)| Ok((plain(&name)?, plain(&value)?)))
            .collect::<Result<_, ()>>()?;
        Ok((labels, value, time_ms))
    }

    fn value(&self, token: Token) -> Result<f64, ()> {
        if token != Token::Value {
            return Err(());
        }
        float(self.number()).ok_or(())
    }

    fn number(&self) -> &[u8] {
        let text = self.lexer.buf();
        if self.syntax == Syntax::Text { text } else { &text[1..] }
    }

    fn time(&self) -> Result<i64, ()> {
        let text = self.number();
        if self.syntax == Syntax::Text {
            return std::str::from_utf8(text).map_err(|_| ())?.parse().map_err(|_| ());
        }
        let seconds = float(text).filter(|s| s.is_finite()).ok_or(())?;
        Ok((seconds * 1000.0) as i64)
    }
}

fn bare(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inner @ .., b'"'] => inner,
        _ => text,
    }
}

fn plain(raw: &[u8]) -> Result<String, ()> {
    let text = std::str::from_utf8(raw).map_err(|_| ())?;
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let spelled = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('"')) => Some('"'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        if spelled.is_some() {
            chars.next();
        }
        out.push(spelled.unwrap_or(c));
    }
    Ok(out)
}

/// By the standard library, whose grammar has no hexadecimal and no underscores either; it differs from Go's in that
/// a NaN may have a sign, and in what is too large.
fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    let signed = text.starts_with(['+', '-']);
    let worded = text.to_ascii_lowercase().contains("inf");
    let fits = if value.is_nan() { !signed } else { value.is_finite() || worded };
    fits.then_some(value)
}

fn canonical(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    if value == 0.0 {
        return "0.0".into();
    }
    let (mantissa, exponent) = {
        let text = format!("{value:e}");
        let (m, e) = text.split_once('e').unwrap();
        (m.to_owned(), e.parse::<i32>().unwrap())
    };
    if !(-4..6).contains(&exponent) {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}
