//! Translates refusals by the layers around an OAuth endpoint (a body too large, a wrong method,
//! too many requests) into OAuth errors (RFC 6749 §5.2).

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::Response,
};
use countersign_protocol::wire;

use crate::http::{
    oauth_error::OAuthError,
    problem::{Problem, ProblemType},
};

/// Whether `request` is for an OAuth endpoint.
pub(crate) fn concern(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    route.is_some_and(|route| route.as_str().starts_with(wire::path::OAUTH))
}

/// `response` with a problem document turned into an OAuth error.
pub(crate) fn translate(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let error = OAuthError::new(error_code(problem.kind()))
        .description(problem.summary())
        .status(response.status());
    let (parts, _) = response.into_parts();
    error.write_into(Response::from_parts(parts, Body::empty()))
}

const fn error_code(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::EnrolmentClosed
        | ProblemType::EnrolmentCode
        | ProblemType::Forbidden
        | ProblemType::InvalidJson
        | ProblemType::InvalidKey
        | ProblemType::InvalidKeyring
        | ProblemType::InvalidProof
        | ProblemType::InvalidRequest
        | ProblemType::InvalidUsername
        | ProblemType::KeyLimit
        | ProblemType::KeyTaken
        | ProblemType::KeyringChanged
        | ProblemType::KeyringNotOpened
        | ProblemType::LastKey
        | ProblemType::MethodNotAllowed
        | ProblemType::MisdirectedRequest
        | ProblemType::NoKeyring
        | ProblemType::NonceRequired
        | ProblemType::NotFound
        | ProblemType::OtherAccount
        | ProblemType::PayloadTooLarge
        | ProblemType::PreconditionRequired
        | ProblemType::RecoveryCode
        | ProblemType::RequestTimeout
        | ProblemType::StepUpNeeded
        | ProblemType::Unauthenticated
        | ProblemType::UnknownTransferCoding
        | ProblemType::UnsupportedMediaType
        | ProblemType::UsernameTaken => "invalid_request",
        ProblemType::Internal => "server_error",
        ProblemType::Overloaded
        | ProblemType::RateLimited
        | ProblemType::Timeout
        | ProblemType::Unavailable => "temporarily_unavailable",
    }
}
