//! `countersign admin check`.

mod parts;
mod shared;

use anyhow::{anyhow, ensure};
use countersign_store::sqlite::{ServerLock, inspect_log};

use self::parts::{issuer, report, report_secrets};
use super::{backup::describe, database::open_file, words::count};
use crate::{
    config::Settings,
    data_dir::{Purpose, database_path},
    output,
};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    if settings.database_url()?.is_some() {
        return shared::run(settings).await;
    }
    let mut failures = report_log(settings)?;
    let (store, database) = open_file(settings, Purpose::Command)?;
    let verified = store.verify().map(|summary| describe(&summary));
    failures += report("database", verified.map_err(Into::into))?;
    failures += report_secrets(settings, &database).await?;
    failures += report("issuer", issuer(&*store).await)?;
    let is_running = ServerLock::is_held(&settings.data_dir)?;
    let running = if is_running { "runs" } else { "does not run" };
    output::line(format!("{:<14}{running}", "server"))?;
    ensure!(failures == 0, "{}: {} failed", settings.data_dir.display(), count(failures, "check"));
    Ok(())
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
