"""datadog: DogStatsD's metrics, events and service checks, by UDP and by Unix sockets of both kinds."""

import os
import tempfile

from datadog.dogstatsd import DogStatsd
from kit import Server, row, same

TIME = 1700000000


def send(client):
    client.increment("page.views", tags=["env:prod", "page:start"])
    client.increment("page.views", 4, tags=["env:prod", "page:start"])
    client.gauge("queue.depth", 7.5, tags=["bare", "queue:mail"])
    client.gauge_with_timestamp("queue.depth", 9, TIME, tags=["queue:mail"])
    client.count_with_timestamp("page.views", 11, TIME, tags=["env:prod"])
    client.histogram("answer.size", 8)
    client.distribution("answer.size.all", 8)
    client.timing("answer.time", 250)
    client.set("users", "ann")
    client.set("users", "bob")
    client.event(
        "Deploy\nfailed",
        "first line\nsecond | line",
        alert_type="error",
        aggregation_key="deploy",
        source_type_name="ci",
        date_happened=TIME,
        priority="low",
        tags=["env:prod"],
        hostname="web-1",
    )
    client.service_check(
        "db.up", DogStatsd.CRITICAL, tags=["env:prod"], timestamp=TIME, hostname="web-1", message="no\nanswer"
    )
    client.flush()


def summary(value):
    made = {"count": {"i64": 1}, "sum": {"f64": value}, "min": {"f64": value}, "max": {"f64": value}}
    return made | {name: {"f64": value} for name in ("p50", "p90", "p95", "p99")}


def expected(via):
    return [
        row("page.views", 5.0, env="prod", page="start", via=via),
        row("queue.depth", 7.5, queue="mail", via=via),
        row("queue.depth", 9.0, queue="mail", via=via),
        row("page.views", 11.0, env="prod", via=via),
        row("answer.size", summary(8.0), via=via),
        row("answer.size.all", summary(8.0), via=via),
        row("answer.time", summary(0.25), via=via),
        row("users", 2.0, via=via),
        row(
            "statsd_event",
            {
                "title": {"string": "Deploy\nfailed"},
                "text": {"string": "first line\nsecond | line"},
                "alert_type": {"string": "error"},
                "aggregation_key": {"string": "deploy"},
                "source_type_name": {"string": "ci"},
                "priority": {"string": "low"},
            },
            source="web-1",
            env="prod",
            via=via,
        ),
        row(
            "statsd_service_check",
            {"status": {"i64": 2}, "status_text": {"string": "critical"}, "message": {"string": "no\nanswer"}},
            check_name="db.up",
            source="web-1",
            env="prod",
            via=via,
        ),
    ]


directory = tempfile.mkdtemp()
datagrams, stream = os.path.join(directory, "datagrams"), os.path.join(directory, "stream")
LISTEN = [
    'address: "udp://127.0.0.1:0", protocol: statsd',
    f'address: "unixgram://{datagrams}", protocol: statsd',
    f'address: "unix://{stream}", protocol: statsd',
]
OPTIONS = {"disable_telemetry": True, "origin_detection_enabled": False}
with Server(LISTEN) as server:
    send(DogStatsd("127.0.0.1", server.line_port(0), constant_tags=["via:udp"], **OPTIONS))
    # Without a timeout it drops what finds ten datagrams waiting in the socket (net.unix.max_dgram_qlen).
    unix = {"disable_buffering": True, "socket_timeout": 10, **OPTIONS}
    send(DogStatsd(socket_path=f"unixgram://{datagrams}", constant_tags=["via:unix"], **unix))
    send(DogStatsd(socket_path=f"unixstream://{stream}", constant_tags=["via:stream"], **unix))
    same(server.stop(), expected("udp") + expected("unix") + expected("stream"))
