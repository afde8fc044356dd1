//! `tidegate relabel`: why a target or a series has its labels or is dropped, rule by rule.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::app::config::{Config, Shard};
use crate::scrape::pages::labels::labels_of;
use crate::scrape::pages::text::{series_explained, target_explained};
use crate::scrape::{Job, targets};

/// The arguments of `tidegate relabel`.
#[derive(Args, Clone, Debug)]
pub struct RelabelArgs {
    /// The file that has the job
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The job whose rules are applied
    #[arg(long, value_name = "NAME")]
    pub job: String,

    /// The labels are a series', and the rules those of metric_relabel_configs
    #[arg(long)]
    pub metric: bool,

    /// The labels, as name{label="value"} or {"label": "value"}; a target's as they are found
    #[arg(value_name = "LABELS")]
    pub labels: String,
}

pub(super) fn run(args: &RelabelArgs) -> Result<(), Failure> {
    let (jobs, Shard { index, count }) =
        Config::jobs(&args.file).map_err(|error| Failure::Usage(error.to_string()))?;
    let text = explanation(&jobs, targets::Shard { index, count }, args).map_err(Failure::Usage)?;
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_stdout)
}

fn explanation(jobs: &[Arc<Job>], shard: targets::Shard, args: &RelabelArgs) -> Result<String, String> {
    let found = jobs.iter().find(|job| job.name == args.job);
    let job = found.ok_or_else(|| {
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        format!("there is no job {:?}; there is {}", args.job, names.join(", "))
    })?;
    let labels = labels_of(&args.labels).map_err(|why| format!("error parsing labels: {why}"))?;
    Ok(if args.metric { series_explained(job, labels) } else { target_explained(job, &labels, shard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_explained_by_the_job_that_is_named() {
        let jobs = [Arc::new(Job::new("a")), Arc::new(Job::new("b"))];
        let sharded = |shard, job: &str, metric, labels: &str| {
            let (file, job, labels) = (PathBuf::new(), job.into(), labels.into());
            explanation(&jobs, shard, &RelabelArgs { file, job, metric, labels })
        };
        let asked = |job: &str, metric, labels: &str| sharded(Default::default(), job, metric, labels);
        let target = asked("b", false, r#"{__address__="h:1"}"#).unwrap();
        assert!(target.contains("the target is scraped at http://h:1/metrics\n"), "{target}");
        assert!(target.contains("job=\"b\""), "{target}");
        let of_two = |index| {
            sharded(targets::Shard { index, count: 2 }, "b", false, r#"{__address__="y:1"}"#).unwrap()
        };
        let at = "the target is scraped at http://y:1/metrics by";
        assert!(
            of_two(0).contains(&format!("{at} shard 1 of 2, not by this server, which is shard 0\n")),
            "{}",
            of_two(0)
        );
        assert!(of_two(1).contains(&format!("{at} this server, shard 1 of 2\n")), "{}", of_two(1));
        let series = asked("a", true, "up{x=\"y\"}").unwrap();
        assert!(series.ends_with("the series is kept as {__name__=\"up\", x=\"y\"}\n"), "{series}");
        assert_eq!(asked("c", false, "x"), Err("there is no job \"c\"; there is a, b".into()));
        let why = "error parsing labels: column 3: expected a label's name or \"}\"";
        assert_eq!(asked("a", false, "x{"), Err(why.into()));
    }
}
