//! Replacements: text with `$1`, `${1}` and `${name}`, by the rules of Go's `Regexp.Expand`.
//!
//! `$name` is as long as letters, digits and underscores reach: `$1a` is the group named `1a`, not group 1. `$$` is a
//! dollar sign. A `$` that starts no name is itself. A group that isn't there, or has matched nothing, is empty.

use super::pattern::{Captures, Pattern};

/// A replacement whose groups are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    /// The groups of one number or name.
    Group(Vec<usize>),
}

impl Template {
    pub(super) fn new(text: &str, pattern: &Pattern) -> Template {
        let mut template = Template { parts: Vec::new() };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            template.text(before);
            if let Some(after) = after.strip_prefix('$') {
                template.text("$");
                rest = after;
            } else if let Some((name, after)) = group_name(after) {
                template.parts.push(Part::Group(groups(name, pattern)));
                rest = after;
            } else {
                template.text("$");
                rest = after;
            }
        }
        template.text(rest);
        template
    }

    /// The text with the groups of a match.
    pub(super) fn expand(&self, captures: &Captures<'_>) -> Vec<u8> {
        let mut expanded = Vec::new();
        for part in &self.parts {
            expanded.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Group(numbers) => captures.first(numbers),
            });
        }
        expanded
    }

    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

/// The name that starts `text`, in braces or without, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (bare, braced) = match text.strip_prefix('{') {
        Some(inside) => (inside, true),
        None => (text, false),
    };
    let end = bare.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(bare.len());
    let (name, rest) = bare.split_at(end);
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// The number of a group, or those of the groups of this name, as far as the pattern has them. A number with a leading
/// zero is a name.
fn groups(name: &str, pattern: &Pattern) -> Vec<usize> {
    let number = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if number {
        return name.parse().ok().filter(|&number| number < pattern.groups()).into_iter().collect();
    }
    pattern.groups_named(name).collect()
}
