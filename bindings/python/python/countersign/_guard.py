"""The guard, as a dependency of FastAPI too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign._verifier import Verifier, requirements

if TYPE_CHECKING:
    import inspect
    from collections.abc import Collection

    from fastapi import FastAPI, Response
    from fastapi.security import SecurityScopes
    from starlette.requests import HTTPConnection

    from countersign._principal import AuthenticationClass, Principal


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

    def require(
        self,
        scopes: Collection[str] = (),
        *,
        acr: AuthenticationClass | None = None,
        max_age: float | None = None,
    ) -> Requiring:
        """Give a dependency of FastAPI that requires more than this guard requires of all.

            with_passkey = guard.require(acr="phr", max_age=300)

            @app.post("/payments")
            async def payments(who: Principal = Depends(with_passkey)): ...

        Args:
            scopes: The scopes that the principal must have. Those of `Security` are added to them.
            acr: The class that its login must have (RFC 9470): `"phr"` for one with a passkey.
            max_age: How many seconds ago its login may be. The guard's `skew` is added to it.

        Raises:
            ValueError: When that cannot be required; the message says why.

        """
        return Requiring(self, scopes, acr, max_age)

    async def __call__(
        self, connection: HTTPConnection, response: Response, scopes: SecurityScopes, **_schemes: None
    ) -> Principal:
        """Let a request of FastAPI through, or raise `fastapi.HTTPException`: for `Depends` and `Security`."""
        from countersign.fastapi import admit

        return await admit(self, connection, response, requirements(scopes.scopes))

    @property
    def __signature__(self) -> inspect.Signature:
        """What FastAPI sees of `__call__`; only FastAPI asks, so nobody else needs it to be installed."""
        from countersign.fastapi import signature

        return signature(self)


class Requiring:
    """A guard with what a route requires of its principals: what `Guard.require` gives."""

    def __init__(
        self, guard: Guard, scopes: Collection[str], acr: AuthenticationClass | None, max_age: float | None
    ) -> None:
        """Read the requirements once, for all requests."""
        self.guard = guard
        self._scopes, self._acr, self._max_age = tuple(scopes), acr, max_age
        self._required = requirements(scopes, acr, max_age)

    async def __call__(
        self, connection: HTTPConnection, response: Response, scopes: SecurityScopes, **_schemes: None
    ) -> Principal:
        """Let a request of FastAPI through, or raise `fastapi.HTTPException`: for `Depends` and `Security`."""
        from countersign.fastapi import admit

        required = self._required
        if scopes.scopes:
            required = requirements([*self._scopes, *scopes.scopes], self._acr, self._max_age)
        return await admit(self.guard, connection, response, required)

    @property
    def __signature__(self) -> inspect.Signature:
        """What FastAPI sees of `__call__`."""
        from countersign.fastapi import signature

        return signature(self.guard)
