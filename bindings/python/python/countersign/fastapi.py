"""The guard as a dependency of FastAPI."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response, WebSocketException
from fastapi.openapi.models import HTTPBase
from fastapi.responses import JSONResponse
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import ClientDisconnect, HTTPConnection

from countersign._exchange import Exchange
from countersign._verdict import Refused
from countersign._verifier import METADATA_PATH
from countersign.asgi import POLICY_VIOLATION, CompletingMiddleware

if TYPE_CHECKING:
    from countersign import _native
    from countersign._principal import Principal
    from countersign._verifier import Verifier

DESCRIPTIONS = {
    "DPoP": "An access token that is bound to a key, and in the header `DPoP` a proof by that key for this request "
    "(RFC 9449).",
    "SignJWT": "A session, and in the header `Signed-Message` a signature over its nonce and itself.",
    "Bearer": "A JWT that the client signs itself, for one request.",
    "Bearer token": "A token that whoever holds it may use.",
}


class RefusedRequest(HTTPException):
    """The refusal of a request, as FastAPI raises it."""

    def __init__(self, refused: Refused) -> None:
        headers: dict[str, str] = {}
        for name, value in refused.headers:
            # Several challenges in one field are a list (RFC 9110 §11.6.1).
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        super().__init__(refused.status, str(refused), headers)
        self.refused = refused


async def admit(
    guard: Verifier, connection: HTTPConnection, response: Response, required: _native.Requirements | None
) -> Principal:
    """Decide about the request of a route."""
    if not isinstance(connection, Request):
        raise WebSocketException(POLICY_VIOLATION, "websockets are not let through")
    exchange = Exchange.of(guard, connection.scope)
    if exchange.lacks_body:
        await exchange.take_body(_chunks(connection))
    try:
        principal = await exchange.verify(required)
    except Refused as refused:
        raise RefusedRequest(refused) from None
    for name, value in exchange.headers:
        response.headers.setdefault(name, value)
    return principal


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Read the body in a way that lets the route read it once more."""
    if hasattr(request, "_body"):
        yield request._body
        return
    chunks: list[bytes] = []
    try:
        async for chunk in request.stream():
            chunks.append(chunk)
            yield chunk
    except ClientDisconnect as error:
        raise ConnectionError from error
    except RuntimeError as error:
        raise RuntimeError("the form was read before the guard could; use guard.install(app)") from error
    # There, Starlette itself keeps a body that was read.
    request._body = b"".join(chunks)


def install(guard: Verifier, app: FastAPI) -> None:
    """Do what `Guard.install` says."""
    app.add_middleware(CompletingMiddleware, guard=guard)
    app.add_exception_handler(RefusedRequest, _answer)

    @app.api_route(METADATA_PATH + "{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def metadata(path: str) -> JSONResponse:
        if METADATA_PATH + path != guard.metadata_path():
            raise HTTPException(404)
        return JSONResponse(guard.metadata(), headers={"Cache-Control": "public, max-age=300"})


async def _answer(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedRequest)  # noqa: S101 - it was added for this class
    response = Response(error.refused.body, error.refused.status)
    for name, value in error.refused.headers:
        response.headers.append(name, value)
    return response


class Scheme(SecurityBase):
    """A way to present a proof, for the OpenAPI document alone."""

    def __init__(self, name: str) -> None:
        self.scheme_name = name
        self.model = HTTPBase(scheme=name.partition(" ")[0], description=DESCRIPTIONS[name])

    async def __call__(self) -> None:
        """Do nothing: the guard itself verifies."""


def signature(guard: Verifier) -> inspect.Signature:
    """Say what FastAPI must hand to the guard, and which schemes it takes."""
    settings = guard.settings
    kinds = {
        "DPoP": settings["accept_dpop"],
        "SignJWT": settings["accept_signed_messages"],
        "Bearer": settings["accept_self_signed"] is not None,
        "Bearer token": settings["accept_bearer"],
    }

    def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    schemes = [Scheme(name) for name, counts in kinds.items() if counts]
    return inspect.Signature(
        [
            parameter("connection", HTTPConnection),
            parameter("response", Response),
            parameter("scopes", SecurityScopes),
            *(parameter(f"scheme_{number}", None, Depends(scheme)) for number, scheme in enumerate(schemes)),
        ]
    )
