-- Kinds of credential: the key of a program or a device, the key of a browser, and a passkey.

ALTER TABLE credentials ADD COLUMN kind TEXT NOT NULL DEFAULT 'key'
    CHECK(kind IN ('key', 'browser', 'passkey'));
-- From then on the key counts as revoked. Null where it does not end by itself.
ALTER TABLE credentials ADD COLUMN expires_at INTEGER;
-- Whether each login of the key puts its end off.
ALTER TABLE credentials ADD COLUMN renews INTEGER NOT NULL DEFAULT 0 CHECK(renews IN (0, 1));
-- The program that registered the key, or, for the key of a browser, that logged in last.
ALTER TABLE credentials ADD COLUMN user_agent TEXT;
-- The address of the last login, as 16 bytes; an IPv4 address is mapped into IPv6 (RFC 4291 §2.5.5.2).
ALTER TABLE credentials ADD COLUMN last_address BLOB;

CREATE INDEX credentials_by_expiry ON credentials(expires_at)
    WHERE expires_at IS NOT NULL AND revoked_at IS NULL;

-- The client networks that a key was used from before the present one, the latest few. A key that stays
-- in one network has no row.
CREATE TABLE key_places(
    thumbprint BLOB NOT NULL REFERENCES credentials(thumbprint) ON DELETE CASCADE,
    network TEXT NOT NULL,
    left_at INTEGER NOT NULL,
    PRIMARY KEY (thumbprint, network)
) STRICT, WITHOUT ROWID;
