//! `global`: what holds for every job that does not say otherwise.

use std::time::Duration;

use super::protocols::{escaping, protocols, validation};
use super::{Remarks, expand};
use crate::app::config::Environment;
use crate::app::config::error::ConfigError;
use crate::app::config::number;
use crate::app::config::section::Section;
use crate::app::units::{SIZE_BYTES_MAX, SPAN_MS_MAX};
use crate::relabel::NameValidation;
use crate::scrape::{BodyLimits, NameEscaping, ScrapeProtocol};

/// `global`.
pub(super) struct Global {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// None where nobody says: then it depends on the job.
    pub(super) protocols: Option<Vec<ScrapeProtocol>>,
    pub(super) limits: BodyLimits,
    pub(super) names: NameValidation,
    pub(super) escaping: Option<NameEscaping>,
    pub(super) native_histograms: bool,
    pub(super) convert_classic: bool,
    pub(super) classic_too: bool,
    pub(super) extra_metrics: bool,
    pub(super) external_labels: Vec<(String, String)>,
}

impl Default for Global {
    fn default() -> Global {
        Global {
            interval: Duration::from_secs(60),
            timeout: TIMEOUT_DEFAULT,
            protocols: None,
            limits: BodyLimits::default(),
            names: NameValidation::Utf8,
            escaping: None,
            native_histograms: false,
            convert_classic: false,
            classic_too: false,
            extra_metrics: false,
            external_labels: Vec::new(),
        }
    }
}

/// Reads it.
pub(super) fn read(
    section: Option<Section<'_>>,
    environment: Environment<'_>,
    remarks: &mut Remarks,
) -> Result<Global, ConfigError> {
    let Some(mut section) = section else { return Ok(Global::default()) };
    let default = Global::default();
    let interval = span(&mut section, "scrape_interval")?.unwrap_or(default.interval);
    let timeout = span(&mut section, "scrape_timeout")?;
    if timeout.is_some_and(|timeout| timeout > interval) {
        return Err(
            section.refuse_value("scrape_timeout", "global scrape timeout greater than scrape interval")
        );
    }
    let named = section.settings("scrape_protocols")?;
    let protocols = named.map(|settings| {
        protocols(&settings, |why| section.refuse_key("scrape_protocols", why), "for global config")
    });
    let names = section.text("metric_name_validation_scheme")?.map_or(Ok(None), |s| validation(&s))?;
    let global = Global {
        interval,
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT.min(interval)),
        protocols: protocols.transpose()?,
        limits: limits(&mut section)?,
        names: names.unwrap_or_default(),
        escaping: section
            .text("metric_name_escaping_scheme")?
            .map_or(Ok(None), |setting| escaping(&setting, "global"))?,
        native_histograms: flag(&mut section, "scrape_native_histograms", false)?,
        convert_classic: flag(&mut section, "convert_classic_histograms_to_nhcb", false)?,
        classic_too: flag(&mut section, "always_scrape_classic_histograms", false)?,
        extra_metrics: flag(&mut section, "extra_scrape_metrics", false)?,
        external_labels: external_labels(&mut section, names.unwrap_or_default(), environment, remarks)?,
    };
    if failure_log(&mut section)? {
        remarks.unsupported("global.scrape_failure_log_file");
    }
    // Rules and queries are not what an agent does: as in Prometheus, nothing is said of these.
    span(&mut section, "evaluation_interval")?;
    span(&mut section, "rule_query_offset")?;
    section.text("query_log_file")?;
    count(&mut section, "query_max_series")?;
    count(&mut section, "query_max_samples_read")?;
    span(&mut section, "query_max_duration")?;
    section.end()?;
    Ok(global)
}

/// A duration; none, and one of no length, is what nobody said.
pub(super) fn span(section: &mut Section<'_>, key: &'static str) -> Result<Option<Duration>, ConfigError> {
    let setting = section.setting(key)?;
    let span = setting.map(|setting| setting.duration(0..=SPAN_MS_MAX)).transpose()?;
    Ok(span.filter(|span| !span.is_zero()))
}

/// A truth; a key without a value is none, as Prometheus has it.
pub(super) fn flag(section: &mut Section<'_>, key: &'static str, default: bool) -> Result<bool, ConfigError> {
    section.text(key)?.map_or(Ok(default), |setting| setting.flag())
}

/// A number; none is 0.
pub(super) fn count(section: &mut Section<'_>, key: &'static str) -> Result<u64, ConfigError> {
    section.setting(key)?.map_or(Ok(0), |setting| number::whole(&setting, number::UNSIGNED))
}

/// The keys of limits, which `global` and jobs share.
pub(super) fn limits(section: &mut Section<'_>) -> Result<BodyLimits, ConfigError> {
    let body = section.setting("body_size_limit")?;
    Ok(BodyLimits {
        body_bytes_max: body.map_or(Ok(0), |size| size.size(0..=SIZE_BYTES_MAX))?,
        samples_max: count(section, "sample_limit")?,
        labels_max: count(section, "label_limit")?,
        label_name_bytes_max: count(section, "label_name_length_limit")?,
        label_value_bytes_max: count(section, "label_value_length_limit")?,
        targets_max: count(section, "target_limit")?,
        dropped_shown_max: count(section, "keep_dropped_targets")?,
    })
}

/// Whether a file for failures is named.
pub(super) fn failure_log(section: &mut Section<'_>) -> Result<bool, ConfigError> {
    Ok(section.text("scrape_failure_log_file")?.is_some_and(|file| !file.text.is_empty()))
}

/// The labels that sinks add: the one place where the environment is looked at.
fn external_labels(
    section: &mut Section<'_>,
    names: NameValidation,
    environment: Environment<'_>,
    remarks: &mut Remarks,
) -> Result<Vec<(String, String)>, ConfigError> {
    let labels = section.take("external_labels").map_or(Ok(Vec::new()), |item| item.labels())?;
    let mut expanded = Vec::with_capacity(labels.len());
    for (name, value) in labels {
        if !names.accepts(name.text.as_bytes()) {
            return Err(name.refuse(format!("{:?} is not a valid label name", name.text)));
        }
        let value = expand::expand(&value.text, |variable| {
            let found = environment(variable).map(|found| found.to_string_lossy().into_owned());
            found.filter(|found| !found.is_empty()).unwrap_or_else(|| {
                remarks
                    .warnings
                    .push(format!("global.external_labels.{}: the environment has no {variable}", name.text));
                String::new()
            })
        });
        expanded.push((name.text, value));
    }
    expanded.sort();
    Ok(expanded)
}

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
