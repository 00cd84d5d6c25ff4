-- Refusals that are alike are one row, which counts them. Evidence and noise are bounded apart.

-- Null where it happened once, or is no refusal.
ALTER TABLE audit_events ADD COLUMN times INTEGER;
ALTER TABLE audit_events ADD COLUMN last_at INTEGER;
-- What refusals in one row have in common. Null for what is no refusal.
ALTER TABLE audit_events ADD COLUMN fold BLOB;

UPDATE audit_events SET fold = CAST(id AS BLOB)
    WHERE kind IN ('login.refused', 'proof.replayed', 'registration.refused', 'token.refused');

CREATE UNIQUE INDEX audit_refusals_by_fold ON audit_events(fold) WHERE fold IS NOT NULL;
CREATE INDEX audit_refusals_by_account ON audit_events(account_id) WHERE fold IS NOT NULL;
