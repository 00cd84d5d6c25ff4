//! What a restore brings back into force.

use std::collections::{BTreeMap, HashSet};

use countersign_authority::{
    model::{
        account::{AccountName, AccountStatus},
        audit::{AuditEvent, AuditFilter, EventKind},
        key_life::KeyState,
    },
    ports::Ports,
};
use countersign_protocol::UnixTime;

use super::{super::database::open, rehearsal::Opened};
use crate::{config::Settings, time::to_rfc3339};

/// How many events are read at once to find out what a restore revives.
const PAGE: u32 = 1000;
/// How many keys of one account are named.
const MAX_NAMED_OF_ACCOUNT: usize = 5;

/// What is in force again, in words.
#[derive(Default)]
pub(super) struct Revived {
    /// Keys, accounts and signing keys, which an administrator can shut out again.
    pub(super) keys_and_accounts: Vec<String>,
    /// Online keyrings that open again in ways in which they do not open now.
    pub(super) keyrings: Vec<String>,
}

/// What was in force when the backup was made and is not so any more. Fails when the present database
/// cannot be read, which may be the reason for the restore.
pub(super) async fn revived(settings: &Settings, opened: &Opened) -> anyhow::Result<Revived> {
    let (present, copy) = (&open(settings)?.ports, &opened.database.ports);
    let keys_and_accounts = revived_keys_and_accounts(present, copy, opened.newest).await?;
    let keyrings = revived_keyrings(present, copy, opened.newest).await?;
    Ok(Revived { keys_and_accounts, keyrings })
}

/// The signing keys that were withdrawn, the accounts that were disabled and the keys that were revoked after
/// the backup was made and are so still. What anybody can cause comes last, the accounts with the fewest keys
/// first, and of each account only some keys: what matters is not hidden among what a stranger has revoked.
async fn revived_keys_and_accounts(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let mut revived = revived_signing_keys(present, copy, newest).await?;
    revived.extend(revived_accounts(present, copy, newest).await?);
    let mut of_accounts: Vec<_> = revived_keys(present, copy, newest).await?.into_iter().collect();
    of_accounts.sort_by_key(|(_, keys)| keys.len());
    for (username, mut keys) in of_accounts {
        let more = keys.len().saturating_sub(MAX_NAMED_OF_ACCOUNT);
        keys.truncate(MAX_NAMED_OF_ACCOUNT);
        revived.extend(keys);
        if more > 0 {
            revived.push(format!("{more} more keys of {username}"));
        }
    }
    Ok(revived)
}

async fn revived_accounts(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let mut revived = Vec::new();
    let mut seen = HashSet::new();
    for event in all_since(present, newest, EventKind::AccountDisabled).await? {
        let Some(id) = event.account_id.filter(|id| seen.insert(*id)).map(AccountName::Id) else {
            continue;
        };
        // An account that was enabled again is not shut out at present either.
        let is_enabled = present
            .store
            .account(&id)
            .await?
            .is_some_and(|account| account.status == AccountStatus::Active);
        if !is_enabled
            && let Some(account) = copy.store.account(&id).await?
            && account.status == AccountStatus::Active
        {
            let at = to_rfc3339(event.at);
            revived.push(format!("account {}, disabled at {at}", account.username));
        }
    }
    Ok(revived)
}

/// By the names of their accounts.
async fn revived_keys(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut revived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in all_since(present, newest, EventKind::KeyRevoked).await? {
        let Some(thumbprint) = event.thumbprint else { continue };
        if let Some((key, account)) = copy.store.credential(&thumbprint).await?
            && key.revoked_at.is_none()
        {
            let (username, at) = (account.username.to_string(), to_rfc3339(event.at));
            let line = format!("key {thumbprint} of {username}, revoked at {at}");
            revived.entry(username).or_default().push(line);
        }
    }
    Ok(revived)
}

/// The online keyrings that a password, a recovery code or a passkey opens again that does not open them
/// now, because they were stored anew or deleted.
async fn revived_keyrings(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let mut revived = Vec::new();
    let mut seen = HashSet::new();
    for (kind, done) in
        [(EventKind::KeyringDeleted, "deleted"), (EventKind::KeyringStored, "stored anew")]
    {
        for event in all_since(present, newest, kind).await? {
            let Some(id) = event.account_id.filter(|id| seen.insert(*id)) else { continue };
            let Some(then) = copy.store.keyring(id).await? else { continue };
            let now = present.store.keyring(id).await?;
            let slots = now.iter().flat_map(|now| &now.slots).map(|known| &known.slot);
            let slots: Vec<_> = slots.collect();
            if then.slots.iter().all(|known| slots.contains(&&known.slot)) {
                continue;
            }
            if let Some(account) = copy.store.account(&AccountName::Id(id)).await? {
                let at = to_rfc3339(event.at);
                revived.push(format!("online keyring of {}, {done} at {at}", account.username));
            }
        }
    }
    Ok(revived)
}

/// The events of that kind since the backup, newest first.
async fn all_since(
    present: &Ports,
    newest: UnixTime,
    kind: EventKind,
) -> anyhow::Result<Vec<AuditEvent>> {
    let (kinds, since) = (vec![kind], Some(newest));
    let mut filter = AuditFilter { kinds, since, ..AuditFilter::default() };
    let mut all = Vec::new();
    loop {
        let page = present.store.events(&filter, PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        filter.before = Some(last.id);
        all.extend(page.into_iter().map(|recorded| recorded.event));
    }
}

/// The withdrawn signing keys that work again.
async fn revived_signing_keys(
    present: &Ports,
    copy: &Ports,
    newest: UnixTime,
) -> anyhow::Result<Vec<String>> {
    let now = copy.clock.now();
    let known = present.store.signing_keys().await?.keys;
    let removed = all_since(present, newest, EventKind::SigningKeyRemoved).await?;
    let mut revived = Vec::new();
    for key in copy.store.signing_keys().await?.keys {
        let gone_at = match known.iter().find(|known| known.kid == key.kid) {
            Some(known) => {
                (known.life.state(now) == KeyState::Gone).then_some(known.life.expires_at)
            }
            None => removed
                .iter()
                .find(|removed| removed.thumbprint == Some(key.kid))
                .map(|removed| removed.at),
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
