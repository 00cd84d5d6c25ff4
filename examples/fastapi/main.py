"""An API in FastAPI behind the guard.

`/items` is for everyone who logged in, `/admin` for those with the scope `admin`, `/payments` for those who logged in
with a passkey within five minutes, `/open` for all.
"""

import os

from countersign import Guard, Principal
from fastapi import Depends, FastAPI, Security

guard = Guard(
    issuer=os.environ.get("ISSUER", "http://localhost:8080"),
    origin=os.environ.get("ORIGIN", "http://127.0.0.1:8000"),
    accept_self_signed=True,
    accept_signed_messages=True,
    scopes_supported=["admin"],
)
app = FastAPI(title="An API behind the guard")
guard.install(app)
with_passkey = guard.require(acr="phr", max_age=300)


@app.get("/items")
@app.post("/items")
@app.put("/items")
@app.delete("/items")
async def items(who: Principal = Depends(guard)) -> Principal:
    """Say who asks."""
    return who


@app.get("/admin")
async def admin(who: Principal = Security(guard, scopes=["admin"])) -> Principal:
    """Say who asks, if that is an administrator."""
    return who


@app.post("/payments")
async def payments(who: Principal = Depends(with_passkey)) -> Principal:
    """Say who asks, if a passkey has vouched for that lately."""
    return who


@app.get("/open")
async def everyone() -> str:
    """Answer whoever asks."""
    return "open to all"
