"""Countersign for Python: a guard for APIs, and a client of them.

    from countersign import Guard, Principal

    guard = Guard(issuer="https://auth.example.com", origin="https://api.example.com")

    @app.get("/items")
    async def items(who: Principal = Depends(guard)): ...

Every check is made by the same Rust code that guards the server's own resources.
"""

from countersign._client import Client
from countersign._guard import Guard
from countersign._native import ClientFailed, Key
from countersign._principal import Principal
from countersign._self_signed import SelfSigned
from countersign._verdict import Refused, Verified
from countersign._verifier import METADATA_PATH

__all__ = [
    "METADATA_PATH",
    "Client",
    "ClientFailed",
    "Guard",
    "Key",
    "Principal",
    "Refused",
    "SelfSigned",
    "Verified",
]
