//! Files that Prometheus's agent would take, files that it would refuse, and what of them is ours.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::app::args::ServeArgs;
use crate::app::config::{Config, Shard};
use crate::app::host::Host;
use crate::relabel::NameValidation;
use crate::scrape::{
    BasicAuth, BodyLimits, ClientTls, Credential, Discovery, DnsRecord, Group, Histograms, Job,
    KubernetesRole, NameEscaping, Scheme, ScrapeProtocol,
};

const HOST: Host = Host { memory_bytes: 1 << 30, cores: 1 };

/// Loads `p.yml` of a directory.
fn load_in(directory: &Path, yaml: &str) -> Result<Config, String> {
    let path = directory.join("p.yml");
    fs::write(&path, yaml).unwrap();
    let flags = ServeArgs { config: Some(path), ..ServeArgs::default() };
    let environment = |name: &str| (name == "REGION").then(|| OsString::from("eu"));
    let loaded = Config::load(&flags, &environment, HOST);
    loaded.map_err(|error| error.to_string().replace(&format!("{}/", directory.display()), ""))
}

fn load(yaml: &str) -> Result<Config, String> {
    load_in(tempfile::tempdir().unwrap().path(), yaml)
}

fn job(yaml: &str) -> Job {
    let config = load(yaml).unwrap();
    assert_eq!(config.jobs.len(), 1);
    Job::clone(&config.jobs[0])
}

#[test]
fn a_job_with_nothing_but_a_name_has_prometheuss_defaults() {
    let job = job("scrape_configs: [{job_name: a}]");
    assert_eq!((job.name.as_str(), job.metrics_path.as_str(), job.scheme), ("a", "/metrics", Scheme::Http));
    assert_eq!(self::job("scrape_configs: [{job_name: a, scheme: HTTPS}]").scheme, Scheme::Https);
    assert_eq!(self::job("scrape_configs: [{job_name: a}]\n---\nnot: [looked at\n").name, "a");
    assert_eq!((job.interval, job.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!(
        (job.honor_labels, job.honor_timestamps, job.track_timestamps_staleness),
        (false, true, false)
    );
    assert_eq!(
        job.protocols,
        [
            ScrapeProtocol::OpenMetricsText1_0_0,
            ScrapeProtocol::OpenMetricsText0_0_1,
            ScrapeProtocol::PrometheusText1_0_0,
            ScrapeProtocol::PrometheusText0_0_4,
        ]
    );
    assert_eq!((job.fallback_protocol, job.compression, job.limits), (None, true, BodyLimits::default()));
    assert_eq!((job.names, job.escaping), (NameValidation::Utf8, NameEscaping::AllowUtf8));
    assert!(!job.extra_metrics && job.client.follow_redirects && job.discovery.is_empty());
    assert!(job.relabel.is_empty() && job.metric_relabel.is_empty() && job.params.is_empty());
}

#[test]
fn a_metrics_path_may_be_any_text() {
    // It is spelled for a URL when a target's is made of it.
    for path in ["/metrics", "/a?b", "/100%", "1:2", "/%zz", "http://x/"] {
        assert_eq!(
            job(&format!("scrape_configs: [{{job_name: a, metrics_path: '{path}'}}]")).metrics_path,
            path
        );
    }
}

#[test]
fn what_global_says_holds_unless_the_job_says_otherwise() {
    let global = "global: {scrape_interval: 5s, sample_limit: 7, label_limit: 8, body_size_limit: 1MB, \
                  scrape_native_histograms: true, extra_scrape_metrics: true, keep_dropped_targets: 9, \
                  convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true}\n";
    let inherited = job(&format!("{global}scrape_configs: [{{job_name: a}}]"));
    // The timeout is never longer than the interval.
    assert_eq!((inherited.interval, inherited.timeout), (Duration::from_secs(5), Duration::from_secs(5)));
    let limits = BodyLimits {
        samples_max: 7,
        labels_max: 8,
        body_bytes_max: 1 << 20,
        dropped_shown_max: 9,
        ..BodyLimits::default()
    };
    assert_eq!(inherited.limits, limits);
    assert_eq!(inherited.protocols[0], ScrapeProtocol::PrometheusProto);
    let histograms = Histograms {
        native: true,
        classic_too: true,
        convert_classic: true,
        buckets_max: 0,
        bucket_factor_min: 0.0,
    };
    assert_eq!((inherited.histograms, inherited.extra_metrics), (histograms, true));

    let own = job(&format!(
        "{global}scrape_configs: [{{job_name: a, scrape_interval: 1m, scrape_timeout: 20s, sample_limit: 70, \
         label_limit: 0, scrape_native_histograms: false, extra_scrape_metrics: false, \
         convert_classic_histograms_to_nhcb: false, always_scrape_classic_histograms: false}}]"
    ));
    assert_eq!((own.interval, own.timeout), (Duration::from_secs(60), Duration::from_secs(20)));
    // 0 is not any number, but the global one.
    assert_eq!((own.limits.samples_max, own.limits.labels_max), (70, 8));
    assert_eq!(own.protocols[0], ScrapeProtocol::OpenMetricsText1_0_0);
    assert!(!own.histograms.native && !own.histograms.classic_too && !own.extra_metrics);
}

#[test]
fn names_are_escaped_as_they_are_validated() {
    let found = |global: &str, own: &str| {
        let job = job(&format!("global: {{{global}}}\nscrape_configs: [{{job_name: a, {own}}}]"));
        (job.names, job.escaping)
    };
    let (legacy, utf8) = ("metric_name_validation_scheme: legacy", "metric_name_validation_scheme: utf8");
    let dots = "metric_name_escaping_scheme: dots";
    assert_eq!(found(legacy, ""), (NameValidation::Legacy, NameEscaping::Underscores));
    assert_eq!(found("", legacy), (NameValidation::Legacy, NameEscaping::Underscores));
    assert_eq!(found(legacy, utf8), (NameValidation::Utf8, NameEscaping::AllowUtf8));
    assert_eq!(found(&format!("{legacy}, {dots}"), ""), (NameValidation::Legacy, NameEscaping::Dots));
    assert_eq!(
        found(&format!("{legacy}, {dots}"), legacy),
        (NameValidation::Legacy, NameEscaping::Underscores)
    );
    assert_eq!(found("", "metric_name_escaping_scheme: values").1, NameEscaping::Values);
}

#[test]
fn a_client_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let config = load_in(
        directory.path(),
        "scrape_configs:\n- job_name: a\n  scheme: https\n  params: {b: [x, '1'], a: [y]}\n  \
         basic_auth: {username: u, password_file: sub/p}\n  \
         tls_config: {ca: PEM, cert_file: c, key_file: /k, server_name: s, min_version: TLS13, \
         insecure_skip_verify: yes}\n  \
         proxy_url: http://proxy:3128\n  no_proxy: a,b\n  proxy_connect_header: {X: [y]}\n  \
         follow_redirects: off\n  http_headers: {A: {values: [v], secrets: [s], files: [f]}}\n",
    );
    let job = Job::clone(&config.unwrap().jobs[0]);
    let beside = |name: &str| Credential::File(directory.path().join(name));
    let text = |text: &str| Credential::Text(text.into());
    let pair =
        |name: &str, values: &[&str]| (name.to_owned(), values.iter().copied().map(str::to_owned).collect());
    assert_eq!(job.scheme, Scheme::Https);
    assert_eq!(job.params, [pair("b", &["x", "1"]), pair("a", &["y"])]);
    let client = job.client;
    let basic = BasicAuth { username: text("u"), password: Some(beside("sub/p")) };
    assert_eq!(client.basic_auth, Some(basic));
    let tls = ClientTls {
        ca: Some(text("PEM")),
        cert: Some(beside("c")),
        key: Some(Credential::File("/k".into())),
        server_name: Some("s".into()),
        insecure_skip_verify: true,
        min_tls13: true,
        max_tls12: false,
    };
    assert_eq!(client.tls, tls);
    assert_eq!(
        (client.proxy.url.as_deref(), client.proxy.no_proxy.as_str()),
        (Some("http://proxy:3128"), "a,b")
    );
    assert_eq!(client.proxy.connect_headers, [("X".to_owned(), vec![text("y")])]);
    assert_eq!(client.headers, [("A".to_owned(), vec![text("v"), text("s"), beside("f")])]);
    assert!(!client.follow_redirects);

    let bearer = |keys: &str| {
        load(&format!("scrape_configs: [{{job_name: a, {keys}}}]")).unwrap().jobs[0].client.clone()
    };
    assert_eq!(bearer("bearer_token: t"), bearer("authorization: {credentials: t}"));
    assert_eq!(bearer("authorization: {type: ' Token '}").authorization.unwrap().kind, "Token");
}

#[test]
fn targets_come_from_where_the_job_says() {
    let directory = tempfile::tempdir().unwrap();
    let config = load_in(
        directory.path(),
        "scrape_configs:\n- job_name: a\n  static_configs:\n  - {targets: [a:1, 'b'], labels: {z: '1', y: 1.10}}\n  \
         - targets:\n  file_sd_configs: [{files: [t/*.json, /x.yml]}]\n  \
         http_sd_configs: [{url: 'http://h/x', refresh_interval: 5s}]\n  \
         dns_sd_configs: [{names: [n]}, {names: [m], type: a, port: 80, refresh_interval: 1m}]\n  \
         kubernetes_sd_configs:\n  - {role: pod, namespaces: {own_namespace: true, names: [n]}, \
         selectors: [{role: pod, label: a=b}], attach_metadata: {node: true}}\n",
    );
    let discovery = config.unwrap().jobs[0].discovery.clone();
    let seconds = Duration::from_secs;
    let group = |source: &str, targets: &[&str], labels: &[(&str, &str)]| Group {
        source: source.into(),
        targets: targets.iter().map(|t| vec![("__address__".to_owned(), t.to_string())]).collect(),
        labels: labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
    };
    let dns = |name: &str, record, port, refresh_s| Discovery::Dns {
        names: vec![name.into()],
        record,
        port,
        refresh: seconds(refresh_s),
    };
    assert_eq!(discovery[0], dns("n", DnsRecord::Srv, 0, 30));
    assert_eq!(discovery[1], dns("m", DnsRecord::A, 80, 60));
    let patterns = vec![directory.path().join("t/*.json"), "/x.yml".into()];
    assert_eq!(discovery[2], Discovery::File { patterns, refresh: seconds(300) });
    assert!(matches!(&discovery[3], Discovery::Http { url, refresh, .. }
        if url == "http://h/x" && *refresh == seconds(5)));
    let Discovery::Kubernetes(kubernetes) = &discovery[4] else { panic!("{discovery:?}") };
    assert_eq!(
        (kubernetes.role, kubernetes.own_namespace, kubernetes.attach_node),
        (KubernetesRole::Pod, true, true)
    );
    assert_eq!(
        (kubernetes.namespaces.as_slice(), kubernetes.selectors[0].label.as_str()),
        (&["n".to_owned()][..], "a=b")
    );
    // Values are text, whatever else YAML takes them for; labels are sorted.
    let groups = vec![group("0", &["a:1", "b"], &[("y", "1.10"), ("z", "1")]), group("1", &[], &[])];
    assert_eq!(discovery[5], Discovery::Static(groups));
}

#[test]
fn external_labels_alone_are_expanded() {
    let config = load(
        "global: {external_labels: {r: '$REGION-${REGION}', d: $$1, none: 'x${NONE}'}}\n\
         scrape_configs: [{job_name: $REGION}]",
    );
    let config = config.unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(config.external_labels, [pair("d", "$1"), pair("none", "x"), pair("r", "eu-eu")]);
    assert_eq!(config.warnings, ["global.external_labels.none: the environment has no NONE"]);
    assert_eq!(config.jobs[0].name, "$REGION");
}

#[test]
fn further_files_bring_further_jobs() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("jobs")).unwrap();
    let write = |name: &str, yaml: &str| fs::write(directory.path().join("jobs").join(name), yaml).unwrap();
    write("2.yml", "scrape_configs: [{job_name: two, basic_auth: {username_file: u}}]");
    write("1.yml", "scrape_configs: [{job_name: one}]");
    write("other.yaml", "nonsense");
    let main =
        "scrape_config_files: [jobs/*.yml, missing.yml, none/*.yml]\nscrape_configs: [{job_name: main}]";
    let config = load_in(directory.path(), main).unwrap();
    let names: Vec<&str> = config.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["main", "one", "two"]);
    // Paths are relative to the file that has them.
    let username = &config.jobs[2].client.basic_auth.as_ref().unwrap().username;
    assert_eq!(*username, Credential::File(directory.path().join("jobs/u")));

    write("3.yml", "scrape_configs:\n  - job_name: main\n");
    let error = load_in(directory.path(), main).unwrap_err();
    let first = format!("first found in {}", directory.path().join("p.yml").display());
    let first = first.replace(&format!("{}/", directory.path().display()), "");
    let name = "scrape_configs.job_name: found multiple scrape configs with job name \"main\"";
    assert_eq!(error, format!("jobs/3.yml:2:15: {name}, {first}"));
    write("3.yml", "global: {}");
    let error = load_in(directory.path(), main).unwrap_err();
    assert_eq!(error, "jobs/3.yml:1:1: global: unknown key, expected one of scrape_configs");
}

#[test]
fn a_key_without_a_value_is_what_prometheus_takes_it_for() {
    let job = job(
        "scrape_configs:\n- job_name: a\n  honor_timestamps:\n  scrape_interval:\n  basic_auth:\n  tls_config:\n  \
         static_configs:\n  relabel_configs:\n  - {target_label: b, replacement: }\n",
    );
    assert!(!job.honor_timestamps, "zero, not the default");
    assert_eq!((job.interval, job.client.basic_auth), (Duration::from_secs(60), None));
    let error = load("scrape_configs: [{job_name: a, relabel_configs: [{action: }]}]").unwrap_err();
    assert!(error.ends_with("relabel_configs.action: relabel action cannot be empty"), "{error}");
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let config = load(
        "scrape_configs:\n- &a {job_name: a, scrape_interval: 5s, params: &p {x: [y]}}\n\
         - {<<: *a, job_name: b, params: *p}\n- {<<: [{honor_labels: true}, *a], job_name: c}\n",
    );
    let jobs = config.unwrap().jobs;
    assert_eq!(jobs[1].interval, Duration::from_secs(5));
    assert_eq!((&jobs[1].params, jobs[2].honor_labels), (&jobs[0].params, true));
    assert_eq!(
        load("workers: *a").unwrap_err(),
        "p.yml:1:10: workers: while parsing node, found unknown anchor"
    );
    let error = load("a: &a [*a]").unwrap_err();
    assert!(error.ends_with("an alias within what it stands for"), "{error}");
    // A thousand million nodes of a few lines.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{list}]\n");
    }
    let error = load(&bomb).unwrap_err();
    assert!(error.ends_with("aliases make too much of this file"), "{error}");
}

#[test]
fn what_prometheus_refuses_is_refused_with_its_place() {
    let in_job = |keys: &str| format!("scrape_configs:\n- job_name: a\n  {keys}\n");
    let mut wrong = Vec::new();
    for (yaml, expected) in [
        ("scrape_configs: [{}]".into(), "p.yml:1:18: scrape_configs.job_name: job_name is empty"),
        (in_job("scrape_timout: 1s"), "p.yml:3:3: scrape_configs.scrape_timout: unknown key, did you mean scrape_timeout?"),
        (
            in_job("scrape_timeout: 61s"),
            "p.yml:3:19: scrape_configs.scrape_timeout: scrape timeout greater than scrape interval for scrape config \
             with job name \"a\"",
        ),
        (
            in_job("scrape_protocols: [PrometheusProto, PrometheusProto]"),
            "p.yml:3:39: scrape_configs.scrape_protocols: duplicated protocol in scrape_protocols, got [PrometheusProto \
             PrometheusProto] for scrape config with job name \"a\"",
        ),
        (
            in_job("scrape_protocols: [PrometheusProto, OpenMetricsText2.0.0]"),
            "p.yml:3:39: scrape_configs.scrape_protocols: scrape_protocols: unsupported scrape protocol \
             OpenMetricsText2.0.0, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto \
             PrometheusText0.0.4 PrometheusText1.0.0] for scrape config with job name \"a\"",
        ),
        (
            in_job("scrape_protocols: []"),
            "p.yml:3:3: scrape_configs.scrape_protocols: scrape_protocols cannot be empty for scrape config with job \
             name \"a\"",
        ),
        (in_job("body_size_limit: 100"), "p.yml:3:20: scrape_configs.body_size_limit: \"100\": not a size such as 512MB, 4GiB or 0"),
        (
            in_job("sample_limit: -1"),
            "p.yml:3:17: scrape_configs.sample_limit: \"-1\": must be from 0 to 18446744073709551615",
        ),
        (
            in_job("asw_sd_configs: [{}]"),
            "p.yml:3:3: scrape_configs.asw_sd_configs: unknown key, did you mean dns_sd_configs?",
        ),
        (in_job("honor_labels: 2"), "p.yml:3:17: scrape_configs.honor_labels: \"2\": must be true or false"),
        (in_job("scheme: htps"), "p.yml:3:11: scrape_configs.scheme: \"htps\" is unknown, did you mean https?"),
        (
            in_job("ec2_sd_configs: [{region: x}]"),
            "p.yml:3:3: scrape_configs.ec2_sd_configs: ec2_sd_configs is not built into tidegate",
        ),
        (
            in_job("basic_auth: {username_ref: x}"),
            "p.yml:3:16: scrape_configs.basic_auth.username_ref: secret managers are not built into tidegate",
        ),
        (
            in_job("tls_config: {cert: x}"),
            "p.yml:3:15: scrape_configs.tls_config: exactly one of key or key_file must be configured when a client \
             certificate is configured",
        ),
        (
            in_job("tls_config: {min_version: TLS9}"),
            "p.yml:3:29: scrape_configs.tls_config.min_version: unknown TLS version: TLS9",
        ),
        (
            in_job("static_configs: [{targets: ['http://a']}]"),
            "p.yml:3:31: scrape_configs.static_configs.targets: \"http://a\" is not a valid hostname",
        ),
        (
            in_job("static_configs: [{labels: {'': x}}]"),
            "p.yml:3:30: scrape_configs.static_configs.labels: \"\" is not a valid label name",
        ),
        (
            in_job("static_configs: [{labels: {a: !!binary /w==}}]"),
            "p.yml:3:42: scrape_configs.static_configs.labels: \"\\xff\" is not a valid label value",
        ),
        (
            in_job("file_sd_configs: [{files: ['*/a.json']}]"),
            "p.yml:3:30: scrape_configs.file_sd_configs.files: path name \"*/a.json\" is not valid for file discovery",
        ),
        (
            in_job("http_sd_configs: [{url: 'http://a', refresh_interval: 0s}]"),
            "p.yml:3:57: scrape_configs.http_sd_configs.refresh_interval: must be above 0",
        ),
        (
            in_job("kubernetes_sd_configs: [{}]"),
            "p.yml:3:27: scrape_configs.kubernetes_sd_configs.role: role missing (one of: pod, service, endpoints, \
             endpointslice, node, ingress)",
        ),
        (
            in_job("metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8"),
            "p.yml:4:32: scrape_configs.metric_name_escaping_scheme: utf8 metric names requested but validation scheme \
             is not set to UTF8",
        ),
        (
            "global: {metric_name_validation_scheme: legacy}\nscrape_configs:\n- job_name: a\n  relabel_configs: \
             [{target_label: é}]\n"
                .into(),
            "p.yml:4:36: scrape_configs.relabel_configs.target_label: \"é\" is invalid 'target_label' for replace action",
        ),
        ("rule_files: [a.yml]".into(), "p.yml:1:1: rule_files: field rule_files is not allowed in agent mode"),
        ("remote_read: [{url: 'http://a'}]".into(), "p.yml:1:1: remote_read: field remote_read is not allowed in agent mode"),
        ("alerting: {alertmanagers: [{}]}".into(), "p.yml:1:1: alerting: field alerting is not allowed in agent mode"),
        ("remote_write: [{name: a}]".into(), "p.yml:1:16: remote_write.url: url for remote_write is empty"),
        (
            "remote_write: [{url: 'http://a', sigv4: {}, basic_auth: {}}]".into(),
            "p.yml:1:34: remote_write.sigv4: at most one of basic_auth, authorization, oauth2, sigv4, azuread or \
             google_iam must be configured. Currently configured: [basic_auth sigv4]",
        ),
        ("shard: {index: 2, count: 2}".into(), "p.yml:1:16: shard.index: \"2\": must be from 0 to 1"),
        ("shard: {index: 0}".into(), "p.yml:1:8: shard.count: missing"),
    ] {
        let found = load(&yaml).err().unwrap_or_else(|| "taken".into());
        if found != expected {
            wrong.push(format!("{yaml}\n  expected {expected}\n  got      {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sections_without_a_use_are_taken_and_named() {
    let config = load(
        "global: {scrape_failure_log_file: x, evaluation_interval: 1m, query_log_file: q, query_max_series: 5, \
         query_max_samples_read: 5, query_max_duration: 1m}\nstorage: {tsdb: {retention: \
         {time: 1d}}}\ntracing: {endpoint: a}\nruntime: {gogc: -1, log_level: Warn}\notlp: {}\nrule_files: []\n\
         alerting: {}\nremote_write: [{url: 'http://a', convert_nhcb_to_classic: true, queue_config: {capacity: 5}}]\n\
         scrape_configs:\n- {job_name: a, scrape_failure_log_file: y, tls_config: {max_version: TLS10}}\n",
    );
    let config = config.unwrap();
    assert_eq!(
        config.unsupported,
        [
            "global.scrape_failure_log_file",
            "otlp",
            "remote_write",
            "runtime",
            "scrape_configs.scrape_failure_log_file",
            "scrape_configs.tls_config.max_version",
            "storage",
            "tracing",
        ]
    );
    assert_eq!((config.remote_write.len(), config.remote_write[0].queue.capacity), (1, 5));
    assert_eq!(config.shard, Shard { index: 0, count: 1 });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.yml");
    fs::write(&path, "shard: {index: 1, count: 3}\nscrape_configs: [{job_name: a}]").unwrap();
    let (jobs, shard) = Config::jobs(&path).unwrap();
    assert_eq!((jobs[0].name.as_str(), shard), ("a", Shard { index: 1, count: 3 }));
    assert_eq!(load("shard: {index: 1, count: 3}").unwrap().shard, Shard { index: 1, count: 3 });
}

#[test]
fn numbers_and_truths_are_those_of_prometheuss_reader() {
    let job = |keys: &str| {
        let loaded = load(&format!("scrape_configs: [{{job_name: a, {keys}}}]"));
        loaded.map(|config| Job::clone(&config.jobs[0]))
    };
    let limit = |text: &str| job(&format!("sample_limit: {text}")).map(|job| job.limits.samples_max);
    for (text, expected) in [("010", 8), ("0x10", 16), ("1e3", 1000), ("1.5", 1), ("1_000", 1000), ("~", 0)] {
        assert_eq!(limit(text), Ok(expected), "{text}");
    }
    for text in ["'5'", "!!str 5", "-1", "-1.5", "five", "''", ".nan", "18446744073709551617e9"] {
        assert!(limit(text).is_err(), "{text}");
    }
    let honors = |text: &str| job(&format!("honor_labels: {text}")).map(|job| job.honor_labels);
    for (text, expected) in [("on", true), ("Y", true), ("n", false), ("~", false), ("!!bool 'yes'", true)] {
        assert_eq!(honors(text), Ok(expected), "{text}");
    }
    for text in ["'true'", "!!str true", "\"on\"", "''", "1", "tRue"] {
        assert!(honors(text).is_err(), "{text}");
    }
}

#[test]
fn files_of_jobs_are_named_by_patterns_as_in_a_shell() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["j1", "j2", "k1"] {
        let yaml = format!("scrape_configs: [{{job_name: {name}}}]");
        fs::write(directory.path().join(name), yaml).unwrap();
    }
    let names = |pattern: &str| {
        let config = load_in(directory.path(), &format!("scrape_config_files: [{pattern}]"));
        config.map(|config| config.jobs.iter().map(|job| job.name.clone()).collect::<Vec<_>>())
    };
    let list = |names: &[&str]| Ok(names.iter().copied().map(str::to_owned).collect());
    assert_eq!(names("j*"), list(&["j1", "j2"]));
    assert_eq!(names("'?1'"), list(&["j1", "k1"]));
    assert_eq!(names("'j[23]'"), list(&["j2"]));
    assert_eq!(names("'*j**2*'"), list(&["j2"]));
    assert_eq!(names("~"), list(&[]));
    assert_eq!(names("none*"), list(&[]));
    assert!(names("'j['").unwrap_err().starts_with("p.yml:1:23: scrape_config_files: \"j[\": "));
    assert!(names("'j*/x'").is_err());
}

#[test]
fn proxies_that_are_not_spoken_to_are_refused_by_name() {
    let job = |keys: &str| format!("scrape_configs: [{{job_name: a, {keys}}}]");
    for (keys, scheme) in [
        ("proxy_url: 'socks4://u:S3CRET@p'", "socks4"),
        ("http_sd_configs: [{url: 'http://h', proxy_url: 'FTP://p:1'}]", "ftp"),
        ("oauth2: {client_id: c, token_url: 'http://t', proxy_url: 'quic://p'}", "quic"),
    ] {
        let error = load(&job(keys)).unwrap_err();
        let message = format!("proxy_url: a proxy that speaks {scheme} is not built into tidegate");
        assert!(error.contains(&message) && !error.contains("S3CRET"), "{error}");
    }
    for proxy in ["http://p:1", "https://u:p@p", "socks5://p", "SOCKS5H://p:1", "p:3128", ""] {
        for keys in [
            "",
            "http_sd_configs: [{url: 'http://h', ",
            "kubernetes_sd_configs: [{role: pod, api_server: 'http://k', ",
        ] {
            let end = if keys.is_empty() { "" } else { "}]" };
            let yaml = job(&format!("{keys}proxy_url: '{proxy}'{end}"));
            assert!(load(&yaml).is_ok(), "{yaml}: {:?}", load(&yaml).err());
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let client = "basic_auth: {username: u, password: S3CRET}, proxy_url: 'http://u:S3CRET@p', \
                  proxy_connect_header: {a: [S3CRET]}, http_headers: {b: {secrets: [S3CRET]}}, \
                  tls_config: {cert: S3CRET, key: S3CRET}";
    let oauth = "oauth2: {client_id: c, client_secret: S3CRET, token_url: 'https://u:S3CRET@t', endpoint_params: \
                 {p: S3CRET}}";
    let yaml = format!(
        "scrape_configs:\n- {{job_name: a, {client}, http_sd_configs: [{{url: 'http://u:S3CRET@h', {oauth}}}], \
         kubernetes_sd_configs: [{{role: pod, api_server: 'https://u:S3CRET@k', bearer_token: S3CRET}}]}}\n\
         - {{job_name: b, authorization: {{credentials: S3CRET}}}}\n\
         remote_write: [{{url: 'http://u:S3CRET@r', headers: {{h: S3CRET}}, {client}}}]\n"
    );
    let shown = format!("{:#?}", load(&yaml).unwrap());
    assert!(!shown.contains("S3CRET"), "{shown}");
    // Nor in what is said of a mistake.
    for (right, wrong) in [
        ("S3CRET@h", "S3CRET@ h"),
        ("S3CRET@p", "S3CRET@p:x"),
        ("S3CRET@k", "S3CRET@k:x"),
        ("S3CRET@r", "S3CRET@r:x"),
    ] {
        let error = load(&yaml.replace(right, wrong)).unwrap_err();
        assert!(!error.contains("S3CRET"), "{error}");
    }
}

#[test]
fn a_url_where_none_belongs_is_refused_without_its_password() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.yml");
    for (option, shown) in [
        (
            "static_configs: [{targets: ['http://u:S3CRET@h/x']}]",
            "\"http://u:xxxxx@h/x\" is not a valid hostname",
        ),
        ("scheme: 'http://u:S3CRET@h'", "\"http://u:xxxxx@h\" is unknown"),
        ("scrape_interval: 'u:S3CRET@h'", "\"u:xxxxx@h\": not a duration"),
        ("file_sd_configs: [{files: ['u:S3\"CRET@h']}]", "\"u:xxxxx@h\" is not valid for file discovery"),
        (
            "relabel_configs: [{target_label: __address__, replacement: '$1//u:S3CRET@h'}]\n  static_configs: \
             [{targets: [a]}]",
            "\"//u:xxxxx@h\" is not a valid hostname",
        ),
    ] {
        fs::write(&path, format!("scrape_configs:\n- job_name: a\n  {option}\n")).unwrap();
        let error = Config::check(&path, HOST).unwrap_err().to_string();
        assert!(error.contains(shown) && !error.contains("CRET"), "{error}");
    }
}

#[test]
fn check_makes_targets_of_what_the_file_has_as_a_server_would() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.yml");
    let check = |rule: &str, label: &str| {
        let jobs = format!(
            "scrape_configs:\n- job_name: a\n  relabel_configs: [{rule}]\n  static_configs:\n  - targets: [x:1]\n  \
             - targets: [y:1]\n    labels: {{z: \"1\"{label}}}\n"
        );
        fs::write(&path, &jobs).unwrap();
        assert!(load(&jobs).is_ok(), "a server takes it, and shows what can't be used");
        Config::check(&path, HOST).map_err(|error| error.to_string())
    };
    let at = |line: &str, message: &str| {
        Err(format!("{}:{line}: scrape_configs.static_configs.{message}", path.display()))
    };
    let start = at("7:13", "labels: error parsing scrape interval: \"1x\": ").unwrap_err();
    let interval = check("", ", __scrape_interval__: \"1x\"").unwrap_err();
    assert!(interval.starts_with(&start), "{interval}");
    let scheme = at("7:13", "labels: invalid scheme: \"ftp\"").unwrap_err();
    assert_eq!(check("", ", __scheme__: ftp"), Ok(vec![scheme]), "a warning: Prometheus takes it");
    for (rule, text, expected) in [
        ("", "", Ok(Vec::new())),
        ("", ", __scrape_interval__: 30s", Ok(Vec::new())),
        ("", ", __scrape_interval__: 0s", at("7:13", "labels: scrape interval cannot be 0")),
        (
            "",
            ", __scrape_timeout__: 2m",
            at("7:13", "labels: scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")"),
        ),
        // What counts is what rules have left.
        (
            "{target_label: __scrape_interval__, replacement: 30s}",
            ", __scrape_interval__: 1x",
            Ok(Vec::new()),
        ),
        ("{source_labels: [z], regex: 1, action: drop}", ", __scrape_interval__: 1x", Ok(Vec::new())),
        (
            "{target_label: __scrape_interval__, replacement: 0s}",
            "",
            at("5:14", "targets: scrape interval cannot be 0"),
        ),
        ("{action: labeldrop, regex: __address__}", "", at("5:14", "targets: no address")),
    ] {
        assert_eq!(check(rule, text), expected, "{rule} {text}");
    }
}

#[test]
fn check_looks_at_the_files_that_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.yml");
    let check = |yaml: &str| {
        fs::write(&path, yaml).unwrap();
        let tame = |text: String| text.replace(&format!("{}/", directory.path().display()), "");
        let found = Config::check(&path, HOST);
        found
            .map(|all| all.into_iter().map(tame).collect::<Vec<_>>())
            .map_err(|error| tame(error.to_string()))
    };
    let missing = "No such file or directory (os error 2)";
    for (keys, expected) in [
        ("tls_config: {cert_file: c, key_file: k}", "p.yml:1:56: scrape_configs.tls_config.cert_file: c"),
        ("bearer_token_file: t", "p.yml:1:51: scrape_configs.bearer_token_file: t"),
        (
            "authorization: {credentials_file: t}",
            "p.yml:1:66: scrape_configs.authorization.credentials_file: t",
        ),
    ] {
        let yaml = format!("scrape_configs: [{{job_name: a, {keys}}}]");
        assert_eq!(check(&yaml).unwrap_err(), format!("{expected}: {missing}"));
        assert!(load(&yaml).is_ok(), "{keys}");
    }
    let targets = "scrape_configs: [{job_name: a, file_sd_configs: [{files: [t/*.json]}]}]";
    let warning = "p.yml:1:59: scrape_configs.file_sd_configs.files: t/*.json: no such file";
    assert_eq!(check(targets).unwrap(), [warning]);
    fs::create_dir(directory.path().join("t")).unwrap();
    let write = |text: &str| fs::write(directory.path().join("t/1.json"), text).unwrap();
    write("[{\"targets\": [\"a:1\"],\n  \"labels\": {\"b\": \"c\"}}]");
    assert_eq!(check(targets), Ok(Vec::new()));
    write("[null]");
    assert_eq!(check(targets).unwrap_err(), "t/1.json:1:2: nil target group item found");
    write("[{\"target\": []}]");
    assert_eq!(check(targets).unwrap_err(), "t/1.json:1:3: target: unknown key, did you mean targets?");
    assert_eq!(
        check("remote_write: [{url: 'http://a'}]").unwrap(),
        ["p.yml: remote_write: not supported by this version: it does nothing yet"]
    );
}
