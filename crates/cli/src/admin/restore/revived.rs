//! What a restore brings back into force.

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::{AuditFilter, EventKind, RecordedEvent},
        key_life::KeyState,
    },
    ports::Ports,
};
use countersign_protocol::UnixTime;

use super::{super::database::open, rehearsal::Opened};
use crate::{config::Settings, time::to_rfc3339};

/// How many events of one kind are read to find out what a restore revives.
const MAX_LOOKED_AT: u32 = 1000;
/// The keys that were revoked and the accounts that were disabled after the backup was made, in
/// words. Fails when the present database cannot be read, which may be the reason for the restore.
pub(super) async fn revived(settings: &Settings, opened: &Opened) -> anyhow::Result<Vec<String>> {
    let (present, copy) = (&open(settings)?.ports, &opened.data_dir.ports);
    let since = |kind| AuditFilter {
        kind: Some(kind),
        since: Some(opened.newest),
        ..AuditFilter::default()
    };
    let mut revived = Vec::new();
    let revoked = present.store.events(&since(EventKind::KeyRevoked), MAX_LOOKED_AT).await?;
    for RecordedEvent { event, .. } in revoked {
        let Some(thumbprint) = event.thumbprint else { continue };
        if let Some((key, account)) = copy.store.credential(&thumbprint).await?
            && key.revoked_at.is_none()
        {
            let at = to_rfc3339(event.at);
            revived.push(format!("key {thumbprint} of {}, revoked at {at}", account.username));
        }
    }
    let disabled = present.store.events(&since(EventKind::AccountDisabled), MAX_LOOKED_AT).await?;
    for RecordedEvent { event, .. } in disabled {
        let Some(id) = event.account_id.map(AccountName::Id) else { continue };
        if let Some(account) = copy.store.account(&id).await?
            && account.status == AccountStatus::Active
        {
            let at = to_rfc3339(event.at);
            revived.push(format!("account {}, disabled at {at}", account.username));
        }
    }
    revived.extend(revived_signing_keys(present, copy, opened.newest).await?);
    Ok(revived)
}

/// The withdrawn signing keys that work again.
async fn revived_signing_keys(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let now = copy.clock.now();
    let known = present.store.signing_keys().await?;
    let filter = AuditFilter {
        kind: Some(EventKind::SigningKeyRemoved),
        since: Some(newest),
        ..AuditFilter::default()
    };
    let removed = present.store.events(&filter, MAX_LOOKED_AT).await?;
    let mut revived = Vec::new();
    for key in copy.store.signing_keys().await? {
        let gone_at = match known.iter().find(|known| known.kid == key.kid) {
            Some(known) => {
                (known.life.state(now) == KeyState::Gone).then_some(known.life.expires_at)
            }
            None => removed
                .iter()
                .find(|removed| removed.event.thumbprint == Some(key.kid))
                .map(|removed| removed.event.at),
        };
        // A key that has expired in the backup as well does no harm.
        if let Some(at) = gone_at
            && key.life.state(now) != KeyState::Gone
        {
            let at = to_rfc3339(at);
            revived.push(format!("signing key {}, withdrawn at {at}", key.kid));
        }
    }
    Ok(revived)
}
