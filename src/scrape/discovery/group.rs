//! Groups as files and servers write them: a list of `targets` and `labels`, in JSON or YAML.
//!
//! What is taken is what Go's parsers take, since the files were written for Prometheus: null for an empty text; in
//! JSON keys in any case, the last of equal ones, and U+FFFD for what is no Unicode; of several YAML documents the
//! first.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::UserMessageFormatter;

use crate::scrape::{Group, LabelPairs};

/// Why a text is no list of groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupError {
    /// It is no JSON or YAML of that form.
    Form(String),
    /// A group in it is null.
    Null,
    /// A label has no name.
    Name,
}

/// A group as it is written; its keys in any case, or only as they are.
#[derive(Default)]
struct Written<const ANY_CASE: bool> {
    targets: Texts,
    labels: LabelTexts,
}

/// Null is an empty text.
type Texts = Option<Vec<Option<String>>>;
type LabelTexts = Option<BTreeMap<String, Option<String>>>;

impl<'de, const ANY_CASE: bool> Deserialize<'de> for Written<ANY_CASE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WrittenVisitor::<ANY_CASE>)
    }
}

struct WrittenVisitor<const ANY_CASE: bool>;

impl<'de, const ANY_CASE: bool> Visitor<'de> for WrittenVisitor<ANY_CASE> {
    type Value = Written<ANY_CASE>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a group with targets and labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut written = Written::default();
        while let Some(key) = map.next_key::<String>()? {
            let is = |name: &str| key == name || ANY_CASE && key.eq_ignore_ascii_case(name);
            if is("targets") {
                written.targets = map.next_value()?;
            } else if is("labels") {
                written.labels = map.next_value()?;
            } else {
                return Err(A::Error::custom(format_args!("a group has targets and labels, no {key:?}")));
            }
        }
        Ok(written)
    }
}

/// Reads groups from JSON. Each gets `origin` and its number as its source, and a label that names the origin.
///
/// # Errors
/// What is no list of groups.
pub fn groups_from_json(text: &[u8], origin: &str, origin_label: &str) -> Result<Vec<Group>, GroupError> {
    let mut text = unicode(text);
    replace_lone_surrogates(&mut text);
    let list: Option<Vec<Option<Written<true>>>> =
        serde_json::from_slice(&text).map_err(|e| GroupError::Form(e.to_string()))?;
    groups(list, origin, origin_label)
}

/// Reads groups from YAML, as [`groups_from_json`] does from JSON.
///
/// # Errors
/// What is no list of groups.
pub fn groups_from_yaml(text: &[u8], origin: &str, origin_label: &str) -> Result<Vec<Group>, GroupError> {
    let text = str::from_utf8(text).map_err(|_| GroupError::Form("it is no UTF-8".to_owned()))?;
    let list: Option<Vec<Option<Written<false>>>> = serde_saphyr::from_str(first_document(text))
        .map_err(|e| GroupError::Form(first_line(&e.render_with_formatter(&UserMessageFormatter))))?;
    groups(list, origin, origin_label)
}

fn groups<const ANY_CASE: bool>(
    list: Option<Vec<Option<Written<ANY_CASE>>>>,
    origin: &str,
    origin_label: &str,
) -> Result<Vec<Group>, GroupError> {
    let list = list.unwrap_or_default();
    list.into_iter().enumerate().map(|(n, written)| group(written, n, origin, origin_label)).collect()
}

fn group<const ANY_CASE: bool>(
    written: Option<Written<ANY_CASE>>,
    number: usize,
    origin: &str,
    origin_label: &str,
) -> Result<Group, GroupError> {
    let Written { targets, labels } = written.ok_or(GroupError::Null)?;
    let mut labels = labels.unwrap_or_default();
    if labels.contains_key("") {
        return Err(GroupError::Name);
    }
    labels.insert(origin_label.to_owned(), Some(origin.to_owned()));
    let address = |target: Option<String>| -> LabelPairs {
        vec![("__address__".to_owned(), target.unwrap_or_default())]
    };
    Ok(Group {
        source: format!("{origin}:{number}"),
        targets: targets.unwrap_or_default().into_iter().map(address).collect(),
        labels: labels.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
    })
}

/// A text with U+FFFD in place of each byte that is of no character.
fn unicode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        chunk.invalid().iter().for_each(|_| out.extend_from_slice("\u{fffd}".as_bytes()));
    }
    out
}

/// Makes U+FFFD of each escape that is half of a pair without the other.
fn replace_lone_surrogates(json: &mut [u8]) {
    let mut at = 0;
    // Backslashes stand in strings only; elsewhere the text is no JSON anyway.
    while let Some(next) = memchr::memchr(b'\\', &json[at..]) {
        at += next;
        at += match (escaped_unit(&json[at..]), json.get(at + 6..).and_then(escaped_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                json[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            // The character behind a backslash begins no escape.
            _ => 2.min(json.len() - at),
        };
    }
}

/// The unit of UTF-16 that `\uXXXX` at the start of `json` stands for.
fn escaped_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    let sound = digits.iter().all(u8::is_ascii_hexdigit);
    u16::from_str_radix(str::from_utf8(digits).ok().filter(|_| sound)?, 16).ok()
}

/// The first document of a YAML text: to the marker that ends it, or begins the second. A marker is one wherever it
/// begins a line, within quotes and blocks, too (YAML 1.2, 9.1.2).
fn first_document(text: &str) -> &str {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is = |marker: &str| {
            let rest = line.strip_prefix(marker);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if begun && (is("---") || is("...")) {
            return &text[..at];
        }
        let is_prologue =
            line.trim().is_empty() || line.starts_with('%') || line.trim_start().starts_with('#');
        begun |= !is_prologue;
        at += line.len();
    }
    text
}

/// The parser's message without the piece of text that it draws.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

impl Display for GroupError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::Form(why) => f.write_str(why),
            GroupError::Null => f.write_str("nil target group item found"),
            GroupError::Name => f.write_str("\"\" is not a valid label name"),
        }
    }
}

impl std::error::Error for GroupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_from_both_spellings() {
        let json = r#"[{"targets": ["a:1", "b:2"], "labels": {"x": "y"}}, {"targets": []}]"#;
        let yaml = "- targets: ['a:1', 'b:2']\n  labels:\n    x: y\n- targets: []\n";
        let groups = groups_from_json(json.as_bytes(), "f", "__meta_filepath").unwrap();
        assert_eq!(groups, groups_from_yaml(yaml.as_bytes(), "f", "__meta_filepath").unwrap());
        let address = |a: &str| vec![("__address__".to_owned(), a.to_owned())];
        assert_eq!(groups[0].targets, [address("a:1"), address("b:2")]);
        assert_eq!(groups[0].source, "f:0");
        let labels = [("__meta_filepath", "f"), ("x", "y")];
        assert_eq!(groups[0].labels, labels.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!((groups[1].source.as_str(), groups[1].targets.len()), ("f:1", 0));
        for empty in ["", "null", "[]"] {
            assert_eq!(groups_from_yaml(empty.as_bytes(), "f", "l"), Ok(Vec::new()), "{empty:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused_whole() {
        for text in ["[null]", "[{\"targets\": [\"a\"]}, null]"] {
            assert_eq!(groups_from_json(text.as_bytes(), "f", "l"), Err(GroupError::Null));
            assert_eq!(groups_from_yaml(text.as_bytes(), "f", "l"), Err(GroupError::Null));
        }
        for text in
            ["{}", "[{\"target\": [\"a\"]}]", "[{\"targets\": \"a\"}]", "[{\"labels\": {\"a\": [1]}}]", "["]
        {
            assert!(
                matches!(groups_from_json(text.as_bytes(), "f", "l"), Err(GroupError::Form(_))),
                "{text}"
            );
            assert!(
                matches!(groups_from_yaml(text.as_bytes(), "f", "l"), Err(GroupError::Form(_))),
                "{text}"
            );
        }
        assert_eq!(groups_from_json(br#"[{"labels": {"": "a"}}]"#, "f", "l"), Err(GroupError::Name));
        assert!(groups_from_json(b"", "f", "l").is_err());
        assert!(groups_from_yaml(b"- targets: [a]\n  targets: [b]\n", "f", "l").is_err(), "a key twice");
    }
    /// What Prometheus 3.16 reads: addresses and labels of each group, as `a,b|x=y`; an error is `-`.
    fn read(groups: Result<Vec<Group>, GroupError>) -> String {
        let Ok(groups) = groups else { return "-".to_owned() };
        let spoken = |group: &Group| {
            let targets: Vec<_> = group.targets.iter().map(|target| target[0].1.clone()).collect();
            let labels = group.labels.iter().filter(|(name, _)| name != "origin");
            let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}|{}", targets.join(","), labels.join(","))
        };
        groups.iter().map(spoken).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn json_is_taken_as_go_takes_it() {
        for (json, expected) in [
            (&br#"[{"targets":["a"],"labels":{"a":null}}]"#[..], "a|a="),
            (br#"[{"targets":["a",null,"b"]}]"#, "a,,b|"),
            (br#"[{"Targets":["a"],"LABELS":{"A":"b"}}]"#, "a|A=b"),
            (br#"[{"targets":["a","b"],"targets":["c"]}]"#, "c|"),
            (br#"[{"targets":["a","b"],"TARGETS":null}]"#, "|"),
            (br#"[{"labels":{"a":"1"},"labels":{"b":"2"}}]"#, "|b=2"),
            (br#"[{"labels":{"a":"1","a":null}}]"#, "|a="),
            (
                br#"[{"targets":["\ud800x","\udc00","\\ud800","\ud83d\ude00","\ud83d\ud83d\ude00"]}]"#,
                "\u{fffd}x,\u{fffd},\\ud800,\u{1f600},\u{fffd}\u{1f600}|",
            ),
            (
                b"[{\"targets\":[\"a\xffb\xe2\x82\"],\"labels\":{\"a\xff\":\"b\"}}]",
                "a\u{fffd}b\u{fffd}\u{fffd}|a\u{fffd}=b",
            ),
            (br#"[{"targets":["\ud8"]}]"#, "-"),
            (br#"[{"targets":["a"]}]]"#, "-"),
            (br#"[{"targets":["a",1]}]"#, "-"),
            (br#"[[]]"#, "-"),
            (br#"[[["a"]]]"#, "-"),
            (b"[{\"targets\":[\"a\nb\"]}]", "-"),
            (b"[{\"targets\xff\":[]}]", "-"),
            (b"\xef\xbb\xbf[]", "-"),
            (b"\\", "-"),
        ] {
            assert_eq!(read(groups_from_json(json, "f", "origin")), expected, "{}", json.escape_ascii());
        }
    }

    #[test]
    fn yaml_is_taken_as_go_takes_it() {
        for (yaml, expected) in [
            ("- targets: [a]\n  labels: {a: null, b: ~, c: , d: 'null'}\n", "a|a=,b=,c=,d=null"),
            ("- targets: [a, null, b, ~, '']\n", "a,,b,,|"),
            ("- targets:\n  - a\n  -\n  - b\n", "a,,b|"),
            ("- Targets: [a]\n", "-"),
            ("- targets: [a]\n  targets: [b]\n", "-"),
            ("- labels: {a: b, a: c}\n", "-"),
            ("- targets: [a]\n---\n- targets: [b]\n", "a|"),
            ("- targets: [a]\n---\n{ broken\n", "a|"),
            ("- targets: [a]\n--- # two\n- x\n", "a|"),
            ("%YAML 1.1\n# one\n---\n- targets: [a]\n...\n---\n- x\n", "a|"),
            ("---\n---\n- targets: [a]\n", ""),
            ("- targets: [a,\n ---]\n", "a,---|"),
            ("- targets:\n  - a\n  - |-\n    x\n    ---\n", "a,x\n---|"),
            (
                "- targets: [1, 2.50, true, 0x10, 2020-01-01, yes, 010]\n",
                "1,2.50,true,0x10,2020-01-01,yes,010|",
            ),
            ("- &x {targets: [a]}\n- {<<: *x, labels: {a: b}}\n", "a| a|a=b"),
            ("- []\n", "-"),
            ("- [[a]]\n", "-"),
            ("- targets: [[a]]\n", "-"),
        ] {
            assert_eq!(read(groups_from_yaml(yaml.as_bytes(), "f", "origin")), expected, "{yaml}");
        }
        assert_eq!(read(groups_from_yaml(b"- targets: [\"a\xffb\"]\n", "f", "origin")), "-");
    }

    #[test]
    fn errors_are_said_without_words_of_the_code() {
        let texts = [
            "{}",
            "[1]",
            "[[]]",
            "[\"a\"]",
            "[{\"a\": 1}]",
            "[{\"targets\": 1}]",
            "[{\"targets\": [1, [2]]}]",
            "[{\"labels\": []}]",
            "[{\"labels\": {\"a\": [1]}}]",
            "[{\"labels\": {\"a\": {}}}]",
            "[",
            "5",
            "[{\"labels\": {\"a\": 1, \"a\": {}}}]",
            "[{\"labels\": {[1]: b}}]",
        ];
        for text in texts {
            for groups in
                [groups_from_json(text.as_bytes(), "f", "l"), groups_from_yaml(text.as_bytes(), "f", "l")]
            {
                let said = groups.unwrap_err().to_string();
                for word in ["Written", "struct", "Option", "String", "Vec", "serde", "from_", "unit"] {
                    assert!(!said.contains(word), "{text}: {said}");
                }
            }
        }
    }
}
