//! Configurations that are taken, and configurations that are refused with their place and key.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::serve::lines::{LineProtocol, StatsdOptions};
use crate::wire::influx::Precision;
use crate::wire::statsd::TagStyles;

const HOST: Host = Host { memory_bytes: 8 << 30, cores: 6 };

/// Loads `yaml` from a file; also gives the directory that it stood in.
fn load_with(
    yaml: &str,
    flags: ServeArgs,
    variables: &[(&str, &str)],
) -> (PathBuf, Result<Config, ConfigError>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.yml");
    fs::write(&path, yaml).unwrap();
    let flags = ServeArgs { config: Some(path), ..flags };
    (directory.path().into(), load_without(flags, variables))
}

fn load_without(flags: ServeArgs, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Config::load(&flags, &|name| variables.get(name).map(OsString::from), HOST)
}

fn load(yaml: &str) -> Config {
    load_with(yaml, ServeArgs::default(), &[]).1.unwrap()
}

fn addresses(config: &Config) -> Vec<String> {
    config.listen.iter().map(|listener| listener.address.to_string()).collect()
}

#[test]
fn without_a_file_everything_has_its_default() {
    let config = load_without(ServeArgs::default(), &[]).unwrap();
    assert_eq!(addresses(&config), ["127.0.0.1:9480"]);
    let data = Data {
        directory: "./tidegate-data".into(),
        retention: Some(Duration::from_secs(15 * 86_400)),
        retention_bytes: None,
        free_space_min_percent: 5,
        cursor_bytes_max: 10 << 30,
        commit_linger: Duration::from_millis(2),
        commit_interval: Duration::from_millis(200),
        commits_per_second_max: 0,
        disk: Disk::Auto,
    };
    let limits = Limits {
        memory_bytes: 2 << 30,
        series_max: 10_000_000,
        body_bytes_max: 64 << 20,
        decoded_bytes_max: 256 << 20,
        connections_max: 16_384,
        header_timeout: Duration::from_secs(10),
        body_idle_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(120),
    };
    let listen = config.listen.clone();
    let expected = Config {
        file: None,
        listen,
        lines: Vec::new(),
        data,
        limits,
        workers: 6,
        jobs: Vec::new(),
        shard: Shard { index: 0, count: 1 },
        external_labels: Vec::new(),
        remote_write: Vec::new(),
        unsupported: Vec::new(),
        warnings: Vec::new(),
        origins: Origins::default(),
    };
    assert_eq!(config, expected);
}

#[test]
fn files_that_say_nothing_change_nothing() {
    let default = load_without(ServeArgs::default(), &[]).unwrap();
    for yaml in
        ["", "# nothing\n", "~", "{}", "listen:\n", "data:\nlimits:\n", "data:\n  retention:\n", "\u{feff}{}"]
    {
        assert_eq!(Config { file: None, ..load(yaml) }, default, "{yaml:?}");
    }
}

#[test]
fn every_key_of_the_file_is_taken() {
    let config = load(
        "listen:\n  - address: 127.0.0.1:9480\n    protocol: http\n  - address: '[::1]:0'\n\
         data:\n  directory: /srv/d\n  retention: 1w\n  retention_size: 1.5GB\n  free_space_min: 0\n  \
         cursor_size_max: 2GiB\n  commit_linger: 0s\n  \
         commit_interval: 1s\n  commits_per_second_max: 40\n  disk: threads\n\
         limits:\n  memory: 512MB\n  series_max: 1_000\n  body_size_max: 1MB\n  decoded_size_max: 2MiB\n  \
         connections_max: 7\n  header_timeout: 1s\n  body_idle_timeout: 2s\n  idle_timeout: 3s\n\
         workers: 3\n",
    );
    assert_eq!(addresses(&config), ["127.0.0.1:9480", "[::1]:0"]);
    let data = Data {
        directory: "/srv/d".into(),
        retention: Some(Duration::from_secs(7 * 86_400)),
        retention_bytes: Some(3 << 29),
        free_space_min_percent: 0,
        cursor_bytes_max: 2 << 30,
        commit_linger: Duration::ZERO,
        commit_interval: Duration::from_secs(1),
        commits_per_second_max: 40,
        disk: Disk::Threads,
    };
    let limits = Limits {
        memory_bytes: 512 << 20,
        series_max: 1000,
        body_bytes_max: 1 << 20,
        decoded_bytes_max: 2 << 20,
        connections_max: 7,
        header_timeout: Duration::from_secs(1),
        body_idle_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(3),
    };
    assert_eq!((config.data, config.limits, config.workers), (data, limits, 3));
}

#[test]
fn a_refusal_names_line_column_and_key() {
    let cases = [
        // Keys.
        ("lisen: 1\n", "t.yml:1:1: lisen: unknown key, did you mean listen?"),
        ("data:\n  retension: 15d\n", "t.yml:2:3: data.retension: unknown key, did you mean retention?"),
        (
            "zzz: 1\n",
            "t.yml:1:1: zzz: unknown key, expected one of listen, data, limits, workers, shard, global, \
             scrape_config_files, scrape_configs, remote_write, storage, tracing, runtime, otlp, rule_files, \
             remote_read, alerting",
        ),
        (
            "listen:\n  - address: ':1'\n    tls_server_config: {}\n",
            "t.yml:3:24: listen.tls_server_config.cert_file: missing",
        ),
        (
            "listen:\n  - address: ':1'\n    tls_server_config: {cert: x}\n",
            "t.yml:3:24: listen.tls_server_config.key_file: missing",
        ),
        (
            "listen:\n  - address: ':1'\n    tennant_label: x\n",
            "t.yml:3:5: listen.tennant_label: unknown key, did you mean tenant_label?",
        ),
        ("data:\n  retention: 1d\n  retention: 2d\n", "t.yml:3:3: data.retention: given twice"),
        ("listen:\n  - protocol: http\n", "t.yml:2:5: listen.address: missing"),
        (
            "{data: {\"a\\eb\": 1}}\n",
            "t.yml:1:9: data.a\\u{1b}b: unknown key, expected one of directory, retention, \
             retention_size, free_space_min, cursor_size_max, commit_linger, commit_interval, \
             commits_per_second_max, disk",
        ),
        // Shapes.
        ("data: 5\n", "t.yml:1:7: data: must be keys with values"),
        ("listen: {}\n", "t.yml:1:9: listen: must be a list"),
        ("data:\n  retention: [1d]\n", "t.yml:2:14: data.retention: must be a single value"),
        ("data: {\n", "t.yml:1:7: data: unclosed bracket '{'"),
        ("listen: []\n", "t.yml:1:9: listen: names no address"),
        // Values.
        ("workers: 0\n", "t.yml:1:10: workers: \"0\": must be from 1 to 255"),
        ("workers: 1e3\n", "t.yml:1:10: workers: \"1e3\": not a whole number"),
        (
            "workers: 99999999999999999999\n",
            "t.yml:1:10: workers: \"99999999999999999999\": must be from 1 to 255",
        ),
        (
            "data:\n  retention: 15\n",
            "t.yml:2:14: data.retention: \"15\": not a duration such as 15d, 1h30m or 500ms",
        ),
        (
            "data:\n  retention_size: 1mb\n",
            "t.yml:2:19: data.retention_size: \"1mb\": not a size such as 512MB, 4GiB or 0",
        ),
        (
            "data:\n  free_space_min: 91%\n",
            "t.yml:2:19: data.free_space_min: \"91%\": must be from 0% to 90%",
        ),
        (
            "data:\n  commit_linger: 300ms\n",
            "t.yml:2:18: data.commit_linger: \"300ms\": must be from 0s to 200ms",
        ),
        ("data:\n  disk: uring\n", "t.yml:2:9: data.disk: \"uring\" is unknown, did you mean io_uring?"),
        ("data:\n  disk: x\n", "t.yml:2:9: data.disk: \"x\" is unknown, expected auto, io_uring or threads"),
        ("data:\n  directory: ''\n", "t.yml:2:14: data.directory: empty"),
        ("limits:\n  memory: 1MB\n", "t.yml:2:11: limits.memory: \"1MB\": must be from 32MiB to 1EiB"),
        ("limits:\n  memory: 95%\n", "t.yml:2:11: limits.memory: \"95%\": must be from 1% to 90%"),
        ("limits:\n  idle_timeout: 0\n", "t.yml:2:17: limits.idle_timeout: \"0\": must be from 100ms to 1h"),
        (
            "listen:\n  - address: localhost\n",
            "t.yml:2:14: listen.address: \"localhost\": no port: write HOST:PORT",
        ),
        (
            "listen:\n  - {address: ':1', protocol: otlp-grpc}\n",
            "t.yml:2:31: listen.protocol: \"otlp-grpc\" is not supported by this version",
        ),
        (
            "listen:\n  - {address: ':1', protocol: htp}\n",
            "t.yml:2:31: listen.protocol: \"htp\" is unknown, did you mean http?",
        ),
        (
            "listen:\n  - address: 127.0.0.1:1\n  - address: 127.0.0.1:1\n",
            "t.yml:3:14: listen.address: \"127.0.0.1:1\" is listened on already",
        ),
    ];
    for (yaml, expected) in cases {
        let (directory, result) = load_with(yaml, ServeArgs::default(), &[]);
        let message = result.unwrap_err().to_string();
        assert_eq!(message.replace(&format!("{}/", directory.display()), ""), expected, "{yaml:?}");
    }
}

#[test]
fn a_flag_goes_before_a_variable_before_the_file_before_systemd() {
    let yaml = "listen: [{address: '127.0.0.1:1'}]\ndata: {directory: file}\n";
    let variables = [
        ("TIDEGATE_DATA", "variable"),
        ("TIDEGATE_LISTEN", "127.0.0.1:2, 127.0.0.1:3"),
        ("STATE_DIRECTORY", "/var/lib/t:/other"),
    ];
    let flags = ServeArgs {
        config: None,
        data: Some("flag".into()),
        listen: vec!["127.0.0.1:4".into(), "127.0.0.1:5".into()],
    };

    let config = load_with(yaml, flags, &variables).1.unwrap();
    assert_eq!(config.data.directory, PathBuf::from("flag"));
    assert_eq!(addresses(&config), ["127.0.0.1:4", "127.0.0.1:5"]);

    let config = load_with(yaml, ServeArgs::default(), &variables).1.unwrap();
    assert_eq!(config.data.directory, PathBuf::from("variable"));
    assert_eq!(addresses(&config), ["127.0.0.1:2", "127.0.0.1:3"]);

    let (beside, config) = load_with(yaml, ServeArgs::default(), &variables[2..]);
    let config = config.unwrap();
    assert_eq!(config.data.directory, beside.join("file"));
    assert_eq!(addresses(&config), ["127.0.0.1:1"]);

    let config = load_with("", ServeArgs::default(), &variables[2..]).1.unwrap();
    assert_eq!(config.data.directory, PathBuf::from("/var/lib/t"));

    let empty = [("TIDEGATE_DATA", ""), ("TIDEGATE_LISTEN", ""), ("TIDEGATE_CONFIG", "")];
    let config = load_without(ServeArgs::default(), &empty).unwrap();
    assert_eq!(config.data.directory, PathBuf::from(DIRECTORY_DEFAULT));
}

#[test]
fn a_refusal_names_the_flag_or_variable() {
    let flags = ServeArgs { listen: vec!["x".into()], ..ServeArgs::default() };
    let error = load_without(flags, &[]).unwrap_err().to_string();
    assert_eq!(error, "--listen: \"x\": no port: write HOST:PORT");

    let flags = ServeArgs { listen: vec!["http://u:S3CRET@h:1".into()], ..ServeArgs::default() };
    let error = load_without(flags, &[]).unwrap_err().to_string();
    assert!(error.starts_with("--listen: \"http://u:xxxxx@h:1\": "), "a password is not shown: {error}");

    let error = load_without(ServeArgs::default(), &[("TIDEGATE_LISTEN", ":1,")]).unwrap_err().to_string();
    assert_eq!(error, "TIDEGATE_LISTEN: \"\": no port: write HOST:PORT");

    let missing = "/nonexistent/t.yml";
    let error = load_without(ServeArgs::default(), &[("TIDEGATE_CONFIG", missing)]).unwrap_err().to_string();
    assert_eq!(error, format!("TIDEGATE_CONFIG: {missing}: No such file or directory (os error 2)"));

    let flags = ServeArgs { config: Some(missing.into()), ..ServeArgs::default() };
    let error = load_without(flags, &[]).unwrap_err().to_string();
    assert_eq!(error, format!("--config: {missing}: No such file or directory (os error 2)"));
}

#[test]
fn a_retention_of_0_keeps_everything() {
    let data = load("data: {retention: 0, retention_size: 0}").data;
    assert_eq!((data.retention, data.retention_bytes), (None, None));
}

#[test]
fn a_share_of_memory_counts_from_what_the_host_has() {
    assert_eq!(load("limits: {memory: 12.5%}").limits.memory_bytes, 1 << 30);

    let small = Host { memory_bytes: 100 << 20, cores: 1 };
    let nothing = |_: &str| None;
    let config = Config::load(&ServeArgs::default(), &nothing, small).unwrap();
    assert_eq!(config.limits.memory_bytes, 32 << 20, "the default works on a small host");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.yml");
    fs::write(&path, "limits: {memory: 25%}").unwrap();
    let error = Config::check(&path, small).unwrap_err();
    assert_eq!(error.message, "\"25%\" of this machine is under 32MiB");
}

#[test]
fn check_does_not_look_names_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.yml");
    fs::write(&path, "listen: [{address: 'no-such-host.invalid:9480'}, {address: 'other.invalid:9480'}]")
        .unwrap();
    assert_eq!(Config::check(&path, HOST), Ok(Vec::new()));

    fs::write(&path, b"workers: \xff\n").unwrap();
    let error = Config::check(&path, HOST).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: invalid UTF-8 in line 1", path.display()));

    fs::write(&path, vec![b'#'; (16 << 20) + 1]).unwrap();
    assert_eq!(Config::check(&path, HOST).unwrap_err().message, "larger than 16 MiB");
}

#[test]
fn each_key_that_changes_is_named() {
    let now = load("");
    assert_eq!(now.changes(&load("# another text, the same settings\n")), [""; 0]);
    let doors = now.changes(&load("listen: [{address: '127.0.0.1:9480', tenant_label: x}]\n"));
    assert_eq!(doors, ["listen.*"]);
    // Every key of the help's file but the protocol, which has one value only.
    let keys = [
        ("listen", "[{address: ':1'}]"),
        ("data.directory", "x"),
        ("data.retention", "1d"),
        ("data.retention_size", "1GB"),
        ("data.free_space_min", "6%"),
        ("data.cursor_size_max", "0"),
        ("data.commit_linger", "1ms"),
        ("data.commit_interval", "100ms"),
        ("data.commits_per_second_max", "1"),
        ("data.disk", "threads"),
        ("limits.memory", "1GB"),
        ("limits.series_max", "1"),
        ("limits.body_size_max", "1MB"),
        ("limits.decoded_size_max", "1MB"),
        ("limits.connections_max", "1"),
        ("limits.header_timeout", "1s"),
        ("limits.body_idle_timeout", "1s"),
        ("limits.idle_timeout", "1s"),
        ("workers", "1"),
        ("shard", "{index: 0, count: 2}"),
        ("scrape_configs", "[{job_name: a}]"),
        ("global.external_labels", "{a: b}"),
        ("remote_write", "[{url: 'http://a'}]"),
    ];
    for (key, value) in keys {
        let yaml = match key.split_once('.') {
            Some((section, key)) => format!("{section}: {{{key}: {value}}}"),
            None => format!("{key}: {value}"),
        };
        assert_eq!(now.changes(&load(&yaml)), [key]);
    }
}

#[test]
fn a_change_that_needs_a_restart_is_named_with_its_place() {
    let listen = |ports: &[&str]| {
        let element = |port: &&str| format!("  - {{address: '127.0.0.1:{port}'}}\n");
        format!("listen:\n{}", ports.iter().map(element).collect::<String>())
    };
    let lines = "  - {protocol: graphite, address: 'udp://127.0.0.1:2'}\n";
    let two = listen(&["9480", "9481"]) + lines;
    for (before, after, key, expected) in [
        ("", "\nworkers: 1\n", "workers", "t.yml:2:10: workers needs a restart"),
        ("workers: 1", "", "workers", "t.yml: workers needs a restart"),
        ("", "data: {disk: threads}", "data.disk", "t.yml:1:14: data.disk needs a restart"),
        (&two, &(listen(&["9480", "9482"]) + lines), "listen", "t.yml:3:15: listen[1] needs a restart"),
        (&two, &(listen(&["9480"]) + lines), "listen", "t.yml: listen[1] needs a restart"),
        (&two, &listen(&["9480", "9481"]), "listen", "t.yml: listen[2] needs a restart"),
        (&two, &two.replace(":2'", ":3'"), "listen", "t.yml:4:35: listen[2] needs a restart"),
        ("", &listen(&["1"]), "listen", "t.yml:2:15: listen[0] needs a restart"),
    ] {
        let (before, after) = (load(before), load(after));
        assert!(before.changes(&after).contains(&key), "{expected}");
        let refused = before.refuse_change(&after, key).to_string();
        let at = after.file.as_ref().unwrap().parent().unwrap().display().to_string();
        assert_eq!(refused.trim_start_matches(&format!("{at}/")), expected);
    }
}

/// A certificate and its key beside the file, and what a listener with these lines is refused for.
fn door_refusal(lines: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [
        ("s.pem", signed.cert.pem()),
        ("s.key", signed.signing_key.serialize_pem()),
        ("other.key", rcgen::KeyPair::generate().unwrap().serialize_pem()),
        ("empty", String::new()),
        ("token", "t0ken \n".to_owned()),
        ("weak.key", WEAK_KEY.to_owned()),
        ("locked.key", LOCKED_KEY.to_owned()),
        ("locked_older.key", LOCKED_KEY_OLDER.to_owned()),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().join("t.yml");
    fs::write(&path, format!("listen:\n  - address: ':1'\n    {lines}\n")).unwrap();
    let error = Config::check(&path, HOST).map_or_else(|error| error.to_string(), |_| "taken".to_owned());
    error.replace(&format!("{}/", directory.path().display()), "")
}

/// RSA of 1024 bits, made for this test.
const WEAK_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIICdQIBADANBgkqhkiG9w0BAQEFAASCAl8wggJbAgEAAoGBAKbyy3XSaN0lv8KF
KnbAmoN+sXV+1D7PSFhBRcJsi2LUL2kzN0JUFkaw0kfsdAtcsvMQ2Ve2qPrUyyR0
bToPOk0a0QcY3nUPqqym0ZqwmBuRfSxqwd1QcNLCZ8mXhoq38xwgt0p2vlD1Sxgv
U1lIikj8U+Qr7FlW8W74Eol+zNkNAgMBAAECgYBca1wmxWw3wIX/cSioxMbEtIYY
vTVR7/3knX24u84Nz9jPLAMTPOl4CLrgBg3XnGGUHWe0HvI8qUAr1igBVBy5XXcN
qaTeVdfRQQbQ8lj18dMw3IYT0tg89zwAhcpiAKPZUR5gI5UV4IUT9qqdsfcxaD4A
YU40wnjo2shJMkoPAQJBANU3AJ0wirTgNetw/Xu5FLN8jSP7qwFTdf9k2nadsK6d
f1fplttRIzpggl70My1FkhjFF5Xwf6zesVux7Km3M2UCQQDIcw2I0HaAHgQTjTIO
eMtK/8GoC3VAhaBkc38tBpornViru+k4fVAf/0VKQcOgLFxY69L4N2sheyY+J5H5
z3iJAkBjALIxSxvtFvsSgxnAvFUHbrsezTo/WGC/ITZrw5cJzaoWySk6VzeTYMLI
kn289MP86m+kONMgExuppzlsKNwdAkB49dTpBsM7tOFI2x+l1Ab5jzTRr3hmIz0S
4Q+RoDZQs3bay16FlDlR1b1+fgkLEzn2/vgkiWzAm4wMXdydHzHhAkAa9X6zucrF
AqExA7Wv4Q5Q+ATVv6Lb27B+vlLtGo0NUfpheYszyT8S4PfkFgW//5m7itdwJ7RS
KvBh7WmlfyCW
-----END PRIVATE KEY-----
";

/// What can be told of a key without its passphrase.
const LOCKED_KEY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n";

/// The same in the form of before PKCS #8.
const LOCKED_KEY_OLDER: &str = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,44D3\n\n\
    MIHs\n-----END EC PRIVATE KEY-----\n";

#[test]
fn doors_are_read_as_the_exporter_toolkit_and_prometheus_have_them() {
    for lines in [
        "tls_server_config: {cert_file: s.pem, key_file: s.key}",
        "tls_server_config: {cert_file: s.pem, key_file: s.key, client_auth_type: RequireAndVerifyClientCert, \
         client_ca_file: s.pem, min_version: TLS13, max_version: TLS13, prefer_server_cipher_suites: false}",
        "tls_server_config: {cert_file: s.pem, key_file: s.key, curve_preferences: [X25519, CurveP384], \
         cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]}",
        "basic_auth_users: {ann: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
        "bearer_token_files: [token]",
        "metric_relabel_configs: [{source_labels: [a, b], separator: '', regex: 1, replacement: 2, action: Replace, \
         target_label: c}, {action: hashmod, modulus: 8, target_label: s}, {regex: x, action: labeldrop}]",
        "metric_relabel_configs:",
        "tenant_label: team",
    ] {
        assert_eq!(door_refusal(lines), "taken", "{lines}");
    }
}

#[test]
fn a_door_that_cannot_be_made_names_line_column_and_key() {
    let tls = |more: &str| format!("tls_server_config: {{cert_file: s.pem, key_file: s.key, {more}}}");
    let rule = |rule: &str| format!("metric_relabel_configs: [{rule}]");
    let mut wrong = Vec::new();
    for (lines, expected) in [
        (
            "tls_server_config: {cert_file: s.pem, key_file: other.key}".to_owned(),
            "t.yml:3:53: listen.tls_server_config.key_file: other.key is not the certificate's key",
        ),
        (
            "tls_server_config: {cert_file: empty, key_file: s.key}".to_owned(),
            "t.yml:3:36: listen.tls_server_config.cert_file: empty has no certificate",
        ),
        (
            "tls_server_config: {cert_file: s.pem, key_file: s.pem}".to_owned(),
            "t.yml:3:53: listen.tls_server_config.key_file: s.pem has no private key",
        ),
        (tls("cert: x"), "t.yml:3:66: listen.tls_server_config.cert: beside cert_file: one of them"),
        (
            "tls_server_config: {cert: x, key_file: s.key}".to_owned(),
            "t.yml:3:31: listen.tls_server_config.cert: the text has no certificate",
        ),
        (
            tls("min_version: TLS11"),
            "t.yml:3:73: listen.tls_server_config.min_version: TLS11 is broken, and not supported",
        ),
        (
            tls("min_version: TLS13, max_version: TLS12"),
            "t.yml:3:93: listen.tls_server_config.max_version: below min_version",
        ),
        (
            tls("client_auth_type: Require"),
            "t.yml:3:78: listen.tls_server_config.client_auth_type: \"Require\" is unknown, expected NoClientCert, \
             RequestClientCert, RequireAnyClientCert, RequireClientCert, VerifyClientCertIfGiven or \
             RequireAndVerifyClientCert",
        ),
        (
            tls("client_auth_type: RequireAndVerifyClientCert"),
            "t.yml:3:78: listen.tls_server_config.client_auth_type: verifies certificates, and there is no \
             client_ca_file",
        ),
        (
            "tls_server_config: {cert_file: s.pem, key_file: weak.key}".to_owned(),
            "t.yml:3:53: listen.tls_server_config.key_file: weak.key is of a kind that is not supported: RSA of 2048 to \
             8192 bits, ECDSA on P-256 or P-384, and Ed25519 are",
        ),
        (
            "tls_server_config: {cert_file: s.pem, key_file: locked.key}".to_owned(),
            "t.yml:3:53: listen.tls_server_config.key_file: locked.key is encrypted: it must be readable without a \
             passphrase (openssl pkey -in ... -out ...)",
        ),
        (
            "tls_server_config: {cert_file: s.pem, key_file: locked_older.key}".to_owned(),
            "t.yml:3:53: listen.tls_server_config.key_file: locked_older.key is encrypted: it must be readable without \
             a passphrase (openssl pkey -in ... -out ...)",
        ),
        (
            tls("client_ca_file: s.pem"),
            "t.yml:3:76: listen.tls_server_config.client_ca_file: client_ca is set, and client_auth_type asks for \
             no certificate",
        ),
        (
            tls("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"),
            "t.yml:3:76: listen.tls_server_config.cipher_suites: \"TLS_RSA_WITH_RC4_128_SHA\" is unknown, or too weak \
             to be supported",
        ),
        (
            "basic_auth_users: {ann: hunter2}".to_owned(),
            "t.yml:3:29: listen.basic_auth_users.ann: not a bcrypt hash",
        ),
        (
            "bearer_token_files: [empty]".to_owned(),
            "t.yml:3:26: listen.bearer_token_files: empty holds no token",
        ),
        (
            "tenant_label: __name__".to_owned(),
            "t.yml:3:19: listen.tenant_label: \"__name__\" is no name of a tenant's label",
        ),
        (
            rule("{regex: '(', target_label: a}"),
            "t.yml:3:38: listen.metric_relabel_configs.regex: error parsing regexp \"(\": unclosed group",
        ),
        (
            rule("{action: replace}"),
            "t.yml:3:30: listen.metric_relabel_configs.target_label: relabel configuration for replace action requires \
             'target_label' value",
        ),
        (
            rule("{if: x}"),
            "t.yml:3:31: listen.metric_relabel_configs.if: unknown key, expected one of source_labels, \
             separator, regex, modulus, target_label, replacement, action",
        ),
        (
            rule("{action: hashmod, target_label: a, modulus: x}"),
            "t.yml:3:74: listen.metric_relabel_configs.modulus: \"x\": not a whole number",
        ),
    ] {
        let found = door_refusal(&lines);
        if found != expected {
            wrong.push(format!("{lines}\n  expected {expected}\n  got      {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_ne!(door_refusal("metric_relabel_configs: [null]"), "taken");
    assert_ne!(door_refusal("basic_auth_users: {a: x, a: y}"), "taken");
}

#[test]
fn a_tab_in_the_indentation_is_named_and_not_what_it_seems_to_say() {
    for (yaml, line) in [
        ("\tlisten: 1\n", 1),
        ("# a\n \tlisten: 1\n", 2),
        ("limits:\n\tmemory: 1GiB\n", 2),
        ("listen:\n\t- address: ':1'\n", 2),
        // What stands before it is a value that could go on.
        ("data:\n  directory: x\n\tretention: 1d\n", 3),
        ("data:\n  directory: x\n\n  # a\n\tretention: 1d\n", 5),
    ] {
        let error = load_with(yaml, ServeArgs::default(), &[]).1.expect_err(yaml).to_string();
        assert!(
            error.contains(&format!("t.yml:{line}:")) && error.contains("tabs disallowed"),
            "{yaml:?}: {error}"
        );
    }
    // Elsewhere they are as good as spaces.
    let yaml =
        "# a\n\t# tab\nlimits:\t{memory: 1GiB,\n\tseries_max: 7}\n\t\nlisten: [{address:\n\t':1',\n\t}]\n";
    let config = load(yaml);
    assert_eq!((config.limits.series_max, config.listen.len()), (7, 1));
}

fn lines(yaml: &str) -> Vec<(String, LineListener)> {
    load(yaml).lines.into_iter().map(|listener| (listener.endpoint.to_string(), listener)).collect()
}

#[test]
fn listeners_for_lines_have_transports_and_defaults() {
    let yaml = "listen:\n  - {address: '127.0.0.1:2003', protocol: graphite}\n  \
                - {address: 'udp://127.0.0.1:2003', protocol: graphite}\n  \
                - {address: 'tcp://127.0.0.1:8125', protocol: statsd}\n  \
                - {address: 'unix://run/a.sock', protocol: influx}\n  \
                - {address: 'unixgram:///run/b.sock', protocol: influx, precision: s}\n  \
                - {address: 'udp://127.0.0.1:8089', protocol: influx, precision: u}\n";
    let found = lines(yaml);
    let endpoints: Vec<&str> = found.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
    assert_eq!(endpoints[..3], ["tcp://127.0.0.1:2003", "udp://127.0.0.1:2003", "tcp://127.0.0.1:8125"]);
    // A relative path is relative to the file.
    assert!(endpoints[3].starts_with("unix:///") && endpoints[3].ends_with("/run/a.sock"), "{endpoints:?}");
    assert_eq!(endpoints[4], "unixgram:///run/b.sock");
    let statsd = StatsdOptions {
        flush_interval_ns: 10_000_000_000,
        series_max: 100_000,
        percentiles: vec![50.0, 90.0, 95.0, 99.0],
        gauge_expiry_ns: 3_600_000_000_000,
        tags: TagStyles::All,
    };
    let protocols: Vec<_> = found.iter().map(|(_, listener)| listener.protocol.clone()).collect();
    let expected = [
        LineProtocol::Graphite,
        LineProtocol::Graphite,
        LineProtocol::Statsd(statsd),
        LineProtocol::Influx(Precision::Nanos),
        LineProtocol::Influx(Precision::Seconds),
        LineProtocol::Influx(Precision::Micros),
    ];
    assert_eq!(protocols, expected);
    assert!(found.iter().all(|(_, l)| (l.receive_buffer_bytes, l.idle_ns_max) == (8 << 20, 0)));
    assert_eq!(load(yaml).listen, []);
}

#[test]
fn listeners_for_lines_take_their_keys() {
    let found = lines(
        "listen:\n  - address: udp://127.0.0.1:0\n    protocol: statsd\n    flush_interval: 1s\n    series_max: 7\n    \
         percentiles: [50, 99.9]\n    gauge_expiry: 0\n    tags: plain\n    receive_buffer: 4KiB\n  \
         - {address: 'udp://127.0.0.1:0', protocol: graphite}\n  \
         - {address: '127.0.0.1:0', protocol: graphite, idle_timeout: 5m}\n",
    );
    let statsd = StatsdOptions {
        flush_interval_ns: 1_000_000_000,
        series_max: 7,
        percentiles: vec![50.0, 99.9],
        gauge_expiry_ns: 0,
        tags: TagStyles::Plain,
    };
    assert_eq!(found[0].1.protocol, LineProtocol::Statsd(statsd));
    assert_eq!((found[0].1.receive_buffer_bytes, found[2].1.idle_ns_max), (4096, 300_000_000_000));
}

#[test]
fn bad_listeners_for_lines_are_refused_with_their_place() {
    for (entry, message) in [
        (
            "address: ':1', protocol: graphit",
            "listen.protocol: \"graphit\" is unknown, did you mean graphite?",
        ),
        (
            "address: 'sctp://:1', protocol: statsd",
            "listen.address: \"sctp://:1\": write tcp://, udp://, unix:// or unixgram://",
        ),
        ("address: 'udp://a', protocol: statsd", "listen.address: \"udp://a\": no port: write HOST:PORT"),
        ("address: 'unix://', protocol: statsd", "listen.address: \"unix://\": no path"),
        (
            "address: 'unix:///a\\b', protocol: statsd",
            "listen.address: \"unix:///a\\\\b\": a path without quotes and backslashes",
        ),
        (
            "address: 'udp://:1'",
            "listen.address: \"udp://:1\" is for lines, and protocol is missing: one of graphite, statsd, influx, \
             opentsdb",
        ),
        (
            "address: 'udp://:1', protocol: http",
            "listen.address: \"udp://:1\": write HOST:PORT, without a scheme",
        ),
        ("address: ':1', protocol: graphite, tags: all", "listen.tags: only for protocol statsd"),
        ("address: ':1', protocol: statsd, precision: s", "listen.precision: only for protocol influx"),
        (
            "address: ':1', protocol: statsd, receive_buffer: 1MiB",
            "listen.receive_buffer: only for datagrams",
        ),
        (
            "address: 'udp://:1', protocol: statsd, idle_timeout: 1m",
            "listen.idle_timeout: only for connections",
        ),
        ("address: ':1', protocol: statsd, tenant_label: a", "listen.tenant_label: only for protocol http"),
        (
            "address: 'udp://:1', protocol: statsd, tls_server_config: {cert: a, key: b}",
            "listen.tls_server_config.cert: TLS is only for connections over TCP",
        ),
        ("address: ':1', flush_interval: 1s", "listen.flush_interval: only for protocol statsd"),
        (
            "address: ':1', protocol: influx, precision: y",
            "listen.precision: \"y\" is unknown, expected ns, us, u, ms, s, m or h",
        ),
        (
            "address: ':1', protocol: statsd, percentiles: [0]",
            "listen.percentiles: \"0\": must be above 0 and at most 100",
        ),
        (
            "address: ':1', protocol: statsd, percentiles: [5, 5.0]",
            "listen.percentiles: \"5.0\": given twice",
        ),
        (
            "address: ':1', protocol: statsd, tags: some",
            "listen.tags: \"some\" is unknown, expected all or plain",
        ),
    ] {
        let (_, result) = load_with(&format!("listen:\n  - {{{entry}}}\n"), ServeArgs::default(), &[]);
        let error = result.expect_err(entry).to_string();
        assert!(error.ends_with(message), "{entry}: {error}");
        assert!(error.contains("t.yml:2:"), "{error}");
    }
    let twice = "listen:\n  - {address: 'udp://:1', protocol: statsd}\n  - {address: 'udp://:1', protocol: graphite}\n";
    let error = load_with(twice, ServeArgs::default(), &[]).1.unwrap_err().to_string();
    assert!(error.ends_with("t.yml:3:15: listen.address: \"udp://:1\" is listened on already"), "{error}");
}

#[test]
fn addresses_of_the_command_line_stand_in_the_place_of_the_files_for_http_alone() {
    let yaml =
        "listen:\n  - {address: '127.0.0.1:1'}\n  - {address: 'udp://127.0.0.1:2', protocol: statsd}\n";
    let flags = ServeArgs { listen: vec!["127.0.0.1:3".into()], ..ServeArgs::default() };
    let config = load_with(yaml, flags, &[]).1.unwrap();
    assert_eq!(addresses(&config), ["127.0.0.1:3"]);
    assert_eq!(config.lines.len(), 1);
}
