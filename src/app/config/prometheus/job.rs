//! An element of `scrape_configs`: from keys to a job.

use std::sync::Arc;

use super::Remarks;
use super::client;
use super::discovery::{self, Groups};
use super::global::{Global, count, failure_log, flag, limits, span};
use super::protocols::{default_escaping, default_protocols, escaping, protocol, protocols, validation};
use crate::app::config::error::ConfigError;
use crate::app::config::number;
use crate::app::config::relabel::rules;
use crate::app::config::section::Section;
use crate::relabel::NameValidation;
use crate::scrape::{BodyLimits, Histograms, Job, NameEscaping, Scheme};

/// Reads one.
pub(super) fn read(
    section: &mut Section<'_>,
    global: &Global,
    remarks: &mut Remarks,
) -> Result<Job, ConfigError> {
    let discovered = discovery::read(section, remarks)?;
    let client = client::read(section, true, remarks)?.options;
    let name = section.text("job_name")?.map_or(String::new(), |name| name.text);
    if name.is_empty() {
        return Err(section.refuse_value("job_name", "job_name is empty"));
    }
    remarks.groups.extend(discovered.places.iter().map(|at| (name.clone(), at.clone())));
    let whose = format!("for scrape config with job name {name:?}");
    let interval = span(section, "scrape_interval")?.unwrap_or(global.interval);
    let timeout = span(section, "scrape_timeout")?;
    if timeout.is_some_and(|timeout| timeout > interval) {
        let message = format!("scrape timeout greater than scrape interval {whose}");
        return Err(section.refuse_value("scrape_timeout", message));
    }
    let native = flag(section, "scrape_native_histograms", global.native_histograms)?;
    let asked = section.settings("scrape_protocols")?;
    let asked =
        asked.map(|settings| protocols(&settings, |why| section.refuse_key("scrape_protocols", why), &whose));
    let asked = asked.transpose()?.or_else(|| global.protocols.clone());
    let fallback = section.text("fallback_scrape_protocol")?.filter(|fallback| !fallback.text.is_empty());
    let fallback_context = format!("invalid fallback_scrape_protocol {whose}: {{}}");
    let (names, escaping) = names(section, global)?;
    if failure_log(section)? {
        remarks.unsupported(&section.path_of("scrape_failure_log_file"));
    }
    let scheme = section.text("scheme")?.filter(|scheme| !scheme.text.is_empty());
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let metrics_path = section.text("metrics_path")?.map_or("/metrics".into(), |path| path.text);
    let relabel =
        rules(section, "relabel_configs", "empty or null target relabeling rule in scrape config", names)?;
    let metric_relabel = rules(
        section,
        "metric_relabel_configs",
        "empty or null metric relabeling rule in scrape config",
        names,
    )?;
    let job = Job {
        interval,
        timeout: timeout.unwrap_or(global.timeout.min(interval)),
        scheme: scheme.map_or(Ok(Scheme::Http), |scheme| match Scheme::parse(&scheme.text) {
            Some(known) => Ok(known),
            None => scheme.choice(&schemes),
        })?,
        metrics_path,
        params: params(section)?,
        honor_labels: flag(section, "honor_labels", false)?,
        honor_timestamps: flag(section, "honor_timestamps", true)?,
        track_timestamps_staleness: flag(section, "track_timestamps_staleness", false)?,
        protocols: asked.unwrap_or_else(|| default_protocols(native)),
        fallback_protocol: fallback.map(|fallback| protocol(&fallback, &fallback_context)).transpose()?,
        compression: flag(section, "enable_compression", true)?,
        limits: inherited(limits(section)?, &global.limits),
        histograms: Histograms {
            native,
            classic_too: flag(section, "always_scrape_classic_histograms", global.classic_too)?,
            convert_classic: flag(section, "convert_classic_histograms_to_nhcb", global.convert_classic)?,
            buckets_max: count(section, "native_histogram_bucket_limit")?,
            bucket_factor_min: bucket_factor(section)?,
        },
        names,
        escaping,
        extra_metrics: flag(section, "extra_scrape_metrics", global.extra_metrics)?,
        client,
        // Whoever has rules may have targets that only rules make addresses of.
        discovery: discovered.with_static(if relabel.is_empty() { Groups::Checked } else { Groups::Any })?,
        relabel: Arc::new(relabel),
        metric_relabel: Arc::new(metric_relabel),
        name,
    };
    section.end()?;
    Ok(job)
}

/// Which names there may be, and what targets are asked to do with them: the job's words, else the global ones.
fn names(section: &mut Section<'_>, global: &Global) -> Result<(NameValidation, NameEscaping), ConfigError> {
    let own = section.text("metric_name_validation_scheme")?.map_or(Ok(None), |s| validation(&s))?;
    let names = own.unwrap_or(global.names);
    let inherited = match own {
        Some(own) => default_escaping(own),
        None => global.escaping.unwrap_or_else(|| default_escaping(global.names)),
    };
    let own = section.text("metric_name_escaping_scheme")?;
    let escaping = own.map_or(Ok(None), |own| escaping(&own, "scrape config"))?.unwrap_or(inherited);
    if escaping == NameEscaping::AllowUtf8 && names != NameValidation::Utf8 {
        let message = "utf8 metric names requested but validation scheme is not set to UTF8";
        return Err(section.refuse_value("metric_name_escaping_scheme", message));
    }
    Ok((names, escaping))
}

/// The job's limits; one that is 0 is the global one.
fn inherited(own: BodyLimits, global: &BodyLimits) -> BodyLimits {
    let or = |own, global| if own == 0 { global } else { own };
    BodyLimits {
        body_bytes_max: or(own.body_bytes_max, global.body_bytes_max),
        samples_max: or(own.samples_max, global.samples_max),
        labels_max: or(own.labels_max, global.labels_max),
        label_name_bytes_max: or(own.label_name_bytes_max, global.label_name_bytes_max),
        label_value_bytes_max: or(own.label_value_bytes_max, global.label_value_bytes_max),
        targets_max: or(own.targets_max, global.targets_max),
        dropped_shown_max: or(own.dropped_shown_max, global.dropped_shown_max),
    }
}

fn params(section: &mut Section<'_>) -> Result<Vec<(String, Vec<String>)>, ConfigError> {
    let entries = section.take("params").map_or(Ok(Vec::new()), |params| params.entries())?;
    let read = entries.into_iter().map(|(name, values)| {
        let values = values.items()?.unwrap_or_default();
        let texts = values.iter().map(|value| Ok(value.setting()?.text));
        Ok((name.text, texts.collect::<Result<_, ConfigError>>()?))
    });
    read.collect()
}

fn bucket_factor(section: &mut Section<'_>) -> Result<f64, ConfigError> {
    let Some(setting) = section.setting("native_histogram_min_bucket_factor")? else { return Ok(0.0) };
    let factor = Some(number::real(&setting)?).filter(|factor| factor.is_finite());
    factor.ok_or_else(|| setting.refuse(format!("{:?}: must be finite", setting.text)))
}
