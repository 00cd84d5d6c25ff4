//! What one code and the codes for a list have in common.

use std::{collections::HashSet, time::Duration};

use countersign_authority::{
    accounts::administration::Administration,
    keys::registration_key::RegistrationKey,
    model::{
        account::{AccountName, Username},
        invitation::{OneTimePassword, Purpose},
    },
    ports::AccountStore,
};
use countersign_protocol::{Scopes, UnixTime, proofs::target_uri::TargetUri};
use countersign_system::SystemRandom;

use super::super::signing_keys;
use crate::{config::Settings, database::Database, issuer, output};

/// The command that uses a code, with the server's URL if this configuration knows it. The code
/// itself is printed only once, to standard output.
pub(super) async fn command(
    settings: &Settings,
    database: &Database,
    verb: &str,
    name: &str,
) -> String {
    said(origin(settings, database).await.as_ref(), verb, name)
}

/// The address of the page that registers with `code`, if there are web pages at a known URL. What
/// follows the `#` is not sent to anybody.
pub(super) async fn page(settings: &Settings, database: &Database, code: &str) -> Option<String> {
    let origin = origin(settings, database).await.filter(|_| settings.web.enabled)?;
    Some(format!("{}/register#code={code}", origin.origin()))
}

/// The server's URL. A server that has not started yet, and is to listen on every address or on a port
/// chosen by the system, has none here.
async fn origin(settings: &Settings, database: &Database) -> Option<TargetUri> {
    issuer::known(settings, &*database.ports.store).await.ok().flatten()
}

fn said(origin: Option<&TargetUri>, verb: &str, name: &str) -> String {
    let server = origin.map_or_else(String::new, |origin| format!(" --server {}", origin.origin()));
    format!("countersign {verb} {name} --code CODE{server}")
}

/// Those of `usernames` that already have a working code to register.
pub(super) async fn open_codes(
    database: &Database,
    usernames: &[Username],
) -> anyhow::Result<Vec<Username>> {
    let ports = &database.ports;
    let now = ports.clock.now();
    let mut all = ports.store.invitations(u32::MAX).await?;
    all.retain(|one| one.purpose == Purpose::Register && one.is_usable(now));
    let open: HashSet<_> =
        all.iter().filter_map(|one| Some(one.username.as_ref()?.folded())).collect();
    Ok(usernames.iter().filter(|username| open.contains(&username.folded())).cloned().collect())
}

/// Makes invitations with passwords. Returns when they expire.
pub(super) async fn invite_all(
    settings: &Settings,
    database: &Database,
    invited: &[(Username, OneTimePassword)],
    scopes: &Scopes,
    expires: Duration,
) -> anyhow::Result<UnixTime> {
    let ports = &database.ports;
    let (vault, _) = signing_keys::open_vault(settings, database).await?;
    let key = RegistrationKey::open(&*ports.store, &vault, &SystemRandom).await?;
    let expires_at = ports.clock.now() + expires;
    let administration = Administration::new(ports);
    administration.invite_with_passwords(invited, scopes, expires_at, &key).await?;
    warn_if_closed(settings);
    Ok(expires_at)
}

pub(super) async fn has_account(
    accounts: &dyn AccountStore,
    username: &Username,
) -> anyhow::Result<bool> {
    Ok(accounts.account(&AccountName::Username(username.clone())).await?.is_some())
}

/// What using a recovery code does to the other keys and the password, in words.
pub(super) const fn what_else_happens(revoke_others: bool) -> &'static str {
    if revoke_others {
        "its use revokes everything else that logs in to the account"
    } else {
        "everything else that logs in to the account stays: if a key is in strange hands, revoke it \
         (`countersign admin keys list`), or make another code with --revoke-others"
    }
}

pub(super) fn remark_on_earlier(earlier: &[Username]) {
    if !earlier.is_empty() {
        let names: Vec<_> = earlier.iter().map(Username::as_str).collect();
        output::remark(format!(
            "an earlier code works too for {}: `countersign admin invitations list` shows it, and \
             `withdraw` ends it",
            names.join(", ")
        ));
    }
}

pub(super) fn warn_if_closed(settings: &Settings) {
    if settings.enrolment == "closed" {
        output::remark("WARNING: by this configuration enrolment is closed, even to the invited");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invited_are_told_the_command_with_name_and_server() {
        let origin = TargetUri::parse("https://auth.example.com").unwrap();
        assert_eq!(
            said(Some(&origin), "register", "alice"),
            "countersign register alice --code CODE --server https://auth.example.com"
        );
        assert_eq!(said(None, "register", "bob"), "countersign register bob --code CODE");
    }
}
