//! Servers that are not what they seem, say too much or too little, or send one elsewhere.

use std::net::TcpListener;

use super::*;

async fn refusal(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> ClientError {
    let server = Server::start(move |origin, _| answer(origin));
    discover(&server.origin()).await.err().unwrap()
}

#[tokio::test]
async fn the_metadata_must_be_about_the_server_that_was_asked() {
    for other in ["https://auth.example", "http://127.0.0.1:1"] {
        let refused = refusal(move |_| answer_json(200, &metadata(other))).await;
        assert!(
            matches!(&refused, ClientError::IssuerMismatch { found, .. } if found == other),
            "{refused}"
        );
    }
    let refused = refusal(|origin| answer_json(200, &metadata(&format!("{origin}/x")))).await;
    assert!(matches!(refused, ClientError::IssuerMismatch { .. }));
}

#[tokio::test]
async fn a_slash_after_the_origin_is_no_other_server() {
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    let client = discover(&format!("{}/", server.origin())).await.unwrap();
    assert_eq!(client.metadata().issuer(), server.origin());
}

#[tokio::test]
async fn an_issuer_with_a_path_has_its_own_metadata() {
    let server = Server::start(|origin, asked| match asked.path.as_str() {
        "/.well-known/oauth-authorization-server/tenant" => {
            answer_json(200, &metadata(&format!("{origin}/tenant")))
        }
        "/tenant/v1/whoami" => problem(403, "forbidden", "No."),
        _ => Answer(404, Vec::new(), String::new()),
    });
    let client = discover(&format!("{}/tenant", server.origin())).await.unwrap();
    let refused = client.resume(key(), saved(&[])).whoami().await.unwrap_err();
    assert_eq!(refused.to_string(), "the server refused: No (HTTP 403, forbidden)");
}

#[tokio::test]
async fn what_is_no_authorization_server_is_told_apart() {
    let not_an_authority: [fn(&str) -> Answer; 6] = [
        |_| Answer(404, Vec::new(), "<html>".to_owned()),
        |_| Answer(200, Vec::new(), "<html>".to_owned()),
        |_| answer_json(200, &json!({})),
        |origin| answer_json(200, &json!({ "issuer": origin })),
        |origin| answer_json(200, &json!({ "issuer": origin, "token_endpoint": 1 })),
        |origin| Answer(200, Vec::new(), format!(r#"{{"issuer":"{origin}","issuer":"{origin}"}}"#)),
    ];
    for answer in not_an_authority {
        let refused = refusal(answer).await;
        assert!(matches!(refused, ClientError::NotAnAuthority { .. }), "{refused}");
    }
    let refused = refusal(|_| Answer(503, Vec::new(), String::new())).await;
    assert_eq!(refused.to_string(), "the server failed: Service Unavailable (HTTP 503)");
    let refused = refusal(|origin| {
        let mut document = metadata(origin);
        document["token_endpoint"] = "http://auth.example/token".into();
        answer_json(200, &document)
    });
    assert!(matches!(refused.await, ClientError::Insecure { .. }));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let thief = Server::start(|origin, _| answer_json(200, &metadata(origin)));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/x", thief.origin());
        let redirect = move || Answer(status, vec![("location", location.clone())], String::new());
        let to_metadata = redirect.clone();
        let refused = refusal(move |_| to_metadata()).await;
        assert!(matches!(refused, ClientError::Redirected { .. }), "{refused}");

        let server = authority(move |_| redirect());
        let login = logged_in(&server).await;
        let refused = login.whoami().await.unwrap_err();
        assert!(matches!(refused, ClientError::Redirected { .. }), "{refused}");
        let url = format!("{}/y", server.origin());
        let shown = login.send(Request::new(Method::GET, &url)).await.unwrap();
        assert_eq!(shown.status.as_u16(), status);
    }
    assert!(thief.asked().is_empty());
}

#[tokio::test]
async fn an_answer_has_a_greatest_size() {
    let server = authority(|asked| {
        let size: usize = asked.path[1..].parse().unwrap();
        let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", size, "x".repeat(size));
        match asked.header("x-chunked") {
            None => Answer(200, Vec::new(), "x".repeat(size)),
            Some(_) => Answer(200, vec![("transfer-encoding", "chunked".to_owned())], chunked),
        }
    });
    let login = logged_in(&server).await;
    for chunked in [false, true] {
        for (size, fits) in [(10_000, true), (10_001, false), (1_000_000, false)] {
            let url = format!("{}/{size}", server.origin());
            let mut request = Request::new(Method::GET, &url);
            if chunked {
                request.headers.insert("x-chunked", HeaderValue::from_static("1"));
            }
            match login.send(request).await {
                Ok(response) => assert!(fits && response.body.len() == size),
                Err(ClientError::ResponseTooLarge { limit: 10_000, .. }) => assert!(!fits),
                Err(other) => panic!("{other}"),
            }
        }
    }
    let refused = refusal(|_| Answer(200, Vec::new(), " ".repeat(1024 * 1024 + 1))).await;
    assert!(matches!(refused, ClientError::ResponseTooLarge { limit: 1_048_576, .. }));
}

#[tokio::test]
async fn nothing_is_sent_unencrypted_to_another_machine() {
    let refused = discover("http://auth.example").await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        "http://auth.example would get tokens and proofs unencrypted; use https, or a loopback address"
    );
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    let login = logged_in(&server).await;
    for url in ["http://auth.example/x", "http://10.0.0.1/", "http://[2001:db8::1]/"] {
        let refused = login.send(Request::new(Method::GET, url)).await.err().unwrap();
        assert!(matches!(refused, ClientError::Insecure { .. }), "{refused}");
        let bare = transport().send(Request::new(Method::GET, url)).await.err().unwrap();
        assert!(matches!(bare, ClientError::Insecure { .. }), "{bare}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for bad in
        ["", "auth.example", "ftp://auth.example", "https://u:p@auth.example", "https://a/?q"]
    {
        let refused = discover(bad).await.err().unwrap();
        assert!(matches!(refused, ClientError::Address { .. }), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = discover(&format!("http://{free}")).await.err().unwrap();
    let text = refused.to_string();
    assert!(matches!(refused, ClientError::Unreachable { .. }), "{text}");
    assert!(text.starts_with(&format!("cannot talk to http://{free}: ")), "{text}");
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // The connection is accepted by the operating system and never served.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let options =
        TransportOptions { timeout: Duration::from_millis(50), ..TransportOptions::default() };
    let transport = Transport::new(options).unwrap();
    let refused = transport.send(Request::new(Method::GET, &url)).await.err().unwrap();
    assert!(matches!(refused, ClientError::Timeout { .. }), "{refused}");
    assert!(refused.to_string().ends_with("did not answer within 0.05 seconds"), "{refused}");
}

#[tokio::test]
async fn tls_is_demanded_where_the_address_says_so() {
    let server = authority(|_| Answer(200, Vec::new(), String::new()));
    let secure = server.origin().replace("http:", "https:");
    let refused = discover(&secure).await.err().unwrap();
    assert!(
        matches!(refused, ClientError::Unreachable { .. } | ClientError::Certificates(_)),
        "{refused}"
    );
    assert!(server.asked().is_empty());
}

#[test]
fn a_file_of_authorities_must_hold_certificates() {
    for bad in [&b""[..], b"x", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let options =
            TransportOptions { extra_roots_pem: Some(bad.to_vec()), ..TransportOptions::default() };
        let refused = Transport::new(options).err().unwrap();
        assert!(matches!(refused, ClientError::Certificates(_)), "{refused}");
    }
}
