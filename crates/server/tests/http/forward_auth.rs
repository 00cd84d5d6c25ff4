//! `/forward-auth`: what proxies are answered about the requests of their clients.

use std::{sync::Arc, time::Duration};

use countersign_authority::{
    model::{audit::AuditFilter, policy::Limits},
    ports::RateLimit,
};
use countersign_protocol::{AuthenticationContext, PasskeyStorage, proofs::target_uri::TargetUri};
use countersign_server::{CorsOrigins, TrustedProxies};
use countersign_testkit::{random::SeededRandom, samples::scopes};

use crate::support::{Answer, Call, Fault, Faults, Jwt, Setup, TestApp, TestKey};

const PATH: &str = "/forward-auth";
/// What clients call the API, and another that is protected too.
const API: &str = "https://api.example";
const OTHER: &str = "https://other.example:8443";
/// Where the proxy is.
const PROXY: &str = "10.0.0.1";

fn protecting(origins: &[&str]) -> impl Fn(&mut Setup) {
    move |setup: &mut Setup| {
        setup.policy.tokens.resources = origins.iter().map(|&origin| origin.to_owned()).collect();
        let parsed = origins.iter().map(|origin| TargetUri::parse(origin).unwrap());
        setup.settings.protected_origins = parsed.collect();
        setup.settings.proxies = Arc::new(TrustedProxies::parse(&[PROXY]).unwrap());
        setup.policy.default_scopes = scopes("read write");
    }
}

/// A server that protects an API, and somebody with a token for it.
struct World {
    app: TestApp,
    key: TestKey,
    token: String,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut Setup)) -> Self {
        let app = TestApp::start_with(|setup| {
            protecting(&[API, OTHER])(setup);
            change(setup);
        })
        .await;
        let key = TestKey::number(1);
        app.register("alice", &key).await;
        let token = login_for(&app, &key, API).await;
        Self { app, key, token }
    }

    /// A proof for `method` and `url`.
    fn proof(&self, method: &str, url: &str) -> Jwt {
        self.app.resource_proof(&self.key, &self.token, method, "/").claim("htu", url)
    }

    /// A question about a request with this token and this proof, which says nothing of where the
    /// request went.
    fn question(&self, token: &str, proof: &Jwt) -> Call {
        self.app.presenting(token, &proof.clone().sign(), "GET", PATH).peer(PROXY)
    }

    /// A question about `GET /items` at the API, as Caddy and Traefik ask it.
    fn about_items(&self, proof: &Jwt) -> Call {
        forwarded(self.question(&self.token, proof), "GET", API, "/items")
    }

    async fn honest(&self) -> Answer {
        self.about_items(&self.proof("GET", "https://api.example/items")).send().await
    }
}

async fn login_for(app: &TestApp, key: &TestKey, resource: &str) -> String {
    let answer = app.login_request("alice", key).param("resource", resource).send().await;
    answer.is(200).text("access_token")
}

fn forwarded(question: Call, method: &str, origin: &str, path: &str) -> Call {
    let (proto, host) = origin.split_once("://").unwrap();
    question
        .header("x-forwarded-method", method)
        .header("x-forwarded-proto", proto)
        .header("x-forwarded-host", host)
        .header("x-forwarded-uri", path)
}

#[tokio::test]
async fn a_proven_request_may_pass_and_the_proxy_learns_by_whom() {
    let world = World::new().await;
    let answer = world.honest().await;
    assert_eq!(answer.is(200).body, "");
    assert_eq!(answer.header("remote-user"), "alice");
    assert_eq!(answer.header("remote-account"), Jwt::claims_of(&world.token)["sub"]);
    assert_eq!(answer.header("remote-key"), world.key.thumbprint());
    assert_eq!(answer.header("remote-scopes"), "read write");
    assert_eq!(answer.header("remote-proof"), "dpop");
    assert_eq!(answer.header("remote-acr"), "");
    assert_eq!(answer.header("remote-amr"), "pop");
    assert_eq!(answer.header("cache-control"), "no-store");
    let nonce = answer.header("dpop-nonce").to_owned();
    let next = world.proof("GET", "https://api.example/items").claim("nonce", nonce);
    world.about_items(&next).send().await.is(200);
}

#[tokio::test]
async fn every_proxy_may_ask_in_its_own_way() {
    let world = World::new().await;
    let proof = || world.proof("PUT", "https://api.example/a/b");
    let question = || world.question(&world.token, &proof());
    let nginx = question()
        .header("x-original-method", "PUT")
        .header("x-original-url", "https://api.example/a/b?c=d");
    nginx.send().await.is(200);
    forwarded(question(), "PUT", API, "/a/b?c=d").send().await.is(200);
    let envoy = world.app.presenting(&world.token, &proof().sign(), "PUT", "/forward-auth/a/b?c=d");
    envoy.peer(PROXY).header("host", "api.example").send().await.is(200);
}

#[tokio::test]
async fn what_does_not_exist_is_sent_empty() {
    let world = World::with(|setup| setup.policy.default_scopes = scopes("")).await;
    assert_eq!(world.honest().await.is(200).header("remote-scopes"), "");
}

#[tokio::test]
async fn the_guard_decides_as_it_would_in_front_of_the_api_itself() {
    let world = World::new().await;
    let items = || world.proof("GET", "https://api.example/items");
    world.honest().await.is(200);

    let used = world.about_items(&items());
    used.clone().send().await.is(200);
    used.send().await.is_refusal(401, "invalid_dpop_proof");

    let thief = TestKey::number(2);
    let stolen = world.app.resource_proof(&thief, &world.token, "GET", "/");
    let stolen = stolen.claim("htu", "https://api.example/items");
    world.about_items(&stolen).send().await.is_refusal(401, "invalid_token");
    let alone = world.about_items(&items()).without_header("dpop");
    alone.send().await.is_refusal(401, "invalid_dpop_proof");

    for (method, url) in [
        ("POST", "https://api.example/items"),
        ("GET", "https://api.example/other"),
        ("GET", "https://evil.example/items"),
        ("GET", "http://api.example/items"),
        ("GET", "https://auth.example/forward-auth"),
        ("GET", "https://auth.example/items"),
    ] {
        let answer = world.about_items(&world.proof(method, url)).send().await;
        answer.is_refusal(401, "invalid_dpop_proof");
    }
    let old = items().claim("nonce", "AAAABBBBCCCCDDDD");
    world.about_items(&old).send().await.is_refusal(401, "use_dpop_nonce");
    world.app.advance(Duration::from_mins(16));
    world.honest().await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn every_refusal_brings_the_nonce_for_the_next_proof() {
    let world = World::new().await;
    let refused = world.about_items(&world.proof("GET", "https://evil.example/")).send().await;
    let nonce = refused.is(401).header("dpop-nonce").to_owned();
    let next = world.proof("GET", "https://api.example/items").claim("nonce", nonce);
    world.about_items(&next).send().await.is(200);
}

#[tokio::test]
async fn a_token_for_one_origin_opens_no_other() {
    let world = World::new().await;
    let at_other = format!("{OTHER}/items");
    let proof = world.proof("GET", &at_other);
    let call = forwarded(world.question(&world.token, &proof), "GET", OTHER, "/items");
    call.send().await.is_refusal(401, "invalid_token");

    let (app, key) = (&world.app, &world.key);
    for audience in [OTHER, crate::support::ISSUER] {
        let token = login_for(app, key, audience).await;
        let proof = app.resource_proof(key, &token, "GET", "/");
        let proof = proof.claim("htu", "https://api.example/items");
        let call = forwarded(world.question(&token, &proof), "GET", API, "/items");
        call.send().await.is_refusal(401, "invalid_token");
    }
    world.app.whoami(key, &world.token).await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn only_a_trusted_proxy_may_ask() {
    let world = World::with(|setup| {
        setup.settings.metrics_readers = vec!["192.0.2.0/24".parse().unwrap()];
    })
    .await;
    let question = || world.about_items(&world.proof("GET", "https://api.example/items"));
    for call in [
        question().peer("10.0.0.2"),
        question().peer("10.0.0.2").header("x-forwarded-for", PROXY),
        question().peer("10.0.0.2").header("forwarded", format!("for={PROXY}")),
        world.app.call("GET", PATH),
        world.app.call("GET", "/forward-auth/items").header("host", "api.example"),
    ] {
        let answer = call.send().await;
        answer.is_problem(403, "forbidden");
        let told = answer.text("detail");
        assert!(
            told.starts_with("only the proxies in trusted_proxies may ask (asked by "),
            "{told}"
        );
        answer.has_no("remote-user");
    }
    question().send().await.is(200);
    question().peer("::ffff:10.0.0.1").send().await.is(200);
    let metrics = world.app.call("GET", "/metrics").send().await;
    let counted = "countersign_refusals_total{reason=\"untrusted-proxy\"} 5\n";
    assert!(metrics.is(200).body.contains(counted), "{metrics:?}");
}

#[tokio::test]
async fn a_request_that_is_not_described_in_exactly_one_way_is_refused() {
    let world = World::new().await;
    let good = || world.about_items(&world.proof("GET", "https://api.example/items"));
    for (call, told) in [
        (good().without_header("x-forwarded-uri"), "does not send X-Forwarded-Uri"),
        (good().header("x-forwarded-method", "GET"), "several X-Forwarded-Method"),
        (good().header("x-original-uri", "/items"), "more than one way"),
        (good().header("X-ORIGINAL-URL", "https://api.example/items"), "more than one way"),
        (
            world.question(&world.token, &world.proof("GET", API)),
            "does not send X-Forwarded-Method",
        ),
    ] {
        let answer = call.send().await;
        answer.is_problem(403, "forbidden");
        assert!(answer.text("detail").contains(told), "{answer:?}");
    }
    good().send().await.is(200);
}

#[tokio::test]
async fn the_host_that_a_proxy_names_chooses_among_the_configured_ones() {
    let world = World::new().await;
    let about = |origin: &str| {
        let proof = world.proof("GET", &format!("{origin}/items"));
        forwarded(world.question(&world.token, &proof), "GET", origin, "/items")
    };
    about("https://API.example:443").send().await.is(200);
    for origin in ["https://evil.example", "http://api.example", "https://api.example:8443"] {
        let answer = about(origin).send().await;
        answer.is_problem(403, "forbidden");
        assert!(answer.text("detail").starts_with(&format!("{origin} is none of")), "{answer:?}");
    }
    let unsaid = about(API).without_header("x-forwarded-host").without_header("x-forwarded-proto");
    let answer = unsaid.send().await;
    assert!(answer.is(403).text("detail").starts_with("several origins"), "{answer:?}");
}

#[tokio::test]
async fn a_proxy_need_not_name_the_only_origin() {
    let app = TestApp::start_with(protecting(&[API])).await;
    let key = TestKey::number(1);
    app.register("alice", &key).await;
    let token = login_for(&app, &key, API).await;
    let world = World { app, key, token };
    let proof = || world.proof("GET", "https://api.example/items");
    let question = world.question(&world.token, &proof());
    let question = question.header("x-original-method", "GET").header("x-original-uri", "/items");
    question.send().await.is(200);
    let named = forwarded(world.question(&world.token, &proof()), "GET", OTHER, "/items");
    named.send().await.is_problem(403, "forbidden");
}

#[tokio::test]
async fn a_place_may_need_a_scope() {
    let world = World::new().await;
    let with_query = |query: &str| {
        let proof = world.proof("GET", "https://api.example/items").sign();
        let path = format!("{PATH}?{query}");
        let call = world.app.presenting(&world.token, &proof, "GET", &path).peer(PROXY);
        forwarded(call, "GET", API, "/items")
    };
    with_query("").send().await.is(200);
    with_query("scope=write").send().await.is(200);
    let refused = with_query("scope=admin").send().await;
    refused.is_refusal(403, "insufficient_scope");
    assert!(refused.header("www-authenticate").ends_with("scope=\"admin\""), "{refused:?}");
    for query in ["scope=", "scope", "scopes=read", "scope=read&scope=write", "scope=read+write"] {
        let answer = with_query(query).send().await;
        answer.is_problem(403, "forbidden");
        assert!(answer.text("detail").starts_with("the query of the endpoint"), "{query}");
    }
}

#[tokio::test]
async fn a_place_may_need_a_login_of_a_class_or_a_recent_one() {
    let world = World::new().await;
    let with_query = |query: &str| {
        let proof = world.proof("GET", "https://api.example/items").sign();
        let path = format!("{PATH}?{query}");
        let call = world.app.presenting(&world.token, &proof, "GET", &path).peer(PROXY);
        forwarded(call, "GET", API, "/items")
    };
    for query in ["max_age=300", "max_age=0", "max_age=300&scope=write"] {
        with_query(query).send().await.is(200);
    }
    for (query, parameters) in [
        ("acr=phr", "acr_values=\"phr\""),
        ("acr=phr&max_age=300", "acr_values=\"phr\", max_age=\"300\""),
        ("scope=write&max_age=300&acr=phr", "acr_values=\"phr\", max_age=\"300\""),
    ] {
        let refused = with_query(query).send().await;
        refused.is_refusal(401, "insufficient_user_authentication");
        assert!(refused.header("www-authenticate").ends_with(parameters), "{refused:?}");
    }
    with_query("scope=admin&acr=phr").send().await.is_refusal(403, "insufficient_scope");
    world.app.advance(Duration::from_secs(306));
    let refused = with_query("max_age=300").send().await;
    refused.is_refusal(401, "insufficient_user_authentication");
    with_query("max_age=301").send().await.is(200);
    for query in [
        "acr=phrh",
        "acr=",
        "acr=phr&acr=phr",
        "acr=phr+phr",
        "max_age=",
        "max_age=-1",
        "max_age=%2B1",
        "max_age=1.5",
        "max_age=1&max_age=2",
        "acr_values=phr",
        "require_acr=phr",
        "max-age=300",
        "scope=write&acr=",
    ] {
        let answer = with_query(query).send().await;
        answer.is_problem(403, "forbidden");
        assert!(answer.text("detail").starts_with("the query of the endpoint"), "{query}");
    }
}

#[tokio::test]
async fn a_recent_login_with_a_passkey_passes_where_one_is_required() {
    let world = World::new().await;
    let ask = |ago: u64| {
        let at = world.app.now() - Duration::from_secs(ago);
        let login = AuthenticationContext::by_passkey(at, PasskeyStorage::Synced);
        let token = world.app.token_after(login, &world.token);
        let proof = world.app.resource_proof(&world.key, &token, "GET", "/");
        let proof = proof.claim("htu", "https://api.example/items").sign();
        let path = format!("{PATH}?acr=phr&max_age=300&scope=write");
        let call = world.app.presenting(&token, &proof, "GET", &path).peer(PROXY);
        forwarded(call, "GET", API, "/items")
    };
    let passed = ask(0).send().await;
    assert_eq!(passed.is(200).header("remote-acr"), "phr");
    assert_eq!(passed.header("remote-amr"), "pop user swk");
    ask(305).send().await.is(200);
    ask(306).send().await.is_refusal(401, "insufficient_user_authentication");
}

#[tokio::test]
async fn the_clients_query_may_come_along_and_never_lifts_a_requirement() {
    let world = World::new().await;
    let ask = |asked: &str, sent: &str| {
        let proof = world.proof("GET", "https://api.example/items").sign();
        let call = world.app.presenting(&world.token, &proof, "GET", &format!("{PATH}{asked}"));
        forwarded(call.peer(PROXY), "GET", API, &format!("/items{sent}"))
    };
    for query in ["?limit=2", "?a=b&c=%2F", "?x", "?", ""] {
        ask(query, query).send().await.is(200);
    }
    for sent in ["?scope=admin", "?x=1", "?scope=read", ""] {
        let answer = ask("?scope=admin", sent).send().await;
        answer.is_refusal(403, "insufficient_scope");
    }
    for sent in ["?acr=phr", "?x=1", "?max_age=1", ""] {
        let answer = ask("?acr=phr", sent).send().await;
        answer.is_refusal(401, "insufficient_user_authentication");
    }
    for (asked, sent) in [
        ("?limit=2", "?limit=3"),
        ("?limit=2", ""),
        ("?scope=read&x=1", "?scope=read&x=1"),
        ("?scope=", "?scope="),
        ("?Scopes=admin", "?Scopes=admin"),
        ("?acr=phr&x=1", "?acr=phr&x=1"),
        ("?ACR_values=phr", "?ACR_values=phr"),
        ("?Max-Age=1", "?Max-Age=1"),
        ("?x=1&%73cope=admin", "?x=1&%73cope=admin"),
    ] {
        let answer = ask(asked, sent).send().await;
        answer.is_problem(403, "forbidden");
        let told = answer.text("detail");
        assert!(told.contains(&format!("not \"{}\"", &asked[1..])), "{told}");
        assert!(told.contains("uri /forward-auth?"), "{told}");
    }
}

#[tokio::test]
async fn a_question_is_answered_without_a_look_at_its_body() {
    let world = World::new().await;
    let too_long = vec![b'x'; 200 * 1024];
    let question = world.about_items(&world.proof("GET", "https://api.example/items"));
    question.body("application/json", too_long).send().await.is(200);
}

#[tokio::test]
async fn what_a_proxy_says_wrongly_is_shown_with_the_proxy_that_says_it() {
    let world = World::new().await;
    let question = || world.about_items(&world.proof("GET", "https://api.example/items"));
    let proto = |value: &str| {
        question().without_header("x-forwarded-proto").header("x-forwarded-proto", value)
    };
    let answer = proto("https,http").send().await;
    let told = answer.is(403).text("detail");
    assert!(told.starts_with("the proxy's X-Forwarded-Proto is \"https,http\", a list"), "{told}");
    assert!(told.ends_with(&format!("(asked by {PROXY})")), "{told}");
    proto("wss").send().await.is(200);
}

#[tokio::test]
async fn a_malformed_authorization_is_a_refusal_that_proxies_pass_on() {
    let world = World::new().await;
    let good = world.about_items(&world.proof("GET", "https://api.example/items"));
    let twice = good.header("authorization", format!("DPoP {}", world.token));
    twice.send().await.is_refusal(401, "invalid_request");
}

#[tokio::test]
async fn all_challenges_stand_in_one_field() {
    let world = World::with(|setup| {
        setup.settings.dialects.self_signed = true;
        setup.settings.dialects.signjwt = true;
    })
    .await;
    let nothing = world.about_items(&world.proof("GET", API));
    let answer = nothing.without_header("authorization").without_header("dpop").send().await;
    let challenges = answer.is(401).header("www-authenticate");
    let schemes = ["DPoP algs=", ", SignJWT algs=", ", Bearer algs="];
    assert!(schemes.iter().all(|scheme| challenges.contains(scheme)), "{challenges}");
    assert!(!challenges.contains("error"), "{challenges}");
}

#[tokio::test]
async fn a_self_signed_jwt_must_be_for_the_api_and_not_cover_the_body() {
    let world = World::with(|setup| setup.settings.dialects.self_signed = true).await;
    let jwt = || {
        let now = world.app.now().as_secs();
        world.key.jwt().claim("sub", "alice").claim("iat", now + 1).claim("exp", now + 60)
    };
    let present = |jwt: Jwt| {
        let call = world.app.call("POST", PATH).peer(PROXY);
        let call = call.header("authorization", format!("Bearer {}", jwt.sign()));
        forwarded(call, "POST", API, "/items")
    };
    let good = present(jwt().claim("aud", API));
    assert_eq!(good.clone().send().await.is(200).header("remote-proof"), "self-signed");
    let body = world.app.now().as_secs().to_string();
    for (call, told) in [
        (good, "the JWT was used before"),
        (present(jwt()), "aud is missing"),
        (present(jwt().claim("aud", OTHER)), "aud does not name this server alone"),
        (present(jwt().claim("aud", API).claim("tha", body)), "tha covers the body"),
    ] {
        let answer = call.send().await;
        answer.is_problem(401, "unauthenticated");
        assert!(answer.text("detail").contains(told), "{answer:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer "), "{answer:?}");
    }
}

#[tokio::test]
async fn envoy_asks_with_the_request_itself() {
    let world = World::new().await;
    let ask = |method: &str, url: &str| {
        let proof = world.proof("PUT", "https://api.example/items").sign();
        world.app.presenting(&world.token, &proof, method, url).peer(PROXY)
    };
    let elsewhere = ask("PUT", "/forward-auth/items").header("host", "evil.example");
    elsewhere.send().await.is_problem(403, "forbidden");
    let ask = |method: &str, url: &str| ask(method, url).header("host", "api.example");
    ask("PUT", "/forward-auth/items?scope=nobody-has-this").send().await.is(200);
    ask("POST", "/forward-auth/items").send().await.is_refusal(401, "invalid_dpop_proof");
    ask("PUT", "/forward-auth/").send().await.is_refusal(401, "invalid_dpop_proof");
    ask("PROPFIND", "/forward-auth/x").send().await.is_refusal(401, "invalid_dpop_proof");
    let both = ask("PUT", "/forward-auth/items").header("x-forwarded-uri", "/items").send().await;
    both.is_problem(403, "forbidden");
}

#[tokio::test]
async fn a_question_about_a_request_of_a_foreign_page_is_answered_like_any_other() {
    let world = World::new().await;
    let proof = world.proof("PUT", "https://api.example/items").sign();
    let question = world.app.presenting(&world.token, &proof, "PUT", "/forward-auth/items");
    let question = question.peer(PROXY).header("host", "api.example");
    let from_page = question.header("origin", "https://app.example");
    from_page.header("sec-fetch-site", "cross-site").send().await.is(200);
}

#[tokio::test]
async fn nothing_but_the_guard_answers_a_preflight() {
    let world = World::with(|setup| setup.settings.cors = CorsOrigins::Any).await;
    for path in [PATH, "/forward-auth/items"] {
        let preflight = world.app.call("OPTIONS", path).peer(PROXY).header("host", "api.example");
        let preflight = preflight
            .header("origin", "https://app.example")
            .header("access-control-request-method", "GET");
        let answer = preflight.send().await;
        assert!([401, 403].contains(&answer.status), "{answer:?}");
        answer.has_no("access-control-allow-origin");
    }
}

#[tokio::test]
async fn an_answer_says_nothing_of_this_server_to_the_apis_clients() {
    let world = World::new().await;
    for answer in [world.honest().await, world.app.call("GET", PATH).peer(PROXY).send().await] {
        answer.has_no("strict-transport-security");
    }
}

#[tokio::test]
async fn where_nothing_is_protected_there_is_no_endpoint() {
    let app = TestApp::start().await;
    for path in [PATH, "/forward-auth/", "/forward-auth/items"] {
        app.call("GET", path).peer(PROXY).send().await.is_problem(404, "not-found");
    }
    let world = World::new().await;
    let described = async |app: &TestApp| {
        app.call("GET", "/openapi.json").send().await.json()["paths"][PATH].is_object()
    };
    assert!(!described(&app).await);
    assert!(described(&world.app).await);
}

#[tokio::test]
async fn revoking_a_key_closes_the_api_at_once() {
    let world = World::new().await;
    world.honest().await.is(200);
    let thumbprint = world.key.thumbprint().parse().unwrap();
    world.app.admin().revoke_key(&"alice".parse().unwrap(), &thumbprint).await.unwrap();
    world.app.notice_changes().await;
    world.honest().await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn withdrawing_the_signing_key_kills_its_tokens_at_the_api_too() {
    let world = World::new().await;
    world.honest().await.is(200);
    let keys = world.app.admin_signing_keys().await;
    keys.rotate(true, world.app.now(), &SeededRandom::new(77)).await.unwrap();
    world.app.notice_changes().await;
    world.honest().await.is_refusal(401, "invalid_token");
}

#[tokio::test]
async fn what_cannot_be_decided_is_refused() {
    let faults = Faults::default();
    let world = World::with(|setup| setup.faults = Some(faults.clone())).await;
    faults.set(Fault::ReplayLog);
    let answer = world.honest().await;
    answer.is_problem(503, "unavailable");
    answer.has_no("remote-user");
    faults.clear();
    world.honest().await.is(200);
}

#[tokio::test]
async fn a_misused_token_is_noted_with_the_clients_address() {
    let world = World::new().await;
    let used = world.about_items(&world.proof("GET", "https://api.example/items"));
    let used = used.header("x-forwarded-for", "192.0.2.7");
    used.clone().send().await.is(200);
    used.send().await.is(401);
    world.app.write_trail().await;
    let newest = world.app.admin().events(&AuditFilter::default(), 1).await.unwrap().remove(0);
    assert_eq!(newest.event.kind.name(), "proof.replayed");
    assert_eq!(newest.event.address, Some("192.0.2.7".parse().unwrap()));
}

#[tokio::test]
async fn clients_are_counted_one_by_one() {
    let world = World::with(|setup| {
        let requests = RateLimit { name: "requests", burst: 3, period: Duration::from_mins(1) };
        setup.policy.limits = Some(Limits { requests, ..Limits::default() });
    })
    .await;
    let ask = async |client: &str| {
        let proof = world.proof("GET", "https://api.example/items");
        let call = world.about_items(&proof).header("x-forwarded-for", client);
        call.send().await.status
    };
    for status in [200, 200, 200, 429] {
        assert_eq!(ask("192.0.2.7").await, status);
    }
    assert_eq!(ask("192.0.2.8").await, 200);
}
