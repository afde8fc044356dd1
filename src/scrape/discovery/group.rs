//! Groups as files and servers write them: a list of `targets` and `labels`, in JSON or YAML.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Deserialize;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Reads groups from JSON. Each gets `origin` and its number as its source, and a label that names the origin.
///
/// # Errors
/// What is no list of groups.
pub fn groups_from_json(text: &str, origin: &str, origin_label: &str) -> Result<Vec<Group>, GroupError> {
    let list: Option<Vec<Option<Written>>> =
        serde_json::from_str(text).map_err(|e| GroupError::Form(e.to_string()))?;
    groups(list, origin, origin_label)
}

/// Reads groups from YAML, as [`groups_from_json`] does from JSON.
///
/// # Errors
/// What is no list of groups.
pub fn groups_from_yaml(text: &str, origin: &str, origin_label: &str) -> Result<Vec<Group>, GroupError> {
    let list: Option<Vec<Option<Written>>> =
        serde_saphyr::from_str(text).map_err(|e| GroupError::Form(first_line(&e.to_string())))?;
    groups(list, origin, origin_label)
}

fn groups(
    list: Option<Vec<Option<Written>>>,
    origin: &str,
    origin_label: &str,
) -> Result<Vec<Group>, GroupError> {
    let list = list.unwrap_or_default();
    list.into_iter().enumerate().map(|(n, written)| group(written, n, origin, origin_label)).collect()
}

fn group(
    written: Option<Written>,
    number: usize,
    origin: &str,
    origin_label: &str,
) -> Result<Group, GroupError> {
    let Written { targets, labels } = written.ok_or(GroupError::Null)?;
    let mut labels = labels.unwrap_or_default();
    if labels.contains_key("") {
        return Err(GroupError::Name);
    }
    labels.insert(origin_label.to_owned(), origin.to_owned());
    let address = |target: String| -> LabelPairs { vec![("__address__".to_owned(), target)] };
    Ok(Group {
        source: format!("{origin}:{number}"),
        targets: targets.unwrap_or_default().into_iter().map(address).collect(),
        labels: labels.into_iter().collect(),
    })
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
        let groups = groups_from_json(json, "f", "__meta_filepath").unwrap();
        assert_eq!(groups, groups_from_yaml(yaml, "f", "__meta_filepath").unwrap());
        let address = |a: &str| vec![("__address__".to_owned(), a.to_owned())];
        assert_eq!(groups[0].targets, [address("a:1"), address("b:2")]);
        assert_eq!(groups[0].source, "f:0");
        let labels = [("__meta_filepath", "f"), ("x", "y")];
        assert_eq!(groups[0].labels, labels.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!((groups[1].source.as_str(), groups[1].targets.len()), ("f:1", 0));
        for empty in ["", "null", "[]"] {
            assert_eq!(groups_from_yaml(empty, "f", "l"), Ok(Vec::new()), "{empty:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused_whole() {
        for text in ["[null]", "[{\"targets\": [\"a\"]}, null]"] {
            assert_eq!(groups_from_json(text, "f", "l"), Err(GroupError::Null));
            assert_eq!(groups_from_yaml(text, "f", "l"), Err(GroupError::Null));
        }
        for text in
            ["{}", "[{\"target\": [\"a\"]}]", "[{\"targets\": \"a\"}]", "[{\"labels\": {\"a\": [1]}}]", "["]
        {
            assert!(matches!(groups_from_json(text, "f", "l"), Err(GroupError::Form(_))), "{text}");
            assert!(matches!(groups_from_yaml(text, "f", "l"), Err(GroupError::Form(_))), "{text}");
        }
        assert_eq!(groups_from_json(r#"[{"labels": {"": "a"}}]"#, "f", "l"), Err(GroupError::Name));
        assert!(groups_from_json("", "f", "l").is_err());
        assert!(groups_from_yaml("- targets: [a]\n  targets: [b]\n", "f", "l").is_err(), "a key twice");
    }
}
