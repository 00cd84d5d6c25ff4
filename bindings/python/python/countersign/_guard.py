"""The guard, as a dependency of FastAPI too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign._verifier import Verifier

if TYPE_CHECKING:
    import inspect

    from fastapi import FastAPI, Response
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from countersign._principal import Principal


class Guard(Verifier):
    """Turns requests into principals or refusals; a dependency of FastAPI by itself.

    Requests are verified in this process, with keys and revocations that are fetched ahead of need. It begins with the
    first request, so a guard may be made before a process forks.
    """

    # FastAPI need not be installed, so what knows it is imported only where FastAPI is at work.

    def install(self, app: FastAPI) -> None:
        """Add to a FastAPI application what a dependency cannot do.

        That is: the metadata; nonces on every answer, whatever the route returns; refusals with all of their header
        fields and the whole problem document; bodies that a proof covers are read within the limit before a route
        reads them.
        """
        from countersign.fastapi import install

        install(self, app)

    async def __call__(
        self, connection: HTTPConnection, response: Response, scopes: SecurityScopes, **_schemes: None
    ) -> Principal:
        """Let a request of FastAPI through, or raise `fastapi.HTTPException`: for `Depends` and `Security`."""
        from countersign.fastapi import admit

        return await admit(self, connection, response, scopes.scopes)

    @property
    def __signature__(self) -> inspect.Signature:
        """What FastAPI sees of `__call__`; only FastAPI asks, so nobody else needs it to be installed."""
        from countersign.fastapi import signature

        return signature(self)
