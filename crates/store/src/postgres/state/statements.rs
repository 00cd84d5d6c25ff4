//! What the database is asked. Each is one statement, and by itself one transaction.

use tokio_postgres::{Client, Error, Statement};

/// What a server sees to by itself on a connection: nothing waits for long for somebody else's lock, nothing
/// runs for longer than pruning takes into account, no commit waits for a disk, and of two that take from one
/// limit the second takes from what the first has left, whatever the database's own settings. They are said when
/// the connection is made: said later, a pooler could leave them to a connection whose commits must wait.
pub(super) const SETTINGS: &str = "-c lock_timeout=200ms -c statement_timeout=2s -c synchronous_commit=off \
    -c plan_cache_mode=force_generic_plan -c default_transaction_isolation=read\\ committed";

/// The time of the database in nanoseconds.
pub(super) const TIME: &str =
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000";

const BEGIN_EPOCH: &str = "SELECT id, since FROM countersign_state_1.begin_epoch($1, $2, $3)";

/// Records a use if the epoch is the expected one. One row, unless there is no epoch: which epoch it is, whether
/// the log still knows all that ends so late, and whether the use is recorded now and was not before.
const RECORD: &str = "WITH epoch AS (SELECT id, forgotten_until FROM countersign_state_1.epoch WHERE made_in = tableoid),
    recorded AS (INSERT INTO countersign_state_1.used_proofs (digest, forget_at)
        SELECT $1, $2 FROM epoch WHERE id = $3 AND forgotten_until < $2 ON CONFLICT DO NOTHING RETURNING true)
    SELECT id, forgotten_until < $2, EXISTS (SELECT FROM recorded) FROM epoch";

/// The same without recording anything: whether it was used.
const LOOK: &str = "SELECT id, forgotten_until < $2,
        EXISTS (SELECT FROM countersign_state_1.used_proofs WHERE digest = $1)
    FROM countersign_state_1.epoch WHERE made_in = tableoid";

/// Takes from an allowance: whether there was enough, and when it will be full. `$2` is the present, `$3` what
/// it costs, `$4` the whole allowance, `$5` when it is full if nothing was taken.
///
/// One that would be full later than a whole allowance takes was taken from before the clock was set back. It counts
/// as all but used up, so that nobody waits for the time of then; but one that is lasting, which nobody may get anew by
/// that, waits.
const TAKE: &str =
    "WITH taken AS (INSERT INTO countersign_state_1.limits AS l (key, full_at, lasting)
        SELECT $1, greatest($2::bigint, $5) + $3, $6
        WHERE greatest($2::bigint, $5::bigint) + $3::bigint - $2 <= $4::bigint
        ON CONFLICT (key) DO UPDATE SET full_at = greatest(l.full_at, $2, $5) + $3
                - CASE WHEN NOT l.lasting AND l.full_at > $2 + $4 + 10000000000
                    THEN l.full_at - ($2 + $4 - $3) ELSE 0 END
            WHERE greatest(l.full_at, $2, $5) + $3 - $2 <= $4
                OR NOT l.lasting AND l.full_at > $2 + $4 + 10000000000
        RETURNING full_at)
    SELECT true, full_at FROM taken
    UNION ALL SELECT false, full_at FROM countersign_state_1.limits
        WHERE key = $1 AND NOT EXISTS (SELECT FROM taken)";

const GIVE_BACK: &str =
    "UPDATE countersign_state_1.limits SET full_at = full_at - $2 WHERE key = $1";

const ENTER: &str = "SELECT countersign_state_1.enter_window($1, $2)";

const LEAVE: &str = "SELECT countersign_state_1.leave_window($1, $2)";

const PUT: &str = "SELECT countersign_state_1.put_nonce($1, $2, $3, $4, $5, $6)";

const OUTSTANDING: &str = "SELECT nonce, expires_at FROM countersign_state_1.session_nonces
    WHERE session = $1 AND expires_at > $2";

/// The next nonce in place of the one that is used.
const EXCHANGE: &str = "UPDATE countersign_state_1.session_nonces SET nonce = $6, expires_at = $7
    WHERE session = $1 AND nonce = $2 AND expires_at = $3 AND expires_at > $4
        AND EXISTS (SELECT FROM countersign_state_1.epoch WHERE id = $5 AND made_in = tableoid)";

/// No nonce in place of the one that is used.
const END: &str = "DELETE FROM countersign_state_1.session_nonces
    WHERE session = $1 AND nonce = $2 AND expires_at = $3 AND expires_at > $4
        AND EXISTS (SELECT FROM countersign_state_1.epoch WHERE id = $5 AND made_in = tableoid)";

/// Remembers a number, unless the network or the account has as many clients as it may. `$6` says from when on
/// a client counts.
const REMEMBER: &str = "INSERT INTO countersign_state_1.recent_numbers AS r (client, account, network, numbers, asked_at)
    SELECT $1, $2, $3, ARRAY[$4::text], $5
    WHERE EXISTS (SELECT FROM countersign_state_1.recent_numbers WHERE client = $1)
        OR (SELECT count(*) FROM (SELECT FROM countersign_state_1.recent_numbers
                WHERE network = $3 AND asked_at > $6 LIMIT $7) AS of_network) < $7
            AND (SELECT count(*) FROM (SELECT FROM countersign_state_1.recent_numbers
                WHERE account = $2 AND asked_at > $6 LIMIT $8) AS of_account) < $8
    ON CONFLICT (client) DO UPDATE
        SET numbers = (array_prepend($4::text, r.numbers))[1:$9], asked_at = greatest(r.asked_at, $5)";

const RECENT: &str = "SELECT numbers FROM countersign_state_1.recent_numbers WHERE client = $1";

const PRUNE: &str = "SELECT countersign_state_1.prune($1, $2, $3, $4, $5)";

/// All of them, as one connection knows them.
pub(super) struct Statements {
    pub(super) begin_epoch: Statement,
    pub(super) record: Statement,
    pub(super) look: Statement,
    pub(super) take: Statement,
    pub(super) give_back: Statement,
    pub(super) enter: Statement,
    pub(super) leave: Statement,
    pub(super) put: Statement,
    pub(super) outstanding: Statement,
    pub(super) exchange: Statement,
    pub(super) end: Statement,
    pub(super) remember: Statement,
    pub(super) recent: Statement,
    pub(super) prune: Statement,
    pub(super) time: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            begin_epoch: client.prepare(BEGIN_EPOCH).await?,
            record: client.prepare(RECORD).await?,
            look: client.prepare(LOOK).await?,
            take: client.prepare(TAKE).await?,
            give_back: client.prepare(GIVE_BACK).await?,
            enter: client.prepare(ENTER).await?,
            leave: client.prepare(LEAVE).await?,
            put: client.prepare(PUT).await?,
            outstanding: client.prepare(OUTSTANDING).await?,
            exchange: client.prepare(EXCHANGE).await?,
            end: client.prepare(END).await?,
            remember: client.prepare(REMEMBER).await?,
            recent: client.prepare(RECENT).await?,
            prune: client.prepare(PRUNE).await?,
            time: client.prepare(TIME).await?,
        })
    }
}
