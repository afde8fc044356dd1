//! Query strings and percent-encoding.

use std::borrow::Cow;
use std::fmt;

/// How many pairs a query may hold. The widest request of ours has 6.
pub const QUERY_PAIRS_MAX: usize = 64;

/// The pairs of a query string (or of a form body), decoded as they are asked for: `a=1&b=x%20y+z`. A pair without
/// `=` has an empty value; empty pairs are skipped. Nothing is allocated for pairs that need no decoding.
///
/// ```
/// use tidegate::http::Query;
///
/// let pairs: Result<Vec<_>, _> = Query::new("db=my+db&precision=ms").collect();
/// assert_eq!(pairs?, [("db".into(), "my db".into()), ("precision".into(), "ms".into())]);
/// # Ok::<(), tidegate::http::QueryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Query<'a> {
    rest: &'a str,
    pairs_left: usize,
}

/// A query that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryError {
    /// `%` without two hexadecimal digits.
    Escape,
    /// Decoded bytes that are not UTF-8.
    Utf8,
    /// More than [`QUERY_PAIRS_MAX`] pairs.
    TooManyPairs,
}

impl<'a> Query<'a> {
    /// Reads `text`, the part of a target after `?`.
    pub fn new(text: &'a str) -> Query<'a> {
        Query { rest: text, pairs_left: QUERY_PAIRS_MAX }
    }

    /// The first value of `name`, `None` if it is not given.
    ///
    /// # Errors
    ///
    /// A pair up to it could not be read.
    pub fn first(&self, name: &str) -> Result<Option<Cow<'a, str>>, QueryError> {
        for pair in self.clone() {
            let (key, value) = pair?;
            if key == name {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Query<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (pair, rest) = self.rest.split_once('&').unwrap_or((self.rest, ""));
            self.rest = rest;
            if pair.is_empty() {
                continue;
            }
            if self.pairs_left == 0 {
                self.rest = "";
                return Some(Err(QueryError::TooManyPairs));
            }
            self.pairs_left -= 1;
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            return Some(decode(key, true).and_then(|key| Ok((key, decode(value, true)?))));
        }
        None
    }
}

/// Decodes one segment of a path: as in a query, but `+` is a plus.
///
/// # Errors
///
/// The text is not percent-encoded UTF-8.
pub fn decode_segment(text: &str) -> Result<Cow<'_, str>, QueryError> {
    decode(text, false)
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, QueryError> {
    let special = |b: u8| b == b'%' || (b == b'+' && plus_is_space);
    let Some(plain) = text.bytes().position(special) else { return Ok(Cow::Borrowed(text)) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text.as_bytes()[..plain]);
    let mut rest = text.as_bytes()[plain..].iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => match (hex_digit(rest.next()), hex_digit(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(QueryError::Escape),
            },
            other => other,
        });
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| QueryError::Utf8)
}

fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueryError::Escape => "invalid percent-encoding in the URL",
            QueryError::Utf8 => "the URL is not UTF-8",
            QueryError::TooManyPairs => "too many parameters in the URL",
        })
    }
}

impl std::error::Error for QueryError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, QueryError> {
        Query::new(text).map(|p| p.map(|(k, v)| (k.into_owned(), v.into_owned()))).collect()
    }

    #[test]
    fn reads_what_clients_send() {
        let expect = |list: &[(&str, &str)]| -> Result<Vec<(String, String)>, QueryError> {
            Ok(list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        assert_eq!(pairs("db=mydb&precision=ms"), expect(&[("db", "mydb"), ("precision", "ms")]));
        assert_eq!(pairs("a=1+2%2B3&&b&=c"), expect(&[("a", "1 2+3"), ("b", ""), ("", "c")]));
        assert_eq!(pairs("a=b=c&p=%C3%A4"), expect(&[("a", "b=c"), ("p", "ä")]));
        assert_eq!(pairs(""), expect(&[]));
        assert_eq!(pairs("a=%4"), Err(QueryError::Escape));
        assert_eq!(pairs("a=%zz"), Err(QueryError::Escape));
        assert_eq!(pairs("a=%ff"), Err(QueryError::Utf8));
        assert_eq!(pairs(&"a=1&".repeat(QUERY_PAIRS_MAX + 1)), Err(QueryError::TooManyPairs));
        assert_eq!(decode_segment("a+b%2Fc"), Ok("a+b/c".into()));
        assert_eq!(Query::new("a=1&b=2&b=3").first("b"), Ok(Some("2".into())));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(list in proptest::collection::vec((".{0,8}", ".{0,8}"), 0..6)) {
            let escape = |s: &str| s.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
            let text: Vec<String> = list.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
            prop_assert_eq!(pairs(&text.join("&")), Ok(list));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[%&=+a-f0-9é]{0,300}") {
            let _ = pairs(&text);
            let _ = decode_segment(&text);
        }
    }
}
