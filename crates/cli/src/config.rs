//! The configuration of a server: option > environment > file > default.

pub(crate) mod database_url;
mod form;
mod layers;
mod listen;
mod memory;
mod origins;
mod passkeys;
mod policy;
mod settings;
mod shared_digest;
mod shares;
mod transport;
mod values;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

pub(crate) use self::{
    listen::Listen,
    settings::{LogSettings, Settings},
    values::{LogFormat, StatePlace},
};

/// The options that `serve` and `admin` share.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Location {
    /// Where database and master key lie [default: ./countersign-data]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,

    /// The database, in the data directory or with an absolute path [default: countersign.db]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) database: Option<PathBuf>,

    /// The PostgreSQL database, in place of the file: <postgres://USER@HOST/DATABASE>. Whoever may see the
    /// processes of this machine sees it, so a password is better in `COUNTERSIGN_DATABASE_URL`
    #[arg(long, value_name = "URL", global = true, conflicts_with = "database")]
    pub(crate) database_url: Option<String>,

    /// The configuration file [default: ./countersign.toml if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// Reads all layers. `options` are the settings from the command line, in the form of the file.
pub(crate) fn load(location: &Location, mut options: toml::Table) -> anyhow::Result<Settings> {
    if let Some(directory) = &location.data_dir {
        let directory = directory.to_str().context("--data-dir is not UTF-8")?;
        options.insert("data_dir".to_owned(), directory.into());
    }
    if let Some(database) = &location.database {
        let database = database.to_str().context("--database is not UTF-8")?;
        options.insert("database".to_owned(), database.into());
    }
    if let Some(url) = &location.database_url {
        if let Ok(url) = url.parse() {
            let instead = "COUNTERSIGN_DATABASE_URL_FILE";
            database_url::warn_if_others_see(&url, "--database-url", instead);
        }
        options.insert("database_url".to_owned(), url.as_str().into());
    }
    let variables = std::env::vars_os().collect();
    layers::merge(location.config.as_deref(), variables, options)
}
