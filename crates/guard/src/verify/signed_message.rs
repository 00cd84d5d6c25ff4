//! The path of a signature over nonce and session.

use std::sync::Arc;

use countersign_protocol::{ProofKind, UnixTime, strict::base64, wire};
use http::HeaderMap;

use super::{Guard, Request, Verdict, Verified, check_scope, client_address};
use crate::{
    ports::{SessionRefusal, Sessions, SignedMessage},
    refusal::{Refusal, Refused, SignedMessageError},
};

impl Guard {
    /// Decides about a request with the session `jwt`.
    pub(super) async fn verify_signed_message(
        &self,
        jwt: &str,
        sessions: &Arc<dyn Sessions>,
        request: Request<'_>,
        now: UnixTime,
    ) -> Verdict {
        let refused = |refusal| Refused::early(refusal, ProofKind::SignedMessage);
        let signature = signature(&request.parts.headers).map_err(|error| refused(error.into()))?;
        let client = client_address(request.parts);
        let message = SignedMessage { jwt, signature: &signature, client };
        let checked = sessions.check(message, now).await.map_err(|error| refused(error.into()))?;
        let principal = checked.principal().clone();
        let refused = |refusal| Refused::of_principal(refusal, &principal);
        check_scope(request.scope, &principal.scopes).map_err(refused)?;
        // Last of all: a nonce whose request is refused for another reason is not used up.
        let next = checked.redeem(now).await.map_err(|error| refused(error.into()))?;
        Ok(Verified { principal, session_nonce: Some(next) })
    }
}

fn signature(headers: &HeaderMap) -> Result<Vec<u8>, SignedMessageError> {
    let mut fields = headers.get_all(wire::header::SIGNED_MESSAGE).iter();
    let field = fields.next().ok_or(SignedMessageError::Absent)?;
    if fields.next().is_some() {
        return Err(SignedMessageError::Malformed);
    }
    let text = field.to_str().map_err(|_| SignedMessageError::Malformed)?;
    base64::decode(text).map_err(|_| SignedMessageError::Malformed)
}

impl From<SessionRefusal> for Refusal {
    fn from(refusal: SessionRefusal) -> Self {
        match refusal {
            SessionRefusal::Refused => SignedMessageError::Refused.into(),
            SessionRefusal::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}
