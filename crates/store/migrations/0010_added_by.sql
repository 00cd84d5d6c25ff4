-- The thumbprint of the key that let a key in: so that the owner of a stolen device sees what its
-- key has let in since. Null for the key of a registration, for the first key of an account with a
-- password, and for keys from before this migration.
ALTER TABLE credentials ADD COLUMN added_by BLOB;
