//! The kinds of problem: name, status and title of each.

use countersign_protocol::problem;
use http::StatusCode;

macro_rules! problem_types {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// The kinds of problem. Their names are part of the API: clients compare them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum ProblemType { $($(#[$doc])* $kind,)+ }

        impl ProblemType {
            /// Every kind, in the order of their names.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),+];

            const fn facts(self) -> (&'static str, StatusCode, &'static str) {
                match self { $(Self::$kind => ($name, StatusCode::$status, $title),)+ }
            }
        }
    };
}

problem_types! {
    /// The server does not let new accounts in, or not without a code.
    EnrolmentClosed = "enrolment-closed", FORBIDDEN, "New accounts need an invitation here.";
    /// The enrolment code is unknown, used or expired.
    EnrolmentCode = "enrolment-code", FORBIDDEN, "The enrolment code is not valid.";
    /// The principal may not do this: the token lacks a scope.
    Forbidden = "forbidden", FORBIDDEN, "This is not allowed.";
    /// The server failed.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The server failed.";
    /// The body is not the JSON that it must be.
    InvalidJson = "invalid-json", BAD_REQUEST, "The JSON is not valid.";
    /// The public key cannot be read, is too weak or is of a kind that is not supported.
    InvalidKey = "invalid-key", BAD_REQUEST, "The key cannot be used.";
    /// The keyring breaks a rule of its form, or a slot of it is not the account's.
    InvalidKeyring = "invalid-keyring", BAD_REQUEST, "The keyring cannot be stored.";
    /// The proof of possession does not hold.
    InvalidProof = "invalid-proof", BAD_REQUEST, "The proof of possession does not hold.";
    /// The request lacks something or contradicts itself.
    InvalidRequest = "invalid-request", BAD_REQUEST, "The request is not valid.";
    /// The username has characters or a length that usernames must not have.
    InvalidUsername = "invalid-username", BAD_REQUEST, "The username is not valid.";
    /// The account has as many keys as it may have.
    KeyLimit = "key-limit", CONFLICT, "The account has too many keys.";
    /// The key belongs to an account already.
    KeyTaken = "key-taken", CONFLICT, "The key is registered already.";
    /// The online keyring is another one than the request is about.
    KeyringChanged = "keyring-changed", PRECONDITION_FAILED, "The keyring has changed.";
    /// The password or recovery code is wrong, or that login is over.
    KeyringNotOpened = "keyring-not-opened", UNAUTHORIZED, "The keyring was not opened.";
    /// The last key of an account cannot be revoked by itself.
    LastKey = "last-key", CONFLICT, "The last key cannot be revoked.";
    /// The resource exists, but not for this method.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here.";
    /// The request names another host than this server.
    MisdirectedRequest = "misdirected-request", MISDIRECTED_REQUEST, "The request is not for this server.";
    /// The account has no online keyring.
    NoKeyring = "no-keyring", NOT_FOUND, "There is no online keyring.";
    /// The proof must carry the nonce that came with this answer (RFC 9449 §8).
    NonceRequired = "nonce-required", BAD_REQUEST, "The proof must carry the server's nonce.";
    /// There is no such resource.
    NotFound = "not-found", NOT_FOUND, "There is nothing here.";
    /// The request means another account than the one whose key has signed it.
    OtherAccount = "other-account", CONFLICT, "The request is meant for another account.";
    /// The server has more requests at once than it takes.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "The server is busy; try again.";
    /// The body is larger than the server takes.
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large.";
    /// The request must say which version of the resource it is about.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "The request must say which version it is about.";
    /// This client has sent too many requests.
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests; wait a while.";
    /// The recovery code is unknown, used or expired, or not for that account.
    RecoveryCode = "recovery-code", FORBIDDEN, "The recovery code is not valid.";
    /// The client took too long to send the body.
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The body took too long to arrive.";
    /// The proof is good enough to act for the account, but not to change its keys, or to read what is
    /// written down about it.
    StepUpNeeded = "step-up-needed", FORBIDDEN, "This needs a signature by a key of the account over the whole request.";
    /// The server took too long.
    Timeout = "timeout", SERVICE_UNAVAILABLE, "The server took too long.";
    /// The request says nothing about who makes it, or what it says does not hold.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "The request must prove who makes it.";
    /// A part that the server needs does not answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The server cannot do this now.";
    /// The body is coded for its way in another manner than `chunked`.
    UnknownTransferCoding = "unknown-transfer-coding", NOT_IMPLEMENTED, "The transfer coding is not supported.";
    /// The body's media type is not one that the resource takes.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The media type is not supported.";
    /// Another account has this username.
    UsernameTaken = "username-taken", CONFLICT, "The username is taken.";
}

impl ProblemType {
    /// The last part of the URI; also the reason in the metrics.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().0
    }

    /// The `type` member.
    pub(crate) fn uri(self) -> String {
        problem::type_uri(self.name())
    }

    /// The `title` member: a sentence for people, the same for every occurrence.
    pub(crate) const fn title(self) -> &'static str {
        self.facts().2
    }

    /// The HTTP status.
    pub(crate) const fn status(self) -> StatusCode {
        self.facts().1
    }
}
