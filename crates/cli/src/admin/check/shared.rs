//! `countersign admin check` of a database that servers share.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use countersign_authority::ports::{Clock as _, StoreUpkeep as _};
use countersign_store::postgres::{PostgresStore, SeenNode, ServerReport, Standby};
use countersign_system::SystemClock;

use super::parts::{issuer, report, report_secrets};
use crate::{
    admin::{backup::describe, database::open_shared, table, words::count},
    config::Settings,
    node, output,
    shared_database::Purpose,
    time::to_rfc3339,
};

/// A larger difference of clocks fails the check: from it on, servers are not ready.
const CLOCKS_MAY_DIFFER: Duration = Duration::from_millis(2500);

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let (url, store, database) = open_shared(settings, Purpose::Check)?;
    let told = store.report().await?;
    let mut failures = report("database", Ok(describe(&told.summary)))?;
    failures += report("server", Ok(server(&told)))?;
    failures += report("standbys", standbys(&told, settings.postgres.allow_asynchronous))?;
    for standby in &told.standbys {
        output::line(format!("{:<14}{}", "", described(standby)))?;
    }
    failures += report("clock", clock(&store).await)?;
    failures += report_secrets(settings, &database).await?;
    failures += report("issuer", issuer(&*store).await)?;
    let nodes = store.nodes().await?;
    let running = nodes.iter().filter(|seen| node::is_running(seen)).count() as u64;
    output::line(format!("{:<14}{} running", "nodes", count(running, "server")))?;
    print_nodes(&nodes)?;
    ensure!(failures == 0, "{url}: {} failed", count(failures, "check"));
    Ok(())
}

fn server(told: &ServerReport) -> String {
    let role = if told.is_primary { "takes writes" } else { "takes no writes" };
    let schema = &told.schema;
    format!(
        "PostgreSQL {}, {role}; schema version {}, for programs from {} on, this one knows {}",
        told.version, schema.version, schema.runs_with_from, schema.known
    )
}

/// Whether what was acknowledged survives the database server.
fn standbys(told: &ServerReport, is_accepted: bool) -> anyhow::Result<String> {
    let names = &told.synchronous_standby_names;
    let waits = if names.is_empty() {
        "the server waits for none".to_owned()
    } else {
        format!("the server waits for {names} (synchronous_commit {})", told.synchronous_commit)
    };
    match told.may_lose {
        Some(reason) if is_accepted => {
            Ok(format!("{waits}; {reason}, which postgres.allow_asynchronous accepts"))
        }
        None if !names.is_empty() && told.standbys.is_empty() => Err(anyhow!(
            "{waits}, and none is connected, so every change waits: start a standby, or empty \
             synchronous_standby_names"
        )),
        Some(reason) => Err(anyhow!("acknowledged changes could be lost: {reason}")),
        None => Ok(format!("{}, {waits}", count(told.standbys.len() as u64, "standby"))),
    }
}

fn described(standby: &Standby) -> String {
    let unknown = "unknown (grant pg_monitor to the user of the database)";
    let Standby { name, state, sync_state, behind_bytes, replay_lag } = standby;
    let state = state.as_deref().unwrap_or(unknown);
    let sync = sync_state.as_deref().unwrap_or("?");
    let behind = behind_bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes behind"));
    let lag = replay_lag
        .map_or_else(String::new, |lag| format!(", replays after {} ms", lag.as_millis()));
    format!("{name}: {state}, {sync}{behind}{lag}")
}

/// Compares the clock of this machine with that of the database server.
async fn clock(store: &PostgresStore) -> anyhow::Result<String> {
    let own = SystemClock::new();
    let (asked_at, began) = (own.now(), own.monotonic());
    let Some(answer) = store.clock().await? else { return Ok("not known".to_owned()) };
    let uncertain = own.monotonic().saturating_sub(began) / 2;
    let middle = asked_at + uncertain;
    let (ahead, behind) = (middle.since(answer), answer.since(middle));
    let said = format!("{} (± {} ms)", compared(ahead, behind), uncertain.as_millis() + 1);
    let certain = ahead.max(behind).saturating_sub(uncertain);
    ensure!(certain <= CLOCKS_MAY_DIFFER, "{said}: let both follow a time server");
    Ok(said)
}

fn compared(ahead: Duration, behind: Duration) -> String {
    if behind.is_zero() {
        format!("this machine is {} ms ahead of the database", ahead.as_millis())
    } else {
        format!("this machine is {} ms behind the database", behind.as_millis())
    }
}

fn print_nodes(nodes: &[SeenNode]) -> anyhow::Result<()> {
    if nodes.is_empty() {
        return Ok(());
    }
    let headings = ["NODE", "STATE", "VERSION", "STARTED", "SEEN", "CLOCK", "HEARD", "SETTINGS"];
    table::print(headings, nodes.iter().map(to_row).collect())
}

fn to_row(seen: &SeenNode) -> [String; 8] {
    let SeenNode { node: said, started_at, silent_for } = seen;
    let state = if node::is_running(seen) { "runs" } else { "silent" };
    let clock = said.clock_ahead_millis.map(|millis| format!("{millis:+} ms"));
    [
        said.id.clone(),
        state.to_owned(),
        said.version.clone(),
        to_rfc3339(*started_at),
        format!("{} s ago", silent_for.as_secs()),
        clock.unwrap_or_else(|| table::NOTHING.to_owned()),
        format!("{} ms before", said.news_age.as_millis()),
        beginning(&said.settings),
    ]
}

/// Enough of a digest to tell it from others.
fn beginning([a, b, c, d, ..]: &[u8; 32]) -> String {
    format!("{:08x}", u32::from_be_bytes([*a, *b, *c, *d]))
}
