"""Has pyarrow take a data directory as a stream, and compares every value with what `tidegate log cat` prints.

    arrow_reader.py LIBRARY TIDEGATE DATA

LIBRARY is the shared library of tidegate.h. Needs pyarrow alone. Says how many values were compared.
"""

import base64
import ctypes
import json
import struct
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


class Text(ctypes.Structure):
    """tdg_str."""

    _fields_ = [("ptr", ctypes.c_char_p), ("len", ctypes.c_size_t)]


WORDS = {"f64": "<Q", "i64": "<q", "u64": "<Q"}


def stream(library, data):
    """The directory as a reader of record batches; what C has of it is pyarrow's from now on."""
    tidegate = ctypes.CDLL(library)
    raw = ctypes.create_string_buffer(5 * ctypes.sizeof(ctypes.c_void_p))
    status = tidegate.tdg_directory_read(Text(data.encode(), len(data)), raw, None)
    if status != 0:
        sys.exit(f"no stream: status {status}")
    return pa.RecordBatchReader._import_from_c(ctypes.addressof(raw))


def words(column, kind):
    """The words of a column of numbers, bit for bit: a float that went through Python might not be the same NaN."""
    memory = column.buffers()[1]
    width = struct.calcsize(WORDS[kind])
    words = struct.unpack_from(f"<{len(column)}{WORDS[kind][1]}", memory, column.offset * width) if memory else ()
    return [word if there else None for word, there in zip(words, column.is_valid().to_pylist())]


def bits(value):
    """A float as `log cat` prints it, as its bits."""
    named = {"NaN": 0x7FF8000000000001, "stale": 0x7FF0000000000002, "+Inf": 0x7FF << 52, "-Inf": 0xFFF << 52}
    if isinstance(value, str):
        return named[value] if value in named else int(value.removeprefix("NaN:"), 16)
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def of_arrow(batch):
    """Each value of a batch: (time, start, labels, field, type, value)."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    plain = {name: columns[name].to_pylist() for name in ("name", "labels", "field", "type", "bool", "string", "bytes", "json")}
    for name in ("time", "start"):
        plain[name] = columns[name].cast(pa.int64()).to_pylist()
    for name in WORDS:
        plain[name] = words(columns[name], name)
    for at in range(len(batch)):
        kind = plain["type"][at]
        column = {"nested": "json", "histogram": "json"}.get(kind, kind)
        filled = {name for name in (*WORDS, "bool", "string", "bytes", "json") if plain[name][at] is not None}
        if kind == "string" and plain["string"][at] is None:
            column = "bytes"
        assert filled == ({column} if kind != "null" else set()), (kind, filled)
        value = None if kind == "null" else plain[column][at]
        labels = dict(plain["labels"][at])
        if plain["name"][at] is not None:
            labels["__name__"] = plain["name"][at]
        if column == "bytes":
            value = value.hex()
        if column == "json":
            value = json.dumps(json.loads(value), sort_keys=True)
        yield (plain["time"][at], plain["start"][at], tuple(sorted(labels.items())), plain["field"][at], kind, value)


def of_cat(lines):
    """The same of the lines of `log cat`."""
    for line in lines:
        row = json.loads(line)
        if "metadata" in row or "exemplar" in row:
            continue
        for field, kinds in row["fields"].items():
            for kind, value in kinds.items():
                if kind == "f64":
                    value = bits(value)
                elif kind == "bytes":
                    value = base64.b64decode(value).hex()
                elif kind in ("nested", "histogram"):
                    value = json.dumps(value, sort_keys=True)
                elif kind == "string" and any("\udc80" <= c <= "\udcff" for c in value):
                    value = value.encode("utf-8", "surrogateescape").hex()
                yield (row["time"], row.get("start"), tuple(sorted(row["labels"].items())), field, kind, value)


def main():
    library, tidegate, data = sys.argv[1:]
    reader = stream(library, data)
    schema = reader.schema
    assert schema.metadata[b"tidegate.schema"] == b"1" and len(schema.metadata[b"tidegate.log"]) == 32
    batches = list(reader)
    del reader
    there, blocks = [], set()
    for batch in batches:
        batch.validate(full=True)
        assert batch.schema.equals(schema)
        block = {(worker, sequence) for worker, sequence in zip(batch["worker"].to_pylist(), batch["sequence"].to_pylist())}
        assert len(block) == 1 and not block & blocks, "a batch is a block, and comes once"
        blocks |= block
        there.extend(of_arrow(batch))
    out = subprocess.run([tidegate, "log", "cat", "--data", data], check=True, stdout=subprocess.PIPE)
    wanted = list(of_cat(out.stdout.decode().splitlines()))
    key = repr
    there.sort(key=key)
    wanted.sort(key=key)
    if there != wanted:
        different = [pair for pair in zip(there, wanted) if pair[0] != pair[1]]
        sys.exit(f"{len(there)} values in Arrow, {len(wanted)} of log cat; the first that differ: {different[:3]}")

    # As users would go on with it: through IPC, into Parquet (which takes no dictionary of maps), a look at a label.
    table = pa.Table.from_batches(batches, schema)
    with tempfile.TemporaryDirectory() as directory:
        with pa.OSFile(directory + "/rows.arrow", "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        with pa.OSFile(directory + "/rows.arrow") as source:
            assert pa.ipc.open_stream(source).read_all().num_rows == table.num_rows
        labels = pa.chunked_array([chunk.dictionary_decode() for chunk in table["labels"].chunks])
        flat = table.set_column(table.schema.get_field_index("labels"), "labels", labels)
        pq.write_table(flat, directory + "/rows.parquet")
        assert pq.read_table(directory + "/rows.parquet").num_rows == table.num_rows
    numbers = table.filter(pc.equal(pc.cast(table["type"], pa.string()), "i64"))
    assert numbers.num_rows == sum(1 for row in wanted if row[4] == "i64")
    print(f"{len(there)} values in {len(batches)} batches as log cat has them")


main()
