//! What a guard demands of tokens and proofs.

use std::time::Duration;

use countersign_protocol::{
    keys::KeyPolicy,
    proofs::{dpop::ProofWindow, target_uri::TargetUri},
};

use crate::requirements::LoginRequirements;

/// What a guard demands of tokens and proofs.
#[derive(Clone, Debug)]
pub struct GuardPolicy {
    /// The `iss` of acceptable tokens.
    pub issuer: String,
    /// The `aud` that acceptable tokens name.
    pub audience: String,
    /// Scheme and authority under which clients reach the resource. It is configured, because the
    /// sender chooses `Host` and `X-Forwarded-*`.
    pub origin: TargetUri,
    /// The URL of the resource's metadata (RFC 9728), which challenges name.
    pub metadata_url: Option<String>,
    /// How far the clocks of issuer and resource may be apart.
    pub skew: Duration,
    /// How old and how far ahead a proof may be.
    pub proof_window: ProofWindow,
    /// How every principal must have logged in.
    pub login: LoginRequirements,
    /// Which keys may sign proofs.
    pub keys: KeyPolicy,
    /// How many verified tokens, and how many parsed keys, are remembered.
    pub cache_capacity: usize,
}

impl GuardPolicy {
    /// The usual policy for resources at `origin`, which accept tokens of `issuer` for `audience`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, origin: TargetUri) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            origin,
            metadata_url: None,
            skew: Duration::from_secs(5),
            proof_window: ProofWindow::default(),
            login: LoginRequirements::NONE,
            keys: KeyPolicy::default(),
            cache_capacity: 10_000,
        }
    }
}
