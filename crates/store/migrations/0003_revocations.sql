-- When keys and accounts were shut out, for those who must be told.

-- Null while the account may act. For one that was disabled before this column came the time is
-- unknown; whatever it held then has ended long since.
ALTER TABLE accounts ADD COLUMN disabled_at INTEGER;
UPDATE accounts SET disabled_at = registered_at WHERE status = 'disabled';

CREATE INDEX accounts_by_disabling ON accounts(disabled_at) WHERE disabled_at IS NOT NULL;
CREATE INDEX credentials_by_revocation ON credentials(revoked_at) WHERE revoked_at IS NOT NULL;
