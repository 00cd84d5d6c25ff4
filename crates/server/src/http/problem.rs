//! Refusals of all endpoints but those of OAuth: problem details (RFC 9457).

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use countersign_guard::{Refusal, SignedMessageError};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(crate) use self::kind::ProblemType;
use super::refusal::{NO_STORE, annotate, description_char, json_text, whole_seconds};

mod kind;
#[cfg(test)]
pub(crate) mod tests;

/// An error of an endpoint that is not an OAuth endpoint: `application/problem+json`.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: ProblemType,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    challenge: Option<&'static str>,
    asked: Option<AskedLogin>,
    extensions: Map<String, Value>,
    /// Boxed, because hardly any problem has one, and all would be larger for it.
    entity_tag: Option<Box<HeaderValue>>,
    cause: Option<String>,
    is_signed_message: bool,
}

/// A login that would do where the present one does not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AskedLogin {
    /// One that is fresh.
    Fresh,
    /// The answer of a passkey.
    Passkey,
}

impl AskedLogin {
    /// The parameters of the challenge (RFC 9470 §3). Times are in seconds.
    const fn parameters(self) -> &'static str {
        match self {
            Self::Fresh => "max_age=\"300\"",
            Self::Passkey => "acr_values=\"phr\", max_age=\"300\"",
        }
    }
}

impl Problem {
    /// A problem of this kind, without details.
    pub(crate) fn new(kind: ProblemType) -> Self {
        Self {
            kind,
            detail: None,
            retry_after: None,
            challenge: None,
            asked: None,
            extensions: Map::new(),
            entity_tag: None,
            cause: None,
            is_signed_message: false,
        }
    }

    /// A failure of the server. The client learns that it happened; `cause` goes to the log.
    pub(crate) fn internal(cause: impl Display) -> Self {
        Self::new(ProblemType::Internal).because(cause)
    }

    /// A port that the server needs does not answer. `cause` goes to the log.
    pub(crate) fn unavailable(cause: impl Display) -> Self {
        Self::new(ProblemType::Unavailable).retry_after(Duration::from_secs(1)).because(cause)
    }

    /// With an explanation of this occurrence for the person who reads the answer.
    pub(crate) fn detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With what made the rule matter here, before the detail.
    pub(crate) fn since(self, why: impl Display) -> Self {
        let detail = format!("{why}; {}", self.summary());
        self.detail(detail)
    }

    /// With a `Retry-After` (RFC 9110 §10.2.3) in whole seconds, rounded up, at least one.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// With a `WWW-Authenticate` that asks for DPoP (RFC 9449 §7.1) and names `error`.
    pub(crate) fn challenge(self, error: &'static str) -> Self {
        Self { challenge: Some(error), ..self }
    }

    /// With parameters in its challenge that say which login would do (RFC 9470 §3).
    pub(crate) fn asking(self, login: AskedLogin) -> Self {
        Self { asked: Some(login), ..self }
    }

    /// With the entity tag of what is there (RFC 9110 §8.8.3).
    pub(crate) fn entity_tag(self, tag: HeaderValue) -> Self {
        Self { entity_tag: Some(Box::new(tag)), ..self }
    }

    /// Counted in the metrics like the guard's refusal of a signed message.
    pub(crate) fn of_signed_message(self) -> Self {
        Self { is_signed_message: true, ..self }
    }

    /// What the metrics call it.
    fn reason(&self) -> &'static str {
        let signed_message = Refusal::SignedMessage(SignedMessageError::Refused);
        if self.is_signed_message { signed_message.reason() } else { self.kind.name() }
    }

    /// The value of `WWW-Authenticate`, if there is one. Every 401 has one (RFC 9110 §15.5.2). Where no
    /// token is to blame it names no error, as for a request that presents nothing (RFC 6750 §3).
    fn www_authenticate(&self) -> Option<HeaderValue> {
        let Some(error) = self.challenge else {
            let is_refused = self.kind.status() == StatusCode::UNAUTHORIZED;
            return is_refused.then(|| Refusal::Missing.www_authenticate()).flatten();
        };
        let detail = self.summary();
        let description: String = detail.chars().map(description_char).collect();
        let mut value = format!("DPoP error=\"{error}\", error_description=\"{description}\"");
        if let Some(asked) = self.asked {
            value.push_str(", ");
            value.push_str(asked.parameters());
        }
        HeaderValue::try_from(value).ok()
    }

    /// With an extension member (RFC 9457 §3.2). The standard members cannot be replaced.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if !["type", "title", "status", "detail", "error"].contains(&name) {
            self.extensions.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The kind of problem.
    pub(crate) fn kind(&self) -> ProblemType {
        self.kind
    }

    /// What is wrong, in words: the detail, or else the title.
    pub(crate) fn summary(&self) -> Cow<'static, str> {
        self.detail.clone().unwrap_or(Cow::Borrowed(self.kind.title()))
    }

    /// With a cause for the log.
    fn because(self, cause: impl Display) -> Self {
        Self { cause: Some(cause.to_string()), ..self }
    }

    fn body(&self) -> ExtendedBody<'_> {
        // Clients of RFC 9449 look for this member (§8), even if they know nothing of problem
        // types.
        let is_nonce = self.kind == ProblemType::NonceRequired;
        ExtendedBody {
            problem: ProblemBody {
                r#type: self.kind.uri(),
                title: self.kind.title(),
                status: self.kind.status().as_u16(),
                detail: self.detail.as_deref(),
            },
            error: is_nonce.then_some("use_dpop_nonce"),
            extensions: &self.extensions,
        }
    }
}

impl From<ProblemType> for Problem {
    fn from(kind: ProblemType) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for Problem {
    /// The response has the problem in its extensions too, for layers that translate it.
    fn into_response(mut self) -> Response {
        let cause = self.cause.take();
        let mut response = (self.kind.status(), json_text(&self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(after));
        }
        if let Some(tag) = self.entity_tag.take() {
            headers.insert(ETAG, *tag);
        }
        if let Some(challenge) = self.www_authenticate() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        annotate(&mut response, self.reason(), cause);
        response.extensions_mut().insert(self);
        response
    }
}

/// The members of a problem document, for the description of the API (RFC 9457 §3.1).
#[derive(Serialize, ToSchema)]
#[schema(title = "Problem")]
pub(crate) struct ProblemBody<'a> {
    /// A URI that names the kind of problem, ending in its name. It never changes.
    #[schema(example = "https://github.com/countersign/countersign/problems/invalid-key")]
    r#type: String,
    /// What the type means, in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// A problem document with its extension members (RFC 9457 §3.2).
#[derive(Serialize)]
struct ExtendedBody<'a> {
    #[serde(flatten)]
    problem: ProblemBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(flatten)]
    extensions: &'a Map<String, Value>,
}
