"""vmagent: what it scraped arrives. It first speaks a protocol of its own (remote write in zstd), and goes over to Prometheus's
when that is refused.

The binary is the argument; run.sh builds it."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading

from kit import Server

PAGE = b"""# TYPE jobs_total counter
jobs_total{queue="a\\"b\\\\c\\nd"} 3
temperature{place="k\xc3\xbcche"} -0.5
temperature{place="cellar"} 1e-300
temperature{place="oven"} +Inf
latency_seconds_bucket{le="0.5"} 1
latency_seconds_bucket{le="+Inf"} 2
latency_seconds_sum 2.25
latency_seconds_count 2
"""
EXPECTED = [
    ({"__name__": "jobs_total", "queue": 'a"b\\c\nd'}, 3.0),
    ({"__name__": "temperature", "place": "küche"}, -0.5),
    ({"__name__": "temperature", "place": "cellar"}, 1e-300),
    ({"__name__": "temperature", "place": "oven"}, "+Inf"),
    ({"__name__": "latency_seconds_bucket", "le": "0.5"}, 1.0),
    ({"__name__": "latency_seconds_bucket", "le": "+Inf"}, 2.0),
    ({"__name__": "latency_seconds_sum"}, 2.25),
    ({"__name__": "latency_seconds_count"}, 2.0),
    ({"__name__": "up"}, 1.0),
]


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def scrapes(rows):
    """What was scraped, by its time. What vmagent says of its scrapes is left out, and so are stale marks at its end."""
    found = {}
    for row in rows:
        labels = dict(row.get("labels", {}))
        value = row.get("fields", {}).get("value", {}).get("f64")
        if labels.pop("job", None) != "target" or labels["__name__"].startswith("scrape_") or value == "stale":
            continue
        assert labels.pop("instance") == f"127.0.0.1:{target.server_port}"
        found.setdefault(row["time"], []).append((labels, value))
    return {time: samples for time, samples in found.items() if len(samples) > 1 or samples[0][1] != 0}


def ordered(samples):
    return sorted(json.dumps(sample, sort_keys=True) for sample in samples)


target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
threading.Thread(target=target.serve_forever, daemon=True).start()

with Server() as server:
    directory = server.directory.name
    config = os.path.join(directory, "vmagent.yml")
    with open(config, "w") as file:
        file.write(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: target, static_configs: [{{targets: ['127.0.0.1:{target.server_port}']}}]}}
""")
    arguments = [
        f"-promscrape.config={config}",
        "-httpListenAddr=127.0.0.1:0", "-http.shutdownDelay=0",
        f"-remoteWrite.tmpDataPath={directory}/vmagent",
        f"-remoteWrite.url={server.url}/api/v1/write",
    ]
    log = os.path.join(directory, "vmagent.log")
    with open(log, "w") as file:
        vmagent = subprocess.Popen([sys.argv[1], *arguments], stderr=file)
    try:
        server.until(lambda rows: len(scrapes(rows)) >= 3)
    finally:
        vmagent.send_signal(signal.SIGTERM)
        vmagent.wait()
    found = scrapes(server.stop())
    for time, samples in found.items():
        if ordered(samples) != ordered(EXPECTED):
            sys.exit(f"at {time}: {samples}\n{open(log).read()}")
    print(f"vmagent.py: {len(found)} scrapes of {len(EXPECTED)} samples as on the page")
