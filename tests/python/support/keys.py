"""Key pairs, thumbprints and compact signatures, from RFC 7515, 7518, 7638 and 8037."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def base64url_number(number, size=None):
    return base64url(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def compact(header, payload, signature_of):
    """A compact JWS; header and payload are objects, or bytes where the very spelling matters."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signing_input = ".".join(base64url(part) for part in parts)
    return f"{signing_input}.{base64url(signature_of(signing_input.encode()))}"


def as_json(jws):
    """The same JWS in the flattened JSON serialisation, which no endpoint here takes."""
    return json.dumps(dict(zip(("protected", "payload", "signature"), jws.split("."), strict=True)))


def decoded(segment):
    """The object in one segment of a compact JWS."""
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


class Key:
    """A key pair that somebody owns."""

    def __init__(self, private):
        self.private = private
        self.public = private.public_key()

    @classmethod
    def generate(cls, kind="P-256"):
        """`kind` is Ed25519, RSA-<bits> or the name of a curve."""
        if kind == "Ed25519":
            return cls(ed25519.Ed25519PrivateKey.generate())
        if kind.startswith("RSA-"):
            return cls(rsa.generate_private_key(public_exponent=65537, key_size=int(kind[4:])))
        return cls(ec.generate_private_key(CURVES[kind]()))

    @property
    def jwk(self):
        """The required members of the public key."""
        if isinstance(self.public, rsa.RSAPublicKey):
            numbers = self.public.public_numbers()
            return {"kty": "RSA", "n": base64url_number(numbers.n), "e": base64url_number(numbers.e)}
        if isinstance(self.public, ec.EllipticCurvePublicKey):
            numbers = self.public.public_numbers()
            size = self._coordinate_size
            name = next(name for name, curve in CURVES.items() if isinstance(self.public.curve, curve))
            x, y = (base64url_number(number, size) for number in (numbers.x, numbers.y))
            return {"kty": "EC", "crv": name, "x": x, "y": y}
        raw = self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}

    @property
    def private_jwk(self):
        """The public members and the secret one: what must never be sent."""
        if isinstance(self.public, ec.EllipticCurvePublicKey):
            secret = base64url_number(self.private.private_numbers().private_value, self._coordinate_size)
        elif isinstance(self.public, rsa.RSAPublicKey):
            secret = base64url_number(self.private.private_numbers().d)
        else:
            secret = base64url(self.private.private_bytes_raw())
        return self.jwk | {"d": secret}

    @property
    def thumbprint(self):
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return base64url(hashlib.sha256(canonical.encode()).digest())

    @property
    def spki_pem(self):
        return self._public(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def spki_der(self):
        return self._public(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def spki_base64(self):
        return base64.b64encode(self.spki_der).decode()

    @property
    def pkcs1_pem(self):
        return self._public(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1).decode()

    @property
    def _coordinate_size(self):
        return (self.public.curve.key_size + 7) // 8

    def _public(self, encoding, form):
        return self.public.public_bytes(encoding, form)

    @property
    def alg(self):
        """The algorithm that this key signs with unless told otherwise."""
        if isinstance(self.public, rsa.RSAPublicKey):
            return "RS256"
        if isinstance(self.public, ed25519.Ed25519PublicKey):
            return "EdDSA"
        return {256: "ES256", 384: "ES384", 521: "ES512"}[self.public.curve.key_size]

    def signature(self, message, alg=None):
        """The JWS signature of `message`."""
        alg = alg or self.alg
        if alg == "EdDSA":
            return self.private.sign(message)
        digest = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[alg[2:]]()
        if alg.startswith("RS"):
            return self.private.sign(message, padding.PKCS1v15(), digest)
        if alg.startswith("PS"):
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            return self.private.sign(message, pss, digest)
        numbers = decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
        return b"".join(number.to_bytes(self._coordinate_size, "big") for number in numbers)

    def jws(self, header, payload, alg=None):
        """A compact JWS by this key; the header says `alg` as the caller wants it to."""
        return compact(header, payload, lambda message: self.signature(message, alg))
