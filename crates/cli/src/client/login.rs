//! `countersign login`, `logout` and `whoami`.

use anyhow::Context as _;
use clap::Args;
use countersign_client::{Login, TransportOptions, WhoAmI, keyring::Entry};
use countersign_protocol::UnixTime;
use serde_json::{Map, Value};

use super::{
    actor::{Actor, ActorOptions, Places},
    connection::{explain, explain_in, explain_login},
    dialects::{self, Dialect},
    enrolment::parse_name,
    entry_choice::EntryOptions,
    password::{self, PasswordOptions},
    text::{self, printable},
};
use crate::{output, time::to_rfc3339};

#[derive(Args)]
pub(crate) struct LoginOptions {
    #[command(flatten)]
    entry: EntryOptions,

    /// The scopes to ask for, separated by spaces [default: all that the account has]
    #[arg(long, value_name = "SCOPES", conflicts_with = "dialect")]
    scope: Option<String>,

    /// The API that the token shall be for, as it calls itself: usually its origin, such as
    /// <https://api.example.com> [default: the server itself]
    #[arg(long, value_name = "URL", conflicts_with = "dialect")]
    resource: Option<String>,

    /// Log in by a dialect instead of the server's own API
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,

    #[command(flatten)]
    password: PasswordOptions,

    /// Print the access token. It is a secret, though of little use without the key
    #[arg(long)]
    print_token: bool,

    #[command(flatten)]
    actor: ActorOptions,
}

#[derive(Args)]
pub(crate) struct LogoutOptions {
    #[command(flatten)]
    entry: EntryOptions,

    #[command(flatten)]
    places: Places,
}

#[derive(Args)]
pub(crate) struct WhoamiOptions {
    #[command(flatten)]
    entry: EntryOptions,

    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    actor: ActorOptions,
}

pub(super) async fn login(options: &LoginOptions) -> anyhow::Result<()> {
    let limits = TransportOptions::default();
    let entry = options.entry.naming();
    if options.dialect == Some(Dialect::Password) && !options.actor.has_key_file() {
        return login_with_password(options).await;
    }
    let mut actor = options.actor.open(entry, None, limits).await?;
    let login = match options.dialect {
        None => actor.login(options.scope.as_deref(), options.resource.as_deref()).await?,
        Some(dialect) => {
            let (password, print_token) = (&options.password, options.print_token);
            match dialects::log_in(&mut actor, dialect, password, print_token).await? {
                Some(login) => login,
                None => return Ok(()),
            }
        }
    };
    let who = match login.resource() {
        // The server itself accepts no token that is for another API.
        Some(_) => None,
        None => Some(login.whoami().await.map_err(explain_login)?),
    };
    keep(options, &mut actor, &login, who.as_ref())?;
    report(options, &login, who.as_ref(), actor.server())
}

/// Logs in with a password and the keyring, which may have no entry yet.
async fn login_with_password(options: &LoginOptions) -> anyhow::Result<()> {
    let limits = TransportOptions::default();
    let places = &options.actor.places;
    let named = options.entry.name();
    let mut keyring = match named {
        Some(_) => places.keyring.open_or_create()?,
        None => places.keyring.open()?,
    };
    if let Some(name) = named.filter(|name| keyring.get(name).is_none()) {
        parse_name(name)?;
        let client = places.server.connect(&places.server.address()?, limits).await?;
        let password = options.password.get(&format!("Password of {name}"))?;
        let login = password::log_in_anew(&client, &mut keyring, name, password).await?;
        let who = login.whoami().await.map_err(explain_login)?;
        output::remark(format!("the keyring keeps the password, and a key for tokens, as {name}"));
        return report(options, &login, Some(&who), client.metadata().issuer());
    }
    let entry = options.entry.naming();
    let mut actor = Actor::of_entry(keyring, &places.server, entry, None, limits).await?;
    let login = dialects::password(&mut actor, &options.password).await?;
    let who = login.whoami().await.map_err(explain_login)?;
    keep(options, &mut actor, &login, Some(&who))?;
    report(options, &login, Some(&who), actor.server())
}

/// Keeps the token. An error unless the token was printed, because the login would be lost.
fn keep(
    options: &LoginOptions,
    actor: &mut Actor,
    login: &Login,
    who: Option<&WhoAmI>,
) -> anyhow::Result<()> {
    let account_id = who.map(|who| who.account_id.as_str());
    if options.print_token {
        actor.done(login, account_id);
        return Ok(());
    }
    actor.keep(login, account_id).context(
        "the token is not kept. Where the keyring cannot be written, `login --print-token` prints \
         the token, and `call` and `whoami` log in by themselves",
    )
}

fn report(
    options: &LoginOptions,
    login: &Login,
    who: Option<&WhoAmI>,
    server: &str,
) -> anyhow::Result<()> {
    let until = to_rfc3339(login.expires_at());
    let (token, scope) = (login.token(), login.scope());
    let said = match (who, login.resource()) {
        (Some(who), _) => {
            format!("logged in as {} at {server} until {until}", printable(&who.username))
        }
        (None, resource) => {
            let resource = printable(resource.unwrap_or(server));
            format!("got a token of {server} for {resource} until {until}")
        }
    };
    if options.print_token {
        output::remark(said);
        return Ok(output::line(token.expose())?);
    }
    output::line(said)?;
    if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
        output::line(format!("scopes: {}", printable(&scope)))?;
    }
    Ok(())
}

pub(super) async fn logout(options: &LogoutOptions) -> anyhow::Result<()> {
    let limits = TransportOptions::default();
    let entry = options.entry.naming();
    let mut actor = Actor::from_keyring(&options.places, entry, None, limits).await?;
    let name = actor.entry().map(|entry| entry.name().to_string()).unwrap_or_default();
    let tokens: Vec<_> = actor.entry().into_iter().flat_map(Entry::tokens).collect();
    if tokens.is_empty() {
        output::remark(format!("{name} is not logged in"));
        return Ok(());
    }
    for token in tokens {
        actor.resume(token).revoke_token().await.map_err(explain)?;
    }
    actor.forget_tokens()?;
    output::line(format!("{name} is logged out at {}", actor.server()))?;
    output::remark(format!(
        "the key stays in the keyring, and the next command logs in with it; to end that: \
         countersign keyring remove {}",
        text::argument(&name)
    ));
    Ok(())
}

pub(super) async fn whoami(options: &WhoamiOptions) -> anyhow::Result<()> {
    let limits = TransportOptions::default();
    let entry = options.entry.naming();
    let mut actor = options.actor.open(entry, None, limits).await?;
    let logs_in = actor.entry().is_some() && actor.kept_login(None).is_none();
    let login = actor.logged_in(None).await?;
    let answer = login.whoami().await;
    actor.done(&login, answer.as_ref().ok().map(|who| who.account_id.as_str()));
    let who = answer.map_err(|error| explain_in(&login, error))?;
    if logs_in {
        output::remark("there was no token, so this was a login");
    }
    if options.json {
        output::json(&serde_json::to_string_pretty(&to_json(who))?)?;
    } else {
        output::line(describe(&who, &actor))?;
    }
    Ok(())
}

fn to_json(who: WhoAmI) -> Map<String, Value> {
    let WhoAmI { account_id, username, thumbprint, others } = who;
    let mut members = Map::new();
    members.insert("account_id".to_owned(), account_id.into());
    members.insert("username".to_owned(), username.into());
    members.insert("thumbprint".to_owned(), thumbprint.to_string().into());
    members.extend(others);
    members
}

fn describe(who: &WhoAmI, actor: &Actor) -> String {
    let mut facts = vec![
        ("username", printable(&who.username)),
        ("account", printable(&who.account_id)),
        ("server", actor.server().to_owned()),
        ("key", who.thumbprint.to_string()),
    ];
    if let Some(entry) = actor.entry() {
        facts.push(("entry", entry.name().to_string()));
    }
    if let Some(proof) = who.others.get("proof").and_then(Value::as_str) {
        facts.push(("proof", printable(proof)));
    }
    let scopes = who.others.get("scopes").and_then(Value::as_array);
    let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
    if !scopes.is_empty() {
        facts.push(("scopes", printable(&scopes.join(" "))));
    }
    if let Some(until) = who.others.get("expires_at").and_then(Value::as_u64) {
        facts.push(("until", to_rfc3339(UnixTime::from_secs(until))));
    }
    text::facts(facts)
}
