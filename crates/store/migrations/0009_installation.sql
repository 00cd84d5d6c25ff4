-- Which installation this is: one row, made with the database, kept by backups. It tells a database
-- that belongs here from another one.
CREATE TABLE installation(id BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

INSERT INTO installation(id) VALUES (randomblob(16));

-- A health check writes as many pages as a login does.
ALTER TABLE health ADD COLUMN padding BLOB;
