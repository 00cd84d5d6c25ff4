"""What schemathesis needs to get past the doors: every second request is made as an honest client makes it.

`SCHEMATHESIS_HOOKS` names this module, `COUNTERSIGN_ORIGIN` the server. `COUNTERSIGN_SUCCESSES` is a file to which the
operations are written that have answered with success.
"""

import atexit
import collections
import hashlib
import json
import os
import pathlib
from types import SimpleNamespace
from urllib.parse import urlsplit

import requests
import schemathesis

from . import dpop
from .client import CLIENT_ASSERTION, JWT_BEARER, Client, new_name
from .keys import Key
from .server import http_client

ORIGIN = os.environ["COUNTERSIGN_ORIGIN"]
SERVER = SimpleNamespace(origin=ORIGIN, http=lambda: http_client(ORIGIN))
RESOURCES = "/v1/whoami", "/v1/keys", "/v1/events"

_turns = collections.Counter()
_succeeded = set()


def _account():
    account = Client(SERVER).register()
    account.log_in()
    return account


ACCOUNT = _account()
OTHERS_TOKENS = [_account().token for _ in range(8)]
"""Tokens that may be ended without ending the account's."""
ADDED_KEYS = [ACCOUNT.add_key(Key.generate("Ed25519")).json()["thumbprint"] for _ in range(4)]
PASSWORD = {"username": new_name(), "password": None}


class Proven(requests.auth.AuthBase):
    """A token and a proof for exactly the request that is sent, body and all."""

    def __call__(self, request):
        path = urlsplit(request.url).path
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        covers = {"tha": hashlib.sha256(body).hexdigest()} if isinstance(body, bytes) else None
        proof = ACCOUNT.resource_proof(request.method, path, claims=covers)
        request.headers["Authorization"] = f"DPoP {ACCOUNT.token}"
        request.headers["DPoP"] = proof
        return request


# --- what an honest client sends, by operation ---


def token(case):
    case.headers["DPoP"] = ACCOUNT.token_proof()
    case.body = {"grant_type": JWT_BEARER, "assertion": ACCOUNT.assertion()}


def authenticated():
    return {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": ACCOUNT.client_assertion()}


def introspect(case):
    case.body = {"token": ACCOUNT.token, **authenticated()}


def revoke(case):
    case.body = {"token": OTHERS_TOKENS[_turns[case.operation.label] % len(OTHERS_TOKENS)]}


def account(case):
    key = Key.generate("Ed25519")
    case.headers["DPoP"] = dpop.proof(key, "POST", ORIGIN + "/v1/accounts")
    case.body = {"username": new_name(), "public_key": key.jwk, "label": "laptop"}


def add_key(case):
    key = Key.generate("Ed25519")
    case.body = {"public_key": key.jwk, "new_key_proof": ACCOUNT.new_key_proof(key)}


def rename_key(case):
    case.path_parameters["thumbprint"] = ACCOUNT.key.thumbprint
    case.body = {"label": "desk"}


def revoke_key(case):
    # A body is refused, and the coverage phase sends some.
    case.body = schemathesis.core.NOT_SET
    if ADDED_KEYS:
        case.path_parameters["thumbprint"] = ADDED_KEYS.pop()


def events(case):
    case.query = {"limit": 2}


def log_out(case):
    case.headers["Authorization"] = f"Bearer {OTHERS_TOKENS[0]}"
    case.body = schemathesis.core.NOT_SET


def account_keys(case):
    case.path_parameters["username"] = ACCOUNT.username


def user(case):
    case.path_parameters["id"] = ACCOUNT.username


def challenge(case):
    case.path_parameters["account"] = ACCOUNT.username


def register(case):
    case.body = {"username": new_name(), "public_key": Key.generate("RSA-2048").spki_pem}


def log_in(case):
    case.body = {"username": ACCOUNT.username}


def password(case):
    if PASSWORD["password"] is None:
        body = {"username": PASSWORD["username"], "email": f"{PASSWORD['username']}@example.com"}
        PASSWORD["password"] = http_client(ORIGIN).post("/register", json=body).json()["password"]
    case.body = dict(PASSWORD)
    case.media_type = "application/json"
    case.headers.pop("DPoP", None)
    case.query = {}


HONEST = {
    "POST /oauth/token": token,
    "POST /oauth/introspect": introspect,
    "POST /oauth/revoke": revoke,
    "POST /v1/accounts": account,
    "GET /v1/accounts/{username}/jwks.json": account_keys,
    "POST /v1/keys": add_key,
    "PATCH /v1/keys/{thumbprint}": rename_key,
    "DELETE /v1/keys/{thumbprint}": revoke_key,
    "GET /v1/events": events,
    "GET /users/{id}": user,
    "GET /challenge/{account}": challenge,
    "POST /register": register,
    "POST /login": log_in,
    "POST /auth": password,
    "POST /logout": log_out,
}


@schemathesis.hook
def before_call(context, case, kwargs):
    label = case.operation.label
    # The coverage phase sends methods too that an operation has not.
    if label.split()[0] != case.method.upper():
        return
    _turns[label] += 1
    if _turns[label] % 2 == 0 and label in HONEST:
        HONEST[label](case)
    if case.operation.path.startswith(RESOURCES):
        kwargs["auth"] = Proven()


@schemathesis.hook
def after_call(context, case, response):
    if 200 <= response.status_code < 300:
        _succeeded.add(f"{case.method.upper()} {case.operation.path}")


@atexit.register
def report():
    pathlib.Path(os.environ["COUNTERSIGN_SUCCESSES"]).write_text(json.dumps(sorted(_succeeded)))
