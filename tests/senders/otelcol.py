"""A collector of OpenTelemetry's, of few parts: what it is given and hands on is what the server takes when it is given
the same at once; by OTLP in protobuf and JSON, by remote write 1.0 and 2.0. No point is lost where the server is killed
under it.

The binary is the argument; run.sh builds it of tests/senders/otelcol.yaml."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from kit import Server, free_port, row, same, wait

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
    logs = [name for name in exporters if name.startswith("otlp")]
    pipelines = {"metrics": {"receivers": ["otlp"], "exporters": [*exporters]}}
    if logs:
        pipelines["logs"] = {"receivers": ["otlp"], "exporters": logs}
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": exporters,
        "service": {"pipelines": pipelines, "telemetry": {"metrics": {"level": "none"}}},
    }
    path = os.path.join(directory, "otelcol.json")
    with open(path, "w") as file:
        json.dump(config, file)
    with open(os.path.join(directory, "otelcol.log"), "w") as log:
        arguments = [f"--config=yaml:{json.dumps(config)}", "--feature-gates=" + GATES]
        process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        with open(os.path.join(directory, "otelcol.log")) as log:
            said = log.read()
        if "Dropping data" in said or "\terror\t" in said:
            print(said, file=sys.stderr)


def sent_at_once():
    with Server() as server:
        for signal_name, body in (("metrics", BODY), ("logs", LOGS)):
            if not post(f"{server.url}/v1/{signal_name}", body):
                sys.exit(f"{signal_name} were not taken")
        return server.stop()


def every_exporter(binary):
    with contextlib.ExitStack() as stack:
        protobuf, as_json, first, second = (stack.enter_context(Server()) for _ in range(4))
        exporters = {
            "otlphttp/protobuf": {"endpoint": protobuf.url},
            "otlphttp/json": {"endpoint": as_json.url, "encoding": "json", "compression": "zstd"},
            "prometheusremotewrite/1": {"endpoint": f"{first.url}/api/v1/write", "send_metadata": True},
            "prometheusremotewrite/2": {
                "endpoint": f"{second.url}/api/v1/write",
                "protobuf_message": "io.prometheus.write.v2.Request",
            },
        }
        with collector(binary, protobuf.directory.name, exporters) as url:
            wait(lambda: post(f"{url}/v1/metrics", BODY))
            wait(lambda: post(f"{url}/v1/logs", LOGS))
        # It sends what it has before it ends.
        expected = sent_at_once()
        for server in (protobuf, as_json):
            same(server.stop(), expected)
        same(first.stop(), [])
        same(second.stop(), [])


GATES = "exporter.prometheusremotewritexporter.enableSendingRW2"

every_exporter(sys.argv[1])
