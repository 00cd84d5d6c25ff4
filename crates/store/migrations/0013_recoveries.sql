-- An invitation lets somebody register, or back into the account of its username: `recover`, or
-- `recover-alone`, which revokes everything else that logs in to the account.
ALTER TABLE invitations ADD COLUMN purpose TEXT NOT NULL DEFAULT 'register'
    CHECK(purpose IN ('register', 'recover', 'recover-alone'));

-- Of each account at most one code that lets somebody in is unused.
CREATE UNIQUE INDEX recoveries ON invitations(username)
    WHERE purpose <> 'register' AND used_at IS NULL;
