//! `countersign admin invite`.

mod lists;
mod making;
mod single;

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use clap::{ArgGroup, Args};
use countersign_authority::model::account::Username;
use countersign_protocol::Scopes;

use super::arguments::union;
use crate::{config::Settings, time::parse_duration};

/// How long a code works by default.
const USUALLY: Duration = Duration::from_hours(24 * 7);
/// The same for a code that recovers an account.
const RECOVERY_USUALLY: Duration = Duration::from_hours(1);

#[derive(Args)]
#[command(group(ArgGroup::new("named").args(["username", "names_from"])))]
pub(super) struct Options {
    /// The only username that may use the code [default: any]
    username: Option<Username>,

    /// Make a code that gives the account of USERNAME, or each account of the list, a new key, or a
    /// new password if it has one
    #[arg(long, requires = "named", conflicts_with_all = ["scopes", "one_time_password", "import"])]
    recover: bool,

    /// When that code is used, revoke everything else that logs in to the account: its other keys,
    /// and its password
    #[arg(long, requires = "recover")]
    revoke_others: bool,

    /// A scope that the account will have; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scopes>,

    /// How long the code works [default: 7d; with --recover 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,

    /// Make a password that works together with USERNAME, as the gradecoin dialect has it
    #[arg(long, requires = "username", conflicts_with_all = ["import", "names_from"])]
    one_time_password: bool,

    /// Invite everybody on this list (- for standard input) with the passwords that it has: CSV with
    /// the header `User ID, Password`; all or nobody
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "names_from"])]
    import: Option<PathBuf>,

    /// Make a code for each username of this list (- for standard input), one a line; all or none. A
    /// header line is `username` or `User ID`. They are written as CSV: username, code, expires
    #[arg(long, value_name = "FILE")]
    names_from: Option<PathBuf>,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let usually = if options.recover { RECOVERY_USUALLY } else { USUALLY };
    let expires = options.expires.unwrap_or(usually);
    ensure!(!expires.is_zero(), "the code would never work: --expires must not be zero");
    let scopes = union(&options.scopes)?;
    if let Some(path) = &options.import {
        return lists::import(settings, path, &scopes, expires).await;
    }
    if let Some(path) = &options.names_from {
        if options.recover {
            return lists::recover_each(settings, path, options.revoke_others, expires).await;
        }
        return lists::invite_each(settings, path, &scopes, expires).await;
    }
    match options.username {
        Some(username) if options.recover => {
            single::allow_recovery(settings, username, options.revoke_others, expires).await
        }
        Some(username) if options.one_time_password => {
            let command = format!("countersign register {username} --dialect gradecoin");
            single::invite_with_password(settings, username, &scopes, expires, &command).await
        }
        username => single::invite(settings, username, scopes, expires).await,
    }
}
