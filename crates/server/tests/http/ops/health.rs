//! `/healthz`, `/readyz`, `/metrics`: for those who run the server.

use std::{sync::Arc, time::Duration};

use countersign_server::TrustedProxies;

use crate::support::{CAUSE, Fault, Faults, TestApp, TestKey};

#[tokio::test]
async fn a_server_that_works_is_alive_and_ready() {
    let app = TestApp::start().await;
    assert_eq!(app.call("GET", "/healthz").send().await.is(200).body, "ok\n");
    assert_eq!(app.call("GET", "/readyz").send().await.is(200).body, "ready\n");
}

#[tokio::test]
async fn a_server_without_its_store_is_alive_but_not_ready() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    for fault in [Fault::Unavailable, Fault::Corrupt] {
        faults.set(fault);
        app.call("GET", "/healthz").send().await.is(200);
        let answer = app.call("GET", "/readyz").send().await;
        answer.is_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.body.contains(CAUSE), "{answer:?}");
    }
    faults.clear();
    app.call("GET", "/readyz").send().await.is(200);
}

#[tokio::test]
async fn a_server_whose_database_may_lose_what_it_acknowledges_says_why_it_changes_nothing() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.whoami(&key, &token).await.is(200);
    faults.set(Fault::Forgetful);
    for answer in [
        app.call("GET", "/readyz").send().await,
        app.registration("bob", &TestKey::number(2)).send().await,
        app.login_request("alice", &key).send().await,
    ] {
        assert_eq!(answer.is(503).header("retry-after"), "1");
        assert!(answer.body.contains("does not surely keep it"), "{answer:?}");
        assert!(!answer.body.contains(CAUSE), "{answer:?}");
    }
    app.whoami(&key, &token).await.is(200);
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_not_ready_and_serves_on() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.call("GET", "/readyz").send().await.is(200);
    app.drain();
    // At once: a good answer of before does not count.
    let answer = app.call("GET", "/readyz").send().await;
    answer.is_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(app.call("GET", "/healthz").send().await.is(200).body, "ok\n");
    app.whoami(&key, &token).await.is(200);
    app.login("alice", &key).await;
}

#[tokio::test]
async fn a_good_answer_about_the_store_holds_for_a_second() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    app.call("GET", "/readyz").send().await.is(200);
    faults.set(Fault::Unavailable);
    app.advance(Duration::from_millis(999));
    app.call("GET", "/readyz").send().await.is(200);
    app.advance(Duration::from_millis(1));
    app.call("GET", "/readyz").send().await.is_problem(503, "unavailable");
}

#[tokio::test]
async fn a_server_without_a_signing_key_is_not_ready() {
    let faults = Faults::default();
    let app = TestApp::start_with(|setup| setup.faults = Some(faults.clone())).await;
    app.advance(Duration::from_hours(24 * 365));
    faults.set(Fault::Unavailable);
    app.call("GET", "/readyz").send().await.is_problem(503, "unavailable");
    faults.clear();
    // It makes one at once, and waits for no housekeeping.
    app.call("GET", "/readyz").send().await.is(200);
    let keys = app.call("GET", "/.well-known/jwks.json").send().await.is(200).json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn metrics_are_for_the_listed_networks() {
    let app = TestApp::start_with(|setup| {
        setup.settings.metrics_readers = vec!["198.51.100.0/24".parse().unwrap()];
    })
    .await;
    let read = |peer| app.call("GET", "/metrics").peer(peer);
    let answer = read("198.51.100.9").send().await;
    answer.is(200);
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), media_type);
    assert!(answer.body.ends_with("# EOF\n"));
    read("192.0.2.1").send().await.is_problem(403, "forbidden");
    for header in ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-proto"] {
        let through_a_proxy = read("198.51.100.9").header(header, "for=198.51.100.9");
        through_a_proxy.send().await.is_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn metrics_are_not_read_through_a_proxy_whatever_a_client_pretends() {
    let app = TestApp::start_with(|setup| {
        setup.settings.metrics_readers = vec!["198.51.100.0/24".parse().unwrap()];
        setup.settings.proxies = Arc::new(TrustedProxies::parse(&["198.51.100.1"]).unwrap());
    })
    .await;
    let read = |forwarded| {
        app.call("GET", "/metrics").peer("198.51.100.1").header("x-forwarded-for", forwarded)
    };
    for pretended in ["198.51.100.7", "203.0.113.7", "198.51.100.7, 203.0.113.7", "x", ""] {
        read(pretended).send().await.is_problem(403, "forbidden");
        let both = read("203.0.113.7").header("forwarded", format!("for={pretended}"));
        both.send().await.is_problem(403, "forbidden");
    }
    app.call("GET", "/metrics").peer("198.51.100.1").send().await.is(200);
}

#[tokio::test]
async fn metrics_count_the_epochs_of_the_replay_log() {
    let app = TestApp::start_with(|setup| {
        setup.settings.metrics_readers = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    for epochs in 0..3 {
        let page = app.call("GET", "/metrics").send().await.is(200).body.clone();
        let line = format!("countersign_replay_log_epochs_total {epochs}");
        assert!(page.lines().any(|written| written == line), "{line}\n{page}");
        app.forget_used_proofs();
    }
}

#[tokio::test]
async fn metrics_count_requests_and_refusals_by_reason() {
    let app = TestApp::start_with(|setup| {
        setup.settings.metrics_readers = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    let call = app.resource_request(&key, &token, "GET", "/v1/whoami");
    call.clone().send().await.is(200);
    call.send().await.is(401);
    app.whoami(&TestKey::number(2), &token).await.is(401);
    app.call("GET", "/v1/whoami").send().await.is(401);
    app.registration("alice", &TestKey::number(3)).send().await.is(409);
    app.call("GET", "/nowhere/SECRET").send().await.is(404);
    let page = app.call("GET", "/metrics").send().await.is(200).body.clone();
    for line in [
        r#"countersign_http_requests_total{route="/v1/whoami",method="GET",status="2xx"} 1"#,
        r#"countersign_http_requests_total{route="/v1/whoami",method="GET",status="4xx"} 3"#,
        r#"countersign_http_requests_total{route="other",method="GET",status="4xx"} 1"#,
        r#"countersign_refusals_total{reason="replayed"} 1"#,
        r#"countersign_refusals_total{reason="other-key"} 1"#,
        r#"countersign_refusals_total{reason="missing"} 1"#,
        r#"countersign_refusals_total{reason="username-taken"} 1"#,
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    // A proof of registration, one of login, one of a call; the others were refused before.
    assert!(page.contains("countersign_replay_log_entries 4"), "{page}");
    for secret in ["SECRET", "alice", &token, &key.thumbprint()] {
        assert!(!page.contains(secret));
    }
}
