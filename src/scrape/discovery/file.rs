//! Groups in files, JSON or YAML, seen within a second of their change.
//!
//! The files are looked at once a second and read when what the system says of them has changed, and all of them at
//! every `refresh`. A file that can't be read, or holds no groups, keeps what it held before. *Not taken:* waiting for
//! inotify. It is silent on network file systems, and a Kubernetes ConfigMap is changed by swapping a link two
//! directories up; a look costs a few microseconds a file.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::scrape::{Group, matching, plain_file};

use super::desk::Publisher;
use super::group::{groups_from_json, groups_from_yaml};
use super::standing::Account;

/// Publishes what is in the files, for ever.
pub(super) async fn follow(patterns: &[PathBuf], refresh: Duration, publisher: &Publisher) {
    let mut files = Files::new(patterns);
    let mut read_all = Instant::now();
    let mut first = true;
    loop {
        let all = read_all.elapsed() >= refresh;
        if all {
            read_all = Instant::now();
        }
        if files.look(all, publisher.account()) || first {
            publisher.publish(files.groups()).await;
        }
        first = false;
        tokio::time::sleep(LOOK).await;
    }
}

/// The files of some patterns, and what they held when they were last sound.
#[derive(Debug)]
pub(super) struct Files {
    patterns: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
}

#[derive(Default, Debug)]
struct Known {
    /// Of the last attempt to read it, sound or not.
    stamp: Option<Stamp>,
    groups: Vec<Group>,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: (i64, i64),
    inode: u64,
    len_bytes: u64,
}

impl Files {
    pub(super) fn new(patterns: &[PathBuf]) -> Files {
        Files { patterns: patterns.to_vec(), known: BTreeMap::new() }
    }

    /// Reads what has changed, or all; whether there may be other groups now.
    pub(super) fn look(&mut self, all: bool, account: Account<'_>) -> bool {
        let paths: Vec<PathBuf> =
            self.patterns.iter().flat_map(|pattern| matching(pattern).unwrap_or_default()).collect();
        let before = self.known.len();
        self.known.retain(|path, _| paths.contains(path));
        let mut changed = self.known.len() != before;
        if changed {
            account.keep(|of| self.known.keys().any(|path| path.to_string_lossy() == of));
        }
        for path in paths {
            let known = self.known.entry(path.clone()).or_default();
            // Looked at before it is read: what is written meanwhile is read the next time.
            let stamp = fs::metadata(&path).map(|metadata| Stamp::of(&metadata)).ok();
            if !all && known.stamp == stamp && stamp.is_some() {
                continue;
            }
            known.stamp = stamp;
            account.counts.tries.add(1);
            let outcome = read(&path);
            account.note(&path.to_string_lossy(), &outcome);
            match outcome {
                Ok(groups) => {
                    changed |= known.groups != groups;
                    known.groups = groups;
                }
                Err(why) => {
                    account.counts.failures.add(1);
                    let (job, file) = (account.job(), path.display());
                    warn!(%job, %file, error = why, "groups of targets not read: those before stay");
                }
            }
        }
        changed
    }

    pub(super) fn groups(&self) -> Vec<Group> {
        self.known.values().flat_map(|known| known.groups.iter().cloned()).collect()
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<Group>, String> {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let is_json = match extension.as_deref() {
        Some("json") => true,
        Some("yml" | "yaml") => false,
        _ => return Err("its name ends neither in .json nor in .yml nor in .yaml".to_owned()),
    };
    let text = plain_file::read(path, FILE_BYTES_MAX).map_err(|e| e.to_string())?;
    let source = path.to_string_lossy();
    let groups = match is_json {
        true => groups_from_json(&text, &source, PATH_LABEL),
        false => groups_from_yaml(&text, &source, PATH_LABEL),
    };
    groups.map_err(|e| e.to_string())
}

/// Names the file that a group is of.
const PATH_LABEL: &str = "__meta_filepath";

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// The longest file: some hundred thousand targets.
const FILE_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::counts::KindCounts;
    use super::super::standing::Standing;
    use super::*;

    fn sources(files: &Files) -> Vec<String> {
        files.groups().into_iter().map(|group| group.source).collect()
    }

    #[test]
    fn files_are_followed_through_change_damage_and_removal() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let source = |name: &str, n: usize| format!("{}:{n}", path(name).display());
        let (counts, standing) = (KindCounts::default(), Standing::default());
        let account = Account { counts: &counts, standing: &standing };
        let mut files = Files::new(&[path("*.yml"), path("one.json")]);
        assert!(!files.look(false, account), "there is nothing yet");

        fs::write(path("b.yml"), "- targets: [x]\n- targets: [y]\n").unwrap();
        fs::write(path("a.yml"), "- targets: [z]\n").unwrap();
        fs::write(path("other.json"), "[]").unwrap();
        assert!(files.look(false, account));
        assert_eq!(sources(&files), [source("a.yml", 0), source("b.yml", 0), source("b.yml", 1)]);
        assert_eq!((counts.tries.value(), counts.failures.value()), (2, 0));
        assert!(!files.look(false, account));
        assert_eq!(counts.tries.value(), 2, "what has not changed is not read");

        // Damage keeps what was there, and is read again only when it changes.
        fs::write(path("b.yml"), "- targets: [x]\n- null\n").unwrap();
        assert!(!files.look(false, account));
        assert_eq!(sources(&files).len(), 3);
        assert_eq!(counts.failures.value(), 1);
        files.look(false, account);
        assert_eq!(counts.failures.value(), 1);
        files.look(true, account);
        assert_eq!(counts.failures.value(), 2, "a refresh reads all");

        // The same words anew are no news; fewer groups are.
        fs::write(path("a.yml"), "- targets: ['z']\n").unwrap();
        assert!(!files.look(false, account));
        fs::write(path("b.yml"), "- targets: [x]\n").unwrap();
        assert!(files.look(false, account));
        assert_eq!(sources(&files), [source("a.yml", 0), source("b.yml", 0)]);

        // A swapped link is a change though the name is the same.
        fs::remove_file(path("a.yml")).unwrap();
        assert!(files.look(false, account));
        fs::write(path("c"), "- targets: [linked]\n").unwrap();
        std::os::unix::fs::symlink(path("c"), path("a.yml")).unwrap();
        assert!(files.look(false, account));
        assert_eq!(files.groups()[0].targets[0], [("__address__".to_owned(), "linked".to_owned())]);
    }

    #[test]
    fn a_wildcard_stands_for_no_slash() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("below/a.yml"), "- targets: [x]\n").unwrap();
        let mut files = Files::new(&[folder.path().join("*.yml")]);
        let (counts, standing) = (KindCounts::default(), Standing::default());
        files.look(false, Account { counts: &counts, standing: &standing });
        assert!(files.groups().is_empty());
    }
}
