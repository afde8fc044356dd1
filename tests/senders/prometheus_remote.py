"""Debian's prometheus: what it scraped and sent by remote write 1.0 is what its own API says it has, also of the
time in which the server was dead."""

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

from kit import Server, free_port, wait

PAGE = b"""# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{queue="a\\"b\\\\c\\nd"} 3
# TYPE temperature gauge
temperature{place="k\xc3\xbcche"} -0.5
temperature{place="cellar"} 1e-300
temperature{place="oven"} +Inf
temperature{place="attic"} NaN
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="+Inf"} 2
latency_seconds_sum 2.25
latency_seconds_count 2
"""


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def samples_of(rows):
    return {
        (json.dumps(row["labels"], sort_keys=True), row["time"] // 1_000_000): row["fields"]["value"]["f64"]
        for row in rows
        if "labels" in row and row["labels"].get("job") == "target"
    }


def asked(api, upto):
    """All samples of the job in the last minutes, as the API has them: values in text, times in seconds."""
    query = urllib.parse.urlencode({"query": '{job="target"}[10m]', "time": upto})
    answer = json.load(urllib.request.urlopen(f"{api}/api/v1/query?{query}"))
    return {
        (json.dumps(series["metric"], sort_keys=True), round(time * 1000)): value
        for series in answer["data"]["result"]
        for time, value in series["values"]
    }


def like(stored, text):
    """Whether a value as `log cat` has it is the one that Prometheus prints."""
    return stored == text or (text == "NaN" and stored.startswith("NaN:")) if isinstance(stored, str) \
        else stored == float(text)


target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
threading.Thread(target=target.serve_forever, daemon=True).start()

with Server() as server:
    directory = server.directory.name
    config = os.path.join(directory, "prometheus.yml")
    with open(config, "w") as file:
        file.write(f"""
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{}}}}
scrape_configs:
  - {{job_name: target, static_configs: [{{targets: ['127.0.0.1:{target.server_port}']}}]}}
remote_write:
  - {{url: '{server.url}/api/v1/write', queue_config: {{batch_send_deadline: 100ms}}, metadata_config: {{send_interval: 1s}}}}
""")
    port = free_port()
    api = f"http://127.0.0.1:{port}"
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={directory}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with open(os.path.join(directory, "prometheus.log"), "w") as log:
        prometheus = subprocess.Popen(["prometheus", *arguments], stderr=log)
    try:
        # A few scrapes, all of them sent.
        server.until(lambda rows: len({time for _, time in samples_of(rows)}) >= 2
            and any("metadata" in row for row in rows))
        server.die()
        died = time.time() * 1000
        wait(lambda: len({at for _, at in asked(api, time.time()) if at > died}) >= 3)
        server.revive()
        # What it could not send it sends again.
        server.until(lambda rows: len({at for _, at in samples_of(rows) if at > died}) >= 3)
    finally:
        there = asked(api, time.time())
        prometheus.send_signal(signal.SIGTERM)
        prometheus.wait()
    # Prometheus sends what it has before it ends.
    rows = server.stop()
    sent = samples_of(rows)
    wrong = [
        f"{key}: Prometheus has {value}, tidegate {sent.get(key)}"
        for key, value in there.items()
        if key not in sent or not like(sent[key], value)
    ]
    series = {key for key, _ in there}
    metadata = {row["metadata"]["name"]: row["metadata"]["type"] for row in rows if "metadata" in row}
    if wrong or len(series) < 8:
        sys.exit("\n".join(wrong) or f"only {series}")
    print(f"prometheus_remote.py: {len(there)} samples of {len(series)} series as sent; metadata {metadata}")
