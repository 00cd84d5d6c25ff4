//! `countersign admin init`: what the first start of a server does for a database of its own, for one that
//! several servers share.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_authority::{
    keys::{signing::SigningKeys, vault::Vault},
    ports::SigningKeyStore,
};
use countersign_store::{
    postgres::{DatabaseUrl, PostgresError, PostgresStore},
    sqlite::create_private_dir,
};
use countersign_system::SystemRandom;

use super::{database::require_url, signing_keys::policy};
use crate::{
    config::Settings,
    data_dir::database_path,
    database::Database,
    issuer,
    master_key::{self, Found, Source},
    output, secret_file,
    shared_database::{self, Purpose},
};

#[derive(Args)]
pub(super) struct Options {
    /// The origin by which clients know the servers, such as <https://auth.example.com>, which all servers
    /// must have then [default: that of the first server that starts]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let issuer = options.issuer.or_else(|| settings.issuer.clone());
    let settings = &Settings { issuer, ..settings.clone() };
    let url = require_url(settings)?;
    refuse_beside_file(settings, &url)?;
    // What is wrong with the settings is said before anything is made.
    let policy = policy(settings)?;
    let origin = settings.issuer.is_some().then(|| settings.origin(settings.listen)).transpose()?;
    let (store, database) = tables(settings, &url)?;
    let ports = &database.ports;
    if ports.store.vault().await?.is_some() && !ports.store.signing_keys().await?.keys.is_empty() {
        output::remark(format!("{url} is ready already, and stays as it is"));
        return Ok(());
    }
    let (vault, source) = vault(&settings.data_dir, &database).await?;
    if let Some(origin) = origin {
        issuer::claim(&store, origin.origin()).await?;
    }
    let keys = Arc::clone(&ports.store) as Arc<dyn SigningKeyStore>;
    let now = ports.clock.now();
    SigningKeys::load(keys, &vault, policy.key_schedules(), now, &SystemRandom).await?;
    tell(&url, &source);
    Ok(())
}

/// Refuses to begin anew where one server has everything in a file.
fn refuse_beside_file(settings: &Settings, url: &DatabaseUrl) -> anyhow::Result<()> {
    let file = database_path(settings);
    ensure!(
        !file.exists(),
        "{} is the database of a single server, with its accounts and keys. To bring all of it to {url}: \
         countersign admin move --to URL. To begin without it, give another --data-dir",
        file.display()
    );
    Ok(())
}

/// Opens the database, and makes the tables if it is empty. Tables of an earlier version stay as they are.
fn tables(
    settings: &Settings,
    url: &DatabaseUrl,
) -> anyhow::Result<(Arc<PostgresStore>, Database)> {
    match shared_database::open(settings, url, Purpose::Command) {
        Err(error) if matches!(error.downcast_ref(), Some(PostgresError::Empty)) => {
            shared_database::open(settings, url, Purpose::Init)
        }
        opened => opened,
    }
}

/// Makes the vault, with the master key that is given or a new one.
async fn vault(directory: &Path, database: &Database) -> anyhow::Result<(Vault, Source)> {
    let vaults = &*database.ports.store;
    let is_new = vaults.vault().await?.is_none();
    if is_new {
        create_private_dir(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        master_key::refuse_weak_beginning(directory)?;
    }
    let keys = master_key::find(directory, is_new, &SystemRandom)?;
    let made = keys.iter().find_map(|found| match &found.source {
        Source::NewFile(path) => Some(path.clone()),
        Source::Environment(_) | Source::File(_) | Source::Interrupted(_) => None,
    });
    match master_key::open_vault(directory, keys, vaults, master_key::IF_LOST).await {
        Ok((vault, Found { source, .. })) => Ok((vault, source)),
        Err(error) => {
            // Somebody on another machine was faster: this key opens nothing.
            if let Some(path) = made {
                secret_file::remove(&path)?;
            }
            Err(error)
        }
    }
}

fn tell(url: &DatabaseUrl, source: &Source) {
    output::remark(format!("made {url} ready: tables and signing keys"));
    match source {
        Source::NewFile(path) => output::remark(format!(
            "made the master key {}: copy it to the data directory of every server, and keep a copy \
             elsewhere, for a backup is worth nothing without it",
            path.display()
        )),
        source => output::remark(format!(
            "the master key is that of {}: every server needs the same one",
            source.place()
        )),
    }
    output::remark(
        "now start servers, all with the same issuer: countersign serve --issuer URL --database-url URL",
    );
}
