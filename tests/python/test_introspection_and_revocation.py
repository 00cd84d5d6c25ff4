"""RFC 7662 and RFC 7009: who may ask about a token, what they learn, and how a token ends."""

import time

import pytest

from support import dpop
from support.client import CLIENT_ASSERTION, Client


@pytest.fixture
def inspector(server):
    """A resource server's account, which may ask about every token."""
    client = Client(server).register()
    server.admin("accounts", "grant", client.username, "introspect")
    return client


def refused_authentication(response):
    """Client authentication failed: RFC 6749 §5.2."""
    assert response.status_code in (400, 401), response.text
    assert response.json()["error"] == "invalid_client"


# --- introspection ---


def test_the_owner_learns_about_its_own_token(logged_in):
    response = logged_in.introspect(logged_in.token)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["active"] is True
    assert answer["cnf"] == {"jkt": logged_in.key.thumbprint}
    assert answer["token_type"] == "DPoP"
    assert answer["sub"] == logged_in.account_id
    assert answer["client_id"] == logged_in.key.thumbprint
    assert answer["username"] == logged_in.username
    assert answer["iss"] == logged_in.issuer
    assert answer["iat"] <= time.time() < answer["exp"]
    assert answer["jti"]


def test_a_resource_server_with_the_scope_learns_about_every_token(logged_in, inspector):
    answer = inspector.introspect(logged_in.token).json()
    assert answer["active"] is True
    assert answer["cnf"] == {"jkt": logged_in.key.thumbprint}


def test_a_stranger_learns_nothing(logged_in, other):
    response = other.introspect(logged_in.token)
    assert response.status_code in (200, 403)
    assert response.json().get("active") is not True
    assert logged_in.account_id not in response.text
    assert logged_in.username not in response.text


@pytest.mark.parametrize("token", ["hello", "a.b.c", "", "x" * 5000])
def test_what_is_no_token_is_inactive_without_a_reason(inspector, token):
    response = inspector.introspect(token)
    if token:
        assert response.status_code == 200, response.text
        assert response.json() == {"active": False}
    else:
        assert response.status_code in (200, 400)


def test_a_changed_token_is_inactive(logged_in, inspector):
    assert inspector.introspect(logged_in.token[:-4] + "AAAA").json() == {"active": False}


def test_a_token_hint_changes_nothing(logged_in):
    form = {
        "token": logged_in.token,
        "token_type_hint": "refresh_token",
        "client_assertion_type": CLIENT_ASSERTION,
        "client_assertion": logged_in.client_assertion(),
    }
    assert logged_in.http.post("/oauth/introspect", data=form).json()["active"] is True


def test_introspection_is_not_cached(logged_in):
    assert "no-store" in logged_in.introspect(logged_in.token).headers["cache-control"]


def test_the_caller_must_authenticate(logged_in):
    response = logged_in.http.post("/oauth/introspect", data={"token": logged_in.token})
    refused_authentication(response)
    assert "active" not in response.json()


def test_the_token_is_required(logged_in):
    form = {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": logged_in.client_assertion()}
    response = logged_in.http.post("/oauth/introspect", data=form)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "audience",
    [
        lambda client: client.url("/oauth/introspect"),
        lambda client: client.url("/oauth/token"),
        lambda client: [client.issuer, client.url("/oauth/token")],
        lambda client: client.issuer + "/",
        lambda client: "https://elsewhere.example",
        lambda client: None,
    ],
    ids=["this endpoint", "token endpoint", "two audiences", "slash", "another server", "none"],
)
def test_the_audience_of_a_client_assertion_is_the_issuer_alone(logged_in, audience):
    assertion = logged_in.client_assertion(claims={"aud": audience(logged_in)})
    refused_authentication(logged_in.introspect(logged_in.token, assertion))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": int(time.time()) - 3600},
        {"exp": int(time.time()) + 3600},
        {"jti": None},
        {"sub": "somebody"},
        {"iss": "somebody"},
        {"iss": "somebody", "sub": "somebody"},
    ],
    ids=str,
)
def test_a_wrong_client_assertion_is_refused(logged_in, claims):
    refused_authentication(logged_in.introspect(logged_in.token, logged_in.client_assertion(claims=claims)))


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "logout+jwt"])
def test_another_kind_of_token_is_no_client_assertion(logged_in, typ):
    refused_authentication(logged_in.introspect(logged_in.token, logged_in.client_assertion(header={"typ": typ})))


@pytest.mark.parametrize("name_of", ["username", "account_id"])
def test_the_caller_is_named_by_username_or_id(logged_in, name_of):
    name = getattr(logged_in, name_of)
    assertion = logged_in.client_assertion(claims={"iss": name, "sub": name})
    assert logged_in.introspect(logged_in.token, assertion).json()["active"] is True


def test_the_client_id_that_tokens_carry_names_the_caller_too(logged_in):
    """RFC 7523 §3: `iss` and `sub` are the client_id, and RFC 9068 §2.2 puts that very name into our tokens."""
    client_id = logged_in.introspect(logged_in.token).json()["client_id"]
    assertion = logged_in.client_assertion(claims={"iss": client_id, "sub": client_id})
    assert logged_in.introspect(logged_in.token, assertion).json()["active"] is True


def test_a_client_assertion_works_once(logged_in):
    assertion = logged_in.client_assertion()
    assert logged_in.introspect(logged_in.token, assertion).status_code == 200
    refused_authentication(logged_in.introspect(logged_in.token, assertion))


def test_a_client_assertion_by_another_key_is_refused(logged_in, other):
    identity = {"iss": logged_in.username, "sub": logged_in.username}
    forged = other.client_assertion(header={"kid": logged_in.key.thumbprint}, claims=identity)
    refused_authentication(logged_in.introspect(logged_in.token, forged))


def test_only_post_asks_about_a_token(logged_in):
    assert logged_in.http.get("/oauth/introspect", params={"token": logged_in.token}).status_code == 405


# --- revocation ---


def test_a_revoked_token_is_dead_everywhere(logged_in, inspector):
    assert logged_in.revoke(logged_in.token).status_code == 200
    response = logged_in.call()
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_token"
    assert inspector.introspect(logged_in.token).json() == {"active": False}


def test_revoking_one_token_leaves_the_next(client):
    first = client.log_in()["access_token"]
    client.log_in()
    assert client.revoke(first).status_code == 200
    assert client.call().status_code == 200


@pytest.mark.parametrize("token", ["hello", "a.b.c", "x" * 5000])
def test_revoking_what_is_no_token_succeeds(client, token):
    assert client.revoke(token).status_code == 200


def test_revoking_twice_succeeds(logged_in):
    assert logged_in.revoke(logged_in.token).status_code == 200
    assert logged_in.revoke(logged_in.token).status_code == 200


def test_a_changed_token_revokes_nothing(logged_in):
    assert logged_in.revoke(logged_in.token[:-4] + "AAAA").status_code == 200
    assert logged_in.call().status_code == 200


def test_revocation_needs_a_token(client):
    response = client.http.post("/oauth/revoke", data={})
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


def test_only_post_revokes(logged_in):
    assert logged_in.http.get("/oauth/revoke", params={"token": logged_in.token}).status_code == 405
    assert logged_in.call().status_code == 200
