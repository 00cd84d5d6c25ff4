//! An account's own keys: list, add, rename, revoke.

use countersign_protocol::{
    Principal, Unspent,
    keys::{KeyError, PublicKey, Thumbprint},
    proofs::{
        dpop::{DpopError, NonceRule, SubjectError},
        target_uri::TargetUri,
    },
    replay::ReplayOwner,
    tokens::key_approval::KeyApproval,
};
use thiserror::Error;

use crate::{
    accounts::Accounts,
    accounts::{
        registration::PresentedKey,
        signed_request::MustSign,
        step_up::{Change, Operation},
    },
    core::dpop::{PresentedDpop, ProofError},
    model::{
        account::{Account, AccountName, AccountStatus, Fingerprint, Username},
        audit::{ChangeCode, EventKind, Fact},
        credential::{Credential, InvalidLabel, Label, Remember},
        user_agent::UserAgent,
    },
    ports::{
        AddCredentialError, KeyLimits, RecordLoginError, RenameCredentialError,
        RevokeCredentialError, StoreError,
    },
};

/// Lets a key log in to one's account.
#[derive(Clone, Debug)]
pub struct AddKey {
    public_key: PublicKey,
    label: Label,
    /// Set for the key of a browser.
    remember: Option<Remember>,
    user_agent: Option<UserAgent>,
}

/// A browser that adds its own key.
#[derive(Clone, Copy, Debug)]
pub struct AddedBrowser<'a> {
    /// For how long it is to be remembered.
    pub remember: Remember,
    /// What it says about itself.
    pub user_agent: Option<&'a [u8]>,
}

impl Operation for AddKey {
    const NAME: &'static str = "adding";
    const CODE: ChangeCode = ChangeCode::AddKey;
    const MUST_SIGN: MustSign = MustSign::Body;
    const COUNTS_BY_DAY: bool = true;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        Some(self.public_key.thumbprint())
    }
}

/// Proof that whoever holds the new key agrees.
#[derive(Clone, Copy, Debug)]
pub struct NewKeyProof<'a> {
    /// A proof in the form of DPoP, by the new key, for this method and URI, whose `sub` names the
    /// account: else whoever sees it could add the key to another account.
    pub text: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The URI of the request.
    pub uri: &'a TargetUri,
}

/// Gives a key of one's account another name.
#[derive(Clone, Debug)]
pub struct RenameKey {
    /// The key.
    pub thumbprint: Thumbprint,
    /// Its new name.
    pub label: Label,
}

impl Operation for RenameKey {
    const NAME: &'static str = "renaming";
    const CODE: ChangeCode = ChangeCode::RenameKey;
    const MUST_SIGN: MustSign = MustSign::UrlAndBody;
    const COUNTS_BY_DAY: bool = true;
    const WITHDRAWS: bool = false;

    fn key(&self) -> Option<Thumbprint> {
        Some(self.thumbprint)
    }
}

/// Revokes a key of one's account.
#[derive(Clone, Copy, Debug)]
pub struct RevokeKey {
    /// The key.
    pub thumbprint: Thumbprint,
}

impl Operation for RevokeKey {
    const NAME: &'static str = "revoking";
    const CODE: ChangeCode = ChangeCode::RevokeKey;
    const MUST_SIGN: MustSign = MustSign::Url;
    // Each was added before, which counted. And its owner must always be able to revoke a key,
    // whatever a thief has used up with it.
    const COUNTS_BY_DAY: bool = false;
    const WITHDRAWS: bool = true;

    fn key(&self) -> Option<Thumbprint> {
        Some(self.thumbprint)
    }
}

impl Accounts {
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
            let known =
                self.core.credentials.get(&key.credential, self.core.up_to_date().await?).await?;
            if let Some(known) = known.filter(|known| known.account.id == principal.account_id) {
                return Ok((known.account.username.clone(), known.account.fingerprint));
            }
        }
        let account = self.core.ports.store.account(&AccountName::Id(principal.account_id)).await?;
        let gone = || StoreError::Corrupt {
            what: "accounts.account_id: the account of a principal is gone".to_owned(),
        };
        let account = account.ok_or_else(gone)?;
        Ok((account.username, account.fingerprint))
    }

    /// An account and its live public keys, oldest first, for resource servers that verify what it signs; `None`
    /// when there is no such account or it is disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account_keys(
        &self,
        name: &AccountName,
    ) -> Result<Option<(Account, Vec<PublicKey>)>, StoreError> {
        let account = self.core.ports.store.account(name).await?;
        let active = account.filter(|account| account.status == AccountStatus::Active);
        let Some(account) = active else { return Ok(None) };
        let mut live = self.core.self_signing_keys(account.id, self.core.now()).await?;
        live.sort_by_key(|known| known.credential.created_at);
        let keys = live.iter().map(|known| known.credential.public_key.clone()).collect();
        Ok(Some((account, keys)))
    }

    /// The addition of a key as it was presented, with a name for it; `browser` if a browser adds its
    /// own.
    ///
    /// # Errors
    /// When the key or the name is not acceptable.
    pub fn key_to_add(
        &self,
        presented: PresentedKey<'_>,
        label: Option<&str>,
        browser: Option<AddedBrowser<'_>>,
    ) -> Result<AddKey, AddKeyError> {
        let public_key = presented.parse(&self.core.policy.keys)?;
        let user_agent = browser.and_then(|browser| browser.user_agent).and_then(UserAgent::of);
        let label = match (label, browser) {
            (Some(label), _) => label.parse()?,
            (None, Some(_)) => Label::of_browser(user_agent.as_ref()),
            (None, None) => Label::of_kind(&public_key),
        };
        Ok(AddKey {
            public_key,
            label,
            remember: browser.map(|browser| browser.remember),
            user_agent,
        })
    }

    /// Adds a key to the account. The new key proves itself.
    ///
    /// # Errors
    /// The first rule that does not hold; then nothing has changed.
    pub async fn add_key(
        &self,
        change: Change<AddKey>,
        new_key_proof: NewKeyProof<'_>,
    ) -> Result<Credential, AddKeyError> {
        let by = (change.author.account_id, change.address);
        let added = self.try_add_key(change, new_key_proof).await;
        self.core.settle_key_change(by, &added).await;
        added
    }

    async fn try_add_key(
        &self,
        change: Change<AddKey>,
        new_key_proof: NewKeyProof<'_>,
    ) -> Result<Credential, AddKeyError> {
        let now = change.at;
        let AddKey { public_key, label, remember, user_agent } = change.operation.clone();
        let presented = PresentedDpop {
            fields: &[new_key_proof.text.as_bytes()],
            method: new_key_proof.method,
            uri: new_key_proof.uri,
        };
        // Keys are added at a protected resource, whose nonces are those that the client has.
        let rule = NonceRule::IfPresent(&self.core.resource_nonces);
        let account_id = change.author.account_id;
        let account = self.core.ports.store.account(&AccountName::Id(account_id)).await;
        let account = account.map_err(AddCredentialError::from)?;
        let account = account.ok_or(AddCredentialError::NoAccount)?;
        let proof = self.core.parse_proof(&presented).map_err(ProofError::from)?;
        let proof = proof.for_account(|name| account.is_called(name))?;
        let verified = self.core.verify_parsed(proof, &presented, rule, now);
        let (proof, signer) = verified.map_err(ProofError::from)?;
        if signer.thumbprint() != public_key.thumbprint() {
            return Err(ProofError::from(DpopError::OtherKey).into());
        }
        let mut credential = Credential {
            added_by: change.author.credential,
            ..Credential::new(account_id, public_key, label, now)
        };
        if let Some(remember) = remember {
            credential =
                Credential { user_agent, last_address: Some(change.address), ..credential }
                    .in_browser(remember, self.core.policy.browser_lives);
        }
        let event = change.event(EventKind::KeyAdded, credential.thumbprint(), None);
        let owner = ReplayOwner::account(account_id, Some(change.address.into()));
        self.core.spend_proof(proof, owner, now).await?;
        if let Some(approval) = change.approval {
            self.spend_approval(approval).await?;
        }
        let limits = KeyLimits {
            live: self.core.policy.max_per_account(credential.kind),
            revoked: self.core.policy.max_revoked_keys_per_account,
            password_token_of: change.author.token_issued_at,
        };
        let store = &self.core.ports.store;
        let added = store.add_credential(&credential, limits, event, change.permit).await;
        self.core.credentials.forget(&credential.thumbprint());
        self.core.credentials.forget_keys_of(account_id);
        self.tokens.note_revoked(&added?);
        Ok(credential)
    }

    /// Records an approval as used, so durably that no restart revives it.
    async fn spend_approval(&self, approval: Unspent<KeyApproval>) -> Result<(), AddKeyError> {
        let spent = self.core.ports.store.spend_assertion(approval.entry()).await;
        let receipt = spent.map_err(|error| match error {
            RecordLoginError::AlreadyUsed | RecordLoginError::NotLive => AddKeyError::ApprovalUsed,
            RecordLoginError::Forgotten => {
                AddCredentialError::Store(StoreError::Unavailable(Box::new(error))).into()
            }
            RecordLoginError::Store(error) => AddCredentialError::Store(error).into(),
        })?;
        approval.redeem(&receipt).map(drop).ok_or(AddKeyError::ApprovalUsed)
    }

    /// Gives a live key of the account another name. Nothing is written when it has that name.
    ///
    /// # Errors
    /// When it is no live key of the account, or the store fails.
    pub async fn rename_key(
        &self,
        change: Change<RenameKey>,
    ) -> Result<Credential, RenameCredentialError> {
        let RenameKey { thumbprint, label } = &change.operation;
        let detail = format!("to {label}");
        let event = change.event(EventKind::KeyRenamed, *thumbprint, Some(&detail));
        let event = event.fact(Fact::Label, label.to_string());
        let account_id = change.author.account_id;
        let store = &self.core.ports.store;
        let renamed =
            store.rename_credential(account_id, thumbprint, label, event, change.permit).await;
        self.core.credentials.forget(thumbprint);
        self.core.settle_key_change((account_id, change.address), &renamed).await;
        renamed
    }

    /// Revokes a key of the account; every token of that key dies with it, at once. Returns the
    /// live keys that it had added, and that those had added, for their owner to look at.
    ///
    /// # Errors
    /// When it is no live key of the account, or the last one.
    pub async fn revoke_own_key(
        &self,
        change: Change<RevokeKey>,
    ) -> Result<Vec<Credential>, RevokeCredentialError> {
        let RevokeKey { thumbprint } = change.operation;
        let account_id = change.author.account_id;
        let detail = change.contests.then_some(
            "a passkey in doubt, which no passkey beyond doubt had vouched for, after a fresh login",
        );
        let event = change.event(EventKind::KeyRevoked, thumbprint, detail);
        let store = &self.core.ports.store;
        let result =
            store.revoke_credential(account_id, &thumbprint, true, event, change.permit).await;
        // Also after a failure: the store may have done it and failed to say so.
        self.core.credentials.forget(&thumbprint);
        if matches!(result, Ok(()) | Err(RevokeCredentialError::Store(_))) {
            self.core.feed.forget();
        }
        result?;
        // Read after the revocation, since when it adds no key any more.
        let keys = store.credentials_of(account_id).await?;
        Ok(live_keys_added_by(thumbprint, &keys))
    }
}

/// The live ones among `keys` that `revoked` has added, or that a key has which it had added.
pub(crate) fn live_keys_added_by(revoked: Thumbprint, keys: &[Credential]) -> Vec<Credential> {
    let mut adders = vec![revoked];
    let mut found: Vec<Credential> = Vec::new();
    while let Some(adder) = adders.pop() {
        for key in keys.iter().filter(|key| key.added_by == Some(adder)) {
            let thumbprint = key.thumbprint();
            if found.iter().all(|known| known.thumbprint() != thumbprint) {
                adders.push(thumbprint);
                found.push(key.clone());
            }
        }
    }
    found.retain(|key| key.revoked_at.is_none() && key.thumbprint() != revoked);
    found.sort_by_key(|key| key.created_at);
    found
}

/// Why a key is not added.
#[derive(Debug, Error)]
pub enum AddKeyError {
    /// The approval of the key was used before.
    #[error("approval: it was used before")]
    ApprovalUsed,
    /// The key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The label is not one.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// The proof by the new key is refused.
    #[error("new_key_proof: {0}")]
    Proof(#[from] ProofError),
    /// The store refuses or failed.
    #[error(transparent)]
    Store(#[from] AddCredentialError),
    /// The proof by the new key is for no account, or for another one.
    #[error("new_key_proof: {0}")]
    Subject(#[from] SubjectError),
}

#[cfg(test)]
mod tests;
