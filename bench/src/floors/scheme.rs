//! How a floor verifies, by the name with which it is told.

/// How a floor verifies.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Ed25519,
    Es256,
    /// With a salt as long as the digest.
    Ps256,
    /// With a salt of the greatest length.
    Ps256MaxSalt,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::Ps256MaxSalt => "PS256-max",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Ed25519, Self::Es256, Self::Ps256, Self::Ps256MaxSalt];
        all.into_iter().find(|scheme| scheme.name() == name)
    }
}
