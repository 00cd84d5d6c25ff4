//! What requests, starts and housekeeping ask is found by indexes, however much there is.

use std::time::Duration;

use countersign_authority::{
    model::{
        account::AccountName,
        audit::{AuditFilter, EventKind},
    },
    ports::{
        AccountStore as _, AuditStore as _, CredentialStore as _, InvitationStore as _,
        PasskeyStore as _, Permit, SigningKeyStore as _, StoreUpkeep as _, VaultStore as _,
    },
};
use countersign_store::postgres::PostgresStore;
use countersign_testkit::samples::{self, NOW};

use tokio_postgres::Client;

use crate::databases::Database;

/// Rows of each table that grows with the number of accounts.
const ROWS: i64 = 1000;

/// As many rows as make a difference, with values that no test has.
const FILL: &str = "
    INSERT INTO users(id, username, password_hash)
        SELECT n, 'user' || n, '!' FROM generate_series(1000001, 1000000 + rows) AS n;
    INSERT INTO accounts(user_id, account_id, username_folded, status, scopes, registered_at)
        SELECT id, decode(md5(username), 'hex'), username, 'active', '', 1 FROM users WHERE id > 1000000;
    INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label, created_at, kind)
        SELECT sha256(account_id), user_id, account_id, 'EdDSA', 'laptop', 1, 'passkey' FROM accounts WHERE user_id > 1000000;
    INSERT INTO passkeys(id_hash, thumbprint, credential_id, rp_id, user_handle, sign_count, backup_eligible,
            backed_up, aaguid, transports)
        SELECT thumbprint, thumbprint, thumbprint, 'auth.example', thumbprint, 0, 0, 0, spki, '' FROM credentials WHERE user_id > 1000000;
    INSERT INTO key_places(thumbprint, network, left_at) SELECT thumbprint, '192.0.2.9', 1 FROM credentials WHERE user_id > 1000000;
    INSERT INTO claimed_keys(user_id, thumbprint, spki, algorithms, label, created_at)
        SELECT user_id, sha256(sha256(account_id)), account_id, 'EdDSA', 'laptop', 1 FROM accounts WHERE user_id > 1000000;
    INSERT INTO revoked_thumbprints(thumbprint, user_id, revoked_at)
        SELECT sha256(spki || spki), user_id, 1 FROM credentials WHERE user_id > 1000000;
    INSERT INTO used_assertions(digest, forget_at) SELECT thumbprint, 9000000000000 FROM credentials WHERE user_id > 1000000;
    INSERT INTO invitations(code_hash, scopes, created_at, expires_at)
        SELECT thumbprint, '', 1, 9000000000000 FROM credentials WHERE user_id > 1000000;
    INSERT INTO audit_events(at, kind, account_id, thumbprint)
        SELECT 1, 'login.succeeded', spki, thumbprint FROM credentials WHERE user_id > 1000000;
    TRUNCATE changes;
    ANALYZE;";

/// Ends all connections but this one. Those that have ended have told what they did.
async fn end_others(beside: &Client) {
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    beside.execute(end, &[]).await.unwrap();
}

/// How many rows were read of each table.
async fn rows_read(beside: &Client) -> Vec<(String, i64)> {
    let read = "SELECT t.relname::text, seq_tup_read + coalesce(sum(i.idx_tup_read), 0)::bigint
        FROM pg_stat_user_tables AS t LEFT JOIN pg_stat_user_indexes AS i USING (relid)
        GROUP BY t.relid, t.relname, seq_tup_read ORDER BY 2 DESC";
    let read = beside.query(read, &[]).await.unwrap();
    read.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn nothing_looks_through_a_table_that_grows_with_the_accounts() {
    let database = Database::fresh().await;
    let fill = FILL.replace("rows", &ROWS.to_string());
    database.client().await.batch_execute(&fill).await.unwrap();
    let beside = database.client().await;
    end_others(&beside).await;
    beside.execute("SELECT pg_stat_reset()", &[]).await.unwrap();
    // Of a table as small as these the planner would read all of it; now it does so only where it must.
    let index = format!("ALTER DATABASE {} SET enable_seqscan = off", database.name());
    beside.batch_execute(&index).await.unwrap();
    let store = database.open();
    requests(&store).await;
    start(&store).await;
    drop(store);
    end_others(&beside).await;
    let read = rows_read(&beside).await;
    let of = |table: &str| read.iter().find(|(name, _)| name == table).unwrap().1;
    assert!(of("credentials") > 0 && of("accounts") > 0, "nothing was counted: {read:?}");
    let looked_through: Vec<_> = read.iter().filter(|(_, rows)| *rows >= ROWS).collect();
    assert!(looked_through.is_empty(), "{looked_through:?}");
}

/// A plan serves for as long as its connection; what is planned while there is hardly anything must not look through
/// what comes later.
#[tokio::test]
async fn a_plan_of_an_empty_database_serves_a_full_one() {
    let database = Database::fresh().await;
    let store = database.open();
    let alice = samples::new_account(1, "alice");
    store.create_account(alice.clone()).await.unwrap();
    // More often than a server plans anew for the values at hand, on each of two connections.
    for number in 0..20 {
        drop(store.record_login(samples::login(&alice, number)).await.unwrap());
    }
    // Nobody counts the rows anew, as in the first minute of a server.
    let fill = FILL.replace("rows", &ROWS.to_string()).replace("ANALYZE;", "");
    let (filling, beside) = (database.client().await, database.client().await);
    filling.batch_execute(&fill).await.unwrap();
    let process: i32 = filling.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    beside.execute("SELECT pg_terminate_backend($1, 10000)", &[&process]).await.unwrap();
    beside.execute("SELECT pg_stat_reset()", &[]).await.unwrap();
    for number in 20..24 {
        drop(store.record_login(samples::login(&alice, number)).await.unwrap());
    }
    drop(store);
    end_others(&beside).await;
    let read = rows_read(&beside).await;
    let of_keys = read.iter().find(|(name, _)| name == "credentials").unwrap().1;
    assert!(of_keys > 0 && of_keys < ROWS, "{read:?}");
}

/// What registrations, logins, protected requests and an account's own pages ask.
async fn requests(store: &PostgresStore) {
    let alice = samples::new_account(1, "alice");
    let key = alice.credential.thumbprint();
    store.create_account(alice.clone()).await.unwrap();
    store.create_unproven_account(samples::new_account(2, "bob")).await.unwrap();
    for name in [AccountName::Id(alice.id), "alice".parse().unwrap()] {
        assert!(store.account(&name).await.unwrap().is_some());
    }
    store.credential(&key).await.unwrap();
    store.is_taken(&key).await.unwrap();
    store.live_credentials(alice.id).await.unwrap();
    store.credentials_of(alice.id).await.unwrap();
    store.passkeys_of(alice.id).await.unwrap();
    // By the rules, as its key has not been anywhere yet; then as most are; then from another network.
    for (number, address) in [(1, 1), (2, 1), (3, 2)] {
        let mut login = samples::login(&alice, number);
        login.event.address = Some(samples::address(address));
        drop(store.record_login(login).await.unwrap());
    }
    drop(store.spend_assertion(samples::replay_entry(4)).await);
    let used = samples::event(EventKind::KeyUsed).account(alice.id).key(key);
    store.note_uses(vec![used.from(samples::address(1))]).await.unwrap();
    store.append(vec![samples::event(EventKind::LoginRefused)]).await.unwrap();
    let filter = AuditFilter { account_id: Some(alice.id), ..AuditFilter::default() };
    store.events(&filter, 10).await.unwrap();
    store.invitation(&samples::invitation(9).code_hash).await.unwrap();
    let event = samples::event(EventKind::KeyRevoked).account(alice.id).key(key);
    store.revoke_credential(alice.id, &key, false, event, Permit::ADMINISTRATOR).await.unwrap();
}

/// What a start asks, and a server from time to time.
async fn start(store: &PostgresStore) {
    store.vault().await.unwrap();
    store.signing_keys().await.unwrap();
    let others = store.passkeys_of_others(Some(&"auth.example".parse().unwrap())).await;
    assert_eq!(others.unwrap(), None);
    store.changes(None).await.unwrap();
    store.check().await.unwrap();
    store.expire_unused(NOW, 10, NOW + Duration::from_hours(1)).await.unwrap();
}
