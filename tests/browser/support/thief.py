"""A thief, in Python, with everything that a browser gives away: its token, the JSON of its storage, and every
request that it has sent, the passkey's assertion among them. It shares no code with the account app or the server.

Reads the loot as JSON from standard input, tries each of its attacks, and prints what came of them: a list of
`[attack, status, error]`, where `error` is that of OAuth, or the one that the challenge names.
"""

import base64
import hashlib
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

GRANT = "urn:countersign:params:oauth:grant-type:webauthn"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """A key of the thief's own."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        point = self.private.public_key().public_numbers()
        self.jwk = {"kty": "EC", "crv": "P-256", "x": encode(number(point.x)), "y": encode(number(point.y))}

    def proof(self, method, url, nonce=None, token=None):
        """A proof in the form of RFC 9449."""
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        if nonce:
            claims["nonce"] = nonce
        if token:
            claims["ath"] = encode(hashlib.sha256(token.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encode(number(r) + number(s))}"


def number(value):
    return value.to_bytes(32, "big")


def send(method, url, headers, body=None):
    """The status, the header fields and the body of an answer."""
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read()


def told(name, answer):
    """An attack and what came of it."""
    status, headers, body = answer
    challenge = re.search(r'error="([a-z_]+)"', headers.get("WWW-Authenticate") or "")
    error = challenge.group(1) if challenge else None
    if not error and body.startswith(b"{"):
        error = json.loads(body).get("error")
    return [name, status, error]


def as_recorded(request):
    """The header fields of a recorded request that its browser made by itself come anew."""
    return {name: value for name, value in request["headers"].items() if name.lower() not in ("host", "content-length")}


def login(origin, assertion):
    """The token endpoint's answer to an assertion, with a key of the thief's own and a nonce."""
    url, key = f"{origin}/oauth/token", Key()
    body = urllib.parse.urlencode({"grant_type": GRANT, "assertion": assertion}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": key.proof("POST", url)}
    _, answered, _ = send("POST", url, headers, body)
    return send("POST", url, {**headers, "DPoP": key.proof("POST", url, answered["DPoP-Nonce"])}, body)


def changed(assertion, origin=None, rp_id=None):
    """The assertion with another origin or RP ID in it."""
    answer = json.loads(decode(assertion))
    response = answer["response"]
    if origin:
        client = {**json.loads(decode(response["clientDataJSON"])), "origin": origin}
        response["clientDataJSON"] = encode(json.dumps(client, separators=(",", ":")).encode())
    if rp_id:
        data = hashlib.sha256(rp_id.encode()).digest() + decode(response["authenticatorData"])[32:]
        response["authenticatorData"] = encode(data)
    return encode(json.dumps(answer).encode())


def attacks(loot):
    """Tries everything, and tells of each."""
    origin, token, assertion = loot["origin"], loot["token"], loot["assertion"]
    whoami, recorded_login = loot["whoami"], loot["tokenRequest"]
    url, key = f"{origin}/v1/whoami", Key()

    yield told("bearer", send("GET", url, {"Authorization": f"Bearer {token}"}))

    headers = {"Authorization": f"DPoP {token}"}
    _, answered, _ = send("GET", url, {**headers, "DPoP": key.proof("GET", url, None, token)})
    proof = key.proof("GET", url, answered["DPoP-Nonce"], token)
    yield told("own key", send("GET", url, {**headers, "DPoP": proof}))

    yield told("replay", send("GET", whoami["url"], as_recorded(whoami)))
    yield told("replay elsewhere", send("GET", f"{origin}/v1/keys", as_recorded(whoami)))

    body = recorded_login["body"].encode()
    yield told("login again", send("POST", recorded_login["url"], as_recorded(recorded_login), body))
    yield told("other jkt", login(origin, assertion))
    yield told("other origin", login(origin, changed(assertion, origin="https://phishing.example")))
    yield told("other RP ID", login(origin, changed(assertion, rp_id="phishing.example")))


json.dump(list(attacks(json.load(sys.stdin))), sys.stdout)
