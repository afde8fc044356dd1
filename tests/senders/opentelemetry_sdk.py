"""OpenTelemetry's SDK: every kind of metric, exemplars and a log record, as protobuf and as JSON; metrics also by remote
write."""

import logging
import warnings

from kit import Server, same
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogs
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter as JsonMetrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Logs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Metrics
from opentelemetry.exporter.prometheus_remote_write import PrometheusRemoteWriteMetricsExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

DELTA = {sdk.Counter: AggregationTemporality.DELTA, sdk.Histogram: AggregationTemporality.DELTA}
RESOURCE = Resource({"service.name": "shop", "n": 5})


def send(exporter, exponential=True):
    """Records some of everything, and exports it once."""
    views = [View(instrument_name="size", aggregation=ExponentialBucketHistogramAggregation(max_size=4))]
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=10**9)
    provider = sdk.MeterProvider([reader], RESOURCE, views=views)
    meter = provider.get_meter("lib", "1.0", attributes={"k": "v"})
    counter = meter.create_counter("http.requests", "1", "Requests.")
    counter.add(3, {"http.status": 200, "ok": True})
    counter.add(0.5, {"ratio": 0.5, "list": ["a", "b"]})
    meter.create_up_down_counter("in.flight").add(-2)
    meter.create_gauge("temperature", "Cel").set(-0.5, {"place": "küche"})
    latency = meter.create_histogram("latency", "s", explicit_bucket_boundaries_advisory=[0.5, 1])
    latency.record(0.25)
    latency.record(2)
    meter.create_observable_counter("bytes", [lambda _: [Observation(2**53 + 1)]])
    if exponential:
        size = meter.create_histogram("size", "By")
        for value in (1, 2, 4, 0):
            size.record(value)
    provider.shutdown()


TRACE_ID, SPAN_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7


def send_traced(exporter):
    """Records within a span, which makes exemplars."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=10**9)
    provider = sdk.MeterProvider([reader], RESOURCE)
    meter = provider.get_meter("lib")
    span = trace.SpanContext(TRACE_ID, SPAN_ID, False, trace.TraceFlags(trace.TraceFlags.SAMPLED))
    with trace.use_span(trace.NonRecordingSpan(span)):
        meter.create_counter("orders").add(2, {"k": "v"})
        meter.create_histogram("latency", "s", explicit_bucket_boundaries_advisory=[0.5, 1]).record(0.25)
    provider.shutdown()


def log(exporter):
    provider = LoggerProvider(RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = logging.Logger("shop.orders")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    logger.error("no order %d", 7, extra={"order": 7, "paid": False, "total": 1.5})
    provider.shutdown()


def histogram(**parts):
    made = {"counts": "u64", "reset": "unknown", "zero_threshold": 0.0, "negative_spans": [], "negative": []}
    return {"value": {"histogram": {**made, "zero_count": 0, "bounds": [], **parts}}}


def expected(temporality):
    common = {"resource.service.name": "shop", "resource.n": "5"}
    scope = {"scope.name": "lib", "scope.version": "1.0", "scope.attributes.k": "v"}

    def point(name, fields, kind, **labels):
        labels = {name.replace("__", "."): text for name, text in labels.items()}
        return {"labels": {"__name__": name, "otlp.type": kind, **labels, **common, **scope}, "fields": fields}

    summed = {"otlp__temporality": temporality, "otlp__monotonic": "true"}
    requests = {**summed, "otlp__unit": "1"}
    return [
        point("http.requests", {"value": {"i64": 3}}, "sum", http__status="200", ok="true", **requests),
        point("http.requests", {"value": {"f64": 0.5}}, "sum", ratio="0.5", list='["a","b"]', **requests),
        point("in.flight", {"value": {"i64": -2}}, "sum", otlp__temporality="cumulative", otlp__monotonic="false"),
        point("temperature", {"value": {"f64": -0.5}}, "gauge", otlp__unit="Cel", place="küche"),
        point(
            "latency",
            histogram(
                schema=-53, sum=2.25, count=2, positive_spans=[[0, 3]], positive=[1, 0, 1], bounds=[0.5, 1.0], min=0.25, max=2.0
            ),
            "histogram",
            otlp__temporality=temporality,
            otlp__unit="s",
        ),
        point(
            "bytes",
            {"value": {"i64": 2**53 + 1}},
            "sum",
            otlp__temporality="cumulative",
            otlp__monotonic="true",
        ),
        # 1, 2 and 4 are the upper bounds of buckets -1, 0 and 1: 0, 1 and 2 in the schema's numbers. Empty ones are sent.
        point(
            "size",
            histogram(
                schema=0, sum=7.0, count=4, zero_count=1, positive_spans=[[0, 4]], positive=[1, 1, 1, 0], negative_spans=[[1, 1]],
                negative=[0], min=0.0, max=4.0
            ),
            "exponential_histogram",
            otlp__temporality=temporality,
            otlp__unit="By",
        ),
    ]


LOG = {
    "severity_number": {"i64": 17},
    "severity_text": {"string": "ERROR"},
    "body": {"string": "no order 7"},
    "attributes.order": {"i64": 7},
    "attributes.paid": {"bool": False},
    "attributes.total": {"f64": 1.5},
}

warnings.simplefilter("ignore")
with Server() as server:
    send(Metrics(server.url + "/v1/metrics"))
    send(Metrics(server.url + "/v1/metrics", compression=Compression.Gzip, preferred_temporality=DELTA))
    send(JsonMetrics(endpoint=server.url + "/v1/metrics"))
    same(server.stop(), expected("cumulative") * 2 + expected("delta"))

with Server() as server:
    send_traced(Metrics(server.url + "/v1/metrics"))
    send_traced(JsonMetrics(endpoint=server.url + "/v1/metrics"))
    rows = [row for row in server.stop() if "exemplar" in row]
    ids = {"trace_id": f"{TRACE_ID:032x}", "span_id": f"{SPAN_ID:016x}"}
    origin = {"resource.service.name": "shop", "resource.n": "5", "scope.name": "lib", "otlp.temporality": "cumulative"}
    orders = {"__name__": "orders", "k": "v", "otlp.type": "sum", "otlp.monotonic": "true", **origin}
    latency = {"__name__": "latency", "otlp.type": "histogram", "otlp.unit": "s", **origin}
    traced = [
        {"labels": orders, "fields": {"value": {"f64": 2.0}}, "exemplar": ids},
        {"labels": latency, "fields": {"value": {"f64": 0.25}}, "exemplar": ids},
    ]
    same(rows, traced * 2)

with Server() as server:
    log(Logs(server.url + "/v1/logs"))
    log(JsonLogs(endpoint=server.url + "/v1/logs"))
    rows = server.stop()
    for row in rows:
        # Where in the file the record was made, and when.
        row["fields"] = {name: value for name, value in row["fields"].items() if name in LOG}
    labels = {"__name__": "otlp_log", "resource.service.name": "shop", "resource.n": "5", "scope.name": "shop.orders"}
    same(rows, [{"labels": labels, "fields": LOG}] * 2)

with Server() as server:
    send(PrometheusRemoteWriteMetricsExporter(server.url + "/api/v1/write"), exponential=False)
    names = {row["labels"]["__name__"] for row in server.stop() if "labels" in row}
    print("by remote write:", sorted(names))
