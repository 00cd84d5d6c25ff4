//! A token that is refused, and the one login in its place.

use super::*;
use crate::token::IssuedToken;

const TOKEN_ENDPOINT: &str = "/oauth/token";

/// A server that gives out the tokens `new.1`, `new.2` and so on, and whose resource says what `good`
/// says about the token that it gets.
fn server_of_tokens(good: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let issued = Mutex::new(0);
    authority(move |asked| {
        if asked.path == TOKEN_ENDPOINT {
            let mut issued = issued.lock().unwrap();
            *issued += 1;
            let token = format!("new.{issued}");
            return answer_json(
                200,
                &json!({ "access_token": token, "token_type": "DPoP", "expires_in": 60 }),
            );
        }
        let token = asked.header("authorization").and_then(|field| field.strip_prefix("DPoP "));
        if token.is_some_and(&good) { Answer(200, Vec::new(), String::new()) } else { refused() }
    })
}

/// What a guard says of a token that is good for nothing any more (RFC 6750 §3.1).
fn refused() -> Answer {
    problem(401, "unauthenticated", "The request must prove who makes it.")
        .with("www-authenticate", "DPoP algs=\"EdDSA\", error=\"invalid_token\"")
        .with("dpop-nonce", "n")
}

fn by_key(key: &Arc<PrivateKey>) -> Renewal {
    let scope = Some("keys".to_owned());
    Renewal::by_key(Arc::clone(key), "toto".to_owned(), scope)
}

/// A login with the token `aaa.bbb` that knows how to get another one.
async fn renewable(server: &Server) -> Login {
    let key = key();
    client(server).await.resume(Arc::clone(&key), saved(&[])).renewed_by(by_key(&key))
}

async fn send(login: &Login, server: &Server) -> StatusCode {
    let mut request = Request::new(Method::POST, &format!("{}/x", server.origin()));
    request.body = b"body".to_vec();
    login.send(request).await.unwrap().status
}

fn paths(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| asked.path).collect()
}

#[tokio::test]
async fn a_refused_token_makes_the_session_log_in_and_ask_again_once() {
    let server = server_of_tokens(|token| token == "new.1");
    let login = renewable(&server).await;
    for _ in 0..2 {
        assert_eq!(send(&login, &server).await, StatusCode::OK);
    }
    assert_eq!(paths(&server), ["/x", TOKEN_ENDPOINT, "/x", "/x"]);
    assert_eq!(login.token().expose(), "new.1");
    assert_eq!(login.save().token.expose(), "new.1");
    assert_eq!(login.expires_at(), NOW + Duration::from_mins(1));
    let asked = server.asked();
    assert_eq!(asked[1].field("scope").as_deref(), Some("keys"));
    assert_eq!(asked[2].body, "body");
    assert_ne!(asked[0].proof()["ath"], asked[2].proof()["ath"]);
}

#[tokio::test]
async fn a_session_that_has_logged_in_knows_how_to_do_it_again() {
    let server = server_of_tokens(|token| token == "new.2");
    let key = key();
    let asking = LoginRequest { resource: Some("https://api.example"), ..request("toto") };
    let login = client(&server).await.login(&key, &asking).await.unwrap();
    assert_eq!(send(&login, &server).await, StatusCode::OK);
    let asked = server.asked();
    let logins: Vec<_> = asked.iter().filter(|asked| asked.path == TOKEN_ENDPOINT).collect();
    assert_eq!(logins.len(), 2);
    assert!(
        logins.iter().all(|asked| asked.field("resource") == asking.resource.map(str::to_owned))
    );
}

#[tokio::test]
async fn a_token_for_a_session_key_is_renewed_by_the_key_that_logged_in() {
    let server = server_of_tokens(|token| token == "new.2");
    let (own, session_key) = (key(), key());
    let asking = LoginRequest { session_key: Some(Arc::clone(&session_key)), ..request("toto") };
    let login = client(&server).await.login(&own, &asking).await.unwrap();
    assert_eq!(send(&login, &server).await, StatusCode::OK);
    let logins = server.asked().into_iter().filter(|asked| asked.path == TOKEN_ENDPOINT);
    let bound =
        logins.map(|asked| claims(&asked.field("assertion").unwrap())["cnf"]["jkt"].clone());
    let expected = json!(session_key.public_key().thumbprint().to_string());
    assert_eq!(bound.collect::<Vec<_>>(), [expected.clone(), expected]);
}

#[tokio::test]
async fn an_api_that_takes_no_token_at_all_causes_one_login() {
    let server = server_of_tokens(|_| false);
    let login = renewable(&server).await;
    for _ in 0..3 {
        assert_eq!(send(&login, &server).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(paths(&server), ["/x", TOKEN_ENDPOINT, "/x", "/x", "/x"]);
}

#[tokio::test]
async fn each_token_that_was_good_once_may_be_replaced() {
    let uses = Mutex::new(BTreeMap::new());
    let server = server_of_tokens(move |token| {
        let mut uses = uses.lock().unwrap();
        let count = uses.entry(token.to_owned()).or_insert(0);
        *count += 1;
        token != "aaa.bbb" && *count == 1
    });
    let login = renewable(&server).await;
    for _ in 0..3 {
        assert_eq!(send(&login, &server).await, StatusCode::OK);
    }
    assert_eq!(login.token().expose(), "new.3");
}

#[tokio::test]
async fn an_api_that_takes_each_token_once_does_not_use_up_the_logins_of_the_account() {
    let uses = Mutex::new(BTreeMap::new());
    let server = server_of_tokens(move |token| {
        let mut uses = uses.lock().unwrap();
        let count = uses.entry(token.to_owned()).or_insert(0);
        *count += 1;
        *count == 1
    });
    let login = renewable(&server).await;
    for _ in 0..20 {
        send(&login, &server).await;
    }
    assert_eq!(login.token().expose(), "new.4");
}

#[test]
fn logins_in_place_of_refused_tokens_are_counted_for_ten_seconds() {
    let token = AccessToken::new("a.b".to_owned()).unwrap();
    let issued = IssuedToken { token, expires_at: NOW, scope: None };
    let mut current = super::super::renewal::Current::new(issued);
    let at = |seconds: u64| NOW + std::time::Duration::from_secs(seconds);
    for seconds in [0, 1, 2, 9] {
        assert!(current.count_renewal(at(seconds)));
    }
    assert!(!current.count_renewal(at(9)));
    assert!(current.count_renewal(at(10)));
    assert!(current.count_renewal(NOW), "the clock was set back");
}

#[tokio::test]
async fn what_was_asked_for_is_saved_with_the_token() {
    let server = server_of_tokens(|_| true);
    let key = key();
    let request =
        LoginRequest { subject: "toto", scope: Some("read"), resource: None, session_key: None };
    let login = client(&server).await.login(&key, &request).await.unwrap();
    assert_eq!(login.save().scope.as_deref(), Some("read"));
    let resumed = client(&server).await.resume(key, login.save());
    assert_eq!(resumed.save().scope.as_deref(), Some("read"));
}

#[tokio::test]
async fn when_the_login_is_refused_too_the_first_answer_stands() {
    let server = authority(|asked| match asked.path.as_str() {
        TOKEN_ENDPOINT => answer_json(400, &json!({ "error": "invalid_grant" })),
        _ => refused(),
    });
    let login = renewable(&server).await;
    assert_eq!(send(&login, &server).await, StatusCode::UNAUTHORIZED);
    assert_eq!(paths(&server), ["/x", TOKEN_ENDPOINT]);
    assert_eq!(login.token().expose(), "aaa.bbb");
    assert_eq!(login.refused_login().unwrap().code.as_deref(), Some("invalid_grant"));
}

#[tokio::test]
async fn a_session_that_its_owner_has_ended_stays_ended() {
    let server = server_of_tokens(|_| false);
    let login = renewable(&server).await;
    // The answer to the revocation is a refusal; the login has ended all the same.
    drop(login.revoke_token().await);
    assert_eq!(send(&login, &server).await, StatusCode::UNAUTHORIZED);
    assert_eq!(paths(&server), ["/oauth/revoke", "/x"]);
}

#[tokio::test]
async fn only_a_refused_token_is_replaced() {
    let answers: [fn() -> Answer; 4] = [
        || {
            problem(403, "forbidden", "No.")
                .with("www-authenticate", "DPoP error=\"invalid_token\"")
        },
        || {
            problem(401, "unauthenticated", "No.")
                .with("www-authenticate", "DPoP error=\"invalid_dpop_proof\"")
        },
        || {
            problem(401, "unauthenticated", "No.")
                .with("www-authenticate", "Bearer error=\"invalid_token\"")
        },
        || problem(401, "unauthenticated", "No."),
    ];
    for answer in answers {
        let server = authority(move |_| answer());
        send(&renewable(&server).await, &server).await;
        assert_eq!(paths(&server), ["/x"]);
    }
}

/// What a guard says that requires a login of some kind (RFC 9470 §3).
fn insufficient(parameters: &str) -> Answer {
    let challenge = format!("DPoP error=\"insufficient_user_authentication\", {parameters}");
    problem(401, "insufficient-login", "This needs another login.")
        .with("www-authenticate", &challenge)
}

#[tokio::test]
async fn a_login_that_is_too_long_ago_is_done_again() {
    let server = authority(|asked| {
        let is_new = asked.header("authorization") == Some("DPoP new.1");
        match asked.path.as_str() {
            TOKEN_ENDPOINT => answer_json(
                200,
                &json!({ "access_token": "new.1", "token_type": "DPoP", "expires_in": 60 }),
            ),
            _ if is_new => Answer(200, Vec::new(), String::new()),
            _ => insufficient("max_age=\"300\""),
        }
    });
    let login = renewable(&server).await;
    assert_eq!(send(&login, &server).await, StatusCode::OK);
    assert_eq!(paths(&server), ["/x", TOKEN_ENDPOINT, "/x"]);
}

#[tokio::test]
async fn a_login_of_another_class_is_not_tried_with_a_key() {
    for parameters in ["acr_values=\"phr\"", "acr_values=\"phr\", max_age=\"300\""] {
        let server = authority(move |_| insufficient(parameters));
        let login = renewable(&server).await;
        assert_eq!(send(&login, &server).await, StatusCode::UNAUTHORIZED);
        assert_eq!(paths(&server), ["/x"]);
    }
}
