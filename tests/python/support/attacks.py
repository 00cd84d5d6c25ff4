"""What thieves and forgers try at a guarded API: one table, the same for every shape of the guard.

An attack is a function that sends its requests as `ApiClient` makes them and gives back the last answer; the table says
what that answer must be: the status, and the error in the challenge of a scheme (RFC 6750 §3.1, RFC 9449 §7.1).
"""

import dataclasses
import time
from collections.abc import Callable

from . import dpop
from .api import ITEMS, body_of, sha256_hex
from .keys import Key, base64url

FORWARDED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "open.example",
    "X-Forwarded-Uri": "/open",
    "X-Forwarded-For": "127.0.0.1",
    "X-Original-Method": "GET",
    "X-Original-URI": "/open",
    "X-Original-URL": "http://open.example/open",
    "Forwarded": "for=127.0.0.1;host=open.example;proto=http",
    "Remote-User": "root",
    "Remote-Account": "root",
    "Remote-Scopes": "admin",
}
"""What a client would forge to be taken for a proxy, or for somebody whom a proxy let through."""


@dataclasses.dataclass(frozen=True)
class Attack:
    send: Callable
    status: int
    scheme: str
    error: str | None

    def __str__(self):
        return self.send.__name__.replace("_", " ")


TABLE = []


def attack(status, scheme, error):
    """Puts a function into the table, with the answer that it must get."""

    def add(function):
        TABLE.append(Attack(function, status, scheme, error))
        return function

    return add


# --- without the key ---


@attack(401, "DPoP", None)
def nothing_at_all(client, thief):
    return client.send("GET", ITEMS, {})


@attack(401, "DPoP", "invalid_dpop_proof")
def stolen_token_alone(client, thief):
    return client.send("GET", ITEMS, client.headers())


@attack(401, "Bearer", "invalid_token")
def stolen_token_as_bearer(client, thief):
    return client.send("GET", ITEMS, client.headers(scheme="Bearer"))


@attack(401, "DPoP", "invalid_token")
def stolen_token_with_another_key(client, thief):
    return client.send("GET", ITEMS, client.headers(client.proof(key=thief.key)))


@attack(401, "DPoP", "invalid_token")
def another_accounts_proof_for_the_stolen_token(client, thief):
    proof = thief.proof(token=client.token)
    return client.send("GET", ITEMS, client.headers(proof))


@attack(401, "DPoP", "invalid_token")
def token_signed_by_the_thief(client, thief):
    header, payload, _ = client.token.split(".")
    signature = thief.key.signature(f"{header}.{payload}".encode())
    forged = f"{header}.{payload}.{base64url(signature)}"
    return client.send("GET", ITEMS, client.headers(client.proof(token=forged), token=forged))


# --- with a proof that was made for something else ---


@attack(401, "DPoP", "invalid_dpop_proof")
def replayed_proof(client, thief):
    proof = client.proof()
    first = client.send("GET", ITEMS, client.headers(proof))
    assert first.status_code == 200, first.text
    return client.send("GET", ITEMS, client.headers(proof))


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_for_another_method(client, thief):
    return client.send("GET", ITEMS, client.headers(client.proof("POST")))


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_for_another_url(client, thief):
    return client.send("GET", ITEMS, client.headers(client.proof(path="/open")))


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_for_another_host(client, thief):
    return client.send("GET", ITEMS, client.headers(client.proof(origin="http://evil.example")))


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_for_a_host_that_the_request_names_too(client, thief):
    proof = client.proof(origin="http://evil.example")
    return client.send("GET", ITEMS, [*client.headers(proof), ("Host", "evil.example")])


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_for_what_forged_headers_say(client, thief):
    proof = client.proof(path="/open", origin="http://open.example")
    return client.send("GET", ITEMS, [*client.headers(proof), *FORWARDED.items()])


@attack(401, "DPoP", None)
def forged_headers_alone(client, thief):
    return client.send("GET", ITEMS, FORWARDED)


@attack(401, "DPoP", "use_dpop_nonce")
def proof_with_a_nonce_of_the_thief(client, thief):
    return client.send("GET", ITEMS, client.headers(client.proof(nonce="AAAABBBBCCCCDDDD")))


@attack(401, "DPoP", "invalid_dpop_proof")
def proof_of_ten_minutes_ago(client, thief):
    stale = {"iat": int(time.time()) - 600}
    return client.send("GET", ITEMS, client.headers(client.proof(claims=stale)))


@attack(401, "DPoP", "invalid_dpop_proof")
def two_proofs(client, thief):
    proofs = [("DPoP", client.proof()), ("DPoP", client.proof())]
    return client.send("GET", ITEMS, [*client.headers(), *proofs])


# --- with a token that is for something else, or over ---


@attack(401, "DPoP", "invalid_token")
def token_for_another_audience(client, thief):
    thief.log_in(resource=None)
    response = thief.send("GET", ITEMS, thief.headers(thief.proof()))
    thief.log_in()
    return response


@attack(401, "DPoP", "invalid_token")
def expired_token(client, thief):
    late = client.api.late
    proof = client.proof(key=late.key, token=late.token)
    return client.send("GET", ITEMS, client.headers(proof, token=late.token))


@attack(403, "DPoP", "insufficient_scope")
def token_without_the_scope(client, thief):
    return client.call("GET", "/admin")


# --- JWTs that clients sign themselves ---


@attack(401, "Bearer", "invalid_token")
def altered_body(client, thief):
    token = client.self_signed({"tha": sha256_hex(body_of({"pay": 1}))})
    return client.bearer(token, "POST", content=body_of({"pay": 1000}))


@attack(401, "Bearer", "invalid_token")
def replayed_self_signed_jwt(client, thief):
    token = client.self_signed()
    first = client.bearer(token)
    assert first.status_code == 200, first.text
    return client.bearer(token)


@attack(401, "Bearer", "invalid_token")
def expired_self_signed_jwt(client, thief):
    now = int(time.time())
    return client.bearer(client.self_signed({"iat": now - 120, "exp": now - 60}))


@attack(401, "Bearer", "invalid_token")
def self_signed_jwt_for_another_audience(client, thief):
    return client.bearer(client.self_signed({"aud": "https://other.example"}))


@attack(401, "Bearer", "invalid_token")
def self_signed_jwt_for_anybody(client, thief):
    """It would work at every API that knows the account."""
    return client.bearer(client.self_signed({"aud": None}))


@attack(401, "Bearer", "invalid_token")
def self_signed_jwt_by_another_key(client, thief):
    return client.bearer(client.self_signed(key=Key.generate()))


@attack(401, "Bearer", "invalid_token")
def self_signed_jwt_by_another_account(client, thief):
    return client.bearer(client.self_signed(key=thief.key))
