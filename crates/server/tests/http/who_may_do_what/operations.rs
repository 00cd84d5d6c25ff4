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
    SeeKeyring,
    SeeRevisions,
    OfferSlot,
    ChangeContent,
    StoreKeyring,
    RestoreKeyring,
    DeleteKeyring,
    OpenByPasskey,
}

impl Operation {
    /// Those on an account and its keys; those that end a token last.
    pub(super) const ON_ACCOUNT: &[Self] = &[
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

    /// Those on the online keyring.
    pub(super) const ON_KEYRING: &[Self] = &[
        Self::SeeKeyring,
        Self::SeeRevisions,
        Self::OfferSlot,
        Self::ChangeContent,
        Self::StoreKeyring,
        Self::RestoreKeyring,
        Self::DeleteKeyring,
        Self::OpenByPasskey,
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
            Self::SeeKeyring => "see what it is like",
            Self::SeeRevisions => "list earlier contents",
            Self::OfferSlot => "begin a slot",
            Self::ChangeContent => "change the content",
            Self::StoreKeyring => "store",
            Self::RestoreKeyring => "restore",
            Self::DeleteKeyring => "delete",
            Self::OpenByPasskey => "open by a passkey",
        }
    }

    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::WhoAmI
            | Self::ListKeys
            | Self::Events
            | Self::SeeKeyring
            | Self::SeeRevisions => "GET",
            Self::AddKey
            | Self::LogIn
            | Self::Introspect
            | Self::RevokeToken
            | Self::LogOut
            | Self::OfferSlot
            | Self::RestoreKeyring
            | Self::OpenByPasskey => "POST",
            Self::ChangeContent | Self::StoreKeyring => "PUT",
            Self::RenameKey => "PATCH",
            Self::RevokeKey | Self::DeleteKeyring => "DELETE",
        }
    }

    /// The path; for operations on a key that is there already, the key's, and for those on an earlier
    /// content of the keyring, that content's.
    pub(super) fn path(self, key: &str, revision: u64) -> String {
        match self {
            Self::WhoAmI => "/v1/whoami".to_owned(),
            Self::ListKeys | Self::AddKey => "/v1/keys".to_owned(),
            Self::Events => "/v1/events".to_owned(),
            Self::RenameKey | Self::RevokeKey => format!("/v1/keys/{key}"),
            Self::LogIn => "/oauth/token".to_owned(),
            Self::Introspect => "/oauth/introspect".to_owned(),
            Self::RevokeToken => "/oauth/revoke".to_owned(),
            Self::LogOut => "/logout".to_owned(),
            Self::SeeKeyring | Self::StoreKeyring | Self::DeleteKeyring => "/v1/keyring".to_owned(),
            Self::SeeRevisions => "/v1/keyring/revisions".to_owned(),
            Self::OfferSlot => "/v1/keyring/slots".to_owned(),
            Self::ChangeContent => "/v1/keyring/content".to_owned(),
            Self::RestoreKeyring => format!("/v1/keyring/revisions/{revision}/restore"),
            Self::OpenByPasskey => "/v1/keyring/open/prf".to_owned(),
        }
    }

    /// Whether it says in `If-Match` what it is for.
    pub(super) const fn names_revision(self) -> bool {
        matches!(
            self,
            Self::ChangeContent | Self::StoreKeyring | Self::RestoreKeyring | Self::DeleteKeyring
        )
    }

    /// Whether a passkey may have to allow it.
    pub(super) const fn takes_passkey(self) -> bool {
        matches!(
            self,
            Self::AddKey
                | Self::RenameKey
                | Self::RevokeKey
                | Self::ChangeContent
                | Self::StoreKeyring
                | Self::RestoreKeyring
                | Self::DeleteKeyring
                | Self::OpenByPasskey
        )
    }
}
