"""A client of *signjwt*, as the original protocol's client is: RSA, PSS with the greatest salt, nonce before JWT."""

import base64

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from .client import new_name
from .keys import Key


def pss(key, message, salt_length=padding.PSS.MAX_LENGTH):
    """The signature as the original's client makes it."""
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt_length)
    return key.private.sign(message, scheme, hashes.SHA256())


class SignJwtClient:
    """A user with an RSA key, and the session that it has open."""

    def __init__(self, server, key=None, username=None):
        self.server = server
        self.http = server.http()
        self.key = key or Key.generate("RSA-2048")
        self.username = username or new_name()
        self.jwt = None
        self.nonce = None

    def register(self, member="user_id"):
        return self.http.post("/register", json={member: self.username, "public_key": self.key.spki_pem})

    def log_in(self, member="user_id"):
        response = self.http.post("/login", json={member: self.username})
        if response.status_code == 200:
            self.jwt, self.nonce = response.json()["jwt"], response.json()["nonce"]
        return response

    def message(self, *, jwt=None, nonce=None, key=None, sign=pss):
        """The body of a protected request; every part can be another than the honest one."""
        jwt, nonce = jwt or self.jwt, nonce or self.nonce
        signature = sign(key or self.key, f"{nonce}{jwt}".encode())
        return {"jwt": jwt, "signed_message": base64.b64encode(signature).decode()}

    def protected(self, **changes):
        response = self.http.post("/protected", json=self.message(**changes))
        if response.status_code == 200:
            self.nonce = response.json()["nonce"]
        return response

    def headers(self, **changes):
        """The same pair in headers, for any resource."""
        message = self.message(**changes)
        return {"Authorization": f"SignJWT {message['jwt']}", "Signed-Message": message["signed_message"]}

    def call(self, method="GET", path="/v1/whoami", **changes):
        response = self.http.request(method, path, headers=self.headers(**changes))
        if "signjwt-nonce" in response.headers:
            self.nonce = response.headers["signjwt-nonce"]
        return response
