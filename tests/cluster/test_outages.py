"""What cannot be known is refused, soon and in so many words, and all is well again by itself."""

import re
import signal
import time

import httpx
import pytest
from conftest import close_house, new_database, open_house
from house.postgres import Postgres
from house.processes import until
from house.writers import Writers, check
from support.client import Client

SOON = 2.5
"""Seconds that no request takes longer than."""


@pytest.fixture
def alone(tmp_path):
    """A database server of the test's own, and a house over it."""
    server = Postgres.primary()
    behind = open_house(tmp_path, new_database(server), "round-robin", COUNTERSIGN_CLUSTER_MAX_STALENESS="3")
    yield server, behind
    close_house(behind)
    server.remove()


def frozen(server):
    server.signal(signal.SIGSTOP)
    return lambda: server.signal(signal.SIGCONT)


def stopped(server):
    server.stop()
    return server.start


def killed(server):
    server.kill()
    return server.start


def read_only(server):
    server.query("ALTER SYSTEM SET default_transaction_read_only = on")
    server.query("SELECT pg_reload_conf()")

    def writable():
        statement = "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only"
        for part in statement.split("; ")[1:]:
            server.run(
                "psql", "-XqAt", "-h", "127.0.0.1", "-p", server.port, "-U", "postgres",
                "-c", "SET default_transaction_read_only = off", "-c", part, "-c", "SELECT pg_reload_conf()",
            )

    return writable


def without_connections(server):
    """Nobody gets a connection any more, and those of the nodes are cut."""
    names = server.query("SELECT datname FROM pg_database WHERE datname LIKE 'house%'").split()
    for name in names:
        server.query(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'house%'")

    def free():
        for name in names:
            server.query(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    return free


OUTAGES = [frozen, stopped, killed, read_only, without_connections]


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_answered_soon_and_is_over_by_itself(alone, outage):
    server, behind = alone
    door = behind.nodes[0].door()
    client = Client(door).register()
    client.log_in()
    mend = outage(server)
    try:
        for path, asked in (("registration", lambda: Client(door).registration()), ("login", lambda: log_in(client))):
            begun = time.monotonic()
            answer = asked()
            took = time.monotonic() - begun
            assert answer.status_code == 503, (path, answer.status_code, answer.text)
            assert "retry-after" in answer.headers
            assert took < SOON, f"{path} took {took:.1f} s"
    finally:
        mend()
    until("registrations", lambda: Client(door).registration().status_code == 201, 15)
    # Whoever looks four times a second says once that he fails, and once that he does not.
    node = behind.nodes[0]

    def watched():
        return [line for line in node.output.splitlines() if 'task="watch"' in line]

    until("the end of it in the log", lambda: not watched() or "works again" in watched()[-1])
    assert len(watched()) <= 4, watched()
    measured = httpx.get(f"http://{node.listen}/metrics", trust_env=False).text
    for operation in ("read", "write", "state", "reconnect"):
        (count,) = re.findall(rf'countersign_store_duration_seconds_count{{operation="{operation}"}} (\d+)', measured)
        assert int(count) > 0, operation
    until("logins", lambda: log_in(client).status_code == 200, 15)


def log_in(client):
    """One attempt, whatever the answer."""
    visitor = Client(client.server, client.key, client.username)
    bare = visitor.token_request(visitor.assertion(), [])
    return visitor.token_request(visitor.assertion(), [visitor.token_proof()]) if visitor.token_nonce else bare


def test_while_no_node_is_ready_what_needs_no_database_is_answered(alone):
    server, behind = alone
    mend = stopped(server)
    try:
        until("nobody to be ready", lambda: not any(node.is_ready() for node in behind.nodes), 15)
        deadline = time.monotonic() + 1
        with behind.door.http() as http:
            # The balancer has looked meanwhile.
            while time.monotonic() < deadline:
                assert http.get("/.well-known/jwks.json").status_code == 200
            answer = http.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
    finally:
        mend()


@pytest.fixture
def on_a_small_disk(tmp_path):
    """A database server whose disk the test may fill, and a house over it."""
    server = Postgres.on_a_small_disk()
    behind = open_house(tmp_path, new_database(server), "round-robin")
    yield server, behind
    close_house(behind)
    server.remove()


def test_a_full_disk_is_answered_soon_and_loses_nothing(on_a_small_disk):
    server, behind = on_a_small_disk
    writers = Writers(behind.door).start()
    until("enough writes", lambda: len(writers.revoked) > 10)
    server.fill_disk()
    full = time.monotonic()
    until("refusals", lambda: sum(moment > full for moment, _ in list(writers.failures)) > 20)
    refused = time.monotonic()
    server.make_room()
    until("writes", lambda: max(writers.successes) > refused, 15)
    until("more writes", lambda: sum(moment > refused for moment in list(writers.successes)) > 30)
    writers.stop()
    assert not [why for moment, why in writers.failures if moment > full and "503" not in why]
    assert writers.longest_since(full) < SOON
    check(behind, writers.accounts, writers.spent, writers.revoked)


def test_a_node_that_hears_nothing_refuses_after_the_bound_and_never_lets_in_who_was_revoked(alone):
    server, behind = alone
    client = Client(behind.nodes[0].door()).register()
    client.log_in()
    client.call()
    frozen_at = time.monotonic()
    mend = frozen(server)
    try:
        until("a refusal", lambda: client.call().status_code == 503, 10)
        assert time.monotonic() - frozen_at < 3 + SOON
    finally:
        mend()
    until("an answer", lambda: client.call().status_code == 200, 15)
