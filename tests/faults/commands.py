"""A command of the administrator is killed at a system call, or the call fails."""

import contextlib
import dataclasses
import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable

from ledger import Ledger
from machine import DURABLE, Machine, reasons, running, scratch, strace
from table import Row

CALLS = f"openat,write,{DURABLE}"
"""Where a command may be killed: also at what is not durable yet."""
ERRORS = ("EIO", "ENOSPC")
LEFT_BY_NOBODY = re.compile(r"partial|restoring|rehearsal|master\.key\.new|-journal$")
"""Names that must be gone after the next start and the next command of the same kind."""


class Place:
    """A data directory with accounts, and where backups go."""

    def __init__(self, template, path):
        self.backups = path / "backups"
        shutil.copytree(template.directory, path / "data")
        shutil.copytree(template.backups, self.backups)
        self.machine = Machine(path / "data")
        # An account's assertions name the place where it has registered.
        self.machine.listen = template.machine.listen
        self.ledger = Ledger(self.machine)
        self.ledger.accounts = [dataclasses.replace(account) for account in template.ledger.accounts]

    def leftovers(self):
        names = [path.name for directory in (self.backups, self.backups.parent / "data") for path in directory.rglob("*")]
        return [name for name in names if LEFT_BY_NOBODY.search(name)]


class Template:
    """What every round begins with."""

    def __init__(self, path):
        self.directory, self.backups = path / "template", path / "template-backups"
        self.backups.mkdir()
        self.machine = Machine(self.directory)
        self.ledger = Ledger(self.machine)
        with running(self.machine):
            rng = random.Random(1)
            for _ in range(8):
                self.ledger.live_a_little(rng)
            self.machine.command("backup", str(self.backups / "before.db"))
            self.machine.stop()


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, how to see that it is done, and what must be so in any case."""

    name: str
    arguments: Callable
    is_done: Callable
    again: Callable


def _victim(place):
    return place.ledger.accounts[0].client.username


def _backup_is_whole(place, name="new.db"):
    path = place.backups / name
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the backup is damaged"
        accounts = database.execute("SELECT count(*) FROM accounts").fetchone()[0]
    assert accounts == len(place.ledger.accounts), f"the backup has {accounts} accounts"
    return True


def _is_disabled(place):
    disabled = json.loads(place.machine.command("accounts", "show", _victim(place), "--json").stdout)["status"] == "disabled"
    place.ledger.accounts[0].disabled = disabled
    return disabled


def _invitations(place):
    return len(place.machine.command("invitations", "list", "--json").stdout.splitlines())


COMMANDS = [
    Command(
        "backup",
        lambda place: ["backup", str(place.backups / "new.db")],
        _backup_is_whole,
        lambda place: ["backup", str(place.backups / "again.db")],
    ),
    Command(
        "restore",
        lambda place: ["restore", "--yes", str(place.backups / "before.db")],
        lambda place: "database.restored" in place.machine.command("audit").stdout,
        lambda place: ["restore", "--yes", str(place.backups / "before.db")],
    ),
    Command("rekey", lambda place: ["rekey", "--yes"], lambda place: "master-key.changed" in place.machine.command("audit").stdout, lambda place: ["rekey", "--yes"]),
    Command("invite", lambda place: ["invite"], lambda place: _invitations(place) > 0, lambda place: ["invite"]),
    Command(
        "accounts disable",
        lambda place: ["accounts", "disable", _victim(place)],
        _is_disabled,
        lambda place: ["accounts", "disable", _victim(place)],
    ),
]


def rounds(how_many, seed):
    with scratch() as path:
        template = Template(path)
        for command in COMMANDS:
            yield _killed(command, template, path, how_many, seed)
            yield _failing(command, template, path, how_many, seed)


def _killed(command, template, path, how_many, seed):
    row = Row(f"admin {command.name}: killed at a call")
    for number in range(how_many):
        rng = random.Random(f"{seed} {command.name} {number}")
        calls = rng.choice((CALLS, DURABLE, DURABLE))
        _round(row, command, template, path, strace(calls, f"signal=KILL:when={rng.randrange(1, 14)}"))
    return _counted(row)


def _failing(command, template, path, how_many, seed):
    row = Row(f"admin {command.name}: a durable call fails")
    for number in range(how_many):
        rng = random.Random(f"{seed} {command.name} failing {number}")
        first = rng.randrange(1, 12)
        when = rng.choice((f"{first}", f"{first}+"))
        _round(row, command, template, path, strace(DURABLE, f"error={rng.choice(ERRORS)}:when={when}"))
    return _counted(row)


def _counted(row):
    row.note = f"{row.stopped} of them did not come to their end"
    return row


def _round(row, command, template, path, launcher):
    with scratch() as own:
        place = Place(template, own)
        said = place.machine.command(*command.arguments(place), launcher=launcher)
        row.stopped += said.returncode != 0
        problems = []
        verdict = None
        try:
            if command.name == "restore" and said.returncode != 0:
                _must_succeed(place, command.again(place))
            done = command.is_done(place)
            if said.returncode in (0, 3) and not done:
                problems.append(f"it reported success, and nothing was done: {reasons(said.stderr)}")
            with running(place.machine):
                verdict = place.ledger.verdict()
                place.machine.stop()
            _must_succeed(place, command.again(place))
            if left := place.leftovers():
                problems.append(f"left behind: {', '.join(left)}")
            with running(place.machine):
                pass
        except AssertionError as error:
            problems.append(f"after exit status {said.returncode} ({reasons(said.stderr)}): {error}")
        row.add(verdict, [f"{launcher[-1]}: {problem}" for problem in problems])


def _must_succeed(place, arguments):
    said = place.machine.command(*arguments)
    assert said.returncode == 0, f"`{' '.join(arguments)}` after it: {reasons(said.stderr)}"
