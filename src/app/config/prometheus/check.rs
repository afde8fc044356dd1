//! What a configuration names, looked at before anybody needs it: files, and targets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::config::error::{ConfigError, Place};
use crate::app::config::read_text;
use crate::app::config::section::{Item, Section};
use crate::app::config::yaml::{Fault, compose};
use crate::scrape::targets::{JobTargets, Shard, TargetError};
use crate::scrape::{Credential, Discovery, Job, matching};

/// A file that a configuration names.
pub(super) struct Reference {
    /// What to say where it can't be used; the message is not there yet.
    at: ConfigError,
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A certificate, a key, a token.
    Credential,
    /// A pattern of files with targets.
    Targets,
}

impl Reference {
    /// To the file of a credential, where it is in one.
    pub(super) fn to_credential(
        section: &Section<'_>,
        key: &str,
        credential: Option<&Credential>,
    ) -> Option<Reference> {
        let Some(Credential::File(path)) = credential else { return None };
        Some(Reference { at: section.refuse_value(key, ""), path: path.clone(), kind: Kind::Credential })
    }

    /// To files with targets.
    pub(super) fn to_targets(at: ConfigError, pattern: PathBuf) -> Reference {
        Reference { at, path: pattern, kind: Kind::Targets }
    }

    fn refuse(&self, why: impl std::fmt::Display) -> ConfigError {
        ConfigError { message: format!("{}: {why}", self.path.display()), ..self.at.clone() }
    }
}

/// Looks at each of the files, and gives warnings of those that need not be there.
///
/// # Errors
/// The first that is not there, or can't be used.
pub(super) fn check_files(references: &[Reference]) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for reference in references {
        match reference.kind {
            Kind::Credential => {
                reference.path.metadata().map_err(|error| reference.refuse(error))?;
            }
            Kind::Targets => {
                let files = matching(&reference.path).map_err(|error| reference.refuse(error))?;
                files.iter().try_for_each(|file| check_targets(reference, file))?;
                if files.is_empty() {
                    warnings.push(reference.refuse("no such file").to_string());
                }
            }
        }
    }
    Ok(warnings)
}

/// Makes targets of the groups in the file itself, as a server would: rules may have made of them what can't be used.
/// `places` are the groups' jobs, and where they stand. Gives warnings of targets that Prometheus would ask in vain.
///
/// # Errors
/// The first target that rules keep and that can't be used.
pub(super) fn check_groups(
    jobs: &[Arc<Job>],
    places: &[(String, ConfigError)],
) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for job in jobs {
        let groups = job.discovery.iter().filter_map(|way| match way {
            Discovery::Static(groups) => Some(groups),
            _ => None,
        });
        let places = places.iter().filter(|(name, _)| *name == job.name);
        for (group, (_, at)) in groups.flatten().zip(places) {
            for failed in JobTargets::new(job, [group], Shard::default()).failed {
                let error = ConfigError { message: failed.error.to_string(), ..at.clone() };
                match failed.error {
                    TargetError::Scheme(_) => warnings.push(error.to_string()),
                    _ => return Err(error),
                }
            }
        }
    }
    Ok(warnings)
}

/// Whether a file holds groups of targets. JSON is YAML, too.
fn check_targets(reference: &Reference, file: &Path) -> Result<(), ConfigError> {
    let text = read_text(file).map_err(|error| reference.refuse(error))?;
    let root = compose(&text).map_err(|fault: Fault| ConfigError {
        place: Place::At(file.into(), fault.at.line, fault.at.column),
        key: String::new(),
        message: fault.message,
    })?;
    for group in Item::root(file, &root).items()?.unwrap_or_default() {
        let mut group = group.section()?.ok_or_else(|| group.refuse("nil target group item found"))?;
        group.settings("targets")?;
        group.take("labels").map_or(Ok(Vec::new()), |labels| labels.labels())?;
        group.end()?;
    }
    Ok(())
}
