"""PostgreSQL servers: a primary, and a standby that it waits for before it acknowledges."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

from house.processes import PATIENCE, as_owner, free_port, until

USER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "wal_level": "replica",
    "hot_standby": "on",
    "log_min_messages": "warning",
    # What is acknowledged is on the disk: these tests take servers away in the middle of everything.
    "fsync": "on",
}


MAKE = ["-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]

SMALL = 160
"""Megabytes of a small disk: room for a new cluster, its log, and some thousand accounts."""
ON_A_SMALL_DISK = [
    *("unshare", "--user", "--map-current-user", "--keep-caps", "--mount"),
    *("sh", "-c", 'mount -t tmpfs -o "size=$0m" tmpfs "$1" && cp -a "$2" "$1" && shift 2 && exec "$@"', str(SMALL)),
]
"""Runs a program that alone sees a small disk in a directory, with a copy of another directory in it. It goes with the program."""


def binaries():
    """The programs of the newest PostgreSQL here."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parts[-2]))
    assert found, "there is no PostgreSQL here (Debian: apt-get install postgresql)"
    return found[-1]


class Postgres:
    """One database server."""

    def __init__(self, **settings):
        self.launcher = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="countersign-cluster-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.data = self.directory / "data"
        self.port = free_port()
        self.settings = SETTINGS | settings
        self.process = None

    @classmethod
    def primary(cls, **settings):
        """A server with an empty cluster."""
        server = cls(**settings)
        server.run("initdb", "-D", server.data, *MAKE)
        return server.start()

    @classmethod
    def on_a_small_disk(cls):
        """A server whose files, and its log with them, are on a disk of their own."""
        server = cls(max_wal_size="64MB")
        server.run("initdb", "-D", server.data, *MAKE)
        disk = server.directory / "disk"
        disk.mkdir()
        server.launcher = [*ON_A_SMALL_DISK, disk, server.data]
        server.data = disk / "data"
        return server.start()

    def fill_disk(self):
        """Takes all room on the disk."""
        with pytest.raises(AssertionError, match="No space left on device"):
            self.query(f"COPY (SELECT repeat('x', 100000) FROM generate_series(1, {SMALL * 10})) TO '{self.filling}'")

    def make_room(self):
        """Gives the room back."""
        self.query(f"COPY (SELECT WHERE false) TO '{self.filling}'")

    @property
    def filling(self):
        return self.data.with_name("filling")

    @classmethod
    def standby_of(cls, primary, name="standby"):
        """A server that follows `primary`, under a name by which that can wait for it."""
        server = cls(cluster_name=name)
        server.run("pg_basebackup", "-D", server.data, "-h", "127.0.0.1", "-p", str(primary.port), "-U", USER, "-R")
        return server.start()

    def run(self, program, *arguments):
        """Runs a program of PostgreSQL."""
        ran = subprocess.run(
            [binaries() / program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            **as_owner(),
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def start(self):
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*self.launcher, binaries() / "postgres", "-D", self.data, "-k", self.directory, "-p", str(self.port), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_owner(),
            )
        until("the database server", self.is_ready)
        return self

    def is_ready(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()
        asked = [binaries() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def query(self, statement, database="postgres"):
        """What psql prints for it."""
        to = ["-h", "127.0.0.1", "-p", self.port, "-U", USER, "-d", database]
        return self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *to, "-c", statement).strip()

    @contextlib.contextmanager
    def holding(self, lock, database):
        """Keeps a lock meanwhile."""
        to = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]
        with subprocess.Popen(
            [binaries() / "psql", "-XqAt", *to], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **as_owner()
        ) as session:
            session.stdin.write(f"BEGIN; {lock}; SELECT 'held';\n")
            session.stdin.flush()
            assert session.stdout.readline() == "held\n"
            yield

    def signal(self, number):
        """Sends a signal to every process of the server, each of which is a group of its own."""
        for process in [self.process.pid, *self.children()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def children(self):
        """The processes that serve connections, and the others that the first has started."""
        listing = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in listing.read_text().split()]

    def kill(self):
        """Takes it away without a chance to finish anything."""
        self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self):
        """Ends it as an operator does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)

    def promote(self):
        """Makes a standby the primary."""
        self.query("SELECT pg_promote(wait => true)")

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
