//! The configuration of a server: option > environment > file > default.

mod layers;
mod settings;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use countersign_protocol::proofs::target_uri::TargetUri;

pub(crate) use self::settings::{LogFormat, LogSettings, Settings};

/// The options that `serve` and `admin` share.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Location {
    /// Where database and master key lie [default: ./countersign-data]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,

    /// The database, in the data directory or with an absolute path [default: countersign.db]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) database: Option<PathBuf>,

    /// The configuration file [default: ./countersign.toml if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// Reads all layers; `options` are the settings that the command line gives, as in the file.
pub(crate) fn load(location: &Location, mut options: toml::Table) -> anyhow::Result<Settings> {
    if let Some(directory) = &location.data_dir {
        let directory = directory.to_str().context("--data-dir is not UTF-8")?;
        options.insert("data_dir".to_owned(), directory.into());
    }
    if let Some(database) = &location.database {
        let database = database.to_str().context("--database is not UTF-8")?;
        options.insert("database".to_owned(), database.into());
    }
    let variables = std::env::vars_os().collect();
    layers::merge(location.config.as_deref(), variables, options)
}

impl Settings {
    /// The origin that clients see, when the server really listens on `bound`.
    pub(crate) fn origin(&self, bound: SocketAddr) -> anyhow::Result<TargetUri> {
        let Some(issuer) = &self.issuer else {
            ensure!(
                !bound.ip().is_unspecified(),
                "listening on {bound}, clients could know this server by any name: \
                 say which with --issuer https://auth.example.com"
            );
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            return Ok(TargetUri::parse(&format!("{scheme}://{bound}"))?);
        };
        let origin = TargetUri::parse(issuer).with_context(|| format!("issuer {issuer:?}"))?;
        let is_origin = origin.origin() == issuer.as_str();
        ensure!(
            is_origin,
            "the issuer must be an origin in its normal form, without a path or a slash at the \
             end: {:?} instead of {issuer:?}",
            origin.origin()
        );
        Ok(origin)
    }

    /// Refuses to speak plain HTTP to a network, unless that was asked for.
    pub(crate) fn check_transport(&self) -> anyhow::Result<()> {
        let behind_proxy = !self.trusted_proxies.is_empty();
        let exposed = !self.listen.ip().is_loopback() && self.tls.is_none();
        if exposed && !self.insecure_http && !behind_proxy {
            bail!(
                "{} is reachable from the network, and without TLS everybody in between could read \
                 along: give --tls-cert and --tls-key, or configure trusted_proxies, or say \
                 --insecure-http",
                self.listen
            );
        }
        Ok(())
    }
}
