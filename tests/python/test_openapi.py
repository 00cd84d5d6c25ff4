"""The OpenAPI document is true of what is served: schemathesis tries all that it describes, and more."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from support import databases
from support.houses import house
from support.server import clean_environment

TESTS = pathlib.Path(__file__).parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not those that expect any valid input to be accepted and any other to be refused: whether a proof holds, no schema says."""
EXAMPLES = "12"
SECONDS = 170
NEEDS_MORE = {
    # What schemathesis reads to begin with.
    "GET /openapi.json",
    # A signed message or a proposal depends on the answer to an earlier request; tests of the dialects have those.
    "POST /protected",
    "POST /authenticate/{account}",
    # A code that an administrator made: tests of the recovery have that.
    "POST /v1/accounts/{username}/recover",
    # An authenticator, or a page's key: the tests in browsers have those. Origins besides the server's own, which are rare.
    *(f"POST /v1/passkeys{path}" for path in ("", "/options", "/options/add", "/options/step-up")),
    "GET /.well-known/webauthn",
    # A client that speaks OPAQUE: tests of the online keyring have that.
    *(f"{method} /v1/keyring" for method in ("DELETE", "GET", "PUT")),
    *(f"POST /v1/keyring/{path}" for path in ("open", "open/finish", "open/prf", "slots", "revisions/{revision}/restore")),
    *("PUT /v1/keyring/content", "GET /v1/keyring/revisions"),
    # A trusted proxy, asking about a request with a proof for another origin: tests of /forward-auth have that.
    *(f"{method} /forward-auth" for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")),
    # Metrics are for who comes to a server without a proxy.
    *(["GET /metrics"] if databases.WAY else []),
}


@pytest.fixture
def described(tmp_path):
    """A server with everything switched on, so that the document describes everything."""
    running = house(tmp_path, "--protect", "https://api.example.com", "--trusted-proxy", "127.0.0.1").start()
    yield running
    assert running.is_running(), running.output
    running.kill()


def schemathesis(server, directory, **environment):
    """Runs all phases with a fixed seed, and gives back what it has to say where something does not fit."""
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "schemathesis.toml"), "run", "--no-color"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--checks", ",".join(CHECKS)),
        *("--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none", "--warnings", "off"),
        *("--suppress-health-check", "all", "--continue-on-failure", "--request-timeout", "30"),
        server.origin + "/openapi.json",
    )
    settings = clean_environment(COUNTERSIGN_ORIGIN=server.origin, PYTHONPATH=str(TESTS), **environment)
    run = subprocess.run(command, cwd=directory, env=settings, capture_output=True, text=True, timeout=SECONDS)
    return run.returncode, run.stdout + run.stderr


def operations(server):
    paths = server.http().get("/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


def test_strangers_are_answered_as_the_document_says(described, tmp_path):
    status, output = schemathesis(described, tmp_path)
    assert status == 0, output


def test_clients_are_answered_as_the_document_says(described, tmp_path):
    successes = tmp_path / "successes.json"
    status, output = schemathesis(
        described, tmp_path, SCHEMATHESIS_HOOKS="support.openapi_hooks", COUNTERSIGN_SUCCESSES=str(successes)
    )
    assert status == 0, output
    missing = operations(described) - set(json.loads(successes.read_text()))
    assert missing - NEEDS_MORE == set()


def test_an_encoded_form_is_refused_as_the_document_says(described):
    http = described.http()
    document = http.get("/openapi.json").json()
    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
        response = http.post(path, content=b"token=x", headers=headers)
        assert response.status_code == 415, response.text
        assert response.json()["error"] == "invalid_request"
        assert "application/json" in document["paths"][path]["post"]["responses"]["415"]["content"]


def test_every_401_has_a_challenge(described):
    """RFC 9110 §11.6.1; without credentials every second operation answers 401."""
    http = described.http()
    refused = 0
    for operation in operations(described):
        method, path = operation.split(" ", 1)
        response = http.request(method, path.replace("{", "x").replace("}", "x"))
        if response.status_code == 401:
            refused += 1
            assert response.headers["www-authenticate"], operation
    assert refused >= 10
