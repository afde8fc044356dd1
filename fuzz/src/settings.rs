//! What operators write: relabel rules, and configuration files.

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;

use tidegate::app::config::Config;
use tidegate::app::host::Host;
use tidegate::model::{LabelsBuf, Rewrite, Verdict};
use tidegate::relabel::{NameValidation, Rule, RuleText, Rules};

/// Names and values.
type Labels = Vec<(Vec<u8>, Vec<u8>)>;

/// A rule whose parts are the input's lines, on labels that are the rest: refused, or the same each time; and `keep`
/// and `drop` with one pattern are opposites.
pub fn relabel(data: &[u8]) {
    const ACTIONS: [&str; 11] = [
        "replace",
        "keep",
        "drop",
        "keepequal",
        "dropequal",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
    ];
    let (&flags, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut lines = rest.split(|&b| b == b'\n');
    let mut text = || lines.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let rule = RuleText {
        regex: text(),
        replacement: text(),
        target_label: text(),
        separator: text(),
        source_labels: Some(vec!["a".into(), "b".into()]),
        modulus: (flags & 0x80 != 0).then_some(u64::from(flags)),
        action: Some(ACTIONS[usize::from(flags & 0x1f) % ACTIONS.len()].into()),
    };
    let values: Vec<&[u8]> = lines.collect();
    let labels = || {
        let mut labels = LabelsBuf::default();
        for (name, value) in ["__name__", "a", "b", "cc"].iter().zip(&values) {
            labels.push(name.as_bytes(), value);
        }
        labels.canonicalize().expect("no name comes twice");
        labels
    };
    let rewritten = |text: &RuleText| -> Option<(Verdict, Labels)> {
        let validation = if flags & 0x40 != 0 { NameValidation::Legacy } else { NameValidation::Utf8 };
        let rules = Rules::new(vec![Rule::new(text, validation).ok()?]);
        let mut labels = labels();
        let verdict = rules.rewrite(&mut labels);
        Some((verdict, labels.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()))
    };
    assert_eq!(rewritten(&rule), rewritten(&rule), "not the same each time");
    if labels().is_empty() {
        return;
    }
    let judged = |action: &str| {
        let text =
            RuleText { action: Some(action.into()), target_label: None, modulus: None, ..rule.clone() };
        rewritten(&text).map(|(verdict, _)| verdict)
    };
    match (judged("keep"), judged("drop")) {
        (Some(keep), Some(drop)) => assert_ne!(keep, drop),
        (keep, drop) => assert_eq!(keep, drop, "one pattern, sound and not"),
    }
}

/// A configuration file: taken, or refused with the same words each time.
pub fn config(data: &[u8]) {
    const HOST: Host = Host { memory_bytes: 8 << 30, cores: 6 };
    thread_local! {
        static FILE: OnceCell<PathBuf> = const { OnceCell::new() };
    }
    let path = FILE.with(|file| {
        let path = || std::env::temp_dir().join(format!("tidegate-fuzz-{}.yml", std::process::id()));
        file.get_or_init(path).clone()
    });
    fs::write(&path, data).expect("a temporary file can be written");
    let check = || Config::check(&path, HOST).map_err(|error| error.to_string());
    let first = check();
    assert_eq!(check(), first);
    if let Err(error) = first {
        assert!(!error.is_empty());
    }
}
