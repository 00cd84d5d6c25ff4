//! The tables that other programs read.

use countersign_authority::ports::{CredentialStore, SigningKeyChange, SigningKeyStore};
use countersign_testkit::samples;

use super::*;

/// Name, type, whether null is refused, default, place in the primary key.
type Column = (String, String, bool, Option<String>, i64);

fn columns(connection: &Connection, table: &str) -> Vec<Column> {
    let mut statement = connection.prepare(&format!("PRAGMA table_info({table})")).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    };
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

fn column(name: &str, kind: &str, not_null: bool, default: Option<&str>, key: i64) -> Column {
    (name.to_owned(), kind.to_owned(), not_null, default.map(str::to_owned), key)
}

#[tokio::test]
async fn the_public_tables_have_their_exact_shape() {
    let fixture = Fixture::new();
    let reader = fixture.other_program();
    assert_eq!(
        columns(&reader, "keys"),
        [
            column("kid", "INTEGER", false, None, 1),
            column("key", "BLOB", true, None, 0),
            column("exp", "INTEGER", true, None, 0),
            column("iv", "BLOB", true, None, 0),
        ]
    );
    assert_eq!(
        columns(&reader, "users"),
        [
            column("id", "INTEGER", false, None, 1),
            column("username", "TEXT", true, None, 0),
            column("password_hash", "TEXT", true, None, 0),
            column("email", "TEXT", false, None, 0),
            column("date_registered", "TIMESTAMP", false, Some("CURRENT_TIMESTAMP"), 0),
            column("last_login", "TIMESTAMP", false, None, 0),
        ]
    );
}

#[tokio::test]
async fn other_programs_read_accounts_and_keys_while_the_store_is_open() {
    let fixture = Fixture::new();
    let alice = samples::new_account(1, "Alice");
    fixture.create(alice.clone()).await;
    fixture.create(samples::new_account(2, "bob")).await;
    let _receipt = fixture.store.record_login(samples::login(&alice, 1)).await.unwrap();
    let key = samples::signing_key(2);
    // The first is for access tokens: those are no business of other programs.
    let keys = &[samples::signing_key(1), key.clone()];
    let change = SigningKeyChange { put: keys.to_vec(), ..SigningKeyChange::default() };
    fixture.store.change_signing_keys(change).await.unwrap();

    let reader = fixture.other_program();
    let select = "SELECT username, password_hash, email, date_registered, last_login
        FROM users ORDER BY id";
    let mut statement = reader.prepare(select).unwrap();
    let texts = |row: &rusqlite::Row<'_>| (0..5).map(|column| row.get(column)).collect();
    let users: Vec<Vec<Option<String>>> =
        statement.query_map([], texts).unwrap().collect::<Result<_, _>>().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let registered = text("2023-11-14 22:13:20");
    let login = text("2023-11-14 22:14:20");
    assert_eq!(users[0], [text("Alice"), text("!"), None, registered.clone(), login]);
    assert_eq!(users[1], [text("bob"), text("!"), None, registered, None]);

    let select = "SELECT kid, key, exp, iv FROM keys";
    let row: (i64, Vec<u8>, u64, [u8; 12]) = reader
        .query_row(select, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs(), row.get(3)?))
        })
        .unwrap();
    assert_eq!(row, (1, key.ciphertext, key.life.expires_at.as_secs(), key.nonce));
}

#[tokio::test]
async fn what_hot_paths_ask_is_found_by_index() {
    let fixture = Fixture::new();
    for query in [
        "SELECT 1 FROM accounts WHERE account_id = ?",
        "SELECT 1 FROM accounts WHERE username_folded = ?",
        "SELECT 1 FROM accounts WHERE username_folded > ? ORDER BY username_folded LIMIT 9",
        "SELECT 1 FROM credentials WHERE thumbprint = ?",
        "SELECT count(*) FROM credentials WHERE user_id = ? AND revoked_at IS NULL",
        "SELECT 1 FROM invitations WHERE code_hash = ?",
        "SELECT code_hash FROM invitations ORDER BY created_at DESC LIMIT 9",
        "SELECT code_hash FROM invitations WHERE expires_at <= ? LIMIT 9",
        "SELECT jti FROM revoked_tokens WHERE expires_at <= ? LIMIT 9",
        "SELECT account_id FROM ended_tokens WHERE expires_at <= ? LIMIT 9",
        "SELECT 1 FROM ended_tokens WHERE account_id = ? AND issued_at >= ?",
        "SELECT digest FROM used_assertions WHERE digest > ? AND forget_at <= ?
            ORDER BY digest LIMIT 9",
        "SELECT jti FROM revoked_tokens WHERE expires_at > ? ORDER BY expires_at DESC LIMIT 9",
        "SELECT jti FROM revoked_tokens INDEXED BY revoked_tokens_by_sequence
            WHERE sequence > ? AND expires_at > ?",
        "SELECT account_id FROM ended_tokens WHERE sequence > ? AND expires_at > ?",
        "SELECT thumbprint, revoked_at, user_id FROM credentials WHERE revoked_at > ?1
            UNION ALL SELECT thumbprint, revoked_at, user_id FROM revoked_thumbprints
            WHERE revoked_at > ?1",
        "SELECT account_id FROM accounts WHERE disabled_at > ? ORDER BY disabled_at DESC LIMIT 9",
        "SELECT user_id FROM accounts WHERE unused_since <= ? ORDER BY unused_since LIMIT 9",
        "SELECT p.rp_id FROM passkeys AS p JOIN credentials AS c ON c.thumbprint = p.thumbprint
            WHERE c.revoked_at IS NULL AND p.rp_id > ? LIMIT 1",
        "SELECT kid FROM signing_keys WHERE thumbprint = ?",
        "SELECT id FROM audit_events WHERE account_id = ? ORDER BY id DESC LIMIT 9",
        "SELECT id FROM audit_events WHERE account_id = ? AND id < ? ORDER BY id DESC LIMIT 9",
        "SELECT id FROM audit_events WHERE kind = ? AND account_id IS ? AND fold IS NOT NULL
            ORDER BY id LIMIT 9",
        "SELECT kind, account_id, count(*) FROM audit_events WHERE kind IN ('a', 'b')
            AND fold IS NOT NULL GROUP BY kind, account_id",
    ] {
        let plan = plan(&fixture.store, query).await;
        let bad = |step: &String| {
            (step.starts_with("SCAN") && !step.contains("USING")) || step.contains("TEMP B-TREE")
        };
        assert!(!plan.iter().any(bad), "{query}: {plan:?}");
    }
}

/// The steps in which the store's own connection would answer `query`.
async fn plan(store: &SqliteStore, query: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {query}");
    let (job, result) = super::super::job::new(move |connection: &Connection| {
        let mut statement = connection.prepare(&explain).map_err(DbError::from)?;
        let values = rusqlite::params_from_iter(vec![1; statement.parameter_count()]);
        let steps = statement.query_map(values, |row| row.get(3)).map_err(DbError::from)?;
        Ok::<_, StoreError>(steps.collect::<Result<_, _>>().map_err(DbError::from)?)
    });
    store.readers.few_rows.submit(job).unwrap();
    result.await.unwrap()
}
