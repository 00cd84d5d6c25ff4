//! Invitations: one-time codes that let somebody enrol.

use countersign_protocol::{
    Scopes, UnixTime, digest::sha256, ports::Random, ports::random_bytes, strict::base64url,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::account::Username;

/// A standing permission to register one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the code; the code itself is kept nowhere.
    pub code_hash: CodeHash,
    /// The only username that may use it; `None` leaves the choice to the invited.
    pub username: Option<Username>,
    /// The scopes that the account will have.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: UnixTime,
    /// From then on it no longer works.
    pub expires_at: UnixTime,
    /// When it was used.
    pub used_at: Option<UnixTime>,
}

impl Invitation {
    /// Whether it works at `now`.
    pub fn is_usable(&self, now: UnixTime) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

/// SHA-256 of a one-time code, or the keyed hash of a one-time password: what is stored, and what names the invitation to an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeHash(pub [u8; 32]);

/// A one-time code, `csi_` and 22 + 6 base64url characters: 128 random bits and a checksum, so that
/// a typing error is told apart from a wrong code without asking the store.
pub struct EnrolmentCode(Zeroizing<String>);

impl EnrolmentCode {
    const PREFIX: &str = "csi_";
    const CHECKSUM_LEN: usize = 4;

    /// A fresh code.
    pub fn generate(random: &dyn Random) -> Self {
        let secret = Zeroizing::new(random_bytes::<16>(random));
        let mut bytes = Zeroizing::new([0; 16 + Self::CHECKSUM_LEN]);
        bytes[..16].copy_from_slice(&*secret);
        bytes[16..].copy_from_slice(&Self::checksum(&*secret));
        let text = Zeroizing::new(base64url::encode(&*bytes));
        Self(Zeroizing::new(format!("{}{}", Self::PREFIX, *text)))
    }

    /// Reads a code as somebody typed it.
    ///
    /// # Errors
    /// When the text is not a code that this product could have made.
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidCode)?;
        let bytes = Zeroizing::new(base64url::decode(encoded).map_err(|_| InvalidCode)?);
        let (secret, checksum) = bytes.split_at_checked(16).ok_or(InvalidCode)?;
        if checksum != Self::checksum(secret) {
            return Err(InvalidCode);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The code, to be shown once to whoever passes it on.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> CodeHash {
        CodeHash(sha256(&[self.0.as_bytes()]))
    }

    fn checksum(secret: &[u8]) -> [u8; Self::CHECKSUM_LEN] {
        let digest = sha256(&[b"countersign enrolment code", secret]);
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

/// A secret that registers one account together with its name: 8 to 128 characters.
///
/// It can be neither printed nor cloned.
pub struct OneTimePassword(Zeroizing<String>);

impl OneTimePassword {
    /// What fresh ones are made of: letters and digits that are not mistaken for each other.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// A fresh one: 15 characters, 75 random bits.
    pub fn generate(random: &dyn Random) -> Self {
        let bytes = Zeroizing::new(random_bytes::<15>(random));
        let characters =
            bytes.iter().map(|byte| char::from(Self::ALPHABET[usize::from(byte % 32)]));
        Self(Zeroizing::new(characters.collect()))
    }

    /// One that somebody else has made.
    ///
    /// # Errors
    /// When it is too short or too long, holds a control character, or begins or ends with a space.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        let fits = (8..=128).contains(&text.chars().count());
        if !fits || text.trim() != text || text.contains(char::is_control) {
            return Err(InvalidPassword);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The password, to be passed on to whom it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Not a one-time password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a one-time password has 8 to 128 characters, none of them a control character, and no space \
     at either end"
)]
pub struct InvalidPassword;

/// Not an enrolment code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an enrolment code: it begins with csi_ and must be copied whole")]
pub struct InvalidCode;

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        }
    }

    #[test]
    fn a_password_is_made_or_taken_as_it_is() {
        let made = OneTimePassword::generate(&Counting);
        assert_eq!(made.reveal(), "abcdefghijkmnpq");
        for text in [
            "12345678",
            "with space",
            "\u{df}\u{df}\u{df}\u{df}\u{df}\u{df}\u{df}\u{df}",
            made.reveal(),
        ] {
            assert_eq!(OneTimePassword::parse(text).unwrap().reveal(), text);
        }
        for text in ["", "1234567", " 12345678", "12345678 ", "1234\t5678", &"x".repeat(129)] {
            assert_eq!(OneTimePassword::parse(text).err(), Some(InvalidPassword), "{text:?}");
        }
    }

    #[test]
    fn a_code_survives_being_typed_and_a_typing_error_does_not() {
        let code = EnrolmentCode::generate(&Counting);
        let text = code.reveal();
        assert_eq!(text.len(), 31);
        assert_eq!(EnrolmentCode::parse(text).unwrap().hash(), code.hash());
        for place in 4..text.len() {
            let mut typo = text.as_bytes().to_vec();
            typo[place] = if typo[place] == b'x' { b'y' } else { b'x' };
            assert!(EnrolmentCode::parse(std::str::from_utf8(&typo).unwrap()).is_err());
        }
        assert!(EnrolmentCode::parse("").is_err());
        assert!(EnrolmentCode::parse("csi_").is_err());
    }
}
