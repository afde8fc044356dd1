//! Escapes: where a name ends, and what it spells.

use super::Dialect;

/// The places of a name, which differ in what a backslash escapes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NamePlace {
    Measurement,
    /// Tag keys and tag values.
    Tag,
    FieldKey,
}

/// Where the name at `from` ends: at the first byte that `stops` and is not escaped, or at the text's end.
///
/// The byte at `from` is never escaped. `pairs`: whether a backslash takes the next byte with it, whatever that is,
/// a backslash too; else it escapes only a delimiter, and the second of two backslashes does so as well.
#[inline]
pub(super) fn name_end(pairs: bool, text: &[u8], from: usize, stops: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while let Some(&byte) = text.get(at) {
        if stops(byte) {
            return at;
        }
        at += 1;
        if byte == b'\\' {
            match text.get(at) {
                Some(&next) if pairs || stops(next) && is_delimiter(next) => at += 1,
                _ => {}
            }
        }
    }
    text.len()
}

/// Whether a single backslash in front of this byte makes it part of a name.
fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b',' | b'=' | b' ')
}

/// What a name spells: itself, or `scratch` filled with it unescaped.
#[inline]
pub(super) fn unescape_name<'a>(
    dialect: Dialect,
    place: NamePlace,
    raw: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> &'a [u8] {
    if !raw.contains(&b'\\') {
        return raw;
    }
    scratch.clear();
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let escape = match tail.first() {
            _ if *byte != b'\\' => None,
            Some(next @ (b',' | b' ')) => Some(*next),
            Some(b'=') if place != NamePlace::Measurement => Some(b'='),
            Some(b'"') if place == NamePlace::FieldKey && dialect == Dialect::V1 => Some(b'"'),
            Some(b'\\') if dialect.escapes_backslash() => Some(b'\\'),
            _ => None,
        };
        match escape {
            Some(spelled) => {
                scratch.push(spelled);
                rest = &tail[1..];
            }
            None => {
                scratch.push(*byte);
                if *byte == b'\\' && dialect.escapes_backslash() && !tail.is_empty() {
                    // An unknown escape stands for itself, and its second byte escapes nothing.
                    scratch.push(tail[0]);
                    rest = &tail[1..];
                }
            }
        }
    }
    scratch
}

/// Appends what the inside of a quoted string spells.
pub(super) fn unescape_string(dialect: Dialect, raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let spelled = match rest.get(at + 1) {
            Some(next @ (b'"' | b'\\')) => Some(*next),
            Some(b'n') if dialect == Dialect::V2 => Some(b'\n'),
            Some(b'r') if dialect == Dialect::V2 => Some(b'\r'),
            Some(b't') if dialect == Dialect::V2 => Some(b'\t'),
            _ => None,
        };
        out.push(spelled.unwrap_or(b'\\'));
        rest = &rest[at + 1 + usize::from(spelled.is_some())..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(dialect: Dialect, place: NamePlace, raw: &str) -> String {
        String::from_utf8(unescape_name(dialect, place, raw.as_bytes(), &mut Vec::new()).to_vec()).unwrap()
    }

    fn string(dialect: Dialect, raw: &str) -> String {
        let mut out = Vec::new();
        unescape_string(dialect, raw.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_by_dialect() {
        use NamePlace::{Measurement, Tag};
        assert_eq!(name(Dialect::V1, Measurement, r"a\,b\ c\=d\\e\x"), r"a,b c\=d\\e\x");
        assert_eq!(name(Dialect::V1, Tag, r"\\,\,\=east"), r"\,,=east");
        assert_eq!(name(Dialect::V2, Tag, r"two\\\ words"), r"two\\ words");
        assert_eq!(name(Dialect::V3, Tag, r"\\wea\\ther\=\ \x\\"), r"\wea\ther= \x\");
        assert_eq!(name(Dialect::V3, Measurement, r"a\=b"), r"a\=b");
    }

    #[test]
    fn an_escaped_quote_in_a_field_key_is_a_quote_in_v1_alone() {
        let raw = r#"a\"b\\"c"#;
        assert_eq!(name(Dialect::V1, NamePlace::FieldKey, raw), r#"a"b\"c"#);
        for (dialect, place) in [
            (Dialect::V1, NamePlace::Measurement),
            (Dialect::V1, NamePlace::Tag),
            (Dialect::V2, NamePlace::FieldKey),
        ] {
            assert_eq!(name(dialect, place, raw), raw);
        }
    }

    #[test]
    fn strings_by_dialect() {
        assert_eq!(string(Dialect::V1, r#"a\"b\\c\nd\"#), "a\"b\\c\\nd\\");
        assert_eq!(string(Dialect::V2, r#"a\"b\\c\nd\t\x"#), "a\"b\\c\nd\t\\x");
        assert_eq!(string(Dialect::V3, r"too hot\\\\\cold"), r"too hot\\\cold");
    }

    #[test]
    fn a_second_backslash_escapes_only_where_the_first_does_not() {
        let end = |pairs, text: &str| name_end(pairs, text.as_bytes(), 0, |b| matches!(b, b',' | b' '));
        assert_eq!(end(false, r"a\\,b,"), 5);
        assert_eq!(end(true, r"a\\,b,"), 3);
        assert_eq!(end(false, r"a\,b c"), 4);
        assert_eq!(end(true, r"a\"), 2);
    }
}
