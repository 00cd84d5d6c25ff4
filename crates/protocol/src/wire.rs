//! Names on the wire, each spelt in one place: paths, header fields, authorization schemes and kinds of
//! proof.
//!
//! Servers, guards and clients take them from here. They are plain text, since this crate knows no
//! HTTP types. What one dialect alone needs to know is spelt where that dialect lives.

/// Paths of the server's own resources. Those with a part in braces are templates for its router; a
/// function of the same name fills them in.
pub mod path {
    /// What the paths of all OAuth endpoints begin with.
    pub const OAUTH: &str = "/oauth/";
    /// The token endpoint (RFC 6749 §3.2).
    pub const TOKEN: &str = "/oauth/token";
    /// Token introspection (RFC 7662).
    pub const INTROSPECT: &str = "/oauth/introspect";
    /// Token revocation (RFC 7009).
    pub const REVOKE: &str = "/oauth/revoke";

    /// Metadata of the authorization server (RFC 8414 §3).
    pub const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
    /// Metadata of a resource server (RFC 9728 §3).
    pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
    /// The keys that sign access tokens: a JWK Set (RFC 7517 §5).
    pub const JWKS: &str = "/.well-known/jwks.json";

    /// Registration of accounts.
    pub const ACCOUNTS: &str = "/v1/accounts";
    /// The keys of one account, for resource servers.
    pub const ACCOUNT_KEYS: &str = "/v1/accounts/{username}/jwks.json";
    /// Getting back into an account with an administrator's code.
    pub const RECOVER: &str = "/v1/accounts/{username}/recover";
    /// Who the caller is.
    pub const WHOAMI: &str = "/v1/whoami";
    /// The caller's keys.
    pub const KEYS: &str = "/v1/keys";
    /// One of the caller's keys.
    pub const KEY: &str = "/v1/keys/{thumbprint}";
    /// What a page needs to sign in or to register with a passkey.
    pub const PASSKEY_OPTIONS: &str = "/v1/passkeys/options";
    /// What a page needs to make another passkey.
    pub const PASSKEY_OPTIONS_ADD: &str = "/v1/passkeys/options/add";
    /// What a page needs to have a passkey allow a request.
    pub const PASSKEY_OPTIONS_STEP_UP: &str = "/v1/passkeys/options/step-up";
    /// Adding a passkey.
    pub const PASSKEYS: &str = "/v1/passkeys";
    /// The origins whose pages may use the passkeys of this server (WebAuthn §5.11).
    pub const RELATED_ORIGINS: &str = "/.well-known/webauthn";
    /// The caller's online keyring.
    pub const KEYRING: &str = "/v1/keyring";
    /// Where a password or a recovery code for it is registered.
    pub const KEYRING_SLOTS: &str = "/v1/keyring/slots";
    /// Its encrypted entries.
    pub const KEYRING_CONTENT: &str = "/v1/keyring/content";
    /// The contents that it had before.
    pub const KEYRING_REVISIONS: &str = "/v1/keyring/revisions";
    /// Making one of them the present content.
    pub const KEYRING_RESTORE: &str = "/v1/keyring/revisions/{revision}/restore";
    /// Where somebody who knows a password or a recovery code begins to open an online keyring.
    pub const KEYRING_OPEN: &str = "/v1/keyring/open";
    /// Where that ends.
    pub const KEYRING_OPEN_FINISH: &str = "/v1/keyring/open/finish";
    /// Where a passkey opens the caller's online keyring.
    pub const KEYRING_OPEN_PRF: &str = "/v1/keyring/open/prf";
    /// The caller's audit events.
    pub const EVENTS: &str = "/v1/events";
    /// The feed of revocations, for resource servers.
    pub const REVOCATIONS: &str = "/v1/revocations";

    /// Where a reverse proxy asks about a request.
    pub const FORWARD_AUTH: &str = "/forward-auth";
    /// The same with a slash, for a proxy that asks about `/`.
    pub const FORWARD_AUTH_SLASH: &str = "/forward-auth/";
    /// The same followed by the path that a proxy asks about.
    pub const FORWARD_AUTH_BELOW: &str = "/forward-auth/{*path}";
    /// Whether the process lives.
    pub const HEALTH: &str = "/healthz";
    /// Whether the server can do its work.
    pub const READY: &str = "/readyz";
    /// Counters for Prometheus.
    pub const METRICS: &str = "/metrics";
    /// The description of this interface.
    pub const OPENAPI: &str = "/openapi.json";

    /// [`ACCOUNT_KEYS`] of the account that is called `name`, percent-encoded where it must be.
    pub fn account_keys(name: &str) -> String {
        ACCOUNT_KEYS.replace("{username}", name)
    }

    /// [`KEYRING_RESTORE`] with this revision.
    pub fn keyring_restore(revision: u64) -> String {
        KEYRING_RESTORE.replace("{revision}", &revision.to_string())
    }

    /// [`KEY`] with this thumbprint.
    pub fn key(thumbprint: &str) -> String {
        KEY.replace("{thumbprint}", thumbprint)
    }
}

/// Names of header fields, in lower case.
pub mod header {
    /// A proof of possession (RFC 9449 §4.1).
    pub const DPOP: &str = "dpop";
    /// The nonce that the next proof must carry (RFC 9449 §8).
    pub const DPOP_NONCE: &str = "dpop-nonce";
    /// The answer of a passkey that allows this request.
    pub const PASSKEY_ASSERTION: &str = "passkey-assertion";
    /// The signature over a session's nonce and its JWT.
    pub const SIGNED_MESSAGE: &str = "signed-message";
    /// The nonce that the next signed message must carry.
    pub const SESSION_NONCE: &str = "signjwt-nonce";
    /// Which request this is, in logs.
    pub const REQUEST_ID: &str = "x-request-id";
}

/// Schemes of the `Authorization` field. They are compared without regard to case.
pub mod scheme {
    /// A token without a proof (RFC 6750 §2.1).
    pub const BEARER: &str = "Bearer";
    /// A token that is bound to the key of a proof (RFC 9449 §7.1).
    pub const DPOP: &str = "DPoP";
    /// A session with a signature for this request.
    pub const SIGNED_MESSAGE: &str = "SignJWT";
}

/// Names of the kinds of proof, in metadata, answers and logs.
pub mod proof_kind {
    /// A DPoP proof (RFC 9449).
    pub const DPOP: &str = "dpop";
    /// A JWT that the client signed itself.
    pub const SELF_SIGNED: &str = "self-signed";
    /// A session with a signature for this request.
    pub const SIGNED_MESSAGE: &str = "signjwt";
    /// A token without a proof.
    pub const BEARER: &str = "bearer";
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn templates_are_filled_in_whole() {
        assert_eq!(path::account_keys("alice"), "/v1/accounts/alice/jwks.json");
        assert_eq!(path::key("abc"), "/v1/keys/abc");
        assert_eq!(path::keyring_restore(7), "/v1/keyring/revisions/7/restore");
    }
}
