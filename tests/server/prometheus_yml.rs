//! The file of a Prometheus agent, given to the server as it is.

use std::fs;

use super::client::get;
use super::harness::Setup;

const AGENT: &str = "global:
  scrape_interval: 15s
  evaluation_interval: 15s
  external_labels:
    cluster: a
scrape_configs:
  - job_name: nobody
    static_configs:
      - targets: ['127.0.0.1:1']
remote_write:
  - url: https://ann:S3CRET@example.com/api/v1/write
    basic_auth:
      username: ann
      password: S3CRET
    queue_config:
      capacity: 2500
";

#[test]
fn an_agents_file_runs_and_what_does_nothing_yet_is_named() {
    let mut server = Setup::config(AGENT).start();
    let line = server.line("does nothing yet");
    assert!(line.contains("level=warn") && line.contains("key=remote_write"), "{line}");
    assert_eq!(server.metric("tidegate_config_unsupported{key=\"remote_write\"}"), 1.0);
    assert!(!server.all_lines().contains("S3CRET"));

    // Jobs, labels and outputs are taken over by a reload; the metrics follow.
    let next = "scrape_configs: [{job_name: other}]\nshard: {index: 1, count: 2}\n";
    fs::write(server.config_path(), next).unwrap();
    server.signal("HUP");
    server.line("configuration reloaded");
    assert!(!server.ask(&get("/metrics")).text().contains("tidegate_config_unsupported{"));

    fs::write(server.config_path(), "scrape_configs: [{job_name: a}, {job_name: a}]\n").unwrap();
    server.signal("HUP");
    let line = server.line("not reloaded");
    assert!(line.contains("found multiple scrape configs with job name"), "{line}");
    server.stop();
}
