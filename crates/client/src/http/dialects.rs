//! Ways to log in other than the standard one, each with a file of its own: its wire format, and how a
//! login that it began is renewed.

mod answers;
mod gradecoin;
mod jwks_server;
mod passwordless;
mod self_signed;
mod signjwt;

pub use self::gradecoin::gradecoin_fingerprint;
pub use self::passwordless::PasswordlessAccount;
pub use self::signjwt::SessionRecipients;
