//! One rule: what of it may be said together, and what it does.

use std::fmt::{self, Display, Formatter};

use md5::{Digest, Md5};

use crate::model::LabelsBuf;

use super::pattern::Pattern;
use super::template::Template;

/// A rule as it is written; a key that is not there has Prometheus's default.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RuleText {
    /// Labels whose values are joined; `[]`.
    pub source_labels: Option<Vec<String>>,
    /// What stands between joined values; `;`.
    pub separator: Option<String>,
    /// The pattern of the joined values; `(.*)`.
    pub regex: Option<String>,
    /// Of the hash; none.
    pub modulus: Option<u64>,
    /// The label that is set; none.
    pub target_label: Option<String>,
    /// What it is set to; `$1`.
    pub replacement: Option<String>,
    /// What is done; `replace`. Case does not matter.
    pub action: Option<String>,
}

/// A key of [`RuleText`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleKey {
    /// `source_labels`
    SourceLabels,
    /// `regex`
    Regex,
    /// `modulus`
    Modulus,
    /// `target_label`
    TargetLabel,
    /// `replacement`
    Replacement,
    /// `action`
    Action,
}

/// Why a rule is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError {
    /// The key that is at fault, or that is missing.
    pub key: RuleKey,
    /// What is wrong.
    pub message: String,
}

/// Which names labels may have.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum NameValidation {
    /// Any text that isn't empty.
    #[default]
    Utf8,
    /// Letters, digits and underscores, no digit first.
    Legacy,
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Sets the target to the replacement if the pattern matches.
    Replace,
    /// Drops the series unless the pattern matches.
    Keep,
    /// Drops the series if the pattern matches.
    Drop,
    /// Drops the series unless target and joined values are equal.
    KeepEqual,
    /// Drops the series if target and joined values are equal.
    DropEqual,
    /// Sets the target to a hash of the joined values.
    HashMod,
    /// Copies the labels whose names match to the names that the replacement makes of theirs.
    LabelMap,
    /// Removes the labels whose names match.
    LabelDrop,
    /// Removes the labels whose names don't match.
    LabelKeep,
    /// Sets the target to the joined values in lower case.
    Lowercase,
    /// Sets the target to the joined values in upper case.
    Uppercase,
}

/// A sound rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    action: Action,
    source_labels: Vec<String>,
    separator: String,
    pattern: Pattern,
    modulus: u64,
    target_label: String,
    target: Template,
    replacement: Template,
    replacement_text: String,
    names: NameValidation,
}

impl Action {
    /// All actions, by name.
    pub const ALL: [(&'static str, Action); 11] = [
        ("replace", Action::Replace),
        ("keep", Action::Keep),
        ("drop", Action::Drop),
        ("keepequal", Action::KeepEqual),
        ("dropequal", Action::DropEqual),
        ("hashmod", Action::HashMod),
        ("labelmap", Action::LabelMap),
        ("labeldrop", Action::LabelDrop),
        ("labelkeep", Action::LabelKeep),
        ("lowercase", Action::Lowercase),
        ("uppercase", Action::Uppercase),
    ];

    fn parse(text: &str) -> Option<Action> {
        Action::ALL.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, action)| *action)
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = Action::ALL.iter().find(|(_, action)| action == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl NameValidation {
    /// Whether a label may have this name.
    pub fn accepts(self, name: &[u8]) -> bool {
        match self {
            NameValidation::Utf8 => !name.is_empty() && std::str::from_utf8(name).is_ok(),
            NameValidation::Legacy => {
                let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                !name.is_empty() && !name[0].is_ascii_digit() && name.iter().all(word)
            }
        }
    }

    /// Whether a label may have a name that is made from this template.
    pub fn accepts_template(self, template: &str) -> bool {
        match self {
            NameValidation::Utf8 => !template.is_empty(),
            NameValidation::Legacy => is_legacy_template(template),
        }
    }
}

/// Prometheus's `^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$`.
fn is_legacy_template(template: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        let first = rest.len() == template.len();
        rest = &rest[c.len_utf8()..];
        if c == '$' {
            let braced = rest.strip_prefix('{');
            let name = braced.unwrap_or(rest);
            let after = name.trim_start_matches(word);
            if after.len() == name.len() {
                return false;
            }
            rest = match braced.map(|_| after.strip_prefix('}')) {
                None => after,
                Some(Some(after)) => after,
                Some(None) => return false,
            };
        } else if !word(c) || first && c.is_ascii_digit() {
            return false;
        }
    }
    !template.is_empty()
}

impl Rule {
    /// The rule that is written so.
    ///
    /// # Errors
    /// What Prometheus refuses, and which key it is about.
    pub fn new(text: &RuleText, names: NameValidation) -> Result<Rule, RuleError> {
        let action = match text.action.as_deref() {
            None => Action::Replace,
            Some("") => return Err(refuse(RuleKey::Action, "relabel action cannot be empty")),
            Some(name) => Action::parse(name)
                .ok_or_else(|| refuse(RuleKey::Action, format!("unknown relabel action {name:?}")))?,
        };
        let regex = text.regex.as_deref().unwrap_or(REGEX_DEFAULT);
        let pattern = Pattern::new(regex)
            .map_err(|why| refuse(RuleKey::Regex, format!("error parsing regexp {regex:?}: {why}")))?;
        validate(action, text, names)?;
        let target_label = text.target_label.clone().unwrap_or_default();
        let replacement = text.replacement.as_deref().unwrap_or(REPLACEMENT_DEFAULT);
        Ok(Rule {
            action,
            source_labels: text.source_labels.clone().unwrap_or_default(),
            separator: text.separator.clone().unwrap_or_else(|| SEPARATOR_DEFAULT.into()),
            modulus: text.modulus.unwrap_or(0),
            target: Template::new(&target_label, &pattern),
            replacement: Template::new(replacement, &pattern),
            replacement_text: replacement.to_owned(),
            pattern,
            target_label,
            names,
        })
    }

    /// The rule as it could be written: all that its action reads, defaults included.
    pub fn text(&self) -> RuleText {
        use Action::{Drop, HashMod, Keep, LabelDrop, LabelKeep, LabelMap, Replace};
        let action = self.action;
        let by_name = matches!(action, LabelMap | LabelDrop | LabelKeep);
        let has_pattern = by_name || matches!(action, Replace | Keep | Drop);
        RuleText {
            source_labels: (!by_name).then(|| self.source_labels.clone()),
            separator: (!by_name).then(|| self.separator.clone()),
            regex: has_pattern.then(|| self.pattern.text().to_owned()),
            modulus: (action == HashMod).then_some(self.modulus),
            target_label: Some(self.target_label.clone()).filter(|label| !label.is_empty()),
            replacement: matches!(action, Replace | LabelMap).then(|| self.replacement_text.clone()),
            action: Some(action.to_string()),
        }
    }

    /// The joined values that it looks at, and whether its pattern matches them, as far as its action does either.
    pub(super) fn looks_at(&self, labels: &LabelsBuf) -> (Option<Vec<u8>>, Option<bool>) {
        use Action::{Drop, Keep, LabelDrop, LabelKeep, LabelMap, Replace};
        if matches!(self.action, LabelMap | LabelDrop | LabelKeep) {
            return (None, None);
        }
        let joined = self.joined(labels);
        let matched = matches!(self.action, Replace | Keep | Drop).then(|| self.pattern.is_match(&joined));
        (Some(joined), matched)
    }

    /// Changes the labels; `false`: the series is dropped.
    pub(super) fn apply(&self, labels: &mut LabelsBuf) -> bool {
        match self.action {
            Action::Keep => return self.pattern.is_match(&self.joined(labels)),
            Action::Drop => return !self.pattern.is_match(&self.joined(labels)),
            Action::KeepEqual => return self.equals_target(labels),
            Action::DropEqual => return !self.equals_target(labels),
            Action::Replace => self.replace(labels),
            Action::HashMod => {
                let hash: [u8; 16] = Md5::digest(self.joined(labels)).into();
                // The last eight bytes, so that shards stay what they have been since Prometheus's first versions.
                let hash = hash[8..].iter().fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
                self.set_target(labels, (hash % self.modulus).to_string().as_bytes());
            }
            Action::Lowercase => {
                let lower = mapped(&self.joined(labels), lower);
                self.set_target(labels, &lower);
            }
            Action::Uppercase => {
                let upper = mapped(&self.joined(labels), upper);
                self.set_target(labels, &upper);
            }
            Action::LabelMap => self.map(labels),
            Action::LabelDrop => labels.retain(|name, _| !self.pattern.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.pattern.is_match(name)),
        }
        true
    }

    /// The values of the source labels; one that isn't there is empty.
    fn joined(&self, labels: &LabelsBuf) -> Vec<u8> {
        let mut joined = Vec::new();
        for (i, name) in self.source_labels.iter().enumerate() {
            if i > 0 {
                joined.extend_from_slice(self.separator.as_bytes());
            }
            joined.extend_from_slice(labels.value_of(name.as_bytes()).unwrap_or_default());
        }
        joined
    }

    fn equals_target(&self, labels: &LabelsBuf) -> bool {
        labels.value_of(self.target_label.as_bytes()).unwrap_or_default() == self.joined(labels)
    }

    fn set_target(&self, labels: &mut LabelsBuf, value: &[u8]) {
        set(labels, self.target_label.as_bytes(), value);
    }

    fn replace(&self, labels: &mut LabelsBuf) {
        let joined = self.joined(labels);
        let Some(captures) = self.pattern.captures(&joined) else { return };
        let target = self.target.expand(&captures);
        if self.names.accepts(&target) {
            set(labels, &target, &self.replacement.expand(&captures));
        }
    }

    fn map(&self, labels: &mut LabelsBuf) {
        // All names are looked at before the first is changed: what is copied is not copied again.
        let copies: Vec<(Vec<u8>, Vec<u8>)> = labels
            .iter()
            .filter_map(|(name, value)| {
                let captures = self.pattern.captures(name)?;
                Some((self.replacement.expand(&captures), value.to_vec()))
            })
            .collect();
        for (name, value) in copies.iter().filter(|(name, _)| !name.is_empty()) {
            set(labels, name, value);
        }
    }
}

/// Sets a label; one without a value is none.
fn set(labels: &mut LabelsBuf, name: &[u8], value: &[u8]) {
    if value.is_empty() {
        labels.retain(|known, _| known != name);
    } else {
        labels.set(name, value);
    }
}

/// Character by character, as Go does it; bytes that are no text stay.
fn mapped(value: &[u8], map: fn(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        out.extend(chunk.valid().chars().map(map).collect::<String>().bytes());
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// The character that is the simple mapping: where Unicode maps to several, the first of a dotted i, else none.
fn lower(c: char) -> char {
    if c == '\u{130}' { 'i' } else { single(c.to_lowercase(), c) }
}

fn upper(c: char) -> char {
    single(c.to_uppercase(), c)
}

fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// What Prometheus checks of a rule, in its order.
fn validate(action: Action, text: &RuleText, names: NameValidation) -> Result<(), RuleError> {
    use Action::{
        DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
    };
    let target = text.target_label.as_deref().unwrap_or_default();
    let replacement = text.replacement.as_deref().unwrap_or(REPLACEMENT_DEFAULT);
    let plain_replacement = replacement == REPLACEMENT_DEFAULT;
    let plain_separator = text.separator.as_deref().is_none_or(|s| s == SEPARATOR_DEFAULT);
    let no_modulus = text.modulus.unwrap_or(0) == 0;

    if action == HashMod && no_modulus {
        let why = "relabel configuration for hashmod requires non-zero modulus";
        return Err(refuse(RuleKey::Modulus, why));
    }
    let sets_target = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if sets_target && target.is_empty() {
        let why = format!("relabel configuration for {action} action requires 'target_label' value");
        return Err(refuse(RuleKey::TargetLabel, why));
    }
    let valid_target = match action {
        Replace if target.contains('$') => names.accepts_template(target),
        Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual => names.accepts(target.as_bytes()),
        _ => true,
    };
    if !valid_target {
        let why = format!("{target:?} is invalid 'target_label' for {action} action");
        return Err(refuse(RuleKey::TargetLabel, why));
    }
    if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && !plain_replacement {
        let why = format!("'replacement' can not be set for {action} action");
        return Err(refuse(RuleKey::Replacement, why));
    }
    if action == LabelMap && !names.accepts_template(replacement) {
        let why = format!("{replacement:?} is invalid 'replacement' for {action} action");
        return Err(refuse(RuleKey::Replacement, why));
    }
    let alone = text.regex.is_none() && no_modulus && plain_separator && plain_replacement;
    if matches!(action, KeepEqual | DropEqual) && !alone {
        let why =
            format!("{action} action requires only 'source_labels' and `target_label`, and no other fields");
        return Err(refuse(RuleKey::Action, why));
    }
    let by_name_alone = text.source_labels.is_none()
        && target.is_empty()
        && no_modulus
        && plain_separator
        && plain_replacement;
    if matches!(action, LabelDrop | LabelKeep) && !by_name_alone {
        let why = format!("{action} action requires only 'regex', and no other fields");
        return Err(refuse(RuleKey::Action, why));
    }
    // A label that is only read may have any name, whatever new ones are to look like.
    match text.source_labels.iter().flatten().find(|name| !NameValidation::Utf8.accepts(name.as_bytes())) {
        Some(name) => Err(refuse(RuleKey::SourceLabels, format!("{name:?} is not a valid label name"))),
        None => Ok(()),
    }
}

fn refuse(key: RuleKey, message: impl Into<String>) -> RuleError {
    RuleError { key, message: message.into() }
}

impl RuleKey {
    /// The key as a file has it.
    pub fn name(self) -> &'static str {
        match self {
            RuleKey::SourceLabels => "source_labels",
            RuleKey::Regex => "regex",
            RuleKey::Modulus => "modulus",
            RuleKey::TargetLabel => "target_label",
            RuleKey::Replacement => "replacement",
            RuleKey::Action => "action",
        }
    }
}

impl Display for RuleError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}

const REGEX_DEFAULT: &str = "(.*)";
const SEPARATOR_DEFAULT: &str = ";";
const REPLACEMENT_DEFAULT: &str = "$1";
