//! The frame of all pages, and text as HTML.

use std::fmt::{self, Display, Formatter, Write};

use jiff::Timestamp;

use crate::scrape::LabelPairs;
use crate::scrape::discovery::Trouble;

use super::query::Query;
use super::{Page, ROWS_MAX, View};

/// Text as it stands in HTML, in an attribute too.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Labels, one beside the other.
pub(super) struct Labels<'a>(pub(super) &'a LabelPairs);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0 {
            write!(f, "<span class=label>{}=\"{}\"</span> ", Escaped(name), Escaped(value))?;
        }
        Ok(())
    }
}

/// A whole page.
pub(super) fn framed(status: u16, title: &str, content: &str) -> Page {
    let links =
        [("/targets", "Targets"), ("/service-discovery", "Service discovery"), ("/relabel", "Relabeling")];
    let links = links.map(|(path, name)| {
        let class = if name == title { " class=here" } else { "" };
        format!("<a href={path}{class}>{name}</a>")
    });
    Page::html(
        status,
        format!(
            "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} - tidegate</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <nav><b>tidegate</b> {}</nav>\n<main>\n<h1>{title}</h1>\n{content}</main>\n</body>\n</html>\n",
            links.join(" ")
        ),
    )
}

/// The fields by which lists are narrowed: text, job, and a choice of `states`.
pub(super) fn filter(query: &Query, jobs: &[&str], states: &[&str]) -> String {
    let select = |name: &str, all: &str, values: &[&str]| {
        let chosen = query.value(name);
        let option = |value: &&str| {
            let selected = if *value == chosen { " selected" } else { "" };
            let value = Escaped(value);
            format!("<option value=\"{value}\"{selected}>{value}</option>")
        };
        let options: String = values.iter().map(option).collect();
        format!("<select name={name}><option value=\"\">{all}</option>{options}</select> ")
    };
    format!(
        "<form method=get><input type=search name=q value=\"{}\" placeholder=\"text in labels or URL\"> {}{}\
         <button>Filter</button></form>\n",
        Escaped(query.value("q")),
        select("job", "all jobs", jobs),
        select("state", "any state", states),
    )
}

/// How many there are on how many lines, which may tell of other things, and the ways to other pages.
pub(super) fn pager(query: &Query, count: usize, lines: usize) -> String {
    let pages = lines.div_ceil(ROWS_MAX).max(1);
    let page = query.page().min(pages);
    let mut text = format!("<p class=count>{count} shown");
    if pages > 1 {
        text = format!("<p class=count>{count} in all, page {page} of {pages}");
        for (name, to, there) in
            [("previous", page.wrapping_sub(1), page > 1), ("next", page + 1, page < pages)]
        {
            if there {
                text += &format!(" <a href=\"{}\">{name}</a>", Escaped(&query.with_page(to)));
            }
        }
    }
    text + "</p>\n"
}

/// What of a job's discovery fails now.
pub(super) fn troubled(text: &mut String, job: &str, view: &View<'_>) {
    let troubles = view.troubles.of(job);
    for Trouble { of, why, since_ns } in troubles.iter().take(TROUBLES_SHOWN_MAX) {
        let since = Timestamp::from_nanosecond(i128::from(*since_ns)).unwrap_or_default();
        let (of, why) = (Escaped(of), Escaped(why));
        _ = writeln!(text, "<p class=error>Discovery fails since {since:.0}: {of}: {why}</p>");
    }
    if let Some(more @ 1..) = troubles.len().checked_sub(TROUBLES_SHOWN_MAX) {
        _ = writeln!(text, "<p class=error>{more} more of the kind</p>");
    }
}

/// Which of `count` rows are on the page that is asked for.
pub(super) fn rows_shown(query: &Query, count: usize) -> std::ops::Range<usize> {
    let pages = count.div_ceil(ROWS_MAX).max(1);
    let start = (query.page().min(pages) - 1) * ROWS_MAX;
    start..(start + ROWS_MAX).min(count)
}

/// Whether one of the texts has this piece, whatever its case.
pub(super) fn has(piece: &str, labels: &LabelPairs, more: &[&str]) -> bool {
    if piece.is_empty() {
        return true;
    }
    let piece = piece.to_lowercase();
    let label =
        |(name, value): &(String, String)| format!("{name}=\"{value}\"").to_lowercase().contains(&piece);
    labels.iter().any(label) || more.iter().any(|text| text.to_lowercase().contains(&piece))
}

/// What fails of one job's discovery is named so often; an outage has many names.
const TROUBLES_SHOWN_MAX: usize = 10;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:15px/1.45 system-ui,sans-serif;color:light-dark(#1c2429,#dfe5e8);\
background:light-dark(#fff,#14191c)}\
nav{padding:.6rem 1.2rem;background:#0d3b4f;color:#fff}\
nav a{color:#cfe6ef;margin-left:1rem}\
nav a.here{color:#fff;text-decoration:none;font-weight:600}\
main{padding:0 1.2rem 2rem}\
h1{font-size:1.4rem}\
h2{font-size:1.1rem;margin:1.6rem 0 .4rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;\
border-top:1px solid light-dark(#d5dde1,#333d42)}\
th{font-weight:600;white-space:nowrap}\
td{overflow-wrap:anywhere}\
td.narrow{white-space:nowrap}\
.label{display:inline-block;font:12.5px/1.5 ui-monospace,monospace;background:light-dark(#e9f0f3,#243036);\
border-radius:3px;padding:0 .35rem;margin:0 .1rem .15rem 0}\
.up,.kept,.active{color:light-dark(#15692f,#6fce8b)}\
.down,.dropped,.failed{color:light-dark(#a5231c,#ff9d94)}\
.unknown,.count,.elsewhere{color:light-dark(#5c6970,#93a1a8)}\
.error{color:light-dark(#a5231c,#ff9d94)}\
input,select,button,textarea{font:inherit;padding:.2rem .4rem;margin:.15rem 0}\
textarea{width:100%;box-sizing:border-box;font:13px ui-monospace,monospace}\
ol li{margin:.6rem 0}\
code{font:12.5px ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}\
del{opacity:.7}";
