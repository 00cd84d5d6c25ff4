//! An account's own keys: list, add, revoke.

use std::net::IpAddr;

use countersign_protocol::{
    Principal,
    keys::{KeyError, Thumbprint},
    proofs::{
        dpop::{DpopError, NonceRule},
        target_uri::TargetUri,
    },
    replay::ReplayOwner,
};
use thiserror::Error;

use crate::{
    account::{AccountName, Fingerprint, Username},
    audit::{AuditEvent, AuditFilter, EventKind, RecordedEvent},
    authority::Authority,
    credential::{Credential, InvalidLabel, Label},
    ports::{AddCredentialError, KeyLimits, RateLimited, RevokeCredentialError, StoreError},
    proof::{PresentedDpop, ProofError},
    registration::PresentedKey,
};

/// A request to add a key to one's account.
#[derive(Clone, Copy, Debug)]
pub struct AddKey<'a> {
    /// The new key.
    pub public_key: PresentedKey<'a>,
    /// A name for it.
    pub label: Option<&'a str>,
    /// A proof in the form of DPoP, by the new key, for this method and URI.
    pub new_key_proof: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The URI of the request.
    pub uri: &'a TargetUri,
    /// The client's address.
    pub address: IpAddr,
}

impl Authority {
    /// The keys of the principal's account: the live ones, and those that were revoked last, oldest
    /// first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_keys(&self, principal: &Principal) -> Result<Vec<Credential>, StoreError> {
        self.ports.credentials.credentials_of(principal.account_id).await
    }

    /// The name of the principal's account.
    ///
    /// # Errors
    /// When the store fails, or the account is gone.
    pub async fn username(&self, principal: &Principal) -> Result<Username, StoreError> {
        Ok(self.names(principal).await?.0)
    }

    /// The username of the principal's account, and its fingerprint if it has one.
    ///
    /// # Errors
    /// When the store fails, or the account is gone.
    pub async fn names(
        &self,
        principal: &Principal,
    ) -> Result<(Username, Option<Fingerprint>), StoreError> {
        if let Some(key) = principal.key {
            let known = self.live.get(&key.credential, &*self.ports.credentials).await?;
            if let Some(known) = known.filter(|known| known.account.id == principal.account_id) {
                return Ok((known.account.username.clone(), known.account.fingerprint));
            }
        }
        let account = self.ports.accounts.account(&AccountName::Id(principal.account_id)).await?;
        let gone = || StoreError::Corrupt {
            table: "accounts",
            column: "account_id",
            reason: "the account of a principal is gone".to_owned(),
        };
        let account = account.ok_or_else(gone)?;
        Ok((account.username, account.fingerprint))
    }

    /// The principal's own audit trail, newest first, before the event `before`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_events(
        &self,
        principal: &Principal,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        let account_id = Some(principal.account_id);
        let filter = AuditFilter { account_id, before, ..AuditFilter::default() };
        self.ports.audit.events(&filter, limit).await
    }

    /// Adds a key to the principal's account. The request was proven by a key of the account; the
    /// new key proves itself.
    ///
    /// # Errors
    /// The first rule that does not hold; then nothing has changed.
    pub async fn add_key(
        &self,
        principal: &Principal,
        request: AddKey<'_>,
    ) -> Result<Credential, AddKeyError> {
        let now = self.now();
        self.admit_account(principal.account_id).await?;
        let public_key = request.public_key.parse(&self.policy.keys)?;
        let label = match request.label {
            Some(label) => label.parse()?,
            None => Label::of_kind(&public_key),
        };
        let presented = PresentedDpop {
            fields: &[request.new_key_proof.as_bytes()],
            method: request.method,
            uri: request.uri,
        };
        // Keys are added at a protected resource, whose nonces are those that the client has.
        let rule = NonceRule::IfPresent(&self.resource_nonces);
        let (proof, signer) = self.verify_proof(&presented, rule, now).map_err(ProofError::from)?;
        if signer.thumbprint() != public_key.thumbprint() {
            return Err(ProofError::from(DpopError::OtherKey).into());
        }
        let owner = ReplayOwner::account(principal.account_id, Some(request.address.into()));
        self.spend_proof(proof, owner, now).await?;
        let credential = Credential::new(principal.account_id, public_key, label, now);
        let event = AuditEvent::new(now, EventKind::KeyAdded)
            .account(principal.account_id)
            .key(credential.thumbprint())
            .from(request.address)
            .detail(by(principal));
        let limits = KeyLimits {
            live: self.policy.max_keys_per_account,
            revoked: self.policy.max_revoked_keys_per_account,
        };
        self.ports.credentials.add_credential(&credential, limits, event).await?;
        self.live.forget(&credential.thumbprint());
        self.live.forget_keys_of(principal.account_id);
        Ok(credential)
    }

    /// Revokes a key of the principal's account; every token of that key dies with it, at once.
    ///
    /// # Errors
    /// When it is no live key of the account, or the last one.
    pub async fn revoke_own_key(
        &self,
        principal: &Principal,
        thumbprint: &Thumbprint,
        address: IpAddr,
    ) -> Result<(), RevokeKeyError> {
        let now = self.now();
        self.admit_account(principal.account_id).await?;
        let event = AuditEvent::new(now, EventKind::KeyRevoked)
            .account(principal.account_id)
            .key(*thumbprint)
            .from(address)
            .detail(by(principal));
        let store = &self.ports.credentials;
        let result = store.revoke_credential(principal.account_id, thumbprint, true, event).await;
        // Also after a failure: the store may have done it and failed to say so.
        self.live.forget(thumbprint);
        self.revocation_feed.forget();
        Ok(result?)
    }
}

/// Which key did it, for the audit trail.
fn by(principal: &Principal) -> String {
    match principal.key {
        Some(key) => format!("by {}", key.credential),
        None => "by a token that is bound to no key".to_owned(),
    }
}

/// Why a key is not added.
#[derive(Debug, Error)]
pub enum AddKeyError {
    /// The key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The proof by the new key is refused.
    #[error("new_key_proof: {0}")]
    Proof(#[from] ProofError),
    /// There were too many changes.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The store refuses or failed.
    #[error(transparent)]
    Store(#[from] AddCredentialError),
}

/// Why a key is not revoked.
#[derive(Debug, Error)]
pub enum RevokeKeyError {
    /// There were too many changes.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The store refuses or failed.
    #[error(transparent)]
    Store(#[from] RevokeCredentialError),
}
