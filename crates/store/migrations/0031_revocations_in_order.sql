-- Which revocations of tokens came after another: a feed adds those to what is known, so that it has all of
-- them up to its sequence number and none of later.
ALTER TABLE revoked_tokens ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ended_tokens ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;

CREATE INDEX revoked_tokens_by_sequence ON revoked_tokens(sequence);
CREATE INDEX ended_tokens_by_sequence ON ended_tokens(sequence);

DROP TRIGGER token_revoked;
DROP TRIGGER tokens_ended;
DROP TRIGGER more_tokens_ended;

CREATE TRIGGER token_revoked AFTER INSERT ON revoked_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
    UPDATE revoked_tokens SET sequence = (SELECT sequence FROM revocations) WHERE jti = new.jti;
END;

CREATE TRIGGER tokens_ended AFTER INSERT ON ended_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
    UPDATE ended_tokens SET sequence = (SELECT sequence FROM revocations)
        WHERE account_id = new.account_id;
END;

-- Not of the sequence itself.
CREATE TRIGGER more_tokens_ended AFTER UPDATE OF issued_at, expires_at ON ended_tokens
BEGIN
    UPDATE revocations SET sequence = sequence + 1;
    UPDATE ended_tokens SET sequence = (SELECT sequence FROM revocations)
        WHERE account_id = new.account_id;
END;
