//! Invitations: one-time codes that let somebody enrol, or back into an account.

use countersign_protocol::{
    Scopes, UnixTime, digest::sha256, ports::Random, ports::random_bytes, strict::base64url,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::model::account::Username;

/// A standing permission to register one account, or to recover one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the code; the code itself is kept nowhere.
    pub code_hash: CodeHash,
    /// The use of its code.
    pub purpose: Purpose,
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

/// The use of an invitation's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It registers an account.
    Register,
    /// It gives the account of its username, which exists, a new key or a new password.
    Recover {
        /// Whether everything else that logs in to the account is revoked by that.
        revoke_others: bool,
    },
}

/// SHA-256 of a one-time code, or the keyed hash of a one-time password. It is stored in their
/// place, and names the invitation to an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeHash(pub [u8; 32]);

impl CodeHash {
    /// The first twelve hexadecimal digits, by which administrators and the audit trail name the
    /// invitation.
    pub fn short(&self) -> String {
        let mut first_six = [0; 8];
        first_six[2..].copy_from_slice(&self.0[..6]);
        format!("{:012x}", u64::from_be_bytes(first_six))
    }
}

/// The form of one-time codes: a prefix that says what the code is for, and 27 base64url characters
/// of 128 random bits and a checksum, so that a typing error is told apart from a wrong code without
/// asking the store.
struct CodeForm {
    prefix: &'static str,
    /// Makes the checksum specific to this kind of code.
    kind: &'static [u8],
}

impl CodeForm {
    const CHECKSUM_LEN: usize = 4;

    fn generate(&self, random: &dyn Random) -> Zeroizing<String> {
        let secret = Zeroizing::new(random_bytes::<16>(random));
        let mut bytes = Zeroizing::new([0; 16 + Self::CHECKSUM_LEN]);
        bytes[..16].copy_from_slice(&*secret);
        bytes[16..].copy_from_slice(&self.checksum(&*secret));
        let text = Zeroizing::new(base64url::encode(&*bytes));
        Zeroizing::new(format!("{}{}", self.prefix, *text))
    }

    fn parse(&self, text: &str) -> Result<Zeroizing<String>, InvalidCode> {
        let invalid = InvalidCode { prefix: self.prefix };
        let encoded = text.strip_prefix(self.prefix).ok_or(invalid)?;
        let bytes = Zeroizing::new(base64url::decode(encoded).map_err(|_| invalid)?);
        let (secret, checksum) = bytes.split_at_checked(16).ok_or(invalid)?;
        if checksum != self.checksum(secret) {
            return Err(invalid);
        }
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn checksum(&self, secret: &[u8]) -> [u8; Self::CHECKSUM_LEN] {
        let digest = sha256(&[self.kind, secret]);
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

macro_rules! one_time_code {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        pub struct $name(Zeroizing<String>);

        impl $name {
            const FORM: CodeForm = CodeForm { prefix: $prefix, kind: $kind };

            /// A fresh code.
            pub fn generate(random: &dyn Random) -> Self {
                Self(Self::FORM.generate(random))
            }

            /// Reads a code as somebody typed it.
            ///
            /// # Errors
            /// When the text is not a code that this product could have made.
            pub fn parse(text: &str) -> Result<Self, InvalidCode> {
                Self::FORM.parse(text).map(Self)
            }

            /// The code, to be shown once to whoever passes it on.
            pub fn reveal(&self) -> &str {
                &self.0
            }

            /// The stored hash of the code.
            pub fn hash(&self) -> CodeHash {
                CodeHash(sha256(&[self.0.as_bytes()]))
            }
        }
    };
}

one_time_code! {
    /// A one-time code with which somebody registers: `csi_` and 27 characters.
    EnrolmentCode, "csi_", b"countersign enrolment code"
}

one_time_code! {
    /// A one-time code with which somebody gets back into an account: `csr_` and 27 characters.
    RecoveryCode, "csr_", b"countersign recovery code"
}

/// A secret that registers one account together with its name: 8 to 128 characters.
///
/// It can be neither printed nor cloned.
pub struct OneTimePassword(Zeroizing<String>);

impl OneTimePassword {
    /// The characters of new codes: letters and digits that are not easily confused.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// A fresh one: 15 characters, 75 random bits.
    pub fn generate(random: &dyn Random) -> Self {
        let bytes = Zeroizing::new(random_bytes::<15>(random));
        let characters =
            bytes.iter().map(|byte| char::from(Self::ALPHABET[usize::from(byte % 32)]));
        Self(Zeroizing::new(characters.collect()))
    }

    /// A password from somebody else.
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

/// Not a code of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not such a code: it begins with {prefix} and must be copied whole")]
pub struct InvalidCode {
    /// How codes of that kind begin.
    prefix: &'static str,
}

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

    #[test]
    fn a_code_of_one_kind_is_none_of_the_other() {
        let (enrolment, recovery) =
            (EnrolmentCode::generate(&Counting), RecoveryCode::generate(&Counting));
        assert!(RecoveryCode::parse(recovery.reveal()).is_ok());
        assert!(EnrolmentCode::parse(recovery.reveal()).is_err());
        assert!(EnrolmentCode::parse(&recovery.reveal().replace("csr_", "csi_")).is_err());
        assert!(RecoveryCode::parse(&enrolment.reveal().replace("csi_", "csr_")).is_err());
    }
}
