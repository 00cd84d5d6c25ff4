//! The commands of administrators.

use clap::Args;

use crate::config::Location;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    location: Location,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    anyhow::bail!("being written: {:?}", options.location)
}
