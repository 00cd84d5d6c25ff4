"""Commands of blocks, and blocks that are not typed into a terminal."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from .surroundings import REPOSITORY


def commands(script):
    """The commands of a script, each with all of its lines."""
    found, begun = [], ""
    for line in script.splitlines():
        begun = f"{begun}\n{line}" if begun else line
        if _is_whole(begun):
            if _does_something(begun):
                found.append(begun)
            begun = ""
    return [*found, begun] if begun else found


def transcript(text):
    """Pairs of a command and what is shown as its output."""
    found = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            if not found:
                raise ValueError("a transcript begins with a command behind `$ `")
            found[-1][1].append(line)
            continue
        command = line.removeprefix("$ ")
        while lines and not _is_whole(command):
            command += "\n" + lines.pop(0).removeprefix("> ")
        found.append((command, []))
    return [(command, "\n".join(shown)) for command, shown in found]


def _is_whole(command):
    """Whether the shell would begin to do it, rather than wait for another line."""
    if command.endswith("\\"):
        return False
    checked = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True, check=False)
    return checked.returncode == 0 and "here-document" not in checked.stderr


def _does_something(command):
    return any(line.strip() and not line.strip().startswith("#") for line in command.splitlines())


def part_of(snippet, file):
    """The first line of a snippet that does not stand in the file, after the line before it."""
    lines = [_bare(line) for line in file.read_text().splitlines()]
    for line in snippet.splitlines():
        wanted = _bare(line)
        if not wanted or wanted == "…":
            continue
        if wanted not in lines:
            return (
                f"this line does not stand in {file.relative_to(REPOSITORY)}, or not after the one before:\n    {line}"
            )
        lines = lines[lines.index(wanted) + 1 :]
    return None


def _bare(line):
    """The line without its indentation, and without the mark of a comment in which it stands."""
    return re.sub(r"^\s*(//[/!]?|#) ", "", line).strip()


def dependencies(crates):
    """What is wrong with the entries for a Cargo.toml."""
    for name, entry in crates.items():
        manifest = REPOSITORY / entry["path"].rpartition("…/")[2] / "Cargo.toml"
        if not manifest.is_file() or f'name = "{name}"' not in manifest.read_text():
            return f"there is no {name} in {entry['path']}"
    return None


def haproxy(text, path):
    """What HAProxy says against a part of its configuration."""
    with tempfile.TemporaryDirectory(prefix="countersign-haproxy-") as name:
        directory = pathlib.Path(name)
        certificate(directory)
        pem = directory / "both.pem"
        pem.write_text((directory / "cert.pem").read_text() + (directory / "key.pem").read_text())
        text = re.sub(r"(crt +)\S+", rf"\1{pem}", text)
        # Whoever has no place to listen does not start.
        around = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 75s\n    timeout server 75s\n"
        around += "frontend of-the-test\n    bind 127.0.0.1:1\n"
        (directory / "haproxy.cfg").write_text(f"{around}\n{text}\n")
        command = [shutil.which("haproxy", path=path), "-c", "-f", directory / "haproxy.cfg"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if tried.returncode == 0 else tried.stderr


def certificate(directory):
    """Makes cert.pem and key.pem there."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]
        + ["/CN=auth.example.com", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=directory,
        check=True,
        capture_output=True,
    )


def nginx(text, path):
    """What nginx says against a part of its configuration, wherever it may belong."""
    errors = []
    with tempfile.TemporaryDirectory(prefix="countersign-nginx-") as name:
        directory = pathlib.Path(name)
        certificate(directory)
        text = re.sub(r"(ssl_certificate +)\S+;", rf"\1{directory}/cert.pem;", text)
        text = re.sub(r"(ssl_certificate_key +)\S+;", rf"\1{directory}/key.pem;", text)
        for context in (
            "http {{ {} }}",
            "http {{ server {{ location / {{ {} }} }} }}",
            "http {{ server {{ {} }} }}",
            "{}",
        ):
            (directory / "nginx.conf").write_text("events {}\n" + context.format(f"\n{text}\n") + "\n")
            command = [shutil.which("nginx", path=path), "-t", "-q", "-e", "stderr", "-p", name]
            tried = subprocess.run(
                [*command, "-c", directory / "nginx.conf", "-g", "pid nginx.pid;"],
                capture_output=True,
                text=True,
                check=False,
            )
            if tried.returncode == 0:
                return None
            errors.append(tried.stderr)
    return "nginx understands it nowhere:\n" + "".join(errors)


def unit(text, path):
    """What systemd says against a unit; where there is no systemd, whether its sections are there."""
    if not (verifier := shutil.which("systemd-analyze", path=path)):
        missing = [section for section in ("[Unit]", "[Service]") if section not in text]
        return f"there is no {missing[0]}" if missing else None
    with tempfile.TemporaryDirectory(prefix="countersign-unit-") as directory:
        named = re.match(r"# \S*/(\S+)\n", text)
        file = pathlib.Path(directory) / (named[1] if named else "countersign.service")
        # The program is not where the unit wants it.
        file.write_text(re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", text))
        tried = subprocess.run([verifier, "verify", "--man=no", file], capture_output=True, text=True, check=False)
        wrong = [line for line in tried.stderr.splitlines() if directory in line or file.name in line]
        return "\n".join(wrong) or None
