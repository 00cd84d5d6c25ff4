"""One client network that uses up its whole share of something finite leaves everybody else theirs.

Loopback addresses stand for client networks: each IPv4 address is one. Rate limits are off, so that shares alone protect
the others, and most numbers are smaller than by default, so that a share is used up in seconds. `SHARES_HONEST=1000` sends
so many honest requests for each thing instead of the few that fit into a test run, and `SHARES_ALL=1` adds what keeps
both cores busy for minutes: passwords and key pairs, by themselves and among all things at once.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import time
from functools import partial

import httpx
import pytest

from support.client import Client, new_name
from support.keys import Key
from support.server import Server, clean_environment
from support.strangers import Strangers

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
    "COUNTERSIGN_TOKENS_LIFETIME": "7200",  # longer than the longest run
}


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("shares"), **SETTINGS).start()
    yield running
    assert running.stop() == 0, running.output


def http_from(origin, address):
    """An HTTP client that connects from `address`, anew for every request."""
    limits = httpx.Limits(max_keepalive_connections=0)
    # Without TLS there are no certificates to read, which costs more than the request.
    transport = httpx.HTTPTransport(local_address=address, limits=limits, verify=False)
    return httpx.Client(base_url=origin, transport=transport, trust_env=False, timeout=30)


_networks = itertools.count(1)


def honest_address():
    """The address of a client network that nobody has used, or not for a while."""
    number = next(_networks)
    return f"127.{1 + number // 250 % 5}.{number // 1250 % 250}.{1 + number % 250}"


# --- what the stranger does ---


def hold(origin, stranger, request, until):
    """Sends `request` on a connection and keeps it open; gives back 429 when it is refused, and otherwise waits a while."""
    host, port = origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10, source_address=(stranger, 0)) as connection:
        connection.sendall(request)
        connection.settimeout(until)
        try:
            answer = connection.recv(100)
        except TimeoutError:
            return 200
        return 429 if b" 429 " in answer or not answer else 200


def idle_connections(server, stranger):
    return Strangers(partial(hold, server.origin, stranger, b"GET /healthz HTTP/1.1\r\n", 2), 40)


def bodies_that_never_come(server, stranger):
    head = b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    return Strangers(partial(hold, server.origin, stranger, head, 2), 20)


@contextlib.contextmanager
def used_proofs(server, stranger):
    """One network with three accounts, which has made requests until it was refused."""
    clients = [Client(server).register() for _ in range(3)]
    for client in clients:
        client.log_in()
        client.http = http_from(server.origin, stranger)
    statuses = [clients[number % 3].call().status_code for number in range(450)]
    assert statuses.count(200) == 400 and set(statuses[400:]) == {429}, statuses
    yield


@contextlib.contextmanager
def sessions(server, stranger):
    with http_from(server.origin, stranger) as http:
        statuses = [http.post("/login", json={"user_id": "nobody"}).status_code for _ in range(200)]
        assert statuses.count(200) == 160 and set(statuses[160:]) == {429}, statuses
        yield


def guess(origin, stranger):
    with http_from(origin, stranger) as http:
        return http.post("/auth", json={"username": "nobody", "password": "wrong"}).status_code


def passwords(server, stranger):
    return Strangers(partial(guess, server.origin, stranger), 16)


def register_for_a_password(origin, stranger):
    name = new_name()
    with http_from(origin, stranger) as http:
        return http.post("/register", json={"username": name, "email": f"{name}@x.example"}).status_code


def password_registrations(server, stranger):
    return Strangers(partial(register_for_a_password, server.origin, stranger), 16)


def register_for_a_key_pair(origin, address):
    body = {"username": new_name(), "clientSidePublicKey": Key.generate().spki_base64}
    with http_from(origin, address) as http:
        return http.post("/register", json=body).status_code


def key_pairs(server, stranger):
    return Strangers(partial(register_for_a_key_pair, server.origin, stranger), 16)


# --- what honest people do ---


def reads(server):
    def read():
        with http_from(server.origin, honest_address()) as http:
            return http.get("/.well-known/jwks.json").status_code == 200

    return read


def sends_a_body(server):
    def send():
        with http_from(server.origin, honest_address()) as http:
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
        client.http = http_from(server.origin, honest_address())
        with client.http:
            # A client repeats, with the nonce that it was given, what came with one that was too old.
            return 200 in (client.call().status_code for _ in range(2))

    return call


def opens_a_session(server):
    def open_session():
        with http_from(server.origin, honest_address()) as http:
            return http.post("/login", json={"user_id": "alice"}).status_code == 200

    return open_session


def brings_a_password(server):
    name = new_name()
    answer = server.http().post("/register", json={"username": name, "email": f"{name}@x.example"})
    credentials = {"username": name, "password": answer.json()["password"]}

    def log_in():
        with http_from(server.origin, honest_address()) as http:
            return http.post("/auth", json=credentials).status_code == 200

    return log_in


def wants_a_key_pair(server):
    return lambda: register_for_a_key_pair(server.origin, honest_address()) == 200


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


def is_answered_rightly(attempt):
    try:
        return attempt()
    except httpx.HTTPError:
        return False


def assert_answered_rightly(attempts, count):
    """Makes `count` attempts, in turn; `pytest -rP` shows how many were answered rightly and what the slowest took."""
    right, slowest, begin = 0, 0, time.monotonic()
    for attempt in itertools.islice(itertools.cycle(attempts), count):
        start = time.monotonic()
        right += is_answered_rightly(attempt)
        slowest = max(slowest, time.monotonic() - start)
    took = time.monotonic() - begin
    print(f"{right} of {count} were answered rightly in {took:.1f} s, the slowest in {slowest:.2f} s")
    assert right >= count * 0.95, f"{right} of {count}"


@pytest.mark.parametrize("thing", THINGS)
def test_one_network_with_its_whole_share_leaves_the_others_theirs(scaled, thing):
    use_up, honest, few = THINGS[thing]
    attempt = honest(scaled)
    with use_up(scaled, STRANGER.format(list(THINGS).index(thing))):
        assert_answered_rightly([attempt], HONEST or few)


def test_whole_shares_of_everything_at_once_leave_the_others_theirs(scaled):
    # One network for each thing, because without a connection nothing else can be used up.
    attempts = [honest(scaled) for _, honest, _ in THINGS.values()]
    with contextlib.ExitStack() as used_up:
        for number, (use_up, _, _) in enumerate(THINGS.values()):
            used_up.enter_context(use_up(scaled, STRANGER.format(100 + number)))
        assert_answered_rightly(attempts, HONEST or 10 * len(THINGS))


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
