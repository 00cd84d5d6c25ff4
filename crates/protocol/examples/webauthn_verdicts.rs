//! Says what this crate thinks of passkeys' responses, so that other implementations can be compared with it.
//!
//! Each line of the standard input is a JSON object: `ceremony` (`registration` or `authentication`), `response` (the
//! text of the credential's JSON), `challenge`, `rp_id` and `origin`; for an authentication also `stored` with `id`,
//! `user_handle`, `public_key` (a JWK), `sign_count` and `backup_eligible`. Bytes are base64url. Each line of the
//! output is `accepted`, or `refused: ` and the reason. A counter that has not advanced is a reason here.

#![expect(clippy::print_stdout, reason = "verdicts are its only output")]

use std::{
    error::Error,
    io::{self, BufRead as _},
};

use countersign_protocol::{
    keys::{CoseAlgorithm, KeyPolicy, PublicKey},
    proofs::webauthn::{
        AllowedPasskeys, AuthenticationExpectations, AuthenticationResponse, CeremonyExpectations,
        Challenge, CredentialId, RegistrationExpectations, RegistrationResponse, SignCounter,
        StoredPasskey, UserHandle, UserVerification,
    },
    strict::{base64url, json},
};
use serde_json::{Map, Value};

type Failure = Box<dyn Error>;

const OFFERED: [CoseAlgorithm; 3] =
    [CoseAlgorithm::EdDsa, CoseAlgorithm::Es256, CoseAlgorithm::Rs256];

fn main() -> Result<(), Failure> {
    for line in io::stdin().lock().lines() {
        let case = json::parse_object(line?.as_bytes())?;
        match verdict(&case)? {
            Ok(()) => println!("accepted"),
            Err(reason) => println!("refused: {reason}"),
        }
    }
    Ok(())
}

/// The verdict on the response of `case`.
fn verdict(case: &Map<String, Value>) -> Result<Result<(), String>, Failure> {
    let challenge = Challenge::try_from(&bytes(case, "challenge")?[..])?;
    let rp_id = text(case, "rp_id")?.parse()?;
    let origins = [text(case, "origin")?.parse()?];
    let ceremony = CeremonyExpectations {
        challenge: &challenge,
        rp_id: &rp_id,
        origins: &origins,
        top_origins: &[],
        user_verification: UserVerification::Required,
    };
    let response = text(case, "response")?;
    match text(case, "ceremony")? {
        "registration" => Ok(register(response, ceremony)),
        "authentication" => {
            let stored =
                case.get("stored").and_then(Value::as_object).ok_or("no stored passkey")?;
            authenticate(response, ceremony, stored)
        }
        other => Err(format!("no such ceremony: {other}").into()),
    }
}

fn register(response: &str, ceremony: CeremonyExpectations<'_>) -> Result<(), String> {
    let expected = RegistrationExpectations {
        ceremony,
        algorithms: &OFFERED,
        key_policy: &KeyPolicy::default(),
    };
    let response = RegistrationResponse::parse(response).map_err(|error| error.to_string())?;
    response.verify(&expected).map(|_| ()).map_err(|error| error.to_string())
}

fn authenticate(
    response: &str,
    ceremony: CeremonyExpectations<'_>,
    stored: &Map<String, Value>,
) -> Result<Result<(), String>, Failure> {
    let jwk = stored.get("public_key").and_then(Value::as_object).ok_or("no public key")?;
    let sign_count = stored.get("sign_count").and_then(Value::as_u64).ok_or("no counter")?;
    let passkey = StoredPasskey {
        id: &CredentialId::try_from(&bytes(stored, "id")?[..])?,
        user_handle: &UserHandle::try_from(&bytes(stored, "user_handle")?[..])?,
        public_key: &PublicKey::from_jwk(jwk, &KeyPolicy::default())?,
        sign_count: sign_count.try_into()?,
        backup_eligible: stored.get("backup_eligible") == Some(&Value::Bool(true)),
    };
    let expected = AuthenticationExpectations { ceremony, allowed: AllowedPasskeys::Any };
    let response = match AuthenticationResponse::parse(response) {
        Ok(response) => response,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match response.verify(&passkey, &expected) {
        Err(error) => Err(error.to_string()),
        Ok(assertion) => match assertion.sign_count {
            SignCounter::NotCounting | SignCounter::Advanced(_) => Ok(()),
            SignCounter::Regressed { .. } => Err("the counter has not advanced".to_owned()),
        },
    })
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| format!("no {name}").into())
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Failure> {
    Ok(base64url::decode(text(members, name)?)?)
}
