-- Passkeys by the SHA-256 of their credential id, which the step in Rust computes. An id may have 1023
-- bytes; as a key it stood in the table and again in an index, where it took a page of its own.

CREATE TABLE passkeys_by_hash(
    id_hash BLOB NOT NULL PRIMARY KEY,
    thumbprint BLOB NOT NULL UNIQUE REFERENCES credentials(thumbprint) ON DELETE CASCADE,
    credential_id BLOB NOT NULL,
    rp_id TEXT NOT NULL,
    user_handle BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL CHECK(backup_eligible IN (0, 1)),
    backed_up INTEGER NOT NULL CHECK(backed_up IN (0, 1)),
    aaguid BLOB NOT NULL,
    -- Words, separated by spaces.
    transports TEXT NOT NULL
) STRICT;
