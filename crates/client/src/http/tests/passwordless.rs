//! The *passwordless* login: the server first.

use countersign_protocol::{
    keys::raw_rsa::{self, RawRsaPrivateKey},
    strict::{base64, base64url},
};

use super::*;
use crate::keyring::{Entry, KdfCost, Keyring, Passphrase};

const NUMBER: &str = "1012345678901234567890123456789012345678901234567890";

fn rsa() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate(NewKey::Rsa2048).unwrap())
}

fn block(key: &PrivateKey, message: &str) -> String {
    let raw = RawRsaPrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
    base64::encode(&raw.encrypt(message.as_bytes()).unwrap())
}

/// A token that nobody signed, bound to `key`.
pub(super) fn token(key: &PrivateKey) -> String {
    let jkt = key.public_key().thumbprint().to_string();
    let claims = json!({ "exp": 2_000_003_600, "cnf": { "jkt": jkt } }).to_string();
    format!("e30.{}.c2ln", base64url::encode(claims.as_bytes()))
}

/// A server whose challenge is that text, and which then gives that token.
fn server(challenge: String, token: String) -> Server {
    authority(move |asked| match asked.path.as_str() {
        "/challenge/toto" => answer_json(200, &json!({ "challenge": challenge })),
        "/authenticate/toto" => answer_json(200, &json!({ "jwtToken": token })),
        "/logout" => answer_json(200, &json!({})),
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn registering_gives_the_server_key() {
    let (mine, theirs) = (key(), rsa());
    let spki = base64::encode(&theirs.public_key().to_spki_der());
    let body = json!({ "serverSidePublicKey": spki, "id": "0189" });
    let server = authority(move |_| answer_json(200, &body));
    let account =
        client(&server).await.register_passwordless(&mine, "toto", Some("csi_1")).await.unwrap();
    assert_eq!(account.account_id, "0189");
    assert_eq!(account.server_key.thumbprint(), theirs.public_key().thumbprint());
    let [asked] = &server.asked()[..] else { panic!() };
    let own = base64::encode(&mine.public_key().to_spki_der());
    let expected =
        json!({ "username": "toto", "clientSidePublicKey": own, "enrolment_code": "csi_1" });
    assert_eq!(asked.json(), expected);
}

#[tokio::test]
async fn an_rsa_key_proposes_the_number_in_the_raw_form() {
    let (mine, theirs) = (rsa(), rsa());
    let server = server(block(&theirs, NUMBER), token(&mine));
    let client = client(&server).await;
    let login = client.login_passwordless(&mine, "toto", theirs.public_key()).await.unwrap();
    assert_eq!(login.expires_at(), UnixTime::from_secs(2_000_003_600));
    login.logout_passwordless().await.unwrap();
    let [challenge, authenticate, logout] = &server.asked()[..] else { panic!() };
    assert_eq!(challenge.method, "GET");
    let proposal = base64::decode(authenticate.json()["proposal"].as_str().unwrap()).unwrap();
    let number = raw_rsa::recover(mine.public_key(), &proposal).unwrap();
    assert_eq!(*number, NUMBER.as_bytes());
    let authorization = format!("Bearer {}", token(&mine));
    assert_eq!(logout.header("authorization"), Some(authorization.as_str()));
}

#[tokio::test]
async fn another_key_signs_the_number() {
    let (mine, theirs) = (key(), rsa());
    let server = server(block(&theirs, NUMBER), token(&mine));
    client(&server).await.login_passwordless(&mine, "toto", theirs.public_key()).await.unwrap();
    let [_, authenticate] = &server.asked()[..] else { panic!() };
    let proposal = base64::decode(authenticate.json()["proposal"].as_str().unwrap()).unwrap();
    let verified = mine.public_key().verify(mine.algorithm(), NUMBER.as_bytes(), &proposal);
    assert_eq!(verified, Ok(()));
}

#[tokio::test]
async fn nothing_is_signed_for_a_server_that_does_not_prove_itself() {
    let (mine, theirs, other) = (rsa(), rsa(), rsa());
    for challenge in [
        block(&other, NUMBER),
        // By the right key, but a text that somebody wants signed and no number.
        block(&theirs, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0b3RvIn0"),
        base64::encode(NUMBER.as_bytes()),
        "no base64".to_owned(),
        String::new(),
    ] {
        let server = server(challenge.clone(), token(&mine));
        let client = client(&server).await;
        let refused = client.login_passwordless(&mine, "toto", theirs.public_key()).await;
        let refused = refused.err().unwrap();
        assert!(matches!(refused, ClientError::ServerUnproven { .. }), "{challenge}: {refused}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_token_for_another_key_is_not_taken() {
    let (mine, theirs) = (rsa(), rsa());
    for token in [token(&theirs), "e30.e30.c2ln".to_owned(), "token".to_owned(), String::new()] {
        let server = server(block(&theirs, NUMBER), token.clone());
        let client = client(&server).await;
        let refused = client.login_passwordless(&mine, "toto", theirs.public_key()).await;
        let refused = refused.err().unwrap();
        assert!(matches!(refused, ClientError::UnexpectedAnswer { .. }), "{token}: {refused}");
    }
}

#[tokio::test]
async fn a_keyring_keeps_all_that_the_next_login_needs() {
    let policy = KeyPolicy::default();
    let (mine, theirs) = (rsa(), rsa());
    let spki = base64::encode(&theirs.public_key().to_spki_der());
    let (challenge, token) = (block(&theirs, NUMBER), token(&mine));
    let (bound, expected) = (token.clone(), token);
    let server = authority(move |asked| match asked.path.as_str() {
        "/register" => answer_json(200, &json!({ "serverSidePublicKey": spki, "id": "0189" })),
        "/challenge/0189" => answer_json(200, &json!({ "challenge": challenge })),
        "/authenticate/0189" => answer_json(200, &json!({ "jwtToken": bound })),
        other => panic!("{other}"),
    });
    let client = client(&server).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stick");
    let passphrase = Passphrase::new("secret".to_owned()).unwrap();
    let random = || Arc::new(CountingRandom::default());
    let cost = KdfCost::new(1, KdfCost::MEMORY_KIB.0, 1).unwrap();

    let account = client.register_passwordless(&mine, "toto", None).await.unwrap();
    let mut entry = Entry::new("home".parse().unwrap(), &server.origin(), "toto", &mine, NOW);
    account.record_in(&mut entry);
    Keyring::create(&path, &passphrase, cost, random()).unwrap().add(entry).unwrap();

    let mut keyring = Keyring::open(&path, &passphrase, random()).unwrap();
    let entry = keyring.get("home").unwrap();
    let key = Arc::new(entry.private_key(&policy).unwrap());
    let server_key = entry.server_side_public_key(&policy).unwrap().unwrap();
    let id = entry.account_id().unwrap().to_owned();
    let login = client.login_passwordless(&key, &id, &server_key).await.unwrap();
    keyring.update("home", |entry| entry.set_token(&login.save())).unwrap();

    let keyring = Keyring::open(&path, &passphrase, random()).unwrap();
    let saved = keyring.get("home").unwrap().token().unwrap();
    assert_eq!(saved.token.expose(), expected);
    assert_eq!(saved.expires_at, login.expires_at());
}
