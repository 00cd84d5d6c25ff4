"""*self-signed*: bearer JWTs that PyJWT signs, with and without the hash of the body."""

import hashlib
import hmac
import json
import threading
import time
import uuid

import jwt as pyjwt
import pytest

from support import dpop
from support.client import Client
from support.houses import house
from support.keys import Key, base64url, compact
from support.signjwt import SignJwtClient

def claims(client, changes=None):
    now = int(time.time())
    return dpop.changed({"sub": client.username, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}, changes)


def signed(client, changes=None, *, key=None, alg=None, header=None):
    """A JWT as PyJWT makes it."""
    key = key or client.key
    return pyjwt.encode(claims(client, changes), key.private, algorithm=alg or key.alg, headers=header)


def call(client, token, method="GET", path="/v1/whoami", **options):
    return client.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)


def accepted(client, token, **options):
    response = call(client, token, **options)
    assert response.status_code == 200, response.text
    assert response.json()["username"] == client.username
    assert response.json()["proof"] == "self-signed"
    return response.json()


def refused(client, token, because=None, status=401, **options):
    response = call(client, token, **options)
    assert response.status_code == status, response.text
    challenges = response.headers.get_list("www-authenticate")
    [bearer] = [challenge for challenge in challenges if challenge.startswith("Bearer ")]
    if because:
        assert because in bearer, bearer
    return response


# --- what is accepted ---


def test_every_algorithm_of_every_key(server):
    for kind in ["RSA-2048", "RSA-3072", "P-256", "P-384", "Ed25519"]:
        client = Client(server, Key.generate(kind)).register()
        for alg in ["RS256", "PS256"] if kind.startswith("RSA") else [client.key.alg]:
            body = accepted(client, signed(client, alg=alg))
            assert body["thumbprint"] == body["credential"] == client.key.thumbprint
            assert body["token_id"] is None


def test_the_account_by_either_claim_name_or_id(client):
    for changes in [
        {},
        {"sub": client.account_id},
        {"sub": None, "accountId": client.username},
        {"sub": None, "accountId": client.account_id},
        {"accountId": client.username},
        {"sub": client.username.upper()},
    ]:
        accepted(client, signed(client, changes))


def test_what_may_be_there_or_not(client):
    for changes in [
        {"jti": None},
        {"iat": None},
        {"nbf": int(time.time())},
        {"aud": client.issuer},
        {"aud": [client.issuer]},
        {"iss": client.username},
        {"iat": time.time(), "exp": time.time() + 59.5},
        {"exp": int(time.time()) + 300},
        {"exp": int(time.time()) + 3600},
        {"exp": int(time.time()) + 7200},
    ]:
        accepted(client, signed(client, changes))
    for header in [{"typ": None}, {"kid": client.key.thumbprint}, {"kid": "my laptop"}]:
        accepted(client, signed(client, header=header))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method(client, method):
    accepted(client, signed(client), method=method)


def test_every_protected_resource(client):
    for_server = {"aud": client.issuer}
    assert call(client, signed(client, for_server), path="/v1/keys").json()["keys"]
    assert call(client, signed(client, for_server), path="/v1/events").status_code == 200


def test_the_key_of_signjwt_signs_too(server):
    user = SignJwtClient(server)
    user.register()
    accepted(user, signed(user, alg="RS256"))
    accepted(user, signed(user, alg="PS256"))


# --- what is refused ---


def test_claims_that_do_not_hold(client):
    now = int(time.time())
    for changes, because in [
        ({"exp": None}, "exp is missing"),
        ({"exp": now - 10}, "expired"),
        ({"exp": now + 320, "iat": None}, "too far"),
        ({"exp": now + 3600, "iat": now - 310}, "more than 300 s ago"),
        ({"exp": "soon"}, "malformed"),
        ({"iat": now + 60}, "future"),
        ({"nbf": now + 60}, "future"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": [client.issuer, "https://other.example"]}, "aud"),
        ({"iss": client.issuer}, "iss"),
        ({"sub": None}, "names no account"),
        ({"accountId": "somebody-else"}, "different accounts"),
        ({"sub": 7}, "malformed"),
    ]:
        payload = claims(client, changes)
        header = {"alg": client.key.alg, "typ": "JWT"}
        refused(client, client.key.jws(header, payload), because)


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "client-authentication+jwt", "application/at+jwt", "x"])
def test_other_types(client, typ):
    response = call(client, signed(client, header={"typ": typ}))
    assert response.status_code == 401


def test_none_and_hs256(client):
    payload = claims(client)
    secret = client.key.spki_pem.encode()

    def hs256(message):
        return hmac.new(secret, message, hashlib.sha256).digest()

    for token in [
        compact({"alg": "none"}, payload, lambda _: b""),
        compact({"alg": "HS256", "typ": "JWT"}, payload, hs256),
        compact({"alg": "HS256", "typ": "JWT"}, payload, lambda _: b"x" * 32),
    ]:
        refused(client, token)


def test_an_algorithm_that_is_not_the_keys(client):
    token = client.key.jws({"alg": "ES384"}, claims(client), "ES256")
    refused(client, token)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_altered_jwt(client, place):
    parts = signed(client).split(".")
    middle = len(parts[place]) // 2
    other = "A" if parts[place][middle] != "A" else "B"
    parts[place] = parts[place][:middle] + other + parts[place][middle + 1 :]
    refused(client, ".".join(parts))


def test_somebody_elses_key(client, other):
    refused(client, signed(client, key=other.key), "no live key")
    refused(client, signed(client, key=other.key, header={"kid": other.key.thumbprint}), "no live key")
    refused(client, signed(client, key=other.key, header={"kid": client.key.thumbprint}), "no live key")
    refused(client, signed(client, key=Key.generate(), header={"jwk": other.key.jwk}), "no live key")


def test_an_unknown_account_is_answered_like_a_wrong_signature(server, client):
    nobody = Client(server)
    wrong = refused(client, signed(client, key=Key.generate()))
    unknown = refused(nobody, signed(nobody))
    assert wrong.json() == unknown.json()
    assert wrong.headers.get_list("www-authenticate") == unknown.headers.get_list("www-authenticate")
    for name in ["a b", "x" * 500, "01234567-89ab-7000-8000-000000000000", "0" * 64]:
        assert refused(client, signed(client, {"sub": name}, key=Key.generate())).json() == wrong.json()


def test_a_revoked_key_at_once(client):
    client.log_in()
    spare = Key.generate("Ed25519")
    proof = dpop.proof(spare, "POST", client.url("/v1/keys"), claims={"sub": client.username})
    assert client.call("POST", "/v1/keys", json={"public_key": spare.jwk, "new_key_proof": proof}).status_code == 201
    accepted(client, signed(client, key=spare))
    assert client.call("DELETE", f"/v1/keys/{spare.thumbprint}").status_code == 204
    refused(client, signed(client, key=spare))
    refused(client, signed(client, key=spare, header={"kid": spare.thumbprint}), "revoked")
    accepted(client, signed(client))


def test_the_audit_trail_says_which_key_did_what(client):
    token = signed(client)
    accepted(client, token)
    refused(client, token, "used before")
    for _ in range(50):
        events = call(client, signed(client, {"aud": client.issuer}), path="/v1/events").json()["events"]
        replays = [event for event in events if event["event"] == "proof.replayed"]
        if replays:
            break
        time.sleep(0.1)
    assert replays[0]["thumbprint"] == client.key.thumbprint


# --- once ---


def test_each_works_once(client):
    token = signed(client)
    accepted(client, token)
    for path in ["/v1/whoami", "/v1/keys"]:
        refused(client, token, "used before", path=path)


def test_another_signature_over_the_same_content_is_the_same_use(client):
    payload, header = claims(client), {"alg": "ES256"}
    tokens = {client.key.jws(header, payload) for _ in range(3)}
    assert len(tokens) == 3
    answers = [call(client, token).status_code for token in tokens]
    assert sorted(answers) == [200, 401, 401]
    # The mirror image of an ECDSA signature is one too.
    payload = claims(client)
    token = client.key.jws(header, payload)
    accepted(client, token)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    start, _, signature = token.rpartition(".")
    raw = pyjwt.utils.base64url_decode(signature)
    mirrored = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    refused(client, f"{start}.{base64url(mirrored)}", "used before")


def test_a_refused_one_is_not_used_up(client):
    token = signed(client, {"tha": hashlib.sha256(b"right").hexdigest()})
    refused(client, token, "tha", method="POST", content=b"wrong")
    accepted(client, token, method="POST", content=b"right")


@pytest.mark.parametrize("changes", [{}, {"iat": None}])
def test_of_concurrent_uses_one_succeeds(server, client, changes):
    token, start, answers = signed(client, changes), threading.Barrier(20), []
    https = [server.http() for _ in range(20)]

    def use(http):
        start.wait()
        answers.append(http.get("/v1/whoami", headers={"Authorization": f"Bearer {token}"}).status_code)

    threads = [threading.Thread(target=use, args=(http,)) for http in https]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == [200] + [401] * 19


@pytest.mark.sqlite("short-lived state that servers share survives a restart of one")
def test_nothing_works_again_after_a_restart(own_server):
    client = Client(own_server).register()
    now = int(time.time())
    tokens = [
        signed(client),
        signed(client, {"iat": None}),
        signed(client, {"iat": now + 3}),
        signed(client, {"iat": now - 1}),
    ]
    for token in tokens[:3]:
        accepted(client, token)
    unused = signed(client)
    own_server.kill()
    own_server.start()
    for token in tokens:
        assert call(client, token).status_code in (401, 503)
    accepted(client, signed(client, {"iat": None}))
    # In the second of the start nobody can tell what was signed before it.
    told = call(client, signed(client))
    if told.status_code == 503:
        time.sleep(int(told.headers["retry-after"]))
    for token in tokens:
        refused(client, token)
    refused(client, unused, "sign another")
    accepted(client, signed(client))
    # The one from a clock ahead of the server's is still known when its time has come.
    time.sleep(max(0, now + 4 - time.time()))
    refused(client, tokens[2], "used before")


# --- the hash of the body ---


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_body_that_was_signed(client, method):
    body = b'{"amount": 7}'
    accepted(client, signed(client, {"tha": hashlib.sha256(body).hexdigest()}), method=method, content=body)
    for wrong in [b'{"amount": 8}', b"", body + b" "]:
        token = signed(client, {"tha": hashlib.sha256(body).hexdigest()})
        refused(client, token, "tha", method=method, content=wrong)


def test_the_handler_still_gets_the_body(client):
    key = Key.generate("Ed25519")
    proof = dpop.proof(key, "POST", client.url("/v1/keys"), claims={"sub": client.username})
    body = json.dumps({"public_key": key.jwk, "new_key_proof": proof}).encode()
    token = signed(client, {"aud": client.issuer, "tha": hashlib.sha256(body).hexdigest()})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    response = client.http.post("/v1/keys", content=body, headers=headers)
    assert response.status_code == 201, response.text
    accepted(client, signed(client, key=key))


def test_no_body_has_the_hash_of_nothing(client):
    accepted(client, signed(client, {"tha": hashlib.sha256(b"").hexdigest()}))


def test_other_spellings_of_the_hash(client):
    digest = hashlib.sha256(b"body").hexdigest()
    for wrong in [digest.upper(), digest[:-1], base64url(bytes.fromhex(digest)), "", hashlib.sha1(b"body").hexdigest()]:
        refused(client, signed(client, {"tha": wrong}), method="POST", content=b"body")


def test_a_body_larger_than_the_limit(client):
    body = b"x" * 200_000
    token = signed(client, {"tha": hashlib.sha256(body).hexdigest()})
    response = call(client, token, "POST", content=body)
    assert response.status_code == 413, response.text


def configured(tmp_path, **settings):
    names = {f"COUNTERSIGN_{name.upper()}": value for name, value in settings.items()}
    server = house(tmp_path, **names).start()
    server.outlive_the_beginning()
    return server


def test_md5_does_not_count_for_accounts_that_came_otherwise(client):
    digest = hashlib.md5(b"body").hexdigest()
    refused(client, signed(client, {"tha": digest}), "tha", method="POST", content=b"body")


def test_switches_demand_audience_and_hash(tmp_path):
    server = configured(tmp_path, self_signed_require_audience="on", self_signed_require_body_hash="on")
    client = Client(server).register()
    full = {"aud": client.issuer, "tha": hashlib.sha256(b"").hexdigest()}
    accepted(client, signed(client, full))
    refused(client, signed(client, full | {"aud": None}), "aud is missing")
    refused(client, signed(client, full | {"tha": None}), "tha is missing")
    server.stop()


def test_until_expiry_is_a_choice(tmp_path):
    server = configured(tmp_path, self_signed_reuse="until-expiry")
    client = Client(server).register()
    token = signed(client, {"exp": int(time.time()) - 3})
    for _ in range(3):
        accepted(client, token)
    time.sleep(2.1)
    refused(client, token, "expired")
    server.stop()


def test_switched_off_it_is_absent(tmp_path):
    server = configured(tmp_path, dialects_self_signed="off", dialects_gradecoin="off")
    client = Client(server).register()
    response = call(client, signed(client))
    assert response.status_code == 401
    assert "Bearer" not in response.headers["www-authenticate"]
    assert "self-signed" not in client.http.get("/openapi.json").text
    metadata = client.http.get("/.well-known/oauth-authorization-server").json()
    assert "self-signed" not in metadata["countersign_proofs_supported"]
    server.stop()


def test_with_gradecoin_alone_the_hash_is_mandatory(tmp_path):
    server = configured(tmp_path, dialects_self_signed="off")
    client = Client(server).register()
    refused(client, signed(client), "tha is missing")
    accepted(client, signed(client, {"tha": hashlib.sha256(b"").hexdigest()}))
    server.stop()


# --- no other kind of token ---


def test_an_assertion_is_no_self_signed_jwt(client):
    assertion = client.assertion()
    refused(client, assertion, "assertion")
    proof = client.token_proof()
    assert client.token_request(assertion, [proof]).status_code == 200, "it was not used up"


def test_a_self_signed_jwt_is_no_assertion(client):
    for changes in [{}, {"aud": client.issuer}, {"aud": client.issuer, "jti": None, "iss": client.username}]:
        token = signed(client, changes)
        assert client.token_request(token, [client.token_proof()]).json()["error"] == "invalid_grant"
        accepted(client, token)


def test_an_access_token_is_no_self_signed_jwt(logged_in):
    response = call(logged_in, logged_in.token)
    assert response.status_code == 401
    assert "DPoP" in response.json()["detail"]


def test_a_proof_is_no_self_signed_jwt(logged_in):
    refused(logged_in, logged_in.resource_proof())


def test_a_self_signed_jwt_is_neither_access_token_nor_proof(logged_in):
    token = signed(logged_in)
    headers = [("Authorization", f"DPoP {token}"), ("DPoP", logged_in.resource_proof())]
    assert logged_in.http.get("/v1/whoami", headers=headers).status_code == 401
    assert logged_in.http.get("/v1/whoami", headers=logged_in.authorization(token)).status_code == 401
    accepted(logged_in, token)
