//! The shape of the YAML file: which keys stand where. Each value is kept as text with its key and place.
//!
//! Comes in: the file's text. Goes out: a [`Document`], or an error with line, column and key. Keeps: no key is passed
//! over. Knows little of what values mean: `sources.rs` does, and `prometheus` of Prometheus's own sections, which are
//! read at once.

use std::path::Path;

use super::Environment;
use super::error::{ConfigError, Place};
use super::prometheus::{self, Prometheus};
use super::relabel::rules;
use super::section::{Item, Section};
use super::setting::Setting;
use super::yaml::compose;
use crate::relabel::{NameValidation, Rules};

/// The whole file.
#[derive(Default)]
pub(super) struct Document {
    pub(super) listen: Option<ListenList>,
    pub(super) data: DataSection,
    pub(super) limits: LimitsSection,
    pub(super) workers: Option<Setting>,
    pub(super) shard: Option<ShardSection>,
    pub(super) prometheus: Prometheus,
}

/// `shard`.
pub(super) struct ShardSection {
    pub(super) index: Setting,
    pub(super) count: Setting,
}

/// `listen`.
pub(super) struct ListenList {
    pub(super) place: Place,
    pub(super) sections: Vec<ListenSection>,
}

/// One element of `listen`.
pub(super) struct ListenSection {
    pub(super) address: Setting,
    pub(super) protocol: Option<Setting>,
    pub(super) tls: Option<TlsSection>,
    pub(super) users: Vec<(Setting, Setting)>,
    pub(super) token_files: Vec<Setting>,
    pub(super) rules: Rules,
    pub(super) tenant_label: Option<Setting>,
    pub(super) receive_buffer: Option<Setting>,
    pub(super) idle_timeout: Option<Setting>,
    pub(super) precision: Option<Setting>,
    pub(super) flush_interval: Option<Setting>,
    pub(super) series_max: Option<Setting>,
    pub(super) percentiles: Option<Vec<Setting>>,
    pub(super) gauge_expiry: Option<Setting>,
    pub(super) tags: Option<Setting>,
}

/// `tls_server_config` of an element of `listen`.
pub(super) struct TlsSection {
    pub(super) cert: PemSetting,
    pub(super) key: PemSetting,
    pub(super) client_ca: Option<PemSetting>,
    pub(super) client_auth_type: Option<Setting>,
    pub(super) min_version: Option<Setting>,
    pub(super) max_version: Option<Setting>,
    pub(super) cipher_suites: Vec<Setting>,
    pub(super) curve_preferences: Vec<Setting>,
    pub(super) prefer_server_cipher_suites: Option<Setting>,
}

/// A file of certificates or a key, or its text.
pub(super) struct PemSetting {
    pub(super) setting: Setting,
    pub(super) is_file: bool,
}

/// `data`.
#[derive(Default)]
pub(super) struct DataSection {
    pub(super) directory: Option<Setting>,
    pub(super) retention: Option<Setting>,
    pub(super) retention_size: Option<Setting>,
    pub(super) free_space_min: Option<Setting>,
    pub(super) commit_linger: Option<Setting>,
    pub(super) commit_interval: Option<Setting>,
    pub(super) commits_per_second_max: Option<Setting>,
    pub(super) disk: Option<Setting>,
}

/// `limits`.
#[derive(Default)]
pub(super) struct LimitsSection {
    pub(super) memory: Option<Setting>,
    pub(super) series_max: Option<Setting>,
    pub(super) body_size_max: Option<Setting>,
    pub(super) decoded_size_max: Option<Setting>,
    pub(super) connections_max: Option<Setting>,
    pub(super) header_timeout: Option<Setting>,
    pub(super) body_idle_timeout: Option<Setting>,
    pub(super) idle_timeout: Option<Setting>,
}

impl Document {
    /// Reads `text`, which came from `path`.
    pub(super) fn read(
        path: &Path,
        text: &str,
        environment: Environment<'_>,
    ) -> Result<Document, ConfigError> {
        let root = compose(text).map_err(|fault| ConfigError {
            place: Place::At(path.into(), fault.at.line, fault.at.column),
            key: key_on_line(text, fault.at.line).into(),
            message: fault.message,
        })?;
        // Nothing but comments is a document of null: all defaults.
        let mut file = Section::open(path, "", &root)?;
        let listen = file.take("listen").filter(|item| !item.is_null());
        let document = Document {
            listen: listen.map(|item| ListenList::read(&item)).transpose()?,
            data: file.section("data")?.map_or(Ok(DataSection::default()), DataSection::read)?,
            limits: file.section("limits")?.map_or(Ok(LimitsSection::default()), LimitsSection::read)?,
            workers: file.setting("workers")?,
            shard: file.section("shard")?.map(ShardSection::read).transpose()?,
            prometheus: prometheus::read(&mut file, environment)?,
        };
        file.end()?;
        Ok(document)
    }
}

impl ShardSection {
    fn read(mut section: Section<'_>) -> Result<ShardSection, ConfigError> {
        let read =
            ShardSection { index: required(&mut section, "index")?, count: required(&mut section, "count")? };
        section.end()?;
        Ok(read)
    }
}

impl ListenList {
    fn read(list: &Item<'_>) -> Result<ListenList, ConfigError> {
        let items = list.items()?.unwrap_or_default();
        let sections = items.iter().map(|item| {
            let section = item.section()?.ok_or_else(|| item.refuse("must be keys with values"))?;
            ListenSection::read(section)
        });
        Ok(ListenList { place: list.place(), sections: sections.collect::<Result<_, _>>()? })
    }
}

impl ListenSection {
    fn read(mut section: Section<'_>) -> Result<ListenSection, ConfigError> {
        let address = required(&mut section, "address")?;
        let protocol = section.setting("protocol")?;
        refuse_foreign_keys(&section, protocol.as_ref().map_or("http", |protocol| &protocol.text))?;
        let users = section.take("basic_auth_users").map_or(Ok(Vec::new()), |users| users.entries())?;
        let users = users.into_iter().map(|(name, hash)| Ok((name, hash.setting()?)));
        let read = ListenSection {
            address,
            protocol,
            tls: section.section("tls_server_config")?.map(TlsSection::read).transpose()?,
            users: users.collect::<Result<_, _>>()?,
            token_files: section.settings("bearer_token_files")?.unwrap_or_default(),
            rules: rules(&mut section, "metric_relabel_configs", RULE_NULL, NameValidation::Utf8)?,
            tenant_label: section.setting("tenant_label")?,
            receive_buffer: section.setting("receive_buffer")?,
            idle_timeout: section.setting("idle_timeout")?,
            precision: section.setting("precision")?,
            flush_interval: section.setting("flush_interval")?,
            series_max: section.setting("series_max")?,
            percentiles: section.settings("percentiles")?,
            gauge_expiry: section.setting("gauge_expiry")?,
            tags: section.setting("tags")?,
        };
        section.end()?;
        Ok(read)
    }
}

impl TlsSection {
    fn read(mut section: Section<'_>) -> Result<TlsSection, ConfigError> {
        if section.take("client_allowed_sans").is_some() {
            return Err(section.refuse_key("client_allowed_sans", "not supported by this version"));
        }
        let read = TlsSection {
            cert: PemSetting::required(&mut section, "cert_file", "cert")?,
            key: PemSetting::required(&mut section, "key_file", "key")?,
            client_ca: PemSetting::read(&mut section, "client_ca_file", "client_ca")?,
            client_auth_type: section.setting("client_auth_type")?,
            min_version: section.setting("min_version")?,
            max_version: section.setting("max_version")?,
            cipher_suites: section.settings("cipher_suites")?.unwrap_or_default(),
            curve_preferences: section.settings("curve_preferences")?.unwrap_or_default(),
            prefer_server_cipher_suites: section.setting("prefer_server_cipher_suites")?,
        };
        section.end()?;
        Ok(read)
    }
}

impl PemSetting {
    fn read(
        section: &mut Section<'_>,
        file: &'static str,
        text: &'static str,
    ) -> Result<Option<PemSetting>, ConfigError> {
        match (section.setting(file)?, section.setting(text)?) {
            (Some(_), Some(text)) => Err(text.refuse(format!("beside {file}: one of them"))),
            (Some(file), None) => Ok(Some(PemSetting { setting: file, is_file: true })),
            (None, Some(text)) => Ok(Some(PemSetting { setting: text, is_file: false })),
            (None, None) => Ok(None),
        }
    }

    fn required(
        section: &mut Section<'_>,
        file: &'static str,
        text: &'static str,
    ) -> Result<PemSetting, ConfigError> {
        PemSetting::read(section, file, text)?.ok_or_else(|| section.refuse_key(file, "missing"))
    }
}

impl DataSection {
    fn read(mut section: Section<'_>) -> Result<DataSection, ConfigError> {
        let read = DataSection {
            directory: section.setting("directory")?,
            retention: section.setting("retention")?,
            retention_size: section.setting("retention_size")?,
            free_space_min: section.setting("free_space_min")?,
            commit_linger: section.setting("commit_linger")?,
            commit_interval: section.setting("commit_interval")?,
            commits_per_second_max: section.setting("commits_per_second_max")?,
            disk: section.setting("disk")?,
        };
        section.end()?;
        Ok(read)
    }
}

impl LimitsSection {
    fn read(mut section: Section<'_>) -> Result<LimitsSection, ConfigError> {
        let read = LimitsSection {
            memory: section.setting("memory")?,
            series_max: section.setting("series_max")?,
            body_size_max: section.setting("body_size_max")?,
            decoded_size_max: section.setting("decoded_size_max")?,
            connections_max: section.setting("connections_max")?,
            header_timeout: section.setting("header_timeout")?,
            body_idle_timeout: section.setting("body_idle_timeout")?,
            idle_timeout: section.setting("idle_timeout")?,
        };
        section.end()?;
        Ok(read)
    }
}

/// A value that must be there.
fn required(section: &mut Section<'_>, key: &'static str) -> Result<Setting, ConfigError> {
    section.setting(key)?.ok_or_else(|| section.refuse_key(key, "missing"))
}

/// Refuses keys that are for protocols other than `spoken`.
fn refuse_foreign_keys(section: &Section<'_>, spoken: &str) -> Result<(), ConfigError> {
    let only: [(&[&str], bool, &str); 4] = [
        (
            &["flush_interval", "series_max", "percentiles", "gauge_expiry", "tags"],
            spoken == "statsd",
            "protocol statsd",
        ),
        (&["precision"], spoken == "influx", "protocol influx"),
        // Lines show no credentials and name no tenant.
        (&["basic_auth_users", "bearer_token_files", "tenant_label"], spoken == "http", "protocol http"),
        (&["receive_buffer", "idle_timeout"], spoken != "http", "protocols of lines"),
    ];
    for (keys, applies, what) in only {
        if let Some(key) = keys.iter().find(|key| !applies && section.has(key)) {
            return Err(section.refuse_key(key, format!("only for {what}")));
        }
    }
    Ok(())
}

/// The key that a line of YAML starts with, for what is no YAML.
fn key_on_line(text: &str, line: u64) -> &str {
    let line = text.lines().nth(usize::try_from(line - 1).unwrap_or(usize::MAX)).unwrap_or_default();
    let key = line.trim_start_matches([' ', '-']).split_once(':').map_or("", |(key, _)| key);
    let sound = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if sound { key } else { "" }
}

const RULE_NULL: &str = "empty or null metric relabeling rule";
