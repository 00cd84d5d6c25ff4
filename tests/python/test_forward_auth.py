"""`/forward-auth` through a real nginx and a real Caddy: what only a proxy can get wrong.

What an API must refuse in whichever shape is in `test_attack_table.py`.
"""

import contextlib
import http.client
import json
import urllib.parse

import httpx
import pytest

from support.api import ITEMS, ApiClient, free_origin
from support.proxies import CaddyApi, NginxApi, PlainCaddyApi, PlainNginxApi, ShortCaddyApi, authority
from support.server import PATIENCE, Server
from support.signjwt import SignJwtClient

PROXIES = {"nginx": NginxApi, "caddy": CaddyApi}

ORDINARY = {"nginx": PlainNginxApi, "caddy": ShortCaddyApi, "caddy without the mark": PlainCaddyApi}
"""The same as most people write it."""

SPELLINGS = ["{}-{}", "{}_{}"]
"""Ways to write a header that a backend may take for the same: CGI and WSGI make `HTTP_REMOTE_USER` of both."""


@contextlib.contextmanager
def running(proxied, directory):
    origin = free_origin()
    issuer = Server(directory, *proxied.serve_options(origin)).start()
    api = proxied(origin, issuer)
    try:
        yield api.start()
    finally:
        api.stop()
        issuer.kill()


@pytest.fixture(scope="module", params=PROXIES)
def api(request, tmp_path_factory):
    with running(PROXIES[request.param], tmp_path_factory.mktemp("issuer")) as api:
        yield api


@pytest.fixture(scope="module", params=ORDINARY)
def ordinary(request, tmp_path_factory):
    with running(ORDINARY[request.param], tmp_path_factory.mktemp("issuer")) as api:
        yield api


@pytest.fixture
def client(api):
    """An account that is logged in."""
    return ApiClient(api).log_in()


def seen(response):
    """The headers that the API behind the proxy got: pairs of a name in lower case and a value."""
    assert response.status_code == 200, response.text
    return [(name.lower(), value) for name, value in response.json()["headers"]]


def named_like(fields, name):
    """The values of all fields that somebody might take for `name`."""
    return [value for own, value in fields if own.replace("_", "-") == name]


# --- who may ask ---


def test_who_is_no_proxy_gets_403_under_any_host(tmp_path):
    """nginx asks under the name of its upstream, so only here a foreign `Host` is not what is wrong."""
    issuer = Server(tmp_path, "--protect", "https://api.example", "--trusted-proxy", "192.0.2.1").start()
    try:
        for host in ("evil.example", authority(issuer.origin)):
            question = {"Host": host, "X-Original-Method": "GET", "X-Original-URL": "https://api.example/items"}
            response = issuer.http().get("/forward-auth", headers=question)
            assert response.status_code == 403, response.text
            assert response.json()["type"].endswith("/forbidden")
        assert issuer.http().get("/v1/whoami", headers={"Host": "evil.example"}).status_code == 421
    finally:
        issuer.kill()


# --- what the API gets ---


def test_the_api_learns_who_calls(client):
    response = client.call()
    fields = dict(seen(response))
    assert fields["remote-user"] == client.account.username
    assert fields["remote-account"] == client.account.account_id
    assert fields["remote-key"] == client.key.thumbprint
    assert fields["remote-proof"] == "dpop"
    assert fields["remote-amr"] == "pop"
    # What is empty reaches the API as an empty header, or as none.
    assert not fields.get("remote-acr")


def test_a_client_cannot_say_by_which_login_it_calls(client):
    forged = [("Remote-Acr", "phr"), ("Remote-Amr", "pop user hwk"), ("Remote_Acr", "phr")]
    fields = dict(seen(client.send("GET", ITEMS, [*client.headers(client.proof()), *forged])))
    assert not fields.get("remote-acr")
    assert "remote_acr" not in fields
    assert fields["remote-amr"] == "pop"


def test_the_api_gets_no_credentials(client):
    fields = dict(seen(client.call("POST", content=b"hello")))
    assert not {"authorization", "dpop", "signed-message"} & fields.keys()
    assert fields["content-length"] == "5", "but the body"


def test_a_body_of_unknown_length_reaches_the_api_alone(client):
    """The question goes without it, or the server would take it for the next question."""
    for _ in range(3):
        response = client.call("POST", content=iter([b"GET /healthz HTTP/1.1\r\n", b"Host: x\r\n\r\n"]))
        assert dict(seen(response))["remote-user"] == client.account.username


@pytest.mark.parametrize("path", [ITEMS, "/open"])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title], ids=lambda case: case.__name__)
def test_a_forged_identity_never_reaches_the_api(client, path, spelling, case):
    forged = [(case(spelling.format("remote", name)), "root") for name in ("user", "account", "key", "scopes", "proof")]
    response = client.send("GET", path, [*client.headers(client.proof(path=path)), *forged])
    fields = seen(response)
    assert "root" not in [value for name, value in fields if name.startswith("remote")]
    honest = [client.account.username] if path == ITEMS else []
    assert [value for value in named_like(fields, "remote-user") if value] == honest


def test_a_forged_identity_is_not_even_kept_where_there_is_no_other(client):
    """The account has no scopes; an empty answer must overwrite what the client claims to have."""
    response = client.send("GET", ITEMS, [*client.headers(client.proof()), ("Remote-Scopes", "admin")])
    assert not any(named_like(seen(response), "remote-scopes"))
    assert response.json()["scopes"] == []


# --- what the server is told ---


def test_the_query_is_no_part_of_the_question(client):
    response = client.send("GET", ITEMS + "?scope=admin&x=%2F", client.headers(client.proof()))
    assert response.status_code == 200, response.text


def answer_to(api, path, headers):
    """Status and body of the answer to a request with exactly this path, which `httpx` would normalise."""
    connection = http.client.HTTPConnection(authority(api.origin), timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.read()


def status_of(api, path, headers):
    status, _ = answer_to(api, path, headers)
    return status


@pytest.mark.parametrize("path", ["//items", "/%69tems", "/items%2Fx", "/items/..x", "/items?a=/../b;%25"])
def test_a_path_is_judged_as_the_client_sent_it(api, client, path):
    assert status_of(api, path, client.headers(client.proof(path=path))) == 200
    assert status_of(api, path, client.headers(client.proof(path="/items/other"))) == 401


@pytest.mark.parametrize("path", ["/open", "/x/../open", "//open", "/%6fpen", "/open/../items", "/open/x", "/open;/items"])
def test_what_is_open_opens_nothing_else(api, path):
    status, body = answer_to(api, path, {})
    assert status in (400, 401) or urllib.parse.unquote(json.loads(body)["path"]) == "/open"


ADMIN = ["/ADMIN", "/Admin/x", "//admin", "/%61dmin", "/admin%2Fx", "/admin.", "/admin/"]
"""What some API takes for /admin, and the proxy too."""

AMBIGUOUS = [
    *("/admin;x", "/admin%3Bx", "/;x/admin", "/admin%00", "/admin%0a", "/%2561dmin", "/admin%255c", "/admin\\x", "/admin%5Cx"),
    *("/x/../admin", "/x/%2e%2E/admin", "/./admin", "/admin/../items", "/admin%2F..%2Fitems", "/items/..;/admin"),
]
"""What some APIs take for /admin, and others, or the proxy, for something else."""


@pytest.mark.parametrize("path", ADMIN)
def test_a_scope_is_needed_in_every_spelling_of_the_path(api, client, path):
    assert status_of(api, path, client.headers(client.proof(path=path))) == 403


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_with_more_than_one_meaning_reaches_nothing(api, client, path):
    assert status_of(api, path, client.headers(client.proof(path=path))) == 400


@pytest.mark.parametrize("named", ["Remote-User", "close, remote-user", "Remote-User, Remote-Account, Remote-Key, Remote-Scopes, Remote-Proof, Remote-Acr, Remote-Amr"])
def test_a_client_cannot_name_the_identity_as_a_header_of_its_connection(client, named):
    """A proxy must remove the headers that `Connection` names (RFC 9110 §7.6.1), and those are the client's own."""
    response = client.send("GET", ITEMS, [*client.headers(client.proof()), ("Connection", named), ("Remote-User", "root")])
    fields = dict(seen(response))
    assert fields["remote-user"] == client.account.username
    assert fields["remote-account"] == client.account.account_id
    assert fields["remote-key"] == client.key.thumbprint
    assert fields["remote-proof"] == "dpop"


def test_a_scope_is_needed_where_the_proxy_says_so(api):
    administrator = ApiClient(api)
    api.issuer.admin("accounts", "grant", administrator.account.username, "admin")
    administrator.log_in()
    assert dict(seen(administrator.call("GET", "/admin")))["remote-scopes"] == "admin"
    assert ApiClient(api).log_in().call("GET", "/admin").status_code == 403


@pytest.mark.parametrize("path", ["/ask/anybody", "/ask/admin", "/forward-auth", "/forward-auth/items"])
def test_a_client_cannot_ask_through_the_proxy(client, path):
    """Such a path is one of the API, or nothing."""
    response = client.send("GET", path, client.headers(client.proof(path=path)))
    assert response.status_code == 404 or named_like(seen(response), "remote-user") == [client.account.username]
    assert "remote-user" not in response.headers


@pytest.mark.parametrize("path", ["/forward-auth", "/forward-auth/items"])
def test_nobody_but_the_proxy_may_ask(api, client, path):
    question = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": authority(api.origin),
        "X-Forwarded-Uri": ITEMS,
        "X-Forwarded-For": "127.0.0.1",
    }
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=api.issuer.origin, transport=transport, timeout=PATIENCE) as stranger:
        response = stranger.get(path, headers=[*client.headers(client.proof()), *question.items()])
    assert response.status_code == 403
    assert "trusted_proxies" in response.json()["detail"]
    assert "remote-user" not in response.headers


# --- the ordinary way to write it ---


def test_the_ordinary_way_lets_proven_requests_pass_whatever_their_query(ordinary):
    client = ApiClient(ordinary).log_in()
    for query in ("", "?limit=2", "?a=%2F&b", "?"):
        path = ITEMS + query
        response = client.send("GET", path, client.headers(client.proof()))
        assert dict(seen(response))["remote-user"] == client.account.username


@pytest.mark.parametrize("query", ["scope=admin", "acr=phr", "max_age=0", "scope=a&scope=b", "Scopes=x"])
def test_parameters_of_an_api_may_be_called_like_ours(tmp_path, query):
    """In the example, whose address ends with a question mark: without it they would be the proxy's."""
    with running(ShortCaddyApi, tmp_path) as api:
        client = ApiClient(api).log_in()
        response = client.send("GET", f"{ITEMS}?{query}", client.headers(client.proof()))
        assert dict(seen(response))["remote-user"] == client.account.username


@pytest.mark.parametrize("content", [b"hello", b"x" * 200_000, [b"in ", b"chunks"]], ids=["short", "long", "chunked"])
def test_the_ordinary_way_does_not_wait_for_bodies_of_requests(ordinary, content):
    client = ApiClient(ordinary).log_in()
    for _ in range(3):
        response = client.call("POST", content=content if isinstance(content, bytes) else iter(content))
        assert dict(seen(response))["remote-user"] == client.account.username
        assert response.elapsed.total_seconds() < 5, "the server waits that long for a body"


def test_the_ordinary_way_lets_no_client_lift_a_scope(ordinary):
    client = ApiClient(ordinary).log_in()
    for query in ("", "?scope=admin", "?scope=", "?x=1"):
        response = client.send("GET", "/admin" + query, client.headers(client.proof(path="/admin")))
        assert response.status_code == 403, query


def test_the_ordinary_way_lets_no_client_name_itself(ordinary):
    client = ApiClient(ordinary).log_in()
    forged = [("Remote-User", "root"), ("Remote_User", "root"), ("Connection", "close, Remote-User")]
    response = client.send("GET", ITEMS, [*client.headers(client.proof()), *forged])
    assert [value for value in named_like(seen(response), "remote-user") if value] == [client.account.username]
    refused = client.send("GET", ITEMS, forged)
    assert refused.status_code == 401


# --- what the client gets ---


def test_the_nonces_of_a_signjwt_session_reach_the_client(api):
    """Each request needs the nonce of the answer before it."""
    user = SignJwtClient(api.issuer)
    assert user.register().status_code == 200
    assert user.log_in().status_code == 200
    with httpx.Client(base_url=api.origin, trust_env=False, timeout=PATIENCE) as browser:
        for _ in range(3):
            response = browser.get(ITEMS, headers=user.headers())
            assert dict(seen(response))["remote-proof"] == "signjwt"
            user.nonce = response.headers["signjwt-nonce"]
        used = user.headers()
        assert browser.get(ITEMS, headers=used).status_code == 200
        assert browser.get(ITEMS, headers=used).status_code == 401


def test_an_answer_without_a_session_names_no_nonce_for_one(client):
    assert "signjwt-nonce" not in client.call().headers


def test_all_challenges_arrive(client):
    (challenges,) = client.send("GET", ITEMS, {}).headers.get_list("www-authenticate")
    assert all(f"{scheme} algs=" in challenges for scheme in ("DPoP", "SignJWT", "Bearer"))


def test_a_refusal_says_its_reason_to_people_too(client):
    """Neither proxy may answer with a page of its own that says nothing."""
    response = client.send("GET", ITEMS, {"Authorization": "DPoP abc"})
    assert response.status_code == 401
    assert not response.headers["content-type"].startswith("text/html"), response.text
    (challenge,) = response.headers.get_list("www-authenticate")
    assert "error_description=" in challenge
    reason = challenge.partition('error_description="')[2].partition('"')[0]
    assert reason in response.text


def test_a_refusal_never_becomes_a_failure_of_the_server(client):
    """nginx makes 500 of whatever is neither 2xx nor 401 nor 403."""
    for authorization in ("DPoP", "DPoP a b", "x" * 7000, "Bearer ."):
        response = client.send("GET", ITEMS, [("Authorization", authorization)])
        assert response.status_code == 401, response.text


def test_an_outage_is_no_refusal(api, client):
    assert client.call().status_code == 200
    api.issuer.kill()
    try:
        response = client.call()
        assert response.status_code in (502, 503), response.text
        assert "www-authenticate" not in response.headers
    finally:
        api.issuer.start()


@pytest.mark.parametrize("proxied", PROXIES.values(), ids=PROXIES)
def test_too_many_requests_are_told_to_be_too_many(proxied, tmp_path):
    origin = free_origin()
    limits = {"COUNTERSIGN_RATE_LIMITS": "on", "COUNTERSIGN_RATE_LIMITS_REQUESTS": "10"}
    issuer = Server(tmp_path, *proxied.serve_options(origin), **limits).start()
    running = proxied(origin, issuer)
    try:
        client = ApiClient(running.start(), account=object())
        statuses = [client.send("GET", ITEMS, {}).status_code for _ in range(15)]
    finally:
        running.stop()
        issuer.kill()
    assert statuses[0] == 401
    assert statuses[-1] == 429
