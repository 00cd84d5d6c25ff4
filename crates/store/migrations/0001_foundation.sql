-- The tables of the first version.
--
-- `keys` and `users` have a fixed public shape, because other programs read them: their columns
-- never change, and everything else that is known about a row stands in a table beside it.
--
-- Times in `users` are UTC texts, `YYYY-MM-DD HH:MM:SS`; `keys.exp` is in seconds since 1970. All
-- other times are milliseconds since 1970. Every time is written by the program: the defaults of
-- `users` are part of its shape, and nothing relies on them.

-- Private signing keys: AES-256-GCM ciphertext, expiry, nonce.
CREATE TABLE keys(
    kid INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    exp INTEGER NOT NULL,
    iv BLOB NOT NULL
);

-- Every account has a row. Without a password its hash is `!`, which matches nothing.
CREATE TABLE users(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    email TEXT UNIQUE,
    date_registered TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_login TIMESTAMP
);

CREATE TABLE signing_keys(
    kid INTEGER PRIMARY KEY REFERENCES keys(kid) ON DELETE CASCADE,
    thumbprint BLOB NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    active_from INTEGER NOT NULL,
    retired_from INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts(
    user_id INTEGER PRIMARY KEY REFERENCES users(id),
    account_id BLOB NOT NULL UNIQUE,
    username_folded TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    scopes TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    last_login_at INTEGER
) STRICT;

-- A revoked key keeps its row, so that it can never be registered again.
CREATE TABLE credentials(
    thumbprint BLOB NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES accounts(user_id),
    spki BLOB NOT NULL,
    algorithms TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

-- Finds the keys of an account, and counts its live ones.
CREATE INDEX credentials_by_account ON credentials(user_id, revoked_at);

CREATE TABLE invitations(
    code_hash BLOB NOT NULL PRIMARY KEY,
    username TEXT,
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX invitations_by_creation ON invitations(created_at);
CREATE INDEX invitations_by_expiry ON invitations(expires_at);

CREATE TABLE revoked_tokens(
    jti TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens(expires_at);

-- Assertions that logged somebody in, until they are too old to be accepted.
CREATE TABLE used_assertions(
    digest BLOB NOT NULL PRIMARY KEY,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX used_assertions_by_end ON used_assertions(forget_at);

-- No foreign keys: an entry outlives what it is about.
CREATE TABLE audit_events(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account_id BLOB,
    thumbprint BLOB,
    address TEXT,
    detail TEXT
) STRICT;

CREATE INDEX audit_events_by_account ON audit_events(account_id) WHERE account_id IS NOT NULL;
CREATE INDEX audit_events_by_time ON audit_events(at);

-- At most one row: what proves that a master key is the right one.
CREATE TABLE vault(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    salt BLOB NOT NULL,
    nonce BLOB NOT NULL,
    sealed_check BLOB NOT NULL
) STRICT;

-- One row that every health check writes.
CREATE TABLE health(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    checks INTEGER NOT NULL
) STRICT;

INSERT INTO health(id, checks) VALUES (1, 0);
