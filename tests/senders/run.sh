#!/bin/bash
# Real clients against the built server: Debian's (influxdb, statsd, prometheus-client, prometheus, collectd) and the
# newest from PyPI, in a virtual environment under target/. Needs the network; `make test` has those that Debian packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --locked --bin tidegate
export TIDEGATE=$PWD/${CARGO_TARGET_DIR:-target}/debug/tidegate
[ -n "${CARGO_TARGET_DIR:-}" ] && [ "${CARGO_TARGET_DIR#/}" != "$CARGO_TARGET_DIR" ] &&
    TIDEGATE=$CARGO_TARGET_DIR/debug/tidegate

clients=target/senders
[ -x $clients/bin/python ] || python3 -m venv $clients
$clients/bin/pip install --quiet \
    opentelemetry-exporter-otlp-json-http opentelemetry-exporter-otlp-proto-http \
    opentelemetry-exporter-prometheus-remote-write prometheus-remote-writer prometheus-client datadog statsd \
    influxdb influxdb-client influxdb3-python

failed=()
for script in tests/senders/*.py; do
    name=$(basename "$script" .py)
    case $name in
    kit) continue ;;
    prometheus_remote) needs=prometheus ;;
    collectd) needs=/usr/sbin/collectd ;;
    *) needs=true ;;
    esac
    if ! command -v $needs >/dev/null; then
        echo "$name: $needs is not installed" >&2
        failed+=("$name")
    elif ! timeout 120 $clients/bin/python -B "$script"; then
        failed+=("$name")
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
