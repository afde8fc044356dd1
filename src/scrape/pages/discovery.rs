//! `/service-discovery`: all that was found, and what became of it.

use std::fmt::Write;

use crate::scrape::LabelPairs;
use crate::scrape::targets::JobTargets;

use super::html::{Escaped, Labels, filter, framed, has, pager, rows_shown, troubled};
use super::query::{Query, link};
use super::text::json_of;
use super::{Page, View};

/// A line of the list.
struct Row<'a> {
    job: &'a JobTargets,
    /// One thing that was found; a job without any has one line, too.
    found: Option<(&'a LabelPairs, Became<'a>)>,
}

enum Became<'a> {
    Active(&'a LabelPairs),
    Dropped,
    Failed(String),
    /// Another server's, of this index.
    Elsewhere(u32),
}

pub(super) fn page(query: &Query, view: &View<'_>) -> Page {
    let jobs = &view.found.jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.job.name.as_str()).collect();
    let mut text = filter(query, &names, &["active", "dropped", "failed", "elsewhere"]);
    let chosen = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let (state, piece) = (query.value("state"), query.value("q"));
    let wanted = |row: &Row<'_>| match &row.found {
        Some((discovered, became)) => chosen(state, became.name()) && has(piece, discovered, &[]),
        None => state.is_empty() && piece.is_empty(),
    };
    let jobs = jobs.iter().filter(|job| chosen(query.value("job"), &job.job.name));
    let rows: Vec<Row<'_>> = jobs.flat_map(|job| rows(job)).filter(wanted).collect();
    let count = rows.iter().filter(|row| row.found.is_some()).count();
    text += &pager(query, count, rows.len());
    let mut under = None;
    let mut is_open = false;
    for row in &rows[rows_shown(query, rows.len())] {
        if under != Some(&row.job.job.name) {
            text += if std::mem::take(&mut is_open) { "</table>\n" } else { "" };
            head(&mut text, row.job, view);
            under = Some(&row.job.job.name);
        }
        let Some((discovered, became)) = &row.found else { continue };
        if !std::mem::replace(&mut is_open, true) {
            text += "<table><tr><th>Found<th>State<th>Target</tr>\n";
        }
        let trace = link("/relabel", &[("job", &row.job.job.name), ("labels", &json_of(discovered))]);
        let name = became.name();
        _ = writeln!(
            text,
            "<tr><td>{}<td class=\"narrow {name}\">{name}<td>{} <a href=\"{}\">why</a></tr>",
            Labels(discovered),
            match became {
                Became::Active(labels) => Labels(labels).to_string(),
                Became::Dropped => String::new(),
                Became::Failed(why) => format!("<span class=error>{}</span>", Escaped(why)),
                Became::Elsewhere(shard) => format!("scraped by shard {shard} of {}", view.found.shard.count),
            },
            Escaped(&trace),
        );
    }
    text += if is_open { "</table>\n" } else { "" };
    text += if rows.is_empty() { "<p>Nothing of that kind was found.</p>\n" } else { "" };
    framed(200, "Service discovery", &text)
}

fn rows(job: &JobTargets) -> impl Iterator<Item = Row<'_>> {
    let active = job.active.iter().map(|target| (&target.discovered, Became::Active(&target.labels)));
    let failed =
        job.failed.iter().map(|failed| (&failed.discovered, Became::Failed(failed.error.to_string())));
    let elsewhere = job.elsewhere.iter().map(|other| (&other.discovered, Became::Elsewhere(other.shard)));
    let dropped = job.dropped.iter().map(|discovered| (discovered, Became::Dropped));
    let mut all = active.chain(failed).chain(elsewhere).chain(dropped).peekable();
    let none = all.peek().is_none().then_some(Row { job, found: None });
    all.map(move |found| Row { job, found: Some(found) }).chain(none)
}

fn head(text: &mut String, job: &JobTargets, view: &View<'_>) {
    _ = writeln!(
        text,
        "<h2>{}</h2>\n<p class=count>{} active, {} dropped by rules ({} of them kept to be shown), {} that can't be \
         used, {} scraped by other servers ({} of them kept to be shown)</p>",
        Escaped(&job.job.name),
        job.active.len(),
        job.dropped_count,
        job.dropped.len(),
        job.failed_count,
        job.elsewhere_count,
        job.elsewhere.len(),
    );
    troubled(text, &job.job.name, view);
}

impl Became<'_> {
    fn name(&self) -> &'static str {
        match self {
            Became::Active(_) => "active",
            Became::Dropped => "dropped",
            Became::Failed(_) => "failed",
            Became::Elsewhere(_) => "elsewhere",
        }
    }
}
