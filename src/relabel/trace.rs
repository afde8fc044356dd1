//! Why labels are what they are: each rule's part in it.
//!
//! The rules are applied by the same code as always; this only looks before and after each.

use crate::model::LabelsBuf;

use super::rule::RuleText;
use super::{Action, Rules};

/// What one rule did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The rule, with the defaults of the keys that its action reads and that are not written.
    pub rule: RuleText,
    /// The joined values that it looked at; none for actions that look at names.
    pub value: Option<Vec<u8>>,
    /// Whether its pattern matches them; none where nothing is matched.
    pub matches: Option<bool>,
    /// What is other after it: name, value before, value after; by name.
    pub changes: Vec<Change>,
    /// Whether the labels are still there after it.
    pub kept: bool,
    /// The labels after it, by name.
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A label that a rule has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value before; none if it is new.
    pub before: Option<Vec<u8>>,
    /// Its value now; none if it is gone.
    pub after: Option<Vec<u8>>,
}

/// Applies the rules to `labels`, and says what each did; the last step is the one that drops them, if one does.
pub fn trace(rules: &Rules, labels: &mut LabelsBuf) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = sorted(labels);
    for rule in &rules.0 {
        let (value, matches) = rule.looks_at(labels);
        let kept = rule.apply(labels);
        let after = sorted(labels);
        let changes = changes(&before, &after);
        steps.push(Step { rule: rule.text(), value, matches, changes, kept, labels: after.clone() });
        if !kept {
            break;
        }
        before = after;
    }
    steps
}

impl Step {
    /// What it did, in a few words.
    pub fn says(&self) -> &'static str {
        let action = self.rule.action.as_deref().unwrap_or_default();
        match (self.kept, self.changes.is_empty(), self.matches) {
            (false, _, _) => "dropped",
            (true, false, _) => "changed",
            (true, true, Some(false)) if action == Action::Replace.to_string() => {
                "no match: nothing is changed"
            }
            (true, true, _) => "nothing is changed",
        }
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn sorted(labels: &LabelsBuf) -> Pairs {
    let mut pairs: Pairs = labels.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    pairs.sort();
    pairs
}

fn changes(before: &Pairs, after: &Pairs) -> Vec<Change> {
    let value = |pairs: &Pairs, name: &[u8]| {
        pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&Vec<u8>> = before.iter().chain(after).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let change = |name: &Vec<u8>| Change {
        name: name.clone(),
        before: value(before, name),
        after: value(after, name),
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Rewrite, Verdict};
    use crate::relabel::{NameValidation, Rule};

    fn rules(list: &[(&str, &str, &str, &str)]) -> Rules {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let rule = |(action, source, regex, target): &(&str, &str, &str, &str)| {
            let text = RuleText {
                action: some(action),
                source_labels: some(source).map(|name| vec![name]),
                regex: some(regex),
                target_label: some(target),
                ..RuleText::default()
            };
            Rule::new(&text, NameValidation::Utf8).unwrap()
        };
        Rules::new(list.iter().map(rule).collect())
    }

    fn labels(list: &[(&str, &str)]) -> LabelsBuf {
        let mut labels = LabelsBuf::default();
        list.iter().for_each(|(name, value)| labels.push(name.as_bytes(), value.as_bytes()));
        labels
    }

    #[test]
    fn each_rule_tells_its_part_up_to_the_one_that_drops() {
        let rules = rules(&[
            ("replace", "a", "x(.*)", "b"),
            ("", "a", "no", "c"),
            ("labeldrop", "", "a", ""),
            ("drop", "b", "1", ""),
            ("uppercase", "b", "", "b"),
        ]);
        let mut traced = labels(&[("a", "x1"), ("b", "old")]);
        let steps = trace(&rules, &mut traced);
        let said: Vec<&str> = steps.iter().map(Step::says).collect();
        assert_eq!(said, ["changed", "no match: nothing is changed", "changed", "dropped"]);
        assert_eq!((steps[0].value.as_deref(), steps[0].matches), (Some(&b"x1"[..]), Some(true)));
        let change = Change { name: b"b".into(), before: Some(b"old".into()), after: Some(b"1".into()) };
        assert_eq!(steps[0].changes, [change]);
        let gone = Change { name: b"a".into(), before: Some(b"x1".into()), after: None };
        assert_eq!((&steps[2].changes[..], &steps[2].value), (&[gone][..], &None));
        assert_eq!(steps[1].rule.regex.as_deref(), Some("no"));
        assert_eq!(steps[1].rule.action.as_deref(), Some("replace"), "what is not written is said");
        assert_eq!(steps[0].rule.replacement.as_deref(), Some("$1"));

        let mut rewritten = labels(&[("a", "x1"), ("b", "old")]);
        assert_eq!(rules.rewrite(&mut rewritten), Verdict::Drop);
        assert_eq!(sorted(&rewritten), sorted(&traced));
    }
}
