//! Step-up: what a request must prove before it may change which keys an account has.
//!
//! To read, any proof of the account suffices. To make, remove or rename a credential, a live
//! credential of the account must itself have signed this request: its method, its URL and its
//! body. A thief who got hold of less, such as a session key, a narrowed token, or a signature that
//! serves any request, must not be able to turn it into lasting access.
//!
//! An operation on credentials takes a [`KeyChange`], which only [`Accounts::step_up`](crate::accounts::Accounts::step_up) makes, so
//! no operation can forget the check.

use std::net::IpAddr;

use countersign_protocol::{
    AccountId, CoveredTarget, Principal, ProofKind, ProvenKey, UnixTime, Unspent,
    digest::sha256,
    keys::Thumbprint,
    tokens::key_approval::{
        KeyApproval, KeyApprovalError, KeyApprovalExpectations, PresentedKeyApproval,
    },
};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    model::{
        audit::{AuditEvent, EventKind},
        credential_kind::{Act, NotForThisKind},
        limits::RateLimited,
    },
    ports::StoreError,
};

/// A request to change the credentials of an account, as it was sent and proven.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The principal, and what its proof covers.
    pub principal: &'a Principal,
    /// The bytes of its body.
    pub body: &'a [u8],
    /// A key approval that came with it, for an operation whose signature need not cover more than
    /// [`MustSign::Body`].
    pub approval: Option<&'a str>,
    /// The client's address.
    pub address: IpAddr,
}

/// Something that changes which credentials an account has, or what they are called.
pub trait KeyOperation {
    /// The word for it in the audit trail, such as "adding".
    const NAME: &'static str;
    /// What the signature must cover.
    const MUST_SIGN: MustSign;
    /// Whether it counts against the allowances of key changes in a day: what makes the database
    /// grow does.
    const COUNTS_BY_DAY: bool;
    /// Whether it only removes something. Such an act counts against an allowance of the signing
    /// key, which nobody else can use up, and not against the account's allowance.
    const WITHDRAWS: bool;

    /// The key that it is about.
    fn key(&self) -> Thumbprint;
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

/// Leave to do `operation` to the credentials of one account, once. Only [`Accounts::step_up`](crate::accounts::Accounts::step_up)
/// makes it.
#[derive(Debug)]
#[must_use]
pub struct KeyChange<O> {
    pub(crate) operation: O,
    pub(crate) author: Author,
    pub(crate) at: UnixTime,
    pub(crate) address: IpAddr,
    /// To be recorded as used when everything else is as it must be.
    pub(crate) approval: Option<Unspent<KeyApproval>>,
}

/// Who changes the credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) account_id: AccountId,
    /// The live credential that signed; none for an account without keys, which has logged in with
    /// its password.
    pub(crate) credential: Option<Thumbprint>,
    /// When its token was issued, where there is one.
    pub(crate) token_issued_at: Option<UnixTime>,
}

impl<O> KeyChange<O> {
    /// An event of that kind about the key `thumbprint`, with the author and `detail` in words.
    pub(crate) fn event(
        &self,
        kind: EventKind,
        thumbprint: Thumbprint,
        detail: Option<&str>,
    ) -> AuditEvent {
        let by = match self.author.credential {
            Some(credential) => format!("by {credential}"),
            None => "by password".to_owned(),
        };
        let event = AuditEvent::new(self.at, kind).account(self.author.account_id);
        let event = event.key(thumbprint).from(self.address);
        event.detail(detail.map(|detail| format!("{detail}, {by}")).unwrap_or(by))
    }
}

impl Accounts {
    /// Decides whether the request may do `operation` to the credentials of its account.
    ///
    /// # Errors
    /// When the proof is too weak for that; then nothing is used up.
    pub async fn step_up<O: KeyOperation>(
        &self,
        request: SignedRequest<'_>,
        operation: O,
    ) -> Result<KeyChange<O>, StepUpError> {
        let now = self.core.now();
        let decided = self.author(&request, &operation, now).await;
        if let Err(error) = &decided
            && error.is_of_consequence()
        {
            self.note_refused_change::<O>(&request, operation.key(), error, now);
        }
        let (author, approval) = decided?;
        // Counted last, so that no refusal takes anything from the day's allowance.
        if O::COUNTS_BY_DAY {
            self.core.admit_key_change(author.account_id, request.address).await?;
        }
        Ok(KeyChange { operation, author, at: now, address: request.address, approval })
    }

    async fn author<O: KeyOperation>(
        &self,
        request: &SignedRequest<'_>,
        operation: &O,
        now: UnixTime,
    ) -> Result<(Author, Option<Unspent<KeyApproval>>), StepUpError> {
        let Principal { account_id, issued_at: token_issued_at, .. } = *request.principal;
        // Free checks come first, so that a refusal takes nothing from the account's allowance.
        let key = check_proof(request.principal)?;
        check_target(request.principal.covers.target, O::MUST_SIGN)?;
        if request.approval.is_none() {
            check_body(request, O::MUST_SIGN)?;
        }
        if O::WITHDRAWS {
            self.core.admit_withdrawal(key.credential).await?;
        } else {
            self.core.admit_account(account_id).await?;
        }
        let credential = self.live_credential(account_id, key.credential, now).await?;
        let Some(text) = request.approval else {
            return Ok((Author { account_id, credential, token_issued_at }, None));
        };
        let (approver, approval) =
            self.verify_approval(text, account_id, operation.key(), now).await?;
        let credential = Some(approver);
        Ok((Author { account_id, credential, token_issued_at }, Some(approval)))
    }

    /// `key` if it is a live credential of the account. None if the account has no live key and
    /// `key` is nobody's, so that a password has vouched for it (see [`Tokens::standing`](crate::tokens::Tokens::standing)).
    async fn live_credential(
        &self,
        account_id: AccountId,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Option<Thumbprint>, StepUpError> {
        let store = &*self.core.ports.store;
        let Some(known) = self.core.credentials.get(&key, store).await? else {
            let live = self.core.credentials.of_account(account_id, store, now).await?;
            let has_none = live.is_empty();
            return has_none.then_some(None).ok_or(StepUpError::Password);
        };
        let is_own = known.is_live(now) && known.account.id == account_id;
        is_own.then_some(Some(key)).ok_or(StepUpError::NotLive)
    }

    /// Verifies that a live credential of the account approves of `new_key`.
    async fn verify_approval(
        &self,
        text: &str,
        account_id: AccountId,
        new_key: Thumbprint,
        now: UnixTime,
    ) -> Result<(Thumbprint, Unspent<KeyApproval>), StepUpError> {
        let presented = PresentedKeyApproval::parse(text)?;
        let signer = self.core.credentials.get(&presented.kid()?, &*self.core.ports.store).await?;
        let signer = signer.filter(|known| {
            let is_own = known.is_live(now) && known.account.id == account_id;
            is_own && self.core.policy.admits(&known.credential.public_key)
        });
        let signer = signer.ok_or(StepUpError::Approver)?;
        signer.credential.kind.check(Act::ApproveKeys)?;
        let expected = KeyApprovalExpectations {
            issuer: self.core.policy.issuer(),
            new_key,
            max_lifetime: self.core.policy.tokens.max_assertion_lifetime,
            skew: self.core.policy.skew,
        };
        let approval = presented.verify(&signer.credential.public_key, &expected, now)?;
        Ok((signer.credential.thumbprint(), approval))
    }

    /// Somebody who may act for the account has tried to change its keys: its owner with the wrong
    /// client, or a thief who has less than a key.
    fn note_refused_change<O: KeyOperation>(
        &self,
        request: &SignedRequest<'_>,
        key: Thumbprint,
        error: &StepUpError,
        now: UnixTime,
    ) {
        let event = AuditEvent::new(now, EventKind::KeyChangeRefused);
        let event = event.account(request.principal.account_id).key(key).from(request.address);
        self.core.pending_events.note(event.detail(format!("{}: {error}", O::NAME)));
    }
}

/// The proof must be by a credential itself, with all that the account may do.
fn check_proof(principal: &Principal) -> Result<ProvenKey, StepUpError> {
    match principal.proof {
        ProofKind::Dpop | ProofKind::SelfSigned => {}
        ProofKind::SignedMessage => return Err(StepUpError::SignedMessage),
        ProofKind::Bearer => return Err(StepUpError::Unbound),
    }
    let key = principal.key.ok_or(StepUpError::Unbound)?;
    if key.credential != key.thumbprint {
        return Err(StepUpError::SessionKey);
    }
    if principal.narrowed {
        return Err(StepUpError::NarrowedToken);
    }
    Ok(key)
}

const fn check_target(target: CoveredTarget, must_sign: MustSign) -> Result<(), StepUpError> {
    match (target, must_sign) {
        (CoveredTarget::Request, _) | (CoveredTarget::Server, MustSign::Body) => Ok(()),
        (CoveredTarget::Anywhere, MustSign::Body) => Err(StepUpError::NoAudience),
        (CoveredTarget::Anywhere | CoveredTarget::Server, MustSign::Url | MustSign::UrlAndBody) => {
            Err(StepUpError::UrlUnsigned)
        }
    }
}

fn check_body(request: &SignedRequest<'_>, must_sign: MustSign) -> Result<(), StepUpError> {
    if must_sign == MustSign::Url {
        return request.body.is_empty().then_some(()).ok_or(StepUpError::UnexpectedBody);
    }
    let hash = request.principal.covers.body.ok_or(StepUpError::BodyUnsigned)?;
    (hash == sha256(&[request.body])).then_some(()).ok_or(StepUpError::OtherBody)
}

/// Why a request may not change the credentials of its account.
#[derive(Debug, Error)]
pub enum StepUpError {
    /// The approval does not hold.
    #[error("approval: {0}")]
    Approval(#[from] KeyApprovalError),
    /// The approval is by no live key of the account.
    #[error("approval: kid is not the thumbprint of a live key of the account")]
    Approver,
    /// The proof does not cover the body.
    #[error(
        "the proof does not cover the body: put its SHA-256, in lower-case hexadecimal, into the claim tha"
    )]
    BodyUnsigned,
    /// The approval is by a credential of a kind that may approve of none.
    #[error("approval: {0}")]
    Kind(#[from] NotForThisKind),
    /// The token was given fewer scopes than the account had.
    #[error(
        "the token was narrowed to some scopes of the account: log in without the parameter scope"
    )]
    NarrowedToken,
    /// The self-signed JWT is for any server.
    #[error("the JWT works at any server: sign one with aud, this server alone, and tha")]
    NoAudience,
    /// The key that signed is no live credential of the account any more.
    #[error("the key that signed is no live key of the account")]
    NotLive,
    /// The proof is for another body.
    #[error("the claim tha of the proof does not match the body")]
    OtherBody,
    /// A password vouches for the key that signed, while the account has keys of its own.
    #[error("the account has keys: log in with one of them, not with the password")]
    Password,
    /// There were too many changes.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The token is bound to a session key.
    #[error(
        "the token is bound to a session key: log in with a key of the account and bind the token to that"
    )]
    SessionKey,
    /// The proof is a signed message.
    #[error(
        "a signjwt signature covers nothing of the request: log in at the token endpoint and send a DPoP proof"
    )]
    SignedMessage,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The proof is by no key.
    #[error("the token is bound to no key: log in with a key of the account")]
    Unbound,
    /// There is a body that nothing is said in, or signed of.
    #[error("the request must have no body")]
    UnexpectedBody,
    /// The self-signed JWT is for any method and URL.
    #[error(
        "a self-signed JWT covers neither method nor URL: log in at the token endpoint and send a DPoP proof"
    )]
    UrlUnsigned,
}

impl StepUpError {
    /// A short stable name of what the proof lacks, if the proof is the problem.
    pub const fn lack(&self) -> Option<&'static str> {
        match self {
            Self::BodyUnsigned => Some("body-unsigned"),
            Self::NarrowedToken => Some("narrowed-token"),
            Self::NoAudience => Some("no-audience"),
            Self::NotLive => Some("not-live"),
            Self::OtherBody => Some("other-body"),
            Self::Password => Some("password"),
            Self::SessionKey => Some("session-key"),
            Self::SignedMessage => Some("signjwt"),
            Self::Unbound => Some("unbound-token"),
            Self::UrlUnsigned => Some("url-unsigned"),
            Self::Approval(_)
            | Self::Approver
            | Self::Kind(_)
            | Self::RateLimited(_)
            | Self::Store(_)
            | Self::UnexpectedBody => None,
        }
    }

    /// Whether the owner of the account should know of it.
    const fn is_of_consequence(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::Store(_) | Self::UnexpectedBody => false,
            Self::Approval(_)
            | Self::Approver
            | Self::BodyUnsigned
            | Self::Kind(_)
            | Self::NarrowedToken
            | Self::NoAudience
            | Self::NotLive
            | Self::OtherBody
            | Self::Password
            | Self::SessionKey
            | Self::SignedMessage
            | Self::Unbound
            | Self::UrlUnsigned => true,
        }
    }
}
