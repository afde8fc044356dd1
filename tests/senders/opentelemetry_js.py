"""OpenTelemetry's SDK for JavaScript: metrics and a log record as JSON. run.sh installs its packages and says in NODE_PATH
where they are."""

import os
import subprocess

from kit import Server, same

RESOURCE = {"resource.service.name": "shop", "resource.n": "5", "resource.half": "0.5"}
SCOPE = {"scope.name": "lib", "scope.version": "1.0", "scope.schema_url": "https://example.org/schema"}


def point(name, fields, kind, temporality=None, monotonic=None, unit=None, **labels):
    said = {"otlp.temporality": temporality, "otlp.monotonic": monotonic, "otlp.unit": unit, "otlp.type": kind}
    labels = labels | {name: text for name, text in said.items() if text}
    return {"labels": {"__name__": name, **labels, **RESOURCE, **SCOPE}, "fields": {"value": fields}}


def histogram(**parts):
    made = {"counts": "u64", "reset": "unknown", "zero_threshold": 0.0, "negative_spans": [], "negative": []}
    return {"histogram": {**made, "zero_count": 0, "bounds": [], **parts}}


BUCKETS = {"count": 2, "sum": 2.25, "min": 0.25, "max": 2.0, "bounds": [0.5, 1.0]}
POINTS = [
    point(
        "http.requests", {"i64": 3}, "sum", "cumulative", "true", "1", **{"http.status": "200", "ok": "true"}
    ),
    point("in.flight", {"f64": -2.5}, "sum", "cumulative", "false"),
    point("temperature", {"f64": -0.5}, "gauge", unit="Cel", place="küche"),
    point(
        "latency",
        histogram(schema=-53, positive_spans=[[0, 3]], positive=[1, 0, 1], **BUCKETS),
        "histogram",
        "cumulative",
        unit="s",
    ),
    # 1, 2 and 4 are the upper bounds of buckets -1, 0 and 1: 0, 1 and 2 in the schema's numbers.
    point(
        "size",
        histogram(
            schema=0, count=4, sum=7.0, zero_count=1, positive_spans=[[0, 3]], positive=[1, 1, 1], min=0.0, max=4.0
        ),
        "exponential_histogram",
        "cumulative",
        unit="By",
    ),
]
BODY = [
    ["text", {"string": "no order"}],
    ["numbers", {"list": [{"i64": 7}, {"f64": 0.5}]}],
    ["nothing", {"null": None}],
]
RECORD = {
    "labels": {"__name__": "otlp_log", **RESOURCE, "scope.name": "shop.orders"},
    "fields": {
        "severity_number": {"i64": 17},
        "severity_text": {"string": "ERROR"},
        "body": {"nested": {"map": BODY}},
        "attributes.order": {"i64": 7},
        "attributes.paid": {"bool": False},
        "attributes.total": {"f64": 1.5},
        "attributes.bytes": {"bytes": "AP8="},
        "attributes.tags": {"nested": {"list": [{"string": "a"}, {"string": "b"}]}},
    },
}

with Server() as server:
    script = os.path.join(os.path.dirname(__file__), "opentelemetry_js.cjs")
    subprocess.run(["node", script, server.url], check=True, timeout=60)
    rows = server.stop()
    for row in rows:
        row.get("fields", {}).pop("observed_time", None)
    same(rows, [*POINTS, RECORD])
