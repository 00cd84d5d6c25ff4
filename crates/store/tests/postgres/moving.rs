//! A house moves from a file into a database, with everything in it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use countersign_authority::{
    model::audit::{AuditFilter, EventKind},
    ports::{AccountStore as _, AuditStore as _, StoreUpkeep as _},
};
use countersign_store::{
    postgres::{MoveError, PostgresStore},
    sqlite::{SqliteOptions, SqliteStore},
};
use countersign_testkit::{
    samples::{self, new_account},
    store_conformance::{self, Backend, Stores},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::databases::{Database, few};

/// A house in a file.
struct House {
    directory: TempDir,
    database: Database,
    has_moved: AtomicBool,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::empty().await;
        Self { directory, database, has_moved: AtomicBool::new(true) }
    }

    fn in_file(&self) -> SqliteStore {
        let path = self.directory.path().join("countersign.db");
        SqliteStore::open(&path, &SqliteOptions::default()).unwrap()
    }

    /// The file, for rows of every kind.
    fn file(&self) -> Connection {
        drop(self.in_file());
        Connection::open(self.directory.path().join("countersign.db")).unwrap()
    }

    fn move_out(&self) -> Result<PostgresStore, MoveError> {
        self.in_file().move_to(&self.database.url(""), &few())?;
        Ok(self.database.open())
    }
}

/// Whoever opens it for the second time finds it moved.
impl Backend for House {
    async fn open(&self) -> Stores {
        if self.has_moved.swap(false, Relaxed) {
            return Stores::of(self.in_file());
        }
        Stores::of(self.move_out().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_after_reopening_is_there_after_a_move() {
    store_conformance::accounts::reopening_keeps_accounts_keys_and_events(&House::new().await)
        .await;
    store_conformance::signing_keys::reopening_keeps_signing_keys(&House::new().await).await;
    store_conformance::logins::an_assertion_stays_used_after_reopening(&House::new().await).await;
    store_conformance::keyrings::a_keyring_comes_back_as_it_was(&House::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_moves_with_rows_of_every_kind() {
    let house = House::new().await;
    let file = house.file();
    let tables: Vec<String> = names(&file, "SELECT name FROM sqlite_schema WHERE type = 'table'");
    let of_the_file = ["migrations", "sqlite_sequence", "health", "serving"];
    file.pragma_update(None, "foreign_keys", false).unwrap();
    for table in tables.iter().filter(|table| !of_the_file.contains(&table.as_str())) {
        fill(&file, table);
    }
    drop(file);
    let moved = house.in_file().move_to(&house.database.url(""), &few()).unwrap();
    let mut names: Vec<_> = moved.iter().map(|table| table.name).chain(of_the_file).collect();
    let mut expected = tables.clone();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "each table moves, or is told why not");
    assert!(moved.iter().all(|table| table.rows > 0), "{moved:?}");

    let client = house.database.client().await;
    let select = "SELECT username, last_login::text, username_folded FROM users
        JOIN accounts ON user_id = id";
    let row = client.query_one(select, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "a\\b\tc\nd");
    assert_eq!(row.get::<_, &str>(1), "2023-11-14 22:13:20");
    let row = client.query_one("SELECT ciphertext FROM keyrings", &[]).await.unwrap();
    assert_eq!(row.get::<_, &[u8]>(0), [0, 0x5c, 0xff]);
    let triggers = "SELECT count(*), count(*) FILTER (WHERE tgenabled = 'A') FROM pg_trigger
        WHERE NOT tgisinternal";
    let row = client.query_one(triggers, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (14, 14));
}

/// Gives the table a row.
fn fill(file: &Connection, table: &str) {
    if !names(file, &format!("SELECT 'there' FROM {table}")).is_empty() {
        return;
    }
    let columns =
        names(file, &format!("SELECT name || ' ' || type FROM pragma_table_info('{table}')"));
    let value = |column: &String| {
        let (name, kind) = column.split_once(' ').unwrap();
        match (table, name, kind) {
            ("credentials" | "claimed_keys", "kind", _) => "'key'",
            ("invitations", "purpose", _) => "'register'",
            ("keyring_slots", "kind", _) => "'password'",
            ("keyring_slots", "passkey" | "salt", _) => "NULL",
            (_, _, "TIMESTAMP") => "'2023-11-14 22:13:20'",
            (_, _, "INTEGER") => "1",
            (_, _, "TEXT") => "'a\\b' || char(9) || 'c' || char(10) || 'd'",
            (_, _, "BLOB") => "x'005cff'",
            other => panic!("{other:?}"),
        }
    };
    let values: Vec<_> = columns.iter().map(value).collect();
    file.execute(&format!("INSERT INTO {table} VALUES ({})", values.join(", ")), []).unwrap();
}

fn names(file: &Connection, select: &str) -> Vec<String> {
    let mut statement = file.prepare(select).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_counts_go_on_where_they_were() {
    let house = House::new().await;
    let file = house.in_file();
    file.create_account(new_account(1, "alice")).await.unwrap();
    let event = || samples::event(EventKind::TokenRevoked);
    file.append(vec![event()]).await.unwrap();
    let last = file.events(&AuditFilter::default(), 1).await.unwrap()[0].id;
    drop(file);
    house.file().execute("DELETE FROM audit_events WHERE id = ?", [last.cast_signed()]).unwrap();
    let store = house.move_out().unwrap();
    store.create_account(new_account(2, "bob")).await.unwrap();
    store.append(vec![event()]).await.unwrap();
    assert!(store.events(&AuditFilter::default(), 1).await.unwrap()[0].id > last);
    assert_eq!(store.accounts(None, 9).await.unwrap().len(), 2);
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_moves_into_an_empty_database_alone() {
    let house = House::new().await;
    house.in_file().create_account(new_account(1, "alice")).await.unwrap();
    let store = house.move_out().unwrap();
    drop(store);
    assert!(matches!(house.move_out().map(drop), Err(MoveError::NotEmpty)));
    assert_eq!(house.database.open().accounts(None, 9).await.unwrap().len(), 1);
}

/// So a server speaks that has stopped waiting for its standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_commit_was_warned_of_is_not_acknowledged() {
    let house = House::new().await;
    drop(house.file());
    let client = house.database.client().await;
    // Whoever alters a table is warned of it at the commit.
    let warn = format!(
        "ALTER DATABASE {} SET client_min_messages = error;
        CREATE SCHEMA beside;
        CREATE TABLE beside.altered(id BIGINT);
        CREATE FUNCTION beside.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO beside.altered VALUES (1);
        END $$;
        CREATE FUNCTION beside.warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE WARNING 'canceling the wait'; RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON beside.altered DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION beside.warn();
        CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
            EXECUTE FUNCTION beside.note()",
        house.database.name()
    );
    client.batch_execute(&warn).await.unwrap();
    let moved = house.move_out().map(drop);
    assert!(matches!(moved, Err(MoveError::Unsure)), "{moved:?}");
}
