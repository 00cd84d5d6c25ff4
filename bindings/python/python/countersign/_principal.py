"""Who made a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProofKind = Literal["dpop", "signjwt", "self-signed", "bearer"]

AuthenticationClass = Literal["phr"]
"""The class of a login (`acr`): `phr` is phishing-resistant, which only a login with a passkey is."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The account that made a request, and how it proved that.

    A handler may return it: FastAPI writes it as JSON. Tests may make one, to take the guard's place.
    """

    account_id: str
    """The account's id, a UUID. It never changes, and no other account gets it."""
    username: str | None = None
    """What the account is called, for people to read: as its token, or else the issuer, says it. A token keeps the name
    of its login, so store `account_id`."""
    scopes: tuple[str, ...] = ()
    """What the token allows; without a token, what the account may do."""
    proof: ProofKind = "dpop"
    """The kind of proof."""
    thumbprint: str | None = None
    """The key that signed the request (RFC 7638); none where `proof` is `bearer`."""
    credential: str | None = None
    """The key that logged in. It names the device, and is `thumbprint` unless that is a session key."""
    token_id: str | None = None
    """The `jti` of the token, where there is one."""
    auth_time: int | None = None
    """When the account logged in, in seconds since 1970, if a token says it: only a DPoP-bound one does."""
    amr: tuple[str, ...] = ()
    """What it did to log in (RFC 8176): `pop` and `pwd`, and of passkeys `user`, `hwk` and `swk`."""
    acr: AuthenticationClass | None = None
    """The class of that login, if it has one."""
    expires_at: int = 0
    """When the token, or the JWT in its place, ends: seconds since 1970."""
