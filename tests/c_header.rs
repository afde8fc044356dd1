//! The committed header is the one that the sources make. `TIDEGATE_BLESS=1` writes it anew.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config, DocumentationLength, DocumentationStyle, Language, Style};

/// The files of `src/ffi` in the header's order.
const FILES: [&str; 15] = [
    "version", "status", "text", "error", "options", "log", "engine", "stats", "series", "writer", "row",
    "body", "token", "cursor", "reader",
];

/// Those that declare nothing, or what is not shipped.
const SILENT: [&str; 4] = ["fork", "guard", "mod", "testing"];

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn generated() -> String {
    let introduction = fs::read_to_string(path("src/ffi/introduction.txt")).unwrap();
    let config = Config {
        language: Language::C,
        style: Style::Type,
        cpp_compat: true,
        include_guard: Some("TIDEGATE_H".into()),
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h", "string.h"].map(String::from).to_vec(),
        no_includes: true,
        header: Some(comment(&introduction)),
        after_includes: Some(macros()),
        line_length: 100,
        tab_width: 4,
        documentation_style: DocumentationStyle::Doxy,
        usize_is_size_t: true,
        export: cbindgen::ExportConfig {
            rename: [("ArrowArrayStream".to_owned(), "struct ArrowArrayStream".to_owned())].into(),
            ..Default::default()
        },
        documentation_length: DocumentationLength::Full,
        ..Config::default()
    };
    let mut builder = Builder::new().with_config(config);
    for file in FILES {
        builder = builder.with_src(path(&format!("src/ffi/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// The introduction as a comment.
fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!(" * {line}").trim_end().to_owned());
    format!("/*\n{}\n */", lines.collect::<Vec<_>>().join("\n"))
}

/// What no constant of the sources can say.
fn macros() -> String {
    let number = |name: &str, value: &str| format!("#define TDG_VERSION_{name} {value}\n");
    format!(
        "\n/* The version that this header is of; `tdg_version` has the linked library's. */\n{}{}{}#define TDG_VERSION \"{}\"\n{STRINGS}\n{ARROW}",
        number("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        number("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        number("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
        env!("CARGO_PKG_VERSION"),
    )
}

const STRINGS: &str = r#"
/*
 * A `tdg_str` of a string literal, and one of a C string, which is looked at twice. `TDG_STR_INIT` is a literal in the
 * initializer of something static: `static const tdg_label host = {TDG_STR_INIT("host"), TDG_STR_INIT("a")};`
 */
#define TDG_STR_INIT(literal) {"" literal, sizeof(literal) - 1}
#ifdef __cplusplus
#define TDG_STR(literal) (tdg_str{("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) (tdg_str{(string), strlen(string)})
#else
#define TDG_STR(literal) ((tdg_str){("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) ((tdg_str){(string), strlen(string)})
#endif"#;

/// The structs that the interface's specification wants declared like this, wherever they are used.
const ARROW: &str = r#"
/*
 * Arrow's C data and C stream interfaces, as their specification has them. A struct is owned by whoever has it, is
 * moved by copying it and clearing the source's `release`, and is released once, by calling its `release`.
 */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif"#;

#[test]
fn the_committed_header_is_the_one_that_the_sources_make() {
    let (header, generated) = (path("include/tidegate.h"), generated());
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        fs::write(&header, &generated).unwrap();
    }
    let committed = fs::read_to_string(&header).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "include/tidegate.h is not what src/ffi makes, from line {} on; TIDEGATE_BLESS=1 writes it anew",
        differs.unwrap_or(committed.lines().count().min(generated.lines().count())) + 1
    );
}

#[test]
fn every_file_is_in_the_header_or_declares_nothing() {
    let mut found: Vec<String> = fs::read_dir(path("src/ffi"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut known: Vec<_> = FILES.iter().chain(&SILENT).map(|name| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(found, known);
}
