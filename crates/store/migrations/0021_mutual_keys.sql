-- One more kind of credential: a key that a page keeps for the mutual login. The account claims it at its
-- registration, so that claims have a kind too.

ALTER TABLE credentials RENAME COLUMN kind TO former_kind;
ALTER TABLE credentials ADD COLUMN kind TEXT NOT NULL DEFAULT 'key'
    CHECK(kind IN ('key', 'browser', 'mutual', 'passkey'));
UPDATE credentials SET kind = former_kind WHERE former_kind <> 'key';
ALTER TABLE credentials DROP COLUMN former_kind;

ALTER TABLE claimed_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'key' CHECK(kind IN ('key', 'mutual'));
