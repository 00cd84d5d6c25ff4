use std::time::Duration;

use super::*;

fn refusal(status: StatusCode, code: &str, message: &str) -> Refusal {
    let (code, message) = (Some(code.to_owned()), Some(message.to_owned()));
    Refusal { status, code, message, retry_after: None, lack: None }
}

#[test]
fn each_refusal_is_told_with_a_remedy_for_its_cause() {
    let told = |code: &str, message: &str, lack: Option<&str>| {
        let lack = lack.map(str::to_owned);
        advice_on(&Refusal { lack, ..refusal(StatusCode::FORBIDDEN, code, message) }).unwrap()
    };
    assert!(told("enrolment-closed", "", None).starts_with("no code helps"));
    assert!(told("enrolment-closed", "", Some("enrolment-code")).contains("--code CODE"));
    assert!(told("enrolment-code", "", None).contains("countersign admin invite NAME"));
    assert!(told("key-limit", "", None).contains("countersign keys revoke"));
    assert!(told("key-taken", "", None).contains("never logs in again"));
    let grant = told("invalid_grant", "no live key of the account", None);
    assert!(grant.starts_with("is that the name of the account, and was this key ever added"));
    assert!(told("invalid_target", "", None).contains("a slash at the end"));
}

#[test]
fn a_dialect_that_is_off_is_called_that() {
    let off = |refusal| named_if_off("dialects.signjwt", ClientError::Refused(refusal));
    let absent = "no such resource; GET / says what there is";
    for refused in [
        refusal(StatusCode::NOT_FOUND, "not-found", absent),
        refusal(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", ""),
        refusal(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the token is bound to a key: present it with the DPoP scheme and a proof",
        ),
    ] {
        let told = off(refused).to_string();
        assert!(told.contains("does not speak that dialect (dialects.signjwt = false)"), "{told}");
    }
    let other = off(refusal(StatusCode::UNAUTHORIZED, "invalid_token", "the token has expired"));
    assert!(other.to_string().contains("the token has expired"));
}

#[test]
fn a_certificate_is_told_by_what_is_wrong_with_it() {
    let advice = |reason: &str| {
        let (origin, reason) = ("https://a.example".to_owned(), reason.to_owned());
        advice(&ClientError::Unreachable { origin, reason }).unwrap()
    };
    let untrusted = "invalid peer certificate: UnknownIssuer";
    let same_name = "invalid peer certificate: UnsupportedSignatureAlgorithmForPublicKeyContext";
    for reason in [untrusted, same_name] {
        assert!(advice(reason).starts_with("--ca FILE"));
    }
    let name = "certificate not valid for name \"127.0.0.1\"; certificate is only valid for";
    assert!(advice(name).contains("a name that is in it"));
    let expired = "invalid peer certificate: certificate expired: verification time 2 (UNIX)";
    assert!(advice(expired).contains("a new certificate"));
    assert!(advice("Connection refused (os error 111)").starts_with("is the server running?"));
}

#[test]
fn a_server_behind_a_proxy_that_knows_no_name_is_for_its_operator() {
    let told = other_name("https://auth.example", "http://localhost:8080");
    assert!(told.contains("issuer = \"https://auth.example\""), "{told}");
    assert!(!told.contains("--server"), "{told}");
    let other = other_name("http://localhost:8080", "https://auth.example");
    assert!(other.contains("try: --server \"https://auth.example\""), "{other}");
}

#[test]
fn one_side_with_tls_and_one_without_is_called_that() {
    let advice = |origin: &str, reason: &str| {
        let (origin, reason) = (origin.to_owned(), reason.to_owned());
        advice(&ClientError::Unreachable { origin, reason }).unwrap()
    };
    let corrupt = "received corrupt message of type InvalidContentType";
    assert!(advice("https://a.example", corrupt).ends_with("http://a.example"));
    let version = "invalid HTTP version parsed";
    assert!(advice("http://127.0.0.1:8443", version).ends_with("https://127.0.0.1:8443"));
}

#[test]
fn an_api_that_is_not_there_is_not_the_server() {
    let advice = |origin: &str| {
        let (origin, reason) = (origin.to_owned(), "connection refused".to_owned());
        let error = ClientError::Unreachable { origin, reason };
        explain_api(error, "http://127.0.0.1:8080", explain_login).to_string()
    };
    assert!(advice("http://127.0.0.1:9000").ends_with("is the API running there?"));
    assert!(advice("http://127.0.0.1:8080").contains("is the server running?"));
}

#[test]
fn a_call_without_an_answer_may_have_been_done() {
    let told = |is_safe| {
        let (origin, after) = ("http://a.example".to_owned(), Duration::from_secs(1));
        let error = ClientError::Timeout { origin, after };
        explain_call(error, "http://a.example", is_safe, explain_login).to_string()
    };
    assert!(told(false).ends_with("look before you send it once more"));
    assert!(!told(true).contains("not known"));
    let refused = ClientError::ReservedHeader("DPoP");
    let refused = explain_call(refused, "http://a.example", false, explain_login).to_string();
    assert!(!refused.contains("not known"), "{refused}");
}

#[test]
fn spelling_makes_no_other_server() {
    assert!(same_server("http://127.0.0.1:8080", "http://127.0.0.1:8080/"));
    assert!(same_server("https://Auth.Example:443", "https://auth.example"));
    assert!(!same_server("https://auth.example", "http://auth.example"));
    assert!(!same_server("https://auth.example/a", "https://auth.example/b"));
    assert!(same_server("nonsense", "nonsense"));
    assert!(!same_server("nonsense", "other"));
}

#[test]
fn one_machine_may_have_two_names() {
    let (name, address) = ("http://localhost:8080", "http://127.0.0.1:8080");
    assert!(is_other_name(address, name) && is_other_name(name, address));
    assert!(is_other_name("https://localhost:8080", name));
    assert!(!is_other_name(name, name));
    assert!(!is_other_name("http://127.0.0.1:9000", name));
    assert!(!is_other_name("http://192.0.2.1:8080", name));
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    assert!(same_origin("https://a.example/x?y", "https://A.example:443"));
    assert!(!same_origin("https://a.example:8443/x", "https://a.example"));
    assert!(!same_origin("/x", "https://a.example"));
}
