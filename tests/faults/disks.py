"""A disk that is full, and one that can only be read."""

import os
import random
import subprocess
import time

from ledger import Ledger, Refused
from machine import Machine, may_mount, reasons, running, scratch, small_disk
from table import Row

MEGABYTE = 1 << 20
RESERVE = 16 * MEGABYTE
"""`limits.disk_reserve_bytes`, as it is without a setting."""


def rounds(how_many, seed):
    full, read_only = Row("full disk"), Row("read-only disk")
    if not may_mount():
        full.note = read_only.note = "SKIPPED: only root can make a small file system"
        yield full
        yield read_only
        return
    for row, round_ in ((full, _full), (read_only, _read_only)):
        for number in range(how_many):
            with scratch() as path, small_disk(path / "disk", 64) as disk:
                problems = []
                verdict = round_(disk, path, random.Random(f"{seed} {row.fault} {number}"), problems)
                row.add(verdict, problems)
        yield row


def _full(disk, elsewhere, rng, problems):
    machine = Machine(disk / "data")
    ledger = Ledger(machine)
    ballast = disk / "data/countersign.db-ballast"
    with running(machine):
        accounts = [ledger.register() for _ in range(4)]
        for account in accounts:
            ledger.log_in(account)
        _check(problems, _comes(ballast.exists), "there is no ballast after ten seconds")
        _fill(disk, leave=RESERVE // 2)
        _check(problems, _is_refused(ledger.register), "an account was made with less than the reserve free")
        ledger.log_in(accounts[0])
        ledger.revoke_token(accounts[1])
        _check(problems, machine.ready() == 200, "below the reserve /readyz is not 200")

        _fill(disk, leave=0)
        _check(problems, machine.becomes_ready(503, 10) is not None, "the disk is full, and /readyz is 200")
        client = accounts[2].client
        accounts[2].revoking = 0.0
        status = client.revoke(accounts[2].token).status_code
        _check(problems, status in (200, 503), f"revocation on a full disk: {status}")
        _check(problems, client.call().status_code == 401, "what was to be revoked on a full disk works")
        _reads_and_backs_up(machine, elsewhere / "full.db", problems)
        said = machine.command("accounts", "disable", accounts[3].client.username)
        _check(problems, said.returncode == 0, f"disable on a full disk: {reasons(said.stderr)}")
        _check(problems, _comes(lambda: accounts[3].client.call().status_code == 401), "the disabled account goes on")
        accounts[3].disabled = said.returncode == 0

        (disk / "filling").unlink()
        _check(problems, machine.becomes_ready(200, 20) is not None, "room was made, and /readyz stays 503")
        # What memory has revoked is written when there is room; every five seconds it is tried.
        _check(problems, _comes(ballast.exists), "the ballast is not made again")
        accounts[2].revoked = 0.0
        ledger.register()
        machine.kill()
    with running(machine):
        return ledger.verdict()


def _read_only(disk, elsewhere, rng, problems):
    machine = Machine(disk / "data")
    ledger = Ledger(machine)
    with running(machine):
        for _ in range(4):
            ledger.live_a_little(rng)
        machine.kill() if rng.random() < 0.3 else machine.stop()
    # The commands that work without a log need one that is folded, as it is after a stop.
    folded = not (disk / "data/countersign.db-wal").exists() or not os.path.getsize(disk / "data/countersign.db-wal")
    _remount(disk, "ro")
    if folded:
        _reads_and_backs_up(machine, elsewhere / "read-only.db", problems)
    else:
        said = machine.command("check")
        whole = elsewhere / "whole"
        subprocess.run(["cp", "-a", str(disk / "data"), str(whole)], check=True)
        _check(problems, said.returncode == 0 or "--data-dir" in said.stdout + said.stderr, f"no way out is named: {reasons(said.stderr)}")
        said = machine.command("check", data_directory=whole)
        _check(problems, said.returncode == 0, f"a copy of the whole directory: {reasons(said.stderr)}")
    said = machine.command("accounts", "disable", ledger.accounts[0].client.username)
    _check(problems, said.returncode == 1 and "read-only" in said.stderr, f"disable: {reasons(said.stderr)}")
    refusal = machine.refusal_to_start()
    _check(problems, refusal is not None and "ead-only" in refusal, f"the start does not say it: {reasons(refusal or 'it starts')}")
    _remount(disk, "rw")
    with running(machine):
        return ledger.verdict()


def _reads_and_backs_up(machine, backup, problems):
    for arguments in (["accounts", "list"], ["check"], ["audit", "--limit", "5"], ["backup", str(backup)]):
        said = machine.command(*arguments)
        allowed = (0, 3) if arguments[0] == "backup" else (0,)
        _check(problems, said.returncode in allowed, f"{arguments[0]}: status {said.returncode}: {reasons(said.stdout + said.stderr)}")
    _check(problems, backup.exists(), "there is no backup")


def _fill(disk, leave):
    """Takes all room but `leave` bytes."""
    with open(disk / "filling", "ab") as filling:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        try:
            os.posix_fallocate(filling.fileno(), filling.tell(), max(1, free - leave))
        except OSError:
            while True:
                try:
                    os.write(filling.fileno(), bytes(4096))
                except OSError:
                    break


def _remount(disk, how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def _is_refused(deed):
    try:
        deed()
    except Refused:
        return True
    return False


def _comes(is_so, within=15.0):
    end = time.monotonic() + within
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _check(problems, holds, what):
    if not holds:
        problems.append(what)
