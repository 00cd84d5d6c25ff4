"""Nodes are one server to whoever talks to them: what works once works once at all of them."""

import time
import uuid

import jwt as pyjwt
from house.processes import at_once, until
from support import dpop
from support.client import Client
from support.keys import Key
from support.signjwt import SignJwtClient

AT_ONCE = 12
"""How many requests come at one moment, to all nodes in turn."""


def everywhere(house, call):
    """Calls `call(http)` for connections to each node in turn, all at one moment."""
    connections = [house.nodes[number % len(house.nodes)].door().http() for number in range(AT_ONCE)]
    return at_once([lambda http=http: call(http) for http in connections])


def statuses(answers):
    return sorted(answer.status_code for answer in answers)


def logged_in(door):
    client = Client(door).register()
    client.log_in()
    return client


def test_a_client_works_through_the_balancer(house):
    """Registration, login, and calls, with at most one repetition for a nonce."""
    client = logged_in(house.door)
    repeated = 0
    for _ in range(30):
        response = client.call()
        if response.status_code == 401:
            assert "use_dpop_nonce" in response.headers["www-authenticate"]
            repeated += 1
            response = client.call()
        assert response.status_code == 200, response.text
        assert response.json()["username"] == client.username
    assert repeated <= (0 if house.way == "round-robin" else 1)


def test_a_session_of_signjwt_goes_on_through_the_balancer(house):
    """It begins without a token, and goes on with one in a header, at the node that has its nonce."""
    client = SignJwtClient(house.door)
    assert client.register().status_code == 200
    assert client.log_in().status_code == 200
    for _ in range(3):
        assert client.call().status_code == 200
        assert client.protected().status_code == 200


def test_a_login_at_one_node_counts_at_all(house):
    client = logged_in(house.nodes[0].door())
    for node in house.nodes:
        client.http, client.resource_nonce = node.door().http(), None
        assert client.call().json()["account_id"] == client.account_id


def test_a_proof_works_once_of_all_nodes(house):
    client = logged_in(house.nodes[0].door())
    for _ in range(5):
        client.call()
        headers = client.authorization(client.resource_proof())
        answers = everywhere(house, lambda http, headers=headers: http.get("/v1/whoami", headers=headers))
        assert statuses(answers) == [200] + [401] * (AT_ONCE - 1)


def test_an_assertion_works_once_of_all_nodes(house):
    client = Client(house.nodes[0].door()).register()
    for _ in range(5):
        assertion = client.assertion()

        def log_in(http, assertion=assertion):
            visitor = Client(Door(http, client), client.key, client.username)
            return visitor.token_request(assertion, [visitor.token_proof()])

        assert statuses(everywhere(house, log_in)) == [200] + [400] * (AT_ONCE - 1)


class Door:
    """A connection that is there already, as a client wants it."""

    def __init__(self, http, client):
        self.origin = client.server.origin
        self._http = http

    def http(self):
        return self._http


def test_a_self_signed_jwt_works_once_of_all_nodes(house):
    client = Client(house.nodes[0].door()).register()

    def headers():
        now = int(time.time())
        claims = {"sub": client.username, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
        token = pyjwt.encode(claims, client.key.private, algorithm=client.key.alg)
        return {"Authorization": f"Bearer {token}"}

    # Right after the start nobody can tell which were used before.
    doors = [node.door().http() for node in house.nodes]
    until("an answer", lambda: all(door.get("/v1/whoami", headers=headers()).status_code == 200 for door in doors), 20)
    for _ in range(5):
        once = headers()
        answers = everywhere(house, lambda http, once=once: http.get("/v1/whoami", headers=once))
        assert statuses(answers) == [200] + [401] * (AT_ONCE - 1)


def test_a_signed_message_works_once_of_all_nodes(house):
    """Where each node has the nonces of its own sessions, one node knows this one, and no other."""
    client = SignJwtClient(house.nodes[0].door())
    assert client.register().status_code == 200
    assert client.log_in().status_code == 200
    for _ in range(5):
        message = client.message()
        answers = everywhere(house, lambda http, message=message: http.post("/protected", json=message))
        accepted = [answer for answer in answers if answer.status_code == 200]
        assert len(accepted) == 1, statuses(answers)
        client.nonce = accepted[0].json()["nonce"]


def test_an_invitation_admits_one_of_all_nodes(house):
    code = house.nodes[0].admin("invite").split()[-1]

    def register(http):
        visitor = Client(Door(http, Client(house.nodes[0].door())), Key.generate())
        return visitor.registration(enrolment_code=code)

    answers = everywhere(house, register)
    assert statuses(answers) == [201] + [403] * (AT_ONCE - 1)


def test_one_name_goes_to_one_of_all_nodes(house):
    name = f"name-{uuid.uuid4()}"

    def register(http):
        return Client(Door(http, Client(house.nodes[0].door())), Key.generate(), name).registration()

    assert statuses(everywhere(house, register)) == [201] + [409] * (AT_ONCE - 1)


def test_a_key_that_is_revoked_at_one_node_is_dead_at_all(house):
    client = logged_in(house.nodes[0].door())
    spare = Key.generate()
    assert client.add_key(spare).status_code == 201
    assert client.call("DELETE", f"/v1/keys/{client.key.thumbprint}").status_code == 204
    for node in house.nodes:
        http = node.door().http()
        bare = dpop.proof(client.key, "GET", client.url("/v1/whoami"), token=client.token)
        refused = http.get("/v1/whoami", headers=client.authorization(bare))
        assert refused.status_code == 401, node.name
