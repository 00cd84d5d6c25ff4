//! Which self-signed JWTs count.

use std::{sync::Arc, time::Duration};

use countersign_protocol::proofs::body_hash::BodyHashes;

use super::across_restarts::AcrossRestarts;
use crate::ports::AccountKeys;

/// All that is needed to verify self-signed JWTs.
#[derive(Clone)]
pub struct SelfSignedProofs {
    /// What is demanded of them.
    pub policy: SelfSignedPolicy,
    /// The keys that may sign them.
    pub keys: Arc<dyn AccountKeys>,
    /// Set if the guard's replay log can forget.
    pub across_restarts: Option<AcrossRestarts>,
}

/// What is demanded of self-signed JWTs.
#[expect(clippy::struct_excessive_bools, reason = "independent demands")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfSignedPolicy {
    /// The longest life of a JWT, from its `iat` on, or from now on if it has none.
    pub max_lifetime: Duration,
    /// Whether `aud` must be there. A JWT without it works at every server that knows the key.
    pub require_audience: bool,
    /// Whether `tha`, the hash of the body, must be there.
    pub require_body_hash: bool,
    /// Which hashes count as `tha`, for accounts that may use them: see
    /// [`AccountKey::body_hashes`](crate::ports::AccountKey::body_hashes).
    pub body_hashes: BodyHashes,
    /// The largest body that is read to be hashed, in bytes.
    pub max_hashed_body: usize,
    /// How often one may be used.
    pub reuse: Reuse,
    /// Whether the `kid` of a JWT, or the member `source` of a JSON body, may name the account of
    /// a JWT that does not name one itself.
    pub other_names: bool,
    /// Whether the body must be a JSON object whose member `source` names the account that signed
    /// it, so that code that acts on `source` need not compare the two. Only with
    /// [`Self::require_body_hash`]: a body without a hash may be somebody else's.
    pub source_is_signer: bool,
}

impl Default for SelfSignedPolicy {
    fn default() -> Self {
        Self {
            max_lifetime: Duration::from_mins(5),
            require_audience: false,
            require_body_hash: false,
            body_hashes: BodyHashes::Sha256,
            max_hashed_body: 64 * 1024,
            reuse: Reuse::Once,
            other_names: false,
            source_is_signer: false,
        }
    }
}

/// How often a self-signed JWT may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Once.
    Once,
    /// Any number of times until it expires, also by anybody who sees it on its way.
    UntilExpiry,
}
