//! From the parser's events to a tree.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_saphyr::granit_parser::{
    Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag,
};

use super::{Content, Fault, Key, Mark, Node};

/// The tree of the first document of `text`, as Prometheus reads its files; null where there is none.
pub(in super::super) fn compose(text: &str) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer = Composer {
        events: Parser::new_from_str(text),
        tabbed: tabbed(text),
        flow_depth: 0,
        anchors: HashMap::new(),
        weight: 0,
        copied: 0,
    };
    let mut root = None;
    while let Some(event) = composer.events.next() {
        let (event, span) = event.map_err(|error| composer.scan(&error))?;
        match event {
            Event::DocumentEnd if root.is_some() => break,
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                root = Some(composer.node(event, span)?);
            }
            _ => {}
        }
    }
    Ok(root.unwrap_or(Node { at: Mark { line: 1, column: 1 }, content: Content::Null }))
}

struct Composer<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// Where text begins on lines that tabs indent: nothing but a flow may begin there.
    tabbed: HashMap<u64, u64>,
    /// How many flows, `[...]` and `{...}`, are open.
    flow_depth: usize,
    /// What aliases stand for, and how much it weighs.
    anchors: HashMap<usize, (Node, usize)>,
    /// Of the tree so far: its nodes, long texts counted as several.
    weight: usize,
    /// The same of what was copied for anchors and aliases.
    copied: usize,
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        loop {
            let event = self.events.next().expect("the parser closes what it opens, or fails");
            let (event, span) = event.map_err(|error| self.scan(&error))?;
            if !matches!(event, Event::Comment(..)) {
                return Ok((event, span));
            }
        }
    }

    /// Why the text is no YAML. Where a value's next line is indented by a tab, the scanner names the value.
    fn scan(&self, error: &ScanError) -> Fault {
        let at = place(error.marker().line(), error.marker().col());
        let (message, behind) = (error.info(), self.tabbed.iter().filter(|(line, _)| **line > at.line));
        match behind.min() {
            Some((&line, &column)) if message.ends_with("found a tab") => {
                Fault { at: Mark { line, column }, message: TAB.into() }
            }
            _ => Fault { at, message },
        }
    }

    /// The node that begins with `event`. The parser bounds how deep they nest.
    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Fault> {
        let at = mark(span);
        if self.flow_depth == 0 && self.tabbed.get(&at.line) == Some(&at.column) {
            return Err(Fault { at, message: TAB.into() });
        }
        let flow = match &event {
            Event::SequenceStart(StructureStyle::Flow, ..)
            | Event::MappingStart(StructureStyle::Flow, ..) => 1,
            _ => 0,
        };
        self.flow_depth += flow;
        let before = self.weight;
        let (content, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((_, weight)) = self.anchors.get(&anchor) else {
                    return Err(Fault { at, message: "an alias within what it stands for".into() });
                };
                let weight = *weight;
                self.copy(weight, at)?;
                self.weight += weight;
                return Ok(Node { at, content: self.anchors[&anchor].0.content.clone() });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.weight += text.len() / WEIGHT_BYTES;
                (scalar(text, style, tag.as_deref(), at)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map()?, anchor),
            _ => return Err(Fault { at, message: "not a value".into() }),
        };
        self.flow_depth -= flow;
        self.weight += 1;
        let node = Node { at, content };
        if anchor != 0 {
            let weight = self.weight - before;
            self.copy(weight, at)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Content, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Content, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            if is_merge {
                merged.push(value);
                continue;
            }
            let name = match key.content {
                Content::Null => Vec::new(),
                Content::Text(text) | Content::Quoted(text) => text.into_bytes(),
                Content::Bytes(bytes) => bytes,
                _ => return Err(Fault { at: key.at, message: "a key must be a single value".into() }),
            };
            entries.push((Key { at: key.at, name }, value));
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(Content::Map(entries))
    }

    /// Counts what is about to be copied.
    fn copy(&mut self, weight: usize, at: Mark) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(weight);
        if self.copied > COPIED_MAX {
            return Err(Fault { at, message: "aliases make too much of this file".into() });
        }
        Ok(())
    }
}

/// Lines that tabs indent, and the columns where their text begins. The parser refuses most of them, and takes tabs for
/// spaces before the first key.
fn tabbed(text: &str) -> HashMap<u64, u64> {
    let indented = text.lines().zip(1..).filter_map(|(line, number)| {
        let begins = line.find(|c| c != ' ' && c != '\t')?;
        line[..begins].contains('\t').then_some((number, begins as u64 + 1))
    });
    indented.collect()
}

/// Adds the entries of a mapping, or of a list of them, whose keys are not there yet.
fn merge(entries: &mut Vec<(Key, Node)>, node: Node) -> Result<(), Fault> {
    match node.content {
        Content::Map(more) => {
            for (key, value) in more {
                if entries.iter().all(|(there, _)| there.name != key.name) {
                    entries.push((key, value));
                }
            }
            Ok(())
        }
        Content::List(nodes) => nodes.into_iter().try_for_each(|node| merge(entries, node)),
        _ => Err(Fault { at: node.at, message: "only keys with values can be merged".into() }),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, at: Mark) -> Result<Content, Fault> {
    let is_plain = style == ScalarStyle::Plain;
    match tag.map(ToString::to_string).as_deref() {
        None if is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") => Ok(Content::Null),
        Some("tag:yaml.org,2002:null" | "!!null") => Ok(Content::Null),
        Some("tag:yaml.org,2002:binary" | "!!binary") => {
            let digits: String = text.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(digits);
            let bytes = bytes.map_err(|error| Fault { at, message: format!("no base64: {error}") })?;
            Ok(String::from_utf8(bytes)
                .map_or_else(|error| Content::Bytes(error.into_bytes()), Content::Quoted))
        }
        None if !is_plain => Ok(Content::Quoted(text.into_owned())),
        Some("tag:yaml.org,2002:str" | "!!str") => Ok(Content::Quoted(text.into_owned())),
        _ => Ok(Content::Text(text.into_owned())),
    }
}

fn mark(span: Span) -> Mark {
    place(span.start.line(), span.start.col())
}

/// The parser counts columns from 0.
fn place(line: usize, column: usize) -> Mark {
    Mark { line: line as u64, column: column as u64 + 1 }
}

/// In the parser's own words.
const TAB: &str = "tabs disallowed within this context (block indentation)";

/// Bytes of a text that weigh as much as a node.
const WEIGHT_BYTES: usize = 64;

/// What anchors and aliases may make of a file: about 100 MB.
const COPIED_MAX: usize = 1_000_000;
