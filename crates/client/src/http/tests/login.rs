//! Registering, logging in, and nonces at the endpoints that issue things.

use super::*;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn token_answer() -> Answer {
    let body = json!({
        "access_token": "aaa.bbb.ccc", "token_type": "DPoP", "expires_in": 300, "scope": "keys"
    });
    answer_json(200, &body)
}

#[tokio::test]
async fn registering_proves_the_key() {
    let key = key();
    let thumbprint = key.public_key().thumbprint();
    let body =
        json!({ "account_id": "0189", "username": "toto", "thumbprint": thumbprint.to_string() });
    let server = authority(move |_| answer_json(201, &body));

    let account = NewAccount { username: "toto", label: Some("laptop"), enrolment_code: None };
    let registration = client(&server).await.register(&key, &account).await.unwrap();
    assert_eq!(registration.account_id, "0189");
    assert_eq!(registration.thumbprint, thumbprint);

    let [asked] = &server.asked()[..] else { panic!() };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/accounts"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), None);
    let jwk = key.public_key().to_jwk();
    assert_eq!(asked.json(), json!({ "username": "toto", "label": "laptop", "public_key": jwk }));
    let proof = asked.proof();
    assert_eq!(proof["htm"], "POST");
    assert_eq!(proof["htu"], format!("{}/v1/accounts", server.origin()));
    assert!(proof.get("ath").is_none() && proof.get("nonce").is_none());
    assert_eq!(key_in(asked.header("dpop").unwrap()).thumbprint(), thumbprint);
}

#[tokio::test]
async fn registering_uses_the_nonce_that_the_server_asks_for() {
    let key = key();
    let thumbprint = key.public_key().thumbprint().to_string();
    let server = authority(move |asked| {
        if asked.proof().get("nonce").is_none() {
            return problem(400, "nonce-required", "Nonce.").with("dpop-nonce", "n-1");
        }
        let body = json!({ "account_id": "1", "username": "toto", "thumbprint": thumbprint });
        answer_json(201, &body)
    });
    let account = NewAccount { username: "toto", label: None, enrolment_code: Some("c") };
    client(&server).await.register(&key, &account).await.unwrap();
    let [first, second] = &server.asked()[..] else { panic!() };
    assert_eq!(second.proof()["nonce"], "n-1");
    assert_ne!(first.proof()["jti"], second.proof()["jti"]);
    assert_eq!(first.body, second.body);
    assert_eq!(second.json()["enrolment_code"], "c");
}

#[tokio::test]
async fn a_server_that_registers_another_key_is_not_believed() {
    let other = key().public_key().thumbprint().to_string();
    let server = authority(move |_| {
        answer_json(201, &json!({ "account_id": "1", "username": "toto", "thumbprint": other }))
    });
    let account = NewAccount { username: "toto", label: None, enrolment_code: None };
    let refused = client(&server).await.register(&key(), &account).await.unwrap_err();
    assert!(matches!(refused, ClientError::UnexpectedAnswer { .. }), "{refused}");
}

#[tokio::test]
async fn a_refusal_says_what_the_server_says() {
    let server = authority(|_| problem(409, "username-taken", "The username is taken."));
    let account = NewAccount { username: "toto", label: None, enrolment_code: None };
    let refused = client(&server).await.register(&key(), &account).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the server refused: The username is taken (HTTP 409, username-taken)"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn logging_in_sends_an_assertion_and_a_proof() {
    let server = authority(|_| token_answer().with("dpop-nonce", "n-2"));
    let key = key();
    let resource = Some("https://api.example");
    let asking = LoginRequest { scope: Some("keys events"), resource, ..request("toto é") };
    let login = client(&server).await.login(&key, &asking).await.unwrap();

    assert_eq!(login.token().expose(), "aaa.bbb.ccc");
    assert_eq!(login.expires_at(), NOW + Duration::from_mins(5));
    assert_eq!(login.scope().as_deref(), Some("keys"));
    assert!(!login.is_expired());
    let [asked] = &server.asked()[..] else { panic!() };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/oauth/token"));
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.field("grant_type").as_deref(), Some(GRANT));
    assert_eq!(asked.field("scope").as_deref(), Some("keys events"));
    assert_eq!(asked.field("resource").as_deref(), resource);
    assert_eq!(login.save().resource.as_deref(), resource);
    let assertion = claims(&asked.field("assertion").unwrap());
    assert_eq!((&assertion["iss"], &assertion["sub"]), (&"toto é".into(), &"toto é".into()));
    assert_eq!(assertion["aud"], server.origin());
    assert!(assertion.get("cnf").is_none());
    assert_eq!(asked.proof()["htu"], format!("{}/oauth/token", server.origin()));
}

#[tokio::test]
async fn logging_in_again_with_the_nonce_makes_everything_afresh() {
    let server = authority(|asked| match asked.proof().get("nonce").and_then(Value::as_str) {
        Some("n-1") => token_answer(),
        _ => answer_json(400, &json!({ "error": "use_dpop_nonce" })).with("dpop-nonce", "n-1"),
    });
    let client = client(&server).await;
    client.login(&key(), &request("toto")).await.unwrap();
    let [first, second] = &server.asked()[..] else { panic!() };
    assert_ne!(first.proof()["jti"], second.proof()["jti"]);
    let jti = |asked: &Asked| claims(&asked.field("assertion").unwrap())["jti"].to_string();
    assert_ne!(jti(first), jti(second));

    // The nonce serves until the server supplies another one.
    client.login(&key(), &request("toto")).await.unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_server_that_is_never_content_with_a_nonce_is_asked_twice() {
    let server = authority(|_| {
        answer_json(400, &json!({ "error": "use_dpop_nonce", "error_description": "again" }))
            .with("dpop-nonce", "n-1")
    });
    let refused = client(&server).await.login(&key(), &request("toto")).await.err().unwrap();
    assert_eq!(refused.to_string(), "the server refused: again (HTTP 400, use_dpop_nonce)");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_session_key_is_named_by_the_assertion_and_signs_the_proof() {
    let server = authority(|_| token_answer());
    let (own, session_key) = (key(), key());
    let asking = LoginRequest { session_key: Some(Arc::clone(&session_key)), ..request("toto") };
    let login = client(&server).await.login(&own, &asking).await.unwrap();
    login.send(Request::new(Method::GET, &format!("{}/x", server.origin()))).await.unwrap();

    let thumbprint = session_key.public_key().thumbprint();
    let [asked, used] = &server.asked()[..] else { panic!() };
    let assertion = asked.field("assertion").unwrap();
    assert_eq!(claims(&assertion)["cnf"], json!({ "jkt": thumbprint.to_string() }));
    for asked in [asked, used] {
        assert_eq!(key_in(asked.header("dpop").unwrap()).thumbprint(), thumbprint);
    }
}

#[tokio::test]
async fn only_a_bound_and_well_formed_token_is_taken() {
    for body in [
        json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 300 }),
        json!({ "access_token": "a\r\nX: y", "token_type": "DPoP", "expires_in": 300 }),
        json!({ "access_token": "", "token_type": "DPoP", "expires_in": 300 }),
        json!({ "access_token": "a", "token_type": "DPoP" }),
        json!({ "access_token": "a", "token_type": "DPoP", "expires_in": -1 }),
        json!({ "access_token": 1, "token_type": "DPoP", "expires_in": 300 }),
        json!({}),
        json!([]),
    ] {
        let answer = body.clone();
        let server = authority(move |_| answer_json(200, &answer));
        let refused = client(&server).await.login(&key(), &request("toto")).await.err().unwrap();
        assert!(matches!(refused, ClientError::UnexpectedAnswer { .. }), "{body}: {refused}");
    }
}
