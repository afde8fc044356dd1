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
//! \p{^Greek}          all but these         -> \P{Greek}
//! (?P<1st>a)         any word is a name    -> (a), its name kept here: names may come twice, too
//! ```
//!
//! What the crate reads and RE2 refuses is refused: stacked repetitions (`a**`), more than 1,000 of them, classes
//! without a meaning (`[[:foo:]]`).
//!
//! A value may be any bytes. Where it is no UTF-8 every byte that isn't part of a character stands for U+FFFD in the
//! match, as in Go, and the groups are cut from the value itself.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// An anchored pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    text: String,
    names: Vec<(String, usize)>,
}

/// A match: the groups of a value.
pub(super) struct Captures<'a> {
    value: &'a [u8],
    groups: Vec<Option<(usize, usize)>>,
}

/// How large a compiled pattern may get: Prometheus's largest in the field are lists of some thousand names.
const COMPILED_BYTES_MAX: usize = 16 << 20;

/// How often something may be repeated by count.
const REPETITIONS_MAX: u64 = 1_000;

/// Classes that have a name.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

impl Pattern {
    /// A pattern of a rule: what is put between the parentheses of the anchored one, and may close and open them.
    pub(super) fn new(text: &str) -> Result<Pattern, String> {
        let (translated, names) = translate(text)?;
        let regex = compile(&format!("^(?s:{translated})$"))?;
        Ok(Pattern { regex, text: text.to_owned(), names })
    }

    /// A pattern that is one by itself, too, as those of selectors must be.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub(crate) fn alone(text: &str) -> Result<Pattern, String> {
        compile(&translate(text)?.0).and_then(|_| Pattern::new(text))
    }

    /// Whether all of the value is what the pattern says.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
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

    /// The numbers of the groups of this name.
    pub(super) fn groups_named(&self, name: &str) -> impl Iterator<Item = usize> {
        self.names.iter().filter(move |(known, _)| known == name).map(|&(_, number)| number)
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
    /// What the first of these groups that took part in the match has matched; empty if none did.
    pub(super) fn first(&self, numbers: &[usize]) -> &'a [u8] {
        let mut taken = numbers.iter().filter_map(|&number| self.groups.get(number).copied().flatten());
        taken.next().map_or(&[], |(start, end)| &self.value[start..end])
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

fn compile(translated: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(translated).size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| reason(&error))
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

/// A pattern of RE2 in the crate's spelling, and the names of its groups with their numbers.
fn translate(pattern: &str) -> Result<(String, Vec<(String, usize)>), String> {
    let mut out = String::with_capacity(pattern.len());
    let mut names = Vec::new();
    let mut groups = 0;
    let mut rest = pattern;
    let mut repeated = None;
    while let Some(c) = rest.chars().next() {
        let before = repeated.take();
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
            '*' | '+' | '?' | '{' => {
                let after = repetition(rest)?;
                if let Some(before) = before {
                    let stack = &pattern[before..pattern.len() - after.len()];
                    return Err(format!("invalid nested repetition operator: `{stack}`"));
                }
                repeated = Some(pattern.len() - rest.len());
                out.push_str(&rest[..rest.len() - after.len()]);
                rest = after;
            }
            '(' if rest.starts_with("(?P<") || rest.starts_with("(?<") => {
                let (name, after) = group_name(rest)?;
                groups += 1;
                names.push((name.to_owned(), groups));
                out.push('(');
                rest = after;
            }
            '(' if rest.starts_with("(?") => rest = flags(rest, &mut out)?,
            c => {
                groups += usize::from(c == '(');
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok((out, names))
}

/// What follows the repetition that starts `text`, and the `?` that makes it lazy.
fn repetition(text: &str) -> Result<&str, String> {
    let after = match text.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
        Some((inside, after)) => {
            let in_bounds = |n: &str| !n.is_empty() && n.parse().is_ok_and(|n: u64| n <= REPETITIONS_MAX);
            if !inside.split(',').all(|n| n.is_empty() || in_bounds(n)) {
                return Err(format!("invalid repeat count: `{{{inside}}}`"));
            }
            after
        }
        None => &text[1..],
    };
    Ok(after.strip_prefix('?').unwrap_or(after))
}

/// The name of the group that starts `text`, and what follows it.
fn group_name(text: &str) -> Result<(&str, &str), String> {
    let inside = text.trim_start_matches(['(', '?', 'P']).strip_prefix('<').unwrap_or_default();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match inside.split_once('>') {
        Some((name, after)) if !name.is_empty() && name.chars().all(word) => Ok((name, after)),
        named => {
            let shown = text.len() - named.map_or(0, |(_, after)| after.len());
            Err(format!("invalid named capture: `{}`", &text[..shown]))
        }
    }
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
        'p' | 'P' if rest.starts_with("{^") => {
            let end = rest.find('}').map_or(rest.len(), |at| at + 1);
            _ = write!(out, "\\{}{{{}", if c == 'p' { 'P' } else { 'p' }, &rest[2..end]);
            return Ok(&rest[end..]);
        }
        // Properties and code points are spelled alike.
        'p' | 'P' | 'x' => {
            _ = write!(out, "\\{c}");
            if rest.starts_with('{') {
                let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                out.push_str(&rest[..end]);
                return Ok(&rest[end..]);
            }
            // A property of one letter. The digits of a code point are read as what they are.
            if c != 'x'
                && let Some(letter) = rest.chars().next()
            {
                out.push(letter);
                return Ok(&rest[letter.len_utf8()..]);
            }
        }
        '0'..='7' if c == '0' || rest.starts_with(|c: char| ('0'..='7').contains(&c)) => {
            let most = text.len().min(4);
            let digits = text.as_bytes()[1..most].iter().take_while(|b| (b'0'..=b'7').contains(b)).count();
            let code = u32::from_str_radix(&text[1..1 + digits], 8).unwrap_or_default();
            _ = write!(out, "\\x{{{code:X}}}");
            return Ok(&text[1 + digits..]);
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => literal(c, out),
        c => return Err(format!("invalid escape sequence: `\\{c}`")),
    }
    Ok(rest)
}

/// A character that stands for itself, wherever it stands.
fn literal(c: char, out: &mut String) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' {
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
            '[' if named_class(rest).is_some() => {
                let (name, after) = named_class(rest).unwrap_or_default();
                let class = &rest[..rest.len() - after.len()];
                if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("invalid character class range: `{class}`"));
                }
                out.push_str(class);
                rest = after;
            }
            // No range begins with a class: a hyphen behind it is itself.
            '\\' if is_class(rest) => rest = escape(rest, out, true)?,
            '\\' if rest.starts_with("\\Q") => return Err("invalid escape sequence: `\\Q`".to_owned()),
            _ => {
                rest = member(rest, out)?;
                // A range, unless the hyphen is the last member.
                if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
                    out.push('-');
                    if is_class(&rest[1..]) {
                        return Err(format!("invalid escape sequence: `{}`", &rest[1..3]));
                    }
                    rest = member(&rest[1..], out)?;
                }
            }
        }
        first = false;
    }
}

/// The name between `[:` and `:]` that start `text`, and what follows them.
fn named_class(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("[:")?.split_once(":]")
}

/// Whether an escape that is a class, `\d` or `\p{Greek}`, starts `text`.
fn is_class(text: &str) -> bool {
    matches!(text.as_bytes(), [b'\\', b'd' | b'D' | b's' | b'S' | b'w' | b'W' | b'p' | b'P', ..])
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

/// Flags that start `text`, with the parenthesis before and the sign behind them; gives what follows. In RE2 one may be
/// there twice, and the last counts.
fn flags<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    let inside = &text[2..];
    let end = inside.find([':', ')']).unwrap_or(inside.len());
    let (on, off) = inside[..end].split_once('-').unwrap_or((&inside[..end], ""));
    let is_known = |c| matches!(c, 'i' | 'm' | 's' | 'U');
    let says_nothing = inside[..end].ends_with('-');
    if says_nothing || end == inside.len() || !on.chars().chain(off.chars()).all(is_known) {
        let shown: String = text.chars().take(3).collect();
        return Err(format!("invalid or unsupported Perl syntax: `{shown}`"));
    }
    if end == 0 && inside.starts_with(')') {
        return Ok(&inside[1..]);
    }
    let is_off = |c: &char| off.contains(*c);
    out.push_str("(?");
    out.extend(FLAGS.iter().filter(|c| on.contains(**c) && !is_off(c)));
    if !off.is_empty() {
        out.push('-');
        out.extend(FLAGS.iter().filter(|c| is_off(c)));
    }
    out.push_str(&inside[end..=end]);
    Ok(&inside[end + 1..])
}

/// What may be said of a group: that case is the same, that lines have beginnings and ends, that a dot takes newlines,
/// that a repetition is lazy.
const FLAGS: [char; 4] = ['i', 'm', 's', 'U'];

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
            (r"[[:]+", "[:", "a"),
            (r"[\w-z]+", "a-Z_", "`"),
            (r"[\s-a]+", " -a", "0"),
            (r"[\w-.]+", "a-.", "/"),
            (r"[\pL-z]+", "a-Z", "{"),
            (r"[\p{Greek}-z]+", "\u{3b1}-z", "y"),
            (r"[\x41-\x43]+", "ABC", "D"),
            (r"[\d-]+", "1-", "a"),
            (r"[^[:digit:]]", "a", "1"),
            (r"\<b\>", "<b>", "b"),
            (r"a\ b[\ c]", "a b ", "ab"),
            ("a\\\tb", "a\tb", "ab"),
            ("(?ii)a(?sms:.)", "A\n", "b"),
            ("(?)a(?)", "a", "b"),
            ("(?i-i)a(?s-is:b)", "ab", "AB"),
            (r"a\-b\_\/", "a-b_/", "ab"),
            (r"\pL\p{Greek}", "a\u{3b1}", "1\u{3b1}"),
            (r"(?i)abc", "ABC", "abd"),
            (r"(?P<x>a)(?<y>b)", "ab", "ba"),
            (r"(?P<1>a)(?P<1>b)", "ab", "ba"),
            (r"\p{^Greek}[\P{^Lu}]", "aA", "\u{3b1}A"),
            (r"a{2,1000}?b??", "aa", "a"),
            (r"(?:a*)*[[:^word:]]", "aa-", "aa"),
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
        for pattern in [
            "(",
            "a)",
            "[a",
            r"\C",
            r"\1",
            r"\8",
            r"a\",
            "(?x)a b",
            "(?-)a",
            "(?i-)a",
            "(?--i)a",
            "(?i",
            "(?=a)",
            "*",
            r"\Z",
            "[b-a]",
            r"\pX",
            "a**",
            "a*+",
            "a+*",
            "a{2}{3}",
            "a???",
            "a{1001}",
            "a{2,1001}",
            "a{2,1}",
            "[[:foo:]]",
            "[[:Alpha:]]",
            "(?P<a-b>x)",
            "(?<>x)",
            "(?P<a",
            "(?P=a)",
            r"[a-\d]",
            r"[[:a]+[b:]",
            r"[a-\pL]",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Pattern::new("xa*?+b").unwrap_err(), "invalid nested repetition operator: `*?+`");
        assert_eq!(Pattern::new("(?x)a").unwrap_err(), "invalid or unsupported Perl syntax: `(?x`");
        assert!(!Pattern::new("(").unwrap_err().contains('\n'));
    }

    #[test]
    fn bytes_that_are_no_text_match_any_character_and_keep_their_bits() {
        let pattern = Pattern::new("a(.)(.*)z").unwrap();
        let found = pattern.captures(b"a\xff\xc3\xa9\xfe\xe2\x82z").unwrap();
        assert_eq!(found.first(&[1]), b"\xff");
        assert_eq!(found.first(&[2]), b"\xc3\xa9\xfe\xe2\x82");
        assert!(!pattern.is_match(b"a\xffy"));
    }
}
