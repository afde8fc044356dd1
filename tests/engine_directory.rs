//! Which directory an engine takes for its data, and that it stays with it.
//!
//! The process that changes its working directory is this test binary, started again to play a part: tests in one
//! process share theirs.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::engine::{CommitPolicy, Embedded, Options};
use tidegate::log::{CursorStart, LogError};
use tidegate::reader::{CursorReader, Query, Reader};

const LONG: Duration = Duration::from_secs(60);
const HOUR_NS: u64 = 3_600_000_000_000;
const PART: &str = "TIDEGATE_TEST_PART";
const DATA: &str = "data";
const SEGMENTS: usize = 3;

fn home() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Names below a directory, with `/` between them.
fn names(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(names(&path).into_iter().map(|below| format!("{name}/{below}")));
        }
        found.insert(name);
    }
    found
}

fn segments(data: &Path) -> usize {
    names(&data.join("log")).iter().filter(|name| name.starts_with("w000-") && name.ends_with(".seg")).count()
}

/// Opens its data by a relative path, leaves for the directory beside it, and only then has segments and a cursor made.
#[test]
fn a_part_played_for_another_test() {
    let Ok(home) = std::env::var(PART).map(PathBuf::from) else { return };
    std::env::set_current_dir(&home).unwrap();
    let commit = CommitPolicy { linger_ns: 0, interval_ns: HOUR_NS };
    // Each commit ends a segment, as soon as the next one is prepared.
    let engine = Embedded::open(Options { commit, table_bytes_max: 1, ..Options::new(DATA) }).unwrap();
    let before = Reader::open(Path::new(DATA)).unwrap();
    std::env::set_current_dir(home.join("elsewhere")).unwrap();
    let mut rows = engine.writer().unwrap();
    let mut written = 0;
    while segments(&home.join(DATA)) <= SEGMENTS {
        assert!(written < 2_000, "no segment was ended");
        let series = rows.series(&[("__name__", "n"), ("number", &written.to_string())]).unwrap();
        rows.push(series, written, 0.5).unwrap();
        rows.flush().unwrap().wait(LONG).unwrap();
        written += 1;
    }
    let cursors = engine.cursors().unwrap();
    cursors.create("c", CursorStart::Oldest).unwrap();
    let mut reader = CursorReader::open(cursors, "c").unwrap();
    for _ in 0..written {
        reader.next(LONG, |block| assert_eq!(block.rows(), 1)).unwrap().unwrap();
    }
    reader.commit(&reader.position()).unwrap();
    drop(reader);
    engine.close(LONG).unwrap();
    // Who reads has the same place.
    let mut found = 0;
    let each = |_: &tidegate::reader::Row<'_>| {
        found += 1;
        Ok::<_, LogError>(())
    };
    before.rows(Query::default()).unwrap().for_each(each).unwrap();
    assert_eq!(found, written);
}

#[test]
fn a_relative_directory_is_the_one_that_it_was_when_it_was_opened() {
    let home = home();
    fs::create_dir(home.path().join("elsewhere")).unwrap();
    let played = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_part_played_for_another_test"])
        .env(PART, home.path())
        .output()
        .unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    assert_eq!(names(&home.path().join("elsewhere")), BTreeSet::new());
    assert!(segments(&home.path().join(DATA)) >= SEGMENTS);
    let reader = Reader::open(&home.path().join(DATA)).unwrap();
    assert_eq!(reader.cursors().unwrap().len(), 1);
}
