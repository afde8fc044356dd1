"""prometheus-remote-writer: remote write 1.0 by a client in Python."""

from kit import Server, row, same
from prometheus_remote_writer import RemoteWriter

TIME = 1700000000123
with Server() as server:
    writer = RemoteWriter(url=server.url + "/api/v1/write", headers={"X-Scope-OrgID": "team"})
    writer.send(
        [
            {"metric": {"__name__": "a", "host": "ä b"}, "values": [0.1, -1e300], "timestamps": [TIME, TIME + 1]},
            {"metric": {"__name__": "b"}, "values": [3], "timestamps": [TIME]},
        ]
    )
    nanos = TIME * 1_000_000
    same(
        server.stop(),
        [
            row("a", 0.1, time=nanos, host="ä b"),
            row("a", -1e300, time=nanos + 1_000_000, host="ä b"),
            row("b", 3.0, time=nanos),
        ],
    )
