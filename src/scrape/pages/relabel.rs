//! `/relabel`: why a target, or a series, has its labels or was dropped, rule by rule.

use std::fmt::Write;
use std::sync::Arc;

use crate::relabel::Step;
use crate::scrape::targets::explain;
use crate::scrape::{Job, LabelPairs};

use super::html::{Escaped, Labels, framed};
use super::labels::{LabelsTextError, labels_of};
use super::query::Query;
use super::series::{SeriesOutcome, SeriesTarget, explain_series};
use super::text::{self, rule_of};
use super::{Page, View};

pub(super) fn page(query: &Query, view: &View<'_>) -> Page {
    let mut text = form(query, view);
    let status = match (query.value("job"), query.value("labels")) {
        ("", _) | (_, "") => 200,
        (name, labels) => match view.job(name).ok_or_else(|| format!("there is no job {name:?}")) {
            Err(why) => refuse(&mut text, &why),
            Ok(job) => match labels_of(labels) {
                Err(why) => refuse(&mut text, &why.to_string()),
                Ok(labels) if query.value("of") == "series" => match given(query.value("target")) {
                    Err(why) => refuse(&mut text, &format!("the target's labels: {why}")),
                    Ok(given) => series(&mut text, job, SeriesTarget::new(job, given), labels),
                },
                Ok(labels) => target(&mut text, job, &labels, view),
            },
        },
    };
    framed(status, "Relabeling", &text)
}

fn form(query: &Query, view: &View<'_>) -> String {
    let option = |job: &Arc<Job>| {
        let selected = if job.name == query.value("job") { " selected" } else { "" };
        format!("<option{selected}>{}</option>", Escaped(&job.name))
    };
    let options: String = view.found.jobs.iter().map(|job| option(&job.job)).collect();
    let series = if query.value("of") == "series" { " selected" } else { "" };
    format!(
        "<form method=get><select name=job>{options}</select> <select name=of><option value=target>target: \
         relabel_configs</option><option value=series{series}>series: metric_relabel_configs</option></select>\
         <textarea name=labels rows=4 placeholder='name{{label=\"value\"}} or {{\"label\": \"value\"}}'>{}</textarea>\
         <input name=target value='{}' size=60 placeholder='of a series: its target&#39;s labels, {{instance=\"host:9100\"}}'> \
         <button>Explain</button></form>\n",
        Escaped(query.value("labels")),
        Escaped(query.value("target"))
    )
}

/// The labels of a series' target, where there are any.
fn given(text: &str) -> Result<Option<LabelPairs>, LabelsTextError> {
    if text.trim().is_empty() { Ok(None) } else { labels_of(text).map(Some) }
}

fn refuse(text: &mut String, why: &str) -> u16 {
    _ = writeln!(text, "<p class=error>{}</p>", Escaped(why));
    400
}

fn target(text: &mut String, job: &Arc<Job>, labels: &LabelPairs, view: &View<'_>) -> u16 {
    let explained = explain(job, labels);
    _ = write!(text, "<h2>Found</h2>\n<p>{}</p>\n", Labels(&explained.discovered));
    steps(text, &explained.steps);
    match explained.outcome {
        Ok(None) => *text += "<p class=dropped>The target is dropped.</p>\n",
        Ok(Some(target)) => {
            _ = write!(
                text,
                "<p class=kept>The target is scraped at {}{}</p>\n<h2>Labels of its series</h2>\n<p>{}</p>\n",
                Escaped(&target.key.url),
                text::by_whom(&target, view.found.shard),
                Labels(&target.labels)
            );
        }
        Err(why) => {
            _ = writeln!(text, "<p class=failed>The target can't be used: {}</p>", Escaped(&why.to_string()));
        }
    }
    200
}

fn series(text: &mut String, job: &Job, target: SeriesTarget, labels: LabelPairs) -> u16 {
    let explained = explain_series(job, target, labels);
    let target = explained.target;
    let told: [(&str, &LabelPairs); 3] = [
        ("Scraped", &explained.scraped),
        (&format!("From a target, {}", target.source()), target.labels()),
        ("Together", &explained.before),
    ];
    for (title, labels) in told {
        _ = write!(text, "<h2>{title}</h2>\n<p>{}</p>\n", Labels(labels));
    }
    steps(text, &explained.steps);
    let labels = match explained.outcome {
        SeriesOutcome::Dropped => {
            *text += "<p class=dropped>The series is dropped.</p>\n";
            return 200;
        }
        SeriesOutcome::Kept(labels) => {
            *text += "<p class=kept>The series is kept.</p>\n";
            labels
        }
        SeriesOutcome::Fails(labels, why) => {
            _ = writeln!(text, "<p class=failed>The scrape fails: {}</p>", Escaped(&why));
            labels
        }
    };
    _ = write!(text, "<h2>Labels</h2>\n<p>{}</p>\n", Labels(&labels));
    200
}

fn steps(text: &mut String, steps: &[Step]) {
    if steps.is_empty() {
        *text += "<p>The job has no rules.</p>\n";
        return;
    }
    *text += "<h2>Rules</h2>\n<ol>\n";
    for step in steps {
        let class = if step.kept { "kept" } else { "dropped" };
        _ = write!(text, "<li><code>{}</code><br>", Escaped(&rule_of(&step.rule)));
        if let Some(value) = &step.value {
            let matches = match step.matches {
                Some(true) => " matches",
                Some(false) => " does not match",
                None => "",
            };
            _ = write!(text, "<code>\"{}\"</code>{matches}; ", Escaped(&String::from_utf8_lossy(value)));
        }
        _ = write!(text, "<span class={class}>{}</span>", step.says());
        for change in &step.changes {
            let shown = |value: &Option<Vec<u8>>, tag: &str| match value {
                None => String::new(),
                Some(value) => {
                    let (name, value) =
                        (String::from_utf8_lossy(&change.name), String::from_utf8_lossy(value));
                    format!("<{tag} class=label>{}=\"{}\"</{tag}> ", Escaped(&name), Escaped(&value))
                }
            };
            _ = write!(text, "<br>{}{}", shown(&change.before, "del"), shown(&change.after, "ins"));
        }
        *text += "</li>\n";
    }
    *text += "</ol>\n";
}
