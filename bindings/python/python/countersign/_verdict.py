"""What was decided about a request."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from countersign import _native
from countersign._principal import Principal

log = logging.getLogger("countersign")


@dataclass(frozen=True)
class Verified:
    """A request that was accepted."""

    principal: Principal
    """Who made it."""
    headers: list[tuple[str, str]]
    """What its answer must carry: the nonces for the client's next request."""


class Refused(Exception):
    """A request that was refused, with the answer to it."""

    def __init__(self, refused: _native.Refused) -> None:
        super().__init__(refused.message)
        self.status: int = refused.status
        """The HTTP status."""
        self.headers: list[tuple[str, str]] = refused.headers
        """All header fields of the answer: challenges, a nonce for the next try, the type of the body."""
        self.body: bytes = refused.body.encode()
        """The reason in words (RFC 9457)."""
        self.reason: str = refused.reason
        """A short stable name of the reason, for metrics and logs."""
        if refused.cause is None:
            log.info("refused: %s", refused.message)
        else:
            log.warning("cannot verify a request: %s", refused.cause)


def accepted_or_raise(verdict: _native.Accepted | _native.Refused) -> _native.Accepted:
    """Raise a refusal."""
    if isinstance(verdict, _native.Refused):
        raise Refused(verdict)
    return verdict


def principal_of(accepted: _native.Accepted) -> Principal:
    """Say who made the request."""
    return Principal(
        account_id=accepted.account_id,
        username=accepted.username,
        scopes=tuple(accepted.scopes),
        proof=accepted.proof,
        thumbprint=accepted.thumbprint,
        credential=accepted.credential,
        token_id=accepted.token_id,
        auth_time=accepted.auth_time,
        amr=tuple(accepted.amr),
        acr=accepted.acr,
        expires_at=accepted.expires_at,
    )
