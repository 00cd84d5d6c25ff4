//! A proof is for one request: method, URI, token, key.

use super::*;

fn requested_at(uri: &str) -> Result<(), DpopError> {
    requested(|request| request.uri = TargetUri::parse(uri).unwrap())
}

#[test]
fn another_method_is_refused() {
    for method in ["GET", "post", "PUT", "DELETE", "POST2"] {
        let verdict = requested(|request| request.method = method);
        assert_eq!(verdict, Err(DpopError::Method), "{method}");
    }
}

#[test]
fn another_uri_is_refused() {
    for uri in [
        "https://api.example/v1/keys",
        "https://api.example/v1/whoami/",
        "https://api.example//v1/whoami",
        "https://api.example/v1%2Fwhoami",
        "https://evil.example/v1/whoami",
        "https://api.example.evil.example/v1/whoami",
        "https://api.example:444/v1/whoami",
        "http://api.example/v1/whoami",
    ] {
        assert_eq!(requested_at(uri), Err(DpopError::Uri), "{uri}");
    }
}

#[test]
fn another_name_of_the_same_machine_is_called_that() {
    let verdict = |here: &str, named: &str| {
        let uri = TargetUri::parse(&format!("{here}/v1/whoami")).unwrap();
        let mut draft = Draft::good();
        draft.set("htu", json!(format!("{named}/v1/whoami")));
        Request { uri, ..Request::good() }.verify(&draft.sign()).map(drop).unwrap_err()
    };
    let names = ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"];
    for here in names {
        for named in names.into_iter().filter(|named| *named != here) {
            let said = verdict(here, named).to_string();
            let expected = format!("this server calls itself {here}; the proof is for {named}.");
            assert!(said.starts_with(&expected), "{said}");
        }
    }
    for (here, named) in [
        ("http://localhost:8080", "http://127.0.0.1:9000"),
        ("http://localhost:8080", "https://127.0.0.1:8080"),
        ("http://localhost:8080", "http://192.0.2.1:8080"),
        ("https://auth.example", "https://localhost"),
    ] {
        assert_eq!(verdict(here, named), DpopError::Uri, "{here} {named}");
    }
}

#[test]
fn the_requests_own_query_does_not_count() {
    assert_eq!(requested_at(&format!("{URI}?page=2")), Ok(()));
    assert_eq!(requested_at(&format!("{URI}#top")), Ok(()));
}

#[test]
fn spellings_of_the_uri_are_normalised() {
    for spelling in [
        "https://api.example/v1/%77hoami",
        "https://api.example/v1/%77%68oami",
        "https://api.example/v1/./whoami",
        "https://api.example/v2/../v1/whoami",
        "https://api.example/v2/%2e%2E/v1/whoami",
        "https://api.example/../v1/whoami",
        "https://api.example:/v1/whoami",
        "https://api.example:0443/v1/whoami",
    ] {
        assert_eq!(with("htu", json!(spelling)), Ok(()), "{spelling}");
        assert_eq!(requested_at(spelling), Ok(()), "{spelling}");
    }
}

#[test]
fn an_empty_path_is_a_slash() {
    let mut draft = Draft::good();
    let mut request = Request::good();
    request.uri = TargetUri::parse("https://api.example/").unwrap();
    for htu in ["https://api.example", "https://api.example/", "https://api.example?x=1"] {
        draft.set("htu", json!(htu));
        assert_eq!(request.verify(&draft.sign()).map(drop), Ok(()), "{htu}");
    }
}

#[test]
fn what_is_no_absolute_web_uri_is_refused() {
    for htu in [
        "/v1/whoami",
        "//api.example/v1/whoami",
        "api.example/v1/whoami",
        "wss://api.example/v1/whoami",
        "https:/api.example/v1/whoami",
        "https://user@api.example/v1/whoami",
        "https://api.example\\v1\\whoami",
        "https://api.example /v1/whoami",
        " https://api.example/v1/whoami",
        "https://api.example/v1/whoami\n",
        "https://api.example:0/v1/whoami",
        "https://api.example:65979/v1/whoami",
        "https://äpi.example/v1/whoami",
        "*",
    ] {
        assert_eq!(with("htu", json!(htu)), Err(DpopError::Uri), "{htu:?}");
    }
}

#[test]
fn a_long_uri_is_accepted_up_to_the_limit_of_all_uris() {
    let uri = |length: usize| {
        let start = "https://api.example/";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let mut draft = Draft::good();
    let request = Request { uri: TargetUri::parse(&uri(2000)).unwrap(), ..Request::good() };
    draft.set("htu", json!(uri(2000)));
    assert_eq!(request.verify(&draft.sign()).map(drop), Ok(()));
    draft.set("htu", json!(format!("{}?{}", uri(2000), "q".repeat(47))));
    assert_eq!(request.verify(&draft.sign()).map(drop), Ok(()));
    draft.set("htu", json!(format!("{}?{}", uri(2000), "q".repeat(48))));
    let too_long = ClaimError::TooLong { name: "htu", bytes: 2049, max: 2048 };
    assert_eq!(request.verify(&draft.sign()).map(drop), Err(too_long.into()));
}

#[test]
fn a_proof_for_another_token_is_refused() {
    let verdict = requested(|request| {
        let ath = sha256(&[b"another.access.token"]);
        request.access_token = Some(TokenBinding { ath, ..binding(&ed25519(1)) });
    });
    assert_eq!(verdict, Err(DpopError::AccessToken));
}

#[test]
fn a_token_that_is_bound_to_another_key_is_refused() {
    let verdict = requested(|request| request.access_token = Some(binding(&ed25519(2))));
    assert_eq!(verdict, Err(DpopError::OtherKey));
}

#[test]
fn without_a_token_no_ath_is_needed_and_any_key_will_do() {
    for key in [ed25519(1), ed25519(2), ec_p256()] {
        let mut draft = Draft::by(key);
        let request = Request { access_token: None, ..Request::good() };
        assert_eq!(request.verify(&draft.sign()).map(drop), Ok(()));
        draft.remove("ath");
        let verified = request.verify(&draft.sign()).unwrap();
        assert_eq!(verified.peek().thumbprint, draft.key.public_key().thumbprint());
    }
}
