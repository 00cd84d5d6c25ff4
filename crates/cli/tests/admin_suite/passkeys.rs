//! Passkeys, as who runs the server meets them: a start that would lose them is refused, and an account that
//! has nothing else is let back in.

use std::path::Path;

use countersign_authority::{
    model::{
        account::AccountName,
        audit::{AuditEvent, EventKind},
        credential::Credential,
        credential_kind::CredentialKind,
        passkey::Passkey,
    },
    ports::{AccountStore as _, Clock as _, KeyLimits, NewPasskey, PasskeyStore as _, Permit},
};
use countersign_protocol::{
    ReplayEntry,
    challenges::passkeys::AccountHandle,
    keys::{NewKey, PrivateKey, Thumbprint},
    proofs::webauthn::{Aaguid, CredentialId},
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_system::SystemClock;

use super::{Person, Server, admin, json_lines, user::User};
use crate::support::countersign;

const NAMED: [&str; 2] = ["--listen", "localhost:0"];

/// A data directory with an account `alice` that has a key and a passkey for `localhost`, and no server.
async fn alice(dir: &Path) -> (Person, Thumbprint) {
    let mut server = Server::start_in(dir, &NAMED);
    let alice = Person::registered(&server, "alice").await;
    server.kill();
    let passkey = add_passkey(dir, &alice).await;
    (alice, passkey)
}

async fn add_passkey(dir: &Path, person: &Person) -> Thumbprint {
    let store = SqliteStore::open(&dir.join("countersign.db"), &SqliteOptions::default()).unwrap();
    let now = SystemClock::new().now();
    let name = AccountName::Username(person.name.parse().unwrap());
    let account = store.account(&name).await.unwrap().unwrap();
    let key = PrivateKey::generate(NewKey::Ed25519).unwrap().public_key().clone().of_passkey();
    let credential = Credential {
        kind: CredentialKind::Passkey,
        added_by: Some(person.thumbprint()),
        ..Credential::new(account.id, key, "phone".parse().unwrap(), now)
    };
    let thumbprint = credential.thumbprint();
    let passkey = Passkey {
        id: CredentialId::try_from(&[1; 16][..]).unwrap(),
        rp_id: "localhost".parse().unwrap(),
        user_handle: AccountHandle::from_bytes([1; 32]),
        sign_count: 0,
        backup_eligible: true,
        backed_up: true,
        aaguid: Aaguid::from_bytes([0; 16]),
        transports: Vec::new(),
        unvouched_since: None,
    };
    let event = AuditEvent::new(now, EventKind::KeyAdded).account(account.id).key(thumbprint);
    let challenge = ReplayEntry { digest: [1; 32], forget_at: now };
    let limits = KeyLimits { live: 16, revoked: 1000, password_token_of: None };
    store
        .add_passkey(
            NewPasskey { credential, passkey, challenge, event },
            limits,
            Permit::ADMINISTRATOR,
        )
        .await
        .unwrap();
    thumbprint
}

/// What a start says that is refused.
fn refused_start(dir: &Path, args: &[&str]) -> String {
    let mut command = countersign(["serve", "--data-dir"]);
    let output = command.arg(dir).args(args).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

fn has_all(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[tokio::test]
async fn a_server_with_another_rp_id_than_its_passkeys_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    alice(dir.path()).await;
    let args = ["--listen", "localhost:0", "--issuer", "https://auth.example.com"];
    let said = refused_start(dir.path(), &args);
    has_all(&said, &["\"localhost\"", "\"auth.example.com\"", "(1)", "passkeys.enabled = false"]);
    // The refusal has changed nothing: under the former name it starts.
    Server::start_in(dir.path(), &NAMED);
}

#[tokio::test]
async fn a_server_whose_issuer_can_have_no_passkeys_refuses_to_start_while_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let (_, passkey) = alice(dir.path()).await;
    let by_address = ["--listen", "127.0.0.1:0"];
    let said = refused_start(dir.path(), &by_address);
    let issuer = "http://127.0.0.1:";
    has_all(&said, &["\"localhost\"", issuer, "(1)", "passkeys.enabled = false"]);
    // Given up in so many words, or revoked, they stand in no way.
    let off = dir.path().join("off.toml");
    std::fs::write(&off, "[passkeys]\nenabled = false\n").unwrap();
    let off = off.to_str().unwrap();
    Server::start_in(dir.path(), &["--listen", "127.0.0.1:0", "--config", off]).kill();
    admin(dir.path(), &["keys", "revoke", "alice", &passkey.to_string()]).result();
    Server::start_in(dir.path(), &by_address);
}

#[tokio::test]
async fn an_account_with_nothing_but_a_passkey_is_listed_and_let_back_in() {
    let dir = tempfile::tempdir().unwrap();
    let (key, passkey) = alice(dir.path()).await;
    let dir = dir.path();
    let said = admin(dir, &["keys", "revoke", "alice", &key.thumbprint().to_string()]);
    assert!(!said.remark().contains("no key left"), "a passkey is left");
    let shown = admin(dir, &["accounts", "show", "alice"]).result();
    has_all(&shown, &["0 keys, 1 passkey live, 2 in all"]);
    let listed = json_lines(&admin(dir, &["keys", "list", "alice", "--json"]).result());
    assert_eq!(listed[1]["thumbprint"], passkey.to_string());
    assert_eq!(listed[1]["kind"], "passkey");

    let server = Server::start_in(dir, &NAMED);
    let code = admin(dir, &["invite", "alice", "--recover"]).result();
    let alice = User::of(server.url());
    alice.does(&["recover", "alice", "--code", code.trim()]);
    alice.does(&["login", "alice"]);
    let listed = json_lines(&admin(dir, &["keys", "list", "alice", "--json"]).result());
    assert_eq!(listed[1]["revoked_at"], serde_json::Value::Null, "the passkey stays");
    // A thief may have the passkey: another code takes it away, with everything else.
    let code = admin(dir, &["invite", "alice", "--recover", "--revoke-others"]).result();
    let elsewhere = User::of(server.url());
    elsewhere.does(&["recover", "alice", "--code", code.trim()]);
    elsewhere.does(&["login", "alice"]);
    alice.fails(&["login", "alice"]);
    let listed = json_lines(&admin(dir, &["keys", "list", "alice", "--json"]).result());
    let live: Vec<_> = listed.iter().filter(|key| key["revoked_at"].is_null()).collect();
    assert_eq!(live.len(), 1, "{listed:?}");
    let said = admin(dir, &["keys", "revoke", "alice", &passkey.to_string()]).refusal();
    has_all(&said, &["no live key"]);
}
