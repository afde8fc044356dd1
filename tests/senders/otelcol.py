"""A collector of OpenTelemetry's, of few parts: what it is given and hands on is what the server takes when it is given
the same at once; by OTLP in protobuf and JSON. No point is lost where the server is killed under it.

The binary is the argument; run.sh builds it of otelcol/main.go."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from kit import Server, free_port, same, wait

TIME = 1_795_341_600_123_000_000
START = 1_795_341_000_000_000_000


def text(value):
    return {"stringValue": value}


def attributes(**pairs):
    return [{"key": key, "value": value} for key, value in pairs.items()]


def point(value=None, **more):
    made = {"timeUnixNano": str(TIME), "startTimeUnixNano": str(START), "attributes": attributes(place=text("küche"))}
    if value is not None:
        made["asDouble" if isinstance(value, float) else "asInt"] = value if isinstance(value, float) else str(value)
    return made | more


EXEMPLAR = {
    "timeUnixNano": str(TIME),
    "asDouble": 0.25,
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    "spanId": "00f067aa0ba902b7",
}
METRICS = [
    {"name": "temperature", "unit": "Cel", "description": "how ü", "gauge": {"dataPoints": [point(-0.5)]}},
    {"name": "integer", "gauge": {"dataPoints": [point(9_007_199_254_740_993)]}},
    {
        "name": "requests",
        "unit": "1",
        "sum": {
            "isMonotonic": True,
            "aggregationTemporality": 2,
            "dataPoints": [point(3.0, exemplars=[EXEMPLAR])],
        },
    },
    {
        "name": "latency",
        "unit": "s",
        "histogram": {
            "aggregationTemporality": 2,
            "dataPoints": [
                point(count="3", sum=2.75, min=0.25, max=2.0, bucketCounts=["1", "0", "2"], explicitBounds=[0.5, 1])
            ],
        },
    },
    {
        "name": "size",
        "exponentialHistogram": {
            "aggregationTemporality": 2,
            "dataPoints": [
                point(
                    count="6",
                    sum=9.5,
                    scale=3,
                    zeroCount="1",
                    zeroThreshold=1e-9,
                    positive={"offset": -2, "bucketCounts": ["1", "0", "3"]},
                    negative={"offset": 4, "bucketCounts": ["1"]},
                )
            ],
        },
    },
    {
        "name": "old",
        "summary": {
            "dataPoints": [
                point(
                    count="4", sum=1.5, quantileValues=[{"quantile": 0.5, "value": 0.25}, {"quantile": 1, "value": 1.0}]
                )
            ]
        },
    },
    {"name": "gone", "gauge": {"dataPoints": [point(flags=1)]}},
]
RESOURCE = {"attributes": attributes(**{"service.name": text("shop"), "n": {"intValue": "5"}})}
BODY = {
    "resourceMetrics": [
        {"resource": RESOURCE, "scopeMetrics": [{"scope": {"name": "lib", "version": "1"}, "metrics": METRICS}]}
    ]
}
RECORD = {
    "timeUnixNano": str(TIME),
    "observedTimeUnixNano": str(TIME + 5),
    "severityNumber": 9,
    "severityText": "Info",
    "body": {"kvlistValue": {"values": attributes(a={"boolValue": True}, b={"bytesValue": "AP8="})}},
    "attributes": attributes(order={"intValue": "7"}, half={"doubleValue": 0.5}),
    "traceId": EXEMPLAR["traceId"],
    "spanId": EXEMPLAR["spanId"],
    "flags": 1,
}
LOGS = {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": [RECORD]}]}]}


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status == 200 and not json.load(answer).get("partialSuccess")
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.read()}")
    except urllib.error.URLError:
        return False


@contextlib.contextmanager
def collector(binary, directory, exporters):
    """A collector in front of these exporters; gives its address."""
    port = free_port()
    retry = {"initial_interval": "100ms", "max_interval": "200ms"}
    for exporter in exporters.values():
        exporter["retry_on_failure"] = retry
    pipelines = {kind: {"receivers": ["otlp"], "exporters": [*exporters]} for kind in ("metrics", "logs")}
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": exporters,
        "service": {"pipelines": pipelines, "telemetry": {"metrics": {"level": "none"}}},
    }
    with open(os.path.join(directory, "otelcol.log"), "w") as log:
        process = subprocess.Popen([binary, f"--config=yaml:{json.dumps(config)}"], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def sent_at_once():
    with Server() as server:
        for signal_name, body in (("metrics", BODY), ("logs", LOGS)):
            if not post(f"{server.url}/v1/{signal_name}", body):
                sys.exit(f"{signal_name} were not taken")
        return server.stop()


def every_encoding(binary):
    with Server() as protobuf, Server() as as_json:
        exporters = {
            "otlp_http/protobuf": {"endpoint": protobuf.url},
            "otlp_http/json": {"endpoint": as_json.url, "encoding": "json", "compression": "zstd"},
        }
        with collector(binary, protobuf.directory.name, exporters) as url:
            wait(lambda: post(f"{url}/v1/metrics", BODY))
            wait(lambda: post(f"{url}/v1/logs", LOGS))
        # It sends what it has before it ends.
        expected = sent_at_once()
        for server in (protobuf, as_json):
            same(server.stop(), expected)


def killed_under_it(binary):
    """Numbered points go in; the server dies in the midst of them."""

    def numbered(numbers):
        points = [{"timeUnixNano": str(TIME + n), "asInt": str(n)} for n in numbers]
        return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "n", "gauge": {"dataPoints": points}}]}]}]}

    def numbers(rows):
        return {one["time"] - TIME for one in rows if "time" in one}

    with Server() as server:
        exporters = {"otlp_http": {"endpoint": server.url, "sending_queue": {"queue_size": 10_000}}}
        with collector(binary, server.directory.name, exporters) as url:
            for n in range(300):
                wait(lambda: post(f"{url}/v1/metrics", numbered(range(10 * n, 10 * n + 10))))
                if n == 100:
                    server.until(lambda rows: numbers(rows))
                    server.die()
                elif n == 200:
                    server.revive()
            server.until(lambda rows: numbers(rows) >= {*range(3000)})
        rows = server.stop()
    if any(one["fields"] != {"value": {"i64": one["time"] - TIME}} for one in rows if "time" in one):
        sys.exit("points were mixed up")
    print("otelcol.py: 3000 points there, the server killed once")


every_encoding(sys.argv[1])
killed_under_it(sys.argv[1])
