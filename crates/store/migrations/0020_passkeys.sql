-- Passkeys: what WebAuthn knows of a credential of that kind besides its public key.

CREATE TABLE passkeys(
    credential_id BLOB NOT NULL PRIMARY KEY,
    thumbprint BLOB NOT NULL UNIQUE REFERENCES credentials(thumbprint) ON DELETE CASCADE,
    rp_id TEXT NOT NULL,
    user_handle BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    backup_eligible INTEGER NOT NULL CHECK(backup_eligible IN (0, 1)),
    backed_up INTEGER NOT NULL CHECK(backed_up IN (0, 1)),
    aaguid BLOB NOT NULL,
    -- Words, separated by spaces.
    transports TEXT NOT NULL
) STRICT;
