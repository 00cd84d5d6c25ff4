//! A signature over a nonce of the server and the session's JWT.

use countersign_protocol::{ProofKind, keys::Algorithm, strict::base64, wire};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    case::Case,
    ports::{MessageError, Sessions, SignedMessage},
    refusal::{Refusal, Refused, SignedMessageError},
    request::{Accepted, Verdict},
};

/// The nonce for the session's next message.
const SESSION_NONCE: HeaderName = HeaderName::from_static(wire::header::SESSION_NONCE);

/// The challenge, without an error. An RSA key signs messages only with PSS.
pub(crate) fn challenge() -> String {
    let not_pss = Some(Algorithm::Rs256);
    let fitting = Algorithm::NAMES.into_iter().filter(|name| Algorithm::from_name(name) != not_pss);
    let scheme = wire::scheme::SIGNED_MESSAGE;
    format!("{scheme} algs=\"{}\"", fitting.collect::<Vec<_>>().join(" "))
}

/// Decides about a request with the session `jwt`.
pub(crate) async fn verify(sessions: &dyn Sessions, jwt: &str, case: &Case<'_>) -> Verdict {
    let Case { request, now, .. } = case;
    let refused = |refusal| Refused::early(refusal, ProofKind::SignedMessage);
    let signature = signature(request.headers).map_err(|error| refused(error.into()))?;
    let message = SignedMessage { jwt, signature: &signature, client: request.client };
    let checked = sessions.check(message, *now).await.map_err(|error| refused(error.into()))?;
    let principal = checked.principal().clone();
    let refused = |refusal| Refused::of_principal(refusal, &principal);
    case.check_requirements(&principal.scopes, None).map_err(refused)?;
    // Used up last, so that the nonce of a request that is refused for another reason stays valid.
    let next = checked.redeem(*now).await.map_err(|error| refused(error.into()))?;
    Ok(Accepted { principal, session_nonce: Some(next) })
}

/// Adds to the answer to a signed message the nonce for the session's next one.
pub fn add_session_nonce(headers: &mut HeaderMap, nonce: Option<String>) {
    if let Some(Ok(nonce)) = nonce.map(HeaderValue::try_from) {
        headers.insert(SESSION_NONCE, nonce);
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

impl From<MessageError> for Refusal {
    fn from(refusal: MessageError) -> Self {
        match refusal {
            MessageError::Refused => SignedMessageError::Refused.into(),
            MessageError::Unavailable(port) => port.into(),
        }
    }
}
