//! `countersign demo`: the whole story in one terminal, with real requests to a real server.

mod stage;
mod story;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::sync::{mpsc, oneshot};

use crate::{
    config::{Listen, Settings},
    serve,
    startup::Allowed,
};
use stage::Stage;

/// How long the server may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Options {}

/// Starts a server in a temporary directory, plays the story against it and stops it.
///
/// Fails when anything differs from the story, above all when a thief gets through.
pub(crate) async fn run(_options: Options) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let settings = Settings {
        listen: Listen::Address(([127, 0, 0, 1], 0).into()),
        data_dir: directory.path().join("data"),
        ..Settings::default()
    };
    let (started, listening) = oneshot::channel();
    let (stop, stopping) = mpsc::channel(1);
    let server = tokio::spawn(async move {
        serve::serve(&settings, Allowed::default(), stopping, |server| {
            drop(started.send(server.issuer));
        })
        .await
    });
    let issuer = match tokio::time::timeout(START_WITHIN, listening).await {
        Ok(Ok(issuer)) => issuer,
        Ok(Err(_)) => return server.await?.and(Err(anyhow::anyhow!("the server did not start"))),
        Err(_) => anyhow::bail!("the server did not start within {START_WITHIN:?}"),
    };
    let mut stage = Stage::open(issuer)?;
    let played = story::play(&mut stage).await;
    let _ = stop.send(()).await;
    server.await??;
    played?;
    ensure!(stage.thieves_refused() == story::THIEVES, "a thief is missing from the story");
    stage.curtain()
}
