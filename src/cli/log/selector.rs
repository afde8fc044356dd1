//! Series selectors of PromQL: `cpu`, `{__name__=~"c.*",host!="a"}`, `cpu{host="a"}`, `{"my.metric","label.name"="x"}`.
//!
//! ```text
//! selector = [ NAME ] [ "{" [ matcher { "," matcher } [ "," ] ] "}" ], and not empty
//! matcher  = ( NAME | STRING ) OPERATOR STRING | STRING
//! OPERATOR = "=" | "!=" | "=~" | "!~"
//! STRING   = "..." | '...' with Go's escapes | `...` without
//! ```
//!
//! As in Prometheus a label that a series does not have is empty, regular expressions are RE2's and match whole values,
//! a string alone is the metric's name, and names that are not plain stand in quotes, as metrics do that are named like
//! an operator. Between any two parts there may be blanks, and comments from `#` to the end of the line. As in
//! `promtool tsdb dump`, and not as in queries, a selector may take everything.

use crate::model::METRIC_NAME;
use crate::reader::Labels;
use crate::relabel::Pattern;

/// A selector: all its matchers must take a series.
#[derive(Clone, Debug)]
pub(super) struct Selector(Vec<Matcher>);

#[derive(Clone, Debug)]
struct Matcher {
    name: Vec<u8>,
    test: Test,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Vec<u8>),
    Regex(Pattern),
}

/// Why a text is no selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SelectorError {
    /// Where, in bytes from 0.
    at: usize,
    message: String,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// [`SelectorError`].
    pub(super) fn parse(text: &str) -> Result<Selector, SelectorError> {
        let mut parser = Parser { text, at: 0 };
        let selector = parser.selector()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.expected("the end"));
        }
        Ok(selector)
    }

    /// Whether it takes a series.
    pub(super) fn takes(&self, labels: Labels<'_>) -> bool {
        self.takes_values(|name| labels.value(name).unwrap_or(b""))
    }

    /// Whether a series of this metric can be one that it takes.
    pub(super) fn takes_metric(&self, metric: &[u8]) -> bool {
        self.0.iter().filter(|matcher| matcher.name == METRIC_NAME).all(|matcher| matcher.takes(metric))
    }

    fn takes_values<'v>(&self, value: impl Fn(&[u8]) -> &'v [u8]) -> bool {
        self.0.iter().all(|matcher| matcher.takes(value(&matcher.name)))
    }
}

impl Matcher {
    fn takes(&self, value: &[u8]) -> bool {
        let matches = match &self.test {
            Test::Equal(wanted) => value == wanted.as_slice(),
            Test::Regex(regex) => regex.is_match(value),
        };
        matches != self.negated
    }
}

impl std::fmt::Display for SelectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "position {}: {}", self.at + 1, self.message)
    }
}

impl std::error::Error for SelectorError {}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn selector(&mut self) -> Result<Selector, SelectorError> {
        self.space();
        let mut matchers = Vec::new();
        let at = self.at;
        let metric = self.name(|c| c == ':');
        if let Some(metric) = metric {
            if RESERVED.iter().any(|word| metric.eq_ignore_ascii_case(word)) {
                let message = format!("a metric named like an operator stands in quotes: {{{metric:?}}}");
                return Err(SelectorError { at, message });
            }
            matchers.push(equal(METRIC_NAME, metric.as_bytes()));
        }
        if self.take("{") {
            while !self.take("}") {
                matchers.push(self.matcher()?);
                if !self.take(",") && !self.rest().starts_with('}') {
                    return Err(self.expected("\",\" or \"}\""));
                }
            }
        } else if metric.is_none() {
            return Err(self.expected("a metric's name or \"{\""));
        }
        Ok(Selector(matchers))
    }

    fn matcher(&mut self) -> Result<Matcher, SelectorError> {
        let (name, quoted) = match self.name(|_| false) {
            Some(name) => (name.as_bytes().to_vec(), false),
            None if self.rest().starts_with(QUOTES) => (self.string()?, true),
            None => return Err(self.expected("a label's name or \"}\"")),
        };
        self.space();
        let alone = quoted && self.rest().starts_with([',', '}']);
        if alone {
            return Ok(equal(METRIC_NAME, &name));
        }
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| self.take(operator));
        let operator = operator.ok_or_else(|| self.expected("=, !=, =~ or !~"))?;
        if !self.rest().starts_with(QUOTES) {
            return Err(self.expected("a string in quotes"));
        }
        let at = self.at;
        let value = self.string()?;
        let test = match operator.ends_with('~') {
            true => Test::Regex(regex(&value).map_err(|message| SelectorError { at, message })?),
            false => Test::Equal(value),
        };
        self.space();
        Ok(Matcher { name, test, negated: operator.starts_with('!') })
    }

    /// A plain name; `also` takes more characters than label names have.
    fn name(&mut self, also: impl Fn(char) -> bool) -> Option<&'t str> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || also(c);
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let name = &rest[..len];
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.at += len;
        self.space();
        Some(name)
    }

    /// The string that starts here, without its quotes.
    fn string(&mut self) -> Result<Vec<u8>, SelectorError> {
        let start = self.at;
        let open = |message: &str| SelectorError { at: start, message: message.into() };
        let mut rest = self.rest().chars();
        let quote = rest.next().ok_or_else(|| open("a string was expected"))?;
        let mut out = Vec::new();
        loop {
            let at = self.text.len() - rest.as_str().len();
            match rest.next() {
                None => return Err(open("a string without its closing quote")),
                Some(c) if c == quote => {
                    self.at = at + 1;
                    return Ok(out);
                }
                Some('\n') if quote != '`' => return Err(open("a string without its closing quote")),
                Some('\\') if quote != '`' => {
                    let spelled = escape(rest.as_str(), quote, &mut out);
                    let used = spelled.map_err(|message| SelectorError { at, message: message.into() })?;
                    rest = rest.as_str()[used..].chars();
                }
                Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
            self.space();
        }
        found
    }

    /// Passes over blanks and comments.
    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let behind = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - behind.len();
            if !behind.starts_with('#') {
                return;
            }
            self.at += behind.find(['\n', '\r']).unwrap_or(behind.len());
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn expected(&self, what: &str) -> SelectorError {
        SelectorError { at: self.at, message: format!("expected {what}") }
    }
}

/// Appends what the escape behind a backslash spells, and gives its length.
fn escape(rest: &str, quote: char, out: &mut Vec<u8>) -> Result<usize, &'static str> {
    let first = rest.chars().next().ok_or("an escape is cut short")?;
    let simple = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        'x' | 'u' | 'U' | '0'..='7' => return numeric_escape(rest, first, out),
        _ => return Err("an escape that is none"),
    };
    out.push(simple);
    Ok(1)
}

fn numeric_escape(rest: &str, first: char, out: &mut Vec<u8>) -> Result<usize, &'static str> {
    let (skip, digits, radix) = match first {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => (0, 3, 8),
    };
    let text = rest.get(skip..skip + digits).ok_or("an escape is cut short")?;
    if !text.bytes().all(|b| char::from(b).is_digit(radix)) {
        return Err("an escape with a digit that is none");
    }
    let number = u32::from_str_radix(text, radix).map_err(|_| "an escape that is none")?;
    if matches!(first, 'u' | 'U') {
        let c = char::from_u32(number).ok_or("an escape of no character")?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.push(u8::try_from(number).map_err(|_| "an escape of no byte")?);
    }
    Ok(skip + digits)
}

fn equal(name: &[u8], value: &[u8]) -> Matcher {
    Matcher { name: name.to_vec(), test: Test::Equal(value.to_vec()), negated: false }
}

/// A regular expression for whole values, in which a dot takes newlines, too.
fn regex(pattern: &[u8]) -> Result<Pattern, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "a regular expression that is not UTF-8")?;
    Pattern::alone(pattern).map_err(|why| format!("regular expression: {why}"))
}

/// Words of PromQL that can't be a metric's name outside of quotes, in any case.
const RESERVED: [&str; 8] = ["atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"];

const QUOTES: [char; 3] = ['"', '\'', '`'];

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector = Selector::parse(selector).unwrap_or_else(|e| panic!("{selector}: {e}"));
        selector.takes_values(|name| {
            labels.iter().find(|(n, _)| n.as_bytes() == name).map_or(b"", |(_, v)| v.as_bytes())
        })
    }

    #[test]
    fn selectors_take_what_promql_takes() {
        let labels = [("__name__", "cpu"), ("host", "a1"), ("my.label", "x\ny"), ("text", "two\nlines")];
        for (selector, taken) in [
            ("cpu", true),
            ("  cpu  ", true),
            ("mem", false),
            ("cpu{}", true),
            ("{}", true),
            (r#"{__name__="cpu"}"#, true),
            (r#"{__name__=~"c.*",host!="a"}"#, true),
            (r#"{__name__=~"c.*",host!="a1"}"#, false),
            (r#"cpu { host = "a1" , }"#, true),
            (r#"cpu{host=~"a"}"#, false),
            (r#"cpu{host=~"a|a1"}"#, true),
            (r#"cpu{host!~"a|b1"}"#, true),
            (r#"cpu{host!~"a."}"#, false),
            ("cpu{host='a1'}", true),
            ("cpu{host=`a1`}", true),
            (r"cpu{host=~`a\d`}", true),
            (r#"cpu{host=~"a\\d"}"#, true),
            (r#"cpu{absent=""}"#, true),
            (r#"cpu{absent!=""}"#, false),
            (r#"cpu{absent=~".*"}"#, true),
            (r#"cpu{absent=~".+"}"#, false),
            (r#"cpu{host=""}"#, false),
            (r#"{"cpu"}"#, true),
            (r#"{"cpu", host="a1"}"#, true),
            (r#"{"mem"}"#, false),
            (r#"{"host"="a1"}"#, true),
            (r#"{"my.label"=~"x.y"}"#, true),
            (r#"{"my.label"="x\ny"}"#, true),
            (r#"{text=~"two.lines"}"#, true),
            (r#"cpu{host="\x61\061"}"#, true),
            (r#"cpu{host="\u0061\U00000031"}"#, true),
            (r#"cpu{__name__=~"c.+"}"#, true),
            (
                "# of all hosts\ncpu{ # but one\r\nhost # is\n!= # not\n\"b\" # this\n, # and\n} # no more",
                true,
            ),
            ("cpu#", true),
            ("sum", false),
            (r#"{on="",bool=""}"#, true),
            (r#"{"on"}"#, false),
            // Patterns are RE2's: digits are ASCII's, a bracket within a class is itself.
            (r#"cpu{host=~`a\d`}"#, true),
            (r#"cpu{host=~"[[a][&&1]"}"#, true),
            (r#"cpu{host=~`\Qa1`}"#, true),
            (r#"cpu{host=~`\141(?P<1>1)`}"#, true),
        ] {
            assert_eq!(takes(selector, &labels), taken, "{selector}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        for (selector, error) in [
            ("", "position 1: expected a metric's name or \"{\""),
            ("1cpu", "position 1: expected a metric's name or \"{\""),
            ("cpu mem", "position 5: expected the end"),
            ("cpu{", "position 5: expected a label's name or \"}\""),
            ("cpu{host}", "position 9: expected =, !=, =~ or !~"),
            ("cpu{host=}", "position 10: expected a string in quotes"),
            ("cpu{host=a}", "position 10: expected a string in quotes"),
            ("cpu{host=\"a}", "position 10: a string without its closing quote"),
            ("cpu{host=\"a\nb\"}", "position 10: a string without its closing quote"),
            ("cpu{host=\"a\" x=\"b\"}", "position 14: expected \",\" or \"}\""),
            ("cpu{,}", "position 5: expected a label's name or \"}\""),
            ("cpu{a:b=\"c\"}", "position 6: expected =, !=, =~ or !~"),
            ("cpu{host=\"\\q\"}", "position 11: an escape that is none"),
            ("cpu{host='\\\"'}", "position 11: an escape that is none"),
            ("cpu{host=\"\\xg0\"}", "position 11: an escape with a digit that is none"),
            ("cpu{host=\"\\777\"}", "position 11: an escape of no byte"),
            ("cpu{host=\"\\ud800\"}", "position 11: an escape of no character"),
            ("cpu{host=~\"a(\"}", "position 11: regular expression: unclosed group"),
            ("cpu{host=~\"a)|(b\"}", "position 11: regular expression: unopened group"),
            (
                "cpu{host=~\"(?x)a\"}",
                "position 11: regular expression: invalid or unsupported Perl syntax: `(?x`",
            ),
            ("cpu{# }", "position 8: expected a label's name or \"}\""),
            (" On{}", "position 2: a metric named like an operator stands in quotes: {\"On\"}"),
            ("inf", "position 1: a metric named like an operator stands in quotes: {\"inf\"}"),
        ] {
            assert_eq!(Selector::parse(selector).unwrap_err().to_string(), error, "{selector}");
        }
    }
}
