-- Online keyrings: sealed documents of accounts, to which this server has no key.

CREATE TABLE keyrings(
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES accounts(user_id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    -- Since when that is the content.
    updated_at INTEGER NOT NULL
) STRICT;

-- Earlier contents for the same content key.
CREATE TABLE keyring_revisions(
    user_id INTEGER NOT NULL REFERENCES keyrings(user_id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY(user_id, revision)
) STRICT;

-- The content key, wrapped for one way to open it each.
CREATE TABLE keyring_slots(
    user_id INTEGER NOT NULL REFERENCES keyrings(user_id) ON DELETE CASCADE,
    slot_id BLOB NOT NULL,
    -- The place in the document.
    position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK(kind IN ('password', 'recovery', 'prf')),
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    -- A password or a recovery code: by which identifier OPAQUE knows it, and its record.
    opaque_user BLOB,
    record BLOB,
    -- The PRF of a passkey: its credential id, and what the PRF is evaluated at.
    passkey BLOB,
    salt BLOB,
    PRIMARY KEY(user_id, slot_id),
    CHECK((kind = 'prf') = (passkey IS NOT NULL AND salt IS NOT NULL)),
    CHECK((kind = 'prf') = (record IS NULL AND opaque_user IS NULL))
) STRICT;

-- The last revision of each account's keyring. It stays when a keyring is deleted, so that no number comes
-- back for another content.
CREATE TABLE keyring_counters(
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES accounts(user_id) ON DELETE CASCADE,
    revision INTEGER NOT NULL
) STRICT;

-- The server's part in the passwords of online keyrings, sealed with the master key.
CREATE TABLE opaque_setup(
    id INTEGER NOT NULL PRIMARY KEY CHECK(id = 1),
    ciphertext BLOB NOT NULL,
    nonce BLOB NOT NULL
) STRICT;
