"""Telegraf: the same metrics by each of its outputs that tidegate takes, told apart by a prefix; and no row lost where the
server is killed under it.

The binary is the argument; run.sh builds it."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from kit import Server, free_port, row, same, wait

# Nanoseconds, of which only Influx's outputs keep all.
TIME = 1_795_341_600_123_456_789
LINES = f"""sensor,place=k\u00fcche,tag\\ x=a\\,b\\=c i=5i,f=0.5,ok=true,text="a \\"b\\" \\\\ \u00fc",u=7u {TIME}
sensor,place=cellar i=-9223372036854775808i,f=-1e-300,ok=false {TIME}
load,host=a value=1.5 {TIME}
big,host=a u=18446744073709551615u {TIME}
"""

TELEGRAF = """[agent]
omit_hostname = true
precision = "1ns"
flush_interval = "100ms"
metric_buffer_limit = 100000
"""

INFLUX_1 = """[[outputs.influxdb]]
urls = ["{url}"]
name_prefix = "{prefix}"
{more}
"""
INFLUX_2 = """[[outputs.influxdb_v2]]
urls = ["{url}"]
name_prefix = "{prefix}"
token = "any"
organization = "any"
bucket = "any"
{more}
"""
HTTP = """[[outputs.http]]
url = "{url}{path}"
name_prefix = "{prefix}"
data_format = "{format}"
{more}
"""
OTHERS = """[[outputs.graphite]]
servers = ["{graphite}"]
name_prefix = "graphite_"
graphite_tag_support = true

[[outputs.opentsdb]]
host = "tcp://127.0.0.1"
port = {opentsdb}
prefix = "telnet_"
namedrop = ["big"]

[[outputs.opentsdb]]
host = "http://127.0.0.1"
port = {port}
http_path = "/api/put"
prefix = "put_"
namedrop = ["big"]

[[outputs.socket_writer]]
address = "udp://{udp}"
name_prefix = "udp_"
data_format = "influx"
influx_uint_support = true

[[outputs.socket_writer]]
address = "tcp://{tcp}"
name_prefix = "tcp_"
data_format = "influx"
influx_uint_support = true
"""


def outputs(server):
    """What is configured, and the prefixes of the outputs that keep types and nanoseconds."""
    whole = "influx_uint_support = true\n"
    remote_write = """[outputs.http.headers]
Content-Type = "application/x-protobuf"
Content-Encoding = "snappy"
X-Prometheus-Remote-Write-Version = "0.1.0"
"""
    graphite, opentsdb, udp, tcp = server.lines
    text = "".join(
        [
            INFLUX_1.format(url=server.url, prefix="v1_", more=whole + 'content_encoding = "identity"'),
            INFLUX_1.format(url=server.url, prefix="v1gz_", more=whole + "skip_database_creation = true"),
            INFLUX_1.format(url=f"{server.url}/influx", prefix="v1vm_", more=whole),
            INFLUX_2.format(url=server.url, prefix="v2_", more=whole + 'content_encoding = "identity"'),
            INFLUX_2.format(url=server.url, prefix="v2gz_", more=whole),
            HTTP.format(
                url=server.url,
                path="/api/v3/write_lp?db=any",
                prefix="v3_",
                format="influx",
                more=whole + 'content_encoding = "gzip"',
            ),
            HTTP.format(
                url=server.url, path="/api/v1/write", prefix="rw_", format="prometheusremotewrite", more=remote_write
            ),
            HTTP.format(
                url=server.url,
                path="/api/v1/import/prometheus",
                prefix="text_",
                format="prometheus",
                more="prometheus_export_timestamp = true",
            ),
            OTHERS.format(
                graphite=graphite, opentsdb=opentsdb.rsplit(":", 1)[1], port=server.port, udp=udp, tcp=tcp
            ),
        ]
    )
    return text, ["v1_", "v1gz_", "v1vm_", "v2_", "v2gz_", "v3_", "udp_", "tcp_"]


def as_influx(prefix):
    kitchen = {
        "i": {"i64": 5},
        "f": {"f64": 0.5},
        "ok": {"bool": True},
        "text": {"string": 'a "b" \\ ü'},
        "u": {"u64": 7},
    }
    cellar = {"i": {"i64": -9223372036854775808}, "f": {"f64": -1e-300}, "ok": {"bool": False}}
    return [
        row(prefix + "sensor", kitchen, TIME, place="küche", **{"tag x": "a,b=c"}),
        row(prefix + "sensor", cellar, TIME, place="cellar"),
        row(prefix + "load", 1.5, TIME, host="a"),
        row(prefix + "big", {"u": {"u64": 18446744073709551615}}, TIME, host="a"),
    ]


def as_samples(prefix, separator, load, time, tag, integer="f64", tiny=-1e-300, others=True):
    """A row for each field that is a number, of whatever kind; `others` are truths, and integers beyond 63 bits."""
    kitchen, cellar = {"place": "küche", "tag_x": tag}, {"place": "cellar"}
    rows = []

    def add(name, kind, value, labels):
        value = float(value) if kind == "f64" else value
        rows.append(row(prefix + name, {"value": {kind: value}}, time, **labels))

    for name, value in (("i", 5), ("u", 7)):
        add(f"sensor{separator}{name}", integer, value, kitchen)
    add(f"sensor{separator}f", "f64", 0.5, kitchen)
    add(f"sensor{separator}i", integer, -9223372036854775808, cellar)
    add(f"sensor{separator}f", "f64", tiny, cellar)
    add(load, "f64", 1.5, {"host": "a"})
    if others:
        add(f"sensor{separator}ok", "f64", 1, kitchen)
        add(f"sensor{separator}ok", "f64", 0, cellar)
        add(f"big{separator}u", "f64", 18446744073709551615, {"host": "a"})
    return rows


def run(telegraf, config, directory, *arguments):
    path = os.path.join(directory, "telegraf.conf")
    with open(path, "w") as file:
        file.write(config)
    with open(os.path.join(directory, "telegraf.log"), "w") as log:
        return subprocess.Popen([telegraf, "--config", path, *arguments], stdout=log, stderr=log)


def every_output(telegraf):
    lines = [
        'address: "tcp://127.0.0.1:0", protocol: graphite',
        'address: "tcp://127.0.0.1:0", protocol: opentsdb',
        'address: "udp://127.0.0.1:0", protocol: influx',
        'address: "tcp://127.0.0.1:0", protocol: influx',
    ]
    with Server(lines) as server:
        directory = server.directory.name
        with open(os.path.join(directory, "lines"), "w") as file:
            file.write(LINES)
        configured, whole = outputs(server)
        source = f'[[inputs.file]]\nfiles = ["{directory}/lines"]\ndata_format = "influx"\n'
        process = run(telegraf, TELEGRAF + configured + source, directory, "--once")
        if process.wait(timeout=60) != 0:
            sys.exit(open(os.path.join(directory, "telegraf.log")).read())
        rows = server.stop()
    millis, seconds = TIME // 10**6 * 10**6, TIME // 10**9 * 10**9
    expected = [one for prefix in whole for one in as_influx(prefix)]
    expected += as_samples("rw_", "_", "load_value", millis, "a,b=c")
    expected += as_samples("text_", "_", "load_value", millis, "a,b=c")
    expected += as_samples("graphite_", ".", "load", seconds, "a_b=c")
    integers = {"integer": "i64", "others": False}
    # Six places are all that it sends as a line.
    expected += as_samples("telnet_", "_", "load_value", seconds, "a_b_c", tiny=-0.0, **integers)
    expected += as_samples("put_", "_", "load_value", seconds, "a_b_c", **integers)
    same(rows, expected)


def killed_under_it(telegraf):
    """Numbered rows go in at one end of Telegraf; the server dies in the midst of them, twice."""
    with Server() as server, tempfile.TemporaryDirectory() as directory:
        port = free_port()
        source = f'[[inputs.http_listener_v2]]\nservice_address = "tcp://127.0.0.1:{port}"\ndata_format = "influx"\n'
        sink = INFLUX_2.format(url=server.url, prefix="", more="")
        process = run(telegraf, TELEGRAF + sink + source, directory)

        def send(numbers):
            body = "".join(f"numbered n={n}i {TIME + n}\n" for n in numbers).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}/telegraf", data=body)

            def sent():
                try:
                    return urllib.request.urlopen(request).status == 204
                except urllib.error.URLError:
                    return False

            wait(sent)

        def there():
            return {one["time"] - TIME for one in server.cat()}

        try:
            for part in range(3):
                numbers = range(part * 1000, part * 1000 + 1000)
                send(numbers)
                if part < 2:
                    wait(lambda: there())
                    server.die()
                    send(range(10_000 + part * 1000, 10_000 + part * 1000 + 1000))
                    server.revive()
            every = {*range(3000), *range(10_000, 12_000)}
            server.until(lambda rows: {one["time"] - TIME for one in rows} >= every)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        rows = server.stop()
    if any(one["fields"] != {"n": {"i64": one["time"] - TIME}} for one in rows):
        sys.exit("rows were mixed up")
    print(f"telegraf.py: {len(every)} rows there, the server killed twice")


every_output(sys.argv[1])
killed_under_it(sys.argv[1])
