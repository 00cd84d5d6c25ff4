"""The client of these tests speaks as other implementations do: jwcrypto and PyJWT understand it."""

import json

import jwt
import pytest
from jwcrypto.jwk import JWK

from support import dpop
from support.keys import Key

ALGORITHMS = {"RS256": "RSA-2048", "PS256": "RSA-2048", "ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}


def test_the_thumbprint_of_rfc_7638_is_reproduced():
    """The example of §3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
        "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8"
        "awapJzKnqDKgw"
    )
    assert JWK(kty="RSA", n=modulus, e="AQAB").thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("kind", sorted({*ALGORITHMS.values()}))
def test_jwcrypto_computes_the_same_thumbprint(kind):
    key = Key.generate(kind)
    assert JWK.from_json(json.dumps(key.jwk)).thumbprint() == key.thumbprint


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_pyjwt_verifies_a_proof(alg):
    key = Key.generate(ALGORITHMS[alg])
    proof = dpop.proof(key, "GET", "https://server.example/", token="token", nonce="nonce", alg=alg)
    claims = jwt.decode(proof, jwt.PyJWK(key.jwk, alg), algorithms=[alg])
    assert claims["nonce"] == "nonce"
    # RFC 9449 §7.1 has no shorter example; this is the SHA-256 of "token".
    assert claims["ath"] == "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A"
