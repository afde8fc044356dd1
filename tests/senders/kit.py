"""What the senders' scripts share: a server of its own, and the comparison of what was sent with what `log cat` prints.

A script names the rows that it expects, as `row` makes them. Times are compared only where the script says one, since
many clients leave them to the server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILT = os.path.join(os.path.dirname(__file__), "../../target/debug/tidegate")
TIDEGATE = os.environ.get("TIDEGATE", BUILT)


class Server:
    """A server on free ports, with a listener for lines for each element of `lines` (YAML in braces)."""

    def __init__(self, lines=()):
        self.directory = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.directory.name, "tidegate.yml")
        with open(self.config, "w") as file:
            file.write("listen:\n  - address: 127.0.0.1:0\n")
            file.writelines(f"  - {{{line}}}\n" for line in lines)
        self.data = os.path.join(self.directory.name, "data")
        self.start()
        self.url = "http://" + self.address
        self.port = int(self.address.rsplit(":", 1)[1])

    def start(self, *arguments):
        self.child = subprocess.Popen(
            [TIDEGATE, "serve", "--config", self.config, "--data", self.data, "--log-format", "json", *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        for line in self.child.stderr:
            address = re.search(r'"address":"(?:\w+://)?([^"]*)"', line)
            if "listening for lines" in line and address:
                self.lines.append(address[1])
            if '"started"' in line:
                self.address = re.search(r'"listen":"([^"]*)"', line)[1]
                break
        else:
            sys.exit("the server did not start")

    def die(self):
        """Kills the server."""
        self.child.kill()
        self.child.wait()
        self.child.stderr.close()

    def revive(self):
        """Starts it again where it was."""
        self.start("--listen", self.address)

    def line_port(self, index):
        return int(self.lines[index].rsplit(":", 1)[1])

    def cat(self):
        """What is durable now."""
        out = subprocess.run([TIDEGATE, "log", "cat", "--data", self.data], check=True, stdout=subprocess.PIPE)
        return [json.loads(line) for line in out.stdout.splitlines()]

    def until(self, enough):
        """Asks for the rows until `enough` of them says so."""
        deadline = time.monotonic() + 30
        while not enough(rows := self.cat()):
            if time.monotonic() > deadline:
                sys.exit(f"what was waited for never came; there is {json.dumps(rows, indent=1)}")
            time.sleep(0.02)
        return rows

    def stop(self):
        """Ends the server, which reads what its sockets still hold and writes its sums; gives all rows."""
        self.child.send_signal(signal.SIGTERM)
        self.log = self.child.stderr.read()
        code = self.child.wait()
        if code != 0:
            sys.exit(f"the server ended with {code}: {self.log}")
        return self.cat()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.die()
        self.directory.cleanup()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(true):
    """Asks until it is so."""
    deadline = time.monotonic() + 30
    while not true():
        if time.monotonic() > deadline:
            sys.exit("what was waited for never came")
        time.sleep(0.02)


def row(name, fields, time=None, start=None, **labels):
    """A row; `fields` is one f64 called `value`, or a map of names to values as `log cat` has them."""
    if not isinstance(fields, dict):
        fields = {"value": {"f64": fields}}
    made = {"labels": {"__name__": name, **labels}, "fields": fields}
    if time is not None:
        made["time"] = time
    if start is not None:
        made["start"] = start
    return made


def same(rows, expected, ignore=()):
    """Fails unless the rows are the expected ones, in whatever order. Metadata are left out, and so are the times,
    starts and labels of `ignore`, and the times of all where none of the expected has one."""
    keys = {key for wanted in expected for key in wanted}

    def line(row):
        kept = {key: value for key, value in row.items() if key in keys and key not in ignore}
        if "labels" in kept:
            kept["labels"] = {name: value for name, value in kept["labels"].items() if name not in ignore}
        return json.dumps(kept, sort_keys=True)

    there = sorted(line(row) for row in rows if "metadata" not in row)
    wanted = sorted(line(row) for row in expected)
    missing = list(wanted)
    surplus = []
    for text in there:
        if text in missing:
            missing.remove(text)
        else:
            surplus.append(text)
    if missing or surplus:
        sys.exit("\n".join([*(f"missing: {text}" for text in missing), *(f"surplus: {text}" for text in surplus)]))
    print(f"{os.path.basename(sys.argv[0])}: {len(wanted)} rows as sent")
