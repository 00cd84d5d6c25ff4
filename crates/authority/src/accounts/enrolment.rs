//! Enrolment: the one pipeline through which accounts come to be, however they register.
//!
//! [`Accounts::admit`] counts the application against what its network may do, and asks the rule of
//! enrolment and the one about names. Then each way to register sees to its factor: a key that proves
//! itself, one that does not yet, a password. [`Accounts::enrol`] creates the account in one
//! transaction: invitation, account, factor and audit event.

use std::net::IpAddr;

use countersign_protocol::{AccountId, UnixTime, keys::PublicKey};

use crate::{
    accounts::{Accounts, registration_error::RegistrationError},
    model::{
        account::{AccountName, Fingerprint, Username},
        audit::{AuditEvent, EventKind, Fact, Facts, Means},
        credential::{Credential, Label, Remember},
        credential_kind::CredentialKind,
        email::Email,
        invitation::{CodeHash, EnrolmentCode, Invitation, Purpose},
        key_life::SealedServerKey,
        policy::Enrolment,
        user_agent::UserAgent,
    },
    passkeys::registration::VerifiedNewPasskey,
    ports::{CreateAccountError, NewAccount, NewPasskey, NewPasswordAccount, StoreError},
};

/// A request for an account, whatever it is to log in with.
#[derive(Clone, Copy)]
pub(crate) struct Application<'a> {
    /// The name that is asked for.
    pub(crate) username: &'a str,
    /// The one-time code of an invitation.
    pub(crate) enrolment_code: Option<&'a str>,
    /// The client's address.
    pub(crate) address: IpAddr,
    pub(crate) cost: Cost,
}

/// What an application costs the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A transaction and a verification.
    Ordinary,
    /// A hundred times as much: a password is hashed for it, or a key pair made. What can be refused
    /// is refused before that.
    High,
}

/// An application that may go on, as the account that comes of it.
pub(crate) struct Admitted {
    pub(crate) account_id: AccountId,
    pub(crate) username: Username,
    pub(crate) invitation: Option<CodeHash>,
    pub(crate) address: IpAddr,
    pub(crate) at: UnixTime,
}

/// What an account logs in with.
pub(crate) enum Factor {
    /// A key that has proven itself.
    ProvenKey {
        key: PublicKey,
        label: Label,
        /// Set for the key of a browser.
        remember: Option<Remember>,
        user_agent: Option<UserAgent>,
        /// A passkey that was made with the account.
        passkey: Option<Box<VerifiedNewPasskey>>,
    },
    /// A key that has not: the account only claims it, until it first signs something.
    ClaimedKey(ClaimedKey),
    /// A password.
    Password { email: Email, hash: String },
}

/// A key that an account claims.
pub(crate) struct ClaimedKey {
    pub(crate) key: PublicKey,
    /// Where its private half is, as the registration says.
    pub(crate) kind: CredentialKind,
    /// Another name for the account: the fingerprint of the key's text.
    pub(crate) alias: Option<Fingerprint>,
    /// The key pair that the server made for this account alone.
    pub(crate) server_key: Option<SealedServerKey>,
    /// How it came in.
    pub(crate) means: Means,
    /// What the audit trail says of it.
    pub(crate) detail: String,
}

impl ClaimedKey {
    /// `key`, about which nothing else is known.
    pub(crate) fn unproven(key: PublicKey) -> Self {
        let detail = "without proof of possession".to_owned();
        let (kind, means) = (CredentialKind::Key, Means::Unproven);
        Self { key, kind, alias: None, server_key: None, means, detail }
    }
}

impl Accounts {
    /// Lets an application go on, or says which rule of every registration does not hold. Nothing is
    /// used up but the allowance.
    pub(crate) async fn admit(
        &self,
        Application { username, enrolment_code, address, cost }: Application<'_>,
        now: UnixTime,
    ) -> Result<Admitted, RegistrationError> {
        if !self.is_invited(enrolment_code, now).await? {
            match cost {
                Cost::Ordinary => self.core.admit_registration(address).await?,
                Cost::High => self.core.admit_costly_registration(address).await?,
            }
        }
        let invitation = self.invitation(enrolment_code)?;
        let username: Username = username.parse()?;
        self.admit_name(&username, invitation.as_ref(), now).await?;
        if cost == Cost::High {
            self.check_invitation(invitation.as_ref(), &username, now).await?;
        }
        Ok(self.admitted(username, invitation, address, now))
    }

    /// Refuses what a registration with this name and code would be refused, as far as its client may
    /// learn that: before anything is made for it that would be left over. Nothing is used up but the
    /// allowance.
    pub(crate) async fn check_application(
        &self,
        Application { username, enrolment_code, address, .. }: Application<'_>,
        now: UnixTime,
    ) -> Result<Username, RegistrationError> {
        let invitation = self.invitation(enrolment_code)?;
        let username: Username = username.parse()?;
        self.admit_name(&username, invitation.as_ref(), now).await?;
        self.check_invitation(invitation.as_ref(), &username, now).await?;
        if invitation.is_none() {
            // Who asks for many names is counted like somebody who registers them.
            self.core.admit_name_check(address).await?;
        }
        self.check_name_untaken(&username).await?;
        Ok(username)
    }

    /// An account to be for `username`, whom some other rule has let in.
    pub(crate) fn admitted(
        &self,
        username: Username,
        invitation: Option<CodeHash>,
        address: IpAddr,
        at: UnixTime,
    ) -> Admitted {
        let account_id = AccountId::generate(at, &*self.core.ports.random);
        Admitted { account_id, username, invitation, address, at }
    }

    /// Creates the account. The store has the last word about name, key and invitation.
    ///
    /// # Errors
    /// When one of them is taken or used up, or the store fails; then nothing has changed.
    pub(crate) async fn enrol(
        &self,
        admitted: Admitted,
        factor: Factor,
    ) -> Result<(), CreateAccountError> {
        let accounts = &self.core.ports.store;
        match factor {
            Factor::ProvenKey { key, label, remember, user_agent, passkey } => {
                let address = admitted.address;
                let mut new = self.new_account(admitted, key, label);
                new.credential.user_agent = user_agent;
                if let Some(remember) = remember {
                    // The program that registers another key may run elsewhere than the one that uses it.
                    new.credential.last_address = Some(address);
                    let lives = self.core.policy.browser_lives;
                    new.credential = new.credential.in_browser(remember, lives);
                }
                new.event.detail =
                    new.invitation.map(|code| format!("invitation {}", code.short()));
                new.passkey = passkey.map(|passkey| with_account(&new, *passkey));
                accounts.create_account(new).await
            }
            Factor::ClaimedKey(ClaimedKey { key, kind, alias, server_key, means, detail }) => {
                let label = Label::of_kind(&key);
                let mut new = self.new_account(admitted, key, label);
                new.credential.kind = kind;
                let event = new.event.detail(detail).by_means(means);
                let new = NewAccount { alias, server_key, event, ..new };
                accounts.create_unproven_account(new).await
            }
            Factor::Password { email, hash: password_hash } => {
                let event = admitted.event().detail("with a password").by_means(Means::Password);
                let Admitted { account_id: id, username, invitation, .. } = admitted;
                let scopes = self.core.policy.default_scopes.clone();
                let new = NewPasswordAccount {
                    id,
                    username,
                    email,
                    scopes,
                    password_hash,
                    invitation,
                    event,
                };
                Ok(self.core.ports.store.create_password_account(new).await?)
            }
        }
    }

    /// Looks whether the name is taken before anything is done that costs much.
    pub(crate) async fn check_name_untaken(
        &self,
        username: &Username,
    ) -> Result<(), RegistrationError> {
        let name = AccountName::Username(username.clone());
        let taken = self.core.ports.store.account(&name).await?.is_some();
        if taken { Err(RegistrationError::UsernameTaken) } else { Ok(()) }
    }

    fn new_account(&self, admitted: Admitted, key: PublicKey, label: Label) -> NewAccount {
        let event = admitted.event().key(key.thumbprint());
        let Admitted { account_id, username, invitation, at, .. } = admitted;
        NewAccount {
            id: account_id,
            username,
            scopes: self.core.policy.default_scopes.clone(),
            credential: Credential::new(account_id, key, label, at),
            invitation,
            passkey: None,
            alias: None,
            server_key: None,
            event,
        }
    }

    /// How the rule of enrolment treats a registration with or without a code.
    fn invitation(&self, code: Option<&str>) -> Result<Option<CodeHash>, RegistrationError> {
        match (self.core.policy.enrolment, code) {
            (Enrolment::Closed, _) => Err(RegistrationError::Closed),
            (Enrolment::Invited, None) => Err(RegistrationError::CodeNeeded),
            (Enrolment::Open, None) => Ok(None),
            (Enrolment::Open | Enrolment::Invited, Some(code)) => {
                let code =
                    EnrolmentCode::parse(code).map_err(|_| RegistrationError::CodeUnusable)?;
                Ok(Some(code.hash()))
            }
        }
    }

    /// Whether `code` belongs to a working invitation. It then registers one account, which an
    /// administrator wants, so it counts against no allowance: others in the same network could
    /// have used that up. Nobody can guess 128 bits, and a text that cannot be a code is refused
    /// without asking the store.
    async fn is_invited(&self, code: Option<&str>, now: UnixTime) -> Result<bool, StoreError> {
        let code = code.filter(|_| self.core.policy.enrolment != Enrolment::Closed);
        let Some(code) = code.and_then(|code| EnrolmentCode::parse(code).ok()) else {
            return Ok(false);
        };
        let found = self.core.ports.store.invitation(&code.hash()).await?;
        Ok(found.is_some_and(|found| found.is_usable(now) && found.purpose == Purpose::Register))
    }

    /// Sees that `invitation`, where there is one, works for `username`, before anything costly is done
    /// for it, or anything said about names and keys. The store has the last word.
    async fn check_invitation(
        &self,
        invitation: Option<&CodeHash>,
        username: &Username,
        now: UnixTime,
    ) -> Result<(), RegistrationError> {
        let Some(code_hash) = invitation else { return Ok(()) };
        let invitation = self.core.ports.store.invitation(code_hash).await?;
        let is_for = |Invitation { purpose, username: intended, .. }: &Invitation| {
            *purpose == Purpose::Register && intended.as_ref().is_none_or(|name| name == username)
        };
        let usable = invitation.is_some_and(|found| found.is_usable(now) && is_for(&found));
        usable.then_some(()).ok_or(RegistrationError::CodeUnusable)
    }

    /// Whether a client with `code`, or without one, may take the name. Nothing is used up.
    async fn admit_name(
        &self,
        username: &Username,
        code: Option<&CodeHash>,
        now: UnixTime,
    ) -> Result<(), RegistrationError> {
        if self.core.policy.names.is_free(username) {
            return Ok(());
        }
        let Some(code) = code else { return Err(RegistrationError::NameReserved) };
        let invitation = self.core.ports.store.invitation(code).await?;
        // Without a working invitation, nobody learns which names are taken.
        let invitation = invitation.filter(|invitation| invitation.is_usable(now));
        let invited = invitation.ok_or(RegistrationError::CodeUnusable)?.username;
        match invited {
            None => Err(RegistrationError::NameReserved),
            Some(invited) if invited == *username => Ok(()),
            Some(_) => Err(RegistrationError::CodeUnusable),
        }
    }
}

/// The passkey of an account to be.
fn with_account(account: &NewAccount, passkey: VerifiedNewPasskey) -> Box<NewPasskey> {
    let credential = passkey.credential(account.id, None, account.credential.created_at);
    let event = AuditEvent {
        kind: EventKind::KeyAdded,
        detail: Some("a passkey, with the account".to_owned()),
        facts: Facts::NONE,
        ..account.event.clone()
    };
    let event = event.by_means(Means::Registration);
    Box::new(NewPasskey {
        event: event.key(credential.thumbprint()),
        credential,
        challenge: passkey.challenge.entry(),
        passkey: passkey.passkey,
    })
}

impl Admitted {
    /// The event that says that the account came to be.
    fn event(&self) -> AuditEvent {
        let event = AuditEvent::new(self.at, EventKind::AccountRegistered);
        let event = event.account(self.account_id).from(self.address);
        match &self.invitation {
            Some(code) => event.fact(Fact::Invitation, code.short()),
            None => event,
        }
    }
}
