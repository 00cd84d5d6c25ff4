//! The tables, and how a database of an earlier version becomes one of this version.
//!
//! Migrations only go forward, and one that was released never changes: its checksum is kept in
//! the database and compared whenever it is opened.

use countersign_protocol::{UnixTime, digest::sha256};
use rusqlite::{Connection, TransactionBehavior};

mod mistakable_names;
mod passkey_hashes;
mod unused_accounts;

/// Marks the file as ours in its header: `CSGN`.
pub(super) const APPLICATION_ID: i32 = 0x4353_474e;

/// The version of the schema that this program writes.
pub(super) const VERSION: u32 = 33;

/// The first version that has the table `native_keys`.
pub(super) const WITH_NATIVE_KEYS: u32 = 15;

/// The migration at index `n` leads from version `n` to version `n + 1`.
const MIGRATIONS: [Migration; VERSION as usize] = [
    Migration::new("0001_foundation", include_str!("../../migrations/0001_foundation.sql")),
    Migration::new("0002_dialects", include_str!("../../migrations/0002_dialects.sql")),
    Migration::new("0003_revocations", include_str!("../../migrations/0003_revocations.sql")),
    Migration::new("0004_logins", include_str!("../../migrations/0004_logins.sql")),
    Migration::new("0005_names", include_str!("../../migrations/0005_names.sql"))
        .and_then(mistakable_names::rename),
    Migration::new("0006_claims", include_str!("../../migrations/0006_claims.sql")),
    Migration::new("0007_audit_budgets", include_str!("../../migrations/0007_audit_budgets.sql")),
    Migration::new(
        "0008_unused_accounts",
        include_str!("../../migrations/0008_unused_accounts.sql"),
    )
    .and_then(unused_accounts::mark),
    Migration::new("0009_installation", include_str!("../../migrations/0009_installation.sql")),
    Migration::new("0010_added_by", include_str!("../../migrations/0010_added_by.sql")),
    Migration::new(
        "0011_revocation_feed",
        include_str!("../../migrations/0011_revocation_feed.sql"),
    ),
    Migration::new("0012_serving", include_str!("../../migrations/0012_serving.sql")),
    Migration::new("0013_recoveries", include_str!("../../migrations/0013_recoveries.sql")),
    Migration::new("0014_actors", include_str!("../../migrations/0014_actors.sql")),
    Migration::new("0015_native_keys", include_str!("../../migrations/0015_native_keys.sql")),
    Migration::new("0016_ended_tokens", include_str!("../../migrations/0016_ended_tokens.sql")),
    Migration::new("0017_forgotten", include_str!("../../migrations/0017_forgotten.sql")),
    Migration::new(
        "0018_credential_kinds",
        include_str!("../../migrations/0018_credential_kinds.sql"),
    ),
    Migration::new("0019_issuer", include_str!("../../migrations/0019_issuer.sql")),
    Migration::new("0020_passkeys", include_str!("../../migrations/0020_passkeys.sql")),
    Migration::new("0021_mutual_keys", include_str!("../../migrations/0021_mutual_keys.sql")),
    Migration::new(
        "0022_passkeys_by_hash",
        include_str!("../../migrations/0022_passkeys_by_hash.sql"),
    )
    .and_then(passkey_hashes::take_over),
    Migration::new(
        "0023_online_keyrings",
        include_str!("../../migrations/0023_online_keyrings.sql"),
    ),
    Migration::new(
        "0024_keyring_history",
        include_str!("../../migrations/0024_keyring_history.sql"),
    ),
    Migration::new("0025_keyring_bytes", include_str!("../../migrations/0025_keyring_bytes.sql")),
    Migration::new(
        "0026_unvouched_passkeys",
        include_str!("../../migrations/0026_unvouched_passkeys.sql"),
    ),
    Migration::new(
        "0027_keyring_bytes_by_day",
        include_str!("../../migrations/0027_keyring_bytes_by_day.sql"),
    ),
    Migration::new("0028_audit_facts", include_str!("../../migrations/0028_audit_facts.sql")),
    Migration::new("0029_events_by_kind", include_str!("../../migrations/0029_events_by_kind.sql")),
    Migration::new(
        "0030_signing_key_version",
        include_str!("../../migrations/0030_signing_key_version.sql"),
    ),
    Migration::new(
        "0031_revocations_in_order",
        include_str!("../../migrations/0031_revocations_in_order.sql"),
    ),
    Migration::new("0032_vault_roots", include_str!("../../migrations/0032_vault_roots.sql")),
    Migration::new(
        "0033_passkeys_by_relying_party",
        include_str!("../../migrations/0033_passkeys_by_relying_party.sql"),
    ),
];

struct Migration {
    name: &'static str,
    sql: &'static str,
    /// The part of a migration that SQL cannot do, on the rows that exist.
    rows: Option<ChangeRows>,
}

type ChangeRows = fn(&Connection, UnixTime) -> rusqlite::Result<()>;

impl Migration {
    const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql, rows: None }
    }

    const fn and_then(self, rows: ChangeRows) -> Self {
        Self { rows: Some(rows), ..self }
    }
}

/// Whose database a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nobody's: it is empty.
    Empty,
    /// Ours, with the schema of that version.
    Ours(u32),
    /// Another program's.
    Foreign,
}

/// Finds out whose database it is, without changing anything.
pub(super) fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let count = "SELECT count(*) FROM sqlite_schema";
    let objects: i64 = connection.query_row(count, [], |row| row.get(0))?;
    Ok(match (application, u32::try_from(version)) {
        (APPLICATION_ID, Ok(version)) if version > 0 => Identity::Ours(version),
        (0, Ok(0)) if objects == 0 => Identity::Empty,
        _ => Identity::Foreign,
    })
}

/// Applies the migrations that are missing, all in one transaction. What they write down happened
/// at `now`.
pub(super) fn upgrade(connection: &mut Connection, now: UnixTime) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated the database while this one waited for the transaction.
    let version: usize =
        transaction.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0))? as usize;
    let create = "CREATE TABLE IF NOT EXISTS migrations(
        version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT";
    transaction.execute(create, [])?;
    for (migration, number) in MIGRATIONS.iter().zip(1..).skip(version) {
        transaction.execute_batch(migration.sql)?;
        if let Some(change_rows) = migration.rows {
            change_rows(&transaction, now)?;
        }
        let insert = "INSERT INTO migrations(version, name, checksum) VALUES (?, ?, ?)";
        transaction.execute(insert, (number, migration.name, checksum(migration)))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// The first migration up to `version` that was not applied as this program knows it, if any.
pub(super) fn altered(
    connection: &Connection,
    version: u32,
) -> rusqlite::Result<Option<&'static str>> {
    let select = "SELECT checksum FROM migrations WHERE version = ?";
    let mut statement = connection.prepare(select)?;
    for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
        let mut rows = statement.query([number])?;
        let same = match rows.next()? {
            Some(row) => row.get_ref(0)?.as_blob().is_ok_and(|sum| sum == checksum(migration)),
            None => false,
        };
        if !same {
            return Ok(Some(migration.name));
        }
    }
    Ok(None)
}

fn checksum(migration: &Migration) -> [u8; 32] {
    sha256(&[migration.sql.as_bytes()])
}

#[cfg(test)]
mod tests {
    use countersign_authority::model::audit::{AuditEvent, EventKind, Facts, Reason};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    /// A database as a program of that version left it.
    fn of_version(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let create = "CREATE TABLE migrations(
            version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT";
        connection.execute(create, []).unwrap();
        for (migration, number) in MIGRATIONS.iter().zip(1..=version) {
            connection.execute_batch(migration.sql).unwrap();
            let insert = "INSERT INTO migrations(version, name, checksum) VALUES (?, ?, ?)";
            connection.execute(insert, (number, migration.name, checksum(migration))).unwrap();
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    #[test]
    fn the_last_login_outlives_the_column_that_said_it_twice() {
        let mut connection = of_version(3);
        let account = "INSERT INTO users VALUES (7, 'alice', '!', NULL, '2023-11-14 22:13:20',
                '2024-01-31 08:00:00');
            INSERT INTO accounts VALUES (7, x'07', 'alice', 'active', '', 1, 1706688000123, NULL)";
        connection.execute_batch(account).unwrap();
        upgrade(&mut connection, NOW).unwrap();
        assert_eq!(identify(&connection), Ok(Identity::Ours(VERSION)));
        assert_eq!(altered(&connection, VERSION), Ok(None));
        assert!(connection.prepare("SELECT last_login_at FROM accounts").is_err());
        let select = "SELECT last_login FROM users JOIN accounts ON user_id = id";
        let last_login = connection.query_row(select, [], |row| row.get::<_, String>(0));
        assert_eq!(last_login.as_deref(), Ok("2024-01-31 08:00:00"));
    }

    #[test]
    fn names_that_look_like_identifiers_are_changed_and_the_trail_says_so() {
        let fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let bare_id = "0123456789ab70008000000000000000";
        let other_spelling = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt";
        let mut connection = of_version(4);
        // The first account's new name is already taken, by somebody who foresaw it.
        let names = [fingerprint, bare_id, other_spelling, "alice", "renamed-1"];
        for (id, name) in (1..).zip(names) {
            let user = "INSERT INTO users VALUES (?, ?, '!', NULL, '2023-11-14 22:13:20', NULL)";
            connection.execute(user, (id, name)).unwrap();
            let account = "INSERT INTO accounts(user_id, account_id, username_folded, status,
                scopes, registered_at) VALUES (?, ?, ?, 'active', '', 1)";
            let folded = name.to_ascii_lowercase();
            connection.execute(account, (id, [u8::try_from(id).unwrap()], folded)).unwrap();
        }
        upgrade(&mut connection, NOW).unwrap();
        let all = |select: &str| {
            let mut statement = connection.prepare(select).unwrap();
            let texts = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            texts.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let expected = ["renamed-1-2", "renamed-2", "renamed-3", "alice", "renamed-1"];
        assert_eq!(all("SELECT username FROM users ORDER BY id"), expected);
        assert_eq!(all("SELECT username_folded FROM accounts ORDER BY user_id"), expected);
        let events = all("SELECT kind || ' ' || at || ' ' || hex(account_id) || ' ' || detail
            FROM audit_events ORDER BY id");
        assert_eq!(events.len(), 3);
        assert_eq!(
            events[0],
            format!(
                "account.renamed 1700000000000 01 {fingerprint} is renamed-1-2 now: the old name \
                 looks like an identifier"
            )
        );
    }

    #[test]
    fn what_pages_warn_of_has_its_reason_after_an_upgrade() {
        let mut connection = of_version(25);
        let rows = "INSERT INTO audit_events(at, kind, detail) VALUES
            (1, 'token.refused', 'the token is bound to another key'),
            (2, 'token.refused', 'the token has been revoked'),
            (3, 'login.refused', 'the key is revoked'),
            (4, 'login.refused', 'something else'),
            (5, 'key.renamed', 'the key is revoked')";
        connection.execute_batch(rows).unwrap();
        upgrade(&mut connection, NOW).unwrap();
        let mut statement =
            connection.prepare("SELECT facts FROM audit_events ORDER BY at").unwrap();
        let facts = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        let found = facts.map(|facts| facts.unwrap().map(|text| text.parse::<Facts>().unwrap()));
        let event = |reason| AuditEvent::new(NOW, EventKind::LoginRefused).because(reason).facts;
        let reasons =
            [Reason::OtherKey, Reason::TokenEnded, Reason::KeyRevoked].map(event).map(Some);
        assert_eq!(found.collect::<Vec<_>>(), [&reasons[..], &[None, None]].concat());
    }

    #[test]
    fn unproven_keys_become_claims_and_a_revoked_one_blocks_nobody() {
        let mut connection = of_version(4);
        let rows = "INSERT INTO users VALUES (7, 'mallory', '!', NULL, '2023-11-14 22:13:20', NULL);
            INSERT INTO accounts VALUES (7, x'07', 'mallory', 'active', '', 1, NULL);
            INSERT INTO credentials VALUES (x'01', 7, x'0a', 'EdDSA', 'a', 1, NULL, NULL);
            INSERT INTO credentials VALUES (x'02', 7, x'0b', 'EdDSA', 'b', 2, NULL, 3);
            INSERT INTO credentials VALUES (x'03', 7, x'0c', 'EdDSA', 'c', 4, 5, NULL);
            INSERT INTO unproven_keys VALUES (x'01'), (x'02');
            INSERT INTO account_aliases VALUES ('aa', 7, x'01'), ('bb', 7, x'02'), ('cc', 7, x'03')";
        connection.execute_batch(rows).unwrap();
        upgrade(&mut connection, NOW).unwrap();
        let texts = |select: &str| {
            let mut statement = connection.prepare(select).unwrap();
            let all = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            all.collect::<Result<Vec<_>, _>>().unwrap()
        };
        assert_eq!(texts("SELECT label FROM claimed_keys"), ["a"]);
        assert_eq!(texts("SELECT label FROM credentials"), ["c"]);
        assert_eq!(texts("SELECT alias FROM account_aliases ORDER BY alias"), ["aa", "cc"]);
        let tables = "SELECT name FROM sqlite_schema WHERE name LIKE '%unproven%'";
        assert_eq!(texts(tables), Vec::<String>::new());
        assert_eq!(altered(&connection, VERSION), Ok(None));
    }

    #[test]
    fn of_what_was_revoked_long_since_the_thumbprint_stays() {
        let mut connection = of_version(4);
        let rows = "INSERT INTO users VALUES (7, 'alice', '!', NULL, '2023-11-14 22:13:20', NULL);
            INSERT INTO accounts VALUES (7, x'07', 'alice', 'active', '', 1, NULL);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
            INSERT INTO credentials SELECT CAST(i AS BLOB), 7, x'0a', 'EdDSA', i, i, NULL,
                CASE WHEN i > 1 THEN i END FROM n";
        connection.execute_batch(rows).unwrap();
        upgrade(&mut connection, NOW).unwrap();
        let count = |select| connection.query_row(select, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM credentials WHERE revoked_at IS NULL"), 1);
        assert_eq!(count("SELECT min(revoked_at) FROM credentials"), 69);
        assert_eq!(count("SELECT count(*) FROM revoked_thumbprints"), 67);
        assert_eq!(count("SELECT max(revoked_at) FROM revoked_thumbprints"), 68);
    }

    #[test]
    fn passkeys_are_found_by_the_hash_of_their_id_and_every_kind_of_key_stays_what_it_was() {
        let mut connection = of_version(20);
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        let rows = "INSERT INTO users VALUES (7, 'alice', '!', NULL, '2023-11-14 22:13:20', NULL);
            INSERT INTO accounts(user_id, account_id, username_folded, status, scopes, registered_at)
                VALUES (7, x'07', 'alice', 'active', '', 1);
            INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label, created_at, kind) VALUES
                (x'01', 7, x'0a', 'EdDSA', 'a', 1, 'key'), (x'02', 7, x'0b', 'EdDSA', 'b', 2, 'browser'),
                (x'03', 7, x'0c', 'EdDSA', 'c', 3, 'passkey');
            INSERT INTO key_places VALUES (x'02', '192.0.2.1', 5);
            INSERT INTO claimed_keys VALUES (7, x'04', x'0d', 'EdDSA', 'd', 4);
            INSERT INTO passkeys VALUES (x'abcd', x'03', 'example.com', x'09', 5, 1, 0, x'0f', 'usb')";
        connection.execute_batch(rows).unwrap();
        upgrade(&mut connection, NOW).unwrap();
        let text =
            |select: &str| connection.query_row(select, [], |row| row.get::<_, String>(0)).unwrap();
        let kinds = "SELECT group_concat(label || kind ORDER BY label) FROM credentials";
        assert_eq!(text(kinds), "akey,bbrowser,cpasskey");
        assert_eq!(text("SELECT kind FROM claimed_keys"), "key");
        assert_eq!(text("SELECT network FROM key_places"), "192.0.2.1");
        let passkey =
            "SELECT hex(id_hash) || hex(credential_id) || hex(thumbprint) || rp_id || sign_count
            || backup_eligible || backed_up || transports FROM passkeys";
        let hash = sha256(&[&[0xab, 0xcd]]).into_iter().map(|byte| format!("{byte:02X}"));
        assert_eq!(text(passkey), hash.collect::<String>() + "ABCD03example.com510usb");
        assert_eq!(altered(&connection, VERSION), Ok(None));
        // A credential still takes its passkey along.
        connection.execute("DELETE FROM credentials WHERE thumbprint = x'03'", []).unwrap();
        assert_eq!(text("SELECT count(*) || '' FROM passkeys"), "0");
        let mutual = "UPDATE credentials SET kind = 'mutual' WHERE thumbprint = x'01'";
        assert_eq!(connection.execute(mutual, []), Ok(1));
        assert!(connection.execute("UPDATE credentials SET kind = 'other'", []).is_err());
    }

    #[test]
    fn keys_of_access_tokens_leave_the_table_that_other_programs_read() {
        const HOUR: i64 = 3_600_000;
        let mut connection = of_version(14);
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        let keys =
            [("ES256", 31 * 24), ("RS256", 1), ("RS256", 31 * 24), ("EdDSA", 1), ("RS256", 1)];
        for ((algorithm, hours), kid) in keys.into_iter().zip(1_u8..) {
            let key = "INSERT INTO keys(kid, key, exp, iv) VALUES (?, x'01', 9, x'02')";
            connection.execute(key, [kid]).unwrap();
            let described = "INSERT INTO signing_keys VALUES (?, ?, ?, 0, 0, 0, ?)";
            let values = (kid, [kid; 32], algorithm, hours * HOUR);
            connection.execute(described, values).unwrap();
        }
        upgrade(&mut connection, NOW).unwrap();
        let rows = |select: &str| -> Vec<u8> {
            let mut statement = connection.prepare(select).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        };
        assert_eq!(rows("SELECT kid FROM keys ORDER BY kid"), [2, 5]);
        assert_eq!(rows("SELECT kid FROM signing_keys ORDER BY kid"), [2, 5]);
        let mut statement =
            connection.prepare("SELECT thumbprint FROM native_keys ORDER BY id").unwrap();
        let moved = statement.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap();
        let moved: Vec<_> = moved.map(|thumbprint| thumbprint.unwrap()[0]).collect();
        assert_eq!(moved, [1, 3, 4]);
    }
}
