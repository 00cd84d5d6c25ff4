"""*signjwt* with an independent client: PyCA cryptography signs, PyJWT reads."""

import base64
import hashlib
import hmac
import json
import threading
import time

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from support import dpop
from support.client import Client, new_name
from support.houses import house
from support.keys import Key, base64url, decoded
from support.signjwt import SignJwtClient, pss


@pytest.fixture(scope="module")
def key():
    """RSA keys are slow to make, so that tests share one where the key does not matter."""
    return Key.generate("RSA-2048")


@pytest.fixture
def user(server):
    client = SignJwtClient(server)
    assert client.register().status_code == 200
    assert client.log_in().status_code == 200
    return client


def problem(response, status, name):
    assert response.status_code == status, response.text
    assert response.json()["type"] == f"https://github.com/countersign/countersign/problems/{name}"


# --- the flow ---


@pytest.mark.parametrize("member", ["user_id", "username"])
def test_register_log_in_and_call(server, member):
    client = SignJwtClient(server)
    response = client.register(member)
    assert response.status_code == 200
    assert set(response.json()) == {"message"}
    response = client.log_in(member)
    assert set(response.json()) == {"jwt", "nonce"}
    for _ in range(3):
        before = client.nonce
        response = client.protected()
        assert response.status_code == 200, response.text
        assert set(response.json()) == {"message", "nonce"}
        assert client.username in response.json()["message"]
        assert client.nonce != before


def test_the_jwt_is_hs256_with_subject_expiry_and_nonce(user):
    header, payload = pyjwt.get_unverified_header(user.jwt), decoded(user.jwt.split(".")[1])
    assert header["alg"] == "HS256"
    assert payload["sub"] == user.username
    assert payload["nonce"] == user.nonce
    assert 1790 <= payload["exp"] - time.time() <= 1801
    assert len(base64.urlsafe_b64decode(user.nonce + "==")) == 16


@pytest.mark.parametrize("salt", [padding.PSS.MAX_LENGTH, 222, padding.PSS.DIGEST_LENGTH, 32])
def test_the_salt_is_as_long_as_can_be_or_as_the_digest(user, salt):
    assert user.protected(sign=lambda key, message: pss(key, message, salt)).status_code == 200


@pytest.mark.parametrize("salt", [0, 20, 221])
def test_other_salts_are_refused(user, salt):
    problem(user.protected(sign=lambda key, message: pss(key, message, salt)), 403, "forbidden")


def test_pkcs1_v15_is_refused(user):
    def pkcs1(key, message):
        return key.private.sign(message, padding.PKCS1v15(), hashes.SHA256())

    problem(user.protected(sign=pkcs1), 403, "forbidden")


@pytest.mark.parametrize("bits", [3072, 4096])
def test_larger_keys_have_larger_salts(server, bits):
    client = SignJwtClient(server, Key.generate(f"RSA-{bits}"))
    assert client.register().status_code == 200
    client.log_in()
    assert client.protected().status_code == 200


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519"])
def test_keys_of_other_kinds_sign_in_their_own_way(server, kind):
    client = SignJwtClient(server, Key.generate(kind))
    assert client.register().status_code == 200
    client.log_in()
    assert client.protected(sign=Key.signature).status_code == 200


# --- registration ---


def test_a_taken_name_is_a_conflict(user, key):
    problem(SignJwtClient(user.server, key, user.username).register(), 409, "username-taken")
    problem(SignJwtClient(user.server, key, user.username.upper()).register(), 409, "username-taken")


def test_a_key_that_somebody_has_proven_is_a_conflict(user):
    squatter = SignJwtClient(user.server, user.key)
    assert squatter.register().status_code == 200
    assert user.protected().status_code == 200
    squatter.log_in()
    problem(squatter.protected(), 403, "forbidden")
    problem(SignJwtClient(user.server, user.key).register(), 409, "key-taken")


@pytest.mark.parametrize("pem", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 7, None])
def test_a_bad_key_is_refused(server, pem):
    response = server.http().post("/register", json={"user_id": new_name(), "public_key": pem})
    assert response.status_code == 400


def test_a_weak_key_is_refused_with_its_size(server):
    client = SignJwtClient(server, Key.generate("RSA-1024"))
    response = client.register()
    problem(response, 400, "invalid-key")
    assert "1024" in response.json()["detail"]


def test_a_private_key_is_refused(server, key):
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private.private_bytes(encoding, form, serialization.NoEncryption()).decode()
    body = {"user_id": new_name(), "public_key": pem}
    problem(server.http().post("/register", json=body), 400, "invalid-key")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": "a"},
        {"public_key": "b"},
        {"user_id": "a", "username": "a", "public_key": "b"},
        {"user_id": "a", "public_key": "b", "email": "c"},
    ],
)
def test_a_body_that_is_not_one_dialects_is_refused(server, body):
    problem(server.http().post("/register", json=body), 400, "invalid-request")


def test_an_unproven_key_belongs_to_whoever_proves_to_have_it(server):
    """Registering somebody else's public key neither helps nor blocks."""
    victim = Client(server, Key.generate("RSA-2048"))
    squatter = SignJwtClient(server, victim.key)
    assert squatter.register().status_code == 200
    victim.register()
    victim.log_in()
    assert victim.call().status_code == 200
    # The squatter's account has no key any more, not even with the victim's signature.
    assert squatter.http.get(f"/users/{squatter.username}").status_code == 404
    squatter.log_in()
    problem(squatter.protected(), 403, "forbidden")


def test_a_key_that_has_signed_is_nobody_elses(user):
    assert user.protected().status_code == 200
    thief = Client(user.server, user.key)
    assert thief.registration().status_code == 409
    assert user.protected().status_code == 200


def test_the_key_logs_in_natively_too(user):
    native = Client(user.server, user.key, user.username)
    native.log_in()
    response = native.call()
    assert response.json()["username"] == user.username
    assert response.json()["proof"] == "dpop"


# --- users ---


def test_a_users_public_key_is_public(user):
    response = user.http.get(f"/users/{user.username}")
    assert response.status_code == 200
    assert response.json() == {"public_key": user.key.spki_pem}


@pytest.mark.parametrize("name", ["nobody-of-that-name", "a b", "%00", "01234567-89ab-7000-8000-000000000000"])
def test_unknown_users_have_none(server, name):
    problem(server.http().get(f"/users/{name}"), 404, "not-found")


# --- login ---


def test_an_unknown_user_is_answered_alike(server, user, key):
    nobody = SignJwtClient(server, key)
    known, unknown = user.log_in(), nobody.log_in()
    assert known.status_code == unknown.status_code == 200
    assert set(known.headers) == set(unknown.headers)
    assert set(known.json()) == set(unknown.json())
    of = [decoded(answer.json()["jwt"].split(".")[1]) for answer in (known, unknown)]
    assert set(of[0]) == set(of[1])
    assert of[1]["sub"] == nobody.username
    refusals = [client.protected(key=key) for client in (user, nobody)]
    assert {answer.status_code for answer in refusals} == {403}
    assert refusals[0].json() == refusals[1].json()


@pytest.mark.parametrize(
    "body",
    [{}, {"user_id": "a", "username": "a"}, {"user_id": 7}, {"user_id": ""}, {"user_id": "a b"}],
)
def test_a_login_names_one_user(server, body):
    assert server.http().post("/login", json=body).status_code == 400


# --- protected requests ---


@pytest.mark.parametrize("member", ["jwt", "signed_message"])
def test_a_missing_field_is_a_bad_request(user, member):
    body = user.message()
    for changed in ({name: value for name, value in body.items() if name != member}, body | {member: 7}):
        problem(user.http.post("/protected", json=changed), 400, "invalid-request")
    assert user.protected().status_code == 200, "the nonce was not used up"


def test_a_wrong_key_is_refused(user, key):
    problem(user.protected(key=key), 403, "forbidden")
    assert user.protected().status_code == 200, "the nonce was not used up"


def test_a_used_nonce_is_refused(user):
    message = user.message()
    assert user.http.post("/protected", json=message).status_code == 200
    problem(user.http.post("/protected", json=message), 403, "forbidden")
    # Another signature over the same nonce is no better.
    problem(user.http.post("/protected", json=user.message()), 403, "forbidden")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_altered_jwt_is_refused(user, place):
    parts = user.jwt.split(".")
    parts[place] = ("B" if parts[place][0] == "A" else "A") + parts[place][1:]
    problem(user.protected(jwt=".".join(parts)), 403, "forbidden")


def forged(user, secret, **header):
    """A session that somebody else made."""
    claims = decoded(user.jwt.split(".")[1]) | {"exp": int(time.time()) + 999}
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"} | header, claims)]
    mac = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, base64url(mac)])


def test_forged_sessions_are_refused(user):
    public = user.key.spki_pem.encode()
    unsigned = forged(user, b"", alg="none").rsplit(".", 1)[0] + "."
    for jwt in [forged(user, b""), forged(user, b"secret"), forged(user, public), unsigned, "a.b.c", "x" * 5000]:
        problem(user.protected(jwt=jwt), 403, "forbidden")


def test_a_nonce_is_for_its_own_session(server, user):
    other = SignJwtClient(server, user.key, user.username)
    other.log_in()
    problem(user.protected(nonce=other.nonce), 403, "forbidden")
    problem(other.protected(nonce=user.nonce), 403, "forbidden")
    assert user.protected().status_code == 200
    assert other.protected().status_code == 200


def test_a_nonce_of_ones_own_choice_is_refused(user):
    problem(user.protected(nonce=base64url(bytes(16))), 403, "forbidden")


@pytest.mark.parametrize("signature", ["", "!", "AAAA", base64url(b"\xff" * 256), "A" * 20000])
def test_what_is_no_signature_is_refused(user, signature):
    body = user.message() | {"signed_message": signature}
    problem(user.http.post("/protected", json=body), 403, "forbidden")


def test_a_nonce_expires(tmp_path):
    server = house(tmp_path, COUNTERSIGN_SIGNJWT_NONCE_LIFETIME="1").start()
    try:
        client = SignJwtClient(server)
        client.register()
        client.log_in()
        assert client.protected().status_code == 200
        time.sleep(1.1)
        problem(client.protected(), 403, "forbidden")
        client.log_in()
        assert client.protected().status_code == 200
    finally:
        server.stop()


def at_once(count, request):
    """The answers to as many requests, sent as close together as threads can."""
    start, answers = threading.Barrier(count), []

    def run():
        start.wait()
        answers.append(request())

    threads = [threading.Thread(target=run) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return answers


def test_of_concurrent_uses_of_a_nonce_one_succeeds(server, user):
    clients = [server.http() for _ in range(20)]
    messages = [user.message() for _ in clients]
    assert len({message["signed_message"] for message in messages}) == 20
    pairs = iter(list(zip(clients, messages, strict=True)))
    lock = threading.Lock()

    def request():
        with lock:
            client, message = next(pairs)
        return client.post("/protected", json=message)

    answers = at_once(20, request)
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 19
    [winner] = [answer for answer in answers if answer.status_code == 200]
    user.nonce = winner.json()["nonce"]
    assert user.protected().status_code == 200


# --- the same pair in headers ---


def test_the_pair_protects_any_resource(user):
    for _ in range(2):
        response = user.call()
        assert response.status_code == 200, response.text
        body = response.json()
        assert body["username"] == user.username
        assert body["proof"] == "signjwt"
        assert body["thumbprint"] == user.key.thumbprint
    assert user.protected().status_code == 200, "one chain of nonces for both"


def test_the_challenge_names_the_scheme(server, user):
    response = server.http().get("/v1/whoami")
    schemes = [challenge.split(" ")[0] for challenge in response.headers.get_list("www-authenticate")]
    assert schemes == ["DPoP", "SignJWT", "Bearer"]
    response = server.http().get("/v1/whoami", headers=user.headers(nonce=base64url(bytes(16))))
    assert response.status_code == 401
    [challenge] = [c for c in response.headers.get_list("www-authenticate") if c.startswith("SignJWT")]
    assert 'error="invalid_token"' in challenge
    assert "signjwt-nonce" not in response.headers


def test_header_and_body_share_the_nonce(user):
    headers, message = user.headers(), user.message()
    assert user.http.get("/v1/whoami", headers=headers).status_code == 200
    problem(user.http.post("/protected", json=message), 403, "forbidden")
    assert user.http.get("/v1/whoami", headers=headers).status_code == 401


def test_the_header_must_be_there_once(user):
    headers = user.headers()
    assert user.http.get("/v1/whoami", headers={"Authorization": headers["Authorization"]}).status_code == 401
    twice = [*headers.items(), ("Signed-Message", headers["Signed-Message"])]
    assert user.http.get("/v1/whoami", headers=twice).status_code == 401
    broken = headers | {"Signed-Message": "%%%"}
    assert user.http.get("/v1/whoami", headers=broken).status_code == 401
    assert user.http.get("/v1/whoami", headers=headers).status_code == 200, "the nonce was not used up"


# --- the end ---


def test_logout_ends_the_session(user):
    other = SignJwtClient(user.server, user.key, user.username)
    other.log_in()
    response = user.http.post("/logout", json=user.message())
    assert response.status_code == 200
    problem(user.protected(), 403, "forbidden")
    assert user.call().status_code == 401
    assert other.protected().status_code == 200, "another session goes on"


def test_logout_needs_the_signature(user, key):
    problem(user.http.post("/logout", json=user.message(key=key)), 403, "forbidden")
    problem(user.http.post("/logout", json={"jwt": user.jwt}), 400, "invalid-request")
    assert user.protected().status_code == 200


def test_revoking_the_key_ends_its_sessions(user):
    native = Client(user.server, user.key, user.username)
    native.log_in()
    spare = Key.generate()
    proof = dpop.proof(spare, "POST", native.url("/v1/keys"), claims={"sub": native.username})
    body = {"public_key": spare.jwk, "new_key_proof": proof}
    response = native.call("POST", "/v1/keys", json=body)
    assert response.status_code == 201, response.text
    assert user.protected().status_code == 200
    assert native.call("DELETE", f"/v1/keys/{user.key.thumbprint}").status_code == 204
    problem(user.protected(), 403, "forbidden")


@pytest.mark.sqlite("short-lived state that servers share survives a restart of one")
def test_nothing_survives_a_restart(own_server):
    client = SignJwtClient(own_server)
    client.register()
    client.log_in()
    used = client.message()
    assert client.http.post("/protected", json=used).status_code == 200
    client.log_in()
    unused = client.message()
    own_server.kill()
    own_server.start()
    for message in (used, unused):
        problem(client.http.post("/protected", json=message), 403, "forbidden")
    client.log_in()
    assert client.protected().status_code == 200


# --- a session is nothing else ---


def test_a_session_is_no_other_token(user):
    for headers in [
        {"Authorization": f"Bearer {user.jwt}"},
        {"Authorization": f"DPoP {user.jwt}", "DPoP": dpop.proof(user.key, "GET", user.server.origin + "/v1/whoami")},
    ]:
        assert user.http.get("/v1/whoami", headers=headers).status_code == 401
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": user.jwt}
    assert user.http.post("/oauth/token", data=grant).status_code == 400


def test_no_other_token_is_a_session(user):
    native = Client(user.server, user.key, user.username)
    native.log_in()
    for jwt in (native.token, native.assertion()):
        problem(user.protected(jwt=jwt), 403, "forbidden")


# --- switched off ---


def test_switched_off_it_is_absent(tmp_path):
    server = house(tmp_path, COUNTERSIGN_DIALECTS_SIGNJWT="off").start()
    try:
        http = server.http()
        assert http.post("/login", json={"user_id": "a"}).status_code == 404
        assert http.post("/protected", json={}).status_code == 404
        assert http.get("/users/a").status_code == 404
        assert SignJwtClient(server).register().status_code == 400
        api = http.get("/openapi.json").text
        assert "/protected" not in api
        assert "SignJWT" not in api
        metadata = http.get("/.well-known/oauth-authorization-server").json()
        assert "signjwt" not in metadata["countersign_proofs_supported"]
        assert "SignJWT" not in http.get("/v1/whoami").headers["www-authenticate"]
    finally:
        server.stop()
