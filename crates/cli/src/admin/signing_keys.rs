//! `countersign admin signing-keys`.

use std::sync::Arc;

use anyhow::ensure;
use clap::Subcommand;
use countersign_authority::{
    keys::{
        signing::{KeySummary, SigningKeys},
        vault::Vault,
    },
    model::{
        key_life::{KeySchedule, KeyState, SealedSigningKey, Signs},
        policy::Policy,
    },
    ports::SigningKeyStore,
};
use countersign_protocol::{UnixTime, keys::Algorithm, proofs::target_uri::TargetUri};
use countersign_system::SystemRandom;
use serde_json::{Value, json};

use super::{
    database::{open, open_to_change, require_vault},
    table,
};
use crate::{
    config::Settings,
    database::Database,
    master_key::{self, Source},
    output,
    time::to_rfc3339,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the server's signing keys and when they change state
    ///
    /// A key is `next` (published, so that everybody knows it in time), then `active` (it signs),
    /// then `retired` (what it signed still verifies), then `gone`. With the dialect jwks-server one
    /// that is gone is always there: it signs tokens that a client asks to be expired.
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Sign with another key from now on
    ///
    /// Keys rotate by themselves; this is for when that should not be waited for. The present key
    /// of access tokens is retired: tokens that it signed stay good until they end.
    Rotate {
        /// Rotate the keys of this algorithm, such as RS256 for tokens of passwords, and no others
        #[arg(long, value_name = "NAME", value_parser = algorithm)]
        algorithm: Option<Algorithm>,

        /// The present keys, of every algorithm, are in the wrong hands: withdraw them, and retired
        /// ones too. Every token that they signed dies at once; whoever holds one must log in again
        ///
        /// A resource server that verifies tokens by itself may have cached the old keys for up to
        /// five minutes.
        #[arg(long)]
        withdraw: bool,
    },
}

/// Why there is a key that is over, and on a new server one that seems older than the server.
const KEPT: &str = "the key that is gone is no mistake: the dialect jwks-server signs with it when a client \
                    asks for an expired token (POST /auth?expired=true). The first such key is made \
                    with times that are over already";

pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { json } => list(settings, json).await,
        Command::Rotate { algorithm, withdraw } => rotate(settings, algorithm, withdraw).await,
    }
}

async fn list(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let database = open(settings)?;
    print(settings, &database, json).await
}

fn algorithm(name: &str) -> Result<Algorithm, &'static str> {
    Algorithm::from_name(name).ok_or("not the name of an algorithm")
}

async fn rotate(
    settings: &Settings,
    algorithm: Option<Algorithm>,
    withdraw: bool,
) -> anyhow::Result<()> {
    // The claim is shared: the store refuses a change that was decided on other keys, or on another master key.
    let (_claim, database) = open_to_change(settings)?;
    let (vault, _) = open_vault(settings, &database).await?;
    let policy = policy(settings)?;
    let now = database.ports.clock.now();
    let store = Arc::clone(&database.ports.store) as Arc<dyn SigningKeyStore>;
    require_algorithm(&store.signing_keys().await?.keys, &policy.signing_keys, now)?;
    let schedules = policy.key_schedules();
    let keys = SigningKeys::load(store, &vault, schedules, now, &SystemRandom).await?;
    match algorithm {
        Some(algorithm) => keys.rotate_algorithm(algorithm, withdraw, now, &SystemRandom).await?,
        None => keys.rotate(withdraw, now, &SystemRandom).await?,
    }
    output::remark(if withdraw {
        "another key signs now; the tokens of the keys before it are refused"
    } else {
        "another key signs now; the tokens of the key before it are good until they end"
    });
    output::after("another key signs", print(settings, &database, false).await)
}

/// Opens the vault with the present master key, as a server would.
pub(super) async fn open_vault(
    settings: &Settings,
    database: &Database,
) -> anyhow::Result<(Vault, Source)> {
    let vaults = &*database.ports.store;
    require_vault(vaults).await?;
    let keys = master_key::find(&settings.data_dir, false, &SystemRandom)?;
    let (vault, found) =
        master_key::open_vault(&settings.data_dir, keys, vaults, master_key::IF_LOST).await?;
    Ok((vault, found.source))
}

/// Opens every signing key, and changes none.
pub(super) async fn open_all(
    settings: &Settings,
    database: &Database,
    vault: &Vault,
) -> anyhow::Result<Vec<KeySummary>> {
    let schedules = policy(settings)?.key_schedules();
    let store = Arc::clone(&database.ports.store);
    let keys = SigningKeys::open(store, vault, schedules).await?;
    Ok(keys.summaries(database.ports.clock.now()))
}

/// The server's policy, which says how its keys are scheduled.
pub(super) fn policy(settings: &Settings) -> anyhow::Result<Policy> {
    // The server's name plays no part in that.
    settings.policy(TargetUri::parse("http://localhost")?)
}

/// Refuses to rotate by another configuration than the server's: the key would be of another kind
/// than the one that it signs with.
fn require_algorithm(
    keys: &[SealedSigningKey],
    schedule: &KeySchedule,
    now: UnixTime,
) -> anyhow::Result<()> {
    let is_meant = |key: &&SealedSigningKey| {
        key.signs == Signs::AccessTokens && key.life.state(now) == KeyState::Active
    };
    let active: Vec<_> = keys.iter().filter(is_meant).collect();
    let names: Vec<_> = active.iter().map(|key| key.algorithm.name()).collect();
    let present = names.join(" and ");
    ensure!(
        active.is_empty() || active.iter().any(|key| key.algorithm == schedule.algorithm),
        "the server signs with {present}, but the configuration read here says \
         signing_keys.algorithm = {}: name the server's own with --config",
        schedule.algorithm.name()
    );
    Ok(())
}

async fn print(settings: &Settings, database: &Database, json: bool) -> anyhow::Result<()> {
    let now = database.ports.clock.now();
    let keys = database.ports.store.signing_keys().await?.keys;
    if json {
        for key in &keys {
            output::json(&to_json(key, now).to_string())?;
        }
        return Ok(());
    }
    let headings =
        ["KID", "FOR", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "SIGNS UNTIL", "GONE FROM"];
    let to_row = |key: &SealedSigningKey| {
        [
            key.kid.to_string(),
            key.signs.name().to_owned(),
            key.algorithm.name().to_owned(),
            key.life.state(now).name().to_owned(),
            to_rfc3339(key.life.created_at),
            to_rfc3339(key.life.active_from),
            to_rfc3339(key.life.retired_from),
            to_rfc3339(key.life.expires_at),
        ]
    };
    table::print(headings, keys.iter().map(to_row).collect())?;
    let is_kept = |key: &SealedSigningKey| key.life.state(now) == KeyState::Gone;
    if settings.dialects.have_passwords() && keys.iter().any(is_kept) {
        output::remark(KEPT);
    }
    Ok(())
}

fn to_json(key: &SealedSigningKey, now: UnixTime) -> Value {
    json!({
        "kid": key.kid.to_string(),
        "signs": key.signs.name(),
        "algorithm": key.algorithm.name(),
        "state": key.life.state(now).name(),
        "created_at": to_rfc3339(key.life.created_at),
        "active_from": to_rfc3339(key.life.active_from),
        "retired_from": to_rfc3339(key.life.retired_from),
        "expires_at": to_rfc3339(key.life.expires_at),
    })
}
