//! Step-up: what a request must prove before it may change which keys an account has.
//!
//! To read, any proof of the account suffices. To make, remove or rename a credential, a live
//! credential of the account must itself have signed this request: its method, its URL and its
//! body. A thief who got hold of less, such as a session key, a narrowed token, or a signature that
//! serves any request, must not be able to turn it into lasting access.
//!
//! A page cannot keep a script of strangers from signing with the key of its browser. So where a
//! browser signs, a passkey of the account must allow that very request, or, if the account has none,
//! the browser must have logged in just now. The key that a page keeps for the mutual login is not enough
//! for that: it logs in whenever a script says so.
//!
//! Where an account has no passkey, that lets a script add a passkey of its own, which from then on would
//! be asked for every change. So a passkey that none has vouched for is in doubt for
//! [some days](crate::model::passkey::IN_DOUBT), in which a browser that was there before it removes it with a fresh
//! login. Nothing else.
//!
//! An operation takes a [`Change`], which only [`Accounts::step_up`](crate::accounts::Accounts::step_up) makes, so
//! no operation can forget the check.

use std::net::IpAddr;

use countersign_protocol::{
    AccountId, Principal, ProvenKey, UnixTime, Unspent,
    keys::Thumbprint,
    tokens::key_approval::{KeyApproval, KeyApprovalExpectations, PresentedKeyApproval},
};

use crate::{
    accounts::{
        Accounts,
        signed_request::{MustSign, SignedRequest, check_body, check_proof, check_target},
        step_up_error::{FRESH, StepUpError},
    },
    model::{
        audit::{AuditEvent, ChangeCode, EventKind, Fact, Means},
        credential::Credential,
        credential_kind::{Act, CredentialKind},
    },
    ports::{Permit, StoreError},
};

/// Something that changes an account in a way that outlasts the session: which credentials it has, what
/// they are called, and what else only its owner may decide.
pub trait Operation {
    /// The word for it in the audit trail, such as "adding".
    const NAME: &'static str;
    /// The same for programs.
    const CODE: ChangeCode;
    /// What the signature must cover.
    const MUST_SIGN: MustSign;
    /// Whether it counts against the allowances of key changes in a day: what makes the database
    /// grow does.
    const COUNTS_BY_DAY: bool;
    /// Whether it only removes something. Such an act counts against an allowance of the signing
    /// key, which nobody else can use up, and not against the account's allowance.
    const WITHDRAWS: bool;

    /// The key that it is about, if it is about one.
    fn key(&self) -> Option<Thumbprint>;
}

/// Leave to do `operation` to one account, once. Only [`Accounts::step_up`](crate::accounts::Accounts::step_up)
/// makes it.
#[derive(Debug)]
#[must_use]
pub struct Change<O> {
    pub(crate) operation: O,
    pub(crate) author: Author,
    pub(crate) at: UnixTime,
    pub(crate) address: IpAddr,
    /// To be recorded as used when everything else is as it must be.
    pub(crate) approval: Option<Unspent<KeyApproval>>,
    /// The keys that signed, and the answer of a passkey that allows it, to be recorded as used with the
    /// change.
    pub(crate) permit: Permit,
    /// Whether a passkey in doubt is removed, for which no other one was asked.
    pub(crate) contests: bool,
}

/// What must allow a change besides the proof of the request.
enum Demand<'a> {
    /// Nothing: the key that signed is a live credential, for which this suffices.
    Key,
    /// Nothing more than a fresh login of that browser, although there are passkeys: it removes one that
    /// is in doubt.
    Contest,
    /// This answer of a passkey.
    Passkey(&'a str),
}

/// What allows a change, and counts once.
struct Permits {
    approval: Option<Unspent<KeyApproval>>,
    permit: Permit,
    contests: bool,
}

/// Who changes the credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) account_id: AccountId,
    /// The live credential that signed, or the passkey that allowed it where that is none; none for an
    /// account without keys, which has logged in with its password.
    pub(crate) credential: Option<Thumbprint>,
    /// When its token was issued, where there is one.
    pub(crate) token_issued_at: Option<UnixTime>,
}

impl<O> Change<O> {
    /// An event of that kind about the key `thumbprint`, with the author and `detail` in words.
    pub(crate) fn event(
        &self,
        kind: EventKind,
        thumbprint: Thumbprint,
        detail: Option<&str>,
    ) -> AuditEvent {
        self.own_event(kind, detail).key(thumbprint)
    }

    /// An event of that kind about something other than keys, with the author, `detail` in words, and the
    /// key that the author has signed with, if it is a credential.
    pub(crate) fn own_event(&self, kind: EventKind, detail: Option<&str>) -> AuditEvent {
        let passkey = self.permit.step_up.map(|step_up| step_up.passkey.thumbprint);
        let event = AuditEvent::new(self.at, kind).account(self.author.account_id);
        let event = AuditEvent { thumbprint: self.author.credential, ..event }.from(self.address);
        let (by, event) = match (self.author.credential, passkey) {
            (Some(credential), Some(passkey)) if passkey != credential => {
                let event = event.fact(Fact::By, credential.to_string());
                let by = format!("by {credential}, allowed by {passkey}");
                (by, event.fact(Fact::AllowedBy, passkey.to_string()))
            }
            (Some(credential), _) => {
                (format!("by {credential}"), event.fact(Fact::By, credential.to_string()))
            }
            (None, _) => ("by password".to_owned(), event.by_means(Means::Password)),
        };
        event.detail(detail.map(|detail| format!("{detail}, {by}")).unwrap_or(by))
    }
}

impl Accounts {
    /// Decides whether the request may do `operation` to the credentials of its account.
    ///
    /// # Errors
    /// When the proof is too weak for that; then nothing is used up.
    pub async fn step_up<O: Operation>(
        &self,
        request: SignedRequest<'_>,
        operation: O,
    ) -> Result<Change<O>, StepUpError> {
        let now = self.core.now();
        let decided = self.author(&request, &operation, now).await;
        if let Err(error) = &decided
            && error.is_of_consequence()
        {
            self.note_refused_change::<O>(&request, operation.key(), error, now);
        }
        let (author, Permits { approval, permit, contests }) = decided?;
        // Counted last, so that no refusal takes anything from the day's allowance.
        if O::COUNTS_BY_DAY {
            let counted = self.core.admit_key_change(author.account_id, request.address).await;
            if counted.is_err() {
                self.core.use_up(permit.step_up.map(|step_up| step_up.challenge)).await;
            }
            counted?;
        }
        let address = request.address;
        Ok(Change { operation, author, at: now, address, approval, permit, contests })
    }

    async fn author<O: Operation>(
        &self,
        request: &SignedRequest<'_>,
        operation: &O,
        now: UnixTime,
    ) -> Result<(Author, Permits), StepUpError> {
        let Principal { account_id, issued_at: token_issued_at, .. } = *request.principal;
        // What costs little comes first, so that a refusal takes nothing from an allowance.
        let key = check_proof(request.principal)?;
        let demand = self.demand(request, operation, key, now).await?;
        check_target(request.principal.covers.target, O::MUST_SIGN)?;
        if request.approval.is_none() {
            check_body(request, O::MUST_SIGN)?;
        }
        let admitted = if O::WITHDRAWS {
            self.core.admit_withdrawal(key.thumbprint).await
        } else {
            self.core.admit_key(key.thumbprint).await
        };
        if let (Err(_), Demand::Passkey(answer)) = (&admitted, &demand) {
            let answer = request.answer(answer, key.thumbprint);
            self.passkeys.use_up_unverified(answer, now).await;
        }
        admitted?;
        let contests = matches!(demand, Demand::Contest);
        let (credential, step_up) = match demand {
            Demand::Key | Demand::Contest => {
                (self.live_credential(account_id, key.thumbprint, now).await?, None)
            }
            Demand::Passkey(answer) => {
                let answer = request.answer(answer, key.thumbprint);
                let answer = self.passkeys.verify_answer(answer, now).await?.to_step_up();
                let browser = self.live_browser(account_id, key.thumbprint, now).await?;
                (Some(browser.unwrap_or(answer.passkey.thumbprint)), Some(answer))
            }
        };
        let permit = Permit { signer: Some(key), step_up };
        let author = |credential| Author { account_id, credential, token_issued_at };
        let Some(text) = request.approval else {
            return Ok((author(credential), Permits { approval: None, permit, contests }));
        };
        let new_key = operation.key().ok_or(StepUpError::Approver)?;
        let (approver, approval) = self.verify_approval(text, account_id, new_key, now).await?;
        Ok((author(Some(approver)), Permits { approval: Some(approval), permit, contests }))
    }

    /// What must allow the operation besides the proof of the request.
    async fn demand<'a, O: Operation>(
        &self,
        request: &SignedRequest<'a>,
        operation: &O,
        key: ProvenKey,
        now: UnixTime,
    ) -> Result<Demand<'a>, StepUpError> {
        let current = self.core.up_to_date().await?;
        let known = self.core.credentials.get(&key.credential, current).await?;
        let kind = known.as_ref().map(|known| known.credential.kind);
        let by_passkey = kind == Some(CredentialKind::Passkey);
        if key.credential != key.thumbprint && !by_passkey {
            return Err(StepUpError::SessionKey);
        }
        match kind {
            None | Some(CredentialKind::Key) => return Ok(Demand::Key),
            Some(CredentialKind::Browser | CredentialKind::Mutual | CredentialKind::Passkey) => {}
        }
        // A browser signs itself out, and a page forgets its key.
        if O::WITHDRAWS && operation.key() == Some(key.thumbprint) {
            return Ok(Demand::Key);
        }
        if let Some(answer) = request.passkey {
            return Ok(Demand::Passkey(answer));
        }
        let account_id = request.principal.account_id;
        let contests = match known.as_ref().filter(|_| kind == Some(CredentialKind::Browser)) {
            Some(browser) => self.contests(&browser.credential, operation, now).await?,
            None => false,
        };
        if by_passkey || (!contests && self.passkeys.has_any(account_id).await?) {
            return Err(StepUpError::PasskeyNeeded);
        }
        // A script in the page could have it log in anew.
        if kind == Some(CredentialKind::Mutual) {
            return Err(StepUpError::MutualKey);
        }
        let login = request.principal.authentication;
        let is_fresh = login.is_some_and(|login| now <= login.at + FRESH);
        let demand = if contests { Demand::Contest } else { Demand::Key };
        is_fresh.then_some(demand).ok_or(StepUpError::FreshLogin)
    }

    /// Whether the operation removes a passkey that is in doubt, and `browser` was there before it.
    async fn contests<O: Operation>(
        &self,
        browser: &Credential,
        operation: &O,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let Some(removed) = operation.key().filter(|_| O::WITHDRAWS) else { return Ok(false) };
        let own = self.core.ports.store.passkeys_of(browser.account_id).await?;
        let removed = own.iter().find(|own| own.is_live && own.thumbprint == removed);
        let since = removed.and_then(|own| own.passkey.in_doubt_since(now));
        Ok(since.is_some_and(|since| browser.created_at < since))
    }

    /// `key` if it is a remembered browser of the account. What comes in through a browser is added by
    /// it, so that its owner finds all of it after a theft; the passkey only allows it.
    async fn live_browser(
        &self,
        account_id: AccountId,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Option<Thumbprint>, StepUpError> {
        let known = self.core.credentials.get(&key, self.core.up_to_date().await?).await?;
        let is_own =
            known.is_some_and(|known| known.is_live(now) && known.account.id == account_id);
        Ok(is_own.then_some(key))
    }

    /// `key` if it is a live credential of the account. None if the account has no live key and
    /// `key` is nobody's, so that a password has vouched for it (see [`Tokens::standing`](crate::tokens::Tokens::standing)).
    async fn live_credential(
        &self,
        account_id: AccountId,
        key: Thumbprint,
        now: UnixTime,
    ) -> Result<Option<Thumbprint>, StepUpError> {
        let current = self.core.up_to_date().await?;
        let Some(known) = self.core.credentials.get(&key, current).await? else {
            let live = self.core.credentials.of_account(account_id, current, now).await?;
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
        let signer =
            self.core.credentials.get(&presented.kid()?, self.core.up_to_date().await?).await?;
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
    fn note_refused_change<O: Operation>(
        &self,
        request: &SignedRequest<'_>,
        key: Option<Thumbprint>,
        error: &StepUpError,
        now: UnixTime,
    ) {
        let event = AuditEvent::new(now, EventKind::KeyChangeRefused);
        let event = event.account(request.principal.account_id).from(request.address);
        let event = AuditEvent { thumbprint: key, ..event };
        let event = event.fact(Fact::Change, O::CODE.name()).because(error.reason());
        self.core.pending_events.note(event.detail(format!("{}: {error}", O::NAME)));
    }
}
