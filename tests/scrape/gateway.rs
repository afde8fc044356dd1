//! A server in this process that scrapes, and the rows that it has made durable.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;
use tidegate::app::scraping::Scraping;
use tidegate::engine::{CommitPolicy, Engine, Options};
use tidegate::scrape::status::{Health, ScrapeReport};
use tidegate::scrape::targets::{JobTargets, Shard};
use tidegate::scrape::{Discovery, Group, Job, ProxyEnvironment};
use tidegate::serve::{Control, ServeOptions, Server, Settings};

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Gateway {
    control: Control,
    scraping: Scraping,
    server: Option<JoinHandle<Result<(), String>>>,
    address: SocketAddr,
    directory: TempDir,
}

/// A row of one value.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time_ns: i64,
    /// Name and labels, as a selector has them.
    pub(crate) series: String,
    /// As `log cat` prints it.
    pub(crate) value: Json,
}

impl Gateway {
    pub(crate) fn start() -> Gateway {
        Gateway::with(1, ProxyEnvironment::default())
    }

    pub(crate) fn with(workers: u32, proxies: ProxyEnvironment) -> Gateway {
        Gateway::set(workers, proxies, Settings::default())
    }

    /// With so many bytes of memory.
    pub(crate) fn in_memory_of(memory_bytes_max: u64) -> Gateway {
        let settings = Settings { memory_bytes_max, ..Settings::default() };
        Gateway::set(1, ProxyEnvironment::default(), settings)
    }

    fn set(workers: u32, proxies: ProxyEnvironment, settings: Settings) -> Gateway {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let options = Options {
            workers,
            commit: CommitPolicy { linger_ns: 0, interval_ns: 10_000_000 },
            ..Options::new(directory.path().join("data"))
        };
        let scraping = Scraping::new(workers as usize, proxies);
        let serve = ServeOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            settings,
            companion: Some(scraping.hook()),
            ..ServeOptions::default()
        };
        let server = Server::start(|| Engine::open(options), serve).unwrap();
        let (control, address) = (server.control(), server.addresses()[0]);
        scraping.started(control.clone());
        let server = Some(std::thread::spawn(|| server.join()));
        Gateway { control, scraping, server, address, directory }
    }

    /// Scrapes these jobs' targets and no others.
    pub(crate) fn scrape(&self, jobs: Vec<Job>) {
        let targets: Vec<Arc<JobTargets>> = jobs.into_iter().map(|job| Arc::new(targets(job))).collect();
        self.scraping.control().apply(&targets);
    }

    /// The last scrape of the only target of a job.
    pub(crate) fn last(&self, job: &Job) -> ScrapeReport {
        let targets = targets(job.clone());
        self.scraping.control().board().last(&targets.active[0].key)
    }

    /// Waits until the only target of a job has been scraped with this result; the error is in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, job: &Job, health: Health) -> String {
        let mut report = ScrapeReport::default();
        wait_until(&format!("{} is {health:?}", job.name), || {
            report = self.last(job);
            report.health == health
        });
        report.error
    }

    /// Waits until the rows are as they should be; gives them.
    #[track_caller]
    pub(crate) fn wait_for_rows(&self, what: &str, mut yes: impl FnMut(&[Row]) -> bool) -> Vec<Row> {
        let mut rows = Vec::new();
        wait_until(what, || {
            rows = cat(&self.data());
            yes(&rows)
        });
        rows
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    /// A value of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(self.address).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        socket.read_to_string(&mut page).unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Stops the server; all rows.
    pub(crate) fn stop(mut self) -> Vec<Row> {
        self.control.drain();
        self.server.take().unwrap().join().unwrap().unwrap();
        cat(&self.data())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.control.drain();
        if let Some(server) = self.server.take() {
            _ = server.join();
        }
    }
}

/// The targets that a job names itself.
fn targets(job: Job) -> JobTargets {
    let job = Arc::new(job);
    let groups = job.discovery.iter().flat_map(|discovery| match discovery {
        Discovery::Static(groups) => groups.as_slice(),
        _ => &[],
    });
    JobTargets::new(&job, groups, Shard::default())
}

/// Rows as `log cat` prints them.
pub(crate) fn cat(data: &Path) -> Vec<Row> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["log", "cat", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| row(&serde_json::from_str(line).unwrap())).collect()
}

/// A row; `None` for metadata.
fn row(json: &Json) -> Option<Row> {
    let labels: BTreeMap<&str, &str> =
        json["labels"].as_object()?.iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| **name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    let series = format!("{}{{{}}}", labels.get("__name__").unwrap_or(&""), pairs.join(","));
    let value = json["fields"]["value"]["f64"].clone();
    (!value.is_null()).then(|| Row { time_ns: json["time"].as_i64().unwrap(), series, value })
}

/// The values of a series in order of arrival.
pub(crate) fn values(rows: &[Row], series: &str) -> Vec<Json> {
    rows.iter().filter(|row| row.series == series).map(|row| row.value.clone()).collect()
}

/// The times of a series in order of arrival.
pub(crate) fn times(rows: &[Row], series: &str) -> Vec<i64> {
    rows.iter().filter(|row| row.series == series).map(|row| row.time_ns).collect()
}

/// A job of one target that is asked twice a second and more.
pub(crate) fn job(name: &str, address: SocketAddr) -> Job {
    job_of(name, &[address.to_string()])
}

pub(crate) fn job_of(name: &str, addresses: &[String]) -> Job {
    let targets = addresses.iter().map(|address| vec![("__address__".to_owned(), address.clone())]).collect();
    let groups = vec![Group { source: "0".into(), targets, labels: Vec::new() }];
    Job {
        interval: Duration::from_millis(400),
        timeout: Duration::from_millis(400),
        discovery: vec![Discovery::Static(groups)],
        ..Job::new(name)
    }
}

/// Asks until the answer is yes; fails with `what` if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !yes() {
        assert!(Instant::now() < until, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
