//! What `countersign admin check` says of any database.

use countersign_authority::{model::key_life::KeyState, ports::IssuerStore};
use countersign_protocol::proofs::target_uri::TargetUri;

use super::super::{signing_keys, words::count};
use crate::{config::Settings, database::Database, issuer, output};

/// Whether the master key opens the vault, and the vault the signing keys.
pub(super) async fn report_secrets(
    settings: &Settings,
    database: &Database,
) -> anyhow::Result<u64> {
    let vault = signing_keys::open_vault(settings, database).await;
    let (vault, fits) = match vault {
        Ok((vault, source)) => (Some(vault), Ok(source.place())),
        Err(error) => (None, Err(error)),
    };
    let mut failures = report("master key", fits)?;
    if let Some(vault) = vault {
        let keys = signing_keys::open_all(settings, database, &vault).await;
        failures += report(
            "signing keys",
            keys.map(|keys| {
                let active = keys.iter().filter(|key| key.state == KeyState::Active).count() as u64;
                format!("{}, {active} active", count(keys.len() as u64, "key"))
            }),
        )?;
    }
    Ok(failures)
}

/// By which name the server went, and what that means for passkeys.
pub(super) async fn issuer(store: &dyn IssuerStore) -> anyhow::Result<String> {
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

/// Prints the result of a check; returns 1 if it failed.
pub(super) fn report(what: &str, result: anyhow::Result<String>) -> anyhow::Result<u64> {
    let (verdict, failures) = match result {
        Ok(text) => (format!("ok: {text}"), 0),
        Err(error) => (format!("FAILED: {error:#}"), 1),
    };
    output::line(format!("{what:<14}{verdict}"))?;
    Ok(failures)
}
