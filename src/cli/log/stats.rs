//! `tidegate log stats`: figures, one a line, as `key: value`.

use super::{instant, judge, say, tell_lost_segments};
use crate::cli::exit::Failure;
use crate::reader::{Reader, Stats};

pub(super) fn run(reader: &Reader) -> Result<(), Failure> {
    let lost = tell_lost_segments(&reader.survey()?);
    say(&text(&reader.stats()?))?;
    judge(lost)
}

fn text(stats: &Stats) -> String {
    let time = |ns: Option<i64>| ns.map_or_else(|| "-".into(), instant);
    let per_sample = match stats.samples {
        0 => "-".into(),
        samples => format!("{:.3}", stats.bytes_live as f64 / samples as f64),
    };
    [
        ("rows", stats.rows.to_string()),
        ("samples", stats.samples.to_string()),
        ("series", stats.series.to_string()),
        ("bytes live", stats.bytes_live.to_string()),
        ("bytes allocated", stats.bytes_allocated.to_string()),
        ("bytes a sample", per_sample),
        ("blocks", stats.blocks.to_string()),
        ("segments", stats.segments.to_string()),
        ("first time", time(stats.time_min_ns)),
        ("last time", time(stats.time_max_ns)),
    ]
    .map(|(key, value)| format!("{key}: {value}\n"))
    .concat()
}
