//! Every relabeling case of the shared corpora.
//!
//! VictoriaMetrics's cases are tried where a rule is one that Prometheus would read; those of its own actions and keys
//! must be refused.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidegate::model::{LabelsBuf, Rewrite, Verdict};
use tidegate::relabel::{NameValidation, Rule, RuleText, Rules};

use super::kit::{compare, judge_all};

#[test]
fn every_case_of_the_corpora() {
    judge_all("relabel", &[""], 80, judge);
}

fn judge(suite: &str, case: &Json) -> Result<(), String> {
    let input = &case["input"];
    match suite {
        "prometheus_relabel_test" => {
            let rules = rules(&input["relabel"])?;
            let labels = input["labels"].as_object().unwrap().iter();
            let labels =
                labels.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
            let expected = (case["expect"] == "keep").then(|| {
                let expected = case["expected"].as_object().unwrap().iter();
                expected.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
            });
            compare(&relabel(&rules, &labels), &expected)
        }
        "prometheus_relabel_validate" => {
            let names = match input["name_validation_scheme"].as_str() {
                Some("legacy") => NameValidation::Legacy,
                _ => NameValidation::Utf8,
            };
            // The suite sets fields as they are, where a file's absent keys have defaults.
            let mut text = rule_text(input)?;
            for field in [&mut text.action, &mut text.separator, &mut text.replacement] {
                field.get_or_insert_default();
            }
            let found = Rule::new(&text, names).map(drop).map_err(|e| e.to_string());
            judge_error(case, found)
        }
        "prometheus_target_label_legacy" => {
            let valid = NameValidation::Legacy.accepts_template(input.as_str().unwrap());
            judge_error(case, if valid { Ok(()) } else { Err("invalid".into()) })
        }
        _ => judge_victoriametrics(case),
    }
}

fn judge_error(case: &Json, found: Result<(), String>) -> Result<(), String> {
    let wanted = case["error"].as_str().unwrap_or_default();
    match (case["expect"].as_str().unwrap(), found) {
        ("ok", Ok(())) => Ok(()),
        ("error", Err(error)) if error.contains(wanted) => Ok(()),
        (expect, found) => Err(format!("expected {expect} {wanted:?}, got {found:?}")),
    }
}

fn judge_victoriametrics(case: &Json) -> Result<(), String> {
    let input = &case["input"];
    let config = input["config_yaml"].as_str().unwrap();
    let config: Json =
        serde_saphyr::from_str::<Option<Json>>(config).unwrap().unwrap_or(Json::Array(Vec::new()));
    let rules = match (rules(&config), case["prom_compatible"].as_bool().unwrap()) {
        (Ok(rules), true) => rules,
        (Err(_), false) => return Ok(()),
        (Ok(_), false) => return Err("read, and is VictoriaMetrics's own".into()),
        (Err(error), true) => return Err(error),
    };
    let labels = metric(input["metric"].as_str().unwrap());
    let mut found = relabel(&rules, &labels).unwrap_or_default();
    if input["finalize"].as_bool().unwrap() {
        found.retain(|name, _| !name.starts_with("__") || name == "__name__");
    }
    compare(&found, &metric(case["expected"].as_str().unwrap()))
}

/// `name{a="b",c="d"}`, of which the cases' values have nothing escaped.
fn metric(text: &str) -> BTreeMap<String, String> {
    let (name, labels) = text.split_once('{').unwrap_or((text, "}"));
    let mut found = BTreeMap::new();
    if !name.is_empty() {
        found.insert("__name__".to_owned(), name.to_owned());
    }
    let mut rest = labels.strip_suffix('}').unwrap();
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        found.insert(name.to_owned(), value.to_owned());
        rest = after.trim_start_matches(',');
    }
    found
}

fn relabel(rules: &Rules, labels: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let mut buf = LabelsBuf::default();
    labels.iter().for_each(|(name, value)| buf.push(name.as_bytes(), value.as_bytes()));
    buf.canonicalize().unwrap();
    if rules.rewrite(&mut buf) == Verdict::Drop {
        return None;
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().to_owned();
    Some(buf.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn rules(list: &Json) -> Result<Rules, String> {
    let rule = |config| Rule::new(&rule_text(config)?, NameValidation::Utf8).map_err(|e| e.to_string());
    list.as_array().unwrap().iter().map(rule).collect::<Result<Vec<_>, String>>().map(Rules::new)
}

fn rule_text(config: &Json) -> Result<RuleText, String> {
    let mut text = RuleText::default();
    for (key, value) in config.as_object().unwrap() {
        let scalar = || value.as_str().map(str::to_owned).ok_or(format!("{key} is no text"));
        match key.as_str() {
            "source_labels" => {
                let names = value.as_array().ok_or("source_labels is no list")?;
                text.source_labels = Some(names.iter().map(|n| n.as_str().unwrap().to_owned()).collect());
            }
            "separator" => text.separator = Some(scalar()?),
            "regex" => text.regex = Some(scalar()?),
            "modulus" => text.modulus = value.as_u64(),
            "target_label" => text.target_label = Some(scalar()?),
            "replacement" => text.replacement = Some(scalar()?),
            "action" => text.action = Some(scalar()?),
            "name_validation_scheme" => {}
            other => return Err(format!("unknown key {other}")),
        }
    }
    Ok(text)
}
