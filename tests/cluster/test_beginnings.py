"""What several nodes begin at one moment has one outcome: one master key, one successor of a signing key."""

import contextlib
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from conftest import ROUNDS, new_database
from house.nodes import House
from house.processes import at_once, free_port, until

WITHIN = 0.3
"""Seconds within which, 99 times of 100, all nodes publish the same keys."""

LONG_AGO = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
    "FAKETIME": f"-{29.5 * 86400:.0f}",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
"""The environment of a command that makes signing keys without successors, which are due by now (Debian's package `libfaketime`)."""


def test_beginnings_and_rotations_at_once_have_one_outcome(tmp_path, primary):
    lags = []
    for number in range(ROUNDS):
        directory = tmp_path / str(number)
        directory.mkdir()
        house = House(directory, new_database(primary), f"http://127.0.0.1:{free_port()}")
        make_ready_at_once(house)
        try:
            lags += begin_and_rotate(house, primary)
        finally:
            house.stop()
    lags.sort()
    late = lags[int(len(lags) * 0.99) - 1]
    assert late < WITHIN, f"99 of 100 within {late * 1000:.0f} ms, the last after {lags[-1] * 1000:.0f} ms"
    print(f"{len(lags)} changes: median {lags[len(lags) // 2] * 1000:.0f} ms, the last {lags[-1] * 1000:.0f} ms")


def begin_and_rotate(house, primary):
    """How many seconds all nodes took to publish the same keys, after their start and after a rotation."""
    house.start()
    doors = [node.door().http() for node in house.nodes]
    started = time.monotonic()
    first, seen = same_keys_everywhere(doors, set())
    lags = [seen - started]
    # The schedule demanded a successor of all three.
    assert states(house) == Counter(active=1, next=1)
    assert first == published_by_database(house)
    # The first rotation takes it, and the second has to make one.
    with rotations_at_once(house, primary):
        pass
    assert states(house) == Counter(active=1, retired=1)
    with rotations_at_once(house, primary) as acknowledged:
        second, seen = same_keys_everywhere(doors, first)
    lags.append(seen - min(acknowledged))
    assert states(house) == Counter(active=1, retired=2)
    assert first < second == published_by_database(house)
    return lags


def make_ready_at_once(house):
    """`admin init` on all machines, none of which has a master key. One makes it, and all get this one."""
    at_once([lambda node=node: node.admin_that_may_fail("init", **LONG_AGO) for node in house.nodes])
    owners = [node for node in house.nodes if os.path.exists(node.key_file)]
    assert len(owners) == 1
    house.share_key_of(owners[0])


@contextlib.contextmanager
def rotations_at_once(house, primary):
    """Rotates on all machines, none of which changes anything before all have decided. The list has at the end when each was
    told that it is done."""
    database = house.url.rpartition("/")[2]
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    acknowledged = []

    def rotate(node):
        node.admin("signing-keys", "rotate")
        acknowledged.append(time.monotonic())

    with ThreadPoolExecutor(len(house.nodes)) as pool:
        with primary.holding("LOCK TABLE signing_key_version IN EXCLUSIVE MODE", database):
            rotations = [pool.submit(rotate, node) for node in house.nodes]
            # One that has ended could not wait any longer.
            until("all have decided", lambda: primary.query(waiting) == "3" or any(one.done() for one in rotations))
        yield acknowledged
        for rotation in rotations:
            rotation.result()


def same_keys_everywhere(doors, before):
    """The keys that all nodes publish instead of those of before, and the moment at which they were seen to do so."""

    def same():
        seen = [published(door) for door in doors]
        return seen[0] if seen[0] != before and seen.count(seen[0]) == len(seen) else None

    found, _ = until("the same keys", same)
    return found, time.monotonic()


def published(door):
    """The identifiers of the keys that a node publishes."""
    return {key["kid"] for key in door.get("/.well-known/jwks.json").json()["keys"]}


def published_by_database(house):
    return {key["kid"] for key in keys(house) if key["state"] != "gone"}


def states(house):
    """How many keys for access tokens are in each state."""
    return Counter(key["state"] for key in keys(house) if key["algorithm"] == "ES256")


def keys(house):
    """All signing keys, as the database has them."""
    return [json.loads(line) for line in house.nodes[0].admin("signing-keys", "list", "--json").splitlines()]
