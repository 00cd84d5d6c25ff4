//! The JSON of a credential: each member missing, of another type, empty or badly encoded.

use serde_json::{Value as Json, json};

use super::authenticator::{Authentication, Refusal, Registration, Server, Stored};
use crate::proofs::webauthn::{InvalidTransport, MAX_RESPONSE, ResponseError, Transport};

fn registration_error(json: &Json) -> Option<ResponseError> {
    match Server::default().register(&json.to_string()) {
        Ok(_) => None,
        Err(Refusal::Parse(error)) => Some(error),
        Err(Refusal::Verify(error)) => panic!("{error}"),
    }
}

fn authentication_error(json: &Json) -> Option<ResponseError> {
    match Server::default().authenticate(&Stored::new(), &json.to_string()) {
        Ok(_) => None,
        Err(Refusal::Parse(error)) => Some(error),
        Err(Refusal::Verify(error)) => panic!("{error}"),
    }
}

/// Every member that must be bytes, in every wrong form.
fn check_bytes(
    good: &Json,
    members: &[&'static str],
    error_of: impl Fn(&Json) -> Option<ResponseError>,
) {
    assert_eq!(error_of(good), None);
    for name in members {
        let with = |value: Option<Json>| {
            let mut json = good.clone();
            let response = json["response"].as_object_mut().unwrap();
            response.remove(*name);
            response.extend(value.map(|value| ((*name).to_owned(), value)));
            error_of(&json)
        };
        assert_eq!(with(None), Some(ResponseError::Missing(name)));
        assert_eq!(with(Some("".into())), Some(ResponseError::Empty(name)));
        for wrong in [json!(null), json!(1), json!([1, 2]), json!({ "0": 1 }), json!(true)] {
            assert_eq!(with(Some(wrong)), Some(ResponseError::WrongType(name)));
        }
        for wrong in ["AA==", "A", "AB", "A A", "+/+/", "é"] {
            let error = with(Some(wrong.into()));
            assert_eq!(error, Some(ResponseError::NotBase64Url(name)), "{wrong}");
        }
    }
}

#[test]
fn every_member_of_the_response_has_one_form() {
    let registration = Registration::new().json();
    check_bytes(&registration, &["clientDataJSON", "attestationObject"], registration_error);
    let authentication = Authentication::new().json();
    let members = ["clientDataJSON", "authenticatorData", "signature"];
    check_bytes(&authentication, &members, authentication_error);
}

#[test]
fn every_member_of_the_credential_has_one_form() {
    for (good, error_of) in [
        (Registration::new().json(), registration_error as fn(&Json) -> Option<ResponseError>),
        (Authentication::new().json(), authentication_error),
    ] {
        let with = |name: &str, value: Option<Json>| {
            let mut json = good.clone();
            let members = json.as_object_mut().unwrap();
            members.remove(name);
            members.extend(value.map(|value| (name.to_owned(), value)));
            error_of(&json)
        };
        for name in ["id", "type", "response"] {
            assert_eq!(with(name, None), Some(ResponseError::Missing(name)));
            for wrong in [json!(null), json!(1), json!([])] {
                assert_eq!(with(name, Some(wrong)), Some(ResponseError::WrongType(name)));
            }
        }
        assert_eq!(with("id", Some("".into())), Some(ResponseError::Empty("id")));
        assert_eq!(with("id", Some("AB".into())), Some(ResponseError::NotBase64Url("id")));
        assert_eq!(with("rawId", None), Some(ResponseError::RawId));
        assert_eq!(with("rawId", Some("AQ".into())), Some(ResponseError::RawId));
        assert_eq!(with("type", Some("Public-Key".into())), Some(ResponseError::Type));
        assert_eq!(with("clientExtensionResults", None), None, "the outputs are never needed");
        assert_eq!(with("not-yet-known", Some(json!([1]))), None);
        let wrong = with("clientExtensionResults", Some(json!([])));
        assert_eq!(wrong, Some(ResponseError::WrongType("clientExtensionResults")));
    }
}

#[test]
fn transports_are_words_each_once_and_may_be_absent() {
    let with = |transports: Json| {
        let mut json = Registration::new().json();
        json["response"]["transports"] = transports;
        json
    };
    let read = |json: &Json| Server::default().register(&json.to_string()).unwrap().transports;
    let usb: Transport = "usb".parse().unwrap();
    assert_eq!(read(&with(json!(["usb", "usb"]))), [usb]);
    assert_eq!(read(&with(json!(["not-yet-known"]))).len(), 1);
    let mut without = Registration::new().json();
    without["response"].as_object_mut().unwrap().remove("transports");
    assert_eq!(read(&without), []);
    for (wrong, error) in [
        (json!("usb"), ResponseError::WrongType("transports")),
        (json!(null), ResponseError::WrongType("transports")),
        (json!([1]), ResponseError::WrongType("transports")),
        (json!([""]), ResponseError::Transport(InvalidTransport)),
        (json!(["<b>"]), ResponseError::Transport(InvalidTransport)),
        (json!(vec!["usb"; 17]), ResponseError::TooManyTransports(17)),
    ] {
        assert_eq!(registration_error(&with(wrong)), Some(error));
    }
}

#[test]
fn a_text_that_is_too_long_or_no_json_is_refused() {
    let register = |text: &str| Server::default().register(text).unwrap_err();
    let long = format!("{}{}", Registration::new().json(), " ".repeat(MAX_RESPONSE));
    assert_eq!(register(&long), Refusal::Parse(ResponseError::TooLong(long.len())));
    let twice = Registration::new().json().to_string().replacen('{', r#"{"id":"AQ","#, 1);
    for text in ["", "[]", "null", "{", &twice] {
        let refused = register(text);
        assert!(matches!(refused, Refusal::Parse(ResponseError::Json(_))), "{text}: {refused:?}");
    }
}

#[test]
fn a_response_of_the_other_ceremony_is_refused() {
    let registration = Registration::new().json();
    let error = authentication_error(&registration);
    assert_eq!(error, Some(ResponseError::Missing("authenticatorData")));
    let authentication = Authentication::new().json();
    let error = registration_error(&authentication);
    assert_eq!(error, Some(ResponseError::Missing("attestationObject")));
}
