//! What an authentication server decides: accounts, credentials, enrolment, tokens, signing keys,
//! audit and policy; and the ports that it needs to do so.
//!
//! This crate knows neither SQL nor HTTP. Every operation of [`Authority`] reads the clock once,
//! decides, and asks its [`ports`] to make the decision true in one atomic step.

pub mod account;
mod administration;
pub mod audit;
mod authority;
mod caller;
pub mod credential;
mod effort;
mod forgetting;
pub mod invitation;
mod key_uses;
mod keys;
mod live;
mod login;
mod maintenance;
mod mutual;
pub mod names;
mod passwords;
pub mod policy;
pub mod ports;
mod proof;
mod published_keys;
mod recovery;
mod registration;
mod registration_key;
mod revocation_feed;
mod revoked_tokens;
pub mod sealed_key;
mod sealed_registration;
mod server_keys;
mod sessions;
mod signers;
mod signing_keys;
mod step_up;
mod store_health;
mod tokens;
mod trail;
mod turns;
pub mod vault;

pub use crate::administration::{AdminError, Administration, NewInvitation, NewRecovery};
pub use crate::authority::{Authority, StartError};
pub use crate::caller::{Caller, CallerAuthentication, CallerError};
pub use crate::keys::{AddKey, AddKeyError, NewKeyProof, OwnRecordsError, RenameKey, RevokeKey};
pub use crate::live::KnownCredential;
pub use crate::login::{Grant, LoginError, TokenRequest};
pub use crate::maintenance::Maintenance;
pub use crate::mutual::{
    ChallengeError, MutualLogin, MutualLoginError, MutualRegistration, MutualRegistrationError,
    MutuallyRegistered,
};
pub use crate::passwords::{
    Email, HashError, InvalidEmail, PasswordAttempt, PasswordError, PasswordRegistration,
    PasswordRegistrationError, PasswordRequest, Secret,
};
pub use crate::proof::{PresentedDpop, ProofError};
pub use crate::published_keys::PublishedKeys;
pub use crate::recovery::{Recovered, Recovery, RecoveryError, RecoveryKey};
pub use crate::registration::{PresentedKey, Registered, Registration, RegistrationError};
pub use crate::registration_key::{RegistrationKey, RegistrationKeyError};
pub use crate::revocation_feed::{FEED_MAX_AGE, RevocationFeedError};
pub use crate::sealed_registration::{
    SealedRegistered, SealedRegistration, SealedRegistrationError,
};
pub use crate::server_keys::ServerKeyError;
pub use crate::sessions::{
    CheckedMessage, OpenSessionError, OpenedSession, SessionError, SignedMessage,
    UnprovenRegistration,
};
pub use crate::signing_keys::{KeySummary, MAX_PUBLISHED, Schedule, SigningKeyError, SigningKeys};
pub use crate::step_up::{KeyChange, KeyOperation, MustSign, SignedRequest, StepUpError};
pub use crate::tokens::{Introspection, IssuedToken, LoggedIn, RevokeTokenError, RevokingClient};
pub use crate::turns::TurnLimits;
