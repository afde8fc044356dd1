"""collectd: the readings of a script by write_graphite (TCP, UDP), write_tsdb, write_influxdb_udp and write_http.

Debian's collectd-core; its write_http is linked with libyajl2, which comes only with what it suggests."""

import contextlib
import os
import signal
import subprocess

from kit import Server, row, same

TIME = 1700000000
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
LISTEN = [
    'address: "tcp://127.0.0.1:0", protocol: graphite',
    'address: "udp://127.0.0.1:0", protocol: graphite',
    'address: "tcp://127.0.0.1:0", protocol: opentsdb',
    'address: "udp://127.0.0.1:0", protocol: influx, precision: ms',
]
NANOS = TIME * 1_000_000_000
HOST = {"host": "host", "plugin": "shop", "plugin_instance": "a"}
JOINED = {"host": "host", "instance": "a"}
LINES = [
    row("tcp.host.shop-a.gauge-queue", 1.5, time=NANOS),
    row("tcp.host.shop-a.if_octets-eth0.rx", 10.0, time=NANOS),
    row("tcp.host.shop-a.if_octets-eth0.tx", 20.0, time=NANOS),
    row("shop.gauge", 1.5, time=NANOS, type="gauge", type_instance="queue", **HOST),
    row("shop.if_octets.rx", 10.0, time=NANOS, type="if_octets", type_instance="eth0", ds_name="rx", **HOST),
    row("shop.if_octets.tx", 20.0, time=NANOS, type="if_octets", type_instance="eth0", ds_name="tx", **HOST),
    row("shop.a.gauge.queue", 1.5, time=NANOS, fqdn="host"),
    row("shop.a.if_octets.eth0.rx", {"value": {"i64": 10}}, time=NANOS, fqdn="host"),
    row("shop.a.if_octets.eth0.tx", {"value": {"i64": 20}}, time=NANOS, fqdn="host"),
    row("shop", 1.5, time=NANOS, type="gauge", type_instance="queue", **JOINED),
    row("shop", {"rx": {"i64": 10}, "tx": {"i64": 20}}, time=NANOS, type="if_octets", type_instance="eth0", **JOINED),
]


def first(rows):
    return [row for row in rows if row["time"] == NANOS]


@contextlib.contextmanager
def collectd(directory, script, plugins):
    """collectd with the readings of a shell script, `$time` being the first one's."""
    values = os.path.join(directory, "values.sh")
    with open(values, "w") as file:
        file.write(f"#!/bin/sh\ntime={TIME}\n{script}\nexec sleep 100\n")
    os.chmod(values, 0o755)
    os.chmod(directory, 0o755)
    config = os.path.join(directory, "collectd.conf")
    with open(config, "w") as file:
        file.write(f"""
Hostname "host"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/pid"
Interval 1
LoadPlugin exec
<Plugin exec>
  Exec "nobody" "{values}"
</Plugin>
{plugins}
""")
    child = subprocess.Popen(["/usr/sbin/collectd", "-f", "-C", config], **QUIET)
    try:
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        # The script may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def by_lines():
    script = f"""
# Its writers send when their buffers are full: many values, of which the first are looked at.
while [ $time -lt {TIME + 3000} ]; do
    echo "PUTVAL \\"host/shop-a/gauge-queue\\" interval=10 $time:1.5"
    echo "PUTVAL \\"host/shop-a/if_octets-eth0\\" interval=10 $time:10:20"
    time=$((time + 10))
done
"""
    with Server(LISTEN) as server:
        graphite, datagrams, tsdb, influx = (server.line_port(index) for index in range(4))
        plugins = f"""
LoadPlugin write_graphite
LoadPlugin write_tsdb
LoadPlugin write_influxdb_udp
<Plugin write_graphite>
  <Node "tcp">
    Host "127.0.0.1"
    Port "{graphite}"
    Protocol "tcp"
    Prefix "tcp."
    StoreRates false
  </Node>
  <Node "udp">
    Host "127.0.0.1"
    Port "{datagrams}"
    Protocol "udp"
    Prefix ""
    UseTags true
    StoreRates false
  </Node>
</Plugin>
<Plugin write_tsdb>
  <Node>
    Host "127.0.0.1"
    Port "{tsdb}"
    StoreRates false
  </Node>
</Plugin>
<Plugin write_influxdb_udp>
  Server "127.0.0.1" "{influx}"
  StoreRates false
</Plugin>
"""
        with collectd(server.directory.name, script, plugins):
            server.until(lambda rows: len(first(rows)) >= len(LINES))
        same(first(server.stop()), LINES)


STEPS = 40
START = NANOS + 125_000_000


def posted(rates):
    """The rows of write_http, whose counters may be rates."""
    for step in range(STEPS):
        time = START + step * 10_000_000_000

        def made(type, instance, fields):
            labels = {"type": type, "type_instance": instance} if instance else {"type": type}
            return row("shop", fields, time=time, **labels, **JOINED)

        def counter(kind, value, rate):
            return {"f64": rate} if rates else {kind: value}

        queue = {"value": {"null": None}} if step == 1 else {"value": {"f64": float(step)}}
        yield made("gauge", "queue", queue)
        octets = {"rx": counter("i64", 10 + 25 * step, 2.5), "tx": counter("i64", 20 * step, 2.0)}
        operations = {"value": counter("u64", 9_007_199_254_740_993 + 5 * step, 0.5)}
        if rates and step == 0:
            continue
        yield made("if_octets", 'eth "0"', octets)
        yield made("counter", "", operations)


def alert(severity, message):
    labels = {"instance": "host", "shop": "a", "type": "queue", "service": "collectd"}
    fields = {"severity": {"string": severity}, "summary": {"string": message}}
    if severity == "WARNING":
        fields["level"] = {"string": "high"}
    return row("collectd_shop_gauge", fields, time=NANOS, **labels)


def by_http():
    script = f"""
step=0
while [ $step -lt {STEPS} ]; do
    at="interval=10 $((time + step * 10)).125"
    value=$step
    [ $step -eq 1 ] && value=U
    echo "PUTVAL \\"host/shop-a/gauge-queue\\" $at:$value"
    echo "PUTVAL \\"host/shop-a/if_octets-eth \\\\\\"0\\\\\\"\\" $at:$((10 + 25 * step)):$((20 * step))"
    echo "PUTVAL \\"host/shop-a/counter\\" $at:$((9007199254740993 + 5 * step))"
    step=$((step + 1))
done
about="host=host plugin=shop plugin_instance=a type=gauge type_instance=queue time=$time"
echo "PUTNOTIF $about severity=warning s:level=high message=\\"the \\\\\\"queue\\\\\\" is long\\""
echo "PUTNOTIF $about severity=okay message=fine"
"""
    notifications = [alert("WARNING", 'the "queue" is long'), alert("OKAY", "fine")]
    expected = {rates: [*posted(rates), *notifications] for rates in (False, True)}
    with Server() as plain, Server() as rates:
        urls = [(plain.url + "/collectd", "false"), (rates.url + "/collectd?store_rates=true", "true")]
        nodes = [
            f"""
  <Node "{store_rates}">
    URL "{url}"
    Format "JSON"
    StoreRates {store_rates}
    Notifications true
    BufferSize 8192
  </Node>
"""
            for url, store_rates in urls
        ]
        load = "<LoadPlugin write_http>\n  FlushInterval 1\n</LoadPlugin>\n"
        plugins = load + "<Plugin write_http>\n" + "".join(nodes) + "</Plugin>\n"
        with collectd(plain.directory.name, script, plugins):
            plain.until(lambda rows: len(rows) >= len(expected[False]))
            rates.until(lambda rows: len(rows) >= len(expected[False]))
        same(plain.stop(), expected[False])
        # Whether the first rate is known depends on whether collectd has seen the second value before it writes.
        rows = [made for made in rates.stop() if made["time"] != START or made["labels"]["type"] == "gauge"]
        same(rows, expected[True])


by_lines()
by_http()
