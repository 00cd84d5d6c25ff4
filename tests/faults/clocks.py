"""The clock jumps: a machine wakes up, or its time is set right."""

import glob
import time

from ledger import Ledger, Refused
from machine import Machine, running, scratch
from table import Row

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
JUMPS = {"a day ahead": 86_400, "forty days ahead": 40 * 86_400, "5 s back": -5, "an hour back": -3600}
WATCHED_FOR = {True: 3.0, False: 10.0}
"""Seconds (in the short round and in the long one) after a jump in which every login must work, or /readyz say that none does."""
GRACE = 1.5
"""Seconds for which an earlier good answer of /readyz holds, and a little more."""


def rounds(how_many, seed):
    if not glob.glob(LIBRARY):
        yield Row("clock jumps", note="SKIPPED: libfaketime is not installed")
        return
    for name, seconds in JUMPS.items():
        row = Row(f"clock jumps {name}")
        for _ in range(how_many):
            with scratch() as path:
                _round(row, path, seconds, WATCHED_FOR[how_many == 1])
        yield row


def _round(row, path, seconds, watched_for):
    shift = path / "shift"
    shift.write_text("+0")
    faked = {"LD_PRELOAD": glob.glob(LIBRARY)[0], "FAKETIME_TIMESTAMP_FILE": str(shift)}
    faked |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    machine = Machine(path / "data", **faked)
    ledger = Ledger(machine)
    with running(machine), _ClientsClock() as clock:
        ledger.log_in(ledger.register())
        new = path / "new-shift"
        new.write_text(f"{seconds:+d}")
        new.rename(shift)
        clock.shift = seconds
        problems, healed = _watch(machine, ledger, watched_for)
        row.note = "no login within the time, and /readyz says so" if healed is None else f"logins after {healed:.1f} s"
        # Another start, by the new clock: whoever had an account has one.
        machine.kill()
        for account in ledger.accounts:
            account.token = None
        with running(machine):
            machine.becomes_ready(200, 10)
            row.add(ledger.verdict() if machine.ready() == 200 else None, problems)


def _watch(machine, ledger, watched_for):
    """What was wrong after the jump, and after how many seconds logins worked again."""
    problems, healed, dishonest_since, began = [], None, None, time.monotonic()
    while (now := time.monotonic()) - began < watched_for:
        refused = _refused_login(ledger)
        if refused is None:
            healed, dishonest_since = (now - began if healed is None else healed), None
        elif machine.ready() == 200:
            dishonest_since = dishonest_since or now
            if now - dishonest_since > GRACE:
                problems.append(f"/readyz is 200, and a login is refused: {refused}")
                break
        else:
            dishonest_since = None
        time.sleep(0.1)
    return problems, healed


def _refused_login(ledger):
    try:
        ledger.log_in(ledger.accounts[0])
    except (Refused, AssertionError) as error:
        return str(error)[:200]
    return None


class _ClientsClock:
    """The clients' clock is right, by the new time: proofs and assertions say when they were made."""

    def __init__(self):
        self.shift = 0
        self._true = time.time

    def __enter__(self):
        time.time = lambda: self._true() + self.shift
        return self

    def __exit__(self, *_):
        time.time = self._true
