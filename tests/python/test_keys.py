"""/v1/keys: one key per device; adding needs both keys, revoking takes effect at once."""

import hashlib
import json
import time
import uuid

import pytest

from support import dpop
from support.client import Client
from support.keys import Key


@pytest.fixture
def second(logged_in):
    """The same account on a second device, logged in with the device's own key."""
    device = Client(logged_in.server, Key.generate("Ed25519"), logged_in.username)
    response = logged_in.add_key(device.key, label="second device")
    assert response.status_code == 201, response.text
    device.account_id = logged_in.account_id
    device.log_in()
    return device


def thumbprints(client):
    response = client.call("GET", "/v1/keys")
    assert response.status_code == 200, response.text
    return [key["thumbprint"] for key in response.json()["keys"] if not key.get("revoked_at")]


def revoke(client, thumbprint):
    return client.call("DELETE", f"/v1/keys/{thumbprint}")


def published(client):
    response = client.http.get(f"/v1/accounts/{client.username}/jwks.json")
    assert response.status_code == 200, response.text
    return response.json()["keys"]


def test_the_first_key_is_listed(logged_in):
    assert thumbprints(logged_in) == [logged_in.key.thumbprint]


@pytest.mark.parametrize("kind", ["RSA-2048", "P-256", "P-384", "Ed25519"])
def test_a_key_of_any_kind_can_be_added_and_logs_in(logged_in, kind):
    device = Client(logged_in.server, Key.generate(kind), logged_in.username)
    assert logged_in.add_key(device.key).status_code == 201
    device.log_in()
    principal = device.call().json()
    assert principal["account_id"] == logged_in.account_id
    assert principal["thumbprint"] == device.key.thumbprint


def test_both_keys_are_listed(logged_in, second):
    expected = {logged_in.key.thumbprint, second.key.thumbprint}
    assert set(thumbprints(logged_in)) == set(thumbprints(second)) == expected


def test_a_label_comes_back(logged_in, second):
    keys = second.call("GET", "/v1/keys").json()["keys"]
    assert [key["label"] for key in keys if key["thumbprint"] == second.key.thumbprint] == ["second device"]


def test_the_new_key_must_prove_itself(logged_in):
    response = logged_in.call("POST", "/v1/keys", json={"public_key": Key.generate().jwk})
    assert response.status_code in (400, 422)


def test_the_proof_must_be_by_the_new_key(logged_in):
    foreign = logged_in.new_key_proof(Key.generate())
    response = logged_in.call("POST", "/v1/keys", json={"public_key": Key.generate().jwk, "new_key_proof": foreign})
    assert response.status_code == 400
    assert thumbprints(logged_in) == [logged_in.key.thumbprint]


@pytest.mark.parametrize(
    "claims",
    [
        {"htu": "https://elsewhere.example/v1/keys"},
        {"htm": "GET"},
        {"iat": int(time.time()) - 3600},
        {"jti": None},
        {"sub": None},
        {"sub": "somebody-else"},
    ],
    ids=str,
)
def test_the_proof_of_the_new_key_must_be_for_this_request(logged_in, claims):
    new_key = Key.generate()
    proof = logged_in.new_key_proof(new_key, **claims)
    response = logged_in.call("POST", "/v1/keys", json={"public_key": new_key.jwk, "new_key_proof": proof})
    assert response.status_code == 400


def test_the_proof_of_the_new_key_works_once(logged_in):
    new_key = Key.generate()
    proof = logged_in.new_key_proof(new_key)
    body = {"public_key": new_key.jwk, "new_key_proof": proof}
    assert logged_in.call("POST", "/v1/keys", json=body).status_code == 201
    assert revoke(logged_in, new_key.thumbprint).status_code == 204
    assert logged_in.call("POST", "/v1/keys", json=body).status_code in (400, 409)
    assert new_key.thumbprint not in thumbprints(logged_in)


def addition(client, new_key, **members):
    return {
        "public_key": new_key.jwk,
        "new_key_proof": client.new_key_proof(new_key),
    } | members


def approval(client, new_key, **claims):
    """The words of a live key of the account that lets the new key in."""
    header = {"typ": "key-approval+jwt", "alg": client.key.alg, "kid": client.key.thumbprint}
    honest = {
        "aud": client.issuer,
        "new_key": new_key.thumbprint,
        "exp": int(time.time()) + 60,
        "jti": str(uuid.uuid4()),
    }
    return client.key.jws(header, honest | claims)


def uncovered(client, method, path, body):
    """A request whose proof says nothing of its body."""
    headers = client.authorization(client.resource_proof(method, path))
    return client.resource_request(method, path, headers, json=body)


def lacks(response, lack):
    assert response.status_code == 403, response.text
    assert response.json()["type"] == "https://github.com/countersign/countersign/problems/step-up-needed"
    assert response.json()["lack"] == lack
    assert dpop.challenge(response)["error"] == "insufficient_user_authentication"


def test_the_proof_must_cover_the_body(logged_in):
    new_key = Key.generate()
    lacks(uncovered(logged_in, "POST", "/v1/keys", addition(logged_in, new_key)), "body-unsigned")
    body = json.dumps(addition(logged_in, new_key)).encode()
    proof = logged_in.resource_proof("POST", "/v1/keys", claims={"tha": hashlib.sha256(b"{}").hexdigest()})
    headers = [*logged_in.authorization(proof), ("Content-Type", "application/json")]
    lacks(logged_in.resource_request("POST", "/v1/keys", headers, content=body), "other-body")
    assert thumbprints(logged_in) == [logged_in.key.thumbprint]


def test_an_approval_stands_in_for_the_hash_of_the_body(logged_in):
    new_key, other = Key.generate(), Key.generate()
    good = approval(logged_in, new_key)
    body = addition(logged_in, other, approval=good)
    assert uncovered(logged_in, "POST", "/v1/keys", body).status_code == 400
    body = addition(logged_in, new_key, approval=good)
    assert uncovered(logged_in, "POST", "/v1/keys", body).status_code == 201
    elsewhere = approval(logged_in, other, aud="https://elsewhere.example")
    body = addition(logged_in, other, approval=elsewhere)
    assert uncovered(logged_in, "POST", "/v1/keys", body).status_code == 400


def test_a_session_key_changes_no_keys(logged_in, second):
    second.log_in(Key.generate())
    lacks(second.add_key(Key.generate()), "session-key")
    lacks(revoke(second, logged_in.key.thumbprint), "session-key")
    path = f"/v1/keys/{logged_in.key.thumbprint}"
    lacks(second.call("PATCH", path, json={"label": "mine"}), "session-key")
    assert logged_in.call().status_code == 200


def test_a_key_is_renamed(logged_in):
    path = f"/v1/keys/{logged_in.key.thumbprint}"
    lacks(uncovered(logged_in, "PATCH", path, {"label": "mine"}), "body-unsigned")
    response = logged_in.call("PATCH", path, json={"label": "old laptop"})
    assert response.status_code == 200, response.text
    assert logged_in.call("GET", "/v1/keys").json()["keys"] == [response.json()]
    assert response.json()["label"] == "old laptop"
    assert "key.renamed" in logged_in.call("GET", "/v1/events").text


def test_the_owner_sees_which_key_added_which(logged_in, second):
    third = Key.generate()
    assert second.add_key(third).status_code == 201
    keys = logged_in.call("GET", "/v1/keys").json()["keys"]
    adders = {key["thumbprint"]: key["added_by"] for key in keys}
    assert adders == {
        logged_in.key.thumbprint: None,
        second.key.thumbprint: logged_in.key.thumbprint,
        third.thumbprint: second.key.thumbprint,
    }
    path = f"/v1/keys/{second.key.thumbprint}"
    response = logged_in.call("DELETE", path, headers=[("Prefer", "return=representation")])
    assert response.status_code == 200, response.text
    assert [key["thumbprint"] for key in response.json()["added_keys"]] == [third.thumbprint]


def test_a_key_cannot_be_added_twice(logged_in, second):
    assert logged_in.add_key(second.key).status_code == 409


def test_a_revoked_key_and_its_tokens_are_dead_at_once(logged_in, second):
    assert second.call().status_code == 200
    assert revoke(logged_in, second.key.thumbprint).status_code == 204
    response = second.call()
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_token"
    login = second.token_request(second.assertion(), [second.token_proof()])
    assert login.status_code == 400
    assert login.json()["error"] == "invalid_grant"
    assert thumbprints(logged_in) == [logged_in.key.thumbprint]


def test_revoking_a_key_kills_the_tokens_of_its_session_keys(logged_in, second):
    second.log_in(Key.generate())
    assert second.call().status_code == 200
    assert revoke(logged_in, second.key.thumbprint).status_code == 204
    assert second.call().status_code == 401


def test_revoking_one_key_leaves_the_other(logged_in, second):
    assert revoke(second, logged_in.key.thumbprint).status_code == 204
    assert second.call().status_code == 200
    assert logged_in.call().status_code == 401


def test_a_key_can_revoke_itself_while_another_lives(logged_in, second):
    assert revoke(second, second.key.thumbprint).status_code == 204
    assert second.call().status_code == 401
    assert logged_in.call().status_code == 200


def test_the_last_key_cannot_revoke_itself(logged_in):
    response = revoke(logged_in, logged_in.key.thumbprint)
    assert response.status_code == 409
    assert response.headers["content-type"].startswith("application/problem+json")
    assert logged_in.call().status_code == 200


def test_the_last_key_stays_after_others_were_revoked(logged_in, second):
    assert revoke(logged_in, second.key.thumbprint).status_code == 204
    assert revoke(logged_in, logged_in.key.thumbprint).status_code == 409


def test_nobody_revokes_the_key_of_another(logged_in, other):
    assert revoke(logged_in, other.key.thumbprint).status_code == 404
    assert other.call().status_code == 200


@pytest.mark.parametrize("thumbprint", ["x", "A" * 43, "%00", "..%2F..", "A" * 300])
def test_an_unknown_thumbprint_is_not_found(logged_in, thumbprint):
    assert revoke(logged_in, thumbprint).status_code in (400, 404)


def test_the_public_keys_of_an_account_are_published(logged_in, second):
    keys = published(logged_in)
    assert {key["x"] for key in keys} == {logged_in.key.jwk["x"], second.key.jwk["x"]}
    assert not any("d" in key for key in keys)
    assert revoke(logged_in, second.key.thumbprint).status_code == 204
    assert {key["x"] for key in published(logged_in)} == {logged_in.key.jwk["x"]}


def test_an_unknown_account_publishes_nothing(client):
    assert client.http.get("/v1/accounts/nobody-of-this-name/jwks.json").status_code == 404


def test_the_trail_says_which_key_did_what(logged_in, second):
    assert revoke(logged_in, second.key.thumbprint).status_code == 204
    response = logged_in.call("GET", "/v1/events")
    assert response.status_code == 200, response.text
    assert logged_in.key.thumbprint in response.text
    assert second.key.thumbprint in response.text


def test_the_trail_of_another_stays_hidden(logged_in, other):
    assert other.key.thumbprint not in logged_in.call("GET", "/v1/events").text
