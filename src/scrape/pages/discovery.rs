//! `/service-discovery`: all that was found, and what became of it.

use std::fmt::Write;

use crate::scrape::LabelPairs;
use crate::scrape::targets::JobTargets;

use super::html::{Escaped, Labels, filter, framed, has, pager, rows_shown};
use super::query::{Query, link};
use super::text::json_of;
use super::{Page, View};

/// One thing that was found.
struct Row<'a> {
    job: &'a JobTargets,
    discovered: &'a LabelPairs,
    became: Became<'a>,
}

enum Became<'a> {
    Active(&'a LabelPairs),
    Dropped,
    Failed(String),
}

pub(super) fn page(query: &Query, view: &View<'_>) -> Page {
    let jobs = &view.found.jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.job.name.as_str()).collect();
    let mut text = filter(query, &names, &["active", "dropped", "failed"]);
    let chosen = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let wanted = |row: &Row<'_>| {
        let shown = chosen(query.value("state"), row.became.name());
        shown && has(query.value("q"), row.discovered, &[])
    };
    let jobs = jobs.iter().filter(|job| chosen(query.value("job"), &job.job.name));
    let rows: Vec<Row<'_>> = jobs.flat_map(|job| rows(job)).filter(wanted).collect();
    text += &pager(query, rows.len());
    let mut under = None;
    for row in &rows[rows_shown(query, rows.len())] {
        if under != Some(&row.job.job.name) {
            text += if under.is_some() { "</table>\n" } else { "" };
            head(&mut text, row.job);
            under = Some(&row.job.job.name);
        }
        let trace = link("/relabel", &[("job", &row.job.job.name), ("labels", &json_of(row.discovered))]);
        let name = row.became.name();
        _ = writeln!(
            text,
            "<tr><td>{}<td class=\"narrow {name}\">{name}<td>{} <a href=\"{}\">why</a></tr>",
            Labels(row.discovered),
            match &row.became {
                Became::Active(labels) => Labels(labels).to_string(),
                Became::Dropped => String::new(),
                Became::Failed(why) => format!("<span class=error>{}</span>", Escaped(why)),
            },
            Escaped(&trace),
        );
    }
    text += if under.is_some() { "</table>\n" } else { "<p>Nothing of that kind was found.</p>\n" };
    framed(200, "Service discovery", &text)
}

fn rows(job: &JobTargets) -> impl Iterator<Item = Row<'_>> {
    let active = job.active.iter().map(|target| (&target.discovered, Became::Active(&target.labels)));
    let failed =
        job.failed.iter().map(|failed| (&failed.discovered, Became::Failed(failed.error.to_string())));
    let dropped = job.dropped.iter().map(|discovered| (discovered, Became::Dropped));
    let all = active.chain(failed).chain(dropped);
    all.map(move |(discovered, became)| Row { job, discovered, became })
}

fn head(text: &mut String, job: &JobTargets) {
    _ = write!(
        text,
        "<h2>{}</h2>\n<p class=count>{} active, {} dropped by rules ({} of them kept to be shown), {} that can't be \
         used, {} scraped by other servers</p>\n<table><tr><th>Found<th>State<th>Target</tr>\n",
        Escaped(&job.job.name),
        job.active.len(),
        job.dropped_count,
        job.dropped.len(),
        job.failed_count,
        job.elsewhere_count,
    );
}

impl Became<'_> {
    fn name(&self) -> &'static str {
        match self {
            Became::Active(_) => "active",
            Became::Dropped => "dropped",
            Became::Failed(_) => "failed",
        }
    }
}
