//! `countersign admin invite` for one person.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::ensure;
use countersign_authority::{
    accounts::administration::{Administration, NewInvitation, NewRecovery},
    model::{
        account::{Account, AccountName, Username},
        invitation::{CodeHash, OneTimePassword},
    },
    ports::AccountStore,
};
use countersign_protocol::Scopes;
use countersign_system::SystemRandom;

use super::{
    super::{database::open_to_change, words::explain},
    making::{
        command, has_account, invite_all, open_codes, page, remark_on_earlier, warn_if_closed,
        what_else_happens,
    },
};
use crate::{config::Settings, output, time::to_rfc3339};

/// Advice when the code could not be printed.
const UNKNOWN: &str = "nobody knows its code: withdraw it and make another";

pub(super) async fn invite(
    settings: &Settings,
    username: Option<Username>,
    scopes: Scopes,
    expires: Duration,
) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    if let Some(username) = &username {
        refuse_registered(&*database.ports.store, username).await?;
    }
    let expires_at = database.ports.clock.now() + expires;
    let whom = username.as_ref().map_or("anybody".to_owned(), ToString::to_string);
    let name = username.as_ref().map_or("NAME", Username::as_str);
    let command = command(settings, &database, "register", name).await;
    let earlier = open_codes(&database, username.as_slice()).await?;
    let new = NewInvitation { username, scopes, expires_at };
    let code = Administration::new(&database.ports).invite(new).await?;
    let said = output::only_copy(code.reveal());
    let until = to_rfc3339(expires_at);
    output::remark(format!("registers {whom}, once, until {until}; it is not shown again"));
    output::remark(format!("use it with: {command}"));
    // Where the code goes into a file or a variable, it goes nowhere else.
    let shown = if io::stdout().is_terminal() { code.reveal() } else { "CODE" };
    if let Some(page) = page(settings, &database, shown).await {
        output::remark(format!("or in a browser: {page}"));
    }
    remark_on_earlier(&earlier);
    warn_if_closed(settings);
    output::after(made(&code.hash()), said)
}

/// Makes a one-time password. `command` is what it is used with.
pub(super) async fn invite_with_password(
    settings: &Settings,
    username: Username,
    scopes: &Scopes,
    expires: Duration,
    command: &str,
) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    refuse_registered(&*database.ports.store, &username).await?;
    let password = OneTimePassword::generate(&SystemRandom);
    let text = password.reveal().to_owned();
    let invited = [(username.clone(), password)];
    let until = invite_all(settings, &database, &invited, scopes, expires).await?;
    let said = output::only_copy(&text);
    output::remark(format!(
        "registers {username}, once, until {}; it is not shown again",
        to_rfc3339(until)
    ));
    output::remark(format!("use it with: {command}"));
    output::after(format!("the invitation of {username} is made ({UNKNOWN})"), said)
}

/// Makes a code to recover an account.
pub(super) async fn allow_recovery(
    settings: &Settings,
    username: Username,
    revoke_others: bool,
    expires: Duration,
) -> anyhow::Result<()> {
    let (_claim, database) = open_to_change(settings)?;
    let administration = Administration::new(&database.ports);
    let name = AccountName::Username(username);
    let account = administration.account(&name).await.map_err(explain(&name))?;
    let earlier = administration.recovery(&account).await?;
    let expires_at = database.ports.clock.now() + expires;
    let new = NewRecovery { name: name.clone(), revoke_others, expires_at };
    let code = administration.allow_recovery(new).await.map_err(explain(&name))?;
    let said = output::only_copy(code.reveal());
    let Account { username, .. } = &account;
    output::remark(format!(
        "lets whoever has it into the account of {username}, once, until {}; it is not shown again",
        to_rfc3339(expires_at)
    ));
    let command = command(settings, &database, "recover", username.as_str()).await;
    output::remark(format!("use it with: {command}"));
    if administration.has_password(&account).await? {
        output::remark("for a new password in place of a key: add --dialect password");
    }
    output::remark(what_else_happens(revoke_others));
    if earlier.is_some() {
        output::remark(format!("an earlier code for {username} no longer works"));
    }
    output::after(made(&code.hash()), said)
}

async fn refuse_registered(accounts: &dyn AccountStore, username: &Username) -> anyhow::Result<()> {
    ensure!(
        !has_account(accounts, username).await?,
        "{username} has an account already; if its key is lost: countersign admin invite {username} \
         --recover"
    );
    Ok(())
}

fn made(hash: &CodeHash) -> String {
    format!("the invitation {} is made ({UNKNOWN})", hash.short())
}
