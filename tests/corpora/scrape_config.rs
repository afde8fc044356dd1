//! Every configuration of Prometheus's own tests, as `tidegate check` and `serve` read them.
//!
//! Discovery kinds that are not built stand among the exceptions, and must be refused by name.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tidegate::app::args::ServeArgs;
use tidegate::app::config::Config;
use tidegate::app::host::Host;

use super::kit::judge_all;

#[test]
fn every_case_of_the_corpora() {
    judge_all("scrape_config", &[""], 120, judge);
}

fn judge(suite: &str, case: &Json) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let id = case["id"].as_str().unwrap();
    let name = id.split_once('/').unwrap().1;
    let text = case["input"].as_str().unwrap();
    let text = match suite {
        "prometheus_common_http_config" => client(name, text),
        _ => text.to_owned(),
    };
    // Files that cases name: one of jobs, and a folder of such.
    let jobs = "scrape_configs:\n  - job_name: prometheus\n    static_configs:\n      - targets: ['localhost:8080']\n";
    write(directory.path().join("scrape_config_files.good.yml"), jobs);
    let found = load(&write(directory.path().join("prometheus.yml"), &text));
    let wanted = case["error"].as_str().unwrap_or_default();
    match (case["expect"].as_str().unwrap(), found) {
        ("ok", Ok(_)) => Ok(()),
        (_, Err(error)) if has_kind_not_built(&text) => {
            let what =
                error.contains(" is not built into tidegate") || error.contains("allowed in agent mode");
            assert!(what, "{id}: not refused by name: {error}");
            // Whatever else the file says is judged like any other.
            if case["expect"] == "ok" {
                let rest = load(&write(directory.path().join("rest.yml"), &for_agents(&text)));
                assert!(rest.is_ok(), "{id}: without what is not built: {rest:?}");
            }
            Err(error)
        }
        ("error", Err(error)) if says(&error, wanted) => Ok(()),
        ("unspecified", found) => unspecified(name, found),
        (expect, found) => Err(format!("expected {expect} {wanted:?}, got {found:?}")),
    }
}

/// Whether a file has a discovery kind that is not built.
fn has_kind_not_built(text: &str) -> bool {
    let built = ["dns_sd_configs", "file_sd_configs", "http_sd_configs", "kubernetes_sd_configs"];
    let keys = text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).split_once(':'));
    keys.map(|(key, _)| key)
        .any(|key| key.ends_with("_sd_configs") && !built.contains(&key) && key != "consult_sd_configs")
}

/// A file without its jobs of other kinds, and without the sections that an agent refuses.
fn for_agents(text: &str) -> String {
    let mut kept = String::new();
    for section in pieces(text, |line| !line.starts_with([' ', '#', '-']) && !line.is_empty()) {
        if ["alerting:", "rule_files:", "remote_read:"].iter().any(|key| section.starts_with(key)) {
            continue;
        }
        let is_job = |line: &str| line.starts_with("  - job_name:") || line.starts_with("- job_name:");
        kept.extend(pieces(&section, is_job).into_iter().filter(|piece| !has_kind_not_built(piece)));
    }
    kept
}

/// A text in pieces, each of which but the first starts with a line that is a start.
fn pieces(text: &str, is_start: impl Fn(&str) -> bool) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in text.lines() {
        if is_start(line) {
            pieces.push(String::new());
        }
        let piece = pieces.last_mut().unwrap();
        piece.push_str(line);
        piece.push('\n');
    }
    pieces
}

/// Whether an error says what Prometheus says, but for what its YAML library and its file names add.
fn says(error: &str, wanted: &str) -> bool {
    if wanted.contains("unmarshal") || wanted.contains("not found in type") {
        return true;
    }
    let wanted = wanted.split_once(".yml: ").map_or(wanted, |(_, wanted)| wanted);
    error.contains(wanted)
}

/// Cases whose result depends on how Prometheus was started: as an agent.
fn unspecified(name: &str, found: Result<Config, String>) -> Result<(), String> {
    let refused = match name {
        "agent_mode.with_alert_manager.yml" => Some("field alerting is not allowed in agent mode"),
        "agent_mode.with_rule_files.yml" => Some("field rule_files is not allowed in agent mode"),
        "otlp_allow_utf8.bad.yml" => Some("unsupported OTLP translation strategy"),
        "otlp_sanitize_ignore_resource_attributes.bad.yml" => {
            Some("duplicated ignored OTel resource attribute \"k8s.job.name\"")
        }
        "scrape_config_files_double_import.bad.yml"
        | "scrape_config_files_duplicate.bad.yml"
        | "scrape_config_files_global_duplicate.bad.yml" => {
            Some("found multiple scrape configs with job name \"prometheus\", first found in ")
        }
        "static_config.bad.yml" => Some("targets: unknown key"),
        _ => None,
    };
    match (refused, found) {
        (None, Ok(_)) => Ok(()),
        (Some(wanted), Err(error)) if error.contains(wanted) => Ok(()),
        (refused, found) => Err(format!("expected {refused:?}, got {found:?}")),
    }
}

/// A job with the options of a client, or with those of TLS.
fn client(name: &str, text: &str) -> String {
    let (key, indent) = if name.starts_with("tls_config") { ("    tls_config:\n", 6) } else { ("", 4) };
    let lines = text.lines().map(|line| format!("{:indent$}{}\n", "", line.replace('\t', "  ")));
    let body: String = match text.trim_start().starts_with('{') {
        // JSON is a value as a whole.
        true if key.is_empty() => {
            return format!(
                "scrape_configs: [{{job_name: x, {}]\n",
                text.trim_start().strip_prefix('{').unwrap().replace('\t', " ")
            );
        }
        _ => lines.collect(),
    };
    format!("scrape_configs:\n  - job_name: x\n{key}{body}")
}

fn load(path: &Path) -> Result<Config, String> {
    let flags = ServeArgs { config: Some(path.into()), ..ServeArgs::default() };
    Config::load(&flags, &|_| None, Host { memory_bytes: 1 << 30, cores: 1 })
        .map_err(|error| error.to_string())
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    std::fs::write(&path, text).unwrap();
    path
}
