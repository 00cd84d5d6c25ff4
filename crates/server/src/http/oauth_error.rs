//! Refusals of OAuth endpoints: error responses (RFC 6749 §5.2).

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::{NO_STORE, annotate, description_char, json_text, whole_seconds};

#[cfg(test)]
mod tests;

/// An error of an OAuth endpoint: `{"error", "error_description"}` (RFC 6749 §5.2).
#[derive(Clone, Debug)]
pub(crate) struct OAuthError {
    error: &'static str,
    description: Option<Cow<'static, str>>,
    status: StatusCode,
    retry_after: Option<Duration>,
    scheme: ClientScheme,
    reason: Option<&'static str>,
    cause: Option<String>,
}

/// The scheme in the challenge of a 401 (RFC 9110 §15.5.2, RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientScheme {
    /// The scheme of a client that sent `Authorization: Basic`.
    Basic,
    /// Everything else: `private_key_jwt` has no scheme of its own, and its assertion is a bearer
    /// JWT. No browser asks its user for a password because of it.
    #[default]
    Bearer,
}

impl ClientScheme {
    const fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Basic => "Basic realm=\"countersign\"",
            Self::Bearer => "Bearer realm=\"countersign\"",
        })
    }
}

impl OAuthError {
    /// The registered `error` code, with 400, the status of all but a few.
    pub(crate) fn new(error: &'static str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let scheme = ClientScheme::default();
        let (description, retry_after, reason, cause) = (None, None, None, None);
        Self { error, description, status, retry_after, scheme, reason, cause }
    }

    /// The client did not authenticate itself: `invalid_client` with 401 and a challenge.
    pub(crate) fn invalid_client(scheme: ClientScheme) -> Self {
        Self { scheme, ..Self::new("invalid_client").status(StatusCode::UNAUTHORIZED) }
    }

    /// A failure of the server: `server_error` with 500. `cause` goes to the log.
    pub(crate) fn internal(cause: impl Display) -> Self {
        let error = Self::new("server_error").status(StatusCode::INTERNAL_SERVER_ERROR);
        Self { cause: Some(cause.to_string()), ..error }
    }

    /// Something that the server needs is away: `temporarily_unavailable` with 503. `cause` goes to the log.
    pub(crate) fn unavailable(cause: impl Display) -> Self {
        let error = Self::new("temporarily_unavailable").status(StatusCode::SERVICE_UNAVAILABLE);
        Self { cause: Some(cause.to_string()), ..error }
    }

    /// With an `error_description` for the developer of the client. Characters that RFC 6749
    /// §5.2 forbids there become `?`.
    pub(crate) fn description(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// With a stable name of the cause for programs, where the code does not tell enough.
    pub(crate) fn reason(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// With another status than 400.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// With a `Retry-After` in whole seconds, rounded up, at least one.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    fn body(&self) -> OAuthErrorBody {
        let description = self.description.as_ref();
        let sayable = |text: &Cow<'_, str>| text.chars().map(description_char).collect();
        let error_description = description.map(sayable);
        OAuthErrorBody { error: self.error, error_description, reason: self.reason }
    }

    /// Makes `response`, whose other headers and extensions stay, say this.
    pub(crate) fn write_into(self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        *response.body_mut() = json_text(&self.body()).into();
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, self.scheme.challenge());
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(after));
        }
        annotate(&mut response, self.error, self.cause);
        response
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        self.write_into(Response::default())
    }
}

/// The members of an OAuth error, for the description of the API.
#[derive(Serialize, ToSchema)]
#[schema(title = "OAuthError")]
pub(crate) struct OAuthErrorBody {
    /// The error code of RFC 6749 §5.2 or of an extension.
    #[schema(example = "invalid_grant", value_type = String)]
    error: &'static str,
    /// What is wrong, for the developer of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
    /// `unknown-passkey` when the server does not know the passkey, or not any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<&'static str>,
}
