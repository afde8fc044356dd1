//! Prometheus's own sections: `global`, `scrape_configs` and their like, as an agent of version 3 reads them.
//!
//! Comes in: the sections of the file, and of those that it names. Goes out: `Prometheus`: jobs in which nothing is
//! left to look up but the files of secrets. Keeps: what Prometheus refuses is refused, in its words where users know
//! them; what is taken but does nothing here is said. Refuses by name what is not built.

mod check;
mod client;
mod cloud;
mod discovery;
mod expand;
mod files;
mod global;
mod job;
mod kubernetes;
mod others;
mod protocols;
mod remote_write;
mod selector;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::sync::Arc;

use check::{Reference, check_files, check_groups};

use super::error::ConfigError;
use super::section::Section;
use crate::app::config::Environment;
use crate::scrape::Job;

pub use cloud::CloudAuth;
pub use remote_write::{MetadataOptions, ProtobufMessage, QueueOptions, RemoteUrl, RemoteWrite};

/// What the file says of Prometheus's sections.
#[derive(Default)]
pub(super) struct Prometheus {
    /// The jobs, in the file's order, those of further files behind them.
    pub(super) jobs: Vec<Arc<Job>>,
    /// Labels that sinks add.
    pub(super) external_labels: Vec<(String, String)>,
    /// Where samples are to go.
    pub(super) remote_write: Vec<RemoteWrite>,
    /// What is worth to be said of what was read.
    pub(super) remarks: Remarks,
}

/// What is worth to be said of a file that can be used.
#[derive(Default)]
pub(super) struct Remarks {
    /// Keys that do nothing here yet, from the top of the file; sorted, none twice.
    pub(super) unsupported: Vec<String>,
    /// Warnings.
    pub(super) warnings: Vec<String>,
    /// Files that will be needed.
    references: Vec<Reference>,
    /// The job of each group of `static_configs`, and where it stands; those of a job in their order.
    groups: Vec<(String, ConfigError)>,
}

impl Prometheus {
    /// Looks at what becomes of the targets of `static_configs`, and at the files that are named, and gives warnings of
    /// those that need not be there.
    ///
    /// # Errors
    /// The first that is not there, or can't be used.
    pub(super) fn check(&self) -> Result<Vec<String>, ConfigError> {
        let mut warnings = check_groups(&self.jobs, &self.remarks.groups)?;
        warnings.extend(check_files(&self.remarks.references)?);
        Ok(warnings)
    }
}

impl Remarks {
    fn unsupported(&mut self, key: &str) {
        if let Err(at) = self.unsupported.binary_search_by(|known| known.as_str().cmp(key)) {
            self.unsupported.insert(at, key.into());
        }
    }
}

/// Reads Prometheus's sections of a file.
///
/// # Errors
/// What Prometheus refuses, and what is not built into tidegate.
pub(super) fn read(file: &mut Section<'_>, environment: Environment<'_>) -> Result<Prometheus, ConfigError> {
    let mut remarks = Remarks::default();
    let global = file.section("global")?;
    let global = global::read(global, environment, &mut remarks)?;
    let jobs = files::jobs(file, &global, &mut remarks)?;
    let remote_write = remote_write::read(file, global.names, &mut remarks)?;
    others::read(file, &global, &mut remarks)?;
    Ok(Prometheus { jobs, external_labels: global.external_labels, remote_write, remarks })
}
