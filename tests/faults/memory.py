"""Little memory, and strangers who ask for much of it at once."""

import concurrent.futures
import resource

import httpx
from ledger import Ledger
from machine import Machine, running, scratch
from table import Row

LEFT = 48 << 20
"""Bytes that the server may still take: less than one password's hash needs."""
AT_ONCE = 4


def rounds(how_many, seed):
    row = Row("little memory: passwords at once", note="refused with 503, and the server lives")
    for _ in range(how_many):
        with scratch() as path:
            row.add(*_round(path))
    yield row


def _round(path):
    problems = []
    machine = Machine(path / "data")
    ledger = Ledger(machine)
    with running(machine):
        account = ledger.register()
        ledger.log_in(account)
        _limit(machine, _size(machine) + LEFT)
        statuses = _strangers(machine)
        if machine.is_gone():
            return None, [f"{AT_ONCE} anonymous requests have ended the server: status {machine.process.returncode}"]
        if 503 not in statuses or not set(statuses) <= {401, 503}:
            problems.append(f"with too little memory: {statuses}")
        ledger.log_in(account)
        _limit(machine, resource.RLIM_INFINITY)
        # One at a time fits again, at once.
        if (status := _ask(machine)) != 401:
            problems.append(f"with enough memory again: {status}")
        machine.kill()
    with running(machine):
        return ledger.verdict(), problems


def _strangers(machine):
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: _ask(machine), range(AT_ONCE)))


def _ask(machine):
    try:
        with httpx.Client(base_url=machine.origin, trust_env=False, timeout=60) as http:
            return http.post("/auth", json={"username": "nobody", "password": "a guess"}).status_code
    except httpx.TransportError:
        return None


def _size(machine):
    with open(f"/proc/{machine.process.pid}/statm") as numbers:
        return int(numbers.read().split()[0]) * resource.getpagesize()


def _limit(machine, size):
    hard = resource.prlimit(machine.process.pid, resource.RLIMIT_AS)[1]
    resource.prlimit(machine.process.pid, resource.RLIMIT_AS, (size, hard))
