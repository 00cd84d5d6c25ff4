"""Every client of this project against a server that wants something signed which is worth something elsewhere.

The rogue keeps what it gets. What that is worth is judged here with `cryptography` and by the real server, where the same
key is registered.
"""

import base64
import json
import re
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx
import pytest
from countersign import Client, ClientFailed
from countersign import Key as ClientKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from support.client import new_name
from support.dpop import proof
from support.keys import Key, base64url, decoded
from support.server import PATIENCE, clean_environment, http_client

KINDS = ["RSA-2048", "P-256", "P-384", "Ed25519"]
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ANY_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


class Rogue:
    """A server that answers logins as `session` says, and everything else as a client would like it."""

    def __init__(self, session, metadata=None):
        self.asked, self.session = [], session
        rogue = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                rogue.asked.append((self.command, self.path, dict(self.headers.items()), body))
                answer = json.dumps(rogue.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("DPoP-Nonce", "a-nonce-of-the-rogue")
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = answer  # noqa: N815 - the library's names

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.http.server_port}"
        self.metadata = metadata or {"issuer": self.origin, "token_endpoint": f"{self.origin}/oauth/token"}
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, path, body):
        if path.startswith("/.well-known/"):
            return self.metadata
        if path == "/login":
            return self.session(json.loads(body))
        if path == "/oauth/token":
            return {"access_token": "a-token", "token_type": "DPoP", "expires_in": 300}
        thumbprint = "gpZEObR0cFJ3BxTqEMo_aZOSFcQClQVqVYd_aMhdRIE"
        return {"account_id": str(uuid.uuid4()), "username": "alice", "thumbprint": thumbprint, "message": "yes"}

    @property
    def jwts(self):
        """Every JWT that it got, wherever it stood."""
        texts = [text for _, _, headers, body in self.asked for text in (*headers.values(), body)]
        return {jwt for text in texts for jwt in ANY_JWT.findall(text)}

    @property
    def signatures(self):
        """Everything that it got and that may be a signature over a text of its choosing."""
        for _, _, headers, body in self.asked:
            texts = [value for name, value in headers.items() if name.lower() == "signed-message"]
            texts += re.findall(r'"(?:signed_message|proposal)":"([^"]*)"', body)
            yield from (base64.b64decode(text) for text in texts)
        yield from (base64.urlsafe_b64decode(jwt.rpartition(".")[2] + "==") for jwt in self.jwts)


class Victim:
    """Somebody whose one key is registered at the real server, and who is about to use it at the rogue."""

    def __init__(self, server, kind, directory):
        self.server, self.directory, self.name, self.key = server, directory, new_name(), Key.generate(kind)
        self.pem = self.key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        file = directory / "key.pem"
        file.write_text(self.pem)
        file.chmod(0o600)
        with httpx.Client(trust_env=False) as http:
            Client(server.origin, self.name, ClientKey.from_pem(self.pem), http=http).register()

    def run(self, at, *command):
        """Runs a command of the command line at another server than the real one."""
        options = ["--server", at, "--key", "key.pem"]
        if command[0] != "register":
            options += ["--username", self.name]
        return subprocess.run(
            [self.server.binary, *command, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.directory,
            env=clean_environment(HOME=str(self.directory), COUNTERSIGN_PASSPHRASE="correct horse"),
        )

    def signs_in_every_way(self, at):
        """Uses the key at that server in every way that there is, and returns what was said."""
        said = [self.run(at, "login")]
        for dialect in ("self-signed", "signjwt", "gradecoin"):
            said.append(self.run(at, "login", "--dialect", dialect))
            said.append(self.run(at, "call", "POST", "/v1/keys", "-d", "{}", "--dialect", dialect))
        said.append(self.run(at, "register", self.name, "--dialect", "signjwt"))
        with http_client(at) as http:
            try:
                http.get("/v1/whoami", auth=Client(at, self.name, ClientKey.from_pem(self.pem)))
            except ClientFailed as failed:
                said.append(failed)
        return said

    def has_signed(self, text, signature):
        """Whether it is a signature of the text by the victim's key, in any form that anybody accepts."""
        public = self.key.public
        if isinstance(public, rsa.RSAPublicKey):
            salts = (32, padding.PSS.MAX_LENGTH)
            pss = (padding.PSS(padding.MGF1(hashes.SHA256()), salt) for salt in salts)
            forms = [(signature, text, scheme, hashes.SHA256()) for scheme in (padding.PKCS1v15(), *pss)]
        elif isinstance(public, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            der = encode_dss_signature(*(int.from_bytes(part) for part in (signature[:half], signature[half:])))
            digests = (hashes.SHA256(), hashes.SHA384())
            forms = [(form, text, ec.ECDSA(digest)) for form in (der, signature) for digest in digests]
        else:
            forms = [(signature, text)]
        return any(verifies(public, form) for form in forms)


def verifies(public, form):
    try:
        public.verify(*form)
    except InvalidSignature:
        return False
    return True


@pytest.fixture(params=KINDS)
def victim(request, server, tmp_path):
    return Victim(server, request.param, tmp_path)


def takeover(victim, attacker):
    """The signing input of an assertion that binds the victim's next token to the attacker's key.

    White space sees to it that its first 22 characters are canonical base64url of 16 bytes.
    """
    now = int(time.time())
    claims = {"iss": victim.name, "sub": victim.name, "aud": victim.server.origin, "iat": now, "exp": now + 60}
    claims |= {"jti": str(uuid.uuid4()), "cnf": {"jkt": attacker.thumbprint}}
    header = f'{{"alg":"{victim.key.alg}", \n"typ":"JWT"}}'
    return f"{base64url(header.encode())}.{base64url(json.dumps(claims).encode())}"


def login_at(server, assertion, attacker):
    """The token endpoint's answer to an assertion in the hands of the attacker."""
    url, http, nonce = f"{server.origin}/oauth/token", server.http(), None
    for _ in range(2):
        fields = {"grant_type": JWT_BEARER, "assertion": assertion}
        headers = {"DPoP": proof(attacker, "POST", url, nonce=nonce)}
        answer = http.post("/oauth/token", data=fields, headers=headers)
        nonce = answer.headers.get("dpop-nonce")
    return answer


def check_that_nothing_is_worth_anything(rogue, victim, attacker):
    """Tries all that the rogue got at the real server, in every place that takes something signed."""
    http = victim.server.http()
    assert rogue.jwts, "the victim did sign, for the rogue itself"
    for jwt in rogue.jwts:
        claims = decoded(jwt.split(".")[1])
        assert claims.get("aud") == rogue.origin or claims["htu"].startswith(f"{rogue.origin}/"), claims
        signed, _, signature = jwt.rpartition(".")
        signature = base64.urlsafe_b64decode(signature + "==")
        assert victim.has_signed(signed.encode(), signature), "the judge knows a signature when it sees one"
        assert login_at(victim.server, jwt, attacker).status_code >= 400
        for scheme in ("Bearer", "DPoP", "SignJWT"):
            headers = {"Authorization": f"{scheme} {jwt}", "DPoP": proof(attacker, "GET", str(http.base_url))}
            assert http.get("/v1/whoami", headers=headers).status_code == 401
        own_proof = {"DPoP": jwt}
        new = {"username": new_name(), "public_key": victim.key.jwk}
        assert http.post("/v1/accounts", json=new, headers=own_proof).status_code >= 400


def test_no_client_signs_a_forged_assertion(victim):
    attacker = Key.generate()
    wanted = takeover(victim, attacker)
    rogue = Rogue(lambda _: {"nonce": wanted[:22], "jwt": wanted[22:]})
    said = victim.signs_in_every_way(rogue.origin)
    assert sum("form of a session" in str(getattr(it, "stderr", it)) for it in said) == 3
    for signature in rogue.signatures:
        assert not victim.has_signed(wanted.encode(), signature)
        answer = login_at(victim.server, f"{wanted}.{base64url(signature)}", attacker)
        assert answer.status_code >= 400
    check_that_nothing_is_worth_anything(rogue, victim, attacker)


def test_no_client_signs_a_session_of_the_real_server(victim):
    sessions = []

    def relay(login):
        sessions.append(victim.server.http().post("/login", json=login).json())
        return sessions[-1]

    rogue = Rogue(relay)
    said = victim.signs_in_every_way(rogue.origin)
    assert len(sessions) >= 3
    whose = f'the session belongs to "{victim.server.origin}"'
    assert sum(whose in str(getattr(it, "stderr", it)) for it in said) == 3
    for session in sessions:
        message = f"{session['nonce']}{session['jwt']}".encode()
        for signature in rogue.signatures:
            assert not victim.has_signed(message, signature)
            headers = {
                "Authorization": f"SignJWT {session['jwt']}",
                "Signed-Message": base64.b64encode(signature).decode(),
            }
            assert victim.server.http().get("/v1/whoami", headers=headers).status_code == 401
    check_that_nothing_is_worth_anything(rogue, victim, Key.generate())


def test_a_server_that_claims_to_be_the_real_one_gets_no_signature(victim):
    metadata = victim.server.http().get("/.well-known/oauth-authorization-server").json()
    rogue = Rogue(lambda _: {}, metadata)
    victim.signs_in_every_way(rogue.origin)
    assert rogue.asked
    assert not list(rogue.signatures)
    assert {path for _, path, _, _ in rogue.asked} == {"/.well-known/oauth-authorization-server"}


def test_the_same_session_is_good_where_it_belongs(victim):
    """What the rogue does not get is worth something: the victim's own request at the real server succeeds."""
    said = victim.run(victim.server.origin, "call", "GET", "/v1/whoami", "--dialect", "signjwt")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["proof"] == "signjwt"
