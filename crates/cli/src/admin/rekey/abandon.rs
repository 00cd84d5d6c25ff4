//! `countersign admin rekey --abandon-signing-keys`: the master key is lost, and the server shall start
//! again. `countersign admin restore --abandon-signing-keys` does the same to a backup.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use countersign_authority::{
    keys::{
        rekey::VaultContents,
        vault::{MasterKey, Vault, VaultError},
    },
    model::{account::AccountName, invitation::Purpose},
};
use countersign_system::SystemRandom;

use super::super::{
    database::{rekey, require_vault},
    words::count,
};
use crate::{
    client::terminal::confirm,
    database::{Database, Engine},
    master_key::{self, Source},
    output,
};

/// Deletes everything that only the lost key opens, and sets a new master key: the `given` one or a
/// random one.
pub(super) async fn run(
    directory: &Path,
    database: &Database,
    given: Option<MasterKey>,
    yes: bool,
) -> anyhow::Result<()> {
    let ports = &database.ports;
    require_vault(&*ports.store).await?;
    let variable = refuse_if_found(directory, database).await?;
    // An operator who keeps the present key outside keeps the given one outside too.
    let in_file = given.is_none() || variable.is_none();
    let (path, next) = (master_key::file_in(directory), master_key::next_file_in(directory));
    if in_file {
        for file in [&path, &next] {
            ensure!(
                !file.exists(),
                "{} does not open this database, and is in the way of the new key: move it away",
                file.display()
            );
        }
    }
    output::remark(match database.engine {
        Engine::Sqlite(_) => "make a copy first: countersign admin backup FILE",
        Engine::Postgres(_) => "make a copy first: pg_dump",
    });
    tell_what_is_lost(database).await?;
    confirm("give that up for good, and make a new master key", yes)?;
    let new = given.unwrap_or_else(|| MasterKey::generate(&SystemRandom));
    if in_file {
        master_key::write_new(&next, &new)?;
    }
    rekey(ports, ports.clock.now()).abandon(&new).await.with_context(|| {
        format!("nothing is given up; remove {} if it is there, and try again", next.display())
    })?;
    if in_file {
        master_key::adopt_next(directory)?;
        output::remark(format!(
            "the new master key is in {}: keep a copy of it elsewhere",
            path.display()
        ));
    }
    match (variable, in_file) {
        (Some(variable), true) => {
            output::remark(format!("from now on {variable} must not be set"));
        }
        (Some(variable), false) => {
            output::remark(format!("from now on {variable} must be set to the new key"));
        }
        (None, _) => {}
    }
    output::remark(
        "the next start makes new signing keys, and everybody logs in anew; earlier backups open \
         only with the lost key: make a new one then",
    );
    Ok(())
}

/// Changes the copy of a backup so that it opens with the present master key of `directory`, or
/// with a new one if there is none. Returns where that key is.
pub(crate) async fn of_backup(
    directory: &Path,
    copy: &Database,
    yes: bool,
) -> anyhow::Result<Source> {
    let ports = &copy.ports;
    refuse_if_found(directory, copy).await?;
    tell_what_is_lost(copy).await?;
    confirm("restore without that, for good", yes)?;
    let mut present = master_key::present(directory)?;
    let found = if present.is_empty() {
        master_key::find(directory, true, &SystemRandom)?.remove(0)
    } else {
        present.remove(0)
    };
    rekey(ports, ports.clock.now()).abandon(&found.key).await?;
    Ok(found.source)
}

/// Refuses if the key is not lost. Returns the environment variable whose key opens nothing, if
/// there is one.
async fn refuse_if_found(
    directory: &Path,
    database: &Database,
) -> anyhow::Result<Option<&'static str>> {
    let mut variable = None;
    for found in master_key::all(directory)? {
        match Vault::open(&*database.ports.store, &found.key, &SystemRandom).await {
            Ok(_) => bail!(
                "the master key is not lost: the one in {} opens the database. To change it, leave \
                 out --abandon-signing-keys",
                found.source.place()
            ),
            Err(VaultError::WrongMasterKey) => {}
            Err(error) => return Err(error.into()),
        }
        if let Source::Environment(name) = found.source {
            variable = Some(name);
        }
    }
    Ok(variable)
}

async fn tell_what_is_lost(database: &Database) -> anyhow::Result<()> {
    let ports = &database.ports;
    let lost = &rekey(ports, ports.clock.now()).contents().await?;
    output::remark("this is lost:");
    output::remark(format!(
        "- {}: every token that was issued is refused from the next start on, and so are sessions; \
         everybody logs in again with the key or the password that they have",
        count(lost.signing_keys as u64, "signing key")
    ));
    if lost.server_keys > 0 {
        output::remark(format!(
            "- {} of the server for accounts, as passwordless has them: {}. They log in with the same \
             key by every other way (`countersign login` without --dialect), and no more by \
             passwordless",
            count(lost.server_keys as u64, "key pair"),
            names(database, lost).await?
        ));
    }
    if lost.has_registration_key {
        output::remark(format!(
            "- the key pair for which gradecoin's clients seal registrations, and with it every \
             one-time password of an invitation: {} for a certain name are unused; those with a code \
             (csi_) stay good",
            count(unused_invitations(database).await?, "invitation")
        ));
    }
    if lost.has_opaque_setup {
        output::remark(
            "- the server's part in the passwords and recovery codes of online keyrings: none of them opens \
             any more; a passkey still does, and so does the file that somebody has. Who has either \
             stores the keyring anew",
        );
    }
    output::remark("Accounts, their keys, passwords, scopes and the audit trail stay as they are.");
    Ok(())
}

/// The names of the accounts for which the server's key pair is lost.
async fn names(database: &Database, lost: &VaultContents) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for id in &lost.some_with_server_key {
        let account = database.ports.store.account(&AccountName::Id(*id)).await?;
        names.push(account.map_or_else(|| id.to_string(), |account| account.username.to_string()));
    }
    let unnamed = lost.server_keys.saturating_sub(names.len());
    if unnamed > 0 {
        names.push(format!("and {unnamed} more"));
    }
    Ok(names.join(", "))
}

/// The number of unused invitations for a certain name. They do not say whether they are used with
/// a password or a code.
async fn unused_invitations(database: &Database) -> anyhow::Result<u64> {
    let now = database.ports.clock.now();
    let all = database.ports.store.invitations(u32::MAX).await?;
    let waits = |invitation: &&countersign_authority::model::invitation::Invitation| {
        let is_named = invitation.username.is_some() && invitation.purpose == Purpose::Register;
        is_named && invitation.is_usable(now)
    };
    Ok(all.iter().filter(waits).count() as u64)
}
