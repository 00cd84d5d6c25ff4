//! What may be where the database should be, and what the operator is told.

use std::{sync::Barrier, thread};

use countersign_authority::{
    model::audit::{Administrator, AuditFilter},
    ports::{
        AccountStore as _, AuditStore as _, Changes, CredentialStore as _, InvitationStore as _,
        StoreUpkeep as _,
    },
};
use countersign_store::postgres::{
    DatabaseUrl, PostgresError, PostgresOptions, PostgresStore, SchemaMode,
};
use countersign_testkit::samples::{self, NOW, new_account};

use crate::databases::{Database, few};

fn opening(database: &Database, mode: SchemaMode) -> Result<PostgresStore, PostgresError> {
    PostgresStore::open(&database.url(""), &PostgresOptions { mode, now: NOW, ..few() })
}

fn refusal(database: &Database, mode: SchemaMode) -> PostgresError {
    let error = opening(database, mode).map(drop).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[tokio::test]
async fn tables_are_made_by_whoever_is_told_to_and_by_nobody_else() {
    let database = Database::empty().await;
    for mode in [SchemaMode::Existing, SchemaMode::Upgrade] {
        assert!(matches!(refusal(&database, mode), PostgresError::Empty));
    }
    let store = opening(&database, SchemaMode::CreateOrUpgrade).unwrap();
    store.create_account(new_account(1, "alice")).await.unwrap();
    let installation = store.installation();
    for mode in [SchemaMode::Existing, SchemaMode::Upgrade, SchemaMode::CreateOrUpgrade] {
        let again = opening(&database, mode).unwrap();
        assert_eq!(again.installation(), installation);
        assert!(again.account(&"alice".parse().unwrap()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn of_many_that_make_the_tables_at_once_all_find_them() {
    let database = Database::empty().await;
    let (database, all) = (&database, Barrier::new(6));
    let installations: Vec<_> = thread::scope(|scope| {
        let open = || {
            all.wait();
            opening(database, SchemaMode::CreateOrUpgrade).unwrap().installation()
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(installations.iter().all(|one| *one == installations[0]));
}

#[tokio::test]
async fn the_tables_of_others_stay_as_they_are() {
    for sql in [
        "CREATE TABLE notes(id BIGINT)",
        "CREATE TABLE schema_version(number BIGINT)",
        "CREATE TABLE schema_version(id BIGINT, application TEXT, version BIGINT, runs_with_from BIGINT);
         INSERT INTO schema_version VALUES (1, 'another', 1, 1)",
    ] {
        let database = Database::empty().await;
        database.client().await.batch_execute(sql).await.unwrap();
        for mode in [SchemaMode::Existing, SchemaMode::CreateOrUpgrade] {
            assert!(matches!(refusal(&database, mode), PostgresError::Foreign), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_used_as_long_as_it_has_all_that_this_program_needs() {
    let database = Database::fresh().await;
    let client = database.client().await;
    client.batch_execute("UPDATE schema_version SET version = 2").await.unwrap();
    let store = opening(&database, SchemaMode::Existing).unwrap();
    store.create_account(new_account(1, "alice")).await.unwrap();
    client
        .batch_execute("UPDATE schema_version SET version = 3, runs_with_from = 2")
        .await
        .unwrap();
    for mode in [SchemaMode::Existing, SchemaMode::CreateOrUpgrade] {
        let refusal = refusal(&database, mode);
        let is_newer =
            matches!(refusal, PostgresError::NewerSchema { found: 3, least: 2, known: 1 });
        assert!(is_newer, "{refusal:?}");
    }
}

#[tokio::test]
async fn tables_of_another_program_of_the_same_version_are_refused() {
    let database = Database::fresh().await;
    let alter = "UPDATE schema_migrations SET checksum = '\\x00'";
    database.client().await.batch_execute(alter).await.unwrap();
    let refusal = refusal(&database, SchemaMode::Existing);
    assert!(matches!(refusal, PostgresError::AlteredMigration { .. }), "{refusal:?}");
}

#[tokio::test]
async fn whoever_changes_the_tables_does_it_alone_and_is_not_waited_for_for_ever() {
    let database = Database::empty().await;
    let client = database.client().await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(hashtext('countersign migrations'))";
    client.batch_execute(lock).await.unwrap();
    assert!(matches!(refusal(&database, SchemaMode::CreateOrUpgrade), PostgresError::Busy { .. }));
    client.batch_execute("ROLLBACK").await.unwrap();
    opening(&database, SchemaMode::CreateOrUpgrade).unwrap();
}

#[tokio::test]
async fn the_operator_is_told_what_is_wrong_with_the_place() {
    let database = Database::empty().await;
    let open = |url: &str| {
        let url: DatabaseUrl = url.parse().unwrap();
        PostgresStore::open(&url, &few()).map(drop).unwrap_err()
    };
    let address = database.address();
    let nobody = open("postgres://127.0.0.1:1/auth");
    assert!(matches!(nobody, PostgresError::CannotConnect { .. }), "{nobody:?}");
    assert!(nobody.to_string().starts_with("127.0.0.1:1: "), "{nobody}");
    let nothing = open(&format!("postgres://postgres@{address}/no_such_database"));
    assert!(matches!(nothing, PostgresError::NoSuchDatabase { .. }), "{nothing:?}");
    let stranger = open(&format!("postgres://stranger@{address}/postgres"));
    assert!(matches!(stranger, PostgresError::NotLetIn { .. }), "{stranger:?}");
    // The first server that takes writes is taken.
    let name = database.name();
    let second = open(&format!("postgres://postgres@127.0.0.1:1,{address}/{name}"));
    assert!(matches!(second, PostgresError::Empty), "{second:?}");
    let client = database.client().await;
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    client.batch_execute(&read_only).await.unwrap();
    let standby = refusal(&database, SchemaMode::Existing);
    assert!(matches!(standby, PostgresError::TakesNoWrites { .. }), "{standby:?}");
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused_unless_that_is_accepted() {
    let database = Database::fresh().await;
    let alter = format!("ALTER DATABASE {} SET synchronous_commit = off", database.name());
    database.client().await.batch_execute(&alter).await.unwrap();
    let refusal = refusal(&database, SchemaMode::Existing);
    assert!(matches!(refusal, PostgresError::Asynchronous { .. }), "{refusal:?}");
    database.open_as(&PostgresOptions { allow_asynchronous: true, ..few() });
}

#[tokio::test]
async fn defaults_that_change_what_statements_do_are_refused() {
    for setting in ["session_replication_role = replica", "search_path = public, pg_catalog"] {
        let database = Database::fresh().await;
        let alter = format!("ALTER DATABASE {} SET {setting}", database.name());
        database.client().await.batch_execute(&alter).await.unwrap();
        let refusal = refusal(&database, SchemaMode::Existing);
        assert!(matches!(refusal, PostgresError::Defaults { .. }), "{refusal:?}");
    }
}

/// Connections come and go, and those of later have other defaults than the one that was looked at.
#[tokio::test]
async fn defaults_of_later_do_not_count() {
    let database = Database::fresh().await;
    let (client, name) = (database.client().await, database.name());
    let open = |allow_asynchronous| {
        database.open_as(&PostgresOptions { allow_asynchronous, writers: 1, ..few() })
    };
    let (store, careless) = (open(false), open(true));
    let set = format!(
        "ALTER DATABASE {name} SET session_replication_role = replica;
        ALTER DATABASE {name} SET synchronous_commit = off;
        CREATE TABLE seen(waits TEXT);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL;
        END $$;
        CREATE TRIGGER see AFTER INSERT ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION see();
        ALTER TABLE audit_events ENABLE ALWAYS TRIGGER see"
    );
    client.batch_execute(&set).await.unwrap();
    let heard = store.changes(None).await.unwrap().cursor;
    let new = new_account(1, "alice");
    store.create_account(new.clone()).await.unwrap();
    store.record_login(samples::login(&new, 1)).await.unwrap();
    careless.create_account(new_account(2, "bob")).await.unwrap();
    let told = store.changes(Some(heard)).await.unwrap().changes;
    assert!(matches!(&told, Changes::These(changed) if changed.keys.len() == 2), "{told:?}");
    let seen = client.query("SELECT waits FROM seen", &[]).await.unwrap();
    let seen: Vec<String> = seen.iter().map(|row| row.get(0)).collect();
    assert_eq!(seen, ["on", "on", "off"]);
}

#[tokio::test]
async fn a_user_who_is_no_administrator_of_the_server_is_enough() {
    let database = Database::empty().await;
    let (client, name) = (database.client().await, database.name());
    let role = format!("role_of_{name}");
    let create = format!("CREATE ROLE {role} LOGIN; ALTER DATABASE {name} OWNER TO {role}");
    client.batch_execute(&create).await.unwrap();
    let url: DatabaseUrl =
        format!("postgres://{role}@{}/{name}", database.address()).parse().unwrap();
    let options = PostgresOptions { mode: SchemaMode::CreateOrUpgrade, now: NOW, ..few() };
    let store = PostgresStore::open(&url, &options).unwrap();
    store.create_account(new_account(1, "alice")).await.unwrap();
    store.changes(None).await.unwrap();
    store.check().await.unwrap();
    drop(store);
    let owner = format!("REASSIGN OWNED BY {role} TO postgres; DROP ROLE {role}");
    client.batch_execute(&owner).await.unwrap();
}

#[tokio::test]
async fn every_event_of_an_administrators_commands_names_them() {
    let database = Database::fresh().await;
    let administrator = |reason: Option<&str>| Administrator {
        name: "root'; DROP TABLE users; --".to_owned(),
        reason: reason.map(str::to_owned),
    };
    let open = |administrator| database.open_as(&PostgresOptions { administrator, ..few() });
    let invite = |number| {
        let event =
            samples::event(countersign_authority::model::audit::EventKind::InvitationCreated);
        (samples::invitation(number), event)
    };
    let (theirs, without, server) =
        (open(Some(administrator(Some("a ticket")))), open(Some(administrator(None))), open(None));
    for (number, store) in (1..).zip([&theirs, &server, &without, &theirs]) {
        let (invitation, event) = invite(number);
        store.create_invitation(&invitation, event).await.unwrap();
    }
    let events = server.events(&AuditFilter::default(), 10).await.unwrap();
    let by: Vec<_> = events.into_iter().rev().map(|event| event.by).collect();
    let ticket = Some(administrator(Some("a ticket")));
    assert_eq!(by, [ticket.clone(), None, Some(administrator(None)), ticket]);
}

#[tokio::test]
async fn what_is_encrypted_goes_to_the_server_of_that_name_and_to_no_other() {
    let database = Database::fresh().await;
    let certificate = Database::certificate();
    let open = |url: &str| {
        let url: DatabaseUrl = url.parse().unwrap();
        PostgresStore::open(&url, &few())
    };
    let store = PostgresStore::open(
        &database.url(&format!("sslmode=require&sslrootcert={certificate}")),
        &few(),
    )
    .unwrap();
    store.create_account(new_account(1, "alice")).await.unwrap();
    let encrypted = "SELECT count(*), count(*) FILTER (WHERE s.ssl) FROM pg_stat_ssl AS s
        JOIN pg_stat_activity AS a USING (pid)
        WHERE a.datname = current_database() AND a.application_name = 'countersign'";
    let row = database.client().await.query_one(encrypted, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));

    let (address, name) = (database.address(), database.name());
    let (_, port) = address.split_once(':').unwrap();
    for url in [
        // Not by an authority of this system.
        format!("postgres://postgres@{address}/{name}?sslmode=require"),
        // The certificate is for the address.
        format!(
            "postgres://postgres@localhost:{port}/{name}?sslmode=require&sslrootcert={certificate}"
        ),
        format!(
            "postgres://postgres@localhost:{port}/{name}?sslmode=prefer&sslrootcert={certificate}"
        ),
    ] {
        let refusal = open(&url).map(drop).unwrap_err();
        assert!(matches!(refusal, PostgresError::NotEncrypted { .. }), "{url}: {refusal:?}");
    }
    let missing =
        open(&format!("postgres://{address}/{name}?sslmode=require&sslrootcert=/missing"));
    assert!(matches!(missing.map(drop), Err(PostgresError::RootCertificates { .. })));
}
