//! The ways to register and log in other than the standard one.

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use countersign_client::{Session, keyring::Entry};
use countersign_protocol::keys::{KeyPolicy, PublicKey};

use super::{actor::Actor, connection::explain, text::printable};
use crate::output;

/// A dialect that the server may speak besides its own API.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// The server proves itself first, by a key of its own for each account
    Passwordless,
    /// A JWT signed by the key itself takes the place of the token; nothing to register
    SelfSigned,
    /// Every request is signed over a nonce and the JWT of a session
    #[value(name = "signjwt")]
    SignJwt,
}

/// Logs in as the server wants it in *passwordless*: with the key that it gave at registration.
pub(super) async fn passwordless(actor: &Actor) -> anyhow::Result<Session> {
    let entry = actor.entry().context(
        "passwordless needs the server's key for the account, which only a keyring has; leave out \
         --key",
    )?;
    let server_key = server_key(entry)?;
    let (client, key) = (actor.client(), actor.key());
    client.login_passwordless(key, actor.subject(), &server_key).await.map_err(explain)
}

/// Shows that the server takes JWTs that the key signs itself; and prints one if wanted.
pub(super) async fn self_signed(actor: &mut Actor, print_token: bool) -> anyhow::Result<()> {
    let make = |actor: &Actor| {
        actor.client().self_signed(actor.key(), actor.subject(), None).map_err(explain)
    };
    let jwt = make(actor)?;
    let who = actor.client().whoami_self_signed(&jwt).await.map_err(explain)?;
    actor.keep_account(&who.account_id)?;
    let said = format!(
        "{} takes JWTs of this key for those of {}",
        actor.server(),
        printable(&who.username)
    );
    if print_token {
        output::remark(said);
        // The first one is used up.
        return Ok(output::line(make(actor)?)?);
    }
    Ok(output::line(said)?)
}

/// Shows that the server takes requests that the key signs as *signjwt* wants it. Nothing is kept:
/// a session is good for as long as no answer is lost.
pub(super) async fn signjwt(actor: &mut Actor, print_token: bool) -> anyhow::Result<()> {
    ensure!(
        !print_token,
        "signjwt has no token to print: its JWT does nothing without a signature for each request"
    );
    let who = actor.client().whoami_signjwt(actor.key(), actor.subject()).await.map_err(explain)?;
    actor.keep_account(&who.account_id)?;
    let (server, username) = (actor.server(), printable(&who.username));
    Ok(output::line(format!("{server} takes messages signed by this key for those of {username}"))?)
}

fn server_key(entry: &Entry) -> anyhow::Result<PublicKey> {
    let name = entry.name();
    let key = entry
        .server_side_public_key(&KeyPolicy::default())
        .with_context(|| format!("the server's key in the entry {name} is of no use"))?;
    key.with_context(|| {
        format!(
            "the entry {name} has no key of the server: it was not registered with --dialect \
             passwordless; log in without --dialect"
        )
    })
}
