"""python3-prometheus-client: pushes to the Pushgateway's paths, and exposition text imported by lines."""

import math
import urllib.request

from kit import Server, row, same
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Summary,
    delete_from_gateway,
    generate_latest,
    instance_ip_grouping_key,
    push_to_gateway,
    pushadd_to_gateway,
)
from prometheus_client import openmetrics

STALE = "stale"


def registry():
    made = CollectorRegistry()
    Counter("jobs", "Jobs.", ["queue"], registry=made).labels('a"b\\c\nd').inc(3)
    Gauge("last_success", "Time\nof success.", registry=made).set(1700000000.125)
    latency = Histogram("latency_seconds", "Latency.", buckets=(0.5, 1, math.inf), registry=made)
    latency.observe(0.25)
    latency.observe(2)
    Summary("size", "Size.", registry=made).observe(7)
    Info("build", "Build.", registry=made).info({"version": "1.2"})
    return made


def expected(**labels):
    return [
        row("jobs_total", 3.0, queue='a"b\\c\nd', **labels),
        row("last_success", 1700000000.125, **labels),
        row("latency_seconds_bucket", 1.0, le="0.5", **labels),
        row("latency_seconds_bucket", 1.0, le="1.0", **labels),
        row("latency_seconds_bucket", 2.0, le="+Inf", **labels),
        row("latency_seconds_count", 2.0, **labels),
        row("latency_seconds_sum", 2.25, **labels),
        row("size_count", 1.0, **labels),
        row("size_sum", 7.0, **labels),
        row("build_info", 1.0, version="1.2", **labels),
    ]


def post(url, body, content_type):
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    assert urllib.request.urlopen(request).status == 204


def told(rows):
    """Without what a push tells of itself, and what only says when a metric was created."""
    return [row for row in rows if not row.get("labels", {}).get("__name__", "").endswith(("_time_seconds", "_created"))]


with Server() as server:
    key = {"instance": "host:9100", "path": "/var/a b"}
    push_to_gateway(server.address, "batch", registry(), key)
    wanted = expected(job="batch", **key)
    same(told(server.cat()), wanted)

    # What is not pushed again by PUT ends; by POST only what else the metrics had.
    small = CollectorRegistry()
    Gauge("last_success", "Time\nof success.", registry=small).set(1700000001)
    pushadd_to_gateway(server.address, "batch", small, key)
    wanted += [row("last_success", 1700000001.0, job="batch", **key)]
    same(told(server.cat()), wanted)
    push_to_gateway(server.address, "batch", small, key)
    wanted += [row("last_success", 1700000001.0, job="batch", **key)]
    gone = [one["labels"] for one in expected(job="batch", **key) if one["labels"]["__name__"] != "last_success"]
    wanted += [{"labels": labels, "fields": {"value": {"f64": STALE}}} for labels in gone]
    same(told(server.cat()), wanted)

    delete_from_gateway(server.address, "batch", key)
    wanted += [row("last_success", STALE, job="batch", **key)]
    pushadd_to_gateway(server.address, "grouped", small, instance_ip_grouping_key())
    wanted += [row("last_success", 1700000001.0, job="grouped", **instance_ip_grouping_key())]
    same(told(server.stop()), wanted)

with Server() as server:
    imports = server.url + "/api/v1/import/prometheus"
    post(imports, generate_latest(registry()), "text/plain; version=0.0.4")
    post(imports, openmetrics.exposition.generate_latest(registry()), openmetrics.exposition.CONTENT_TYPE_LATEST)
    same(told(server.stop()), expected() * 2)
