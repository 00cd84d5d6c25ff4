//! Keys of an account in answers.

use countersign_authority::{
    model::credential::Credential,
    ports::{OwnPasskey, StoreError},
};
use countersign_protocol::{Principal, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::state::App;

#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody {
    /// RFC 7638 SHA-256 thumbprint: the key's identity.
    thumbprint: String,
    label: String,
    /// The kind of key, in words.
    #[schema(example = "Ed25519")]
    key_type: &'static str,
    /// The public key, as a JWK.
    public_key: Map<String, Value>,
    /// Where the private key is: `key` in a file or a program, `browser` in a browser that is
    /// remembered, `mutual` in a page that logs in mutually and by nothing else, `passkey` in an
    /// authenticator.
    #[schema(example = "key")]
    kind: &'static str,
    /// Seconds since 1970, as all times here.
    created_at: u64,
    /// The thumbprint of the key that added it; null for the key of the registration or a recovery.
    added_by: Option<String>,
    /// When it last logged in.
    last_used_at: Option<u64>,
    revoked_at: Option<u64>,
    /// When it ends by itself, if it does.
    expires_at: Option<u64>,
    /// The program that registered it, or, of a browser, that logged in last, as it calls itself.
    user_agent: Option<String>,
    /// The address that it logged in from last.
    last_address: Option<String>,
    /// What else is known about a passkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<PasskeyBody>,
    /// Whether this session logged in with the key, or its requests are signed by it.
    current: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyBody {
    /// The id of the passkey, base64url.
    id: String,
    /// Whether it may be copied to other devices.
    backup_eligible: bool,
    /// Whether it was when it was last used.
    backed_up: bool,
    /// The model of the authenticator, as it says; zeros where it does not say.
    #[schema(example = "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4")]
    aaguid: String,
    /// The ways to reach the authenticator, such as `internal` or `usb`.
    transports: Vec<String>,
    /// How often it has signed, by its own count; 0 where it does not count.
    sign_count: u32,
    /// Until when a browser of the account that was there before it removes it with a fresh login in
    /// place of a passkey: no passkey beyond doubt has vouched for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_doubt_until: Option<u64>,
}

/// Makes the bodies of the keys of one account.
pub(crate) struct KeyBodies<'a> {
    principal: &'a Principal,
    passkeys: Vec<OwnPasskey>,
}

impl<'a> KeyBodies<'a> {
    /// For the account of `principal`, with its passkeys.
    pub(crate) async fn of(app: &App, principal: &'a Principal) -> Result<Self, StoreError> {
        let passkeys = app.authority.accounts.own_passkeys(principal).await?;
        Ok(Self { principal, passkeys })
    }

    /// For keys of the account of `principal` of which none is a passkey.
    pub(crate) const fn without_passkeys(principal: &'a Principal) -> Self {
        Self { principal, passkeys: Vec::new() }
    }

    /// The body of `key`.
    pub(crate) fn body(&self, key: &Credential) -> KeyBody {
        let thumbprint = key.thumbprint();
        let passkey = self.passkeys.iter().find(|passkey| passkey.thumbprint == thumbprint);
        KeyBody {
            thumbprint: thumbprint.to_string(),
            label: key.label.to_string(),
            key_type: key.public_key.key_type().name(),
            kind: key.kind.name(),
            public_key: key.public_key.to_published_jwk(),
            created_at: key.created_at.as_secs(),
            added_by: key.added_by.map(|adder| adder.to_string()),
            last_used_at: key.last_used_at.map(UnixTime::as_secs),
            revoked_at: key.revoked_at.map(UnixTime::as_secs),
            expires_at: key.expires_at().map(UnixTime::as_secs),
            user_agent: key.user_agent.as_ref().map(ToString::to_string),
            last_address: key.last_address.map(|address| address.to_string()),
            passkey: passkey.map(PasskeyBody::from),
            current: self
                .principal
                .key
                .is_some_and(|own| [own.credential, own.thumbprint].contains(&thumbprint)),
        }
    }
}

impl From<&OwnPasskey> for PasskeyBody {
    fn from(OwnPasskey { passkey, .. }: &OwnPasskey) -> Self {
        Self {
            id: passkey.id.to_string(),
            backup_eligible: passkey.backup_eligible,
            backed_up: passkey.backed_up,
            aaguid: passkey.aaguid.to_string(),
            transports: passkey.transports.iter().map(ToString::to_string).collect(),
            sign_count: passkey.sign_count,
            in_doubt_until: passkey.in_doubt_until().map(UnixTime::as_secs),
        }
    }
}
