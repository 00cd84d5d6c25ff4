"""One page, run from its beginning to its end as somebody would who follows it.

Commands are typed into a terminal, one after the other. A block whose program goes on running (`stays until`) keeps its
terminal, and what follows is typed into another one. A `console` block shows commands behind `$ ` and what they print; a
`sh` block shows commands only, each of which must succeed, unless a remark such as `# 401` says what is answered. Samples
of other kinds are what the command before them has printed. Code is run or read by the program that it is for.
"""

import pathlib
import re
import shlex
import socket
import subprocess
import tempfile
import tomllib

from . import code, markdown, samples
from .surroundings import REPOSITORY, prepare
from .terminal import Stuck, Terminal

PATIENCE = 60
"""Seconds that a command may take; a debug build on a busy machine is slow."""

STATUS_REMARK = re.compile(r"#[^#\n]*?\b([1-5]\d\d)\b")


class Page:
    """A run of one page."""

    def __init__(self, path, directory):
        self.path = path
        self.work, self.environment = prepare(directory)
        self.home = self.environment["HOME"]
        self.words = {}
        self.terminal = None
        self.running = []
        self.printed = ""
        self.problems = []
        self.not_run = []

    def run(self):
        """Runs all of it, and gives back what is wrong, line by line."""
        try:
            steps = markdown.read((REPOSITORY / self.path).read_text())
        except markdown.Malformed as error:
            return [f"{self.path}: {error}"]
        try:
            for step in steps:
                self._guarded(step)
            self._look_at_what_runs()
        finally:
            self._end_terminals()
        return self.problems

    def _guarded(self, step):
        try:
            if isinstance(step, markdown.Comment):
                self._step(step)
            else:
                self._block(step)
        except (Stuck, Wrong) as error:
            self.problems.append(f"{self.path}:{step.line}: {error}")
            if isinstance(error, Stuck):
                self.problems[-1] += f"\n{self._all_output()}"
                self._leave_terminal()

    # --- steps ---

    def _step(self, step):
        match step.verb:
            case "let":
                text, _, other = step.rest.partition(" be ")
                self.words[text] = other
            case "first":
                self._command(step.rest)
            case "server":
                self._stay(f"countersign serve {step.rest}", "listening on")
            case "Ctrl-C":
                self._end_terminals()

    # --- blocks ---

    def _block(self, block):
        notes = block.notes
        if "not run" in notes:
            self.not_run.append(f"{self.path}:{block.line}: {notes['not run']}")
        elif "part of" in notes:
            check(code.part_of(block.text, REPOSITORY / notes["part of"]))
        elif "file" in notes:
            self._file(block, notes["file"])
        elif "shows" in notes:
            check(samples.difference(block.text, self._command(notes["shows"])))
        elif "has the form of" in notes:
            check(samples.form_difference(block.text, self._command(notes["has the form of"])))
        else:
            self._by_language(block)

    def _by_language(self, block):
        match block.language:
            case "console":
                self._transcript(block)
            case "sh" | "bash":
                self._script(block)
            case "text" | "json":
                check(samples.difference(block.text, self.printed))
            case "http":
                self._http(block)
            case "python":
                name = f"block-{block.line}.py"
                self._write(name, block.text)
                self._command(f"python {name}")
            case "toml":
                self._settings(block)
            case "nginx":
                check(code.nginx(block.text, self.environment["PATH"]))
            case "haproxy":
                check(code.haproxy(block.text, self.environment["PATH"]))
            case "ini":
                check(code.unit(block.text, self.environment["PATH"]))
            case "mermaid":
                pass
            case other:
                raise Wrong(f"nothing says how to run a block of {other or 'no language'}")

    def _script(self, block):
        commands = code.commands(block.text)
        last = commands.pop() if "stays until" in block.notes else None
        for command in commands:
            self._checked(command)
        if last:
            self._stay(last, block.notes["stays until"])

    def _checked(self, command):
        """Runs a command, which must succeed or have the answer that its remark names."""
        answer = STATUS_REMARK.search(command)
        self._command(command, may_fail=bool(answer))
        if answer and not re.search(rf"\b{answer[1]}\b", self.printed):
            raise Wrong(f"{command}\nthe page says {answer[1]}, but this came out\n{self.printed}")

    def _transcript(self, block):
        commands = code.transcript(block.text)
        for number, (command, shown) in enumerate(commands, 1):
            if number == len(commands) and "stays until" in block.notes:
                self._stay(command, block.notes["stays until"])
            else:
                printed = self._command(command, may_fail=bool(shown))
                if shown:
                    check(samples.difference(shown, printed), f"{command}\n")

    def _http(self, block):
        """A request is sent as far as it is written out; an answer is what the command before has printed."""
        if block.text.startswith("HTTP/"):
            check(samples.difference(block.text, self.printed))
            return
        method, path = block.text.split()[:2]
        status = self._command(f"curl -s -o /dev/null -w '%{{http_code}}' -X {method} {shlex.quote(SERVER + path)}")
        if status.strip() in ("404", "405", "000"):
            raise Wrong(f"{method} {path}: the server answers {status}")

    def _file(self, block, name):
        self._write(name, block.text)

    def _settings(self, block):
        """The server must start with them."""
        settings = tomllib.loads(block.text)
        if "dependencies" in settings:
            check(code.dependencies(settings["dependencies"]))
            return
        name = f"block-{block.line}.toml"
        self._write(name, block.text)
        options = f"--config {name} --listen 127.0.0.1:0 --data-dir data-{block.line}"
        terminal = self._terminal()
        terminal.type(f"countersign serve {options}")
        try:
            terminal.wait_for(_sign("listening on"), PATIENCE)
        except Stuck as error:
            raise Wrong(f"the server does not start with these settings: {terminal.output}") from error
        finally:
            terminal.end()

    def _write(self, name, text):
        (self.work / name).write_text(self._worded(text))

    # --- terminals ---

    def _terminal(self):
        return Terminal(self.work, self.environment)

    def _worded(self, command):
        for text, other in self.words.items():
            command = command.replace(text, other)
        return command

    def _command(self, command, may_fail=False):
        """Types a command, and gives back what it prints."""
        self.terminal = self.terminal or self._terminal()
        try:
            status, printed = self.terminal.run(self._worded(command), PATIENCE)
        except Stuck as error:
            raise Stuck(f"{command}\n{error}; it has printed\n{self.terminal.output}") from error
        self.printed = printed.replace(self.home, "~")
        if status and not may_fail:
            raise Wrong(f"{command}\nexit status {status}; it has printed\n{printed}")
        return self.printed

    def _stay(self, command, text):
        """Types a command that goes on running into the terminal, which is left to it then."""
        terminal, self.terminal = self.terminal or self._terminal(), None
        self.running.append((command, terminal))
        terminal.type(self._worded(command))
        for sign in text.split(", "):
            try:
                terminal.wait_for(_sign(sign), PATIENCE)
            except Stuck as error:
                raise Stuck(f"{command}\n{error}; there is no sign of {sign!r}, but\n{terminal.output}") from error
        self.printed = terminal.output.replace(self.home, "~")
        terminal.leave()

    def _look_at_what_runs(self):
        for command, terminal in self.running:
            if terminal.shell.poll() is not None:
                self.problems.append(f"{self.path}: {command}\nhas ended by itself:\n{terminal.output}")

    def _all_output(self):
        return "".join(f"--- {command}\n{terminal.output}" for command, terminal in self.running)

    def _leave_terminal(self):
        if self.terminal:
            self.terminal.end()
            self.terminal = None

    def _end_terminals(self):
        self._leave_terminal()
        for _, terminal in reversed(self.running):
            terminal.end()
        self.running = []


def _sign(text):
    """Whether a program has come up: it has printed a text, or somebody listens at an address."""
    address = re.fullmatch(r"(127\.0\.0\.1):(\d+)", text)
    if not address:
        return lambda output: text in output

    def listens(_):
        with socket.socket() as probe:
            return probe.connect_ex((address[1], int(address[2]))) == 0

    return listens


SERVER = "http://localhost:8080"
"""Where a server listens unless told otherwise."""


class Wrong(Exception):
    """A block that does not do what its page says."""


def check(difference, before=""):
    """Fails if there is a difference."""
    if difference:
        raise Wrong(before + difference)


def run(path):
    """Runs a page in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="countersign-page-", ignore_cleanup_errors=True) as directory:
        page = Page(path, pathlib.Path(directory))
        problems = page.run()
        stop_service(page)
    return problems, page.not_run


def stop_service(page):
    """Ends what `systemctl start` has left."""
    file = pathlib.Path(page.home) / "service.pid"
    if file.exists():
        subprocess.run(["kill", file.read_text().strip()], check=False, capture_output=True)
