-- What the revocation feed needs, so that much can be told as little.

-- Whose token it was. Null where an earlier version wrote it down.
ALTER TABLE revoked_tokens ADD COLUMN account_id BLOB;
ALTER TABLE revoked_tokens ADD COLUMN issued_at INTEGER;

-- One row that counts the revocations, whoever makes them: a feed that says a smaller number than
-- another lacks something.
CREATE TABLE revocations(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    sequence INTEGER NOT NULL
) STRICT;

INSERT INTO revocations(id, sequence) VALUES (1, 0);

CREATE TRIGGER token_revoked AFTER INSERT ON revoked_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
END;

CREATE TRIGGER key_revoked AFTER UPDATE OF revoked_at ON credentials
WHEN new.revoked_at IS NOT old.revoked_at
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
END;

CREATE TRIGGER account_disabled AFTER UPDATE OF disabled_at ON accounts
WHEN new.disabled_at IS NOT old.disabled_at
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
END;
