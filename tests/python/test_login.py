"""POST /oauth/token: a signed assertion becomes an access token that is bound to a key."""

import jwt
import pytest

from support.client import Client
from support.keys import Key

ALGORITHMS = {
    "RS256": "RSA-2048",
    "PS256": "RSA-2048",
    "ES256": "P-256",
    "ES384": "P-384",
    "EdDSA": "Ed25519",
}


def verified(client, token):
    """The token's header and claims, verified by PyJWT with nothing but the published keys."""
    keys = jwt.PyJWKClient(client.url("/.well-known/jwks.json"))
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token),
        algorithms=["ES256"],
        audience=client.issuer,
        issuer=client.issuer,
        options={"require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
    )
    return header, claims


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_logs_in_and_calls(server, alg):
    client = Client(server, Key.generate(ALGORITHMS[alg])).register()
    client.log_in(alg=alg)
    proof = client.resource_proof(alg=alg)
    response = client.resource_request("GET", "/v1/whoami", client.authorization(proof))
    assert response.status_code == 200, response.text
    principal = response.json()
    assert principal["account_id"] == client.account_id
    assert principal["username"] == client.username
    assert principal["thumbprint"] == client.key.thumbprint


def test_the_answer_is_a_dpop_token_that_nobody_caches(client):
    response = client.token_request(client.assertion(), [client.token_proof()])
    assert response.status_code == 200
    answer = response.json()
    assert answer["token_type"] == "DPoP"
    assert 0 < answer["expires_in"] <= 24 * 3600
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("application/json")


def test_the_token_is_an_rfc_9068_access_token_bound_to_the_key(logged_in):
    header, claims = verified(logged_in, logged_in.token)
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "ES256"
    assert header["kid"]
    assert claims["cnf"] == {"jkt": logged_in.key.thumbprint}
    assert claims["client_id"] == logged_in.key.thumbprint
    assert claims["sub"] == logged_in.account_id
    assert claims["preferred_username"] == logged_in.username
    assert claims["iat"] < claims["exp"]


def test_every_token_has_an_id_of_its_own(client):
    ids = {verified(client, client.log_in()["access_token"])[1]["jti"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("name_of", ["username", "account_id"])
def test_the_account_is_named_by_username_or_id(client, name_of):
    name = getattr(client, name_of)
    assertion = client.assertion(claims={"iss": name, "sub": name})
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200


@pytest.mark.parametrize("audience", ["issuer", "token endpoint"])
def test_the_audience_is_the_issuer_or_the_token_endpoint(client, audience):
    aud = {"issuer": client.issuer, "token endpoint": client.url("/oauth/token")}[audience]
    assertion = client.assertion(claims={"aud": aud})
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200


def test_kid_and_iat_and_typ_are_optional(client):
    assertion = client.assertion(header={"kid": None, "typ": None}, claims={"iat": None})
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200


def test_a_session_key_that_the_assertion_names_gets_the_token(client):
    session_key = Key.generate("Ed25519")
    client.log_in(session_key)
    _, claims = verified(client, client.token)
    assert claims["cnf"] == {"jkt": session_key.thumbprint}
    assert claims["client_id"] == client.key.thumbprint
    response = client.call()
    assert response.status_code == 200
    assert response.json()["thumbprint"] == session_key.thumbprint
    assert response.json()["credential"] == client.key.thumbprint


def test_a_token_of_a_session_key_is_useless_with_the_credential(client):
    client.log_in(Key.generate())
    proof = client.resource_proof(key=client.key)
    assert client.resource_request("GET", "/v1/whoami", client.authorization(proof)).status_code == 401


def test_another_key_that_the_assertion_does_not_name_gets_nothing(client):
    response = client.token_request(client.assertion(), [client.token_proof(Key.generate())])
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_grant", "invalid_dpop_proof")


def test_a_third_key_in_place_of_the_session_key_gets_nothing(client):
    assertion = client.assertion(claims={"cnf": {"jkt": Key.generate().thumbprint}})
    for key in (Key.generate(), client.key):
        response = client.token_request(assertion, [client.token_proof(key)])
        assert response.status_code == 400
        assert response.json()["error"] in ("invalid_grant", "invalid_dpop_proof")


@pytest.mark.parametrize("cnf", [{}, {"jkt": 1}, {"jkt": ""}, {"kid": "x"}, "x", []], ids=str)
def test_a_confirmation_that_is_not_understood_is_refused(client, cnf):
    response = client.token_request(client.assertion(claims={"cnf": cnf}), [client.token_proof()])
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"
