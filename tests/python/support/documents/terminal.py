"""A terminal with a shell in it, into which commands are typed one after the other."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time

PASSPHRASE = "correct horse battery staple"

PROMPT = re.compile(
    r"(?:(?:new )?pass(?:phrase|word)|one-time password|the same again|.*(?:\[y/N\]|type yes))[^\n]*$", re.IGNORECASE
)
"""What the commands ask at the terminal, as the last line of their output."""

# The shell reads each command from a file, so that what the command reads is the terminal.
SHELL = 'while IFS= read -r command <&{0}; do . "$command"; printf "%d\\n" "$?" >&{1}; done'


class Stuck(Exception):
    """A command that does not end, or a shell that has ended."""


class Terminal:
    """A bash on a pseudo-terminal; what is set, defined and changed stays so for the next command."""

    def __init__(self, directory, environment, password=PASSPHRASE):
        self._screen, terminal = pty.openpty()
        _quiet(terminal)
        commands, self._commands = os.pipe()
        self._statuses, statuses = os.pipe()
        self._files = tempfile.TemporaryDirectory(prefix="countersign-commands-")
        self._count = 0
        self._reader = None
        self._ends = threading.Event()
        self.output = ""
        self.password = password
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", SHELL.format(commands, statuses)],
            cwd=directory,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            pass_fds=(commands, statuses),
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        for descriptor in (terminal, commands, statuses):
            os.close(descriptor)

    def type(self, command):
        """Has the shell run a command, without waiting for it."""
        self._count += 1
        file = pathlib.Path(self._files.name) / str(self._count)
        file.write_text(f"{command}\n")
        self.output = ""
        os.write(self._commands, f"{file}\n".encode())

    def run(self, command, patience):
        """Runs a command to its end, and gives back its exit status and what it printed."""
        self.type(command)
        deadline = time.monotonic() + patience
        while (status := self._status(deadline)) is None:
            pass
        return status, self._read_rest()

    def wait_for(self, sign, patience):
        """Waits until `sign` is true of what the command has printed, which goes on running."""
        deadline = time.monotonic() + patience
        while not sign(self.output):
            if self._status(deadline) is not None:
                self._read_rest()
                raise Stuck("it has ended, and should go on")

    def leave(self):
        """Goes on reading by itself: a program whose terminal is full stands still until somebody reads."""
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    def _read_on(self):
        while not self._ends.is_set():
            if select.select([self._screen], [], [], 0.05)[0] and not self._read():
                return

    def end(self):
        """Ends the shell and everything that it has started."""
        self._ends.set()
        if self._reader:
            self._reader.join()
        group = self.shell.pid
        for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
            _kill_group(group, number)
            deadline = time.monotonic() + patience
            while _alive(group) and time.monotonic() < deadline:
                self.shell.poll()
                self._wait(0.02)
            if not _alive(group):
                break
        self.shell.wait()
        self._read_rest()
        for descriptor in (self._screen, self._commands, self._statuses):
            os.close(descriptor)
        self._files.cleanup()

    def _status(self, deadline):
        """The exit status of the command, once it has ended."""
        if time.monotonic() > deadline:
            raise Stuck("it does not end")
        ready = self._wait(0.05)
        if self._statuses in ready:
            line = os.read(self._statuses, 16)
            if not line:
                raise Stuck("the shell has ended")
            return int(line)
        if self.shell.poll() is not None:
            raise Stuck(f"the shell has ended with status {self.shell.returncode}")
        return None

    def _wait(self, seconds):
        """Waits for something to happen; reads what is printed, and answers what is asked."""
        ready, _, _ = select.select([self._screen, self._statuses], [], [], seconds)
        if self._screen in ready and self._read():
            question = self.output.rpartition("\n")[2]
            if self.output.endswith(("[y/N] ", "Type yes:\n")):
                os.write(self._screen, b"yes\n")
            elif PROMPT.match(question) and question.endswith(": "):
                os.write(self._screen, f"{self.password}\n".encode())
        return ready

    def _read(self):
        try:
            text = os.read(self._screen, 65536).decode(errors="replace")
        except OSError:  # nobody has the other end open
            return False
        self.output += text
        return bool(text)

    def _read_rest(self):
        while select.select([self._screen], [], [], 0.02)[0] and self._read():
            pass
        return self.output


def _quiet(terminal):
    """A wide terminal that neither shows what is typed nor changes what is printed."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _kill_group(group, number):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _alive(group):
    """Whether a process of the group runs; those that nobody has waited for yet do not."""
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state not in "ZX":
            return True
    return False
