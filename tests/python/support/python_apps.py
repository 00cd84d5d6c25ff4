"""APIs in Python in every way to put the guard in front of them, for uvicorn."""

import os

from countersign import Guard, Principal, SelfSigned
from countersign.asgi import GuardMiddleware
from fastapi import Body, Depends, FastAPI, Form, Request, Security, WebSocket
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

MAX_BODY = 1000
"""The largest body whose hash is checked here, in bytes."""


def guard():
    return Guard(
        os.environ["ISSUER"],
        os.environ["ORIGIN"],
        accept_self_signed=SelfSigned(max_hashed_body=MAX_BODY),
        accept_signed_messages=True,
    )


def with_dependency(guard):
    """An application whose routes depend on `guard`."""
    app = FastAPI()

    @app.api_route("/items", methods=["GET", "POST"])
    async def items(who: Principal = Depends(guard)) -> Principal:
        return who

    @app.get("/open")
    async def everyone():
        return "open to all"

    @app.post("/json")
    async def json_body(members: dict = Body(), who: Principal = Depends(guard)):
        return members

    @app.post("/form")
    async def form(name: str = Form(), who: Principal = Depends(guard)):
        return name

    @app.post("/late")
    async def read_by_the_route(request: Request, who: Principal = Depends(guard)):
        return (await request.body()).decode()

    @app.get("/own")
    async def with_an_answer_of_its_own(who: Principal = Depends(guard)):
        return PlainTextResponse(who.account_id)

    @app.get("/twice", dependencies=[Depends(guard)])
    async def twice(who: Principal = Depends(guard)):
        return who

    @app.get("/twice/admin", dependencies=[Depends(guard)])
    async def twice_for_admins(who: Principal = Security(guard, scopes=["admin"])):
        return who

    @app.get("/recent")
    async def after_a_recent_login(who: Principal = Depends(guard.require(max_age=300))):
        return who

    @app.get("/passkey", dependencies=[Depends(guard)])
    async def after_a_login_with_a_passkey(who: Principal = Depends(guard.require(acr="phr", max_age=300))):
        return who

    @app.get("/passkey/admin")
    async def for_admins_with_a_passkey(who: Principal = Security(guard.require(acr="phr"), scopes=["admin"])):
        return who

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, who: Principal = Depends(guard)):
        await websocket.accept()

    return app


def dependency_alone():
    return with_dependency(guard())


def installed():
    chosen = guard()
    app = with_dependency(chosen)
    chosen.install(app)
    return app


def middleware():
    """A Starlette application that knows nothing of the guard in front of it."""

    async def whoami(request):
        assert request.state.principal == request.scope["countersign"]
        return JSONResponse({"account_id": request.state.principal.account_id})

    async def echo(request):
        return PlainTextResponse(await request.body())

    async def everyone(request):
        return PlainTextResponse("open to all")

    routes = [Route("/items", whoami), Route("/late", echo, methods=["POST"]), Route("/open", everyone)]
    return GuardMiddleware(Starlette(routes=routes), guard(), public=["/open"])
