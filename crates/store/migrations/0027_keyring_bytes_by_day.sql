-- How many bytes the keyrings have together of the accounts that were registered on one day. Accounts that
-- are recent may have only a part of the total, and to add up their keyrings would take longer with each.

-- The day of UTC on which the account was registered, since 1970. It stands here, too, because an account
-- that is deleted is gone before its keyring.
ALTER TABLE keyrings ADD COLUMN registered_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keyring_revisions ADD COLUMN registered_day INTEGER NOT NULL DEFAULT 0;

UPDATE keyrings SET registered_day = coalesce(
    (SELECT a.registered_at / 86400000 FROM accounts AS a WHERE a.user_id = keyrings.user_id), 0);
UPDATE keyring_revisions SET registered_day = coalesce(
    (SELECT k.registered_day FROM keyrings AS k WHERE k.user_id = keyring_revisions.user_id), 0);

CREATE TABLE keyring_bytes_by_day(
    registered_day INTEGER NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO keyring_bytes_by_day(registered_day, bytes)
    SELECT registered_day, sum(bytes) FROM (
        SELECT registered_day, length(ciphertext) AS bytes FROM keyrings
        UNION ALL SELECT registered_day, length(ciphertext) FROM keyring_revisions)
    GROUP BY registered_day;

CREATE TRIGGER keyring_stored_by_day AFTER INSERT ON keyrings
BEGIN
    INSERT INTO keyring_bytes_by_day(registered_day, bytes)
        VALUES (new.registered_day, length(new.ciphertext))
        ON CONFLICT(registered_day) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER keyring_changed_by_day AFTER UPDATE OF ciphertext ON keyrings
BEGIN
    UPDATE keyring_bytes_by_day SET bytes = bytes + length(new.ciphertext) - length(old.ciphertext)
        WHERE registered_day = old.registered_day;
END;

CREATE TRIGGER keyring_deleted_by_day AFTER DELETE ON keyrings
BEGIN
    UPDATE keyring_bytes_by_day SET bytes = bytes - length(old.ciphertext)
        WHERE registered_day = old.registered_day;
END;

CREATE TRIGGER keyring_revision_kept_by_day AFTER INSERT ON keyring_revisions
BEGIN
    INSERT INTO keyring_bytes_by_day(registered_day, bytes)
        VALUES (new.registered_day, length(new.ciphertext))
        ON CONFLICT(registered_day) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER keyring_revision_gone_by_day AFTER DELETE ON keyring_revisions
BEGIN
    UPDATE keyring_bytes_by_day SET bytes = bytes - length(old.ciphertext)
        WHERE registered_day = old.registered_day;
END;
