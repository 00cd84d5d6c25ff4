"""Counts the instructions with which `countersign serve` answers one request of each kind (valgrind's callgrind).

    .venv/bin/python bench/instructions.py BINARY [--requests 300] [--only KIND …]

A count does not depend on what else the machine does, so it shows differences that are lost in the noise of any time: of
two builds, or of one build with a cache and without. Counted is what a connection's task executes, from reading a
request to writing its answer. The kernel, the database's threads and housekeeping are not in it; how many statements
SQLite was stepped through stands beside it. BINARY is an optimised build with its symbols; the clients are those of
tests/python.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/python"))

from support.client import Client  # noqa: E402
from support.server import Server  # noqa: E402
from support.signjwt import SignJwtClient  # noqa: E402

CONNECTION = "hyper_util::server::conn::auto::Connection"
IDLE_SECONDS = 3
WARM_UP = 10


class Counted:
    """A server under callgrind, and what it has executed."""

    def __init__(self, directory):
        settings = {
            "COUNTERSIGN_DIALECTS_AUTH_RATE_LIMIT": "off",
            "COUNTERSIGN_LIMITS_CLIENT_SHARE": "100",
            # They make RSA keys ahead of need, whenever the server has time.
            "COUNTERSIGN_DIALECTS_GRADECOIN": "false",
            "COUNTERSIGN_DIALECTS_PASSWORDLESS": "false",
        }
        self.counts = pathlib.Path(directory, "counts")
        self.server = Server(directory, **settings)
        self.server.launcher = (
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={self.counts}",
        )
        self.server.start()
        self.dumps = 0
        self.control("-i", "on")
        _, statements = self.count(lambda: time.sleep(IDLE_SECONDS))
        self.idle_statements = statements / IDLE_SECONDS

    def control(self, *options):
        command = ["callgrind_control", *options, str(self.server.process.pid)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def count(self, act):
        """How many instructions, and statements of SQLite, `act` takes."""
        self.control("-z")
        act()
        self.control("-d")
        self.dumps += 1
        return read_counts(pathlib.Path(f"{self.counts}.{self.dumps}"))

    def for_each(self, act, requests):
        """The same for one of so many requests, without what housekeeping asks the database."""
        for _ in range(WARM_UP):
            act()
        start = time.monotonic()
        instructions, statements = self.count(lambda: [act() for _ in range(requests)])
        statements -= self.idle_statements * (time.monotonic() - start)
        return instructions / requests, statements / requests


def read_counts(path):
    """The instructions of all connections and the calls of `sqlite3_step`, from a file in callgrind's format."""
    names, called, instructions, statements = {}, "", 0, 0
    lines = iter(path.read_text(errors="replace").splitlines())
    for line in lines:
        if function := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
            is_call, number, name = function.groups()
            name = names.setdefault(number, name)
            called = name if is_call else ""
        elif line.startswith("calls="):
            if called == "sqlite3_step":
                statements += int(line.removeprefix("calls=").split()[0])
            # The next line has what was executed in these calls.
            executed = int(next(lines).split()[1])
            if CONNECTION in called and called.endswith("::poll"):
                instructions += executed
    return instructions, statements


def succeeds(request):
    response = request()
    assert response.status_code == 200, response.text


def whoami(server):
    client = Client(server).register()
    client.log_in()
    return lambda: succeeds(client.call)


def token(server):
    return Client(server).register().log_in


def signjwt(server):
    signer = SignJwtClient(server)
    succeeds(signer.register)
    succeeds(signer.log_in)
    return lambda: succeeds(signer.protected)


def jwks(server):
    http = server.http()
    return lambda: succeeds(lambda: http.get("/.well-known/jwks.json"))


def feed(server):
    http = server.http()
    return lambda: succeeds(lambda: http.get("/v1/revocations"))


KINDS = [whoami, token, signjwt, jwks, feed]
"""Each makes a client that the server knows, and gives back what sends one request."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    os.environ["COUNTERSIGN_BIN"] = options.binary
    with tempfile.TemporaryDirectory() as directory:
        counted = Counted(directory)
        for kind in KINDS:
            if kind.__name__ in options.only or not options.only:
                instructions, statements = counted.for_each(kind(counted.server), options.requests)
                print(f"{kind.__name__:8} {instructions:10.0f} instructions {statements:6.2f} statements", flush=True)
        counted.server.stop()


if __name__ == "__main__":
    main()
