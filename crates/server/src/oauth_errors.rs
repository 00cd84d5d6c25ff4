//! Refusals of the layers around an OAuth endpoint, in the words of OAuth (RFC 6749 §5.2): a body
//! too large, a wrong method, too many requests.

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};

use crate::problem::{OAuthError, Problem, ProblemType};

/// What the paths of all OAuth endpoints begin with.
const OAUTH: &str = "/oauth/";

/// `router` with every problem document of an OAuth endpoint turned into an OAuth error. Goes
/// outside every layer that may answer.
pub(crate) fn with_oauth_errors(router: Router) -> Router {
    router.layer(middleware::from_fn(translate))
}

async fn translate(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let is_oauth = route.is_some_and(|route| route.as_str().starts_with(OAUTH));
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) if is_oauth => {
            let error = OAuthError::new(error_code(problem.kind()))
                .description(problem.summary())
                .status(response.status());
            let (parts, _) = response.into_parts();
            error.write_into(Response::from_parts(parts, Body::empty()))
        }
        _ => response,
    }
}

const fn error_code(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::EmailTaken
        | ProblemType::EnrolmentClosed
        | ProblemType::EnrolmentCode
        | ProblemType::Forbidden
        | ProblemType::InvalidJson
        | ProblemType::InvalidKey
        | ProblemType::InvalidProof
        | ProblemType::InvalidRequest
        | ProblemType::InvalidUsername
        | ProblemType::KeyLimit
        | ProblemType::KeyTaken
        | ProblemType::LastKey
        | ProblemType::MethodNotAllowed
        | ProblemType::NonceRequired
        | ProblemType::NotFound
        | ProblemType::PayloadTooLarge
        | ProblemType::RequestTimeout
        | ProblemType::Unauthenticated
        | ProblemType::UnsupportedMediaType
        | ProblemType::UsernameTaken => "invalid_request",
        ProblemType::Internal => "server_error",
        ProblemType::Overloaded
        | ProblemType::RateLimited
        | ProblemType::Timeout
        | ProblemType::Unavailable => "temporarily_unavailable",
    }
}
