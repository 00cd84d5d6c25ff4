//! The kinds of credential, and what each of them may do.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where the private key of a credential is, which decides what the credential may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// In a file, an agent or a program of the owner.
    Key,
    /// In a browser, which uses it for the pages of this server and cannot give it away.
    Browser,
    /// In a page that logs in mutually, and by nothing else.
    Mutual,
    /// In an authenticator, which signs nothing but the answers of `WebAuthn`.
    Passkey,
}

/// Something that a signature of a credential can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sign a `WebAuthn` assertion.
    AnswerWebauthn,
    /// Let another key in, by a key approval.
    ApproveKeys,
    /// Authenticate a client of the token endpoint, by `client_assertion` (RFC 7523 §2.2).
    AuthenticateClient,
    /// Log in, by an assertion (RFC 7523 §2.1), for a token that is bound to the key itself.
    LogIn,
    /// Log in by a proposal of mutual challenge and response.
    LogInMutually,
    /// Prove a request, by a DPoP proof (RFC 9449).
    ProveRequests,
    /// Sign JWTs or messages of its own, which work without a token. Resource servers read the
    /// keys that may do so in the JWK Set of the account.
    SignByItself,
    /// Log in for a token that is bound to another key.
    VouchForKeys,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Key, Self::Browser, Self::Mutual, Self::Passkey];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Browser => "browser",
            Self::Mutual => "mutual",
            Self::Passkey => "passkey",
        }
    }

    /// Whether a credential of this kind may do `act`.
    ///
    /// A page that runs a stranger's script can have its browser's key sign anything. So nothing that
    /// this key signs may be of use later, elsewhere or to another key: it logs in for itself and
    /// proves requests, each with a nonce of this server. The same holds for a key that a page keeps for
    /// the mutual login: it answers numbers of this server, each of which counts once, for a minute.
    pub const fn may(self, act: Act) -> bool {
        match (self, act) {
            (
                Self::Key,
                Act::ApproveKeys
                | Act::AuthenticateClient
                | Act::LogIn
                | Act::LogInMutually
                | Act::ProveRequests
                | Act::SignByItself
                | Act::VouchForKeys,
            )
            | (Self::Browser, Act::LogIn | Act::ProveRequests)
            | (Self::Mutual, Act::LogInMutually | Act::ProveRequests)
            | (Self::Passkey, Act::AnswerWebauthn) => true,
            (Self::Key, Act::AnswerWebauthn)
            | (
                Self::Browser,
                Act::AnswerWebauthn
                | Act::ApproveKeys
                | Act::AuthenticateClient
                | Act::LogInMutually
                | Act::SignByItself
                | Act::VouchForKeys,
            )
            | (
                Self::Mutual,
                Act::AnswerWebauthn
                | Act::ApproveKeys
                | Act::AuthenticateClient
                | Act::LogIn
                | Act::SignByItself
                | Act::VouchForKeys,
            )
            | (
                Self::Passkey,
                Act::ApproveKeys
                | Act::AuthenticateClient
                | Act::LogIn
                | Act::LogInMutually
                | Act::ProveRequests
                | Act::SignByItself
                | Act::VouchForKeys,
            ) => false,
        }
    }

    /// The same as a result.
    ///
    /// # Errors
    /// When a credential of this kind may not do `act`.
    pub fn check(self, act: Act) -> Result<(), NotForThisKind> {
        self.may(act).then_some(()).ok_or(NotForThisKind { kind: self, act })
    }
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 8] = [
        Self::AnswerWebauthn,
        Self::ApproveKeys,
        Self::AuthenticateClient,
        Self::LogIn,
        Self::LogInMutually,
        Self::ProveRequests,
        Self::SignByItself,
        Self::VouchForKeys,
    ];

    const fn words(self) -> &'static str {
        match self {
            Self::AnswerWebauthn => "sign WebAuthn assertions",
            Self::ApproveKeys => "approve of other keys",
            Self::AuthenticateClient => "authenticate a client",
            Self::LogIn => "sign assertions",
            Self::LogInMutually => "answer mutual challenges",
            Self::ProveRequests => "sign DPoP proofs",
            Self::SignByItself => "sign JWTs or messages of its own",
            Self::VouchForKeys => "vouch for another key in cnf",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CredentialKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// Not a kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a credential is one of key, browser, mutual, passkey")]
pub struct UnknownKind;

/// A signature does something that its credential may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a credential of the kind {kind} may not {}", .act.words())]
pub struct NotForThisKind {
    /// The kind of the credential.
    pub kind: CredentialKind,
    /// The act.
    pub act: Act,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_may_do_what_the_table_says_and_no_more() {
        let allowed = |kind: CredentialKind| {
            Act::ALL.into_iter().filter(|act| kind.may(*act)).collect::<Vec<_>>()
        };
        let key = [
            Act::ApproveKeys,
            Act::AuthenticateClient,
            Act::LogIn,
            Act::LogInMutually,
            Act::ProveRequests,
            Act::SignByItself,
            Act::VouchForKeys,
        ];
        assert_eq!(allowed(CredentialKind::Key), key);
        assert_eq!(allowed(CredentialKind::Browser), [Act::LogIn, Act::ProveRequests]);
        assert_eq!(allowed(CredentialKind::Mutual), [Act::LogInMutually, Act::ProveRequests]);
        assert_eq!(allowed(CredentialKind::Passkey), [Act::AnswerWebauthn]);
    }

    #[test]
    fn every_kind_has_a_name_that_reads_back() {
        for kind in CredentialKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("Browser".parse::<CredentialKind>(), Err(UnknownKind));
    }

    #[test]
    fn a_refusal_names_the_kind_and_the_act() {
        let refused = CredentialKind::Browser.check(Act::ApproveKeys).unwrap_err();
        let text = "a credential of the kind browser may not approve of other keys";
        assert_eq!(refused.to_string(), text);
    }
}
