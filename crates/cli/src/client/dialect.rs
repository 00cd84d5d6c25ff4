//! The ways to register and log in other than the standard one.

use anyhow::Context as _;
use clap::ValueEnum;
use countersign_client::{Session, keyring::Entry};
use countersign_protocol::keys::KeyPolicy;

use super::{actor::Actor, connection::explain, text::printable};
use crate::output;

/// A dialect that the server may speak besides its own API.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// The server proves itself first, by a key of its own for each account
    Passwordless,
    /// A JWT signed by the key itself takes the place of the token; nothing to register
    SelfSigned,
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

fn server_key(entry: &Entry) -> anyhow::Result<countersign_protocol::keys::PublicKey> {
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
