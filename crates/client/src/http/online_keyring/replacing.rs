//! Makes an online keyring, or gives it another password or recovery code: a new content key, and new
//! slots for it.

use countersign_opaque::ServerName;
use countersign_opaque::client::{ExportKey, Registration};
use countersign_protocol::strict::base64url;
use countersign_protocol::wire;
use http::header::{HeaderName, IF_NONE_MATCH};
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::OnlineKeyringError;
use super::request::present;
use crate::http::error::ClientError;
use crate::http::login::Login;
use crate::http::message::Message;
use crate::http::transport::MAX_API_ANSWER;
use crate::keyring::{Entry, OnDifference, Passphrase, merge};
use crate::online_keyring::{
    ContentKey, Document, OnlineKeyring, Opener, RecoveryCode, Slot, SlotId, check_new_password,
    wrap,
};

/// The slots for a new content key.
struct NewSlots {
    content_key: ContentKey,
    filled: Vec<Slot>,
    /// What the server needs to know of the new ones.
    records: Vec<Value>,
}

impl Login {
    /// Makes the online keyring of the account, with a new password, and returns its recovery code,
    /// which exists nowhere else. Tokens of the entries are left out.
    ///
    /// # Errors
    /// When the password is too short, there is an online keyring already ([`OnlineKeyringError::Changed`]),
    /// or the server refuses; [`OnlineKeyringError::Unconfirmed`], with the code.
    pub async fn make_online_keyring(
        &self,
        entries: &[Entry],
        password: &Passphrase,
    ) -> Result<RecoveryCode, OnlineKeyringError> {
        let mut own = Vec::with_capacity(entries.len());
        merge::merge(&mut own, entries, OnDifference::Replace)?;
        let mut slots = self.new_slots();
        self.add_password(&mut slots, password).await?;
        let code = self.add_recovery_code(&mut slots).await?;
        let first = (IF_NONE_MATCH, HeaderValue::from_static("*"));
        self.put_online_keyring(slots, &own, (first, code)).await
    }

    /// Gives the online keyring another password and another recovery code, which it returns. Nothing
    /// else opens it from then on: passkeys must be added again, and earlier contents are gone.
    ///
    /// # Errors
    /// When the password is too short, another program has changed the keyring since it was opened, or
    /// the server refuses; [`OnlineKeyringError::Unconfirmed`], with the code.
    pub async fn change_online_password(
        &self,
        opened: &OnlineKeyring,
        password: &Passphrase,
    ) -> Result<RecoveryCode, OnlineKeyringError> {
        let mut slots = self.new_slots();
        self.add_password(&mut slots, password).await?;
        let code = self.add_recovery_code(&mut slots).await?;
        self.put_online_keyring(slots, opened.entries(), (present(opened), code)).await
    }

    /// Gives the online keyring, which was opened with its password, another recovery code and returns
    /// it. Nothing but that code and the password opens it from then on.
    ///
    /// # Errors
    /// When another program has changed the keyring since it was opened, or the server refuses;
    /// [`OnlineKeyringError::Unconfirmed`], with the code.
    pub async fn change_recovery_code(
        &self,
        opened: &OnlineKeyring,
    ) -> Result<RecoveryCode, OnlineKeyringError> {
        let mut slots = self.new_slots();
        slots.filled.push(opened.rewrapped(&slots.content_key, self.client().random()));
        let code = self.add_recovery_code(&mut slots).await?;
        self.put_online_keyring(slots, opened.entries(), (present(opened), code)).await
    }

    fn new_slots(&self) -> NewSlots {
        let content_key = ContentKey::generate(self.client().random());
        NewSlots { content_key, filled: Vec::new(), records: Vec::new() }
    }

    async fn add_password(
        &self,
        slots: &mut NewSlots,
        password: &Passphrase,
    ) -> Result<(), OnlineKeyringError> {
        check_new_password(password)?;
        self.add_slot(slots, Opener::Password, password.as_bytes()).await
    }

    async fn add_recovery_code(
        &self,
        slots: &mut NewSlots,
    ) -> Result<RecoveryCode, OnlineKeyringError> {
        let code = RecoveryCode::generate(self.client().random());
        self.add_slot(slots, Opener::Recovery, code.as_password()).await?;
        Ok(code)
    }

    async fn add_slot(
        &self,
        slots: &mut NewSlots,
        opener: Opener,
        password: &[u8],
    ) -> Result<(), OnlineKeyringError> {
        let registered = self.register_slot(&opener, password).await;
        let (id, record, secret) =
            registered.map_err(|error| OnlineKeyringError::of(error, self.client()))?;
        let random = self.client().random();
        slots.filled.push(wrap((id, opener), &*secret, &slots.content_key, random));
        slots.records.push(record);
        Ok(())
    }

    /// Registers a password or a recovery code by OPAQUE. The server keeps nothing of that before it
    /// gets the record with the document.
    async fn register_slot(
        &self,
        opener: &Opener,
        password: &[u8],
    ) -> Result<(SlotId, Value, ExportKey), ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            id: String,
            ticket: String,
            response: String,
        }

        let (target, random) = (self.api(wire::path::KEYRING_SLOTS)?, self.client().random());
        let begun = Registration::begin(password, random);
        let (registration, request) = begun.map_err(|error| target.unexpected(error))?;
        let request = base64url::encode(&request).into();
        let message = Message::json(
            Method::POST,
            [("kind", opener.kind().name().into()), ("request", request)],
        );
        let response = self.exchange(&target, MAX_API_ANSWER, |_| Ok(message.clone())).await?;
        let answer: Answer = response.into_json(&target)?;
        let id = base64url::decode(&answer.id).ok().and_then(|id| id.try_into().ok());
        let id = id.map(SlotId::from_bytes).ok_or_else(|| target.unexpected("a bad slot id"))?;
        let response =
            base64url::decode(&answer.response).map_err(|error| target.unexpected(error))?;
        let name = ServerName(self.client().metadata().issuer());
        let (record, secret) = registration
            .finish(password, &response, name, random)
            .map_err(|error| target.unexpected(error))?;
        let record = json!({ "ticket": answer.ticket, "record": base64url::encode(&record) });
        Ok((id, record, secret))
    }

    /// Stores the entries with new slots, of which `code` fills one, and returns the code.
    async fn put_online_keyring(
        &self,
        slots: NewSlots,
        entries: &[Entry],
        (condition, code): ((HeaderName, HeaderValue), RecoveryCode),
    ) -> Result<RecoveryCode, OnlineKeyringError> {
        let NewSlots { content_key, filled, records } = slots;
        let content = content_key.seal(entries, self.client().random())?;
        let document = Document::new(filled, content).to_json();
        let members = [("document", document), ("records", records.into())];
        let message = Message::json(Method::PUT, members);
        match self.change_online_keyring(wire::path::KEYRING, message, condition).await {
            Ok(()) => Ok(code),
            Err(error) => Err(error.with_code(code)),
        }
    }
}
