"""Makes the vectors that OpenSSL cannot make. See README.md.

Needs the Python packages `cryptography` and `sympy`.
"""

import base64
import hashlib
import json
import pathlib
import secrets

import sympy
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

HERE = pathlib.Path(__file__).parent


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def uint(number, length=None):
    return b64u(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def jwk(key):
    numbers = None if isinstance(key, ed25519.Ed25519PublicKey) else key.public_numbers()
    if isinstance(key, rsa.RSAPublicKey):
        return {"e": uint(numbers.e), "kty": "RSA", "n": uint(numbers.n)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        size = key.key_size // 8
        return {"crv": f"P-{key.key_size}", "kty": "EC", "x": uint(numbers.x, size), "y": uint(numbers.y, size)}
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": b64u(raw)}


def expected():
    """The JWK and thumbprint of every good key, computed without any code of this project."""
    keys = {}
    for name in ["ed25519", "p256", "p384", "rsa-1024", "rsa-2048", "rsa-3072"]:
        members = jwk(serialization.load_pem_public_key((HERE / f"{name}.spki.pem").read_bytes()))
        text = json.dumps(members, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).digest()
        keys[name] = {"jwk": members, "thumbprint": b64u(digest)}
    return keys


def roca_prime():
    """A prime of the shape that CVE-2017-15361 is about: k * M + 65537^a mod M."""
    m = sympy.primorial(126)
    while True:
        k = (3 * 2**1022 + secrets.randbelow(2**1022)) // m
        p = int(k * m + pow(65537, secrets.randbelow(2**200), m))
        if sympy.isprime(p) and p.bit_length() == 1024 and p >> 1022 == 3:
            return p


def roca():
    return {"e": "AQAB", "kty": "RSA", "n": uint(roca_prime() * roca_prime())}


# Ed25519 as RFC 8032 section 6 writes it, affine and slow.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y3 = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x3 % P, y3 % P


def mul(n, p):
    q = (0, 1)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


def recover(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P:
        return None
    return (P - x if x & 1 != sign else x), y


def encode(p):
    x, y = p
    return (y | (x & 1) << 255).to_bytes(32, "little")


def h(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def strict():
    """Signatures that RFC 8032's equation accepts and strict verification must not."""
    base = recover(4 * pow(5, -1, P) % P, 0)
    # A point of order 8: L times any point that has a component of that order.
    y = 3
    while not (point := recover(y, 0)) or mul(4, torsion := mul(L, point)) == (0, 1):
        y += 1
    low_order = [mul(i, torsion) for i in range(8)]
    message = b"strict"
    cases = []
    for i, point in enumerate(low_order):
        # R of low order: s*B - h*A has to be R. With A = a*B + T and s = h*a it is -h*T.
        r = encode(point)
        while True:
            secret = secrets.randbelow(L)
            key = encode(add(mul(secret, base), torsion))
            if (h(r, key, message) + i) % 8 == 0:
                break
        s = h(r, key, message) * secret % L
        cases.append({"name": f"R = {i}T", "key": key, "signature": r + s.to_bytes(32, "little")})
        # Key of low order: R = s*B - h*A, searched until h*A vanishes, fits any such message.
        while True:
            nonce = secrets.randbelow(L)
            r = encode(mul(nonce, base))
            if mul(h(r, encode(point), message) % 8, point) == (0, 1):
                break
        cases.append({"name": f"A = {i}T", "key": encode(point), "signature": r + nonce.to_bytes(32, "little")})
    # Second spellings: y + p, and x = 0 with the sign bit set.
    for name, number in [("y = p", P), ("y = p + 1", P + 1), ("-0 of y = 1", 1 | 1 << 255), ("-0 of y = -1", P - 1 | 1 << 255)]:
        key = number.to_bytes(32, "little")
        r = encode(mul(nonce, base))
        cases.append({"name": f"A: {name}", "key": key, "signature": r + nonce.to_bytes(32, "little")})
    # S + L: the same signature in other bytes.
    secret, nonce = secrets.randbelow(L), secrets.randbelow(L)
    public = mul(secret, base)
    r = encode(mul(nonce, base))
    s = (nonce + h(r, encode(public), message) * secret) % L + L
    cases.append({"name": "S + L", "key": encode(public), "signature": r + s.to_bytes(32, "little")})
    return {
        "message": message.decode(),
        "cases": [
            {"name": case["name"], "key": b64u(case["key"]), "signature": b64u(case["signature"])} for case in cases
        ],
    }


if __name__ == "__main__":
    for name, make in [("expected", expected), ("roca", roca), ("ed25519-strict", strict)]:
        (HERE / f"{name}.json").write_text(json.dumps(make(), indent=1) + "\n")
