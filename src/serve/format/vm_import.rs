//! `/api/v1/import`: VictoriaMetrics' JSON lines.
//!
//! `extra_label=name=value`, given any number of times, adds a label to every series, in place of its own of that
//! name. VictoriaMetrics answers 204 whatever was in the body; here a body with lines that were not taken is a 400 that
//! names them. A line that was not taken counts as the rows that it would have been: as many as it has values, or one
//! if they can't be counted. `docs/victoriametrics.md` says what is refused.

use crate::wire::vm_import::{Decoder, ExtraLabels};

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows};
use crate::http::{Head, Query};

/// Reads the head of a write.
pub(super) fn open(head: &Head<'_>) -> Result<Opened, Answer> {
    let format = Format::VmImport;
    let extra = extra_labels(head.query).map_err(|e| format.refusal(400, &e))?;
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::VmImport(Box::new(Decoder::new(extra))),
        reading: Reading::Streamed,
    })
}

fn extra_labels(query: &str) -> Result<ExtraLabels, String> {
    let mut labels = ExtraLabels::default();
    for pair in Query::new(query) {
        let (name, value) = pair.map_err(|e| e.to_string())?;
        if name != "extra_label" {
            continue;
        }
        match value.split_once('=') {
            Some((name, value)) if !name.is_empty() => labels.push(name.as_bytes(), value.as_bytes()),
            _ => return Err(format!("extra_label is name=value, not {value:?}")),
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_labels_are_names_and_values() {
        let mut expected = ExtraLabels::default();
        expected.push(b"job", b"a=b");
        expected.push(b"dc", b"x y");
        let found = extra_labels("extra_label=job=a=b&max_rows_per_line=3&extra_label=dc%3dx+y");
        assert_eq!(found, Ok(expected));
        assert_eq!(extra_labels(""), Ok(ExtraLabels::default()));
        for bad in ["extra_label=job", "extra_label=", "extra_label==x", "extra_label=%zz"] {
            assert!(extra_labels(bad).is_err(), "{bad}");
        }
    }
}
