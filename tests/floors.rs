//! Holds the house in order: who imports whom (ARCHITECTURE.md draws the floors), and what every source looks like.
//!
//! The imports are read from the text, comments taken out: `crate::room::...`, groups in braces, and `super::...`
//! followed upwards. That is no compiler, but what it overlooks would have to hide on purpose.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each step may import the steps before it, and itself where it is one room; rooms of one step are strangers.
const STEPS: [&[&str]; 11] = [
    // Floor 0.
    &["sync"],
    &["clock", "bytes", "telemetry"],
    // Floor 1.
    &["error"],
    &["model"],
    // Floor 2. What `wire` itself holds is for all its rooms.
    &["wire"],
    &["wire/*", "relabel", "ingest", "block", "log", "http"],
    // Floor 3.
    &["engine", "reader"],
    // What the reader gives, in another shape.
    &["arrow"],
    // Floor 4.
    &["serve", "scrape", "sink", "ffi"],
    // Floor 5.
    &["app"],
    &["cli"],
];

/// Who may nevertheless import whom, and why.
const EXCEPTIONS: [(&str, &str, &str); 10] = [
    ("wire/collectd", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/exposition", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/graphite", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/influx", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/ndjson", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/opentsdb", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/statsd", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/vm_import", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/remote_write", "wire/testing", "the decoders' tests and benches share one collecting intake"),
    ("wire/otlp", "wire/testing", "the decoders' tests and benches share one collecting intake"),
];

/// The files that put rooms together and belong to none.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

const LINES_MAX: usize = 800;
const COLUMNS_MAX: usize = 120;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source under `directory`, as paths relative to the root.
fn sources(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        // Not every folder named by a test exists.
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The modules of a source, from the crate's root down: `src/wire/influx/mod.rs` is `[wire, influx]`.
fn modules(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix("src").unwrap().with_extension("");
    let mut parts: Vec<String> = inside.iter().map(|part| part.to_str().unwrap().into()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The room that a path of modules or an import leads to. Every decoder of `wire` is a room of its own.
fn room(parts: &[String]) -> Option<String> {
    let first = parts.first()?;
    let child = parts.get(1).filter(|_| first == "wire");
    let is_module = |child: &&String| {
        let below = root().join("src/wire");
        below.join(child).is_dir() || below.join(child).with_extension("rs").is_file()
    };
    Some(match child.filter(is_module) {
        Some(child) => format!("wire/{child}"),
        None => first.clone(),
    })
}

fn step(room: &str) -> Option<usize> {
    let name = if room.starts_with("wire/") { "wire/*" } else { room };
    STEPS.iter().position(|step| step.contains(&name))
}

/// Whether `from` may import `to`.
fn may_import(from: &str, to: &str) -> bool {
    let excepted = EXCEPTIONS.iter().any(|(f, t, _)| (*f, *t) == (from, to));
    from == to || excepted || step(to) < step(from)
}

/// A source without its comments. A `//` within a string ends the line too early, which only hides what follows it.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Every path that `code`, standing in `modules`, names from the crate's root or upwards from itself.
fn imports(code: &str, modules: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (word, from_root) in [("crate::", true), ("super::", false)] {
        for (at, _) in code.match_indices(word) {
            let before = &code[..at];
            let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            // The later ones of `super::super::` are followed from the first.
            if !whole || before.ends_with("super::") {
                continue;
            }
            let mut rest = &code[at..];
            let mut base: Vec<String> = if from_root { Vec::new() } else { modules.to_vec() };
            if from_root {
                rest = &rest[word.len()..];
            }
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            found.extend(paths(rest).into_iter().map(|path| [base.clone(), path].concat()));
        }
    }
    found
}

/// The paths that a piece of code starts with: one of names, or a group of them in braces.
fn paths(code: &str) -> Vec<Vec<String>> {
    let code = code.trim_start();
    let Some(group) = code.strip_prefix('{') else {
        let name: String = code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        return match code[name.len()..].strip_prefix("::") {
            _ if name.is_empty() => vec![Vec::new()],
            Some(rest) => paths(rest).into_iter().map(|path| [vec![name.clone()], path].concat()).collect(),
            None => vec![vec![name]],
        };
    };
    let mut depth = 1;
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            found.extend(paths(&group[start..at]));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Imports of a source that its floor does not allow.
fn breaches(modules: &[String], text: &str) -> BTreeSet<String> {
    let Some(own) = room(modules) else { return BTreeSet::new() };
    let rooms = imports(&code(text), modules).into_iter().filter_map(|path| room(&path));
    // What is no room is an item of the crate's root, or reached by more `super` than the text tells.
    let wrong = rooms.filter(|to| step(to).is_some() && !may_import(&own, to));
    wrong.map(|to| format!("{own} imports {to}")).collect()
}

#[test]
fn every_room_has_its_floor() {
    let rooms = sources("src").iter().filter_map(|path| room(&modules(path))).collect::<Vec<_>>();
    let homeless: Vec<_> = rooms
        .iter()
        .filter(|room| step(room).is_none() && !["lib", "main"].contains(&room.as_str()))
        .collect();
    assert!(homeless.is_empty(), "{homeless:?} have no place in STEPS");
    assert!(rooms.len() > 30, "only {} sources were found", rooms.len());
}

#[test]
fn rooms_import_lower_floors_only() {
    let mut found = Vec::new();
    for path in sources("src") {
        if ROOTS.iter().any(|root| path == Path::new("src").join(root)) {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap();
        found.extend(
            breaches(&modules(&path), &text).iter().map(|breach| format!("{}: {breach}", path.display())),
        );
    }
    assert!(found.is_empty(), "imports against the floors:\n{}", found.join("\n"));
}

#[test]
fn every_exception_is_used() {
    for (from, to, why) in EXCEPTIONS {
        assert!(
            step(to) >= step(from) && !why.is_empty(),
            "{from} may import {to} anyway, or without a reason"
        );
        let used = sources("src").iter().any(|path| {
            let modules = modules(path);
            let text = fs::read_to_string(root().join(path)).unwrap();
            room(&modules).as_deref() == Some(from)
                && imports(&code(&text), &modules).iter().any(|path| room(path).as_deref() == Some(to))
        });
        assert!(used, "{from} does not import {to}: the exception can go");
    }
}

#[test]
fn a_breach_is_found_however_it_is_written() {
    let at = |room: &str| room.split('/').map(String::from).collect::<Vec<_>>();
    for (room, text) in [
        ("model", "use crate::engine::Engine;"),
        ("model", "use crate::{bytes::Arena, engine};"),
        ("model", "use crate::{\n    bytes::{Arena, AlignedBuf},\n    engine::{self, Engine},\n};"),
        ("model", "let x = crate::log::open();"),
        ("model", "pub(in crate::model) fn f() { crate::log::open() }"),
        ("model/labels", "use super::super::block::encode;"),
        ("model/labels", "use super::super::{block};"),
        ("ingest", "use crate::block::encode;"),
        ("wire/influx", "use crate::wire::*;\nuse crate::ingest::Writer;"),
        ("sync", "use crate::clock::Clock;"),
        ("clock", "use crate::bytes::Arena;"),
        ("app", "use crate::cli::run;"),
        ("wire", "pub use crate::wire::influx::Decoder;"),
    ] {
        assert_eq!(breaches(&at(room), text).len(), 1, "{room}: {text}");
    }
    for (room, text) in [
        ("engine", "use crate::{block, ingest::Writer, log::{self, disk}};"),
        ("model", "// crate::engine\n/// [`crate::engine`]\nuse crate::bytes::Arena;"),
        ("wire/influx", "use crate::wire::Decoder;\nuse super::super::Decoder;"),
        ("model/labels", "use super::block::Batch;\nuse mycrate::engine::X;"),
        ("cli/log", "use crate::app::config;\nuse super::super::reader::Rows;"),
        ("log/disk/threads", "use super::super::segment::Segment;"),
    ] {
        assert_eq!(breaches(&at(room), text), BTreeSet::new(), "{room}: {text}");
    }
}

/// What is untidy about a source.
fn untidy(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push(format!("{lines} lines: a sign of two ideas"));
    }
    // In two parts, so that this line is not one of those that it looks for.
    let unfinished = concat!("todo", "!");
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        // A string or a row of a table cannot be wrapped.
        let whole =
            line.contains('"') || ["//! |", "/// |"].iter().any(|row| line.trim_start().starts_with(row));
        if line.chars().count() > COLUMNS_MAX && !whole {
            found.push(format!("line {number} is longer than {COLUMNS_MAX} columns"));
        }
        if line.contains(unfinished) {
            found.push(format!("line {number} is unfinished"));
        }
        if line.contains('\t') || line.ends_with(' ') {
            found.push(format!("line {number} has a tab or ends in a space"));
        }
    }
    found
}

#[test]
fn sources_are_tidy() {
    let mut found = Vec::new();
    for directory in ["src", "tests", "benches", "examples", "fuzz"] {
        for path in sources(directory) {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            found.extend(untidy(&text).iter().map(|what| format!("{}: {what}", path.display())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_is_untidy_is_found() {
    let long = "x".repeat(COLUMNS_MAX + 1);
    let unfinished = concat!("todo", "!()");
    for text in [long.as_str(), unfinished, "\tx", "x ", &"\n".repeat(LINES_MAX + 1)] {
        assert_eq!(untidy(text).len(), 1, "{text:?}");
    }
    assert_eq!(untidy("fn main() {}\n"), [""; 0]);
}
