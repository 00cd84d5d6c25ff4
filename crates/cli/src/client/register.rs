//! `countersign register`.

use anyhow::{bail, ensure};
use clap::Args;
use countersign_client::{
    Client, ClientError, NewAccount, Password, PasswordlessAccount, Refusal, Registration,
    TransportOptions, gradecoin_fingerprint, keyring::Keyring,
};
use countersign_protocol::keys::PrivateKey;

use super::{
    actor::Places,
    connection::explain,
    dialect::Dialect,
    enrolment::{Accepted, Enrolled, is_account, parse_code, whoami},
    key_file::{self, KeyType},
    key_options::KeyOptions,
    password::{self, PasswordOptions},
    text,
};
use crate::output;

#[derive(Args)]
#[command(mut_arg("key_type", |arg| arg.help(KEY_TYPE)), mut_arg("key", |arg| arg.help(KEY)))]
pub(crate) struct Options {
    /// The username to ask for
    name: String,

    /// A name for the key, such as that of the device [default: the kind of key]
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// The one-time code of an invitation
    #[arg(long, value_parser = parse_code)]
    code: Option<String>,

    /// Register by a dialect instead of the server's own API
    #[arg(long, value_enum, conflicts_with_all = ["label", "no_keyring"])]
    dialect: Option<Dialect>,

    /// The e-mail address of the account, which the dialect password wants
    #[arg(long, value_name = "ADDRESS", required_if_eq("dialect", "password"))]
    email: Option<String>,

    #[command(flatten)]
    password: PasswordOptions,

    #[command(flatten)]
    key: KeyOptions,

    #[command(flatten)]
    places: Places,
}

/// What is said of the kind of key otherwise.
const KEY_TYPE: &str = "The kind of key to make [default: p256, which every server and library knows; rsa2048 for \
                        gradecoin, which is older]";
const KEY: &str =
    "Register this private key (PEM or PKCS#8, - for standard input) in place of a new one";

pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let username = &options.name;
    options.check()?;
    let given = options.key.read()?;
    let server = options.places.server.address()?;
    let client = options.places.server.connect(&server, TransportOptions::default()).await?;
    let server = client.metadata().issuer();
    if let Some(key) = given.as_ref().filter(|_| options.key.no_keyring) {
        let Accepted { account_id, .. } =
            register(&client, key, None, options).await.map_err(explain)?;
        output::line(format!("{username} is registered at {server}"))?;
        let key = key_file::describe(key.public_key());
        let facts = [("  account", text::printable(&account_id)), ("  key", key)];
        return Ok(output::line(text::facts(facts))?);
    }

    let mut keyring = options.places.keyring.open_or_create()?;
    let registered = keyring
        .entries()
        .iter()
        .find(|entry| entry.account_id().is_some() && is_account(entry, server, username));
    if let Some(entry) = registered {
        bail!(
            "the keyring has a key for {username} at {server} already, the entry {name}\n  \
             another key for the account: countersign keys add --new --as {name}\n  \
             if the server has forgotten the account: countersign keyring remove {name}",
            name = entry.name()
        );
    }
    let one_time_password = match options.dialect {
        Some(Dialect::Gradecoin) => {
            Some(options.password.get(&format!("One-time password of {username}"))?)
        }
        _ => None,
    };
    let enrolment =
        options.key.begin(&mut keyring, server, username, given, options.usual_key_type())?;
    let enrolled = if let (Some(Dialect::Password), Some(email)) = (options.dialect, &options.email)
    {
        password::register(&client, enrolment, username, email, options.code.as_deref()).await?
    } else {
        let outcome = register(&client, enrolment.key(), one_time_password.as_ref(), options).await;
        enrolment.conclude(&client, username, outcome).await?
    };
    report(&enrolled, server, &keyring, options)
}

fn report(
    enrolled: &Enrolled,
    server: &str,
    keyring: &Keyring,
    options: &Options,
) -> anyhow::Result<()> {
    let verb = if enrolled.was_known { "was registered already" } else { "is registered" };
    output::line(format!("{} {verb} at {server}", options.name))?;
    let key = enrolled.key.public_key();
    let mut facts = vec![("  account", text::printable(&enrolled.account_id))];
    if options.dialect == Some(Dialect::Gradecoin) {
        facts.push(("  address", gradecoin_fingerprint(key)));
    }
    facts.push(("  key", key_file::describe(key)));
    facts.push(("  keyring", format!("{}, entry {}", keyring.path().display(), enrolled.entry)));
    output::line(text::facts(facts))?;
    if options.dialect == Some(Dialect::Password) {
        output::remark("the keyring keeps the password; the key is what tokens are bound to");
    }
    output::remark(format!("try: {}", whoami(keyring, &enrolled.entry)));
    Ok(())
}

impl Options {
    /// Refuses what can be refused without a server and a passphrase.
    fn check(&self) -> anyhow::Result<()> {
        self.key.check_name(&self.name)?;
        ensure!(
            self.dialect != Some(Dialect::SelfSigned),
            "self-signed has no registration of its own: register without --dialect, then log in \
             with it"
        );
        ensure!(
            self.code.as_ref().is_none_or(|code| !code.starts_with("csr_")),
            "this code leads back into an account: countersign recover NAME --code CODE"
        );
        ensure!(
            self.dialect != Some(Dialect::Gradecoin) || self.code.is_none(),
            "gradecoin registers with the one-time password of an invitation (`countersign admin invite \
             NAME --one-time-password`); with a code: leave out --dialect"
        );
        let has_password = self.dialect == Some(Dialect::Password);
        ensure!(has_password || self.email.is_none(), "--email is for --dialect password only");
        Ok(())
    }

    /// The kind of key to make unless another one is asked for.
    fn usual_key_type(&self) -> KeyType {
        match self.dialect {
            // The original knows no other keys.
            Some(Dialect::Gradecoin) => KeyType::Rsa2048,
            _ => KeyType::DEFAULT,
        }
    }
}

/// The one refusal of *gradecoin* lists all that can be wrong with a seal, which this client makes right.
fn without_the_seal(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(refusal)
            if refusal.message.as_ref().is_some_and(|text| text.contains("/gradecoin.pub")) =>
        {
            let message = "these are no name and one-time password that still work, or there were too \
                           many attempts: then wait a minute";
            ClientError::Refused(Refusal { message: Some(message.to_owned()), ..refusal })
        }
        error => error,
    }
}

async fn register(
    client: &Client,
    key: &PrivateKey,
    one_time_password: Option<&Password>,
    options: &Options,
) -> Result<Accepted, ClientError> {
    let (name, enrolment_code) = (&options.name, options.code.as_deref());
    match (options.dialect, one_time_password) {
        (Some(Dialect::Gradecoin), Some(password)) => {
            let outcome = client.register_gradecoin(key, name, password).await;
            outcome.map(Accepted::account).map_err(without_the_seal)
        }
        (Some(Dialect::Passwordless), _) => {
            let PasswordlessAccount { account_id, server_key } =
                client.register_passwordless(key, name, enrolment_code).await?;
            Ok(Accepted { server_key: Some(server_key), ..Accepted::account(account_id) })
        }
        (Some(Dialect::SignJwt), _) => {
            client.register_signjwt(key, name, enrolment_code).await.map(Accepted::account)
        }
        _ => {
            let label = options.label.as_deref();
            let account = NewAccount { username: name, label, enrolment_code };
            let Registration { account_id, .. } = client.register(key, &account).await?;
            Ok(Accepted::account(account_id))
        }
    }
}
