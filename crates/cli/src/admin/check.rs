//! `countersign admin check`.

use anyhow::{anyhow, ensure};
use countersign_authority::{model::key_life::KeyState, ports::IssuerStore};
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_store::sqlite::{ServerLock, inspect_log};

use super::{backup::describe, database::open, signing_keys, words::count};
use crate::{config::Settings, data_dir::database_path, issuer, output};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut failures = report_log(settings)?;
    let data_dir = open(settings)?;
    let database = data_dir.store.verify().map(|summary| describe(&summary));
    failures += report("database", database.map_err(Into::into))?;
    let vault = signing_keys::open_vault(settings, &data_dir).await;
    let (vault, fits) = match vault {
        Ok((vault, source)) => (Some(vault), Ok(source.place())),
        Err(error) => (None, Err(error)),
    };
    failures += report("master key", fits)?;
    if let Some(vault) = vault {
        let keys = signing_keys::open_all(settings, &data_dir, &vault).await;
        failures += report(
            "signing keys",
            keys.map(|keys| {
                let active = keys.iter().filter(|key| key.state == KeyState::Active).count() as u64;
                format!("{}, {active} active", count(keys.len() as u64, "key"))
            }),
        )?;
    }
    failures += report("issuer", issuer(&*data_dir.store).await)?;
    let is_running = ServerLock::is_held(&settings.data_dir)?;
    let running = if is_running { "runs" } else { "does not run" };
    output::line(format!("{:<14}{running}", "server"))?;
    ensure!(failures == 0, "{}: {} failed", settings.data_dir.display(), count(failures, "check"));
    Ok(())
}

/// By which name the server went, and what that means for passkeys.
async fn issuer(store: &dyn IssuerStore) -> anyhow::Result<String> {
    let Some(last) = store.issuer().await? else {
        return Ok("none yet, for no server of this version has started".to_owned());
    };
    Ok(match issuer::by_name(&TargetUri::parse(&last)?) {
        Some(name) => format!(
            "{last} at the last start; browsers make no passkeys for an IP address: for passkeys set \
             issuer = {name:?}"
        ),
        None => format!("{last} at the last start"),
    })
}

/// Checks the log before the database is opened, because opening it folds the intact part of the
/// log. If a server runs, it has checked the log already.
fn report_log(settings: &Settings) -> anyhow::Result<u64> {
    if ServerLock::is_held(&settings.data_dir).unwrap_or(false) {
        return Ok(0);
    }
    let log = inspect_log(&database_path(settings)).unwrap_or_default();
    if log.dropped_transactions == 0 {
        return Ok(0);
    }
    let lost = count(log.dropped_transactions, "transaction");
    report("log", Err(anyhow!("it is damaged, and {lost} behind the damage are lost")))
}

/// Prints the result of a check; returns 1 if it failed.
fn report(what: &str, result: anyhow::Result<String>) -> anyhow::Result<u64> {
    let (verdict, failures) = match result {
        Ok(text) => (format!("ok: {text}"), 0),
        Err(error) => (format!("FAILED: {error:#}"), 1),
    };
    output::line(format!("{what:<14}{verdict}"))?;
    Ok(failures)
}
