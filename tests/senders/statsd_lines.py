"""python3-statsd: counters, gauges, timers and sets, by UDP in pipelines and by TCP."""

import statsd
from kit import Server, row, same

LISTEN = ['address: "udp://127.0.0.1:0", protocol: statsd', 'address: "tcp://127.0.0.1:0", protocol: statsd']


def send(client):
    client.incr("app.logins", 3)
    client.decr("app.logins")
    client.gauge("app.users", 70)
    client.gauge("app.users", -1.5, delta=True)
    for millis in (500, 125, 250):
        client.timing("app.render", millis)
    for member in ("ann", "bob", "ann"):
        client.set("app.visitors", member)


def expected(prefix):
    timer = {"count": {"i64": 3}, "sum": {"f64": 0.875}, "min": {"f64": 0.125}, "max": {"f64": 0.5}}
    timer |= {"p50": {"f64": 0.25}, "p90": {"f64": 0.5}, "p95": {"f64": 0.5}, "p99": {"f64": 0.5}}
    return [
        row(prefix + ".app.logins", 2.0),
        row(prefix + ".app.users", 68.5),
        row(prefix + ".app.render", timer),
        row(prefix + ".app.visitors", 2.0),
    ]


with Server(LISTEN) as server:
    udp = statsd.StatsClient("127.0.0.1", server.line_port(0), prefix="udp")
    send(udp)
    tcp = statsd.TCPStatsClient("127.0.0.1", server.line_port(1), prefix="tcp")
    send(tcp)
    piped = statsd.StatsClient("127.0.0.1", server.line_port(0), prefix="piped")
    with piped.pipeline() as pipe:
        send(pipe)
    tcp.close()
    same(server.stop(), expected("udp") + expected("tcp") + expected("piped"))
