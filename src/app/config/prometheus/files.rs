//! `scrape_configs`, and those of the files that `scrape_config_files` names.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use super::global::Global;
use super::{Remarks, job};
use crate::app::config::error::{ConfigError, Place};
use crate::app::config::read_text;
use crate::app::config::section::Section;
use crate::app::config::setting::Setting;
use crate::app::config::yaml::compose;
use crate::scrape::{Job, matching};

/// The jobs of `file` and of the files that it names.
pub(super) fn jobs(
    file: &mut Section<'_>,
    global: &Global,
    remarks: &mut Remarks,
) -> Result<Vec<Arc<Job>>, ConfigError> {
    let patterns = file.settings("scrape_config_files")?.unwrap_or_default();
    if let Some(bad) = patterns.iter().find(|pattern| !is_pattern(&pattern.text)) {
        return Err(bad.refuse(format!("invalid scrape config file path {:?}", bad.text)));
    }
    let mut jobs = Jobs { found: Vec::new(), named: HashMap::new(), global, remarks };
    jobs.of_file(file, true)?;
    for pattern in &patterns {
        if pattern.text.is_empty() {
            continue;
        }
        let found = matching(&file.beside(&pattern.text)).map_err(|error| unreadable(pattern, &error))?;
        for path in found {
            let text = read_text(&path).map_err(|error| unreadable(pattern, &error))?;
            let root = compose(&text).map_err(|fault| ConfigError {
                place: Place::At(path.clone(), fault.at.line, fault.at.column),
                key: String::new(),
                message: fault.message,
            })?;
            let mut file = Section::open(&path, "", &root)?;
            jobs.of_file(&mut file, false)?;
            file.end()?;
        }
    }
    Ok(jobs.found)
}

/// Whether stars are in the last part only.
pub(super) fn is_pattern(path: &str) -> bool {
    path.split_once('*').is_none_or(|(_, after)| !after.contains('/'))
}

fn unreadable(pattern: &Setting, error: &impl Display) -> ConfigError {
    pattern.refuse(format!("{:?}: {error}", pattern.text))
}

struct Jobs<'a> {
    found: Vec<Arc<Job>>,
    /// Where each name was seen first.
    named: HashMap<String, PathBuf>,
    global: &'a Global,
    remarks: &'a mut Remarks,
}

impl Jobs<'_> {
    fn of_file(&mut self, file: &mut Section<'_>, is_main: bool) -> Result<(), ConfigError> {
        for mut section in file.sections("scrape_configs", "empty or null scrape config section")? {
            let job = job::read(&mut section, self.global, self.remarks)?;
            if let Some(first) = self.named.get(&job.name) {
                let name = &job.name;
                let message = format!("found multiple scrape configs with job name {name:?}");
                // Within one file it is found at once; a file may be named twice.
                let elsewhere = match is_main {
                    true => String::new(),
                    false => format!(", first found in {}", first.display()),
                };
                return Err(section.refuse_value("job_name", message + &elsewhere));
            }
            self.named.insert(job.name.clone(), file.file().into());
            self.found.push(Arc::new(job));
        }
        Ok(())
    }
}
