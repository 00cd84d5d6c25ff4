//! Request bodies and headers, read strictly: one reader for JSON, one for forms, one for `DPoP`.

use std::borrow::Cow;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use countersign_protocol::{
    strict::json::{JsonError, Object},
    wire,
};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    oauth_error::OAuthError,
    problem::{Problem, ProblemType},
};

/// More form parameters than this are refused.
const MAX_PARAMETERS: usize = 32;

/// A JSON object without duplicate members. Any members are accepted.
pub(crate) struct StrictObject(pub(crate) Object);

impl<S: Send + Sync> FromRequest<S> for StrictObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        if media_type(request.headers()) != Some("application/json") {
            return Err(Problem::new(ProblemType::UnsupportedMediaType)
                .detail("send Content-Type: application/json"));
        }
        let RawBody(body) = RawBody::from_request(request, state).await?;
        Ok(Self(Object::parse(body.into())?))
    }
}

/// The body of a request in the format of a dialect, whatever its `Content-Type` says or does not
/// say: the servers whose formats these are never look at it, and their clients send none, or what
/// `curl -d` sends. That web pages of others can send nothing that writes, for which a type of its
/// own would be good too, is seen to [for all requests](crate::layers::web_pages).
pub(crate) struct UntypedBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for UntypedBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        let RawBody(body) = RawBody::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// An [`UntypedBody`] read as a JSON object without duplicate members.
pub(crate) struct UntypedObject(pub(crate) Object);

impl<S: Send + Sync> FromRequest<S> for UntypedObject {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let UntypedBody(body) = UntypedBody::from_request(request, state).await?;
        Ok(Self(Object::parse(body.into())?))
    }
}

/// A JSON object without duplicate members, as a `T` that should deny unknown fields.
pub(crate) struct StrictJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for StrictJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let StrictObject(object) = StrictObject::from_request(request, state).await?;
        let value = serde_json::from_value(Value::Object(object.to_map()));
        let invalid = |error: serde_json::Error| {
            Problem::new(ProblemType::InvalidJson).detail(error.to_string())
        };
        value.map(Self).map_err(invalid)
    }
}

/// The bytes of the body, unread.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        let unreadable = |error: axum::extract::rejection::BytesRejection| {
            Problem::new(ProblemType::InvalidRequest).detail(error.to_string())
        };
        body.map(Self).map_err(unreadable)
    }
}

/// A JSON object as [`StrictJson`] reads it, with the bytes that it was read from, which a proof may
/// cover.
pub(crate) struct SignedJson<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SignedJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let RawBody(bytes) = RawBody::from_request(Request::new(body), state).await?;
        let request = Request::from_parts(parts, bytes.clone().into());
        let StrictJson(value) = StrictJson::from_request(request, state).await?;
        Ok(Self { value, bytes })
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        Self::new(ProblemType::InvalidJson).detail(error.to_string())
    }
}

/// The parameters of an OAuth request (RFC 6749 §3.2): each at most once, empty ones left out.
pub(crate) struct OAuthForm(Vec<(String, String)>);

/// The one parameter that may be repeated (RFC 8707 §2).
const RESOURCE: &str = "resource";

/// A parameter that must be there, or the refusal that says that it is not.
pub(crate) type Required = Result<String, OAuthError>;

impl OAuthForm {
    /// Takes the parameter `name` out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes the parameter `name` out, which must be there.
    pub(crate) fn take_required(&mut self, name: &'static str) -> Required {
        self.take(name).ok_or_else(|| missing(name))
    }

    /// Takes all parameters `name` out, in their order.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(own, _)| own == name).map(|(_, value)| value).collect()
    }
}

/// The refusal of a form without the parameter `name`.
pub(crate) fn missing(name: &str) -> OAuthError {
    OAuthError::new("invalid_request").description(format!("{name} is missing"))
}

impl<S: Send + Sync> FromRequest<S> for OAuthForm {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let invalid = |detail: &'static str| OAuthError::new("invalid_request").description(detail);
        if is_encoded(request.headers()) {
            return Err(invalid(ENCODED).status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if media_type(request.headers()) != Some("application/x-www-form-urlencoded") {
            return Err(invalid("send Content-Type: application/x-www-form-urlencoded"));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|_| invalid("the body could not be read"))?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (name, value) in pairs.map(read_pair) {
            if value.is_empty() {
                continue;
            }
            let repeated = name != RESOURCE && parameters.iter().any(|(own, _)| *own == name);
            if repeated {
                return Err(invalid("a parameter is repeated"));
            }
            if parameters.len() == MAX_PARAMETERS {
                return Err(invalid("too many parameters"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }
}

/// One name and its value. If nothing is encoded, as in a JWT, nothing is copied.
fn read_pair(pair: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let is_plain = !pair.iter().any(|byte| matches!(byte, b'%' | b'+'));
    match str::from_utf8(pair).ok().filter(|_| is_plain) {
        Some(text) => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (name.into(), value.into())
        }
        None => form_urlencoded::parse(pair).next().unwrap_or_default(),
    }
}

/// The values of all `DPoP` header fields.
pub(crate) fn dpop_fields(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all(wire::header::DPOP).iter().map(http::HeaderValue::as_bytes).collect()
}

/// What the client says about itself.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(http::header::USER_AGENT).map(http::HeaderValue::as_bytes)
}

/// The message about a body that [is encoded](is_encoded).
const ENCODED: &str = "bodies with a Content-Encoding are not read here; send it as it is";

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let refusal = || Problem::new(ProblemType::UnsupportedMediaType).detail(ENCODED);
    if is_encoded(headers) { Err(refusal()) } else { Ok(()) }
}

/// Whether the body is compressed or otherwise encoded (RFC 9110 §8.4).
fn is_encoded(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_plain = |field: &http::HeaderValue| field.as_bytes().eq_ignore_ascii_case(b"identity");
    fields.into_iter().any(|field| !is_plain(field))
}

/// The media type of the body without its parameters, if it is one of those read here.
fn media_type(headers: &HeaderMap) -> Option<&'static str> {
    const KNOWN: [&str; 2] = ["application/json", "application/x-www-form-urlencoded"];
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(essence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_as_the_url_standard_says() {
        for pair in [
            "a=b",
            "a",
            "=b",
            "=",
            "a=b=c",
            "a=%41+b",
            "%61=b",
            "a=%",
            "a=%zz",
            "grant_type=urn:x",
            "é=ü",
            "a=%ff",
        ] {
            let expected = form_urlencoded::parse(pair.as_bytes()).next().unwrap();
            assert_eq!(read_pair(pair.as_bytes()), expected, "{pair}");
        }
        let invalid = b"a=\xff\xfe";
        assert_eq!(read_pair(invalid), form_urlencoded::parse(invalid).next().unwrap());
    }
}
