"""A current Prometheus: what it scraped and sent by remote write 2.0 is what its own API says it has: samples with start
times, native histograms with custom buckets, exemplars, and what is known of each metric.

The binary is the argument; run.sh builds it."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

from kit import Server, free_port

PAGE = b"""# HELP jobs Jobs that \xc3\xbc ended.
# TYPE jobs counter
jobs_total{queue="a\\"b\\\\c\\nd"} 3 # {trace_id="4bf92f"} 1.5
jobs_created{queue="a\\"b\\\\c\\nd"} 1700000000.123
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
temperature_celsius{place="k\xc3\xbcche"} -0.5
temperature_celsius{place="cellar"} 1e-300
temperature_celsius{place="oven"} +Inf
temperature_celsius{place="attic"} NaN
{"dotted.name","label.dotted"="x"} 5
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.5"} 1 # {trace_id="aa17"} 0.25
latency_seconds_bucket{le="1"} 1
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 5.25
latency_seconds_count 3
# EOF
"""


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def ask(path, **query):
    with urllib.request.urlopen(f"{api}{path}?{urllib.parse.urlencode(query)}") as answer:
        return json.load(answer)["data"]


def key(labels, at):
    return json.dumps(labels, sort_keys=True), at


def of_target(rows):
    return [row for row in rows if row.get("labels", {}).get("job") == "target"]


def scrapes(rows):
    return {row["time"] for row in of_target(rows) if "exemplar" not in row}


def like(stored, text):
    """Whether a value as `log cat` has it is the one that Prometheus prints."""
    if isinstance(stored, str):
        return stored == text or (text == "NaN" and stored.startswith("NaN"))
    return stored == float(text)


def buckets_of(histogram):
    """Upper bounds and counts of the buckets that are not empty, of a histogram with custom bounds."""
    bounds = [*histogram["bounds"], "+Inf"]
    counts, filled, at = iter(histogram["positive"]), [], 0
    for gap, length in histogram["positive_spans"]:
        at += gap
        for place in range(at, at + length):
            if count := next(counts):
                filled.append((bounds[place], count))
        at += length
    return filled


def compare(there, rows):
    """What Prometheus has and tidegate has not, or other."""
    values = {key(row["labels"], row["time"] // 1_000_000): row for row in of_target(rows) if "exemplar" not in row}
    wrong, floats, histograms = [], 0, 0
    for series in there:
        for at, value in series.get("values", []):
            row = values.get(key(series["metric"], round(at * 1000)), {})
            floats += 1
            if not like(row.get("fields", {}).get("value", {}).get("f64", "nothing"), value):
                wrong.append(f"{series['metric']} at {at}: {value}, here {row}")
        for at, value in series.get("histograms", []):
            row = values.get(key(series["metric"], round(at * 1000)), {})
            stored = row.get("fields", {}).get("value", {}).get("histogram")
            histograms += 1
            expected = [
                (upper if upper == "+Inf" else float(upper), float(count)) for _, _, upper, count in value["buckets"]
            ]
            if (
                not stored
                or (stored["schema"], stored["count"], stored["sum"]) != (-53, float(value["count"]), float(value["sum"]))
                or buckets_of(stored) != expected
            ):
                wrong.append(f"{series['metric']} at {at}: {value}, here {row}")
    return wrong, floats, histograms


target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
threading.Thread(target=target.serve_forever, daemon=True).start()

with Server() as server:
    directory = server.directory.name
    config = os.path.join(directory, "prometheus.yml")
    with open(config, "w") as file:
        file.write(f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: target
    convert_classic_histograms_to_nhcb: true
    static_configs: [{{targets: ['127.0.0.1:{target.server_port}']}}]
remote_write:
  - url: {server.url}/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    send_exemplars: true
    send_native_histograms: true
    queue_config: {{batch_send_deadline: 100ms}}
""")
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={directory}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage,metadata-wal-records,st-storage",
    ]
    with open(os.path.join(directory, "prometheus.log"), "w") as log:
        prometheus = subprocess.Popen([sys.argv[1], *arguments], stderr=log)
    try:
        server.until(lambda rows: len(scrapes(rows)) >= 3 and any("exemplar" in row for row in rows))
    finally:
        end = time.time()
        there = ask("/api/v1/query", query='{job="target"}[10m]', time=end)["result"]
        exemplars = ask("/api/v1/query_exemplars", query='{job="target"}', start=end - 600, end=end)
        prometheus.send_signal(signal.SIGTERM)
        prometheus.wait()
    # Prometheus sends what it has before it ends.
    rows = server.stop()

wrong, floats, histograms = compare(there, rows)
sent = [row for row in of_target(rows) if "exemplar" in row]
for series in exemplars:
    for exemplar in series["exemplars"]:
        found = any(
            row["labels"] == series["seriesLabels"]
            and row["exemplar"] == exemplar["labels"]
            and row["fields"] == {"value": {"f64": float(exemplar["value"])}}
            and row["time"] // 1_000_000 == round(exemplar["timestamp"] * 1000)
            for row in sent
        )
        if not found:
            wrong.append(f"exemplar {exemplar} of {series['seriesLabels']}, here {sent}")
starts = {row.get("start") for row in of_target(rows) if row["labels"]["__name__"] == "jobs_total" and "exemplar" not in row}
if not starts or starts - {1_700_000_000_123_000_000}:
    wrong.append(f"starts of jobs_total: {starts}")
metadata = {row["metadata"]["name"]: (row["metadata"]["type"], row["metadata"].get("unit", "")) for row in rows if "metadata" in row}
# Prometheus says what a series' metric is by the series' name.
expected = {"jobs_total": ("counter", ""), "temperature_celsius": ("gauge", "celsius"), "latency_seconds": ("histogram", "")}
for name, known in expected.items():
    if metadata.get(name) != known:
        wrong.append(f"metadata of {name}: {metadata.get(name)}")
if wrong or not floats or not histograms or not exemplars:
    sys.exit("\n".join(wrong) or f"{floats} samples, {histograms} histograms, exemplars {exemplars}")
print(f"prometheus_remote_2.py: {floats} samples, {histograms} histograms, {len(sent)} exemplars, starts, metadata as sent")
