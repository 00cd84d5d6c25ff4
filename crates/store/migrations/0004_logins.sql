-- What every login pays for and hardly anybody asks for.

-- `users.last_login` says it, and was always written together with it.
ALTER TABLE accounts DROP COLUMN last_login_at;

-- Only the minutely forgetting has used them, which can as well read through the table, and events
-- in the order of their numbers.
DROP INDEX used_assertions_by_end;
DROP INDEX audit_events_by_time;
