"""POST /v1/accounts: a key of any supported kind, in any supported form, that proves itself."""

import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from support import dpop
from support.client import Client, new_name
from support.keys import Key, base64url, base64url_number

KINDS = ["RSA-2048", "RSA-3072", "P-256", "P-384", "Ed25519"]

FORMS = {
    "JWK": lambda key: json.dumps(key.jwk),
    "SPKI PEM": lambda key: key.spki_pem,
    "base64 SPKI DER": lambda key: key.spki_base64,
}


def assert_refused(response, *statuses):
    """A refusal that a program can read: problem+json with a stable type (RFC 9457)."""
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json()
    assert problem["type"] and problem["title"]
    assert problem["status"] == response.status_code


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_registers_in_every_form(server, kind, form):
    client = Client(server, Key.generate(kind))
    response = client.registration(FORMS[form](client.key))
    assert response.status_code == 201, response.text
    account = response.json()
    assert account["username"] == client.username
    assert account["thumbprint"] == client.key.thumbprint
    assert account["account_id"]


def test_a_jwk_may_be_an_object_of_the_request(server):
    client = Client(server)
    assert client.registration(client.key.jwk).status_code == 201


def test_an_rsa_key_registers_as_pkcs1_pem(server):
    client = Client(server, Key.generate("RSA-2048"))
    response = client.registration(client.key.pkcs1_pem)
    assert response.status_code == 201, response.text
    assert response.json()["thumbprint"] == client.key.thumbprint


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("RSA", ["rsa_keygen_bits:2048"]), ("EC", ["ec_paramgen_curve:P-256"]), ("ED25519", [])],
)
def test_a_key_made_by_openssl_registers_and_logs_in(server, tmp_path, algorithm, options):
    def openssl(*command):
        return subprocess.run(["openssl", *command], check=True, capture_output=True, text=True).stdout

    pem = tmp_path / "key.pem"
    openssl(
        "genpkey", "-algorithm", algorithm, *(part for option in options for part in ("-pkeyopt", option)), "-out", pem
    )
    public = openssl("pkey", "-in", pem, "-pubout")
    client = Client(server, Key(serialization.load_pem_private_key(pem.read_bytes(), None)))
    client.register(public)
    client.log_in()


def test_a_taken_username_is_a_conflict_and_changes_nothing(server, client):
    second = Client(server, username=client.username)
    assert_refused(second.registration(), 409)
    client.log_in()


def test_the_key_must_prove_itself(server):
    client = Client(server)
    assert_refused(client.registration(proofs=[]), 400, 401)


def test_the_proof_must_be_by_the_registered_key(server):
    client = Client(server)
    foreign = dpop.proof(Key.generate(), "POST", client.url("/v1/accounts"))
    assert_refused(client.registration(proofs=[foreign]), 400, 401)


def test_two_proofs_are_refused(server):
    client = Client(server)
    proofs = [client.registration_proof(), client.registration_proof()]
    assert_refused(client.registration(proofs=proofs), 400, 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": {"htu": "https://elsewhere.example/v1/accounts"}},
        {"claims": {"htm": "GET"}},
        {"claims": {"iat": 1}},
        {"claims": {"jti": None}},
        {"header": {"typ": "JWT"}},
    ],
    ids=str,
)
def test_the_proof_must_be_for_this_request(server, changes):
    client = Client(server)
    assert_refused(client.registration(proofs=[client.registration_proof(**changes)]), 400, 401)


def test_a_registration_proof_works_once(server):
    client = Client(server)
    proof = client.registration_proof()
    assert client.registration(proofs=[proof]).status_code == 201
    client.username = new_name()
    assert_refused(client.registration(proofs=[proof]), 400, 401)


def jwk_text(key, **changes):
    return json.dumps(dpop.changed(key.jwk, changes))


EC = Key.generate("P-256")
RSA = Key.generate("RSA-2048")
ED = Key.generate("Ed25519")
MODULUS = RSA.public.public_numbers().n

BAD_KEYS = {
    "not a key": "hello",
    "empty": "",
    "symmetric": json.dumps({"kty": "oct", "k": base64url(b"secret")}),
    "private JWK": json.dumps(EC.private_jwk),
    "private RSA JWK": json.dumps(RSA.private_jwk),
    "point not on the curve": jwk_text(EC, y=EC.jwk["x"]),
    "point at zero": jwk_text(EC, x=base64url(bytes(32)), y=base64url(bytes(32))),
    "short coordinate": jwk_text(EC, x=EC.jwk["x"][:-3]),
    "coordinate of another curve": jwk_text(EC, crv="P-384"),
    "curve without support": json.dumps(Key.generate("secp256k1").jwk),
    "X25519": jwk_text(ED, crv="X25519"),
    "Ed25519 of 31 bytes": jwk_text(ED, x=base64url(bytes(31))),
    "duplicate member": json.dumps(EC.jwk)[:-1] + ', "kty": "RSA"}',
    "padded base64url": jwk_text(EC, x=EC.jwk["x"] + "="),
    "missing coordinate": jwk_text(EC, y=None),
    "RSA of 1024 bits": Key.generate("RSA-1024").spki_pem,
    "RSA exponent 1": jwk_text(RSA, e=base64url_number(1)),
    "RSA even modulus": jwk_text(RSA, n=base64url_number(MODULUS + 1)),
    "RSA modulus with a leading zero": jwk_text(RSA, n=base64url(MODULUS.to_bytes(257, "big"))),
    "RSA of 16384 bits": jwk_text(RSA, n=base64url_number((1 << 16383) + 1)),
    "two PEM blocks": EC.spki_pem + ED.spki_pem,
    "DER with trailing bytes": base64.b64encode(EC.spki_der + b"\0").decode(),
}


@pytest.mark.parametrize("flaw", BAD_KEYS)
def test_a_bad_key_is_refused(server, flaw):
    client = Client(server, RSA if flaw.startswith("RSA") else EC)
    assert_refused(client.registration(BAD_KEYS[flaw]), 400, 422)


def test_text_around_a_pem_block_means_nothing(server):
    key = Key.generate("P-256")
    answer = Client(server, key).registration("my key:\n" + key.spki_pem)
    assert answer.status_code == 201, answer.text
    assert answer.json()["thumbprint"] == key.thumbprint


def test_a_private_key_in_pem_is_refused_and_not_echoed(server):
    client = Client(server)
    pem = client.key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    response = client.registration(pem)
    assert_refused(response, 400, 422)
    assert pem.splitlines()[1] not in response.text


BAD_USERNAMES = ["", " ", "a b", "x" * 1000, "new\nline", "nul\0", "../etc/passwd", 7, None, ["a"]]


@pytest.mark.parametrize("username", BAD_USERNAMES, ids=lambda username: repr(username)[:20])
def test_a_bad_username_is_refused(server, username):
    client = Client(server)
    client.username = username
    assert_refused(client.registration(), 400, 422)
