-- What the dialects keep beside accounts and credentials.
--
-- `auth_logs` has a fixed public shape, as `keys` and `users` have. `request_timestamp` is a UTC
-- text, `YYYY-MM-DD HH:MM:SS`, written by the program.

CREATE TABLE auth_logs(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_ip TEXT NOT NULL,
    request_timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    user_id INTEGER,
    FOREIGN KEY(user_id) REFERENCES users(id)
);

-- Other names of accounts, such as the fingerprint of the key as it was sent.
CREATE TABLE account_aliases(
    alias TEXT NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES accounts(user_id),
    thumbprint BLOB NOT NULL REFERENCES credentials(thumbprint)
) STRICT, WITHOUT ROWID;

-- The server's own key pairs, one for each account that asked for one: AES-256-GCM of the private
-- half, bound to the account.
CREATE TABLE server_keys(
    user_id INTEGER PRIMARY KEY REFERENCES accounts(user_id),
    ciphertext BLOB NOT NULL,
    nonce BLOB NOT NULL
) STRICT;

-- The server's own key pair for which clients seal registrations: AES-256-GCM of the private half.
CREATE TABLE registration_key(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ciphertext BLOB NOT NULL,
    nonce BLOB NOT NULL
) STRICT;

-- Keys whose registration proved nothing. One leaves this table when it first signs; until then,
-- whoever registers it with a proof takes it over.
CREATE TABLE unproven_keys(
    thumbprint BLOB NOT NULL PRIMARY KEY REFERENCES credentials(thumbprint)
) STRICT, WITHOUT ROWID;
