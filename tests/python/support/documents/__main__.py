"""`python -m support.documents PAGE…`: runs pages of the repository, and says what is wrong with them.

Each stands in a process of its own and, where the system permits it, in a network of its own. Exit status 1 if a block
does not do what its page says. Blocks that cannot be run are named, with the reason.
"""

import subprocess
import sys

from .page import run
from .surroundings import isolation, wake_loopback


def main(pages):
    """Runs each page in a process of its own, or the only one here if that is such a process already."""
    if pages[:1] == ["--here"]:
        return here(pages[1])
    statuses = [subprocess.run(command(page), check=False).returncode for page in pages]
    return max(statuses, default=2)


def command(page):
    """What runs one page."""
    return [*isolation(), sys.executable, "-m", "support.documents", "--here", page]


def here(page):
    """Runs a page in this process."""
    if isolation():
        wake_loopback()
    problems, not_run = run(page)
    for reason in not_run:
        print(f"not run: {reason}")
    for problem in problems:
        print(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
