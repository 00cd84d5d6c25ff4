"""Clients who write all the time, and remember what was acknowledged."""

import threading
import time

import httpx
from support.client import Client
from support.keys import Key


class Writers:
    """Some threads that register, log in and revoke through a door, until they are told to stop."""

    def __init__(self, door, count=4):
        self.door = door
        self.accounts = []
        """Names of accounts whose registration was acknowledged."""
        self.revoked = []
        """Clients whose key is dead, as was acknowledged."""
        self.spent = []
        """Clients and assertions that logged somebody in."""
        self.failures = []
        """Moments at which something failed, and why."""
        self.successes = []
        """Moments at which something was acknowledged."""
        self.requests = []
        """Moments at which a request was over, and how many seconds it had taken."""
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer waits for ever"

    def longest_since(self, moment):
        """How many seconds the longest request took of those that were over after that."""
        return max(took for over, took in self.requests if over > moment)

    def _work(self):
        with _Timed(self.requests, base_url=self.door.address, trust_env=False, timeout=10) as http:
            while not self._stopping.is_set():
                try:
                    self._write(http)
                # The client asserts that it gets a nonce, which a house that is down does not give.
                except (httpx.TransportError, Refused, AssertionError) as failure:
                    self.failures.append((time.monotonic(), repr(failure)))
                    # A client that is told to come back waits a little.
                    self._stopping.wait(0.05)

    def _write(self, http):
        client = Client(_Connected(self.door.origin, http), Key.generate())
        acknowledged(client.registration(), 201)
        self.accounts.append(client.username)
        self.successes.append(time.monotonic())
        assertion = client.assertion()
        asked = client.token_request(client.assertion(), [])
        if client.token_nonce is None:
            raise Refused(f"{asked.status_code} without a nonce")
        answer = acknowledged(client.token_request(assertion, [client.token_proof()]), 200)
        client.token = answer.json()["access_token"]
        self.spent.append((client, assertion))
        spare = Key.generate()
        acknowledged(client.add_key(spare), 201)
        acknowledged(client.call("DELETE", f"/v1/keys/{client.key.thumbprint}"), 204)
        self.revoked.append(client)


def check(behind, accounts, spent, revoked):
    """Every account is there, every key that was revoked is dead, and no assertion works again."""
    known = behind.nodes[0].admin("accounts", "list", "--json")
    missing = [name for name in accounts if f'"{name}"' not in known]
    assert not missing, f"lost: {missing}"
    for client, assertion in spent[:30]:
        visitor = Client(behind.door, client.key, client.username)
        assert visitor.token_request(assertion, [visitor.token_proof()]).status_code == 400
    for client in revoked[:30]:
        visitor = Client(behind.door, client.key, client.username)
        answer = visitor.token_request(visitor.assertion(), [visitor.token_proof()])
        assert answer.status_code in (400, 401), answer.text


class Refused(Exception):
    """The house did not do what it was asked for."""


def acknowledged(response, status):
    """The response, if it has the status of success."""
    if response.status_code != status:
        raise Refused(f"{response.status_code} {response.text[:200]}")
    return response


class _Timed(httpx.Client):
    """Says how long each request took, whatever came of it."""

    def __init__(self, requests, **settings):
        super().__init__(**settings)
        self._requests = requests

    def send(self, request, **options):
        begun = time.monotonic()
        try:
            return super().send(request, **options)
        finally:
            now = time.monotonic()
            self._requests.append((now, now - begun))


class _Connected:
    def __init__(self, origin, http):
        self.origin = origin
        self._http = http

    def http(self):
        return self._http
