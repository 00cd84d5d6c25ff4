-- Whether a server uses the database, or was killed while it did: then the write-ahead log beside it
-- holds what was acknowledged, and the file without it must not be taken for all there is.
CREATE TABLE serving(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    is_served INTEGER NOT NULL CHECK(is_served IN (0, 1))
) STRICT;

INSERT INTO serving(id, is_served) VALUES (1, 0);
