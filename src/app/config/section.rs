//! Keys with values, taken one by one; what nobody has asked for is unknown.
//!
//! Comes in: a mapping of a file. Goes out: [`Setting`]s, lists, further sections. Keeps: every key is taken or
//! refused, with its place, its path from the top of the file, and the known key that was probably meant.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place};
use super::setting::{Setting, near};
use super::yaml::{Content, Key, Mark, Node};

/// Keys with values that are being taken.
pub(super) struct Section<'a> {
    file: &'a Path,
    path: String,
    at: Mark,
    entries: Vec<Entry<'a>>,
    known: Vec<&'static str>,
}

struct Entry<'a> {
    key: &'a Key,
    node: &'a Node,
    taken: bool,
}

/// A value of a list or a mapping that is not looked into yet.
pub(super) struct Item<'a> {
    file: &'a Path,
    path: String,
    node: &'a Node,
}

impl<'a> Section<'a> {
    /// The section that `node` of `file` is; nothing is an empty one. `path` leads to it from the top, by dots.
    ///
    /// # Errors
    /// It is no mapping, or has a key twice.
    pub(super) fn open(file: &'a Path, path: &str, node: &'a Node) -> Result<Section<'a>, ConfigError> {
        Item { file, path: path.into(), node }.section().map(|section| {
            section.unwrap_or(Section {
                file,
                path: path.into(),
                at: node.at,
                entries: Vec::new(),
                known: Vec::new(),
            })
        })
    }

    /// The file that it stands in.
    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    /// The way to a key from the top of the file.
    pub(super) fn path_of(&self, key: &str) -> String {
        dotted(&self.path, key)
    }

    /// A path as the file means it: relative to itself.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Takes the value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.known.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key.name == key.as_bytes())?;
        entry.taken = true;
        Some(Item { file: self.file, path: dotted(&self.path, key), node: entry.node })
    }

    /// A single value; nothing is none.
    pub(super) fn setting(&mut self, key: &'static str) -> Result<Option<Setting>, ConfigError> {
        match self.take(key) {
            Some(item) if !item.is_null() => item.setting().map(Some),
            _ => Ok(None),
        }
    }

    /// A single value; nothing is the empty text, as Prometheus has it.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<Setting>, ConfigError> {
        self.take(key).map(|item| item.setting()).transpose()
    }

    /// A single value; where it is missing, the empty text in the section's place.
    pub(super) fn text_or_empty(&mut self, key: &'static str) -> Result<Setting, ConfigError> {
        let found = self.text(key)?;
        let place = Place::At(self.file.into(), self.at.line, self.at.column);
        Ok(found.unwrap_or_else(|| Setting {
            key: self.path_of(key),
            text: String::new(),
            place,
            is_quoted: true,
        }))
    }

    /// Single values; nothing is none.
    pub(super) fn settings(&mut self, key: &'static str) -> Result<Option<Vec<Setting>>, ConfigError> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        items.iter().map(Item::setting).collect::<Result<_, _>>().map(Some)
    }

    /// Values of a list; nothing is none.
    pub(super) fn items(&mut self, key: &'static str) -> Result<Option<Vec<Item<'a>>>, ConfigError> {
        self.take(key).map_or(Ok(None), |item| item.items())
    }

    /// A section within this one; nothing is none.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Option<Section<'a>>, ConfigError> {
        self.take(key).map_or(Ok(None), |item| item.section())
    }

    /// Sections of a list; nothing is none. An element that says nothing is refused with these words.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        if_null: &str,
    ) -> Result<Vec<Section<'a>>, ConfigError> {
        let items = self.items(key)?.unwrap_or_default();
        let sections = items.iter().map(|item| item.section()?.ok_or_else(|| item.refuse(if_null)));
        sections.collect()
    }

    /// Whether there is a value for this key, taken or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Has these keys never be proposed to who misspells one: they were asked for, and are refused.
    pub(super) fn conceal(&mut self, keys: &[&str]) {
        self.known.retain(|known| !keys.contains(known));
    }

    fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.key.name == key.as_bytes())
    }

    /// Refuses this section as a whole.
    pub(super) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        error(self.file, &self.path, self.at, message)
    }

    /// Refuses a key: where it stands, or where it is missing.
    pub(super) fn refuse_key(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let at = self.entry(key).map_or(self.at, |entry| entry.key.at);
        error(self.file, &dotted(&self.path, key), at, message)
    }

    /// Refuses a key's value: where it stands, or where it is missing.
    pub(super) fn refuse_value(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let at = self.entry(key).map_or(self.at, |entry| entry.node.at);
        error(self.file, &dotted(&self.path, key), at, message)
    }

    /// Ends the section: all keys that there can be were asked for.
    ///
    /// # Errors
    /// A key that was not taken.
    pub(super) fn end(&self) -> Result<(), ConfigError> {
        let Some(key) = self.entries.iter().find(|entry| !entry.taken).map(|entry| entry.key) else {
            return Ok(());
        };
        let name = String::from_utf8_lossy(&key.name);
        let message = match near(&name, &self.known) {
            Some(known) => format!("unknown key, did you mean {known}?"),
            None if self.known.len() > LISTED_MAX => "unknown key".into(),
            None => format!("unknown key, expected one of {}", self.known.join(", ")),
        };
        Err(error(self.file, &dotted(&self.path, &name), key.at, message))
    }
}

impl<'a> Item<'a> {
    /// A file as a whole.
    pub(super) fn root(file: &'a Path, node: &'a Node) -> Item<'a> {
        Item { file, path: String::new(), node }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        Place::At(self.file.into(), self.node.at.line, self.node.at.column)
    }

    /// Whether it says nothing.
    pub(super) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Refuses it.
    pub(super) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        error(self.file, &self.path, self.node.at, message)
    }

    /// It as a single value; nothing is the empty text.
    pub(super) fn setting(&self) -> Result<Setting, ConfigError> {
        let text = match &self.node.content {
            Content::Null => "",
            Content::Text(text) | Content::Quoted(text) => text,
            Content::Bytes(bytes) => return Err(self.refuse(format!("{} is not UTF-8", quoted(bytes)))),
            _ => return Err(self.refuse("must be a single value")),
        };
        let is_quoted = matches!(self.node.content, Content::Quoted(_));
        Ok(Setting { key: self.path.clone(), text: text.into(), place: self.place(), is_quoted })
    }

    /// It as a list; nothing is none.
    pub(super) fn items(&self) -> Result<Option<Vec<Item<'a>>>, ConfigError> {
        let item = |node| Item { file: self.file, path: self.path.clone(), node };
        match &self.node.content {
            Content::Null => Ok(None),
            Content::List(nodes) => Ok(Some(nodes.iter().map(item).collect())),
            _ => Err(self.refuse("must be a list")),
        }
    }

    /// It as a section; nothing is none.
    pub(super) fn section(&self) -> Result<Option<Section<'a>>, ConfigError> {
        let entries = match &self.node.content {
            Content::Null => return Ok(None),
            Content::Map(entries) => entries,
            _ => return Err(self.refuse("must be keys with values")),
        };
        let mut names = BTreeSet::new();
        for (key, _) in entries {
            if !names.insert(&key.name) {
                let path = dotted(&self.path, &String::from_utf8_lossy(&key.name));
                return Err(error(self.file, &path, key.at, "given twice"));
            }
        }
        Ok(Some(Section {
            file: self.file,
            path: self.path.clone(),
            at: self.node.at,
            entries: entries.iter().map(|(key, node)| Entry { key, node, taken: false }).collect(),
            known: Vec::new(),
        }))
    }

    /// It as a mapping whose keys may be anything, in the file's order; nothing is an empty one.
    pub(super) fn entries(&self) -> Result<Vec<(Setting, Item<'a>)>, ConfigError> {
        let Some(section) = self.section()? else { return Ok(Vec::new()) };
        let entry = |Entry { key, node, .. }: &Entry<'a>| {
            let place = Place::At(self.file.into(), key.at.line, key.at.column);
            let named = std::str::from_utf8(&key.name);
            let refuse =
                || error(self.file, &self.path, key.at, format!("{} is not UTF-8", quoted(&key.name)));
            let name = named.map_err(|_| refuse())?;
            let item = Item { file: self.file, path: dotted(&self.path, name), node };
            Ok((Setting { key: self.path.clone(), text: name.into(), place, is_quoted: true }, item))
        };
        section.entries.iter().map(entry).collect()
    }

    /// It as labels: names and values, neither of which may be bytes that are no text.
    pub(super) fn labels(&self) -> Result<Vec<(Setting, Setting)>, ConfigError> {
        if let Content::Map(entries) = &self.node.content {
            for (key, node) in entries {
                if std::str::from_utf8(&key.name).is_err() {
                    let message = format!("{} is not a valid label name", quoted(&key.name));
                    return Err(error(self.file, &self.path, key.at, message));
                }
                if let Content::Bytes(bytes) = &node.content {
                    let message = format!("{} is not a valid label value", quoted(bytes));
                    return Err(error(self.file, &self.path, node.at, message));
                }
            }
        }
        self.entries()?.into_iter().map(|(name, value)| Ok((name, value.setting()?))).collect()
    }
}

fn error(file: &Path, path: &str, at: Mark, message: impl Into<String>) -> ConfigError {
    ConfigError {
        place: Place::At(file.into(), at.line, at.column),
        key: path.into(),
        message: message.into(),
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// Bytes in quotes, those that are no text as `\xff`.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// Keys that are listed where none of them was probably meant.
const LISTED_MAX: usize = 20;
