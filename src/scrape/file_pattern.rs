//! The files that a pattern of a configuration stands for, as Go's `filepath.Glob` reads it.
//!
//! `*` and `?` stand for no slash, `**` for no more than `*`; `[a-c]` and `[^a-c]` for one character; `\` takes the
//! next one as it is.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

/// The files that a pattern stands for now, by name. What is not there is none, nor is what can't be looked into.
///
/// # Errors
/// It is no pattern: a bracket is open, or a backslash the last character.
pub fn matching(pattern: &Path) -> Result<Vec<PathBuf>, PatternError> {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let found = glob::glob_with(&translated(&pattern.to_string_lossy())?, options)?;
    Ok(found.flatten().collect())
}

/// The same pattern in the words of the `glob` crate, which has no escape, and `!` for "not".
fn translated(pattern: &str) -> Result<String, PatternError> {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '*' if text.ends_with('*') => {}
            '\\' => {
                let (_, escaped) = chars.next().ok_or(PatternError { pos: at, msg: "nothing is escaped" })?;
                text.push_str(&Pattern::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            '[' => {
                let open = PatternError { pos: at, msg: "the bracket is not closed" };
                let negated = chars.next_if(|&(_, c)| c == '^').is_some();
                let mut class = String::new();
                loop {
                    match chars.next() {
                        Some((_, ']')) if !class.is_empty() => break,
                        // The crate could not tell what is meant.
                        Some((at, '\\' | ']' | '!')) => {
                            return Err(PatternError { pos: at, msg: "not taken within brackets" });
                        }
                        Some((_, c)) => class.push(c),
                        None => return Err(open),
                    }
                }
                text.push_str(if negated { "[!" } else { "[" });
                text.push_str(&class);
                text.push(']');
            }
            c => text.push(c),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let matches = |pattern: &str, name: &str| {
            let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
            Pattern::new(&translated(pattern).unwrap()).unwrap().matches_with(name, options)
        };
        for (pattern, yes, no) in [
            ("a*.yml", "abc.yml", "a/b.yml"),
            ("a**.yml", "abc.yml", "a/b.yml"),
            ("**/a", "b/a", "b/c/a"),
            ("j?.yml", "j1.yml", "j/.yml"),
            ("j[1-3].yml", "j2.yml", "j4.yml"),
            ("j[^1-3].yml", "j4.yml", "j2.yml"),
            (r"j\[1].yml", "j[1].yml", "j1.yml"),
            (r"a\*", "a*", "ab"),
            ("é*", "éa", "a"),
        ] {
            assert!(matches(pattern, yes) && !matches(pattern, no), "{pattern}");
        }
        for bad in ["a[", "a[]", "a[1", r"a\", "a[!1]", r"a[\]]"] {
            assert!(translated(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_found_by_name_and_what_is_not_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b.yml", "a.yml", ".c.yml", "a.json", "sub/d.yml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| {
            let found = matching(&folder.path().join(pattern)).unwrap();
            found.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("*.yml"), [".c.yml", "a.yml", "b.yml"]);
        assert_eq!(found("*/*.yml"), ["d.yml"]);
        assert_eq!(found("none/*.yml"), [""; 0]);
        assert!(matching(&folder.path().join("a[")).is_err());
    }
}
