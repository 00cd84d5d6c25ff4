"""What a server has acknowledged, and whether it still stands by it.

A crowd of clients writes down what the server has answered with success, and when. After a fault everything in the ledger
must be there, nothing that is over may work, and what was used once must not work a second time. What the server has not
answered, or has refused, may have been done or not: nothing is said about it.
"""

import contextlib
import dataclasses
import random
import threading
import time

import httpx

from support import dpop
from support.client import Client
from support.keys import Key

ANSWERS_UNDER_FAULTS = {503}
"""How a server may refuse what it cannot do now."""


@dataclasses.dataclass
class Account:
    """An account as the server has acknowledged it; each time is that of the acknowledgement."""

    client: Client
    registered: float
    token: str | None = None
    logged_in: float = 0.0
    assertion: str | None = None
    revoking: float = float("inf")
    revoked: float = float("inf")
    device: Key | None = None
    added: float = 0.0
    removing: float = float("inf")
    removed: float = float("inf")
    disabled: bool = False


@dataclasses.dataclass
class Verdict:
    """What has become of it."""

    kept: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    twice: list[str] = dataclasses.field(default_factory=list)

    def __iadd__(self, other):
        self.kept += other.kept
        self.lost += other.lost
        self.twice += other.twice
        return self


class Refused(Exception):
    """The server has said that it cannot do this now."""


class Ledger:
    """All that was acknowledged by one server."""

    def __init__(self, server):
        self.server = server
        self.accounts = []
        self.surprises = []
        self._lock = threading.Lock()

    @property
    def acknowledged(self):
        """How many changes were acknowledged."""
        return sum(
            1 + sum(map(bool, (a.token, a.revoked != float("inf"), a.device, a.removed != float("inf"))))
            for a in self.accounts
        )

    # --- one thing after the other, each written down when it is acknowledged ---

    def register(self):
        client = Client(self.server, Key.generate("Ed25519"))
        _expect(client.registration(), 201)
        account = Account(client, time.time())
        with self._lock:
            self.accounts.append(account)
        return account

    def log_in(self, account):
        client = account.client
        client.token_nonce = None
        first = client.token_request(client.assertion(), [_token_proof(client)])
        if first.json().get("error") != "use_dpop_nonce":
            _expect(first, 200)
        assertion = client.assertion()
        answer = _expect(client.token_request(assertion, [_token_proof(client, client.token_nonce)]), 200)
        account.assertion = assertion
        account.token = client.token = answer.json()["access_token"]
        account.logged_in = time.time()

    def revoke_token(self, account):
        account.revoking = time.time()
        _expect(account.client.revoke(account.token), 200)
        account.revoked = time.time()

    def add_device(self, account):
        device = Key.generate("Ed25519")
        _expect(account.client.add_key(device), 201)
        account.device, account.added = device, time.time()

    def remove_device(self, account):
        account.removing = time.time()
        _expect(account.client.call("DELETE", f"/v1/keys/{account.device.thumbprint}"), 204)
        account.removed = time.time()

    def live_a_little(self, rng):
        """A new account, and as much of a life as chance gives it."""
        account = self.register()
        if rng.random() < 0.7:
            self.log_in(account)
            if rng.random() < 0.4:
                self.add_device(account)
                if rng.random() < 0.5:
                    self.remove_device(account)
            elif rng.random() < 0.5:
                self.revoke_token(account)
        return account

    @contextlib.contextmanager
    def crowd(self, size, seed):
        """`size` clients that live a little, again and again, until the block or the server ends."""
        over = threading.Event()

        def run(rng):
            while not over.is_set():
                try:
                    self.live_a_little(rng)
                except Refused:
                    time.sleep(0.01)
                except httpx.TransportError:
                    return
                except Exception as error:  # noqa: BLE001 - whatever it is, the round must report it
                    self.surprises.append(repr(error)[:300])
                    return

        threads = [threading.Thread(target=run, args=(random.Random(seed * 100 + n),)) for n in range(size)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    # --- whether it still stands ---

    def verdict(self, until=float("inf"), at_most=40, rng=random):
        """Asks the running server about what was acknowledged before the time `until`: the newest things, and a sample."""
        known = [a for a in self.accounts if a.registered < until]
        if len(known) > at_most:
            newest = at_most // 2
            known = rng.sample(known[:-newest], at_most - newest) + known[-newest:]
        verdict = Verdict()
        for account in known:
            self._judge(account, until, verdict)
        return verdict

    def _judge(self, account, until, verdict):
        client = Client(self.server, account.client.key, account.client.username)
        if account.disabled:
            return
        account_is_there = self._logs_in(client)
        _note(verdict, account_is_there, f"account {client.username}")
        if not account_is_there:
            return
        if account.token and account.logged_in < until:
            self._judge_token(account, client, until, verdict)
        if account.device and account.added < until:
            device = Client(self.server, account.device, client.username)
            if account.removed < until:
                _note(verdict, not self._logs_in(device), f"revocation of a key of {client.username}")
            elif account.removing > until or account.removing == float("inf"):
                _note(verdict, self._logs_in(device), f"key of {client.username}")

    def _judge_token(self, account, client, until, verdict):
        again = client.token_request(account.assertion, [_token_proof(client, client.token_nonce)])
        if again.status_code == 200:
            verdict.twice.append(f"assertion of {client.username}")
        client.token = account.token
        works = client.call().status_code == 200
        if account.revoked < until:
            _note(verdict, not works, f"revocation of a token of {client.username}")
        elif account.revoking > until or account.revoking == float("inf"):
            _note(verdict, works, f"token of {client.username}")

    def _logs_in(self, client):
        try:
            client.log_in()
        except AssertionError:
            return False
        return client.call().status_code == 200


def _note(verdict, holds, what):
    if holds:
        verdict.kept += 1
    else:
        verdict.lost.append(what)


def _token_proof(client, nonce=None):
    return dpop.proof(client.key, "POST", client.url("/oauth/token"), nonce=nonce)


def _expect(response, status):
    if response.status_code in ANSWERS_UNDER_FAULTS:
        raise Refused(response.text)
    if response.status_code != status:
        raise AssertionError(f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}")
    return response
