"""Servers that share a PostgreSQL database: what one of them has seen counts at the others."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.client import Client
from support.server import PATIENCE, Server

pytestmark = pytest.mark.postgres("a database in a file has one server")

BEHIND = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
    "FAKETIME": "-4",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
"""The environment in which a process takes the time of day for four seconds less (Debian's package `libfaketime`)."""


@pytest.fixture
def two(tmp_path):
    """Two servers with one name."""
    one = Server(tmp_path).start()
    other = beside(one)
    other.start()
    yield one, other
    for server in (one, other):
        if server.process.poll() is None:
            assert server.stop() == 0, server.output


def beside(server, **settings):
    """Another server of the same database, which is not started yet."""
    other = Server(server.data_directory, "--issuer", server.origin, **settings)
    assert other.database is server.database
    return other


def at(server, client):
    """From now on the client, who knows one name, comes to that server."""
    client.http = server.http()
    return client


def test_of_one_proof_at_both_servers_at_once_one_is_accepted(two):
    client = Client(two[0]).register()
    client.log_in()
    clients = [server.http() for server in two]
    for _ in range(10):
        headers = client.authorization(client.resource_proof())
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda n, sent=headers: clients[n % 2].get("/v1/whoami", headers=sent), range(8))
            statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [401] * 7


def test_a_nonce_of_one_server_is_good_at_the_other(two):
    client = Client(two[0]).register()
    assertion, proof = client.assertion(), client.token_proof()
    granted = at(two[1], client).token_request(assertion, [proof])
    assert granted.status_code == 200, granted.text
    client.token = granted.json()["access_token"]
    proof = client.resource_proof()
    assert at(two[0], client).resource_request("GET", "/v1/whoami", client.authorization(proof)).status_code == 200


def test_an_assertion_works_at_one_server(two):
    client = Client(two[0]).register()
    assertion = client.assertion()
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200
    again = at(two[1], client).token_request(assertion, [client.token_proof()])
    assert again.json()["error"] == "invalid_grant", again.text


def test_a_token_that_is_revoked_at_one_server_dies_at_the_other_within_a_second(two):
    client = Client(two[0]).register()
    client.log_in()
    assert at(two[1], client).call().status_code == 200
    revoked = at(two[0], client).http.post("/oauth/revoke", data={"token": client.token})
    assert revoked.status_code == 200
    revoked_at = time.monotonic()
    at(two[1], client)
    while client.call().status_code != 401:
        assert time.monotonic() < revoked_at + 1


def test_when_one_server_is_killed_the_other_goes_on_and_knows_everything(two):
    client = Client(two[0]).register()
    two[0].kill()
    at(two[1], client).log_in()
    assert client.call().status_code == 200


def test_a_server_whose_clock_is_far_off_is_not_ready_and_says_why(two):
    late = beside(two[0], **BEHIND)
    late.start()
    try:
        wait_until(lambda: httpx.get(late.origin + "/readyz", trust_env=False).status_code == 503)
        assert "the clocks of this machine and of the database differ too much" in late.output
        said = httpx.get(late.origin + "/metrics", trust_env=False).text
        (ahead,) = (line.split()[1] for line in said.splitlines() if line.startswith("countersign_clock_ahead"))
        assert -4500 < int(ahead) < -3500
        assert two[1].http().get("/readyz").status_code == 200
    finally:
        late.kill()


def wait_until(is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
