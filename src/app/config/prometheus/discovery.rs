//! Where a job's targets come from.

use std::time::Duration;

use super::check::Reference;
use super::global::span;
use super::{Remarks, client, kubernetes, url};
use crate::app::config::error::ConfigError;
use crate::app::config::number;
use crate::app::config::section::Section;
use crate::app::config::setting::Setting;
use crate::scrape::{Discovery, DnsRecord, Group};

/// The sources of a job's targets.
pub(super) struct Sources {
    found: Vec<Discovery>,
    groups: Vec<Group>,
    /// Targets of `static_configs`, to be refused where they must be addresses.
    targets: Vec<Setting>,
    /// Where each of the groups stands: what to say if one can't be used, but for the message.
    pub(super) places: Vec<ConfigError>,
}

/// Whether the targets of `static_configs` must be addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// They must be.
    Checked,
    /// Rules will make addresses of them.
    Any,
}

/// Reads the `*_sd_configs` and `static_configs` of a job.
pub(super) fn read(section: &mut Section<'_>, remarks: &mut Remarks) -> Result<Sources, ConfigError> {
    for kind in NOT_BUILT {
        if section.items(kind)?.is_some_and(|list| !list.is_empty()) {
            return Err(section.refuse_key(kind, format!("{kind} is not built into tidegate")));
        }
    }
    section.conceal(&NOT_BUILT);
    let mut found = Vec::new();
    for section in section.sections("dns_sd_configs", "empty or null section in dns_sd_configs")? {
        found.push(dns(section)?);
    }
    for section in section.sections("file_sd_configs", "empty or null section in file_sd_configs")? {
        found.push(file(section, remarks)?);
    }
    for section in section.sections("http_sd_configs", "empty or null section in http_sd_configs")? {
        found.push(http(section, remarks)?);
    }
    let null = "empty or null section in kubernetes_sd_configs";
    for section in section.sections("kubernetes_sd_configs", null)? {
        found.push(Discovery::Kubernetes(kubernetes::read(section, remarks)?));
    }
    let mut sources = Sources { found, groups: Vec::new(), targets: Vec::new(), places: Vec::new() };
    let null = "empty or null section in static_configs";
    for (i, section) in section.sections("static_configs", null)?.into_iter().enumerate() {
        sources.group(i, section)?;
    }
    Ok(sources)
}

impl Sources {
    fn group(&mut self, index: usize, mut section: Section<'_>) -> Result<(), ConfigError> {
        let targets = section.settings("targets")?.unwrap_or_default();
        let labels = section.take("labels").map_or(Ok(Vec::new()), |labels| labels.labels())?;
        section.end()?;
        let key = if labels.is_empty() { "targets" } else { "labels" };
        self.places.push(section.refuse_value(key, ""));
        if let Some((name, _)) = labels.iter().find(|(name, _)| name.text.is_empty()) {
            return Err(name.refuse("\"\" is not a valid label name"));
        }
        let mut labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.text, value.text)).collect();
        labels.sort();
        self.groups.push(Group {
            source: index.to_string(),
            targets: targets.iter().map(|target| vec![(ADDRESS.into(), target.text.clone())]).collect(),
            labels,
        });
        self.targets.extend(targets);
        Ok(())
    }

    /// All sources, what the file itself has as the last.
    pub(super) fn with_static(mut self, groups: Groups) -> Result<Vec<Discovery>, ConfigError> {
        if groups == Groups::Checked
            && let Some(bad) = self.targets.iter().find(|target| target.text.contains('/'))
        {
            return Err(bad.refuse(format!("{:?} is not a valid hostname", bad.text)));
        }
        if !self.groups.is_empty() {
            self.found.push(Discovery::Static(self.groups));
        }
        Ok(self.found)
    }
}

fn dns(mut section: Section<'_>) -> Result<Discovery, ConfigError> {
    let names = section.settings("names")?.unwrap_or_default();
    let refresh = refresh(&mut section, 30)?;
    let record = section.text("type")?;
    let port =
        section.setting("port")?.map_or(Ok(0), |port| number::whole(&port, 0..=i128::from(u16::MAX)))?;
    section.end()?;
    if names.is_empty() {
        let message = "DNS-SD config must contain at least one SRV record name";
        return Err(section.refuse_value("names", message));
    }
    let text = record.as_ref().map_or("SRV", |record| &record.text);
    let known = RECORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let invalid = || section.refuse_value("type", format!("invalid DNS-SD records type {text}"));
    let record = known.ok_or_else(invalid)?.1;
    if record != DnsRecord::Srv && port == 0 {
        let message = "a port is required in DNS-SD configs for all record types except SRV";
        return Err(section.refuse_value("port", message));
    }
    Ok(Discovery::Dns { names: names.into_iter().map(|name| name.text).collect(), record, port, refresh })
}

fn file(mut section: Section<'_>, remarks: &mut Remarks) -> Result<Discovery, ConfigError> {
    let files = section.settings("files")?.unwrap_or_default();
    let refresh = refresh(&mut section, 5 * 60)?;
    section.end()?;
    if files.is_empty() {
        let message = "file service discovery config must contain at least one path name";
        return Err(section.refuse_value("files", message));
    }
    if let Some(bad) = files.iter().find(|file| !is_file_pattern(&file.text)) {
        return Err(bad.refuse(format!("path name {:?} is not valid for file discovery", bad.text)));
    }
    let patterns: Vec<_> = files.iter().map(|file| section.beside(&file.text)).collect();
    let pairs = files.iter().zip(&patterns);
    let references = pairs.map(|(file, path)| Reference::to_targets(file.refuse(""), path.clone()));
    remarks.references.extend(references);
    Ok(Discovery::File { patterns, refresh })
}

/// Whether there is a star in the last part only, and the file's kind is one that is read.
fn is_file_pattern(path: &str) -> bool {
    let Some((name, kind)) = path.rsplit_once('.') else { return false };
    let known = ["json", "yml", "yaml", "JSON", "YML", "YAML"].contains(&kind);
    known && name.split_once('*').is_none_or(|(_, after)| !after.contains('/'))
}

fn http(mut section: Section<'_>, remarks: &mut Remarks) -> Result<Discovery, ConfigError> {
    let refresh = refresh(&mut section, 60)?;
    let url = section.text("url")?.map_or(String::new(), |url| url.text);
    if url.is_empty() {
        return Err(section.refuse_value("url", "URL is missing"));
    }
    let parsed = url::parse(&url).map_err(|why| section.refuse_value("url", why))?;
    if !["http", "https"].contains(&parsed.scheme.as_str()) {
        return Err(section.refuse_value("url", "URL scheme must be 'http' or 'https'"));
    }
    if parsed.host.is_empty() {
        return Err(section.refuse_value("url", "host is missing in URL"));
    }
    let client = client::read(&mut section, true, remarks)?.options;
    section.end()?;
    Ok(Discovery::Http { url, refresh, client })
}

/// How often to look; never is no answer.
fn refresh(section: &mut Section<'_>, default_s: u64) -> Result<Duration, ConfigError> {
    let is_set = section.has("refresh_interval");
    match span(section, "refresh_interval")? {
        None if is_set => Err(section.refuse_value("refresh_interval", "must be above 0")),
        span => Ok(span.unwrap_or(Duration::from_secs(default_s))),
    }
}

const ADDRESS: &str = "__address__";

const RECORDS: [(&str, DnsRecord); 5] = [
    ("SRV", DnsRecord::Srv),
    ("A", DnsRecord::A),
    ("AAAA", DnsRecord::Aaaa),
    ("MX", DnsRecord::Mx),
    ("NS", DnsRecord::Ns),
];

/// Prometheus's other kinds.
const NOT_BUILT: [&str; 32] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];
