"""RFC 7521 §5.2, RFC 7523 §3 and RFC 8725: which assertions are refused at the token endpoint, and how."""

import hmac
import json
import time
import uuid

import pytest

from support import dpop
from support.client import Client, new_name
from support.keys import Key, as_json, base64url, compact

NOW = int(time.time())


def refusal(client, assertion):
    """The error code with which the token endpoint refuses an assertion."""
    response = client.token_request(assertion, [client.token_proof()])
    assert response.status_code == 400, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()["error"]


def test_an_assertion_works_once(client):
    assertion = client.assertion()
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200
    assert refusal(client, assertion) == "invalid_grant"


def test_the_id_of_an_assertion_works_once(client):
    jti = {"jti": str(uuid.uuid4())}
    assert client.token_request(client.assertion(claims=jti), [client.token_proof()]).status_code == 200
    assert refusal(client, client.assertion(claims=jti | {"iat": None})) == "invalid_grant"


def test_two_accounts_may_use_the_same_id(client, other):
    jti = {"jti": str(uuid.uuid4())}
    for each in (client, other):
        assert each.token_request(each.assertion(claims=jti), [each.token_proof()]).status_code == 200


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "jti"])
def test_a_missing_claim_is_refused(client, claim):
    assert refusal(client, client.assertion(claims={claim: None})) == "invalid_grant"


WRONG_CLAIMS = [
    {"aud": "https://elsewhere.example"},
    {"aud": []},
    {"aud": {}},
    {"aud": 1},
    {"aud": [["nested"]]},
    {"exp": NOW - 3600},
    {"exp": NOW + 3600},
    {"exp": str(NOW + 60)},
    {"exp": 1e300},
    {"exp": -1},
    {"exp": -(2**63)},
    {"exp": 2**64},
    {"nbf": NOW + 3600},
    {"nbf": "now"},
    {"iat": NOW + 3600},
    {"iat": "now"},
    {"jti": ""},
    {"jti": 1},
    {"jti": ["x"]},
    {"iss": "somebody"},
    {"sub": "somebody"},
    {"iss": "somebody", "sub": "somebody"},
    {"iss": ["a"], "sub": ["a"]},
    {"iss": "", "sub": ""},
]


@pytest.mark.parametrize("change", WRONG_CLAIMS, ids=str)
def test_a_wrong_claim_is_refused(client, change):
    assert refusal(client, client.assertion(claims=change)) == "invalid_grant"


def test_the_audience_is_compared_exactly(client):
    for aud in (client.issuer + "/", client.issuer.upper(), client.issuer.replace("127.0.0.1", "localhost")):
        assert refusal(client, client.assertion(claims={"aud": aud})) == "invalid_grant"


WRONG_HEADERS = [
    {"alg": "ES384"},
    {"alg": "RS256"},
    {"alg": None},
    {"alg": 1},
    {"typ": "dpop+jwt"},
    {"typ": "at+jwt"},
    {"typ": "logout+jwt"},
    {"kid": Key.generate().thumbprint},
    {"kid": "../../etc/passwd"},
    {"kid": "' OR 1=1 --"},
    {"kid": ["x"]},
    {"kid": 1},
    {"kid": ""},
    {"crit": []},
    {"crit": ["exp"]},
    {"crit": ["b64"], "b64": False},
]


@pytest.mark.parametrize("change", WRONG_HEADERS, ids=str)
def test_a_wrong_header_is_refused(client, change):
    assert refusal(client, client.assertion(header=change)) == "invalid_grant"


@pytest.mark.parametrize("alg", ["none", "None", "nOnE"])
def test_an_unsigned_assertion_is_refused(client, alg):
    head, _, signature = client.assertion(header={"alg": alg}).rpartition(".")
    assert refusal(client, f"{head}.") == "invalid_grant"
    assert refusal(client, f"{head}.{signature}") == "invalid_grant"


@pytest.mark.parametrize("secret", [lambda key: key.spki_pem.encode(), lambda key: key.spki_der], ids=["PEM", "DER"])
@pytest.mark.parametrize("kind", ["RSA-2048", "P-256"])
def test_a_mac_with_the_public_key_as_secret_is_refused(server, kind, secret):
    client = Client(server, Key.generate(kind)).register()
    header = {"typ": "JWT", "alg": "HS256", "kid": client.key.thumbprint}
    mac = compact(header, client.assertion_claims(), lambda m: hmac.digest(secret(client.key), m, "sha256"))
    assert refusal(client, mac) == "invalid_grant"


def test_a_key_in_the_header_is_not_trusted(client):
    stranger = Key.generate()
    assertion = client.assertion(stranger, header={"jwk": stranger.jwk, "kid": None})
    assert refusal(client, assertion) == "invalid_grant"


def test_the_key_of_another_account_is_refused(client, other):
    """The DPoP proof and the signature are by the same stranger; only the name is the client's."""
    assertion = client.assertion(other.key)
    response = client.token_request(assertion, [client.token_proof(other.key)])
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"


def test_an_unknown_account_and_a_wrong_key_look_the_same(client):
    stranger = Client(client.server)
    answers = []
    for name in (client.username, new_name()):
        assertion = client.assertion(stranger.key, header={"kid": None}, claims={"iss": name, "sub": name})
        answers.append(client.token_request(assertion, [client.token_proof(stranger.key)]))
    assert answers[0].status_code == answers[1].status_code == 400
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ', "exp": 9999999999}',
        lambda text: text[:-1] + ', "\\u0065xp": 9999999999}',
        lambda text: text + "{}",
        lambda text: "\ufeff" + text,
        lambda text: text[:-1] + ', "x": ' + "[" * 500 + "]" * 500 + "}",
    ],
    ids=["member twice", "escaped member twice", "trailing object", "byte order mark", "deep"],
)
def test_claims_that_parsers_read_differently_are_refused(client, spoil):
    header = {"typ": "JWT", "alg": client.key.alg}
    text = spoil(json.dumps(client.assertion_claims()))
    assert refusal(client, client.key.jws(header, text.encode())) == "invalid_grant"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda jwt: "",
        lambda jwt: "hello",
        lambda jwt: jwt.rpartition(".")[0],
        lambda jwt: jwt + ".AQID",
        lambda jwt: jwt + "=",
        lambda jwt: " " + jwt,
        lambda jwt: jwt + "\n",
        lambda jwt: "." * 3000,
        as_json,
    ],
    ids=["empty", "no JWT", "two segments", "four segments", "padding", "space", "newline", "dots", "JSON"],
)
def test_what_is_not_one_compact_jwt_is_refused(client, spoil):
    assert refusal(client, spoil(client.assertion())) in ("invalid_grant", "invalid_request")


# --- one kind of token in the place of another (RFC 8725 §3.12) ---


def test_a_dpop_proof_is_no_assertion(client):
    claims = client.assertion_claims() | {"htm": "POST", "htu": client.url("/oauth/token")}
    proof = client.key.jws({"typ": "dpop+jwt", "alg": client.key.alg, "jwk": client.key.jwk}, claims)
    assert refusal(client, proof) == "invalid_grant"


def test_an_access_token_is_no_assertion(logged_in):
    assert refusal(logged_in, logged_in.token) == "invalid_grant"


def test_an_assertion_is_no_proof(client):
    response = client.token_request(client.assertion(), [client.assertion()])
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_dpop_proof"


def test_an_assertion_is_no_access_token(logged_in):
    assertion = logged_in.assertion(header={"typ": "at+jwt"}, claims={"cnf": {"jkt": logged_in.key.thumbprint}})
    proof = logged_in.resource_proof(token=assertion)
    response = logged_in.resource_request("GET", "/v1/whoami", logged_in.authorization(proof, token=assertion))
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_token"


# --- the request around the assertion (RFC 6749 §5.2) ---


def test_a_login_needs_a_proof(client):
    response = client.token_request(client.assertion(), [])
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_dpop_proof", "invalid_request")


@pytest.mark.parametrize("grant", ["password", "client_credentials", "authorization_code", "x"])
def test_another_grant_is_not_supported(client, grant):
    response = client.token_request(client.assertion(), [client.token_proof()], {"grant_type": grant})
    assert response.status_code == 400
    assert response.json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("parameter", ["grant_type", "assertion"])
def test_a_missing_parameter_is_an_invalid_request(client, parameter):
    response = client.token_request(client.assertion(), [client.token_proof()], {parameter: None})
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


def test_a_repeated_parameter_is_an_invalid_request(client):
    assertion = client.assertion()
    response = client.token_request([assertion, assertion], [client.token_proof()])
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


def test_parameters_in_the_url_do_not_count(client):
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": client.assertion()}
    response = client.http.post("/oauth/token", params=form, headers={"DPoP": client.token_proof()})
    assert response.status_code == 400
    assert "access_token" not in response.text


def test_a_json_body_is_not_a_token_request(client):
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": client.assertion()}
    response = client.http.post("/oauth/token", json=form, headers={"DPoP": client.token_proof()})
    assert response.status_code in (400, 415)


def test_only_post_asks_for_a_token(client):
    assert client.http.get("/oauth/token").status_code == 405


def test_a_huge_assertion_is_refused(client):
    assertion = client.assertion(claims={"padding": base64url(bytes(200_000))})
    assert client.token_request(assertion, [client.token_proof()]).status_code in (400, 413)
