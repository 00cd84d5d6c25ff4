//! `GET /` where the account app is switched off: the page for people.

use countersign_protocol::{digest::sha256, strict::base64};

use crate::support::{ISSUER, TestApp};

async fn without_account_app() -> TestApp {
    TestApp::start_with(|setup| setup.settings.web = None).await
}

#[tokio::test]
async fn the_page_says_what_this_is_and_how_to_use_it() {
    let app = without_account_app().await;
    let answer = app.call("GET", "/").send().await;
    assert_eq!(answer.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(answer.body.contains("authentication server"));
    assert!(answer.body.contains(&format!("countersign register alice --server {ISSUER}")));
    assert!(!answer.body.contains("{issuer}"));
    app.call("HEAD", "/").send().await.is(200);
}

#[tokio::test]
async fn the_policy_of_the_page_allows_its_own_style_and_no_more() {
    let app = without_account_app().await;
    let answer = app.call("GET", "/").send().await;
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
    let mut styles = 0;
    for part in answer.body.split("<style>").skip(1) {
        let (style, _) = part.split_once("</style>").unwrap();
        let hash = base64::encode(&sha256(&[style.as_bytes()]));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        styles += 1;
    }
    assert_eq!(styles, 1);
    for banned in ["<script", "style=\"", " onclick", "<img", "<form", "http://", "src="] {
        assert!(!answer.body.contains(banned), "{banned}");
    }
    assert_eq!(answer.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn every_link_on_the_page_leads_somewhere() {
    let app = without_account_app().await;
    let page = app.call("GET", "/").send().await.body;
    let links: Vec<_> =
        page.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    assert!(links.len() >= 3);
    for link in links {
        app.call("GET", link).send().await.is(200);
    }
}

#[tokio::test]
async fn nothing_of_the_account_app_is_there() {
    let app = without_account_app().await;
    for path in ["/sign-in", "/account", "/account/keys", "/web/x/css/app.css", "/favicon.ico"] {
        app.call("GET", path).send().await.is_problem(404, "not-found");
    }
}
