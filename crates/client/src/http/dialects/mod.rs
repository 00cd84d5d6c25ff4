//! Ways to log in other than the standard one.

mod passwordless;

pub use self::passwordless::PasswordlessAccount;
