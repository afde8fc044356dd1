//! The result, for people and for scripts.
//!
//! Comes in: all runs. Goes out: a table, or JSON whose keys don't change. Keeps: what is printed is the median of the
//! runs, figure by figure, and what was not measured is shown as not measured.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::args::{BenchArgs, name};
use super::bodies::Bodies;
use super::machine;
use super::run::{Contender, Run};

/// The result of a measurement.
pub(super) struct Report {
    machine: Value,
    workload: Value,
    headline: String,
    contenders: Vec<Contender>,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, bodies: &Bodies, contenders: Vec<Contender>) -> Report {
        let (cpu, cores) = (machine::cpu_model(), machine::cores());
        let file_systems: Vec<_> = contenders.iter().filter_map(Contender::file_system).collect();
        let file_system = dedup(file_systems).join(", ");
        let probe_ms =
            median_of(contenders.iter().flat_map(|contender| &contender.runs), |run| run.disk_probe_ms);
        let headline = format!(
            "{cpu}, {cores} cores; {file_system}, 64 KiB write + fdatasync {} ms\n\
             {}, {} {} {}, {} series, {} samples a line, {} lines a request, {} connections, {}, seed {}{}; {} {} each\n",
            figure(probe_ms, 3),
            name(args.protocol),
            name(args.workload()),
            name(args.values),
            name(args.order),
            bodies.series(),
            bodies.samples_per_line() * args.points(),
            args.batch(),
            args.connections,
            args.encoding_name(),
            args.seed,
            args.rate.map(|rate| format!(", {rate} samples/s offered")).unwrap_or_default(),
            args.runs,
            if args.runs.get() == 1 { "run" } else { "runs, medians" },
        );
        let machine = json!({
            "cpu": cpu,
            "cores": cores,
            "file_system": file_system,
            "disk_probe_ms": Form::Measure.json(probe_ms),
        });
        let workload = json!({
            "workload": name(args.workload()),
            "values": name(args.values),
            "order": name(args.order),
            "protocol": name(args.protocol),
            "series": bodies.series(),
            "samples_per_line": bodies.samples_per_line() * args.points(),
            "samples": args.samples,
            "duration_seconds": args.duration.map(|duration| duration.as_secs_f64()),
            "rate": args.rate,
            "batch": args.batch(),
            "connections": args.connections,
            "encoding": args.encoding_name(),
            "runs": args.runs,
            "seed": args.seed,
        });
        Report { machine, workload, headline, contenders }
    }

    /// Why the figures, or some of them, are not to be relied on.
    pub(super) fn failure(&self) -> Option<String> {
        let of = |contender: &Contender| {
            let why = if let Some(failure) = &contender.failure {
                return Some(failure.to_string());
            } else if verified(&contender.runs) == Some(false) {
                "counted other samples than it acknowledged"
            } else if contender.runs.iter().any(|run| run.samples_accepted == 0) {
                "took no sample"
            } else {
                return None;
            };
            Some(format!("{}: {why}", contender.name()))
        };
        self.contenders.iter().find_map(of)
    }

    /// What a reader of the figures has to know.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for contender in &self.contenders {
            let (runs, name) = (&contender.runs, contender.name());
            for run in runs.iter().filter(|run| run.is_miscounted()) {
                let counted = run.samples_counted.unwrap_or_default();
                let accepted = run.samples_accepted;
                warnings.push(format!("{name}: acknowledged {accepted} samples but counts {counted}"));
            }
            if let Some(failure) = &contender.failure {
                warnings
                    .push(format!("{failure}: the figures of {name} are of its runs before, {}", runs.len()));
            }
            if let Some(refusal) = runs.iter().find_map(|run| run.first_refusal.as_ref()) {
                warnings.push(format!("{name}: did not take all samples: {refusal}"));
            }
            if runs.iter().any(|run| run.idle_reached == Some(false)) {
                warnings.push(format!(
                    "{name}: was still busy a minute after a run, its CPU time is cut off there"
                ));
            }
            if runs.iter().any(|run| run.times_repeated) {
                warnings.push(format!(
                    "{name}: got more than was prepared, so compressed bodies repeated their times"
                ));
            }
        }
        warnings
    }

    /// A row for each server. Columns in which nobody has a figure are left out.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        rows.extend(self.contenders.iter().map(row));
        let mut widths = [0; COLUMNS.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let is_told = |column: &usize| rows[1..].iter().any(|row| row[*column] != "-");
        let told: Vec<usize> = (0..COLUMNS.len()).filter(is_told).collect();
        let mut out = self.headline.clone();
        for row in &rows {
            let mut line = String::new();
            for &column in &told {
                let (cell, width) = (&row[column], widths[column]);
                // Names to the left, figures to the right.
                let written = if column == 0 {
                    write!(line, "{cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
                written.expect("writing to a String does not fail");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The same, with each run.
    pub(super) fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "workload": self.workload,
            "targets": self.contenders.iter().map(target_json).collect::<Vec<_>>(),
        })
    }
}

impl Run {
    fn p99_disk_multiple(&self) -> Option<f64> {
        self.disk_probe_ms.filter(|probe| *probe > 0.0).map(|probe| self.p99_ms / probe)
    }

    fn is_miscounted(&self) -> bool {
        self.samples_counted.is_some_and(|counted| counted != self.samples_accepted)
    }
}

/// A figure of a run, if it was measured.
type Figure = fn(&Run) -> Option<f64>;

/// The figures of a run, by name: what the JSON shows per run, and as medians per server.
const FIGURES: &[(&str, Form, Figure)] = &[
    ("seconds", Form::Measure, |run| Some(run.seconds)),
    ("samples_per_second", Form::Count, |run| Some(run.samples_per_second)),
    ("p50_ms", Form::Measure, |run| Some(run.p50_ms)),
    ("p99_ms", Form::Measure, |run| Some(run.p99_ms)),
    ("max_ms", Form::Measure, |run| Some(run.max_ms)),
    ("disk_probe_ms", Form::Measure, |run| run.disk_probe_ms),
    ("p99_disk_multiple", Form::Measure, Run::p99_disk_multiple),
    ("samples_accepted", Form::Count, |run| Some(run.samples_accepted as f64)),
    ("samples_rejected", Form::Count, |run| Some(run.samples_rejected as f64)),
    ("samples_counted", Form::Count, |run| run.samples_counted.map(|counted| counted as f64)),
    ("cpu_seconds_per_million", Form::Measure, |run| run.cpu_seconds_per_million),
    ("memory_peak_bytes", Form::Count, |run| run.memory_peak_bytes),
    ("bytes_per_sample_allocated", Form::Measure, |run| run.bytes_per_sample_allocated),
    ("bytes_per_sample_length", Form::Measure, |run| run.bytes_per_sample_length),
    ("bytes_per_sample_live", Form::Measure, |run| run.bytes_per_sample_live),
    ("generator_cpu_seconds_per_million", Form::Measure, |run| run.generator_cpu_seconds_per_million),
];

/// How a figure is written in JSON.
#[derive(Clone, Copy)]
enum Form {
    /// An integer.
    Count,
    /// A float, to the sixth decimal: more is noise.
    Measure,
}

impl Form {
    fn json(self, value: Option<f64>) -> Value {
        match self {
            Form::Count => json!(value.map(|value| value.round() as u64)),
            Form::Measure => json!(value.map(|value| (value * 1e6).round() / 1e6)),
        }
    }
}

const COLUMNS: [&str; 15] = [
    "server",
    "samples/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "p99/sync",
    "rejected",
    "counted",
    "CPU s/M",
    "peak MB",
    "B allocated",
    "B long",
    "B live",
    "bench CPU s/M",
    "disk backend",
];

fn row(contender: &Contender) -> [String; COLUMNS.len()] {
    let runs = &contender.runs;
    let median = |of: Figure| median_of(runs, of);
    [
        contender.name(),
        figure(median(|run| Some(run.samples_per_second)), 0),
        figure(median(|run| Some(run.p50_ms)), 2),
        figure(median(|run| Some(run.p99_ms)), 2),
        figure(median(|run| Some(run.max_ms)), 1),
        figure(median(Run::p99_disk_multiple), 1),
        figure(median(|run| Some(run.samples_rejected as f64)), 0),
        match verified(runs) {
            Some(true) => "all",
            Some(false) => "WRONG",
            None => "-",
        }
        .to_owned(),
        figure(median(|run| run.cpu_seconds_per_million), 3),
        figure(median(|run| run.memory_peak_bytes.map(|bytes| bytes / 1e6)), 0),
        figure(median(|run| run.bytes_per_sample_allocated), 2),
        figure(median(|run| run.bytes_per_sample_length), 2),
        figure(median(|run| run.bytes_per_sample_live), 2),
        figure(median(|run| run.generator_cpu_seconds_per_million), 3),
        contender.peer.disk_backend.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn target_json(contender: &Contender) -> Value {
    let mut target = json!({
        "name": contender.name(),
        "server": contender.peer.kind.name(),
        "version": contender.peer.version,
        "disk_backend": contender.peer.disk_backend,
        "url": format!("http://{}{}", contender.target.authority(), contender.path),
        "error": contender.failure.as_ref().map(ToString::to_string),
        "verified": verified(&contender.runs),
        "statuses": statuses(&contender.runs),
        "runs": contender.runs.iter().map(run_json).collect::<Vec<_>>(),
    });
    for (name, form, of) in FIGURES {
        target[*name] = form.json(median_of(&contender.runs, *of));
    }
    target
}

fn run_json(run: &Run) -> Value {
    let mut value = json!({ "idle_reached": run.idle_reached, "first_refusal": run.first_refusal });
    for (name, form, of) in FIGURES {
        value[*name] = form.json(of(run));
    }
    value
}

fn statuses(runs: &[Run]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (status, count) in runs.iter().flat_map(|run| &run.statuses) {
        *all.entry(status.to_string()).or_insert(0) += count;
    }
    all
}

/// Whether the server's own count agreed in every run; nothing if it has no count.
fn verified(runs: &[Run]) -> Option<bool> {
    let has_count = !runs.is_empty() && runs.iter().all(|run| run.samples_counted.is_some());
    has_count.then(|| !runs.iter().any(Run::is_miscounted))
}

/// The median of the runs that have the figure: the mean of the middle two, if they are even.
fn median_of<'a>(runs: impl IntoIterator<Item = &'a Run>, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = runs.into_iter().filter_map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn dedup(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(rates: &[f64]) -> Vec<Run> {
        rates.iter().map(|rate| Run { samples_per_second: *rate, ..Run::default() }).collect()
    }

    #[test]
    fn medians_leave_out_what_is_absent() {
        let rate = |run: &Run| (run.samples_per_second > 0.0).then_some(run.samples_per_second);
        assert_eq!(median_of(&runs(&[5.0, 1.0, 3.0]), rate), Some(3.0));
        assert_eq!(median_of(&runs(&[4.0, 0.0, 1.0]), rate), Some(2.5));
        assert_eq!(median_of(&runs(&[0.0]), rate), None);
    }

    #[test]
    fn a_count_that_differs_once_is_wrong() {
        let mut all = runs(&[1.0, 1.0]);
        assert_eq!(verified(&all), None);
        all.iter_mut().for_each(|run| (run.samples_accepted, run.samples_counted) = (7, Some(7)));
        assert_eq!(verified(&all), Some(true));
        all[1].samples_counted = Some(8);
        assert_eq!(verified(&all), Some(false));
    }
}
