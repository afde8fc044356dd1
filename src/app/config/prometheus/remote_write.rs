//! `remote_write` and `remote_read`: where samples are to go, and where an agent must not read them.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Formatter};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::cloud::{self, CloudAuth};
use super::global::{count, flag, span};
use super::{Remarks, client, url};
use crate::app::config::error::ConfigError;
use crate::app::config::number;
use crate::app::config::relabel::rules;
use crate::app::config::section::Section;
use crate::app::units::SPAN_MS_MAX;
use crate::relabel::{NameValidation, Rules};
use crate::scrape::{ClientOptions, Credential, Redacted};

/// An element of `remote_write`.
#[derive(Clone, PartialEq, Debug)]
pub struct RemoteWrite {
    /// What it is called in metrics; empty where nobody says.
    pub name: String,
    /// Where.
    pub url: RemoteUrl,
    /// How long a request may take.
    pub timeout: Duration,
    /// Further headers.
    pub headers: Vec<(String, Credential)>,
    /// What is done with the labels of series.
    pub relabel: Arc<Rules>,
    /// Exemplars are sent.
    pub send_exemplars: bool,
    /// Native histograms are sent.
    pub send_native_histograms: bool,
    /// Each connection goes to another of the name's addresses.
    pub round_robin_dns: bool,
    /// The version of the protocol.
    pub message: ProtobufMessage,
    /// How the server is spoken to.
    pub client: ClientOptions,
    /// How requests are made up and repeated.
    pub queue: QueueOptions,
    /// Whether and how metadata are sent.
    pub metadata: MetadataOptions,
    /// Credentials of a cloud's own kind.
    pub cloud: Option<CloudAuth>,
}

/// A URL, whose password is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(pub String);

impl Debug for RemoteUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Redacted(&self.0).fmt(f)
    }
}

/// `protobuf_message`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtobufMessage {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

/// `queue_config`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueOptions {
    /// Samples that wait for each shard.
    pub capacity: u64,
    /// Requests at one time, at most.
    pub shards_max: u64,
    /// Requests at one time, at least.
    pub shards_min: u64,
    /// Samples of a request.
    pub samples_per_send_max: u64,
    /// The longest that a sample waits for its request to be full.
    pub batch_send_deadline: Duration,
    /// Between a request and its repetition, at first.
    pub backoff_min: Duration,
    /// And at last.
    pub backoff_max: Duration,
    /// A request that is answered 429 is repeated.
    pub retry_on_rate_limit: bool,
    /// Samples older than this are not sent; none is any age.
    pub sample_age_max: Option<Duration>,
}

/// `metadata_config`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataOptions {
    /// Whether they are sent.
    pub send: bool,
    /// How often.
    pub interval: Duration,
    /// How many in a request.
    pub per_send_max: u64,
}

/// Reads the list.
pub(super) fn read(
    file: &mut Section<'_>,
    names: NameValidation,
    remarks: &mut Remarks,
) -> Result<Vec<RemoteWrite>, ConfigError> {
    let sections = file.sections("remote_write", "empty or null remote write config section")?;
    let mut found = Vec::with_capacity(sections.len());
    let mut seen = BTreeSet::new();
    for mut section in sections {
        let write = element(&mut section, names, remarks)?;
        unique("write", &write.name, &mut seen, &section)?;
        found.push(write);
    }
    if !found.is_empty() {
        remarks.unsupported("remote_write");
    }
    Ok(found)
}

/// Reads `remote_read`, as far as Prometheus would before it refuses it; whether there is any.
pub(super) fn check_remote_read(file: &mut Section<'_>, remarks: &mut Remarks) -> Result<bool, ConfigError> {
    let sections = file.sections("remote_read", "empty or null remote read config section")?;
    let is_any = !sections.is_empty();
    let mut seen = BTreeSet::new();
    for mut section in sections {
        let section = &mut section;
        location(section, "url for remote_read is empty")?;
        span(section, "remote_timeout")?;
        count(section, "chunked_read_limit")?;
        headers(section)?;
        flag(section, "read_recent", false)?;
        section.take("required_matchers").map_or(Ok(Vec::new()), |matchers| matchers.labels())?;
        flag(section, "filter_external_labels", true)?;
        client::read(section, true, remarks)?;
        let name = section.text_or_empty("name")?.text;
        section.end()?;
        unique("read", &name, &mut seen, section)?;
    }
    Ok(is_any)
}

fn unique(
    direction: &str,
    name: &str,
    seen: &mut BTreeSet<String>,
    section: &Section<'_>,
) -> Result<(), ConfigError> {
    if !name.is_empty() && !seen.insert(name.into()) {
        let message = format!("found multiple remote {direction} configs with job name {name:?}");
        return Err(section.refuse_value("name", message));
    }
    Ok(())
}

fn element(
    section: &mut Section<'_>,
    names: NameValidation,
    remarks: &mut Remarks,
) -> Result<RemoteWrite, ConfigError> {
    let url = location(section, "url for remote_write is empty")?;
    let headers = headers(section)?;
    let message = message(section)?;
    let client = client::read(section, false, remarks)?.options;
    let queue = queue(section)?;
    let metadata = metadata(section)?;
    let cloud = cloud::read(section)?;
    let others = [
        ("basic_auth", client.basic_auth.is_some()),
        ("authorization", client.authorization.is_some()),
        ("oauth2", client.oauth2.is_some()),
    ];
    let configured: Vec<&str> = others.iter().filter(|(_, is)| *is).map(|(key, _)| *key).collect();
    if let (Some(cloud), false) = (&cloud, configured.is_empty()) {
        return Err(section.refuse_key(
            cloud.key(),
            format!(
                "at most one of {} must be configured. Currently configured: [{} {}]",
                cloud::ALL,
                configured.join(" "),
                cloud.key()
            ),
        ));
    }
    let null = "empty or null relabeling rule in remote write config";
    let write = RemoteWrite {
        name: section.text_or_empty("name")?.text,
        url: RemoteUrl(url),
        timeout: span_or(section, "remote_timeout", Duration::from_secs(30))?,
        headers,
        relabel: Arc::new(rules(section, "write_relabel_configs", null, names)?),
        send_exemplars: flag(section, "send_exemplars", false)?,
        send_native_histograms: flag(section, "send_native_histograms", false)?,
        round_robin_dns: flag(section, "round_robin_dns", false)?,
        message,
        client,
        queue,
        metadata,
        cloud,
    };
    flag(section, "failed_request_logging", false)?;
    flag(section, "convert_nhcb_to_classic", false)?;
    section.end()?;
    Ok(write)
}

fn location(section: &mut Section<'_>, if_missing: &str) -> Result<String, ConfigError> {
    let url = section.text_or_empty("url")?;
    if url.text.is_empty() {
        return Err(url.refuse(if_missing));
    }
    url::parse(&url.text).map_err(|why| url.refuse(why))?;
    Ok(url.text)
}

fn message(section: &mut Section<'_>) -> Result<ProtobufMessage, ConfigError> {
    let Some(setting) = section.text("protobuf_message")? else { return Ok(ProtobufMessage::V1) };
    let found = MESSAGES.iter().find(|(name, _)| *name == setting.text);
    found.map(|(_, message)| *message).ok_or_else(|| {
        let (name, supported) = (&setting.text, MESSAGES.map(|(name, _)| name).join(", "));
        setting.refuse(format!(
            "invalid protobuf_message value: unknown type for remote write protobuf message {name}, supported: \
             {supported}"
        ))
    })
}

fn headers(section: &mut Section<'_>) -> Result<Vec<(String, Credential)>, ConfigError> {
    let entries = section.take("headers").map_or(Ok(Vec::new()), |headers| headers.entries())?;
    let read = entries.into_iter().map(|(name, value)| {
        if name.text.eq_ignore_ascii_case("authorization") {
            return Err(name.refuse(
                "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or \
                 google_iam parameter",
            ));
        }
        if RESERVED.iter().any(|reserved| name.text.eq_ignore_ascii_case(reserved)) {
            return Err(name.refuse(format!("{} is a reserved header. It must not be changed", name.text)));
        }
        Ok((name.text, Credential::Text(value.setting()?.text)))
    });
    read.collect()
}

fn queue(section: &mut Section<'_>) -> Result<QueueOptions, ConfigError> {
    let default = QueueOptions {
        capacity: 10_000,
        shards_max: 50,
        shards_min: 1,
        samples_per_send_max: 2_000,
        batch_send_deadline: Duration::from_secs(5),
        backoff_min: Duration::from_millis(30),
        backoff_max: Duration::from_secs(5),
        retry_on_rate_limit: false,
        sample_age_max: None,
    };
    let Some(mut section) = section.section("queue_config")? else { return Ok(default) };
    let section = &mut section;
    let queue = QueueOptions {
        shards_max: positive(section, "max_shards", default.shards_max)?,
        shards_min: positive(section, "min_shards", default.shards_min)?,
        samples_per_send_max: positive(section, "max_samples_per_send", default.samples_per_send_max)?,
        capacity: positive(section, "capacity", default.capacity)?,
        batch_send_deadline: span_or(section, "batch_send_deadline", default.batch_send_deadline)?,
        backoff_min: span_or(section, "min_backoff", default.backoff_min)?,
        backoff_max: span_or(section, "max_backoff", default.backoff_max)?,
        retry_on_rate_limit: flag(section, "retry_on_http_429", false)?,
        sample_age_max: span(section, "sample_age_limit")?,
    };
    section.end()?;
    if queue.shards_min > queue.shards_max {
        let message = "remote write queue min_shards must not be greater than max_shards";
        return Err(section.refuse_value("min_shards", message));
    }
    if queue.backoff_max < queue.backoff_min {
        let message = "remote write queue max_backoff must not be less than min_backoff";
        return Err(section.refuse_value("max_backoff", message));
    }
    Ok(queue)
}

fn metadata(section: &mut Section<'_>) -> Result<MetadataOptions, ConfigError> {
    let default = MetadataOptions { send: true, interval: Duration::from_secs(60), per_send_max: 2_000 };
    let Some(mut section) = section.section("metadata_config")? else { return Ok(default) };
    let per_send = section.setting("max_samples_per_send")?;
    let metadata = MetadataOptions {
        send: flag(&mut section, "send", default.send)?,
        interval: span_or(&mut section, "send_interval", default.interval)?,
        per_send_max: per_send.map_or(Ok(default.per_send_max), |number| number::whole(&number, COUNTS))?,
    };
    section.end()?;
    Ok(metadata)
}

/// A number above 0; one without a value is 0, as Prometheus has it.
fn positive(section: &mut Section<'_>, key: &'static str, default: u64) -> Result<u64, ConfigError> {
    let Some(setting) = section.text(key)? else { return Ok(default) };
    let is_nothing = setting.text.is_empty() && !setting.is_quoted;
    let number: i64 = if is_nothing { 0 } else { number::whole(&setting, number::SIGNED)? };
    let refuse = || setting.refuse(format!("remote write queue {key} must be positive"));
    u64::try_from(number).ok().filter(|number| *number > 0).ok_or_else(refuse)
}

/// A duration; one without a value is 0, as Prometheus has it.
fn span_or(section: &mut Section<'_>, key: &'static str, default: Duration) -> Result<Duration, ConfigError> {
    match section.text(key)? {
        None => Ok(default),
        Some(setting) if setting.text.is_empty() => Ok(Duration::ZERO),
        Some(setting) => setting.duration(0..=SPAN_MS_MAX),
    }
}

const MESSAGES: [(&str, ProtobufMessage); 2] = [
    ("prometheus.WriteRequest", ProtobufMessage::V1),
    ("io.prometheus.write.v2.Request", ProtobufMessage::V2),
];

/// Headers of `remote_write`, `remote_read` and `tracing` that must be left alone.
pub(super) const RESERVED: [&str; 16] = [
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// What Go's `int` holds, without what is below none.
const COUNTS: RangeInclusive<i128> = 0..=i64::MAX as i128;
