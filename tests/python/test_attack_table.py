"""One table of attacks against every shape of the guard, with the same answers expected of each."""

import re
import time

import pytest

from support.api import ITEMS, ApiClient, body_of, free_origin, sha256_hex
from support.attacks import FORWARDED, TABLE
from support.axum_api import AxumApi
from support.client import Client
from support.fastapi_api import FastApi
from support.keys import Key
from support.proxies import CaddyApi, NginxApi
from support.server import PATIENCE, Server, close_clients

SHAPES = {"axum": AxumApi, "fastapi": FastApi, "nginx": NginxApi, "caddy": CaddyApi}
"""Every way to put the guard in front of an API."""

LAG = 10
"""Seconds until a revocation is known everywhere, as the documentation promises."""

AN_HOUR_AGO = {
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
    "FAKETIME": "-3600",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
"""The environment in which a process takes the time of day for an hour less (Debian's package `libfaketime`)."""


@pytest.fixture(scope="module", params=SHAPES)
def api(request, tmp_path_factory):
    """An API behind the guard, whose server has issued a token that is over by now."""
    origin = free_origin()
    issuer = Server(tmp_path_factory.mktemp("issuer"), *SHAPES[request.param].serve_options(origin))
    late = token_of_an_hour_ago(issuer, origin)
    running = SHAPES[request.param](origin, issuer.start())
    running.late = late
    try:
        yield running.start()
    finally:
        running.stop()
        issuer.kill()


def token_of_an_hour_ago(issuer, origin):
    """An account with a token for the API that is over: the server ran an hour ago for as long as a login takes."""
    settings, issuer.settings = issuer.settings, issuer.settings | AN_HOUR_AGO
    issuer.start()
    then = int(time.time()) - 3600
    account = Client(issuer)
    registered = account.registration(proofs=[account.registration_proof(claims={"iat": then})])
    assert registered.status_code == 201, registered.text
    assertion = account.assertion(claims={"iat": then, "exp": then + 60})
    proof = account.token_proof(claims={"iat": then})
    response = account.token_request(assertion, [proof], {"resource": origin})
    assert response.status_code == 200, response.text
    account.token = response.json()["access_token"]
    issuer.stop()
    issuer.settings = settings
    return account


@pytest.fixture
def client(api):
    """An account that is logged in."""
    return ApiClient(api).log_in()


@pytest.fixture
def thief(api):
    """Another account, with a key and a token of its own."""
    return ApiClient(api).log_in()


@pytest.fixture(scope="module")
def settled(api):
    """Right after its start an API cannot tell which self-signed JWTs it saw before; this waits until it can."""
    client = ApiClient(api)
    deadline = time.monotonic() + PATIENCE
    while client.bearer(client.self_signed()).status_code != 200:
        assert time.monotonic() < deadline, "the API accepts no self-signed JWT"
    close_clients()


def challenges(response):
    """The challenges of an answer, by scheme, with their parameters."""
    found = {}
    for value in response.headers.get_list("www-authenticate"):
        for scheme, parameters in re.findall(r'(?:^|, )(\w+)((?: \w+="[^"]*",?)*)', value):
            found[scheme.lower()] = dict(re.findall(r'(\w+)="([^"]*)"', parameters))
    return found


def assert_accepted(response):
    assert response.status_code == 200, response.text
    assert response.headers["dpop-nonce"]


@pytest.mark.parametrize("attack", TABLE, ids=str)
def test_an_attack_is_refused_and_harms_nobody(settled, client, thief, attack):
    assert_accepted(client.call())
    response = attack.send(client, thief)
    assert response.status_code == attack.status, response.text
    challenge = challenges(response)[attack.scheme.lower()]
    assert challenge.get("error") == attack.error, response.headers
    assert response.headers["dpop-nonce"], "the refusal brings a nonce for the next try"
    assert_accepted(client.call())


def test_what_is_open_needs_nothing(client):
    assert client.send("GET", "/open", {}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_an_honest_client_is_served_by_any_method(client, method):
    assert_accepted(client.call(method))


def test_forged_headers_do_not_hinder_an_honest_client(client):
    response = client.send("GET", ITEMS, [*client.headers(client.proof()), *FORWARDED.items()])
    assert_accepted(response)
    assert response.json()["account_id"] == client.account.account_id


def test_a_body_is_accepted_only_with_its_hash_where_bodies_are_seen(settled, client):
    body = body_of({"pay": 1})
    token = client.self_signed({"tha": sha256_hex(body)})
    response = client.bearer(token, "POST", content=body)
    assert response.status_code == (200 if client.api.reads_bodies else 401), response.text


def test_a_revoked_key_is_refused_within_the_lag(api):
    revoked = ApiClient(api).log_in()
    assert_accepted(revoked.call())
    successor = Key.generate()
    account = revoked.account
    account.log_in()
    assert account.add_key(successor).status_code == 201
    response = account.call("DELETE", f"/v1/keys/{account.key.thumbprint}")
    assert response.status_code == 204, response.text
    deadline = time.monotonic() + LAG
    while (response := revoked.call()).status_code == 200:
        assert time.monotonic() < deadline, "a revoked key is still accepted"
    assert response.status_code == 401
    assert challenges(response)["dpop"]["error"] == "invalid_token"


def test_it_goes_on_or_fails_closed_while_the_server_is_away(api, client):
    assert_accepted(client.call())
    api.issuer.kill()
    try:
        response = client.call()
        if api.offline:
            assert_accepted(response)
        else:
            assert response.status_code >= 500, response.text
    finally:
        api.issuer.start()
    client.nonce = None
    assert_accepted(client.call())
