//! The same accounts in PostgreSQL, copied into the tables that the product made there.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use countersign_protocol::digest::sha256;
use tokio_postgres::{
    Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use super::{REGISTERED, Usable, account_id, name, unusable_key};
use crate::{bench::Bench, product::new_database};

/// The relying party of passkeys at the origin of the benchmarks.
const RP_ID: &str = "localhost";

/// The URL of a database with `accounts` accounts of one Ed25519 key each, of which every second one has a passkey
/// too.
///
/// It stays on the server between runs, under a name that says which tables it has. What the runs write is
/// little beside it.
pub(crate) fn database(bench: &Bench, accounts: u32) -> anyhow::Result<String> {
    let postgres = bench.postgres()?;
    new_database(bench, "seed")?;
    // Of the migration that was made last.
    let tables = postgres.with("bench_seed", async |client| {
        let select = "SELECT encode(substring(checksum FROM 1 FOR 6), 'hex') FROM schema_migrations
            ORDER BY version DESC LIMIT 1";
        Ok(client.query_one(select, &[]).await?.try_get::<_, String>(0)?)
    })?;
    let kept = format!("bench_accounts_{accounts}_{tables}");
    let is_there = postgres.with("postgres", async |client| {
        let select = "SELECT 1 FROM pg_database WHERE datname = $1";
        Ok(client.query_opt(select, &[&kept]).await?.is_some())
    })?;
    if !is_there {
        bench.say(&format!("copying {accounts} accounts into PostgreSQL, once"));
        bench.cores.leave()?;
        let usable = Usable::new(bench, accounts)?;
        postgres.with("bench_seed", async |client| {
            let transaction = client.transaction().await?;
            fill(&transaction, accounts, &usable).await?;
            transaction.commit().await?;
            // As it is when it has grown slowly, so that nothing is left to do while something is measured.
            Ok(client.batch_execute("VACUUM (FREEZE, ANALYZE)").await?)
        })?;
        postgres.run(&["CHECKPOINT", &format!("ALTER DATABASE bench_seed RENAME TO {kept}")])?;
        bench.cores.enter_generator()?;
    }
    Ok(postgres.url(&kept))
}

async fn fill(transaction: &Transaction<'_>, accounts: u32, usable: &Usable) -> anyhow::Result<()> {
    // No server runs that could be told of each key, and what is referred to is there.
    transaction.batch_execute("SET LOCAL session_replication_role = replica").await?;
    let all = || (0..accounts).map(|number| (number, i64::from(number) + 1, name(number)));

    let registered = SystemTime::UNIX_EPOCH + Duration::from_millis(REGISTERED.0.try_into()?);
    let users = "users(id, username, password_hash, date_registered)";
    let mut users =
        Copying::begin(transaction, users, &[Type::INT8, Type::TEXT, Type::TEXT, Type::TIMESTAMP])
            .await?;
    for (_, id, name) in all() {
        users.row(&[&id, &name, &"!", &registered]).await?;
    }
    users.end().await?;

    let columns = "accounts(user_id, account_id, username_folded, status, scopes, registered_at)";
    let types = [Type::INT8, Type::BYTEA, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8];
    let mut copied = Copying::begin(transaction, columns, &types).await?;
    for (number, id, name) in all() {
        let row: [&(dyn ToSql + Sync); 6] =
            [&id, &&account_id(number)[..], &name, &"active", &"", &REGISTERED.0];
        copied.row(&row).await?;
    }
    copied.end().await?;

    let columns = "credentials(thumbprint, user_id, spki, algorithms, label, created_at, kind)";
    let (int, text, bytes) = (Type::INT8, Type::TEXT, Type::BYTEA);
    let types = [&bytes, &int, &bytes, &text, &text, &int, &text].map(Type::clone);
    let mut keys = Copying::begin(transaction, columns, &types).await?;
    for (number, id, _) in all() {
        let passkey = has_passkey(number).then(|| (unusable_key(number, 1), "passkey"));
        for ((thumbprint, spki), kind) in [(usable.first(number), "key")].into_iter().chain(passkey)
        {
            let thumbprint = &thumbprint.as_bytes()[..];
            let row: [&(dyn ToSql + Sync); 7] =
                [&thumbprint, &id, &spki, &"EdDSA", &"laptop", &REGISTERED.0, &kind];
            keys.row(&row).await?;
        }
    }
    keys.end().await?;

    let columns = "passkeys(id_hash, thumbprint, credential_id, rp_id, user_handle, sign_count,
        backup_eligible, backed_up, aaguid, transports)";
    let types = [&bytes, &bytes, &bytes, &text, &bytes, &int, &int, &int, &bytes, &text];
    let mut passkeys = Copying::begin(transaction, columns, &types.map(Type::clone)).await?;
    for number in (0..accounts).filter(|number| has_passkey(*number)) {
        let (thumbprint, _) = unusable_key(number, 1);
        let thumbprint = &thumbprint.as_bytes()[..];
        let handle = &account_id(number)[..];
        let id_hash = &sha256(&[handle])[..];
        let row: [&(dyn ToSql + Sync); 10] = [
            &id_hash,
            &thumbprint,
            &handle,
            &RP_ID,
            &thumbprint,
            &0_i64,
            &0_i64,
            &0_i64,
            &handle,
            &"internal",
        ];
        passkeys.row(&row).await?;
    }
    passkeys.end().await?;
    let next = "SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT max(id) FROM users))";
    transaction.batch_execute(next).await.context("the next account")
}

const fn has_passkey(number: u32) -> bool {
    number.is_multiple_of(2)
}

/// Rows on their way into a table.
struct Copying(Pin<Box<BinaryCopyInWriter>>);

impl Copying {
    async fn begin(
        transaction: &Transaction<'_>,
        columns: &str,
        types: &[Type],
    ) -> anyhow::Result<Self> {
        let copy = format!("COPY {columns} FROM STDIN (FORMAT binary)");
        let sink = transaction.copy_in(&copy).await?;
        Ok(Self(Box::pin(BinaryCopyInWriter::new(sink, types))))
    }

    async fn row(&mut self, values: &[&(dyn ToSql + Sync)]) -> anyhow::Result<()> {
        Ok(self.0.as_mut().write(values).await?)
    }

    async fn end(mut self) -> anyhow::Result<u64> {
        Ok(self.0.as_mut().finish().await?)
    }
}
