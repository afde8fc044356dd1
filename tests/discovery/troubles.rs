//! What fails of discovery: shown on the pages with its job, and named in the log; without passwords.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::engine;
use tidegate::scrape::discovery::Finder;
use tidegate::scrape::pages::{View, answer};
use tidegate::scrape::status::StatusBoard;
use tidegate::scrape::targets::Shard;
use tidegate::scrape::{ClientOptions, Discovery, KubernetesRole};

use super::harness::{Finding, job, kubernetes, wait_until};

/// The log, as far as it was written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Runs what starts threads, and hears them.
    fn of<R>(run: impl FnOnce() -> R) -> (Log, R) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let ran = engine::telling(&subscriber.into(), run);
        (log, ran)
    }

    /// The first line that has this in it.
    #[track_caller]
    fn line(&self, piece: &str) -> String {
        let mut found = None;
        wait_until(&format!("the log has {piece}"), || {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            found = text.lines().find(|line| line.contains(piece)).map(str::to_owned);
            found.is_some()
        });
        found.unwrap()
    }
}

fn shown(finder: &Finder, path: &str) -> String {
    let (found, troubles) = (finder.found(), finder.troubles());
    let board = StatusBoard::default();
    let view = View { found: &found, troubles: &troubles, board: &board, now_ns: 0, hostname: "" };
    answer(path, "", &view).unwrap().body
}

#[test]
fn a_job_whose_discovery_fails_is_listed_with_the_reason_and_named_in_the_log() {
    // A port that the system gave out a moment ago: nobody listens on it.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    fs::write(&file, "[{]").unwrap();
    let refresh = Duration::from_millis(200);
    let pods = Discovery::Kubernetes(kubernetes(format!("http://u:S3CRET@{nobody}/"), KubernetesRole::Pod));
    let hosts = Discovery::Http {
        url: format!("http://u:S3CRET@{nobody}/sd"),
        refresh,
        client: ClientOptions::default(),
    };
    let files = Discovery::File { patterns: vec![folder.path().join("*.json")], refresh };
    let none = Discovery::File { patterns: vec![folder.path().join("*.yml")], refresh };
    let jobs = vec![
        job("of-pods", vec![pods]),
        job("of-hosts", vec![hosts.clone()]),
        job("of-files", vec![files.clone()]),
        job("of-none", vec![none]),
    ];
    let (log, mut finding) = Log::of(|| Finding::start(jobs));
    finding.next();
    let troubles = finding.finder.troubles();
    for (name, of, why) in [
        ("of-pods", format!("http://u:xxxxx@{nobody}/api/v1/pods"), "Connection refused"),
        ("of-hosts", format!("http://u:xxxxx@{nobody}/sd"), "Connection refused"),
        ("of-files", file.display().to_string(), "line 1"),
    ] {
        wait_until("it fails", || !troubles.of(name).is_empty());
        let trouble = &troubles.of(name)[0];
        assert!(trouble.of == of && trouble.why.contains(why) && trouble.since_ns > 0, "{trouble:?}");
        for path in ["/targets", "/service-discovery"] {
            let page = shown(&finding.finder, path);
            let place = page.find(&format!("<h2>{name}")).unwrap_or_else(|| panic!("{name} in {page}"));
            let part = page[place + 4..].split("<h2>").next().unwrap();
            let said = part.split_once("Discovery fails since 20").unwrap().1;
            assert!(said.contains(&of) && said.contains(why) && !page.contains("S3CRET"), "{page}");
        }
    }
    let page = shown(&finding.finder, "/targets");
    let rest = page.split_once("<h2>of-none (0 targets)</h2>").unwrap().1;
    assert!(!rest.contains("fails"), "{rest}");

    let line = log.line("what is known of the cluster stays");
    for piece in ["job=of-pods", &format!("server=http://u:xxxxx@{nobody}"), "/api/v1/pods"] {
        assert!(line.contains(piece) && !line.contains("S3CRET"), "{line}");
    }
    assert!(log.line("targets not refreshed").contains("job=of-hosts "));
    assert!(log.line("groups of targets not read").contains("job=of-files "));

    // A source goes on under the names of those who hear it now.
    let (one, two) = (job("one", vec![hosts.clone(), files]), job("two", vec![hosts]));
    finding.finder.set_jobs(vec![one, two], Shard::default());
    log.line("job=one, two ");
    wait_until("others hear it", || troubles.of("two").len() == 1);
    assert!(troubles.of("of-hosts").is_empty() && troubles.of("of-pods").is_empty());
    assert_eq!(troubles.of("one").len(), 2);
    fs::write(&file, "[]").unwrap();
    wait_until("what works again is none", || troubles.of("one").len() == 1);
}
