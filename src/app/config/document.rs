//! The shape of the YAML file: which keys stand where. Every value is kept as text with its place.
//!
//! Comes in: the file's text. Goes out: a [`Document`], or an error with line, column and key. Keeps: no key is
//! passed over. Knows nothing of what values mean; `sources.rs` does.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::{Error, MessageFormatter, Spanned, UserMessageFormatter};

use super::error::{ConfigError, Place};

/// A value as written, and where.
pub(super) type Text = Spanned<String>;

/// The whole file.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) listen: Option<Spanned<Vec<ListenSection>>>,
    pub(super) data: Option<DataSection>,
    pub(super) limits: Option<LimitsSection>,
    pub(super) workers: Option<Text>,
}

/// One element of `listen`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenSection {
    pub(super) address: Text,
    pub(super) protocol: Option<Text>,
    pub(super) tls_server_config: Option<TlsSection>,
    pub(super) basic_auth_users: Option<BTreeMap<String, Text>>,
    pub(super) bearer_token_files: Option<Vec<Text>>,
    pub(super) metric_relabel_configs: Option<Vec<Spanned<RelabelSection>>>,
    pub(super) tenant_label: Option<Text>,
    pub(super) receive_buffer: Option<Text>,
    pub(super) idle_timeout: Option<Text>,
    pub(super) precision: Option<Text>,
    pub(super) flush_interval: Option<Text>,
    pub(super) series_max: Option<Text>,
    pub(super) percentiles: Option<Vec<Text>>,
    pub(super) gauge_expiry: Option<Text>,
    pub(super) tags: Option<Text>,
}

/// `tls_server_config` of an element of `listen`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSection {
    pub(super) cert_file: Text,
    pub(super) key_file: Text,
    pub(super) client_auth_type: Option<Text>,
    pub(super) client_ca_file: Option<Text>,
    pub(super) min_version: Option<Text>,
    pub(super) max_version: Option<Text>,
    pub(super) cipher_suites: Option<Vec<Text>>,
    pub(super) curve_preferences: Option<Vec<Text>>,
    pub(super) prefer_server_cipher_suites: Option<Text>,
}

/// One element of `metric_relabel_configs`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct RelabelSection {
    pub(super) source_labels: Option<Vec<Text>>,
    pub(super) separator: Option<Text>,
    pub(super) regex: Option<Text>,
    pub(super) modulus: Option<Text>,
    pub(super) target_label: Option<Text>,
    pub(super) replacement: Option<Text>,
    pub(super) action: Option<Text>,
}

/// `data`.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct DataSection {
    pub(super) directory: Option<Text>,
    pub(super) retention: Option<Text>,
    pub(super) retention_size: Option<Text>,
    pub(super) free_space_min: Option<Text>,
    pub(super) cursor_size_max: Option<Text>,
    pub(super) commit_linger: Option<Text>,
    pub(super) commit_interval: Option<Text>,
    pub(super) commits_per_second_max: Option<Text>,
    pub(super) disk: Option<Text>,
}

/// `limits`.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSection {
    pub(super) memory: Option<Text>,
    pub(super) series_max: Option<Text>,
    pub(super) body_size_max: Option<Text>,
    pub(super) decoded_size_max: Option<Text>,
    pub(super) connections_max: Option<Text>,
    pub(super) header_timeout: Option<Text>,
    pub(super) body_idle_timeout: Option<Text>,
    pub(super) idle_timeout: Option<Text>,
}

impl Document {
    /// Reads `text`, which came from `path`.
    pub(super) fn read(path: &Path, text: &str) -> Result<Document, ConfigError> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            emit_comments: false,
        };
        // Nothing but comments is a document of null: all defaults.
        match serde_saphyr::from_str_with_options::<Option<Document>>(text, options) {
            Ok(document) => Ok(document.unwrap_or_default()),
            Err(error) => Err(refusal(path, text, &error)),
        }
    }
}

fn refusal(path: &Path, text: &str, error: &Error) -> ConfigError {
    let place = match error.location() {
        Some(at) if at.line() > 0 => Place::At(path.into(), at.line(), at.column()),
        _ => Place::File(path.into()),
    };
    let (key, message) = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("{}{field}", section(expected)), unknown(field, expected))
        }
        Error::SerdeMissingField { field, .. } => ((*field).into(), "missing".into()),
        Error::DuplicateMappingKey { key: Some(key), .. } => (key.clone(), "given twice".into()),
        _ => {
            let line = match &place {
                Place::At(_, line, _) => text.lines().nth(usize::try_from(*line - 1).unwrap_or(usize::MAX)),
                _ => None,
            };
            (line.and_then(key_on).unwrap_or_default().into(), plain(error))
        }
    };
    ConfigError { place, key, message }
}

/// What is wrong, without the place: that is said in front.
fn plain(error: &Error) -> String {
    if let Error::Unexpected { expected, .. } = error {
        match *expected {
            "mapping start" => return "must be keys with values".into(),
            "sequence start" => return "must be a list".into(),
            "string scalar" => return "must be a single value".into(),
            _ => {}
        }
    }
    UserMessageFormatter.format_message(error.without_snippet()).into_owned()
}

/// The section, with its dot, whose keys are `expected`: each has one that no other has.
fn section(expected: &[&str]) -> &'static str {
    let own = [
        ("address", "listen."),
        ("cert_file", "listen.tls_server_config."),
        ("source_labels", "listen.metric_relabel_configs."),
        ("directory", "data."),
        ("memory", "limits."),
    ];
    own.iter().find(|(key, _)| expected.contains(key)).map_or("", |(_, section)| section)
}

/// What to say of a key that we don't have.
fn unknown(key: &str, expected: &[&str]) -> String {
    let later: &[&str] = match section(expected) {
        "" => &SECTIONS_LATER,
        "listen.tls_server_config." => &TLS_KEYS_LATER,
        _ => &[],
    };
    if later.contains(&key) {
        return "not supported by this version".into();
    }
    match near(key, expected) {
        Some(known) => format!("unknown key, did you mean {known}?"),
        None => format!("unknown key, expected one of {}", expected.join(", ")),
    }
}

/// The known word that `word` is probably a misspelling of.
pub(super) fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|known| (strsim::damerau_levenshtein(word, known), *known));
    let (distance, nearest) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= DISTANCE_MAX && distance < nearest.len() / 2 + 1).then_some(nearest)
}

/// The key that a line of YAML starts with, for errors that don't know theirs.
fn key_on(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches([' ', '-']).split_once(':')?;
    let sound = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    sound.then_some(key)
}

/// Sections of prometheus.yml, and ours, that a later version will understand. To pass over them would be to promise
/// scrapes and deliveries that never happen.
const SECTIONS_LATER: [&str; 12] = [
    "global",
    "scrape_configs",
    "scrape_config_files",
    "remote_write",
    "remote_read",
    "rule_files",
    "alerting",
    "storage",
    "tracing",
    "runtime",
    "otlp",
    "shard",
];

/// The same for `tls_server_config`.
const TLS_KEYS_LATER: [&str; 4] = ["cert", "key", "client_ca", "client_allowed_sans"];

/// How many typing errors we forgive a key that we suggest.
const DISTANCE_MAX: usize = 3;
