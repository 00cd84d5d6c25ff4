-- Who did it, where an administrator did, and why.
ALTER TABLE audit_events ADD COLUMN actor TEXT;
ALTER TABLE audit_events ADD COLUMN reason TEXT;

-- Uses of keys are told together as refusals are, with a bound of their own; each kind of either counts
-- apart.
DROP INDEX audit_refusals_by_account;
CREATE INDEX audit_folded_by_kind ON audit_events(kind, account_id) WHERE fold IS NOT NULL;
