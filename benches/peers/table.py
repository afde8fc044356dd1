"""Puts the rows that run.sh measured into one Markdown table.

    table.py DIR                      the table
    table.py --rate DIR ROW SERVER    the samples per second of a server in a row, as an integer
"""

import json
import pathlib
import sys

SERVERS = {"tidegate": "tidegate", "victoria": "VictoriaMetrics", "influxdb": "InfluxDB"}
COLUMNS = [
    "row", "server", "CPU s/M", "x ours", "x friendly", "thousand samples/s", "p50 ms", "p99 ms", "p99/sync",
    "peak MB", "B/sample allocated", "B/sample live", "rejected", "counted",
]


def read_rows(directory):
    """Yields the name and the result of each row, in the order measured."""
    for line in (directory / "order").read_text().splitlines():
        file, name = line.split("\t")
        text = (directory / f"{file}.json").read_text()
        if text.strip():
            yield name, json.loads(text)


def target_of(result, server):
    for target in result["targets"]:
        if target["server"] == server:
            return target
    return None


def figure(value, decimals, scale=1.0):
    return "-" if value is None else f"{value * scale:,.{decimals}f}"


def ratio(value, base):
    return "-" if value is None or not base else f"{value / base:.1f}"


def lines_of(name, result, friendly):
    """The lines of a row, one for each server. `friendly` has the CPU time of rows before it."""
    ours = target_of(result, "tidegate")
    for target in result["targets"]:
        cpu = target["cpu_seconds_per_million"]
        row, _, twin = name.partition(" / ")
        base = friendly.get((row, target["server"]))
        if not twin:
            friendly[row, target["server"]] = cpu
        yield [
            name,
            target["name"],
            figure(cpu, 3),
            ratio(cpu, ours and ours["cpu_seconds_per_million"]),
            ratio(cpu, base) if twin else "",
            figure(target["samples_per_second"], 0, 1e-3),
            figure(target["p50_ms"], 2),
            figure(target["p99_ms"], 2),
            figure(target["p99_disk_multiple"], 1),
            figure(target["memory_peak_bytes"], 0, 1e-6),
            figure(target["bytes_per_sample_allocated"], 2),
            figure(target["bytes_per_sample_live"], 2),
            figure(target["samples_rejected"], 0),
            {True: "all", False: "WRONG", None: "-"}[target["verified"]],
        ]


def print_table(directory):
    rows = list(read_rows(directory))
    if not rows:
        sys.exit("peers: nothing was measured")
    result = rows[0][1]
    machine, workload = result["machine"], result["workload"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['file_system']}, "
          f"64 KiB write + fdatasync {machine['disk_probe_ms']:.3f} ms; "
          f"medians of {workload['runs']} interleaved runs, {workload['connections']} connections, "
          f"{workload['batch']} lines a request where the row says nothing else.\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    friendly = {}
    for name, result in rows:
        for line in lines_of(name, result, friendly):
            print("| " + " | ".join(line) + " |")


def print_rate(directory, row, server):
    for name, result in read_rows(directory):
        target = target_of(result, SERVERS[server])
        if name == row and target:
            print(int(target["samples_per_second"]))
            return
    sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1] == "--rate":
        print_rate(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        print_table(pathlib.Path(sys.argv[1]))
