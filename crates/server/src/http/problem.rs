//! Errors as HTTP answers: problem details (RFC 9457) and OAuth error responses (RFC 6749 §5.2).
//!
//! Neither tells the client the cause of a 5xx. The cause travels in the response extension
//! [`Cause`] to the one line that the access log writes about the request.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use countersign_protocol::problem;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use utoipa::ToSchema;

#[cfg(test)]
mod tests;

/// Why the server failed, for the log alone: a response extension that never leaves the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause(pub String);

/// Which kind of refusal a response is, for the metrics: a response extension. Its values are
/// constants of the code, so there are few of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub &'static str);

/// An error of an endpoint that is not an OAuth endpoint: `application/problem+json`.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: ProblemType,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    challenge: Option<&'static str>,
    extensions: Map<String, Value>,
    cause: Option<String>,
}

impl Problem {
    /// A problem of this kind, and nothing more to say about it.
    pub(crate) fn new(kind: ProblemType) -> Self {
        Self {
            kind,
            detail: None,
            retry_after: None,
            challenge: None,
            extensions: Map::new(),
            cause: None,
        }
    }

    /// A failure of the server. The client learns that it happened; `cause` goes to the log.
    pub(crate) fn internal(cause: impl Display) -> Self {
        Self::new(ProblemType::Internal).because(cause)
    }

    /// A part that the server needs does not answer. `cause` goes to the log.
    pub(crate) fn unavailable(cause: impl Display) -> Self {
        Self::new(ProblemType::Unavailable).retry_after(Duration::from_secs(1)).because(cause)
    }

    /// With an explanation of this occurrence for the person who reads the answer.
    pub(crate) fn detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With a `Retry-After` (RFC 9110 §10.2.3) in whole seconds, rounded up, at least one.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// With a `WWW-Authenticate` that asks for DPoP (RFC 9449 §7.1) and names `error`.
    pub(crate) fn challenge(self, error: &'static str) -> Self {
        Self { challenge: Some(error), ..self }
    }

    /// The value of `WWW-Authenticate`, if there is one.
    fn www_authenticate(&self) -> Option<HeaderValue> {
        let (error, detail) = (self.challenge?, self.summary());
        let description: String = detail.chars().map(description_char).collect();
        let value = format!("DPoP error=\"{error}\", error_description=\"{description}\"");
        HeaderValue::try_from(value).ok()
    }

    /// With an extension member (RFC 9457 §3.2). The standard members cannot be replaced.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
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

    fn body(&self) -> String {
        let mut members = self.extensions.clone();
        members.insert("type".to_owned(), self.kind.uri().into());
        members.insert("title".to_owned(), self.kind.title().into());
        members.insert("status".to_owned(), self.kind.status().as_u16().into());
        if self.kind == ProblemType::NonceRequired {
            // What clients of RFC 9449 look for (§8), whatever else they know of problem types.
            members.insert("error".to_owned(), "use_dpop_nonce".into());
        }
        if let Some(detail) = &self.detail {
            members.insert("detail".to_owned(), detail.as_ref().into());
        }
        Value::Object(members).to_string()
    }
}

impl From<ProblemType> for Problem {
    fn from(kind: ProblemType) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for Problem {
    /// The response carries the problem itself in its extensions, for layers that would rather say
    /// it in another form.
    fn into_response(mut self) -> Response {
        let cause = self.cause.take();
        let mut response = (self.kind.status(), self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(after));
        }
        if let Some(challenge) = self.www_authenticate() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        annotate(&mut response, self.kind.name(), cause);
        response.extensions_mut().insert(self);
        response
    }
}

/// The members of a problem document, for the description of the API (RFC 9457 §3.1).
#[derive(ToSchema)]
#[schema(title = "Problem")]
#[expect(dead_code, reason = "describes the JSON that Problem writes")]
pub(crate) struct ProblemBody {
    /// A URI that names the kind of problem, ending in its name. It never changes.
    #[schema(example = "https://github.com/countersign/countersign/problems/invalid-key")]
    r#type: String,
    /// What the type means, in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: Option<String>,
}

/// The kinds of problem. Their names are part of the API: clients compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProblemType {
    /// The server does not let new accounts in, or not without a code.
    EnrolmentClosed,
    /// The enrolment code is unknown, used or expired.
    EnrolmentCode,
    /// The principal may not do this: the token lacks a scope.
    Forbidden,
    /// The server failed.
    Internal,
    /// The body is not the JSON that it must be.
    InvalidJson,
    /// The public key cannot be read, is too weak or is of a kind that is not supported.
    InvalidKey,
    /// The proof of possession does not hold.
    InvalidProof,
    /// The request lacks something or contradicts itself.
    InvalidRequest,
    /// The username has characters or a length that usernames must not have.
    InvalidUsername,
    /// The account has as many keys as it may have.
    KeyLimit,
    /// The key belongs to an account already.
    KeyTaken,
    /// The last key of an account cannot be revoked by itself.
    LastKey,
    /// The resource exists, but not for this method.
    MethodNotAllowed,
    /// The request names another host than this server.
    MisdirectedRequest,
    /// The proof must carry the nonce that came with this answer (RFC 9449 §8).
    NonceRequired,
    /// There is no such resource.
    NotFound,
    /// The server has more requests at once than it takes.
    Overloaded,
    /// The body is larger than the server takes.
    PayloadTooLarge,
    /// This client has sent too many requests.
    RateLimited,
    /// The recovery code is unknown, used or expired, or not for that account.
    RecoveryCode,
    /// The client took too long to send the body.
    RequestTimeout,
    /// The proof is good enough to act for the account, but not to change its keys, or to read what is
    /// written down about it.
    StepUpNeeded,
    /// The server took too long.
    Timeout,
    /// The request says nothing about who makes it, or what it says does not hold.
    Unauthenticated,
    /// A part that the server needs does not answer.
    Unavailable,
    /// The body's media type is not one that the resource takes.
    UnsupportedMediaType,
    /// Another account has this username.
    UsernameTaken,
}

impl ProblemType {
    /// Every kind, in the order of their names.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 27] = [
        Self::EnrolmentClosed,
        Self::EnrolmentCode,
        Self::Forbidden,
        Self::Internal,
        Self::InvalidJson,
        Self::InvalidKey,
        Self::InvalidProof,
        Self::InvalidRequest,
        Self::InvalidUsername,
        Self::KeyLimit,
        Self::KeyTaken,
        Self::LastKey,
        Self::MethodNotAllowed,
        Self::MisdirectedRequest,
        Self::NonceRequired,
        Self::NotFound,
        Self::Overloaded,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::RecoveryCode,
        Self::RequestTimeout,
        Self::StepUpNeeded,
        Self::Timeout,
        Self::Unauthenticated,
        Self::Unavailable,
        Self::UnsupportedMediaType,
        Self::UsernameTaken,
    ];

    /// The last part of the URI; also the reason in the metrics.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().0
    }

    /// The `type` member.
    pub(crate) fn uri(self) -> String {
        problem::type_uri(self.name())
    }

    /// The `title` member: a sentence for people, the same for every occurrence.
    pub(crate) const fn title(self) -> &'static str {
        self.facts().2
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        self.facts().1
    }

    const fn facts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::EnrolmentClosed => {
                ("enrolment-closed", S::FORBIDDEN, "New accounts need an invitation here.")
            }
            Self::EnrolmentCode => {
                ("enrolment-code", S::FORBIDDEN, "The enrolment code is not valid.")
            }
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "This is not allowed."),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed."),
            Self::InvalidJson => ("invalid-json", S::BAD_REQUEST, "The JSON is not valid."),
            Self::InvalidKey => ("invalid-key", S::BAD_REQUEST, "The key cannot be used."),
            Self::InvalidProof => {
                ("invalid-proof", S::BAD_REQUEST, "The proof of possession does not hold.")
            }
            Self::InvalidRequest => {
                ("invalid-request", S::BAD_REQUEST, "The request is not valid.")
            }
            Self::InvalidUsername => {
                ("invalid-username", S::BAD_REQUEST, "The username is not valid.")
            }
            Self::KeyLimit => ("key-limit", S::CONFLICT, "The account has too many keys."),
            Self::KeyTaken => ("key-taken", S::CONFLICT, "The key is registered already."),
            Self::LastKey => ("last-key", S::CONFLICT, "The last key cannot be revoked."),
            Self::MethodNotAllowed => {
                ("method-not-allowed", S::METHOD_NOT_ALLOWED, "The method is not allowed here.")
            }
            Self::MisdirectedRequest => (
                "misdirected-request",
                S::MISDIRECTED_REQUEST,
                "The request is not for this server.",
            ),
            Self::NonceRequired => {
                ("nonce-required", S::BAD_REQUEST, "The proof must carry the server's nonce.")
            }
            Self::NotFound => ("not-found", S::NOT_FOUND, "There is nothing here."),
            Self::Overloaded => {
                ("overloaded", S::SERVICE_UNAVAILABLE, "The server is busy; try again.")
            }
            Self::PayloadTooLarge => {
                ("payload-too-large", S::PAYLOAD_TOO_LARGE, "The body is too large.")
            }
            Self::RateLimited => {
                ("rate-limited", S::TOO_MANY_REQUESTS, "Too many requests; wait a while.")
            }
            Self::RecoveryCode => {
                ("recovery-code", S::FORBIDDEN, "The recovery code is not valid.")
            }
            Self::RequestTimeout => {
                ("request-timeout", S::REQUEST_TIMEOUT, "The body took too long to arrive.")
            }
            Self::StepUpNeeded => (
                "step-up-needed",
                S::FORBIDDEN,
                "This needs a signature by a key of the account over the whole request.",
            ),
            Self::Timeout => ("timeout", S::SERVICE_UNAVAILABLE, "The server took too long."),
            Self::Unauthenticated => {
                ("unauthenticated", S::UNAUTHORIZED, "The request must prove who makes it.")
            }
            Self::Unavailable => {
                ("unavailable", S::SERVICE_UNAVAILABLE, "The server cannot do this now.")
            }
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The media type is not supported.",
            ),
            Self::UsernameTaken => ("username-taken", S::CONFLICT, "The username is taken."),
        }
    }
}

/// An error of an OAuth endpoint: `{"error", "error_description"}` (RFC 6749 §5.2).
#[derive(Clone, Debug)]
pub(crate) struct OAuthError {
    error: &'static str,
    description: Option<Cow<'static, str>>,
    status: StatusCode,
    retry_after: Option<Duration>,
    scheme: ClientScheme,
    cause: Option<String>,
}

/// The scheme that a 401 challenges a client to (RFC 9110 §15.5.2, RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientScheme {
    /// What a client tried that sent `Authorization: Basic`.
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
        Self { error, description: None, status, retry_after: None, scheme, cause: None }
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

    /// With an `error_description` for the developer of the client. Characters that RFC 6749
    /// §5.2 forbids there become `?`.
    pub(crate) fn description(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// With another status than 400.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// With a `Retry-After` in whole seconds, rounded up, at least one.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    fn body(&self) -> String {
        let mut members = Map::new();
        members.insert("error".to_owned(), self.error.into());
        if let Some(description) = &self.description {
            let text: String = description.chars().map(description_char).collect();
            members.insert("error_description".to_owned(), text.into());
        }
        Value::Object(members).to_string()
    }

    /// Makes `response`, whose other headers and extensions stay, say this.
    pub(crate) fn write_into(self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        *response.body_mut() = self.body().into();
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
#[derive(ToSchema)]
#[schema(title = "OAuthError")]
#[expect(dead_code, reason = "describes the JSON that OAuthError writes")]
pub(crate) struct OAuthErrorBody {
    /// The error code of RFC 6749 §5.2 or of an extension.
    #[schema(example = "invalid_grant")]
    error: String,
    /// What is wrong, for the developer of the client.
    error_description: Option<String>,
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

fn annotate(response: &mut Response, reason: &'static str, cause: Option<String>) {
    response.extensions_mut().insert(Refusal(reason));
    if let Some(cause) = cause {
        response.extensions_mut().insert(Cause(cause));
    }
}

fn whole_seconds(duration: Duration) -> HeaderValue {
    let rounded_up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    HeaderValue::from(rounded_up.max(1))
}

/// What RFC 6749 §5.2 allows in an `error_description`: %x20-21 / %x23-5B / %x5D-7E.
fn description_char(character: char) -> char {
    match character {
        ' '..='!' | '#'..='[' | ']'..='~' => character,
        _ => '?',
    }
}
