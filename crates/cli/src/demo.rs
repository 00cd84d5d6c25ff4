//! `countersign demo`.

use clap::Args;

#[derive(Args)]
pub(crate) struct Options {}

pub(crate) async fn run(_options: Options) -> anyhow::Result<()> {
    anyhow::bail!("being written")
}
