"""A server to which faults can be done, and the tools that do them."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import httpx
from support.server import PATIENCE, Server, clean_environment, http_client

DURABLE = "pwrite64,fdatasync,fsync,ftruncate,rename,renameat,renameat2,link,linkat,unlink,unlinkat"
"""The system calls by which something becomes durable, or is gone."""


def strace(calls, injection, *options):
    """A command that does `injection` to the system calls of what comes after it."""
    # Not with --seccomp-bpf: a signal that is injected there is lost.
    tracer = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", *options]
    return [*tracer, "-e", f"trace={calls}", "-e", f"inject={calls}:{injection}"]


class Machine(Server):
    """`countersign serve` behind a command that does something to it."""

    def __init__(self, data_directory, *options, **settings):
        pathlib.Path(data_directory).mkdir(exist_ok=True)
        super().__init__(data_directory, *options, **settings)
        self._http = None

    def start(self):
        self.lines = []
        self._http = None
        return super().start()

    def http(self):
        """One HTTP client for all accounts, and a new one for each start: making them costs more than using them."""
        if self._http is None:
            self._http = http_client(self.origin)
        return self._http

    def is_gone(self):
        """Whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def ready(self):
        """The status of /readyz; None when nobody answers."""
        try:
            with httpx.Client(base_url=self.origin, trust_env=False, timeout=10) as http:
                return http.get("/readyz").status_code
        except httpx.TransportError:
            return None

    def becomes_ready(self, status=200, within=30.0):
        """Waits until /readyz has this status; gives back how long it took, or None."""
        began = time.monotonic()
        while (took := time.monotonic() - began) < within:
            if self.ready() == status:
                return took
            time.sleep(0.05)
        return None

    def command(self, *arguments, launcher=(), data_directory=None, **settings):
        """Runs `countersign admin`, whatever comes of it."""
        directory = data_directory or self.data_directory
        return subprocess.run(
            [*launcher, self.binary, "admin", *arguments, "--data-dir", str(directory)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd="/",
            env=clean_environment(**settings),
        )

    def refusal_to_start(self):
        """Why it does not start; None if it does."""
        try:
            self.start()
        except AssertionError as error:
            return str(error)
        return None


@contextlib.contextmanager
def scratch():
    """A directory that is gone afterwards, with everything in it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="countersign-faults-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(machine):
    """The machine, started; killed afterwards."""
    machine.start()
    try:
        yield machine
    finally:
        if not machine.is_gone():
            machine.kill()


@contextlib.contextmanager
def small_disk(path, megabytes):
    """A file system of its own at `path`."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def may_mount():
    """Whether this process may make file systems: root, and not in a container that forbids it."""
    if os.geteuid() != 0:
        return False
    with scratch() as path:
        try:
            with small_disk(path / "disk", 1):
                return True
        except subprocess.CalledProcessError:
            return False


def reasons(text):
    """What a program has said, in one line."""
    return re.sub(r"\s+", " ", text).strip()[:200]
