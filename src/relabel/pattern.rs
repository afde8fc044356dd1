//! Patterns in the syntax of RE2, matched as Prometheus does: against the whole text, `.` taking newlines too.
//!
//! The `regex` crate matches as RE2 does but reads some patterns otherwise; [`translate`] turns what RE2 means into
//! what the crate reads the same way:
//!
//! ```text
//! \d \s \w \b        ASCII only            -> [0-9] [\t\n\f\r ] [0-9A-Za-z_] (?-u:\b)
//! \Q...\E            the text itself       -> escaped
//! \123 \0            octal                 -> \x{53} \x{0}
//! \< \- \_ ...       punctuation itself    -> escaped
//! a{ {,3}            a brace itself        -> \{
//! [[a] [a&&b] [a--]  members of the class  -> escaped: the crate nests, intersects and subtracts classes
//! ```
//!
//! A value may be any bytes. Where it is no UTF-8 every byte that isn't part of a character stands for U+FFFD in the
//! match, as in Go, and the groups are cut from the value itself.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// An anchored pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    text: String,
}

/// A match: the groups of a value.
pub(super) struct Captures<'a> {
    value: &'a [u8],
    groups: Vec<Option<(usize, usize)>>,
}

/// How large a compiled pattern may get: Prometheus's largest in the field are lists of some thousand names.
const COMPILED_BYTES_MAX: usize = 16 << 20;

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Pattern, String> {
        let translated = translate(text)?;
        let regex = RegexBuilder::new(&format!("^(?s:{translated})$"))
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| reason(&error))?;
        Ok(Pattern { regex, text: text.to_owned() })
    }

    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        match std::str::from_utf8(value) {
            Ok(text) => self.regex.is_match(text),
            Err(_) => self.regex.is_match(&Lossy::new(value).text),
        }
    }

    pub(super) fn captures<'a>(&self, value: &'a [u8]) -> Option<Captures<'a>> {
        let groups = match std::str::from_utf8(value) {
            Ok(text) => {
                let found = self.regex.captures(text)?;
                found.iter().map(|group| group.map(|g| (g.start(), g.end()))).collect()
            }
            Err(_) => {
                let lossy = Lossy::new(value);
                let found = self.regex.captures(&lossy.text)?;
                let place = |at: usize| lossy.places[at];
                found.iter().map(|group| group.map(|g| (place(g.start()), place(g.end())))).collect()
            }
        };
        Some(Captures { value, groups })
    }

    /// The pattern as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many groups there are, the whole match included.
    pub(super) fn groups(&self) -> usize {
        self.regex.captures_len()
    }

    /// The number of the group of this name.
    pub(super) fn group_named(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|known| known == Some(name))
    }
}

/// Patterns are equal when they are spelled alike.
impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl<'a> Captures<'a> {
    /// What a group has matched; empty if nothing.
    pub(super) fn group(&self, number: usize) -> &'a [u8] {
        self.groups.get(number).copied().flatten().map_or(&[], |(start, end)| &self.value[start..end])
    }
}

/// Bytes as text, with U+FFFD for every byte that is no part of a character.
struct Lossy {
    text: String,
    /// Where each byte of the text, and its end, lies in the bytes.
    places: Vec<usize>,
}

impl Lossy {
    fn new(value: &[u8]) -> Lossy {
        let mut lossy = Lossy { text: String::new(), places: Vec::new() };
        let mut at = 0;
        for chunk in value.utf8_chunks() {
            lossy.text.push_str(chunk.valid());
            lossy.places.extend(at..at + chunk.valid().len());
            at += chunk.valid().len();
            for _ in chunk.invalid() {
                lossy.text.push(char::REPLACEMENT_CHARACTER);
                lossy.places.extend([at; char::REPLACEMENT_CHARACTER.len_utf8()]);
                at += 1;
            }
        }
        lossy.places.push(at);
        lossy
    }
}

/// The crate's explanation on one line: it ends with what is wrong.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "expression is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            last.trim().trim_start_matches("error: ").to_owned()
        }
    }
}

/// A pattern of RE2 in the crate's spelling.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        match c {
            '\\' if rest.starts_with("\\Q") => {
                let quoted = &rest[2..];
                let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                out.push_str(&regex::escape(text));
                rest = after;
            }
            '\\' => rest = escape(rest, &mut out, false)?,
            '[' => rest = class(rest, &mut out)?,
            '{' if !is_repetition(rest) => {
                out.push_str("\\{");
                rest = &rest[1..];
            }
            '(' if rest.starts_with("(?") => {
                flags(rest)?;
                out.push_str("(?");
                rest = &rest[2..];
            }
            c => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(out)
}

/// One escape, with its backslash; gives what follows it.
fn escape<'a>(text: &'a str, out: &mut String, in_class: bool) -> Result<&'a str, String> {
    let Some(c) = text[1..].chars().next() else {
        return Err("trailing backslash at end of expression".to_owned());
    };
    let rest = &text[1 + c.len_utf8()..];
    let perl = match c {
        'd' => Some(("0-9", false)),
        'D' => Some(("0-9", true)),
        's' => Some(("\\t\\n\\x0C\\r ", false)),
        'S' => Some(("\\t\\n\\x0C\\r ", true)),
        'w' => Some(("0-9A-Za-z_", false)),
        'W' => Some(("0-9A-Za-z_", true)),
        _ => None,
    };
    if let Some((members, negated)) = perl {
        match (in_class, negated) {
            (true, false) => out.push_str(members),
            (_, true) => _ = write!(out, "[^{members}]"),
            (false, false) => _ = write!(out, "[{members}]"),
        }
        return Ok(rest);
    }
    match c {
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("\\B"),
        'A' | 'z' if !in_class => _ = write!(out, "\\{c}"),
        'a' | 'f' | 'n' | 'r' | 't' | 'v' => _ = write!(out, "\\{c}"),
        // Properties and code points are spelled alike.
        'p' | 'P' | 'x' => {
            _ = write!(out, "\\{c}");
            if rest.starts_with('{') {
                let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                out.push_str(&rest[..end]);
                return Ok(&rest[end..]);
            }
        }
        '0'..='7' if c == '0' || rest.starts_with(|c: char| ('0'..='7').contains(&c)) => {
            let most = text.len().min(4);
            let digits = text.as_bytes()[1..most].iter().take_while(|b| (b'0'..=b'7').contains(b)).count();
            let code = u32::from_str_radix(&text[1..1 + digits], 8).unwrap_or_default();
            _ = write!(out, "\\x{{{code:X}}}");
            return Ok(&text[1 + digits..]);
        }
        c if c.is_ascii_punctuation() => literal(c, out),
        c => return Err(format!("invalid escape sequence: `\\{c}`")),
    }
    Ok(rest)
}

/// A character that stands for itself, wherever it stands.
fn literal(c: char, out: &mut String) {
    if c.is_ascii_punctuation() && c != '_' {
        // Not all punctuation may be escaped by a backslash: `\<` is the start of a word.
        _ = write!(out, "\\x{{{:X}}}", u32::from(c));
    } else {
        out.push(c);
    }
}

/// A class, with its brackets; gives what follows it.
fn class<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    out.push('[');
    let mut rest = &text[1..];
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    loop {
        let Some(c) = rest.chars().next() else { return Err("missing closing ]".to_owned()) };
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(&rest[1..]);
            }
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |at| at + 2);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            '\\' if rest.starts_with("\\Q") => return Err("invalid escape sequence: `\\Q`".to_owned()),
            _ => {
                rest = member(rest, out)?;
                // A range, unless the hyphen is the last member.
                if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
                    out.push('-');
                    rest = member(&rest[1..], out)?;
                }
            }
        }
        first = false;
    }
}

/// A member of a class, or an end of a range.
fn member<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    match text.chars().next() {
        Some('\\') => escape(text, out, true),
        Some(c) => {
            literal(c, out);
            Ok(&text[c.len_utf8()..])
        }
        None => Err("missing closing ]".to_owned()),
    }
}

/// Whether this is `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// Refuses flags that RE2 does not have.
fn flags(text: &str) -> Result<(), String> {
    let inside = &text[2..];
    let named = inside.starts_with("P<") || inside.starts_with('<');
    let end = inside.find([':', ')']).unwrap_or(inside.len());
    let known = |c| matches!(c, 'i' | 'm' | 's' | 'U' | '-');
    if named || inside[..end].chars().all(known) {
        return Ok(());
    }
    let shown: String = text.chars().take(3).collect();
    Err(format!("invalid or unsupported Perl syntax: `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_re2_means() {
        for (pattern, yes, no) in [
            (r"\d+", "12", "\u{661}"),
            (r"\w", "_", "\u{e9}"),
            (r"\W", "\u{e9}", "a"),
            (r"a\sb", "a b", "a\u{a0}b"),
            (r"[\w.]+", "a.b_1", "\u{e9}"),
            (r"[^\W\d]", "a", "1"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            (r"\Qa.b", "a.b", "axb"),
            (r"\101\60", "A0", "101"),
            (r"\x41\x{42}", "AB", "x41"),
            (r"a{2}b{,3}", "aab{,3}", "aabbb"),
            (r"a{x}", "a{x}", "a"),
            (r"[[a]+", "[a", "b"),
            (r"[a&&b]+", "a&b", "c"),
            (r"[+--]+", "+,-", "."),
            (r"[a-]+", "a-", "b"),
            (r"[]a]+", "]a", "b"),
            (r"[[:alpha:]_]+", "a_", "1"),
            (r"[^[:digit:]]", "a", "1"),
            (r"\<b\>", "<b>", "b"),
            (r"a\-b\_\/", "a-b_/", "ab"),
            (r"\pL\p{Greek}", "a\u{3b1}", "1\u{3b1}"),
            (r"(?i)abc", "ABC", "abd"),
            (r"(?P<x>a)(?<y>b)", "ab", "ba"),
            (r"a.b", "a\nb", "ab"),
            (r"\bfoo\b.*", "foo-", "food"),
            (r"a\B.*", "ab", "a-"),
            (r"^foo$", "foo", "foo\n"),
            (r"a|b", "b", "ab"),
            (r"a)|(b", "a", "c"),
            ("", "", "a"),
        ] {
            assert!(matches(pattern, yes), "{pattern} must match {yes:?}");
            assert!(!matches(pattern, no), "{pattern} must not match {no:?}");
        }
    }

    #[test]
    fn what_re2_has_not_is_refused() {
        for pattern in
            ["(", "a)", "[a", r"\C", r"\1", r"\8", r"a\", "(?x)a b", "(?=a)", "*", r"\Z", "[b-a]", r"\pX"]
        {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Pattern::new("(?x)a").unwrap_err(), "invalid or unsupported Perl syntax: `(?x`");
        assert!(!Pattern::new("(").unwrap_err().contains('\n'));
    }

    #[test]
    fn bytes_that_are_no_text_match_any_character_and_keep_their_bits() {
        let pattern = Pattern::new("a(.)(.*)z").unwrap();
        let found = pattern.captures(b"a\xff\xc3\xa9\xfe\xe2\x82z").unwrap();
        assert_eq!(found.group(1), b"\xff");
        assert_eq!(found.group(2), b"\xc3\xa9\xfe\xe2\x82");
        assert!(!pattern.is_match(b"a\xffy"));
    }
}
