"""*gradecoin* as its clients speak it, by `cryptography` and PyJWT."""

import base64
import hashlib
import json
import os
import time
import uuid
import warnings

import jwt as pyjwt
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

OAEP_SHA256 = OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)

SHAPES = [
    {"typed": True},
    {"typed": False},
    {"lifetime": 3600},
    {"lifetime": 7200},
    {"bits": 2047},
    {"one_line": True},
    {"spaces": True},
    {"lifetime": 7200, "bits": 2047, "one_line": True, "spaces": True},
]
"""What varies between the public clients of the original."""


def signed(claims, private):
    """A JWT, without PyJWT's warning of keys that are a bit short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pyjwt.warnings.InsecureKeyLengthWarning)
        return pyjwt.encode(claims, private, algorithm="RS256")


def b64(data):
    return base64.b64encode(data).decode()


class Student:
    """Somebody with an id, a one-time password and a key pair."""

    def __init__(self, server, password=None, bits=2048):
        self.server, self.http = server, server.http()
        self.id = f"e{uuid.uuid4().hex[:12]}"
        self.password = password or server.admin("invite", self.id, "--one-time-password").strip()
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.pem = (
            self.private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self.fingerprint = hashlib.sha256(self.pem.encode()).hexdigest()

    def request(self, **changes):
        return {"student_id": self.id, "passwd": self.password, "public_key": self.pem} | changes

    def register(self, **changes):
        return self.send(seal(self.http, json.dumps(self.request(**changes)).encode()))

    def send(self, body):
        return self.http.post("/register", json=body)

    def call(self, body, key=None, **claims):
        now = int(time.time())
        claims = {"tha": hashlib.sha256(body).hexdigest(), "iat": now, "exp": now + 60} | claims
        token = signed(claims, key or self.private)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.http.post("/v1/whoami", content=body, headers=headers)


def seal(http, text, key=None, iv=None, oaep=OAEP_SHA256, pad=True):
    key, iv = key or os.urandom(16), iv or os.urandom(16)
    public = serialization.load_pem_public_key(http.get("/gradecoin.pub").content)
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text) + padder.finalize() if pad else text
    aes = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return {
        "c": b64(aes.update(padded) + aes.finalize()),
        "iv": b64(iv),
        "key": b64(public.encrypt(key, oaep)),
    }


class OriginalClient(Student):
    """Registers and pays as the public clients of the original do, with what varies between them."""

    def __init__(self, server, *, typed=False, lifetime=60, bits=2048, one_line=False, spaces=False):
        super().__init__(server, bits=bits)
        self.typed, self.lifetime, self.spaces = typed, lifetime, spaces
        if one_line:
            self.pem = self.pem.replace("\n", "")
            self.fingerprint = hashlib.sha256(self.pem.encode()).hexdigest()

    def send(self, body):
        # As `requests.post(url, data=json.dumps(body))` sends it: without any type.
        return self.http.post("/register", content=json.dumps(body), headers=self.type())

    def transaction(self, source=None, target="f" * 64, amount=2):
        return {"source": source or self.fingerprint, "target": target, "amount": amount, "timestamp": "2022-04-20T08:00:00"}

    def pay(self, http=None, path="/v1/whoami", **changes):
        body = self.transaction(**changes)
        compact = json.dumps(body, separators=(",", ":"))
        now = int(time.time())
        claims = {"tha": hashlib.md5(compact.encode()).hexdigest(), "iat": now, "exp": now + self.lifetime}
        token = signed(claims, self.private)
        headers = {"Authorization": f"Bearer {token}"} | self.type()
        content = json.dumps(body) if self.spaces else compact
        return (http or self.http).post(path, content=content, headers=headers)

    def type(self):
        return {"Content-Type": "application/json"} if self.typed else {}
