-- The fingerprint of an account is read with the account.
CREATE INDEX account_aliases_by_account ON account_aliases(user_id);
