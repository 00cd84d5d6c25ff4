-- Since when a passkey belongs to its account without the word of a passkey that was beyond doubt, in
-- milliseconds since 1970; null where such a one has vouched for it, and for the passkey of a registration.

ALTER TABLE passkeys ADD COLUMN unvouched_since INTEGER;
