"""The Python package's client: an `auth` of httpx and of requests."""

import asyncio
import io
import itertools
import json
import pickle
import subprocess
import sys
import time

import httpx
import pytest
import requests
from countersign import Client, ClientFailed, Key
from cryptography.hazmat.primitives import serialization
from jwcrypto.jwk import JWK

from support import dpop, keys
from support.api import free_origin
from support.client import new_name
from support.fastapi_api import EXAMPLE, FastApi
from support.houses import house
from support.server import clean_environment, http_client


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    origin = free_origin()
    issuer = house(tmp_path_factory.mktemp("issuer"), "--resource", origin).start()
    running = FastApi(origin, issuer)
    try:
        yield running.start()
    finally:
        running.stop()
        issuer.kill()


@pytest.fixture
def http():
    """A session of requests, to register and log in by."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def user(api, http):
    """An account of the API's server."""
    name, key = new_name(), Key.generate()
    user = Client(api.issuer.origin, name, key, http=http)
    user.account_id, user.username, user.key = user.register(label="tests"), name, key
    return user


def items(api, auth):
    """What the API answers to an httpx client."""
    return http_client(api.origin).get("/items", auth=auth)


# --- honest use ---


def test_httpx_sends_signed_requests(api, user):
    for method in ("GET", "POST", "PUT", "DELETE"):
        response = http_client(api.origin).request(method, "/items?page=1", auth=user)
        assert response.status_code == 200, response.text
        assert response.json()["account_id"] == user.account_id


def test_requests_sends_signed_requests(api, user, http):
    for method in ("GET", "POST", "PUT", "DELETE"):
        response = http.request(method, api.origin + "/items?page=1", auth=user)
        assert response.status_code == 200, response.text
        assert response.json()["account_id"] == user.account_id


def test_httpx_sends_them_concurrently(api, user):
    async def several():
        async with httpx.AsyncClient(base_url=api.origin, auth=user, trust_env=False) as http:
            return await asyncio.gather(*(http.get("/items") for _ in range(8)))

    assert [response.status_code for response in asyncio.run(several())] == [200] * 8


def test_a_body_is_sent_again_with_the_right_nonce(api, user, http):
    """The first request of each client lacks the API's nonce, and is refused for that."""

    def chunks():
        yield b"some"
        yield b"thing"

    response = http_client(api.origin).post("/items", content=chunks(), auth=user)
    assert response.status_code == 200
    same = Client(api.issuer.origin, user.username, user.key, http=http)
    response = http.post(api.origin + "/items", data=io.BytesIO(b"something"), auth=same)
    assert response.status_code == 200


def test_a_proof_covers_the_body_so_that_the_client_may_change_keys(api, user, http):
    """Keys change only by a proof with `tha`, the hash of the very bytes that are sent, which the client adds by itself."""
    url = api.issuer.origin + "/v1/keys"
    for send in (http_client(api.issuer.origin).request, http.request):
        new = keys.Key.generate()
        new_key_proof = dpop.proof(new, "POST", url, claims={"sub": user.username})
        body = {"public_key": new.jwk, "new_key_proof": new_key_proof}
        response = send("POST", url, json=body, auth=user)
        assert response.status_code == 201, response.text
        response = send("PATCH", f"{url}/{new.thumbprint}", json={"label": "desk"}, auth=user)
        assert response.json()["label"] == "desk", response.text
        assert send("DELETE", f"{url}/{new.thumbprint}", auth=user).status_code == 204


def test_a_token_is_used_until_it_ends(api, user):
    assert items(api, user).json()["token_id"] == items(api, user).json()["token_id"]


def test_a_token_that_is_about_to_end_is_renewed(tmp_path):
    origin = free_origin()
    issuer = house(tmp_path, "--resource", origin, COUNTERSIGN_TOKENS_LIFETIME="20").start()
    api = FastApi(origin, issuer)
    try:
        api.start()
        with httpx.Client(trust_env=False) as http:
            user = Client(issuer.origin, new_name(), Key.generate(), http=http)
            user.register()
        assert items(api, user).json()["token_id"] != items(api, user).json()["token_id"]
    finally:
        api.stop()
        issuer.kill()


def test_the_server_itself_is_called_with_a_token_of_its_own(api, user):
    response = http_client(api.issuer.origin).get("/v1/whoami", auth=user)
    assert response.json()["account_id"] == user.account_id


def test_scopes_are_asked_for(api, user, http):
    api.issuer.admin("accounts", "grant", user.username, "admin")

    def with_scopes(*scopes):
        return Client(api.issuer.origin, user.username, user.key, scopes=scopes, http=http)

    assert http.get(api.origin + "/admin", auth=with_scopes("admin")).status_code == 200
    with pytest.raises(ClientFailed, match="invalid_scope"):
        http.get(api.origin + "/admin", auth=with_scopes("admin", "more"))


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_every_kind_of_key_logs_in(api, http, kind):
    user = Client(api.issuer.origin, new_name(), Key.generate(kind), http=http)
    user.register()
    assert items(api, user).status_code == 200


def test_the_example_keeps_its_key_and_calls_again(api, tmp_path):
    def run():
        return subprocess.run(
            [sys.executable, EXAMPLE / "client.py", name],
            env=clean_environment(ISSUER=api.issuer.origin, ORIGIN=api.origin),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    name = new_name()
    first, second = json.loads(run()), json.loads(run())
    assert first["proof"] == "dpop"
    assert first["thumbprint"] == second["thumbprint"]
    assert (tmp_path / f"{name}.pem").stat().st_mode & 0o077 == 0


# --- refusals ---


def test_an_api_that_the_server_does_not_know_is_told_with_the_way_out(server, http):
    user = Client(server.origin, new_name(), Key.generate(), http=http)
    user.register()
    with pytest.raises(ClientFailed, match=r"invalid_target.*serve --resource URL"):
        http.get("http://127.0.0.1:9/items", auth=user)


def test_a_refusal_of_the_server_is_told(api, user, http):
    taken = Client(api.issuer.origin, user.username, Key.generate(), http=http)
    with pytest.raises(ClientFailed, match="the username is taken"):
        taken.register()
    with pytest.raises(ClientFailed, match="no live key of the named account"):
        items(api, taken)


def test_a_lost_key_is_replaced_with_a_code_of_an_administrator(api, user, http):
    code = api.issuer.admin("invite", user.username, "--recover").strip()
    back = Client(api.issuer.origin, user.username, Key.generate(), http=http)
    assert back.recover(code, label="new laptop") == user.account_id
    assert items(api, back).status_code == 200
    with pytest.raises(ClientFailed, match="the recovery code does not work"):
        back.recover(code)


def test_a_refusal_of_the_api_is_an_answer(api, user):
    assert http_client(api.origin).get("/admin", auth=user).status_code == 403


@pytest.mark.parametrize("by", ["httpx", "requests"])
def test_a_login_that_only_a_browser_can_make_is_told_in_the_log(api, user, http, caplog, by):
    send = http_client(api.origin).post if by == "httpx" else http.post
    response = send(api.origin + "/payments", auth=user)
    assert response.status_code == 401
    assert 'acr_values="phr", max_age="300"' in response.headers["www-authenticate"]
    [warning] = [record.getMessage() for record in caplog.records if record.name == "countersign"]
    assert warning.startswith(f"{api.origin}/payments wants a login with a passkey")


def test_a_server_that_is_not_there_is_an_error_of_the_library(http):
    user = Client(free_origin(), "alice", Key.generate(), http=http)
    with pytest.raises(requests.ConnectionError):
        user.register()


@pytest.mark.parametrize("issuer", ["http://auth.example.com", "auth.example.com", "ftp://127.0.0.1"])
def test_a_token_is_asked_for_at_safe_addresses_only(issuer):
    with pytest.raises(ValueError, match=r"unencrypted|not an address"):
        Client(issuer, "alice", Key.generate())


# --- servers and APIs that misbehave ---

ISSUER = "https://auth.example"
METADATA = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}
TOKEN = {"access_token": "a.b.c", "token_type": "DPoP", "expires_in": 900}


class Pretender:
    """A server and an API that answer as they are told, and remember what they were asked."""

    def __init__(self, metadata=None, token=None, api=None):
        self.metadata = metadata or httpx.Response(200, json=METADATA)
        self.token = token or httpx.Response(200, json=TOKEN)
        self.api = api or (lambda request: httpx.Response(200))
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if request.url.path == "/.well-known/oauth-authorization-server":
            return self.metadata
        if request.url.path == "/token":
            return self.token
        return self.api(request)

    def get(self, url="https://api.example/items", **options):
        user = Client(ISSUER, "alice", Key.generate())
        with httpx.Client(transport=httpx.MockTransport(self), auth=user, **options) as http:
            return http.get(url)


def test_an_api_that_is_never_content_gets_its_answer_shown():
    nonces = itertools.count()

    def again(request):
        challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": f"nonce-{next(nonces)}"}
        return httpx.Response(401, headers=challenge)

    pretender = Pretender(api=again)
    assert pretender.get().status_code == 401
    assert [request.url.path for request in pretender.asked][-3:] == ["/token", "/items", "/items"]


def test_neither_token_nor_proof_follow_a_redirect_to_another_host():
    def elsewhere(request):
        if request.url.host == "api.example":
            return httpx.Response(302, headers={"Location": "https://evil.example/items"})
        challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "nonce"}
        return httpx.Response(401, headers=challenge)

    pretender = Pretender(api=elsewhere)
    assert pretender.get(follow_redirects=True).status_code == 401
    evil = [request for request in pretender.asked if request.url.host == "evil.example"]
    assert len(evil) == 1
    assert "authorization" not in evil[0].headers


def test_a_login_follows_no_redirect():
    pretender = Pretender(token=httpx.Response(307, headers={"Location": "https://evil.example/x"}))
    with pytest.raises(ClientFailed, match="redirects"):
        pretender.get()
    with pytest.raises(ClientFailed, match="not followed"):
        pretender.get(follow_redirects=True)


@pytest.mark.parametrize(
    ("pretender", "says"),
    [
        (Pretender(httpx.Response(200, json=METADATA | {"issuer": "https://other.example"})), "was asked for"),
        (Pretender(httpx.Response(404)), "does not describe an authorization server"),
        (Pretender(httpx.Response(200, json=METADATA | {"token_endpoint": "http://a.example/"})), "unencrypted"),
        (Pretender(token=httpx.Response(200, json=TOKEN | {"token_type": "Bearer"})), "not bound"),
        (Pretender(token=httpx.Response(200, json=TOKEN | {"access_token": "a\r\nb"})), "not an access token"),
        (Pretender(token=httpx.Response(200, text="<html>")), "makes no sense"),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_is_refused(pretender, says):
    with pytest.raises(ClientFailed, match=says):
        pretender.get()


def test_a_token_is_not_sent_in_the_clear():
    with pytest.raises(ClientFailed, match="unencrypted"):
        Pretender().get("http://api.example/items")


# --- keys ---


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_keys_are_those_of_other_libraries(kind):
    theirs = keys.Key.generate(kind)
    pem = theirs.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ours = Key.from_pem(pem.decode())
    assert ours.thumbprint == theirs.thumbprint
    assert ours.algorithm == theirs.alg
    assert {name: ours.public_jwk[name] for name in theirs.jwk} == theirs.jwk
    assert ours.public_pem == theirs.spki_pem
    back = serialization.load_pem_private_key(ours.to_pem().encode(), None)
    assert keys.Key(back).thumbprint == theirs.thumbprint


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_keys_are_read_from_jwk(kind):
    theirs = JWK.from_pem(Key.generate(kind).to_pem().encode())
    exported = theirs.export_private()
    assert Key.from_jwk(exported).thumbprint == theirs.thumbprint()
    assert Key.from_jwk(json.loads(exported)).thumbprint == theirs.thumbprint()
    with pytest.raises(ValueError, match="public key"):
        Key.from_jwk(theirs.export_public())


def test_the_numbers_of_an_rsa_key_must_belong_together():
    jwk = json.loads(JWK.generate(kty="RSA", size=2048).export_private())
    other = json.loads(JWK.generate(kty="RSA", size=2048).export_private())
    for member in ("n", "d", "p", "q", "dp", "dq", "qi"):
        with pytest.raises(ValueError, match="damaged or inconsistent"):
            Key.from_jwk(jwk | {member: other[member]})
        with pytest.raises(ValueError, match=f'needs a member {member} |public key'):
            Key.from_jwk({name: value for name, value in jwk.items() if name != member})


def test_a_key_does_not_show_its_private_half():
    key = Key.generate()
    secret = key.to_pem().splitlines()[1]
    assert secret not in repr(key) + str(key) + repr(vars(Client(ISSUER, "alice", key)))
    assert repr(key) == f"<countersign.Key ES256 {key.thumbprint}>"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(
    "pem", ["", "nothing", Key.generate().public_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_private_key_is_refused(pem):
    with pytest.raises(ValueError, match=r".+"):
        Key.from_pem(pem)
    with pytest.raises(ValueError, match="no kind of key"):
        Key.generate("RSA-512")


# --- a token that is dead ---


@pytest.fixture
def withdrawing(tmp_path):
    """A server, and an account that has used it once; then `withdraw` takes back the key that signed its token."""
    issuer = house(tmp_path).start()
    try:
        with requests.Session() as http:
            http.trust_env = False
            user = Client(issuer.origin, new_name(), Key.generate(), http=http)
            user.register()
            user.server, user.http = issuer, http
            yield user
    finally:
        issuer.kill()


def withdraw(user):
    """Withdraw the active signing key, and wait until all running servers have taken that over."""

    def kids(origin):
        published = http_client(origin).get("/.well-known/jwks.json").json()
        return {key["kid"] for key in published["keys"]}

    before = kids(user.server.origin)
    user.server.admin("signing-keys", "rotate", "--withdraw")
    deadline = time.monotonic() + 30
    for origin in user.server.origins:
        while before <= kids(origin):
            assert time.monotonic() < deadline, "the key is still published"


def by_httpx(user):
    return http_client(user.server.origin).get("/v1/whoami", auth=user)


def by_async_httpx(user):
    async def ask():
        async with httpx.AsyncClient(base_url=user.server.origin, auth=user, trust_env=False) as http:
            return await http.post("/v1/whoami", content=b"body")

    return asyncio.run(ask())


def by_requests(user):
    return user.http.post(user.server.origin + "/v1/whoami", data=b"body", auth=user)


@pytest.mark.parametrize("ask", [by_httpx, by_async_httpx, by_requests])
def test_after_its_signing_key_was_withdrawn_the_client_logs_in_again(withdrawing, ask):
    before = ask(withdrawing)
    assert before.status_code == 200, before.text
    withdraw(withdrawing)
    after = ask(withdrawing)
    assert after.status_code == 200, after.text
    assert after.json()["token_id"] != before.json()["token_id"]
    assert ask(withdrawing).json()["token_id"] == after.json()["token_id"]


@pytest.mark.parametrize("ask", [by_httpx, by_async_httpx, by_requests])
def test_a_client_that_is_shut_out_tries_one_login_and_says_so(withdrawing, ask):
    thumbprint = ask(withdrawing).json()["thumbprint"]
    name = repr(withdrawing).split()[1]
    withdrawing.server.admin("keys", "revoke", name, thumbprint)
    deadline = time.monotonic() + 30
    with pytest.raises(ClientFailed, match="is the key still good"):
        while ask(withdrawing).status_code == 200:
            assert time.monotonic() < deadline, "the key still counts"
