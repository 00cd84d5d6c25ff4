"""The database is moved, emptied or replaced, at the start and while the server runs."""

import os
import random
import shutil

from ledger import Ledger, Refused
from machine import Machine, reasons, running, scratch
from table import Row

DATABASE = "countersign.db"


def _moved(directory, _other):
    os.rename(directory / DATABASE, directory / "away")


def _emptied(directory, _other):
    os.rename(directory / DATABASE, directory / "away")
    (directory / DATABASE).touch(mode=0o600)


def _swapped(directory, other):
    os.rename(directory / DATABASE, directory / "away")
    shutil.copy(other / DATABASE, directory / DATABASE)


def _log_moved(directory, _other):
    os.rename(directory / f"{DATABASE}-wal", directory / "away-wal")


def _directory_moved(directory, _other):
    os.rename(directory, directory.with_name("moved"))


def _put_back(directory):
    if directory.with_name("moved").exists():
        os.rename(directory.with_name("moved"), directory)
    for away, name in (("away", DATABASE), ("away-wal", f"{DATABASE}-wal")):
        if (directory / away).exists():
            os.rename(directory / away, directory / name)


AT_THE_START = {
    "moved": (_moved, "the database is gone"),
    "emptied": (_emptied, "the database is gone"),
    "swapped": (_swapped, "another installation"),
    "log moved": (_log_moved, "countersign.db-wal is missing"),
}
"""What is done between two starts, and what the second one must say."""

WHILE_IT_RUNS = {
    "moved": _moved,
    "emptied": _emptied,
    "swapped": _swapped,
    "log moved": _log_moved,
    "directory moved": _directory_moved,
}


def rounds(how_many, seed):
    with scratch() as path:
        other = Machine(path / "other")
        with running(other):
            other.stop()
        yield _at_the_start(path, how_many, seed)
        yield _while_it_runs(path, how_many, seed)


def _at_the_start(path, how_many, seed):
    row = Row("database moved, emptied or swapped: start", note="each start must be refused, and destroy nothing")
    for number in range(how_many):
        rng = random.Random(f"{seed} start {number}")
        name, (deed, reason) = list(AT_THE_START.items())[number % len(AT_THE_START)]
        with scratch() as own:
            row.add(*_start_after(name, deed, reason, own, path / "other", rng))
    return row


def _start_after(name, deed, reason, own, other, rng):
    problems = []
    machine = Machine(own / "data")
    ledger = Ledger(machine)
    with running(machine):
        for _ in range(3):
            ledger.live_a_little(rng)
        # A stop leaves no log that could be moved.
        machine.stop() if name != "log moved" and rng.random() < 0.3 else machine.kill()
    deed(own / "data", other)
    refusal = machine.refusal_to_start()
    if refusal is None:
        problems.append(f"{name}: it starts")
        machine.kill()
    elif reason not in refusal:
        problems.append(f"{name}: {reasons(refusal)}")
    _put_back(own / "data")
    with running(machine):
        return ledger.verdict(), problems


def _while_it_runs(path, how_many, seed):
    row = Row("database moved, emptied or swapped: running", note="/readyz must be 503, nothing acknowledged; put back, it goes on")
    for number in range(how_many):
        rng = random.Random(f"{seed} running {number}")
        name, deed = list(WHILE_IT_RUNS.items())[number % len(WHILE_IT_RUNS)]
        with scratch() as own:
            row.add(*_under_a_running_server(name, deed, own, path / "other", rng))
    return row


def _under_a_running_server(name, deed, own, other, rng):
    problems = []
    machine = Machine(own / "data")
    ledger = Ledger(machine)
    with running(machine):
        for _ in range(3):
            ledger.live_a_little(rng)
        deed(own / "data", other)
        try:
            ledger.register()
            problems.append(f"{name}: an account was acknowledged")
        except Refused:
            pass
        if machine.becomes_ready(503, 5) is None:
            problems.append(f"{name}: /readyz stays 200")
        _put_back(own / "data")
        if machine.becomes_ready(200, 20) is None:
            problems.append(f"{name}: put back, and /readyz stays 503")
        else:
            ledger.register()
        machine.kill()
    with running(machine):
        return ledger.verdict(), problems
