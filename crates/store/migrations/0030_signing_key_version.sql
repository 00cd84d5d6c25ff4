-- One row that counts the changes of the signing keys. A change names the number that it was decided on,
-- so that of several processes that would make a successor one makes it.
CREATE TABLE signing_key_version(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO signing_key_version(id, version) VALUES (1, 0);
