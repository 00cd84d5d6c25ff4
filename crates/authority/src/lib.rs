//! What an authentication server decides: accounts, credentials, enrolment, tokens, signing keys,
//! audit and policy; and the ports that it needs to do so.
//!
//! This crate knows neither SQL nor HTTP. Every operation of [`Authority`] reads the clock once,
//! decides, and asks its [`ports`] to make the decision true in one atomic step.

mod accounts;
mod authority;
mod core;
mod dialects;
mod health;
mod keys;
mod login;
mod maintenance;
mod model;
pub mod ports;
mod tokens;

pub use crate::accounts::Accounts;
pub use crate::accounts::administration::{AdminError, Administration, NewInvitation, NewRecovery};
pub use crate::accounts::own_keys::{
    AddKey, AddKeyError, NewKeyProof, OwnRecordsError, RenameKey, RevokeKey,
};
pub use crate::accounts::recovery::{Recovered, Recovery, RecoveryError, RecoveryKey};
pub use crate::accounts::step_up::{KeyChange, KeyOperation, MustSign, SignedRequest, StepUpError};
pub use crate::accounts::{
    registration::{PresentedKey, Registered, Registration},
    registration_error::RegistrationError,
};
pub use crate::authority::{Authority, StartError};
pub use crate::core::Core;
pub use crate::core::credential_cache::KnownCredential;
pub use crate::core::dpop::{PresentedDpop, ProofError};
pub use crate::dialects::gradecoin::{
    SealedRegistered, SealedRegistration, SealedRegistrationError,
};
pub use crate::dialects::passwordless::server_keys::ServerKeyError;
pub use crate::dialects::passwordless::{
    ChallengeError, MutualLogin, MutualLoginError, MutualRegistration, MutualRegistrationError,
    MutuallyRegistered,
};
pub use crate::dialects::signjwt::{
    AcceptedMessage, CheckedMessage, OpenSessionError, OpenedSession, SessionError, SignedMessage,
    UnprovenRegistration,
};
pub use crate::dialects::{
    Dialects, gradecoin::Gradecoin, jwks_server::JwksServer, passwordless::Passwordless,
    signjwt::Signjwt,
};
pub use crate::health::Health;
pub use crate::keys::published::PublishedKeys;
pub use crate::keys::registration_key::{RegistrationKey, RegistrationKeyError};
pub use crate::keys::{rekey, vault};
pub use crate::login::Login;
pub use crate::login::assertion::{Caller, CallerAuthentication, CallerError};
pub use crate::login::jwt_bearer::{LoginError, TokenRequest};
pub use crate::maintenance::Maintenance;
pub use crate::model::{
    account, audit, credential, email, invitation, key_life, limits, names, policy,
};
pub use crate::tokens::Tokens;
pub use crate::tokens::issuance::Grant;
pub use crate::tokens::standing::{
    Introspection, IssuedToken, LoggedIn, RevokeTokenError, RevokingClient,
};
pub use crate::{
    core::password_hasher::{HashError, Secret},
    dialects::jwks_server::{
        PasswordAttempt, PasswordError, PasswordRegistration, PasswordRegistrationError,
        PasswordRequest,
    },
};
pub use crate::{
    keys::sealed_secret::DamagedSecret, tokens::feed::RevocationFeedError,
    tokens::latest_feed::FEED_MAX_AGE,
};
pub use crate::{
    keys::{
        Signer, SigningKeyError,
        signing::{KeySummary, MAX_PUBLISHED, SigningKeys},
    },
    model::key_life::Schedule,
};
