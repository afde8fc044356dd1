//! `remote_write`: where samples are to go.

use super::Remarks;
use crate::app::config::error::ConfigError;
use crate::app::config::section::Section;
use crate::relabel::NameValidation;

/// An element of `remote_write`.
#[derive(Clone, PartialEq, Debug)]
pub struct RemoteWrite {}

/// Reads the list.
pub(super) fn read(
    file: &mut Section<'_>,
    _names: NameValidation,
    remarks: &mut Remarks,
) -> Result<Vec<RemoteWrite>, ConfigError> {
    if file.items("remote_write")?.is_some() {
        remarks.unsupported("remote_write");
    }
    Ok(Vec::new())
}
