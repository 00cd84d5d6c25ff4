"""Does to a server what machines, disks and clocks do to it, and counts what it loses.

    scripts/faults                    the long round: everything, about half an hour
    scripts/faults --short            the short round, as `scripts/test` runs it: about a minute
    scripts/faults --only kills,power some of it
    scripts/faults --times 5          five times as many rounds of what chance decides
    scripts/faults --seed 7           other chances

It needs strace and libfaketime; full and read-only disks need root.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))

import clocks
import commands
import disks
import kills
import memory
import places
import power
import table
from support.server import close_clients

KINDS = {
    "kills": (kills.rounds, 1, 25),
    "commands": (commands.rounds, 1, 25),
    "power": (power.rounds, 8, 200),
    "disks": (disks.rounds, 1, 3),
    "places": (places.rounds, 2, 15),
    "memory": (memory.rounds, 1, 5),
    "clocks": (clocks.rounds, 1, 3),
}
"""For each kind: its rounds, and how many of each in the short and in the long round."""


def main():
    options = _options()
    rows = []
    for kind in options.only:
        rounds, short, long = KINDS[kind]
        how_many = (short if options.short else long) * options.times
        began = time.monotonic()
        for row in rounds(how_many, options.seed):
            took, began = time.monotonic() - began, time.monotonic()
            print(f"{took:6.1f}s  {row.fault}: {row.passed} of {row.rounds}", flush=True)
            rows.append(row)
            close_clients()
    return 1 if table.show(rows) else 0


def _options():
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the short round")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(KINDS), metavar="KIND,…", help=", ".join(KINDS))
    parser.add_argument("--times", type=int, default=1, metavar="N", help="how many times as many rounds")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what chance decides")
    options = parser.parse_args()
    if unknown := set(options.only) - set(KINDS):
        parser.error(f"there is no {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
