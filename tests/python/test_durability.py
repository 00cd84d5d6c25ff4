"""What was acknowledged survives `kill -9`; what was used before a restart works no more."""

import os
import pathlib
import re
import stat
import threading
import time

import httpx
import pytest

from support import dpop
from support.client import Client, new_name
from support.keys import Key
from support.server import PATIENCE, Server

ACKNOWLEDGED_BEFORE_THE_KILL = 60


def restarted(server):
    server.kill()
    return server.start()


def assert_invalid_token(response):
    assert response.status_code == 401
    assert dpop.challenge(response)["error"] == "invalid_token"


def test_kill_in_the_middle_of_registrations_loses_none_that_was_acknowledged(own_server):
    acknowledged = []
    enough = threading.Event()

    def register_until_the_server_is_gone():
        try:
            while True:
                acknowledged.append(Client(own_server, Key.generate("Ed25519")).register())
                if len(acknowledged) >= ACKNOWLEDGED_BEFORE_THE_KILL:
                    enough.set()
        except httpx.TransportError:
            return

    crowd = [threading.Thread(target=register_until_the_server_is_gone) for _ in range(4)]
    for thread in crowd:
        thread.start()
    assert enough.wait(60)
    own_server.kill()
    for thread in crowd:
        thread.join()

    own_server.start()
    for client in acknowledged:
        again = Client(own_server, client.key, client.username)
        again.log_in()
        assert again.call().json()["account_id"] == client.account_id


def test_a_revoked_key_stays_revoked(own_server):
    client = Client(own_server).register()
    client.log_in()
    device = Client(own_server, Key.generate("Ed25519"), client.username)
    assert client.add_key(device.key).status_code == 201
    device.log_in()
    assert client.call("DELETE", f"/v1/keys/{device.key.thumbprint}").status_code == 204

    restarted(own_server)
    device.resource_nonce = None
    assert_invalid_token(device.call())
    device.token_nonce = None
    with pytest.raises(AssertionError, match="invalid_grant"):
        device.log_in()


def test_a_revoked_token_stays_revoked(own_server):
    client = Client(own_server).register()
    client.log_in()
    assert client.revoke(client.token).status_code == 200

    restarted(own_server)
    client.resource_nonce = None
    assert_invalid_token(client.call())


def test_a_token_lives_on_because_the_signing_keys_do(own_server):
    client = Client(own_server).register()
    client.log_in()
    published = client.http.get("/.well-known/jwks.json").json()

    assert own_server.stop() == 0
    own_server.start()
    assert client.http.get("/.well-known/jwks.json").json() == published
    client.resource_nonce = None
    assert client.call().status_code == 200


@pytest.mark.sqlite("short-lived state that servers share survives a restart of one")
def test_a_nonce_from_before_a_restart_is_refused(own_server):
    client = Client(own_server).register()
    client.log_in()
    assert client.call().status_code == 200

    old = (client.token_nonce, client.resource_nonce)
    restarted(own_server)
    login = client.token_request(client.assertion(), [client.token_proof(nonce=old[0])])
    assert login.json()["error"] == "use_dpop_nonce"
    call = client.resource_request("GET", "/v1/whoami", client.authorization(client.resource_proof(nonce=old[1])))
    assert dpop.challenge(call)["error"] == "use_dpop_nonce"


def test_a_used_proof_is_refused_after_a_restart(own_server):
    client = Client(own_server).register()
    client.log_in()
    headers = client.authorization(client.resource_proof())
    assert client.resource_request("GET", "/v1/whoami", headers).status_code == 200

    restarted(own_server)
    assert client.resource_request("GET", "/v1/whoami", headers).status_code == 401


def test_a_used_assertion_is_refused_after_a_restart(own_server):
    client = Client(own_server).register()
    used = [client.assertion(), client.assertion(claims={"iat": None})]
    for assertion in used:
        assert client.token_request(assertion, [client.token_proof()]).status_code == 200

    restarted(own_server)
    client.token_nonce = None
    for assertion in used:
        response = client.token_request(assertion, [client.token_proof()])
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_grant"


def test_a_used_registration_proof_is_refused_after_a_restart(own_server):
    client = Client(own_server)
    proof = client.registration_proof()
    assert client.registration(proofs=[proof]).status_code == 201

    restarted(own_server)
    client.username = new_name()
    assert client.registration(proofs=[proof]).status_code != 201


def test_a_used_proof_of_a_new_key_is_refused_after_a_restart(own_server):
    client = Client(own_server).register()
    client.log_in()
    new_key = Key.generate()
    proof = client.new_key_proof(new_key)
    body = {"public_key": new_key.jwk, "new_key_proof": proof}
    assert client.call("POST", "/v1/keys", json=body).status_code == 201
    assert client.call("DELETE", f"/v1/keys/{new_key.thumbprint}").status_code == 204

    restarted(own_server)
    client.resource_nonce = None
    assert client.call("POST", "/v1/keys", json=body).status_code != 201


def test_a_login_works_right_after_a_restart(own_server):
    client = Client(own_server).register()
    restarted(own_server)
    client.log_in()
    assert client.call().status_code == 200


@pytest.mark.sqlite("a server with a database elsewhere makes no directory")
def test_the_names_of_new_directories_are_brought_to_the_disk(tmp_path):
    """Without that a loss of power may take the whole data directory, and what it held with it."""
    trace = tmp_path / "trace"
    server = Server(tmp_path / "srv" / "countersign")
    server.working_directory = tmp_path
    server.launcher = ("strace", "-D", "-f", "-q", "-y", "-e", "trace=mkdir,mkdirat,fsync", "-o", str(trace))
    server.start()
    pid = server.process.pid
    server.stop()
    deadline = time.monotonic() + PATIENCE
    while not re.search(rf"^{pid} +\+\+\+ exited", calls := trace.read_text(), re.MULTILINE):
        assert time.monotonic() < deadline, f"strace did not end:\n{calls}"
    for made in (tmp_path / "srv", tmp_path / "srv" / "countersign"):
        _, was_made, afterwards = calls.partition(f'"{made}", 0700) = 0')
        assert was_made, calls
        assert re.search(rf"fsync\(\d+<{re.escape(str(made.parent))}>\) += 0", afterwards), calls


@pytest.mark.sqlite("--new is about a file; the tests of `countersign admin` change the key of a shared database")
def test_a_wrong_master_key_refuses_to_start_and_harms_nothing(tmp_path):
    right, wrong = ({"COUNTERSIGN_MASTER_KEY": byte * 32} for byte in ("a1", "b2"))
    server = Server(tmp_path, "--new", **right).start()
    client = Client(server).register()
    server.stop()
    server.options = ()

    with pytest.raises(AssertionError, match="(?i)master key"):
        Server(tmp_path, **wrong).start()

    server.start()
    try:
        client.log_in()
        assert client.call().status_code == 200
    finally:
        server.kill()


@pytest.mark.alone("it is about the file of one server")
def test_the_master_key_is_for_the_owner_alone(own_server):
    mode = os.stat(pathlib.Path(own_server.data_directory, "master.key")).st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.alone("it is about the files and the output of one server")
def test_secrets_are_neither_logged_nor_stored(own_server):
    client = Client(own_server).register()
    assertion = client.assertion()
    proof = client.token_proof()
    token = client.token_request(assertion, [proof]).json()["access_token"]
    client.token = token
    call_proof = client.resource_proof()
    assert client.resource_request("GET", "/v1/whoami", client.authorization(call_proof)).status_code == 200
    assert own_server.stop() == 0

    files = [path for path in pathlib.Path(own_server.data_directory).rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    for secret in (token, assertion, proof, call_proof):
        signature = secret.rpartition(".")[2]
        assert signature not in own_server.output
        assert signature.encode() not in stored
    assert b"PRIVATE KEY" not in stored
