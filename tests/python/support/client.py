"""An account's client: registers, logs in and calls resources as RFC 7523 and RFC 9449 describe it."""

import hashlib
import itertools
import json
import os
import time
import uuid

from . import dpop
from .keys import Key

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_numbers = itertools.count(1)


def new_name():
    """A username that no other test has."""
    return f"user-{os.getpid()}-{next(_numbers)}"


class Client:
    """One account, the key it logs in with, and the newest nonce of the token endpoint and of the resources."""

    def __init__(self, server, key=None, username=None):
        self.server = server
        self.http = server.http()
        self.key = key or Key.generate()
        self.username = username or new_name()
        self.account_id = None
        self.token = None
        self.session_key = None
        self.token_nonce = None
        self.resource_nonce = None

    def url(self, path):
        return self.server.origin + path

    @property
    def issuer(self):
        return self.server.origin

    @property
    def token_key(self):
        """The key that the current token is bound to."""
        return self.session_key or self.key

    # --- registration ---

    def registration(self, public_key=None, *, proofs=None, **members):
        """Sends a registration and gives back the answer, whatever it is."""
        public_key = self.key.spki_pem if public_key is None else public_key
        body = {"username": self.username, "public_key": public_key} | members
        if proofs is None:
            proofs = [self.registration_proof()]
        headers = [("DPoP", proof) for proof in proofs]
        return self.http.post("/v1/accounts", json=dpop.changed(body, None), headers=headers)

    def registration_proof(self, **changes):
        return dpop.proof(self.key, "POST", self.url("/v1/accounts"), **changes)

    def register(self, public_key=None):
        response = self.registration(public_key)
        assert response.status_code == 201, response.text
        self.account_id = response.json()["account_id"]
        return self

    # --- login ---

    def assertion(self, key=None, *, header=None, claims=None, alg=None):
        """A login assertion; `header` and `claims` change what an honest client would say."""
        key = key or self.key
        honest_header = {"typ": "JWT", "alg": alg or key.alg, "kid": key.thumbprint}
        honest_claims = self.assertion_claims()
        return key.jws(dpop.changed(honest_header, header), dpop.changed(honest_claims, claims), alg)

    def assertion_claims(self):
        now = int(time.time())
        return {
            "iss": self.username,
            "sub": self.username,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": str(uuid.uuid4()),
        }

    def token_request(self, assertion, proofs, changes=None):
        """Sends a token request and gives back the answer, whatever it is; `changes` are to the form."""
        data = dpop.changed({"grant_type": JWT_BEARER, "assertion": assertion}, changes)
        response = self.http.post("/oauth/token", data=data, headers=[("DPoP", proof) for proof in proofs])
        self.token_nonce = response.headers.get("dpop-nonce", self.token_nonce)
        return response

    def token_proof(self, key=None, **changes):
        """A proof for the token endpoint with its newest nonce."""
        if self.token_nonce is None:
            self.token_request(self.assertion(), [dpop.proof(self.key, "POST", self.url("/oauth/token"))])
            assert self.token_nonce, "the token endpoint gave no nonce"
        options = {"nonce": self.token_nonce} | changes
        return dpop.proof(key or self.key, "POST", self.url("/oauth/token"), **options)

    def log_in(self, session_key=None, alg=None):
        """Gets a token for this account, bound to the session key if there is one."""
        bound = {"cnf": {"jkt": session_key.thumbprint}} if session_key else None
        assertion = self.assertion(claims=bound, alg=alg)
        proof_alg = None if session_key else alg
        response = self.token_request(assertion, [self.token_proof(session_key, alg=proof_alg)])
        assert response.status_code == 200, response.text
        self.session_key = session_key
        self.token = response.json()["access_token"]
        return response.json()

    # --- protected resources ---

    def resource_request(self, method, path, headers, **options):
        """Sends exactly these headers and gives back the answer, whatever it is."""
        response = self.http.request(method, path, headers=headers, **options)
        self.resource_nonce = response.headers.get("dpop-nonce", self.resource_nonce)
        return response

    def resource_proof(self, method="GET", path="/v1/whoami", key=None, **changes):
        """A proof for a protected resource with the resources' newest nonce."""
        if self.resource_nonce is None:
            bare = dpop.proof(self.token_key, "GET", self.url("/v1/whoami"), token=self.token)
            self.resource_request("GET", "/v1/whoami", self.authorization(bare))
            assert self.resource_nonce, "the resource gave no nonce"
        options = {"token": self.token, "nonce": self.resource_nonce} | changes
        return dpop.proof(key or self.token_key, method, self.url(path), **options)

    def authorization(self, *proofs, token=None):
        """The headers of a request with the current token and these proofs."""
        return [("Authorization", f"DPoP {token or self.token}"), *(("DPoP", proof) for proof in proofs)]

    def call(self, method="GET", path="/v1/whoami", **options):
        """Calls a protected resource as an honest client does: a proof covers the JSON that it is sent with."""
        changes = {}
        if "json" in options:
            options["content"] = json.dumps(options.pop("json")).encode()
            options["headers"] = [("Content-Type", "application/json"), *options.pop("headers", [])]
            changes["claims"] = {"tha": hashlib.sha256(options["content"]).hexdigest()}
        headers = self.authorization(self.resource_proof(method, path, **changes))
        return self.resource_request(method, path, [*headers, *options.pop("headers", [])], **options)

    def add_key(self, new_key, label=None):
        """Adds a credential to the account; the new key proves itself too."""
        new_key_proof = self.new_key_proof(new_key)
        body = {"public_key": new_key.jwk, "new_key_proof": new_key_proof, "label": label}
        return self.call("POST", "/v1/keys", json=dpop.changed(body, None))

    def new_key_proof(self, new_key, **claims):
        """The words of a new key that it is to be added to this account."""
        claims = {"sub": self.username} | claims
        return self.resource_proof("POST", "/v1/keys", new_key, token=None, claims=claims)

    # --- introspection and revocation ---

    def client_assertion(self, *, header=None, claims=None):
        """What authenticates this account as a client: RFC 7523 §2.2, the issuer as sole audience."""
        honest_header = {"typ": "client-authentication+jwt", "alg": self.key.alg, "kid": self.key.thumbprint}
        return self.key.jws(dpop.changed(honest_header, header), dpop.changed(self.assertion_claims(), claims))

    def introspect(self, token, client_assertion=None):
        form = {
            "token": token,
            "client_assertion_type": CLIENT_ASSERTION,
            "client_assertion": client_assertion or self.client_assertion(),
        }
        return self.http.post("/oauth/introspect", data=form)

    def revoke(self, token):
        return self.http.post("/oauth/revoke", data={"token": token})
