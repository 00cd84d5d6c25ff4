"""The dialects as `curl -d` speaks them: without a word about the type of what it sends."""

import base64
import json
import subprocess
import uuid

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

WORDS = {
    "as curl says": [],
    "no type": ["-H", "Content-Type:"],
    "text": ["-H", "Content-Type: text/plain"],
}


def curl(server, path, data, *words):
    """Posts `data`, a value or the name of a file after `@`; gives status and JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    command = ["curl", "-s", "-w", "\n%{http_code}", *words, "-d", text, server.origin + path]
    body, status = subprocess.run(command, capture_output=True, check=True, text=True).stdout.rsplit("\n", 1)
    return int(status), json.loads(body)


@pytest.fixture
def name():
    return f"curl-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(params=WORDS)
def words(request):
    return WORDS[request.param]


def public(key, encoding=serialization.Encoding.PEM):
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_signjwt(server, name, key, words):
    body = {"user_id": name, "public_key": public(key).decode()}
    assert curl(server, "/register", body, *words)[0] == 200
    status, session = curl(server, "/login", {"user_id": name}, *words)
    assert status == 200

    def message():
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
        signature = key.sign(f"{session['nonce']}{session['jwt']}".encode(), pss, hashes.SHA256())
        return {"jwt": session["jwt"], "signed_message": base64.b64encode(signature).decode()}

    status, answer = curl(server, "/protected", message(), *words)
    assert status == 200, answer
    session["nonce"] = answer["nonce"]
    assert curl(server, "/logout", message(), *words)[0] == 200


def test_passwordless_from_a_file(server, name, key, words, tmp_path):
    body = {
        "username": name,
        "clientSidePublicKey": base64.b64encode(public(key, serialization.Encoding.DER)).decode(),
    }
    (tmp_path / "register.json").write_text(json.dumps(body))
    status, registered = curl(server, "/register", f"@{tmp_path / 'register.json'}", *words)
    assert (status, registered.keys()) == (200, {"serverSidePublicKey", "id"}), registered
    challenge = subprocess.run(
        ["curl", "-s", f"{server.origin}/challenge/{name}"], capture_output=True, check=True
    ).stdout
    server_key = serialization.load_der_public_key(base64.b64decode(registered["serverSidePublicKey"]))
    number = server_key.recover_data_from_signature(
        base64.b64decode(json.loads(challenge)["challenge"]), padding.PKCS1v15(), None
    )
    proposal = base64.b64encode(key.sign(number, padding.PKCS1v15(), hashes.SHA256())).decode()
    body = {"proposal": proposal, "number": number.decode()}
    assert curl(server, f"/authenticate/{name}", body, *words)[0] == 200


def test_jwks_server(server, name, words):
    body = {"username": name, "email": f"{name}@example.com"}
    status, registered = curl(server, "/register", body, *words)
    assert status == 201, registered
    body = {"username": name, "password": registered["password"]}
    assert curl(server, "/auth", body, *words)[0] == 200


def test_gradecoin(server, words):
    status, answer = curl(server, "/register", {"c": "AAAA", "iv": "AAAA", "key": "AAAA"}, *words)
    assert (status, answer["res"]) == (400, "Error"), "read, and not opened"


def test_the_native_api_wants_its_type(server, name, words):
    status, problem = curl(server, "/v1/accounts", {"username": name}, *words)
    assert (status, problem["detail"]) == (415, "send Content-Type: application/json")
