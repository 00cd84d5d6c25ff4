//! Passwords that a server made, or somebody who invites its users.

use zeroize::Zeroizing;

/// A password: not empty, at most [`Password::MAX_BYTES`] long, wiped when dropped.
///
/// Its bytes count exactly as given: nothing is trimmed and nothing is normalised.
pub struct Password(Zeroizing<String>);

impl Password {
    /// The longest password that is accepted, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 1024;

    /// Takes over `text`, which is wiped even when it is refused.
    ///
    /// # Errors
    /// When `text` is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Self, PasswordError> {
        let text = text.into();
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        fits.then_some(Self(text)).ok_or(PasswordError)
    }

    /// The password itself, for the server that it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second holder of the same password. Not `Clone`, so that every copy is a visible decision.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A text that cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 1 to {} bytes", Password::MAX_BYTES)]
pub struct PasswordError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_bounded_on_both_sides() {
        assert!(Password::new(String::new()).is_err());
        assert_eq!(Password::new(" ".to_owned()).ok().unwrap().expose(), " ");
        assert!(Password::new("x".repeat(Password::MAX_BYTES)).is_ok());
        assert!(Password::new("x".repeat(Password::MAX_BYTES + 1)).is_err());
    }
}
