-- The keys that sign access tokens, in a table of their own.
--
-- `keys` is what other programs read of the *jwks-server*: the keys that sign tokens of passwords, and
-- no others. Until now all were there. Those of another algorithm signed access tokens; and of those
-- of RS256 the ones that live longer than a day, because keys for passwords live for an hour.

CREATE TABLE native_keys(
    id INTEGER PRIMARY KEY,
    thumbprint BLOB NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    active_from INTEGER NOT NULL,
    retired_from INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    key BLOB NOT NULL,
    iv BLOB NOT NULL
) STRICT;

INSERT INTO native_keys(thumbprint, algorithm, created_at, active_from, retired_from, expires_at,
        key, iv)
    SELECT s.thumbprint, s.algorithm, s.created_at, s.active_from, s.retired_from, s.expires_at,
        k.key, k.iv
    FROM signing_keys AS s JOIN keys AS k ON k.kid = s.kid
    WHERE s.algorithm <> 'RS256' OR s.expires_at - s.active_from > 24 * 3600 * 1000
    ORDER BY s.kid;

CREATE TEMPORARY TABLE moved_keys AS
    SELECT kid FROM signing_keys WHERE thumbprint IN (SELECT thumbprint FROM native_keys);
DELETE FROM signing_keys WHERE kid IN (SELECT kid FROM moved_keys);
DELETE FROM keys WHERE kid IN (SELECT kid FROM moved_keys);
DROP TABLE moved_keys;
