"""RFC 9449 §4.3: what a proof must be, at the token endpoint and at a resource alike."""

import base64
import hmac
import json
import re
import time
import uuid

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from support.doors import ACCEPTED
from support.keys import Key, as_json, base64url, compact, decoded

REFUSED = "invalid_dpop_proof"
# A server may notice first that the key is not the token's (RFC 9449 §7.1 leaves the order open).
REFUSED_OR_OTHER_KEY = (REFUSED, "invalid_token")


def parts(proof):
    """Header and claims of a proof, to be signed anew in another way."""
    header, payload, _ = proof.split(".")
    return decoded(header), decoded(payload)


# --- what is accepted ---


def test_a_good_proof_is_accepted(door):
    assert door.verdict(door.proof()) == ACCEPTED


@pytest.mark.parametrize("name", ["dpop", "DPOP", "DPoP", "dPoP"])
def test_the_name_of_the_header_has_no_case(logged_in, name):
    headers = {"Authorization": f"DPoP {logged_in.token}", name: logged_in.resource_proof()}
    assert logged_in.resource_request("GET", "/v1/whoami", headers).status_code == 200


@pytest.mark.parametrize("seconds", [-10, 8])
def test_clocks_may_differ_a_little(door, seconds):
    assert door.verdict(door.proof(claims={"iat": int(time.time()) + seconds})) == ACCEPTED


def test_more_claims_and_header_parameters_are_ignored(door):
    proof = door.proof(header={"kid": "mine", "foo": {"bar": 1}}, claims={"foo": [1, None], "iss": "me"})
    assert door.verdict(proof) == ACCEPTED


def test_query_and_fragment_of_htu_do_not_count(door):
    assert door.verdict(door.proof(claims={"htu": door.url + "?a=b#c"})) == ACCEPTED


def test_the_query_of_the_request_does_not_count(logged_in):
    proof = logged_in.resource_proof()
    assert logged_in.resource_request("GET", "/v1/whoami?a=b", logged_in.authorization(proof)).status_code == 200


@pytest.mark.parametrize(
    "spelling",
    [
        lambda url: url.replace("http://", "HTTP://"),
        lambda url: url.replace("/oauth", "/%6fauth").replace("/whoami", "/%77hoami"),
        lambda url: url.replace("/oauth", "/x/../oauth").replace("/v1", "/./v1"),
    ],
    ids=["scheme in upper case", "needless percent-encoding", "dot segments"],
)
def test_another_spelling_of_the_same_url_is_the_same_url(door, spelling):
    assert door.verdict(door.proof(claims={"htu": spelling(door.url)})) == ACCEPTED


# --- what is missing or of the wrong kind ---


@pytest.mark.parametrize("parameter", ["typ", "alg", "jwk"])
def test_a_missing_header_parameter_is_refused(door, parameter):
    assert door.verdict(door.proof(header={parameter: None})) == REFUSED


@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat"])
def test_a_missing_claim_is_refused(door, claim):
    assert door.verdict(door.proof(claims={claim: None})) == REFUSED


WRONG_HEADERS = [
    {"typ": "JWT"},
    {"typ": "at+jwt"},
    {"typ": ["dpop+jwt"]},
    {"alg": "none"},
    {"alg": "ES384"},
    {"alg": "RS256"},
    {"alg": "es256"},
    {"alg": ["ES256"]},
    {"jwk": "key"},
    {"jwk": []},
    {"jwk": {}},
    {"crit": ["exp"]},
    {"crit": []},
    {"crit": ["b64"], "b64": False},
    {"crit": "exp"},
]

WRONG_CLAIMS = [
    {"htm": "PUT"},
    {"htm": 1},
    {"htu": 1},
    {"htu": ""},
    {"htu": "/v1/whoami"},
    {"htu": "https://elsewhere.example/oauth/token"},
    {"jti": 1},
    {"jti": ""},
    {"jti": {}},
    {"iat": "now"},
    {"iat": 1e300},
    {"iat": -1},
    {"iat": -(2**63)},
    {"iat": 2**63},
    {"iat": [1]},
]


@pytest.mark.parametrize("change", WRONG_HEADERS, ids=str)
def test_a_wrong_header_is_refused(door, change):
    assert door.verdict(door.proof(header=change)) == REFUSED


@pytest.mark.parametrize("change", WRONG_CLAIMS, ids=str)
def test_a_wrong_claim_is_refused(door, change):
    assert door.verdict(door.proof(claims=change)) == REFUSED


@pytest.mark.parametrize("seconds", [-3600, 3600, -600, 600])
def test_an_old_or_early_proof_is_refused(door, seconds):
    assert door.verdict(door.proof(claims={"iat": int(time.time()) + seconds})) == REFUSED


def test_the_method_has_case(door):
    assert door.verdict(door.proof(claims={"htm": door.method.lower()})) == REFUSED


@pytest.mark.parametrize(
    "other",
    [
        lambda url: url + "/",
        lambda url: url.upper(),
        lambda url: url.replace("http:", "https:"),
        lambda url: url.replace("127.0.0.1", "localhost"),
        lambda url: url.replace("127.0.0.1", "127.0.0.2"),
        lambda url: url.rpartition(":")[0] + ":1" + url[url.index("/", 8) :],
        lambda url: url.replace("//", "//user@"),
        lambda url: url.replace("/v1/", "/v1%2F").replace("/oauth/", "/oauth%2F"),
        lambda url: " " + url,
    ],
    ids=["slash", "path in upper case", "scheme", "host name", "host", "port", "user", "encoded slash", "space"],
)
def test_a_proof_for_another_url_is_refused(door, other):
    assert door.verdict(door.proof(claims={"htu": other(door.url)})) == REFUSED


# --- signatures ---


def test_a_changed_signature_is_refused(door):
    head, _, signature = door.proof().rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[10] ^= 1
    assert door.verdict(f"{head}.{base64url(bytes(raw))}") == REFUSED


def test_changed_claims_are_refused(door):
    header, payload, signature = door.proof().split(".")
    claims = decoded(payload) | {"jti": str(uuid.uuid4())}
    assert door.verdict(f"{header}.{base64url(json.dumps(claims).encode())}.{signature}") == REFUSED


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", ""])
@pytest.mark.parametrize("kept", [True, False], ids=["signed", "unsigned"])
def test_no_algorithm_is_refused(door, alg, kept):
    head, _, signature = door.proof(header={"alg": alg}).rpartition(".")
    assert door.verdict(f"{head}.{signature if kept else ''}") == REFUSED


@pytest.mark.parametrize(
    "secret",
    [lambda key: key.spki_pem.encode(), lambda key: key.spki_der, lambda key: json.dumps(key.jwk).encode()],
    ids=["PEM", "DER", "JWK"],
)
def test_a_mac_with_the_public_key_as_secret_is_refused(door, secret):
    header, claims = parts(door.proof())
    mac = compact(header | {"alg": "HS256"}, claims, lambda m: hmac.digest(secret(door.client.key), m, "sha256"))
    assert door.verdict(mac) == REFUSED


P256_ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")

SIGNATURES = {
    "DER instead of r and s": lambda key, m: key.private.sign(m, ec.ECDSA(hashes.SHA256())),
    "r and s are zero": lambda key, m: bytes(64),
    "s is zero": lambda key, m: key.signature(m)[:32] + bytes(32),
    "r and s are the order": lambda key, m: 2 * P256_ORDER,
    "one byte short": lambda key, m: key.signature(m)[:-1],
    "one byte more": lambda key, m: key.signature(m) + b"\0",
    "leading zero": lambda key, m: b"\0" + key.signature(m),
    "empty": lambda key, m: b"",
}


@pytest.mark.parametrize("form", SIGNATURES)
def test_a_malformed_signature_is_refused(door, form):
    header, claims = parts(door.proof())
    assert door.verdict(compact(header, claims, lambda m: SIGNATURES[form](door.client.key, m))) == REFUSED


# --- the key in the header ---


def test_a_private_key_in_the_header_is_refused(door):
    assert door.verdict(door.proof(header={"jwk": door.client.key.private_jwk})) == REFUSED


@pytest.mark.parametrize("kind", ["RSA-2048", "Ed25519"])
def test_a_private_key_of_any_kind_in_the_header_is_refused(door, kind):
    key = Key.generate(kind)
    assert door.verdict(door.proof(key, header={"jwk": key.private_jwk})) == REFUSED


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "ES384"},
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"crv": "P-384"},
        {"kty": "RSA"},
        {"kty": "oct", "k": "AQID"},
        {"x": None},
        {"y": "AQID"},
    ],
    ids=str,
)
def test_a_key_that_does_not_fit_is_refused(door, change):
    jwk = {name: value for name, value in (door.client.key.jwk | change).items() if value is not None}
    assert door.verdict(door.proof(header={"jwk": jwk})) == REFUSED


@pytest.mark.parametrize(
    "member", [{"key_ops": ["sign"]}, {"key_ops": []}, {"use": "enc"}], ids=["key_ops sign", "key_ops none", "use enc"]
)
def test_a_jwk_that_is_not_for_verifying_is_refused_by_the_name_of_the_member(client, member):
    """What is left when `d` is taken out of an exported private JWK: the answer says what to leave out as well."""
    response = client.token_request(client.assertion(), [client.token_proof(header={"jwk": client.key.jwk | member})])
    assert response.status_code == 400
    assert response.json()["error"] == REFUSED
    (name,) = member
    said = response.json()["error_description"]
    assert f"the member {name} of the JWK" in said
    assert re.search(r"\bout\b", said), "what to do: leave it out"


def test_a_point_that_is_not_on_the_curve_is_refused(door):
    jwk = door.client.key.jwk
    assert door.verdict(door.proof(header={"jwk": jwk | {"y": jwk["x"]}})) in REFUSED_OR_OTHER_KEY


def test_a_short_rsa_key_is_refused(door):
    assert door.verdict(door.proof(Key.generate("RSA-1024"))) in REFUSED_OR_OTHER_KEY


# --- the form ---

FORMS = {
    "empty": lambda proof: "",
    "no JWT": lambda proof: "hello",
    "two segments": lambda proof: proof.rpartition(".")[0],
    "four segments": lambda proof: proof + ".AQID",
    "five segments": lambda proof: proof + ".AQID.AQID",
    "many dots": lambda proof: "." * 5000,
    "padding": lambda proof: proof + "==",
    "standard alphabet": lambda proof: proof.rpartition(".")[0] + "." + "+/" * 43,
    "space inside": lambda proof: proof.replace(".", " .", 1),
    "detached payload": lambda proof: ".".join((proof.split(".")[0], "", proof.split(".")[2])),
    "JSON serialisation": as_json,
    "two proofs in one line": lambda proof: f"{proof}, {proof}",
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_one_compact_jwt_is_refused(door, form):
    assert door.verdict(FORMS[form](door.proof())) == REFUSED


def test_another_spelling_of_the_same_signature_is_refused(door):
    """64 bytes leave four unused bits at the end; only zeros are canonical (RFC 4648 §3.5)."""
    proof = door.proof()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert door.verdict(proof[:-1] + alphabet[alphabet.index(proof[-1]) + 1]) == REFUSED


def signed_text(door, header_text=None, claims_text=None):
    header, claims = parts(door.proof())
    header_text = header_text(json.dumps(header)) if header_text else json.dumps(header)
    claims_text = claims_text(json.dumps(claims)) if claims_text else json.dumps(claims)
    as_bytes = [text if isinstance(text, bytes) else text.encode() for text in (header_text, claims_text)]
    return compact(*as_bytes, door.client.key.signature)


BAD_TEXTS = {
    "member twice": lambda text: text[:-1] + ', "htm": "PUT", "typ": "JWT", "htm": "POST"}',
    "member twice, once escaped": lambda text: text[:-1] + ', "\\u0068tm": "POST", "\\u0074yp": "dpop+jwt"}',
    "not UTF-8": lambda text: text[:-1].encode() + b', "x": "\xff"}',
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "trailing bytes": lambda text: text + " {}",
    "an array": lambda text: f"[{text}]",
    "deeply nested": lambda text: text[:-1] + ', "x": ' + "[" * 200 + "]" * 200 + "}",
    "lone surrogate": lambda text: text[:-1] + ', "x": "\\ud800"}',
}


@pytest.mark.parametrize("flaw", BAD_TEXTS)
def test_a_header_that_parsers_read_differently_is_refused(door, flaw):
    assert door.verdict(signed_text(door, header_text=BAD_TEXTS[flaw])) == REFUSED


@pytest.mark.parametrize("flaw", BAD_TEXTS)
def test_claims_that_parsers_read_differently_are_refused(door, flaw):
    assert door.verdict(signed_text(door, claims_text=BAD_TEXTS[flaw])) == REFUSED


def test_two_proof_headers_are_refused(door):
    assert door.verdict(door.proof(), door.proof()) == REFUSED


def test_the_same_proof_in_two_headers_is_refused(door):
    proof = door.proof()
    assert door.verdict(proof, proof) == REFUSED


def test_a_huge_proof_is_refused(door):
    response = door.send(door.proof(claims={"padding": "x" * 40_000}))
    assert response.status_code in (400, 401, 431)


# --- nonces ---


def test_a_missing_nonce_is_asked_for(door):
    response = door.send(door.proof(nonce=None))
    assert response.headers["dpop-nonce"]
    assert len(response.headers.get_list("dpop-nonce")) == 1
    assert door.verdict(door.proof(nonce=None)) == "use_dpop_nonce"


@pytest.mark.parametrize("nonce", ["", "unknown", 1, ["x"]], ids=repr)
def test_a_nonce_that_the_server_did_not_make_is_refused(door, nonce):
    assert door.verdict(door.proof(claims={"nonce": nonce})) in ("use_dpop_nonce", REFUSED)


def test_a_changed_nonce_is_refused(door):
    nonce = door.nonce()
    for position in (0, len(nonce) // 2, len(nonce) - 2):
        changed = nonce[:position] + ("A" if nonce[position] != "A" else "B") + nonce[position + 1 :]
        assert door.verdict(door.proof(nonce=changed)) == "use_dpop_nonce"


def test_every_answer_carries_a_fresh_nonce(door):
    accepted, refused = door.send(door.proof()), door.send(door.proof(header={"typ": "JWT"}))
    assert accepted.status_code == 200
    nonces = [response.headers["dpop-nonce"] for response in (accepted, refused)]
    for nonce in nonces:
        assert all(0x21 <= ord(c) <= 0x7E and c not in '"\\' for c in nonce)
        assert door.verdict(door.proof(nonce=nonce)) == ACCEPTED


def test_a_nonce_of_the_token_endpoint_is_none_of_the_resources(logged_in):
    logged_in.log_in()
    proof = logged_in.resource_proof(nonce=logged_in.token_nonce)
    response = logged_in.resource_request("GET", "/v1/whoami", logged_in.authorization(proof))
    assert response.status_code == 401
    assert 'error="use_dpop_nonce"' in response.headers["www-authenticate"]


def test_a_nonce_of_the_resources_is_none_of_the_token_endpoint(logged_in):
    logged_in.call()
    proof = logged_in.token_proof(nonce=logged_in.resource_nonce)
    assert logged_in.token_request(logged_in.assertion(), [proof]).json()["error"] == "use_dpop_nonce"


def test_asking_for_a_nonce_does_not_spend_the_assertion(client):
    assertion = client.assertion()
    first = client.token_request(assertion, [client.token_proof(nonce=None)])
    assert first.json()["error"] == "use_dpop_nonce"
    assert client.token_request(assertion, [client.token_proof()]).status_code == 200


# --- replay ---


def test_a_proof_works_once(door):
    proof = door.proof()
    assert door.verdict(proof) == ACCEPTED
    assert door.verdict(proof) == REFUSED


def test_a_used_proof_in_another_spelling_of_the_url_is_still_used(door):
    """The replay log must know the proof by its normalised content."""
    jti = str(uuid.uuid4())
    assert door.verdict(door.proof(claims={"jti": jti})) == ACCEPTED
    assert door.verdict(door.proof(claims={"jti": jti, "htu": door.url.replace("http:", "HTTP:") + "?x"})) == REFUSED


def test_a_refused_proof_spends_nothing_of_another_key(door, other):
    """Somebody who saw the jti of a proof cannot spend it."""
    jti = str(uuid.uuid4())
    door.verdict(door.proof(other.key, claims={"jti": jti}))
    assert door.verdict(door.proof(claims={"jti": jti})) == ACCEPTED
