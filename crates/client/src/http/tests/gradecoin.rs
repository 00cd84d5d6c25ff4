//! Registration by a one-time password that only the server can read.

use countersign_protocol::envelope::aes_cbc_oaep::{OpeningKey, SealedObject};

use super::*;
use crate::{http::dialects::gradecoin_fingerprint, password::Password};

const MEMBERS: [&str; 3] = ["student_id", "passwd", "public_key"];

fn password() -> Password {
    Password::new("fq3ys8mkc5jw27z".to_owned()).unwrap()
}

/// A server with that key of its own, which says that about registrations.
fn server(pem: String, registration: Answer) -> Server {
    let registration = std::sync::Mutex::new(Some(registration));
    authority(move |asked| match asked.path.as_str() {
        "/gradecoin.pub" => Answer(200, Vec::new(), pem.clone()),
        "/register" => registration.lock().unwrap().take().unwrap(),
        "/v1/whoami" => {
            let thumbprint = key().public_key().thumbprint().to_string();
            let who = json!({ "account_id": "0189", "username": "e1", "thumbprint": thumbprint });
            answer_json(200, &who)
        }
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn the_password_is_sealed_for_the_server() {
    let (mine, theirs) = (key(), PrivateKey::generate(NewKey::Rsa2048).unwrap());
    let registered = answer_json(201, &json!({ "res": "Success", "message": "welcome" }));
    let server = server(theirs.public_key().to_spki_pem(), registered);
    let account = client(&server).await.register_gradecoin(&mine, "e1", &password()).await;
    assert_eq!(account.unwrap(), "0189");

    let [_, register, whoami] = &server.asked()[..] else { panic!() };
    assert!(!register.body.contains("fq3ys8"));
    let body = register.json();
    let text = |name: &str| body[name].as_str().unwrap();
    let sealed = SealedObject { key: text("key"), iv: text("iv"), ciphertext: text("c") };
    let opening = OpeningKey::from_pkcs8_der(&theirs.to_pkcs8_der()).unwrap();
    let [id, passwd, pem] = opening.open(&sealed, MEMBERS, [0; 16]).ok().unwrap();
    assert_eq!((id.as_str(), passwd.as_str()), ("e1", "fq3ys8mkc5jw27z"));
    assert_eq!(*pem, mine.public_key().to_spki_pem());
    let address = countersign_protocol::proofs::body_hash::sha256_hex(pem.as_bytes());
    assert_eq!(gradecoin_fingerprint(mine.public_key()), address);

    let jwt = whoami.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(claims(jwt)["tha"], empty);
}

#[tokio::test]
async fn the_refusal_is_what_the_server_says() {
    let theirs = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    let refusal = answer_json(400, &json!({ "res": "Error", "message": "this does not open" }));
    let server = server(theirs.public_key().to_spki_pem(), refusal);
    let refused = client(&server).await.register_gradecoin(&key(), "e1", &password()).await;
    let refused = refused.unwrap_err().to_string();
    assert_eq!(refused, "the server refused: this does not open (HTTP 400)");
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_an_rsa_key() {
    for pem in [String::new(), "<html>".to_owned(), key().public_key().to_spki_pem()] {
        let server = server(pem, answer_json(201, &json!({})));
        let refused = client(&server).await.register_gradecoin(&key(), "e1", &password()).await;
        assert!(matches!(refused, Err(ClientError::UnexpectedAnswer { .. })));
        assert_eq!(server.asked().len(), 1);
    }
}
