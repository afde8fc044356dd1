//! DogStatsD's events and service checks: rows of strings, with a time of their own or that of their arrival.

use std::fmt::Display;

use super::fault::Fault;
use super::sample::TIME_S_MAX;
use super::tags::{Labels, notice_tags};
use crate::model::LabelsBuf;

/// An event or a service check.
#[derive(Debug)]
pub struct Notice<'a> {
    /// Name and tags, in no order.
    pub labels: &'a mut LabelsBuf,
    /// When it happened, in seconds since the Unix epoch, if it says so.
    pub time_s: Option<i64>,
    /// The fields: name and value.
    pub fields: &'a [(&'static str, NoticeValue<'a>)],
}

/// The value of a notice's field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeValue<'a> {
    /// Text.
    Text(&'a str),
    /// Text in which `\n`, two characters, stands for a new line.
    Escaped(&'a str),
    /// A number.
    Integer(i64),
}

/// What a notice says behind its first parts.
#[derive(Default)]
struct Said<'a> {
    time_s: Option<i64>,
    priority: Option<&'a str>,
    alert_type: Option<&'a str>,
    aggregation_key: Option<&'a str>,
    source_type: Option<&'a str>,
    message: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Event,
    Check,
}

/// Whether a line is an event or a service check, and not metrics.
pub(super) fn is_notice(line: &[u8]) -> bool {
    line.starts_with(EVENT) || line.starts_with(CHECK)
}

/// Reads an event or a service check, and hands it on. `sender` is its source where it names none; it may be empty.
pub(super) fn read(
    line: &[u8],
    sender: &dyn Display,
    labels: &mut Labels,
    take: impl FnOnce(Notice<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let line = std::str::from_utf8(line).map_err(|_| Fault::Malformed("the line is not UTF-8"))?;
    match line.strip_prefix("_sc|") {
        Some(check) => read_check(check, sender, labels, take),
        None => read_event(line, sender, labels, take),
    }
}

/// `_e{title bytes,text bytes}:title|text|...`
fn read_event(
    line: &str,
    sender: &dyn Display,
    labels: &mut Labels,
    take: impl FnOnce(Notice<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (lengths, rest) = line
        .strip_prefix("_e{")
        .and_then(|line| line.split_once("}:"))
        .ok_or(Fault::Malformed("expected _e{title length,text length}:title|text"))?;
    let (title, text) = lengths
        .split_once(',')
        .and_then(|(title, text)| Some((length(title).filter(|&title| title > 0)?, length(text)?)))
        .ok_or(Fault::Malformed(
            "an event's lengths are two whole numbers, and its title has one above zero",
        ))?;
    let end = title.checked_add(1).and_then(|start| start.checked_add(text));
    let parts = end
        .and_then(|end| Some((rest.get(..title)?, rest.get(title..)?, rest.get(..end)?, rest.get(end..)?)));
    let (title, separated, body, rest) = parts.ok_or(Fault::Malformed("an event's lengths do not fit it"))?;
    if !separated.starts_with('|') || !(rest.is_empty() || rest.starts_with('|')) {
        return Err(Fault::Malformed("an event's lengths do not fit it"));
    }
    let text = &body[title.len() + 1..];
    labels.start(b"statsd_event", b"");
    let said = read_said(What::Event, rest.get(1..).unwrap_or_default(), sender, labels)?;
    let mut fields = vec![
        ("title", NoticeValue::Escaped(title)),
        ("text", NoticeValue::Escaped(text)),
        ("priority", NoticeValue::Text(said.priority.unwrap_or("normal"))),
        ("alert_type", NoticeValue::Text(said.alert_type.unwrap_or("info"))),
    ];
    fields.extend(said.aggregation_key.map(|key| ("aggregation_key", NoticeValue::Text(key))));
    fields.extend(said.source_type.map(|kind| ("source_type_name", NoticeValue::Text(kind))));
    take(Notice { labels: &mut labels.buf, time_s: said.time_s, fields: &fields })
}

/// `name|status|...`
fn read_check(
    line: &str,
    sender: &dyn Display,
    labels: &mut Labels,
    take: impl FnOnce(Notice<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut parts = line.splitn(3, '|');
    let name =
        parts.next().filter(|name| !name.is_empty()).ok_or(Fault::Malformed("a check without a name"))?;
    let status = parts.next().and_then(|text| STATUSES.iter().position(|(number, _)| *number == text));
    let status = status.ok_or(Fault::Malformed("a check's status is 0, 1, 2 or 3"))?;
    labels.start(b"statsd_service_check", b"");
    let said = read_said(What::Check, parts.next().unwrap_or_default(), sender, labels)?;
    // Behind the tags: its own name is not theirs to set.
    labels.set_tag(b"check_name", name.as_bytes());
    let mut fields = vec![
        ("status", NoticeValue::Integer(status as i64)),
        ("status_text", NoticeValue::Text(STATUSES[status].1)),
    ];
    fields.extend(said.message.map(|message| ("message", NoticeValue::Escaped(message))));
    take(Notice { labels: &mut labels.buf, time_s: said.time_s, fields: &fields })
}

/// Reads what follows: `d:time|h:host|#tags|...`. Values that mean nothing are passed over; so are unknown parts of a
/// check, and those of an event are not: both as Telegraf has it.
fn read_said<'a>(
    what: What,
    mut rest: &'a str,
    sender: &dyn Display,
    labels: &mut Labels,
) -> Result<Said<'a>, Fault> {
    let mut said = Said::default();
    let mut host = None;
    while !rest.is_empty() {
        if let (What::Check, Some(message)) = (what, rest.strip_prefix("m:")) {
            // A message is the last part, whatever is in it, but for what clients add to every line.
            let end = message_end(message);
            said.message = Some(&message[..end]);
            rest = message.get(end + 1..).unwrap_or_default();
            continue;
        }
        let (part, behind) = rest.split_once('|').unwrap_or((rest, ""));
        rest = behind;
        if let Some(tags) = part.strip_prefix('#') {
            notice_tags(tags.as_bytes(), labels);
            continue;
        }
        match (what, part.split_once(':')) {
            (_, Some(("d", time))) => {
                said.time_s =
                    time.parse().ok().filter(|time| (1..=TIME_S_MAX).contains(time)).or(said.time_s);
            }
            (_, Some(("h", name))) => host = Some(name).filter(|name| !name.is_empty()).or(host),
            (_, Some(("c", container))) => {
                if !container.is_empty() {
                    labels.set_tag(b"container_id", container.as_bytes());
                }
            }
            (_, Some(("e" | "card", _))) => {}
            (What::Event, Some(("p", priority))) => {
                said.priority = PRIORITIES.contains(&priority).then_some(priority).or(said.priority);
            }
            (What::Event, Some(("t", kind))) => {
                said.alert_type = ALERT_TYPES.contains(&kind).then_some(kind).or(said.alert_type);
            }
            (What::Event, Some(("k", key))) => said.aggregation_key = Some(key),
            (What::Event, Some(("s", kind))) => said.source_type = Some(kind),
            (What::Event, _) => return Err(Fault::Malformed("a part that is not known")),
            (What::Check, _) => {}
        }
    }
    // The tag by that name and the part say the same; the tag wins.
    let tagged = labels.buf.value_of(b"host").map(<[u8]>::to_vec);
    labels.buf.retain(|name, _| name != b"host");
    let source = match (tagged, host) {
        (Some(tagged), _) => tagged,
        (None, Some(host)) => host.as_bytes().to_vec(),
        (None, None) => sender.to_string().into_bytes(),
    };
    if !source.is_empty() {
        labels.set_tag(b"source", &source);
    }
    Ok(said)
}

/// Where a check's message ends that all of `text` begins with: before the parts that say whose it is.
fn message_end(text: &str) -> usize {
    let mut end = text.len();
    while let Some(pipe) = text[..end].rfind('|')
        && ORIGINS.iter().any(|name| text[pipe + 1..end].starts_with(name))
    {
        end = pipe;
    }
    end
}

fn length(text: &str) -> Option<usize> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

const EVENT: &[u8] = b"_e{";
const CHECK: &[u8] = b"_sc|";
/// The parts that Datadog's clients put behind all others: the container, its environment, how many tags it is to have.
const ORIGINS: [&str; 3] = ["c:", "e:", "card:"];
const PRIORITIES: [&str; 2] = ["normal", "low"];
const ALERT_TYPES: [&str; 4] = ["error", "warning", "info", "success"];
const STATUSES: [(&str, &str); 4] = [("0", "ok"), ("1", "warning"), ("2", "critical"), ("3", "unknown")];
