-- What an event says to programs, as a JSON object of texts. Null where there is nothing to say.
ALTER TABLE audit_events ADD COLUMN facts TEXT;

-- What a page warns of, so that it goes on to warn of what is in the trail already.
UPDATE audit_events SET facts = CASE detail
        WHEN 'the key is revoked' THEN '{"reason":"key-revoked"}'
        WHEN 'the passkey is revoked' THEN '{"reason":"key-revoked"}'
        WHEN 'the token has been revoked' THEN '{"reason":"token-ended"}'
        WHEN 'the token is bound to another key' THEN '{"reason":"other-key"}'
        WHEN 'the proof is by another key: sign it with the asserting key, or name its thumbprint in cnf.jkt'
            THEN '{"reason":"other-key"}'
    END
    WHERE kind IN ('login.refused', 'token.refused');
