-- Up to which moment used assertions may have been forgotten. What had ended by then is refused, also
-- when a clock that is behind says that it has not ended yet.

CREATE TABLE forgotten(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    assertions_until INTEGER NOT NULL
) STRICT;

INSERT INTO forgotten(id, assertions_until) VALUES (1, 0);
