//! *jwks-server*: passwords that the server makes, and tokens that anybody can verify with its
//! JWKS.
//!
//! Its `GET /.well-known/jwks.json` is the native one.

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use countersign_authority::{
    core::{
        dpop::PresentedDpop,
        password_hasher::{HashError, Secret},
    },
    dialects::jwks_server::{
        PasswordError, PasswordRegistration, PasswordRegistrationError, PasswordRequest,
    },
};
use countersign_protocol::{strict::base64, wire};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    members::{object, text},
    shape::{Answer, Shape, enrolment_code},
};
use crate::{
    http::{
        address::ClientAddress,
        body::{UntypedBody, dpop_fields},
        errors::share_used_up,
        problem::{Problem, ProblemType},
        response,
    },
    state::App,
};

const PATH: &str = "/auth";
const DPOP_NONCE: HeaderName = HeaderName::from_static(wire::header::DPOP_NONCE);

/// The shape of a registration.
pub(super) const REGISTER: Shape = Shape {
    name: "jwks-server",
    members: &[&["username", "email"]],
    takes_code: true,
    success: (StatusCode::CREATED, r#"{"password"}"#),
    refusal: &[],
    register,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(auth))
}

fn register(app: App, client: ClientAddress, body: Map<String, Value>) -> Answer {
    Box::pin(async move {
        let registration = PasswordRegistration {
            username: text(&body, "username")?,
            email: text(&body, "email")?,
            enrolment_code: enrolment_code(&body)?,
            address: client.0,
        };
        let password =
            app.authority.dialects.jwks_server.register_with_password(registration).await?;
        let answer = response::uncached_json(&json!({ "password": *password }));
        Ok((StatusCode::CREATED, answer).into_response())
    })
}

#[derive(ToSchema)]
pub(crate) struct CredentialsBody {
    /// The username, the account id or the fingerprint.
    username: String,
    /// The password of the registration.
    #[schema(value_type = String)]
    password: Secret,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PasswordTokenBody {
    /// A JWT signed with RS256 by a key of the JWKS. With a `DPoP` header it is an access token
    /// bound to that key; without, it is for those who verify it with the JWKS alone.
    token: String,
}

/// Exchange a password for a token.
///
/// The credentials stand in `Authorization: Basic`, in JSON or in a form. At most ten requests of
/// one client address are served in any one second, in which what the server needs to answer them
/// does not count.
#[utoipa::path(
    post,
    path = PATH,
    tag = "dialects",
    params(
        ("expired" = Option<String>, Query, description = "`true`, `1`, `yes` or nothing asks for a token that is expired already, by a key that is; `false`, `0` or `no` does not"),
        ("DPoP" = Option<String>, Header, description = "A DPoP proof by the key that the token is to be bound to"),
    ),
    request_body(content((CredentialsBody = "application/json"), (CredentialsBody = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, body = PasswordTokenBody),
        (status = 400, description = "The body is not JSON, expired is neither true nor false, or the proof of possession does not hold"),
        (status = 401, description = "unauthenticated: no credentials, or wrong ones"),
        (status = 429, description = "rate-limited"),
        (status = 503, description = "overloaded: too many passwords are being checked"),
    )
)]
pub(crate) async fn auth(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    UntypedBody(body): UntypedBody,
) -> Response {
    let answer = try_auth(&app, client, query.as_deref(), &headers, &body).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    if response.status() == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"countersign\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    // A client that binds its token needs a nonce for its proof (RFC 9449 §8).
    if headers.contains_key(wire::header::DPOP)
        && let Ok(nonce) = HeaderValue::try_from(app.authority.core.fresh_nonce())
    {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

async fn try_auth(
    app: &App,
    client: ClientAddress,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let _turn = app.authority.dialects.jwks_server.admit_password(client.0).await?;
    let wants_expired = wants_expired(query.unwrap_or_default())?;
    let credentials = CredentialsBody::find(headers, body)?.ok_or(PasswordError::Refused)?;
    let uri = app.authority.core.policy().origin.join(PATH).map_err(Problem::internal)?;
    let fields = dpop_fields(headers);
    let proof = PresentedDpop { fields: &fields, method: Method::POST.as_str(), uri: &uri };
    let grant = app
        .authority
        .dialects
        .jwks_server
        .login_with_password(PasswordRequest {
            name: &credentials.username,
            password: &credentials.password,
            proof: (!fields.is_empty()).then_some(proof),
            expired: wants_expired,
            address: client.0,
        })
        .await?;
    let body = PasswordTokenBody { token: grant.access_token };
    Ok((Extension(grant.actor), response::uncached_json(&body)).into_response())
}

/// Whether the token shall be an expired one: the usual words for flags, in any case of letters.
/// Any other value is refused, because a live token in place of an expired one would be a surprise.
fn wants_expired(query: &str) -> Result<bool, Problem> {
    let mut wanted = false;
    for (_, value) in form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "expired")
    {
        wanted |= match value.to_ascii_lowercase().as_str() {
            "" | "1" | "true" | "yes" => true,
            "0" | "false" | "no" => false,
            _ => {
                return Err(Problem::new(ProblemType::InvalidRequest)
                    .detail("expired is true, 1 or yes, or else false, 0 or no"));
            }
        };
    }
    Ok(wanted)
}

impl CredentialsBody {
    /// The credentials of the `Authorization` header, or else of the body; `None` when there are
    /// none.
    fn find(headers: &HeaderMap, body: &[u8]) -> Result<Option<Self>, Problem> {
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self::from_basic(headers));
        }
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Ok(Self::from_form(body));
        }
        Ok(Self::from_json(object(body)?))
    }

    /// The credentials of the one `Authorization: Basic` (RFC 7617 §2).
    fn from_basic(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let (field, None) = (fields.next()?, fields.next()) else { return None };
        let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let decoded = Secret::new(String::from_utf8(base64::decode(token.trim()).ok()?).ok()?);
        let (username, password) = decoded.split_once(':')?;
        Some(Self { username: username.to_owned(), password: password.to_owned().into() })
    }

    fn from_json(mut members: Map<String, Value>) -> Option<Self> {
        let mut text = |name: &str| match members.remove(name)? {
            Value::String(text) => Some(text),
            _ => None,
        };
        Some(Self { username: text("username")?, password: text("password")?.into() })
    }

    /// The credentials of a form that names each of them once.
    fn from_form(body: &[u8]) -> Option<Self> {
        let only = |name: &str| {
            let mut values = form_urlencoded::parse(body).filter(|(own, _)| own == name);
            let (Some((_, value)), None) = (values.next(), values.next()) else { return None };
            Some(value.into_owned())
        };
        Some(Self { username: only("username")?, password: only("password")?.into() })
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => {
                Self::new(ProblemType::Overloaded).retry_after(std::time::Duration::from_secs(1))
            }
            HashError::Failed => Self::internal(error),
            HashError::NoMemory => Self::unavailable(error).detail(error.to_string()),
            HashError::ShareUsedUp => share_used_up(&error),
        }
    }
}

impl From<PasswordRegistrationError> for Problem {
    fn from(error: PasswordRegistrationError) -> Self {
        let kind = match error {
            PasswordRegistrationError::Busy(error) => return error.into(),
            PasswordRegistrationError::Email(_) => ProblemType::InvalidRequest,
            PasswordRegistrationError::Registration(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy(error) => error.into(),
            PasswordError::Proof(error) => error.into(),
            // One answer, which says neither whether the account exists nor what is wrong.
            PasswordError::Refused => {
                Self::new(ProblemType::Unauthenticated).detail(error.to_string())
            }
            PasswordError::SigningKey(error) => Self::internal(error),
            PasswordError::Store(error) => error.into(),
        }
    }
}
