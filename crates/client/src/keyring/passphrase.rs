//! The master password of a keyring.

use zeroize::Zeroizing;

/// A passphrase: not empty, at most [`Passphrase::MAX_BYTES`] long, wiped when dropped.
///
/// Its bytes count exactly as given: nothing is trimmed and nothing is normalised.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The longest passphrase that is accepted, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 1024;

    /// Takes over `text`, which is wiped even when it is refused.
    ///
    /// # Errors
    /// When `text` is empty or longer than [`Self::MAX_BYTES`].
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(PassphraseError::TooLong);
        }
        Ok(Self(text))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Why a text cannot be a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// It has no characters.
    #[error("the passphrase is empty; a keyring needs one")]
    Empty,
    /// It is longer than [`Passphrase::MAX_BYTES`].
    #[error("the passphrase is longer than {} bytes", Passphrase::MAX_BYTES)]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_bounded_on_both_sides() {
        assert_eq!(Passphrase::new(String::new()).err(), Some(PassphraseError::Empty));
        assert!(Passphrase::new(" ".to_owned()).is_ok());
        assert!(Passphrase::new("x".repeat(Passphrase::MAX_BYTES)).is_ok());
        let long = "x".repeat(Passphrase::MAX_BYTES + 1);
        assert_eq!(Passphrase::new(long).err(), Some(PassphraseError::TooLong));
    }
}
