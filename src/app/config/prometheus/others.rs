//! Sections that an agent refuses, and those that are checked and do nothing here.

use std::collections::BTreeSet;

use super::files::is_pattern;
use super::global::{Global, flag, span};
use super::remote_write::{RESERVED, check_remote_read};
use super::{Remarks, tls};
use crate::app::config::error::ConfigError;
use crate::app::config::number;
use crate::app::config::section::Section;
use crate::app::config::setting::Setting;
use crate::app::units::{SIZE_BYTES_MAX, Size};
use crate::relabel::NameValidation;

/// Reads them.
pub(super) fn read(
    file: &mut Section<'_>,
    global: &Global,
    remarks: &mut Remarks,
) -> Result<(), ConfigError> {
    if let Some(mut storage) = file.section("storage")? {
        check_storage(&mut storage)?;
        remarks.unsupported("storage");
    }
    if let Some(mut tracing) = file.section("tracing")? {
        check_tracing(&mut tracing, remarks)?;
        remarks.unsupported("tracing");
    }
    if let Some(mut runtime) = file.section("runtime")? {
        integer(&mut runtime, "gogc")?;
        let level = runtime.text_or_empty("log_level")?;
        if !["", "debug", "info", "warn", "error"].contains(&level.text.to_ascii_lowercase().as_str()) {
            return Err(level.refuse(format!("unrecognized log level {}", level.text)));
        }
        runtime.end()?;
        remarks.unsupported("runtime");
    }
    if let Some(mut otlp) = file.section("otlp")? {
        check_otlp(&mut otlp, global.names)?;
        remarks.unsupported("otlp");
    }
    refuse_what_no_agent_does(file, remarks)
}

/// In Prometheus's words, and only where there is something to be done.
fn refuse_what_no_agent_does(file: &mut Section<'_>, remarks: &mut Remarks) -> Result<(), ConfigError> {
    let rules = file.settings("rule_files")?.unwrap_or_default();
    if let Some(bad) = rules.iter().find(|path| !is_pattern(&path.text)) {
        return Err(bad.refuse(format!("invalid rule file path {:?}", bad.text)));
    }
    let has_remote_read = check_remote_read(file, remarks)?;
    let alerting = file.section("alerting")?;
    let has_alerting = alerting.map_or(Ok(false), |mut alerting| {
        let relabel = alerting.items("alert_relabel_configs")?.is_some_and(|list| !list.is_empty());
        let managers = alerting.items("alertmanagers")?.is_some_and(|list| !list.is_empty());
        alerting.end()?;
        Ok(relabel || managers)
    })?;
    for (key, is_there) in
        [("alerting", has_alerting), ("rule_files", !rules.is_empty()), ("remote_read", has_remote_read)]
    {
        if is_there {
            return Err(file.refuse_key(key, format!("field {key} is not allowed in agent mode")));
        }
    }
    Ok(())
}

fn check_storage(section: &mut Section<'_>) -> Result<(), ConfigError> {
    if let Some(mut tsdb) = section.section("tsdb")? {
        span(&mut tsdb, "out_of_order_time_window")?;
        fraction(&mut tsdb, "stale_series_compaction_threshold")?;
        if let Some(mut encoding) = tsdb.section("chunk_encoding")? {
            let floats = encoding.text_or_empty("floats")?;
            if !["", "xor", "xor2"].contains(&floats.text.as_str()) {
                return Err(floats.refuse(format!(
                    "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted \
                     entirely, got {:?}",
                    floats.text
                )));
            }
            encoding.end()?;
        }
        if let Some(mut retention) = tsdb.section("retention")? {
            check_retention(&mut retention)?;
        }
        tsdb.end()?;
    }
    if let Some(mut exemplars) = section.section("exemplars")? {
        integer(&mut exemplars, "max_exemplars")?;
        exemplars.end()?;
    }
    section.end()
}

fn check_retention(section: &mut Section<'_>) -> Result<(), ConfigError> {
    span(section, "time")?;
    if let Some(size) = section.setting("size")? {
        if let Some(digits) = size.text.strip_prefix('-')
            && digits.parse::<Size>().is_ok()
        {
            let message = "'storage.tsdb.retention.size' must be greater than or equal to 0, got";
            return Err(size.refuse(format!("{message} {}", size.text)));
        }
        size.size(0..=SIZE_BYTES_MAX)?;
    }
    let message = "'storage.tsdb.retention.percentage' must be in the range [0, 100]";
    let percentage = fraction(section, "percentage")?;
    #[expect(clippy::manual_range_contains, reason = "NaN is taken, as by Prometheus")]
    if percentage < 0.0 || percentage > 100.0 {
        return Err(section.refuse_value("percentage", message));
    }
    section.end()
}

fn check_tracing(section: &mut Section<'_>, remarks: &mut Remarks) -> Result<(), ConfigError> {
    if let Some(kind) = section.setting("client_type")?
        && !["http", "grpc"].contains(&kind.text.as_str())
    {
        let message = "expected tracing client type to be to be http or grpc, but got";
        return Err(kind.refuse(format!("{message} {}", kind.text)));
    }
    let endpoint = section.text_or_empty("endpoint")?;
    fraction(section, "sampling_fraction")?;
    flag(section, "insecure", false)?;
    tls::read(section, remarks)?;
    let headers = section.take("headers").map_or(Ok(Vec::new()), |headers| headers.entries())?;
    for (name, _) in headers {
        if name.text.eq_ignore_ascii_case("authorization") {
            return Err(name.refuse("custom authorization header configuration is not yet supported"));
        }
        if RESERVED.iter().any(|reserved| name.text.eq_ignore_ascii_case(reserved)) {
            return Err(name.refuse(format!("{} is a reserved header. It must not be changed", name.text)));
        }
    }
    let compression = section.text_or_empty("compression")?;
    span(section, "timeout")?;
    section.end()?;
    if endpoint.text.is_empty() {
        return Err(section.refuse_value("endpoint", "tracing endpoint must be set"));
    }
    if !["", "gzip"].contains(&compression.text.as_str()) {
        let provided = &compression.text;
        return Err(
            compression.refuse(format!("invalid compression type {provided} provided, valid options: gzip"))
        );
    }
    Ok(())
}

fn check_otlp(section: &mut Section<'_>, names: NameValidation) -> Result<(), ConfigError> {
    let all = flag(section, "promote_all_resource_attributes", false)?;
    let promoted = section.settings("promote_resource_attributes")?.unwrap_or_default();
    let ignored = section.settings("ignore_resource_attributes")?.unwrap_or_default();
    let strategy = section.text_or_empty("translation_strategy")?;
    for key in [
        "keep_identifying_resource_attributes",
        "convert_histograms_to_nhcb",
        "promote_scope_metadata",
        "label_name_underscore_sanitization",
        "label_name_preserve_multiple_underscores",
    ] {
        flag(section, key, false)?;
    }
    section.end()?;
    if all && !promoted.is_empty() {
        return Err(section.refuse_key(
            "promote_resource_attributes",
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously",
        ));
    }
    if !all && !ignored.is_empty() {
        return Err(section.refuse_key(
            "ignore_resource_attributes",
            "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true",
        ));
    }
    check_attributes(&ignored, "ignore_resource_attributes", "ignored")?;
    check_attributes(&promoted, "promote_resource_attributes", "promoted")?;
    match strategy.text.as_str() {
        "" | "UnderscoreEscapingWithSuffixes" | "UnderscoreEscapingWithoutSuffixes" => Ok(()),
        "NoTranslation" | "NoUTF8EscapingWithSuffixes" if names == NameValidation::Utf8 => Ok(()),
        name @ ("NoTranslation" | "NoUTF8EscapingWithSuffixes") => Err(strategy
            .refuse(format!("OTLP translation strategy {name:?} is not allowed when UTF8 is disabled"))),
        name => Err(strategy.refuse(format!("unsupported OTLP translation strategy {name:?}"))),
    }
}

fn check_attributes(settings: &[Setting], key: &str, adjective: &str) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for setting in settings {
        let attribute = setting.text.trim();
        let wrong = if attribute.is_empty() {
            format!("empty {adjective} OTel resource attribute")
        } else if !seen.insert(attribute) {
            format!("duplicated {adjective} OTel resource attribute {attribute:?}")
        } else {
            continue;
        };
        return Err(setting.refuse(format!("invalid '{key}': {wrong}")));
    }
    Ok(())
}

/// A number without a fraction; none is 0.
fn integer(section: &mut Section<'_>, key: &'static str) -> Result<i64, ConfigError> {
    section.setting(key)?.map_or(Ok(0), |setting| number::whole(&setting, number::SIGNED))
}

/// A number; none is 0.
fn fraction(section: &mut Section<'_>, key: &'static str) -> Result<f64, ConfigError> {
    section.setting(key)?.map_or(Ok(0.0), |setting| number::real(&setting))
}
