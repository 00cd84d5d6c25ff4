"""requests_oauth2client, a client library that knows RFC 7523, RFC 9449, RFC 7662 and RFC 7009."""

import pytest
import requests
from jwskate import Jwk, Jwt
from requests_oauth2client import DPoPKey, DPoPToken, InvalidClient, InvalidGrant, OAuth2Client, PrivateKeyJwt

from support.client import Client
from support.keys import Key


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(params=["P-256", "Ed25519", "RSA-2048"])
def account(request, server):
    """A registered account, with its key."""
    return Client(server, Key.generate(request.param)).register()


def private_jwk(account):
    """The key as the library wants it."""
    jwk = Jwk.from_cryptography_key(account.key.private)
    return jwk | {"alg": account.key.alg, "kid": account.key.thumbprint}


def client_for(account, session, audience):
    """The library's client, with `private_key_jwt` for that audience; `testing` lets it use plain HTTP."""
    key = private_jwk(account)
    metadata = account.http.get("/.well-known/oauth-authorization-server").json()
    return OAuth2Client(
        metadata["token_endpoint"],
        introspection_endpoint=metadata["introspection_endpoint"],
        revocation_endpoint=metadata["revocation_endpoint"],
        auth=PrivateKeyJwt(account.username, key, alg=account.key.alg, aud=audience),
        dpop_bound_access_tokens=True,
        testing=True,
        session=session,
    )


@pytest.fixture
def oauth(account, session):
    return client_for(account, session, account.issuer)


def log_in(oauth, account):
    key = private_jwk(account)
    assertion = Jwt.sign(account.assertion_claims(), key, alg=account.key.alg)
    return oauth.jwt_bearer(str(assertion), dpop=True, dpop_key=DPoPKey(key, alg=account.key.alg))


def test_it_logs_in_and_calls_resources(oauth, account, session):
    token = log_in(oauth, account)
    assert isinstance(token, DPoPToken)
    for path in ("/v1/whoami", "/v1/keys", "/v1/whoami?again"):
        response = session.get(account.url(path), auth=token)
        assert response.status_code == 200, response.text
    assert session.get(account.url("/v1/whoami"), auth=token).json()["username"] == account.username


@pytest.mark.alone("it asks at once, and what is revoked counts at other servers a moment later")
def test_it_asks_about_its_token_and_ends_it(oauth, account, session):
    token = log_in(oauth, account)
    alive = oauth.introspect_token(token.access_token)
    assert alive["active"] is True
    assert alive["cnf"] == {"jkt": account.key.thumbprint}
    assert oauth.revoke_access_token(token.access_token) is True
    assert oauth.introspect_token(token.access_token) == {"active": False}
    assert session.get(account.url("/v1/whoami"), auth=token).status_code == 401


def test_it_understands_why_a_login_is_refused(oauth, account):
    stranger = Client(account.server, account.key, username="nobody")
    with pytest.raises(InvalidGrant):
        log_in(oauth, stranger)


def test_the_audience_of_its_assertions_must_be_set_to_the_issuer(account, session):
    """Its default is the endpoint, which the revision of RFC 7523 forbids."""
    token = log_in(client_for(account, session, account.issuer), account)
    with pytest.raises(InvalidClient):
        client_for(account, session, None).introspect_token(token.access_token)
