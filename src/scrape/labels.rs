//! What a target's samples get: its labels, and what its job's rules make of them.

use std::sync::Arc;

use crate::model::{LabelsBuf, Rewrite, Verdict};

use super::target::Target;

/// Gives the series of a target their labels.
#[derive(Clone, Debug)]
pub(super) struct TargetLabels(Arc<Target>);

impl TargetLabels {
    pub(super) fn new(target: &Arc<Target>) -> TargetLabels {
        TargetLabels(Arc::clone(target))
    }
}

impl Rewrite for TargetLabels {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        let job = &self.0.job;
        for (name, value) in &self.0.labels {
            labels.set(name.as_bytes(), value.as_bytes());
        }
        if job.metric_relabel.is_empty() { Verdict::Keep } else { job.metric_relabel.rewrite(labels) }
    }
}
