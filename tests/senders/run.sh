#!/bin/bash
# Real clients against the built server: Debian's (influxdb, statsd, prometheus-client, prometheus, collectd), the newest
# from PyPI and npm, in directories under target/, and current builds of Prometheus, vmagent and Telegraf, which Go makes
# of their modules once, into a cache of the user's: that takes an hour on two cores, and is left out where there is no
# Go. Needs the network; `make test` has those that Debian packages.
#
#   SENDERS  only scripts whose name has this in it
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --locked --bin tidegate
export TIDEGATE=$PWD/${CARGO_TARGET_DIR:-target}/debug/tidegate
[ -n "${CARGO_TARGET_DIR:-}" ] && [ "${CARGO_TARGET_DIR#/}" != "$CARGO_TARGET_DIR" ] &&
    TIDEGATE=$CARGO_TARGET_DIR/debug/tidegate

clients=target/senders
[ -x $clients/bin/python ] || /usr/bin/python3 -m venv $clients
$clients/bin/pip install --quiet \
    opentelemetry-exporter-otlp-json-http opentelemetry-exporter-otlp-proto-http \
    opentelemetry-exporter-prometheus-remote-write prometheus-remote-writer prometheus-client datadog statsd \
    influxdb influxdb-client influxdb3-python

packages=$PWD/target/senders/npm
[ -d "$packages/node_modules" ] || ! command -v npm >/dev/null ||
    npm install --silent --no-audit --no-fund --prefix "$packages" \
        @opentelemetry/api @opentelemetry/resources @opentelemetry/sdk-metrics @opentelemetry/sdk-logs \
        @opentelemetry/exporter-metrics-otlp-http @opentelemetry/exporter-logs-otlp-http
export NODE_PATH=$packages/node_modules

built=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-senders

# build NAME MODULE@VERSION PACKAGE FLAGS...: a binary of a module, unless it is there. Built within a copy of the module,
# since a module that replaces others can't be installed from outside.
build() {
    local name=$1 module=$2 package=$3
    shift 3
    [ ! -x "$built/$name" ] && command -v go >/dev/null || return 0
    mkdir -p "$built"
    local source
    source=$(go mod download -json "$module" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
    rm -rf "$built/$name.source"
    cp -r "$source" "$built/$name.source"
    chmod -R u+w "$built/$name.source"
    (cd "$built/$name.source" && GOWORK=off nice go build -mod=mod -o "$built/$name" "$@" "$package")
    rm -rf "$built/$name.source"
}

# The parts of Telegraf that its script has; without the tags it is everything, and takes hours.
telegraf_tags=custom
for part in inputs.{file,http_listener_v2} parsers.influx serializers.{influx,prometheus,prometheusremotewrite} \
    outputs.{graphite,http,influxdb,influxdb_v2,opentsdb,socket_writer}; do
    telegraf_tags+=,$part
done

wanted() {
    [[ $1 == *${SENDERS:-}* ]]
}

wanted prometheus_remote_2 && build prometheus github.com/prometheus/prometheus@v0.316.0 ./cmd/prometheus \
    -tags remove_all_sd
wanted telegraf && build telegraf github.com/influxdata/telegraf@v1.37.2 ./cmd/telegraf -tags "$telegraf_tags"
wanted vmagent && build vmagent github.com/VictoriaMetrics/VictoriaMetrics@v0.0.0-20250718125606-9d9bea03485e ./app/vmagent

failed=()
for script in tests/senders/*.py; do
    name=$(basename "$script" .py)
    needs=true arguments=()
    case $name in
    kit) continue ;;
    prometheus_remote) needs=prometheus ;;
    prometheus_remote_2) needs=$built/prometheus arguments=("$built/prometheus") ;;
    telegraf) needs=$built/telegraf arguments=("$built/telegraf") ;;
    vmagent) needs=$built/vmagent arguments=("$built/vmagent") ;;
    opentelemetry_js) needs=node ;;
    collectd) needs=/usr/sbin/collectd ;;
    esac
    wanted "$name" || continue
    if ! command -v "$needs" >/dev/null; then
        echo "$name: $needs is not installed" >&2
        failed+=("$name")
    elif ! timeout 120 $clients/bin/python -B "$script" "${arguments[@]}"; then
        failed+=("$name")
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
