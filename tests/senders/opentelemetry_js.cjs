// Records some of everything and exports it once, as JSON. The argument is the server's URL.

const { ValueType } = require("@opentelemetry/api");
const { OTLPLogExporter } = require("@opentelemetry/exporter-logs-otlp-http");
const { OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-http");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { LoggerProvider, SimpleLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { AggregationType, MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");

const [, , url] = process.argv;
const resource = resourceFromAttributes({ "service.name": "shop", n: 5, half: 0.5 });

async function metrics() {
    const exporter = new OTLPMetricExporter({ url: `${url}/v1/metrics` });
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 });
    const views = [
        {
            instrumentName: "size",
            aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 4 } },
        },
    ];
    const provider = new MeterProvider({ resource, readers: [reader], views });
    const meter = provider.getMeter("lib", "1.0", { schemaUrl: "https://example.org/schema" });
    const requests = meter.createCounter("http.requests", { unit: "1", valueType: ValueType.INT });
    requests.add(3, { "http.status": 200, ok: true });
    meter.createUpDownCounter("in.flight").add(-2.5);
    meter.createGauge("temperature", { unit: "Cel" }).record(-0.5, { place: "küche" });
    const latency = meter.createHistogram("latency", {
        unit: "s",
        advice: { explicitBucketBoundaries: [0.5, 1] },
    });
    latency.record(0.25);
    latency.record(2);
    const size = meter.createHistogram("size", { unit: "By" });
    [1, 2, 4, 0].forEach((value) => size.record(value));
    await provider.shutdown();
}

async function logs() {
    const exporter = new OTLPLogExporter({ url: `${url}/v1/logs` });
    const provider = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter })] });
    provider.getLogger("shop.orders").emit({
        severityNumber: 17,
        severityText: "ERROR",
        body: { text: "no order", numbers: [7, 0.5], nothing: null },
        attributes: { order: 7, paid: false, total: 1.5, bytes: new Uint8Array([0, 255]), tags: ["a", "b"] },
    });
    await provider.shutdown();
}

metrics().then(logs);
