"""Under any concurrency, what works once works exactly once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from support.client import Client, new_name

CROWD = 20


def all_at_once(actions):
    """Runs the actions at the same moment, each in a thread of its own, and gives back their results."""
    line = threading.Barrier(len(actions))

    def start(action):
        line.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(start, actions))


def test_one_proof_opens_a_resource_once(logged_in):
    headers = logged_in.authorization(logged_in.resource_proof())
    crowd = [logged_in.server.http() for _ in range(CROWD)]
    answers = all_at_once([lambda http=http: http.get("/v1/whoami", headers=headers) for http in crowd])
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * (CROWD - 1)


def test_one_assertion_gets_one_token(client):
    assertion = client.assertion()
    crowd = [Client(client.server, client.key, client.username) for _ in range(CROWD)]
    proofs = [each.token_proof() for each in crowd]
    pairs = zip(crowd, proofs, strict=True)
    answers = all_at_once(
        [lambda each=each, proof=proof: each.token_request(assertion, [proof]) for each, proof in pairs]
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (CROWD - 1)


def test_one_proof_gets_one_token(client):
    proof = client.token_proof()
    crowd = [Client(client.server, client.key, client.username) for _ in range(CROWD)]
    answers = all_at_once([lambda each=each: each.token_request(each.assertion(), [proof]) for each in crowd])
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (CROWD - 1)


def test_one_proof_registers_one_account(server):
    first = Client(server)
    proof = first.registration_proof()
    crowd = [Client(server, first.key, new_name()) for _ in range(CROWD)]
    answers = all_at_once([lambda each=each: each.registration(proofs=[proof]) for each in crowd])
    assert [answer.status_code for answer in answers].count(201) == 1


def test_one_username_is_given_once(server):
    name = new_name()
    crowd = [Client(server, username=name) for _ in range(CROWD)]
    answers = all_at_once([each.registration for each in crowd])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CROWD - 1)
