"""The Python package's guard, under uvicorn and by itself. The attacks on it are in `test_attack_table.py`."""

import asyncio
import json
import logging
import subprocess
import sys
import time

import httpx
import pytest
from countersign import METADATA_PATH, Guard, Principal, Refused, SelfSigned
from countersign.asgi import GuardMiddleware

from support import dpop, python_apps
from support.api import ApiClient, body_of, free_origin, sha256_hex
from support.client import Client
from support.fastapi_api import EXAMPLE, FastApi
from support.houses import house
from support.server import PATIENCE, clean_environment, close_clients, http_client
from support.signjwt import SignJwtClient

TESTS = EXAMPLE.parents[1] / "tests/python"


class PythonApi(FastApi):
    """One of `support.python_apps`."""

    directory = TESTS

    def __init__(self, origin, issuer, factory, *options):
        super().__init__(origin, issuer)
        self.application = f"support.python_apps:{factory}"
        self.options = ["--factory", *options]


@pytest.fixture(scope="module")
def origins():
    return [free_origin() for _ in range(6)]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory, origins):
    resources = [option for origin in origins for option in ("--resource", origin)]
    running = house(tmp_path_factory.mktemp("issuer"), *resources).start()
    yield running
    running.kill()


NAMES = ["dependency_alone", "installed", "middleware"]


@pytest.fixture(scope="module")
def apis(issuer, origins):
    """Each of the applications, by its name."""
    running = {}
    try:
        for name, origin in zip(NAMES, origins, strict=False):
            running[name] = PythonApi(origin, issuer, name)
            running[name].start()
        for api in running.values():
            wait_until_it_has_settled(api)
        yield running
    finally:
        for api in running.values():
            api.stop()


def wait_until_it_has_settled(api):
    """Right after its start an API cannot tell which self-signed JWTs it saw before."""
    client = ApiClient(api)
    deadline = time.monotonic() + PATIENCE
    while client.bearer(client.self_signed()).status_code != 200:
        assert time.monotonic() < deadline, "the API accepts no self-signed JWT"
    close_clients()


@pytest.fixture(params=NAMES)
def any_client(request, apis):
    return ApiClient(apis[request.param]).log_in()


@pytest.fixture
def alone(apis):
    return ApiClient(apis["dependency_alone"]).log_in()


@pytest.fixture
def installed(apis):
    return ApiClient(apis["installed"]).log_in()


@pytest.fixture
def behind_middleware(apis):
    return ApiClient(apis["middleware"]).log_in()


def with_hash(client, body, content=None, path="/late", **options):
    """Sends `content` with a JWT that covers `body`."""
    jwt = client.self_signed({"tha": sha256_hex(body)})
    return client.bearer(jwt, "POST", path, content=body if content is None else content, **options)


# --- answers ---


def test_a_principal_is_let_through_and_gets_the_next_nonce(any_client):
    response = any_client.call()
    assert response.status_code == 200, response.text
    assert response.json()["account_id"] == any_client.account.account_id
    assert response.headers["dpop-nonce"]
    assert response.headers["cache-control"] == "no-store"


def test_a_principal_has_the_name_of_its_account(installed):
    assert installed.call().json()["username"] == installed.account.username


def test_a_dependency_alone_refuses_as_fastapi_does(alone):
    response = alone.send("GET", "/items", {})
    assert response.status_code == 401
    assert response.json() == {"detail": "authentication is needed"}
    assert dpop.challenge(response)["resource_metadata"].endswith(METADATA_PATH)
    assert response.headers["dpop-nonce"]


def test_otherwise_a_refusal_is_a_whole_problem_document(installed, behind_middleware):
    for client in (installed, behind_middleware):
        response = client.send("GET", "/items", {})
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["type"] == "https://github.com/countersign/countersign/problems/unauthenticated"
        assert len(response.headers.get_list("www-authenticate")) == 3


def test_an_answer_of_the_routes_own_carries_the_nonce_too(installed):
    response = installed.call("GET", "/own")
    assert response.text == installed.account.account_id
    assert len(response.headers.get_list("dpop-nonce")) == 1


def test_what_is_not_guarded_carries_no_nonce(installed):
    assert "dpop-nonce" not in installed.http.get("/open").headers


def test_the_metadata_are_open_to_all(installed, behind_middleware):
    for client in (installed, behind_middleware):
        response = client.http.get(METADATA_PATH)
        assert response.json()["resource"] == client.api.origin
        assert response.json()["authorization_servers"] == [client.api.issuer.origin]


def test_the_metadata_answer_get_and_head_and_refuse_the_rest(installed, behind_middleware):
    for client in (installed, behind_middleware):
        head = client.http.head(METADATA_PATH)
        assert head.status_code == 200
        assert head.content == b""
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            refused = client.http.request(method, METADATA_PATH)
            assert refused.status_code == 405, method
            assert {name.strip() for name in refused.headers["allow"].split(",")} == {"GET", "HEAD"}, method


def test_the_openapi_document_names_every_scheme_and_scope(alone):
    document = alone.http.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
        "DPoP": "DPoP",
        "SignJWT": "SignJWT",
        "Bearer": "Bearer",
    }
    assert {"DPoP": ["admin"]} in document["paths"]["/twice/admin"]["get"]["security"]


# --- one proof, several questions ---


def test_the_dependencies_of_one_route_share_a_proof(alone, installed):
    for client in (alone, installed):
        assert client.call("GET", "/twice").status_code == 200


def test_a_later_dependency_may_need_more_scopes(alone):
    response = alone.call("GET", "/twice/admin")
    assert response.status_code == 403
    assert dpop.challenge(response)["scope"] == "admin"


def test_an_administrator_has_the_scope(apis):
    api = apis["dependency_alone"]
    account = Client(api.issuer).register()
    api.issuer.admin("accounts", "grant", account.username, "admin")
    client = ApiClient(api, account)
    response = account.token_request(
        account.assertion(), [account.token_proof()], {"resource": api.origin, "scope": "admin"}
    )
    client.token = response.json()["access_token"]
    assert client.call("GET", "/twice/admin").json()["scopes"] == ["admin"]


# --- logins ---


def test_a_principal_says_how_its_account_logged_in(installed):
    who = installed.call().json()
    assert time.time() - 60 < who["auth_time"] <= time.time() + 1
    assert (who["amr"], who["acr"]) == (["pop"], None)


def test_a_route_may_require_a_recent_login(alone, installed):
    for client in (alone, installed):
        assert client.call("GET", "/recent").status_code == 200


def test_a_route_may_require_a_login_with_a_passkey(alone, installed):
    for client in (alone, installed):
        response = client.call("GET", "/passkey")
        assert response.status_code == 401
        challenge = dpop.challenge(response)
        assert challenge["error"] == "insufficient_user_authentication"
        assert challenge["error_description"].endswith("log in with a passkey")
        assert (challenge["acr_values"], challenge["max_age"]) == ("phr", "300")
    problem = response.json()
    assert problem["type"].endswith("/insufficient-login")
    assert (problem["acr_values"], problem["max_age"]) == ("phr", 300)


def test_scopes_of_security_come_on_top_of_a_required_login(alone):
    response = alone.call("GET", "/passkey/admin")
    assert response.status_code == 403
    assert dpop.challenge(response)["scope"] == "admin"


def test_a_jwt_that_a_client_signed_says_nothing_about_a_login(alone):
    response = alone.bearer(alone.self_signed(), "GET", "/recent")
    assert response.status_code == 401
    challenge = dpop.challenge(response)
    assert challenge["error"] == "insufficient_user_authentication"
    assert challenge["max_age"] == "300"


def test_a_middleware_may_require_a_login(issuer, origins):
    guard, client = local_guard(issuer, origins), local_client(issuer, origins[5])

    async def reached(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def get(app):
        headers = proof_of(client, guard)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origins[5]) as http:
            return await http.get("/items", headers=dict(headers))

    assert asyncio.run(get(GuardMiddleware(reached, guard, max_age=300))).status_code == 204
    response = asyncio.run(get(GuardMiddleware(reached, guard, acr="phr")))
    assert response.status_code == 401
    assert dpop.challenge(response)["acr_values"] == "phr"


# --- bodies ---


def test_a_body_with_its_hash_reaches_the_route_whole(any_client):
    body = b"x" * python_apps.MAX_BODY
    response = with_hash(any_client, body)
    assert response.status_code == 200, response.text
    assert response.text.strip('"') == body.decode()


def test_another_body_is_refused(any_client):
    assert with_hash(any_client, b"pay 1", b"pay 2").status_code == 401


def test_a_body_that_is_too_large_to_be_hashed_is_refused(any_client):
    assert with_hash(any_client, b"x" * (python_apps.MAX_BODY + 1)).status_code == 413


def test_a_body_of_unknown_length_is_refused_when_it_becomes_too_large(any_client):
    def chunks():
        for _ in range(100):
            yield b"x" * python_apps.MAX_BODY

    assert with_hash(any_client, b"x", chunks()).status_code == 413


def test_a_json_body_that_fastapi_has_read_is_checked(alone, installed):
    for client in (alone, installed):
        json_type = [("Content-Type", "application/json")]
        jwt = client.self_signed({"tha": sha256_hex(body_of({"pay": 1}))})
        headers = [*client.headers(scheme="Bearer", token=jwt), *json_type]
        response = client.send("POST", "/json", headers, content=body_of({"pay": 2}))
        assert response.status_code == 401
        assert client.send("POST", "/json", headers, content=body_of({"pay": 1})).status_code == 200


def form_with_hash(client):
    jwt = client.self_signed({"tha": sha256_hex(b"name=alice")})
    headers = [*client.headers(scheme="Bearer", token=jwt), ("Content-Type", "application/x-www-form-urlencoded")]
    return client.send("POST", "/form", headers, content=b"name=alice")


def test_a_form_is_checked_where_the_guard_is_installed(installed):
    response = form_with_hash(installed)
    assert response.status_code == 200, response.text


def test_a_form_that_nobody_can_check_any_more_is_not_let_through(alone):
    assert form_with_hash(alone).status_code == 500


# --- sessions ---


def test_a_signed_session_gets_its_next_nonce(apis, installed):
    session = SignJwtClient(installed.api.issuer)
    session.register()
    session.log_in()
    for path in ("/items", "/own", "/items"):
        response = installed.http.get(path, headers=session.headers())
        assert response.status_code == 200, response.text
        session.nonce = response.headers["signjwt-nonce"]


# --- what is no request ---


async def conversation(app, scope, *incoming):
    """What the application says to these messages."""
    said, incoming = [], list(incoming)

    async def receive():
        return incoming.pop(0)

    async def send(message):
        said.append(message)

    await app(scope, receive, send)
    return said


def local_guard(issuer, origins, **settings):
    """A guard in this process."""
    return Guard(issuer.origin, origins[5], **settings)


def test_a_websocket_is_refused_before_it_is_there(issuer, origins):
    async def never(scope, receive, send):
        raise AssertionError("it was let through")

    app = GuardMiddleware(never, local_guard(issuer, origins))
    scope = {"type": "websocket", "path": "/socket", "headers": []}
    said = asyncio.run(conversation(app, scope, {"type": "websocket.connect"}))
    assert [message["type"] for message in said] == ["websocket.close"]


def test_a_websocket_route_of_fastapi_is_refused(issuer, origins):
    app = python_apps.with_dependency(local_guard(issuer, origins))
    scope = {"type": "websocket", "path": "/socket", "headers": [], "query_string": b"", "subprotocols": []}
    said = asyncio.run(conversation(app, scope, {"type": "websocket.connect"}))
    assert [(message["type"], message["code"]) for message in said] == [("websocket.close", 1008)]


def test_an_absolute_target_is_not_taken_for_its_path(issuer, origins):
    guard = local_guard(issuer, origins)
    with pytest.raises(Refused) as refused:
        guard.verify_sync("GET", "http://evil.example/items", [])
    assert refused.value.status == 401


# --- without a framework ---


def local_client(issuer, origin):
    """An account with a token for an API in this process."""

    class Local:
        pass

    api = Local()
    api.origin, api.issuer = origin, issuer
    return ApiClient(api).log_in()


def proof_of(client, guard, method="GET", path="/items", **changes):
    """The header fields of a request that `guard` accepts."""
    with pytest.raises(Refused) as refused:
        guard.verify_sync(method, path, [])
    nonce = dict(refused.value.headers)["dpop-nonce"]
    url = client.api.origin + path
    return client.headers(dpop.proof(client.key, method, url, token=client.token, nonce=nonce, **changes))


def test_requests_are_verified_with_and_without_asyncio(issuer, origins):
    guard, client = local_guard(issuer, origins), local_client(issuer, origins[5])
    verified = guard.verify_sync("GET", "/items", proof_of(client, guard))
    assert verified.principal.account_id == client.account.account_id
    assert verified.principal.thumbprint == client.key.thumbprint
    assert dict(verified.headers)["dpop-nonce"]
    verified = asyncio.run(guard.verify("GET", "/items", proof_of(client, guard)))
    assert verified.principal.proof == "dpop"


def test_a_login_may_be_required_of_one_request(issuer, origins):
    guard, client = local_guard(issuer, origins), local_client(issuer, origins[5])
    guard.verify_sync("GET", "/items", proof_of(client, guard), max_age=300)
    headers = proof_of(client, guard)
    with pytest.raises(Refused, match="not from a login with a passkey") as refused:
        guard.verify_sync("GET", "/items", headers, acr="phr")
    assert (refused.value.status, refused.value.reason) == (401, "insufficient-login")
    with pytest.raises(Refused, match="not from a login with a passkey"):
        asyncio.run(guard.verify("GET", "/items", headers, acr="phr", max_age=300))
    assert guard.verify_sync("GET", "/items", headers).principal.acr is None, "the proof is not used up"


def test_a_login_may_be_required_of_all(issuer, origins):
    client = local_client(issuer, origins[5])
    recent = local_guard(issuer, origins, max_age=300)
    recent.verify_sync("GET", "/items", proof_of(client, recent))
    passkeys = local_guard(issuer, origins, require_acr="phr", max_age=300)
    with pytest.raises(Refused) as refused:
        passkeys.verify_sync("GET", "/items", proof_of(client, passkeys), max_age=60)
    assert dict(refused.value.headers)["www-authenticate"].endswith('acr_values="phr", max_age="60"')


def test_a_refusal_says_what_to_answer(issuer, origins):
    guard, client = local_guard(issuer, origins), local_client(issuer, origins[5])
    headers = proof_of(client, guard)
    guard.verify_sync("GET", "/items", headers)
    with pytest.raises(Refused, match="the proof was used before") as refused:
        guard.verify_sync("GET", "/items", headers)
    assert (refused.value.status, refused.value.reason) == (401, "replayed")
    assert json.loads(refused.value.body)["detail"] == "the proof was used before"


def test_waiting_for_the_server_does_not_hold_up_the_event_loop(issuer, origins):
    """The server is asked about each signed message."""
    guard = local_guard(issuer, origins, accept_signed_messages=True)

    async def both():
        sessions = [SignJwtClient(issuer) for _ in range(3)]
        for session in sessions:
            session.register()
            session.log_in()
        decisions = (guard.verify("GET", "/items", session.headers().items()) for session in sessions)
        return await asyncio.gather(*decisions)

    assert [verified.principal.proof for verified in asyncio.run(both())] == ["signjwt"] * 3


# --- processes ---


def test_a_guard_starts_no_thread_before_it_is_needed(issuer, origins):
    """So it may be made before a fork."""
    script = (
        "import os, sys\n"
        "from countersign import Guard\n"
        "threads = lambda: len(os.listdir('/proc/self/task'))\n"
        "guard = Guard(sys.argv[1], sys.argv[2])\n"
        "assert threads() == 1\n"
        "guard.start()\n"
        "assert threads() > 1"
    )
    subprocess.run([sys.executable, "-c", script, issuer.origin, origins[5]], check=True, env=clean_environment())


FORKING = """
import json, os, sys
from countersign import Guard, Refused

guard = Guard(sys.argv[1], sys.argv[2], shared_state=False)
for line in sys.stdin:
    if line == "fork\\n":
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    try:
        guard.verify_sync("GET", "/items", json.loads(line))
        answer = [200, None, None]
    except Refused as refused:
        answer = [refused.status, refused.reason, dict(refused.headers)["dpop-nonce"]]
    print(json.dumps(answer), flush=True)
"""


def test_the_child_of_a_fork_that_shares_nothing_has_nonces_of_its_own(issuer, origins):
    client = local_client(issuer, origins[5])
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING, issuer.origin, origins[5]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )

    def ask(headers):
        process.stdin.write(json.dumps(headers) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def headers(nonce):
        url = origins[5] + "/items"
        return client.headers(dpop.proof(client.key, "GET", url, token=client.token, nonce=nonce))

    with process:
        _, _, nonce = ask([])
        unused, used = headers(nonce), headers(nonce)
        assert ask(used)[0] == 200
        process.stdin.write("fork\n")
        assert ask(used)[:2] == [401, "nonce"]
        status, reason, fresh = ask(unused)
        assert (status, reason) == (401, "nonce"), "the parent could accept it too"
        assert ask(headers(fresh))[0] == 200
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_several_workers_serve_one_api(issuer, origins):
    api = PythonApi(origins[3], issuer, "installed", "--workers", "2").start()
    try:
        client = ApiClient(api).log_in()
        for _ in range(8):
            client.http = http_client(api.origin)
            response = client.call()
            assert response.status_code == 200, response.text
    finally:
        api.stop()


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"issuer": "auth.example.com", "origin": "https://api.example.com"}, "absolute http or https URL"),
        ({"issuer": "http://auth.example.com"}, "use https"),
        ({"issuer": "https://auth.example.com"}, "origin is missing"),
        ({"origin": "http://127.0.0.1:8000/api"}, "scheme, host and port alone"),
        ({"origin": "127.0.0.1:8000"}, "scheme, host and port alone"),
        ({"max_lag": 1}, "max_lag must be at least 4 seconds"),
        ({"outage": -1}, "outage must be a number of seconds"),
        ({"skew": float("nan")}, "skew must be a number of seconds"),
        ({"accept_dpop": False}, "lets nobody through"),
        ({"require_acr": "gold"}, 'require_acr="gold": not a class of logins: phr is the only one'),
        ({"max_age": -1}, "max_age must be a number of seconds"),
        ({"accept_dpop": False, "accept_bearer": True, "max_age": 300}, "only DPoP-bound access tokens say how"),
        ({"extra_roots": "nothing"}, "cannot set up TLS"),
        ({"accept_self_signed": SelfSigned(require_audience=False)}, "require_audience=False needs require_body_hash"),
        ({"accept_self_signed": SelfSigned(source_is_signer=True)}, "source_is_signer=True needs require_body_hash"),
    ],
)
def test_a_setting_of_no_use_is_refused_at_once(settings, says):
    with pytest.raises(ValueError, match=says):
        Guard(**{"issuer": "http://127.0.0.1:8080"} | settings)


@pytest.mark.parametrize("wrong", [{"acr": "gold"}, {"acr": ""}, {"max_age": -1}, {"scopes": ['"quoted"']}])
def test_a_requirement_of_no_use_is_refused_at_once(wrong):
    guard = Guard("http://127.0.0.1:8080")
    for require in (guard.require, lambda **required: GuardMiddleware(None, guard, **required)):
        with pytest.raises(ValueError, match=r"acr=|max_age must|a scope is"):
            require(**wrong)


def test_the_origin_comes_from_the_environment_or_is_where_uvicorn_listens(monkeypatch):
    assert "of http://127.0.0.1:8000," in repr(Guard("http://127.0.0.1:8080"))
    monkeypatch.setenv("COUNTERSIGN_ORIGIN", "https://api.example.com")
    assert "of https://api.example.com," in repr(Guard("https://auth.example.com"))


def test_without_its_server_a_guard_refuses_and_logs_why(issuer, origins, caplog):
    nobody = free_origin()
    guard, client = Guard(nobody, origins[5]), local_client(issuer, origins[5])
    with caplog.at_level(logging.INFO), pytest.raises(Refused) as refused:
        guard.verify_sync("GET", "/items", client.headers("a proof that nobody looks at"))
    assert refused.value.status == 503
    headers = dict(refused.value.headers)
    assert headers["retry-after"] == "1"
    assert "www-authenticate" not in headers
    assert nobody not in refused.value.body.decode()
    assert "cannot verify a request" in caplog.text
    deadline = time.monotonic() + PATIENCE
    while f"the issuer cannot be asked error=cannot talk to {nobody}" not in caplog.text:
        assert time.monotonic() < deadline, caplog.text


def test_a_server_of_another_name_is_refused_by_name(issuer, caplog):
    guard = Guard(issuer.origin.replace("127.0.0.1", "localhost"))
    guard.start()
    deadline = time.monotonic() + PATIENCE
    while "was asked for" not in caplog.text:
        assert time.monotonic() < deadline, caplog.text


# --- the package ---


def test_neither_fastapi_nor_an_http_library_is_needed():
    script = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['fastapi', 'starlette', 'httpx', 'requests'])\n"
        "from countersign import Guard, Key\n"
        "from countersign.asgi import GuardMiddleware\n"
        "GuardMiddleware(None, Guard('http://127.0.0.1:8080'))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=clean_environment())


def test_a_principal_can_take_the_guards_place_in_tests():
    guard = Guard("http://127.0.0.1:8080")
    app = python_apps.with_dependency(guard)
    app.dependency_overrides[guard] = lambda: Principal(account_id="somebody")

    async def get():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            return await http.get("/items")

    assert asyncio.run(get()).json()["account_id"] == "somebody"
