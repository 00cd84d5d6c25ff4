"""Back into an account with a one-time code of an administrator, from docs/http-api.md."""

import hashlib
import json

import pytest

from support import dpop
from support.client import Client
from support.keys import Key


def code_for(client, *options):
    return client.server.admin("invite", client.username, "--recover", *options).strip()


def recovery(client, key, code, *, path=None, **claims):
    """Brings the code and a new key to the account; `claims` change what an honest proof would say."""
    path = path or f"/v1/accounts/{client.username}/recover"
    body = json.dumps({"code": code, "public_key": key.jwk, "label": "new"}).encode()
    honest = {"tha": hashlib.sha256(body).hexdigest()}
    proof = dpop.proof(key, "POST", client.url(path), claims=honest | claims)
    headers = {"Content-Type": "application/json", "DPoP": proof}
    return client.http.post(path, content=body, headers=headers)


def problem(response):
    return response.json()["type"].rsplit("/", 1)[-1]


@pytest.fixture
def client(server):
    return Client(server).register()


def test_a_new_key_gets_into_the_account_once(client):
    code, key = code_for(client), Key.generate("Ed25519")
    answer = recovery(client, key, code)
    assert answer.status_code == 201, answer.text
    assert answer.json() == {
        "account_id": client.account_id,
        "username": client.username,
        "thumbprint": key.thumbprint,
        "revoked_keys": [],
    }
    back = Client(client.server, key, client.username)
    back.log_in()
    assert back.call().json()["account_id"] == client.account_id
    again = recovery(client, Key.generate(), code)
    assert (again.status_code, problem(again)) == (403, "recovery-code")


def test_the_id_of_the_account_names_it_too(client):
    path = f"/v1/accounts/{client.account_id}/recover"
    assert recovery(client, Key.generate(), code_for(client), path=path).status_code == 201


def test_the_others_are_revoked_where_the_code_says_so(client):
    client.log_in()
    assert client.call().status_code == 200
    answer = recovery(client, Key.generate(), code_for(client, "--revoke-others"))
    assert answer.json()["revoked_keys"] == [client.key.thumbprint]
    assert client.call().status_code == 401


@pytest.mark.parametrize("claims", [{"tha": None}, {"tha": "0" * 64}, {"htm": "PUT"}, {"jti": None}], ids=str)
def test_the_new_key_proves_itself_for_this_request(client, claims):
    code, key = code_for(client), Key.generate()
    answer = recovery(client, key, code, **claims)
    assert (answer.status_code, problem(answer)) == (400, "invalid-proof")
    assert recovery(client, key, code).status_code == 201, "the code was not used up"


def test_a_proof_for_another_account_is_none_for_this_one(client):
    other = Client(client.server).register()
    code, key = code_for(client), Key.generate()
    answer = recovery(client, key, code, htu=client.url(f"/v1/accounts/{other.username}/recover"))
    assert (answer.status_code, problem(answer)) == (400, "invalid-proof")


def test_a_code_is_for_one_account_and_every_wrong_one_gets_the_same_answer(client):
    other = Client(client.server).register()
    code = code_for(client)
    answers = [
        recovery(other, Key.generate(), code),
        recovery(client, Key.generate(), "csr_" + "A" * 27),
        recovery(client, Key.generate(), ""),
        recovery(client, Key.generate(), code, path="/v1/accounts/nobody-at-all/recover"),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert problem(answers[0]) == "recovery-code"


def test_a_key_of_another_account_stays_there(client):
    other = Client(client.server).register()
    answer = recovery(client, other.key, code_for(client))
    assert (answer.status_code, problem(answer)) == (409, "key-taken")
    other.log_in()
