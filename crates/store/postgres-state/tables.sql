-- Short-lived state. All tables are UNLOGGED: a crash of the server, or the promotion of a standby, empties all of them
-- together, and the row of the epoch goes with what it vouches for. Another form of these tables gets another schema.
-- Times of day are milliseconds of Unix time, those of limits nanoseconds of the time that all nodes share.

CREATE SCHEMA countersign_state_1;

-- The epoch: from `since` on, nothing of these tables was lost.
CREATE UNLOGGED TABLE countersign_state_1.epoch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id bytea NOT NULL,
    since bigint NOT NULL,
    -- The table that the row was made in. A copy of the tables, as pg_dump makes it, is another.
    made_in oid NOT NULL,
    -- Used proofs that ended up to then may be gone, and since when that is so.
    forgotten_until bigint NOT NULL,
    forgotten_at timestamptz NOT NULL
);

CREATE UNLOGGED TABLE countersign_state_1.used_proofs (
    digest bytea PRIMARY KEY,
    forget_at bigint NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.1,
    autovacuum_vacuum_insert_scale_factor = 1,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX used_proofs_by_end ON countersign_state_1.used_proofs (forget_at);

CREATE UNLOGGED TABLE countersign_state_1.session_nonces (
    session bytea PRIMARY KEY,
    nonce bytea NOT NULL,
    expires_at bigint NOT NULL,
    owner bytea NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX session_nonces_by_owner ON countersign_state_1.session_nonces (owner);

CREATE UNLOGGED TABLE countersign_state_1.limits (
    key bytea PRIMARY KEY,
    full_at bigint NOT NULL,
    lasting boolean NOT NULL
) WITH (fillfactor = 70);

CREATE UNLOGGED TABLE countersign_state_1.windows (
    key bytea PRIMARY KEY,
    under_way integer NOT NULL DEFAULT 0,
    stopped_at bigint NOT NULL DEFAULT 0,
    stopped_for bigint NOT NULL DEFAULT 0,
    answered bigint[] NOT NULL DEFAULT '{}',
    changed_at bigint NOT NULL
) WITH (fillfactor = 50);

CREATE UNLOGGED TABLE countersign_state_1.recent_numbers (
    client bytea PRIMARY KEY,
    account bytea NOT NULL,
    network bytea NOT NULL,
    numbers text[] NOT NULL,
    asked_at bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX recent_numbers_by_account ON countersign_state_1.recent_numbers (account);
CREATE INDEX recent_numbers_by_network ON countersign_state_1.recent_numbers (network);

-- Whoever empties one of the tables ends the epoch that vouches for them.
CREATE FUNCTION countersign_state_1.end_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM countersign_state_1.epoch;
    RETURN NULL;
END $$;

DO $$
DECLARE
    emptied text;
BEGIN
    FOREACH emptied IN ARRAY ARRAY['used_proofs', 'session_nonces', 'limits', 'windows', 'recent_numbers'] LOOP
        EXECUTE format('CREATE TRIGGER emptied BEFORE TRUNCATE ON countersign_state_1.%I FOR EACH STATEMENT
            EXECUTE FUNCTION countersign_state_1.end_epoch()', emptied);
        -- Also where triggers are switched off by session_replication_role.
        EXECUTE format('ALTER TABLE countersign_state_1.%I ENABLE ALWAYS TRIGGER emptied', emptied);
    END LOOP;
END $$;

-- The epoch; begins one with the name `candidate` where there is none. Clocks may be `skew` apart, so it vouches for
-- nothing that was made up to so long after its beginning.
--
-- Where what may be gone ends after the present, clocks were ahead and were set back, and nothing could be recorded before
-- that moment comes. So another epoch begins: what carries a nonce of it was not used before. Whatever says by its time
-- alone that it is new must be of a time after all that may be gone.
CREATE FUNCTION countersign_state_1.begin_epoch(candidate bytea, now_millis bigint, skew bigint)
RETURNS TABLE (id bytea, since bigint) LANGUAGE plpgsql AS $$
DECLARE
    present CONSTANT bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    -- What is recorded ends later than that.
    soon CONSTANT bigint := present + 30000;
    gone_until bigint;
BEGIN
    LOOP
        RETURN QUERY SELECT e.id, e.since FROM countersign_state_1.epoch e
            WHERE e.made_in = e.tableoid AND e.forgotten_until <= soon;
        EXIT WHEN FOUND;
        -- Not beside one who prunes by the epoch of before.
        PERFORM pg_advisory_xact_lock(hashtextextended('countersign state pruning', 0));
        SELECT max(e.forgotten_until) INTO gone_until FROM countersign_state_1.epoch e;
        DELETE FROM countersign_state_1.epoch e WHERE e.made_in <> e.tableoid OR e.forgotten_until > soon;
        INSERT INTO countersign_state_1.epoch AS e VALUES (true, candidate,
            greatest(now_millis, present, gone_until) + skew,
            'countersign_state_1.epoch'::regclass, 0, clock_timestamp())
        ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Gives a session its nonce, unless its owner has `share` others: whether it did.
CREATE FUNCTION countersign_state_1.put_nonce(
    of_session bytea, first_nonce bytea, until bigint, of_owner bytea, now_millis bigint, share bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- Logins of one owner, one after the other.
    PERFORM pg_advisory_xact_lock(hashtextextended('countersign session', ('x' || encode(of_owner, 'hex'))::bit(64)::bigint));
    IF share <= (SELECT count(*) FROM countersign_state_1.session_nonces
                 WHERE owner = of_owner AND expires_at > now_millis AND session <> of_session) THEN
        RETURN false;
    END IF;
    INSERT INTO countersign_state_1.session_nonces VALUES (of_session, first_nonce, until, of_owner)
    ON CONFLICT (session) DO UPDATE SET nonce = excluded.nonce, expires_at = excluded.expires_at, owner = excluded.owner;
    RETURN true;
END $$;

-- The row of a key, which stays locked until the end of the transaction. Whose requests have changed nothing for a
-- minute has none under way: the node that answered them is gone. Nor has who changed something in ten seconds from now:
-- the clock was set back.
CREATE FUNCTION countersign_state_1.lock_window(of_key bytea, now_nanos bigint)
RETURNS countersign_state_1.windows LANGUAGE plpgsql AS $$
DECLARE
    w countersign_state_1.windows;
BEGIN
    LOOP
        SELECT * INTO w FROM countersign_state_1.windows WHERE key = of_key FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO countersign_state_1.windows (key, changed_at) VALUES (of_key, now_nanos) ON CONFLICT DO NOTHING;
    END LOOP;
    IF w.changed_at + 60000000000 < now_nanos OR w.changed_at > now_nanos + 10000000000 THEN
        w.under_way := 0;
        w.answered := '{}';
        w.changed_at := now_nanos;
    END IF;
    RETURN w;
END $$;

-- Lets a request pass, and returns 0; or returns how many nanoseconds it has to wait. A key has a clock of its own,
-- which stands still while one of its requests is being answered.
CREATE FUNCTION countersign_state_1.enter_window(of_key bytea, now_nanos bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    second CONSTANT bigint := 1000000000;
    w countersign_state_1.windows := countersign_state_1.lock_window(of_key, now_nanos);
    clock bigint := CASE WHEN w.under_way > 0 THEN w.stopped_at ELSE now_nanos END - w.stopped_for;
    taken integer;
    first_taken bigint;
BEGIN
    SELECT count(*), min(a) INTO taken, first_taken FROM unnest(w.answered) a WHERE a + second > clock;
    IF w.under_way + taken >= 10 THEN
        RETURN coalesce(first_taken + second - clock, second);
    END IF;
    UPDATE countersign_state_1.windows SET
        under_way = w.under_way + 1,
        stopped_at = CASE WHEN w.under_way > 0 THEN w.stopped_at ELSE now_nanos END,
        answered = w.answered,
        changed_at = greatest(w.changed_at, now_nanos)
    WHERE key = of_key;
    RETURN 0;
END $$;

-- A request that had passed is answered.
CREATE FUNCTION countersign_state_1.leave_window(of_key bytea, now_nanos bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    w countersign_state_1.windows := countersign_state_1.lock_window(of_key, now_nanos);
    clock bigint := CASE WHEN w.under_way > 0 THEN w.stopped_at ELSE now_nanos END - w.stopped_for;
BEGIN
    UPDATE countersign_state_1.windows SET
        under_way = greatest(w.under_way - 1, 0),
        stopped_for = w.stopped_for
            + CASE WHEN w.under_way = 1 THEN greatest(now_nanos - w.stopped_at, 0) ELSE 0 END,
        answered = ARRAY(SELECT a FROM unnest(w.answered || clock) a ORDER BY a DESC LIMIT 10),
        changed_at = greatest(w.changed_at, now_nanos)
    WHERE key = of_key;
END $$;

-- Removes some of what has ended, `most` rows of each table: whether there may be more. One node does it at a time.
CREATE FUNCTION countersign_state_1.prune(now_millis bigint, now_nanos bigint, most bigint, sessions bigint, limited bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    -- A node whose clock is wrong removes nothing too early.
    ended bigint := least(now_millis, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) - 10000;
    e countersign_state_1.epoch;
    removed bigint;
    is_more boolean := false;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('countersign state pruning', 0)) THEN
        RETURN false;
    END IF;
    SELECT * INTO e FROM countersign_state_1.epoch;
    -- What is gone must be known as gone to every statement that looks for it. So that is written first, and rows go when
    -- all statements that began before have ended.
    IF e.forgotten_at < clock_timestamp() - interval '5 seconds' THEN
        DELETE FROM countersign_state_1.used_proofs WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM countersign_state_1.used_proofs WHERE forget_at <= e.forgotten_until
            ORDER BY forget_at LIMIT most));
        GET DIAGNOSTICS removed = ROW_COUNT;
        is_more := removed >= most;
        IF NOT is_more AND e.forgotten_until < ended THEN
            UPDATE countersign_state_1.epoch SET forgotten_until = ended, forgotten_at = clock_timestamp();
        END IF;
    END IF;
    DELETE FROM countersign_state_1.session_nonces WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.session_nonces WHERE expires_at <= ended LIMIT most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    is_more := is_more OR removed >= most;
    DELETE FROM countersign_state_1.limits WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.limits WHERE full_at <= now_nanos - 10000000000 LIMIT most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    is_more := is_more OR removed >= most;
    DELETE FROM countersign_state_1.windows WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.windows WHERE changed_at + 120000000000 < now_nanos LIMIT most));
    DELETE FROM countersign_state_1.recent_numbers WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.recent_numbers WHERE asked_at + 60000 <= ended LIMIT most));
    -- What there is no room for: those go that have the least to remember.
    DELETE FROM countersign_state_1.session_nonces WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.session_nonces ORDER BY expires_at
        LIMIT least(most, greatest((SELECT count(*) FROM countersign_state_1.session_nonces) - sessions, 0))));
    DELETE FROM countersign_state_1.limits WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM countersign_state_1.limits WHERE NOT lasting ORDER BY full_at
        LIMIT least(most, greatest((SELECT count(*) FROM countersign_state_1.limits WHERE NOT lasting) - limited, 0))));
    RETURN is_more;
END $$;
