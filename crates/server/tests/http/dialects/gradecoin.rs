//! *gradecoin*.

use countersign_authority::ports::Permit;
use std::{sync::Arc, time::Duration};

use countersign_authority::{
    keys::{
        registration_key::RegistrationKey,
        rekey::Rekey,
        vault::{MasterKey, Vault},
    },
    model::{
        account::Username,
        audit::{AuditEvent, EventKind},
        credential::Credential,
        credential_kind::CredentialKind,
        invitation::OneTimePassword,
        policy::Enrolment,
    },
};
use countersign_protocol::{
    Scopes,
    digest::sha256,
    envelope::aes_cbc_oaep::{Sealed, seal},
    keys::{KeyPolicy, PrivateKey, PublicKey},
    strict::base64,
    tokens::jws,
};
use countersign_server::Dialects;
use countersign_testkit::keys::{
    OTHER_RSA_2048_PEM, RSA_1024_PUBLIC_PEM, RSA_2047_PUBLIC_PEM, RSA_2048_PEM, ed25519, from_pem,
};
use countersign_testkit::samples::KEY_LIMITS;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::server::{Answer, ISSUER, Server};
use crate::support::{Fault, Faults, MASTER_KEY, Setup, TestApp, TestKey};

const MINUTE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "15 char secret!";

/// A server that has invited e123456 for a week.
async fn server() -> Server {
    let server = Server::start().await;
    invite(&server, "e123456", PASSWORD).await;
    server
}

async fn invite(server: &Server, id: &str, password: &str) {
    let ports = server.ports();
    let master_key = MasterKey::parse(MASTER_KEY).unwrap();
    let vault = Vault::open(&*ports.store, &master_key, &*ports.random).await.unwrap();
    let key = RegistrationKey::open(&*ports.store, &vault, &*ports.random).await.unwrap();
    let invited = [(id.parse::<Username>().unwrap(), OneTimePassword::parse(password).unwrap())];
    let expires_at = server.authority().core.now() + 7 * 24 * 60 * MINUTE;
    let scopes: Scopes = "class".parse().unwrap();
    server.admin().invite_with_passwords(&invited, &scopes, expires_at, &key).await.unwrap();
}

async fn recipient(server: &Server) -> PublicKey {
    let pem = server.authority().dialects.gradecoin.registration_key_pem().await.unwrap();
    PublicKey::parse(pem, &KeyPolicy::default()).unwrap()
}

async fn seal_text(server: &Server, text: &str) -> Value {
    let Sealed { key, iv, ciphertext } =
        seal(&recipient(server).await, text.as_bytes(), [3; 16], [4; 16]).unwrap();
    json!({ "c": ciphertext, "iv": iv, "key": key })
}

async fn register_as(server: &Server, id: &str, password: &str, pem: &str) -> Answer {
    let text = json!({ "student_id": id, "passwd": password, "public_key": pem }).to_string();
    server.post("/register", seal_text(server, &text).await).await
}

fn pem(key: &PrivateKey) -> String {
    key.public_key().to_spki_pem()
}

fn hex(text: &str) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    sha256(&[text.as_bytes()]).iter().flat_map(digits).flatten().collect()
}

/// The one refusal of everything that says nothing.
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    assert_eq!(answer.body["res"], "Error");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.starts_with("this does not open"));
    assert!(message.contains("RSA-OAEP with SHA-256, and SHA-256 for MGF1 too"), "{message}");
}

/// A request with a body, authorised by a JWT.
async fn call(server: &Server, key: &PrivateKey, claims: Value, body: &str) -> Answer {
    let mut all = json!({ "iat": server.seconds(), "exp": server.seconds() + 60 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let claims = all.as_object().unwrap();
    let jwt = jws::sign(key, key.algorithm(), &Map::new(), claims).unwrap();
    let authorization = format!("Bearer {jwt}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    server.send("POST", "/v1/whoami", &headers, body.to_owned()).await
}

#[tokio::test]
async fn the_key_of_a_browser_or_a_passkey_is_registered_for_nobody_else() {
    for kind in [CredentialKind::Browser, CredentialKind::Passkey] {
        let server = server().await;
        let id = server.0.register("alice", &TestKey::number(1)).await.parse().unwrap();
        let (key, now) = (from_pem(RSA_2048_PEM), server.authority().core.now());
        let label = "the second".parse().unwrap();
        let second = Credential {
            kind,
            added_by: Some(ed25519(1).public_key().thumbprint()),
            ..Credential::new(id, key.public_key().clone(), label, now)
        };
        let event = AuditEvent::new(now, EventKind::KeyAdded);
        server
            .ports()
            .store
            .add_credential(&second, KEY_LIMITS, event, Permit::ADMINISTRATOR)
            .await
            .unwrap();
        let answer = register_as(&server, "e123456", PASSWORD, &pem(&key)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        let message = answer.body["message"].as_str().unwrap();
        assert_eq!(message, "the key is registered already");
    }
}

#[tokio::test]
async fn broken_lines_do_a_sealed_registration_no_harm() {
    let server = server().await;
    let pem = pem(&from_pem(RSA_2048_PEM));
    let text = json!({ "student_id": "e123456", "passwd": PASSWORD, "public_key": pem });
    let mut sealed = seal_text(&server, &text.to_string()).await;
    for name in ["c", "iv", "key"] {
        let text = sealed[name].as_str().unwrap();
        sealed[name] = json!(format!("{}\n{}\r\n", &text[..16], &text[16..]));
    }
    let answer = server.post("/register", sealed).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
}

#[tokio::test]
async fn whoever_was_invited_registers_and_signs_requests() {
    let server = server().await;
    let key = from_pem(RSA_2048_PEM);
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&key)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.body["res"], "Success");
    let fingerprint = hex(&pem(&key));
    assert!(answer.body["message"].as_str().unwrap().ends_with(&fingerprint));
    assert_eq!(server.events(EventKind::AccountRegistered).await, 1);

    let body = json!({ "source": fingerprint, "amount": 2 }).to_string();
    let tha = hex(&body);
    for named in [
        json!({ "tha": tha }),
        json!({ "tha": tha, "sub": fingerprint }),
        json!({ "tha": tha, "sub": "e123456" }),
    ] {
        let answer = call(&server, &key, named, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["username"], "e123456");
        assert_eq!(answer.body["scopes"], json!(["class"]));
    }
    let uses = server.key_uses().await;
    assert_eq!((uses.len(), uses[0].times()), (1, 3), "the trail says which key it was: {uses:?}");
    assert_eq!(uses[0].thumbprint, Some(key.public_key().thumbprint()));
    let altered = body.replace('2', "3");
    assert_eq!(
        call(&server, &key, json!({ "tha": tha }), &altered).await.status,
        StatusCode::UNAUTHORIZED
    );
    let other = from_pem(OTHER_RSA_2048_PEM);
    assert_eq!(
        call(&server, &other, json!({ "tha": tha }), &body).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_fingerprint_names_its_account_everywhere_and_nobody_can_take_it_for_a_username() {
    let server = server().await;
    let key = from_pem(RSA_2048_PEM);
    let fingerprint = hex(&pem(&key));
    let other_case = fingerprint.to_uppercase();
    for name in [fingerprint.as_str(), other_case.as_str(), "admin", "ceo@victim.example"] {
        let impostor = json!({ "username": name, "email": "impostor@example.com" });
        let answer = server.post("/register", impostor).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    }
    register_as(&server, "e123456", PASSWORD, &pem(&key)).await;
    let get = async |path: String| server.send("GET", &path, &[], String::new()).await;
    let account = get(format!("/v1/accounts/{fingerprint}/jwks.json")).await;
    assert_eq!(account.status, StatusCode::OK, "{}", account.body);
    assert_eq!(account.body["username"], "e123456");
    assert_eq!(account.body["fingerprint"], *fingerprint);
    let user = get(format!("/users/{fingerprint}")).await;
    assert_eq!(user.body["public_key"], pem(&key));
    for unknown in ["/users/", "/v1/accounts/"] {
        let path = format!(
            "{unknown}{other_case}{}",
            if unknown == "/users/" { "" } else { "/jwks.json" }
        );
        assert_eq!(get(path).await.status, StatusCode::NOT_FOUND);
    }
    let whoami = call(&server, &key, json!({ "tha": hex("{}"), "sub": fingerprint }), "{}").await;
    assert_eq!(whoami.body["fingerprint"], *fingerprint);
}

#[tokio::test]
async fn a_jwt_that_names_no_server_opens_nothing_but_whoami() {
    let server = server().await;
    let key = from_pem(RSA_2048_PEM);
    let registered = register_as(&server, "e123456", PASSWORD, &pem(&key)).await;
    assert_eq!(registered.status, StatusCode::CREATED);
    let body = json!({ "source": "e123456", "amount": 2 }).to_string();
    let read = async |path: &str, claims: Value| {
        let now = server.seconds();
        let mut all = json!({ "sub": "e123456", "iat": now, "exp": now + 60, "jti": path });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let jwt = jws::sign(&key, key.algorithm(), &Map::new(), all.as_object().unwrap()).unwrap();
        let authorization = format!("Bearer {jwt}");
        server.send("GET", path, &[("authorization", &authorization)], body.clone()).await
    };
    for claims in [json!({}), json!({ "tha": hex(&body) })] {
        for path in ["/v1/keys", "/v1/events"] {
            let answer = read(path, claims.clone()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {claims}: {}", answer.body);
            assert_eq!(answer.body["lack"], "no-audience");
            let mut named = claims.clone();
            named["aud"] = ISSUER.into();
            assert_eq!(read(path, named).await.status, StatusCode::OK, "{path} {claims}");
        }
        assert_eq!(read("/v1/whoami", claims).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_key_survives_a_restart_and_is_pem() {
    let mut server = server().await;
    let before = recipient(&server).await;
    assert_eq!(before.rsa_bits(), Some(2048));
    server.restart().await;
    assert_eq!(recipient(&server).await.thumbprint(), before.thumbprint());
    let answer = server.send("GET", "/gradecoin.pub", &[], String::new()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&ed25519(1))).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_password_works_once_and_for_its_own_name() {
    let server = server().await;
    invite(&server, "e222222", "another secret!").await;
    let key = pem(&ed25519(1));
    assert_refused(&register_as(&server, "e222222", PASSWORD, &key).await);
    assert_refused(&register_as(&server, "e333333", PASSWORD, &key).await);
    assert_refused(&register_as(&server, "e123456", "15 char secret?", &key).await);
    assert_refused(&register_as(&server, "e123456", "", &key).await);
    assert_eq!(register_as(&server, "E123456", PASSWORD, &key).await.status, StatusCode::CREATED);
    assert_refused(&register_as(&server, "e123456", PASSWORD, &pem(&ed25519(2))).await);
    assert!(server.events(EventKind::RegistrationRefused).await >= 5);
}

#[tokio::test]
async fn of_twenty_at_once_one_registers() {
    let server = Arc::new(server().await);
    let mut registering = JoinSet::new();
    for number in 0..20 {
        let server = Arc::clone(&server);
        let register =
            async move { register_as(&server, "e123456", PASSWORD, &pem(&ed25519(number))).await };
        registering.spawn(register);
    }
    let mut statuses = Vec::new();
    while let Some(answer) = registering.join_next().await {
        statuses.push(answer.unwrap().status);
    }
    statuses.sort();
    assert_eq!(statuses[0], StatusCode::CREATED);
    assert_eq!(statuses[1..], [StatusCode::BAD_REQUEST; 19]);
}

#[tokio::test]
async fn a_guess_that_cannot_be_counted_is_not_compared() {
    let faults = Faults::default();
    let start = |setup: &mut Setup| {
        setup.faults = Some(faults.clone());
        setup.settings.dialects = Dialects::default();
    };
    let server = Server(TestApp::start_with(start).await);
    invite(&server, "e123456", PASSWORD).await;
    faults.set(Fault::Guesses);
    for password in [PASSWORD, "another secret!"] {
        let answer = register_as(&server, "e123456", password, &pem(&ed25519(1))).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    faults.clear();
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&ed25519(1))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
}

#[tokio::test]
async fn an_expired_password_is_a_wrong_one() {
    let server = server().await;
    server.advance(7 * 24 * 60 * MINUTE);
    assert_refused(&register_as(&server, "e123456", PASSWORD, &pem(&ed25519(1))).await);
}

#[tokio::test]
async fn what_is_wrong_with_the_key_is_told_and_burns_nothing() {
    let server = server().await;
    for key in ["", "no key", RSA_2048_PEM, RSA_1024_PUBLIC_PEM, &base64::encode(b"key")] {
        let answer = register_as(&server, "e123456", PASSWORD, key).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.starts_with("public_key: "), "{message}");
        // Nobody learns that without the password.
        assert_refused(&register_as(&server, "e123456", "wrong password", key).await);
    }
    let key = ed25519(1);
    server.0.register("mallory", &TestKey::number(1)).await;
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&key)).await;
    assert_eq!(answer.body["message"], "the key is registered already");
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&ed25519(2))).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_key_a_bit_short_of_2048_is_taken_here_and_nowhere_else() {
    let server = server().await;
    for (path, body) in [
        ("/register", json!({ "user_id": "bob", "public_key": RSA_2047_PUBLIC_PEM })),
        ("/register", json!({ "username": "bob", "clientSidePublicKey": RSA_2047_PUBLIC_PEM })),
    ] {
        let answer = server.post(path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("2047 bits; at least 2048"), "{detail}");
    }
    let answer = register_as(&server, "e123456", PASSWORD, RSA_2047_PUBLIC_PEM).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    // Guards elsewhere need it.
    let jwks = server.send("GET", "/v1/accounts/e123456/jwks.json", &[], String::new()).await;
    assert_eq!(jwks.body["keys"].as_array().unwrap().len(), 1, "{}", jwks.body);
}

#[tokio::test]
async fn the_fingerprint_is_that_of_the_text_as_it_was_sent() {
    let one_line = |text: &str| {
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        format!("-----BEGIN PUBLIC KEY-----{body}-----END PUBLIC KEY-----")
    };
    let key = from_pem(RSA_2048_PEM);
    for text in [
        pem(&key),
        one_line(&pem(&key)),
        pem(&key).replace('\n', "\r\n"),
        pem(&key).replace('\n', " "),
    ] {
        let server = server().await;
        let answer = register_as(&server, "e123456", PASSWORD, &text).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert!(answer.body["message"].as_str().unwrap().ends_with(&hex(&text)));
        let body = json!({ "source": hex(&text) }).to_string();
        let answer = call(&server, &key, json!({ "tha": hex(&body) }), &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
}

#[tokio::test]
async fn whatever_does_not_open_has_one_answer() {
    let server = Server::start_with(|policy| policy.limits = None).await;
    invite(&server, "e123456", PASSWORD).await;
    let key = pem(&ed25519(1));
    let text = json!({ "student_id": "e123456", "passwd": PASSWORD, "public_key": key });
    let good = seal_text(&server, &text.to_string()).await;
    let expected = register_as(&server, "e123456", "wrong password", &key).await;
    assert_refused(&expected);
    let mut bad = Vec::new();
    for member in ["c", "iv", "key"] {
        for wrong in [json!(""), json!("!"), json!("AAAA"), json!(1), json!(null), json!([])] {
            let mut body = good.clone();
            body[member] = wrong;
            bad.push(body);
        }
        let bytes = base64::decode(good[member].as_str().unwrap()).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x80;
            let mut body = good.clone();
            body[member] = base64::encode(&bytes).into();
            bad.push(body);
        }
    }
    for text in ["", "{}", "[]", "null", r#"{"student_id":"e123456"}"#] {
        bad.push(seal_text(&server, text).await);
    }
    let mut more = text.clone();
    more["more"] = "".into();
    bad.push(seal_text(&server, &more.to_string()).await);
    for body in bad {
        let answer = server.post("/register", body.clone()).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{body}");
    }
    assert_eq!(server.post("/register", good).await.status, StatusCode::CREATED);
}

/// The last byte before the padding, and one inside the first block that still makes sense, in all
/// 256 forms.
#[tokio::test]
async fn altered_ciphertexts_say_nothing() {
    let server = Server::start_with(|policy| policy.limits = None).await;
    invite(&server, "e123456", PASSWORD).await;
    // With a wrong password, which the first block begins with.
    let text = format!(
        r#"{{"passwd":"wrong1","student_id":"e123456","public_key":{}}}"#,
        json!(pem(&ed25519(1)))
    );
    let good = seal_text(&server, &text).await;
    let expected = server.post("/register", good.clone()).await;
    assert_refused(&expected);
    for (member, from_end) in [("c", 17), ("iv", 2)] {
        let bytes = base64::decode(good[member].as_str().unwrap()).unwrap();
        for delta in 0..=255_u8 {
            let mut bytes = bytes.clone();
            let place = bytes.len() - from_end;
            bytes[place] ^= delta;
            let mut body = good.clone();
            body[member] = base64::encode(&bytes).into();
            let answer = server.post("/register", body).await;
            assert_eq!((answer.status, &answer.body), (expected.status, &expected.body));
        }
    }
}

#[tokio::test]
async fn guessing_slows_a_name_down_and_success_costs_nothing() {
    let server = server().await;
    let key = pem(&ed25519(1));
    for _ in 0..10 {
        assert_refused(&register_as(&server, "e123456", "wrong password", &key).await);
    }
    assert_refused(&register_as(&server, "e123456", PASSWORD, &key).await);
    server.advance(MINUTE);
    let answer = register_as(&server, "e123456", PASSWORD, &key).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);

    let server = Server::start().await;
    for number in 0..70 {
        let id = format!("e{number}");
        invite(&server, &id, PASSWORD).await;
        let answer = register_as(&server, &id, PASSWORD, &pem(&ed25519(number))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "a class behind one address");
    }
    for number in 0..60 {
        assert_refused(&register_as(&server, &format!("x{number}"), PASSWORD, &key).await);
    }
    let answer = register_as(&server, "y", PASSWORD, &key).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Registers from another address.
async fn register_from(server: &Server, peer: &str, password: &str, pem: &str) -> StatusCode {
    let text = json!({ "student_id": "e123456", "passwd": password, "public_key": pem });
    let sealed = seal_text(server, &text.to_string()).await;
    let answer = server.call("POST", "/register").peer(peer).json(&sealed).send().await;
    StatusCode::from_u16(answer.status).unwrap()
}

#[tokio::test]
async fn guesses_from_elsewhere_never_keep_the_right_password_out() {
    let server = Server::start_with(|policy| {
        let limits = policy.limits.as_mut().unwrap();
        limits.guesses_at_name_from_everywhere.burst = 48;
    })
    .await;
    invite(&server, "e123456", PASSWORD).await;
    let key = pem(&ed25519(1));
    for stranger in ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"] {
        for _ in 0..11 {
            let status = register_from(&server, stranger, "wrong password", &key).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
        }
        let status = register_from(&server, stranger, PASSWORD, &key).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "who guesses must wait, whatever he says then");
    }
    // More guesses than the ceiling: the answer takes a second, and is the right one.
    let status = register_from(&server, "192.0.2.9", PASSWORD, &key).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn where_registration_is_closed_nobody_registers() {
    let server = Server::start_with(|policy| policy.enrolment = Enrolment::Closed).await;
    invite(&server, "e123456", PASSWORD).await;
    let answer = register_as(&server, "e123456", PASSWORD, &pem(&ed25519(1))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.body["message"], "registration is closed on this server");
}

#[tokio::test]
async fn switched_off_it_is_absent() {
    let mut server = Server::start().await;
    server.restart_speaking(|dialects| dialects.gradecoin = false).await;
    let answer = server.send("GET", "/gradecoin.pub", &[], String::new()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = server.post("/register", json!({ "c": "", "iv": "", "key": "" })).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body["detail"].as_str().unwrap().contains("exactly the members"));
    assert!(!answer.body["detail"].as_str().unwrap().contains("gradecoin"));
    let api = server.send("GET", "/openapi.json", &[], String::new()).await;
    assert!(api.body["paths"].get("/gradecoin.pub").is_none());
}

#[tokio::test]
async fn a_new_master_key_keeps_key_and_passwords() {
    let server = server().await;
    let before = recipient(&server).await;
    let ports = server.ports();
    let new = "f0".repeat(32);
    let [old, new] = [MASTER_KEY, &new].map(|key| MasterKey::parse(key).unwrap());
    let now = server.authority().core.now();
    let rekey =
        Rekey { vaults: &*ports.store, signing_keys: &*ports.store, now, random: &*ports.random };
    rekey.change_master_key(&old, &new).await.unwrap();
    let vault = Vault::open(&*ports.store, &new, &*ports.random).await.unwrap();
    let key = RegistrationKey::open(&*ports.store, &vault, &*ports.random).await.unwrap();
    assert_eq!(key.public_pem(), before.to_spki_pem());
    let (name, password) = ("e123456".parse().unwrap(), OneTimePassword::parse(PASSWORD).unwrap());
    let hash = key.password_hash(&name, &password);
    assert!(ports.store.invitation(&hash).await.unwrap().is_some());
    let wrong = Vault::open(&*ports.store, &old, &*ports.random).await;
    assert!(wrong.is_err());
}

#[tokio::test]
async fn a_squatter_keeps_nobody_from_registering_and_gets_no_request_of_the_owner() {
    let server = server().await;
    invite(&server, "m000000", "another secret!").await;
    let key = from_pem(RSA_2048_PEM);
    let fingerprint = hex(&pem(&key));
    // One squatter proves nothing at all, the other was invited as the owner was.
    assert_eq!(server.register("mallory", &key).await.status, StatusCode::OK);
    let by_fingerprint = async |id: Option<&str>| {
        let body = json!({ "source": fingerprint }).to_string();
        let mut claims = json!({ "tha": hex(&body) });
        if let Some(id) = id {
            claims["sub"] = id.into();
        }
        call(&server, &key, claims, &body).await
    };
    for id in ["m000000", "e123456"] {
        let password = if id == "m000000" { "another secret!" } else { PASSWORD };
        let answer = register_as(&server, id, password, &pem(&key)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{id}: {}", answer.body);
    }
    let ambiguous = by_fingerprint(None).await;
    assert_eq!(ambiguous.status, StatusCode::UNAUTHORIZED, "{}", ambiguous.body);
    assert_eq!(by_fingerprint(Some("e123456")).await.body["username"], "e123456");
    server.advance(Duration::from_secs(2));
    assert_eq!(by_fingerprint(None).await.body["username"], "e123456");
    assert_eq!(by_fingerprint(Some("m000000")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.events(EventKind::KeyClaimLost).await, 2);
}
