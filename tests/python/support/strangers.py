"""Strangers who do something over and over, in a process of their own at the lowest priority.

Whatever they burn, they burn neither the interpreter's lock of the honest clients nor the processor's time that these and
the server need: what is left to take is what the server gives them.
"""

import contextlib
import multiprocessing
import os
import threading

import httpx

LEAST_PRIORITY = 19
PATIENCE = 60
"""Seconds until the strangers must have been refused for the first time, or their process must have ended."""

# A fork would copy the locks that other threads of the tests happen to hold.
_processes = multiprocessing.get_context("spawn")


class Strangers:
    """`count` threads that call `act` until the block ends, which begins when one of them was refused.

    `act` crosses to another process, so it is a function of a module, or a `functools.partial` of one. It gives back the
    status that it got.
    """

    def __init__(self, act, count):
        self._refused, self._over = _processes.Event(), _processes.Event()
        arguments = (act, count, self._refused, self._over)
        self._process = _processes.Process(target=_act_in_threads, args=arguments, daemon=True)

    def __enter__(self):
        self._process.start()
        if not self._refused.wait(PATIENCE):
            self._process.kill()
            raise AssertionError("the share was never used up")
        return self

    def __exit__(self, *_):
        self._over.set()
        self._process.join(PATIENCE)
        assert self._process.exitcode == 0, self._process.exitcode


def _act_in_threads(act, count, refused, over):
    os.nice(LEAST_PRIORITY)
    for _ in range(count):
        # Their connections end with the process.
        threading.Thread(target=_act_for_ever, args=(act, refused), daemon=True).start()
    over.wait()


def _act_for_ever(act, refused):
    while True:
        with contextlib.suppress(httpx.HTTPError, OSError):
            if act() == 429:
                refused.set()
