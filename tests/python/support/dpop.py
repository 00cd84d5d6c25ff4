"""DPoP proofs, from RFC 9449 §4."""

import hashlib
import re
import time
import uuid

from .keys import base64url


def changed(original, changes):
    """`original` with `changes`; a change to None takes the member out."""
    merged = original | (changes or {})
    return {name: value for name, value in merged.items() if value is not None}


def token_hash(token):
    """`ath`: the base64url of the SHA-256 of the token."""
    return base64url(hashlib.sha256(token.encode("ascii")).digest())


def proof(key, method, url, *, token=None, nonce=None, alg=None, header=None, claims=None):
    """A proof by `key` for one request; `header` and `claims` change what an honest client would say."""
    honest_header = {"typ": "dpop+jwt", "alg": alg or key.alg, "jwk": key.jwk}
    honest_claims = {
        "jti": str(uuid.uuid4()),
        "htm": method,
        "htu": url,
        "iat": int(time.time()),
        "ath": token and token_hash(token),
        "nonce": nonce,
    }
    return key.jws(changed(honest_header, header), changed(changed(honest_claims, None), claims), alg)


def challenge(response):
    """The parameters of the DPoP challenge in WWW-Authenticate, or None if there is no such challenge."""
    for value in response.headers.get_list("www-authenticate"):
        scheme, _, parameters = value.partition(" ")
        if scheme.lower() == "dpop":
            return dict(re.findall(r'(\w+)="([^"]*)"', parameters))
    return None
