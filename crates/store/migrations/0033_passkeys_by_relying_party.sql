-- Every start asks whether there are passkeys of another relying party.
CREATE INDEX passkeys_by_relying_party ON passkeys(rp_id);
