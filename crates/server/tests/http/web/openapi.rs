//! `GET /openapi.json`: it names what is served, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{TestApp, TestKey, synced};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Everything that is served.
const SERVED: [(&str, &[&str]); 32] = [
    ("/", &["GET"]),
    ("/.well-known/jwks.json", &["GET"]),
    ("/.well-known/oauth-authorization-server", &["GET"]),
    ("/.well-known/webauthn", &["GET"]),
    ("/healthz", &["GET"]),
    ("/metrics", &["GET"]),
    ("/oauth/introspect", &["POST"]),
    ("/oauth/revoke", &["POST"]),
    ("/oauth/token", &["POST"]),
    ("/openapi.json", &["GET"]),
    ("/readyz", &["GET"]),
    ("/v1/accounts", &["POST"]),
    ("/v1/accounts/{username}/jwks.json", &["GET"]),
    ("/v1/accounts/{username}/recover", &["POST"]),
    ("/v1/events", &["GET"]),
    ("/v1/keyring", &["GET", "PUT", "DELETE"]),
    ("/v1/keyring/content", &["PUT"]),
    ("/v1/keyring/open", &["POST"]),
    ("/v1/keyring/open/finish", &["POST"]),
    ("/v1/keyring/open/prf", &["POST"]),
    ("/v1/keyring/revisions", &["GET"]),
    ("/v1/keyring/revisions/{revision}/restore", &["POST"]),
    ("/v1/keyring/slots", &["POST"]),
    ("/v1/keys", &["GET", "POST"]),
    ("/v1/keys/{thumbprint}", &["PATCH", "DELETE"]),
    ("/v1/passkeys", &["POST"]),
    ("/v1/passkeys/options", &["POST"]),
    ("/v1/passkeys/options/add", &["POST"]),
    ("/v1/passkeys/options/step-up", &["POST"]),
    ("/v1/revocations", &["GET"]),
    ("/v1/whoami", &["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ("/v1/unheard-of", &[]),
];

/// The account app. Its pages and files are for browsers, so the description of the API lacks them.
const PAGES: [&str; 9] = [
    "/account",
    "/account/activity",
    "/account/keyring",
    "/account/keys",
    "/account/passwordless",
    "/favicon.ico",
    "/register",
    "/sign-in",
    "/web/{hash}/{*file}",
];

async fn document(app: &TestApp) -> Value {
    let answer = app.call("GET", "/openapi.json").send().await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    answer.json()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| (path.clone(), method.to_uppercase(), operation.clone()))
    });
    operations.collect()
}

#[tokio::test]
async fn the_document_names_what_is_served_and_nothing_else() {
    let app = TestApp::start().await;
    let documented: BTreeSet<_> = operations(&document(&app).await)
        .into_iter()
        .map(|(path, method, _)| (path, method))
        .collect();
    let served: BTreeSet<_> = SERVED
        .iter()
        .flat_map(|(path, methods)| {
            methods.iter().map(|method| ((*path).to_owned(), (*method).to_owned()))
        })
        .collect();
    assert_eq!(documented, served);
}

#[tokio::test]
async fn every_path_answers_its_methods_and_no_other() {
    let app = TestApp::start().await;
    for (path, methods) in SERVED {
        let url = path.replace("{username}", "alice").replace("{thumbprint}", "x");
        for method in METHODS {
            let answer = app.call(method, &url).send().await;
            if methods.is_empty() {
                answer.is_problem(404, "not-found");
            } else if methods.contains(&method) {
                assert!(
                    ![404, 405].contains(&answer.status) || url.contains("alice"),
                    "{answer:?}"
                );
            } else {
                assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_router_has_no_route_that_is_not_in_the_table() {
    let app = TestApp::start().await;
    // The one way to ask a router for its paths.
    let described = format!("{:?}", app.router());
    let (_, paths) = described.split_once("node: Node { paths: {").unwrap();
    let (paths, _) = paths.split_once("} }").unwrap();
    let routed: BTreeSet<&str> = paths.split('"').filter(|part| part.starts_with('/')).collect();
    let table = SERVED.iter().filter(|(_, methods)| !methods.is_empty());
    assert_eq!(routed, table.map(|(path, _)| *path).chain(PAGES).collect());
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_how_it_refuses() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let operations = operations(&document);
    for (path, method, operation) in &operations {
        let described =
            |member: &str| operation[member].as_str().is_some_and(|text| !text.is_empty());
        assert!(described("summary") || described("description"), "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        let monitored = operation["tags"][0] == "operations" || path == "/openapi.json";
        let mut needed = if monitored { vec![] } else { vec!["429", "500", "503"] };
        if operation.get("security").is_some() {
            needed.extend(["400", "401"]);
        }
        if operation.get("requestBody").is_some() {
            needed.extend(["400", "408", "413"]);
        }
        for status in needed {
            assert!(responses.contains_key(status), "{method} {path} {status}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let media_type = if path.starts_with("/oauth/") {
                "application/json"
            } else {
                "application/problem+json"
            };
            let schema = &response["content"][media_type]["schema"]["$ref"];
            let name = schema.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{path} {status} {name}");
        }
    }
    let ids: BTreeSet<_> =
        operations.iter().map(|(_, _, operation)| operation["operationId"].to_string()).collect();
    assert_eq!(ids.len(), operations.len());
}

#[tokio::test]
async fn the_protected_resources_name_their_scheme() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert!(document["components"]["securitySchemes"]["dpop"].is_object());
    for (path, method, operation) in operations(&document) {
        let protected = operation.get("security").is_some();
        let url = path.replace("{thumbprint}", "x").replace("{username}", "x");
        let status = app.call(&method, &url).send().await.status;
        assert_eq!(protected, status == 401 && path.starts_with("/v1/"), "{method} {path}");
    }
}

#[tokio::test]
async fn options_to_allow_an_operation_are_given_for_those_that_a_passkey_allows() {
    let app = TestApp::start().await;
    let (browser, mut passkey) = (TestKey::number(1), synced(1));
    app.register_with_passkey("alice", &browser, &mut passkey).await;
    let token = app.login("alice", &browser).await;
    for (path, method, operation) in operations(&document(&app).await) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes_one = parameters.into_iter().any(|parameter| {
            parameter["name"] == "Passkey-Assertion" && parameter["in"] == "header"
        });
        let url = path.replace("{thumbprint}", "x").replace("{revision}", "7");
        let answer = app.step_up_options_request((&browser, &token), &method, &url, None);
        let answer = answer.send().await;
        if takes_one {
            answer.is(200);
        } else {
            let told = answer.is_problem(400, "invalid-request").text("detail");
            assert!(told.starts_with("operation: this one needs no passkey"), "{told}");
        }
    }
}
