#!/usr/bin/env python3
"""Reads tidegate's block format 1 and prints its rows as ndjson.

    format_reader.py PATH

PATH is a data directory, a segment (*.seg), blocks one behind the other, or a hand-written example (*.hex:
hexadecimal bytes, `#` starts a comment). Written from src/block/format.md and docs/ndjson.md alone, to find
out whether they are complete: it shares no code with the program. Needs `zstandard` from PyPI.

Exit status: 0 all was read, 1 something was damaged (said on stderr), 2 usage, a file that is not there, or a newer
format.
"""

import base64
import json
import math
import os
import struct
import sys

import zstandard

PAGE = 4096
HEADER_LEN = 160
BLOCK_MAGIC = b"\x89TDGBLK\n"
SEGMENT_MAGIC = b"\x89TDGSEG\n"
TRAILER_MAGIC = b"\x89TDGEND\n"
MASK = (1 << 64) - 1
F64, I64, U64, BOOL, STRING, BYTES, NULL, NESTED, HISTOGRAM = range(1, 10)
TYPE_NAMES = {F64: "f64", I64: "i64", U64: "u64", BOOL: "bool", STRING: "string", BYTES: "bytes",
              NULL: "null", NESTED: "nested", HISTOGRAM: "histogram"}
TYPES_OF_CODEC = {0: {NULL}, 1: {F64, I64, U64, BOOL}, 2: {F64}, 3: {STRING, BYTES, NESTED, HISTOGRAM},
                  4: {STRING, BYTES, NESTED, HISTOGRAM}}
METRIC_TYPES = ["unknown", "counter", "gauge", "summary", "histogram", "gauge_histogram", "state_set", "info"]


class Damaged(Exception):
    """The bytes break a rule of the format."""


class Newer(Exception):
    """The bytes use what version 1 does not define."""


def check(condition, what):
    if not condition:
        raise Damaged(what)


def refuse_if(condition, what):
    if condition:
        raise Newer(what)


# Conventions ---------------------------------------------------------------------------------------------------

def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    table = CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def to_signed(word):
    return word - (1 << 64) if word >> 63 else word


def to_float(word):
    return struct.unpack("<d", struct.pack("<Q", word))[0]


def to_bits(number):
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def unzigzag(n):
    return (n >> 1) ^ -(n & 1)


class Input:
    """Takes fields off the front of bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, count):
        check(0 <= count <= self.left(), "cut short")
        self.at += count
        return self.data[self.at - count:self.at]

    def u8(self):
        return self.bytes(1)[0]

    def u32_fixed(self):
        return struct.unpack("<I", self.bytes(4))[0]

    def f64_bits(self):
        return struct.unpack("<Q", self.bytes(8))[0]

    def varint(self):
        value = 0
        for i in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                check(value <= MASK, "a varint over 64 bits")
                return value
        raise Damaged("a varint of over 10 bytes")

    def zigzag(self):
        return unzigzag(self.varint())

    def count(self, most, what):
        value = self.varint()
        check(value <= most, "too many " + what)
        return value

    def left(self):
        return len(self.data) - self.at

    def end(self):
        check(self.left() == 0, "bytes left over")


# Containers ----------------------------------------------------------------------------------------------------

class Container:
    def __init__(self, data, zstd_dictionaries):
        self.zstd_dictionaries = zstd_dictionaries
        outer = Input(data)
        stored_len, raw_len = outer.u32_fixed(), outer.u32_fixed()
        check(raw_len <= 32 << 20, "directory too long")
        stored = outer.bytes(stored_len)
        directory = Input(stored if stored_len == raw_len else self.unzstd(stored, raw_len, None))
        self.frames, total = [], 0
        for _ in range(directory.count(65536, "frames")):
            codec = directory.u8()
            refuse_if(codec > 2, "frame codec")
            stored_len = directory.varint()
            raw_len = stored_len if codec == 0 else directory.varint()
            dictionary = directory.varint() if codec == 2 else None
            total += raw_len
            check((codec == 0 or raw_len <= 32 << 20) and total <= 256 << 20, "frames too long")
            self.frames.append([codec, outer.bytes(stored_len), raw_len, dictionary, None])
        outer.end()
        self.entries = []
        for _ in range(directory.count(131072, "entries")):
            kind = directory.u8()
            self.entries.append((kind, directory.bytes(directory.varint())))
        directory.end()

    @staticmethod
    def unzstd(stored, raw_len, dictionary):
        try:
            raw = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(stored, max_output_size=raw_len)
        except zstandard.ZstdError as error:
            raise Damaged(f"zstd: {error}") from error
        check(len(raw) == raw_len, "a frame's length")
        return raw

    def stream(self, source, length):
        """The bytes of the stream that `source` describes next."""
        number, offset = source.varint(), source.varint()
        check(number < len(self.frames), "no such frame")
        frame = self.frames[number]
        codec, stored, raw_len, dictionary, raw = frame
        if raw is None:
            if codec == 0:
                raw = stored
            elif codec == 1:
                raw = self.unzstd(stored, raw_len, None)
            else:
                check(dictionary in self.zstd_dictionaries, "no such zstd dictionary")
                raw = self.unzstd(stored, raw_len, self.zstd_dictionaries[dictionary])
            frame[4] = raw
        check(offset + length <= len(raw), "a stream outside its frame")
        return raw[offset:offset + length]


def known_entries(container, kinds):
    """Entries of these kinds; others are skipped if they may be."""
    for kind, body in container.entries:
        if kind in kinds:
            yield kind, body
        else:
            refuse_if(kind < 0x80, f"entry kind {kind}")


# Columns -------------------------------------------------------------------------------------------------------

def integers(n, source, container, starts=None):
    """`starts` says of each value whether it starts a run, where integers may be by series."""
    form = source.u8()
    refuse_if(form >> 5, "form of integers")
    order = form & 3
    by_series = form & 16
    check(not by_series or (starts is not None and order == 1 and sum(starts) < n), "integers by series")
    zigzagged, scaled = form & 4, form & 8
    check(order < 3 and order < n and not (order == 0 and zigzagged), "order of differences")
    origin = source.zigzag()
    scale = source.varint() if scaled else 1
    first = source.zigzag() if order == 2 else 0
    base = source.zigzag() if order > 0 and not zigzagged else 0
    low, planes = source.u8(), source.u8()
    check(low <= 64 and planes <= 8 and low + 8 * planes <= 71, "widths of integers")
    m = n - sum(starts) if by_series else n - order
    words = [0] * m
    if low:
        words = unpack(container.stream(source, (m * low + 7) // 8), low, m)
    if planes:
        data = container.stream(source, m * planes)
        for p in range(planes):
            shift = low + 8 * p
            plane = data[p * m:(p + 1) * m]
            words = [(w | b << shift) & MASK for w, b in zip(words, plane)]
    steps = [unzigzag(w) for w in words] if zigzagged else [base + w for w in words]
    if by_series:
        q, steps, firsts = [], iter(steps), iter(integers(n - m, source, container))
        for is_start in starts:
            q.append(next(firsts) if is_start else q[-1] + next(steps))
    elif order == 0:
        q = steps
    else:
        q = [0]
        delta = first
        if order == 2:
            q.append(first)
        for step in steps:
            delta = step if order == 1 else delta + step
            q.append(q[-1] + delta)
    return [(origin + scale * x) & MASK for x in q]


def unpack(data, low, m):
    """Packed words, in stretches: shifting a long number costs its whole length."""
    words, stretch = [], 512
    mask = (1 << low) - 1
    for start in range(0, m, stretch):
        count = min(stretch, m - start)
        bit = start * low
        part = int.from_bytes(data[bit // 8:(bit + count * low + 7) // 8], "little") >> (bit % 8)
        words.extend((part >> (i * low)) & mask for i in range(count))
    return words


def strings(n, source, container):
    lengths = integers(n, source, container)
    total = sum(lengths)
    check(total < 1 << 32, "strings too long")
    data = container.stream(source, total) if total else b""
    out, at = [], 0
    for length in lengths:
        out.append(data[at:at + length])
        at += length
    return out


def strings_by_codec(codec, n, source, container):
    if codec == 3:
        return strings(n, source, container)
    check(codec == 4, "codec of strings")
    distinct = source.count(4096, "strings in a dictionary")
    check(distinct > 0, "an empty dictionary")
    texts = strings(distinct, source, container)
    indices = integers(n, source, container)
    check(all(i < distinct for i in indices), "an index outside its dictionary")
    return [texts[i] for i in indices]


def floats_from_decimals(n, source, container, starts):
    exponent = source.u8()
    check(exponent <= 15, "a decimal exponent")
    exceptions = source.count(n, "exceptions")
    positions, bits = [], []
    if exceptions:
        positions = integers(exceptions, source, container)
        bits = integers(exceptions, source, container)
    scale = float(10 ** exponent)
    words = [to_bits(float(to_signed(d)) / scale) for d in integers(n, source, container, starts)]
    for position, word in zip(positions, bits):
        check(position < n, "an exception outside its column")
        words[position] = word
    return words


def values(kind, codec, n, source, container, starts):
    refuse_if(codec not in TYPES_OF_CODEC, "codec")
    check(kind in TYPES_OF_CODEC[codec], "a codec that is not for its type")
    if codec == 0:
        return [None] * n
    if codec == 1:
        words = integers(n, source, container, starts)
        check(kind != BOOL or all(w < 2 for w in words), "a truth value")
        return words
    if codec == 2:
        return floats_from_decimals(n, source, container, starts)
    return strings_by_codec(codec, n, source, container)


def presence(rows, source, container):
    """For each row whether it is present."""
    flags = source.u8()
    refuse_if(flags > 1, "presence")
    if flags == 0:
        return [True] * rows
    present = source.count(rows, "present rows")
    bits = container.stream(source, (rows + 7) // 8)
    has = [bool(bits[i // 8] >> (i % 8) & 1) for i in range(rows)]
    spare = rows % 8 and bits[rows // 8] >> (rows % 8)
    check(present > 0 and sum(has) == present and not spare, "a bit map")
    return has


def spread(has, column):
    """A column without gaps as one with `None` in them; values are wrapped, so that a null is not a gap."""
    column = iter(column)
    return [(next(column),) if h else None for h in has]


# Dictionaries --------------------------------------------------------------------------------------------------

class Dictionary:
    """What a segment has defined so far."""

    def __init__(self):
        self.symbols, self.series, self.zstd = {}, {}, {}

    def read(self, container):
        for kind, body in known_entries(container, {16, 17, 32, 0x92}):
            source = Input(body)
            if kind == 16:
                self.read_symbols(source, container)
            elif kind == 17:
                self.read_series(source, container)
            elif kind == 0x92:
                number, length = source.varint(), source.varint()
                check(number > 0, "zstd dictionary 0")
                self.zstd[number] = zstandard.ZstdCompressionDict(container.stream(source, length))
                source.end()

    @staticmethod
    def head(source):
        flags, first, count = source.u8(), source.varint(), source.count(65536, "definitions")
        refuse_if(flags & ~1, "flags of definitions")
        check(count > 0 and first + count < 1 << 32, "numbers of definitions")
        return first, count

    @staticmethod
    def define(table, number, value):
        check(table.setdefault(number, value) == value, "two definitions of one number")

    def read_symbols(self, source, container):
        first, count = self.head(source)
        for i, symbol in enumerate(strings(count, source, container)):
            self.define(self.symbols, first + i, symbol)
        source.end()

    def read_series(self, source, container):
        first, count = self.head(source)
        lists = source.count(count, "lists")
        check(lists > 0, "no lists")
        lengths = integers(lists, source, container)
        check(sum(lengths) <= 1 << 20, "too many names")
        names = integers(sum(lengths), source, container) if sum(lengths) else []
        list_of = integers(count, source, container)
        check(all(number < lists for number in list_of), "an unknown list")
        check(sum(lengths[number] for number in list_of) <= 1 << 20, "too many labels")
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        labels = [[] for _ in range(count)]
        by_list = sorted(range(count), key=lambda s: (list_of[s], s))
        for j in range(max(lengths[number] for number in list_of)):
            by_list = [s for s in by_list if lengths[list_of[s]] > j]
            for s, value in zip(by_list, integers(len(by_list), source, container)):
                labels[s].append((names[starts[list_of[s]] + j], value))
        source.end()
        for s, pairs in enumerate(labels):
            self.define(self.series, first + s, pairs)

    def symbol(self, number):
        check(number in self.symbols, f"symbol {number} is not defined")
        return text(self.symbols[number])

    def labels(self, number):
        check(number in self.series, f"series {number} is not defined")
        return {self.symbol(n): self.symbol(v) for n, v in self.series[number]}


# Rows ----------------------------------------------------------------------------------------------------------

class Table:
    """A table of any kind: its columns spread over its rows."""

    def __init__(self, body, container, kinds):
        source = Input(body)
        self.order = source.u8()
        refuse_if(self.order > 2, "order of rows")
        self.rows = source.count(1 << 20, "rows")
        check(self.rows > 0, "a table without rows")
        self.metric = source.varint()
        self.sections, self.fields, self.samples = {}, [], 0
        sections = []
        for _ in range(source.count(262144 + 64, "sections")):
            kind = source.u8()
            section = Input(source.bytes(source.varint()))
            if kind in kinds:
                sections.append((kind, section))
            else:
                refuse_if(kind < 0x80, f"section kind {kind}")
        source.end()
        # Series numbers first, since other columns may be by series.
        for kind, section in sorted(sections, key=lambda s: s[0] != 1):
            if kind == 3:
                self.fields.append(self.field(section, container))
            else:
                check(kind not in self.sections, "a section twice")
                self.sections[kind] = self.column(kind, section, container)
            section.end()

    def column(self, kind, section, container):
        if kind in (1, 6, 7):
            return integers(self.rows, section, container)
        if kind == 2:
            return integers(self.rows, section, container, self.starts([True] * self.rows))
        if kind in (5, 8, 9):
            return strings_by_codec(section.u8(), self.rows, section, container)
        has = presence(self.rows, section, container)
        return spread(has, integers(sum(has), section, container, self.starts(has)))

    def starts(self, has):
        """Of a column that these rows have, which values start a run of one series."""
        series = [number for number, h in zip(self.section(1), has) if h]
        return [i == 0 or series[i] != series[i - 1] for i in range(len(series))]

    def field(self, section, container):
        name, kind = section.varint(), section.u8()
        refuse_if(kind not in TYPE_NAMES, "type")
        has = presence(self.rows, section, container)
        self.samples += sum(has)
        codec = section.u8()
        return name, kind, spread(has, values(kind, codec, sum(has), section, container, self.starts(has)))

    def section(self, kind):
        check(kind in self.sections, f"a table without section {kind}")
        return self.sections[kind]


def rows_of(table, dictionary, tenant):
    series, times = table.section(1), table.section(2)
    starts = table.sections.get(0x84, [None] * table.rows)
    exemplars = table.sections.get(5, [None] * table.rows)
    for row in range(table.rows):
        fields = {}
        for name, kind, column in sorted(table.fields, key=lambda f: f[1]):
            if column[row] is not None:
                fields.setdefault(dictionary.symbol(name), {})[TYPE_NAMES[kind]] = value(kind, column[row][0])
        line = {"tenant": tenant} if tenant else {}
        line["time"] = to_signed(times[row])
        if starts[row] is not None:
            line["start"] = to_signed(starts[row][0])
        line["labels"] = dictionary.labels(series[row])
        line["fields"] = dict(sorted(fields.items(), key=lambda f: utf8(f[0])))
        if exemplars[row] is not None:
            line["exemplar"] = exemplar_labels(exemplars[row])
        yield line


def metadata_of(table, dictionary):
    for name, kind, unit, help_text in zip(*(table.section(k) for k in (6, 7, 8, 9))):
        check(kind < len(METRIC_TYPES), "type of a metric")
        yield {"metadata": {"name": dictionary.symbol(name), "type": METRIC_TYPES[kind], "unit": text(unit),
                            "help": text(help_text)}}


# Values --------------------------------------------------------------------------------------------------------

def text(data):
    return data.decode("utf-8", "surrogateescape")


def utf8(string):
    return string.encode("utf-8", "surrogateescape")


def float_value(word):
    number = to_float(word)
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if math.isnan(number):
        return {0x7FF8000000000001: "NaN", 0x7FF0000000000002: "stale"}.get(word, f"NaN:{word:016x}")
    return number


def value(kind, raw):
    if kind == F64:
        return float_value(raw)
    if kind == I64:
        return to_signed(raw)
    if kind == BOOL:
        return raw == 1
    if kind == STRING:
        return text(raw)
    if kind == BYTES:
        return base64.b64encode(raw).decode()
    if kind in (NESTED, HISTOGRAM):
        source = Input(raw)
        parsed = nested(source, 0) if kind == NESTED else histogram(source)
        source.end()
        return parsed
    return raw


def nested(source, depth):
    tag = source.u8()
    if tag == F64:
        return {"f64": float_value(source.f64_bits())}
    if tag == I64:
        return {"i64": source.zigzag()}
    if tag == U64:
        return {"u64": source.varint()}
    if tag == BOOL:
        byte = source.u8()
        check(byte < 2, "a truth value")
        return {"bool": byte == 1}
    if tag == STRING:
        return {"string": text(source.bytes(source.varint()))}
    if tag == BYTES:
        return {"bytes": base64.b64encode(source.bytes(source.varint())).decode()}
    if tag == NULL:
        return {"null": None}
    check(depth < 32 or tag not in (16, 17), "nested too deep")
    if tag == 16:
        return {"list": [nested(source, depth + 1) for _ in range(source.count(source.left(), "items"))]}
    refuse_if(tag != 17, "a nested value's tag")
    count = source.count(source.left(), "keys")
    return {"map": [[text(source.bytes(source.varint())), nested(source, depth + 1)] for _ in range(count)]}


def histogram(source):
    form = source.u8()
    refuse_if(form >> 5, "form of a histogram")
    number = (lambda: float_value(source.f64_bits())) if form & 1 else source.varint
    out = {"counts": "f64" if form & 1 else "u64", "reset": ["unknown", "yes", "no", "gauge"][form >> 1 & 3]}
    out["schema"] = source.zigzag()
    out["zero_threshold"] = float_value(source.f64_bits())
    out["sum"] = float_value(source.f64_bits())
    out["count"], out["zero_count"] = number(), number()
    for side in ("positive", "negative"):
        count = source.count(source.left(), "spans")
        spans = [[source.zigzag(), source.count(source.left(), "buckets")] for _ in range(count)]
        buckets = sum(length for _, length in spans)
        check(buckets <= source.left(), "buckets")
        out[side + "_spans"] = spans
        out[side] = [number() for _ in range(buckets)]
    out["bounds"] = [float_value(source.f64_bits()) for _ in range(source.count(source.left(), "bounds"))]
    for bit, name in ((8, "min"), (16, "max")):
        if form & bit:
            out[name] = float_value(source.f64_bits())
    return out


def exemplar_labels(data):
    source = Input(data)
    labels = {}
    for _ in range(source.count(source.left(), "labels")):
        name = text(source.bytes(source.varint()))
        labels[name] = text(source.bytes(source.varint()))
    source.end()
    return labels


# Blocks and segments -------------------------------------------------------------------------------------------

class Header:
    """A block's header, or an exception."""

    def __init__(self, data):
        check(len(data) >= HEADER_LEN and data[:8] == BLOCK_MAGIC, "no block")
        check(crc32c(data[:156]) == struct.unpack_from("<I", data, 156)[0], "a block header's checksum")
        (version, self.kind, flags, header_len, self.log, self.worker, self.tenant, self.epoch, self.sequence,
         self.durable, self.stamp, self.time_min, self.time_max, self.samples, self.rows, self.dictionary_len,
         self.payload_len, self.dictionary_crc, self.payload_crc) = struct.unpack_from(
             "<HBBI16sIIQQQQqqQIIIII", data, 8)
        refuse_if(version != 1 or self.kind not in (1, 2, 3) or flags >> 4 or header_len != HEADER_LEN,
                  f"block of version {version}, kind {self.kind}, flags {flags}")
        content = HEADER_LEN + self.dictionary_len + self.payload_len
        self.len = -(-content // PAGE) * PAGE
        check(self.len <= 64 << 20, "a block's length")


def read_block(header, data, dictionary):
    """The lines of a block, whose header is sound; definitions go to the dictionary."""
    at = HEADER_LEN + header.dictionary_len
    section, payload = data[HEADER_LEN:at], data[at:at + header.payload_len]
    section_is_sound = len(section) == header.dictionary_len and crc32c(section) == header.dictionary_crc
    if section_is_sound and section:
        dictionary.read(Container(section, dictionary.zstd))
    check(len(payload) == header.payload_len and crc32c(payload) == header.payload_crc, "a payload's checksum")
    container = Container(payload, dictionary.zstd)
    lines, rows, samples = [], 0, 0
    if header.kind == 3:
        dictionary.read(container)
        return lines
    for kind, body in known_entries(container, {1, 4, 0x82, 0x83}):
        if kind == 1:
            table = Table(body, container, {1, 2, 3, 0x84})
            rows += table.rows
            samples += table.samples
            lines.extend(rows_of(table, dictionary, header.tenant))
        elif kind == 0x82:
            table = Table(body, container, {1, 2, 3, 5})
            table.section(5)
            check(all(header.time_min <= to_signed(t) <= header.time_max for t in table.section(2)), "times")
            lines.extend(rows_of(table, dictionary, header.tenant))
        elif kind == 0x83:
            lines.extend(metadata_of(Table(body, container, {6, 7, 8, 9}), dictionary))
    check(rows == header.rows and samples == header.samples, "tables do not add up to the header")
    check(section_is_sound, "a dictionary section's checksum")
    return lines


class Report:
    """What was damaged."""

    def __init__(self):
        self.damage = 0

    def say(self, path, offset, what):
        self.damage += 1
        print(f"{path}: at {offset}: {what}", file=sys.stderr)


def page_is_sound(page, magic):
    return page[:8] == magic and len(page) == PAGE and crc32c(page[:4092]) == struct.unpack("<I", page[4092:])[0]


def read_segment(path, data, report):
    header = data[:PAGE]
    epoch = log = None
    if page_is_sound(header, SEGMENT_MAGIC):
        version, _, _, _, incompatible, log, epoch = struct.unpack_from("<HHIQQ16sQ", header, 8)
        refuse_if(version != 1 or incompatible, f"segment of version {version}, features {incompatible:#x}")
    else:
        report.say(path, 0, "segment header")
    end, closed = len(data), False
    trailer = data[-PAGE:]
    if len(data) >= 2 * PAGE and page_is_sound(trailer, TRAILER_MAGIC):
        offset, length, trailer_epoch = struct.unpack_from("<QQQ", trailer, 8)
        if offset + length == len(data) - PAGE and epoch in (None, trailer_epoch):
            end, closed, epoch = len(data) - PAGE, True, trailer_epoch

    # All sound headers first: what is durable decides between tear and damage.
    found, gaps, at = [], [], PAGE
    while at < end:
        try:
            block = Header(data[at:at + HEADER_LEN])
            check(epoch in (None, block.epoch) and log in (None, block.log), "another segment's block")
        except Damaged:
            gaps.append(at)
            at += PAGE
            continue
        epoch, log = block.epoch, block.log
        found.append((at, block))
        at += block.len
    durable = max((block.durable for _, block in found), default=0)
    last = max((at for at, block in found if block.sequence <= durable), default=0)
    for at in gaps:
        if closed or at < last:
            report.say(path, at, "no block")

    dictionary = Dictionary()
    for at, block in found:
        try:
            yield from read_block(block, data[at:at + block.len], dictionary)
        except Damaged as damaged:
            if not closed and block.sequence > durable:
                return
            report.say(path, at, f"block {block.sequence}: {damaged}")


def read_blocks(path, data, report):
    dictionary, at = Dictionary(), 0
    while at < len(data):
        try:
            header = Header(data[at:at + HEADER_LEN])
        except Damaged as damaged:
            report.say(path, at, str(damaged))
            return
        try:
            yield from read_block(header, data[at:at + header.len], dictionary)
        except Damaged as damaged:
            report.say(path, at, str(damaged))
        at += header.len


def read_hex(path):
    with open(path, encoding="ascii") as lines:
        return bytes.fromhex(" ".join(line.split("#")[0] for line in lines))


def segments(directory):
    """Segment files of a data directory, by worker and number."""
    log = os.path.join(directory, "log")
    return [os.path.join(log, name) for name in sorted(os.listdir(log)) if name.endswith(".seg")]


def read_path(path, report):
    if os.path.isdir(path):
        for segment in segments(path):
            yield from read_path(segment, report)
        return
    if path.endswith(".hex"):
        data = read_hex(path)
    else:
        with open(path, "rb") as file:
            data = file.read()
    if path.endswith(".seg") or data[:8] == SEGMENT_MAGIC:
        yield from read_segment(path, data, report)
    else:
        yield from read_blocks(path, data, report)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    report = Report()
    try:
        for line in read_path(sys.argv[1], report):
            sys.stdout.write(json.dumps(line, separators=(",", ":"), ensure_ascii=True) + "\n")
    except Newer as newer:
        print(f"{sys.argv[1]}: not of version 1: {newer}", file=sys.stderr)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if report.damage else 0


if __name__ == "__main__":
    sys.exit(main())
