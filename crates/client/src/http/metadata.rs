//! What a server says about itself (RFC 8414).

use countersign_protocol::wire;
use serde::Deserialize;

use super::error::ClientError;
use super::message::Message;
use super::target::Target;
use super::transport::{MAX_API_ANSWER, Transport};

/// The grant by which a key logs in (RFC 7523 §2.1).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The metadata of an authorization server that is fit to log in to.
#[derive(Debug)]
pub struct Metadata {
    pub(super) issuer: String,
    pub(super) token_endpoint: Target,
    pub(super) revocation_endpoint: Option<Target>,
    jwks_uri: Option<Target>,
    introspection_endpoint: Option<Target>,
    revocations_uri: Option<Target>,
    proof_algorithms: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
    countersign_revocations_uri: Option<String>,
    grant_types_supported: Option<Vec<String>>,
    dpop_signing_alg_values_supported: Option<Vec<String>>,
}

impl Metadata {
    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where tokens are issued.
    pub fn token_endpoint(&self) -> &str {
        self.token_endpoint.url().as_str()
    }

    /// Where tokens are revoked, if anywhere.
    pub fn revocation_endpoint(&self) -> Option<&str> {
        self.revocation_endpoint.as_ref().map(|target| target.url().as_str())
    }

    /// Where the keys are published that sign tokens, if the server says so.
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri.as_ref().map(|target| target.url().as_str())
    }

    /// Where tokens are introspected (RFC 7662), if anywhere.
    pub fn introspection_endpoint(&self) -> Option<&str> {
        self.introspection_endpoint.as_ref().map(|target| target.url().as_str())
    }

    /// Where the feed of revocations is, if the server has one.
    pub fn revocations_uri(&self) -> Option<&str> {
        self.revocations_uri.as_ref().map(|target| target.url().as_str())
    }

    /// Reads the metadata of `issuer` and checks that they are about `issuer` (RFC 8414 §3.3).
    ///
    /// # Errors
    /// When the server cannot be reached, is another one, or lacks what clients need.
    pub async fn fetch(transport: &Transport, issuer: &str) -> Result<Self, ClientError> {
        // People type a slash after a bare origin; it is the same address.
        let issuer =
            if is_origin_with_slash(issuer) { &issuer[..issuer.len() - 1] } else { issuer };
        let target = well_known(issuer)?;
        let response = transport.send_to(&target, Message::get(), MAX_API_ANSWER).await?;
        let document: Document = response.into_json(&target).map_err(|error| match error {
            ClientError::UnexpectedAnswer { address, reason } => {
                ClientError::NotAnAuthority { address, reason }
            }
            ClientError::Refused(refusal) if refusal.status.is_client_error() => {
                let address = target.uri().as_str().to_owned();
                ClientError::NotAnAuthority { address, reason: refusal.to_string() }
            }
            other => other,
        })?;
        Self::check(document, issuer, &target)
    }

    fn check(document: Document, asked: &str, asked_at: &Target) -> Result<Self, ClientError> {
        if document.issuer != asked {
            return Err(ClientError::IssuerMismatch {
                asked: asked.to_owned(),
                found: document.issuer,
            });
        }
        let endpoint = |address: &str| {
            let target = Target::parse(address)?;
            // A server that is reached over TLS has no reason to name an address without TLS.
            if target.is_plain() && !asked_at.is_plain() {
                return Err(ClientError::Insecure { origin: target.origin().to_owned() });
            }
            Ok(target)
        };
        let optional = |address: Option<String>| address.as_deref().map(endpoint).transpose();
        let metadata = Self {
            token_endpoint: endpoint(&document.token_endpoint)?,
            revocation_endpoint: optional(document.revocation_endpoint)?,
            jwks_uri: optional(document.jwks_uri)?,
            introspection_endpoint: optional(document.introspection_endpoint)?,
            revocations_uri: optional(document.countersign_revocations_uri)?,
            issuer: document.issuer,
            proof_algorithms: document.dpop_signing_alg_values_supported,
        };
        let grants = document.grant_types_supported;
        if grants.is_some_and(|grants| !grants.iter().any(|grant| grant == JWT_BEARER)) {
            return Err(metadata.lacks("logging in with a key (the JWT bearer grant)"));
        }
        Ok(metadata)
    }

    /// Refuses an algorithm that the server says it does not take for proofs.
    pub(super) fn check_algorithm(&self, name: &str) -> Result<(), ClientError> {
        match &self.proof_algorithms {
            Some(algorithms) if !algorithms.iter().any(|known| known == name) => {
                Err(self.lacks(&format!("keys that sign with {name}")))
            }
            _ => Ok(()),
        }
    }

    /// The address of a part of this product's own API.
    pub(super) fn api(&self, path: &str) -> Result<Target, ClientError> {
        Target::parse(&format!("{}{path}", self.issuer.trim_end_matches('/')))
    }

    pub(super) fn lacks(&self, what: &str) -> ClientError {
        ClientError::Unsupported { issuer: self.issuer.clone(), what: what.to_owned() }
    }
}

fn is_origin_with_slash(issuer: &str) -> bool {
    let authority = issuer.split_once("://").map_or("", |(_, rest)| rest);
    authority.find('/').is_some_and(|at| at + 1 == authority.len())
}

/// The well-known part goes between the host and the path of the issuer (RFC 8414 §3.1). An issuer
/// has neither query nor fragment (§2).
fn well_known(issuer: &str) -> Result<Target, ClientError> {
    let target = Target::parse(issuer)?;
    let url = target.url();
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ClientError::Address { address: issuer.to_owned() });
    }
    let path = target.uri().path().trim_end_matches('/');
    Target::parse(&[target.origin(), wire::path::AUTHORIZATION_SERVER, path].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_part_precedes_the_path() {
        for (issuer, address) in [
            ("https://a", "https://a/.well-known/oauth-authorization-server"),
            ("https://a/t/1", "https://a/.well-known/oauth-authorization-server/t/1"),
            ("https://a:8443/t/", "https://a:8443/.well-known/oauth-authorization-server/t"),
        ] {
            assert_eq!(well_known(issuer).unwrap().url().as_str(), address);
        }
        for bad in ["https://a/?x", "https://a/#x", "https://a?", "a.example"] {
            assert!(well_known(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_slash_after_an_origin_may_be_left_out() {
        assert!(is_origin_with_slash("https://a/"));
        assert!(!is_origin_with_slash("https://a"));
        assert!(!is_origin_with_slash("https://a/b/"));
        assert!(!is_origin_with_slash("a/"));
    }

    fn check(issuer: &str, change: impl FnOnce(&mut Document)) -> Result<Metadata, ClientError> {
        let mut document = Document {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{issuer}/oauth/token"),
            revocation_endpoint: None,
            jwks_uri: None,
            introspection_endpoint: None,
            countersign_revocations_uri: None,
            grant_types_supported: None,
            dpop_signing_alg_values_supported: None,
        };
        change(&mut document);
        Metadata::check(document, issuer, &Target::parse(issuer).unwrap())
    }

    #[test]
    fn what_the_server_lacks_is_known_before_it_is_asked() {
        let grants = |grants: &[&str]| Some(grants.iter().map(ToString::to_string).collect());
        let refused = check("https://a", |document| {
            document.grant_types_supported = grants(&["authorization_code"]);
        });
        assert!(matches!(refused, Err(ClientError::Unsupported { .. })));

        let metadata = check("https://a", |document| {
            document.grant_types_supported = grants(&["x", JWT_BEARER]);
            document.dpop_signing_alg_values_supported = grants(&["ES256"]);
        });
        let metadata = metadata.unwrap();
        assert!(metadata.check_algorithm("ES256").is_ok());
        let refused = metadata.check_algorithm("EdDSA").unwrap_err();
        assert_eq!(refused.to_string(), "https://a does not support keys that sign with EdDSA");
        assert!(check("https://a", |_| ()).unwrap().check_algorithm("EdDSA").is_ok());
    }

    #[test]
    fn a_secure_server_cannot_lead_to_insecure_endpoints() {
        for endpoint in ["http://a/token", "http://127.0.0.1/token"] {
            let refused = check("https://a", |d| endpoint.clone_into(&mut d.token_endpoint));
            assert!(matches!(refused, Err(ClientError::Insecure { .. })), "{endpoint}");
            let refused = check("https://a", |d| d.revocation_endpoint = Some(endpoint.to_owned()));
            assert!(matches!(refused, Err(ClientError::Insecure { .. })), "{endpoint}");
        }
        assert!(check("http://127.0.0.1:8080", |_| ()).is_ok());
    }
}
