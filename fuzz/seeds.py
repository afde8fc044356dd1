#!/usr/bin/env python3
"""Inputs to start each fuzz target with, made of the conformance corpora and the format's golden blocks.

    fuzz/seeds.py CORPORA OUT

writes OUT/<target>/<name>. What an input's first bytes mean is said where each target reads them (src/way.rs and the
targets). Needs the Python package zstandard; targets without corpora get a few inputs written by hand.
"""

import base64
import binascii
import hashlib
import json
import pathlib
import struct
import sys
import zlib

import zstandard

CORPORA, OUT = map(pathlib.Path, sys.argv[1:3])
ROOT = pathlib.Path(__file__).resolve().parent.parent


def seed(target, *parts):
    data = b"".join(parts)
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def cases(folder, suite=""):
    for path in sorted((CORPORA / folder).glob(f"{suite}*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines()):
            case = json.loads(line)
            if "_header" not in case:
                yield number, case


def body(case):
    if "input_b64" in case:
        return base64.b64decode(case["input_b64"])
    return case["input"].encode() if isinstance(case["input"], str) else None


def texts(target, folder, flags, suite=""):
    """Each case's input, in one piece and in small ones, with each of the flags in turn."""
    for number, case in cases(folder, suite):
        text = body(case)
        if text is not None and len(text) < 4096:
            way = bytes([flags[number % len(flags)], [0xff, 0x03][number % 2], number % 7])
            seed(target, way, text)


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A protobuf field: bytes, a float as a double, an integer as a varint."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(value)


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def line_formats():
    influx = [dialect | precision << 2 | twice for twice in (0, 0x80) for precision in range(4) for dialect in range(3)]
    texts("influx", "influx_line", influx)
    texts("graphite", "graphite", [0])
    texts("statsd", "statsd", [0, 1, 2])
    texts("opentsdb", "opentsdb", [0], "telegraf_opentsdb")
    texts("opentsdb", "opentsdb", [0], "victoriametrics_opentsdb")
    texts("opentsdb", "opentsdb", [1], "victoriametrics_opentsdbhttp")
    texts("vm_import", "vm_import", [0, 1])
    for flags in ([0, 4], [2, 6]):
        texts("exposition", "prometheus_text", flags)
    for flags in ([1, 5], [3, 7]):
        texts("exposition", "openmetrics", flags)
    texts("push", "prometheus_text", [0, 2])
    texts("push", "openmetrics", [1, 3])
    texts("scrape", "prometheus_text", [0, 8])
    texts("scrape", "openmetrics", [1, 9])
    for path in (ROOT / "tests/golden").glob("*.ndjson"):
        lines = path.read_bytes().splitlines(keepends=True)
        for start in range(0, min(len(lines), 20), 4):
            seed("ndjson", b"\0\x35\2", b"".join(lines[start : start + 4]))


def collectd():
    identity = {"host": "h", "plugin": "interface", "plugin_instance": "eth0", "type": "if_octets", "type_instance": ""}

    def value_list(values, types, **members):
        names = ["rx", "tx", "value"][: len(values)]
        return {"values": values, "dstypes": types, "dsnames": names, "time": 1280959128.123, "interval": 10.0,
                **identity, **members}

    lists = [value_list([1, 2], ["derive", "counter"]), value_list([0.5, -1.5], ["derive", "counter"], plugin="load"),
             value_list([None, 7], ["gauge", "absolute"]), value_list([None], ["gauge"], meta={"a": [1, {}]}),
             value_list([1, 2], ["gauge"]), value_list([], [], host="\u00fc"), value_list(["1"], ["gauge"], plugin=None)]
    labels = {"alertname": "collectd_cpu", "instance": "h", "cpu": "0", "service": "collectd"}
    alert = {"labels": labels, "annotations": {"severity": "OKAY", "summary": "a \"b\"\n", "x": None},
             "startsAt": "2015-11-23T13:16:46.125000000Z", "endsAt": "2015-11-23T13:16:46.125000000Z"}
    for number in range(1, len(lists) + 1):
        body = lists[:number] + [alert] * (number % 2) + lists[:1]
        for flags in (0, 1):
            spaced = json.dumps(body, separators=None if number % 3 == 0 else (",", ":"))
            seed("collectd", bytes([flags, 0, number]), spaced.encode())
    seed("collectd", b"\0\0\0", json.dumps(alert).encode())
    seed("collectd", b"\0\0\0", json.dumps(lists[:2]).encode("utf-8").replace(b"eth0", b"e\xff"))


def scrapes(label):
    """Families, one body behind the other."""
    bucket = lambda count, bound: message((1, count), (2, bound))
    stamp = message((1, 1700000000), (2, 5000000))
    seen = message((1, label(b"trace_id", b"abc")), (2, 0.5), (3, stamp))
    classic = message((1, 7), (2, 2.5), (3, bucket(3, 0.5) + message((3, seen))), (3, bucket(5, 1.0)), (15, stamp))
    native = message((1, 6), (2, 2.5), (5, 6), (6, 0.001), (7, 1), (12, message((1, 2), (2, 3))), (13, b"\2\2\1"))
    quantile = message((1, 0.5), (2, 1.5))
    values = [(0, 3, message((1, 1.5), (2, seen), (3, stamp))), (1, 2, message((1, 2.5))), (3, 5, message((1, 3.5))),
              (2, 4, message((1, 4), (2, 4.5), (3, quantile))), (4, 7, classic), (4, 7, native), (5, 7, classic + native)]

    def family(name, kind, number, value, jobs):
        metrics = [(4, message((1, label(b"job", job)), (number, value), (6, 1700000000000))) for job in jobs]
        parts = message((1, name), (2, b"help"), (3, kind), *metrics)
        return varint(len(parts)) + parts

    for count in range(1, len(values) + 1):
        body = lambda *jobs: b"".join(family(b"f%d" % i, *value, jobs) for i, value in enumerate(values[:count]))
        for flags in (2, 6, 10):
            bodies = [body(b"a"), body(b"a", b"b"), body(b"b"), b""]
            seed("scrape", bytes([flags, 0, 0]), (b"\xff" * 4).join(bodies))


def protobufs():
    label = lambda name, value: message((1, name), (2, value))
    span = message((1, 2), (2, 3))
    histogram = message((1, 7), (3, 2.5), (4, 4), (5, 0.001), (6, 1), (8, span), (9, b"\2\3"), (11, span), (15, 1700000000000))
    series = message((1, label(b"__name__", b"up")), (1, label(b"job", b"a")), (2, message((1, 1.5), (2, 1700000000000))))
    exemplar = message((1, label(b"trace_id", b"abc")), (2, 0.5), (3, 1700000000001))
    metadata = message((1, 1), (2, b"up"), (4, b"help"), (5, b"unit"))
    seed("remote_write", b"\0\0\0", message((1, series), (1, series), (3, metadata)))
    seed("remote_write", b"\0\0\1", message((1, series + message((3, exemplar))), (1, message((1, label(b"__name__", b"h")), (4, histogram)))))
    symbols = [b"", b"__name__", b"up", b"job", b"a", b"help", b"unit", b"trace_id", b"abc"]
    table = message(*((4, text) for text in symbols))
    refs = b"\1\2\3\4"
    second = message((1, refs), (2, message((1, 1.5), (2, 1700000000000))), (5, message((1, 1), (3, 5), (4, 6))))
    seed("remote_write", b"\1\0\0", table, message((5, second), (5, second)))
    third = message((1, refs), (3, histogram), (4, message((1, b"\7\x08"), (2, 0.5), (3, 1700000000001))))
    seed("remote_write", b"\1\0\2", table, message((5, third + message((6, 1699999999999)))))
    for count in range(1, 8):
        seed("remote_write", bytes([count % 2, 0, count]), message(*((1, series),) * count))

    scrapes(label)

    for _, case in cases("otlp"):
        logs = 1 if case.get("signal") == "logs" else 0
        given = case.get("input")
        text = given if isinstance(given, str) and given.lstrip().startswith("{") else None
        if isinstance(given, dict) and "json" in given:
            text = json.dumps(given["json"])
        if text:
            seed("otlp_json", bytes([logs, 0, 2]), text.encode())
            seed("otlp_json", bytes([logs ^ 1, 0, 2]), json.dumps(json.loads(text)).encode())
        if "protobuf_b64" in case:
            seed("otlp_protobuf", bytes([logs, 0, 2]), base64.b64decode(case["protobuf_b64"]))
    text = lambda value: message((1, value))
    pair = lambda name, value: message((1, name), (2, text(value)))
    resource = message((1, pair(b"service.name", b"a")))
    fixed = lambda number, value: varint(number << 3 | 1) + struct.pack("<Q", value)
    point = fixed(2, 1699999999000000000) + fixed(3, 1700000000000000000)
    number = point + field(4, 1.5) + field(7, pair(b"host", b"b"))
    bounds = struct.pack("<3d", 1, 2, 5)
    buckets = point + fixed(4, 6) + field(5, 9.5) + field(6, struct.pack("<4Q", 1, 2, 3, 0)) + field(7, bounds)
    exponential = point + fixed(4, 6) + field(5, 9.5) + field(6, 0) + field(8, message((1, 2), (2, b"\1\2\3")))
    summary = point + fixed(4, 6) + field(5, 9.5) + field(6, message((1, 0.5), (2, 1.5)))
    kinds = [(5, message((1, number))), (7, message((1, number), (2, 2), (3, 1))), (9, message((1, buckets), (2, 2))),
             (10, message((1, exponential), (2, 2))), (11, message((1, summary)))]
    for kind in kinds:
        metric = message((1, b"requests"), (2, b"help"), (3, b"s"), kind)
        scope = message((1, message((1, b"scope"))), (2, metric), (2, metric))
        seed("otlp_protobuf", b"\0\0\1", message((1, message((1, resource), (2, scope)))))
    record = fixed(1, 1700000000000000000) + message((2, 9), (3, b"INFO"), (5, text(b"hello")), (6, pair(b"k", b"v")))
    seed("otlp_protobuf", b"\1\0\1", message((1, message((1, resource), (2, message((2, record)))))))


def requests():
    heads = [b"POST /write?db=a%20b&precision=ns HTTP/1.1\r\nHost: h:9480\r\nContent-Length: 3\r\n\r\nabc",
             b"POST /api/v2/write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
             b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
             b"PUT /metrics/job/a/instance@base64/Yg HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 70\r\n\r\n",
             b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
             b"GET http://Example.com:80?x=1 HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
             b"\r\n\r\nOPTIONS * HTTP/1.1\nhost: a\nauthorization: Basic YTpi\ncontent-encoding: gzip\n\n"]
    for number, head in enumerate(heads):
        for flags in range(4):
            seed("http", bytes([flags, 0x15 * number & 255, 0]), head, heads[(number + 1) % len(heads)], heads[0])
    text = b"".join(b"cpu,host=h%d v=%d %d\n" % (i % 7, i, i * 31) for i in range(60))
    raw = zlib.compressobj(wbits=-15)
    gzip = zlib.compressobj(wbits=31)
    codings = [(0, gzip.compress(text) + gzip.flush()), (1, zlib.compress(text)), (1, raw.compress(text) + raw.flush()),
               (2, zstandard.ZstdCompressor().compress(text)), (2, zstandard.ZstdCompressor(write_checksum=True).compressobj().compress(text)),
               (3, text)]
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    codings.append((2, b"\x50\x2a\x4d\x18\3\0\0\0abc" + stream.compress(text) + stream.flush()))
    stored = zlib.compressobj(level=0, wbits=31)
    codings.append((0, stored.compress(text) + stored.flush()))
    fixed = zlib.compressobj(strategy=zlib.Z_FIXED, wbits=31)
    codings.append((0, fixed.compress(text[:90]) + fixed.flush()))
    for flags, coded in codings:
        for way in (b"\xff\x0f", b"\x23\1"):
            seed("coding", bytes([flags]), way, coded)
    # Snappy: literals, and copies of each length.
    seed("snappy", varint(4), b"\x0cabcd")
    seed("snappy", varint(12), b"\x0cabcd\x11\4")
    seed("snappy", varint(14), b"\x0cabcd\x26\4\0")
    seed("snappy", varint(24), b"\x0cabcd\x4f\4\0\0\0")
    seed("snappy", varint(70), b"\xf0\x45", bytes(70))
    seed("snappy", varint(300), b"\xf4\x2b\1", bytes(300))
    for length in range(1, 8):
        seed("snappy", varint(length), bytes([length - 1 << 2]), b"x" * length)


def blocks():
    golden = ROOT / "tests/golden"
    wholes = [path.read_bytes() for path in sorted(golden.glob("*.blocks"))]
    for path in sorted(golden.glob("*.hex")):
        digits = "".join(line.split("#")[0] for line in path.read_text().splitlines())
        wholes.append(binascii.unhexlify("".join(digits.split())))
    for data in wholes:
        for at, block in split(data):
            seed("block", block)
            seed("block", stored(block))


HEADER = 160


def split(data):
    at = 0
    while at + HEADER <= len(data):
        dictionary, payload = struct.unpack_from("<II", data, at + 100)
        end = at + HEADER + dictionary + payload
        yield at, data[at:end]
        at = -(-end // 4096) * 4096


def stored(block):
    """The block with nothing compressed in it, so that its every byte means something."""
    dictionary_len, payload_len = struct.unpack_from("<II", block, 100)
    dictionary = container(block[HEADER : HEADER + dictionary_len])
    payload = container(block[HEADER + dictionary_len :])
    head = bytearray(block[:HEADER])
    struct.pack_into("<II", head, 100, len(dictionary), len(payload))
    return bytes(head) + dictionary + payload


def container(data):
    if not data:
        return data
    stored_len, raw_len = struct.unpack_from("<II", data)
    directory = data[8 : 8 + stored_len]
    if stored_len != raw_len:
        directory = zstandard.ZstdDecompressor().decompress(directory, max_output_size=raw_len)
    rest, at, frames, lens = data[8 + stored_len :], 0, b"", b""

    def read():
        nonlocal at
        value = shift = 0
        while True:
            byte = directory[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    count = read()
    for _ in range(count):
        codec = directory[at]
        at += 1
        length = read()
        frame, rest = rest[:length], rest[length:]
        if codec == 1:
            frame = zstandard.ZstdDecompressor().decompress(frame, max_output_size=read())
        elif codec == 2:
            return data
        frames += frame
        lens += b"\0" + varint(len(frame))
    directory = varint(count) + lens + directory[at:]
    return struct.pack("<II", len(directory), len(directory)) + directory + frames


def damages():
    for what in range(8):
        for number in range(8):
            change = lambda n: bytes([what, n % 3, 37 * n & 255, 16 * n & 0x7f, 0x55 ^ n, n])
            seed("recovery", b"".join(change(number + n) for n in range(1 + number % 4)))
    for block in range(12):
        seed("recovery", bytes([0, block % 3, 8 + block, 16 * block, 1, 0]))


def settings():
    actions = "replace keep drop keepequal dropequal hashmod labelmap labeldrop labelkeep lowercase uppercase".split()
    for _, case in cases("relabel", "prometheus_relabel"):
        given = case["input"]
        for rule in given.get("relabel", [given]):
            labels = given.get("labels", {"a": "foo", "b": "bar"})
            action = rule.get("action", "replace").lower()
            flags = (actions.index(action) if action in actions else 0) | (0x80 if rule.get("modulus") else 0)
            parts = [str(rule.get(key, usual)) for key, usual in
                     (("regex", "(.*)"), ("replacement", "$1"), ("target_label", "t"), ("separator", ";"))]
            seed("relabel", bytes([flags]), "\n".join(parts + list(labels.values())).encode())
    patterns = [r"[[:alpha:]]+\d", r"(?i)a{2,3}|\pL", r"(?P<x>[^a-z\]]*)\Q.*\E", r"\x{10FFFF}[\s\S]", r"[a-\d]", "(?s-m:.^$)"]
    for number, pattern in enumerate(patterns):
        seed("relabel", bytes([number]), f"{pattern}\n${{1}}-$x\nt\n;\nname\nabc1\nAA.*\n".encode())
    for folder in ("scrape_config", "relabel"):
        for _, case in cases(folder):
            if isinstance(case["input"], str) and len(case["input"]) < 2048:
                seed("config", case["input"].encode())
    seed("config", b"""listen:
  - address: 127.0.0.1:0
    basic_auth_users: {a: $2y$10$abcdefghijklmnopqrstuvwxyz01234567890123456789012345678}
    metric_relabel_configs:
      - {source_labels: [a, b], regex: '(.*);(.*)', target_label: c, replacement: $2, action: replace}
    tenant_label: tenant
  - {address: ':8125', protocol: statsd, flush_interval: 10s, percentiles: [50, 99.9], series_max: 10}
data: {directory: d, retention: 15d, retention_size: 1GiB, free_space_min: 5%, commit_linger: 2ms, disk: threads}
limits: {memory: 25%, series_max: 10, body_size_max: 64MiB, idle_timeout: 1m, connections_max: 5}
workers: 2
""")


line_formats()
collectd()
protobufs()
requests()
blocks()
damages()
settings()
