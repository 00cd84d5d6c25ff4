"""A loss of power, by the record of what a server has written.

A server runs from its first start on under strace, which writes down each change of a file and each sync. From that the
disk is made anew as a loss of power at any moment could leave it: with all that was synced, and with a part of what was
not, down to single sectors. On each such disk a server starts, and must have what was acknowledged before that moment.
"""

import contextlib
import dataclasses
import pathlib
import random
import re
import shutil
import time

from ledger import Ledger
from machine import Machine, running, scratch
from table import Row

SECTOR = 512
RECORDED = "openat,write,pwrite64,fdatasync,fsync,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,lseek"
LINE = re.compile(r"^(?P<at>\d+\.\d+) (?P<call>\w+)\((?P<arguments>.*)\) = (?P<result>-?\d+)(?P<rest>.*)$")


@dataclasses.dataclass
class Event:
    """One change: what was done to which file, and when."""

    at: float
    kind: str
    path: str
    offset: int = 0
    data: bytes = b""
    to: str = ""


# --- the record ---


def recorder(prefix):
    """A command that writes down what becomes of files, for each thread in a file of its own."""
    options = ["-D", "-ff", "-qq", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", "200000000"]
    return ["strace", *options, "-o", str(prefix), "-e", f"trace={RECORDED}"]


def record_of(prefix, root):
    """All events below `root`, in their order."""
    lines = []
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        lines += [found for line in path.read_text(errors="replace").splitlines() if (found := LINE.match(line))]
    lines.sort(key=lambda line: float(line["at"]))
    reader = _Reader(str(root))
    return [event for line in lines for event in reader.events(line)]


class _Reader:
    """Makes events of the lines of strace."""

    def __init__(self, root):
        self.root = root
        self.positions = {}

    def events(self, line):
        if int(line["result"]) < 0:
            return []
        made = getattr(self, f"_{line['call']}")(float(line["at"]), line["arguments"], line)
        return [event for event in made if event.path.startswith(self.root)]

    def _openat(self, at, arguments, line):
        flags = arguments.rsplit("O_", arguments.count("O_"))
        named = re.match(r"<([^>]*)>", line["rest"])
        path = _text(named[1]) if named else ""
        self.positions[path] = 0
        if "TMPFILE" in " ".join(flags):
            return [Event(at, "unnamed", path)]
        made = [Event(at, "create", path)] if "O_CREAT" in arguments else []
        return made + ([Event(at, "truncate", path)] if "O_TRUNC" in arguments else [])

    def _write(self, at, arguments, line):
        path, data = _file(arguments), _data(arguments)
        begin = self.positions.get(path, 0)
        self.positions[path] = begin + len(data)
        return [Event(at, "write", path, begin, data)]

    def _pwrite64(self, at, arguments, line):
        return [Event(at, "write", _file(arguments), int(arguments.rsplit(", ", 1)[1]), _data(arguments))]

    def _lseek(self, at, arguments, line):
        self.positions[_file(arguments)] = int(line["result"])
        return []

    def _ftruncate(self, at, arguments, line):
        return [Event(at, "truncate", _file(arguments), int(arguments.rsplit(", ", 1)[1]))]

    def _fallocate(self, at, arguments, line):
        return [Event(at, "extend", _file(arguments), int(arguments.rsplit(", ", 1)[1]))]

    def _fsync(self, at, arguments, line):
        return [Event(at, "sync", _file(arguments))]

    _fdatasync = _fsync

    def _unlink(self, at, arguments, line):
        return [Event(at, "unlink", _names(arguments)[0])]

    _unlinkat = _unlink

    def _mkdir(self, at, arguments, line):
        return [Event(at, "mkdir", _names(arguments)[0])]

    def _rename(self, at, arguments, line):
        old, new = _names(arguments)
        return [Event(at, "rename", old, to=new)]

    _renameat = _renameat2 = _rename

    def _link(self, at, arguments, line):
        old, new = _names(arguments)
        return [Event(at, "link", new, to=old)]

    _linkat = _link


def _text(hexadecimal):
    return re.sub(r"\\x([0-9a-f]{2})", lambda digits: chr(int(digits[1], 16)), hexadecimal)


def _file(arguments):
    found = re.match(r"\d+<([^>]*)>", arguments)
    return _text(found[1]) if found else ""


def _strings(arguments):
    return re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)


def _names(arguments):
    return [_text(text) for text in _strings(arguments)]


def _data(arguments):
    texts = _strings(arguments)
    return bytes.fromhex(texts[0].replace("\\x", "")) if texts else b""


# --- the disk ---


class _File:
    """A file: what of it is on the disk for sure, and what is under way."""

    def __init__(self):
        self.durable = bytearray()
        self.pending = []

    def sync(self):
        for event in self.pending:
            _apply(self.durable, event)
        self.pending.clear()

    def after_a_loss(self, rng, keep):
        content = bytearray(self.durable)
        for event in self.pending:
            if rng.random() < keep:
                _apply(content, _torn(event, rng) if rng.random() < 0.2 else event)
        return content


def _apply(content, event):
    if event.kind == "write":
        _grow(content, event.offset)
        content[event.offset : event.offset + len(event.data)] = event.data
    elif event.kind == "truncate":
        del content[event.offset :]
        _grow(content, event.offset)
    else:
        _grow(content, event.offset)


def _grow(content, size):
    content.extend(bytes(max(0, size - len(content))))


def _torn(event, rng):
    """A write of which only the first sectors came to the disk."""
    sectors = len(event.data) // SECTOR
    return event if event.kind != "write" or not sectors else dataclasses.replace(event, data=event.data[: rng.randrange(sectors) * SECTOR])


class Disk:
    """What the events before a moment have left on the disk, and what was still under way."""

    def __init__(self):
        self.names = {}
        self.pending_names = []
        self.directories = set()
        self.unnamed = {}

    def play(self, events):
        for event in events:
            self._play(event)

    def _play(self, event):
        now = self._names_now()
        if event.kind in ("write", "truncate", "extend"):
            if (file := now.get(event.path) or self.unnamed.get(event.path)) is not None:
                file.pending.append(event)
        elif event.kind == "sync":
            if (file := now.get(event.path) or self.unnamed.get(event.path)) is not None:
                file.sync()
            else:
                self._sync_directory(event.path)
        elif event.kind == "unnamed":
            self.unnamed[event.path] = _File()
        elif event.kind == "create":
            if event.path not in now:
                self.pending_names.append(("set", event.path, _File()))
        elif event.kind == "link":
            self.pending_names.append(("set", event.path, next(reversed(self.unnamed.values()))))
        elif event.kind == "rename":
            if event.path in now:
                self.pending_names += [("set", event.to, now[event.path]), ("cut", event.path, None)]
        elif event.kind == "unlink":
            self.pending_names.append(("cut", event.path, None))
        elif event.kind == "mkdir":
            self.pending_names.append(("mkdir", event.path, None))

    def _names_now(self):
        names = dict(self.names)
        for change in self.pending_names:
            _rename(names, self.directories, change, at_all=False)
        return names

    def _sync_directory(self, path):
        later = []
        for change in self.pending_names:
            if str(pathlib.PurePath(change[1]).parent) == path:
                _rename(self.names, self.directories, change)
            else:
                later.append(change)
        self.pending_names = later

    def after_a_loss(self, rng):
        """The files that are there afterwards, and their contents; the directories."""
        keep = rng.choice((0.0, 0.5, 0.9, 1.0))
        names, directories = dict(self.names), set(self.directories)
        # File systems write down names in their order.
        for change in self.pending_names[: rng.randint(0, len(self.pending_names)) if keep else 0]:
            _rename(names, directories, change)
        return {path: file.after_a_loss(rng, keep) for path, file in names.items()}, directories


def _rename(names, directories, change, at_all=True):
    kind, path, file = change
    if kind == "set":
        names[path] = file
    elif kind == "cut":
        names.pop(path, None)
    elif at_all:
        directories.add(path)


# --- the rounds ---


def rounds(how_many, seed):
    with scratch() as path:
        root = path / "root"
        root.mkdir()
        ledger, ended = _recorded_life(root, path / "record", seed, 1.0 if how_many < 20 else 4.0)
        events = record_of(path / "record", root)
        shutil.rmtree(root)
        row = Row("loss of power: a remade disk", note=f"{len(events)} writes and syncs, {ledger.acknowledged} acknowledged")
        began = ledger.accounts[0].registered
        for number in range(how_many):
            rng = random.Random(f"{seed} power {number}")
            moment = rng.choice(events).at if rng.random() < 0.8 else rng.uniform(began, ended)
            _round(row, ledger, events, root, moment, rng)
        if not ledger.accounts:
            row.add(problems=["nothing was acknowledged"])
        yield row


def _recorded_life(root, prefix, seed, seconds):
    """The first start in a directory that is not there yet, a crowd, a stop and another start."""
    machine = Machine(root / "data")
    (root / "data").rmdir()
    machine.working_directory = str(root)
    ledger = Ledger(machine)
    for life in (1, 2):
        machine.launcher = recorder(prefix.with_name(f"{prefix.name}.{life}"))
        with running(machine), ledger.crowd(2, seed * 10 + life):
            time.sleep(seconds)
            if life == 1:
                machine.stop()
            else:
                machine.kill()
    machine.launcher = ()
    if ledger.surprises:
        raise AssertionError(f"the life that is recorded went wrong: {ledger.surprises[0]}")
    return ledger, time.time()


def _round(row, ledger, events, root, moment, rng):
    disk = Disk()
    disk.play(event for event in events if event.at < moment)
    files, directories = disk.after_a_loss(rng)
    shutil.rmtree(root, ignore_errors=True)
    for directory in [str(root), *sorted(directories)]:
        pathlib.Path(directory).mkdir(mode=0o700, exist_ok=True)
    for path, content in files.items():
        with contextlib.suppress(FileNotFoundError):
            pathlib.Path(path).write_bytes(content)
            pathlib.Path(path).chmod(0o600)
    machine = ledger.server
    try:
        with running(machine):
            row.add(ledger.verdict(until=moment, at_most=12, rng=rng))
    except AssertionError as error:
        # A first start that was interrupted, too, must be able to begin again.
        row.add(problems=[f"no start: {error}"])
