//! `scrape_protocols` and names: which words stand for what.

use crate::app::config::error::ConfigError;
use crate::app::config::setting::Setting;
use crate::relabel::NameValidation;
use crate::scrape::{NameEscaping, ScrapeProtocol};

/// Protocols by name, as Prometheus lists them.
const PROTOCOLS: [(&str, ScrapeProtocol); 5] = [
    ("OpenMetricsText0.0.1", ScrapeProtocol::OpenMetricsText0_0_1),
    ("OpenMetricsText1.0.0", ScrapeProtocol::OpenMetricsText1_0_0),
    ("PrometheusProto", ScrapeProtocol::PrometheusProto),
    ("PrometheusText0.0.4", ScrapeProtocol::PrometheusText0_0_4),
    ("PrometheusText1.0.0", ScrapeProtocol::PrometheusText1_0_0),
];

/// Prometheus asks targets for it, and understands what they answer where a feature flag says so.
const UNSUPPORTED: &str = "OpenMetricsText2.0.0";

/// What is asked for where nobody says; with native histograms, protobuf before all of them.
const DEFAULT: [ScrapeProtocol; 4] = [
    ScrapeProtocol::OpenMetricsText1_0_0,
    ScrapeProtocol::OpenMetricsText0_0_1,
    ScrapeProtocol::PrometheusText1_0_0,
    ScrapeProtocol::PrometheusText0_0_4,
];

/// What is asked for where nobody says.
pub(super) fn default_protocols(native_histograms: bool) -> Vec<ScrapeProtocol> {
    let first = native_histograms.then_some(ScrapeProtocol::PrometheusProto);
    first.into_iter().chain(DEFAULT).collect()
}

/// `scrape_protocols`, which was given; `whose` ends what is said of it.
pub(super) fn protocols(
    settings: &[Setting],
    empty: impl FnOnce(&str) -> ConfigError,
    whose: &str,
) -> Result<Vec<ScrapeProtocol>, ConfigError> {
    let mut found = Vec::new();
    for setting in settings {
        let protocol = protocol(setting, &format!("scrape_protocols: {{}} {whose}"))?;
        if found.contains(&protocol) {
            let names: Vec<&str> = settings.iter().map(|setting| setting.text.as_str()).collect();
            let names = names.join(" ");
            return Err(
                setting.refuse(format!("duplicated protocol in scrape_protocols, got [{names}] {whose}"))
            );
        }
        found.push(protocol);
    }
    if found.is_empty() {
        return Err(empty(&format!("scrape_protocols cannot be empty {whose}")));
    }
    Ok(found)
}

/// A protocol; `context` says where, with `{}` for what is wrong.
pub(super) fn protocol(setting: &Setting, context: &str) -> Result<ScrapeProtocol, ConfigError> {
    let known = PROTOCOLS.iter().find(|(name, _)| *name == setting.text);
    known.map(|(_, protocol)| *protocol).ok_or_else(|| {
        let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        let what = if setting.text == UNSUPPORTED { "unsupported" } else { "unknown" };
        let why = format!("{what} scrape protocol {}, supported: [{}]", setting.text, names.join(" "));
        setting.refuse(context.replace("{}", &why))
    })
}

/// `metric_name_validation_scheme`; empty is none.
pub(super) fn validation(setting: &Setting) -> Result<Option<NameValidation>, ConfigError> {
    match setting.text.as_str() {
        "" => Ok(None),
        "legacy" => Ok(Some(NameValidation::Legacy)),
        "utf8" => Ok(Some(NameValidation::Utf8)),
        other => Err(setting.refuse(format!("unrecognized ValidationScheme: {other:?}"))),
    }
}

/// `metric_name_escaping_scheme`; empty is none. `whose` is `global` or `scrape config`.
pub(super) fn escaping(setting: &Setting, whose: &str) -> Result<Option<NameEscaping>, ConfigError> {
    let found = ESCAPINGS.iter().find(|(name, _)| *name == setting.text);
    if setting.text.is_empty() {
        return Ok(None);
    }
    found.map(|(_, escaping)| Some(*escaping)).ok_or_else(|| {
        let names = "'allow-utf-8', 'underscores', 'dots', or 'values'";
        let got = &setting.text;
        setting.refuse(format!(
            "unknown {whose} name escaping method specified, must be one of {names}, got {got:?}"
        ))
    })
}

/// What targets are asked for where nobody says.
pub(super) fn default_escaping(names: NameValidation) -> NameEscaping {
    match names {
        NameValidation::Utf8 => NameEscaping::AllowUtf8,
        NameValidation::Legacy => NameEscaping::Underscores,
    }
}

const ESCAPINGS: [(&str, NameEscaping); 4] = [
    ("allow-utf-8", NameEscaping::AllowUtf8),
    ("underscores", NameEscaping::Underscores),
    ("dots", NameEscaping::Dots),
    ("values", NameEscaping::Values),
];
