"""The guard as a middleware, for Starlette and anything ASGI."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from countersign._exchange import Exchange, Message, Receive, Scope, Send, encoded
from countersign._verdict import Refused
from countersign._verifier import METADATA_PATH, requirements

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from countersign._principal import AuthenticationClass
    from countersign._verifier import Verifier

POLICY_VIOLATION = 1008
"""The code by which a websocket is closed that is not wanted (RFC 6455 §7.4.1)."""


class GuardMiddleware:
    """Lets only principals through to an application.

    The application finds the `Principal` in `scope["countersign"]` and, in Starlette's words, in
    `request.state.principal`. Every answer carries a nonce for the client's next request. The metadata of the API
    (RFC 9728) are served here. Websockets are refused: there is no agreed proof for them.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Verifier,
        *,
        scopes: Collection[str] = (),
        acr: AuthenticationClass | None = None,
        max_age: float | None = None,
        public: Collection[str] = (),
    ) -> None:
        """Guard `app`.

        Args:
            app: What is guarded.
            guard: Who decides.
            scopes: The scopes that every principal must have.
            acr: The class that its login must have (RFC 9470): `"phr"` for one with a passkey.
            max_age: How many seconds ago its login may be.
            public: Paths, as the application sees them, that everybody may ask for. They are compared as a whole.

        """
        self.app = app
        self.guard = guard
        self.required = requirements(scopes, acr, max_age)
        self.public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, and hand every other one on."""
        if scope["type"] == "lifespan":
            self.guard.start()
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await refuse_websocket(receive, send)
        elif scope["path"].startswith(METADATA_PATH) and scope["path"] == self.guard.metadata_path():
            await _answer_with_metadata(self.guard, scope["method"], send)
        elif scope["path"] in self.public:
            await self.app(scope, receive, send)
        else:
            await self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(self.guard, scope)
        receive = await exchange.read_body(receive)
        try:
            await exchange.verify(self.required)
        except Refused as refused:
            await answer(send, refused.status, encoded(refused.headers), refused.body)
        else:
            await self.app(scope, receive, exchange.completing(send))


class CompletingMiddleware:
    """Does for routes that verify requests themselves what they cannot do.

    Bodies that proofs cover are read before anybody else reads them, and answers get the nonces.
    """

    def __init__(self, app: ASGIApp, guard: Verifier) -> None:
        """Complete what `app` does with `guard`."""
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand every request on."""
        if scope["type"] == "http":
            exchange = Exchange.of(self.guard, scope)
            receive, send = await exchange.read_body(receive), exchange.completing(send)
        elif scope["type"] == "lifespan":
            self.guard.start()
        await self.app(scope, receive, send)


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """Refuse a connection before it is made; servers answer that with 403."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "websockets are not let through"})


async def _answer_with_metadata(guard: Verifier, method: str, send: Send) -> None:
    if method not in {"GET", "HEAD"}:
        await answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
        return
    document: dict[str, Any] = guard.metadata()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"public, max-age=300")]
    await answer(send, 200, headers, json.dumps(document).encode())
