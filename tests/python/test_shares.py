"""One client network that uses up its whole share of something finite leaves everybody else theirs.

Loopback addresses stand for client networks: each IPv4 address is one. Rate limits are off, so that shares alone protect
the others, and most numbers are smaller than by default, so that a share is used up in seconds. `SHARES_HONEST=1000` sends
so many honest requests for each thing instead of the few that fit into a test run, and `SHARES_ALL=1` adds what keeps
both cores busy for minutes: passwords, key pairs, and all things at once.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import threading
import time

import httpx
import pytest

from support.client import Client, new_name
from support.keys import Key
from support.server import Server, clean_environment

STRANGER = "127.6.6.{}"
HONEST = int(os.environ.get("SHARES_HONEST", "0"))
ALL = "SHARES_ALL" in os.environ
SETTINGS = {
    "COUNTERSIGN_LIMITS_CONNECTIONS": "600",  # 30 each
    "COUNTERSIGN_LIMITS_UPLOADS": "200",  # 10 each
    "COUNTERSIGN_LIMITS_BODY_SECONDS": "20",
    "COUNTERSIGN_LIMITS_REPLAY_LOG_ENTRIES": "8000",  # 400 each
    "COUNTERSIGN_LIMITS_SESSIONS": "3200",  # 160 each
    "COUNTERSIGN_LIMITS_PASSWORD_QUEUE": "100",  # 5 each, besides those that are hashed
    "COUNTERSIGN_LIMITS_KEY_PAIR_QUEUE": "100",
    "COUNTERSIGN_DIALECTS_AUTH_RATE_LIMIT": "off",
}


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("shares"), **SETTINGS).start()
    yield running
    assert running.stop() == 0, running.output


def http_from(server, address):
    """An HTTP client that connects from `address`, anew for every request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.HTTPTransport(local_address=address, limits=limits)
    return httpx.Client(base_url=server.origin, transport=transport, trust_env=False, timeout=30)


_networks = itertools.count(1)


def honest_address():
    """The address of a client network that nobody has used, or not for a while."""
    number = next(_networks)
    return f"127.{1 + number // 250 % 5}.{number // 1250 % 250}.{1 + number % 250}"


class Threads:
    """Strangers that do something over and over, until the block ends."""

    def __init__(self, act, count):
        self.over = threading.Event()
        self.refused = 0
        self.threads = [threading.Thread(target=self._run, args=(act,), daemon=True) for _ in range(count)]

    def _run(self, act):
        while not self.over.is_set():
            with contextlib.suppress(httpx.HTTPError, OSError):
                self.refused += act() == 429

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        deadline = time.monotonic() + 30
        while not self.refused:
            assert time.monotonic() < deadline, "the share was never used up"
            threading.Event().wait(0.02)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


# --- what the stranger does ---


def endpoint(server):
    host, port = server.origin.removeprefix("http://").split(":")
    return host, int(port)


def hold(server, stranger, request, until):
    """Sends `request` on a connection and keeps it open; gives back 429 when it is refused, and otherwise waits a while."""
    with socket.create_connection(endpoint(server), timeout=10, source_address=(stranger, 0)) as connection:
        connection.sendall(request)
        connection.settimeout(until)
        try:
            answer = connection.recv(100)
        except TimeoutError:
            return 200
        return 429 if b" 429 " in answer or not answer else 200


def idle_connections(server, stranger):
    return Threads(lambda: hold(server, stranger, b"GET /healthz HTTP/1.1\r\n", 2), 40)


def bodies_that_never_come(server, stranger):
    head = b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    return Threads(lambda: hold(server, stranger, head, 2), 20)


@contextlib.contextmanager
def used_proofs(server, stranger):
    """One network with three accounts, which has made requests until it was refused."""
    clients = [Client(server).register() for _ in range(3)]
    for client in clients:
        client.log_in()
        client.http = http_from(server, stranger)
    statuses = [clients[number % 3].call().status_code for number in range(450)]
    assert statuses.count(200) == 400 and set(statuses[400:]) == {429}, statuses
    yield


@contextlib.contextmanager
def sessions(server, stranger):
    with http_from(server, stranger) as http:
        statuses = [http.post("/login", json={"user_id": "nobody"}).status_code for _ in range(200)]
        assert statuses.count(200) == 160 and set(statuses[160:]) == {429}, statuses
        yield


def passwords(server, stranger):
    def guess():
        with http_from(server, stranger) as http:
            return http.post("/auth", json={"username": "nobody", "password": "wrong"}).status_code

    return Threads(guess, 16)


def password_registrations(server, stranger):
    def register():
        with http_from(server, stranger) as http:
            name = new_name()
            return http.post("/register", json={"username": name, "email": f"{name}@x.example"}).status_code

    return Threads(register, 16)


def key_pairs(server, stranger):
    def register():
        body = {"username": new_name(), "clientSidePublicKey": Key.generate().spki_base64}
        with http_from(server, stranger) as http:
            return http.post("/register", json=body).status_code

    return Threads(register, 16)


# --- what honest people do ---


def reads(server):
    def read():
        with http_from(server, honest_address()) as http:
            return http.get("/.well-known/jwks.json").status_code == 200

    return read


def sends_a_body(server):
    def send():
        with http_from(server, honest_address()) as http:
            answer = http.post("/oauth/token", data={"grant_type": "none"})
            return answer.status_code == 400 and answer.json()["error"] == "unsupported_grant_type"

    return send


def calls_with_a_proof(server):
    clients = [Client(server).register() for _ in range(8)]
    for client in clients:
        client.log_in()
        client.resource_proof()
    turns = itertools.cycle(clients)

    def call():
        client = next(turns)
        client.http = http_from(server, honest_address())
        with client.http:
            return client.call().status_code == 200

    return call


def opens_a_session(server):
    def open_session():
        with http_from(server, honest_address()) as http:
            return http.post("/login", json={"user_id": "alice"}).status_code == 200

    return open_session


def brings_a_password(server):
    name = new_name()
    answer = server.http().post("/register", json={"username": name, "email": f"{name}@x.example"})
    credentials = {"username": name, "password": answer.json()["password"]}

    def log_in():
        with http_from(server, honest_address()) as http:
            return http.post("/auth", json=credentials).status_code == 200

    return log_in


def wants_a_key_pair(server):
    def register():
        body = {"username": new_name(), "clientSidePublicKey": Key.generate().spki_base64}
        with http_from(server, honest_address()) as http:
            return http.post("/register", json=body).status_code == 200

    return register


THINGS = {
    "connections": (idle_connections, reads, 100),
    "uploads": (bodies_that_never_come, sends_a_body, 100),
    "replay log": (used_proofs, calls_with_a_proof, 100),
    "sessions": (sessions, opens_a_session, 100),
}
if ALL:
    THINGS |= {
        "passwords": (passwords, brings_a_password, 10),
        "registrations with a password": (password_registrations, brings_a_password, 10),
        "key pairs": (key_pairs, wants_a_key_pair, 10),
    }


def answered_rightly(attempt):
    try:
        return attempt()
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("thing", THINGS)
def test_one_network_with_its_whole_share_leaves_the_others_theirs(scaled, thing):
    use_up, honest, few = THINGS[thing]
    attempt, count = honest(scaled), HONEST or few
    with use_up(scaled, STRANGER.format(list(THINGS).index(thing))):
        right = sum(answered_rightly(attempt) for _ in range(count))
    assert right >= count * 0.95, f"{right} of {count}"


def test_whole_shares_of_everything_at_once_leave_the_others_theirs(scaled):
    # One network for each thing, because without a connection nothing else can be used up.
    attempts = [honest(scaled) for _, honest, _ in THINGS.values()]
    count = HONEST or 10 * len(THINGS)
    with contextlib.ExitStack() as used_up:
        for number, (use_up, _, _) in enumerate(THINGS.values()):
            used_up.enter_context(use_up(scaled, STRANGER.format(100 + number)))
        right = sum(answered_rightly(attempts[number % len(attempts)]) for number in range(count))
    assert right >= count * 0.95, f"{right} of {count}"


def test_a_small_address_space_lowers_the_number_of_hashers_before_the_first_password(tmp_path):
    command = [Server(tmp_path).binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path)]
    limited = ["sh", "-c", "ulimit -v 4000000; exec \"$@\"", "sh", *command]
    environment = clean_environment(COUNTERSIGN_LIMITS_PASSWORD_HASHERS="1000")
    process = subprocess.Popen(limited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "listening on" in line:
                break
        assert any("hash so many passwords" in line for line in said), said
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
