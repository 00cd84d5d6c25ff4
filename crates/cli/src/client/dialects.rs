//! The ways to register and log in other than the standard one.

pub(super) mod registration;
pub(super) mod switches;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::ValueEnum;
use countersign_client::{
    ClientError, Login, Password, Request, Response, SessionRecipients, gradecoin_fingerprint,
    keyring::Entry,
};
use countersign_protocol::keys::{KeyPolicy, PublicKey};

use super::{
    actor::Actor,
    connection::{explain_call, explain_login, named_if_off},
    password::PasswordOptions,
    text::{argument, printable},
};
use crate::output;

/// A dialect that the server may speak besides its own API.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    /// A one-time password registers a key, sealed for the server; every request is signed for its
    /// body
    Gradecoin,
    /// The server makes a password, and takes it for a token; here always one that is bound to a
    /// key. The server's settings call it jwks-server, which may be said here too
    #[value(alias = "jwks-server")]
    Password,
    /// The server proves itself first, by a key of its own for each account
    Passwordless,
    /// A JWT signed by the key itself takes the place of the token; nothing to register
    SelfSigned,
    /// Every request is signed over a nonce and the JWT of a session
    #[value(name = "signjwt")]
    SignJwt,
}

/// A dialect in which a request needs no token.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Proof {
    /// A JWT signed by the key itself, which is good for this body only
    Gradecoin,
    /// A JWT signed by the key itself
    SelfSigned,
    /// A signature over a nonce and the JWT of a session
    #[value(name = "signjwt")]
    SignJwt,
}

impl Dialect {
    /// The setting of the server that switches it.
    pub(super) const fn setting(self) -> &'static str {
        match self {
            Self::Gradecoin => "dialects.gradecoin",
            Self::Password => switches::PASSWORDS,
            Self::Passwordless => "dialects.passwordless",
            Self::SelfSigned => "dialects.self_signed",
            Self::SignJwt => "dialects.signjwt",
        }
    }

    /// The error of a login by it, with advice.
    pub(super) fn explain(self, error: ClientError) -> anyhow::Error {
        let error = named_if_off(self.setting(), error);
        // Where JWTs count for a body alone, they are those of gradecoin, or a setting wants it so.
        if self == Self::SelfSigned && error.to_string().contains("the claim tha is missing") {
            return anyhow!(
                "{error}\n  the server takes JWTs for the body of one request alone (dialects.self_signed \
                 = false, or self_signed.require_body_hash = true): countersign call --dialect gradecoin"
            );
        }
        explain_login(error)
    }
}

impl Proof {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Gradecoin => Dialect::Gradecoin,
            Self::SelfSigned => Dialect::SelfSigned,
            Self::SignJwt => Dialect::SignJwt,
        }
    }
}

/// The recipients of a proof without a token.
pub(super) struct Recipients<'a> {
    /// The audience of a self-signed JWT; the server itself if none.
    pub(super) resource: Option<&'a str>,
    /// The origin besides the server's own that may get the signature of a session.
    pub(super) send_session_to: Option<&'a str>,
}

/// Sends one request without a token.
pub(super) async fn send(
    actor: &Actor,
    proof: Proof,
    recipients: &Recipients<'_>,
    request: Request,
) -> anyhow::Result<Response> {
    own_key(actor)?;
    let is_safe = request.method.is_safe();
    let answer = sent(actor, proof, recipients, request).await;
    answer.map_err(|error| {
        let error = named_if_off(proof.dialect().setting(), error);
        explain_call(error, actor.server(), is_safe, explain_login)
    })
}

async fn sent(
    actor: &Actor,
    proof: Proof,
    &Recipients { resource, send_session_to }: &Recipients<'_>,
    request: Request,
) -> Result<Response, ClientError> {
    let (client, key, subject) = (actor.client(), actor.key(), actor.subject());
    let jwt = match proof {
        Proof::Gradecoin => client.self_signed(key, subject, resource, Some(&request.body))?,
        Proof::SelfSigned => client.self_signed(key, subject, resource, None)?,
        Proof::SignJwt => {
            let issuer_only = SessionRecipients::issuer_only();
            let recipients = match send_session_to {
                Some(origin) => issuer_only.and(origin)?,
                None => issuer_only,
            };
            return client.send_signjwt(key, subject, request, &recipients).await;
        }
    };
    client.send_self_signed(&jwt, request).await
}

/// Logs in. There is a login to go on with if the dialect has tokens.
pub(super) async fn log_in(
    actor: &mut Actor,
    dialect: Dialect,
    options: &PasswordOptions,
    print_token: bool,
) -> anyhow::Result<Option<Login>> {
    match dialect {
        Dialect::Password => password(actor, options).await.map(Some),
        Dialect::Passwordless => passwordless(actor).await.map(Some),
        Dialect::Gradecoin => gradecoin(actor, print_token).await.map(|()| None),
        Dialect::SelfSigned => self_signed(actor, print_token).await.map(|()| None),
        Dialect::SignJwt => signjwt(actor, print_token).await.map(|()| None),
    }
}

/// Logs in with the password from the command line, or else the entry's, or else one that the user
/// types; the entry then keeps it.
pub(super) async fn password(
    actor: &mut Actor,
    options: &PasswordOptions,
) -> anyhow::Result<Login> {
    let kept = actor.entry().and_then(Entry::password);
    if let Some(password) = kept.filter(|_| !options.is_given()) {
        return actor.login_with_password(&password).await;
    }
    let name = actor.entry().map_or(actor.subject(), Entry::username);
    let password: Password = options.get(&format!("Password of {name}"))?;
    let login = actor.login_with_password(&password).await?;
    actor.keep_password(&password);
    Ok(login)
}

/// Checks that the server accepts requests signed by the key in the *gradecoin* dialect.
async fn gradecoin(actor: &mut Actor, print_token: bool) -> anyhow::Result<()> {
    own_key(actor)?;
    ensure!(
        !print_token,
        "gradecoin has no token to print: each JWT is for the body of one request; send one with \
         `countersign call --dialect gradecoin`"
    );
    let who = actor.client().whoami_gradecoin(actor.key(), actor.subject()).await;
    let who = who.map_err(|error| Dialect::Gradecoin.explain(error))?;
    actor.keep_account(&who.account_id);
    Ok(output::line(works("gradecoin", &who.username, actor))?)
}

/// Logs in in the *passwordless* dialect, with the server's key from the registration.
async fn passwordless(actor: &Actor) -> anyhow::Result<Login> {
    let entry = actor.entry().context(
        "passwordless needs the server's key for the account, which only a keyring has; leave out \
         --key",
    )?;
    let server_key = server_key(entry)?;
    let (client, key) = (actor.client(), actor.key());
    let login = client.login_passwordless(key, actor.subject(), &server_key).await;
    login.map_err(|error| Dialect::Passwordless.explain(error))
}

/// Checks that the server accepts JWTs signed by the key, and prints one if wanted.
async fn self_signed(actor: &mut Actor, print_token: bool) -> anyhow::Result<()> {
    own_key(actor)?;
    let make = |actor: &Actor| {
        actor.client().self_signed(actor.key(), actor.subject(), None, None).map_err(explain_login)
    };
    let jwt = make(actor)?;
    let who = actor.client().whoami_self_signed(&jwt).await;
    let who = who.map_err(|error| Dialect::SelfSigned.explain(error))?;
    actor.keep_account(&who.account_id);
    let said = works("self-signed", &who.username, actor);
    if print_token {
        output::remark(said);
        // The first one is used up.
        return Ok(output::line(make(actor)?)?);
    }
    Ok(output::line(said)?)
}

/// Checks that the server accepts requests signed by the key in the *signjwt* dialect. The session
/// is not kept, because a single lost answer would make it useless.
async fn signjwt(actor: &mut Actor, print_token: bool) -> anyhow::Result<()> {
    own_key(actor)?;
    ensure!(
        !print_token,
        "signjwt has no token to print: its JWT does nothing without a signature for each request"
    );
    let who = actor.client().whoami_signjwt(actor.key(), actor.subject()).await;
    let who = who.map_err(|error| Dialect::SignJwt.explain(error))?;
    actor.keep_account(&who.account_id);
    Ok(output::line(works("signjwt", &who.username, actor))?)
}

/// The short name of an account whose first key is `key`, in any dialect that has such names.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    gradecoin_fingerprint(key)
}

/// The message of a login that keeps no token.
fn works(dialect: &str, username: &str, actor: &Actor) -> String {
    format!("{dialect} works for {} at {}", printable(username), actor.server())
}

/// Refuses an entry with a password: its key is not a key of the account. Tokens are bound to it,
/// but it proves nothing by itself.
fn own_key(actor: &Actor) -> anyhow::Result<()> {
    let entry = actor.entry().filter(|entry| entry.password().is_some());
    entry.map_or(Ok(()), |entry| {
        bail!(
            "the entry {name} logs in by password, and the account does not know its key; add one \
             that signs: countersign keys add --new --as {name}",
            name = argument(entry.name().as_str())
        )
    })
}

fn server_key(entry: &Entry) -> anyhow::Result<PublicKey> {
    let name = entry.name();
    let key = entry
        .server_side_public_key(&KeyPolicy::default())
        .with_context(|| format!("the server's key in the entry {name} is of no use"))?;
    key.with_context(|| {
        format!(
            "the entry {name} has no key of the server: only the answer to a registration with --dialect \
             passwordless brings it, once; log in without --dialect, or register another name with it"
        )
    })
}
