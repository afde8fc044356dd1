//! `/targets`: what is scraped, and how the last scrape of each went; jobs that have nothing to scrape, and why.

use std::fmt::Write;

use crate::scrape::Target;
use crate::scrape::status::{Health, ScrapeReport};
use crate::scrape::targets::JobTargets;

use super::html::{Escaped, Labels, filter, framed, has, pager, rows_shown, troubled};
use super::query::{Query, link};
use super::text::json_of;
use super::{Page, View};

/// A line of the list.
struct Row<'a> {
    job: &'a JobTargets,
    /// Its last scrape with it; a job without targets has one line, too.
    target: Option<(&'a Target, ScrapeReport)>,
}

pub(super) fn page(query: &Query, view: &View<'_>) -> Page {
    let jobs = &view.found.jobs;
    let names: Vec<&str> = jobs.iter().map(|job| job.job.name.as_str()).collect();
    let mut text = filter(query, &names, &["up", "down", "unknown"]);
    let chosen = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let is_any = query.value("state").is_empty() && query.value("q").is_empty();
    let (mut rows, mut count) = (Vec::new(), 0);
    for job in jobs.iter().filter(|job| chosen(query.value("job"), &job.job.name)) {
        if job.active.is_empty() && is_any {
            rows.push(Row { job, target: None });
        }
        for target in &job.active {
            let last = view.board.last(&target.key);
            let shown = chosen(query.value("state"), last.health.name());
            if shown && has(query.value("q"), &target.labels, &[&target.key.url]) {
                rows.push(Row { job, target: Some((target, last)) });
                count += 1;
            }
        }
    }
    text += &pager(query, count, rows.len());
    let mut under = None;
    let mut is_open = false;
    for Row { job, target } in &rows[rows_shown(query, rows.len())] {
        if under != Some(&job.job.name) {
            text += if std::mem::take(&mut is_open) { "</table>\n" } else { "" };
            head(&mut text, job, view);
            under = Some(&job.job.name);
        }
        if let Some((target, last)) = target {
            if !std::mem::replace(&mut is_open, true) {
                text += "<table><tr><th>Endpoint<th>State<th>Labels<th>Last scrape<th>Took<th>Error</tr>\n";
            }
            row(&mut text, target, last, view.now_ns);
        }
    }
    text += if is_open { "</table>\n" } else { "" };
    text += if rows.is_empty() { "<p>There are no such targets.</p>\n" } else { "" };
    framed(200, "Targets", &text)
}

fn head(text: &mut String, job: &JobTargets, view: &View<'_>) {
    let (name, count) = (Escaped(&job.job.name), job.active.len());
    let up = job.active.iter().filter(|target| view.board.last(&target.key).health == Health::Up).count();
    _ = match count {
        0 => writeln!(text, "<h2>{name} (0 targets)</h2>"),
        _ => writeln!(text, "<h2>{name} ({up} of {count} up)</h2>"),
    };
    if let Some(why) = job.over_limit() {
        _ = writeln!(text, "<p class=error>{}</p>", Escaped(&why));
    }
    troubled(text, &job.job.name, view);
    if count == 0 || job.elsewhere_count > 0 {
        let all = link("/service-discovery", &[("job", &job.job.name)]);
        _ = writeln!(
            text,
            "<p class=count><a href=\"{}\">found</a>: {} dropped by rules, {} that can't be used, {} scraped by \
             other servers</p>",
            Escaped(&all),
            job.dropped_count,
            job.failed_count,
            job.elsewhere_count,
        );
    }
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
