//! Relabeling: labels in; other labels, or that the series is dropped, out. Prometheus's rules, with its meaning.
//!
//! Comes in: [`RuleText`], a rule as a file has it. Goes out: [`Rules`], which are a
//! [`Rewrite`]. Keeps: a rule that is not sound is refused when it is read, with Prometheus's
//! words; a rule that is does with the same labels always the same. Knows nothing of files, series or rows.
//!
//! It runs when a series is new to its context, never for a row: plain code, which allocates, is fast enough.

mod pattern;
mod rule;
mod template;
#[cfg(test)]
mod tests;
mod trace;

use crate::model::{LabelsBuf, Rewrite, Verdict};

pub(crate) use pattern::Pattern;
pub use rule::{Action, NameValidation, Rule, RuleError, RuleKey, RuleText};
pub use trace::{Change, Step, trace};

/// Rules in their order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Rules that are applied one after the other.
    pub fn new(rules: Vec<Rule>) -> Rules {
        Rules(rules)
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Rewrite for Rules {
    /// A label that a rule leaves without a value is none. A series that the rules leave without labels is dropped.
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        let kept = self.0.iter().all(|rule| rule.apply(labels));
        if kept && !labels.is_empty() { Verdict::Keep } else { Verdict::Drop }
    }
}
