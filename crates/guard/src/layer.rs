//! The guard as a tower layer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use countersign_protocol::{Actor, AuthenticationClass, ProofKind, Scopes};
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower::{Layer, Service};

use crate::{
    guard::Guard,
    refusal::{BodyError, Refusal, Refused},
    request::{self, Accepted, Verdict},
    requirements::Requirements,
    schemes::signed_message::add_session_nonce,
};

/// Puts a [`Guard`] in front of a service.
///
/// The service finds the [`Principal`](countersign_protocol::Principal) in the request's
/// extensions. A refused request never reaches it. For logs and audit, the answer to a request
/// carries in its extensions the [`Actor`] who made it, or else the [`Refused`]. Every answer carries a fresh `DPoP-Nonce`, and so
/// `Cache-Control: no-store` unless the service said something else (RFC 9449 §8.2, §9); that to a
/// signed message carries the nonce for the session's next one. A body that the proof covers is read as a whole,
/// within the limit of the policy, before the service sees it.
#[derive(Clone)]
pub struct GuardLayer {
    guard: Guard,
    required: Option<Arc<Requirements>>,
}

impl GuardLayer {
    /// A layer that lets every principal of `guard` through.
    pub const fn new(guard: Guard) -> Self {
        Self { guard, required: None }
    }

    /// The same, for principals only who have what is `required`.
    pub fn require(mut self, required: Requirements) -> Self {
        self.required = Some(Arc::new(required));
        self
    }

    /// Requires all of the scopes `scopes`, in place of others that were required.
    pub fn require_scopes(mut self, scopes: Scopes) -> Self {
        self.required_mut().scopes = scopes;
        self
    }

    /// Requires a login of the class `acr` (RFC 9470).
    pub fn require_acr(mut self, acr: AuthenticationClass) -> Self {
        self.required_mut().login.acr = Some(acr);
        self
    }

    /// Requires a login that is at most `max_age` old (RFC 9470). The guard's skew is added to it.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.required_mut().login.max_age = Some(max_age);
        self
    }

    fn required_mut(&mut self) -> &mut Requirements {
        Arc::make_mut(self.required.get_or_insert_default())
    }

    /// Decides about `request`, for a caller that has something to do before the service gets it. An
    /// accepted request comes back with its principal in its extensions and with its body unchanged.
    ///
    /// A body is read only if the proof covers it and it is no longer than the policy allows.
    ///
    /// # Errors
    /// With the first rule that does not hold; [`Self::refuse`] makes the answer.
    pub async fn let_in<B>(&self, request: Request<B>) -> Result<(Request<B>, LetIn), Refused>
    where
        B: http_body::Body<Data: Send, Error: Into<BoxError>> + From<Bytes> + Send,
    {
        let (verdict, request) = verify(&self.guard, request, self.required.as_deref()).await;
        let Accepted { principal, session_nonce } = verdict?;
        let (mut parts, body) = request.into_parts();
        let actor = Actor::from(&principal);
        parts.extensions.insert(principal);
        Ok((Request::from_parts(parts, body), LetIn { actor, session_nonce }))
    }

    /// The answer to a refused request.
    pub fn refuse<R: From<String>>(&self, refused: Refused) -> Response<R> {
        let mut response = self.guard.answer(&refused).map(R::from);
        response.extensions_mut().insert(refused);
        self.guard.add_nonce(response.headers_mut());
        response
    }

    /// Adds to the answer of a request that was let in what every such answer carries.
    pub fn complete<R>(&self, let_in: LetIn, response: &mut Response<R>) {
        response.extensions_mut().insert(let_in.actor);
        add_session_nonce(response.headers_mut(), let_in.session_nonce);
        self.guard.add_nonce(response.headers_mut());
    }
}

/// What the answer of a request that was [let in](GuardLayer::let_in) must carry.
#[must_use = "`GuardLayer::complete` puts it into the answer"]
pub struct LetIn {
    actor: Actor,
    session_nonce: Option<String>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService { layer: self.clone(), inner }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service behind a guard; see [`GuardLayer`].
#[derive(Clone)]
pub struct GuardService<S> {
    layer: GuardLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + From<Bytes> + Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is used; the clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.let_in(request).await {
                Ok((request, let_in)) => {
                    let mut response = inner.call(request).await?;
                    layer.complete(let_in, &mut response);
                    Ok(response)
                }
                Err(refused) => Ok(layer.refuse(refused)),
            }
        })
    }
}

/// Decides about `request`, and returns it with its body unchanged.
async fn verify<B>(
    guard: &Guard,
    request: Request<B>,
    required: Option<&Requirements>,
) -> (Verdict, Request<B>)
where
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + From<Bytes> + Send,
{
    let (parts, body) = request.into_parts();
    let mut question = request::Request::from(&parts);
    if let Some(required) = required {
        question.required = required;
    }
    if !guard.needs_body(&parts.headers) {
        let verdict = guard.verify_request(question).await;
        return (verdict, Request::from_parts(parts, body));
    }
    let max_bytes = guard.max_hashed_body();
    // A body that says that it is too large is not read at all.
    let is_declared_larger = body.size_hint().lower() > max_bytes as u64;
    let body = if is_declared_larger {
        Err(BodyError::TooLarge)
    } else {
        Limited::new(body, max_bytes).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { BodyError::TooLarge } else { BodyError::Unreadable }
        })
    };
    let (verdict, body) = match body {
        Ok(body) => {
            let body = body.to_bytes();
            question.body = Some(&body);
            (guard.verify_request(question).await, body)
        }
        Err(error) => {
            let refused = Refused::early(Refusal::Body(error), ProofKind::SelfSigned);
            (Err(refused), Bytes::new())
        }
    };
    (verdict, Request::from_parts(parts, B::from(body)))
}
