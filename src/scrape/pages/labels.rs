//! Labels as text: what is typed or pasted to ask what rules make of them.
//!
//! ```text
//! labels = [ NAME ] [ "{" [ label { "," label } [ "," ] ] "}" ], and not empty; or a JSON object of strings
//! label  = ( NAME | STRING ) "=" STRING | STRING
//! STRING = "..." with the escapes of the text format
//! ```
//!
//! As in Prometheus's text format a string alone is the metric's name, and names that are not plain stand in quotes.
//! Whatever is neither of the two is refused, and so is a label that is given twice: which one was meant?

use std::fmt::{self, Display, Formatter};

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};

use crate::scrape::LabelPairs;

/// Why a text is no labels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelsTextError(String);

/// Labels by name, of `name{label="value",...}` or of `{"label": "value", ...}`.
///
/// # Errors
/// What is neither; a label that is given twice.
pub fn labels_of(text: &str) -> Result<LabelPairs, LabelsTextError> {
    let mut pairs = if is_json(text) { json_labels(text)? } else { Parser { text, at: 0 }.labels()? };
    pairs.sort();
    match pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(pairs),
        Some(pair) => Err(LabelsTextError(format!("the label {:?} is given twice", pair[0].0))),
    }
}

/// Whether a text can only be meant as JSON: an object whose first name has a colon behind it.
fn is_json(text: &str) -> bool {
    let mut parser = Parser { text, at: 0 };
    parser.take('{') && parser.starts_with('"') && parser.string().is_ok() && parser.starts_with(':')
}

fn json_labels(text: &str) -> Result<LabelPairs, LabelsTextError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let pairs = json.deserialize_map(Pairs).and_then(|pairs| json.end().map(|()| pairs));
    pairs.map_err(|why| LabelsTextError(why.to_string()))
}

/// Takes all that a JSON object has, what comes twice too.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = LabelPairs;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<LabelPairs, A::Error> {
        let mut pairs = LabelPairs::new();
        while let Some(pair) = object.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Reads what is not JSON.
struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn labels(&mut self) -> Result<LabelPairs, LabelsTextError> {
        let mut pairs = LabelPairs::new();
        let metric = self.name(|letter| letter == ':').map(str::to_owned);
        let is_named = metric.is_some();
        pairs.extend(metric.map(|metric| (METRIC_NAME.to_owned(), metric)));
        if self.take('{') {
            while !self.take('}') {
                pairs.push(self.label()?);
                if !self.take(',') && !self.starts_with('}') {
                    return Err(self.expected("\",\" or \"}\""));
                }
            }
        } else if !is_named {
            return Err(self.expected("a metric's name, \"{\", or a JSON object"));
        }
        self.skip_blanks();
        match self.rest() {
            "" => Ok(pairs),
            _ => Err(self.expected("the end")),
        }
    }

    fn label(&mut self) -> Result<(String, String), LabelsTextError> {
        let name = match self.name(|_| false) {
            Some(name) => name.to_owned(),
            None if self.starts_with('"') => {
                let at = self.at;
                let name = self.string()?;
                if name.is_empty() {
                    self.at = at;
                    return Err(self.expected("a name that is not empty"));
                }
                if self.starts_with(',') || self.starts_with('}') {
                    return Ok((METRIC_NAME.to_owned(), name));
                }
                name
            }
            None => return Err(self.expected("a label's name or \"}\"")),
        };
        if !self.take('=') {
            return Err(self.expected("\"=\""));
        }
        if !self.starts_with('"') {
            return Err(self.expected("a value in double quotes"));
        }
        Ok((name, self.string()?))
    }

    /// A name of plain letters, if one comes next.
    fn name(&mut self, also: impl Fn(char) -> bool) -> Option<&'t str> {
        self.skip_blanks();
        let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || also(letter);
        let rest = self.rest();
        let other = |letter: char| !is_letter(letter) && !letter.is_ascii_digit();
        let len = rest.find(other).unwrap_or(rest.len());
        let is_name = rest.starts_with(is_letter);
        self.at += if is_name { len } else { 0 };
        is_name.then(|| &rest[..len])
    }

    /// A text in quotes; the opening one comes next.
    fn string(&mut self) -> Result<String, LabelsTextError> {
        let mut value = String::new();
        let rest = &self.rest()[1..];
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += 1 + at + 1;
                    return Ok(value);
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some('n') => value.push('\n'),
                    Some(escaped @ ('"' | '\\')) => value.push(escaped),
                    // As in the text format: it is no escape, then.
                    Some(other) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err(self.expected("a closing quote for the one here"))
    }

    fn take(&mut self, letter: char) -> bool {
        let is_next = self.starts_with(letter);
        self.at += if is_next { letter.len_utf8() } else { 0 };
        is_next
    }

    /// Whether this comes next, blanks aside.
    fn starts_with(&mut self, letter: char) -> bool {
        self.skip_blanks();
        self.rest().starts_with(letter)
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn expected(&mut self, what: &str) -> LabelsTextError {
        self.skip_blanks();
        let column = self.text[..self.at].chars().count() + 1;
        LabelsTextError(format!("column {column}: expected {what}"))
    }
}

impl Display for LabelsTextError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LabelsTextError {}

const METRIC_NAME: &str = "__name__";

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> LabelPairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_are_read_in_both_spellings() {
        let wanted = pairs(&[("__name__", "up"), ("a", "x\"y\\\n"), ("b", "")]);
        for text in [
            r#"up{a="x\"y\\\n", b=""}"#,
            r#" up { b = "" , a="x\"y\\\n", } "#,
            r#"{"up", "a"="x\"y\\\n", b=""}"#,
            r#" { "__name__" : "up","a":"x\"y\\\n","b":""} "#,
        ] {
            assert_eq!(labels_of(text).as_ref(), Ok(&wanted), "{text}");
        }
        for (text, wanted) in [
            ("up", &[("__name__", "up")][..]),
            ("a:b{}", &[("__name__", "a:b")]),
            ("{}", &[]),
            (r#"{"my.name", a="b"}"#, &[("__name__", "my.name"), ("a", "b")]),
            (r#"{"my.name"}"#, &[("__name__", "my.name")]),
            (r#"{"my.label"="ü{},"}"#, &[("my.label", "ü{},")]),
            (r#"{a="\d"}"#, &[("a", r"\d")]),
            (r#"{"ü":"\u00fc"}"#, &[("ü", "ü")]),
        ] {
            assert_eq!(labels_of(text), Ok(pairs(wanted)), "{text}");
        }
    }

    #[test]
    fn what_is_no_labels_is_refused_and_never_read_as_others() {
        for (text, why) in [
            ("", "column 1: expected a metric's name, \"{\", or a JSON object"),
            ("''", "column 1: expected a metric's name, \"{\", or a JSON object"),
            ("[1]", "column 1: expected a metric's name, \"{\", or a JSON object"),
            ("my.name", "column 3: expected the end"),
            ("a=b", "column 2: expected the end"),
            ("x y", "column 3: expected the end"),
            ("up{} 1", "column 6: expected the end"),
            ("up{", "column 4: expected a label's name or \"}\""),
            ("{,}", "column 2: expected a label's name or \"}\""),
            ("{1=\"x\"}", "column 2: expected a label's name or \"}\""),
            ("up{a}", "column 5: expected \"=\""),
            ("{a!=\"b\"}", "column 3: expected \"=\""),
            ("{a=~\"b\"}", "column 4: expected a value in double quotes"),
            ("{a=b}", "column 4: expected a value in double quotes"),
            ("{a='b'}", "column 4: expected a value in double quotes"),
            ("{ü=\"b\"}", "column 2: expected a label's name or \"}\""),
            ("{a=\"ü\" b=\"c\"}", "column 8: expected \",\" or \"}\""),
            ("{a=\"b}", "column 4: expected a closing quote for the one here"),
            ("{a=\"b\\\"}", "column 4: expected a closing quote for the one here"),
            ("{\"\"=\"b\"}", "column 2: expected a name that is not empty"),
            ("{a=\"1\",a=\"2\"}", "the label \"a\" is given twice"),
            ("up{\"down\"}", "the label \"__name__\" is given twice"),
            (r#"{"a":"b","a":"c"}"#, "the label \"a\" is given twice"),
            (r#"{"a":1}"#, "invalid type: integer `1`, expected a string at line 1 column 6"),
            (r#"{"a":"b""#, "EOF while parsing an object at line 1 column 8"),
            (r#"{"a":"b"} x"#, "trailing characters at line 1 column 11"),
        ] {
            assert_eq!(labels_of(text).map_err(|error| error.to_string()), Err(why.to_owned()), "{text}");
        }
    }
}
