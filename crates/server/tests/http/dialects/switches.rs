//! What is off is nowhere to be found.

use countersign_server::Dialects;
use serde_json::{Value, json};

use super::server::Server;

/// A way to switch something off, what it is called, and requests that it would answer.
type Switch = (fn(&mut Dialects), &'static str, &'static [(&'static str, &'static str)]);

const SWITCHES: [Switch; 5] = [
    (|dialects| dialects.gradecoin = false, "gradecoin", &[("GET", "/gradecoin.pub")]),
    (|dialects| dialects.jwks_server = false, "jwks-server", &[("POST", "/auth")]),
    (
        |dialects| dialects.passwordless = false,
        "passwordless",
        &[("GET", "/challenge/alice"), ("POST", "/authenticate/alice")],
    ),
    // The requests of gradecoin are self-signed too.
    (|dialects| (dialects.self_signed, dialects.gradecoin) = (false, false), "self-signed", &[]),
    (
        |dialects| dialects.signjwt = false,
        "signjwt",
        &[("POST", "/login"), ("POST", "/protected"), ("GET", "/users/alice")],
    ),
];

#[tokio::test]
async fn a_dialect_that_is_off_is_in_no_document_and_at_no_path() {
    for (switch, name, paths) in SWITCHES {
        let mut server = Server::start().await;
        assert!(mentions(&server, name).await, "{name} is on");
        server.restart_speaking(switch).await;
        assert!(!mentions(&server, name).await, "{name} is off");
        for (method, path) in paths {
            let answer = server.send(method, path, &[], "{}".to_owned()).await;
            assert_eq!(answer.status.as_u16(), 404, "{path} of {name}");
        }
    }
}

#[tokio::test]
async fn without_any_dialect_none_of_their_paths_is_there() {
    let mut server = Server::start().await;
    let none = |dialects: &mut Dialects| {
        for (switch, ..) in SWITCHES {
            switch(dialects);
        }
    };
    server.restart_speaking(none).await;
    // A page for people has the same path.
    for (path, status) in [("/register", 405), ("/logout", 404)] {
        assert_eq!(server.post(path, json!({})).await.status.as_u16(), status, "{path}");
    }
}

/// Whether the description of the API, the metadata, or the refusal of a registration has the name.
async fn mentions(server: &Server, name: &str) -> bool {
    let mut texts = Vec::new();
    for path in ["/openapi.json", "/.well-known/oauth-authorization-server"] {
        texts.push(server.get(path).await.body);
    }
    texts.push(server.post("/register", json!({})).await.body);
    texts.iter().map(Value::to_string).any(|text| text.contains(name))
}
