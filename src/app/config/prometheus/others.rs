//! Sections that an agent has no use for, or refuses.

use super::Remarks;
use super::global::Global;
use crate::app::config::error::ConfigError;
use crate::app::config::section::Section;

/// Reads them.
pub(super) fn read(
    file: &mut Section<'_>,
    _global: &Global,
    remarks: &mut Remarks,
) -> Result<(), ConfigError> {
    for key in ["storage", "tracing", "runtime", "otlp"] {
        if file.section(key)?.is_some() {
            remarks.unsupported(key);
        }
    }
    for key in ["rule_files", "alerting", "remote_read"] {
        if file.take(key).is_some_and(|item| !item.is_null()) {
            return Err(file.refuse_key(key, format!("field {key} is not allowed in agent mode")));
        }
    }
    Ok(())
}
