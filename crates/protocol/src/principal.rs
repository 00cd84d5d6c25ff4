//! Who made a request, and how that was proven.

use serde::{Serialize, Serializer};

use crate::{
    authentication::AuthenticationContext, ids::AccountId, keys::Thumbprint, names::Username,
    scopes::Scopes, time::UnixTime, wire::proof_kind,
};

/// The result of a successful verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account that acts.
    pub account_id: AccountId,
    /// The account's name, for people to read: from the token, or else from the issuer. A token
    /// keeps the name that the account had at the login; only `account_id` never changes.
    pub username: Option<Username>,
    /// The key that signed this request. None with [`ProofKind::Bearer`], which proves no key.
    pub key: Option<ProvenKey>,
    /// How possession of `key` was proven.
    pub proof: ProofKind,
    /// The `jti` of the access token or the session, where there is one.
    pub token_id: Option<String>,
    /// What the token allows; without a token, what the account may do.
    pub scopes: Scopes,
    /// Whether the token was asked to allow less than the account might do.
    pub narrowed: bool,
    /// What the proof covers of the request that it came with.
    pub covers: Coverage,
    /// The login that the access token comes from. None where there is no access token: neither an
    /// unbound token, nor a session of signed messages, nor a self-signed JWT says how the account
    /// logged in.
    pub authentication: Option<AuthenticationContext>,
    /// The `iat` of the access token, where there is one.
    pub issued_at: Option<UnixTime>,
    /// When the token, or the self-signed JWT, ends.
    pub expires_at: UnixTime,
}

/// Who made a request, as logs and the audit trail tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub account_id: AccountId,
    /// Its name, where it is known without another look-up.
    pub username: Option<Username>,
    /// The credential, which names the device; none where no key was proven.
    pub key: Option<Thumbprint>,
    /// How possession of a key was proven; none where the request was a login.
    pub proof: Option<ProofKind>,
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self {
            account_id: principal.account_id,
            username: principal.username.clone(),
            key: principal.key.map(|key| key.credential),
            proof: Some(principal.proof),
        }
    }
}

/// What a signature covers of the request that it came with, beyond who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Where the signature may be used.
    pub target: CoveredTarget,
    /// The SHA-256 of the body that it was made for, if it says so. A resource that needs the body
    /// to be covered compares it.
    pub body: Option<[u8; 32]>,
}

/// Where a signature may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoveredTarget {
    /// Wherever the key is known.
    Anywhere,
    /// At this server only, for any request.
    Server,
    /// For this method and URI only.
    Request,
}

impl Coverage {
    /// The signature covers nothing of the request.
    pub const NOTHING: Self = Self { target: CoveredTarget::Anywhere, body: None };
}

/// A key whose possession was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenKey {
    /// The credential that the account logged in with. It names the device.
    pub credential: Thumbprint,
    /// The key that signed the request: the credential's own, or a session key that it named.
    pub thumbprint: Thumbprint,
}

impl ProvenKey {
    /// A credential that signed itself.
    pub const fn of(credential: Thumbprint) -> Self {
        Self { credential, thumbprint: credential }
    }
}

/// The kinds of proof of possession, by their stable names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofKind {
    /// A DPoP proof (RFC 9449).
    Dpop,
    /// A JWT that the client signed itself, for this request.
    SelfSigned,
    /// A signature over a nonce of the server and the session's JWT.
    SignedMessage,
    /// None: anybody who holds the token may use it.
    Bearer,
}

impl ProofKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Dpop, Self::SelfSigned, Self::SignedMessage, Self::Bearer];

    /// The name on the wire and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpop => proof_kind::DPOP,
            Self::SelfSigned => proof_kind::SELF_SIGNED,
            Self::SignedMessage => proof_kind::SIGNED_MESSAGE,
            Self::Bearer => proof_kind::BEARER,
        }
    }
}

impl Serialize for ProofKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
