//! Online keyrings.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use countersign_authority::{
    model::{
        account::{AccountStatus, Username},
        audit::AuditEvent,
        keyring::{
            KeptRevision, KeyringContent, KeyringDocument, KeyringSummary, Knowledge, Leave,
            Revision,
        },
        keyring_history::Room,
    },
    ports::{
        ChangeKeyringError, DeleteKeyringError, KeyringHolder, KeyringStore, KnowledgeSlot,
        NewContent, NewKeyring, OpenKeyringError, OpenedBy, Permit, RecordLoginError, Replaces,
        Restoration, StoreError, StoreKeyringError,
    },
};
use countersign_protocol::{AccountId, UnixTime};

use super::{
    Alone, Engine, Stored,
    assertions::spend,
    audit,
    error::DbError,
    keyring_growth::bound,
    keyring_history as history,
    keyring_rows::{self as keyrings, Holder},
    permitted::Permitted,
    rows::{self, Columns, keyrings as row, millis},
};

#[async_trait]
impl<E: Engine> KeyringStore for Stored<E> {
    async fn keyring(&self, id: AccountId) -> Result<Option<KeyringSummary>, StoreError> {
        self.read(move |connection| Ok(summary(connection, id)?)).await
    }

    async fn keyring_holder(&self, id: AccountId) -> Result<Option<KeyringHolder>, StoreError> {
        self.read(move |connection| {
            let holder = keyrings::holder(connection, id)?;
            Ok(holder.map(|Holder { registered_at, present, .. }| KeyringHolder {
                registered_at,
                present,
            }))
        })
        .await
    }

    async fn keyring_revisions(
        &self,
        id: AccountId,
    ) -> Result<Option<Vec<KeptRevision>>, StoreError> {
        self.read(move |connection| {
            let holder = keyrings::holder(connection, id)?;
            let Some(Holder { user_id, present: Some(_), .. }) = holder else { return Ok(None) };
            Ok(Some(history::list(connection, user_id)?))
        })
        .await
    }

    async fn knowledge_slot(
        &self,
        name: &Username,
        knowledge: Knowledge,
        now: UnixTime,
    ) -> Result<Option<KnowledgeSlot>, StoreError> {
        let name = name.folded();
        self.read(move |connection| {
            let select = format!(
                "SELECT a.account_id, s.slot_id, s.opaque_user, s.record FROM accounts AS a
                 JOIN keyring_slots AS s ON s.user_id = a.user_id AND s.kind = ?2
                 WHERE a.username_folded = ?1 AND a.status = ?3 AND ({IS_REACHABLE})"
            );
            let kind = knowledge.slot().name();
            let values = (&name, kind, AccountStatus::Active.name(), millis(now));
            Ok(rows::first(connection, &select, values, row::knowledge)?)
        })
        .await
    }

    async fn store_keyring(&self, new: NewKeyring) -> Result<Revision, StoreKeyringError> {
        let NewKeyring { account_id: account, permit, event: AuditEvent { at, .. }, .. } = new;
        let permitted = Permitted { account, permit, at };
        let work = permitted.before(move |connection| store(connection, &new));
        self.write_growing([Alone::Account(account), Alone::Keyrings], work).await?
    }

    async fn stored_keyring(&self, new: &NewKeyring) -> Result<Option<Revision>, StoreError> {
        let new = new.clone();
        self.read(move |connection| Ok(stored(connection, &new)?)).await
    }

    async fn change_keyring(&self, change: NewContent) -> Result<Revision, ChangeKeyringError> {
        let NewContent { account_id: account, permit, event: AuditEvent { at, .. }, .. } = change;
        let permitted = Permitted { account, permit, at };
        let work = permitted.before(move |connection| change_content(connection, &change));
        self.write_growing([Alone::Account(account), Alone::Keyrings], work).await?
    }

    async fn changed_keyring(&self, change: &NewContent) -> Result<Option<Revision>, StoreError> {
        let NewContent { account_id, replaces, content, .. } = change.clone();
        let replaces = Replaces::Revision(replaces);
        self.read(move |connection| {
            let done = done(connection, account_id, replaces, &content)?;
            Ok(done.map(|done| done.revision))
        })
        .await
    }

    async fn restore_keyring(
        &self,
        restoration: Restoration,
    ) -> Result<Revision, ChangeKeyringError> {
        let Restoration { account_id: account, permit, event: AuditEvent { at, .. }, .. } =
            restoration;
        let permitted = Permitted { account, permit, at };
        let work = permitted.before(move |connection| restore(connection, &restoration));
        self.write_growing([Alone::Account(account), Alone::Keyrings], work).await?
    }

    async fn delete_keyring(
        &self,
        id: AccountId,
        replaces: Revision,
        event: AuditEvent,
        permit: Permit,
    ) -> Result<bool, DeleteKeyringError> {
        let permitted = Permitted { account: id, permit, at: event.at };
        let work = permitted.before(move |connection| delete(connection, id, replaces, &event));
        self.write([Alone::Account(id), Alone::Keyrings], work).await?
    }

    async fn open_keyring(
        &self,
        id: AccountId,
        by: OpenedBy,
        event: AuditEvent,
    ) -> Result<(Revision, KeyringDocument), OpenKeyringError> {
        let step_up = match by {
            OpenedBy::Knowledge { .. } => None,
            OpenedBy::Passkey(spent) => Some(spent),
        };
        let permit = Permit { signer: None, step_up };
        let permitted = Permitted { account: id, permit, at: event.at };
        let work = permitted.before(move |connection| open(connection, id, by, &event));
        self.write([Alone::Account(id)], work).await?
    }
}

/// The condition on `accounts AS a` at the time `?4` that somebody can log in to the account: it has a live
/// key, or has never had one, so that it has a password.
const IS_REACHABLE: &str = "EXISTS (SELECT 1 FROM credentials AS c WHERE c.user_id = a.user_id
        AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > ?4))
    OR EXISTS (SELECT 1 FROM claimed_keys AS k WHERE k.user_id = a.user_id)
    OR NOT (EXISTS (SELECT 1 FROM credentials AS c WHERE c.user_id = a.user_id)
        OR EXISTS (SELECT 1 FROM revoked_thumbprints AS r WHERE r.user_id = a.user_id))";

fn summary(connection: &Connection, id: AccountId) -> Result<Option<KeyringSummary>, DbError> {
    let select = "SELECT k.revision, k.updated_at, length(k.ciphertext), k.user_id
        FROM keyrings AS k JOIN accounts AS a ON a.user_id = k.user_id WHERE a.account_id = ?";
    let found = rows::first(connection, select, [id.as_bytes()], |row: &Row<'_>| {
        let mut columns = Columns::new(row, "keyrings", 0);
        let revision = columns.read("revision", row::revision)?;
        let updated_at = columns.time("updated_at")?;
        let size = columns.read("ciphertext", |length: i64| u64::try_from(length))?;
        Ok((revision, updated_at, size, row.get::<i64>(3)?))
    })?;
    let Some((revision, updated_at, size, user_id)) = found else { return Ok(None) };
    let slots = keyrings::slots(connection, user_id)?;
    Ok(Some(KeyringSummary { revision, updated_at, size, slots }))
}

/// The account `id`, if the content of its keyring has the number `replaces`.
fn with_keyring(
    connection: &Connection,
    id: AccountId,
    replaces: Revision,
) -> Result<Holder, ChangeKeyringError> {
    let holder = keyrings::holder(connection, id)?.ok_or(ChangeKeyringError::NoKeyring)?;
    let present = holder.present.ok_or(ChangeKeyringError::NoKeyring)?;
    if present != replaces {
        return Err(ChangeKeyringError::Changed { present });
    }
    Ok(holder)
}

/// A change that is done already.
struct Done {
    user_id: i64,
    revision: Revision,
}

/// Whether `content` has already taken the place of what it `replaces`, and is the present one: somebody
/// sends a change again whose answer was lost.
fn done(
    connection: &Connection,
    id: AccountId,
    replaces: Replaces,
    content: &KeyringContent,
) -> Result<Option<Done>, DbError> {
    let holder = keyrings::holder(connection, id)?;
    let Some(Holder { user_id, present: Some(revision), .. }) = holder else { return Ok(None) };
    if !replaces.may_be_done(revision) {
        return Ok(None);
    }
    let is_present = keyrings::is_content(connection, user_id, content)?;
    Ok(is_present.then_some(Done { user_id, revision }))
}

fn change_content(
    connection: &Connection,
    change: &NewContent,
) -> Result<Revision, ChangeKeyringError> {
    let NewContent { account_id, replaces, content, leave, event, .. } = change;
    if let Some(done) = done(connection, *account_id, Replaces::Revision(*replaces), content)? {
        return Ok(done.revision);
    }
    let holder = with_keyring(connection, *account_id, *replaces)?;
    let (leave, now) = (*leave, event.at);
    if leave == Leave::Lacking
        && let Some(known) = history::with_nonce_of(connection, holder.user_id, content)?
    {
        return Err(ChangeKeyringError::Known(known));
    }
    let bound = bound(connection, &holder, change.growth, now)?;
    bound.check(content)?;
    let (keeping, lacking) = bound.keeping(change.keeping, content);
    let room = Room { keeping, leave, spared: None, forgets_up_to: change.forgets_up_to };
    if !history::keep(connection, holder.user_id, room, now)? {
        let own = bound.own_keeping(change.keeping);
        let own_room = Room { keeping: own, ..room };
        let own_room = history::surplus(connection, holder.user_id, own_room, now)?;
        let lacking = lacking.filter(|_| own_room.is_some());
        let full = ChangeKeyringError::HistoryFull(own);
        return Err(lacking.map_or(full, ChangeKeyringError::NoGrowth));
    }
    let revision = keyrings::put(connection, &holder, content, now)?;
    audit::record(connection, event)?;
    Ok(revision)
}

fn restore(
    connection: &Connection,
    restoration: &Restoration,
) -> Result<Revision, ChangeKeyringError> {
    let Restoration { account_id, revision, replaces, event, .. } = restoration;
    let holder = with_keyring(connection, *account_id, *replaces)?;
    let (user_id, now) = (holder.user_id, event.at);
    let content = history::find(connection, user_id, *revision)?;
    let content = content.ok_or(ChangeKeyringError::NoRevision)?;
    let bound = bound(connection, &holder, restoration.growth, now)?;
    let (keeping, _) = bound.keeping(restoration.keeping, &content);
    let (leave, forgets_up_to) = (Leave::Lacking, restoration.forgets_up_to);
    let room = Room { keeping, leave, spared: Some(*revision), forgets_up_to };
    let is_kept = history::keep(connection, user_id, room, now)?;
    if !is_kept && !bound.fits_beside_earlier(&content) {
        // Nothing is lost with the copy. Then there is room for the present content.
        history::remove(connection, user_id, *revision)?;
        history::keep(connection, user_id, room, now)?;
    }
    let revision = keyrings::put(connection, &holder, &content, now)?;
    audit::record(connection, event)?;
    Ok(revision)
}

/// The number of the keyring, if `new` is it.
fn stored(connection: &Connection, new: &NewKeyring) -> Result<Option<Revision>, DbError> {
    let NewKeyring { account_id, replaces, slots, content, .. } = new;
    let Some(done) = done(connection, *account_id, *replaces, content)? else { return Ok(None) };
    let is_same = keyrings::have_same_slots(connection, done.user_id, slots)?;
    Ok(is_same.then_some(done.revision))
}

fn store(connection: &Connection, new: &NewKeyring) -> Result<Revision, StoreKeyringError> {
    if let Some(revision) = stored(connection, new)? {
        return Ok(revision);
    }
    let NewKeyring { account_id, replaces, slots, content, event, .. } = new;
    let holder = keyrings::holder(connection, *account_id)?.ok_or(StoreKeyringError::NoKeyring)?;
    match (holder.present, replaces) {
        (None, Replaces::Nothing) => {}
        (Some(present), Replaces::Revision(replaced)) if present == *replaced => {}
        (Some(present), _) => return Err(StoreKeyringError::Changed { present }),
        (None, Replaces::Revision(_)) => return Err(StoreKeyringError::NoKeyring),
    }
    let user_id = holder.user_id;
    let bound = bound(connection, &holder, new.growth, event.at)?;
    bound.check(content)?;
    if holder.present.is_some() {
        if keyrings::have_same_key(connection, user_id, slots)? {
            let (keeping, _) = bound.keeping(new.keeping, content);
            let (leave, forgets_up_to) = (Leave::Given, new.forgets_up_to);
            let room = Room { keeping, leave, spared: None, forgets_up_to };
            history::keep(connection, user_id, room, event.at)?;
        } else {
            history::forget(connection, user_id)?;
        }
    }
    let revision = keyrings::put(connection, &holder, content, event.at)?;
    keyrings::replace_slots(connection, user_id, slots, event.at)?;
    audit::record(connection, event)?;
    Ok(revision)
}

fn delete(
    connection: &Connection,
    id: AccountId,
    replaces: Revision,
    event: &AuditEvent,
) -> Result<bool, DeleteKeyringError> {
    let Some(Holder { user_id, present: Some(present), .. }) = keyrings::holder(connection, id)?
    else {
        return Ok(false);
    };
    if present != replaces {
        return Err(DeleteKeyringError::Changed { present });
    }
    rows::execute(connection, "DELETE FROM keyrings WHERE user_id = ?", [user_id])?;
    audit::record(connection, event)?;
    Ok(true)
}

fn open(
    connection: &Connection,
    id: AccountId,
    by: OpenedBy,
    event: &AuditEvent,
) -> Result<(Revision, KeyringDocument), OpenKeyringError> {
    let (user_id, revision, content) =
        keyrings::of_active(connection, id)?.ok_or(OpenKeyringError::Gone)?;
    let slots = keyrings::slots(connection, user_id)?;
    let slots: Vec<_> = slots.into_iter().map(|known| known.slot).collect();
    match by {
        OpenedBy::Knowledge { slot, state } => {
            if !slots.iter().any(|own| own.id == slot) {
                return Err(OpenKeyringError::Gone);
            }
            spend(connection, state).map(drop).map_err(|error| match error {
                RecordLoginError::AlreadyUsed
                | RecordLoginError::Forgotten
                | RecordLoginError::NotLive => OpenKeyringError::Used,
                RecordLoginError::Store(error) => OpenKeyringError::Store(error),
            })?;
        }
        // The touch is used up already.
        OpenedBy::Passkey(_) => {}
    }
    audit::record(connection, event)?;
    Ok((revision, KeyringDocument { slots, content }))
}
