use std::fs;
use std::time::{Duration, Instant};

use tidegate::scrape::Discovery;

use super::harness::{Finding, label};

#[test]
fn a_changed_file_is_seen_within_seconds_and_a_broken_one_keeps_its_targets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.yml");
    fs::write(&path, "- targets: ['a:1', 'b:2']\n  labels: {team: x, weight: 7}\n").unwrap();
    let patterns = vec![folder.path().join("*.yml"), folder.path().join("more.json")];
    let mut finding = Finding::by(Discovery::File { patterns, refresh: Duration::from_secs(300) });
    finding.wait_for(&["a:1", "b:2"]);
    let target = &finding.targets()[0];
    assert_eq!(label(target, "__meta_filepath").as_deref(), path.to_str());
    assert_eq!(label(target, "team").as_deref(), Some("x"));
    assert_eq!(label(target, "weight").as_deref(), Some("7"), "a number is its text");

    let changed = Instant::now();
    fs::write(folder.path().join("more.json"), r#"[{"targets": ["c:3"]}]"#).unwrap();
    finding.wait_for(&["a:1", "b:2", "c:3"]);
    assert!(
        changed.elapsed() < Duration::from_secs(20),
        "{:?}: the refresh is minutes away",
        changed.elapsed()
    );

    fs::write(&path, "- targets: ['d:4']\n- null\n").unwrap();
    finding.wait_for_failures("file", 1);
    fs::remove_file(folder.path().join("more.json")).unwrap();
    finding.wait_for(&["a:1", "b:2"]);

    fs::write(&path, "- targets: ['d:4']\n").unwrap();
    finding.wait_for(&["d:4"]);
}
