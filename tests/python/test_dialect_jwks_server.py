"""*jwks-server*: passwords, RS256 tokens that PyJWT verifies with the JWKS, and the tables that other programs read."""

import base64
import os
import threading
import time
import uuid

import jwt as pyjwt
import pytest
from jose import jwt as jose_jwt

from support import databases, dpop
from support.client import Client, new_name
from support.houses import house
from support.keys import Key
from support.server import Server

DATABASE = "totally_not_my_privateKeys.db"
JWKS = "/.well-known/jwks.json"

SCHEMA = {
    "keys": """CREATE TABLE keys(
        kid INTEGER PRIMARY KEY AUTOINCREMENT,
        key BLOB NOT NULL,
        exp INTEGER NOT NULL,
        iv BLOB NOT NULL
    )""",
    "users": """CREATE TABLE users(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL,
        email TEXT UNIQUE,
        date_registered TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        last_login TIMESTAMP
    )""",
    "auth_logs": """CREATE TABLE auth_logs(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        request_ip TEXT NOT NULL,
        request_timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        user_id INTEGER,
        FOREIGN KEY(user_id) REFERENCES users(id)
    )""",
}


@pytest.fixture(scope="module")
def jwks_server(tmp_path_factory):
    """A server with the names of the original protocol, whose passwords may be tried at any rate."""
    directory = tmp_path_factory.mktemp("jwks-server")
    settings = {"NOT_MY_KEY": "a passphrase of the operator", "COUNTERSIGN_DIALECTS_AUTH_RATE_LIMIT": "off"}
    if databases.KIND == "sqlite":
        running = Server(directory, "--database", DATABASE, **settings)
        running.database = databases.File(os.path.join(directory, DATABASE))
    else:
        running = house(directory, **settings)
    running.start()
    yield running
    assert running.stop() == 0, running.output


class User:
    """An account with a password."""

    def __init__(self, server, username=None):
        self.server = server
        self.http = server.http()
        self.username = username or new_name()
        self.email = f"{self.username}@example.com"
        self.password = None

    def register(self, **changes):
        body = {"username": self.username, "email": self.email} | changes
        response = self.http.post("/register", json=body)
        if response.status_code == 201:
            self.password = response.json()["password"]
        return response

    @property
    def credentials(self):
        return {"username": self.username, "password": self.password}

    def auth(self, query="", **options):
        options = options or {"json": self.credentials}
        return self.http.post("/auth" + query, **options)

    def token(self, query=""):
        response = self.auth(query)
        assert response.status_code == 200, response.text
        assert set(response.json()) == {"token"}
        return response.json()["token"]


@pytest.fixture
def user(jwks_server):
    user = User(jwks_server)
    assert user.register().status_code == 201
    return user


def rows(server, query, *values):
    """What another process reads while the server runs."""
    return server.database.rows(query, *values)


def logged(server, username):
    query = "SELECT l.request_ip, l.request_timestamp FROM auth_logs l JOIN users u ON u.id = l.user_id WHERE u.username = ?"
    return rows(server, query, username)


def verified(user, token):
    key = pyjwt.PyJWKClient(user.server.origin + JWKS).get_signing_key_from_jwt(token)
    return pyjwt.decode(token, key, algorithms=["RS256"])


# --- tables and keys ---


@pytest.mark.sqlite("the store's own tests compare the columns of PostgreSQL")
@pytest.mark.parametrize("table", SCHEMA)
def test_the_tables_are_those_of_the_original_protocol(jwks_server, table):
    [(sql,)] = rows(jwks_server, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", table)
    assert " ".join(sql.split()) == " ".join(SCHEMA[table].split())


@pytest.mark.sqlite("it is about the name of a file")
def test_the_database_has_the_name_that_was_given(jwks_server):
    assert os.path.exists(os.path.join(jwks_server.data_directory, DATABASE))
    assert not os.path.exists(os.path.join(jwks_server.data_directory, "countersign.db"))
    assert not os.path.exists(os.path.join(jwks_server.data_directory, "master.key"))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_two_rsa_keys_and_no_others_are_there_at_the_start(tmp_path, algorithm):
    running = house(tmp_path, COUNTERSIGN_SIGNING_KEYS_ALGORITHM=algorithm).start()
    (kids,) = zip(*rows(running, "SELECT kid FROM keys ORDER BY kid"), strict=True)
    (expired, _, _), (valid, sealed, nonce) = rows(running, "SELECT exp, key, length(iv) FROM keys ORDER BY exp")
    assert running.stop() == 0, running.output
    assert kids == (1, 2)
    assert expired < time.time()
    assert 3500 < valid - time.time() <= 3600
    assert nonce == 12
    assert b"PRIVATE KEY" not in sealed and not sealed.startswith(b"\x30\x82"), "sealed"


def test_the_jwks_has_valid_keys_only(user):
    keys = user.http.get(JWKS).json()["keys"]
    rsa = [key for key in keys if key["kty"] == "RSA"]
    assert rsa
    for key in rsa:
        assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
        assert (key["use"], key["alg"], key["e"]) == ("sig", "RS256", "AQAB")
    expired = pyjwt.get_unverified_header(user.token("?expired=true"))["kid"]
    assert expired not in {key["kid"] for key in keys}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_jwks_is_only_read(user, method):
    assert user.http.request(method, JWKS).status_code == 405


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_auth_is_only_posted(user, method):
    assert user.http.request(method, "/auth").status_code == 405


# --- registration ---


def test_the_password_is_a_uuid_and_kept_as_its_hash(jwks_server):
    user = User(jwks_server)
    response = user.register()
    assert response.status_code == 201
    assert set(response.json()) == {"password"}
    assert uuid.UUID(user.password).version == 4 and str(uuid.UUID(user.password)) == user.password
    select = "SELECT password_hash, email, date_registered, last_login FROM users WHERE username = ?"
    [(password_hash, email, registered, last_login)] = rows(jwks_server, select, user.username)
    kind, version, parameters, salt, digest = password_hash.split("$")[1:]
    assert (kind, version, parameters) == ("argon2id", "v=19", "m=65536,t=2,p=4")
    assert len(base64.b64decode(salt + "==")) == 16
    assert len(base64.b64decode(digest + "=")) == 32
    assert email == user.email
    assert registered and last_login is None


def test_a_name_is_registered_once(user):
    for changes in [
        {},
        {"email": "another@example.org"},
        {"username": user.username.upper(), "email": "another@example.org"},
    ]:
        assert user.http.post("/register", json={"username": user.username, "email": user.email} | changes).status_code == 409


def test_an_address_that_nobody_has_proven_keeps_nobody_out(jwks_server, user):
    for email in [user.email, user.email.upper()]:
        assert User(jwks_server).register(email=email).status_code == 201
    select = "SELECT email FROM users WHERE username = ?"
    assert rows(jwks_server, select, user.username) == [(user.email,)], "it stays where it was first"


def test_of_concurrent_registrations_one_succeeds(jwks_server):
    name, answers = new_name(), []

    def register():
        answers.append(User(jwks_server, name).register().status_code)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] + [409] * 7


@pytest.mark.parametrize("email", ["", "nobody", "a@", "@b", "a b@c", "a@b@c", "a@" + "b" * 253, None, 7, ["a@b"]])
def test_what_is_no_address_is_refused(jwks_server, email):
    assert User(jwks_server).register(email=email).status_code == 400


@pytest.mark.parametrize("name", ["' OR '1'='1", "x'; DROP TABLE users; --", 'a"b', "", "a" * 65, "a\u00e4b"])
def test_names_that_are_sql_do_no_harm(jwks_server, user, name):
    assert User(jwks_server).register(username=name).status_code == 400
    for password in [user.password, "' OR '1'='1"]:
        assert user.auth(json={"username": name, "password": password}).status_code == 401
    assert user.auth(json=user.credentials | {"password": "' OR '1'='1"}).status_code == 401
    assert rows(jwks_server, "SELECT count(*) FROM users WHERE username = ?", user.username) == [(1,)]
    assert user.auth().status_code == 200


def test_addresses_that_are_sql_are_only_text(jwks_server):
    user = User(jwks_server)
    email = f"'||(select+password_hash)||'{user.username}@example.com"
    assert user.register(email=email).status_code == 201
    assert rows(jwks_server, "SELECT email FROM users WHERE username = ?", user.username) == [(email,)]


# --- login ---


def test_the_token_verifies_with_the_jwks_alone(user):
    token = user.token()
    header, claims = pyjwt.get_unverified_header(token), verified(user, token)
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert claims["name"] == user.username
    assert claims["iss"] == user.server.origin
    assert claims["iat"] < claims["exp"]
    select = "SELECT max(exp) FROM keys JOIN signing_keys USING (kid) WHERE algorithm = 'RS256'"
    assert claims["exp"] <= rows(user.server, select)[0][0]
    assert "cnf" not in claims


def test_python_jose_verifies_the_token_with_the_whole_set(user):
    # It looks at no `kid`: it tries one key after the other, and gives up at the first of another type.
    keys = user.http.get(JWKS).json()
    assert [key["kty"] for key in keys["keys"]] == sorted((key["kty"] for key in keys["keys"]), reverse=True)
    assert "EC" in {key["kty"] for key in keys["keys"]}, "the native key is there, and comes last"
    claims = jose_jwt.decode(user.token(), keys, algorithms=["RS256"])
    assert claims["name"] == user.username


@pytest.mark.parametrize("yes", ["?expired", "?expired=1", "?expired=TRUE", "?expired=yes"])
def test_expired_is_what_flags_are_called(user, yes):
    claims = pyjwt.decode(user.token(yes), options={"verify_signature": False})
    assert claims["exp"] < time.time()
    assert user.auth("?expired=maybe").status_code == 400


def test_credentials_in_json_form_or_header(user):
    basic = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    for options in [
        {"json": user.credentials},
        {"data": user.credentials},
        {"auth": (user.username, user.password)},
        {"headers": {"Authorization": f"basic {basic}"}, "json": {}},
    ]:
        assert user.auth(**options).status_code == 200, options


def test_an_expired_token_needs_credentials_too(user):
    token = user.token("?expired=true")
    claims = pyjwt.decode(token, options={"verify_signature": False, "verify_exp": False})
    assert claims["exp"] < time.time()
    kid = pyjwt.get_unverified_header(token)["kid"]
    assert kid not in {key["kid"] for key in user.http.get(JWKS).json()["keys"]}
    assert kid != pyjwt.get_unverified_header(user.token("?expired=false"))["kid"]
    assert user.http.post("/auth?expired=true").status_code == 401


def test_every_wrong_credential_gets_one_answer(user):
    wrong = [
        {"json": {"username": user.username, "password": "wrong"}},
        {"json": {"username": "nobody-of-this-name", "password": user.password}},
        {"json": {"username": user.username, "password": ""}},
        {"json": {"username": user.username, "password": "x" * 10_000}},
        {"json": {"username": user.username}},
        {"json": {"username": user.username, "password": [user.password]}},
        {"json": {}},
        {"data": {"username": user.username, "password": "wrong"}},
        {"content": b""},
        {"content": b"\xff\xfe"},
        {"auth": (user.username, "wrong")},
        {"headers": {"Authorization": "Basic !"}},
        {"headers": {"Authorization": f"Bearer {user.password}"}},
        {"headers": [("Authorization", "Basic YTpi"), ("Authorization", "Basic YTpi")]},
    ]
    answers = {(r.status_code, r.text, r.headers["www-authenticate"]) for r in (user.auth(**options) for options in wrong)}
    assert len(answers) == 1
    assert answers.pop()[0] == 401


def test_an_account_without_a_password_has_none(jwks_server):
    client = Client(jwks_server).register()
    assert rows(jwks_server, "SELECT password_hash FROM users WHERE username = ?", client.username) == [("!",)]
    for password in ["!", "", " "]:
        response = client.http.post("/auth", json={"username": client.username, "password": password})
        assert response.status_code == 401


def test_only_successes_are_logged(user):
    user.auth(json=user.credentials | {"password": "wrong"})
    user.auth(json={"username": "nobody-of-this-name", "password": "x"})
    assert logged(user.server, user.username) == []
    total = rows(user.server, "SELECT count(*) FROM auth_logs")
    user.auth(json={})
    assert rows(user.server, "SELECT count(*) FROM auth_logs") == total
    user.token()
    user.token("?expired=true")
    entries = logged(user.server, user.username)
    assert [address for address, _ in entries] == ["127.0.0.1"] * 2
    [(last_login,)] = rows(user.server, "SELECT last_login FROM users WHERE username = ?", user.username)
    assert last_login == entries[-1][1]


def test_many_at_once_are_served(user):
    answers = []

    def log_in():
        answers.append(User.auth(fresh(user)).status_code)

    threads = [threading.Thread(target=log_in) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 12


def fresh(user):
    """The same user over a connection of its own."""
    other = User(user.server, user.username)
    other.password = user.password
    return other


# --- the limit ---


def test_no_second_sees_eleven(own_server):
    """Though all other limits are off."""
    http = own_server.http()
    start = time.monotonic()
    answers = [http.post("/auth") for _ in range(40)]
    assert time.monotonic() - start < 1, "too slow to tell"
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert {answer.status_code for answer in answers[10:]} == {429}
    assert answers[-1].headers["retry-after"] == "1"
    time.sleep(1.1)
    assert http.post("/auth").status_code == 401


def test_after_ten_logins_in_a_row_the_eleventh_is_refused_however_long_they_take(own_server):
    """One every tenth of a second, or as soon as the one before is answered, as the original's grader asks."""
    user = User(own_server)
    assert user.register().status_code == 201
    began = time.monotonic()
    for tick in range(10):
        time.sleep(max(0, began + tick / 10 - time.monotonic()))
        assert user.auth().status_code == 200
    refused = user.auth()
    assert refused.status_code == 429, f"after {time.monotonic() - began:.1f} s"
    assert refused.headers["retry-after"] == "1"


# --- bound tokens, and the account's way to keys of its own ---


def bound_token(user, key, **changes):
    proof = dpop.proof(key, "POST", user.server.origin + "/auth")
    asked = user.http.post("/auth", json=user.credentials, headers={"DPoP": proof})
    assert asked.status_code == 400, "a nonce is demanded first"
    changes = {"nonce": asked.headers["dpop-nonce"]} | changes
    proof = dpop.proof(key, "POST", user.server.origin + "/auth", **changes)
    return proof, user.http.post("/auth", json=user.credentials, headers={"DPoP": proof})


def native(user, key):
    """A native client that holds the user's bound token."""
    client = Client(user.server, key, user.username)
    _, response = bound_token(user, key)
    assert response.status_code == 200, response.text
    client.token = response.json()["token"]
    return client


def add_key(client, key):
    new_key_proof = dpop.proof(key, "POST", client.url("/v1/keys"), claims={"sub": client.username})
    return client.call("POST", "/v1/keys", json={"public_key": key.jwk, "new_key_proof": new_key_proof})


def test_a_proof_binds_the_token_and_opens_every_resource(user):
    key = Key.generate()
    client = native(user, key)
    claims = pyjwt.decode(client.token, options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": key.thumbprint}
    body = client.call().json()
    assert (body["username"], body["thumbprint"]) == (user.username, key.thumbprint)


def test_a_bound_token_is_worth_nothing_to_others(user):
    client = native(user, Key.generate())
    thief = Client(user.server, Key.generate(), user.username)
    thief.token, thief.resource_nonce = client.token, None
    assert thief.resource_request("GET", "/v1/whoami", {"Authorization": f"Bearer {client.token}"}).status_code == 401
    client.call()
    thief.resource_nonce = client.resource_nonce
    assert thief.call().status_code == 401


def test_a_proof_works_once(user):
    proof, response = bound_token(user, Key.generate())
    assert response.status_code == 200
    assert user.http.post("/auth", json=user.credentials, headers={"DPoP": proof}).status_code == 400


def test_an_unbound_token_opens_no_resource(user):
    token = user.token()
    assert user.http.get("/v1/whoami", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    client = Client(user.server)
    client.token = token
    proof = dpop.proof(client.key, "GET", client.url("/v1/whoami"), token=token)
    assert client.resource_request("GET", "/v1/whoami", client.authorization(proof)).status_code == 401


def test_the_account_adds_a_key_and_logs_in_natively(user):
    client = native(user, Key.generate())
    own = Key.generate()
    added = add_key(client, own)
    assert added.status_code == 201, added.text
    later = Client(user.server, own, user.username)
    later.log_in()
    assert later.call().json()["username"] == user.username


def test_a_key_that_was_bound_and_is_revoked_ends_the_token(user):
    key = Key.generate()
    client = native(user, key)
    assert add_key(client, key).status_code == 201
    assert add_key(client, Key.generate()).status_code == 201
    assert client.call().status_code == 200
    assert client.call("DELETE", f"/v1/keys/{key.thumbprint}").status_code == 204
    assert client.call().status_code == 401


def test_a_bound_token_ends_when_it_is_revoked(user):
    client, other = native(user, Key.generate()), native(user, Key.generate())
    assert client.call().status_code == other.call().status_code == 200
    assert user.http.post("/oauth/revoke", data={"token": client.token}).status_code == 200
    assert client.call().status_code == 401
    assert other.call().status_code == 200


# --- off ---


def test_a_dialect_that_is_off_is_absent(tmp_path):
    server = house(tmp_path, COUNTERSIGN_DIALECTS_JWKS_SERVER="off").start()
    try:
        http = server.http()
        assert http.post("/auth").status_code == 404
        assert http.post("/register", json={"username": "a", "email": "a@b"}).status_code == 400
        assert "/auth" not in http.get("/openapi.json").json()["paths"]
        assert {key["kty"] for key in http.get(JWKS).json()["keys"]} == {"EC"}
        assert rows(server, "SELECT count(*) FROM keys") == [(0,)]
        assert rows(server, "SELECT count(*) FROM native_keys") == [(1,)]
    finally:
        server.stop()
