//! Opens everything that one of several servers of a database needs.
//!
//! A start makes nothing that another server could make at the same moment: no tables, no master key.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use countersign_authority::{Authority, ports::Ports};
use countersign_memory::MemoryRateLimiter;
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_store::{
    Stopwatch,
    postgres::{DatabaseUrl, PostgresState, PostgresStore, StateOptions},
};
use countersign_system::SystemRandom;

use super::opened::{Allowed, Opened, Presence};
use crate::{
    config::{Settings, StatePlace},
    database::{Database, Place},
    issuer, lost_passkeys,
    master_key::{self, Found, Source},
    node::Node,
    output,
    shared_database::{self, Purpose},
};

/// Opens everything that a server needs that goes by `issuer` and works on the database at `url`.
pub(super) async fn start(
    settings: &Settings,
    allowed: Allowed,
    url: DatabaseUrl,
    issuer: TargetUri,
    state_place: StatePlace,
) -> anyhow::Result<Opened> {
    ensure!(
        !allowed.anew && !allowed.loss,
        "--new and --accept-loss are for a database in the data directory, and this one is {url}"
    );
    let (store, Database { engine, ports }) =
        shared_database::open(settings, &url, Purpose::Serve)?;
    let vault = ports.store.vault().await?.with_context(|| {
        format!("{url}: the database has no vault yet; make it with `countersign admin init`, once")
    })?;
    issuer::fit(&*store, issuer.origin()).await?;
    let ports = match state_place {
        StatePlace::Memory => ports,
        StatePlace::Postgres => with_shared_state(settings, &url, ports, store.stopwatch()).await?,
    };
    // Before the vault is opened: whoever changes the master key sees that this server may have the old one.
    let node = Node::enter(
        settings,
        Arc::clone(&store),
        issuer.origin(),
        state_place,
        vault,
        Arc::clone(&ports.clock),
    )
    .await?;
    let (authority, master_key) = match open(settings, &store, ports, issuer).await {
        Ok(started) => started,
        Err(error) => {
            node.end().await;
            return Err(error);
        }
    };
    let (place, presence) = (Place::Postgres(Box::new(url)), Presence::Among(node));
    Ok(Opened { authority, engine, place, master_key, is_new: false, presence })
}

/// The same ports, with state that all servers of the database share.
async fn with_shared_state(
    settings: &Settings,
    url: &DatabaseUrl,
    ports: Ports,
    stopwatch: Arc<Stopwatch>,
) -> anyhow::Result<Ports> {
    let limits = &settings.limits;
    let used_proofs = limits.replay_log();
    let options = StateOptions {
        used_proofs,
        used_proofs_share: limits.share_of(used_proofs),
        sessions: limits.sessions,
        sessions_share: limits.share(limits.sessions),
        // There they are counted in one place.
        limited: limits.rate_limit_clients + limits.keyring_try_places,
        stopwatch,
        ..StateOptions::new(Arc::clone(&ports.clock), Arc::clone(&ports.random))
    };
    let state = PostgresState::open(url, options).await?;
    let requests = Arc::new(MemoryRateLimiter::new(limits.rate_limit_clients));
    Ok(Ports { state: state.into_state(requests), ..ports })
}

async fn open(
    settings: &Settings,
    store: &PostgresStore,
    ports: Ports,
    issuer: TargetUri,
) -> anyhow::Result<(Arc<Authority>, Source)> {
    let directory = &settings.data_dir;
    let keys = master_key::find(directory, false, &SystemRandom).context(
        "every server of a database needs its master key, which `countersign admin init` has made or was \
         given: copy master.key from the data directory of another server",
    )?;
    let (vault, found) =
        master_key::open_vault(directory, keys, store, master_key::IF_LOST).await?;
    master_key::warn_if_weak(&found);
    let policy = settings.policy(issuer.clone())?;
    lost_passkeys::check(settings, &policy, store).await?;
    let authority = Arc::new(Authority::start(policy, ports, vault).await?);
    // Only now: a start that is refused decides nothing for the others.
    issuer::claim(store, issuer.origin()).await?;
    Ok((authority, tell_of_interruption(found)))
}

/// The key files stay as they are, because another server may look at them too.
fn tell_of_interruption(found: Found) -> Source {
    match found.source {
        Source::Interrupted(path) => {
            output::remark(format!(
                "WARNING: the master key is the one in {}, which an interrupted `countersign admin rekey` \
                 has left: give it the name master.key, on every machine",
                path.display()
            ));
            Source::File(path)
        }
        source => source,
    }
}
