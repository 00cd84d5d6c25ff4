//! *signjwt*: a session whose every request is signed over a fresh nonce and the session's JWT.
//!
//! The same pair protects any resource: `Authorization: SignJWT <jwt>` with `Signed-Message:
//! <base64>`, answered with the next nonce in `SignJWT-Nonce`.

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use countersign_authority::{
    accounts::registration::PresentedKey,
    dialects::signjwt::{
        AcceptedMessage, OpenSessionError, SessionError, SignedMessage, UnprovenRegistration,
    },
    model::account::AccountName,
};
use countersign_protocol::strict::json::Object;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{
    ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    members::{bytes, text, text_in},
    shape::{Answer, Shape, enrolment_code},
};
use crate::{
    http::{
        address::ClientAddress,
        body::UntypedObject,
        errors::share_used_up,
        problem::{Problem, ProblemType},
        response,
    },
    state::App,
};

pub(super) mod guard_port;

/// The name of the security scheme in the description of the API.
pub(super) const SCHEME: &str = "signjwt";

/// The shape of a registration.
pub(super) const REGISTER: Shape = Shape {
    name: "signjwt",
    members: &[&["user_id", "public_key"], &["username", "public_key"]],
    takes_code: true,
    success: (StatusCode::OK, r#"{"message"}"#),
    refusal: &[],
    register,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(protected))
        .routes(routes!(public_key))
}

fn register(app: App, client: ClientAddress, body: Map<String, Value>) -> Answer {
    Box::pin(async move {
        let registration = UnprovenRegistration {
            username: LoginBody::read(&body)?.user_id,
            public_key: PresentedKey::Text(text(&body, "public_key")?),
            enrolment_code: enrolment_code(&body)?,
            address: client.0,
        };
        let registered = app.authority.dialects.signjwt.register_unproven(registration).await?;
        let message = format!("registered {}", registered.username);
        Ok(axum::Json(json!({ "message": message })).into_response())
    })
}

#[derive(ToSchema)]
pub(crate) struct LoginBody<'a> {
    /// The username, the account id or the fingerprint. It may be called `username` instead.
    user_id: &'a str,
}

impl<'a> LoginBody<'a> {
    /// The user in the body, by exactly one of the member's two names.
    fn read(body: &'a Map<String, Value>) -> Result<Self, Problem> {
        let name = match (body.contains_key("user_id"), body.contains_key("username")) {
            (true, false) => "user_id",
            (false, true) => "username",
            (true, true) | (false, false) => {
                return Err(Problem::new(ProblemType::InvalidRequest)
                    .detail("name the user by user_id or by username"));
            }
        };
        Ok(Self { user_id: text(body, name)? })
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody {
    /// The session: a JWT by HS256 that only the server can verify.
    jwt: String,
    /// The nonce for the first request.
    nonce: String,
}

/// Open a session. It proves nothing yet, and every account name gets one.
#[utoipa::path(
    post,
    path = "/login",
    tag = "dialects",
    request_body = LoginBody,
    responses(
        (status = 200, body = SessionBody),
        (status = 400, description = "The body does not name one user"),
        (status = 429, description = "rate-limited"),
    )
)]
pub(crate) async fn login(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    UntypedObject(body): UntypedObject,
) -> Result<Response, Problem> {
    let body = body.to_map();
    let LoginBody { user_id } = LoginBody::read(&body)?;
    let session = app.authority.dialects.signjwt.open_session(user_id, client.0).await?;
    Ok(response::uncached_json(&SessionBody { jwt: session.jwt, nonce: session.nonce }))
}

#[derive(ToSchema)]
pub(crate) struct SignedMessageBody<'a> {
    /// The session.
    jwt: &'a str,
    /// Base64 of a signature over the UTF-8 bytes of the nonce followed by those of the JWT: for an
    /// RSA key RSASSA-PSS with SHA-256 and a salt of the greatest possible length.
    signed_message: &'a str,
}

impl<'a> SignedMessageBody<'a> {
    fn read(body: &'a Object) -> Result<Self, Problem> {
        let signed_message = text_in(body, "signed_message")?;
        Ok(Self { jwt: text_in(body, "jwt")?, signed_message })
    }

    /// The signature; what is not base64 is a wrong one, and the answer says why.
    fn signature(&self) -> Result<Vec<u8>, Problem> {
        bytes("signed_message", self.signed_message)
            .map_err(|reason| Problem::from(SessionError::Refused).detail(reason))
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProtectedBody {
    message: String,
    /// The nonce for the next request.
    nonce: String,
}

/// A protected resource.
#[utoipa::path(
    post,
    path = "/protected",
    tag = "dialects",
    request_body = SignedMessageBody,
    responses(
        (status = 200, body = ProtectedBody),
        (status = 400, description = "A member is missing"),
        (status = 403, description = "forbidden: session, nonce or signature is not good"),
    )
)]
pub(crate) async fn protected(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    UntypedObject(body): UntypedObject,
) -> Result<Response, Problem> {
    let body = SignedMessageBody::read(&body)?;
    let message = SignedMessage { jwt: body.jwt, signature: &body.signature()? };
    let signjwt = &app.authority.dialects.signjwt;
    let AcceptedMessage { actor, username, next_nonce } =
        signjwt.accept_message(message, client.0).await?;
    let message = format!("{username} may pass");
    let answer = response::uncached_json(&ProtectedBody { message, nonce: next_nonce });
    Ok((Extension(actor), answer).into_response())
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKeyBody {
    /// `SubjectPublicKeyInfo` in PEM.
    public_key: String,
}

/// The public key of a user: the oldest one that is live.
#[utoipa::path(
    get,
    path = "/users/{id}",
    tag = "dialects",
    params(("id" = String, Path, description = "The username, the account id or the fingerprint")),
    responses(
        (status = 200, body = PublicKeyBody),
        (status = 404, description = "not-found"),
    )
)]
pub(crate) async fn public_key(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let unknown = || Problem::new(ProblemType::NotFound).detail("no such user");
    let name: AccountName = name.parse().map_err(|_| unknown())?;
    let (_, keys) = app.authority.accounts.account_keys(&name).await?.ok_or_else(unknown)?;
    let key = keys.first().ok_or_else(unknown)?;
    // Short, because a revoked key must disappear from it soon.
    let headers = [(http::header::CACHE_CONTROL, "public, max-age=5")];
    Ok((headers, axum::Json(PublicKeyBody { public_key: key.to_spki_pem() })))
}

/// Ends the session of a signed message.
pub(super) async fn logout(app: App, client: ClientAddress, body: &Bytes) -> Response {
    match try_logout(&app, client, body).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn try_logout(
    app: &App,
    client: ClientAddress,
    body: &Bytes,
) -> Result<impl IntoResponse + use<>, Problem> {
    let body = Object::parse(body.to_vec())?;
    let body = SignedMessageBody::read(&body)?;
    let message = SignedMessage { jwt: body.jwt, signature: &body.signature()? };
    app.authority.dialects.signjwt.end_session(message, client.0).await?;
    Ok(axum::Json(json!({ "message": "logged out" })))
}

/// How the description of the API speaks of signed messages.
pub(super) fn scheme() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
        "Authorization",
        "`SignJWT <jwt>` with the JWT of a session, and a `Signed-Message` header with base64 of a \
         signature over the nonce and the JWT. The answer carries the next nonce in `SignJWT-Nonce`.",
    )))
}

impl From<OpenSessionError> for Problem {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::Name(error) => {
                Self::new(ProblemType::InvalidUsername).detail(error.to_string())
            }
            OpenSessionError::NotAdmitted(error) => error.into(),
            OpenSessionError::ShareUsedUp => share_used_up(&error),
            OpenSessionError::Store(error) => error.into(),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            // One answer, which says neither whether the account exists nor what is wrong.
            SessionError::Refused => {
                Self::new(ProblemType::Forbidden).detail(error.to_string()).of_signed_message()
            }
            SessionError::Store(error) => error.into(),
        }
    }
}
