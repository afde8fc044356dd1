//! Rules against a naive model of them, and what the model can't say.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn rule(text: &RuleText) -> Rule {
    Rule::new(text, NameValidation::Utf8).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The labels that rules leave, sorted; `None` if they drop the series.
fn relabel(rules: &[RuleText], pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    let rules = Rules::new(rules.iter().map(rule).collect());
    let mut labels = LabelsBuf::default();
    pairs.iter().for_each(|(name, value)| labels.push(name.as_bytes(), value.as_bytes()));
    labels.canonicalize().unwrap();
    if rules.rewrite(&mut labels) == Verdict::Drop {
        return None;
    }
    labels.canonicalize().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(labels.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn replace(source: &str, regex: &str, target: &str, replacement: &str) -> RuleText {
    RuleText {
        source_labels: Some(vec![source.to_owned()]),
        regex: some(regex),
        target_label: some(target),
        replacement: some(replacement),
        ..RuleText::default()
    }
}

#[test]
fn of_groups_with_one_name_the_first_that_matched_counts() {
    for (value, expected) in [("a", "a"), ("b", "b"), ("c", "")] {
        let rules = [replace("a", "(?P<x>a)|(?P<x>b)|c", "d", "<${x}>")];
        let left = relabel(&rules, &[("a", value)]).unwrap();
        assert_eq!(left.last().unwrap(), &("d".to_owned(), format!("<{expected}>")));
    }
}

#[test]
fn source_labels_may_have_any_name_where_new_labels_may_not() {
    let read =
        RuleText { source_labels: Some(vec!["1.a".into()]), target_label: some("b"), ..RuleText::default() };
    assert!(Rule::new(&read, NameValidation::Legacy).is_ok());
    let set = RuleText { target_label: some("1.a"), ..RuleText::default() };
    assert!(Rule::new(&set, NameValidation::Legacy).is_err());
}

#[test]
fn templates_name_groups_as_go_does() {
    for (replacement, expected) in [
        ("$1", "foo"),
        ("${1}a", "fooa"),
        ("$1a", ""),
        ("$$1", "$1"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("${1", "${1"),
        ("${}", "${}"),
        ("$word-${word}", "bar-bar"),
        ("$3x$9", ""),
        ("$01", ""),
        ("$0", "foobar"),
        ("$1$2", "foobar"),
        ("$1\u{e9}", ""),
        ("${1}\u{e9}", "foo\u{e9}"),
    ] {
        let rules = [replace("a", "(foo)(?P<word>bar)", "b", replacement)];
        let found = relabel(&rules, &[("a", "foobar")]).unwrap();
        let value = found.iter().find(|(name, _)| name == "b").map_or("", |(_, value)| value);
        assert_eq!(value, expected, "{replacement}");
    }
}

#[test]
fn a_target_that_is_no_name_changes_nothing() {
    let rules = [replace("a", "(.*)-(x)?", "$2", "v")];
    assert_eq!(relabel(&rules, &[("a", "foo-")]), Some(vec![("a".into(), "foo-".into())]));
    let legacy = Rule::new(&replace("a", "(.*)", "b_$1", "v"), NameValidation::Legacy).unwrap();
    let mut labels = LabelsBuf::default();
    labels.push(b"a", b"x-y");
    assert!(legacy.apply(&mut labels));
    assert_eq!(labels.len(), 1);
}

#[test]
fn labelmap_looks_at_all_names_before_it_changes_one_and_the_last_wins() {
    let map = RuleText {
        regex: some("x_(a|b)|(a)"),
        replacement: some("y_$1"),
        action: some("LabelMap"),
        ..RuleText::default()
    };
    let found = relabel(&[map], &[("x_a", "1"), ("x_b", "2"), ("a", "3")]).unwrap();
    let names: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(names, ["a=3", "x_a=1", "x_b=2", "y_=3", "y_a=1", "y_b=2"]);
    let collide = RuleText {
        regex: some("x_.*"),
        replacement: some("y"),
        action: some("labelmap"),
        ..RuleText::default()
    };
    let found = relabel(&[collide], &[("x_b", "2"), ("x_a", "1")]).unwrap();
    assert!(found.contains(&("y".into(), "2".into())), "{found:?}");
}

#[test]
fn case_is_changed_character_by_character() {
    let change = |action: &str| RuleText {
        source_labels: Some(vec!["a".into()]),
        target_label: some("b"),
        action: some(action),
        ..RuleText::default()
    };
    let found = relabel(&[change("uppercase")], &[("a", "stra\u{df}e \u{e9}")]).unwrap();
    assert_eq!(found[1].1, "STRA\u{df}E \u{c9}");
    let found = relabel(&[change("lowercase")], &[("a", "\u{130}\u{3a3}")]).unwrap();
    assert_eq!(found[1].1, "i\u{3c3}");
}

#[test]
fn a_series_without_labels_is_dropped() {
    let drop = RuleText { regex: some(".*"), action: some("labeldrop"), ..RuleText::default() };
    assert_eq!(relabel(&[drop], &[("a", "1")]), None);
}

#[test]
fn an_unsound_rule_names_its_key() {
    let with = |change: &dyn Fn(&mut RuleText)| {
        let mut text = RuleText { target_label: some("t"), ..RuleText::default() };
        change(&mut text);
        Rule::new(&text, NameValidation::Legacy).map(|_| ()).map_err(|e| (e.key, e.message))
    };
    let action = |name: &str| some(name);
    for (found, key, message) in [
        (with(&|t| t.action = action("jump")), RuleKey::Action, "unknown relabel action \"jump\""),
        (with(&|t| t.action = action("hashmod")), RuleKey::Modulus, "requires non-zero modulus"),
        (with(&|t| t.regex = some("(")), RuleKey::Regex, "error parsing regexp \"(\": "),
        (
            with(&|t| t.target_label = some("a-b")),
            RuleKey::TargetLabel,
            "\"a-b\" is invalid 'target_label' for replace",
        ),
        (
            with(&|t| {
                t.action = action("uppercase");
                t.replacement = some("x");
            }),
            RuleKey::Replacement,
            "'replacement' can not be set for uppercase action",
        ),
        (
            with(&|t| {
                t.action = action("keepequal");
                t.regex = some("(.*)");
            }),
            RuleKey::Action,
            "keepequal action requires only 'source_labels' and `target_label`",
        ),
        (
            with(&|t| t.action = action("labeldrop")),
            RuleKey::Action,
            "labeldrop action requires only 'regex'",
        ),
        (
            with(&|t| t.source_labels = Some(vec![String::new()])),
            RuleKey::SourceLabels,
            "\"\" is not a valid",
        ),
    ] {
        let (found_key, found) = found.unwrap_err();
        assert_eq!(found_key, key, "{found}");
        assert!(found.contains(message), "{found}");
    }
}

/// The rules once more, on a map and by pieces of plain text: patterns are `prefix(.*)suffix`.
#[derive(Clone, Debug)]
struct Naive {
    action: &'static str,
    source: Vec<&'static str>,
    target: &'static str,
    prefix: &'static str,
    suffix: &'static str,
    modulus: u64,
}

impl Naive {
    fn text(&self) -> RuleText {
        let mut text = RuleText { action: some(self.action), ..RuleText::default() };
        let by_name = self.action.starts_with("label");
        if !by_name {
            text.source_labels = Some(self.source.iter().map(ToString::to_string).collect());
        }
        if !self.action.ends_with("equal") {
            text.regex = Some(format!("{}(.*){}", self.prefix, self.suffix));
        }
        match self.action {
            "replace" | "hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal" => {
                text.target_label = some(self.target);
            }
            "labelmap" => text.replacement = Some(format!("{}$1", self.target)),
            _ => {}
        }
        if self.action == "hashmod" {
            text.modulus = Some(self.modulus);
        }
        text
    }

    fn group<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(self.prefix)?.strip_suffix(self.suffix)
    }

    fn apply(&self, labels: &mut BTreeMap<String, String>) -> bool {
        let value =
            |labels: &BTreeMap<String, String>, name: &str| labels.get(name).cloned().unwrap_or_default();
        let joined = self.source.iter().map(|name| value(labels, name)).collect::<Vec<_>>().join(";");
        let mut set = |name: String, value: String| {
            labels.insert(name, value);
            labels.retain(|_, value| !value.is_empty());
        };
        match self.action {
            "replace" => {
                if let Some(group) = self.group(&joined) {
                    set(self.target.into(), group.into());
                }
            }
            "keep" => return self.group(&joined).is_some(),
            "drop" => return self.group(&joined).is_none(),
            "keepequal" => return value(labels, self.target) == joined,
            "dropequal" => return value(labels, self.target) != joined,
            "lowercase" => set(self.target.into(), joined.to_ascii_lowercase()),
            "uppercase" => set(self.target.into(), joined.to_ascii_uppercase()),
            "labeldrop" => labels.retain(|name, _| self.group(name).is_none()),
            "labelkeep" => labels.retain(|name, _| self.group(name).is_some()),
            "labelmap" => {
                for (name, value) in labels.clone() {
                    if let Some(group) = self.group(&name) {
                        labels.insert(format!("{}{group}", self.target), value);
                    }
                }
            }
            other => unreachable!("{other}"),
        }
        true
    }
}

fn naive() -> impl Strategy<Value = Naive> {
    let actions = [
        "replace",
        "keep",
        "drop",
        "keepequal",
        "dropequal",
        "lowercase",
        "uppercase",
        "labelmap",
        "labeldrop",
        "labelkeep",
    ];
    let names = || prop::sample::select(&["a", "b", "ab", "ba"][..]);
    let pieces = || prop::sample::select(&["", "a", "b"][..]);
    (
        prop::sample::select(actions.to_vec()),
        prop::collection::vec(names(), 0..3),
        names(),
        pieces(),
        pieces(),
    )
        .prop_map(|(action, source, target, prefix, suffix)| Naive {
            action,
            source,
            target,
            prefix,
            suffix,
            modulus: 7,
        })
}

proptest! {
    #[test]
    fn rules_do_what_the_naive_ones_do(
        rules in prop::collection::vec(naive(), 0..5),
        labels in prop::collection::btree_map("[ab]{1,3}", "[abAB;]{1,4}", 0..5),
    ) {
        let mut expected = labels.clone();
        let kept = rules.iter().all(|rule| rule.apply(&mut expected)) && !expected.is_empty();
        let expected = kept.then(|| expected.into_iter().collect::<Vec<_>>());
        let texts: Vec<RuleText> = rules.iter().map(Naive::text).collect();
        let pairs: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        prop_assert_eq!(relabel(&texts, &pairs), expected, "{:?}", rules);
    }

    #[test]
    fn any_pattern_is_read_or_refused_and_any_bytes_are_matched(
        regex in r"[\\a-c\[\](){}*+?|^$.,:&~0-9QEdDwWsSbBpPx<>-]{0,16}",
        template in ".{0,12}",
        value in prop::collection::vec(any::<u8>(), 0..16),
    ) {
        let text = replace("a", &regex, "b", &template);
        if let Ok(rule) = Rule::new(&text, NameValidation::Utf8) {
            let mut labels = LabelsBuf::default();
            labels.push(b"a", &value);
            rule.apply(&mut labels);
        }
    }
}
