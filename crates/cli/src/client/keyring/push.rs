//! `countersign keyring push`: the keyring's entries go into the online keyring.

use clap::Args;
use countersign_client::{
    Login,
    keyring::{Kept, Merged, OnDifference},
};

use super::{
    online_account::{AccountOptions, Owner, explain_by, tried},
    recovery_code::{confirmed, show_recovery_code},
};
use crate::{
    client::{
        actor::Actor,
        connection::explain_in,
        keyring_file::KeyringOptions,
        online_secret::PasswordOptions,
        text::{argument, printable},
    },
    output,
};

#[derive(Args)]
#[command(after_help = "\
The online keyring is kept at the server of the account, encrypted with a password of its own, which \
the server never learns. The first push makes it and prints its recovery code, once. Access tokens \
stay here.")]
pub(super) struct Options {
    /// Put entries that differ in place of those that are online; those stay, under another name, where
    /// their private key would be lost
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    password: PasswordOptions,

    #[command(flatten)]
    account: AccountOptions,
}

pub(super) async fn run(options: &Options, file: &KeyringOptions) -> anyhow::Result<()> {
    let mut actor = options.account.open(file).await?;
    let login = actor.logged_in(None).await?;
    let pushed = push(options, &mut actor, &login).await;
    actor.done(&login, None);
    pushed
}

async fn push(options: &Options, actor: &mut Actor, login: &Login) -> anyhow::Result<()> {
    let who = login.whoami().await.map_err(|error| explain_in(login, error))?;
    let client = actor.client().clone();
    let owner = Owner { client: &client, username: &who.username };
    let present = login.online_keyring().await.map_err(|error| explain_by(login, error))?;
    let entries = actor.keyring().map(|keyring| keyring.entries()).unwrap_or_default();
    if present.is_none() {
        let password = options.password.choose(&owner.whose())?;
        let made = login.make_online_keyring(entries, &password).await;
        let code = confirmed(
            login,
            made,
            "if it was, the recovery code above opens it: write it down. The same command again tells: if \
             that prints another code, this one is good for nothing (`countersign keyring online` shows \
             what opens it)",
        )?;
        output::line(format!(
            "{} now has an online keyring, with the entries of this one: {}",
            owner.whose(),
            entries.len()
        ))?;
        show_recovery_code(&code)?;
        output::remark(format!(
            "on another device: countersign keyring pull {} --server {}",
            argument(owner.username),
            client.metadata().issuer()
        ));
        return Ok(());
    }
    let on_difference = on_difference(options.replace);
    let pushed = tried(options.password.asks()?, async || {
        let password = options.password.get(&owner.whose())?;
        Ok(login.push_entries((owner.username, &password), entries, on_difference).await)
    });
    let merged = pushed.await?.map_err(|error| explain_by(login, error))?;
    report(&merged, "the online keyring")
}

pub(super) const fn on_difference(replace: bool) -> OnDifference {
    if replace { OnDifference::Replace } else { OnDifference::Refuse }
}

/// Says what was done to `place`.
pub(super) fn report(merged: &Merged, place: &str) -> anyhow::Result<()> {
    if merged.is_unchanged() {
        return Ok(output::line(format!("{place} has all of it already"))?);
    }
    for (what, names) in [
        ("added to", &merged.added),
        ("replaced in", &merged.replaced),
        ("completed in", &merged.completed),
    ] {
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| printable(name.as_str())).collect();
            output::line(format!("{what} {place}: {}", names.join(", ")))?;
        }
    }
    for Kept { was, is } in &merged.kept {
        let (was, is) = (printable(was.as_str()), printable(is.as_str()));
        output::line(format!("kept in {place}: what was {was}, as {is}"))?;
    }
    if !merged.kept.is_empty() {
        output::remark(
            "`countersign whoami ENTRY` shows which of two keys logs in; `countersign keyring remove \
             ENTRY` removes one that is of no use any more",
        );
    }
    Ok(())
}
