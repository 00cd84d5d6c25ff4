"""An API of somebody else behind the guard, in whichever shape, and an account that calls it."""

import hashlib
import json
import random
import socket
import subprocess
import time
import uuid

import httpx
import jwt as pyjwt

from . import dpop
from .client import Client
from .server import PATIENCE, http_client

ITEMS = "/items"
"""Answers any method to whoever logged in; `/admin` answers those with the scope admin, `/open` everyone."""


def free_origin():
    """An origin on this machine where nobody listens now, and whose port no outgoing connection gets before
    somebody does: it lies below the range that systems take those from."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"http://127.0.0.1:{port}"


class Api:
    """A process that serves an API at `origin`, whose users log in at the server `issuer`."""

    offline = True
    """Whether it goes on while the server is away."""
    reads_bodies = True
    """Whether it can hold a body against the hash in a proof."""

    def __init__(self, origin, issuer):
        self.origin = origin
        self.issuer = issuer
        self.processes = []

    def run(self, *command, **options):
        """Starts a process that ends with the API."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def wait_until_it_answers(self, origin=None):
        """Waits for `/open` to be answered; a proxy may be there before what is behind it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert all(process.poll() is None for process in self.processes), "the API has ended"
            try:
                if httpx.get((origin or self.origin) + "/open", trust_env=False, timeout=PATIENCE).is_success:
                    return
            except httpx.TransportError:
                continue
        raise AssertionError("the API does not answer")

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(PATIENCE)


class ApiClient:
    """An account that calls an API: with a token for it, or with JWTs of its own."""

    def __init__(self, api, account=None):
        self.api = api
        self.account = account or Client(api.issuer).register()
        self.http = http_client(api.origin)
        self.token = None
        self.nonce = None

    @property
    def key(self):
        return self.account.key

    def log_in(self, resource="api"):
        """Gets a token for the API; for the server itself where `resource` is None."""
        account = self.account
        changes = {"resource": self.api.origin} if resource else {}
        response = account.token_request(account.assertion(), [account.token_proof()], changes)
        assert response.status_code == 200, response.text
        self.token = response.json()["access_token"]
        return self

    def send(self, method, path, headers, **options):
        """Sends exactly these headers and gives back the answer, whatever it is."""
        response = self.http.request(method, path, headers=headers, **options)
        self.nonce = response.headers.get("dpop-nonce", self.nonce)
        return response

    def proof(self, method="GET", path=ITEMS, *, key=None, origin=None, **changes):
        """A proof with the API's newest nonce."""
        if self.nonce is None:
            bare = dpop.proof(self.key, "GET", self.api.origin + ITEMS, token=self.token)
            self.send("GET", ITEMS, self.headers(bare))
            assert self.nonce, "the API gave no nonce"
        options = {"token": self.token, "nonce": self.nonce} | changes
        return dpop.proof(key or self.key, method, (origin or self.api.origin) + path, **options)

    def headers(self, proof=None, *, scheme="DPoP", token=None):
        fields = [("Authorization", f"{scheme} {token or self.token}")]
        return fields + ([("DPoP", proof)] if proof else [])

    def call(self, method="GET", path=ITEMS, **options):
        """Calls the API as an honest client does."""
        return self.send(method, path, self.headers(self.proof(method, path)), **options)

    # --- JWTs of its own ---

    def self_signed(self, changes=None, key=None):
        """A JWT that takes the place of a token."""
        key = key or self.key
        now = int(time.time())
        honest = {"sub": self.account.username, "aud": self.api.origin, "iat": now, "exp": now + 60}
        claims = dpop.changed(honest | {"jti": str(uuid.uuid4())}, changes)
        return pyjwt.encode(claims, key.private, algorithm=key.alg)

    def bearer(self, token, method="GET", path=ITEMS, **options):
        return self.send(method, path, self.headers(scheme="Bearer", token=token), **options)


def sha256_hex(body):
    return hashlib.sha256(body).hexdigest()


def body_of(members):
    """The bytes of a JSON body, so that a test knows what it hashes."""
    return json.dumps(members).encode()
