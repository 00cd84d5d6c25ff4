//! *passwordless*: mutual challenge and response with raw RSA.
//!
//! The server gives each account a key of its own at registration. A challenge is a number under
//! that key; the proposal that answers it is the same number under the client's key. Both sides
//! know each other then, and the client gets a token.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use countersign_authority::{
    accounts::registration::PresentedKey,
    dialects::passwordless::{
        ChallengeError, MutualLogin, MutualLoginError,
        registration::{MutualRegistration, MutualRegistrationError},
        server_keys::ServerKeyError,
    },
    model::credential_kind::{CredentialKind, UnknownKind},
    tokens::{
        issuance::Grant,
        standing::{RevokeTokenError, RevokingClient},
    },
};
use countersign_protocol::{
    challenges::mutual::Number,
    strict::{base64, json},
};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    members::{bytes, text},
    shape::{Answer, Shape, enrolment_code},
};
use crate::{
    http::{
        address::ClientAddress,
        body::UntypedBody,
        errors::share_used_up,
        problem::{Problem, ProblemType},
        response,
    },
    state::App,
};

/// A longer text is no proposal: base64 of a signature by the largest key has 1368 characters.
const MAX_PROPOSAL: usize = 4096;

/// The challenge of a 401 (RFC 9110 §11.6.1). This way to log in has no registered name.
const SCHEME: &str = "Passwordless";

/// The shape of a registration.
pub(super) const REGISTER: Shape = Shape {
    name: "passwordless",
    members: &[
        &["username", "clientSidePublicKey"],
        // From a page, which keeps the key where its own scripts reach it.
        &["username", "clientSidePublicKey", "kind"],
    ],
    takes_code: true,
    success: (StatusCode::OK, r#"{"serverSidePublicKey","id"}"#),
    refusal: &[],
    register,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(challenge)).routes(routes!(authenticate))
}

fn register(app: App, client: ClientAddress, body: Map<String, Value>) -> Answer {
    Box::pin(async move {
        let registration = MutualRegistration {
            username: text(&body, "username")?,
            public_key: PresentedKey::Text(text(&body, "clientSidePublicKey")?),
            kind: kind(&body)?,
            enrolment_code: enrolment_code(&body)?,
            address: client.0,
        };
        let registered =
            app.authority.dialects.passwordless.register_mutually(registration).await?;
        let body = json!({
            "serverSidePublicKey": base64::encode(&registered.server_key.to_spki_der()),
            "id": registered.account_id.to_string(),
        });
        Ok(axum::Json(body).into_response())
    })
}

/// Where the key is that is registered: in a file or a program, unless the body says that a page keeps it.
fn kind(body: &Map<String, Value>) -> Result<CredentialKind, Problem> {
    if !body.contains_key("kind") {
        return Ok(CredentialKind::Key);
    }
    let kind = text(body, "kind")?.parse();
    kind.map_err(|error: UnknownKind| {
        Problem::new(ProblemType::InvalidRequest).detail(format!("kind: {error}"))
    })
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ChallengeBody {
    /// Base64 of a decimal number under the server's private key for this account, with PKCS#1
    /// v1.5 padding of block type 1 and no `DigestInfo`.
    challenge: String,
}

/// A challenge, by which the server proves itself first.
///
/// The number must come back within a minute and works once. Unknown accounts get challenges too.
#[utoipa::path(
    get,
    path = "/challenge/{account}",
    tag = "dialects",
    params(("account" = String, Path, description = "The account id or the username")),
    responses(
        (status = 200, body = ChallengeBody),
        (status = 429, description = "rate-limited"),
    )
)]
pub(crate) async fn challenge(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    account: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let block =
        app.authority.dialects.passwordless.mutual_challenge(&name_in(account), client.0).await?;
    Ok(response::uncached_json(&ChallengeBody { challenge: base64::encode(&block) }))
}

#[derive(ToSchema)]
pub(crate) struct ProposalBody<'a> {
    /// Base64 of the number under the client's private key in the form of the challenge, or of a
    /// signature of its digits: RSASSA-PKCS1-v1_5 or RSASSA-PSS with SHA-256, or what the key
    /// signs with.
    proposal: &'a str,
    /// The digits, from a client that signs their hash: the signature does not tell them.
    number: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MutualTokenBody {
    /// An access token, bound to the key of the proposal: resources want a proof with it.
    jwt_token: String,
}

/// Log in with the number of a challenge.
///
/// The body may also be the base64 text alone. A client that signs a hash of the number sends the
/// number along; without it, the latest that were asked for from the same network are tried.
#[utoipa::path(
    post,
    path = "/authenticate/{account}",
    tag = "dialects",
    params(("account" = String, Path, description = "The account id or the username")),
    request_body = ProposalBody,
    responses(
        (status = 200, body = MutualTokenBody),
        (status = 400, description = "The body has no proposal"),
        (status = 401, description = "unauthenticated: not a fresh number signed by a key of the account"),
        (status = 429, description = "rate-limited"),
    )
)]
pub(crate) async fn authenticate(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    account: Result<Path<String>, PathRejection>,
    UntypedBody(body): UntypedBody,
) -> Response {
    match log_in(&app, &name_in(account), &body, client).await {
        Ok(Grant { access_token, actor, .. }) => {
            let answer = response::uncached_json(&MutualTokenBody { jwt_token: access_token });
            (Extension(actor), answer).into_response()
        }
        Err(problem) if problem.kind() == ProblemType::Unauthenticated => {
            ([(header::WWW_AUTHENTICATE, SCHEME)], problem).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn log_in(
    app: &App,
    account: &str,
    body: &[u8],
    client: ClientAddress,
) -> Result<Grant, Problem> {
    let Sent { proposal, number } = read_proposal(body)?;
    let number = number.as_ref();
    let login = MutualLogin { name: account, proposal: &proposal, number, address: client.0 };
    Ok(app.authority.dialects.passwordless.login_mutually(login).await?)
}

/// Ends the token. Anybody who holds a token may end it. A text that is no token of this server is
/// answered as if it had ended.
pub(super) async fn logout(app: App, client: ClientAddress, token: &str) -> Response {
    match app.authority.tokens.revoke_token(token, RevokingClient::default(), client.0).await {
        Ok(()) => (StatusCode::OK, axum::Json(json!({ "message": "logged out" }))).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// The name in a path. A name that is not UTF-8 is unknown.
fn name_in(path: Result<Path<String>, PathRejection>) -> String {
    path.map_or_else(|_| String::new(), |Path(name)| name)
}

/// What a client sends to log in.
struct Sent {
    proposal: Vec<u8>,
    number: Option<Number>,
}

impl<'a> ProposalBody<'a> {
    /// That of a text, or of an object with exactly these members.
    fn of(value: &'a Value) -> Option<Self> {
        let members = match value {
            Value::String(proposal) => return Some(Self { proposal, number: None }),
            Value::Object(members) => members,
            _ => return None,
        };
        let proposal = members.get("proposal")?.as_str()?;
        let number = match members.get("number") {
            Some(number) => Some(number.as_str()?),
            None => None,
        };
        let all = 1 + usize::from(number.is_some());
        (members.len() == all).then_some(Self { proposal, number })
    }
}

/// The proposal of a body that is `{"proposal": TEXT}`, perhaps with the member `number`, or the text
/// alone, with or without quotation marks. What is not base64, or no number, is a wrong proposal, and the
/// answer says that it is not base64.
fn read_proposal(body: &[u8]) -> Result<Sent, Problem> {
    let trimmed = body.trim_ascii();
    let value = match trimmed.first() {
        Some(b'{' | b'"') => json::parse(body)?,
        Some(_) => Value::String(String::from_utf8_lossy(trimmed).into_owned()),
        None => Value::Null,
    };
    let missing = || {
        Problem::new(ProblemType::InvalidRequest)
            .detail("the body is {\"proposal\": TEXT}, with or without \"number\": TEXT, or the base64 text alone")
    };
    let ProposalBody { proposal, number } = ProposalBody::of(&value).ok_or_else(missing)?;
    if !(1..=MAX_PROPOSAL).contains(&proposal.len()) {
        return Err(MutualLoginError::Refused.into());
    }
    let proposal = bytes("proposal", proposal)
        .map_err(|reason| Problem::from(MutualLoginError::Refused).detail(reason))?;
    let number = number.map(|text| Number::parse(text.as_bytes()).ok_or(MutualLoginError::Refused));
    Ok(Sent { proposal, number: number.transpose()? })
}

impl From<MutualRegistrationError> for Problem {
    fn from(error: MutualRegistrationError) -> Self {
        match error {
            MutualRegistrationError::Kind(_) => {
                Self::new(ProblemType::InvalidRequest).detail(error.to_string())
            }
            MutualRegistrationError::Registration(error) => error.into(),
            MutualRegistrationError::ServerKey(error) => error.into(),
        }
    }
}

impl From<ServerKeyError> for Problem {
    fn from(error: ServerKeyError) -> Self {
        match error {
            ServerKeyError::Busy => Self::unavailable(error),
            ServerKeyError::ShareUsedUp => share_used_up(&error),
            ServerKeyError::Damaged(_) | ServerKeyError::Key(_) | ServerKeyError::Raw(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<ChallengeError> for Problem {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::NotAdmitted(error) => error.into(),
            ChallengeError::ServerKey(error) => error.into(),
            ChallengeError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeTokenError> for Problem {
    fn from(error: RevokeTokenError) -> Self {
        match error {
            RevokeTokenError::NotOwner => Self::new(ProblemType::Forbidden),
            RevokeTokenError::Session => {
                Self::new(ProblemType::InvalidRequest).detail(error.to_string())
            }
            RevokeTokenError::Store(error) => error.into(),
        }
    }
}

impl From<MutualLoginError> for Problem {
    fn from(error: MutualLoginError) -> Self {
        match error {
            // One answer, which says neither whether the account exists nor what is wrong.
            MutualLoginError::Disabled
            | MutualLoginError::Refused
            | MutualLoginError::Revoked
            | MutualLoginError::Used => Self::new(ProblemType::Unauthenticated)
                .detail("the proposal is not the number of a fresh challenge, signed by a key of the account"),
            MutualLoginError::NotAdmitted(error) => error.into(),
            MutualLoginError::SigningKey(error) => Self::internal(error),
            MutualLoginError::Store(error) => error.into(),
        }
    }
}
