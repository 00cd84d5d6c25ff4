-- What nobody has proven counts for its own account alone, and what was revoked is remembered by
-- little.

-- Keys whose registration proved nothing. Any number of accounts may claim one key; the first that
-- signs something with it gets it, as a credential, and the others lose their claim.
CREATE TABLE claimed_keys(
    user_id INTEGER NOT NULL REFERENCES accounts(user_id),
    thumbprint BLOB NOT NULL,
    spki BLOB NOT NULL,
    algorithms TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, thumbprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX claimed_keys_by_key ON claimed_keys(thumbprint);

-- Keys that were revoked so many revocations ago that nothing else is kept of them. They can never
-- be registered again.
CREATE TABLE revoked_thumbprints(
    thumbprint BLOB NOT NULL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES accounts(user_id),
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_thumbprints_by_account ON revoked_thumbprints(user_id);
CREATE INDEX revoked_thumbprints_by_time ON revoked_thumbprints(revoked_at);

-- Several accounts that claim one key have the same other name. It names one of them only when the
-- others are gone.
CREATE TABLE names_by_key(
    alias TEXT NOT NULL,
    user_id INTEGER NOT NULL REFERENCES accounts(user_id),
    thumbprint BLOB NOT NULL,
    PRIMARY KEY (alias, user_id)
) STRICT, WITHOUT ROWID;
INSERT INTO names_by_key(alias, user_id, thumbprint)
    SELECT alias, user_id, thumbprint FROM account_aliases;
DROP TABLE account_aliases;
ALTER TABLE names_by_key RENAME TO account_aliases;
CREATE INDEX account_aliases_by_account ON account_aliases(user_id);
CREATE INDEX account_aliases_by_key ON account_aliases(thumbprint);

-- Addresses of accounts whose row in `users` has none, because another row has the same: nobody has
-- proven that an address is theirs, so nobody keeps another from naming it.
CREATE TABLE further_emails(
    user_id INTEGER PRIMARY KEY REFERENCES accounts(user_id),
    email TEXT NOT NULL
) STRICT;

-- The keys that are unproven now become claims; one that was revoked blocks nobody any more.
INSERT INTO claimed_keys(user_id, thumbprint, spki, algorithms, label, created_at)
    SELECT c.user_id, c.thumbprint, c.spki, c.algorithms, c.label, c.created_at
    FROM credentials AS c JOIN unproven_keys AS n ON n.thumbprint = c.thumbprint
    WHERE c.revoked_at IS NULL;
CREATE TABLE formerly_unproven AS SELECT thumbprint FROM unproven_keys;
DROP TABLE unproven_keys;
DELETE FROM account_aliases WHERE thumbprint IN
    (SELECT c.thumbprint FROM credentials AS c JOIN formerly_unproven AS n
     ON n.thumbprint = c.thumbprint WHERE c.revoked_at IS NOT NULL);
DELETE FROM credentials WHERE thumbprint IN (SELECT thumbprint FROM formerly_unproven);
DROP TABLE formerly_unproven;

-- Of what an account revoked, the latest stay whole.
INSERT INTO revoked_thumbprints(thumbprint, user_id, revoked_at)
    SELECT thumbprint, user_id, revoked_at FROM
        (SELECT thumbprint, user_id, revoked_at, row_number() OVER
            (PARTITION BY user_id ORDER BY revoked_at DESC, rowid DESC) AS place
         FROM credentials WHERE revoked_at IS NOT NULL)
    WHERE place > 32;
DELETE FROM credentials WHERE thumbprint IN (SELECT thumbprint FROM revoked_thumbprints);
