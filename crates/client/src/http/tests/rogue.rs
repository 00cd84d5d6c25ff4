//! A server that wants something signed which is worth something elsewhere.
//!
//! Each test goes through every kind of key, because each of them signs in another way.

use countersign_protocol::{
    envelope::aes_gcm::SealingKey,
    keys::raw_rsa::RawRsaPrivateKey,
    strict::{base64, base64url},
    tokens::{offered_session::UnfitSession, session::SessionSealer},
};

use super::*;
use crate::http::dialects::SessionRecipients;

const NONCE: &str = "AAAAAAAAAAAAAAAAAAAAAA";
const REAL: &str = "https://real.example";

fn every_kind_of_key() -> [Arc<PrivateKey>; 4] {
    [NewKey::Rsa2048, NewKey::EcP256, NewKey::EcP384, NewKey::Ed25519]
        .map(|kind| Arc::new(PrivateKey::generate(kind).unwrap()))
}

/// A genuine session of the server with that issuer identifier.
fn session_of(issuer: &str, account: &str) -> String {
    let key = SealingKey::from_bytes(&[1; 32]);
    let sealer = SessionSealer::new(&key, issuer, Duration::from_mins(30));
    sealer.issue(account, "session 1", NONCE, NOW)
}

/// A server that opens such sessions, and takes whatever is signed.
fn rogue(session: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> Server {
    Server::start(move |origin, asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server" => answer_json(200, &metadata(origin)),
        "/login" => {
            let (nonce, jwt) = session(origin);
            answer_json(200, &json!({ "nonce": nonce, "jwt": jwt }))
        }
        "/register" => answer_json(200, &json!({ "message": "registered" })),
        _ => answer_json(200, &json!({})),
    })
}

/// Fails unless the client signs nothing, in whichever way it is asked to; says why it does not.
async fn signs_nothing(rogue: &Server, key: &PrivateKey) -> UnfitSession {
    let client = client(rogue).await;
    let url = format!("{}/v1/keys", rogue.origin());
    let request = Request::new(Method::POST, &url);
    let issuer_only = SessionRecipients::issuer_only();
    let sent = client.send_signjwt(key, "alice", request, &issuer_only).await;
    assert!(matches!(sent, Err(ClientError::UnfitSession { .. })));
    let registered = client.register_signjwt(key, "alice", None).await.unwrap_err();
    assert!(registered.to_string().contains("nothing was signed"), "{registered}");
    let refused = client.whoami_signjwt(key, "alice").await.unwrap_err();
    for asked in rogue.asked() {
        let is_signed = ["signed-message", "authorization", "dpop"].map(|name| asked.header(name));
        assert_eq!(is_signed, [None; 3], "{asked:?}");
        assert!(matches!(&*asked.path, "/login" | "/register"), "{asked:?}");
    }
    let ClientError::UnfitSession { reason, .. } = refused else { panic!("{refused}") };
    reason
}

/// The signing input of an assertion that hands the account over, as `key` would sign it. White space
/// sees to it that its first 22 characters are a nonce.
fn takeover(key: &PrivateKey) -> String {
    let header = format!("{{\"alg\":\"{}\", \n\"typ\":\"JWT\"}}", key.algorithm().name());
    let claims = json!({
        "iss": "alice", "sub": "alice", "aud": REAL, "jti": "1", "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60, "cnf": { "jkt": "gpZEObR0cFJ3BxTqEMo_aZOSFcQClQVqVYd_aMhdRIE" },
    });
    let [header, claims] = [header, claims.to_string()].map(|t| base64url::encode(t.as_bytes()));
    format!("{header}.{claims}")
}

#[tokio::test]
async fn a_session_that_is_the_beginning_of_a_forged_token_is_not_signed() {
    for key in every_kind_of_key() {
        let wanted = takeover(&key);
        let (claims, end) = (base64url::encode(b"{}"), base64url::encode(&[7; 32]));
        for (nonce, jwt, reason) in [
            (&wanted[..22], wanted[22..].to_owned(), UnfitSession::Form),
            (NONCE, wanted.clone(), UnfitSession::Form),
            ("", wanted.clone(), UnfitSession::Nonce),
            (&wanted, String::new(), UnfitSession::Nonce),
            (&wanted[..21], wanted[21..].to_owned(), UnfitSession::Nonce),
            (&wanted, format!(".{claims}.{end}"), UnfitSession::Nonce),
            // Three segments, as a session has, after the header of another token.
            (NONCE, format!("{wanted}.{end}"), UnfitSession::Form),
        ] {
            let (nonce, jwt) = (nonce.to_owned(), jwt);
            let rogue = rogue(move |_| (nonce.clone(), jwt.clone()));
            assert_eq!(signs_nothing(&rogue, &key).await, reason);
        }
    }
}

#[tokio::test]
async fn a_relayed_session_of_another_server_is_not_signed() {
    for key in every_kind_of_key() {
        let rogue = rogue(|_| (NONCE.to_owned(), session_of(REAL, "alice")));
        assert_eq!(signs_nothing(&rogue, &key).await, UnfitSession::Issuer(REAL.to_owned()));
    }
}

#[tokio::test]
async fn a_session_of_somebody_else_or_of_another_time_is_not_signed() {
    let [_, _, _, key] = every_kind_of_key();
    let rogue_ = rogue(|origin| (NONCE.to_owned(), session_of(origin, "mallory")));
    assert_eq!(signs_nothing(&rogue_, &key).await, UnfitSession::Subject);
    let rogue = rogue(|origin| {
        let sealer = SealingKey::from_bytes(&[1; 32]);
        let sealer = SessionSealer::new(&sealer, origin, Duration::ZERO);
        (NONCE.to_owned(), sealer.issue("alice", "session 1", NONCE, NOW))
    });
    assert_eq!(signs_nothing(&rogue, &key).await, UnfitSession::Expired);
}

#[tokio::test]
async fn what_a_server_of_its_own_sessions_gets_names_that_server() {
    for key in every_kind_of_key() {
        let rogue = rogue(|origin| (NONCE.to_owned(), session_of(origin, "alice")));
        let client = client(&rogue).await;
        let url = format!("{}/x", rogue.origin());
        let issuer_only = SessionRecipients::issuer_only();
        let request = Request::new(Method::GET, &url);
        client.send_signjwt(&key, "alice", request, &issuer_only).await.unwrap();
        let asked = rogue.asked();
        let jwt = asked[1].header("authorization").unwrap().strip_prefix("SignJWT ").unwrap();
        assert_eq!(server::claims(jwt)["iss"], rogue.origin());
        assert!(asked[1].header("signed-message").is_some());
    }
}

#[tokio::test]
async fn the_signature_of_a_session_goes_to_its_issuer_alone_unless_told() {
    let api = Server::start(|_, _| answer_json(200, &json!({})));
    let issuer = rogue(|origin| (NONCE.to_owned(), session_of(origin, "alice")));
    let (client, key) = (client(&issuer).await, key());
    let send = async |recipients| {
        let request = Request::new(Method::GET, &format!("{}/items", api.origin()));
        client.send_signjwt(&key, "alice", request, &recipients).await
    };
    let elsewhere = SessionRecipients::issuer_only().and("https://api.example").unwrap();
    for recipients in [SessionRecipients::issuer_only(), SessionRecipients::default(), elsewhere] {
        let refused = send(recipients).await.err().unwrap();
        assert!(matches!(&refused, ClientError::SessionElsewhere { .. }), "{refused}");
        assert!(refused.to_string().contains(&api.origin()), "{refused}");
    }
    assert_eq!((api.asked().len(), issuer.asked().len()), (0, 0), "no session is opened either");

    let told = SessionRecipients::issuer_only().and(&api.origin()).unwrap();
    assert_eq!(send(told).await.unwrap().status, StatusCode::OK);
    assert!(api.asked()[0].header("signed-message").is_some());
}

#[test]
fn a_recipient_of_sessions_is_an_origin_and_no_more() {
    let and = |text| SessionRecipients::issuer_only().and(text);
    assert_eq!(and("HTTPS://API.example:443/").unwrap(), and("https://api.example").unwrap());
    for bad in ["", "api.example", "https://api.example/items", "https://u:p@api.example", "*"] {
        assert!(matches!(and(bad), Err(ClientError::Origin { .. })), "{bad}");
    }
}

#[tokio::test]
async fn metadata_cannot_make_a_client_sign_for_another_server() {
    // The metadata of the real server, relayed: the assertion would be for that one.
    for issuer in [REAL, "https://REAL.example", "HTTPS://real.example/"] {
        let rogue = Server::start(move |_, _| answer_json(200, &metadata(issuer)));
        let refused = discover(&rogue.origin()).await.err().unwrap();
        assert!(matches!(refused, ClientError::IssuerMismatch { .. }), "{issuer}");
    }
    // Its own, with the endpoint of another: what arrives there is for nobody there.
    for key in every_kind_of_key() {
        let real = Server::start(|_, _| problem(400, "invalid_grant", "No."));
        let endpoint = format!("{}/oauth/token", real.origin());
        let rogue = Server::start(move |origin, _| {
            let mut document = metadata(origin);
            document["token_endpoint"] = endpoint.clone().into();
            answer_json(200, &document)
        });
        let refused = client(&rogue).await.login(&key, &request("alice")).await.err().unwrap();
        assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
        let [asked] = &real.asked()[..] else { panic!() };
        assert_eq!(claims(&asked.field("assertion").unwrap())["aud"], rogue.origin());
        assert!(rogue.asked().is_empty());
    }
}

#[tokio::test]
async fn a_nonce_of_the_server_stays_inside_the_claim() {
    let key = key();
    for nonce in [r#"x","htu":"https://real.example"#, "a\\u0022b", "", &"x".repeat(1025)] {
        let sent = nonce.to_owned();
        let rogue = authority(move |_| {
            let refused = problem(400, "invalid_request", "No.").with("dpop-nonce", &sent);
            Answer(400, refused.1, r#"{"error":"use_dpop_nonce"}"#.to_owned())
        });
        let refused = client(&rogue).await.login(&key, &request("alice")).await;
        assert!(refused.is_err());
        for asked in rogue.asked() {
            let proof = asked.proof();
            assert_eq!(proof.get("nonce"), None, "{proof}");
            assert_eq!(proof["htu"], format!("{}/oauth/token", rogue.origin()));
        }
    }
}

#[tokio::test]
async fn everything_else_that_is_signed_names_the_server_that_gets_it() {
    for key in every_kind_of_key() {
        let rogue = authority(|_| answer_json(200, &json!({})));
        let (client, origin) = (client(&rogue).await, rogue.origin());
        // None of these answers is good; what matters is what was sent.
        let account = NewAccount { username: "alice", label: None, enrolment_code: None };
        drop(client.register(&key, &account).await);
        drop(client.login(&key, &request("alice")).await);
        drop(client.whoami_gradecoin(&key, "alice").await);
        let jwt = client.self_signed(&key, "alice", None, None).unwrap();
        drop(client.whoami_self_signed(&jwt).await);
        let password = crate::Password::new("a password".to_owned()).unwrap();
        drop(client.login_with_password(&key, "alice", &password).await);
        drop(client.resume(Arc::clone(&key), saved(&[])).add_key("toto", &key, None).await);
        let asked = rogue.asked();
        assert_eq!(asked.len(), 6);
        for asked in asked {
            if asked.header("dpop").is_some() {
                assert_eq!(asked.proof()["htu"], format!("{origin}{}", asked.path));
            }
            let bearer = asked.header("authorization").and_then(|a| a.strip_prefix("Bearer "));
            for jwt in bearer.map(str::to_owned).into_iter().chain(asked.field("assertion")) {
                assert_eq!(claims(&jwt)["aud"], origin, "{asked:?}");
            }
        }
    }
}

#[tokio::test]
async fn passwordless_signs_nothing_but_numbers_of_the_server_that_made_the_account() {
    let own = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    let real = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    let number = "1012345678901234567890123456789012345678901234567890";
    let block = |key: &PrivateKey, text: &str| {
        let raw = RawRsaPrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        base64::encode(&raw.encrypt(text.as_bytes()).unwrap())
    };
    for key in every_kind_of_key() {
        let wanted = &takeover(&key)[..200];
        let signed = ["2", &number[1..]].concat();
        for challenge in [
            // Of another server's account, relayed.
            block(&real, number),
            block(&own, wanted),
            block(&own, &signed),
            block(&own, &format!("{number} ")),
            block(&own, &number[1..]),
        ] {
            let rogue = authority(move |_| answer_json(200, &json!({ "challenge": challenge })));
            let client = client(&rogue).await;
            let refused = client.login_passwordless(&key, "alice", own.public_key()).await;
            let refused = refused.err().unwrap();
            assert!(matches!(refused, ClientError::ServerUnproven { .. }), "{refused}");
            assert_eq!(rogue.asked().len(), 1);
        }
    }
}
