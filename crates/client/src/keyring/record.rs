//! The form in which entries are written.

use countersign_protocol::UnixTime;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::token::{AccessToken, SavedToken};

/// An entry as it is written, only ever encrypted.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account_id: Option<String>,
    /// PKCS#8 DER in base64.
    pub(super) client_side_private_key: Zeroizing<String>,
    /// SPKI DER in base64.
    pub(super) client_side_public_key: String,
    /// SPKI DER in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server_side_public_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jwt_token: Option<Zeroizing<String>>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jwt_token_expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dpop_nonces: Vec<SeenNonce>,
    /// The scopes that were asked for with the token; none for all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked_scope: Option<String>,
    /// The oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) resource_tokens: Vec<ResourceToken>,
    /// Seconds since 1970.
    pub(super) created_at: u64,
}

/// A token for a resource server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResourceToken {
    pub(super) resource: String,
    pub(super) jwt_token: Zeroizing<String>,
    /// Seconds since 1970.
    pub(super) jwt_token_expires_at: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) dpop_nonces: Vec<SeenNonce>,
    /// The scopes that were asked for with the token; none for all scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked_scope: Option<String>,
}

impl ResourceToken {
    pub(super) fn to_saved(&self) -> Option<SavedToken> {
        Some(SavedToken {
            token: AccessToken::new(self.jwt_token.to_string()).ok()?,
            expires_at: UnixTime::from_secs(self.jwt_token_expires_at),
            nonces: to_pairs(&self.dpop_nonces),
            resource: Some(self.resource.clone()),
            scope: self.asked_scope.clone(),
        })
    }
}

/// A nonce, and the server that it is of.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenNonce {
    pub(super) origin: String,
    pub(super) nonce: String,
}

pub(super) fn to_pairs(seen: &[SeenNonce]) -> Vec<(String, String)> {
    seen.iter().map(|seen| (seen.origin.clone(), seen.nonce.clone())).collect()
}

pub(super) fn to_seen(pairs: &[(String, String)]) -> Vec<SeenNonce> {
    let seen = |(origin, nonce): &(String, String)| SeenNonce {
        origin: origin.clone(),
        nonce: nonce.clone(),
    };
    pairs.iter().map(seen).collect()
}
