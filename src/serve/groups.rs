//! What the groups of the Pushgateway's protocol hold: which series each push or deletion ends.
//!
//! The Pushgateway is scraped for ever, so that a series which a push replaces or a deletion removes ends there of
//! itself. A log has to be told: what is no longer pushed gets a stale marker, and so the series of each group are
//! kept here, shared by all workers. The lock is taken once a push, never on the way of a row.
//!
//! Bounded by [`BYTES_MAX`]: a push over it is taken, but its series are not remembered and get no marker when they
//! end. Nothing of this outlives the process: of groups pushed before it started nothing is known. What is kept
//! changes for good when the push's rows are handed on: if their commit fails then, markers may be missing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bytes::write_varint;
use crate::model::{METRIC_NAME, NAN_STALE_BITS};
use crate::wire::exposition::{Push, RowBeside, SeriesKey};

/// Bytes that are kept: about 300,000 series of 100 bytes of labels.
const BYTES_MAX: usize = 64 << 20;

/// What a series costs besides its text: a node of the tree, two allocations.
const SERIES_BYTES: usize = 112;

/// What a group costs besides its text and series.
const GROUP_BYTES: usize = 160;

/// What a request does to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// What is pushed is all that the group has.
    Replace,
    /// What is pushed takes the place of the same metrics.
    Update,
    /// The group goes.
    Delete,
}

/// The groups.
#[derive(Default, Debug)]
pub(super) struct Groups {
    held: Mutex<Held>,
}

#[derive(Default, Debug)]
struct Held {
    groups: HashMap<Box<[u8]>, Group>,
    bytes: usize,
}

#[derive(Default, Debug)]
struct Group {
    /// Labels within the group to metric.
    series: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// When a push was last refused, in seconds; 0 for never.
    failed_seconds: f64,
}

impl Groups {
    /// Applies a checked push, or a deletion, to the group of this key, and settles which rows come with it. Gives the
    /// series that it ends.
    pub(super) fn apply(&self, key: &[u8], change: Change, push: &mut Push) -> Vec<SeriesKey> {
        let (ended, beside) = self.held().apply(key, change, push, BYTES_MAX);
        push.settle(beside);
        ended
    }

    /// The rows that come with every push, whatever it ends.
    pub(super) fn own_rows() -> Vec<RowBeside> {
        [PUSHED, FAILED].map(|name| value(own_series(name), 0.0)).into()
    }

    /// What ended these series was given up before it was told: the group has them still.
    pub(super) fn restore(&self, key: &[u8], ended: Vec<SeriesKey>) {
        self.held().restore(key, ended, BYTES_MAX);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn apply(
        &mut self,
        key: &[u8],
        change: Change,
        push: &Push,
        bytes_max: usize,
    ) -> (Vec<SeriesKey>, Vec<RowBeside>) {
        let (pushed, failed) = (own_series(PUSHED), own_series(FAILED));
        let mut group = self.take(key);
        if change == Change::Delete {
            let Some(group) = group else { return Default::default() };
            let ended: Vec<SeriesKey> =
                group.series.into_iter().map(|(labels, family)| SeriesKey { labels, family }).collect();
            let labels = ended.iter().map(|series| series.labels.clone());
            let beside = labels.chain([pushed, failed]).map(stale).collect();
            return (ended, beside);
        }
        let known = group.is_some();
        let group = group.get_or_insert_default();
        let now = push.time_ns() as f64 / 1e9;
        let (mut ended, mut beside) = (Vec::new(), Vec::new());
        if push.is_refused() {
            group.failed_seconds = now;
            if !known {
                beside.push(value(pushed, 0.0));
            }
        } else {
            // What the body says of the group's own series does not count: they are written with every push.
            let own = [&pushed, &failed];
            ended = group.push(change, push.series().iter().filter(|s| !own.contains(&&s.labels)));
            beside.extend(ended.iter().map(|series| stale(series.labels.clone())));
            beside.push(value(pushed, now));
        }
        beside.push(value(failed, group.failed_seconds));
        let group = std::mem::take(group);
        self.keep(key, group, bytes_max);
        (ended, beside)
    }

    fn restore(&mut self, key: &[u8], ended: Vec<SeriesKey>, bytes_max: usize) {
        let mut group = self.take(key).unwrap_or_default();
        for series in ended {
            group.series.entry(series.labels).or_insert(series.family);
        }
        self.keep(key, group, bytes_max);
    }

    fn take(&mut self, key: &[u8]) -> Option<Group> {
        let group = self.groups.remove(key)?;
        self.bytes -= group.bytes(key);
        Some(group)
    }

    /// Keeps a group as far as there is room; of one that does not fit the series are forgotten.
    fn keep(&mut self, key: &[u8], mut group: Group, bytes_max: usize) {
        if self.bytes + group.bytes(key) > bytes_max {
            group.series.clear();
        }
        let bytes = group.bytes(key);
        if self.bytes + bytes <= bytes_max {
            self.bytes += bytes;
            self.groups.insert(key.into(), group);
        }
    }
}

impl Group {
    /// Takes the series of a push; gives those that it ends.
    fn push<'a>(
        &mut self,
        change: Change,
        series: impl Iterator<Item = &'a SeriesKey> + Clone,
    ) -> Vec<SeriesKey> {
        let families: HashSet<&[u8]> = series.clone().map(|s| &*s.family).collect();
        let present: HashSet<&[u8]> = series.clone().map(|s| &*s.labels).collect();
        let mut ended = Vec::new();
        self.series.retain(|labels, family| {
            let replaced = change == Change::Replace || families.contains(&**family);
            if replaced && !present.contains(&**labels) {
                ended.push(SeriesKey { labels: labels.clone(), family: family.clone() });
            }
            !replaced
        });
        self.series.extend(series.map(|s| (s.labels.clone(), s.family.clone())));
        ended
    }

    fn bytes(&self, key: &[u8]) -> usize {
        let series = self.series.iter().map(|(labels, family)| labels.len() + family.len() + SERIES_BYTES);
        GROUP_BYTES + key.len() + series.sum::<usize>()
    }
}

/// The labels of the group's series of this name.
fn own_series(name: &[u8]) -> Box<[u8]> {
    let mut labels = Vec::new();
    for part in [METRIC_NAME, name] {
        write_varint(&mut labels, part.len() as u64);
        labels.extend_from_slice(part);
    }
    labels.into()
}

fn stale(labels: Box<[u8]>) -> RowBeside {
    RowBeside { labels, value_bits: NAN_STALE_BITS }
}

fn value(labels: Box<[u8]>, value: f64) -> RowBeside {
    RowBeside { labels, value_bits: value.to_bits() }
}

/// The series that say when a group was last pushed, and when a push was last refused.
const PUSHED: &[u8] = b"push_time_seconds";
const FAILED: &[u8] = b"push_failure_time_seconds";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Decode;
    use crate::wire::exposition::{Format, GivenLabel, PushOptions, Syntax};

    fn push(seconds: i64, body: &str) -> Push {
        let group = vec![GivenLabel::new(b"job", b"j")];
        let options =
            PushOptions { format: Format::Lines(Syntax::Text), time_ns: seconds * 1_000_000_000, group };
        let mut push = Push::new(options);
        push.check(body.as_bytes()).unwrap();
        push
    }

    /// The rows beside as name and value.
    fn apply(held: &mut Held, change: Change, seconds: i64, body: &str) -> Vec<String> {
        let (_, rows) = held.apply(b"j", change, &push(seconds, body), BYTES_MAX);
        let shown = |row: &RowBeside| {
            let text = String::from_utf8_lossy(&row.labels);
            let name = text.split_once("__name__").unwrap().1;
            let name: String = name[1..].chars().take_while(|c| !c.is_control()).collect();
            match row.value_bits {
                NAN_STALE_BITS => format!("{name} stale"),
                bits => format!("{name} {}", f64::from_bits(bits)),
            }
        };
        rows.iter().map(shown).collect()
    }

    #[test]
    fn what_is_no_longer_pushed_ends() {
        let mut held = Held::default();
        let times = |pushed: i64, failed: i64| {
            [format!("push_time_seconds {pushed}"), format!("push_failure_time_seconds {failed}")]
        };
        assert_eq!(apply(&mut held, Change::Replace, 1, "a 1\nb{x=\"1\"} 1\nb{x=\"2\"} 2\n"), times(1, 0));
        // The same metric without one of its series; another metric stays.
        assert_eq!(
            apply(&mut held, Change::Update, 2, "b{x=\"1\"} 3\nc 1\n"),
            [&["b stale".to_owned()], &times(2, 0)[..]].concat()
        );
        assert_eq!(
            apply(&mut held, Change::Replace, 3, "c 1\n"),
            [&["a stale".to_owned(), "b stale".to_owned()], &times(3, 0)[..]].concat()
        );
        // A push that is refused ends nothing, and is remembered.
        assert_eq!(apply(&mut held, Change::Replace, 4, "c 1 1\n"), ["push_failure_time_seconds 4"]);
        assert_eq!(apply(&mut held, Change::Update, 5, "d 1\n"), times(5, 4));
        assert_eq!(
            apply(&mut held, Change::Delete, 6, ""),
            ["c stale", "d stale", "push_time_seconds stale", "push_failure_time_seconds stale"]
        );
        assert_eq!(apply(&mut held, Change::Delete, 7, ""), [""; 0]);
        assert_eq!((held.bytes, held.groups.len()), (0, 0));
        assert_eq!(
            apply(&mut held, Change::Update, 8, "d 1\nd 1\n"),
            ["push_time_seconds 0", "push_failure_time_seconds 8"]
        );
    }

    #[test]
    fn what_a_push_that_is_given_up_would_have_ended_is_there_still() {
        let mut held = Held::default();
        apply(&mut held, Change::Replace, 1, "a 1\nb 1\n");
        for change in [Change::Replace, Change::Delete] {
            let (ended, _) = held.apply(b"j", change, &push(2, "b 2\n"), BYTES_MAX);
            held.restore(b"j", ended, BYTES_MAX);
        }
        assert_eq!(apply(&mut held, Change::Delete, 3, "")[..2], ["a stale", "b stale"]);
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn a_push_that_brings_the_groups_own_series_does_not_end_them_later() {
        let mut held = Held::default();
        apply(&mut held, Change::Replace, 1, "push_time_seconds 5\npush_failure_time_seconds 5\na 1\n");
        let own = ["push_time_seconds 2", "push_failure_time_seconds 0"];
        assert_eq!(apply(&mut held, Change::Replace, 2, "b 1\n"), [&["a stale"], &own[..]].concat());
    }

    #[test]
    fn a_histogram_is_replaced_whole() {
        let mut held = Held::default();
        let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
        apply(&mut held, Change::Update, 1, body);
        let mut ended = apply(&mut held, Change::Update, 2, "# TYPE h histogram\nh_count 1\n");
        ended.sort();
        assert_eq!(ended[..3], ["h_bucket stale", "h_bucket stale", "h_sum stale"]);
    }

    #[test]
    fn what_does_not_fit_is_not_remembered_and_the_bytes_are_kept_count_of() {
        let mut held = Held::default();
        let body: String = (0..100).map(|i| format!("a{{x=\"{i}\"}} 1\n")).collect();
        for key in 0..50u8 {
            held.apply(&[key], Change::Replace, &push(1, &body), 100_000);
            assert!(held.bytes <= 100_000);
        }
        let counted: usize = held.groups.iter().map(|(key, group)| group.bytes(key)).sum();
        assert_eq!(counted, held.bytes);
        assert!(held.groups.len() > 5 && held.groups.values().any(|g| g.series.is_empty()));
        for key in 0..50u8 {
            held.apply(&[key], Change::Delete, &push(2, ""), 100_000);
        }
        assert_eq!(held.bytes, 0);
    }
}
