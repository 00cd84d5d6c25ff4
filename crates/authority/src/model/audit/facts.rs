//! The facts of an event, for programs: names and values that never change. A page tells events apart by them,
//! and says them in the language of its reader. The detail of an event says the same in English words.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use countersign_protocol::{ProofKind, keyring_document::SlotKind, wire::proof_kind};
use thiserror::Error;

macro_rules! stable_names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)+ }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

stable_names! {
    /// What a fact is about.
    Fact {
        /// The thumbprint of the passkey that allowed it.
        AllowedBy = "allowed_by",
        /// The thumbprint of the key that did it.
        By = "by",
        /// The change that was tried: a [`ChangeCode`].
        Change = "change",
        /// The beginning of the hash of the invitation's code.
        Invitation = "invitation",
        /// The new name of the key.
        Label = "label",
        /// How somebody got in, or got a key, where no key of the account did it: a [`Means`].
        Means = "means",
        /// The client network.
        Network = "network",
        /// The client network that the key was used from before.
        NetworkBefore = "network_before",
        /// The kind of proof: a [`ProofKind`].
        Proof = "proof",
        /// Why: a [`Reason`].
        Reason = "reason",
        /// The number of the keyring's content.
        Revision = "revision",
        /// The scopes of the account from then on.
        Scopes = "scopes",
        /// What opens the keyring: a [`SlotKind`], or several with spaces between.
        Slots = "slots",
    }
}

stable_names! {
    /// Why something was refused, or came to its end.
    Reason {
        /// The account is disabled.
        AccountDisabled = "account-disabled",
        /// The approval of a new key does not hold.
        Approval = "approval",
        /// The signed login breaks a rule.
        Assertion = "assertion",
        /// The proof does not cover the body.
        BodyUnsigned = "body-unsigned",
        /// The key of a browser is a new one, or one that the account remembers.
        BrowserKey = "browser-key",
        /// The signature counter of the passkey has not grown.
        CounterRegressed = "counter-regressed",
        /// The login with the browser's key is too long ago.
        FreshLogin = "fresh-login",
        /// The key has expired.
        KeyExpired = "key-expired",
        /// The key is revoked.
        KeyRevoked = "key-revoked",
        /// The key has not logged in for long.
        LongUnused = "long-unused",
        /// The key that a page keeps for the mutual login changes no keys.
        MutualKey = "mutual-key",
        /// The token has fewer scopes than the account.
        NarrowedToken = "narrowed-token",
        /// The JWT works at any server.
        NoAudience = "no-audience",
        /// The token came without a proof.
        NoProof = "no-proof",
        /// The scope or the audience that was asked for is not to be had.
        NotAllowed = "not-allowed",
        /// The key is no live key of the account.
        NotLive = "not-live",
        /// The passkey belongs to another account.
        OtherAccount = "other-account",
        /// The proof is for another body.
        OtherBody = "other-body",
        /// The login names another account than the key's.
        OtherClient = "other-client",
        /// The token was used with another key than its own, or the login with one that it does not name.
        OtherKey = "other-key",
        /// The proof is for another request.
        OtherRequest = "other-request",
        /// The proof is for another token.
        OtherToken = "other-token",
        /// A passkey must allow it.
        Passkey = "passkey",
        /// The answer of the passkey does not count.
        PasskeyAnswer = "passkey-answer",
        /// The account has keys, and only its password vouches for this one.
        Password = "password",
        /// A session key is none that is registered.
        SessionKey = "session-key",
        /// The signature of the proof is wrong.
        Signature = "signature",
        /// A signed message covers nothing of the request.
        SignedMessage = proof_kind::SIGNED_MESSAGE,
        /// The passkey can be copied to other devices.
        SyncedPasskey = "synced-passkey",
        /// The token, its key or its account has ended.
        TokenEnded = "token-ended",
        /// The account remembers as many browsers as it may, and this one was used longest ago.
        TooManyBrowsers = "too-many-browsers",
        /// The account has revoked as many keys as it may.
        TooManyRevoked = "too-many-revoked",
        /// The token is bound to no key.
        UnboundToken = "unbound-token",
        /// The request has a body where none belongs.
        UnexpectedBody = "unexpected-body",
        /// The proof covers neither method nor URL.
        UrlUnsigned = "url-unsigned",
        /// It was used before.
        UsedBefore = "used-before",
        /// The visit is over.
        VisitOver = "visit-over",
        /// The key is of a kind that may not do it.
        WrongKind = "wrong-kind",
    }
}

stable_names! {
    /// How somebody got in, or got a key, where no key of the account did it.
    Means {
        /// By a one-time password of an invitation.
        OneTimePassword = "one-time-password",
        /// By the account's password.
        Password = "password",
        /// By a recovery code that an administrator made.
        RecoveryCode = "recovery-code",
        /// Together with the account.
        Registration = "registration",
        /// By a signed message.
        SignedMessage = "signed-message",
        /// Without proof of possession.
        Unproven = "unproven",
    }
}

stable_names! {
    /// The changes that take a step-up.
    ChangeCode {
        /// Adding a key.
        AddKey = "add-key",
        /// Adding a passkey.
        AddPasskey = "add-passkey",
        /// Replacing the content of the online keyring.
        ChangeKeyring = "change-keyring",
        /// Deleting the online keyring.
        DeleteKeyring = "delete-keyring",
        /// Renaming a key.
        RenameKey = "rename-key",
        /// Going back to an earlier content of the online keyring.
        RestoreKeyring = "restore-keyring",
        /// Revoking a key.
        RevokeKey = "revoke-key",
        /// Storing the online keyring.
        StoreKeyring = "store-keyring",
    }
}

impl Fact {
    /// The values of a fact that has a fixed set of them; none where any text may be the value.
    pub fn codes(self) -> Vec<&'static str> {
        fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
            all.iter().copied().map(name).collect()
        }
        match self {
            Self::Change => names(ChangeCode::ALL, ChangeCode::name),
            Self::Means => names(Means::ALL, Means::name),
            Self::Proof => names(&ProofKind::ALL, ProofKind::name),
            Self::Reason => names(Reason::ALL, Reason::name),
            Self::Slots => names(&SlotKind::ALL, SlotKind::name),
            Self::AllowedBy
            | Self::By
            | Self::Invitation
            | Self::Label
            | Self::Network
            | Self::NetworkBefore
            | Self::Revision
            | Self::Scopes => Vec::new(),
        }
    }
}

impl FromStr for Fact {
    type Err = InvalidFacts;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|fact| fact.name() == text).ok_or(InvalidFacts)
    }
}

/// The facts of one event, each at most once. Never a secret.
///
/// As text it is a JSON object whose values are strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<Fact, Cow<'static, str>>);

impl Facts {
    /// No facts.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Adds a fact, in place of an earlier one about the same.
    pub fn set(&mut self, fact: Fact, value: impl Into<Cow<'static, str>>) {
        self.0.insert(fact, value.into());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order of [`Fact::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(fact, value)| (fact.name(), value.as_ref()))
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object: serde_json::Map<_, _> =
            self.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        serde_json::Value::Object(object).fmt(f)
    }
}

impl FromStr for Facts {
    type Err = InvalidFacts;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let object: BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|_| InvalidFacts)?;
        let facts = object.into_iter().map(|(name, value)| Ok((name.parse()?, value.into())));
        Ok(Self(facts.collect::<Result<_, _>>()?))
    }
}

/// Not the facts of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a JSON object of the facts of an audit event")]
pub struct InvalidFacts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_read_back_from_their_text() {
        let mut facts = Facts::NONE;
        assert_eq!(facts.to_string().parse(), Ok(facts.clone()));
        for fact in Fact::ALL {
            facts.set(*fact, format!("\"{}\"\n", fact.name()));
        }
        assert_eq!(facts.to_string().parse(), Ok(facts.clone()));
        assert_eq!(facts.iter().count(), Fact::ALL.len());
    }

    #[test]
    fn what_is_not_known_is_no_fact() {
        for text in ["", "[]", "{\"by\":1}", "{\"odd\":\"x\"}", "null"] {
            assert_eq!(text.parse::<Facts>(), Err(InvalidFacts), "{text}");
        }
    }

    #[test]
    fn each_code_is_there_once() {
        for fact in Fact::ALL {
            let mut codes = fact.codes();
            let all = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), all, "{fact:?}");
        }
    }
}
