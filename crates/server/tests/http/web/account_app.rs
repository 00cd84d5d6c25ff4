//! The account app: its pages, its files, and what browsers are told about them.

use std::{collections::BTreeSet, io::Read as _};

use countersign_authority::{
    model::policy::{Limits, Policy},
    ports::RateLimit,
};
use countersign_protocol::{digest::sha256, proofs::target_uri::TargetUri, strict::base64};
use countersign_server::{Dialects, WebFiles};
use flate2::read::GzDecoder;

use crate::support::{Answer, ISSUER, TestApp};

const PAGES: [&str; 8] = [
    "/",
    "/sign-in",
    "/register",
    "/account",
    "/account/keys",
    "/account/activity",
    "/account/keyring",
    "/account/passwordless",
];

fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split_once(after).unwrap().0).collect()
}

/// The path below which the files are, without a slash at its end.
fn files_path() -> String {
    format!("/web/{}", &WebFiles::embedded().unwrap().hash()[..16])
}

async fn in_language(app: &TestApp, path: &str, languages: &str) -> Answer {
    app.call("GET", path).header("accept-language", languages).send().await
}

#[tokio::test]
async fn every_page_is_there_and_is_checked_before_each_use() {
    let app = TestApp::start().await;
    for path in PAGES {
        let page = app.call("GET", path).send().await;
        assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert!(page.body.contains(&format!("content=\"{ISSUER}\"")), "{path}");
        assert!(!page.body.contains("{{"), "{path}");
        let tag = page.header("etag").to_owned();
        let again = app.call("GET", path).header("if-none-match", format!("\"x\", {tag}"));
        let again = again.send().await;
        assert_eq!((again.is(304).header("etag"), again.body.as_str()), (tag.as_str(), ""));
        assert_eq!(again.header("vary"), page.header("vary"));
        let head = app.call("HEAD", path).send().await;
        assert_eq!(head.is(200).header("etag"), tag);
        assert!(head.body.is_empty());
        app.call("GET", path).header("if-none-match", "W/\"other\"").send().await.is(200);
        app.call("POST", path).send().await.is_problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn a_page_speaks_the_language_that_the_browser_asks_for() {
    let app = TestApp::start().await;
    for (languages, tag) in [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr", "en"), ("en-GB,de", "en")] {
        let page = in_language(&app, "/sign-in", languages).await;
        assert_eq!(page.is(200).header("content-language"), tag);
        assert!(page.body.contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")));
        assert!(page.body.contains(&format!("/lang/{tag}.js\" integrity=")));
        assert!(page.header("vary").contains("accept-language"));
    }
    let tags =
        ["de", "en"].map(async |tag| in_language(&app, "/", tag).await.header("etag").to_owned());
    let [german, english] = tags;
    assert_ne!(german.await, english.await);
}

#[tokio::test]
async fn the_headers_of_a_page_leave_nothing_to_the_page() {
    let app = TestApp::start().await;
    for path in PAGES {
        let page = app.call("GET", path).send().await;
        let import_map = between(&page.body, "<script type=\"importmap\">", "</script>");
        let [import_map] = import_map[..] else { panic!("{path} has one import map") };
        let inline = base64::encode(&sha256(&[import_map.as_bytes()]));
        let policy = format!(
            "default-src 'none'; script-src 'self' 'sha256-{inline}'; style-src 'self'; \
             img-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types countersign"
        );
        assert_eq!(page.header("content-security-policy"), policy);
        assert_eq!(page.header("integrity-policy"), "blocked-destinations=(script)");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(page.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(page.header("x-frame-options"), "DENY");
        let permissions = page.header("permissions-policy");
        let given = permissions.split(", ").filter(|feature| !feature.ends_with("=()"));
        let expected = ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)"];
        assert_eq!(given.collect::<Vec<_>>(), expected);
        page.has_no("dpop-nonce");
        page.has_no("set-cookie");
    }
}

#[tokio::test]
async fn webkit_gets_no_integrity_policy_because_it_would_run_no_page() {
    let app = TestApp::start().await;
    let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
                  (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
    let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                  Chrome/156.0.0.0 Safari/537.36";
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
    for (agent, has_policy) in [(safari, false), (chrome, true), (firefox, true)] {
        let page = app.call("GET", "/sign-in").header("user-agent", agent).send().await;
        assert!(page.header("vary").contains("user-agent"));
        if has_policy {
            assert_eq!(page.header("integrity-policy"), "blocked-destinations=(script)");
        } else {
            page.has_no("integrity-policy");
        }
    }
}

#[tokio::test]
async fn every_script_and_style_of_a_page_has_its_hash() {
    let app = TestApp::start().await;
    for path in PAGES {
        let page = app.call("GET", path).send().await.body;
        let sources =
            between(&page, "src=\"", "\"").into_iter().chain(between(&page, "href=\"", "\""));
        let loaded: BTreeSet<&str> = sources.filter(|source| source.starts_with("/web/")).collect();
        assert!(loaded.len() > 4, "{path}");
        // The page fetches what its workers load, by links that stand aside and are in no import map.
        let aside = between(&page, "<template data-worker", "</template>").concat();
        for source in loaded {
            let file = app.call("GET", source).send().await.bytes;
            let hash = format!("integrity=\"sha256-{}\"", base64::encode(&sha256(&[&file])));
            let has_none = source.contains("/icons/") || source.contains("/manifest.");
            assert!(has_none || page.contains(&format!("\"{source}\" {hash}")), "{source}");
            let mapped = format!("\"{source}\":\"sha256-{}\"", base64::encode(&sha256(&[&file])));
            let is_script = source.contains("/js/") || source.contains("/lang/");
            assert!(page.contains(&mapped) == is_script || aside.contains(source), "{source}");
        }
        assert_eq!(page.matches("<script type=\"module\" src=").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_file_is_kept_for_ever_and_has_its_media_type() {
    let app = TestApp::start().await;
    let web = files_path();
    for (name, media_type) in [
        ("css/app.css", "text/css; charset=utf-8"),
        ("js/pages/sign-in.js", "text/javascript; charset=utf-8"),
        ("icons/icon.svg", "image/svg+xml"),
        ("icons/icon-192.png", "image/png"),
        ("manifest.webmanifest", "application/manifest+json"),
    ] {
        let url = format!("{web}/{name}");
        let file = app.call("HEAD", &url).send().await;
        assert_eq!(file.is(200).header("content-type"), media_type);
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert_eq!(file.header("cross-origin-resource-policy"), "same-origin");
        assert!(!file.header("content-security-policy").contains("unsafe"));
        file.has_no("dpop-nonce");
        app.call("POST", &url).send().await.is_problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn what_is_not_among_the_files_is_not_there() {
    let app = TestApp::start().await;
    let web = files_path();
    for url in [
        "/web/0000000000000000/css/app.css".to_owned(),
        format!("{web}/css/none.css"),
        format!("{web}/pages/index.html"),
        format!("{web}/parts/frame.html"),
        format!("{web}/README.md"),
        format!("{web}/../css/app.css"),
        format!("{web}/%2e%2e/Cargo.toml"),
        format!("{web}//etc/passwd"),
        format!("{web}/css/app.css/"),
        "/web/x".to_owned(),
    ] {
        app.call("GET", &url).send().await.is_problem(404, "not-found");
    }
}

#[tokio::test]
async fn only_what_gets_shorter_is_compressed_and_only_for_those_who_take_it() {
    let app = TestApp::start().await;
    let (style, icon) =
        (format!("{}/css/app.css", files_path()), format!("{}/icons/icon-192.png", files_path()));
    for url in ["/sign-in", style.as_str()] {
        let plain = app.call("GET", url).send().await;
        plain.is(200).has_no("content-encoding");
        assert!(plain.header("vary").contains("accept-encoding"));
        let short = app.call("GET", url).header("accept-encoding", "br, gzip").send().await;
        assert_eq!(short.header("content-encoding"), "gzip");
        let mut text = String::new();
        GzDecoder::new(&short.bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.body);
        assert!(short.bytes.len() < text.len());
        assert_eq!(short.headers.get("etag"), plain.headers.get("etag"));
    }
    let icon = app.call("GET", &icon).header("accept-encoding", "gzip").send().await;
    icon.is(200).has_no("content-encoding");
}

#[tokio::test]
async fn a_page_says_whether_there_are_passkeys_and_why_not() {
    for (issuer, enabled, passkeys) in [
        ("https://auth.example", true, "on"),
        ("https://auth.example", false, "off"),
        ("http://localhost:8080", true, "on"),
        ("http://127.0.0.1:8080", true, "impossible"),
        ("http://[::1]:8080", true, "impossible"),
        ("https://192.0.2.1", false, "impossible"),
    ] {
        let app = TestApp::start_with(|setup| {
            setup.policy = Policy::new(TargetUri::parse(issuer).unwrap());
            if !enabled {
                setup.policy.passkeys = None;
            }
        });
        let page = app.await.call("GET", "/sign-in").send().await.body;
        let meta = format!("<meta name=\"countersign-passkeys\" content=\"{passkeys}\">");
        assert!(page.contains(&meta), "{issuer}");
    }
}

#[tokio::test]
async fn a_page_and_a_dialect_may_have_the_same_path() {
    let app = TestApp::start_with(|setup| setup.settings.dialects = Dialects::default()).await;
    let page = app.call("GET", "/register").send().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    let dialect = app.call("POST", "/register").body("application/json", "{}").send().await;
    assert_eq!(dialect.status, 400);
    let refused = app.call("PUT", "/register").send().await;
    let allowed: BTreeSet<&str> =
        refused.is(405).header("allow").split(',').map(str::trim).collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
}

#[tokio::test]
async fn pages_and_files_count_against_the_allowance_of_their_client() {
    let app = TestApp::start_with(|setup| {
        let requests = RateLimit { burst: 3, ..Limits::default().requests };
        setup.policy.limits = Some(Limits { requests, ..Limits::default() });
    })
    .await;
    let web = files_path();
    for url in ["/sign-in", &format!("{web}/css/app.css"), "/favicon.ico"] {
        app.call("HEAD", url).peer("192.0.2.7").send().await.is(200);
    }
    app.call("GET", "/sign-in").peer("192.0.2.7").send().await.is_problem(429, "rate-limited");
    app.call("GET", "/sign-in").peer("192.0.2.8").send().await.is(200);
}
