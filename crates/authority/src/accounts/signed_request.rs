//! A request to change an account, and what the signature over it covers.

use std::net::IpAddr;

use countersign_protocol::{
    CoveredTarget, Principal, ProofKind, ProvenKey,
    challenges::{
        passkeys::Expected,
        request_digest::{Conditions, RequestDigest},
    },
    digest::sha256,
    keys::Thumbprint,
};

use crate::{accounts::step_up_error::StepUpError, passkeys::answer::PresentedAnswer};

/// A request to change an account, as it was sent and proven.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The principal, and what its proof covers.
    pub principal: &'a Principal,
    /// The method.
    pub method: &'a str,
    /// The path, as it was received, without the query.
    pub path: &'a str,
    /// Under which conditions it is to be done.
    pub conditions: Conditions<'a>,
    /// The bytes of its body.
    pub body: &'a [u8],
    /// A key approval that came with it, for an operation whose signature need not cover more than
    /// [`MustSign::Body`].
    pub approval: Option<&'a str>,
    /// The answer of a passkey that came with it (`Passkey-Assertion`): an
    /// `AuthenticationResponseJSON`, as base64url of its text.
    pub passkey: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

impl<'a> SignedRequest<'a> {
    /// `text` as the answer of a passkey that must allow this very request, which `key` has signed.
    pub(crate) fn answer(&self, text: &'a str, key: Thumbprint) -> PresentedAnswer<'a> {
        let Self { principal, method, path, conditions, body, address, .. } = *self;
        let digest = RequestDigest::of(method, path, conditions, Some(sha256(&[body])));
        let wanted = Expected::StepUp(principal.account_id, digest);
        PresentedAnswer { text, wanted, key, address }
    }
}

/// What the signature over a request must cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustSign {
    /// The body, which itself names the method, the URL and the key. Where the signature does not
    /// cover it, an approval of that key by a credential will do.
    Body,
    /// Method, URL and body.
    UrlAndBody,
    /// Method and URL, which say everything. There must be no body.
    Url,
}

/// The proof must be by a key, with all that the account may do.
pub(super) fn check_proof(principal: &Principal) -> Result<ProvenKey, StepUpError> {
    match principal.proof {
        ProofKind::Dpop | ProofKind::SelfSigned => {}
        ProofKind::SignedMessage => return Err(StepUpError::SignedMessage),
        ProofKind::Bearer => return Err(StepUpError::Unbound),
    }
    let key = principal.key.ok_or(StepUpError::Unbound)?;
    if principal.narrowed {
        return Err(StepUpError::NarrowedToken);
    }
    Ok(key)
}

/// Sees that a request was signed by a key, with method and URL, and with all that the account may do:
/// what everything takes that only the owner's own programs should do, also without a step-up.
pub(crate) fn check_own_request(principal: &Principal) -> Result<ProvenKey, StepUpError> {
    let key = check_proof(principal)?;
    check_target(principal.covers.target, MustSign::Url)?;
    Ok(key)
}

/// Sees that a signature for `target` covers as much as `must_sign` says.
pub(super) const fn check_target(
    target: CoveredTarget,
    must_sign: MustSign,
) -> Result<(), StepUpError> {
    match (target, must_sign) {
        (CoveredTarget::Request, _) | (CoveredTarget::Server, MustSign::Body) => Ok(()),
        (CoveredTarget::Anywhere, MustSign::Body) => Err(StepUpError::NoAudience),
        (CoveredTarget::Anywhere | CoveredTarget::Server, MustSign::Url | MustSign::UrlAndBody) => {
            Err(StepUpError::UrlUnsigned)
        }
    }
}

/// Sees that the signature over `request` covers its body.
pub(super) fn check_body(
    request: &SignedRequest<'_>,
    must_sign: MustSign,
) -> Result<(), StepUpError> {
    if must_sign == MustSign::Url {
        return request.body.is_empty().then_some(()).ok_or(StepUpError::UnexpectedBody);
    }
    let hash = request.principal.covers.body.ok_or(StepUpError::BodyUnsigned)?;
    (hash == sha256(&[request.body])).then_some(()).ok_or(StepUpError::OtherBody)
}
