"""collectd: the readings of a script by write_graphite (TCP, UDP), write_tsdb and write_influxdb_udp."""

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
EXPECTED = [
    row("tcp.host.shop-a.gauge-queue", 1.5, time=NANOS),
    row("tcp.host.shop-a.if_octets-eth0.rx", 10.0, time=NANOS),
    row("tcp.host.shop-a.if_octets-eth0.tx", 20.0, time=NANOS),
    row("shop.gauge", 1.5, time=NANOS, type="gauge", type_instance="queue", **HOST),
    row("shop.if_octets.rx", 10.0, time=NANOS, type="if_octets", type_instance="eth0", ds_name="rx", **HOST),
    row("shop.if_octets.tx", 20.0, time=NANOS, type="if_octets", type_instance="eth0", ds_name="tx", **HOST),
    row("shop.a.gauge.queue", 1.5, time=NANOS, fqdn="host"),
    row("shop.a.if_octets.eth0.rx", {"value": {"i64": 10}}, time=NANOS, fqdn="host"),
    row("shop.a.if_octets.eth0.tx", {"value": {"i64": 20}}, time=NANOS, fqdn="host"),
    row("shop", 1.5, time=NANOS, host="host", instance="a", type="gauge", type_instance="queue"),
    row(
        "shop",
        {"rx": {"i64": 10}, "tx": {"i64": 20}},
        time=NANOS,
        host="host",
        instance="a",
        type="if_octets",
        type_instance="eth0",
    ),
]


def first(rows):
    return [row for row in rows if row["time"] == NANOS]


with Server(LISTEN) as server:
    directory = server.directory.name
    config = os.path.join(directory, "collectd.conf")
    plugins = "/usr/lib/collectd"
    values = os.path.join(directory, "values.sh")
    with open(values, "w") as file:
        file.write(f"""#!/bin/sh
time={TIME}
# Its writers send when their buffers are full: many values, of which the first are looked at.
while [ $time -lt {TIME + 3000} ]; do
    echo "PUTVAL \\"host/shop-a/gauge-queue\\" interval=10 $time:1.5"
    echo "PUTVAL \\"host/shop-a/if_octets-eth0\\" interval=10 $time:10:20"
    time=$((time + 10))
done
exec sleep 100
""")
    os.chmod(values, 0o755)
    graphite, datagrams, tsdb, influx = (server.line_port(index) for index in range(4))
    with open(config, "w") as file:
        file.write(f"""
Hostname "host"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/pid"
Interval 1
LoadPlugin exec
LoadPlugin write_graphite
LoadPlugin write_tsdb
LoadPlugin write_influxdb_udp
<Plugin exec>
  Exec "nobody" "{values}"
</Plugin>
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
""")
    os.chmod(directory, 0o755)
    collectd = subprocess.Popen(["/usr/sbin/collectd", "-f", "-C", config], **QUIET)
    try:
        server.until(lambda rows: len(first(rows)) >= len(EXPECTED))
    finally:
        collectd.send_signal(signal.SIGTERM)
        collectd.wait()
        # The script may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(collectd.pid, signal.SIGKILL)
    same(first(server.stop()), EXPECTED)
