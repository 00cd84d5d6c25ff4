"""The real binary as a process."""

import math
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

import httpx

from support import databases

BUILT = pathlib.Path(__file__).resolve().parents[3] / "target/debug/countersign"
"""Where `cargo build --bin countersign` puts the binary."""

BEGINNING = 7
"""Seconds until short-lived state that servers share is old enough for JWTs of its age: as far as clocks may differ, and the second
in which it began."""

PATIENCE = 60
"""Seconds until a start or a stop has failed; a debug build on a busy machine is slow."""


def clean_environment(**settings):
    """The caller's environment without a setting of Countersign, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    kept.pop("NOT_MY_KEY", None)
    return kept | settings


class Server:
    """`countersign serve` on a port that the system chooses, over one data directory."""

    def __init__(self, data_directory, *options, **settings):
        self.binary = os.path.abspath(os.environ.get("COUNTERSIGN_BIN", BUILT))
        self.data_directory = str(data_directory)
        self.options = options
        defaults = {"COUNTERSIGN_RATE_LIMITS": "off", "COUNTERSIGN_CORS_ORIGINS": "https://app.example"}
        self.settings = defaults | settings
        self.database = databases.of(self.data_directory)
        self.listen = "127.0.0.1:0"
        self.launcher = ()
        self.working_directory = self.data_directory
        self.lines = []
        self.process = None
        self.began_at = None

    def start(self):
        self._make_ready()
        self.process = subprocess.Popen(
            [*self.launcher, self.binary, "serve", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.working_directory,
            env=clean_environment(**self.settings, **self.database.environment),
        )
        said = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout, said), daemon=True).start()
        self.origin = self._origin(said)
        # After a restart the same clients come back to the same place.
        self.listen = self.origin.removeprefix("http://")
        if self.began_at == math.inf:
            self.began_at = time.monotonic()
        return self

    def _make_ready(self):
        """Makes a database ready that servers do not make themselves."""
        if self.database.needs_init:
            made = [self.binary, "admin", "init", "--data-dir", self.data_directory]
            environment = clean_environment(**self.settings, **self.database.environment)
            ran = subprocess.run(made, capture_output=True, text=True, check=False, timeout=PATIENCE, env=environment)
            assert ran.returncode == 0, ran.stderr
            self.database.needs_init = False
            self.began_at = math.inf

    def outlive_the_beginning(self):
        """Waits until self-signed JWTs work: a server that did not make its database cannot know what was used before, so
        it refuses those of the beginning."""
        if self.began_at is not None:
            time.sleep(max(0, self.began_at + BEGINNING - time.monotonic()))

    @property
    def arguments(self):
        return ["--listen", self.listen, "--data-dir", self.data_directory, *self.options]

    def _read(self, output, said):
        with output:
            for line in output:
                self.lines.append(line)
                said.put(line)
        said.put(None)

    def _origin(self, said):
        deadline = time.monotonic() + PATIENCE
        try:
            while (line := said.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
                if found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", line):
                    return found.group()
        except queue.Empty:
            self.kill()
        self.process.wait(PATIENCE)
        raise AssertionError(f"the server did not say where it listens:\n{self.output}")

    @property
    def output(self):
        """Everything that the server has printed."""
        return "".join(self.lines)

    @property
    def origins(self):
        """Where each of the servers is that clients take for one."""
        return [self.origin]

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Asks the server to end, as an operator does, and gives back its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self):
        """Takes the server away without a chance to finish anything."""
        return self._end(signal.SIGKILL)

    def _end(self, with_signal):
        self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)

    def admin(self, *arguments):
        """Runs `countersign admin` beside the running server and gives back what it prints."""
        return subprocess.run(
            [self.binary, "admin", *arguments, "--data-dir", self.data_directory],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
            cwd=self.data_directory,
            env=clean_environment(**self.database.environment),
        ).stdout

    def http(self):
        """An HTTP client for this server."""
        return http_client(self.origin)


_open_clients = []


def http_client(origin):
    """An HTTP client that follows no redirect, trusts no proxy setting and ends with the test."""
    client = httpx.Client(base_url=origin, trust_env=False, timeout=PATIENCE)
    _open_clients.append(client)
    return client


def close_clients():
    """Closes the connections of every HTTP client that was handed out."""
    while _open_clients:
        _open_clients.pop().close()
