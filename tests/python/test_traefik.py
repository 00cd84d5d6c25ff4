"""`examples/traefik`, as far as it can be tested without Traefik: see `support/traefik.py`."""

import httpx
import pytest

from support.api import ITEMS, Api, ApiClient, free_origin
from support.attacks import FORWARDED
from support.proxies import ProxiedApi
from support.server import Server
from support.traefik import Traefik


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An API that nobody serves: what Traefik would pass on is seen before."""
    origin = free_origin()
    issuer = Server(tmp_path_factory.mktemp("issuer"), *ProxiedApi.serve_options(origin)).start()
    yield Api(origin, issuer)
    issuer.kill()


@pytest.fixture
def traefik(api):
    return Traefik(api.origin, api.issuer)


@pytest.fixture
def client(api, traefik):
    """An account that is logged in, with a nonce that came with a refusal."""
    client = ApiClient(api).log_in()
    client.nonce = traefik.send("GET", ITEMS, client.headers()).headers["dpop-nonce"]
    return client


def test_the_files_agree_with_each_other(traefik):
    traefik.check()


def test_an_honest_request_is_passed_on_with_its_identity_and_without_credentials(traefik, client):
    for method in ("GET", "POST", "DELETE"):
        headers = client.headers(client.proof(method))
        passed = traefik.send(method, ITEMS + "?x=1", headers)
        assert passed["remote-user"] == client.account.username
        assert passed["remote-key"] == client.key.thumbprint
        assert not {"authorization", "dpop"} & passed.keys()


def test_forged_headers_change_nothing(traefik, client):
    forged = [*FORWARDED.items(), ("REMOTE_USER", "root"), ("remote_scopes", "admin")]
    passed = traefik.send("GET", ITEMS, [*client.headers(client.proof()), *forged])
    assert passed["remote-user"] == client.account.username
    assert not [value for name, value in passed.items() if name.startswith("remote") and value in ("root", "admin")]
    for_what_they_say = client.proof(path="/open", origin="http://open.example")
    refused = traefik.send("GET", ITEMS, [*client.headers(for_what_they_say), *forged])
    assert refused.status_code == 401
    open_to_all = traefik.send("GET", "/open", forged)
    assert not [value for name, value in open_to_all.items() if name.startswith("remote") and value]


@pytest.mark.parametrize("spoilt", ["no proof", "used", "other method", "other URL", "other host", "no nonce"])
def test_a_spoilt_request_is_not_passed_on(traefik, client, spoilt):
    proof = {
        "no proof": lambda: None,
        "used": lambda: client.proof(),
        "other method": lambda: client.proof("POST"),
        "other URL": lambda: client.proof(path="/open"),
        "other host": lambda: client.proof(origin="http://evil.example"),
        "no nonce": lambda: client.proof(nonce=None),
    }[spoilt]()
    headers = client.headers(proof)
    if spoilt == "used":
        assert traefik.send("GET", ITEMS, headers)["remote-user"]
    refused = traefik.send("GET", ITEMS, headers)
    assert isinstance(refused, httpx.Response)
    assert refused.status_code == 401
    assert refused.headers["dpop-nonce"]


@pytest.mark.parametrize("path", ["/ADMIN", "//admin", "/%61dmin", "/admin/x", "/admin;x", "/admin%00", "/%2561dmin", "/x/../admin"])
def test_no_spelling_of_a_path_needs_no_scope(traefik, client, path):
    refused = traefik.send("GET", path, client.headers(client.proof(path=path)))
    assert isinstance(refused, httpx.Response)
    assert refused.status_code == 403


def test_a_client_cannot_name_the_identity_as_a_header_of_its_connection(traefik, client):
    passed = traefik.send("GET", ITEMS, [*client.headers(client.proof()), ("Connection", "Remote-User")])
    assert passed["remote-user"] == client.account.username
    assert "connection" not in passed


def test_a_scope_is_needed_where_the_file_says_so(traefik, client):
    refused = traefik.send("GET", "/admin", client.headers(client.proof(path="/admin")))
    assert refused.status_code == 403
    assert 'scope="admin"' in refused.headers["www-authenticate"]
