-- An account asks for its events of some kinds, however many others there are. Logins, which are most of
-- the events and written fastest, are not in this index.
CREATE INDEX audit_events_by_kind ON audit_events(account_id, kind)
    WHERE account_id IS NOT NULL AND kind <> 'login.succeeded';
