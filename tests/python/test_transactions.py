"""`examples/transactions`: an API that takes what gradecoin's clients sign, with the guard in front of it."""

import hashlib
import json
import time

import jwt as pyjwt
import pytest

from support.api import free_origin
from support.client import Client
from support.gradecoin import SHAPES, OriginalClient
from support.houses import house
from support.server import PATIENCE, http_client
from support.transactions_api import TransactionsInPython, TransactionsInRust

PATH = "/transaction"
APIS = {"rust": TransactionsInRust, "python": TransactionsInPython}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    running = house(tmp_path_factory.mktemp("issuer")).start()
    yield running
    running.kill()


@pytest.fixture(scope="module", params=APIS)
def api(request, issuer):
    """One of the two, from the moment on at which it takes what is signed then."""
    running = APIS[request.param](free_origin(), issuer)
    try:
        running.start()
        client = OriginalClient(issuer)
        assert client.register().status_code == 201
        deadline = time.monotonic() + PATIENCE
        while client.pay(http_client(running.origin), PATH).status_code != 201:
            assert time.monotonic() < deadline, "the API accepts no transaction"
        yield running
    finally:
        running.stop()


@pytest.fixture
def http(api):
    return http_client(api.origin)


@pytest.fixture
def payer(issuer):
    client = OriginalClient(issuer)
    assert client.register().status_code == 201
    return client


def refused(response, because, status=401):
    assert response.status_code == status, response.text
    assert response.json().keys() == {"res", "message"}
    assert response.json()["res"] == "Error"
    assert because in response.json()["message"], response.text


def send(http, payer, body, **claims):
    """Sends `body` with a JWT over these claims; None leaves one out."""
    now = int(time.time())
    claims = {"tha": hashlib.sha256(body).hexdigest(), "iat": now, "exp": now + 60} | claims
    claims = {name: value for name, value in claims.items() if value is not None}
    token = pyjwt.encode(claims, payer.private, algorithm="RS256")
    return http.post(PATH, content=body, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_of_the_originals_clients_pays(issuer, http, shape):
    client = OriginalClient(issuer, **shape)
    assert client.register().status_code == 201
    response = client.pay(http, PATH, amount=7)
    assert (response.status_code, response.json()) == (201, {"res": "Success", "message": "Transaction accepted"})
    assert client.fingerprint in [transaction["source"] for transaction in http.get(PATH).json()]


def test_a_transaction_counts_once(http, payer):
    body = json.dumps(payer.transaction()).encode()
    now = int(time.time())
    assert send(http, payer, body, iat=now, exp=now + 60).status_code == 201
    refused(send(http, payer, body, iat=now, exp=now + 60), "used before")
    paid = [transaction for transaction in http.get(PATH).json() if transaction["source"] == payer.fingerprint]
    assert len(paid) == 1


def test_nobody_pays_from_the_account_of_another(issuer, http, payer):
    thief = OriginalClient(issuer)
    assert thief.register().status_code == 201
    theirs = json.dumps(payer.transaction()).encode()
    refused(send(http, thief, theirs), "no live key of the named account")
    for name in [thief.id, thief.fingerprint]:
        refused(send(http, thief, theirs, sub=name), "source")
    for source in [b"{}", b"[]", b"", b'{"source":"%s","source":"%s"}' % (thief.id.encode(), payer.id.encode())]:
        refused(send(http, thief, source, sub=thief.id), "source")
    assert send(http, payer, theirs, sub=payer.id).status_code == 201


def test_a_body_must_be_covered_as_it_is(http, payer):
    body = json.dumps(payer.transaction()).encode()
    refused(send(http, payer, body, tha=None, sub=payer.id), "tha")
    refused(send(http, payer, body, tha=hashlib.sha256(b"{}").hexdigest()), "tha")
    refused(http.post(PATH, content=body), "authentication is needed")


def test_an_audience_that_is_there_must_be_this_api(api, http, payer):
    body = json.dumps(payer.transaction()).encode()
    refused(send(http, payer, body, aud="https://other.example"), "aud")
    assert send(http, payer, body, aud=api.origin).status_code == 201


def test_md5_is_for_those_who_came_by_gradecoin(issuer, http):
    native = Client(issuer).register()
    body = json.dumps({"source": native.username, "target": "f" * 64, "amount": 1, "timestamp": "2022-04-20T08:00:00"})
    now = int(time.time())

    def sent(tha):
        claims = {"sub": native.username, "tha": tha, "iat": now, "exp": now + 60}
        token = pyjwt.encode(claims, native.key.private, algorithm=native.key.alg)
        return http.post(PATH, content=body, headers={"Authorization": f"Bearer {token}"})

    refused(sent(hashlib.md5(body.encode()).hexdigest()), "MD5")
    assert sent(hashlib.sha256(body.encode()).hexdigest()).status_code == 201


@pytest.mark.parametrize("change", [{"amount": 0}, {"amount": -1}, {"amount": "2"}, {"target": "nobody"}], ids=str)
def test_what_is_no_transaction_is_said_to_be_none(http, payer, change):
    refused(send(http, payer, json.dumps(payer.transaction() | change).encode()), "", status=400)
