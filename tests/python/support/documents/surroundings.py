"""Where a page runs: a directory that looks like a clone of the repository, programs that are built already, a home of its
own, and where the system permits it a network of its own, so that pages that use the same ports can run side by side.
"""

import fcntl
import functools
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys

from ..server import BUILT, clean_environment

REPOSITORY = pathlib.Path(__file__).parents[4]

READABLE = ("bindings", "crates", "docs", "examples", "scripts", "tests")
"""What commands find of the repository."""

# Where a page says `cargo`, the programs have been built by whoever runs the tests.
CARGO = """#!/bin/sh
case "$*" in
  "install --locked --path crates/cli") exec test -f crates/cli/Cargo.toml ;;
  "run --release -- "*) shift 3 && exec {countersign} "$@" ;;
  "run -p countersign-example-axum") exec {directory}/countersign-example-axum ;;
  "run -p countersign-example-"*) exec "{directory}/$3" ;;
  *) echo "the tests know no 'cargo $*'" >&2 && exit 2 ;;
esac
"""

# The header and the claims of a JWT, as JSON.
SHOW_JWT = """#!{python}
import base64, sys
for part in sys.argv[1].split(".")[:2]:
    print(base64.urlsafe_b64decode(part + "==").decode())
"""

# The payload of a proof that a client has sent.
SHOW_PROOF = """#!{python}
import base64, httpx
from countersign import Client, Key
server = "http://localhost:8080"
shown = Client(server, "shown", Key.generate())
shown.register()
proof = httpx.get(f"{server}/v1/whoami", auth=shown).request.headers["DPoP"]
print(base64.urlsafe_b64decode(proof.split(".")[1] + "==").decode())
"""

# Where a page says `systemctl`, the server runs in the working directory.
SYSTEMCTL = r"""#!/bin/sh
pid=$HOME/service.pid log=$HOME/service.log
runs() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status"; }
case "$1" in
  start) setsid sh -c 'echo $$ > "$0"; exec countersign serve' "$pid" > "$log" 2>&1 < /dev/null &
         until grep -qs 'listening on' "$log"; do runs $! || exit 1; sleep 0.05; done ;;
  stop) kill "$(cat "$pid")" && while runs "$(cat "$pid")"; do sleep 0.05; done ;;
  *) echo "the tests know no 'systemctl $*'" >&2 && exit 2 ;;
esac
"""


def prepare(directory):
    """Makes the directory in which the commands of a page run, and gives back their environment."""
    work, home, programs = directory / "work", directory / "home", directory / "bin"
    for new in (work, home, programs):
        new.mkdir()
    for name in READABLE:
        (work / name).symlink_to(REPOSITORY / name)
    modules = REPOSITORY / "tests/node/node_modules"
    if modules.is_dir():
        (work / "node_modules").symlink_to(modules)
    _programs(programs)
    environment = clean_environment(
        HOME=str(home),
        PATH=f"{programs}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        NO_COLOR="1",
        TERM="dumb",
        LC_ALL="C.UTF-8",
        PYTHONDONTWRITEBYTECODE="1",
    )
    # Node 18, which Debian 12 has, keeps Web Cryptography behind a flag.
    if shutil.which("node") and _printed("node", "--version").startswith("v18."):
        environment["NODE_OPTIONS"] = "--experimental-global-webcrypto"
    for name in ("VIRTUAL_ENV", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "CARGO_TARGET_DIR"):
        environment.pop(name, None)
    return work, environment


def _printed(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _programs(directory):
    countersign = pathlib.Path(os.environ.get("COUNTERSIGN_BIN", BUILT)).resolve()
    (directory / "countersign").symlink_to(countersign)
    for name, text in (("cargo", CARGO), ("show-jwt", SHOW_JWT), ("show-proof", SHOW_PROOF), ("systemctl", SYSTEMCTL)):
        file = directory / name
        file.write_text(
            text.replace("{countersign}", str(countersign))
            .replace("{directory}", str(countersign.parent))
            .replace("{python}", sys.executable)
        )
        file.chmod(0o755)


# --- a network of one's own ---


@functools.cache
def isolation():
    """What to write before a command so that it has a loopback device to itself; nothing where that is not permitted."""
    ways = [["unshare", "--net"], ["unshare", "--user", "--map-current-user", "--keep-caps", "--net"]]
    for way in ways:
        probe = [*way, sys.executable, "-c", "import support.documents.surroundings as s; s.wake_loopback()"]
        if shutil.which("unshare") and _succeeds(probe):
            return way
    return []


def _succeeds(command):
    tests = REPOSITORY / "tests/python"
    return subprocess.run(command, cwd=tests, capture_output=True, check=False).returncode == 0


def wake_loopback():
    """Switches the loopback device of a new network on: SIOCGIFFLAGS, SIOCSIFFLAGS with IFF_UP."""
    get_flags, set_flags, is_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh", b"lo", 0) + bytes(14)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, get_flags, request)[:18])[1]
        if not flags & is_up:
            fcntl.ioctl(any_socket, set_flags, struct.pack("16sh", b"lo", flags | is_up) + bytes(14))
