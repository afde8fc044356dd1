"""influxdb-client: InfluxDB 2's client, in one request and by its own batches."""

from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from kit import Server, row, same

TIME = 1700000000123


def point(number):
    made = Point("disk io").tag("host", "a,b c=d").field("f", 0.5).field("i", number).field("t", False)
    return made.field("s", 'say "hi" \\').time(TIME + number, WritePrecision.MS)


def expected(number):
    fields = {"f": {"f64": 0.5}, "i": {"i64": number}, "t": {"bool": False}, "s": {"string": 'say "hi" \\'}}
    return row("disk io", fields, time=(TIME + number) * 1_000_000, host="a,b c=d")


with Server() as server:
    with InfluxDBClient(server.url, token="token", org="org", enable_gzip=True) as client:
        assert client.ping()
        with client.write_api(write_options=SYNCHRONOUS) as api:
            api.write("bucket", "org", [point(n) for n in range(10)], write_precision=WritePrecision.MS)
        with client.write_api(write_options=WriteOptions(batch_size=7)) as api:
            for n in range(10, 30):
                api.write("bucket", "org", point(n), write_precision=WritePrecision.MS)
    same(server.stop(), [expected(n) for n in range(30)])
