//! `tidegate relabel`: why a target or a series has its labels or is dropped, rule by rule.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::Failure;
use crate::app::config::{Config, Shard};
use crate::scrape::pages::labels::labels_of;
use crate::scrape::pages::series::SeriesTarget;
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

    /// The labels of the series' target, written as LABELS are
    ///
    /// Those that its series get: `instance`, what static_configs, discovery and rules say. `job` is the job's name
    /// where they say none. Without this option they are those of the job's only target, where the file names one and
    /// nothing else finds any, and else the job's name alone.
    #[arg(long, value_name = "LABELS", requires = "metric")]
    pub target_labels: Option<String>,

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
    if !args.metric {
        return Ok(target_explained(job, &labels, shard));
    }
    let given = args.target_labels.as_deref().map(labels_of).transpose();
    let given = given.map_err(|why| format!("error parsing the target's labels: {why}"))?;
    Ok(series_explained(job, SeriesTarget::new(job, given), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_explained_by_the_job_that_is_named() {
        let jobs = [Arc::new(Job::new("a")), Arc::new(Job::new("b"))];
        let sharded = |shard, job: &str, metric, labels: &str| {
            let (file, job, labels) = (PathBuf::new(), job.into(), labels.into());
            explanation(&jobs, shard, &RelabelArgs { file, job, metric, target_labels: None, labels })
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
        let kept = r#"the series is kept as {__name__="up", job="a", x="y"}"#;
        assert!(series.ends_with(&format!("{kept}\n")), "{series}");
        let args = |target: &str| RelabelArgs {
            file: PathBuf::new(),
            job: "a".into(),
            metric: true,
            target_labels: Some(target.into()),
            labels: "up".into(),
        };
        let given = explanation(&jobs, Default::default(), &args(r#"{instance="h:1"}"#)).unwrap();
        assert_eq!(
            given,
            "scraped {__name__=\"up\"}\nfrom a target with {instance=\"h:1\", job=\"a\"}, as given\nwhich makes it \
             {__name__=\"up\", instance=\"h:1\", job=\"a\"}\nthe series is kept as {__name__=\"up\", \
             instance=\"h:1\", job=\"a\"}\n"
        );
        let why = explanation(&jobs, Default::default(), &args("x{")).unwrap_err();
        assert!(why.starts_with("error parsing the target's labels: "), "{why}");
        assert_eq!(asked("c", false, "x"), Err("there is no job \"c\"; there is a, b".into()));
        let why = "error parsing labels: column 3: expected a label's name or \"}\"";
        assert_eq!(asked("a", false, "x{"), Err(why.into()));
    }
}
