//! Who may register: everybody, the invited, or nobody.

use std::time::Duration;

use countersign_authority::{
    accounts::administration::NewInvitation,
    model::policy::{Enrolment, Limits},
    ports::RateLimit,
};
use countersign_testkit::samples::{scopes, username};

use crate::support::{TestApp, TestKey, many_at_once};

async fn app_with(enrolment: Enrolment) -> TestApp {
    TestApp::start_with(|setup| setup.policy.enrolment = enrolment).await
}

/// The code of a new invitation for one hour.
async fn invite(app: &TestApp, name: Option<&str>, with_scopes: &str) -> String {
    let invitation = NewInvitation {
        username: name.map(username),
        scopes: scopes(with_scopes),
        expires_at: app.now() + Duration::from_hours(1),
    };
    app.admin().invite(invitation).await.unwrap().reveal().to_owned()
}

#[tokio::test]
async fn nobody_registers_where_enrolment_is_closed() {
    let app = app_with(Enrolment::Closed).await;
    let code = invite(&app, None, "").await;
    let key = TestKey::number(1);
    app.registration("alice", &key).send().await.is_problem(403, "enrolment-closed");
    let invited = app.registration_with_code("alice", &key, &code);
    invited.send().await.is_problem(403, "enrolment-closed");
}

#[tokio::test]
async fn a_code_is_needed_where_enrolment_is_by_invitation() {
    let app = app_with(Enrolment::Invited).await;
    let key = TestKey::number(1);
    app.registration("alice", &key).send().await.is_problem(403, "enrolment-closed");
    let code = invite(&app, None, "").await;
    app.registration_with_code("alice", &key, &code).send().await.is(201);
}

#[tokio::test]
async fn a_code_works_where_enrolment_is_open_and_brings_its_scopes() {
    let app = app_with(Enrolment::Open).await;
    let code = invite(&app, None, "read write").await;
    let key = TestKey::number(1);
    app.registration_with_code("alice", &key, &code).send().await.is(201);
    let answer = app.login_request("alice", &key).send().await;
    assert_eq!(answer.is(200).text("scope"), "read write");
}

#[tokio::test]
async fn nothing_that_others_in_the_network_do_keeps_the_invited_out() {
    let app = TestApp::start_with(|setup| {
        let limits = Limits::default();
        let few = |limit: RateLimit| RateLimit { burst: 2, ..limit };
        setup.policy.limits = Some(Limits {
            registrations: few(limits.registrations),
            registrations_per_day: few(limits.registrations_per_day),
            costly_registrations: few(limits.costly_registrations),
            ..limits
        });
    });
    let app = app.await;
    let code = invite(&app, None, "").await;
    for (number, status) in [(1, 201), (2, 201), (3, 429), (4, 429)] {
        let stranger = app.registration(&format!("stranger{number}"), &TestKey::number(number));
        stranger.send().await.is(status);
    }
    let key = TestKey::number(9);
    let wrong = format!("{}x", &code[..code.len() - 1]);
    app.registration_with_code("alice", &key, &wrong).send().await.is_problem(429, "rate-limited");
    app.registration_with_code("alice", &key, &code).send().await.is(201);
    let used = app.registration_with_code("bob", &TestKey::number(8), &code).send().await;
    used.is_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_reserved_name_goes_to_whoever_was_invited_under_it() {
    let app = app_with(Enrolment::Open).await;
    // One administrator, whose codes differ.
    let admin = app.admin();
    let invite = async |name: Option<&str>| {
        let expires_at = app.now() + Duration::from_hours(1);
        let username = name.map(username);
        let new = NewInvitation { username, scopes: scopes(""), expires_at };
        admin.invite(new).await.unwrap().reveal().to_owned()
    };
    let for_any_name = invite(None).await;
    let for_another = invite(Some("bob")).await;
    for (number, name) in (1..).zip(["admin", "ROOT", "super-user", "ceo@victim.example"]) {
        let key = TestKey::number(number);
        let refused = app.registration(name, &key).send().await;
        refused.is_problem(400, "invalid-username");
        let refused = app.registration_with_code(name, &key, &for_any_name).send().await;
        refused.is_problem(400, "invalid-username");
        let refused = app.registration_with_code(name, &key, &for_another).send().await;
        refused.is_problem(403, "enrolment-code");
        let code = invite(Some(name)).await;
        app.registration_with_code(name, &key, &code).send().await.is(201);
    }
    let key = TestKey::number(9);
    app.registration_with_code("alice", &key, &for_any_name).send().await.is(201);
}

#[tokio::test]
async fn a_code_works_once() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, None, "").await;
    app.registration_with_code("alice", &TestKey::number(1), &code).send().await.is(201);
    let again = app.registration_with_code("bob", &TestKey::number(2), &code).send().await;
    again.is_problem(403, "enrolment-code");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_admits_one_of_many_at_once() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, None, "").await;
    let calls = (0..20).map(|number| {
        let name = format!("alice{number}");
        app.registration_with_code(&name, &TestKey::number(number), &code)
    });
    let answers = many_at_once(calls.collect::<Vec<_>>()).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1, "{answers:?}");
    for answer in lost {
        answer.is_problem(403, "enrolment-code");
    }
}

#[tokio::test]
async fn a_code_for_one_name_admits_no_other() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, Some("alice"), "").await;
    let key = TestKey::number(1);
    let other = app.registration_with_code("bob", &key, &code).send().await;
    other.is_problem(403, "enrolment-code");
    app.registration_with_code("ALICE", &key, &code).send().await.is(201);
}

#[tokio::test]
async fn a_code_ends_at_its_time() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, None, "").await;
    app.advance(Duration::from_hours(1));
    let late = app.registration_with_code("alice", &TestKey::number(1), &code).send().await;
    late.is_problem(403, "enrolment-code");
}

#[tokio::test]
async fn a_withdrawn_code_does_not_work() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, None, "").await;
    let invitation = app.admin().invitations(1).await.unwrap().remove(0);
    app.admin().withdraw_invitation(&invitation.code_hash).await.unwrap();
    let late = app.registration_with_code("alice", &TestKey::number(1), &code).send().await;
    late.is_problem(403, "enrolment-code");
}

#[tokio::test]
async fn what_is_no_code_gets_the_answer_of_a_wrong_one() {
    let app = app_with(Enrolment::Invited).await;
    let code = invite(&app, None, "").await;
    let key = TestKey::number(1);
    let mut typo = code.clone();
    typo.replace_range(10..11, if &code[10..11] == "x" { "y" } else { "x" });
    app.registration_with_code("carol", &TestKey::number(9), &code).send().await.is(201);
    let mut answers = Vec::new();
    for wrong in ["", "letmein", &typo, &code, &"x".repeat(10_000)] {
        answers.push(app.registration_with_code("alice", &key, wrong).send().await);
    }
    for answer in &answers {
        answer.is_problem(403, "enrolment-code");
        assert_eq!(answer.body, answers[0].body);
    }
}

#[tokio::test]
async fn a_failed_attempt_leaves_the_code_alone() {
    let app = app_with(Enrolment::Open).await;
    let (taken, key) = (TestKey::number(1), TestKey::number(2));
    app.register("taken", &taken).await;
    let code = invite(&app, None, "").await;
    let attempt = |name: &str, key: &TestKey| app.registration_with_code(name, key, &code);

    attempt("taken", &key).send().await.is_problem(409, "username-taken");
    attempt("alice", &taken).send().await.is_problem(409, "key-taken");
    attempt("not a name", &key).send().await.is_problem(400, "invalid-username");
    let without_proof = attempt("alice", &key).without_header("dpop").send().await;
    without_proof.is_problem(400, "invalid-proof");
    let replayed = app.proof(&key, "POST", "/v1/accounts").sign();
    let with_proof = |name: &str| attempt(name, &key).without_header("dpop").dpop(&replayed);
    with_proof("taken").send().await.is_problem(409, "username-taken");
    with_proof("alice").send().await.is_problem(400, "invalid-proof");

    attempt("alice", &key).send().await.is(201);
}
