"""What the server says about itself: RFC 8414, RFC 7517, OpenAPI, health and metrics."""

import jwt
import pytest

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
ALGORITHMS = {"RS256", "PS256", "ES256", "ES384", "EdDSA"}


@pytest.fixture
def http(server):
    return server.http()


@pytest.fixture
def metadata(http):
    response = http.get(METADATA)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    return response.json()


def test_the_issuer_is_where_the_metadata_was_fetched(server, metadata):
    assert metadata["issuer"] == server.origin


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ("token_endpoint", "/oauth/token"),
        ("introspection_endpoint", "/oauth/introspect"),
        ("revocation_endpoint", "/oauth/revoke"),
        ("jwks_uri", JWKS),
    ],
)
def test_the_endpoints_are_named(server, metadata, member, path):
    assert metadata[member] == server.origin + path


def test_the_required_members_are_there(metadata):
    assert isinstance(metadata["response_types_supported"], list)
    assert "urn:ietf:params:oauth:grant-type:jwt-bearer" in metadata["grant_types_supported"]
    assert "private_key_jwt" in metadata["introspection_endpoint_auth_methods_supported"]


@pytest.mark.parametrize(
    "member", ["dpop_signing_alg_values_supported", "introspection_endpoint_auth_signing_alg_values_supported"]
)
def test_the_algorithms_are_exactly_those_supported(metadata, member):
    assert ALGORITHMS <= set(metadata[member]) <= ALGORITHMS | {"Ed25519"}


def test_the_host_header_changes_nothing(http, metadata):
    assert http.get(METADATA, headers={"Host": "localhost:1"}).json() == metadata
    assert http.get(METADATA, headers={"X-Forwarded-Host": "evil.example"}).json() == metadata


def test_the_signing_keys_are_public_cacheable_and_usable(http):
    response = http.get(JWKS)
    assert response.status_code == 200
    assert "max-age" in response.headers["cache-control"]
    keys = response.json()["keys"]
    assert keys
    assert len({key["kid"] for key in keys}) == len(keys)
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
        assert key["use"] == "sig"
        assert key["alg"] in ALGORITHMS
        jwt.PyJWK(key)


@pytest.mark.parametrize("path", [METADATA, JWKS])
def test_metadata_is_only_read(http, path):
    response = http.post(path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_server_is_well(http, path):
    assert http.get(path).status_code == 200


def test_a_local_server_answers_to_its_own_names_only(http):
    for path in [METADATA, "/metrics", "/healthz", "/v1/whoami", "/nowhere"]:
        response = http.get(path, headers={"Host": "evil.example"})
        assert response.status_code == 421, path
        assert response.json()["type"] == "https://github.com/countersign/countersign/problems/misdirected-request"


@pytest.mark.alone("metrics are for who comes to a server without a proxy")
def test_metrics_are_in_prometheus_form(http):
    response = http.get("/metrics")
    assert response.status_code == 200
    assert "# TYPE " in response.text


def test_openapi_describes_the_native_surface(http):
    paths = http.get("/openapi.json").json()["paths"]
    expected = {
        METADATA,
        JWKS,
        "/v1/accounts",
        "/oauth/token",
        "/oauth/introspect",
        "/oauth/revoke",
        "/v1/whoami",
        "/v1/keys",
        "/v1/keys/{thumbprint}",
        "/v1/accounts/{username}/jwks.json",
        "/v1/events",
    }
    assert expected <= set(paths)


def test_the_front_page_explains_itself_to_a_person(http):
    response = http.get("/", headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "countersign" in response.text.lower()
