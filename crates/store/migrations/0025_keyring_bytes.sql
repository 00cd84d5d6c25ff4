-- How many bytes the contents of all online keyrings have together, earlier ones included. It is counted as
-- they come and go, because to add them up would take longer with each keyring.

CREATE TABLE keyring_bytes(
    id INTEGER NOT NULL PRIMARY KEY CHECK(id = 1),
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO keyring_bytes(id, bytes) VALUES (1,
    (SELECT coalesce(sum(length(ciphertext)), 0) FROM keyrings)
    + (SELECT coalesce(sum(length(ciphertext)), 0) FROM keyring_revisions));

CREATE TRIGGER keyring_stored AFTER INSERT ON keyrings
BEGIN
    UPDATE keyring_bytes SET bytes = bytes + length(new.ciphertext);
END;

CREATE TRIGGER keyring_changed AFTER UPDATE OF ciphertext ON keyrings
BEGIN
    UPDATE keyring_bytes SET bytes = bytes + length(new.ciphertext) - length(old.ciphertext);
END;

CREATE TRIGGER keyring_deleted AFTER DELETE ON keyrings
BEGIN
    UPDATE keyring_bytes SET bytes = bytes - length(old.ciphertext);
END;

CREATE TRIGGER keyring_revision_kept AFTER INSERT ON keyring_revisions
BEGIN
    UPDATE keyring_bytes SET bytes = bytes + length(new.ciphertext);
END;

CREATE TRIGGER keyring_revision_gone AFTER DELETE ON keyring_revisions
BEGIN
    UPDATE keyring_bytes SET bytes = bytes - length(old.ciphertext);
END;
