-- The issuer identifier by which clients knew this server at its last start: at most one row. A
-- database that was made before there was this table has no row until its next start.
CREATE TABLE issuer(
    id INTEGER PRIMARY KEY CHECK(id = 1),
    origin TEXT NOT NULL
) STRICT;
