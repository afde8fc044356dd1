//! `scrape_configs`, and those of the files that `scrape_config_files` names.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::global::Global;
use super::{Remarks, job};
use crate::app::config::error::{ConfigError, Place};
use crate::app::config::read_text;
use crate::app::config::section::Section;
use crate::app::config::setting::Setting;
use crate::app::config::yaml::compose;
use crate::scrape::Job;

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
        for path in matches(&file.beside(&pattern.text)).map_err(|error| unreadable(pattern, &error))? {
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

/// Whether there is a star in the last part only.
pub(super) fn is_pattern(path: &str) -> bool {
    path.split_once('*').is_none_or(|(_, after)| !after.contains(['/', '*']))
}

fn unreadable(pattern: &Setting, error: &io::Error) -> ConfigError {
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

/// The files that a pattern stands for, sorted; one that is not there is none, as in Prometheus.
pub(super) fn matches(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().unwrap_or_default().to_os_string();
    if !name.to_string_lossy().contains('*') {
        return Ok(if pattern.exists() { vec![pattern.into()] } else { Vec::new() });
    }
    let directory = match pattern.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?.file_name();
        if is_match(&name, &entry) {
            found.push(pattern.with_file_name(entry));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name is what stands before the star, anything, and what stands behind it.
fn is_match(pattern: &OsString, name: &OsString) -> bool {
    let (pattern, name) = (pattern.as_encoded_bytes(), name.as_encoded_bytes());
    let star = pattern.iter().position(|b| *b == b'*').unwrap_or(pattern.len());
    let (before, after) = (&pattern[..star], pattern.get(star + 1..).unwrap_or_default());
    name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
}
