"""An API in several processes: honest clients pass wherever they are sent, and a proof works once in all of them.

`COUNTERSIGN_REQUESTS` is how many requests each client sends; 1000 is a thorough run.
"""

import concurrent.futures
import fcntl
import os
import subprocess
import threading
import time

import httpx
import pytest
from countersign import Client as CountersignClient
from countersign import Guard, Key, Refused
from cryptography.hazmat.primitives import serialization

from support import dpop
from support.api import ITEMS, ApiClient, free_origin
from support.client import Client
from support.houses import house
from support.server import PATIENCE, clean_environment
from support.workers import LAYOUTS

REQUESTS = int(os.environ.get("COUNTERSIGN_REQUESTS", "200"))
CALLS = max(10, REQUESTS // 20)
"""How often the command line is started: each time it logs in, in a process of its own."""
COPIES = 6


@pytest.fixture(scope="module")
def origins():
    return {layout: free_origin() for layout in [*LAYOUTS, "alone"]}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory, origins):
    resources = [option for origin in origins.values() for option in ("--resource", origin)]
    running = house(tmp_path_factory.mktemp("issuer"), *resources).start()
    yield running
    running.kill()


@pytest.fixture(scope="module", params=LAYOUTS)
def api(request, issuer, origins):
    running = LAYOUTS[request.param](origins[request.param], issuer)
    try:
        yield running.start()
    finally:
        running.stop()


def without_keeping(origin):
    """A client whose every request is a connection of its own, so that it meets every process."""
    return httpx.Client(base_url=origin, trust_env=False, timeout=PATIENCE, headers={"Connection": "close"})


def honest_call(client, http):
    """A request with the newest nonce, and with at most one repetition."""
    for _ in range(2):
        proof = dpop.proof(client.key, "GET", client.api.origin + ITEMS, token=client.token, nonce=client.nonce)
        response = http.get(ITEMS, headers=client.headers(proof))
        client.nonce = response.headers.get("dpop-nonce", client.nonce)
        if response.status_code != 401:
            break
    return response.status_code


def test_an_independent_client_passes_with_at_most_one_repetition(api):
    client = ApiClient(api).log_in()
    with without_keeping(api.origin) as http:
        assert [honest_call(client, http) for _ in range(REQUESTS)] == [200] * REQUESTS


def test_independent_clients_pass_side_by_side(api):
    def many(_):
        client = ApiClient(api).log_in()
        with without_keeping(api.origin) as http:
            return [honest_call(client, http) for _ in range(REQUESTS // 8)]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert {status for statuses in threads.map(many, range(8)) for status in statuses} == {200}


def test_our_client_passes(api):
    user = CountersignClient(api.issuer.origin, username=f"worker-{os.urandom(4).hex()}", key=Key.generate())
    user.register()
    with without_keeping(api.origin) as http:
        statuses = [http.get(ITEMS, auth=user).status_code for _ in range(REQUESTS)]
    assert statuses == [200] * REQUESTS


def test_the_command_line_passes(api, tmp_path):
    account = Client(api.issuer).register()
    key = tmp_path / "key.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(account.key.private.private_bytes(*form))
    key.chmod(0o600)
    options = ["--server", api.issuer.origin, "--key", str(key), "--username", account.username]
    for _ in range(CALLS):
        subprocess.run(
            [api.issuer.binary, "call", *options, "GET", api.origin + ITEMS],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
            env=clean_environment(HOME=str(tmp_path)),
        )


def test_of_the_copies_of_a_proof_exactly_one_is_accepted(api):
    client = ApiClient(api).log_in()
    client.proof()
    together = threading.Barrier(COPIES)
    proofs = [client.proof() for _ in range(REQUESTS)]

    def send_all(_):
        accepted = []
        with without_keeping(api.origin) as http:
            for proof in proofs:
                together.wait(PATIENCE)
                accepted.append(http.get(ITEMS, headers=client.headers(proof)).status_code)
        return accepted

    with concurrent.futures.ThreadPoolExecutor(COPIES) as threads:
        copies = list(threads.map(send_all, range(COPIES)))
    for statuses in zip(*copies, strict=True):
        assert sorted(statuses) == [200] + [401] * (COPIES - 1)


def test_a_self_signed_jwt_works_once_in_all_processes(api):
    client = ApiClient(api)
    with without_keeping(api.origin) as http:
        for _ in range(20):
            headers = client.headers(scheme="Bearer", token=client.self_signed({"iat": None}))
            assert http.get(ITEMS, headers=headers).status_code == 401
        # Its `iat` must be later than the beginning of what the processes remember.
        fresh = next(jwt for jwt in iter(client.self_signed, None) if accepted(http, client, jwt))
        headers = client.headers(scheme="Bearer", token=fresh)
        assert [http.get(ITEMS, headers=headers).status_code for _ in range(12)] == [401] * 12


def accepted(http, client, jwt):
    return http.get(ITEMS, headers=client.headers(scheme="Bearer", token=jwt)).status_code == 200


# --- the shared state itself ---


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


class Alone:
    """An API that is guarded in this process."""

    def __init__(self, issuer, origin):
        self.issuer = issuer
        self.origin = origin


@pytest.fixture
def client(issuer, origins):
    return ApiClient(Alone(issuer, origins["alone"])).log_in()


def guard_of(client, **settings):
    return Guard(client.api.issuer.origin, client.api.origin, **settings)


def ask(guard, client, proof):
    """The status that the guard answers, and its nonce."""
    try:
        verified = guard.verify_sync("GET", ITEMS, client.headers(proof))
    except Refused as refused:
        return refused.status, dict(refused.headers).get("dpop-nonce")
    return 200, dict(verified.headers)["dpop-nonce"]


def proof_for(client, nonce=None):
    return dpop.proof(client.key, "GET", client.api.origin + ITEMS, token=client.token, nonce=nonce)


def begin_another_millisecond():
    """What began in the very millisecond in which the memory began anew is refused too, since it cannot be told apart."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        pass


def test_while_another_process_holds_the_lock_requests_get_503_and_the_log_says_why_once(client, state, caplog):
    guard = guard_of(client, shared_state=state)
    _, nonce = ask(guard, client, proof_for(client))
    with (state / "used-proofs").open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        for _ in range(2):
            status, _ = ask(guard, client, proof_for(client, nonce))
            assert status == 503
    assert ask(guard, client, proof_for(client, nonce))[0] == 200
    assert sum("another process holds its lock" in record.getMessage() for record in caplog.records) == 1


def test_after_the_directory_is_lost_nothing_works_again_and_clients_repeat_once(client, state):
    guards = [guard_of(client, shared_state=state) for _ in range(2)]
    _, nonce = ask(guards[0], client, proof_for(client))
    proof = proof_for(client, nonce)
    assert ask(guards[0], client, proof)[0] == 200
    for path in state.iterdir():
        path.unlink()
    state.rmdir()
    for guard in [*guards, *guards]:
        status, nonce = ask(guard, client, proof)
        assert status == 401
        begin_another_millisecond()
        # Whichever it meets next knows the nonce.
        for next_guard in guards:
            assert ask(next_guard, client, proof_for(client, nonce))[0] == 200


def test_a_fork_of_a_guard_that_works_shares_the_memory_of_its_parent(client, state):
    guard = guard_of(client, shared_state=state)
    _, nonce = ask(guard, client, proof_for(client))
    proofs = [proof_for(client, nonce) for _ in range(20)]
    assert ask(guard, client, proofs[0])[0] == 200
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        statuses = bytes(ask(guard, client, proof)[0] == 200 for proof in proofs)
        os.write(writer, statuses)
        os._exit(0)
    os.close(writer)
    mine = [ask(guard, client, proof)[0] == 200 for proof in proofs]
    os.waitpid(child, 0)
    theirs = [bool(accepted) for accepted in os.read(reader, len(proofs))]
    os.close(reader)
    assert not mine[0] and not theirs[0]
    assert all(one + other == 1 for one, other in zip(mine[1:], theirs[1:], strict=True))


def test_guards_that_share_nothing_refuse_the_nonces_of_each_other(client):
    guards = [guard_of(client, shared_state=False) for _ in range(2)]
    _, nonce = ask(guards[0], client, proof_for(client))
    assert ask(guards[1], client, proof_for(client, nonce))[0] == 401


def test_machines_with_one_nonce_secret_know_the_nonces_of_each_other_and_not_the_proofs(client, tmp_path):
    secret = os.urandom(32)
    machines = [guard_of(client, shared_state=tmp_path / name, nonce_secret=secret) for name in ("a", "b")]
    ask(machines[1], client, proof_for(client))
    _, nonce = ask(machines[0], client, proof_for(client))
    proof = proof_for(client, nonce)
    assert [ask(machine, client, proof)[0] for machine in machines * 2] == [200, 200, 401, 401]


def test_a_nonce_secret_that_could_be_guessed_is_refused(client):
    with pytest.raises(ValueError, match="at least 32 bytes, not 6"):
        guard_of(client, nonce_secret="secret")


def test_a_directory_that_others_can_change_is_refused_with_a_clear_sentence(client, state):
    state.mkdir(mode=0o700)
    state.chmod(0o777)
    with pytest.raises(OSError, match="can be changed by other users"):
        guard_of(client, shared_state=state)
    with pytest.raises(OSError, match="/tmp .*: name another directory for the shared state"):
        guard_of(client, shared_state="/tmp")


def test_a_place_that_is_not_there_is_refused_with_a_clear_sentence(client, state):
    with pytest.raises(OSError, match="where the processes of this machine share used proofs, cannot be used"):
        guard_of(client, shared_state=state / "deeper")
