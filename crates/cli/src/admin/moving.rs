//! `countersign admin move`: out of the file of one server, into a database that several share.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_authority::{
    model::audit::{AuditEvent, EventKind},
    ports::{AuditStore as _, Clock as _},
};
use countersign_protocol::ports::random_bytes;
use countersign_store::{
    postgres::{DatabaseUrl, MoveError, MovedTable, PostgresOptions, PostgresStore, SchemaMode},
    sqlite::{ServerLock, SqliteStore, set_aside_moved},
};
use countersign_system::{SystemClock, SystemRandom};

use super::{
    claim::Claim,
    database::{open_file, require_data_dir},
    signing_keys,
    words::count,
};
use crate::{
    administrator::administrator,
    config::{Settings, database_url},
    data_dir::{Purpose, database_path},
    master_key,
    moving_mark::MovingMark,
    output,
};

#[derive(Args)]
pub(super) struct Options {
    /// Where to: an empty database, <postgres://USER@HOST/DATABASE>. Without it, where the setting
    /// `database_url` says
    #[arg(long, value_name = "URL")]
    to: Option<String>,

    /// A file with that URL, if it has a password
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let url = target(settings, options)?;
    require_data_dir(settings)?;
    let directory = &settings.data_dir;
    let _claim = Claim::alone(directory)?;
    let _lock = ServerLock::acquire(directory).context("stop the server first")?;
    let (store, database) = open_file(settings, Purpose::Move)?;
    // What moves is worth nothing without it.
    signing_keys::open_vault(settings, &database).await?;
    drop(database);
    let target = target_options(settings)?;
    let path = database_path(settings);
    let (mark, was_interrupted) = MovingMark::make(&path, &url.to_string())?;
    if was_interrupted && is_in(&store, &url, &target)? {
        output::remark("everything had moved before; the rest is done now");
    } else {
        match store.move_to(&url, &target) {
            Ok(moved) => tell(&url, &moved)?,
            Err(error) => {
                // Of these nobody knows whether it has moved, nor of one that was interrupted before.
                let is_open = matches!(error, MoveError::Unknown { .. } | MoveError::Unsure);
                if !was_interrupted && !is_open {
                    mark.remove()?;
                }
                return Err(error).with_context(|| url.to_string());
            }
        }
    }
    drop(store);
    let aside = set_aside_moved(&path);
    note(&url, &target).await?;
    if aside.is_ok() {
        mark.remove()?;
    }
    match aside {
        Ok(Some(aside)) => output::remark(format!(
            "the file is {} now, as it was; delete it when you have a backup of the new database",
            aside.display()
        )),
        Ok(None) => {}
        Err(error) => output::remark(format!(
            "WARNING: {} could not be put aside ({error}): run this command again when it can be. No server \
             starts with it until then",
            path.display()
        )),
    }
    output::remark(format!(
        "every server needs the master key, which is {} or that of the environment; start them with \
         database_url, and all with the issuer of before",
        master_key::file_in(directory).display()
    ));
    Ok(())
}

fn target(settings: &Settings, options: Options) -> anyhow::Result<DatabaseUrl> {
    match options {
        Options { to: Some(text), .. } => {
            let url = text.parse().context("--to")?;
            database_url::warn_if_others_see(&url, "--to", "--to-file FILE");
            Ok(url)
        }
        Options { to_file: Some(path), .. } => database_url::read(&path),
        Options { to: None, to_file: None } => {
            settings.database_url()?.context("where to? give --to postgres://USER@HOST/DATABASE")
        }
    }
}

fn target_options(settings: &Settings) -> anyhow::Result<PostgresOptions> {
    Ok(PostgresOptions {
        writers: 1,
        readers: 1,
        prepared: settings.postgres.prepared,
        allow_asynchronous: settings.postgres.allow_asynchronous,
        administrator: Some(administrator(settings)?),
        now: SystemClock::new().now(),
        spread: u64::from_be_bytes(random_bytes(&SystemRandom)),
        ..PostgresOptions::default()
    })
}

/// Whether the database is that of this house already.
fn is_in(file: &SqliteStore, url: &DatabaseUrl, options: &PostgresOptions) -> anyhow::Result<bool> {
    let options = PostgresOptions { mode: SchemaMode::CreateOrUpgrade, ..options.clone() };
    let target = PostgresStore::open(url, &options).with_context(|| url.to_string())?;
    Ok(target.installation() == file.installation())
}

/// Says so in the trail that has moved.
async fn note(url: &DatabaseUrl, options: &PostgresOptions) -> anyhow::Result<()> {
    let store = PostgresStore::open(url, options)?;
    let event = AuditEvent::new(SystemClock::new().now(), EventKind::DatabaseMoved);
    Ok(store.append(vec![event.detail("from a file of one server")]).await?)
}

fn tell(url: &DatabaseUrl, moved: &[MovedTable]) -> anyhow::Result<()> {
    let rows = |name| moved.iter().find(|table| table.name == name).map_or(0, |table| table.rows);
    let all: u64 = moved.iter().map(|table| table.rows).sum();
    ensure!(all > 0, "nothing has moved");
    Ok(output::line(format!(
        "moved {}, {} and {} to {url}: {} of {}, read back and compared",
        count(rows("accounts"), "account"),
        count(rows("credentials"), "key"),
        count(rows("audit_events"), "event"),
        count(all, "row"),
        count(moved.len() as u64, "table"),
    ))?)
}
