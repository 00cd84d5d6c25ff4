"""A busy server is killed, or the system calls that make things durable fail."""

import random
import time

from ledger import Ledger
from machine import DURABLE, Machine, running, scratch, strace
from table import Row

ERRORS = ("EIO", "ENOSPC")
CROWD = 3


def rounds(how_many, seed):
    yield _kills_at_random(how_many, seed)
    yield _kills_at_calls(how_many, seed)
    for error in ERRORS:
        yield _errors(error, how_many, seed)


def _kills_at_random(how_many, seed):
    row = Row("busy server: kill -9 at a random moment")
    for number in range(how_many):
        rng = random.Random(f"{seed} kill {number}")
        with scratch() as path:
            machine = Machine(path / "data")
            ledger = Ledger(machine)
            with running(machine), ledger.crowd(CROWD, number):
                time.sleep(rng.uniform(0.2, 1.2))
                machine.kill()
            _judge_after(row, machine, ledger, rng)
    return row


def _kills_at_calls(how_many, seed):
    row = Row("busy server: kill -9 at a durable call")
    for number in range(how_many):
        rng = random.Random(f"{seed} call {number}")
        # Threads are counted apart; the one that writes syncs some ten times a second under strace.
        call, most = rng.choice((("pwrite64", 40), ("fdatasync", 8), (DURABLE, 40)))
        _under_load(row, strace(call, f"signal=KILL:when={rng.randrange(3, most)}"), number, rng)
    row.note = f"{row.stopped} of them came to that call"
    return row


def _errors(error, how_many, seed):
    row = Row(f"busy server: {error} from a durable call")
    for number in range(how_many):
        rng = random.Random(f"{seed} {error} {number}")
        call, first = rng.choice(("pwrite64", "fdatasync,fsync", DURABLE)), rng.randrange(1, 80)
        when = rng.choice((f"{first}", f"{first}..{first + 20}", f"{first}+7"))
        _under_load(row, strace(call, f"error={error}:when={when}"), number, rng)
    return row


def _under_load(row, launcher, number, rng):
    """The fault is done to a server that has started well, for starts are a fault of their own."""
    with scratch() as path:
        machine = Machine(path / "data")
        with running(machine):
            machine.stop()
        machine.launcher = launcher
        ledger = Ledger(machine)
        try:
            machine.start()
        except AssertionError:
            row.stopped += 1
        else:
            with ledger.crowd(CROWD, number):
                _until(machine.is_gone, 1.5)
                row.stopped += machine.is_gone()
                if not machine.is_gone():
                    machine.kill()
        machine.launcher = ()
        _judge_after(row, machine, ledger, rng)


def _judge_after(row, machine, ledger, rng):
    problems = list(ledger.surprises)
    try:
        with running(machine):
            row.add(ledger.verdict(rng=rng), problems)
    except AssertionError as error:
        row.add(problems=[*problems, f"no start after it: {error}"])


def _until(is_so, seconds):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
