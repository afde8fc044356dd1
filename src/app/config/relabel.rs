//! `relabel_configs` and their like: from keys to rules.

use super::error::ConfigError;
use super::number;
use super::section::Section;
use super::setting::Setting;
use crate::relabel::{NameValidation, Rule, RuleText, Rules};

/// The rules under `key`; nothing is none. An element that says nothing is refused with these words.
///
/// # Errors
/// What Prometheus refuses, at the key that it is about.
pub(super) fn rules(
    section: &mut Section<'_>,
    key: &'static str,
    if_null: &str,
    names: NameValidation,
) -> Result<Rules, ConfigError> {
    let sections = section.sections(key, if_null)?.into_iter();
    sections.map(|section| rule(section, names)).collect::<Result<_, _>>().map(Rules::new)
}

fn rule(mut section: Section<'_>, names: NameValidation) -> Result<Rule, ConfigError> {
    let source_labels = section.settings("source_labels")?;
    let separator = section.text("separator")?;
    let regex = section.text("regex")?;
    let modulus = section.setting("modulus")?;
    let target_label = section.text("target_label")?;
    let replacement = section.text("replacement")?;
    let action = section.text("action")?;
    section.end()?;
    let texts = |settings: Vec<Setting>| settings.into_iter().map(|s| s.text).collect();
    let written = RuleText {
        source_labels: source_labels.map(texts),
        separator: separator.map(|s| s.text),
        regex: regex.map(|s| s.text),
        modulus: modulus.map(|s| number::whole(&s, number::UNSIGNED)).transpose()?,
        target_label: target_label.map(|s| s.text),
        replacement: replacement.map(|s| s.text),
        action: action.map(|s| s.text),
    };
    Rule::new(&written, names).map_err(|error| section.refuse_value(error.key.name(), error.message))
}
