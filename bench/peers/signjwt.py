"""*signjwt* in FastAPI, as its document describes it: what others write when they need this.

It is generous to itself: users and nonces are kept in memory and keys parsed, it writes no log, and a nonce is compared
and replaced without regard to other processes. `scripts/bench --peers` measures it.
"""

import argparse
import base64
import secrets
import sys
import time

import jwt
import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

SECRET = secrets.token_bytes(32)
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
SESSION_SECONDS = 1800
NONCE_SECONDS = 30

app = FastAPI()
keys = {}
nonces = {}


class Registration(BaseModel):
    user_id: str
    public_key: str


class Login(BaseModel):
    user_id: str


class SignedMessage(BaseModel):
    jwt: str
    signed_message: str


@app.post("/register")
async def register(body: Registration):
    if body.user_id in keys:
        raise HTTPException(409)
    keys[body.user_id] = load_pem_public_key(body.public_key.encode())
    return {"message": f"registered {body.user_id}"}


@app.post("/login")
async def login(body: Login):
    now, session, nonce = time.time(), secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    claims = {"sub": body.user_id, "jti": session, "nonce": nonce, "exp": int(now) + SESSION_SECONDS}
    nonces[session] = (nonce, now + NONCE_SECONDS)
    return {"jwt": jwt.encode(claims, SECRET, algorithm="HS256"), "nonce": nonce}


@app.post("/protected")
async def protected(body: SignedMessage):
    try:
        claims = jwt.decode(body.jwt, SECRET, algorithms=["HS256"])
        nonce, ends_at = nonces[claims["jti"]]
        if time.time() >= ends_at:
            raise HTTPException(403)
        message = f"{nonce}{body.jwt}".encode()
        keys[claims["sub"]].verify(base64.b64decode(body.signed_message), message, PSS, hashes.SHA256())
    except (KeyError, jwt.InvalidTokenError, InvalidSignature) as refused:
        raise HTTPException(403) from refused
    nonce = secrets.token_urlsafe(16)
    nonces[claims["jti"]] = (nonce, time.time() + NONCE_SECONDS)
    return {"message": f"{claims['sub']} may pass", "nonce": nonce}


class Server(uvicorn.Server):
    """Says when it listens."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"listening on http://{self.config.host}:{self.config.port}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--listen", required=True, metavar="HOST:PORT")
    host, port = arguments.parse_args().listen.split(":")
    config = uvicorn.Config(app, host=host, port=int(port), log_level="warning", access_log=False)
    Server(config).run()
