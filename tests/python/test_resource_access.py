"""RFC 9449 §7: a token without its key is useless, and the challenge says what to do."""

import hmac
import json

import pytest

from support import dpop
from support.client import Client
from support.keys import Key, base64url, compact, decoded

WHOAMI = "/v1/whoami"


def assert_invalid_token(response):
    assert response.status_code == 401, response.text
    assert dpop.challenge(response)["error"] == "invalid_token"


def thief_with(client, token):
    """The answer to a request with this token and a perfect proof by the token's key."""
    proof = client.resource_proof(token=token)
    return client.resource_request("GET", WHOAMI, client.authorization(proof, token=token))


# --- the challenge ---


def test_without_credentials_the_challenge_names_no_error(client):
    response = client.http.get(WHOAMI)
    assert response.status_code == 401
    parameters = dpop.challenge(response)
    assert "error" not in parameters
    assert "ES256" in parameters["algs"].split()
    assert "none" not in parameters["algs"]
    assert response.headers["dpop-nonce"]


def test_a_refusal_names_the_algorithms_and_is_not_cached(logged_in):
    response = logged_in.resource_request("GET", WHOAMI, logged_in.authorization())
    assert response.status_code == 401
    assert "EdDSA" in dpop.challenge(response)["algs"].split()
    assert "no-store" in response.headers["cache-control"]


def test_browsers_may_read_the_nonce(logged_in):
    headers = [*logged_in.authorization(logged_in.resource_proof()), ("Origin", "https://app.example")]
    response = logged_in.resource_request("GET", WHOAMI, headers)
    exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
    assert {"dpop-nonce", "www-authenticate"} <= exposed


# --- the scheme ---


@pytest.mark.alone("to a balancer a token with the scheme in other letters is another one, whose server wants a nonce of its own")
@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_the_scheme_has_no_case(logged_in, scheme):
    headers = [("Authorization", f"{scheme} {logged_in.token}"), ("DPoP", logged_in.resource_proof())]
    assert logged_in.resource_request("GET", WHOAMI, headers).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_any_method_may_ask_who_it_is(logged_in, method):
    assert logged_in.call(method).status_code == 200


def test_a_token_without_a_proof_is_refused(logged_in):
    response = logged_in.resource_request("GET", WHOAMI, logged_in.authorization())
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] in ("invalid_dpop_proof", "invalid_token", "use_dpop_nonce")


def test_a_proof_without_a_token_is_refused(logged_in):
    response = logged_in.resource_request("GET", WHOAMI, {"DPoP": logged_in.resource_proof(token=None)})
    assert response.status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "Token", "SignJWT"])
@pytest.mark.parametrize("with_proof", [False, True], ids=["alone", "with a proof"])
def test_a_bound_token_is_refused_under_another_scheme(logged_in, scheme, with_proof):
    headers = [("Authorization", f"{scheme} {logged_in.token}")]
    headers += [("DPoP", logged_in.resource_proof())] if with_proof else []
    assert logged_in.resource_request("GET", WHOAMI, headers).status_code == 401


def test_a_bound_token_is_refused_in_the_query(logged_in):
    assert logged_in.http.get(WHOAMI, params={"access_token": logged_in.token}).status_code == 401


def test_a_bound_token_is_refused_in_a_form(logged_in):
    assert logged_in.http.post(WHOAMI, data={"access_token": logged_in.token}).status_code == 401


def test_two_authorization_headers_are_a_bad_request(logged_in):
    headers = [("Authorization", f"Bearer {logged_in.token}"), *logged_in.authorization(logged_in.resource_proof())]
    response = logged_in.resource_request("GET", WHOAMI, headers)
    assert response.status_code == 400


@pytest.mark.parametrize("value", ["DPoP", "DPoP a b", "DPoP token,token", "DPoP =", "", "x" * 20_000])
def test_a_malformed_authorization_is_refused(logged_in, value):
    headers = [("Authorization", value), ("DPoP", logged_in.resource_proof())]
    assert logged_in.resource_request("GET", WHOAMI, headers).status_code in (400, 401, 431)


def test_bytes_beyond_ascii_in_headers_are_refused(logged_in):
    headers = [(b"Authorization", b"DPoP \xff\xfe"), (b"DPoP", b"\xff")]
    assert logged_in.http.get(WHOAMI, headers=headers).status_code in (400, 401)


# --- ath and the bound key ---


def test_a_proof_without_the_hash_of_the_token_is_refused(logged_in):
    proof = logged_in.resource_proof(token=None)
    response = logged_in.resource_request("GET", WHOAMI, logged_in.authorization(proof))
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_dpop_proof"


@pytest.mark.parametrize("wrong", ["of another token", "not a hash", "a number", "padded", "hexadecimal"])
def test_a_proof_with_a_wrong_hash_of_the_token_is_refused(logged_in, wrong):
    right = dpop.token_hash(logged_in.token)
    ath = {
        "of another token": dpop.token_hash("x"),
        "not a hash": "x",
        "a number": 1,
        "padded": right + "=",
        "hexadecimal": right.encode().hex(),
    }[wrong]
    proof = logged_in.resource_proof(claims={"ath": ath})
    response = logged_in.resource_request("GET", WHOAMI, logged_in.authorization(proof))
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_dpop_proof"


def test_another_key_is_refused(logged_in):
    proof = logged_in.resource_proof(key=Key.generate())
    response = logged_in.resource_request("GET", WHOAMI, logged_in.authorization(proof))
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] in ("invalid_token", "invalid_dpop_proof")


def test_a_stolen_token_is_refused_with_the_thiefs_own_key(logged_in, other):
    """The thief has an account, a session and a key of his own, and still nothing of the victim's."""
    proof = other.resource_proof(token=logged_in.token)
    response = other.resource_request("GET", WHOAMI, other.authorization(proof, token=logged_in.token))
    assert response.status_code == 401


def test_a_proof_for_one_resource_does_not_open_another(logged_in):
    proof = logged_in.resource_proof("GET", WHOAMI)
    response = logged_in.resource_request("GET", "/v1/keys", logged_in.authorization(proof))
    assert response.status_code == 401


# --- the token itself ---


def test_no_token_at_all_is_refused(logged_in):
    assert_invalid_token(thief_with(logged_in, "hello"))


def test_a_changed_token_is_refused(logged_in):
    header, payload, signature = logged_in.token.split(".")
    claims = decoded(payload) | {"sub": "somebody"}
    assert_invalid_token(thief_with(logged_in, f"{header}.{base64url(json.dumps(claims).encode())}.{signature}"))


def test_another_spelling_of_the_token_is_refused(logged_in):
    """Otherwise a revoked token would come back in other clothes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = logged_in.token[-1]
    assert_invalid_token(thief_with(logged_in, logged_in.token[:-1] + alphabet[alphabet.index(last) + 1]))


def test_an_unsigned_token_is_refused(logged_in):
    header, payload, _ = logged_in.token.split(".")
    for alg in ("none", "None", "nOnE"):
        unsigned = base64url(json.dumps(decoded(header) | {"alg": alg}).encode())
        assert_invalid_token(thief_with(logged_in, f"{unsigned}.{payload}."))


def test_a_token_by_a_foreign_key_is_refused(logged_in):
    header, payload, _ = logged_in.token.split(".")
    forger = Key.generate()
    for change in ({}, {"kid": None}, {"kid": forger.thumbprint}, {"jwk": forger.jwk}, {"jku": "http://127.0.0.1:1/"}):
        forged = forger.jws(dpop.changed(decoded(header), change), decoded(payload))
        assert_invalid_token(thief_with(logged_in, forged))


def test_a_token_with_a_mac_by_the_published_key_is_refused(logged_in):
    header, payload, _ = logged_in.token.split(".")
    (published, *_) = logged_in.http.get("/.well-known/jwks.json").json()["keys"]
    for secret in (json.dumps(published).encode(), published.get("x", "").encode()):
        mac = compact(
            decoded(header) | {"alg": "HS256"}, decoded(payload), lambda m, s=secret: hmac.digest(s, m, "sha256")
        )
        assert_invalid_token(thief_with(logged_in, mac))


def test_a_token_of_another_server_is_refused(logged_in, own_server):
    stranger = Client(own_server, logged_in.key).register()
    stranger.log_in()
    assert_invalid_token(thief_with(logged_in, stranger.token))
