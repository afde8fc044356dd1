//! The parts of the help texts that are not one flag's.
//!
//! Their lines fit a terminal of 80 columns: wrapped, a table is no table.

/// After the short help.
pub(super) const AFTER: &str = "\
`tidegate serve` listens on 127.0.0.1:9480 and keeps rows in ./tidegate-data.
With --help there is more.";

/// After the long help.
pub(super) const AFTER_LONG: &str = "\
EXIT CODES
  0  done; for serve: stopped as asked; also when whoever read stdout has gone
  1  failed, or damage was found
  2  the arguments or the configuration can't be used
  3  done, but the output lacks something that its format can't express

ENVIRONMENT
  A flag goes before its variable, a variable before the configuration file,
  the file before the default. Variables that are set to nothing count as
  unset; others of the name TIDEGATE_... are passed over.

  TIDEGATE_CONFIG      the configuration file, as serve --config
  TIDEGATE_DATA        the data directory, as --data
  TIDEGATE_LISTEN      addresses, as serve --listen, with commas between
  TIDEGATE_LOG_LEVEL   as --log-level
  TIDEGATE_LOG_FORMAT  as --log-format
  STATE_DIRECTORY      set by systemd: the data directory of serve where
                       neither flag, variable nor file names one

EXAMPLES
  tidegate serve
  curl --data-binary 'cpu,host=a usage=0.5' http://127.0.0.1:9480/write";

/// After the long help of `serve`.
pub(super) const SERVE: &str = "\
FILE
  YAML; these are the keys and their defaults. Durations and sizes are written
  as Prometheus writes them: 1d12h, 500ms, 512MB, 4GiB, in steps of 1024.
  Relative paths count from the file. Other keys are errors.

  listen:
    - address: 127.0.0.1:9480     # or localhost:9480, '[::1]:9480'; ':9480'
      protocol: http              #   is every address of this machine
      # tls_server_config, basic_auth_users, metric_relabel_configs, ...: below
    # - address: udp://:8125      # lines on sockets of their own: graphite,
    #   protocol: statsd          #   statsd, influx or opentsdb, by tcp://,
    #   flush_interval: 10s       #   udp://, unix://, unixgram://; their keys
    #                             #   are in docs/listeners.md
  data:
    directory: ./tidegate-data
    retention: 15d                # since arrival; 0 keeps rows for ever
    retention_size: 0             # bytes of log kept; 0 is any number
    free_space_min: 5%            # of the disk; below it the oldest rows go
    cursor_size_max: 10GiB        # kept longer for cursors that are behind
    commit_linger: 2ms            # the most that rows wait for others to
                                  #   share their commit
    commit_interval: 200ms        # the same for rows that nobody waits for
    commits_per_second_max: 0     # for disks that count operations; 0 is any
    disk: auto                    # or io_uring, threads
  limits:
    memory: 25%                   # of the machine or cgroup; or a size
    series_max: 10_000_000
    body_size_max: 64MB           # of a request's body as it comes in
    decoded_size_max: 256MB       # of the same decompressed
    connections_max: 16_384
    header_timeout: 10s           # for a request's head
    body_idle_timeout: 30s        # without a byte of a body; and after 10s it
                                  #   must come at 240 bytes/s on average
    idle_timeout: 2m              # between requests
  workers: 4                      # without it, the cores that it may use
  shard:                          # targets are spread over so many processes
    index: 0
    count: 1

  Prometheus's sections (global, scrape_configs, scrape_config_files,
  remote_write, ...) are read as by its agent: docs/configuration.md.

  Further keys of each element of listen, none of which is set by default:

      tls_server_config:          # as Prometheus's exporter toolkit has it
        cert_file: server.pem     # both files are read again when they change;
        key_file: server.key      #   or cert and key, as texts
        client_auth_type: NoClientCert  # or RequestClientCert,
                                  #   RequireAnyClientCert,
                                  #   VerifyClientCertIfGiven,
                                  #   RequireAndVerifyClientCert
        client_ca_file: ca.pem    # for the two that verify
        min_version: TLS12
        max_version: TLS13
        cipher_suites: []         # of TLS 1.2; Go's names
        curve_preferences: []     # X25519, CurveP256, CurveP384
        prefer_server_cipher_suites: true
      basic_auth_users:           # user: bcrypt hash, as htpasswd -B makes it
        ann: $2y$10$...
      bearer_token_files: []      # files that hold a token each
      metric_relabel_configs: []  # Prometheus's rules, for every new series
      tenant_label: team          # set to db, bucket or X-Scope-OrgID of the
                                  #   request, where it names one

  SIGHUP, and POST to /-/reload from this machine or with credentials, load the
  file again, all or nothing: limits, these keys, shard and Prometheus's
  sections take effect at once, others need a restart.

EXAMPLES
  tidegate serve --data /var/lib/tidegate --listen :9480
  tidegate serve --config /etc/tidegate.yml --log-format json
  TIDEGATE_LISTEN=127.0.0.1:0 tidegate serve";

/// After the long help of `check`.
pub(super) const CHECK: &str = "\
EXAMPLES
  tidegate check /etc/tidegate.yml && systemctl reload tidegate";

/// After the long help of `relabel`.
pub(super) const RELABEL: &str = "\
EXAMPLES
  tidegate relabel prometheus.yml --job node '{__address__=\"10.0.0.1:9100\"}'
  tidegate relabel prometheus.yml --job node --metric 'up{instance=\"a\"}'";

/// After the long help of `log cat`.
pub(super) const CAT: &str = "\
EXAMPLES
  tidegate log cat --data /var/lib/tidegate --start -1h
  tidegate log cat --match 'cpu{host=~\"a.*\"}' --start 1795341600 --end now
  tidegate log cat --format influx --follow";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Config;
    use crate::app::host::Host;

    #[test]
    fn no_line_is_wrapped_at_80_columns() {
        for text in [AFTER, AFTER_LONG, SERVE, CHECK, RELABEL, CAT] {
            for line in text.lines() {
                assert!(line.len() < 80, "{line}");
            }
        }
    }

    /// What the help shows as the defaults must be a file that can be used, and that changes nothing.
    #[test]
    fn the_file_in_the_help_is_the_default() {
        let yaml = SERVE.split("\n\n").nth(1).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.yml");
        std::fs::write(&path, yaml).unwrap();
        let host = Host { memory_bytes: 8 << 30, cores: 4 };
        let load = |config| {
            let flags = crate::app::args::ServeArgs { config, data: Some("data".into()), listen: Vec::new() };
            Config::load(&flags, &|_| None, host).unwrap()
        };
        let default = load(None);
        // It has places, which the default has not.
        let shown = Config { file: None, origins: default.origins.clone(), ..load(Some(path)) };
        assert_eq!(shown, default);
        assert!(yaml.contains("disk: auto"), "the whole of the file is looked at");
    }
}
