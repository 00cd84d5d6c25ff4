"""Processes of these tests, the ports that they listen on, and what happens at one moment."""

import concurrent.futures
import contextlib
import os
import pwd
import random
import socket
import threading
import time

PATIENCE = 60
"""Seconds until something has failed; a debug build on a busy machine is slow."""


def free_port():
    """A port where nobody listens now, and that no outgoing connection gets: it lies below their range."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def until(what, condition, seconds=PATIENCE):
    """Waits until `condition` holds, and returns what it gave and how many seconds that took."""
    begun = time.monotonic()
    while True:
        result = condition()
        took = time.monotonic() - begun
        if result:
            return result, took
        assert took < seconds, f"{what} did not come within {seconds} s"
        # As often as a client would ask, at most.
        time.sleep(0.01)


def at_once(calls):
    """Makes all calls at one moment, and gives back what each returned."""
    barrier = threading.Barrier(len(calls))

    def make(call):
        barrier.wait()
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def as_owner():
    """How to run programs of PostgreSQL, which refuse to run as root."""
    if os.geteuid() != 0:
        return {"cwd": "/"}
    owner = pwd.getpwnam("postgres")
    return {"cwd": "/", "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
