-- `users.last_login` says it, and was always written together with it. A login of an account that
-- has not been seen for long pays for every table that it changes.
ALTER TABLE accounts DROP COLUMN last_login_at;
