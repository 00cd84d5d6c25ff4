//! Invitations.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::AuditEvent,
    invitation::{CodeHash, Invitation},
};

/// Invitations.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Keeps a new invitation.
    async fn create_invitation(
        &self,
        invitation: &Invitation,
        event: AuditEvent,
    ) -> Result<(), StoreError>;

    /// Keeps new invitations, all of them or none.
    async fn create_invitations(
        &self,
        invitations: &[(Invitation, AuditEvent)],
    ) -> Result<(), StoreError>;

    /// The invitation of that hash, used or not.
    async fn invitation(&self, code_hash: &CodeHash) -> Result<Option<Invitation>, StoreError>;

    /// Invitations, newest first, at most `limit`.
    async fn invitations(&self, limit: u32) -> Result<Vec<Invitation>, StoreError>;

    /// Removes an unused invitation. `false` when there is none.
    async fn withdraw_invitation(
        &self,
        code_hash: &CodeHash,
        event: AuditEvent,
    ) -> Result<bool, StoreError>;
}
