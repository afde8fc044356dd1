"""python3-influxdb: InfluxDB 1's client, over HTTP and over UDP, every type of field."""

from influxdb import InfluxDBClient
from kit import Server, row, same

TIME = 1700000000123456789
POINTS = [
    {
        "measurement": "disk io",
        "tags": {"host": "a,b", "rack=1": "c d"},
        "time": TIME,
        "fields": {"f": 0.1, "i": -(2**63), "t": True, "s": 'say "hi", \\ = äö'},
    },
    {"measurement": "cpu", "tags": {}, "time": TIME + 1, "fields": {"usage": 1e300, "n": 2**63 - 1}},
]
EXPECTED = [
    row(
        "disk io",
        {"f": {"f64": 0.1}, "i": {"i64": -(2**63)}, "t": {"bool": True}, "s": {"string": 'say "hi", \\ = äö'}},
        time=TIME,
        host="a,b",
        **{"rack=1": "c d"},
    ),
    row("cpu", {"usage": {"f64": 1e300}, "n": {"i64": 2**63 - 1}}, time=TIME + 1),
]

with Server(['address: "udp://127.0.0.1:0", protocol: influx']) as server:
    client = InfluxDBClient("127.0.0.1", server.port, "user", "password", "db", gzip=True)
    client.ping()
    client.create_database("db")
    client.switch_database("db")
    assert client.write_points(POINTS, time_precision="n")
    assert client.write_points(POINTS, time_precision="n", batch_size=1)
    udp = InfluxDBClient("127.0.0.1", server.port, database="db", use_udp=True, udp_port=server.line_port(0))
    udp.write_points(POINTS, time_precision="n")
    same(server.stop(), EXPECTED * 3)
