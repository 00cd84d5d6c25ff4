"""The passwordless dialect: the server proves itself with a number, and the client with the same number."""

import base64
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from support import dpop
from support.client import Client, new_name
from support.houses import house
from support.keys import Key, decoded

PUBLISHED_KEY = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJJQ3ahZbtYrtbhzSFc2vDB8z8egbMFppN1V2QtAjTjpcmXoPpH+3c48GSFpHtummTxXacJ8KIuDx7H1"
    "9DMaEYMCAwEAAQ=="
)
"""The example of the original protocol: 512 bits."""


def encoded(data):
    return base64.b64encode(data).decode()


def raw_recover(public, block):
    """The message of a block of type 1, by arithmetic alone; None when the padding is another."""
    numbers = public.public_numbers()
    size = (numbers.n.bit_length() + 7) // 8
    padded = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")
    start, _, message = padded.partition(b"\x00" if padded[:1] != b"\x00" else padded[:1] + b"\x01")
    assert start == b""
    filling, separator, message = message.partition(b"\x00")
    return message if separator and len(filling) >= 8 and set(filling) == {0xFF} else None


def raw_block(private, message, kind=1):
    """`message` under the private key, by arithmetic alone."""
    numbers = private.private_numbers()
    size = (numbers.public_numbers.n.bit_length() + 7) // 8
    padded = bytes([0, kind]) + b"\xff" * (size - 3 - len(message)) + b"\x00" + message
    return pow(int.from_bytes(padded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


class User:
    """A user of the dialect."""

    def __init__(self, server, key=None, username=None):
        self.server = server
        self.http = server.http()
        self.key = key or Key.generate("RSA-2048")
        self.username = username or new_name()

    def registration(self, **members):
        body = {"username": self.username, "clientSidePublicKey": self.key.spki_base64} | members
        return self.http.post("/register", json={name: value for name, value in body.items() if value is not None})

    def register(self):
        answer = self.registration()
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"serverSidePublicKey", "id"}
        self.id = answer.json()["id"]
        spki = base64.b64decode(answer.json()["serverSidePublicKey"], validate=True)
        self.server_key = serialization.load_der_public_key(spki)
        return self

    def challenge(self, name=None):
        answer = self.http.get(f"/challenge/{name or self.id}")
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"challenge"}
        assert answer.headers["cache-control"] == "no-store"
        return base64.b64decode(answer.json()["challenge"], validate=True)

    def number(self, name=None):
        """The number of a fresh challenge, which must be by the server's key for this user."""
        number = raw_recover(self.server_key, self.challenge(name))
        assert number.isdigit()
        return number

    def proposal(self, number):
        return raw_block(self.key.private, number)

    def authentication(self, proposal, name=None):
        return self.http.post(f"/authenticate/{name or self.id}", json={"proposal": encoded(proposal)})

    def log_in(self):
        answer = self.authentication(self.proposal(self.number()))
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"jwtToken"}
        return answer.json()["jwtToken"]

    def whoami(self, token):
        """Calls a protected resource with the token and a proof by the key."""
        answer = self._whoami(token, None)
        nonce = answer.headers.get("dpop-nonce")
        return self._whoami(token, nonce) if nonce and answer.status_code == 401 else answer

    def _whoami(self, token, nonce):
        proof = dpop.proof(self.key, "GET", f"{self.server.origin}/v1/whoami", token=token, nonce=nonce)
        return self.http.get("/v1/whoami", headers={"Authorization": f"DPoP {token}", "DPoP": proof})

    def log_out(self, token):
        return self.http.post("/logout", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def user(server):
    return User(server).register()


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    """A server that registers the weak keys of the original protocol."""
    settings = {"COUNTERSIGN_DIALECTS_MIN_RSA_BITS": "512"}
    running = house(tmp_path_factory.mktemp("lenient"), **settings).start()
    yield running
    assert running.stop() == 0, running.output


# --- the flow ---


def test_both_sides_prove_themselves_and_the_token_works(user):
    token = user.log_in()
    claims = decoded(token.split(".")[1])
    assert claims["sub"] == user.id
    assert claims["name"] == user.username
    assert claims["cnf"] == {"jkt": user.key.thumbprint}
    assert claims["jti"]
    assert claims["exp"] - claims["iat"] == 900
    answer = user.whoami(token)
    assert answer.status_code == 200, answer.text
    assert answer.json()["account_id"] == user.id
    assert answer.json()["username"] == user.username


def test_the_token_is_bound_to_the_key(user, server):
    token = user.log_in()
    bearer = user.http.get("/v1/whoami", headers={"Authorization": f"Bearer {token}"})
    assert bearer.status_code == 401
    thief = User(server)
    thief.username = user.username
    assert thief.whoami(token).status_code == 401


def test_the_number_is_fresh_and_large(user):
    numbers = {int(user.number()) for _ in range(10)}
    assert len(numbers) == 10
    assert min(numbers).bit_length() >= 128


def test_the_account_is_named_by_id_or_by_username_in_any_case(user):
    for name in (user.id, user.username, user.username.upper()):
        answer = user.authentication(user.proposal(user.number(name)), name)
        assert answer.status_code == 200, name


def test_openssl_speaks_the_raw_form(user, tmp_path):
    """`openssl pkeyutl` with PKCS#1 padding and no digest, both ways."""
    server_key, own_key, block = tmp_path / "server.pem", tmp_path / "own.pem", tmp_path / "block"
    pem = serialization.Encoding.PEM
    server_key.write_bytes(user.server_key.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    own_key.write_bytes(
        user.key.private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    block.write_bytes(user.challenge())
    pkcs1 = ["-pkeyopt", "rsa_padding_mode:pkcs1"]
    recover = ["openssl", "pkeyutl", "-verifyrecover", "-pubin", "-inkey", server_key, *pkcs1, "-in", block]
    number = subprocess.run(recover, capture_output=True, check=True).stdout
    sign = ["openssl", "pkeyutl", "-sign", "-inkey", own_key, *pkcs1]
    proposal = subprocess.run(sign, input=number, capture_output=True, check=True).stdout
    assert user.authentication(proposal).status_code == 200


@pytest.mark.parametrize("salt", ["digest", "maximum"])
def test_a_proposal_may_be_an_rsa_pss_signature(user, salt):
    length = padding.PSS.DIGEST_LENGTH if salt == "digest" else padding.PSS.MAX_LENGTH
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), length)
    signature = user.key.private.sign(user.number(), pss, hashes.SHA256())
    assert user.authentication(signature).status_code == 200
    assert user.authentication(signature).status_code == 401


def test_a_proposal_may_be_a_pkcs1_signature(user):
    signature = user.key.private.sign(user.number(), padding.PKCS1v15(), hashes.SHA256())
    assert user.authentication(signature).status_code == 200
    assert user.authentication(signature).status_code == 401


@pytest.mark.parametrize("kind", ["Ed25519", "P-256", "P-384"])
def test_other_keys_sign_the_number(server, kind):
    user = User(server, Key.generate(kind)).register()
    assert user.authentication(user.key.signature(user.number())).status_code == 200


@pytest.mark.parametrize("kind", ["P-256", "P-384"])
def test_an_ecdsa_signature_may_be_in_der(server, kind):
    user = User(server, Key.generate(kind)).register()
    digest = hashes.SHA256() if kind == "P-256" else hashes.SHA384()
    signature = user.key.private.sign(user.number(), ec.ECDSA(digest))
    assert user.authentication(signature).status_code == 200
    assert user.authentication(signature).status_code == 401


def test_any_of_the_last_numbers_may_be_signed(server):
    user = User(server, Key.generate("Ed25519")).register()
    first, second, third = (user.number() for _ in range(3))
    for number in (second, third, first):
        assert user.authentication(user.key.signature(number)).status_code == 200


@pytest.mark.parametrize("form", ["text", "string", "member"])
def test_the_body_is_the_proposal_with_or_without_a_wrapping(user, form):
    text = encoded(user.proposal(user.number()))
    content = {"text": text + "\n", "string": json.dumps(text), "member": json.dumps({"proposal": text})}[form]
    for media_type in ("text/plain", "application/json"):
        answer = user.http.post(f"/authenticate/{user.id}", content=content, headers={"Content-Type": media_type})
        assert answer.status_code == (200 if media_type == "text/plain" else 401), answer.text


def test_a_user_of_the_dialect_logs_in_natively_and_the_other_way_round(user, server):
    native = Client(server, user.key, user.username)
    assert native.log_in()["access_token"]
    registered = Client(server, Key.generate("Ed25519")).register()
    assert user.http.get(f"/challenge/{registered.account_id}").status_code == 200


# --- registration ---


def test_a_name_is_registered_once(user, server):
    assert User(server, username=user.username).registration().status_code == 409
    assert User(server, username=user.username.upper()).registration().status_code == 409


def test_a_key_can_be_claimed_until_somebody_has_signed_with_it(user, server):
    squatter = User(server, user.key).register()
    user.log_in()
    assert squatter.authentication(squatter.proposal(squatter.number())).status_code == 401
    assert User(server, user.key).registration().status_code == 409


def test_who_proves_to_have_a_key_gets_it_from_who_never_did(server):
    squatter = User(server).register()
    owner = Client(server, squatter.key).register()
    assert owner.account_id != squatter.id
    assert squatter.authentication(squatter.proposal(squatter.number())).status_code == 401


@pytest.mark.parametrize("bits", [1024, 512])
def test_weak_keys_are_refused(server, bits):
    key = PUBLISHED_KEY if bits == 512 else Key.generate("RSA-1024").spki_base64
    answer = User(server).registration(clientSidePublicKey=key)
    assert answer.status_code == 400
    assert answer.json()["type"] == "https://github.com/countersign/countersign/problems/invalid-key"
    assert str(bits) in answer.json()["detail"]


@pytest.mark.parametrize(
    "members",
    [
        {"clientSidePublicKey": "no base64"},
        {"clientSidePublicKey": ""},
        {"clientSidePublicKey": 1},
        {"clientSidePublicKey": encoded(b"no key")},
        {"username": ""},
        {"username": "-"},
        {"username": "a b"},
        {"username": 7},
        {"username": None},
        {"clientSidePublicKey": None},
        {"email": "a@example.org"},
        {"public_key": "x"},
    ],
    ids=str,
)
def test_a_registration_without_a_good_name_and_a_good_key_is_refused(server, members):
    answer = User(server).registration(**members)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


# --- challenges for nobody ---


def test_an_unknown_user_gets_a_challenge_that_looks_the_same(user):
    for name in (new_name(), "01234567-89ab-7cde-8123-456789abcdef", "no%20name", "%FF"):
        blocks = [user.challenge(name) for _ in range(5)]
        assert {len(block) for block in blocks} == {256}
        assert len(set(blocks)) == 5
        modulus = user.server_key.public_numbers().n
        padded = [pow(int.from_bytes(block, "big"), 65537, modulus).to_bytes(256, "big") for block in blocks]
        assert not any(block.startswith(b"\x00\x01\xff") for block in padded)


def test_an_account_that_registered_otherwise_is_like_no_account(server, user):
    native = Client(server, Key.generate("RSA-2048")).register()
    assert len(user.challenge(native.account_id)) == 256
    assert user.authentication(user.proposal(user.number()), native.account_id).status_code == 401


def test_nobody_logs_in_to_no_account(user):
    answer = user.authentication(user.proposal(user.number()), new_name())
    known = user.authentication(user.proposal(b"1" * 52))
    assert answer.status_code == known.status_code == 401
    assert answer.json() == known.json()
    assert answer.headers["www-authenticate"] == known.headers["www-authenticate"] == "Passwordless"


# --- refusals ---


def test_a_number_works_once(user):
    number = user.number()
    assert user.authentication(user.proposal(number)).status_code == 200
    assert user.authentication(user.proposal(number)).status_code == 401
    signature = user.key.private.sign(number, padding.PKCS1v15(), hashes.SHA256())
    assert user.authentication(signature).status_code == 401


def test_of_twenty_at_once_with_one_number_one_succeeds(user):
    proposal = user.proposal(user.number())
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: user.authentication(proposal).status_code, range(20)))
    assert sorted(statuses) == [200] + [401] * 19


def test_of_twenty_at_once_with_twenty_numbers_all_succeed(user):
    with ThreadPoolExecutor(20) as pool:
        proposals = list(pool.map(lambda _: user.proposal(user.number()), range(20)))
        statuses = set(pool.map(lambda proposal: user.authentication(proposal).status_code, proposals))
    assert statuses == {200}


def test_another_users_number_is_refused(user, server):
    other = User(server).register()
    number = user.number()
    assert other.authentication(other.proposal(number)).status_code == 401
    assert other.authentication(other.key.signature(number)).status_code == 401
    assert user.authentication(user.proposal(number)).status_code == 200


def test_another_users_key_is_refused(user, server):
    other = User(server).register()
    number = user.number()
    assert user.authentication(other.proposal(number)).status_code == 401
    assert user.authentication(user.proposal(number)).status_code == 200


def test_wrong_proposals_are_refused_and_use_nothing_up(user):
    number = user.number()
    good = user.proposal(number)
    wrong = {
        "the number itself": number,
        "the challenge sent back": user.challenge(),
        "another number": user.proposal(str(int(number) + 1).encode()),
        "a digit more": user.proposal(number + b"0"),
        "a leading zero": user.proposal(b"0" + number),
        "no digits": user.proposal(b"not a number"),
        "nothing": user.proposal(b""),
        "padding for encryption": raw_block(user.key.private, number, kind=2),
        "cut off": good[:-1],
        "too long": good + b"\x00",
        "altered": good[:-1] + bytes([good[-1] ^ 1]),
        "zeros": bytes(256),
        "ones": b"\xff" * 256,
        "SHA-512": user.key.private.sign(number, padding.PKCS1v15(), hashes.SHA512()),
        "a signature of another number": user.key.signature(number[:-1] + b"x"),
    }
    for flaw, proposal in wrong.items():
        assert user.authentication(proposal).status_code == 401, flaw
    assert user.authentication(good).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{}", b'{"proposal":1}', b'{"proposal":null}', b'{"proposal":"","x":1}', b"{"])
def test_a_body_without_a_proposal_is_refused(user, body):
    answer = user.http.post(f"/authenticate/{user.id}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("text", ["no base64!", "YQ", "YR==", "A" * 5000, '""', "\xff"])
def test_a_proposal_that_is_not_base64_is_refused(user, text):
    answer = user.http.post(f"/authenticate/{user.id}", content=text.encode())
    assert answer.status_code == 401, answer.text


def test_a_revoked_key_logs_in_no_more(user):
    native = Client(user.server, user.key, user.username)
    native.log_in()
    added = Key.generate("Ed25519")
    proof = dpop.proof(added, "POST", native.url("/v1/keys"), claims={"sub": native.username})
    answer = native.call("POST", "/v1/keys", json={"public_key": added.jwk, "new_key_proof": proof})
    assert answer.status_code == 201, answer.text
    assert native.call("DELETE", f"/v1/keys/{user.key.thumbprint}").status_code == 204
    assert user.authentication(user.proposal(user.number())).status_code == 401
    assert user.authentication(added.signature(user.number())).status_code == 200


@pytest.mark.sqlite("short-lived state that servers share survives a restart of one")
def test_a_number_from_before_a_restart_is_refused(own_server):
    user = User(own_server).register()
    number = user.number()
    assert own_server.stop() == 0
    own_server.start()
    user.http = own_server.http()
    assert user.authentication(user.proposal(number)).status_code == 401
    assert user.authentication(user.proposal(user.number())).status_code == 200


def test_the_server_keys_survive_a_crash_and_are_sealed(own_server):
    user = User(own_server).register()
    own_server.kill()
    own_server.start()
    user.http = own_server.http()
    assert user.log_in()


# --- logout ---


def test_a_token_ends_with_the_logout_at_once(user):
    token, other = user.log_in(), user.log_in()
    assert user.whoami(token).status_code == 200
    assert user.log_out(token).status_code == 200
    assert user.whoami(token).status_code == 401
    assert user.whoami(other).status_code == 200
    assert user.log_out(token).status_code == 200


def test_a_token_stays_ended_after_a_restart(own_server):
    user = User(own_server).register()
    token = user.log_in()
    assert user.log_out(token).status_code == 200
    own_server.kill()
    own_server.start()
    user.http = own_server.http()
    assert user.whoami(token).status_code == 401


def test_a_logout_takes_the_token_with_the_scheme_of_bound_tokens_too(user):
    token = user.log_in()
    assert user.http.post("/logout", headers={"Authorization": f"DPoP {token}"}).status_code == 200
    assert user.whoami(token).status_code == 401


def test_a_logout_without_a_token_is_refused(user):
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}):
        assert user.http.post("/logout", headers=headers).status_code in (400, 401)


# --- weak keys ---


def test_the_published_example_registers_where_weak_keys_may(lenient):
    user = User(lenient, username="toto")
    answer = user.registration(clientSidePublicKey=PUBLISHED_KEY)
    assert answer.status_code == 200, answer.text
    user.id = answer.json()["id"]
    assert len(user.challenge()) == 256


def test_a_weak_key_is_good_for_this_dialect_alone(lenient):
    user = User(lenient, Key.generate("RSA-1024")).register()
    token = user.log_in()
    assert user.whoami(token).status_code == 401
    number = user.number()
    signature = user.key.private.sign(number, padding.PKCS1v15(), hashes.SHA256())
    assert user.authentication(signature).status_code == 401
    assert user.authentication(user.proposal(number)).status_code == 200
    native, session = Client(lenient, user.key, user.username), Key.generate()
    native.token_request("x", [])
    assert native.token_nonce
    for proof_key, claims in ((user.key, None), (session, {"cnf": {"jkt": session.thumbprint}})):
        answer = native.token_request(native.assertion(claims=claims), [native.token_proof(proof_key)])
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_dpop_proof", "invalid_grant")
    assert user.http.get(f"/v1/accounts/{user.username}/jwks.json").json()["keys"] == []


def test_a_native_registration_refuses_weak_keys_all_the_same(lenient):
    client = Client(lenient, Key.generate("RSA-1024"))
    assert client.registration().status_code == 400


# --- switched off ---


def test_a_dialect_that_is_off_is_absent(tmp_path):
    server = house(tmp_path, COUNTERSIGN_DIALECTS_PASSWORDLESS="false").start()
    try:
        http = server.http()
        assert http.get("/challenge/x").status_code == 404
        assert http.post("/authenticate/x", content="AA==").status_code == 404
        user = User(server)
        assert user.registration().status_code in (400, 404)
        paths = http.get("/openapi.json").json()["paths"]
        assert not [path for path in paths if "challenge" in path or "authenticate" in path]
    finally:
        server.kill()
