//! The guard in front of protected resources: it turns a request with a token and a proof into a
//! [`Principal`](countersign_protocol::Principal) or a refusal, and never falls open.
//!
//! ```text
//! headers → Presented → verify token → standing → verify proof → replay log → Principal
//! ```
//!
//! [`Guard::verify`] is the only path. [`GuardLayer`] puts it in front of a tower service. The
//! guard gets keys, standing and a replay log through [`ports`].

mod answer;
mod case;
mod challenge;
mod guard;
mod layer;
mod memory_start;
mod metadata;
mod policy;
pub mod ports;
mod presented;
mod proofs;
mod refusal;
mod request;
mod requirements;
mod schemes;

pub use crate::guard::Guard;
pub use crate::layer::{GuardLayer, GuardService, LetIn};
pub use crate::metadata::{METADATA_PATH, metadata_path};
pub use crate::policy::GuardPolicy;
pub use crate::ports::GuardPorts;
pub use crate::proofs::Proofs;
pub use crate::refusal::audit::AuditKind;
pub use crate::refusal::{BodyError, Challenge, Refusal, Refused, SignedMessageError, Signer};
pub use crate::request::{Accepted, ClientAddress, Request};
pub use crate::requirements::{InsufficientLogin, LoginLack, LoginRequirements, Requirements};
pub use crate::schemes::self_signed::{AcrossRestarts, Reuse, SelfSignedPolicy, SelfSignedProofs};
pub use crate::schemes::signed_message::add_session_nonce;
