//! The parts of the help texts that are not one flag's.

/// After the short help.
pub(super) const AFTER: &str = "\
Start with `tidegate serve`: it listens on 127.0.0.1:9480 and keeps rows in ./tidegate-data. With --help there is more.";

/// After the long help.
pub(super) const AFTER_LONG: &str = "\
EXIT CODES
  0  done; for serve: stopped as asked; also when whoever read stdout has gone
  1  failed, or damage was found
  2  the arguments or the configuration can't be used
  3  done, but the output lacks something that its format can't express

ENVIRONMENT
  A flag goes before its variable, a variable before the configuration file, the file before the default. Variables that
  are set to nothing count as unset; others of the name TIDEGATE_... are passed over.

  TIDEGATE_CONFIG      the configuration file, as serve --config
  TIDEGATE_DATA        the data directory, as --data
  TIDEGATE_LISTEN      addresses to listen on, as serve --listen, with commas between
  TIDEGATE_LOG_LEVEL   as --log-level
  TIDEGATE_LOG_FORMAT  as --log-format
  STATE_DIRECTORY      set by systemd: the data directory where neither flag, variable nor file names one

EXAMPLES
  tidegate serve
  curl --data-binary 'cpu,host=a usage=0.5' http://127.0.0.1:9480/write
  tidegate log cat --start -1h --match cpu";

/// After the long help of `serve`.
pub(super) const SERVE: &str = "\
FILE
  YAML; these are the keys and their defaults. Durations and sizes are written as Prometheus writes them (1d12h, 500ms,
  512MB, 4GiB, in steps of 1024). Relative paths count from the file. Other keys are errors.

  listen:
    - address: 127.0.0.1:9480        # or localhost:9480, [::1]:9480; :9480 is every address
      protocol: http
  data:
    directory: ./tidegate-data
    retention: 15d                   # since arrival; 0 keeps rows for ever
    retention_size: 0                # bytes of log kept; 0 is any number
    free_space_min: 5%               # of the file system; below it the oldest rows go
    commit_linger: 2ms               # the longest that rows wait to share a commit while someone waits for them
    commit_interval: 200ms           # the same for rows that nobody waits for
    commits_per_second_max: 0        # by all workers, for disks that count operations; 0 is any number
    disk: auto                       # or io_uring, threads
  limits:
    memory: 25%                      # of the machine or the cgroup; or a size
    series_max: 10_000_000
    body_size_max: 64MB              # of a request's body as it comes in
    decoded_size_max: 256MB          # and decompressed
    connections_max: 16_384
    header_timeout: 10s              # for a request's head
    body_idle_timeout: 30s           # without a byte of a body
    idle_timeout: 2m                 # between requests
  workers: 4                         # the default is the cores that the process may use

EXAMPLES
  tidegate serve --data /var/lib/tidegate --listen :9480
  tidegate serve --config /etc/tidegate.yml --log-format json
  TIDEGATE_LISTEN=127.0.0.1:0 tidegate serve";

/// After the long help of `check`.
pub(super) const CHECK: &str = "\
EXAMPLES
  tidegate check /etc/tidegate.yml && systemctl reload tidegate";

/// After the long help of `log cat`.
pub(super) const CAT: &str = "\
EXAMPLES
  tidegate log cat --data /var/lib/tidegate --start -1h
  tidegate log cat --match 'cpu{host=~\"a.*\"}' --start 2026-11-22T00:00:00Z --end 2026-11-23T00:00:00Z
  tidegate log cat --format influx --follow";
