//! Passwords that the server makes, and the tokens that are bound all the same.

use super::{passwordless::token, *};
use crate::password::Password;

const PASSWORD: &str = "55c79852-a428-4925-98fd-fc916417ca45";

fn password() -> Password {
    Password::new(PASSWORD.to_owned()).unwrap()
}

#[tokio::test]
async fn registering_brings_the_password() {
    let server = authority(|_| answer_json(201, &json!({ "password": PASSWORD })));
    let client = client(&server).await;
    let password =
        client.register_with_password("toto", "toto@example.com", Some("csi_1")).await.unwrap();
    assert_eq!(password.expose(), PASSWORD);
    let [asked] = &server.asked()[..] else { panic!() };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/register"));
    assert_eq!(
        asked.json(),
        json!({ "username": "toto", "email": "toto@example.com", "enrolment_code": "csi_1" })
    );
}

#[tokio::test]
async fn the_token_is_bound_with_the_nonce_that_the_server_asks_for() {
    let key = key();
    let bound = token(&key);
    let server = authority(move |asked| {
        if asked.proof().get("nonce").is_none() {
            return problem(400, "nonce-required", "Nonce.").with("dpop-nonce", "n-1");
        }
        answer_json(200, &json!({ "token": bound }))
    });
    let client = client(&server).await;
    let login = client.login_with_password(&key, "toto", &password()).await.unwrap();
    assert_eq!(login.token().expose(), token(&key));
    assert_eq!(login.expires_at(), UnixTime::from_secs(2_000_003_600));
    let [first, second] = &server.asked()[..] else { panic!() };
    assert_eq!(first.body, second.body);
    assert_eq!(second.json(), json!({ "username": "toto", "password": PASSWORD }));
    assert_eq!(second.proof()["nonce"], "n-1");
    assert_eq!(second.proof()["htu"], format!("{}/auth", server.origin()));
}

#[tokio::test]
async fn a_token_that_anybody_could_use_is_not_taken() {
    let (mine, other) = (key(), key());
    for token in [token(&other), "e30.e30.c2ln".to_owned(), "token".to_owned()] {
        let body = json!({ "token": token });
        let server = authority(move |_| answer_json(200, &body));
        let client = client(&server).await;
        let refused = client.login_with_password(&mine, "toto", &password()).await.err().unwrap();
        assert!(matches!(refused, ClientError::UnexpectedAnswer { .. }), "{token}: {refused}");
    }
}
