//! Requests of a login: what they carry, the nonces, and the server's own resources.

use countersign_protocol::proofs::body_hash::sha256_hex;

use super::*;

fn get(server: &Server, path: &str) -> Request {
    Request::new(Method::GET, &format!("{}{path}", server.origin()))
}

#[tokio::test]
async fn a_request_carries_the_token_and_a_proof_for_itself() {
    let server = authority(|_| Answer(418, vec![("x-own", "1".to_owned())], "short".to_owned()));
    let login = logged_in(&server).await;
    let mut request = get(&server, "/tea?pot=1#leaf");
    request.method = Method::PUT;
    request.body = b"water".to_vec();
    request.headers.insert("content-type", HeaderValue::from_static("text/plain"));
    let response = login.send(request).await.unwrap();
    assert_eq!(response.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers["x-own"], "1");
    assert_eq!(response.body, b"short");

    let [asked] = &server.asked()[..] else { panic!() };
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PUT", "/tea?pot=1"));
    assert_eq!(asked.body, "water");
    assert_eq!(asked.header("content-type"), Some("text/plain"));
    assert_eq!(asked.header("authorization"), Some("DPoP aaa.bbb"));
    let proof = asked.proof();
    assert_eq!(proof["htm"], "PUT");
    assert_eq!(proof["htu"], format!("{}/tea", server.origin()));
    assert_eq!(proof["iat"], NOW.as_secs());
    let hash = countersign_protocol::digest::sha256(&[b"aaa.bbb"]);
    assert_eq!(proof["ath"], countersign_protocol::strict::base64url::encode(&hash));
}

#[tokio::test]
async fn a_demanded_nonce_is_used_once_and_then_remembered() {
    let server = authority(|asked| match asked.proof().get("nonce").and_then(Value::as_str) {
        Some("n-1") => Answer(200, vec![("dpop-nonce", "n-2".to_owned())], String::new()),
        Some("n-2") => Answer(200, Vec::new(), String::new()),
        _ => resource_wants_nonce("n-1"),
    });
    let login = logged_in(&server).await;
    let mut request = get(&server, "/x");
    request.method = Method::POST;
    request.body = b"body".to_vec();
    for _ in 0..3 {
        assert_eq!(login.send(request.clone()).await.unwrap().status, StatusCode::OK);
    }
    let asked = server.asked();
    let nonces: Vec<_> = asked.iter().map(|asked| asked.proof()["nonce"].clone()).collect();
    assert_eq!(nonces, [json!(null), json!("n-1"), json!("n-2"), json!("n-2")]);
    assert!(asked.iter().all(|asked| asked.body == "body"));
    assert_eq!(login.save().nonces, [(server.origin(), "n-2".to_owned())]);
}

#[tokio::test]
async fn a_resource_that_is_never_content_gets_its_answer_shown() {
    let server = authority(|_| resource_wants_nonce("n-1"));
    let response = logged_in(&server).await.send(get(&server, "/x")).await.unwrap();
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_refusal_without_a_remedy_is_not_tried_again() {
    for answer in [
        || {
            Answer(
                401,
                vec![
                    ("www-authenticate", "DPoP error=\"invalid_token\"".to_owned()),
                    ("dpop-nonce", "n".to_owned()),
                ],
                String::new(),
            )
        },
        || {
            Answer(
                401,
                vec![("www-authenticate", "DPoP error=\"use_dpop_nonce\"".to_owned())],
                String::new(),
            )
        },
        || {
            Answer(
                403,
                vec![
                    ("www-authenticate", "DPoP error=\"use_dpop_nonce\"".to_owned()),
                    ("dpop-nonce", "n".to_owned()),
                ],
                String::new(),
            )
        },
    ] {
        let server = authority(move |_| answer());
        logged_in(&server).await.send(get(&server, "/x")).await.unwrap();
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn nonces_of_other_origins_stay_apart_and_survive_saving() {
    let (one, other) = (
        authority(|_| Answer(200, vec![("dpop-nonce", "one".to_owned())], String::new())),
        authority(|_| Answer(200, vec![("dpop-nonce", "other".to_owned())], String::new())),
    );
    let client = client(&one).await;
    let login = client.resume(key(), saved(&[(one.origin(), "kept")]));
    for server in [&one, &other, &one, &other] {
        login.send(get(server, "/x")).await.unwrap();
    }
    let nonces = |server: &Server| -> Vec<Value> {
        server.asked().iter().map(|asked| asked.proof()["nonce"].clone()).collect()
    };
    assert_eq!(nonces(&one), [json!("kept"), json!("one")]);
    assert_eq!(nonces(&other), [json!(null), json!("other")]);
}

#[tokio::test]
async fn the_headers_of_the_session_cannot_be_replaced() {
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    let login = logged_in(&server).await;
    for (name, shown) in [("authorization", "Authorization"), ("dpop", "DPoP")] {
        let mut request = get(&server, "/x");
        request.headers.insert(name, HeaderValue::from_static("x"));
        let refused = login.send(request).await.err().unwrap();
        assert!(matches!(refused, ClientError::ReservedHeader(name) if name == shown));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn whoami_returns_the_principal() {
    let thumbprint = key().public_key().thumbprint();
    let body = json!({
        "account_id": "0189", "username": "toto", "thumbprint": thumbprint.to_string(),
        "proof": "dpop", "scopes": "keys"
    });
    let server = authority(move |_| answer_json(200, &body));
    let me = logged_in(&server).await.whoami().await.unwrap();
    assert_eq!((me.account_id.as_str(), me.username.as_str()), ("0189", "toto"));
    assert_eq!(me.thumbprint, thumbprint);
    assert_eq!(me.others["proof"], "dpop");
    assert_eq!(server.asked()[0].path, "/v1/whoami");
}

#[tokio::test]
async fn keys_are_listed_added_and_revoked() {
    let thumbprint = key().public_key().thumbprint();
    let listed = json!({ "keys": [
        { "thumbprint": thumbprint.to_string(), "label": "a", "key_type": "Ed25519", "current": false,
          "created_at": 5, "last_used_at": null, "revoked_at": 7 },
        { "thumbprint": thumbprint.to_string(), "label": "b", "key_type": "EC P-256",
          "current": true, "created_at": 6 },
    ]});
    let server = authority(move |asked| match asked.method.as_str() {
        "GET" => answer_json(200, &listed),
        "POST" if asked.proof().get("nonce").is_none() => resource_wants_nonce("n-1"),
        "POST" => answer_json(201, &json!({})),
        _ => Answer(204, Vec::new(), String::new()),
    });
    let login = logged_in(&server).await;

    let keys = login.list_keys().await.unwrap();
    assert_eq!(keys[0].revoked_at, Some(UnixTime::from_secs(7)));
    assert_eq!((keys[1].created_at, keys[1].last_used_at), (UnixTime::from_secs(6), None));

    let new_key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let added = login.add_key("toto", &new_key, Some("phone")).await.unwrap();
    assert_eq!(added, new_key.public_key().thumbprint());
    assert_eq!(login.revoke_key(thumbprint).await.unwrap(), []);
    login.rename_key(thumbprint, "tablet").await.unwrap();

    let asked = server.asked();
    let [_, first, second, last, renamed] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(second.proof()["nonce"], "n-1");
    for asked in [first, second] {
        let body = asked.json();
        assert_eq!(body["label"], "phone");
        assert_eq!(body["public_key"], Value::from(new_key.public_key().to_jwk()));
        let proof = body["new_key_proof"].as_str().unwrap();
        assert_eq!(key_in(proof).thumbprint(), added);
        let proof = claims(proof);
        assert_eq!((&proof["htm"], &proof["sub"]), (&json!("POST"), &json!("toto")));
        assert_eq!(proof["htu"], format!("{}/v1/keys", server.origin()));
        assert!(proof.get("ath").is_none() && proof.get("nonce").is_none());
        assert!(asked.proof().get("ath").is_some());
        assert_eq!(asked.proof()["tha"], sha256_hex(asked.body.as_bytes()));
    }
    assert_eq!(last.proof().get("tha"), None, "there is no body");
    assert_eq!((renamed.method.as_str(), renamed.json()), ("PATCH", json!({ "label": "tablet" })));
    assert_eq!(renamed.proof()["tha"], sha256_hex(renamed.body.as_bytes()));
    assert_eq!(
        (last.method.as_str(), last.path.as_str()),
        ("DELETE", &*format!("/v1/keys/{thumbprint}"))
    );
}

#[tokio::test]
async fn revoking_sends_the_token_to_the_revocation_endpoint() {
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    logged_in(&server).await.revoke_token().await.unwrap();
    let [asked] = &server.asked()[..] else { panic!() };
    assert_eq!(asked.path, "/oauth/revoke");
    assert_eq!(asked.field("token").as_deref(), Some("aaa.bbb"));
    assert_eq!(asked.field("token_type_hint").as_deref(), Some("access_token"));
}

#[tokio::test]
async fn an_expired_session_knows_it() {
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    let saved = SavedToken { expires_at: NOW, ..saved(&[]) };
    assert!(client(&server).await.resume(key(), saved).is_expired());
}

#[test]
fn the_futures_can_run_on_any_thread() {
    fn check<T: Send>(_: T) {}
    fn all(client: &Client, login: &Login, key: &Arc<PrivateKey>) {
        let account = NewAccount { username: "", label: None, enrolment_code: None };
        check(client.register(key, &account));
        check(client.login(key, &request("")));
        check(login.send(Request::new(Method::GET, "")));
        check(login.add_key("", key, None));
    }
    let _ = all;
}
