//! Values that this program never writes are reported with their place, and never guessed at.

use countersign_authority::{
    model::audit::{AuditFilter, EventKind},
    ports::{
        AuditStore, CredentialStore, InvitationStore, RevocationStore, SigningKeyChange,
        SigningKeyStore, VaultStore,
    },
};
use countersign_protocol::UnixTime;
use countersign_testkit::{keys, samples};

use super::*;

#[tokio::test]
async fn every_impossible_value_is_reported_where_it_stands() {
    for (table, column, value) in [
        ("users", "username", "'two words'"),
        ("users", "last_login", "'yesterday'"),
        ("accounts", "account_id", "x'00'"),
        ("accounts", "status", "'sleeping'"),
        ("accounts", "scopes", "'a  b'"),
        ("accounts", "registered_at", "-1"),
        ("credentials", "spki", "x'3000'"),
        ("credentials", "algorithms", "'HS256'"),
        ("credentials", "label", "char(10)"),
        ("credentials", "created_at", "-1"),
        ("credentials", "last_used_at", "-1"),
        ("credentials", "revoked_at", "-1"),
        ("invitations", "code_hash", "x''"),
        ("invitations", "username", "''"),
        ("invitations", "scopes", "'\"'"),
        ("invitations", "expires_at", "-1"),
        ("revoked_tokens", "jti", "CAST(x'ff' AS TEXT)"),
        ("revoked_tokens", "account_id", "x'01'"),
        ("revoked_tokens", "issued_at", "-1"),
        ("ended_tokens", "account_id", "x'01'"),
        ("ended_tokens", "issued_at", "-1"),
        ("signing_keys", "thumbprint", "x'01'"),
        ("signing_keys", "algorithm", "'none'"),
        ("signing_keys", "active_from", "-1"),
        ("native_keys", "thumbprint", "x'01'"),
        ("native_keys", "algorithm", "'none'"),
        ("native_keys", "active_from", "-1"),
        ("native_keys", "iv", "x'0102'"),
        ("signing_key_version", "version", "-1"),
        ("keys", "key", "'text'"),
        ("keys", "iv", "x'0102'"),
        ("vault", "salt", "x'01'"),
        ("vault", "nonce", "zeroblob(13)"),
        ("audit_events", "at", "-1"),
        ("audit_events", "kind", "'odd.event'"),
        ("audit_events", "account_id", "x'01'"),
        ("audit_events", "thumbprint", "x'01'"),
        ("audit_events", "address", "'localhost'"),
        ("audit_events", "facts", "'{\"odd\":\"fact\"}'"),
    ] {
        let fixture = filled().await;
        let update = format!("UPDATE {table} SET {column} = {value}");
        let other = fixture.other_program();
        other.pragma_update(None, "foreign_keys", false).unwrap();
        assert!(other.execute(&update, []).unwrap() > 0, "{table}.{column}");
        let error = read_everything(&fixture.store).await.expect_err(column);
        let StoreError::Corrupt { what } = error else {
            panic!("{table}.{column}: {error}");
        };
        assert!(what.starts_with(&format!("{table}.{column}: ")), "{table}.{column}: {what}");
    }
}

#[tokio::test]
async fn a_key_cannot_be_turned_to_another_algorithm() {
    let fixture = filled().await;
    for names in ["ES256", "", "EdDSA EdDSA"] {
        let update = "UPDATE credentials SET algorithms = ?";
        fixture.other_program().execute(update, [names]).unwrap();
        let error = read_everything(&fixture.store).await.unwrap_err();
        let StoreError::Corrupt { what } = error else { panic!("{error}") };
        assert!(what.starts_with("credentials.algorithms: "), "{what}");
    }
}

/// A store with one row in every table.
async fn filled() -> Fixture {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let new = samples::new_account(1, "alice");
    fixture.create(new.clone()).await;
    let _receipt = store.record_login(samples::login(&new, 1)).await.unwrap();
    let event = samples::event(EventKind::InvitationCreated);
    store.create_invitation(&samples::invitation(1), event.clone()).await.unwrap();
    let token = samples::revoked_token("token", UnixTime::from_secs(9));
    store.revoke_token(token, event).await.unwrap();
    let ended = "INSERT INTO ended_tokens(account_id, issued_at, expires_at)
        VALUES (zeroblob(16), 1, 9)";
    fixture.other_program().execute(ended, []).unwrap();
    let put = [1, 2].map(samples::signing_key).to_vec();
    let change = SigningKeyChange { put, ..SigningKeyChange::default() };
    store.change_signing_keys(change).await.unwrap();
    assert!(store.create_vault(&samples::vault_record(1)).await.unwrap());
    fixture
}

async fn read_everything(store: &SqliteStore) -> Result<(), StoreError> {
    store.accounts(None, 10).await?;
    store.credential(&keys::ed25519_public(1).thumbprint()).await?;
    store.invitations(10).await?;
    store.revoked_tokens(UnixTime::EPOCH, 10).await?;
    store.signing_keys().await?;
    store.vault().await?;
    store.events(&AuditFilter::default(), 10).await.map(drop)
}
