//! What can be done.

/// A thing that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    WhoAmI,
    ListKeys,
    Events,
    AddKey,
    RenameKey,
    RevokeKey,
    LogIn,
    Introspect,
    RevokeToken,
    LogOut,
}

impl Operation {
    /// All of them; those that end a token last.
    pub(super) const ALL: [Self; 10] = [
        Self::WhoAmI,
        Self::ListKeys,
        Self::Events,
        Self::AddKey,
        Self::RenameKey,
        Self::RevokeKey,
        Self::LogIn,
        Self::Introspect,
        Self::RevokeToken,
        Self::LogOut,
    ];

    /// Those that change the keys of the account.
    pub(super) const ON_KEYS: &[Self] = &[Self::AddKey, Self::RenameKey, Self::RevokeKey];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WhoAmI => "who am I",
            Self::ListKeys => "list keys",
            Self::Events => "events",
            Self::AddKey => "add a key",
            Self::RenameKey => "rename a key",
            Self::RevokeKey => "revoke a key",
            Self::LogIn => "get a token",
            Self::Introspect => "introspect",
            Self::RevokeToken => "revoke the token",
            Self::LogOut => "log out",
        }
    }

    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::WhoAmI | Self::ListKeys | Self::Events => "GET",
            Self::AddKey | Self::LogIn | Self::Introspect | Self::RevokeToken | Self::LogOut => {
                "POST"
            }
            Self::RenameKey => "PATCH",
            Self::RevokeKey => "DELETE",
        }
    }

    /// The path; for operations on a key that is there already, the key's.
    pub(super) fn path(self, key: &str) -> String {
        match self {
            Self::WhoAmI => "/v1/whoami".to_owned(),
            Self::ListKeys | Self::AddKey => "/v1/keys".to_owned(),
            Self::Events => "/v1/events".to_owned(),
            Self::RenameKey | Self::RevokeKey => format!("/v1/keys/{key}"),
            Self::LogIn => "/oauth/token".to_owned(),
            Self::Introspect => "/oauth/introspect".to_owned(),
            Self::RevokeToken => "/oauth/revoke".to_owned(),
            Self::LogOut => "/logout".to_owned(),
        }
    }
}
