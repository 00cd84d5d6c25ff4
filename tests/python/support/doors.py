"""The two doors that a DPoP proof opens: the token endpoint and a protected resource.

Every rule for proofs holds at both, so a test that takes `door` runs at both.
"""

from . import dpop

ACCEPTED = "accepted"


class TokenEndpoint:
    """RFC 9449 §5: refusals are 400 with the error in the body."""

    name = "token endpoint"
    method = "POST"
    path = "/oauth/token"

    def __init__(self, client):
        self.client = client

    @property
    def url(self):
        return self.client.url(self.path)

    def nonce(self):
        self.client.token_proof()
        return self.client.token_nonce

    def proof(self, key=None, **changes):
        return self.client.token_proof(key, **changes)

    def send(self, *proofs):
        return self.client.token_request(self.client.assertion(), proofs)

    def verdict(self, *proofs):
        """`accepted`, or the error code of the refusal."""
        response = self.send(*proofs)
        if response.status_code == 200:
            return ACCEPTED
        assert response.status_code == 400, response.text
        return response.json()["error"]


class Resource:
    """RFC 9449 §7.1: refusals are 401 with the error in the challenge."""

    name = "resource"
    method = "GET"
    path = "/v1/whoami"

    def __init__(self, client):
        client.log_in()
        self.client = client

    @property
    def url(self):
        return self.client.url(self.path)

    def nonce(self):
        self.client.resource_proof()
        return self.client.resource_nonce

    def proof(self, key=None, **changes):
        return self.client.resource_proof(self.method, self.path, key, **changes)

    def send(self, *proofs):
        return self.client.resource_request(self.method, self.path, self.client.authorization(*proofs))

    def verdict(self, *proofs):
        """`accepted`, or the error code of the refusal."""
        response = self.send(*proofs)
        if response.status_code == 200:
            return ACCEPTED
        assert response.status_code == 401, response.text
        return dpop.challenge(response)["error"]


DOORS = {door.name: door for door in (TokenEndpoint, Resource)}
