"""What the servers of the tests work on.

Usually that is a file in the data directory. With COUNTERSIGN_TEST_DATABASE=postgres each data directory has a database of its own,
at the PostgreSQL server in COUNTERSIGN_TEST_POSTGRES, which scripts/with-postgres starts. With COUNTERSIGN_TEST_DATABASE=round-robin
or affinity three servers share it behind a balancer.
"""

import contextlib
import itertools
import json
import os
import re
import sqlite3
import subprocess

_asked = os.environ.get("COUNTERSIGN_TEST_DATABASE", "sqlite")
KIND = "sqlite" if _asked == "sqlite" else "postgres"
"""`sqlite` or `postgres`."""

WAY = None if _asked in ("sqlite", "postgres") else _asked
"""How a balancer puts requests to several servers, if there are several: `round-robin` or `affinity`."""

_numbers = itertools.count()
_known = {}


class File:
    """A file, which the server makes at its first start."""

    environment = {}
    needs_init = False

    def __init__(self, path):
        self.path = path

    def rows(self, select, *values):
        """What another process reads while the server runs."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(select, values).fetchall()

    def change(self, statement, *values):
        """What another process changes while no server runs."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)


class Postgres:
    """A new database of PostgreSQL, which `countersign admin init` makes ready."""

    needs_init = True

    def __init__(self):
        server = os.environ["COUNTERSIGN_TEST_POSTGRES"]
        name = f"python_{os.getpid()}_{next(_numbers)}"
        self.url = server
        self._run(f"CREATE DATABASE {name}")
        self.url = f"{server.rpartition('/')[0]}/{name}"

    @property
    def environment(self):
        """The settings that name it."""
        return {"COUNTERSIGN_DATABASE_URL": self.url}

    def rows(self, select, *values):
        """As that of a file, and with the same values."""
        said = self._run(f"SELECT coalesce(json_agg(t), '[]') FROM ({with_values(select, values)}) AS t")
        return [tuple(as_sqlite(value) for value in row.values()) for row in json.loads(said)]

    def change(self, statement, *values):
        """As that of a file."""
        self._run(with_values(statement, values))

    def _run(self, statement):
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", self.url]
        ran = subprocess.run([*command, "--command", statement], check=True, capture_output=True, text=True, timeout=60)
        return ran.stdout


def of(data_directory):
    """The database of the servers in that directory, unless they name another file."""
    if KIND == "sqlite":
        return File(os.path.join(data_directory, "countersign.db"))
    if data_directory not in _known:
        _known[data_directory] = Postgres()
    return _known[data_directory]


def with_values(statement, values):
    """The statement with the values in the place of its question marks."""
    remaining = iter(values)

    def literal(_):
        value = next(remaining)
        return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

    return re.sub(r"\?", literal, statement)


def as_sqlite(value):
    """A value of JSON as SQLite has it."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\\x([0-9a-f]{2})*", value):
        return bytes.fromhex(value[2:])
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)$", r"\1 \2", value)
