-- The accounts of which every token that was issued up to a moment counts as revoked: an administrator
-- let somebody back in, or enabled the account again. After `expires_at` none of these tokens lives.
CREATE TABLE ended_tokens(
    account_id BLOB PRIMARY KEY,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX ended_tokens_by_end ON ended_tokens(expires_at);

CREATE TRIGGER tokens_ended AFTER INSERT ON ended_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
END;

CREATE TRIGGER more_tokens_ended AFTER UPDATE ON ended_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
END;
