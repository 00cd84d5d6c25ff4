"""An API that takes the signed transactions of *gradecoin*'s clients, behind the guard.

`POST /transaction` puts one into the pool, `GET /transaction` lists the pool. Who pays is who has signed: the guard has
seen to that before the route is called.
"""

import os
from datetime import datetime
from typing import Annotated

from countersign import Guard, Principal, SelfSigned
from countersign.fastapi import RefusedRequest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_PENDING = 1000
"""How many transactions wait at most."""


class Transaction(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(strict=True)

    source: str
    target: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    amount: Annotated[int, Field(gt=0, lt=2**64)]
    timestamp: datetime


guard = Guard(
    issuer=os.environ.get("ISSUER", "http://localhost:8080"),
    origin=os.environ.get("ORIGIN", "http://127.0.0.1:8000"),
    accept_dpop=False,
    accept_self_signed=SelfSigned(
        require_audience=False,
        require_body_hash=True,
        accept_md5=True,
        other_names=True,
        source_is_signer=True,
    ),
)
app = FastAPI(title="Signed transactions")
guard.install(app)
pool: list[Transaction] = []


@app.post("/transaction", status_code=201)
async def take(request: Request, _who: Principal = Depends(guard)) -> Response:
    """Take a transaction, whatever its `Content-Type`: the clients send none."""
    try:
        transaction = Transaction.model_validate_json(await request.body())
    except ValidationError as error:
        return answer(400, "Error", "; ".join(f"{e['loc']}: {e['msg']}" for e in error.errors()))
    if len(pool) == MAX_PENDING:
        return answer(503, "Error", "too many transactions wait")
    pool.append(transaction)
    return answer(201, "Success", "Transaction accepted")


@app.get("/transaction")
async def pending() -> list[Transaction]:
    """List the transactions that wait for a block."""
    return pool


@app.get("/open")
async def everyone() -> str:
    """Answer whoever asks."""
    return "open to all"


@app.exception_handler(RefusedRequest)
async def in_the_words_of_the_protocol(_request: Request, error: RefusedRequest) -> Response:
    """Give the guard's refusals the form of all other answers, and leave status and challenges."""
    response = answer(error.refused.status, "Error", str(error.refused))
    for name, value in error.refused.headers:
        if name.lower() != "content-type":
            response.headers.append(name, value)
    return response


def answer(status: int, result: str, message: str) -> Response:
    """Answer as the protocol does."""
    return JSONResponse({"res": result, "message": message}, status)
