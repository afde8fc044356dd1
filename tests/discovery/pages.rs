//! The pages through the server, by its sockets and in a browser.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tidegate::app::Sights;
use tidegate::engine::{Engine, Options};
use tidegate::relabel::{NameValidation, Rule, RuleText, Rules};
use tidegate::scrape::discovery::Finder;
use tidegate::scrape::status::StatusBoard;
use tidegate::scrape::targets::Shard;
use tidegate::scrape::{Discovery, Group, Job};
use tidegate::serve::{ServeOptions, Server};

use super::harness::wait_until;

struct Gate {
    server: Option<Server>,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Gate {
    /// A server that shows two jobs, one of them with something dropped.
    fn start() -> Gate {
        let drop = RuleText {
            source_labels: Some(vec!["__meta_role".into()]),
            regex: Some("spare".into()),
            action: Some("drop".into()),
            ..RuleText::default()
        };
        let drop = Rule::new(&drop, NameValidation::Utf8).unwrap();
        let target = |address: &str, role: &str| {
            vec![("__address__".to_owned(), address.to_owned()), ("__meta_role".to_owned(), role.to_owned())]
        };
        let targets = vec![target("10.0.0.1:9100", "front"), target("10.0.0.2:9100", "spare")];
        let group = Group { source: "0".into(), targets, labels: vec![("zone".into(), "<b>x</b>".into())] };
        let node = Job {
            relabel: Arc::new(Rules::new(vec![drop])),
            discovery: vec![Discovery::Static(vec![group])],
            ..Job::new("node")
        };
        let jobs = vec![Arc::new(node), Arc::new(Job::new("empty"))];
        let finder = Finder::start(jobs, Shard::default(), Box::new(|_| {})).unwrap();
        let finder = Arc::new(finder);
        wait_until("targets are found", || !finder.found().targets().is_empty());
        let board = Arc::new(StatusBoard::default());
        let key = &finder.found().targets()[0].key;
        board.enter(key).report(1_700_000_000_000_000_000, 12_000_000, Err("connection refused"));

        let sights = Sights::new(board);
        sights.show(finder);
        let directory = tempfile::tempdir().unwrap();
        let options = Options { workers: 1, ..Options::new(directory.path().join("data")) };
        let serve = ServeOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            panels: Some(sights.hook()),
            ..ServeOptions::default()
        };
        let server = Server::start(|| Engine::open(options), serve).unwrap();
        let address = server.addresses()[0];
        Gate { server: Some(server), address, _directory: directory }
    }

    fn ask(&self, method: &str, target: &str) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.control().drain();
            server.join().unwrap();
        }
    }
}

#[test]
fn the_server_shows_targets() {
    let gate = Gate::start();
    let page = gate.ask("GET", "/targets");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("Content-Security-Policy: default-src 'none';"), "{page}");
    assert!(page.contains("http://10.0.0.1:9100/metrics") && page.contains("&lt;b&gt;x"), "{page}");
    let api = gate.ask("GET", "/api/v1/targets?state=dropped");
    assert!(api.contains("application/json") && api.contains("10.0.0.2:9100"), "{api}");
    assert!(gate.ask("POST", "/targets").starts_with("HTTP/1.1 405"));
    let metrics = gate.ask("GET", "/metrics");
    for line in [
        "tidegate_targets{job=\"node\",state=\"down\"} 1\n",
        "tidegate_targets{job=\"node\",state=\"dropped\"} 1\n",
        "tidegate_discovery_failures_total{kind=\"http\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn pages_work_in_a_browser_without_scripts() {
    let gate = Gate::start();
    let folder = tempfile::tempdir().unwrap();
    let browse = |target: &str, arguments: &[&str]| {
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let url = format!("http://{}{target}", gate.address);
        let mut chromium = Command::new("chromium");
        chromium
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--window-size=1200,800", &profile])
            .args(arguments)
            .arg(url);
        let output = chromium.output().expect("chromium, which tests/packages.sh installs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (target, pieces) in [
        ("/targets", ["10.0.0.1:9100", "connection refused", "node (0 of 1 up)"]),
        ("/service-discovery?state=dropped", ["10.0.0.2:9100", "dropped", "spare"]),
        (
            "/relabel?job=node&labels=%7B%22__address__%22%3A%22h%22%2C%22__meta_role%22%3A%22spare%22%7D",
            ["matches", "The target is dropped.", "action: drop"],
        ),
    ] {
        // What the browser has made of the page: what it did not understand is missing here.
        let dom = browse(target, &["--dump-dom"]);
        for piece in pieces {
            assert!(dom.contains(piece), "{piece} in {target}: {dom}");
        }
        assert!(dom.contains("<nav>") && dom.contains("<form"), "{dom}");
    }
    let shots = std::env::var_os("TIDEGATE_SCREENSHOTS");
    let shots = shots.as_deref().map_or(folder.path(), Path::new);
    for (name, target) in [
        ("targets", "/targets"),
        ("discovery", "/service-discovery"),
        ("relabel", "/relabel?job=node&labels=%7B__meta_role%3D%22spare%22%7D"),
    ] {
        let file = shots.join(format!("{name}.png"));
        browse(
            target,
            &["--blink-settings=scriptEnabled=false", &format!("--screenshot={}", file.display())],
        );
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.len() > 5_000, "{name}: an empty picture of {} bytes", bytes.len());
    }
}
