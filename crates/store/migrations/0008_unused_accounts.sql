-- Accounts that anybody could make and nobody has ever used.

-- Since when it waits to be used for the first time. Null for accounts that have been, that were
-- invited, or whose first key proved itself.
ALTER TABLE accounts ADD COLUMN unused_since INTEGER;
CREATE INDEX accounts_by_unused_since ON accounts(unused_since) WHERE unused_since IS NOT NULL;
