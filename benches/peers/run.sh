#!/usr/bin/env bash
# Measures tidegate beside Debian's VictoriaMetrics and InfluxDB and prints one table (Markdown) to stdout.
#
# All run on this machine's loopback, with data in temporary directories, in turns, each row with servers that have
# just been started. Friendly rows are followed by their unfriendly twins. What was started is stopped, what was
# written is removed, whatever happens. It takes most of an hour; for a look, RUNS=1 SAMPLES=1000000. Prometheus is
# installed for the protocols it speaks; those of the rows are not among them.
#
#   TIDEGATE  the binary (target/release/tidegate)
#   SERVERS   which of "tidegate victoria influxdb" take part
#   RUNS      runs per server and row, of which medians are printed (5)
#   SAMPLES   samples in a run (10000000)
#   ROWS      only rows whose name has this in it, as grep reads it
#   DIR       where data is kept meanwhile: a real disk, not tmpfs (/var/tmp)
#   RESULTS   a directory to keep each row's JSON in
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tidegate=${TIDEGATE:-$here/../../target/release/tidegate}
runs=${RUNS:-5}
samples=${SAMPLES:-10000000}
rows=${ROWS:-}
read -r -a servers <<<"${SERVERS:-tidegate victoria influxdb}"

main() {
    install_peers
    if takes_part tidegate && [[ ! -x $tidegate ]]; then
        fail "$tidegate: not built; cargo build --release"
    fi
    work=$(mktemp -d "${DIR:-/var/tmp}/tidegate-peers.XXXXXX")
    results=${RESULTS:-$work/results}
    mkdir -p "$results"
    : >"$results/order"
    miscounts=0

    local cpu="--samples $samples"
    row "integers"                             "tidegate victoria influxdb" "$cpu --values int"
    row "integers / random order"              "tidegate victoria influxdb" "$cpu --values int --order random"
    row "integers / 1,000-row requests"        "tidegate victoria"          "$cpu --values int --batch 1000"
    row "integers / 64 connections"            "tidegate victoria"          "$cpu --values int --connections 64"
    row "integers / churn"                     "tidegate victoria"          "$cpu --values int --workload churn"
    row "2-decimal floats"                     "tidegate victoria"          "$cpu --values dec2"
    row "2-decimal floats / random order"      "tidegate victoria"          "$cpu --values dec2 --order random"
    row "full-precision floats"                "tidegate victoria influxdb" "$cpu --values full"
    row "full-precision floats / random order" "tidegate victoria"          "$cpu --values full --order random"
    row "single-value lines"                   "tidegate victoria influxdb" "$cpu --workload single"
    row "single-value lines / random order"    "tidegate victoria influxdb" "$cpu --workload single --order random"
    row "200 fields a line"                    "tidegate victoria"          "$cpu --workload wide --batch 1000"
    row "200 fields a line / random order"     "tidegate victoria"          "$cpu --workload wide --batch 1000 --order random"
    local write="$cpu --protocol remote-write"
    row "remote write 1.0"                     "tidegate victoria"          "$write --workload prom"
    row "remote write 1.0 / random order"      "tidegate victoria"          "$write --workload prom --order random"
    # As many shards as Prometheus opens for such a rate, 50 at most.
    row "remote write 1.0 / 16 connections"    "tidegate victoria"          "$write --workload prom --connections 16"
    row "remote write 1.0, a million series"   "tidegate victoria"          "$write --workload single"
    row "remote write 1.0, a million series / random order" "tidegate victoria" "$write --workload single --order random"
    # VictoriaMetrics takes no 2.0.
    row "remote write 2.0"                     "tidegate"                   "$cpu --protocol remote-write-2 --workload prom"
    row "remote write 2.0 / random order"      "tidegate"                   "$cpu --protocol remote-write-2 --workload prom --order random"
    local text="$cpu --workload prom"
    row "exposition text"                      "tidegate victoria"          "$text --protocol prom-text"
    row "exposition text / random order"       "tidegate victoria"          "$text --protocol prom-text --order random"
    row "JSON lines"                           "tidegate victoria"          "$text --protocol json"
    row "JSON lines / random order"            "tidegate victoria"          "$text --protocol json --order random"
    row "JSON lines of 100 samples"            "tidegate victoria"          "$text --protocol json --points 100"
    # The others take no OTLP, in the versions that are packaged, and no StatsD.
    local gauges="$cpu --protocol otlp --series 40000"
    row "OTLP gauges, 100 points a metric"     "tidegate"                   "$gauges --workload single"
    row "OTLP gauges, 16 points a metric"      "tidegate"                   "$gauges --workload prom"
    row "OTLP gauges, a point a metric, random order" "tidegate"            "$gauges --workload prom --order random"
    row "StatsD over UDP, 64 counters a datagram" "tidegate"                "$cpu --protocol statsd --workload single --series 10000 --connections 1"
    row "StatsD over UDP / random order"       "tidegate"                   "$cpu --protocol statsd --workload single --series 10000 --connections 1 --order random"
    # For the memory of a series: ours alone, since for a server with a series a field these are ten million. One round
    # of them is more than the generator holds, so it goes compressed.
    local million="--samples 10000000 --series 1000000 --connections 1 --encoding zstd"
    row "a million series of 10 tags"                "tidegate" "$million"
    row "a million series of 10 tags / random order" "tidegate" "$million --order random"
    if (($(nproc) > 1)) && command -v taskset >/dev/null; then
        row_pinned "one core"                      "tidegate victoria" "$cpu --values int"
        row_pinned "one core / full, random order" "tidegate victoria" "$cpu --values full --order random"
    fi
    # A quarter of what each took at 5,000 lines a request, in requests of 100.
    local server
    for server in tidegate victoria influxdb; do
        row_quarter "$server" "" "--connections 16"
        row_quarter "$server" " / random order" "--connections 16 --order random"
    done

    python3 "$here/table.py" "$results"
    if ((miscounts > 0)); then
        fail "$miscounts rows have a server that counts other samples than it acknowledged, or that was lost"
    fi
}

# row NAME SERVERS ARGS: measures a row, if it is wanted and anybody takes part.
row() {
    row_prefixed "" "" "$@"
}

# The same with servers on the first core and the generator on the second.
row_pinned() {
    row_prefixed "taskset -c 0" "taskset -c 1" "$@"
}

# row_quarter SERVER TWIN ARGS: at a quarter of the rate that the server had in the row "integers".
row_quarter() {
    local rate name="100-line requests at a quarter of its rate, $1$2"
    wanted "$name" || return 0
    rate=$(python3 "$here/table.py" --rate "$results" integers "$1") || return 0
    row "$name" "$1" "--batch 100 --rate $((rate / 4)) $3"
}

row_prefixed() {
    local server_prefix=$1 bench_prefix=$2 name=$3 args=$5 server to=()
    wanted "$name" || return 0
    for server in $4; do
        takes_part "$server" || continue
        start "$server" "$server_prefix"
        to+=(--to "$target")
    done
    ((${#to[@]} > 0)) || return 0
    printf 'peers: %s\n' "$name" >&2
    local file
    file=$(printf '%s' "$name" | tr -cs 'a-z0-9' '-')
    # Prefixes and arguments are lists of plain words.
    # shellcheck disable=SC2086
    if ! $bench_prefix "$tidegate" bench "${to[@]}" --runs "$runs" --output json $args >"$results/$file.json"; then
        miscounts=$((miscounts + 1))
    fi
    printf '%s\t%s\n' "$file" "$name" >>"$results/order"
    stop_servers
}

wanted() {
    [[ -z $rows ]] || grep -qe "$rows" <<<"$1"
}

takes_part() {
    [[ " ${servers[*]} " == *" $1 "* ]]
}

pids=()
target=

# start SERVER PREFIX: starts it in a fresh directory and sets `target` for the generator.
start() {
    local port udp= dir
    port=$(free_port)
    dir=$(mktemp -d "$work/$1.XXXXXX")
    mkdir "$dir/data"
    case $1 in
        tidegate)
            udp=$(free_port)
            cat >"$dir/tidegate.yml" <<-EOF
		listen:
		  - {address: "127.0.0.1:$port"}
		  - {address: "udp://127.0.0.1:$udp", protocol: statsd, receive_buffer: 64MiB}
		EOF
            # shellcheck disable=SC2086
            $2 "$tidegate" serve --config "$dir/tidegate.yml" --data "$dir/data" >"$dir/log" 2>&1 &
            ;;
        victoria)
            # shellcheck disable=SC2086
            $2 victoria-metrics -storageDataPath="$dir/data" -httpListenAddr="127.0.0.1:$port" >"$dir/log" 2>&1 &
            ;;
        influxdb)
            # Its limits on series are lifted, and its cache is large enough for what is sent.
            # shellcheck disable=SC2086
            INFLUXDB_META_DIR=$dir/data/meta INFLUXDB_DATA_DIR=$dir/data/data INFLUXDB_DATA_WAL_DIR=$dir/data/wal \
                INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:$port INFLUXDB_BIND_ADDRESS=127.0.0.1:$(free_port) \
                INFLUXDB_REPORTING_DISABLED=true INFLUXDB_HTTP_LOG_ENABLED=false \
                INFLUXDB_MONITOR_STORE_ENABLED=false INFLUXDB_DATA_CACHE_MAX_MEMORY_SIZE=4g \
                INFLUXDB_DATA_MAX_SERIES_PER_DATABASE=0 INFLUXDB_DATA_MAX_VALUES_PER_TAG=0 \
                $2 influxd run -config /dev/null >"$dir/log" 2>&1 &
            ;;
        *)
            fail "$1: no such server"
            ;;
    esac
    local pid=$!
    pids+=("$pid")
    wait_until_listening "$1" "$pid" "$port" "$dir/log"
    target="http://127.0.0.1:$port,pid=$pid,data=$dir/data${udp:+,udp=127.0.0.1:$udp}"
}

wait_until_listening() {
    local tries
    for ((tries = 0; tries < 150; tries++)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null; then
            return
        fi
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 5 "$4" >&2
    fail "$1 does not listen"
}

# Stops what was started and removes its data.
stop_servers() {
    local pid
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        # tidegate drains for 25 s at most; who takes longer is not waited for.
        local tries
        for ((tries = 0; tries < 300; tries++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
    if [[ -n ${work:-} ]]; then
        rm -rf "$work"/{tidegate,victoria,influxdb}.??????
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Installs what is missing, or says what that is. Their services are neither started nor left to start at boot.
install_peers() {
    local package missing=()
    for package in victoria-metrics influxdb prometheus; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    if ((EUID != 0)); then
        fail "not installed: ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        # The distribution's way to install a service without starting it.
        policy_written=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    printf 'peers: installing %s\n' "${missing[*]}" >&2
    {
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"
    } >&2 </dev/null
    remove_policy
    for package in "${missing[@]}"; do
        update-rc.d "$package" disable >&2 || true
    done
}

policy_written=
remove_policy() {
    if [[ -n $policy_written ]]; then
        rm -f "$policy_written"
        policy_written=
    fi
}

clean_up() {
    remove_policy
    stop_servers
    if [[ -n ${work:-} ]]; then
        rm -rf "$work"
    fi
}

fail() {
    printf 'peers: %s\n' "$1" >&2
    exit 1
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
main
