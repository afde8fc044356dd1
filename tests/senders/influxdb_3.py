"""influxdb3-python: InfluxDB 3's client, by its own path and by that of version 2; a bad line costs itself alone."""

from influxdb_client_3 import SYNCHRONOUS, InfluxDBClient3, Point, write_client_options
from kit import Server, row, same

TIME = 1700000000123456789

with Server() as server:
    options = write_client_options(write_options=SYNCHRONOUS)
    with InfluxDBClient3(server.url, token="token", database="db", write_client_options=options) as client:
        for path, v2 in (("v3", False), ("v2", True)):
            point = Point("cpu").tag("host", "ä b").tag("path", path).field("usage", 0.25).field("n", 5).time(TIME)
            client.write([point, f"mem,path={path} used=7u {TIME}"], use_v2_api=v2)
            try:
                client.write(f"good,path={path} x=1 {TIME}\nbad x= 1", use_v2_api=v2)
                raise SystemExit("a bad line was taken")
            except Exception as error:
                assert "line 2" in str(error) or "bad x=" in str(error), error
    expected = []
    for path in ("v3", "v2"):
        expected += [
            row("cpu", {"usage": {"f64": 0.25}, "n": {"i64": 5}}, time=TIME, host="ä b", path=path),
            row("mem", {"used": {"u64": 7}}, time=TIME, path=path),
            row("good", {"x": {"f64": 1.0}}, time=TIME, path=path),
        ]
    same(server.stop(), expected)
