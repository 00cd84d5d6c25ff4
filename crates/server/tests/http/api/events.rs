//! `GET /v1/events`: one's own audit trail.

use countersign_authority::model::audit::{AuditEvent, EventKind};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, TestKey};

async fn read(app: &TestApp, key: &TestKey, token: &str, query: &str) -> Answer {
    app.write_trail().await;
    app.resource_request(key, token, "GET", &format!("/v1/events{query}")).send().await
}

fn names(answer: &Answer) -> Vec<Value> {
    let events = answer.is(200).json()["events"].as_array().unwrap().clone();
    events.into_iter().map(|mut event| event["event"].take()).collect()
}

#[tokio::test]
async fn the_newest_event_comes_first_with_key_and_address() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    app.registration("alice", &key).peer("198.51.100.7").send().await.is(201);
    let login = app.login_request("alice", &key).peer("2001:db8::7").send().await;
    let token = login.is(200).text("access_token");
    let answer = read(&app, &key, &token, "").await;
    let body = answer.is(200).json();
    let expected = |event: &str, address: &str, id: &Value| {
        json!({
            "id": id,
            "at": app.now().as_secs(),
            "event": event,
            "thumbprint": key.thumbprint(),
            "label": "Ed25519 key",
            "address": address,
            "detail": null,
        })
    };
    let events = body["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], expected("login.succeeded", "2001:db8::7", &events[0]["id"]));
    assert_eq!(events[1], expected("account.registered", "198.51.100.7", &events[1]["id"]));
    assert!(events[0]["id"].as_u64() > events[1]["id"].as_u64());
    assert_eq!(body.get("next_before"), None);
}

#[tokio::test]
async fn nobody_reads_the_events_of_others() {
    let app = TestApp::start().await;
    let (alice, bob) = (TestKey::number(1), TestKey::number(2));
    app.enrol("alice", &alice).await;
    let token = app.enrol("bob", &bob).await;
    let answer = read(&app, &bob, &token, "").await;
    assert_eq!(names(&answer), ["login.succeeded", "account.registered"]);
    assert!(!answer.body.contains(&alice.thumbprint()));
}

#[tokio::test]
async fn events_come_in_pages_that_neither_overlap_nor_leave_gaps() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let mut token = app.enrol("alice", &key).await;
    for _ in 0..6 {
        token = app.login("alice", &key).await;
    }
    let mut ids = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let body = read(&app, &key, &token, &query).await.is(200).json();
        let page = body["events"].as_array().unwrap().clone();
        ids.extend(page.iter().map(|event| event["id"].as_u64().unwrap()));
        let Some(next) = body["next_before"].as_u64() else { break };
        assert_eq!(page.len(), 3);
        query = format!("?limit=3&before={next}");
    }
    assert_eq!(ids.len(), 8);
    assert!(ids.is_sorted_by(|one, other| one > other), "{ids:?}");
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    for query in [
        "?limit=0",
        "?limit=201",
        "?limit=-1",
        "?limit=x",
        "?limit=",
        "?limit=1&limit=2",
        "?limit=99999999999999999999",
        "?before=x",
        "?before=-1",
        "?account=bob",
        "?unheard=of",
        "?event=",
        "?event=nothing.of-the-kind",
        "?event=key.added,key.revoked",
        "?key=short",
    ] {
        read(&app, &key, &token, query).await.is_problem(400, "invalid-request");
    }
    for query in [
        "?event=key.added&event=key.added",
        "?limit=1",
        "?limit=200",
        "?before=1000000",
        "?before=0",
        "?",
    ] {
        read(&app, &key, &token, query).await.is(200);
    }
    let far = read(&app, &key, &token, "?before=18446744073709551615").await;
    assert_eq!(names(&far).len(), 2);
}

/// A thief who logs in again and again hides nothing by that.
#[tokio::test]
async fn events_of_some_kinds_are_found_however_many_logins_there_are() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let id = app.register("alice", &key).await.parse().unwrap();
    let event = |kind| AuditEvent::new(app.now(), kind).account(id);
    let mut events = vec![event(EventKind::ProofReplayed), event(EventKind::KeyUsedFromNewPlace)];
    events.resize_with(10_050, || event(EventKind::LoginSucceeded));
    app.ports().store.append(events).await.unwrap();
    let token = app.login("alice", &key).await;
    let path = "/v1/events?event=proof.replayed&event=key.used-from-new-place&limit=1";
    let alarms = app.resource_request(&key, &token, "GET", path).send().await;
    assert_eq!(names(&alarms), ["key.used-from-new-place"]);
    let next = alarms.json()["next_before"].as_u64().unwrap();
    let path = format!("/v1/events?event=proof.replayed&before={next}");
    let alarms = app.resource_request(&key, &token, "GET", &path).send().await;
    assert_eq!(names(&alarms), ["proof.replayed"]);
    let with_logins = "/v1/events?event=proof.replayed&event=login.succeeded&limit=200";
    let logins = app.resource_request(&key, &token, "GET", with_logins).send().await;
    assert_eq!(names(&logins).len(), 200);
}

/// One request looks at no more than it may, and says so, whatever kinds it asks for. What is behind that is
/// on the next page.
#[tokio::test]
async fn a_page_stops_after_ten_thousand_events_of_whatever_kind() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let id = app.register("alice", &key).await.parse().unwrap();
    let event = |kind| AuditEvent::new(app.now(), kind).account(id);
    let mut events = vec![event(EventKind::ProofReplayed).key(key.thumbprint().parse().unwrap())];
    events.resize_with(10_011, || event(EventKind::TokenRevoked));
    app.ports().store.append(events).await.unwrap();
    app.advance(std::time::Duration::from_mins(1));
    let token = app.login("alice", &key).await;
    let kinds = "event=proof.replayed&event=token.revoked";
    let far_ahead = format!("since={}", app.now().as_secs() + 1);
    for filter in [far_ahead, format!("key={}", key.thumbprint())] {
        let path = format!("/v1/events?{kinds}&{filter}");
        let page = app.resource_request(&key, &token, "GET", &path).send().await;
        assert_eq!(names(&page), [""; 0]);
        let (next, back_to) = (&page.json()["next_before"], &page.json()["looked_back_to"]);
        assert_eq!(back_to.as_u64(), Some(app.now().as_secs() - 60));
        let path = format!("{path}&before={next}");
        let rest = app.resource_request(&key, &token, "GET", &path).send().await;
        assert_eq!(names(&rest).len(), usize::from(filter.starts_with("key")));
        assert_eq!(rest.json().get("next_before"), None);
    }
}

#[tokio::test]
async fn events_are_read_by_key_and_from_a_time_on() {
    let app = TestApp::start().await;
    let (first, second) = (TestKey::number(1), TestKey::number(2));
    let token = app.enrol("alice", &first).await;
    app.key_addition(&first, &token, &second).send().await.is(201);
    app.advance(std::time::Duration::from_mins(1));
    app.login("alice", &second).await;
    app.write_trail().await;
    let read = async |query: String| {
        let path = format!("/v1/events?{query}");
        let proof = app.resource_proof(&first, &token, "GET", "/v1/events").sign();
        let answer = app.presenting(&token, &proof, "GET", &path).send().await;
        let events = answer.is(200).json()["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let key = second.thumbprint();
    assert_eq!(read(format!("key={key}")).await, ["login.succeeded", "key.added"]);
    let now = app.now().as_secs();
    assert_eq!(read(format!("since={now}")).await, ["login.succeeded"]);
    assert_eq!(read(format!("key={}&since={now}", first.thumbprint())).await, [""; 0]);
    assert_eq!(read(format!("key={key}&limit=1")).await, ["login.succeeded"]);
    for query in ["key=alice", "since=yesterday", "since=-1"] {
        let proof = app.resource_proof(&first, &token, "GET", "/v1/events").sign();
        let path = format!("/v1/events?{query}");
        let answer = app.presenting(&token, &proof, "GET", &path).send().await;
        answer.is_problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn a_login_from_a_new_network_is_told() {
    let app = TestApp::start().await;
    let key = TestKey::number(1);
    let token = app.enrol("alice", &key).await;
    app.login_request("alice", &key).peer("198.51.100.7").send().await.is(200);
    let events = app.event_names(&key, &token).await;
    assert_eq!(events.iter().filter(|event| *event == "key.used-from-new-place").count(), 1);
    app.whoami(&key, &token).await.is(200);
    let elsewhere = app.resource_request(&key, &token, "GET", "/v1/whoami").peer("203.0.113.9");
    elsewhere.send().await.is(200);
    app.write_key_uses().await;
    let events = app.event_names(&key, &token).await;
    assert_eq!(events.iter().filter(|event| *event == "key.used-from-new-place").count(), 2);
}

#[tokio::test]
async fn an_event_says_to_programs_why_and_by_which_key() {
    let app = TestApp::start().await;
    let [owner, second, thief] = [1, 2, 3].map(TestKey::number);
    let token = app.enrol("alice", &owner).await;
    app.key_addition(&owner, &token, &second).send().await.is(201);
    app.resource_request(&thief, &token, "GET", "/v1/whoami").send().await.is(401);
    app.resource_request(&owner, &token, "GET", "/v1/whoami").send().await.is(200);
    let events = read(&app, &owner, &token, "").await.is(200).json()["events"].clone();
    let facts = |kind: &str| {
        let event = events.as_array().unwrap().iter().find(|event| event["event"] == kind);
        event.unwrap_or_else(|| panic!("no {kind}"))["facts"].clone()
    };
    assert_eq!(facts("token.refused"), json!({ "reason": "other-key" }));
    assert_eq!(facts("key.added"), json!({ "by": owner.thumbprint() }));
    assert_eq!(facts("login.succeeded"), Value::Null);
}
