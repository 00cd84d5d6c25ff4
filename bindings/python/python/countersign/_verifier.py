"""What decides about requests, for any framework and for none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from countersign import _native
from countersign._self_signed import SelfSigned
from countersign._verdict import Verified, accepted_or_raise, principal_of

if TYPE_CHECKING:
    from countersign._native import Settings
    from countersign._principal import AuthenticationClass

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
"""Where an API says what it wants of its clients (RFC 9728)."""

LEAST_LAG: Final = 4.0
"""Seconds for which the server, and a cache on the way, may give one answer about revocations."""

Headers = Iterable[tuple[str | bytes, str | bytes]]


class Verifier:
    """What every guard does, whatever framework it stands in."""

    def __init__(
        self,
        issuer: str,
        origin: str | None = None,
        *,
        audience: str | None = None,
        accept_dpop: bool = True,
        accept_self_signed: bool | SelfSigned = False,
        accept_signed_messages: bool = False,
        accept_bearer: bool = False,
        max_lag: float = 10.0,
        outage: float = 900.0,
        skew: float = 5.0,
        require_acr: AuthenticationClass | None = None,
        max_age: float | None = None,
        introspect_as: tuple[str, _native.Key] | None = None,
        scopes_supported: Collection[str] = (),
        extra_roots: str | bytes | None = None,
        connect_timeout: float = 2.0,
        timeout: float = 5.0,
        shared_state: bool | str | os.PathLike[str] = True,
        nonce_secret: str | bytes | None = None,
    ) -> None:
        """Make a guard; times are in seconds.

        Args:
            issuer: The authentication server, by its issuer identifier.
            origin: Scheme, host and port under which clients reach this API. It is never taken from a request, because
                whoever sends one chooses its `Host`. Left out, it is that of the environment variable
                `COUNTERSIGN_ORIGIN`, or `http://127.0.0.1:8000`, where uvicorn listens, if the issuer is on this
                machine too.
            audience: What tokens must name in `aud`, in place of the origin.
            accept_dpop: Whether DPoP-bound access tokens count (RFC 9449).
            accept_self_signed: Whether JWTs count that accounts sign themselves.
            accept_signed_messages: Whether signatures over nonce and session count. The issuer is asked about each.
            accept_bearer: Whether tokens count that are bound to no key: whoever gets hold of one can use it. They name
                no API: each works at every API, not yours alone, that accepts them of the same issuer.
            max_lag: How long after a revocation it may still be unknown here, while the issuer can be reached.
            outage: For how long to go on with what is known of revocations while it cannot be reached.
            skew: How far the clocks of issuer, clients and this API may be apart.
            require_acr: The class that every login must have (RFC 9470): `"phr"` for one with a passkey.
            max_age: How long ago every login may be (RFC 9470). `skew` is added to it.
            introspect_as: An account with the scope `introspect`, and a key of it, by which to ask the issuer about
                each token when what is known of revocations is too old.
            scopes_supported: The scopes that the metadata name.
            extra_roots: Certificates, in PEM, of authorities to trust besides those that the system trusts.
            connect_timeout: How long to wait for a connection to the issuer.
            timeout: How long to wait for an answer of it.
            shared_state: Whether the processes of this machine that guard this API share nonces and used proofs. They
                must, or each refuses the nonces of the others; only a process that is alone need not. They meet in a
                file of the user that they run as, in memory where the machine has `/dev/shm`; a path is another
                directory for it, on a disk of this machine.
            nonce_secret: What makes the nonces of several machines known to each of them: the same secret for all, at
                least 32 bytes. Used proofs are not known to the other machines, so within the minute in which it is
                fresh, a stolen proof works once at each machine that it was not used at. Send each client to the same
                machine, and a thief too has only the one.

        Raises:
            ValueError: When a setting is of no use; the message says which and why.
            OSError: When `shared_state` is a directory of no use, such as one that others can change.

        """
        if max_lag < LEAST_LAG:
            raise ValueError(f"max_lag must be at least {LEAST_LAG:.0f} seconds, not {max_lag}")
        if accept_self_signed is True:
            accept_self_signed = SelfSigned()
        settings: Settings = {
            "issuer": issuer,
            "origin": origin or _default_origin(issuer),
            "audience": audience,
            "accept_dpop": accept_dpop,
            "accept_self_signed": accept_self_signed or None,
            "accept_signed_messages": accept_signed_messages,
            "accept_bearer": accept_bearer,
            "max_lag": max_lag,
            "outage": outage,
            "skew": skew,
            "require_acr": require_acr,
            "max_age": max_age,
            "introspect_as": introspect_as,
            "scopes_supported": list(scopes_supported),
            "extra_roots": extra_roots.encode() if isinstance(extra_roots, str) else extra_roots,
            "connect_timeout": connect_timeout,
            "timeout": timeout,
            "shared_state": shared_state if isinstance(shared_state, bool) else os.fspath(shared_state),
            "nonce_secret": nonce_secret.encode() if isinstance(nonce_secret, str) else nonce_secret,
        }
        if not (accept_dpop or accept_self_signed or accept_signed_messages or accept_bearer):
            raise ValueError("a guard that accepts no kind of proof lets nobody through")
        self.settings: Final = settings
        self.native: Final = _native.Guard(settings)

    def __repr__(self) -> str:
        """Name issuer and origin."""
        return f"<countersign.Guard of {self.settings['origin']}, for tokens of {self.settings['issuer']}>"

    async def verify(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None = None,
        scopes: Collection[str] = (),
        *,
        acr: AuthenticationClass | None = None,
        max_age: float | None = None,
    ) -> Verified:
        """Decide about a request; `path` is as it was sent, without the query.

        Args:
            method: The method.
            path: The path.
            headers: All header fields.
            body: The whole body, for proofs that cover it; without it, these are refused.
            scopes: The scopes that the principal must have.
            acr: The class that its login must have, as in `require_acr`.
            max_age: How long ago its login may be.

        Raises:
            Refused: With the answer for the client.

        """
        request = _request(method, path, headers)
        return _verified(await self.decide(request, body, requirements(scopes, acr, max_age)))

    def verify_sync(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None = None,
        scopes: Collection[str] = (),
        *,
        acr: AuthenticationClass | None = None,
        max_age: float | None = None,
    ) -> Verified:
        """Do the same without `asyncio`, in whichever thread."""
        verdict = self.native.verify(_request(method, path, headers), body, requirements(scopes, acr, max_age))
        if isinstance(verdict, _native.Pending):
            verdict = verdict.wait()
        return _verified(accepted_or_raise(verdict))

    def start(self) -> None:
        """Begin to fetch what is needed, so that the first request need not wait for it.

        Each process begins by itself; the middlewares do it when their server starts. JWTs that clients signed
        themselves before it are refused, because nobody remembers whether they were used.
        """
        self.native.start()

    def metadata(self) -> dict[str, Any]:
        """Say what this API wants of its clients (RFC 9728), to be served at `metadata_path()`."""
        metadata: dict[str, Any] = json.loads(self.native.metadata())
        return metadata

    def metadata_path(self) -> str | None:
        """Say where the metadata are to be served, to GET and HEAD (RFC 9728 section 3.1).

        That is `METADATA_PATH`, followed by the path of the audience. For an audience that is no URL at the origin
        there are none: clients must not use metadata of another resource.
        """
        return self.native.metadata_path()

    async def decide(
        self, request: _native.Incoming, body: bytes | None, required: _native.Requirements | None
    ) -> _native.Accepted:
        """Decide about a request in the form of the part in Rust."""
        verdict = self.native.verify(request, body, required)
        if isinstance(verdict, _native.Pending):
            verdict = await _settled(verdict)
        return accepted_or_raise(verdict)


def requirements(
    scopes: Collection[str] = (), acr: AuthenticationClass | None = None, max_age: float | None = None
) -> _native.Requirements | None:
    """Write what is required in the form of the part in Rust; nothing is None.

    Raises:
        ValueError: When that cannot be required; the message says why.

    """
    if not scopes and acr is None and max_age is None:
        return None
    return _native.Requirements(" ".join(scopes), acr, max_age)


async def _settled(pending: _native.Pending) -> _native.Accepted | _native.Refused:
    """Wait for a decision without holding up the event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_native.Accepted | _native.Refused] = loop.create_future()

    def settle(verdict: _native.Accepted | _native.Refused) -> None:
        if not future.done():
            future.set_result(verdict)

    def on_another_thread(verdict: _native.Accepted | _native.Refused) -> None:
        # A loop that has ended has nobody who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, verdict)

    pending.then(on_another_thread)
    return await future


def _default_origin(issuer: str) -> str:
    if origin := os.environ.get("COUNTERSIGN_ORIGIN"):
        return origin
    # Only a server on the same machine is spoken to without TLS.
    if issuer.startswith("http://"):
        return "http://127.0.0.1:8000"
    raise ValueError(
        "origin is missing: the URL under which clients reach this API, such as origin='https://api.example.com' "
        "(or the environment variable COUNTERSIGN_ORIGIN). It is never taken from a request, because whoever sends "
        "one chooses its Host"
    )


def _request(method: str, path: str, headers: Headers) -> _native.Incoming:
    fields = [(_bytes(name), _bytes(value)) for name, value in headers]
    return _native.Incoming(method, path.encode(), fields)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1", "replace") if isinstance(text, str) else text


def _verified(accepted: _native.Accepted) -> Verified:
    return Verified(principal_of(accepted), accepted.headers)
