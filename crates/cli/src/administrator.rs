//! The administrator's name and reason, which the audit trail keeps with every act.

use std::env;

use anyhow::ensure;
use countersign_authority::model::audit::Administrator;

use crate::config::Settings;

/// Longer names are refused, in characters.
const MAX_NAME: usize = 100;
/// Longer reasons are refused, in characters.
const MAX_REASON: usize = 500;

/// The given name, or else the user who called `sudo`, or the user who logged in; and always the
/// user id of this process, which is the only part that cannot be made up.
pub(crate) fn administrator(settings: &Settings) -> anyhow::Result<Administrator> {
    let given = settings.actor.as_ref().map(|name| fitting("the name", name, MAX_NAME));
    let name = match given.transpose()? {
        Some(name) => Some(name),
        None => ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(of_environment),
    };
    let reason = settings.reason.as_ref().map(|text| fitting("the reason", text, MAX_REASON));
    let uid = rustix::process::getuid().as_raw();
    let name = name.map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"));
    Ok(Administrator { name, reason: reason.transpose()? })
}

fn fitting(what: &str, text: &str, longest: usize) -> anyhow::Result<String> {
    let length = text.chars().count();
    ensure!(
        (1..=longest).contains(&length) && !text.contains(char::is_control),
        "{what} for the audit trail has 1 to {longest} characters and is one line, not {length}"
    );
    Ok(text.to_owned())
}

fn of_environment(variable: &str) -> Option<String> {
    fitting(variable, &env::var(variable).ok()?, MAX_NAME).ok()
}
