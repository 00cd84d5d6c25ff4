"""JWTs that accounts sign themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SelfSigned:
    """What is demanded of JWTs that accounts sign themselves."""

    max_lifetime: float = 300.0
    """For how long one counts from its `iat` on, in seconds; without `iat`, how far ahead `exp` may lie."""
    require_audience: bool = True
    """Whether `aud` must be there. Only with `require_body_hash` may it be left out: then whoever receives such a JWT
    can bring no other body than the one that was signed to the next API, and only where `aud` is optional too.
    It covers neither method nor URL: let the body say all that a request does, and give such JWTs nothing to read."""
    require_body_hash: bool = False
    """Whether `tha`, the hash of the body, must be there."""
    accept_md5: bool = False
    """Whether `tha` may be an MD5 hash, for accounts whose protocol demands it."""
    max_hashed_body: int = 64 * 1024
    """The largest body that is read to be hashed, in bytes."""
    until_expiry: bool = False
    """Whether one may be used again until it expires; also by whoever sees it on its way."""
    other_names: bool = False
    """Whether `kid`, or the member `source` of the body, may name the account in place of `sub`."""
    source_is_signer: bool = False
    """Whether the body must be JSON whose member `source` names the account that signed; needs `require_body_hash`."""
