//! How an account logged in: when, by which methods, and of which class (RFC 9068 §2.2.1, RFC 9470).

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use thiserror::Error;

use crate::UnixTime;

/// The login that a token comes from. It stays the same for as long as the token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticationContext {
    /// `auth_time`: when the account logged in.
    pub at: UnixTime,
    /// `amr`: what it did to log in.
    pub methods: AuthenticationMethods,
    /// `acr`: the class of the login, if it has one.
    pub class: Option<AuthenticationClass>,
}

impl AuthenticationContext {
    /// A login at `at` by the signature of a registered key.
    pub const fn by_key(at: UnixTime) -> Self {
        let methods = AuthenticationMethods::of(&[AuthenticationMethod::ProofOfPossession]);
        Self { at, methods, class: None }
    }

    /// A login at `at` by a password.
    pub const fn by_password(at: UnixTime) -> Self {
        let methods = AuthenticationMethods::of(&[AuthenticationMethod::Password]);
        Self { at, methods, class: None }
    }

    /// A login at `at` by a passkey that verified its user.
    pub const fn by_passkey(at: UnixTime, storage: PasskeyStorage) -> Self {
        let key = match storage {
            PasskeyStorage::OneDevice => AuthenticationMethod::HardwareKey,
            PasskeyStorage::Synced => AuthenticationMethod::SoftwareKey,
        };
        let methods = AuthenticationMethods::of(&[
            AuthenticationMethod::ProofOfPossession,
            AuthenticationMethod::UserPresence,
            key,
        ]);
        Self { at, methods, class: Some(AuthenticationClass::PhishingResistant) }
    }
}

/// Where the private key of a passkey may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyStorage {
    /// On the one device that made it (not *backup eligible*, in the words of the specification).
    OneDevice,
    /// On every device of its user (*backup eligible*).
    Synced,
}

/// What an account did to log in, by the names of RFC 8176 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationMethod {
    /// It proved possession of a key.
    ProofOfPossession,
    /// It knew a password.
    Password,
    /// Its user was there and did something at the device.
    UserPresence,
    /// The key is kept by hardware.
    HardwareKey,
    /// The key is kept by software.
    SoftwareKey,
}

impl AuthenticationMethod {
    /// All methods, in the order in which tokens list them.
    pub const ALL: [Self; 5] = [
        Self::ProofOfPossession,
        Self::Password,
        Self::UserPresence,
        Self::HardwareKey,
        Self::SoftwareKey,
    ];

    /// The name in `amr`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProofOfPossession => "pop",
            Self::Password => "pwd",
            Self::UserPresence => "user",
            Self::HardwareKey => "hwk",
            Self::SoftwareKey => "swk",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationMethods(u8);

impl AuthenticationMethods {
    /// The set of `methods`.
    pub const fn of(methods: &[AuthenticationMethod]) -> Self {
        let mut bits = 0;
        let mut rest = methods;
        while let [first, others @ ..] = rest {
            bits |= first.bit();
            rest = others;
        }
        Self(bits)
    }

    /// The methods among `names`. Names that are not known here say nothing about the known ones,
    /// so they are passed over.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut bits = 0;
        for name in names {
            let known = AuthenticationMethod::ALL.into_iter().find(|method| method.name() == name);
            bits |= known.map_or(0, AuthenticationMethod::bit);
        }
        Self(bits)
    }

    /// Whether `method` is in the set.
    pub const fn contains(self, method: AuthenticationMethod) -> bool {
        self.0 & method.bit() != 0
    }

    /// Whether the set has no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of [`AuthenticationMethod::ALL`].
    pub fn iter(self) -> impl Iterator<Item = AuthenticationMethod> {
        AuthenticationMethod::ALL.into_iter().filter(move |method| self.contains(*method))
    }

    /// The names of the members.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(AuthenticationMethod::name)
    }
}

impl Serialize for AuthenticationMethods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for name in self.names() {
            list.serialize_element(name)?;
        }
        list.end()
    }
}

/// The class of a login: what it withstands (`acr`, RFC 9470 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthenticationClass {
    /// It cannot be phished, since the browser tells the key which site asks, and the user was
    /// verified. Its name is the one of the EAP ACR values.
    PhishingResistant,
}

impl AuthenticationClass {
    /// All classes.
    pub const ALL: [Self; 1] = [Self::PhishingResistant];

    /// The name in `acr` and `acr_values`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhishingResistant => "phr",
        }
    }
}

impl fmt::Display for AuthenticationClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AuthenticationClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(UnknownClass)
    }
}

impl Serialize for AuthenticationClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A text names no class of logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a class of logins: phr is the only one")]
pub struct UnknownClass;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: UnixTime = UnixTime::from_secs(1_700_000_000);

    #[test]
    fn each_kind_of_login_has_its_methods_and_class() {
        let said = |login: AuthenticationContext| json!([login.methods, login.class]);
        assert_eq!(said(AuthenticationContext::by_key(AT)), json!([["pop"], null]));
        assert_eq!(said(AuthenticationContext::by_password(AT)), json!([["pwd"], null]));
        assert_eq!(
            said(AuthenticationContext::by_passkey(AT, PasskeyStorage::OneDevice)),
            json!([["pop", "user", "hwk"], "phr"])
        );
        assert_eq!(
            said(AuthenticationContext::by_passkey(AT, PasskeyStorage::Synced)),
            json!([["pop", "user", "swk"], "phr"])
        );
    }

    #[test]
    fn methods_survive_their_names_and_unknown_names_are_passed_over() {
        for bits in 0..1 << AuthenticationMethod::ALL.len() {
            let methods = AuthenticationMethods(bits);
            assert_eq!(AuthenticationMethods::from_names(methods.names()), methods);
        }
        let pop = AuthenticationMethods::of(&[AuthenticationMethod::ProofOfPossession]);
        assert_eq!(AuthenticationMethods::from_names(["face", "pop", "POP", "", "pop"]), pop);
    }

    #[test]
    fn classes_are_known_by_exactly_their_names() {
        for class in AuthenticationClass::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        for unknown in ["", "PHR", "phr ", "phrh", "phr phrh"] {
            assert_eq!(unknown.parse::<AuthenticationClass>(), Err(UnknownClass), "{unknown:?}");
        }
    }
}
