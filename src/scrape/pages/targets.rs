//! `/targets`: what is scraped, and how the last scrape of each went.

use std::fmt::Write;

use crate::scrape::Target;
use crate::scrape::status::{Health, ScrapeReport};

use super::html::{Escaped, Labels, filter, framed, has, pager, rows_shown};
use super::query::{Query, link};
use super::text::json_of;
use super::{Page, View};

pub(super) fn page(query: &Query, view: &View<'_>) -> Page {
    let jobs = &view.found.jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.job.name.as_str()).collect();
    let mut text = filter(query, &names, &["up", "down", "unknown"]);
    let chosen = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let mut rows = Vec::new();
    for job in jobs.iter().filter(|job| chosen(query.value("job"), &job.job.name)) {
        for target in &job.active {
            let last = view.board.last(&target.key);
            let shown = chosen(query.value("state"), last.health.name());
            if shown && has(query.value("q"), &target.labels, &[&target.key.url]) {
                rows.push((job, target, last));
            }
        }
    }
    text += &pager(query, rows.len());
    let mut under = None;
    for (job, target, last) in &rows[rows_shown(query, rows.len())] {
        if under != Some(&job.job.name) {
            let up = job.active.iter().filter(|t| view.board.last(&t.key).health == Health::Up).count();
            text += if under.is_some() { "</table>\n" } else { "" };
            _ = writeln!(text, "<h2>{} ({up} of {} up)</h2>", Escaped(&job.job.name), job.active.len());
            if let Some(why) = job.over_limit() {
                _ = writeln!(text, "<p class=error>{}</p>", Escaped(&why));
            }
            text += "<table><tr><th>Endpoint<th>State<th>Labels<th>Last scrape<th>Took<th>Error</tr>\n";
            under = Some(&job.job.name);
        }
        row(&mut text, target, last, view.now_ns);
    }
    text += if under.is_some() { "</table>\n" } else { "<p>There are no such targets.</p>\n" };
    framed(200, "Targets", &text)
}

fn row(text: &mut String, target: &Target, last: &ScrapeReport, now_ns: i64) {
    let health = last.health.name();
    let ago = last.start_ns.map_or("never".to_owned(), |start| format!("{} ago", seconds(now_ns - start)));
    let took =
        last.start_ns.map_or(String::new(), |_| seconds(i64::try_from(last.duration_ns).unwrap_or(i64::MAX)));
    let trace = link("/relabel", &[("job", &target.key.job), ("labels", &json_of(&target.discovered))]);
    _ = writeln!(
        text,
        "<tr><td><a href=\"{url}\" rel=noreferrer>{url}</a><td class=\"narrow {health}\">{health}\
         <td>{labels}<a href=\"{trace}\">why</a><td class=narrow>{ago}<td class=narrow>{took}<td class=error>{error}</tr>",
        url = Escaped(&target.key.url),
        labels = Labels(&target.labels),
        trace = Escaped(&trace),
        error = Escaped(&last.error),
    );
}

/// A time as people read it: `12 ms`, `3.2 s`, `5 min`.
fn seconds(ns: i64) -> String {
    let ms = ns.max(0) / 1_000_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min", ms / 60_000),
    }
}
