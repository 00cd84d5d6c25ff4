"""What a guard knows of one request of an ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from countersign import _native
from countersign._verdict import Refused, accepted_or_raise, principal_of

if TYPE_CHECKING:
    from countersign._principal import Principal
    from countersign._verifier import Verifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXCHANGES = "countersign.exchanges"
"""Where the exchanges of a request are in its scope, by their guards."""


class Exchange:
    """A request and what its answer must carry.

    A proof works once, so a middleware and the dependencies of a route share the exchange of their guard.
    """

    def __init__(self, guard: Verifier, scope: Scope) -> None:
        self.guard = guard
        self.scope = scope
        self.request = _native.Incoming(scope["method"], _path(scope), list(scope["headers"]))
        self.headers: list[tuple[str, str]] = []
        self._accepted: _native.Accepted | None = None
        self._body: bytes | None = None
        self._body_refused: _native.Refused | None = None

    @classmethod
    def of(cls, guard: Verifier, scope: Scope) -> Exchange:
        """Give the exchange of this request with this guard."""
        exchanges: dict[Verifier, Exchange] = scope.setdefault(EXCHANGES, {})
        if guard not in exchanges:
            exchanges[guard] = cls(guard, scope)
        return exchanges[guard]

    @property
    def lacks_body(self) -> bool:
        """Whether the body is needed and was not read."""
        unread = self._body is None and self._body_refused is None
        return unread and self._accepted is None and self.guard.native.needs_body(self.request)

    async def read_body(self, receive: Receive) -> Receive:
        """Read the body within the limit, if it is needed; who is given the result reads it once more."""
        if not self.lacks_body:
            return receive
        seen: list[Message] = []

        async def chunks() -> AsyncIterator[bytes]:
            while True:
                seen.append(message := await receive())
                if message["type"] != "http.request":
                    raise ConnectionError(message["type"])
                yield message.get("body", b"")
                if not message.get("more_body", False):
                    return

        await self.take_body(chunks())

        async def again() -> Message:
            return seen.pop(0) if seen else await receive()

        return again

    async def take_body(self, chunks: AsyncIterator[bytes]) -> None:
        """Read the chunks of the body, unless they are too many."""
        body, limit = bytearray(), self.guard.native.max_hashed_body()
        try:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    self._body_refused = self.guard.native.body_too_large()
                    return
        except ConnectionError:
            self._body_refused = self.guard.native.body_unreadable()
        else:
            self._body = bytes(body)

    async def verify(self, required: _native.Requirements | None = None) -> Principal:
        """Decide about the request; a second time only about what else is required."""
        native = self.guard.native
        try:
            if self._accepted is None:
                if self._body_refused is not None:
                    raise Refused(self._body_refused)
                self._accepted = await self.guard.decide(self.request, self._body, required)
                self.headers = self._accepted.headers
            elif required is not None:
                accepted_or_raise(native.lacks(self._accepted, required) or self._accepted)
        except Refused as refused:
            self.headers = refused.headers
            raise
        principal = principal_of(self._accepted)
        self.scope["countersign"] = principal
        self.scope.setdefault("state", {})["principal"] = principal
        return principal

    def completing(self, send: Send) -> Send:
        """Add to the answer what it must carry, where it does not say something else."""

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = list(message.get("headers", ()))
                present = {bytes(name).lower() for name, _ in fields}
                missing = (field for field in encoded(self.headers) if field[0] not in present)
                message = {**message, "headers": [*fields, *missing]}
            await send(message)

        return complete


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Write header fields as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _path(scope: Scope) -> bytes:
    """Give the path as it was sent: what the client has signed."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"], safe="/:@!$&'()*+,;=~").encode() if raw is None else raw.partition(b"?")[0]
