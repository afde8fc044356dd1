//! The committed inputs of the fuzz targets, through the functions that libFuzzer calls: what was once interesting, or
//! wrong, is tried at every run.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like tests")]

#[allow(unreachable_pub, reason = "a crate's root elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::Path;

#[test]
fn every_input_of_the_corpora() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut folders: Vec<_> = fs::read_dir(&corpora)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let names: Vec<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders, names, "a folder of inputs for each target, and a target for each folder");
    for (name, target) in fuzz::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            // Shown if the input fails.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{name}: no inputs");
    }
}

#[test]
fn no_input_at_all() {
    fuzz::TARGETS.iter().for_each(|(_, target)| target(b""));
}
